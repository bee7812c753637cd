"""Known crystals with other elements: what structure prediction and generation must beat without any model.

Elements may take each other's place by two rules: they share an oxidation state (of those with ten or more instances in the ICSD),
and their covalent radii are near. The cell is scaled by the covalent radii, so that the atoms keep their share of the volume.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.data.dataset import CrystalDataset
from symjax.elements import COVALENT_RADII

SIZE = 0.15
"""Largest relative difference of covalent radii of elements that are exchanged at random."""
Reduced = tuple[tuple[int, int], ...]
"""(atomic number, atoms) without a common factor, numbers rising."""


@cache
def states(z: int) -> frozenset[int]:
    """Oxidation states of an element with ten or more instances in the ICSD, the common ones where there are none."""
    from pymatgen.core import Element

    element = Element.from_Z(z)
    return frozenset(element.icsd_oxidation_states or element.common_oxidation_states)


def partners(z: int, counts: dict[int, int]) -> tuple[list[int], np.ndarray]:
    """Elements that may take the place of one, and how often each is drawn; both empty where none may."""
    near = [
        other
        for other in sorted(counts)
        if other != z and states(other) & states(z) and abs(COVALENT_RADII[other] / COVALENT_RADII[z] - 1) <= SIZE
    ]
    weights = np.array([counts[other] for other in near], float)
    return near, weights / weights.sum() if near else weights


def exchanged(cell: AtomicStructure, places: dict[int, int]) -> AtomicStructure:
    """A crystal with elements exchanged, its cell scaled so that the volume of its atoms keeps its share."""
    z = np.array([places.get(int(number), int(number)) for number in cell.z])
    scale = np.cbrt((COVALENT_RADII[z] ** 3).sum() / (COVALENT_RADII[cell.z] ** 3).sum())
    return AtomicStructure(scale * cell.L, z, cell.x)


def occurrences(data: CrystalDataset) -> dict[int, int]:
    """Atomic number -> crystals that have the element."""
    start = np.asarray(data.orbit_start)
    return dict(Counter(int(z) for i in range(len(data)) for z in np.unique(data.orbit_z[start[i] : start[i + 1]])))


def compositions(data: CrystalDataset) -> list[Reduced]:
    """Reduced composition of each crystal, from its orbits alone."""
    atoms = np.asarray(data.sets.pos_mult)[data.orbit_set, data.orbit_pos]
    start, found = np.asarray(data.orbit_start), []
    for i in range(len(data)):
        own = slice(start[i], start[i + 1])
        kinds, index = np.unique(data.orbit_z[own], return_inverse=True)
        counts = np.bincount(index.ravel(), weights=atoms[own]).astype(int)
        found.append(tuple(zip(kinds.tolist(), (counts // np.gcd.reduce(counts)).tolist())))
    return found


def fit(have: Reduced, wanted: Reduced) -> tuple[float, dict[int, int]] | None:
    """What it costs to put elements in the places of others in the same amounts, and the cheapest way; None where amounts differ.

    The cost of a place is the relative difference of covalent radii, and 1 where no oxidation state is shared; 0 for the same
    element.
    """
    if sorted(n for _, n in have) != sorted(n for _, n in wanted):
        return None
    amounts, best = dict(wanted), None
    for order in itertools.permutations(amounts):
        if any(amounts[new] != count for (_, count), new in zip(have, order)):
            continue
        cost = sum(_cost(old, new) for (old, _), new in zip(have, order))
        if best is None or cost < best[0]:
            best = cost, {old: new for (old, _), new in zip(have, order)}
    return best


@cache
def _cost(old: int, new: int) -> float:
    if old == new:
        return 0.0
    return float(abs(COVALENT_RADII[new] / COVALENT_RADII[old] - 1) + (not states(new) & states(old)))


class Parents:
    """Crystals whose elements may be exchanged for those of a formula.

    Args:
        data: the known crystals.
    """

    def __init__(self, data: CrystalDataset):
        self.data = data
        self.compositions = compositions(data)
        self._rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for row, reduced in enumerate(self.compositions):
            self._rows[tuple(sorted(n for _, n in reduced))].append(row)

    @cached_property
    def known(self) -> frozenset[Reduced]:
        """Formulas of the data."""
        return frozenset(self.compositions)

    def alike(self, wanted: Reduced) -> list[int]:
        """Crystals with elements in the same amounts."""
        return self._rows.get(tuple(sorted(n for _, n in wanted)), [])

    def placed(self, row: int, wanted: Reduced) -> AtomicStructure:
        """Crystal ``row`` (of `alike`) with the elements of a formula in the places that fit best."""
        found = fit(self.compositions[row], wanted)
        assert found is not None  # the amounts are equal
        return exchanged(self.data.atoms(row), found[1])

    def best(
        self, wanted: Reduced, num: int, *, rows: Sequence[int] | None = None
    ) -> list[tuple[AtomicStructure, int]]:
        """Predictions for a formula: crystals with its elements and their parents' rows, the cheapest exchange (`fit`) first.

        Crystals of one kind (set of operations and elements' positions) as a cheaper one come after all kinds have come; of equal
        cost, in the order of the data.

        Args:
            wanted: the formula.
            num: how many at most.
            rows: parents that may be used; None for all.
        """
        allowed = None if rows is None else set(rows)
        by_formula: dict[Reduced, tuple[float, dict[int, int]]] = {}
        ranked = []
        for row in self.alike(wanted):
            if allowed is not None and row not in allowed:
                continue
            reduced = self.compositions[row]
            if reduced not in by_formula:
                found = fit(reduced, wanted)
                assert found is not None
                by_formula[reduced] = found
            ranked.append((by_formula[reduced][0], row))
        ranked.sort()
        turn: Counter[tuple] = Counter()
        order = []
        for cost, row in ranked:
            kind = self._kind(row, by_formula[self.compositions[row]][1])
            order.append((turn[kind], cost, row))
            turn[kind] += 1
            if len(turn) >= num:  # every later crystal comes behind these
                break
        order.sort()
        chosen = [row for _, _, row in order[:num]]
        return [
            (exchanged(self.data.atoms(row).primitive(), by_formula[self.compositions[row]][1]), row) for row in chosen
        ]

    def _kind(self, row: int, places: dict[int, int]) -> tuple:
        data = self.data
        own = slice(int(data.orbit_start[row]), int(data.orbit_start[row + 1]))
        orbits = zip((places[int(z)] for z in data.orbit_z[own]), data.orbit_pos[own].tolist())
        return int(data.set_index[row]), tuple(sorted(orbits))
