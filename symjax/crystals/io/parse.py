"""Text to plain structures, and the rules for what is no sound crystal.

Owns `parse_cif`, `parse_extxyz`, `parse_pymatgen`, `check_structure` and the words of every reason for refusing. All of them raise
`UnusableCrystal`, which carries a short class of reasons beside its message. pymatgen and ase are imported on use.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.elements import atomic_number
from symjax.errors import DataError

MIN_DISTANCE = 0.5  # angstrom; closer atoms overlap (the shortest bond, H-H, is 0.74)
_NUMBER = re.compile(r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?(\(\d+\))?\s*$")


class UnusableCrystal(DataError):
    """Text or numbers that are no sound, ordered crystal.

    Attributes:
        kind: short class of reasons, for counting: empty, truncated cif, unreadable cif, unreadable xyz, unknown element,
            occupancy, zero volume, overlap, not finite, and more where rows are treated.
    """

    def __init__(self, kind: str, reason: str) -> None:
        """Keep the class beside the message."""
        super().__init__(reason)
        self.kind = kind


def parse_cif(text: str) -> AtomicStructure:
    """The first structure of a CIF with all the atoms of its cell as given.

    Raises:
        UnusableCrystal: with the reason in words.
    """
    from pymatgen.io.cif import CifParser

    _check_cif_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parser = CifParser.from_str(text, occupancy_tolerance=1.0)
            blocks = parser.as_dict()
        except Exception as error:  # pymatgen raises many types on text that is not CIF
            raise UnusableCrystal("unreadable cif", f"not readable as CIF: {one_line(error)}") from error
        sites = _check_sites(blocks)
        try:
            structures = parser.parse_structures(primitive=False, on_error="raise")
        except Exception as error:
            kind = "occupancy" if "occupanc" in str(error).lower() else "unreadable cif"
            raise UnusableCrystal(kind, f"no structure in the CIF: {one_line(error)}") from error
    if not structures:
        raise UnusableCrystal("unreadable cif", "no structure in the CIF")
    structure = structures[0]
    if not structure.is_ordered:
        site = next(s for s in structure if not s.is_ordered)
        place = np.round(site.frac_coords, 4).tolist()
        raise UnusableCrystal("occupancy", f"partial occupancy: {site.species_string} at {place}")
    if len(structure) < sites and structure.composition.num_atoms < sites:
        raise UnusableCrystal("overlap", f"overlapping atoms: {sites} sites are listed, {len(structure)} are distinct")
    z = [getattr(site.specie, "Z", 0) for site in structure]
    if min(z) < 1:
        raise UnusableCrystal("unknown element", "a site holds no element (a dummy species)")
    return AtomicStructure(L=structure.lattice.matrix, z=np.array(z), x=structure.frac_coords)


def _check_cif_text(text: str) -> None:
    """Say which essential part of a CIF is missing before pymatgen says it less clearly."""
    if not text.strip():
        raise UnusableCrystal("empty", "empty CIF text")
    lowered = text.lower()
    if "data_" not in lowered and "_cell_length_a" not in lowered:
        raise UnusableCrystal("unreadable cif", f"not CIF text: it starts with {text.strip()[:40]!r}")
    keys = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    missing = [f"_cell_{key}" for key in keys if f"_cell_{key}" not in lowered and f"_cell.{key}" not in lowered]
    if missing:
        raise UnusableCrystal("truncated cif", f"truncated CIF: {missing[0]} is missing")
    if "_atom_site_fract_x" not in lowered and "_atom_site.fract_x" not in lowered:
        raise UnusableCrystal("truncated cif", "truncated CIF: no atom sites (_atom_site_fract_x is missing)")


def _check_sites(blocks: dict[str, Any]) -> int:
    """Number of listed sites; each needs a known element and three coordinates (pymatgen would skip it with a warning)."""
    for block in blocks.values():
        if "_atom_site_fract_x" not in block:
            continue
        _check_cell(block)
        coordinates = [_column(block, f"_atom_site_fract_{axis}") for axis in "xyz"]
        if len({len(values) for values in coordinates}) != 1 or not coordinates[0]:
            raise UnusableCrystal(
                "truncated cif", "truncated CIF: the columns of the atom sites have different lengths"
            )
        for axis, values in zip("xyz", coordinates, strict=True):
            for i, value in enumerate(values):
                if not _NUMBER.match(value):
                    raise UnusableCrystal(
                        "truncated cif", f"site {i + 1}: coordinate {axis} is not a number: {value!r}"
                    )
        typed = "_atom_site_type_symbol" in block
        symbols = _column(block, "_atom_site_type_symbol" if typed else "_atom_site_label")
        for i, name in enumerate(symbols):
            if not _known(name, typed):
                raise UnusableCrystal("unknown element", f"site {i + 1}: unknown element {name!r}")
        return len(coordinates[0])
    raise UnusableCrystal("truncated cif", "truncated CIF: no atom sites")


def _check_cell(block: dict[str, Any]) -> None:
    """Positive edges and angles that close a cell."""
    values = {}
    for key in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"):
        text = str(block.get(f"_cell_{key}", ""))
        if not _NUMBER.match(text):
            raise UnusableCrystal("truncated cif", f"_cell_{key} is not a number: {text!r}")
        values[key] = float(re.sub(r"\(\d+\)", "", text))
    for key, value in values.items():
        if value <= 0 or (key.startswith("angle") and value >= 180):
            raise UnusableCrystal("zero volume", f"zero volume: _cell_{key} is {value:g}")
    a, b, c = (np.cos(np.radians(values[f"angle_{name}"])) for name in ("alpha", "beta", "gamma"))
    if 1 - a * a - b * b - c * c + 2 * a * b * c <= 1e-9:
        raise UnusableCrystal(
            "zero volume", f"zero volume: the cell angles {list(values.values())[3:]} do not close a cell"
        )


def _column(block: dict[str, Any], name: str) -> list[str]:
    """A column of a loop as strings (a single value stands outside of loops)."""
    values = block.get(name) or []
    return [str(values)] if isinstance(values, str) else [str(v) for v in values]


def _known(name: str, typed: bool) -> bool:
    """Whether a type symbol (``Fe3+``) or, without types, a label (``FE1``) names an element."""
    match = re.match(r"^\d*([A-Za-z]{1,2})", name.strip())
    if not match:
        return False
    letters = match.group(1).capitalize()
    return atomic_number(letters) is not None or (not typed and atomic_number(letters[0]) is not None)


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
