"""Demands on the content of the cell: can it be neutral, how many atoms and formula units does it hold.

Charges: each element has one of its common oxidation states (`symjax.elements.COMMON_STATES`), or two neighbouring ones, as in
Fe3O4. Metals among themselves, and one element alone, carry no charges and pass. Exact: the sets of reachable totals are joined.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.elements import COMMON_STATES, IS_METAL


@lru_cache(maxsize=4096)
def totals(z: int, count: int) -> frozenset[int]:
    """Charges that so many atoms of an element can have together, in one common state or two neighbouring ones."""
    states = sorted(COMMON_STATES[z])
    mixed = {low * part + high * (count - part) for low, high in pairwise(states) for part in range(1, count)}
    return frozenset(mixed | {state * count for state in states})


@lru_cache(maxsize=65536)
def can_be_neutral(counts: tuple[tuple[int, int], ...]) -> bool:
    """Whether charges of (element, atoms) can add up to zero; counts are divided by their common factor first."""
    if len(counts) < 2 or all(IS_METAL[z] for z, _ in counts):
        return True
    factor = math.gcd(*(count for _, count in counts))
    reached = {0}
    for z, count in counts:
        reached = {before + more for before in reached for more in totals(z, count // factor)}
    return 0 in reached


def of_size(
    types: StructureTypes, *, atoms: int | None, units: int | None, formula: dict[int, int] | None
) -> np.ndarray:
    """(n,) bool which structure types have so many atoms in the primitive cell and formula units in the conventional one.

    Args:
        types: n structure types.
        atoms, units: None for any number.
        formula: atomic number -> count without a common factor; with `units` (the crystals have it).
    """
    conventional = types.num_atoms()
    good = np.ones(len(conventional), bool)
    if atoms is not None:
        good &= conventional == atoms * types.sets.num_centrings[types.set_index]
    if units is not None:
        assert formula is not None
        good &= conventional == units * sum(formula.values())
    return good


def units_asked(
    atoms: int | None, units: int | None, counts: tuple[int, ...], centrings: int
) -> tuple[int, ...] | None:
    """Multiples of a formula (its counts) that the conventional cell of a group with so many centring translations may hold."""
    if units is None and atoms is None:
        return None
    allowed = {units} if units is not None else {atoms * centrings / sum(counts)} if atoms is not None else set()
    if atoms is not None:
        allowed &= {atoms * centrings / sum(counts)}
    return tuple(int(n) for n in allowed if n == int(n))


def neutral(types: StructureTypes) -> np.ndarray:
    """(n,) bool which structure types can be neutral."""
    multiplicity = types.multiplicity
    out = np.zeros(len(types.z), bool)
    for row, (z, atoms) in enumerate(zip(types.z, multiplicity, strict=True)):
        held = {int(e): int(atoms[z == e].sum()) for e in np.unique(z[z > 0])}
        out[row] = can_be_neutral(tuple(sorted(held.items())))
    return out
