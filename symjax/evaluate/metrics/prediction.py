"""Structure prediction: how often the true crystal comes out when its operations, species and sites are given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.evaluate.figure import Figure
from symjax.evaluate.matching import LOOSE, match_distances
from symjax.evaluate.metrics.common import mean_of
from symjax.evaluate.statistics import share_interval
from symjax.parallel import Processes

STRATA = (("0", 0, 0), ("1-4", 1, 4), ("5+", 5, 10**6))


def match_figures(
    predicted: Sequence[AtomicStructure],
    truth: Sequence[AtomicStructure],
    freedom: Sequence[int],
    *,
    processes: Processes = None,
    progress: bool = False,
) -> list[Figure]:
    """Match rate, its RMSE, and the rate by free coordinates: crystals without any inflate every rate.

    Args:
        predicted: one crystal for each of ``truth``.
        truth: the real crystals.
        freedom: free coordinates of each.
        processes: worker processes; None for one a core.
        progress: whether to show a progress bar on stderr.
    """
    distances = match_distances(predicted, truth, processes=processes, progress=progress)
    matched, free = np.isfinite(distances), np.asarray(freedom)
    rule = f"StructureMatcher(ltol {LOOSE[0]}, stol {LOOSE[1]}, angle {LOOSE[2]:.0f}); one try each"

    def share(key: str, name: str, flags: np.ndarray, definition: str) -> Figure:
        spread = share_interval(int(flags.sum()), len(flags))
        return Figure(
            key, name, mean_of(flags), len(flags), definition, source="CDVAE", better="higher", interval=spread
        )

    figures = [
        share("prediction.match", "match rate", matched, rule + ", operations, species and sites given"),
        Figure(
            "prediction.rmse",
            "match RMSE",
            mean_of(distances[matched]),
            int(matched.sum()),
            "mean normalised RMS distance of the matched pairs",
            source="CDVAE",
            better="lower",
        ),
    ]
    for label, low, high in STRATA:
        part = (free >= low) & (free <= high)
        figures.append(share(f"prediction.match_{label}", f"match rate, {label} free coordinates", matched[part], rule))
    return figures
