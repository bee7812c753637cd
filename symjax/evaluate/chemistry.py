"""Whether a crystal makes chemical sense: oxidation states, anions that touch, bond valences, cations without anions.

Owns the stage `chemistry` and its rules. They are about oxides and halides, where formal charges mean something: crystals of two or
more elements with O, F, Cl, Br or I. Oxidation states are those of which the ICSD has ten or more instances (for elements without
any, the common ones), as pymatgen tabulates them; one element may have two neighbouring states at once.

Source of bond valences: O'Keeffe and Brese, J. Am. Chem. Soc. 113 (1991) 3226 (parameters of elements, b = 0.37 angstrom); of the
global instability index: Salinas-Sanchez et al., J. Solid State Chem. 100 (1992) 201; of anion radii: Shannon, Acta Cryst. A32
(1976) 751.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.elements import COVALENT_RADII

ANIONS = {8: 1.40, 9: 1.33, 17: 1.81, 35: 1.96, 53: 2.20}
"""Atomic number -> radius of the anion in sixfold coordination, angstrom."""
OXYGEN_CONTACT = 2.2
"""Angstrom; oxygen atoms nearer than this are no oxide ions (2.4 to 3.0 in oxides; peroxides have 1.5)."""
CONTACT = 0.8
"""Anions nearer than this part of the sum of their radii touch."""
REACH = 1.3
"""An anion within this multiple of the sum of covalent radii is a neighbour of a cation."""
SOFTNESS = 0.37
CUTOFF = 6.0
MAX_PAIRS = 4_000_000
"""Pairs of atoms and images looked at in one crystal; real ones need a hundredth."""
MAX_CHOICES = 200_000


def chemistry(cell: AtomicStructure) -> dict[str, Any]:
    """What the rules say of one crystal.

    Returns:
        ``ionic``: whether it is an oxide or halide. ``neutral``: whether oxidation states add up to zero. ``oxygen``: shortest
        distance of two oxygen atoms, angstrom, own images included. ``anions``: smallest distance of two anions over the sum of
        their radii. ``gii``: global instability index, valence units. ``bare``: cations with at most one anion within `REACH`.
        ``cations``: how many there are. What does not apply is None.
    """
    reduced = cell.reduced
    found: dict[str, Any] = dict.fromkeys(("neutral", "oxygen", "anions", "gii", "bare", "cations"))
    found["ionic"] = len(reduced) > 1 and any(z in ANIONS for z, _ in reduced)
    if not found["ionic"]:
        return found
    charges = oxidation_states(reduced)
    found["neutral"] = charges is not None
    distance = image_distances(cell, CUTOFF)
    if distance is None:
        return found
    anion = np.isin(cell.z, list(ANIONS))
    oxygen = distance[np.ix_(cell.z == 8, cell.z == 8)]
    found["oxygen"] = float(oxygen.min()) if oxygen.size and np.isfinite(oxygen).any() else None
    radius = np.array([ANIONS.get(int(z), np.nan) for z in cell.z])
    parts = (distance / (radius[:, None] + radius[None])[..., None])[np.ix_(anion, anion)]
    found["anions"] = float(parts.min()) if parts.size and np.isfinite(parts).any() else None
    if charges is not None:
        found |= _bonds(cell, distance, np.array([charges[int(z)] for z in cell.z]))
    return found


def oxidation_states(reduced: tuple[tuple[int, int], ...]) -> dict[int, float] | None:
    """Mean oxidation state of each element in a neutral assignment, None where there is none.

    Of several the one with the fewest elements in two states, then the one with the smallest charges, is taken.
    """
    options = [_options(z, count) for z, count in reduced]
    if not all(options) or np.prod([float(len(each)) for each in options]) > MAX_CHOICES:
        return None
    best: tuple[tuple[int, float], tuple[int, ...]] | None = None
    for choice in product(*options):
        if sum(total for total, _ in choice) == 0:
            rank = (sum(mixed for _, mixed in choice), float(sum(abs(total) for total, _ in choice)))
            if best is None or rank < best[0]:
                best = rank, tuple(total for total, _ in choice)
    return None if best is None else {z: total / count for (z, count), total in zip(reduced, best[1])}


@cache
def _options(z: int, count: int) -> tuple[tuple[int, int], ...]:
    """(total charge of so many atoms, whether two states are mixed) of an element; one state before two."""
    from pymatgen.core import Element

    element = Element.from_Z(z)
    states = sorted(element.icsd_oxidation_states or element.common_oxidation_states)
    totals = dict.fromkeys((state * count for state in states), 0)
    for low, high in pairwise(states):
        for part in range(1, count):
            totals.setdefault(low * part + high * (count - part), 1)
    return tuple(totals.items())


def image_distances(cell: AtomicStructure, cutoff: float) -> np.ndarray | None:
    """(n, n, k) distances of each atom to k images of each within the reach of a cutoff, infinite beyond it and to itself.

    None where the cell is so flat or long that there would be more than `MAX_PAIRS`.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell.L), axis=0)
    reach = np.ceil(cutoff / heights).astype(int) + 1
    num = len(cell.z)
    if num**2 * np.prod(2.0 * reach + 1) > MAX_PAIRS:
        return None
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    delta = cell.x[None] - cell.x[:, None]
    delta -= np.round(delta)
    found = np.linalg.norm((delta[:, :, None] + shifts) @ cell.L, axis=-1)
    found[np.arange(num), np.arange(num), len(shifts) // 2] = np.inf
    return np.where(found <= cutoff, found, np.inf)


def _bonds(cell: AtomicStructure, distance: np.ndarray, charge: np.ndarray) -> dict[str, Any]:
    """Instability index and cations without anions of a crystal with oxidation states."""
    opposite = charge[:, None] * charge[None] < 0
    radii = COVALENT_RADII[cell.z]
    near = (distance <= (REACH * (radii[:, None] + radii[None]))[..., None]) & opposite[..., None]
    cations = charge > 0
    bare = int((near.sum(axis=(1, 2))[cations] <= 1).sum())
    found: dict[str, Any] = {"bare": bare, "cations": int(cations.sum())}
    lengths = bond_lengths(tuple(sorted({int(z) for z in cell.z})))
    if lengths is not None:
        places = {z: i for i, z in enumerate(sorted({int(z) for z in cell.z}))}
        row = np.array([places[int(z)] for z in cell.z])
        valence = np.where(
            opposite[..., None], np.exp((lengths[np.ix_(row, row)][..., None] - distance) / SOFTNESS), 0.0
        )
        away = valence.sum(axis=(1, 2)) - np.abs(charge)
        found["gii"] = float(np.sqrt(np.mean(away**2)))
    return found


@cache
def bond_lengths(numbers: tuple[int, ...]) -> np.ndarray | None:
    """(k, k) lengths of bonds of unit valence between elements, angstrom; None where an element has no parameters.

    Source: O'Keeffe and Brese 1991, equation 3, with the sizes and electronegativities of pymatgen's table.
    """
    from pymatgen.analysis.bond_valence import BV_PARAMS
    from pymatgen.core import Element

    known = [BV_PARAMS.get(Element.from_Z(z)) for z in numbers]
    if any(entry is None for entry in known):
        return None
    r = np.array([entry["r"] for entry in known])[:, None]
    c = np.array([entry["c"] for entry in known])[:, None]
    lengths: np.ndarray = r + r.T - r * r.T * (np.sqrt(c) - np.sqrt(c.T)) ** 2 / (c * r + c.T * r.T)
    return lengths
