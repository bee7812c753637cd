"""Shortest distances in a crystal, exact over all periodic images (numpy)."""

from __future__ import annotations

import itertools

import numpy as np

ENTRIES = 200_000  # distances worked out at a time
MAX_REACH = 40  # cells searched along one axis at most; only a degenerate cell needs more


def shortest_images(L: np.ndarray, x: np.ndarray, first: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Distance from some atoms to the nearest image of every atom (an atom's own images included, itself not).

    Measuring from orbit representatives is enough for the shortest distance, because operations keep distances.

    Args:
        L: (3, 3) rows a, b, c in angstrom, however skewed.
        x: (n, 3) fractional coordinates of all atoms.
        first: (m,) indices of the atoms measured from.
        sums: (m, n) lengths in angstrom that distances are compared with (sums of radii).

    Returns:
        (m, n) angstrom; the smallest entry, and the smallest ratio to `sums`, are exact.
    """
    difference = x[first][:, None] - x[None]
    difference -= np.round(difference)
    itself = first[:, None] == np.arange(len(x))[None]
    near = _search(difference, itself, L, np.array([1, 1, 1]))
    bound = max(near.min(), (near / sums).min() * float(sums.max()))
    # plane spacing along each axis: images further than this many cells off are beyond the bound
    reach = np.floor(bound * np.linalg.norm(np.linalg.inv(L), axis=0) + 0.5).astype(int)
    if (reach > 1).any():
        near = np.minimum(near, _search(difference, itself, L, np.minimum(reach, MAX_REACH)))
    return near


def _search(difference: np.ndarray, itself: np.ndarray, L: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(m, n) shortest distance over the images within `reach` cells; zero shift of an atom with itself left out."""
    shifts = np.array(list(itertools.product(*(range(-int(r), int(r) + 1) for r in reach))), float)
    base, moves = difference @ L, shifts @ L
    best = np.full(itself.shape, np.inf)
    step = max(1, ENTRIES // itself.size)
    for start in range(0, len(shifts), step):
        part = slice(start, start + step)
        squared = ((base[None] + moves[part, None, None]) ** 2).sum(axis=-1)
        home = np.flatnonzero((shifts[part] == 0).all(axis=1))
        squared[home] = np.where(itself, np.inf, squared[home])
        best = np.minimum(best, squared.min(axis=0))
    return np.sqrt(best)
