"""Shortest distances in a crystal, exact over all periodic images.

A distance is between an atom and any other atom or any other image of itself; the published rule for structural validity
leaves out self images (`shared` trap: a one-atom cell then always passes), so both are given. Covalent radii are those of
Cordero et al. 2008 as tabulated by ASE, in angstrom.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from symjax.evaluate.cells import Cell


class Shortest(NamedTuple):
    """Shortest distances of one crystal.

    Attributes:
        distance: angstrom, between any two atoms, self images included.
        ratio: smallest of distance / (sum of the two covalent radii).
        between: angstrom, between different atoms of the cell at minimum image (infinite for one atom): the published rule.
    """

    distance: float
    ratio: float
    between: float


def shortest(cell: Cell) -> Shortest:
    """Shortest distances; measured from orbit representatives, which is enough because operations keep distances.

    The lattice may be as skewed as it likes: the images searched are all that can lie within the best bound found so far.
    Returns zeros for a cell whose volume is not positive and finite.
    """
    from ase.data import covalent_radii

    if not (np.isfinite(cell.lattice).all() and np.isfinite(cell.frac).all() and cell.volume > 1e-9):
        return Shortest(0.0, 0.0, 0.0)
    first = cell.representatives
    radii = covalent_radii[cell.numbers]
    sums = radii[first][:, None] + radii[None]
    difference = cell.frac[first][:, None] - cell.frac[None]
    difference -= np.round(difference)
    itself = first[:, None] == np.arange(len(cell.frac))[None]
    near = _search(difference, itself, cell.lattice, np.array([1, 1, 1]))
    bound = max(near.min(), (near / sums).min() * 2 * float(radii.max()))
    # Plane spacing along each axis: images further than this many cells off are beyond the bound.
    reach = np.floor(bound * np.linalg.norm(np.linalg.inv(cell.lattice), axis=0) + 0.5).astype(int)
    if (reach > 1).any():
        near = np.minimum(near, _search(difference, itself, cell.lattice, np.minimum(reach, 40)))
    others = near[~itself]
    return Shortest(float(near.min()), float((near / sums).min()), float(others.min()) if others.size else float("inf"))


def _search(difference: np.ndarray, itself: np.ndarray, lattice: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(m, n) shortest distance over the images within ``reach`` cells; zero shift of an atom with itself left out."""
    best = np.full(itself.shape, np.inf)
    base = difference @ lattice
    for shift in itertools.product(*(range(-int(r), int(r) + 1) for r in reach)):
        squared = ((base + np.array(shift) @ lattice) ** 2).sum(axis=-1)
        if shift == (0, 0, 0):
            squared = np.where(itself, np.inf, squared)
        best = np.minimum(best, squared)
    return np.sqrt(best)
