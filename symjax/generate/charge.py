"""Whether a composition can be neutral in common oxidation states: a demand on whole structure types.

Each element has one of its common oxidation states (`symjax.elements.COMMON_STATES`), or two neighbouring ones, as in Fe3O4. Metals
among themselves, and one element alone, carry no charges and pass. Exact: the sets of reachable totals are joined.
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


def neutral(types: StructureTypes) -> np.ndarray:
    """(n,) bool which structure types can be neutral."""
    multiplicity = types.multiplicity
    out = np.zeros(len(types.z), bool)
    for row, (z, atoms) in enumerate(zip(types.z, multiplicity, strict=True)):
        held = {int(e): int(atoms[z == e].sum()) for e in np.unique(z[z > 0])}
        out[row] = can_be_neutral(tuple(sorted(held.items())))
    return out
