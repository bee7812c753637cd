"""What a request means for symop's discrete stages: bounds of the walk, masks on species and sites.

Demands on operations become a list of classes of closed sets, those of the types whose operations meet them: a walk only
takes steps from which one of them can be reached, and stops only at one. An exact formula becomes a mask on the sites: only
positions from which the remaining orbits can still reach it. Given orbits are counted among the species and placed when
their turn comes. Nothing is drawn first and thrown away afterwards, except compositions for which a drawn group has no
room.
"""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import numpy as np

from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS
from symjax.errors import InputError
from symjax.generate.content import units_asked
from symjax.generate.masks import masks_of, setting_members, vocabulary_indices
from symjax.generate.request import Request
from symjax.generate.sites import position_indices
from symjax.groups.tables import NUM_TYPES, enantiomorph, standard_setting, vocabulary
from symjax.models.symop.species import element_rank
from symjax.models.symop.walk.states import states
from symjax.wyckoff.occupancy import FormulaFitter, Need, multiples
from symjax.wyckoff.set_table import SetTable

_SPLITS = 5000  # ways to split a number of orbits among the elements that are looked at


@dataclasses.dataclass(frozen=True)
class Demands:
    """A request for the discrete stages.

    Attributes:
        text: the request in words.
        allowed: (NUM_ELEMENTS,) bool elements that may occur.
        needed: (NUM_ELEMENTS,) int orbits of each element that there must be at least.
        formula: atomic number -> count, or None.
        start: class of sets that a walk starts from, and targets: (c,) bool classes it may end at
        (`symjax.models.symop.walk.states`). numbers: (231,) bool types that may come out: of an enantiomorphic pair, whose sets
        are one class, perhaps one alone. given: atomic number -> rising positions of given orbits. min_orbits, max_orbits,
        max_atoms: limits of a crystal. atoms, units: of the primitive and of the conventional cell, where they were asked for.
    """

    text: str
    allowed: np.ndarray
    needed: np.ndarray
    formula: dict[int, int] | None
    start: int
    targets: np.ndarray
    numbers: np.ndarray
    given: dict[int, tuple[int, ...]]
    min_orbits: int
    max_orbits: int
    max_atoms: int
    atoms: int | None = None
    units: int | None = None
    known: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(NUM_ELEMENTS, bool))

    def adjust_species(self, z: np.ndarray, sets: SetTable, set_index: np.ndarray, *, seed: int) -> np.ndarray:
        """Elements of the orbits, changed where the formula needs other numbers of orbits in the set drawn.

        Rows for which the set has no room become all zero. Without a formula the elements stay as drawn.
        """
        z = np.array(z)
        if self.formula is None:
            return z
        rng = np.random.default_rng(seed)
        elements = sorted(self.formula, key=lambda e: element_rank()[e])
        counts = tuple(self.formula[e] for e in elements)
        for row, index in enumerate(set_index):
            drawn = tuple(int((z[row] == e).sum()) for e in elements)
            fitter = FormulaFitter.of(sets, int(index))
            most = min(self.max_orbits, z.shape[1])
            z[row] = 0
            if self.min_orbits > 1:
                orbits = self._exactly(fitter, counts, drawn, rng, self._units(sets, int(index)))
            else:
                units = self._units(sets, int(index))
                orbits = fitter.choose_orbits(
                    counts, drawn, max_orbits=most, max_atoms=self.max_atoms, rng=rng, units=units
                )
            if orbits is not None:
                filled = np.repeat(elements, orbits)
                z[row, : len(filled)] = filled
        return z

    def _exactly(
        self,
        fitter: FormulaFitter,
        counts: tuple[int, ...],
        drawn: tuple[int, ...],
        rng: np.random.Generator,
        allowed: tuple[int, ...] | None,
    ) -> tuple[int, ...] | None:
        """Orbits per element that hold the formula and add up to the number asked for: the nearest to those drawn."""
        cuts = itertools.combinations(range(1, self.min_orbits), len(counts) - 1)
        splits = [np.diff([0, *cut, self.min_orbits]) for cut in itertools.islice(cuts, _SPLITS)]
        distance = [np.abs(split - np.array(drawn)).sum() + rng.random() for split in splits]
        for i in np.argsort(distance):
            for units in multiples(counts, self.max_atoms, allowed):
                if fitter.fits([Need(int(o), units * c) for o, c in zip(splits[i], counts, strict=True)]):
                    return tuple(splits[i].tolist())
        return None

    def _units(self, sets: SetTable, index: int) -> tuple[int, ...] | None:
        """Multiples of the formula that the conventional cell of a set may hold."""
        assert self.formula is not None
        if self.atoms is None and self.units is None:
            return None
        return units_asked(self.atoms, self.units, tuple(self.formula.values()), int(sets.num_centrings[index]))

    def site_mask(
        self, sets: SetTable, set_index: np.ndarray, *, z: np.ndarray, pos: np.ndarray, step: int
    ) -> np.ndarray:
        """`(b, p)` True for positions of slot `step` from which formula and given orbits can still be met."""
        result = np.array(np.asarray(sets.pos_mask)[set_index])  # a complete row's mask is not read
        seen: dict[tuple, np.ndarray] = {}
        for row, index in enumerate(set_index):
            if step >= int((z[row] > 0).sum()):
                continue
            key = (int(index), z[row].tobytes(), pos[row, :step].tobytes())
            if key not in seen:
                seen[key] = self._open(sets, int(index), z[row], pos[row, :step])
            result[row, : len(seen[key])] &= seen[key]
        return result

    def _open(self, sets: SetTable, index: int, z: np.ndarray, pos: np.ndarray) -> np.ndarray:
        """`(p,)` of one crystal."""
        ok = np.ones(int(np.asarray(sets.pos_mask[index]).sum()), bool)
        if self.formula is not None:
            fitter = FormulaFitter.of(sets, index)
            units = self._units(sets, index)
            ok &= fitter.open_positions(z, pos, self.formula, max_atoms=self.max_atoms, units=units)
        element, step = int(z[len(pos)]), len(pos)
        waiting = list(self.given.get(element, ()))
        for one, position in zip(z[:step].tolist(), pos.tolist(), strict=True):
            if one == element and position in waiting:
                waiting.remove(position)
        if waiting:
            # positions of an element come in rising order: none may step over a given one, and the last slots are theirs
            ok[waiting[0] + 1 :] = False
            if int((z[step:] == element).sum()) <= len(waiting):
                ok[: waiting[0]] = False
        return ok

    def hand(self, numbers: np.ndarray, *, seed: int) -> np.ndarray:
        """(b,) types of the sets drawn: of an enantiomorphic pair one that is allowed, both with equal chance."""
        rng = np.random.default_rng(seed)
        other = np.array([enantiomorph(int(n)) for n in numbers])
        swap = rng.random(len(numbers)) < 0.5
        swap = np.where(self.numbers[numbers], swap & self.numbers[other], True)
        return np.where(swap, other, numbers)

    @property
    def masks_sites(self) -> bool:
        """Whether `site_mask` says anything."""
        return self.formula is not None or bool(self.given)


def demands_of(request: Request, *, max_orbits: int, max_atoms: int) -> Demands:
    """Compile a request.

    Raises:
        InputError: what is asked for contradicts itself, or no set has room for it.
    """
    masks = masks_of(request)
    if masks.formula is not None and sum(masks.formula.values()) > max_atoms:
        raise InputError(f"the formula has {sum(masks.formula.values())} atoms; a cell holds at most {max_atoms}")
    if (count := int(masks.required.sum())) > max_orbits:
        raise InputError(f"{count} elements need as many orbits; a crystal holds at most {max_orbits}")
    if request.orbits is not None and request.orbits > max_orbits:
        raise InputError(f"a crystal of these weights has 1 to {max_orbits} orbits, got {request.orbits}")
    table, allowed = states(), np.ones(NUM_TYPES + 1, bool)
    if masks.groups is not None or masks.formula is not None:
        numbers = np.flatnonzero(masks.groups) if masks.groups is not None else np.arange(1, NUM_TYPES + 1)
        if masks.formula is not None:
            counts = tuple(sorted(masks.formula.values()))
            limits, size = (max_atoms, max_orbits, request.orbits), (request.atoms, request.units)
            numbers = np.array([n for n in numbers if _has_room(int(n), counts, limits, size)])
            if not len(numbers):
                raise InputError(
                    f"no group that meets ({masks.text}) has positions for the formula in a conventional cell of at most "
                    f"{max_atoms} atoms and {max_orbits} orbits; ask for another formula or group"
                )
        allowed = np.isin(np.arange(NUM_TYPES + 1), numbers)
    start, targets = 0, table.of_types(np.flatnonzero(allowed[1:]) + 1)
    if request.above is not None or request.below is not None:
        # bounds are given in the axes of a standard setting, and what is drawn is that setting
        own = [table.of(setting_members(int(n))) for n in np.flatnonzero(allowed[1:]) + 1]
        targets = np.isin(np.arange(len(table)), own)
    if request.above is not None:
        given = np.zeros(vocabulary().size, bool)
        given[vocabulary_indices(request.above, "above")] = True
        start = table.of(given)
        assert start >= 0  # it lies inside the standard setting of a type that is allowed
    sites, needed = _given_sites(request), masks.required.astype(int)
    for element, positions in sites.items():
        needed[element] = max(needed[element], len(positions))
    return Demands(
        text=masks.text,
        allowed=masks.allowed,
        needed=needed,
        formula=masks.formula,
        start=start,
        targets=targets,
        numbers=allowed,
        given=sites,
        min_orbits=request.orbits or 1,
        max_orbits=min(max_orbits, request.orbits or max_orbits),
        max_atoms=max_atoms,
        atoms=request.atoms,
        units=request.units,
    )


def _given_sites(request: Request) -> dict[int, tuple[int, ...]]:
    """Atomic number -> rising positions of the given orbits."""
    if not request.sites:
        return {}
    positions = position_indices(request.sites, request.groups[0])
    given: dict[int, list[int]] = {}
    for (symbol, _), position in zip(request.sites, positions, strict=True):
        given.setdefault(ATOMIC_NUMBERS[symbol], []).append(position)
    assert all(0 < z < NUM_ELEMENTS for z in given)
    return {z: tuple(sorted(found)) for z, found in given.items()}


@cache
def _has_room(
    number: int, counts: tuple[int, ...], limits: tuple[int, int, int | None], size: tuple[int | None, int | None]
) -> bool:
    """Whether a standard setting has room for a formula: limits are atoms, orbits and the number of orbits asked for."""
    max_atoms, max_orbits, orbits = limits
    centrings = int((standard_setting(number).W == np.eye(3, dtype=int)).all((-2, -1)).sum())
    possible = FormulaFitter.of_type(number).possible_orbits(
        counts, max_orbits=max_orbits, max_atoms=max_atoms, units=units_asked(*size, counts, centrings)
    )
    return bool(possible.any() if orbits is None else possible[orbits])
