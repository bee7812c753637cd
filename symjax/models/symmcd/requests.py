"""What a request means for SymmCD: space groups and numbers of orbits that meet it, and the atom types that may be drawn.

Everything that cannot be met is refused here, in words, before anything is sampled.
"""

from __future__ import annotations

import numpy as np

from symjax.elements import NUM_ELEMENTS
from symjax.errors import InputError
from symjax.generate.masks import Masks
from symjax.models.symmcd.network import NUM_TYPES
from symjax.models.symmcd.representation import Counts
from symjax.models.symmcd.task import SymmcdOptions
from symjax.wyckoff.placement import ATOMS, site_classes

TEN_GROUPS = (2, 12, 14, 62, 63, 139, 166, 194, 221, 225)
"""The space groups of the "10 SGs" rows of the paper's tables."""


def most_atoms(options: SymmcdOptions) -> int:
    """Atoms of the conventional cell that an exact formula may fill.

    The largest number of nodes, four times (face-centred cells) where nodes are orbits: 80 for the published 20 orbits, which is
    the largest conventional cell of MP-20.
    """
    return options.buckets[-1] * (1 if options.unit_cell else 4)


def draw_requests(
    counts: Counts,
    masks: Masks,
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
        masks: what is asked for.
        num: crystals.
        rng: random numbers.
        max_orbits: orbit slots of the model.
        max_atoms: of the cell, for a formula.
        unit_cell: nodes are atoms, in any position (the unit-cell variant).

    Raises:
        InputError: what is asked for cannot be met; the message says why.
    """
    orbits = masks.request.orbits
    if orbits is not None and orbits > max_orbits:
        raise InputError(f"a crystal of this model has 1 to {max_orbits} orbits, got {orbits}")
    if (elements := len(masks.request.required)) > max_orbits:
        raise InputError(f"{elements} elements need as many orbits; a crystal of this model has at most {max_orbits}")
    # numbers of their own, so that a crystal's do not depend on how many are drawn
    of_groups, of_orbits = rng.spawn(2)
    weight = np.zeros(len(counts.group))
    numbers = masks.group_numbers(np.asarray(counts.group) > 0)
    weight[numbers] = np.asarray(counts.group, np.float64)[numbers]
    if masks.formula is not None:
        can = _holding(weight > 0, masks, max_orbits, max_atoms, unit_cell)
        return _draw_among(counts, masks, weight, can, num, of_groups)
    if orbits is not None:
        given = np.asarray(counts.orbits)
        share = given[:, orbits] if orbits < given.shape[1] else np.zeros(len(weight))
        if (weight * share).sum() > 0:
            weight = weight * share
        elif masks.groups is None:
            raise InputError(f"no training crystal has {orbits} orbits; ask for another number, or for a group as well")
    number = of_groups.choice(len(weight), size=num, p=weight / weight.sum())
    if orbits is not None:
        return number, np.full(num, orbits)
    table = np.asarray(counts.orbits, np.float64)[:, : max_orbits + 1]
    rows = table[number] / table[number].sum(axis=1, keepdims=True)
    return number, (rows.cumsum(axis=1) < of_orbits.random(num)[:, None]).sum(axis=1)


def _holding(groups: np.ndarray, masks: Masks, max_orbits: int, max_atoms: int, unit_cell: bool) -> np.ndarray:
    """(231, max_orbits + 1) bool: groups and numbers of orbits (atoms, in the unit-cell variant) that can hold the formula.

    Raises:
        InputError: none can, or not with the number of orbits asked for.
    """
    request = masks.request
    asked = np.flatnonzero(masks.groups) if masks.groups is not None else np.zeros(0, int)
    formula = tuple((request.formula or {}).values())
    can = np.zeros((len(groups), max_orbits + 1), bool)
    for number in np.flatnonzero(groups):
        classes = ATOMS if unit_cell else site_classes(int(number))
        can[number] = classes.fitter().possible_orbits(formula, max_orbits=max_orbits, max_atoms=max_atoms)
    named = ", ".join(map(str, asked)) if len(asked) <= 10 else f"of {len(asked)} that were asked for"
    where = (
        f"space group{'s' if len(asked) > 1 else ''} {named}" if len(asked) else "any space group of the training data"
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
    counts: Counts, masks: Masks, weight: np.ndarray, can: np.ndarray, num: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a group and a number of orbits by the training frequencies, given that they can hold the formula.

    Raises:
        InputError: no training crystal of the right number of orbits, and no group was asked for.
    """
    request = masks.request
    if request.orbits is not None:
        can = can & (np.arange(can.shape[1]) == request.orbits)
    given = np.asarray(counts.orbits, np.float64)[:, : can.shape[1]]
    given = np.pad(given, ((0, 0), (0, can.shape[1] - given.shape[1])))
    joint = weight[:, None] * given * can
    if joint.sum() == 0:
        if masks.groups is None:
            raise InputError(
                f"{request.formula_text} fits in no space group with a number of orbits that its training crystals have; ask for a "
                "group as well"
            )
        fewest = np.where(can.any(axis=1), can.argmax(axis=1), 0)  # as good as any: none was ever seen
        joint = weight[:, None] * (np.arange(can.shape[1]) == fewest[:, None]) * can
    flat = rng.choice(joint.size, size=num, p=(joint / joint.sum()).ravel())
    return flat // joint.shape[1], flat % joint.shape[1]


def allowed_types(counts: Counts, masks: Masks) -> np.ndarray | None:
    """`(94,)` which atom types may be drawn; None for all.

    Raises:
        InputError: an element does not occur in the training data.
    """
    known = np.zeros(NUM_ELEMENTS, bool)
    known[1 : NUM_TYPES + 1] = np.asarray(counts.elements) > 0
    allowed = masks.known_elements(known)
    closed = masks.request.elements or masks.request.allow
    return allowed[1 : NUM_TYPES + 1].astype(float) if closed else None
