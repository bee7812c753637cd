"""The operations that make the atoms of an orbit: one of each coset of its stabilizer.

An orbit of G with stabilizer S is {g x : one g of each left coset of S}; which g is exact integer algebra and depends on (G, S)
only, so it is found once on the host (or read from a `symjax.wyckoff.set_table.SetTable`) and never from coordinates.
"""

from __future__ import annotations

import numpy as np

from symjax.errors import NotAGroupError
from symjax.ops.types import DEN


def coset_images(W: np.ndarray, w: np.ndarray, stab: np.ndarray, den: int = DEN) -> np.ndarray:
    """Operations that make the distinct atoms of each orbit: the first operation of every left coset of its stabilizer.

    Args:
        W: (n, 3, 3) and w: (n, 3), a closed set in units of 1/den, unpadded.
        stab: (m, n) bool.
        den: denominator of w.

    Returns:
        (m, n) int32: operation indices, |G|/|S| of them ascending, then -1.

    Raises:
        NotAGroupError: a product leaves the set, or the cosets do not tile it (a "stabilizer" that is no subgroup).
    """
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64)
    n = len(W)
    keys = {row.tobytes(): i for i, row in enumerate(_rows(W, w, den))}
    images = np.full((len(stab), n), -1, np.int32)
    for orbit, members in enumerate(np.asarray(stab, bool)):
        fixed = np.flatnonzero(members)
        free, found = np.ones(n, bool), []
        while free.any():
            g = int(np.argmax(free))
            rows = _rows(W[g] @ W[fixed], w[fixed] @ W[g].T + w[g], den)
            coset = [keys.get(row.tobytes(), -1) for row in rows]
            if min(coset, default=-1) < 0 or not free[coset].all() or not free[g]:
                raise NotAGroupError(
                    f"orbit {orbit}: the coset of operation {g} leaves the set or overlaps another one"
                )
            if g not in coset:
                raise NotAGroupError(f"orbit {orbit}: its stabilizer does not hold the identity")
            free[coset] = False
            found.append(g)
        images[orbit, : len(found)] = found
    return images


def _rows(W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
    """(n, 12) int64 rows that are equal exactly for equal operations modulo the lattice."""
    return np.ascontiguousarray(np.concatenate([W.reshape(-1, 9), np.mod(w, den).reshape(-1, 3)], axis=1))
