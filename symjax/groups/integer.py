"""Exact integer linear algebra in three dimensions, on the host: Smith and Hermite normal forms, sublattices, kernels.

Small matrices of Python integers, so nothing overflows in sheared bases; results are numpy int64.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np

Rows = tuple[tuple[int, ...], ...]


def as_rows(matrix: Any) -> Rows:
    """Hashable rows of an integer matrix."""
    return tuple(map(tuple, np.asarray(matrix).tolist()))


@lru_cache(maxsize=65536)
def smith(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smith normal form U A V = D of an integer matrix given by rows (m, n).

    Returns:
        U (m, m), d (min(m, n),), V (n, n): U and V unimodular, D zero but for the diagonal d, d >= 0, zeros last. The
        divisibility chain is not enforced (nobody needs it here).
    """
    m, n = len(rows), len(rows[0])
    A = [list(r) for r in rows]
    U = [[int(i == j) for j in range(m)] for i in range(m)]
    V = [[int(i == j) for j in range(n)] for i in range(n)]
    for k in range(min(m, n)):
        while True:
            pivot = min(((abs(A[i][j]), i, j) for i in range(k, m) for j in range(k, n) if A[i][j]), default=None)
            if pivot is None:
                break
            _, i, j = pivot
            A[k], A[i], U[k], U[i] = A[i], A[k], U[i], U[k]
            for matrix in (A, V):
                for row in matrix:
                    row[k], row[j] = row[j], row[k]
            p = A[k][k]
            for i in range(k + 1, m):
                q = A[i][k] // p
                if q:
                    A[i] = [a - q * b for a, b in zip(A[i], A[k], strict=True)]
                    U[i] = [a - q * b for a, b in zip(U[i], U[k], strict=True)]
            for j in range(k + 1, n):
                q = A[k][j] // p
                if q:
                    for matrix in (A, V):
                        for row in matrix:
                            row[j] -= q * row[k]
            if not any(A[i][k] for i in range(k + 1, m)) and not any(A[k][j] for j in range(k + 1, n)):
                break
        if A[k][k] < 0:
            A[k], U[k] = [-a for a in A[k]], [-a for a in U[k]]
    diagonal = [A[k][k] for k in range(min(m, n))]
    return _frozen(U), _frozen(diagonal), _frozen(V)


def _frozen(values: list) -> np.ndarray:
    """Read-only int64 array (results are cached)."""
    array = np.array(values, np.int64)
    array.setflags(write=False)
    return array


@lru_cache(maxsize=65536)
def hermite(rows: Rows) -> np.ndarray:
    """Row Hermite form of an integer matrix: pivots positive, entries above a pivot in [0, pivot); zero rows dropped."""
    A = [list(r) for r in rows]
    n, top = len(A[0]), 0
    for column in range(n):
        while True:
            live = [i for i in range(top, len(A)) if A[i][column]]
            if not live:
                break
            i = min(live, key=lambda i: abs(A[i][column]))
            A[top], A[i] = A[i], A[top]
            for i in range(top + 1, len(A)):
                q = A[i][column] // A[top][column]
                A[i] = [a - q * b for a, b in zip(A[i], A[top], strict=True)]
            if not any(A[i][column] for i in range(top + 1, len(A))):
                break
        if top < len(A) and A[top][column]:
            if A[top][column] < 0:
                A[top] = [-a for a in A[top]]
            for i in range(top):
                q = A[i][column] // A[top][column]
                A[i] = [a - q * b for a, b in zip(A[i], A[top], strict=True)]
            top += 1
        if top == len(A):
            break
    return _frozen(A[:top]) if top else np.zeros((0, n), np.int64)


@lru_cache(maxsize=65536)
def kernel(rows: Rows) -> np.ndarray:
    """Primitive basis (rows, Hermite form) of the integer vectors v with A v = 0."""
    _, d, V = smith(rows)
    rank = int((d != 0).sum())
    columns = V[:, rank:].T
    return hermite(as_rows(columns)) if len(columns) else np.zeros((0, V.shape[0]), np.int64)


@lru_cache(maxsize=65536)
def right_inverse(rows: Rows) -> np.ndarray:
    """Integer (3, m) matrix X with Q X = I for a primitive Q (m, 3), m <= 3."""
    if not rows:
        return np.zeros((3, 0), np.int64)
    U, _, V = smith(rows)
    return _frozen((V[:, : len(rows)] @ U).tolist())


def solve_torus(rows: Rows, c: np.ndarray, modulus: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solutions in the torus of A x = c modulo Z^m, for many right-hand sides at once.

    Args:
        rows: A (m, 3) integers.
        c: (b, m) int64 in units of 1/modulus.
        modulus: the unit; must be divisible enough for the solutions (checked).

    Returns:
        directions (f, 3) primitive basis of the kernel, points (s, 3) in units of 1/modulus in [0, modulus), one per
        connected component, and source (s,) the right-hand side each belongs to.
    """
    U, d, V = smith(rows)
    rank = int((d != 0).sum())
    rhs = c @ U.T
    fits = (rhs[:, rank:] % modulus == 0).all(-1)
    source = np.flatnonzero(fits)
    counts = [int(v) for v in d[:rank]]
    shifts = np.stack(np.meshgrid(*[np.arange(v) for v in counts], indexing="ij"), -1).reshape(-1, rank)
    y = rhs[source, None, :rank] + modulus * shifts[None]
    if rank and (y % d[:rank]).any():
        raise ArithmeticError(f"modulus {modulus} too coarse for the solutions of {rows}")
    y = y // d[:rank] if rank else y
    points = (y.reshape(-1, rank) @ V[:, :rank].T) % modulus
    return kernel(rows), points, np.repeat(source, len(shifts))


def sublattices(index: int) -> list[np.ndarray]:
    """(3, 3) column Hermite forms of every sublattice of Z^3 of an index: upper triangular, one for each."""
    found = []
    for a, b in itertools.product(range(1, index + 1), repeat=2):
        if index % (a * b) == 0:
            c = index // (a * b)
            for x, y, z in itertools.product(range(a), range(a), range(b)):
                found.append(np.array([[a, x, y], [0, b, z], [0, 0, c]], np.int64))
    return found
