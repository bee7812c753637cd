"""Which positions of a set can hold an exact formula: counting on multiplicities.

A position without freedom holds one orbit, one with freedom any number. For the question whether elements with given
numbers of orbits and atoms fit together, only how many such positions there are of each multiplicity matters.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from symjax.wyckoff.set_table import SetTable

Counts = tuple[int, ...]
Needs = tuple[tuple[int, int], ...]
Open = tuple[Counts, tuple[bool, ...]]
ANY = -1  # any positive number of orbits
_TRIES = 400  # combinations of orbit numbers looked at before a group is given up


class FormulaFitter:
    """Positions of one set, summed up by multiplicity.

    Args:
      mult, dof: (p,) multiplicity and freedom of each position, in the set's own order.
    """

    def __init__(self, mult: Counts, dof: Counts):
        self.mult, self.dof = mult, dof
        self.sizes: Counts = tuple(sorted(set(mult)))
        self.free = tuple(any(d > 0 for m, d in zip(mult, dof, strict=True) if m == size) for size in self.sizes)
        self._fits = cache(self._search)

    @staticmethod
    def of(sets: SetTable, index: int) -> FormulaFitter:
        """The fitter of one row of a table; equal rows share one."""
        real = np.asarray(sets.pos_mask[index])
        return _fitter(
            tuple(np.asarray(sets.pos_mult[index])[real].tolist()),
            tuple(np.asarray(sets.pos_dof[index])[real].tolist()),
        )

    def single(self, taken: set[int], start: int = 0) -> Counts:
        """Positions without freedom left of each multiplicity, from index `start` on."""
        left = [self.mult[p] for p in range(start, len(self.mult)) if self.dof[p] == 0 and p not in taken]
        return tuple(left.count(size) for size in self.sizes)

    def fits(self, needs: Needs, single: Counts, first: Open | None = None) -> bool:
        """Whether elements with (orbits, atoms) each can be placed together.

        Args:
          needs: per element; orbits may be `ANY`.
          single: positions without freedom left of each multiplicity.
          first: the same count and the multiplicities with freedom, as far as they are open to the first element
            (whose positions come in rising order).
        """
        return self._fits(needs, single, first, 0)

    def _search(self, needs: Needs, single: Counts, first: Open | None, group: int) -> bool:
        if not needs:
            return True
        (orbits, atoms), rest = needs[0], needs[1:]
        if orbits == 0 or (orbits == ANY and atoms == 0):
            return atoms == 0 and self._fits(rest, single, None, 0)
        if group == len(self.sizes) or atoms < self.sizes[group] * max(orbits, 1):
            return False
        size = self.sizes[group]
        open_single, open_free = (single, self.free) if first is None else first
        most = atoms // size if orbits == ANY else min(orbits, atoms // size)
        if not open_free[group]:
            most = min(most, open_single[group], single[group])
        for count in range(most, -1, -1):
            left = single
            if count and not self.free[group]:  # one with freedom of the same multiplicity never runs out
                left = (*single[:group], single[group] - count, *single[group + 1 :])
            fewer = ANY if orbits == ANY else orbits - count
            if self._fits(((fewer, atoms - count * size), *rest), left, first, group + 1):
                return True
        return False

    def has_room(self, counts: Counts, *, max_atoms: int) -> bool:
        """Whether some multiple of the formula fits, with any numbers of orbits."""
        single = self.single(set())
        units = range(1, max_atoms // sum(counts) + 1)
        return any(self.fits(tuple((ANY, n * c) for c in counts), single) for n in units)

    def choose_orbits(
        self, counts: Counts, drawn: Counts, *, max_orbits: int, max_atoms: int, rng: np.random.Generator
    ) -> Counts | None:
        """Orbits per element that fit some multiple of the formula: those drawn if possible, else ones near by chance."""
        single = self.single(set())
        units = list(range(1, max_atoms // sum(counts) + 1))
        if not self.has_room(counts, max_atoms=max_atoms):
            return None

        def works(orbits: Counts) -> bool:
            return any(self.fits(tuple((o, n * c) for o, c in zip(orbits, counts, strict=True)), single) for n in units)

        if min(drawn) > 0 and sum(drawn) <= max_orbits and works(drawn):
            return drawn
        limit = max_orbits - len(counts) + 1
        near = list(itertools.islice(itertools.product(range(1, min(limit, 8) + 1), repeat=len(counts)), 20_000))
        near = [orbits for orbits in near if sum(orbits) <= max_orbits]
        distance = np.abs(np.array(near) - np.maximum(np.array(drawn), 1)).sum(1) + rng.random(len(near))
        for i in np.argsort(distance)[:_TRIES]:
            if works(near[i]):
                return near[i]
        return None

    def open_positions(self, z: np.ndarray, pos: np.ndarray, formula: dict[int, int], *, max_atoms: int) -> np.ndarray:
        """`(p,)` True for positions of the next slot from which the formula can still be met.

        Args:
          z: (m,) elements of all slots in canonical order, padding 0.
          pos: positions of the slots before.
        """
        step, placed = len(pos), dict.fromkeys(formula, 0)
        for element, p in zip(z[:step].tolist(), pos.tolist(), strict=True):
            placed[element] += self.mult[p]
        now = int(z[step])
        taken = {int(p) for p in pos if self.dof[int(p)] == 0}
        last = max([int(p) for p, e in zip(pos, z[:step], strict=True) if e == now], default=0)
        order = list(dict.fromkeys(e for e in z[step:].tolist() if e))
        left = {e: int((z[step:] == e).sum()) for e in order}
        result = np.zeros(len(self.mult), bool)
        for units in range(1, max_atoms // sum(formula.values()) + 1):
            missing = {e: units * count - placed[e] for e, count in formula.items()}
            if any(missing[e] != 0 for e in formula if e not in left) or min(missing.values()) < 0:
                continue
            for p in range(last, len(self.mult)):
                if result[p] or p in taken or self.mult[p] > missing[now]:
                    continue
                after = taken | ({p} if self.dof[p] == 0 else set())
                open_free = tuple(
                    any(self.dof[q] > 0 and self.mult[q] == size for q in range(p, len(self.mult)))
                    for size in self.sizes
                )
                needs = ((left[now] - 1, missing[now] - self.mult[p]), *((left[e], missing[e]) for e in order[1:]))
                result[p] = self.fits(needs, self.single(after), (self.single(after, p), open_free))
        return result


@cache
def _fitter(mult: Counts, dof: Counts) -> FormulaFitter:
    return FormulaFitter(mult, dof)
