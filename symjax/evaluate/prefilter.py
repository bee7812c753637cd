"""Pairs that StructureMatcher cannot match, found without asking it.

For two crystals `StructureMatcher.fit` (primitive cells, volumes scaled to be equal, no supercells, no subsets) answers True only
if

1. their compositions are equal as fractions (its comparator's hash);
2. their reduced cells have equally many atoms (it maps atoms one to one, and gives up where numbers differ);
3. three vectors of the first lattice, scaled to the volume of the second, span a cell of its volume and have the lengths of the
   second's a, b, c to a factor within [1 / (1 + ltol), 1 + ltol] and its angles to angle_tol (the only cells that it tries).

All three are necessary by its own steps, whatever the atoms; 3 is tested in two parts. First by the successive minima of the first
lattice: any three independent vectors, sorted by length, are at least as long as these, so each must be at most (1 + ltol) times
the length of the sorted a, b, c of the second. Then as it stands. `SLACK` is left at each bound, far more than the rounding of
either program, so a pair that the matcher matches is never left out; all others are put to the matcher.

Its last condition bounds the distances of atoms by stol (V / N)^(1/3), but only after lengths changed by up to a fifth and angles
by 5 degrees. The bound that follows for invariants of all distances (`symjax.evaluate.invariants`) is wider than their differences
between most crystals, and would leave out next to nothing, so it is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SLACK = 1e-6
"""Part of a length or degrees of an angle, beyond the matcher's tolerance, at which a pair is still put to it."""


@dataclass(frozen=True)
class Reduced:
    """A crystal as the matcher compares it.

    Attributes:
        structure: pymatgen's, after the matcher's own reduction.
        formula: what its comparator hashes.
        num: atoms.
        L: (3, 3) lattice rows scaled to unit volume.
        lengths: (3,) of the rows, sorted.
        minima: (3,) lengths of the shortest three independent lattice vectors.
    """

    structure: Any
    formula: Any
    num: int
    L: np.ndarray
    lengths: np.ndarray
    minima: np.ndarray


def reduced(structure: Any) -> Reduced | None:
    """A `pymatgen.core.Structure` reduced as the matcher does it; None where that fails, so that it would match nothing."""
    try:
        small = structure.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()
        formula = structure.composition.fractional_composition
        matrix = np.array(small.lattice.matrix, float)
        L = matrix / np.abs(np.linalg.det(matrix)) ** (1 / 3)
        vectors = short_vectors(L, float(np.linalg.norm(L, axis=1).max()))
    except MemoryError:
        raise
    except Exception:  # it fails on degenerate cells in several ways
        return None
    lengths = np.sort(np.linalg.norm(L, axis=1))
    return Reduced(small, formula, len(small), L, lengths, _minima(vectors))


def may_match(first: Reduced, second: Reduced, ltol: float, angle_tol: float) -> bool:
    """False only where the matcher's ``fit(first, second)`` is False; see the module."""
    if first.num != second.num or first.formula != second.formula:
        return False
    if (first.minima > (1 + ltol) * second.lengths * (1 + SLACK)).any():
        return False
    return lattice_fits(first.L, second.L, ltol, angle_tol)


def lattice_fits(L: np.ndarray, target: np.ndarray, ltol: float, angle_tol: float) -> bool:
    """Whether a lattice has three vectors like the rows of another, spanning its volume.

    Args:
        L: (3, 3) rows, unit volume.
        target: (3, 3) rows, unit volume.
        ltol: relative difference of lengths.
        angle_tol: of angles, degrees.
    """
    wanted = np.linalg.norm(target, axis=1)
    vectors = short_vectors(L, float(wanted.max()) * (1 + ltol) * (1 + SLACK))
    length = np.linalg.norm(vectors, axis=1)
    ratio = length[:, None] / wanted
    near = (ratio < (1 + ltol) * (1 + SLACK)) & (ratio > (1 - SLACK) / (1 + ltol))
    a, b, c = (vectors[near[:, i]] for i in range(3))
    if not len(a) or not len(b) or not len(c):
        return False
    angle = {pair: _angles(*sides) for pair, sides in {"ab": (a, b), "ac": (a, c), "bc": (b, c)}.items()}
    goal = {
        "ab": _angles(target[:1], target[1:2]),
        "ac": _angles(target[:1], target[2:]),
        "bc": _angles(target[1:2], target[2:]),
    }
    fits = {pair: np.abs(angle[pair] - goal[pair]) <= angle_tol + SLACK for pair in angle}
    first, second = np.nonzero(fits["ab"])
    row, third = np.nonzero(fits["ac"][first] & fits["bc"][second])
    volume = np.abs(np.einsum("ti,ti->t", np.cross(a[first[row]], b[second[row]]), c[third]))
    return bool((np.abs(volume - 1) < 0.5 + SLACK).any())  # whole multiples of the volume


def short_vectors(L: np.ndarray, radius: float) -> np.ndarray:
    """(n, 3) all vectors of a lattice but zero that are no longer than a radius (and a little more)."""
    reach = np.floor(radius * (1 + SLACK) * np.linalg.norm(np.linalg.inv(L), axis=0) + SLACK).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid[np.any(grid != 0, axis=1)] @ L
    found: np.ndarray = points[np.linalg.norm(points, axis=1) <= radius * (1 + SLACK)]
    return found


def _minima(vectors: np.ndarray) -> np.ndarray:
    """(3,) lengths of the shortest independent vectors of a list that holds three, each taken where it adds a dimension."""
    order = vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]
    first = order[0]
    second = order[np.argmax(np.linalg.norm(np.cross(first, order), axis=1) > 1e-9)]
    third = order[np.argmax(np.abs(order @ np.cross(first, second)) > 1e-9)]
    return np.linalg.norm([first, second, third], axis=1)


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) angles, degrees."""
    cosine = a @ b.T / (np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
