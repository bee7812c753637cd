"""Compact bases of lattices: Minkowski-reduced in three dimensions, exactly for integral metrics and in floats for lattices.

In three dimensions a basis is Minkowski-reduced when no vector gets shorter by adding -1, 0 or 1 times the shorter ones.
Source: Semaev, A 3-dimensional lattice reduction algorithm (LNCS 2146, 181, 2001). Host.
"""

from __future__ import annotations

import numpy as np

from symjax.errors import InputError


def reduced_basis(L: np.ndarray) -> np.ndarray:
    """(3, 3) int64 P with P^T L a right-handed basis no vector of which gets shorter by adding others (Minkowski-reduced)."""
    rows = np.eye(3, dtype=np.int64)
    steps = np.array([(s, t) for s in (-1, 0, 1) for t in (-1, 0, 1)])
    for _ in range(1000):
        rows = rows[np.argsort(((rows @ L) ** 2).sum(axis=1), kind="stable")]
        done = True
        for i, j in ((1, 0), (2, 0), (2, 1)):
            a, b = rows[i] @ L, rows[j] @ L
            q = int(np.rint(a @ b / (b @ b)))
            if q and ((a - q * b) ** 2).sum() < (a @ a) * (1 - 1e-9):
                rows[i], done = rows[i] - q * rows[j], False
        options = rows[2] + steps @ rows[:2]
        lengths = ((options @ L) ** 2).sum(axis=1)
        if done and lengths.min() < lengths[4] * (1 - 1e-9):
            rows[2], done = options[lengths.argmin()], False
        if done:
            return (rows if np.linalg.det(rows @ L) > 0 else -rows).T.copy()
    raise InputError("the lattice cannot be reduced; its vectors must be finite and span a volume")


def reduce_metric(G: np.ndarray) -> np.ndarray:
    """Unimodular P (columns) that makes an integral positive definite metric compact: every vector no longer than any of
    its sums with -1, 0, 1 times the others (a Minkowski-reduced basis in three dimensions). Exact.
    """
    # Size reduction first, then single sums; each step shortens a vector of an integral metric, so it ends.
    basis = [[int(i == j) for j in range(3)] for i in range(3)]
    (g00, g01, g02), (_, g11, g12), (_, _, g22) = ([int(v) for v in row] for row in G)

    def dot(a: list[int], b: list[int]) -> int:
        x, y, z = b
        return (
            a[0] * (g00 * x + g01 * y + g02 * z)
            + a[1] * (g01 * x + g11 * y + g12 * z)
            + a[2] * (g02 * x + g12 * y + g22 * z)
        )

    while True:
        basis.sort(key=lambda v: dot(v, v))
        changed = False
        for i, j in ((1, 0), (2, 0), (2, 1)):  # size reduction against shorter vectors: quick for sheared bases
            q = _nearest(dot(basis[i], basis[j]), dot(basis[j], basis[j]))
            if q:
                basis[i] = [a - q * b for a, b in zip(basis[i], basis[j], strict=True)]
                changed = True
        if changed:
            continue
        a, b, c = basis
        options = [[z + s * x + t * y for x, y, z in zip(a, b, c, strict=True)] for s in (-1, 0, 1) for t in (-1, 0, 1)]
        shortest = min(options, key=lambda v: dot(v, v))
        if dot(shortest, shortest) >= dot(c, c):
            return np.array(basis, dtype=object).T
        basis[2] = shortest


def _nearest(a: int, b: int) -> int:
    """Nearest integer to a / b for b > 0, a half rounded towards zero (so that size reduction ends)."""
    q = (2 * abs(a) + b - 1) // (2 * b)
    return q if a >= 0 else -q
