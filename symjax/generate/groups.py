"""Space groups of crystals to be drawn, by the frequencies of training data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_groups(
    counts: np.ndarray, groups: Sequence[int] | np.ndarray, num: int, rng: np.random.Generator
) -> np.ndarray:
    """`(num,)` int32 space groups, by the frequencies `counts (231,)` among those that are asked for.

    Where no training crystal has any of them, they are drawn evenly.
    """
    asked = np.zeros(len(counts), bool)
    asked[list(groups) or slice(1, None)] = True
    weight = np.where(asked, counts, 0.0)
    weight = weight if weight.sum() > 0 else asked.astype(float)
    return rng.choice(len(counts), size=num, p=weight / weight.sum()).astype(np.int32)
