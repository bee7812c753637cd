"""Crystals in and out: CIF, POSCAR, extxyz, pymatgen, ASE. Third-party packages are imported on use only."""

from symjax.crystals.io.cif import format_cif, formula_counts, write_cif
from symjax.crystals.io.cif_read import read_cif
from symjax.crystals.io.convert import (
    as_structure,
    format_extxyz,
    format_poscar,
    from_ase,
    from_pymatgen,
    read_file,
    read_structure,
    to_ase,
    to_pymatgen,
)
from symjax.crystals.io.parse import check_structure, parse_cif, parse_extxyz, parse_poscar, parse_pymatgen
from symjax.crystals.io.report import Note, Reading, UnusableCrystal

__all__ = [
    "Note",
    "Reading",
    "UnusableCrystal",
    "as_structure",
    "check_structure",
    "format_cif",
    "format_extxyz",
    "format_poscar",
    "formula_counts",
    "from_ase",
    "from_pymatgen",
    "parse_cif",
    "parse_extxyz",
    "parse_poscar",
    "parse_pymatgen",
    "read_cif",
    "read_file",
    "read_structure",
    "to_ase",
    "to_pymatgen",
    "write_cif",
]
