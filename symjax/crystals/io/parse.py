"""Text to plain structures, and the rules for what is no sound crystal.

Owns `parse_cif`, `parse_extxyz`, `parse_pymatgen`, `check_structure` and the words of every reason for refusing. All of them raise
`UnusableCrystal`, which carries a short class of reasons beside its message. pymatgen and ase are imported on use.
"""

from __future__ import annotations

import io
import json

import numpy as np

from symjax.crystals.io.cif_read import read_cif
from symjax.crystals.io.report import UnusableCrystal
from symjax.crystals.types import AtomicStructure
from symjax.elements import atomic_number

MIN_DISTANCE = 0.5  # angstrom; closer atoms overlap (the shortest bond, H-H, is 0.74)


def parse_cif(text: str) -> AtomicStructure:
    """The first structure of a CIF with all the atoms of its cell; `read_cif` gives the notes as well.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    return read_cif(text).structure


def parse_extxyz(text: str) -> AtomicStructure:
    """One frame of an extxyz file, which must carry its lattice.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    from ase.io import read

    for i, line in enumerate(text.splitlines()[2:]):
        if line.split() and not line.split()[0].isdigit() and atomic_number(line.split()[0]) is None:
            raise UnusableCrystal("unknown element", f"atom {i + 1}: unknown element {line.split()[0]!r}")
    try:
        atoms = read(io.StringIO(text), format="extxyz")
    except Exception as error:  # ase raises many types on malformed frames
        raise UnusableCrystal("unreadable xyz", f"not readable as extxyz: {one_line(error)}") from error
    L = atoms.cell.array
    if len(atoms) == 0:
        raise UnusableCrystal("empty", "no atoms")
    if abs(np.linalg.det(L)) < 1e-6:
        raise UnusableCrystal("zero volume", 'the frame has no Lattice="..." entry or a cell of zero volume')
    return AtomicStructure(L=L, z=atoms.numbers, x=atoms.positions @ np.linalg.inv(L))


def parse_pymatgen(text: str) -> AtomicStructure:
    """A serialized pymatgen Structure (the JSON of ``Structure.as_dict()``).

    Raises:
        UnusableCrystal: with the reason in words.
    """
    from pymatgen.core import Structure

    try:
        structure = Structure.from_dict(json.loads(text))
    except Exception as error:  # pymatgen raises many types on dictionaries that are no structure
        raise UnusableCrystal("unreadable json", f"not a serialized pymatgen Structure: {one_line(error)}") from error
    if not len(structure):
        raise UnusableCrystal("empty", "no atoms")
    if not structure.is_ordered:
        site = next(s for s in structure if not s.is_ordered)
        raise UnusableCrystal(
            "occupancy", f"partial occupancy: {site.species_string} at {np.round(site.frac_coords, 4).tolist()}"
        )
    z = [getattr(site.specie, "Z", 0) for site in structure]
    if min(z) < 1:
        raise UnusableCrystal("unknown element", "a site holds no element (a dummy species)")
    return AtomicStructure(L=structure.lattice.matrix, z=np.array(z), x=structure.frac_coords)


def check_structure(structure: AtomicStructure, min_distance: float = MIN_DISTANCE) -> None:
    """Refuse cells and atoms that are no crystal.

    Args:
        structure: what to look at.
        min_distance: closer atoms overlap, angstrom.

    Raises:
        UnusableCrystal: no atoms, numbers that are not finite, zero volume, or atoms (or a lattice vector) too close.
    """
    from pymatgen.core import Lattice

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
    shortest = _shortest_vector(structure.L)
    if shortest < min_distance:
        raise UnusableCrystal(
            "overlap", f"the lattice has a vector of {shortest:.3f} angstrom, less than {min_distance}"
        )
    if len(structure.z) > 1 and min_distance > 0:
        distances = Lattice(structure.L).get_all_distances(structure.x, structure.x)
        np.fill_diagonal(distances, np.inf)
        i, j = np.unravel_index(int(np.argmin(distances)), distances.shape)
        if distances[i, j] < min_distance:
            reason = f"overlapping atoms: {i + 1} and {j + 1} are {distances[i, j]:.3f} angstrom apart"
            raise UnusableCrystal("overlap", reason)


def _shortest_vector(L: np.ndarray) -> float:
    """Length of the shortest lattice vector, angstrom: among the 26 neighbours in an LLL-reduced basis."""
    from pymatgen.core import Lattice

    reduced = Lattice(L).get_lll_reduced_lattice().matrix
    offsets = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T
    lengths = np.linalg.norm(offsets @ reduced, axis=1)
    return float(np.sort(lengths)[1])


def one_line(error: Exception) -> str:
    """An error's text without line breaks, cut to a readable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
