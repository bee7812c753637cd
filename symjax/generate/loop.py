"""From a request to crystals, the same for every system: draw, realise, draw again what came to nothing, count.

    from symjax.systems import generate
    crystals = generate("symop", 16, seed=0).dataset

`symjax.systems.generate` finds the system by its name and its weights; `generate` here takes them as they are.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, dataset_from_types, shortest_distances
from symjax.errors import InputError, SymjaxError
from symjax.generate.content import neutral, of_size
from symjax.generate.impossible import check_possible
from symjax.generate.masks import Masks, masks_of
from symjax.generate.representations import representations
from symjax.generate.request import Request, in_words
from symjax.generate.symmetry import NEAR, forced_groups, near_groups
from symjax.generate.system import Draws, Realised, Realiser, Settings, System
from symjax.groups.symbols import short_symbol
from symjax.wyckoff.set_table import concatenate

ROUNDS = 8
"""Times a crystal is drawn at most."""
ROUNDS_FOR_SYMMETRY = 32
"""The same where a symmetry is asked for, draws of another one included: many choices of sites force more than was asked for."""
FORCED = "the chosen sites force a symmetry that was not asked for"
CHARGED = "charges in common oxidation states do not add up to zero"
SIZED = "another number of atoms or formula units"
NEARLY = f"within {NEAR} angstrom of a symmetry that was not asked for"
TOO_CLOSE = "atoms closer than {:g} angstrom"


@dataclasses.dataclass(frozen=True)
class Redraw:
    """When crystals are drawn again, beside those whose symmetry is not the one asked for.

    Attributes:
        min_ratio: while two atoms sit closer than this share of the sum of their covalent radii; the best draw is kept. Of systems
            that draw coordinates; a realiser has its own rule. 0 keeps every first draw (raw rates).
        max_draws: so many draws at most for that reason.
        min_distance: a draw with two atoms closer than this (angstrom) is no crystal. 0 keeps it (raw rates).
    """

    min_ratio: float = 0.0
    max_draws: int = 4
    min_distance: float = 0.0


@dataclasses.dataclass(frozen=True)
class Generated:
    """What was generated.

    Attributes:
        types: the structure types, `b` rows.
        dataset: the crystals as a data set of the package, with the properties of system and realiser, `draws` (how often each was
            drawn) and `min_ratio` (smallest distance over the sum of covalent radii); None without lattice and coordinates.
        attempts: draws in all.
        failed: reason -> draws that gave nothing.
        unrealised: (representation, reason) of structure types that were drawn and got no lattice and coordinates.
        missing: crystals that were asked for and failed every time.
        history: sets of operations that each crystal went through, where they were kept (see `symjax.generate.system.Draws`).
        rows: (b,) which of the crystals asked for they are, counted from 0.
    """

    types: StructureTypes
    dataset: CrystalDataset | None
    attempts: int
    failed: dict[str, int]
    unrealised: list[tuple[dict[str, Any], str]]
    missing: int
    history: np.ndarray | None = None
    rows: np.ndarray | None = None


def check_request(system: System, request: Request, settings: Settings, realise: Realiser | None) -> None:
    """Refuse what has no meaning for a system.

    Raises:
        InputError: saying what and why.
    """
    steps = settings.steps if system.draws_coordinates and realise is None else None  # else they are the realiser's
    for name, why in system.without_meaning.items():
        if (steps if name == "steps" else getattr(request, name, None)) not in (None, ()):
            raise InputError(f"{in_words(name)} cannot be asked of {system.name}: {why}")
    known = {option.name for option in system.options}
    if foreign := sorted(set(settings.options) - known):
        raise InputError(f"{system.name} has no option {foreign[0]}; it has {', '.join(sorted(known)) or 'none'}")
    if realise is not None and "realise" in system.without_meaning:
        raise InputError(f"a realiser cannot be given to {system.name}: {system.without_meaning['realise']}")


def generate(
    system: System,
    weights: Any,
    num: int,
    *,
    request: Request | None = None,
    settings: Settings | None = None,
    realise: Realiser | None = None,
    redraw: Redraw | None = None,
) -> Generated:
    """Generate crystals, or their structure types where nothing gives coordinates.

    Args:
        system: see `symjax.systems`.
        weights: from `system.load`.
        num: how many, at least 1.
        request: what is asked for; None for nothing.
        settings: how to draw.
        realise: gives lattices and coordinates to structure types, for systems that draw none; those of a system that draws them
            are replaced (and its properties, which tell of them, left out).
        redraw: when to draw again.

    Raises:
        InputError: `num` is not positive, or the request has no meaning or cannot be met.
        SymjaxError: nothing at all came out.
    """
    if num < 1:
        raise InputError(f"number of crystals must be at least 1, got {num}")
    request, settings, redraw = request or Request(), settings or Settings(), redraw or Redraw()
    check_request(system, request, settings, realise)
    masks = masks_of(request)
    sieve = _Sieve(masks, redraw.min_distance)
    settings = dataclasses.replace(settings, accept=sieve.accept if sieve.asks else None)
    sampler = system.sampler(weights, request, num, settings)
    check_possible(masks)
    kept = _Kept(num)
    for attempt in range(ROUNDS_FOR_SYMMETRY if sieve.asks else ROUNDS):
        rows = kept.open_rows(redraw.min_ratio if attempt < redraw.max_draws else 0.0)
        if not len(rows):
            break
        drawn = sieve.types(sampler.draw(rows, attempt))
        kept.count(rows, drawn, sieve.reason)
        good = np.flatnonzero([not reason for reason in drawn.reason])
        if len(good):
            part = _take(drawn, good)
            if realise is not None:
                if part.k is not None:
                    part = part._replace(k=None, x=None, ratio=None, properties={})
                found = realise(part.types, sampler.realise_key(attempt))
                part, good = kept.realised(rows, part, found, good)
            part = sieve.crystals(part)
            kept.fail(rows[good], part)
            last = np.flatnonzero([not reason for reason in part.reason])
            kept.take(rows[good[last]], _take(part, last))
        if drawn.final:
            break
    if not kept.done.any():
        raise SymjaxError(
            f"none of {num} crystals succeeded in {int(kept.draws.max(initial=0))} draws ({kept.failures()}): {kept.why(sieve)}"
        )
    return kept.generated(system.name, settings.seed)


class _Sieve:
    """Gives draws the reason why they are not what was asked for, where their atoms say so.

    Args:
        masks: what was asked for: types of symmetry, and the content of the cell.
        min_distance: atoms closer than this (angstrom) are no crystal.
    """

    def __init__(self, masks: Masks, min_distance: float):
        self.groups, self.min_distance, self.formula = masks.groups, min_distance, masks.formula
        request = masks.request
        self.neutral, self.atoms, self.units = bool(request.neutral), request.atoms, request.units
        self.known: dict[tuple, int] = {}

    @property
    def asks(self) -> bool:
        """Whether structure types can be refused."""
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """What may be wrong with structure types that a sampler left out (`Draws.refused`)."""
        sized = self.atoms is not None or self.units is not None
        asked = {FORCED: self.groups is not None, CHARGED: self.neutral, SIZED: sized}
        return " or ".join(text for text, given in asked.items() if given)

    def content(self, types: StructureTypes) -> dict[str, np.ndarray]:
        """(n,) bool for each demand on the content of the cell, by what is wrong where it is not met."""
        found = {}
        if self.neutral:
            found[CHARGED] = neutral(types)
        if self.atoms is not None or self.units is not None:
            found[SIZED] = of_size(types, atoms=self.atoms, units=self.units, formula=self.formula)
        return found

    def types(self, drawn: Draws) -> Draws:
        """Structure types with other contents than were asked for, or whose sites force another symmetry."""
        good = [i for i, reason in enumerate(drawn.reason) if not reason]
        if good:
            for why, met in self.content(drawn.types.take(np.array(good))).items():
                drawn = _refused(drawn, good, ~met, why)
            good = [i for i, reason in enumerate(drawn.reason) if not reason]
        # where the group is only a condition of the weights, crystals need not have it
        if self.groups is None or "requested_group" in drawn.properties or not good:
            return drawn
        forced = forced_groups(drawn.types.take(np.array(good)), self.known)
        return _refused(drawn, good, ~self.groups[forced], FORCED)

    def words(self) -> str:
        """Symmetries that were forced and not asked for, the most frequent first."""
        assert self.groups is not None
        counts = Counter(group for group in self.known.values() if not self.groups[group]).most_common(3)
        return "the symmetry of " + " or ".join(f"{short_symbol(group)} (no. {group})" for group, _ in counts if group)

    def accept(self, types: StructureTypes) -> np.ndarray:
        """(n,) bool structure types with the content, and whose sites leave the symmetry, that was asked for."""
        good = np.ones(len(types.z), bool)
        for met in self.content(types).values():
            good &= met
        if self.groups is not None and good.any():
            where = np.flatnonzero(good)
            good[where] = self.groups[forced_groups(types.take(where), self.known)]
        return good

    def crystals(self, drawn: Draws) -> Draws:
        """Crystals with atoms on top of each other, or too near to another symmetry."""
        if drawn.k is None or drawn.x is None or not len(drawn.reason):
            return drawn
        rows = list(range(len(drawn.reason)))
        if self.min_distance > 0:
            shortest = shortest_distances(drawn.types, drawn.k, drawn.x)
            drawn = _refused(drawn, rows, shortest < self.min_distance, TOO_CLOSE.format(self.min_distance))
        good = [i for i, reason in enumerate(drawn.reason) if not reason]
        if self.groups is None or "requested_group" in drawn.properties or not good:
            return drawn
        assert drawn.k is not None and drawn.x is not None
        found = near_groups(drawn.types, drawn.k, drawn.x, good)
        return _refused(drawn, good, ~self.groups[found], NEARLY)


def _refused(drawn: Draws, rows: list[int], wrong: np.ndarray, why: str) -> Draws:
    """Draws of which some rows are nothing, for a reason."""
    reason = list(drawn.reason)
    for i in np.flatnonzero(wrong):
        reason[rows[i]] = why
    return drawn._replace(reason=reason)


def _take(drawn: Draws, rows: np.ndarray) -> Draws:
    """Some rows of draws."""
    part = lambda values: None if values is None else values[rows]
    properties = {name: values[rows] for name, values in drawn.properties.items()}
    reason = [drawn.reason[i] for i in rows]
    whole = Draws(drawn.types.take(rows), reason, part(drawn.k), part(drawn.x), part(drawn.ratio), properties)
    return whole._replace(history=part(drawn.history))


class _Kept:
    """The best draw of each crystal, and the counts of what gave nothing."""

    def __init__(self, num: int):
        self.done = np.zeros(num, bool)
        self.ratio = np.full(num, -1.0)  # of the kept draw; infinite where closeness is not this loop's business
        self.draws = np.zeros(num)
        self.source = np.zeros((num, 2), int)  # which of `parts`, and which row of it
        self.parts: list[Draws] = []
        self.failures_of = np.zeros(num, int)  # draws of each crystal that failed for another reason than symmetry
        self.failed: Counter[str] = Counter()
        self.refused = 0
        self.unrealised: list[tuple[dict[str, Any], str]] = []

    def open_rows(self, min_ratio: float) -> np.ndarray:
        """Crystals to draw (again)."""
        return np.flatnonzero((~self.done | (self.ratio < min_ratio)) & (self.failures_of < ROUNDS))

    def count(self, rows: np.ndarray, drawn: Draws, reason: str) -> None:
        """Count draws and those that gave nothing, also those that the sampler left out for a reason."""
        self.draws[rows] += 1
        self.fail(rows, drawn)
        if drawn.refused:
            self.failed[reason] += drawn.refused
            self.refused += drawn.refused

    def fail(self, rows: np.ndarray, drawn: Draws) -> None:
        """Count the draws of some rows that are nothing."""
        self.failed.update(reason for reason in drawn.reason if reason)
        others = np.array(
            [bool(reason) and reason not in (FORCED, NEARLY, CHARGED, SIZED) for reason in drawn.reason], bool
        )
        self.failures_of[rows[others]] += 1

    def realised(self, rows: np.ndarray, part: Draws, found: Realised, good: np.ndarray) -> tuple[Draws, np.ndarray]:
        """Of draws `good` of `rows`: those with the lattice and coordinates that a realiser found, and which these are."""
        lost = np.array([bool(reason) for reason in found.reason])
        where = np.flatnonzero(lost)
        self.failures_of[rows[good[where]]] += 1
        if len(where):
            named = representations(part.types.take(where))
            self.unrealised += [(one, found.reason[i]) for one, i in zip(named, where, strict=True)]
        kept = np.flatnonzero(~lost)
        properties = {name: values[kept] for name, values in (part.properties | found.properties).items()}
        whole = Draws(part.types.take(kept), [""] * len(kept), found.k[kept], found.x[kept], None, properties)
        return whole._replace(history=None if part.history is None else part.history[kept]), good[kept]

    def take(self, rows: np.ndarray, part: Draws) -> None:
        """Keep draws (one a row) that are better than what there was."""
        ratio = np.full(len(rows), np.inf) if part.ratio is None else part.ratio
        better = np.flatnonzero(ratio > self.ratio[rows])
        self.done[rows] = True
        self.ratio[rows[better]] = ratio[better]
        self.source[rows[better]] = np.stack([np.full(len(better), len(self.parts)), better], axis=1)
        self.parts.append(part)

    def why(self, sieve: _Sieve) -> str:
        """What may be behind it that no draw succeeded."""
        if set(self.failed) == {FORCED} and not self.unrealised:
            drawn = f"all {self.failed[FORCED]} choices of sites that were drawn"
            return f"{drawn} have {sieve.words()}; it may be that every choice has"
        return "the weights may be trained too little, or what is asked for is rare"

    def failures(self) -> str:
        """Reasons and how often each was met."""
        counts = self.failed + Counter(reason for _, reason in self.unrealised)
        return ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())

    def generated(self, name: str, seed: int) -> Generated:
        """Everything that succeeded, in the order of the rows."""
        rows = np.flatnonzero(self.done)
        used = [_take(part, self.source[rows][self.source[rows, 0] == i, 1]) for i, part in enumerate(self.parts)]
        order = np.argsort(np.argsort(self.source[rows, 0], kind="stable"), kind="stable")
        whole = _joined([part for part in used if len(part.reason)])
        part = _take(whole, order)
        dataset = None
        if part.k is not None and part.x is not None:
            close = {} if part.ratio is None else {"min_ratio": part.ratio}
            properties = part.properties | close | {"draws": self.draws[rows]}
            data = dataset_from_types(
                part.types, part.k, part.x, properties=properties, meta={"model": name, "seed": seed}
            )
            dataset = dataclasses.replace(data, ids=np.array([f"{name}-{i:05d}" for i in range(len(data))]))
        return Generated(
            part.types,
            dataset,
            attempts=int(self.draws.sum()) + self.refused,
            failed=dict(self.failed),
            unrealised=self.unrealised,
            missing=len(self.done) - len(rows),
            history=part.history,
            rows=rows,
        )


def _joined(parts: list[Draws]) -> Draws:
    """Draws one after another, orbits padded to the largest number."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.types.z.shape[1] for part in parts)
    sets = parts[0].types.sets
    if all(part.types.sets is sets for part in parts):
        offsets = [0] * len(parts)
    else:
        sets = concatenate([part.types.sets for part in parts])
        offsets = np.cumsum([0] + [len(part.types.sets) for part in parts[:-1]]).tolist()
    wide = [part.types.take(np.arange(len(part.reason)), width) for part in parts]
    types = StructureTypes(
        sets,
        np.concatenate([one.set_index + offset for one, offset in zip(wide, offsets, strict=True)]),
        np.concatenate([one.z for one in wide]),
        np.concatenate([one.pos for one in wide]),
    )
    grown = [None if p.x is None else np.pad(p.x, ((0, 0), (0, width - p.x.shape[1]), (0, 0))) for p in parts]
    whole = lambda values: None if any(v is None for v in values) else np.concatenate(values)
    names = set.intersection(*(set(part.properties) for part in parts))
    return Draws(
        types,
        [reason for part in parts for reason in part.reason],
        whole([part.k for part in parts]),
        whole(grown),
        whole([part.ratio for part in parts]),
        {name: np.concatenate([part.properties[name] for part in parts]) for name in sorted(names)},
        history=whole([part.history for part in parts]),
    )
