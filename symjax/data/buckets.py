"""Which padded size a crystal goes into: training and sampling run crystals of similar sizes together."""

from collections.abc import Sequence

import numpy as np


def assign_buckets(sizes: np.ndarray, buckets: Sequence[Sequence[int]]) -> np.ndarray:
    """Index of the first bucket that holds each crystal, -1 where none does.

    Args:
        sizes: `(n, d)` what is counted of each crystal, such as orbits and atoms.
        buckets: the largest of each that a bucket holds.
    """
    fits = np.all(np.asarray(sizes)[:, None, :] <= np.asarray(buckets), axis=-1)
    return np.where(fits.any(axis=1), fits.argmax(axis=1), -1)
