"""Plain structures to and from pymatgen and ASE, to POSCAR and extxyz; files read by the kind their name tells.

Owns `read_file` and the conversions of plain structures. pymatgen and ase are imported on use. A `Crystal` is expanded to atoms
first; the way back from atoms to a crystal needs tolerances and is `symjax.data.convert`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from symjax.crystals.io.files import read_text
from symjax.crystals.io.parse import READERS
from symjax.crystals.io.report import Reading, UnusableCrystal
from symjax.crystals.types import AtomicStructure, Crystal
from symjax.elements import symbol as element_symbol
from symjax.errors import DataError, InputError


def as_structure(crystal: Crystal | AtomicStructure) -> AtomicStructure:
    """All atoms of the cell."""
    return crystal.atoms() if isinstance(crystal, Crystal) else crystal


def to_pymatgen(crystal: Crystal | AtomicStructure) -> Any:
    """`pymatgen.core.Structure` with all atoms of the cell.

    Raises:
        ValueError: an atomic number that is none (0 would become pymatgen's dummy species).
    """
    from pymatgen.core import Element, Lattice, Structure

    plain = as_structure(crystal)
    return Structure(Lattice(plain.L), [Element.from_Z(int(z)) for z in plain.z], plain.x)


def from_pymatgen(structure: Any) -> AtomicStructure:
    """From an ordered `pymatgen.core.Structure`.

    Raises:
        UnusableCrystal: partial occupancy or a dummy species.
    """
    if not structure.is_ordered:
        raise UnusableCrystal("occupancy", f"partial occupancy in {structure.composition.reduced_formula}")
    numbers = [getattr(site.specie, "Z", 0) for site in structure]
    if not numbers or min(numbers) < 1:
        raise UnusableCrystal("unknown element", "a site holds no element, or there are no sites")
    return AtomicStructure(L=structure.lattice.matrix, z=np.array(numbers), x=structure.frac_coords)


def to_ase(crystal: Crystal | AtomicStructure) -> Any:
    """Periodic `ase.Atoms` with all atoms of the cell."""
    from ase import Atoms

    plain = as_structure(crystal)
    return Atoms(numbers=plain.z, scaled_positions=plain.x, cell=plain.L, pbc=True)


def from_ase(atoms: Any) -> AtomicStructure:
    """From `ase.Atoms` with a three-dimensional cell.

    Raises:
        UnusableCrystal: no cell, no atoms, or atoms without an element.
    """
    L = np.asarray(atoms.cell.array, float)
    if abs(np.linalg.det(L)) < 1e-6:
        raise UnusableCrystal("zero volume", "the atoms have no three-dimensional cell")
    if len(atoms) == 0 or (atoms.numbers < 1).any():
        raise UnusableCrystal("unknown element", "no atoms, or an atom without an element")
    return AtomicStructure(L=L, z=atoms.numbers, x=atoms.positions @ np.linalg.inv(L))


def format_poscar(crystal: Crystal | AtomicStructure, comment: str = "") -> str:
    """VASP 5 POSCAR text in direct coordinates, atoms sorted by element."""
    plain = as_structure(crystal)
    kinds = sorted({int(z) for z in plain.z}, key=lambda z: [element_symbol(z)])
    counts = [int((plain.z == z).sum()) for z in kinds]
    names = [element_symbol(z) for z in kinds]
    lines = [comment or "".join(f"{n}{c}" for n, c in zip(names, counts, strict=True)), "1.0"]
    lines += ["  ".join(f"{v:18.12f}" for v in row) for row in plain.L]
    lines += [" ".join(names), " ".join(map(str, counts)), "Direct"]
    for z in kinds:
        lines += ["  ".join(f"{v:18.14f}" for v in x) for x in plain.x[plain.z == z]]
    return "\n".join(lines) + "\n"


def format_extxyz(crystal: Crystal | AtomicStructure, **info: Any) -> str:
    """One extxyz frame; ``info`` goes to the comment line as key="value"."""
    plain = as_structure(crystal)
    lattice = " ".join(f"{v:.12g}" for v in plain.L.reshape(-1))
    extra = "".join(f' {key}="{value}"' for key, value in info.items())
    lines = [str(len(plain.z)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"{extra}']
    cartesian = plain.x @ plain.L
    lines += [
        f"{element_symbol(z):2s} " + " ".join(f"{v:18.12f}" for v in place)
        for z, place in zip(plain.z, cartesian, strict=True)
    ]
    return "\n".join(lines) + "\n"


def kind_of_file(path: str | Path) -> str | None:
    """``cif``, ``poscar``, ``extxyz``, ``json`` or ``jsonl`` by a file's name, compressed or not; None for any other."""
    name = Path(path).name.lower().removesuffix(".gz")
    if name.endswith((".cif", ".mcif")):
        return "cif"
    if name.endswith((".vasp", ".poscar")) or name.startswith(("poscar", "contcar")):
        return "poscar"
    if name.endswith((".xyz", ".extxyz")):
        return "extxyz"
    return "jsonl" if name.endswith(".jsonl") else "json" if name.endswith(".json") else None


def read_file(path: str | Path) -> Reading:
    """The first structure of a CIF, POSCAR (``POSCAR*``, ``CONTCAR*``, ``.vasp``, ``.poscar``) or (ext)xyz file, plain or gzipped.

    Raises:
        InputError: no such file, an unknown kind of file, or unreadable bytes.
        UnusableCrystal: the file holds no sound crystal; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    kind = kind_of_file(path)
    if kind not in ("cif", "poscar", "extxyz"):
        raise InputError(
            f"{path}: cannot tell the kind of file from its name; .cif, POSCAR, .vasp and .extxyz are read"
        )
    try:
        text = read_text(path)
    except DataError as error:
        raise InputError(str(error)) from error
    try:
        return READERS[kind](text)
    except UnusableCrystal as error:
        raise UnusableCrystal(error.kind, f"{path}: {error}") from error


def read_structure(path: str | Path) -> AtomicStructure:
    """`read_file` without its notes."""
    return read_file(path).structure
