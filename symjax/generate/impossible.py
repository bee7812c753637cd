"""Requests of which every choice of sites forces more symmetry than was asked for, found before anything is drawn.

With enough orbits on general positions the set of operations is the crystal's whole symmetry, so only a request that fixes the
number of orbits can be impossible in this way: it leaves finitely many choices of positions. Few of them are looked at
(`symjax.generate.symmetry.forced_groups`, milliseconds each); where these are not all, nothing is claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, islice, permutations

import numpy as np

from symjax.data.standardize import standard_set
from symjax.data.structure_types import StructureTypes
from symjax.errors import InputError
from symjax.generate.content import can_be_neutral
from symjax.generate.masks import Masks
from symjax.generate.sites import position_indices
from symjax.generate.symmetry import forced_groups
from symjax.groups.symbols import short_symbol
from symjax.wyckoff.types import positions_of_type

MOST = 100
"""Choices of sites that are looked at."""


def check_possible(masks: Masks) -> None:
    """Refuse a request whose every choice of sites forces another symmetry, where that is soon found.

    Raises:
        InputError: saying what is forced.
    """
    request = masks.request
    if request.neutral and masks.formula is not None and not can_be_neutral(tuple(sorted(masks.formula.items()))):
        raise InputError(f"{request.formula_text} cannot be neutral: its common oxidation states never add up to zero")
    if masks.groups is None or request.orbits is None:
        return
    forced: Counter[int] = Counter()
    for number in np.flatnonzero(masks.groups).tolist():
        for positions, labels in islice(_choices(masks, number), MOST + 1 - forced.total()):
            if forced.total() == MOST:
                return
            types = StructureTypes(
                standard_set(number)[1], np.zeros(1, int), np.array([labels]) + 1, np.array([positions])
            )
            group = int(forced_groups(types)[0])
            if group == 0 or masks.groups[group]:
                return
            forced[group] += 1
    if forced:
        names = ", ".join(f"{short_symbol(group)} (no. {group})" for group, _ in forced.most_common(3))
        total = forced.total()
        choices = "the only choice of sites" if total == 1 else f"each of the {total} choices of sites"
        raise InputError(
            f"{request.describe()}: {choices} forces another symmetry, {names}; ask for another number of orbits, or leave it open"
        )


def _choices(masks: Masks, number: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Positions of the orbits, given ones first, with which of them hold the same element; free coordinates and few atoms first.

    Every choice of elements that the request allows is among them, and some that it does not.
    """
    request, table = masks.request, positions_of_type(number)
    assert request.orbits is not None
    given = position_indices(request.sites, number).tolist()
    free = np.lexsort([table.multiplicity, table.dof == 0]).tolist()
    names = [name for name, _ in request.sites]
    for rest in combinations_with_replacement(free, request.orbits - len(given)):
        positions = (*given, *rest)
        if any(n > 1 and table.dof[p] == 0 for p, n in Counter(positions).items()):
            continue  # holds one orbit
        for labels in _partitions(request.orbits):
            same = all((labels[i] == labels[j]) == (names[i] == names[j]) for i in range(len(names)) for j in range(i))
            if same and _fits(masks.formula, table.multiplicity[list(positions)], labels):
                yield positions, labels


def _partitions(count: int) -> Iterator[tuple[int, ...]]:
    """Labels of orbits, equal for the same element: each way once, most different first."""
    if count == 1:
        yield (0,)
        return
    for head in _partitions(count - 1):
        for label in range(max(head) + 1, -1, -1):
            yield (*head, label)


def _fits(formula: dict[int, int] | None, atoms: np.ndarray, labels: tuple[int, ...]) -> bool:
    """Whether the atoms of the labels are in the formula's proportions in some order."""
    if formula is None:
        return True
    counts = np.bincount(labels, weights=atoms)
    asked = np.array(list(formula.values()), float)
    return len(counts) == len(asked) and any(
        np.ptp(counts / np.array(order)) < 1e-9 for order in permutations(asked.tolist())
    )
