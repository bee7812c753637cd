"""Exact compositions: which numbers of orbits a space group can hold a formula with, and the likeliest way to place it.

A crystal has the formula if the multiplicities of each element's orbits add up to one common multiple of its counts. A position
without free coordinates holds one orbit, one with free coordinates any number. Positions of equal site symmetry (`SiteClasses`)
have equal multiplicities and are one to the model, so all counting is over these classes. Host, exact integers; the best placement
of a sample is a small integer programme, solved to the end. Not in the paper, which asks for no formula.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.groups.tables import standard_setting
from symjax.wyckoff.oriented import position_site_symmetry
from symjax.wyckoff.positions import wyckoff_positions

NO_LIMIT = 10**6
"""Capacity of a class with free coordinates."""


Sizes = tuple[int, ...]
Ways = dict[Sizes, int]
"""Orbits used of each multiplicity with limited room -> numbers of orbits in all, as the bits of an integer."""


class SiteClasses(NamedTuple):
    """Positions of a group by their site symmetry.

    Attributes:
        site: (k, 15) int8 classes by direction.
        multiplicity: (k,) atoms of one orbit.
        capacity: (k,) orbits that have room: the number of positions, or `NO_LIMIT` with free coordinates.
    """

    site: np.ndarray
    multiplicity: np.ndarray
    capacity: np.ndarray


ATOMS = SiteClasses(np.zeros((1, 15), np.int8), np.ones(1, np.int64), np.full(1, NO_LIMIT))
"""Of the unit-cell variant: every node is an atom."""


@cache
def site_classes(number: int) -> SiteClasses:
    """Classes of a space group, in the order of its positions."""
    positions, sites = wyckoff_positions(standard_setting(number)), position_site_symmetry(number)
    _, first, inverse = np.unique(sites, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(first)
    multiplicity, dof = np.asarray(positions.multiplicity, np.int64), np.asarray(positions.dof)
    capacity = np.bincount(inverse)
    capacity[inverse[dof > 0]] = NO_LIMIT
    return SiteClasses(sites[first[order]], multiplicity[first[order]], capacity[order])


def possible_orbits(classes: SiteClasses, counts: tuple[int, ...], *, max_orbits: int, max_atoms: int) -> np.ndarray:
    """(max_orbits + 1,) bool: whether so many orbits can hold some multiple of the counts in at most `max_atoms` atoms."""
    sizes = np.unique(classes.multiplicity)
    room = tuple(int(min(classes.capacity[classes.multiplicity == size].sum(), NO_LIMIT)) for size in sizes)
    return _possible(tuple(sizes.tolist()), room, tuple(sorted(counts)), max_orbits, max_atoms)


@cache
def _possible(sizes: Sizes, room: Sizes, counts: Sizes, max_orbits: int, max_atoms: int) -> np.ndarray:
    bits = (1 << (max_orbits + 1)) - 1
    limits = tuple(left for left in room if left < NO_LIMIT)
    single = _ways_of_one(sizes, room, bits, max_atoms)
    found = 0
    for units in range(1, max_atoms // sum(counts) + 1):
        ways: Ways = {(0,) * len(limits): 1}
        for count in counts:
            ways = _joined(ways, single[units * count], limits, bits)
            if not ways:
                break
        for value in ways.values():
            found |= value
    return np.array([bool(found >> m & 1) for m in range(max_orbits + 1)])


@cache
def _ways_of_one(sizes: Sizes, room: Sizes, bits: int, max_atoms: int) -> list[Ways]:
    """For 0 .. max_atoms atoms of one element."""
    limited = [i for i, left in enumerate(room) if left < NO_LIMIT]
    table: list[Ways] = [{} for _ in range(max_atoms + 1)]
    table[0] = {(0,) * len(limited): 1}
    for i, (size, left) in enumerate(zip(sizes, room, strict=True)):
        if i not in limited:
            for atoms in range(size, max_atoms + 1):
                _merge(table[atoms], {used: value << 1 & bits for used, value in table[atoms - size].items()})
            continue
        slot, before = limited.index(i), [dict(ways) for ways in table]
        for number in range(1, min(left, max_atoms // size) + 1):
            for atoms in range(number * size, max_atoms + 1):
                more = {
                    (*used[:slot], number, *used[slot + 1 :]): value << number & bits
                    for used, value in before[atoms - number * size].items()
                }
                _merge(table[atoms], more)
    return table


def _merge(into: Ways, more: Ways) -> None:
    for used, value in more.items():
        if value:
            into[used] = into.get(used, 0) | value


def _joined(ways: Ways, more: Ways, limits: Sizes, bits: int) -> Ways:
    """Ways of several elements with those of one more."""
    out: Ways = {}
    for used, value in ways.items():
        for other, numbers in more.items():
            total = tuple(a + b for a, b in zip(used, other, strict=True))
            if any(t > limit for t, limit in zip(total, limits, strict=True)):
                continue
            added, shift = 0, 0
            while numbers >> shift:
                if numbers >> shift & 1:
                    added |= value << shift
                shift += 1
            if added & bits:
                out[total] = out.get(total, 0) | (added & bits)
    return out


class Placed(NamedTuple):
    """Placement of one crystal: per orbit (m,) the index of its element and of its class; `lost` against the best of each alone."""

    element: np.ndarray
    site_class: np.ndarray
    lost: float


def place(
    classes: SiteClasses, counts: tuple[int, ...], type_scores: np.ndarray, site_scores: np.ndarray, *, max_atoms: int
) -> Placed:
    """The placement with the largest summed score that has exactly the formula, up to a common factor.

    Args:
        classes: of the space group, k of them.
        counts: of the e elements of the formula, without a common factor.
        type_scores: (m, e) log-probability of each element on each orbit, finite.
        site_scores: (m, k) log-probability of each class on each orbit, finite.
        max_atoms: of the cell.

    Raises:
        InputError: no placement has the formula (see `possible_orbits`).
        SymjaxError: the search was given up.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    (m, e), k = type_scores.shape, len(classes.multiplicity)
    scores = (type_scores[:, :, None] + site_scores[:, None, :]).astype(np.float64)
    orbit, element, kind = (index.ravel() for index in np.indices((m, e, k)))
    most = max_atoms // sum(counts)
    size = classes.multiplicity[kind]
    limited = np.flatnonzero(classes.capacity < NO_LIMIT)
    which = np.full(k, -1)
    which[limited] = np.arange(len(limited))
    # rows: each orbit once, atoms of each element a multiple of its count, room of each limited class; last column: the multiple
    columns = np.arange(m * e * k)
    inside = which[kind] >= 0
    rows = np.concatenate([orbit, m + element, m + e + which[kind][inside], m + np.arange(e)])
    cols = np.concatenate([columns, columns, columns[inside], np.full(e, m * e * k)])
    values = np.concatenate([np.ones(len(orbit)), size, np.ones(int(inside.sum())), -np.asarray(counts, float)])
    matrix = csr_array((values, (rows, cols)), shape=(m + e + len(limited), m * e * k + 1))
    low = np.concatenate([np.ones(m), np.zeros(e), np.zeros(len(limited))])
    high = np.concatenate([np.ones(m), np.zeros(e), classes.capacity[limited]])
    fits = size <= most * np.asarray(counts)[element]
    bounds = Bounds(np.append(np.zeros(m * e * k), 1), np.append(fits.astype(float), most))
    solved = milp(
        np.append(-scores.ravel(), 0.0),
        integrality=np.ones(m * e * k + 1),
        bounds=bounds,
        constraints=LinearConstraint(matrix, low, high),
        options={"mip_rel_gap": 0.0, "node_limit": 100_000},
    )
    if solved.status == 2:
        raise InputError(f"the formula cannot be placed on {m} orbits of this group in at most {max_atoms} atoms")
    if solved.x is None:
        raise SymjaxError(f"the search for a placement of the formula on {m} orbits was given up: {solved.message}")
    chosen = solved.x[:-1].reshape(m, e * k).argmax(axis=1)
    lost = (
        scores.reshape(m, -1).max(axis=1).sum()
        - np.take_along_axis(scores.reshape(m, -1), chosen[:, None], axis=1).sum()
    )
    return Placed(chosen // k, chosen % k, float(lost))
