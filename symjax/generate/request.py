"""What can be asked of generated crystals: one request for every system, and how its parts are written in text.

Owns `Request` and the readers of formulas, lists of elements, space groups and given orbits. What a request means in masks is in
`symjax.generate.masks`; which parts have a meaning for a system is the system's to say (`symjax.generate.system`).
"""

from __future__ import annotations

import dataclasses
import math
import re

from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.groups.symbols import parse_space_group
from symjax.groups.tables import NUM_TYPES

_LARGEST_COUNT = 10_000  # atoms of one element in a formula: far beyond every cell


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for; None or empty means nothing. All that is given must hold together.

    Attributes:
        formula: element symbol -> count; the content of the cell is a whole multiple of it. Common factors are divided out.
        elements: symbols; exactly these elements occur (with a formula: its own).
        allow: symbols; no other elements occur.
        include: symbols; at least these occur.
        groups: numbers of space-group types, 1 to 230; one of them.
        point_group: Hermann-Mauguin symbol of the class, such as "m-3m".
        crystal_system: one of `symjax.groups.symbols.CRYSTAL_SYSTEMS`.
        centrosymmetric, polar, chiral: True or False. Chiral means proper rotations only (Sohncke types).
        require, forbid: names of `symjax.groups.kinds.OPERATION_KINDS` that the set must, must not, hold.
        below, above: a set that must hold, must be held by, the generated one, in its own standard setting.
        neutral: charges in common oxidation states can add up to zero (`symjax.generate.content`); alloys of metals pass.
        atoms: atoms of the primitive cell.
        units: formula units of the conventional cell (Z), of a formula.
        orbits: number of orbits of every crystal, given ones included.
        sites: given orbits, (symbol, position) such as ("Na", "4a"); they need one space group, whose positions they name.

    Raises:
        InputError: something cannot be meant, or parts contradict each other.
    """

    formula: dict[str, int] | None = None
    elements: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    point_group: str | None = None
    crystal_system: str | None = None
    centrosymmetric: bool | None = None
    polar: bool | None = None
    chiral: bool | None = None
    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    below: OpSet | None = None
    above: OpSet | None = None
    neutral: bool | None = None
    atoms: int | None = None
    units: int | None = None
    orbits: int | None = None
    sites: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without any table, and bring the formula to its smallest integers."""
        for name in (*(self.formula or {}), *self.elements, *self.allow, *self.include, *(s for s, _ in self.sites)):
            if name not in ATOMIC_NUMBERS:
                raise InputError(f"unknown element {name!r}; symbols look like Li, O, Sr (hydrogen to lawrencium)")
        if self.formula is not None:
            self._reduce_formula(self.formula)
        if self.elements and self.allow:
            raise InputError("ask either for exactly some elements or for allowed ones, not both")
        closed = self.elements or self.allow
        if closed and (
            outside := [name for name in (*self.include, *(s for s, _ in self.sites)) if name not in closed]
        ):
            raise InputError(f"{outside[0]} is asked for, but only {', '.join(closed)} may occur")
        if self.orbits is not None and self.orbits < 1:
            raise InputError(f"number of orbits must be at least 1, got {self.orbits}")
        if self.orbits is not None and self.orbits < max(len(self.sites), len(self.required)):
            raise InputError(
                f"{self.orbits} orbit(s) cannot hold {len(self.required)} elements and {len(self.sites)} given orbits"
            )
        if self.units is not None and self.formula is None:
            raise InputError("a number of formula units needs a formula")
        for name in ("atoms", "units"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"number of {in_words(name)} must be at least 1, got {value}")
        if wrong := [group for group in self.groups if not 1 <= group <= NUM_TYPES]:
            raise InputError(f"space group {wrong[0]} is not one of 1 to {NUM_TYPES}")
        if self.sites and len(self.groups) != 1:
            raise InputError("given orbits need one space group, whose positions they name")

    def _reduce_formula(self, formula: dict[str, int]) -> None:
        if not formula or any(
            isinstance(n, bool) or int(n) != n or not 1 <= n <= _LARGEST_COUNT for n in formula.values()
        ):
            raise InputError(
                f"formula {formula}: every element needs a positive whole number, at most {_LARGEST_COUNT}"
            )
        divisor = math.gcd(*(int(n) for n in formula.values()))
        object.__setattr__(self, "formula", {name: int(n) // divisor for name, n in formula.items()})
        inside = set(formula)
        if self.elements and set(self.elements) != inside:
            raise InputError(
                f"elements {', '.join(sorted(self.elements))} contradict the formula's {', '.join(sorted(inside))}"
            )
        object.__setattr__(self, "elements", tuple(formula))
        if self.allow and inside - set(self.allow):
            raise InputError(f"the formula's {', '.join(sorted(inside - set(self.allow)))} may not occur")
        object.__setattr__(self, "allow", ())

    @property
    def required(self) -> tuple[str, ...]:
        """Symbols of the elements that must occur, given orbits included."""
        return tuple(dict.fromkeys((*self.elements, *self.include, *(symbol for symbol, _ in self.sites))))

    @property
    def formula_text(self) -> str:
        """The formula as it is written, for messages."""
        return "".join(f"{name}{count if count > 1 else ''}" for name, count in (self.formula or {}).items())

    @property
    def asks_operations(self) -> bool:
        """Whether anything is asked of the operations."""
        flags = (
            self.point_group,
            self.crystal_system,
            self.centrosymmetric,
            self.polar,
            self.chiral,
            self.below,
            self.above,
        )
        return bool(self.groups or self.require or self.forbid) or any(value is not None for value in flags)

    def describe(self) -> str:
        """The request in words, for messages."""
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None or value == () or isinstance(value, OpSet) or (field.name == "elements" and self.formula):
                continue
            shown = self.formula_text if field.name == "formula" else value
            if field.name == "sites":
                shown = tuple(f"{symbol}:{position}" for symbol, position in value)
            shown = ", ".join(map(str, shown)) if isinstance(shown, tuple) else shown
            parts.append(f"{in_words(field.name)} {shown}")
        parts += [f"{name} a given set" for name in ("below", "above") if getattr(self, name) is not None]
        return "; ".join(parts) or "nothing"


def in_words(field: str) -> str:
    """How messages call a part of a request."""
    return _WORDS.get(field, field.replace("_", " "))


_WORDS = {
    "allow": "no elements but",
    "include": "elements among them",
    "groups": "space group",
    "atoms": "atoms in the primitive cell",
    "units": "formula units in the conventional cell",
    "sites": "given orbits",
}


def parse_formula(text: str) -> dict[str, int]:
    """Element -> count of a formula such as ``SrTiO3`` or ``Ca3(PO4)2``.

    Raises:
        InputError: naming the place that cannot be read.
    """
    stack: list[dict[str, int]] = [{}]
    place = 0
    while place < len(text):
        match = re.compile(r"([A-Z][a-z]?|\(|\))(\d*)").match(text, place)
        token, digits = (match[1], match[2]) if match else ("", "")
        wrong = not token or (token == "(" and digits) or (token == ")" and len(stack) == 1)
        if wrong or len(digits) > 6 or (digits and int(digits) == 0):
            raise InputError(f"formula {text!r}: cannot read {text[place:]!r}; write it as SrTiO3 or Ca3(PO4)2")
        count = int(digits or 1)
        if token == "(":
            stack.append({})
        else:
            inner = stack.pop() if token == ")" else {token: 1}
            for element, number in inner.items():
                stack[-1][element] = stack[-1].get(element, 0) + number * count
        place += len(token) + len(digits)
    if len(stack) != 1 or not stack[0]:
        raise InputError(f"formula {text!r}: {'a bracket is not closed' if len(stack) > 1 else 'it is empty'}")
    return stack[0]


def parse_elements(text: str) -> tuple[str, ...]:
    """Symbols of a list such as ``Li,O``.

    Raises:
        InputError: the list is empty, or holds what is no element; the message guesses what was meant.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise InputError(f"elements {text!r}: give symbols with commas between them, as Li,O")
    if wrong := [name for name in names if name not in ATOMIC_NUMBERS]:
        meant = meant_elements(text)
        hint = f"did you mean {','.join(meant)}?" if meant else "symbols look like Li, O, Sr (hydrogen to lawrencium)"
        raise InputError(f"elements {text!r}: {wrong[0]!r} is no element; {hint}")
    return names


def meant_elements(text: str) -> tuple[str, ...]:
    """Symbols that a list in another form may mean: ``Li-P-S``, ``li,p,s``, ``Li P S``, ``LiPS``; empty where none fits."""
    parts = [part for part in re.split(r"[^A-Za-z]+", text) if part]
    if len(parts) == 1 and parts[0].capitalize() not in ATOMIC_NUMBERS:
        parts = re.findall(r"[A-Z][a-z]?", parts[0])
    names = tuple(dict.fromkeys(part.capitalize() for part in parts))
    return names if names and all(name in ATOMIC_NUMBERS for name in names) else ()


def parse_space_groups(text: str) -> tuple[int, ...]:
    """Numbers of a list such as ``225`` or ``2,P2_1/c,Fm-3m``; errors as `parse_space_group`."""
    return tuple(dict.fromkeys(parse_space_group(part) for part in text.split(",")))


def parse_sites(text: str) -> tuple[tuple[str, str], ...]:
    """Element and position of each orbit of a list such as ``Na:4a,Cl:4b``.

    Raises:
        InputError: naming the part that cannot be read.
    """
    orbits = []
    for part in text.split(","):
        element, colon, position = (piece.strip() for piece in part.partition(":"))
        if not (element and colon and position):
            raise InputError(
                f"given orbits {text!r}: cannot read {part!r}; write element and position, as in Na:4a,Cl:4b"
            )
        orbits.append((element, position))
    return tuple(orbits)
