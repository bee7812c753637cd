"""What can be asked of generated crystals: elements, an exact formula, and properties of the operations.

Demands on operations become a list of target sets (standard settings whose own operations meet them): a walk may only
take steps that stay below a target and may only stop at one. An exact formula becomes a mask on the sites: only positions
from which the remaining orbits can still reach it. Nothing is drawn first and thrown away afterwards, except compositions for which
a drawn group has no room.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np

from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS, SYMBOLS
from symjax.errors import InputError
from symjax.groups.kinds import OPERATION_KINDS, operation_kinds
from symjax.groups.properties import GroupProperties, properties
from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_setting, vocabulary
from symjax.models.symop.species import element_rank
from symjax.wyckoff.occupancy import FormulaFitter
from symjax.wyckoff.set_table import SetTable

SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
_SAME_CLASS = {
    "-4m2": "-42m",
    "-62m": "-6m2",
    "m2m": "mm2",
    "2mm": "mm2",
    "312": "32",
    "321": "32",
    "31m": "3m",
    "3m1": "3m",
    "-31m": "-3m",
    "-3m1": "-3m",
}


@dataclasses.dataclass(frozen=True)
class Constraints:
    """What is asked for; None or empty means nothing. All that is given must hold together.

    Attributes:
      formula: element symbol -> count; the content of the cell is a whole multiple of it.
      elements: symbols; exactly these elements occur.
      space_group: number of the type, 1 to 230.
      point_group: Hermann-Mauguin symbol of the class, such as "m-3m".
      crystal_system: one of `SYSTEMS`.
      centrosymmetric, polar, chiral: True or False. Chiral means proper rotations only (Sohncke types).
      require, forbid: names of `OPERATION_KINDS` that the set must, must not, hold.
      below, above: a set that must hold, must be held by, the generated one, in its own standard setting.
    """

    formula: dict[str, int] | None = None
    elements: tuple[str, ...] = ()
    space_group: int | None = None
    point_group: str | None = None
    crystal_system: str | None = None
    centrosymmetric: bool | None = None
    polar: bool | None = None
    chiral: bool | None = None
    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    below: OpSet | None = None
    above: OpSet | None = None

    def describe(self) -> str:
        """The demands in words, for messages."""
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None or value == () or isinstance(value, OpSet):
                continue
            shown = "".join(f"{e}{n if n > 1 else ''}" for e, n in value.items()) if field.name == "formula" else value
            shown = ", ".join(shown) if isinstance(shown, tuple) else shown
            parts.append(f"{field.name.replace('_', ' ')} {shown}")
        parts += [f"{name} a given set" for name in ("below", "above") if getattr(self, name) is not None]
        return "; ".join(parts) or "none"


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Constraints as masks.

    Attributes:
      text: the demands in words.
      allowed, required: (NUM_ELEMENTS,) bool elements that may, must, occur.
      formula: atomic number -> count, or None.
      frames: (2,) bool frames a walk may start in; start: (2, v) bool set it starts from, by frame.
      targets: (t, v) bool sets a walk may end at; t = 0 for any.
      max_orbits, max_atoms: limits of a crystal.
    """

    text: str
    allowed: np.ndarray
    required: np.ndarray
    formula: dict[int, int] | None
    frames: np.ndarray
    start: np.ndarray
    targets: np.ndarray
    max_orbits: int
    max_atoms: int

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
            orbits = fitter.choose_orbits(counts, drawn, max_orbits=most, max_atoms=self.max_atoms, rng=rng)
            z[row] = 0
            if orbits is not None:
                filled = np.repeat(elements, orbits)
                z[row, : len(filled)] = filled
        return z

    def site_mask(
        self, sets: SetTable, set_index: np.ndarray, *, z: np.ndarray, pos: np.ndarray, step: int, max_atoms: int
    ) -> np.ndarray:
        """`(b, p)` True for positions of slot `step` from which the formula can still be met exactly."""
        result = np.zeros((len(z), sets.pos_mask.shape[1]), bool)
        assert self.formula is not None
        seen: dict[tuple, np.ndarray] = {}
        for row, index in enumerate(set_index):
            if step >= int((z[row] > 0).sum()):
                result[row] = np.asarray(sets.pos_mask[index])  # the row is complete: its mask is not read
                continue
            key = (int(index), z[row].tobytes(), pos[row, :step].tobytes())
            if key not in seen:
                fitter = FormulaFitter.of(sets, int(index))
                most = min(max_atoms, self.max_atoms)
                seen[key] = fitter.open_positions(z[row], pos[row, :step], self.formula, max_atoms=most)
            result[row, : len(seen[key])] = seen[key]
        return result


def compile_constraints(constraints: Constraints, *, max_orbits: int, max_atoms: int) -> Compiled:
    """Masks for the sampler.

    Raises:
      InputError: an element, number, symbol or kind is unknown, the demands contradict each other, or no set has room for
        the formula.
    """
    allowed = np.ones(NUM_ELEMENTS, bool)
    allowed[0] = False
    required = np.zeros(NUM_ELEMENTS, bool)
    formula = _formula(constraints)
    names = set(constraints.elements)
    if formula is not None:
        inside = {SYMBOLS[e] for e in formula}
        if names and names != inside:
            raise InputError(
                f"elements {', '.join(sorted(names))} contradict the formula's {', '.join(sorted(inside))}"
            )
        names = inside
        if sum(formula.values()) > max_atoms:
            raise InputError(f"the formula has {sum(formula.values())} atoms; a cell holds at most {max_atoms}")
    if names:
        required[[_element(name) for name in names]] = True
        allowed = required.copy()
        if len(names) > max_orbits:
            raise InputError(f"{len(names)} elements need as many orbits; a crystal holds at most {max_orbits}")
    vocab = vocabulary()
    start = np.zeros((2, vocab.size), bool)
    start[[0, 1], vocab.identity] = True
    numbers = _numbers(constraints)
    targets = np.zeros((0, vocab.size), bool)
    frames = np.ones(2, bool)
    if numbers is not None:
        if not numbers:
            raise InputError(f"no space group meets all of: {constraints.describe()}")
        if formula is not None:
            numbers = [n for n in numbers if _has_room(n, tuple(sorted(formula.values())), max_atoms, max_orbits)]
            if not numbers:
                raise InputError(
                    f"no group that meets ({constraints.describe()}) has positions for the formula in a conventional cell "
                    f"of at most {max_atoms} atoms and {max_orbits} orbits; ask for another formula or group"
                )
        targets = np.stack([_members(n) for n in numbers])
        frames = np.array([targets[:, vocab.frame == f].any() for f in (0, 1)])
    if constraints.above is not None:
        given = _indices(constraints.above, "above")
        start[:] = False
        start[int(vocab.frame[given[0]]), given] = True
        frames &= np.arange(2) == vocab.frame[given[0]]
    return Compiled(
        text=constraints.describe(),
        allowed=allowed,
        required=required,
        formula=formula,
        frames=frames,
        start=start,
        targets=targets,
        max_orbits=max_orbits,
        max_atoms=max_atoms,
    )


def _element(name: str) -> int:
    if name not in ATOMIC_NUMBERS:
        raise InputError(f"unknown element {name!r}; symbols look like Li, O, Sr (hydrogen to lawrencium)")
    return ATOMIC_NUMBERS[name]


def _formula(constraints: Constraints) -> dict[int, int] | None:
    if constraints.formula is None:
        return None
    if not constraints.formula or any(int(n) != n or n < 1 for n in constraints.formula.values()):
        raise InputError(f"formula {constraints.formula}: every element needs a positive whole number")
    divisor = int(np.gcd.reduce([int(n) for n in constraints.formula.values()]))
    return {_element(e): int(n) // divisor for e, n in constraints.formula.items()}


def _numbers(c: Constraints) -> list[int] | None:
    """Standard settings that meet the demands on operations; None where there are none."""
    if c.space_group is not None and not 1 <= c.space_group <= 230:
        raise InputError(f"space group {c.space_group} is not one of 1 to 230")
    if c.crystal_system is not None and c.crystal_system not in SYSTEMS:
        raise InputError(f"unknown crystal system {c.crystal_system!r}; one of {', '.join(SYSTEMS)}")
    symbol = _SAME_CLASS.get(c.point_group or "", c.point_group)
    if symbol is not None and symbol not in {known[1].point_group for known in _known()}:
        raise InputError(f"unknown point group {c.point_group!r}; symbols look like m-3m, 4/mmm, 222")
    for name in (*c.require, *c.forbid):
        if name not in OPERATION_KINDS:
            raise InputError(f"unknown kind of operation {name!r}; one of {', '.join(OPERATION_KINDS)}")
    asked = [c.space_group, symbol, c.crystal_system, c.centrosymmetric, c.polar, c.chiral, c.below, c.above]
    if all(value is None for value in asked) and not c.require and not c.forbid:
        return None
    below = None if c.below is None else set(_indices(c.below, "below").tolist())
    above = None if c.above is None else set(_indices(c.above, "above").tolist())
    found = []
    for number, known, kinds in _known():
        members = set(np.nonzero(_members(number))[0].tolist()) if below is not None or above is not None else set()
        fits = (
            c.space_group in (None, number)
            and symbol in (None, known.point_group)
            and c.crystal_system in (None, known.crystal_system)
            and c.centrosymmetric in (None, known.centrosymmetric)
            and c.polar in (None, known.polar)
            and c.chiral in (None, known.sohncke)
            and set(c.require) <= kinds
            and not set(c.forbid) & kinds
            and (below is None or members <= below)
            and (above is None or members >= above)
        )
        if fits:
            found.append(number)
    return found


@cache
def _known() -> tuple[tuple[int, GroupProperties, frozenset[str]], ...]:
    """Number, properties and kinds of operations of the 230 standard settings, all from their operations."""
    return tuple((n, properties(standard_setting(n)), operation_kinds(standard_setting(n))) for n in range(1, 231))


@cache
def _members(number: int) -> np.ndarray:
    """(v,) bool operations of a standard setting."""
    mask = np.zeros(vocabulary().size, bool)
    mask[_indices(standard_setting(number), f"space group {number}")] = True
    return mask


def _indices(opset: OpSet, what: str) -> np.ndarray:
    """Vocabulary indices of a set.

    Raises:
      InputError: an operation is in no standard setting.
    """
    from symjax.lattice import choose_frame

    W, w = np.asarray(opset.W), np.asarray(opset.w)
    vocab = vocabulary()
    found = np.asarray(vocab.lookup(W, w * 24 // opset.den, np.full(len(W), choose_frame(W))))
    if (found == vocab.size).any() or (w * 24 % opset.den).any():
        row = int(np.argmax(found == vocab.size))
        raise InputError(
            f"{what}: operation {row} of the set is in no standard setting; give the set in a standard setting"
        )
    return found


@cache
def _has_room(number: int, counts: tuple[int, ...], max_atoms: int, max_orbits: int) -> bool:
    from symjax.models.symop.walk.set_store import table_of_members

    table: Any = table_of_members(_members(number)[None])
    return FormulaFitter.of(table, 0).has_room(counts, max_atoms=max_atoms, max_orbits=max_orbits)
