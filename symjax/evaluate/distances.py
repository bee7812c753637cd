"""Shortest distances in a crystal, exact over all periodic images.

A distance is between an atom and any other atom or any other image of itself; the published rule for structural validity
leaves out self images (`shared` trap: a one-atom cell then always passes), so both are given. Covalent radii are those of
Cordero et al. 2008, in angstrom.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from symjax.crystals.distances import shortest_images
from symjax.crystals.types import AtomicStructure
from symjax.elements import COVALENT_RADII
from symjax.errors import InputError


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


def shortest(cell: AtomicStructure) -> Shortest:
    """Shortest distances; measured from orbit representatives, which is enough because operations keep distances.

    The lattice may be as skewed as it likes: the images searched are all that can lie within the best bound found so far.
    Returns zeros for a cell whose volume is not positive and finite.
    """
    if not (np.isfinite(cell.L).all() and np.isfinite(cell.x).all() and cell.volume > 1e-9):
        return Shortest(0.0, 0.0, 0.0)
    heaviest = int(cell.z.max())
    if heaviest >= len(COVALENT_RADII):
        raise InputError(f"no covalent radius is known for element {heaviest} (the last is {len(COVALENT_RADII) - 1})")
    first = cell.representatives
    sums = COVALENT_RADII[cell.z[first]][:, None] + COVALENT_RADII[cell.z][None]
    near = shortest_images(cell.L, cell.x, first, sums)
    others = near[first[:, None] != np.arange(len(cell.x))[None]]
    return Shortest(float(near.min()), float((near / sums).min()), float(others.min()) if others.size else float("inf"))
