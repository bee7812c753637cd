"""What a request and the system's own options mean for WyckoffDiff: groups, masks of classes, demands, conditions (host).

Everything that cannot be met is refused here, in words, before anything is sampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS, SYMBOLS
from symjax.errors import InputError
from symjax.generate.masks import Masks
from symjax.generate.sites import position_indices
from symjax.models.wyckoffdiff import occupations
from symjax.models.wyckoffdiff.joint import Demand
from symjax.models.wyckoffdiff.network import CHEMICAL_SYSTEM
from symjax.models.wyckoffdiff.sample import Asked
from symjax.models.wyckoffdiff.weights import WyckoffdiffWeights
from symjax.wyckoff.occupancy import FormulaFitter
from symjax.wyckoff.types import positions_of_type

MAX_ATOMS = 192
"""Atoms of the conventional cell that a crystal may have."""
GUIDANCE = 2.0
"""Factor of guidance where a condition is given and no factor."""


def allowed_elements(weights: WyckoffdiffWeights, masks: Masks) -> np.ndarray:
    """`(100,)` bool elements that may be drawn.

    Raises:
        InputError: an element that was named is in no training crystal.
    """
    known = np.zeros(NUM_ELEMENTS, bool)
    known[: occupations.NUM_ELEMENTS + 1] = weights.known_elements
    return masks.known_elements(known)[1 : occupations.NUM_ELEMENTS + 1]


def groups_of(weights: WyckoffdiffWeights, masks: Masks) -> np.ndarray:
    """Space groups that may be drawn.

    Raises:
        InputError: none of the training data, more elements or given orbits than the number of orbits, or the formula fits in none.
    """
    numbers = masks.group_numbers(weights.group_counts > 0)
    orbits, most = masks.request.orbits, weights.max_orbits
    if orbits is not None and orbits > most:
        raise InputError(f"{orbits} orbits: the training crystals of these weights have 1 to {most}")
    if (elements := len(masks.request.required)) > most:
        raise InputError(
            f"{elements} elements need as many orbits; the training crystals of these weights have at most {most}"
        )
    if masks.formula is None:
        return numbers
    counts = tuple(sorted(masks.formula.values()))
    found = [n for n in numbers.tolist() if _holds(FormulaFitter.of_type(n), counts, orbits, most)]
    if not found:
        count = f"{orbits}" if orbits is not None else f"at most {most}"
        where = (
            f"space group {numbers[0]}"
            if len(numbers) == 1
            else f"any of the {len(numbers)} space groups that may be drawn"
        )
        raise InputError(
            f"{masks.request.formula_text} does not fit in {where}: positions cannot add up to it with "
            f"{count} orbits and at most {MAX_ATOMS} atoms of the conventional cell"
        )
    return np.array(found)


def _holds(fitter: FormulaFitter, counts: tuple[int, ...], orbits: int | None, most: int) -> bool:
    possible = fitter.possible_orbits(counts, max_orbits=most, max_atoms=MAX_ATOMS)
    return bool(possible.any() if orbits is None else possible[orbits])


def class_masks(weights: WyckoffdiffWeights, masks: Masks, elements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes that may be drawn, `(1 or f, 101)` and `(1 or r, 100, max_count + 1)` bool: of each position where some are given.

    Raises:
        InputError: a given orbit cannot be meant, or too many are given on one position.
    """
    counts, sites = weights.options.network.max_count + 1, masks.request.sites
    fixed, free = np.concatenate([[True], elements])[None], np.zeros((1, len(elements), counts), bool)
    free[..., 0], free[:, elements] = True, True
    if not sites:
        return fixed, free
    number, known = masks.request.groups[0], occupations.nodes()
    sizes = known.sizes[number]
    fixed, free = np.tile(fixed, (max(sizes[0], 2), 1)), np.tile(free, (max(sizes[1], 2), 1, 1))
    least: dict[tuple[int, int], int] = {}
    for (name, _), pos in zip(sites, position_indices(sites, number).tolist(), strict=True):
        z, slot = ATOMIC_NUMBERS[name], int(known.slot[number, pos])
        if known.part[number, pos] == 0:
            fixed[slot] = np.arange(fixed.shape[1]) == z
            continue
        least[slot, z] = least.get((slot, z), 0) + 1
        if least[slot, z] >= counts:
            label = positions_of_type(number).label[pos]
            raise InputError(
                f"given orbits: more than {counts - 1} of {name} on {label}, the largest count of these weights"
            )
        free[slot, z - 1, : least[slot, z]] = False
    return fixed, free


def demand_of(masks: Masks, elements: np.ndarray, *, whole: bool) -> tuple[Demand | None, np.ndarray]:
    """What must hold for a crystal as a whole, and `(100,)` bool the elements that its columns are.

    Args:
        masks: what is asked for.
        elements: `(100,)` bool those that may be drawn.
        whole: whether elements that must occur are a demand, too, or are left to drawing again.
    """
    request = masks.request
    if masks.formula is not None:
        used = np.zeros(len(elements), bool)
        used[[z - 1 for z in masks.formula]] = True
        amounts = tuple(masks.formula[int(z) + 1] for z in np.flatnonzero(used))
        return Demand(formula=amounts, orbits=request.orbits, max_atoms=MAX_ATOMS), used
    if request.orbits is None and not (whole and masks.required.any()):
        return None, elements
    columns = np.cumsum(elements) - 1
    required = tuple(int(columns[z - 1]) for z in np.flatnonzero(masks.required))
    return Demand(required=required, orbits=request.orbits), elements


def asked_of(weights: WyckoffdiffWeights, masks: Masks, options: Mapping[str, Any], elements: np.ndarray) -> Asked:
    """Masks, conditions and guidance as data.

    The elements of a request are its chemical system, too, for weights that know this condition.

    Raises:
        InputError: a condition that the weights do not have, that cannot be read, or guidance without any.
    """
    given = dict(options.get("condition") or {})
    guidance = options.get("guidance")
    closed = masks.request.elements
    if closed and CHEMICAL_SYSTEM in weights.conditions:
        given.setdefault(CHEMICAL_SYSTEM, "-".join(closed))
    if guidance is not None and not given:
        raise InputError(
            "guidance needs a condition to be guided by: give --condition, or --elements to weights that know them"
        )
    if unknown := [name for name in given if name not in weights.conditions]:
        if not weights.conditions:
            raise InputError(
                f"condition {unknown[0]!r}: these weights are a base without conditions; give those of an adaptor "
                "(configs/wyckoffdiff.py, part=adaptor)"
            )
        raise InputError(f"condition {unknown[0]!r}: these weights know {', '.join(weights.conditions)}")
    fixed, free = class_masks(weights, masks, elements)
    values = {name: _value(name, text, weights) for name, text in given.items()}
    factor = GUIDANCE if guidance is None else float(guidance)
    return Asked(jnp.asarray(fixed), jnp.asarray(free), values, jnp.asarray(factor, jnp.float32))


def _value(name: str, text: str, weights: WyckoffdiffWeights) -> Any:
    """The value of one condition, as the network takes it."""
    if name != CHEMICAL_SYSTEM:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"condition {name}={text}: a finite number is needed")
        return jnp.asarray(number, jnp.float32)
    value = np.zeros(occupations.NUM_ELEMENTS + 1, np.float32)
    for symbol in text.split("-"):
        z = ATOMIC_NUMBERS.get(symbol, 0)
        if not z:
            raise InputError(f"condition {name}={text}: unknown element {symbol!r}; write it as Li-O")
        if z > occupations.NUM_ELEMENTS or not weights.known_elements[z]:
            raise InputError(
                f"condition {name}={text}: element {SYMBOLS[z]} is in no training crystal of these weights"
            )
        value[z] = 1.0
    return jnp.asarray(value)


def parse_conditions(text: str) -> dict[str, str]:
    """Name -> value of a list such as ``e_above_hull=0,chemical_system=Li-O``.

    Raises:
        ValueError: a part is no pair, or a name stands twice.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in found:
            raise ValueError(f"{text!r}: cannot read {part!r}; write name=value with commas, each name once")
        found[name] = value
    return found
