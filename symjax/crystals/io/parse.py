"""Text to structures by the kind of text, and the rules for what is no sound crystal.

Owns `READERS`, `parse_cif`, `parse_extxyz`, `parse_poscar`, `parse_pymatgen` and `check_structure`. All of them raise
`UnusableCrystal`, which carries a short class of reasons beside its message. pymatgen is imported on use.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symjax.crystals.distances import ENTRIES
from symjax.crystals.io.atoms import read_extxyz, read_plain, read_poscar, read_pymatgen
from symjax.crystals.io.cif_read import read_cif
from symjax.crystals.io.report import Reading, UnusableCrystal
from symjax.crystals.types import AtomicStructure
from symjax.lattice.reduction import reduced_basis

_NEIGHBOURS = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
MIN_DISTANCE = 0.5  # angstrom; closer atoms overlap (the shortest bond, H-H, is 0.74)
READERS: dict[str, Callable[[str], Reading]] = {
    "cif": read_cif,
    "extxyz": read_extxyz,
    "poscar": read_poscar,
    "pymatgen": read_pymatgen,
    "json": read_plain,
}
"""Kind of text -> its reader; every one raises `UnusableCrystal` and nothing else for text that is no crystal."""


def parse_cif(text: str) -> AtomicStructure:
    """The first structure of a CIF with all the atoms of its cell; `read_cif` gives the notes as well."""
    return read_cif(text).structure


def parse_extxyz(text: str) -> AtomicStructure:
    """One frame of an extxyz file, which must carry its lattice; `read_extxyz` gives the notes as well."""
    return read_extxyz(text).structure


def parse_poscar(text: str) -> AtomicStructure:
    """A POSCAR; `read_poscar` gives the notes as well."""
    return read_poscar(text).structure


def parse_pymatgen(text: str) -> AtomicStructure:
    """A serialized pymatgen Structure; `read_pymatgen` gives the notes as well."""
    return read_pymatgen(text).structure


def check_structure(structure: AtomicStructure, min_distance: float = MIN_DISTANCE) -> None:
    """Refuse cells and atoms that are no crystal.

    Args:
        structure: what to look at.
        min_distance: closer atoms overlap, angstrom.

    Raises:
        UnusableCrystal: no atoms, numbers that are not finite, zero volume, or atoms (or a lattice vector) too close.
    """
    if len(structure.z) == 0:
        raise UnusableCrystal("empty", "no atoms")
    if not (np.isfinite(structure.L).all() and np.isfinite(structure.x).all()):
        raise UnusableCrystal("not finite", "the lattice or a coordinate is not a finite number")
    if structure.z.min() < 1 or structure.z.max() > 118:
        raise UnusableCrystal(
            "unknown element", f"atomic numbers {structure.z.min()} to {structure.z.max()} leave 1 to 118"
        )
    edges = np.linalg.norm(structure.L, axis=1)
    if structure.volume < 1e-3 or structure.volume < 1e-3 * np.prod(edges):
        reason = f"zero volume: {structure.volume:.3g} cubic angstrom with edges {np.round(edges, 4).tolist()}"
        raise UnusableCrystal("zero volume", reason)
    basis = reduced_basis(structure.L).T
    reduced = basis @ structure.L
    shortest = float(np.linalg.norm(reduced[0]))
    if shortest < min_distance:
        raise UnusableCrystal(
            "overlap", f"the lattice has a vector of {shortest:.3f} angstrom, less than {min_distance}"
        )
    if len(structure.z) > 1 and min_distance > 0:
        distance, i, j = _nearest_pair(reduced, structure.x @ np.linalg.inv(basis))
        if distance < min_distance:
            reason = f"overlapping atoms: {i + 1} and {j + 1} are {distance:.3f} angstrom apart"
            raise UnusableCrystal("overlap", reason)


def _nearest_pair(L: np.ndarray, x: np.ndarray) -> tuple[float, int, int]:
    """Shortest distance of two different atoms, angstrom, and which; the basis is reduced, so the nearest images are neighbours."""
    moves = _NEIGHBOURS @ L
    best = (np.inf, 0, 0)
    step = max(1, ENTRIES // (len(x) * len(moves)))
    for start in range(0, len(x), step):
        difference = x[start : start + step, None] - x[None]
        there = (difference - np.rint(difference)) @ L
        squared = np.full(there.shape[:2], np.inf)
        for move in moves:
            image = there + move
            np.minimum(squared, np.einsum("ijk,ijk->ij", image, image), out=squared)
        rows = np.arange(len(there))
        squared[rows, start + rows] = np.inf
        i, j = np.unravel_index(int(np.argmin(squared)), squared.shape)
        if squared[i, j] < best[0]:
            best = (float(squared[i, j]), start + int(i), int(j))
    return float(np.sqrt(best[0])), best[1], best[2]
