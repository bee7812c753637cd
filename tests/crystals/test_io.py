"""Files: what is written is read back by other programs as the same crystal with the same group."""

import dataclasses
import io
import warnings

import numpy as np
import pytest

from symjax.crystals import AtomicStructure
from symjax.crystals.io import (
    UnusableCrystal,
    format_cif,
    format_extxyz,
    format_poscar,
    from_ase,
    from_pymatgen,
    parse_cif,
    parse_extxyz,
    parse_poscar,
    read_structure,
    to_ase,
    to_pymatgen,
    write_cif,
)
from symjax.crystals.io.cif import tabulated_number
from symjax.elements import SYMBOLS, atomic_number, symbol
from symjax.errors import InputError


def one_per_group(data):
    """The first prototype of each set of operations."""
    return np.unique(data.set_index, return_index=True)[1]


def same(a, b, tol=1e-6):
    """Same cell and same atoms modulo the lattice, in any order."""
    assert len(a.z) == len(b.z)
    np.testing.assert_allclose(a.L @ a.L.T, b.L @ b.L.T, atol=1e-5 * np.abs(a.L).max() ** 2)
    delta = a.x[:, None] - b.x[None]
    near = (np.abs(delta - np.rint(delta)).max(axis=-1) < tol) & (a.z[:, None] == b.z[None])
    assert (near.sum(axis=0) == 1).all() and (near.sum(axis=1) == 1).all()


def crystals_and_numbers(data):
    numbers = data.meta["space_group_numbers"]
    for i in one_per_group(data):
        yield data.crystal(i), numbers[data.set_index[i]]


def test_cif_pymatgen_and_spglib(prototype_dataset):
    """pymatgen expands the asymmetric unit with the operations written; spglib finds the group in the atoms."""
    import spglib

    for crystal, number in crystals_and_numbers(prototype_dataset):
        read = parse_cif(format_cif(crystal))
        same(read, crystal.atoms(), tol=1e-4)
        found = spglib.get_symmetry_dataset((read.L, read.x, read.z), symprec=0.01)
        assert found.number == number


def test_cif_gemmi(prototype_dataset):
    """gemmi reads operations, cell and sites; its own expansion gives the same atoms, its group has the same number."""
    import gemmi

    for crystal, number in crystals_and_numbers(prototype_dataset):
        small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(format_cif(crystal)).sole_block())
        assert small.spacegroup is not None and small.spacegroup.number == number
        assert len(small.sites) == len(crystal.z)
        sites = small.get_all_unit_cell_sites()
        z = np.array([site.element.atomic_number for site in sites])
        x = np.array([site.fract.tolist() for site in sites])
        same(AtomicStructure(L=crystal.L, z=z, x=x), crystal.atoms(), tol=1e-4)


def test_cif_ase(prototype_dataset):
    """ASE builds the same atoms from the operations."""
    from ase.io import read

    for crystal, _ in list(crystals_and_numbers(prototype_dataset))[::3]:
        if crystal.num_atoms > 100:
            continue  # ASE compares all pairs of sites in Python
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = read(io.StringIO(format_cif(crystal)), format="cif")
        same(from_ase(atoms), crystal.atoms(), tol=1e-4)


def test_cif_with_symbol_and_number(prototype_dataset):
    """The lines read off the set are written when given, and readers still agree."""
    crystal = next(c for c, number in crystals_and_numbers(prototype_dataset) if number == 225)
    text = format_cif(crystal, symbol="F m -3 m", number=225, name="rock salt")
    assert "_symmetry_space_group_name_H-M   'F m -3 m'" in text and "_symmetry_Int_Tables_number   225" in text
    assert text.splitlines()[1] == "data_rock_salt"
    assert text.count(" 'x, y, z'") == 1
    same(parse_cif(text), crystal.atoms(), tol=1e-4)


def test_cif_in_a_setting_of_no_table(prototype_dataset):
    """A set moved off its standard origin is written as it is; pymatgen and gemmi follow the operations, not the number."""
    import gemmi
    import spglib

    crystal = next(c for c, number in crystals_and_numbers(prototype_dataset) if number == 62)
    shift = np.array([1, 5, 2])  # new origin at -shift/24
    w = np.mod(crystal.w + shift - crystal.W @ shift, 24)
    moved = dataclasses.replace(crystal, w=w, x=crystal.x + shift / 24)
    assert tabulated_number(moved) is None and tabulated_number(crystal) == 62
    for number in (None, 62):
        read = parse_cif(format_cif(moved, number=number))
        same(read, moved.atoms(), tol=1e-4)
        assert spglib.get_symmetry_dataset((read.L, read.x, read.z), symprec=0.01).number == 62
        small = gemmi.make_small_structure_from_block(
            gemmi.cif.read_string(format_cif(moved, number=number)).sole_block()
        )
        assert len(small.symops) == len(moved.W)


@pytest.mark.parametrize("i", [0, 30, 111, 222, 280])
def test_other_formats_round_trip(prototype_dataset, i):
    crystal = prototype_dataset.crystal(i)
    atoms = crystal.atoms()
    same(from_pymatgen(to_pymatgen(crystal)), atoms)
    same(from_ase(to_ase(crystal)), atoms)
    same(parse_poscar(format_poscar(crystal)), atoms)
    same(parse_extxyz(format_extxyz(crystal, name="a b")), atoms)
    same(parse_cif(to_pymatgen(crystal.primitive()).to(fmt="cif")), crystal.primitive(), tol=1e-4)


def test_files_are_read_by_name(prototype_dataset, tmp_path):
    crystal = prototype_dataset.crystal(7)
    atoms = crystal.atoms()
    write_cif(tmp_path / "a.cif", crystal)
    (tmp_path / "POSCAR").write_text(format_poscar(crystal))
    (tmp_path / "a.extxyz").write_text(format_extxyz(crystal) * 2)
    for name in ("a.cif", "POSCAR", "a.extxyz"):
        same(read_structure(tmp_path / name), atoms, tol=1e-4)
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(InputError, match="cannot tell the kind"):
        read_structure(tmp_path / "a.doc")
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "b.cif")
    with pytest.raises(InputError, match="cannot write"):
        write_cif(tmp_path / "none" / "a.cif", crystal)


def test_partial_occupancy_and_missing_cells_are_refused():
    from ase import Atoms
    from pymatgen.core import Lattice, Structure

    with pytest.raises(UnusableCrystal, match="partial occupancy"):
        from_pymatgen(Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]]))
    with pytest.raises(UnusableCrystal, match="cell"):
        from_ase(Atoms("H2", positions=[[0, 0, 0], [0, 0, 1]]))


def test_symbols_are_pymatgens():
    from pymatgen.core import Element

    assert [Element.from_Z(z).symbol for z in range(1, 119)] == list(SYMBOLS[1:])
    assert atomic_number("D") == 1 and atomic_number("Xx") is None
    with pytest.raises(InputError, match="119"):
        symbol(119)
