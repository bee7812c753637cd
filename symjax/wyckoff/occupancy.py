"""Which positions of a group can hold an exact formula: counting, for every model, by dynamic programming.

A crystal has the formula if the multiplicities of each element's orbits add up to one common multiple of its counts. A position
without free coordinates holds one orbit, one with free coordinates any number (`NO_LIMIT`). Where a position with room without
limit has a multiplicity, orbits of that multiplicity never run out; so a state is what was used of each of the few multiplicities
with limited room, and all numbers of orbits that lead there are the bits of one integer. Exact integers, host.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from symjax.wyckoff.set_table import SetTable
from symjax.wyckoff.types import positions_of_type

NO_LIMIT = 10**6
"""Capacity of a position with free coordinates."""
ANY = -1
"""Any positive number of orbits."""

Counts = tuple[int, ...]
Ways = dict[Counts, int]
"""Orbits used of each multiplicity with limited room -> numbers of orbits in all, as the bits of an integer."""
_BOX = 8  # orbits an element looked at first when those drawn do not fit
_BOX_SIZE = 4096


class Need(NamedTuple):
    """What an element still needs: so many orbits (or `ANY`) with so many atoms in all."""

    orbits: int
    atoms: int


class OpenSites(NamedTuple):
    """What may come next: `(e, p)` bool elements of the formula on positions, and whether all may end here."""

    sites: np.ndarray
    end: bool


class FormulaFitter:
    """The positions of one group, or classes of positions alike, as room for orbits.

    Args:
        multiplicity: (p,) atoms of one orbit.
        capacity: (p,) orbits that have room; `NO_LIMIT` with free coordinates.

    Formulas are `counts`, one number an element without a common factor. `max_atoms` limits the cell that positions are given for
    (the conventional one of a standard setting), `max_orbits` the orbits of all elements, and `units` says which multiples of the
    formula the cell may hold (None for all that fit).
    """

    def __init__(self, multiplicity: Iterable[int], capacity: Iterable[int]):
        self.multiplicity, self.capacity = tuple(map(int, multiplicity)), tuple(map(int, capacity))
        self.sizes: Counts = tuple(sorted(set(self.multiplicity)))
        self.room = self.left({})
        self.limited = tuple(i for i, room in enumerate(self.room) if room < NO_LIMIT)

    @staticmethod
    def of(sets: SetTable, index: int) -> FormulaFitter:
        """The fitter of one row of a table; equal rows share one."""
        real = np.asarray(sets.pos_mask[index])
        return FormulaFitter.of_positions(np.asarray(sets.pos_mult[index])[real], np.asarray(sets.pos_dof[index])[real])

    @staticmethod
    def of_type(number: int) -> FormulaFitter:
        """The fitter of a standard setting.

        Raises:
            InputError: no space-group number.
        """
        positions = positions_of_type(number)
        return FormulaFitter.of_positions(positions.multiplicity, positions.dof)

    @staticmethod
    def of_positions(multiplicity: np.ndarray, dof: np.ndarray) -> FormulaFitter:
        """The fitter of positions (p,) with so many atoms an orbit and so many free coordinates; equal ones share one."""
        return _fitter(tuple(multiplicity.tolist()), tuple(np.where(dof > 0, NO_LIMIT, 1).tolist()))

    def left(self, used: dict[int, int], start: int = 0) -> Counts:
        """Orbits that have room on the positions from index `start` on, by multiplicity.

        Args:
            used: position -> orbits on it.
            start: first position that counts.
        """
        room = dict.fromkeys(self.sizes, 0)
        for p in range(start, len(self.multiplicity)):
            free = self.capacity[p] if self.capacity[p] >= NO_LIMIT else self.capacity[p] - used.get(p, 0)
            room[self.multiplicity[p]] = min(room[self.multiplicity[p]] + free, NO_LIMIT)
        return tuple(room.values())

    def fits(self, needs: Sequence[Need], room: Counts | None = None, first: Counts | None = None) -> bool:
        """Whether elements with given numbers of orbits and atoms can be placed together.

        Args:
            needs: one an element.
            room: orbits that have room, by multiplicity (`left`); None for all.
            first: the same as far as it is open to the first element, whose positions come in rising order.
        """
        room = self.room if room is None else room
        rest = tuple(sorted(map(Need._make, needs[1:])))
        return _fits(self.sizes, self.limited, (Need._make(needs[0]), *rest), room, room if first is None else first)

    def has_room(
        self, counts: Counts, *, max_atoms: int, max_orbits: int | None = None, units: Sequence[int] | None = None
    ) -> bool:
        """Whether some multiple of the formula fits, with any numbers of orbits."""
        most = max_atoms if max_orbits is None else max_orbits
        return bool(self.possible_orbits(counts, max_orbits=most, max_atoms=max_atoms, units=units).any())

    def possible_orbits(
        self, counts: Counts, *, max_orbits: int, max_atoms: int, units: Sequence[int] | None = None
    ) -> np.ndarray:
        """(max_orbits + 1,) bool: whether so many orbits in all can hold some multiple of the formula."""
        many = multiples(counts, max_atoms, units)
        found = _numbers(self.sizes, self.limited, self.room, tuple(sorted(counts)), max_orbits, many)
        return np.array([bool(found >> m & 1) for m in range(max_orbits + 1)])

    def choose_orbits(
        self,
        counts: Counts,
        drawn: Counts,
        *,
        max_orbits: int,
        max_atoms: int,
        rng: np.random.Generator,
        units: Sequence[int] | None = None,
    ) -> Counts | None:
        """Orbits per element that hold some multiple of the formula: those drawn if possible, else the nearest.

        Nearest by the sum of differences, ties by chance; at most eight orbits an element where that is possible. None where the
        formula does not fit.
        """
        many = multiples(counts, max_atoms, units)
        if not self.has_room(counts, max_atoms=max_atoms, max_orbits=max_orbits, units=units):
            return None

        def works(orbits: Counts) -> bool:
            return any(self.fits([Need(o, n * c) for o, c in zip(orbits, counts, strict=True)]) for n in many)

        if min(drawn) > 0 and sum(drawn) <= max_orbits and works(drawn):
            return drawn
        target = np.maximum(np.array(drawn), 1)
        near = _box(len(counts), max_orbits)
        if len(near):
            distance = np.abs(near - target).sum(1) + rng.random(len(near))
            can = self._alone(near, counts, max_orbits, many)
            for i in np.argsort(distance):
                if can[i] and works(tuple(near[i].tolist())):
                    return tuple(near[i].tolist())
        return self._nearest(counts, target, max_orbits, many, rng)

    def _alone(self, orbits: np.ndarray, counts: Counts, max_orbits: int, many: Counts) -> np.ndarray:
        """Rows of orbits (n, e) of which each element would fit by itself, with one multiple for all."""
        can = np.zeros(len(orbits), bool)
        for n in many:
            fits = np.ones(len(orbits), bool)
            for column, count in zip(orbits.T, counts, strict=True):
                bits = _all_bits(self._ways(n * count))
                fits &= np.array([bits >> m & 1 for m in range(max_orbits + 1)], bool)[column]
            can |= fits
        return can

    def _ways(self, atoms: int) -> Ways:
        return _ways_of_one(self.sizes, self.limited, self.room, atoms)[atoms]

    def _nearest(
        self, counts: Counts, target: np.ndarray, max_orbits: int, many: Counts, rng: np.random.Generator
    ) -> Counts | None:
        """A nearest vector of numbers of orbits of all that fit, within ever larger distances."""
        within = 1
        while within < 2 * (max_orbits + int(target.sum())):
            found = []
            for n in many:
                ways = [self._ways(n * c) for c in counts]
                limits = tuple(self.room[i] for i in self.limited)
                found += _paths(ways, target.tolist(), limits, max_orbits, within)
            if found:
                least = min(path.distance for path in found)
                best = [path for path in found if path.distance == least]
                weight = np.array([path.ways for path in best], float)
                return _walk_back(best[rng.choice(len(best), p=weight / weight.sum())], rng)
            within *= 2
        return None

    def open_positions(
        self,
        z: np.ndarray,
        pos: np.ndarray,
        formula: dict[int, int],
        *,
        max_atoms: int,
        units: Sequence[int] | None = None,
    ) -> np.ndarray:
        """`(p,)` True for positions of the next slot from which the formula can still be met, in canonical order.

        Args:
            z: (m,) elements of all slots in canonical order, padding 0: equal elements together, their positions rising.
            pos: positions of the slots before.
            formula: atomic number -> count.
            max_atoms: of the cell.
            units: allowed multiples of the formula.
        """
        step = len(pos)
        used, placed = self._placed(z[:step], pos, formula)
        now = int(z[step])
        last = max([int(p) for p, e in zip(pos, z[:step], strict=True) if e == now], default=0)
        orbits = {e: int((z[step:] == e).sum()) for e in dict.fromkeys(z[step:].tolist()) if e}
        result = np.zeros(len(self.multiplicity), bool)
        for n in multiples(tuple(formula.values()), max_atoms, units):
            missing = {e: n * count - placed[e] for e, count in formula.items()}
            if any(missing[e] != 0 for e in formula if e not in orbits) or min(missing.values()) < 0:
                continue
            others = [Need(orbits[e], missing[e]) for e in orbits if e != now]
            for p in range(last, len(self.multiplicity)):
                if result[p] or used.get(p, 0) >= self.capacity[p] or self.multiplicity[p] > missing[now]:
                    continue
                after = used | {p: used.get(p, 0) + 1}
                own = Need(orbits[now] - 1, missing[now] - self.multiplicity[p])
                result[p] = self.fits([own, *others], self.left(after), self.left(after, p))
        return result

    def open_sites(
        self,
        z: np.ndarray,
        pos: np.ndarray,
        formula: dict[int, int],
        *,
        max_atoms: int,
        orbits: tuple[int, int],
        units: Sequence[int] | None = None,
    ) -> OpenSites:
        """Which element may be put on which position next, in any order and with any number of sites to follow.

        Args:
            z: (n,) elements placed so far, each in the formula.
            pos: (n,) their positions.
            formula: atomic number -> count; its order is that of the rows of the result.
            max_atoms: of the cell.
            orbits: least and largest number of sites in all.
            units: allowed multiples of the formula.
        """
        used, placed = self._placed(z, pos, formula)
        low, high = max(orbits[0] - len(pos), 0), orbits[1] - len(pos)
        alike: dict[tuple[int, Counts], list[int]] = {}  # multiplicity and room left -> positions
        for p, size in enumerate(self.multiplicity):
            if used.get(p, 0) < self.capacity[p] and high > 0:
                alike.setdefault((size, self.left(used | {p: used.get(p, 0) + 1})), []).append(p)
        sites, end = np.zeros((len(formula), len(self.multiplicity)), bool), False
        for n in multiples(tuple(formula.values()), max_atoms, units):
            missing = [n * count - placed[e] for e, count in formula.items()]
            if min(missing) < 0:
                continue
            end = end or (low == 0 and not any(missing))
            for ((size, room), where), e in itertools.product(alike.items(), range(len(missing))):
                if not sites[e, where[0]] and missing[e] >= size:
                    then = tuple(sorted((*missing[:e], missing[e] - size, *missing[e + 1 :])))
                    numbers = _joint(self.sizes, self.limited, room, then, high - 1)
                    sites[e, where] = bool(numbers >> max(low - 1, 0))
        return OpenSites(sites, end)

    def _placed(self, z: np.ndarray, pos: np.ndarray, formula: dict[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Orbits on each position, and atoms of each element."""
        used: dict[int, int] = {}
        placed = dict.fromkeys(formula, 0)
        for element, p in zip(np.asarray(z).tolist(), np.asarray(pos).tolist(), strict=True):
            placed[element] += self.multiplicity[p]
            used[p] = used.get(p, 0) + 1
        return used, placed


def multiples(counts: Counts, max_atoms: int, units: Sequence[int] | None = None) -> Counts:
    """Multiples of a formula that fit in `max_atoms` atoms, of those allowed."""
    most = max_atoms // sum(counts)
    return tuple(n for n in (range(1, most + 1) if units is None else sorted(set(units))) if 1 <= n <= most)


@cache
def _fitter(multiplicity: Counts, capacity: Counts) -> FormulaFitter:
    return FormulaFitter(multiplicity, capacity)


@cache
def _box(elements: int, max_orbits: int) -> np.ndarray:
    """(n, elements) numbers of orbits, small ones; none where there are too many."""
    most = min(max_orbits - elements + 1, _BOX)
    if most < 1 or most**elements > _BOX_SIZE:
        return np.zeros((0, elements), np.int64)
    box = np.array(list(itertools.product(range(1, most + 1), repeat=elements)))
    return box[box.sum(axis=1) <= max_orbits]


@lru_cache(maxsize=512)
def _ways_of_one(sizes: Counts, limited: Counts, room: Counts, max_atoms: int) -> list[Ways]:
    """Ways to place 0 .. max_atoms (or more) atoms of one element, multiplicity after multiplicity.

    Args:
        sizes: multiplicities.
        limited: which of them count as used.
        room: orbits that this element may place on each.
        max_atoms: how far.
    """
    rounded = 1 << max(max_atoms - 1, 15).bit_length()
    if rounded != max_atoms:  # few tables
        return _ways_of_one(sizes, limited, room, rounded)
    if not sizes:
        return [{(0,) * len(limited): 1}] + [{} for _ in range(max_atoms)]
    last = len(sizes) - 1
    before = _ways_of_one(sizes[:last], limited, room[:last], max_atoms)
    size, table = sizes[last], [dict(ways) for ways in before]
    if room[last] >= NO_LIMIT:
        for atoms in range(size, max_atoms + 1):
            _merge(table[atoms], {used: value << 1 for used, value in table[atoms - size].items()})
        return table
    slot = limited.index(last) if last in limited else None
    for number in range(1, min(room[last], max_atoms // size) + 1):
        for atoms in range(number * size, max_atoms + 1):
            for used, value in before[atoms - number * size].items():
                now = used if slot is None else (*used[:slot], number, *used[slot + 1 :])
                _merge(table[atoms], {now: value << number})
    return table


def _merge(into: Ways, more: Ways) -> None:
    for used, value in more.items():
        into[used] = into.get(used, 0) | value


def _all_bits(ways: Ways) -> int:
    found = 0
    for value in ways.values():
        found |= value
    return found


def _joined(ways: Ways, more: Ways, limits: Counts, bits: int) -> Ways:
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


@lru_cache(maxsize=1 << 16)
def _joint(sizes: Counts, limited: Counts, room: Counts, atoms: Counts, max_orbits: int) -> int:
    """Numbers of orbits, as bits, with which elements of so many atoms each can be placed together."""
    bits, limits = (1 << (max_orbits + 1)) - 1, tuple(room[i] for i in limited)
    ways: Ways = {(0,) * len(limited): 1}
    for amount in atoms:
        ways = _joined(ways, _ways_of_one(sizes, limited, room, amount)[amount], limits, bits)
    return _all_bits(ways)


@cache
def _numbers(sizes: Counts, limited: Counts, room: Counts, counts: Counts, max_orbits: int, many: Counts) -> int:
    """The same for any of the multiples of a formula."""
    found = 0
    for n in many:
        found |= _joint(sizes, limited, room, tuple(n * count for count in counts), max_orbits)
    return found


@lru_cache(maxsize=1 << 16)
def _fits(sizes: Counts, limited: Counts, needs: tuple[Need, ...], room: Counts, first: Counts) -> bool:
    """Whether elements with given numbers of orbits fit; the first one in its own room."""
    limits = tuple(room[i] for i in limited)
    states = {(0,) * len(limited)}
    for i, (orbits, atoms) in enumerate(needs):
        if orbits > atoms or atoms < 0:
            return False
        ways = _ways_of_one(sizes, limited, first if i == 0 else room, atoms)[atoms]
        own = [used for used, value in ways.items() if orbits == ANY or value >> orbits & 1]
        totals = {tuple(map(sum, zip(state, used, strict=True))) for state in states for used in own}
        states = {total for total in totals if all(n <= most for n, most in zip(total, limits, strict=True))}
        if not states:
            return False
    return True


class _Path(NamedTuple):
    """Ways to numbers of orbits so far: how far from the wish, how many, and the last steps (orbits, path before)."""

    distance: int
    ways: int
    steps: tuple[tuple[int, _Path], ...]


def _paths(ways: list[Ways], target: list[int], limits: Counts, max_orbits: int, within: int) -> list[_Path]:
    """Shortest paths of all elements, by what they used; of distance `within` at most."""
    layer: dict[tuple[Counts, int], _Path] = {((0,) * len(limits), 0): _Path(0, 1, ())}
    for of_one, wish in zip(ways, target, strict=True):
        following: dict[tuple[Counts, int], _Path] = {}
        for (used, total), path in layer.items():
            reach = within - path.distance
            for other, numbers in of_one.items():
                now = tuple(a + b for a, b in zip(used, other, strict=True))
                if any(n > limit for n, limit in zip(now, limits, strict=True)):
                    continue
                for orbits in range(max(1, wish - reach), min(wish + reach, max_orbits - total) + 1):
                    if not numbers >> orbits & 1:
                        continue
                    far, key = path.distance + abs(orbits - wish), (now, total + orbits)
                    known = following.get(key)
                    if known is None or far < known.distance:
                        following[key] = _Path(far, path.ways, ((orbits, path),))
                    elif far == known.distance:
                        following[key] = _Path(far, known.ways + path.ways, (*known.steps, (orbits, path)))
        layer = following
    return list(layer.values())


def _walk_back(path: _Path, rng: np.random.Generator) -> Counts:
    """Numbers of orbits of one of the ways of a path, evenly."""
    orbits: list[int] = []
    while path.steps:
        weight = np.array([before.ways for _, before in path.steps], float)
        number, path = path.steps[rng.choice(len(path.steps), p=weight / weight.sum())]
        orbits.append(number)
    return tuple(reversed(orbits))
