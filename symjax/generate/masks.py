"""A request as masks: elements, formula and space-group types that meet it; the same for every system.

Demands on operations select standard settings whose own operations meet them, so any system that draws given a group can take
them; which operations a crystal ends with is the system's business. Everything that cannot be met is refused here, in words.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np

from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS, SYMBOLS
from symjax.errors import InputError
from symjax.generate.request import Request
from symjax.groups.kinds import OPERATION_KINDS, operation_kinds
from symjax.groups.properties import GroupProperties, properties
from symjax.groups.sets import OpSet
from symjax.groups.symbols import CRYSTAL_SYSTEMS, parse_point_group
from symjax.groups.tables import NUM_TYPES, standard_setting, vocabulary
from symjax.lattice import choose_frame
from symjax.ops.types import DEN


@dataclasses.dataclass(frozen=True)
class Masks:
    """What a request means.

    Attributes:
        request: the request.
        allowed, required: (NUM_ELEMENTS,) bool elements that may, must, occur; index = atomic number, 0 never.
        formula: atomic number -> count without a common factor, or None.
        groups: (231,) bool space-group types whose standard settings meet all demands on operations; None where there are none.
    """

    request: Request
    allowed: np.ndarray
    required: np.ndarray
    formula: dict[int, int] | None
    groups: np.ndarray | None

    @property
    def text(self) -> str:
        """The request in words."""
        return self.request.describe()

    def known_elements(self, known: np.ndarray) -> np.ndarray:
        """(NUM_ELEMENTS,) bool elements that may occur and that the weights know.

        Args:
            known: (NUM_ELEMENTS,) bool elements of the training data.

        Raises:
            InputError: an element that was named does not occur in the training data.
        """
        named = self.required | (self.allowed if self.request.elements or self.request.allow else False)
        if (unknown := np.flatnonzero(named & ~known)).size:
            names = ", ".join(SYMBOLS[z] for z in unknown)
            raise InputError(
                f"element{'s' if len(unknown) > 1 else ''} {names}: in no crystal of the data that these weights were trained on, "
                "so nothing was learned of them"
            )
        return self.allowed & known

    def group_numbers(self, known: np.ndarray | None = None) -> np.ndarray:
        """Space groups that may be drawn, rising.

        Args:
            known: (231,) bool those that the weights can draw; None for all.

        Raises:
            InputError: the weights can draw none of them, or not one that was named.
        """
        known = np.arange(NUM_TYPES + 1) > 0 if known is None else known
        chosen = known if self.groups is None else known & self.groups
        unknown = [group for group in self.request.groups if not known[group]]
        if unknown or not chosen.any():
            asked = unknown or np.flatnonzero(self.groups).tolist()  # type: ignore[arg-type]
            near = sorted(np.flatnonzero(known).tolist(), key=lambda n: (min(abs(n - a) for a in asked), n))[:5]
            named = (
                f"space group {unknown[0]} has no"
                if unknown
                else f"none of the {len(asked)} space groups asked for has a"
            )
            raise InputError(
                f"{named} crystal in the training data of these weights, so nothing was learned there; {int(known.sum())} groups "
                f"have, the nearest numbers are {', '.join(map(str, sorted(near)))}"
            )
        return np.flatnonzero(chosen)


def masks_of(request: Request) -> Masks:
    """Compile a request.

    Raises:
        InputError: a symbol or kind is unknown, or no space group meets the demands.
    """
    required = np.zeros(NUM_ELEMENTS, bool)
    required[[ATOMIC_NUMBERS[name] for name in request.required]] = True
    allowed = np.ones(NUM_ELEMENTS, bool)
    closed = request.elements or request.allow
    if closed:
        allowed[:] = False
        allowed[[ATOMIC_NUMBERS[name] for name in closed]] = True
    allowed[0] = False
    formula = None if request.formula is None else {ATOMIC_NUMBERS[e]: n for e, n in request.formula.items()}
    numbers = matching_groups(request)
    groups = None
    if numbers is not None:
        if not numbers:
            raise InputError(f"no space group meets all of: {request.describe()}")
        groups = np.zeros(NUM_TYPES + 1, bool)
        groups[numbers] = True
    return Masks(request, allowed, required, formula, groups)


def matching_groups(request: Request) -> list[int] | None:
    """Space-group types whose standard settings meet the demands on operations; None where there are none.

    Raises:
        InputError: a symbol or kind is unknown, or a given set is in no standard setting.
    """
    r = request
    if r.crystal_system is not None and r.crystal_system not in CRYSTAL_SYSTEMS:
        raise InputError(f"unknown crystal system {r.crystal_system!r}; one of {', '.join(CRYSTAL_SYSTEMS)}")
    symbol = None if r.point_group is None else parse_point_group(r.point_group)
    for name in (*r.require, *r.forbid):
        if name not in OPERATION_KINDS:
            raise InputError(f"unknown kind of operation {name!r}; one of {', '.join(OPERATION_KINDS)}")
    if not r.asks_operations:
        return None
    below = None if r.below is None else set(vocabulary_indices(r.below, "below").tolist())
    above = None if r.above is None else set(vocabulary_indices(r.above, "above").tolist())
    found = []
    for number, known, kinds in known_groups():
        members = (
            set(np.flatnonzero(setting_members(number)).tolist()) if below is not None or above is not None else set()
        )
        fits = (
            (not r.groups or number in r.groups)
            and symbol in (None, known.point_group)
            and r.crystal_system in (None, known.crystal_system)
            and r.centrosymmetric in (None, known.centrosymmetric)
            and r.polar in (None, known.polar)
            and r.chiral in (None, known.sohncke)
            and set(r.require) <= kinds
            and not set(r.forbid) & kinds
            and (below is None or members <= below)
            and (above is None or members >= above)
        )
        if fits:
            found.append(number)
    return found


@cache
def known_groups() -> tuple[tuple[int, GroupProperties, frozenset[str]], ...]:
    """Number, properties and kinds of operations of the 230 standard settings, all from their operations."""
    settings = ((n, standard_setting(n)) for n in range(1, NUM_TYPES + 1))
    return tuple((n, properties(opset), operation_kinds(opset)) for n, opset in settings)


@cache
def setting_members(number: int) -> np.ndarray:
    """(v,) bool operations of a standard setting in the vocabulary; do not write into it."""
    mask = np.zeros(vocabulary().size, bool)
    mask[vocabulary_indices(standard_setting(number), f"space group {number}")] = True
    return mask


def vocabulary_indices(opset: OpSet, what: str) -> np.ndarray:
    """(n,) vocabulary indices of a set.

    Args:
        opset: one set, in a standard setting.
        what: how a message calls it.

    Raises:
        InputError: an operation is in no standard setting.
    """
    W, w = np.asarray(opset.W), np.asarray(opset.w)
    vocab = vocabulary()
    found = np.asarray(vocab.lookup(W, w * DEN // opset.den, np.full(len(W), choose_frame(W))))
    if (found == vocab.size).any() or (w * DEN % opset.den).any():
        row = int(np.argmax(found == vocab.size))
        raise InputError(
            f"{what}: operation {row} of the set is in no standard setting; give the set in a standard setting"
        )
    return found
