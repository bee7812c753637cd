"""What can be asked of SymmCD's crystals, and drawing space groups and numbers of orbits that meet it.

Owns `Request`. Everything that cannot be met is refused here, in words, before anything is sampled.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError
from symjax.models.symmcd.network import NUM_TYPES
from symjax.models.symmcd.representation import Counts, check_request
from symjax.models.symmcd.task import SymmcdOptions
from symjax.wyckoff.placement import ATOMS, site_classes

TEN_GROUPS = (2, 12, 14, 62, 63, 139, 166, 194, 221, 225)
"""The space groups of the "10 SGs" rows of the paper's tables."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for; nothing by default.

    Attributes:
        groups: space groups to draw from, by their training frequencies; empty for all.
        orbits: number of orbits of every crystal; None to draw it given the group.
        elements: symbols of the elements every crystal must be made of, each of them at least once; empty for any.
        formula: symbol -> count; every crystal's content is exactly that, up to a common factor. None for any. Common factors of
            the counts are divided out, and `elements` are those of the formula.

    Raises:
        InputError: a count that is no positive whole number, or elements that contradict the formula.
    """

    groups: tuple[int, ...] = ()
    orbits: int | None = None
    elements: tuple[str, ...] = ()
    formula: dict[str, int] | None = None

    def __post_init__(self) -> None:
        if self.formula is None:
            return
        if not self.formula or any(int(count) != count or count < 1 for count in self.formula.values()):
            raise InputError(f"formula {self.formula}: every element needs a positive whole number")
        inside = tuple(self.formula)
        if self.elements and set(self.elements) != set(inside):
            raise InputError(
                f"elements {', '.join(sorted(self.elements))} contradict the formula's {', '.join(sorted(inside))}"
            )
        divisor = math.gcd(*(int(count) for count in self.formula.values()))
        object.__setattr__(self, "formula", {name: int(count) // divisor for name, count in self.formula.items()})
        object.__setattr__(self, "elements", inside)

    @property
    def formula_text(self) -> str:
        """The formula as it is written, for messages."""
        return "".join(f"{name}{count if count > 1 else ''}" for name, count in (self.formula or {}).items())


def most_atoms(options: SymmcdOptions) -> int:
    """Atoms of the conventional cell that an exact formula may fill.

    The largest number of nodes, four times (face-centred cells) where nodes are orbits: 80 for the published 20 orbits, which is
    the largest conventional cell of MP-20.
    """
    return options.buckets[-1] * (1 if options.unit_cell else 4)


def draw_requests(
    counts: Counts,
    request: Request,
    num: int,
    *,
    rng: np.random.Generator,
    max_orbits: int,
    max_atoms: int = 80,
    unit_cell: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Space groups `(num,)` and numbers of orbits `(num,)` by the training frequencies, as far as they are not asked for.

    With a number of orbits or a formula asked for, both are drawn given that they can meet it. A group that was asked for stays
    possible with numbers of orbits that its training crystals do not have.

    Args:
        counts: of the training data of the weights.
        request: what is asked for.
        num: crystals.
        rng: random numbers.
        max_orbits: orbit slots of the model.
        max_atoms: of the cell, for a formula.
        unit_cell: nodes are atoms, in any position (the unit-cell variant).

    Raises:
        InputError: what is asked for cannot be met; the message says why.
    """
    for asked in request.groups or (None,):
        check_request(counts, asked, request.orbits, max_orbits)
    weight = np.asarray(counts.group, np.float64).copy()
    if request.groups:
        keep = np.zeros(len(weight), bool)
        keep[list(request.groups)] = True
        weight[~keep] = 0.0
    if request.formula is not None:
        can = _holding(weight > 0, request, max_orbits, max_atoms, unit_cell)
        return _draw_among(counts, request, weight, can, num, rng)
    if request.orbits is not None:
        given = np.asarray(counts.orbits)
        share = given[:, request.orbits] if request.orbits < given.shape[1] else np.zeros(len(weight))
        if (weight * share).sum() > 0:
            weight = weight * share
        elif not request.groups:
            raise InputError(
                f"no training crystal has {request.orbits} orbits; ask for another number, or for a group as well"
            )
    number = rng.choice(len(weight), size=num, p=weight / weight.sum())
    if request.orbits is not None:
        return number, np.full(num, request.orbits)
    table = np.asarray(counts.orbits, np.float64)[:, : max_orbits + 1]
    rows = table[number] / table[number].sum(axis=1, keepdims=True)
    return number, (rows.cumsum(axis=1) < rng.random(num)[:, None]).sum(axis=1)


def _holding(groups: np.ndarray, request: Request, max_orbits: int, max_atoms: int, unit_cell: bool) -> np.ndarray:
    """(231, max_orbits + 1) bool: groups and numbers of orbits (atoms, in the unit-cell variant) that can hold the formula.

    Raises:
        InputError: none can, or not with the number of orbits asked for.
    """
    assert request.formula is not None
    formula = tuple(request.formula.values())
    can = np.zeros((len(groups), max_orbits + 1), bool)
    for number in np.flatnonzero(groups):
        classes = ATOMS if unit_cell else site_classes(int(number))
        can[number] = classes.fitter().possible_orbits(formula, max_orbits=max_orbits, max_atoms=max_atoms)
    named = ", ".join(map(str, request.groups))
    where = (
        f"space group{'s' if len(request.groups) > 1 else ''} {named}"
        if named
        else "any space group of the training data"
    )
    room = (
        f"at most {max_orbits} atoms" if unit_cell else f"at most {max_orbits} orbits and {max_atoms} atoms of the cell"
    )
    if not can.any():
        others = "" if not named else "; ask for another group, or for none"
        raise InputError(
            f"{request.formula_text} does not fit in {where}: its positions cannot add up to it with {room}{others}"
        )
    if request.orbits is not None and not can[:, request.orbits].any():
        numbers = ", ".join(map(str, np.flatnonzero(can.any(axis=0))))
        raise InputError(
            f"{request.formula_text} does not fit on {request.orbits} orbit(s) in {where}; it does on {numbers}"
        )
    return can


def _draw_among(
    counts: Counts, request: Request, weight: np.ndarray, can: np.ndarray, num: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a group and a number of orbits by the training frequencies, given that they can hold the formula.

    Raises:
        InputError: no training crystal of the right number of orbits, and no group was asked for.
    """
    if request.orbits is not None:
        can = can & (np.arange(can.shape[1]) == request.orbits)
    given = np.asarray(counts.orbits, np.float64)[:, : can.shape[1]]
    given = np.pad(given, ((0, 0), (0, can.shape[1] - given.shape[1])))
    joint = weight[:, None] * given * can
    if joint.sum() == 0:
        if not request.groups:
            raise InputError(
                f"{request.formula_text} fits in no space group with a number of orbits that its training crystals have; ask for a "
                "group as well"
            )
        fewest = np.where(can.any(axis=1), can.argmax(axis=1), 0)  # as good as any: none was ever seen
        joint = weight[:, None] * (np.arange(can.shape[1]) == fewest[:, None]) * can
    flat = rng.choice(joint.size, size=num, p=(joint / joint.sum()).ravel())
    return flat // joint.shape[1], flat % joint.shape[1]


def allowed_types(counts: Counts, request: Request) -> np.ndarray | None:
    """`(94,)` which atom types may be drawn; None for all.

    Raises:
        InputError: an element is unknown or does not occur in the training data, or there are more elements than orbits.
    """
    if not request.elements:
        return None
    allowed = np.zeros(NUM_TYPES)
    for name in request.elements:
        z = ATOMIC_NUMBERS.get(name)
        if z is None:
            raise InputError(f"element {name!r} is unknown; give symbols such as Li,O")
        if z > NUM_TYPES or counts.elements[z - 1] == 0:
            raise InputError(f"element {name} does not occur in the data that these weights were trained on")
        allowed[z - 1] = 1.0
    if request.orbits is not None and len(set(request.elements)) > request.orbits:
        named = ", ".join(request.elements)
        raise InputError(
            f"the elements {named} do not fit on {request.orbits} orbit(s): ask for one orbit an element at least"
        )
    return allowed
