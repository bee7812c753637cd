"""A crystal of each of the 230 groups, written and read back by other programs: the same atoms, the same group."""

import io
import warnings

import numpy as np
import pytest

from symjax.crystals.io import format_cif, format_extxyz, format_poscar, from_ase, from_pymatgen, read_cif
from symjax.crystals.io.parse import READERS
from symjax.data.standardize import Standardized, nearest_on_flat, standard_set, standardize, to_crystal, wrap_on_flat
from symjax.lattice import log_from_metric, project_metric


def crystal_of(number):
    """Sulfur at a general position, nickel on the position of fewest atoms."""
    opset, table = standard_set(number)
    rng = np.random.default_rng(number)
    metric = np.diag([144.0, 169.0, 196.0]) + (lambda m: m + m.T)(
        rng.uniform(-9, 9, (3, 3))
    )  # wide: gemmi merges below 0.4 A
    k = log_from_metric(project_metric(opset.W, None, metric), int(table.frame[0]))
    live = np.flatnonzero(table.pos_mask[0])
    positions = [int(live[table.pos_mult[0, live].argmax()]), int(live[table.pos_mult[0, live].argmin()])]
    x = []  # far from special positions: gemmi merges atoms closer than 0.4 angstrom
    for position, point in zip(positions, ([0.0969, 0.2896, 0.3363], [0.2113, 0.0713, 0.4073]), strict=True):
        flat = table.pos_x0[0, position], table.pos_basis[0, position], int(table.pos_dof[0, position])
        x.append(wrap_on_flat(*flat, nearest_on_flat(*flat, np.array(point))))
    z = np.array([16, 28])
    parts = {"k": np.asarray(k), "z": z, "pos": np.array(positions), "x": np.array(x), "symprec": 0.01}
    return to_crystal(Standardized(number=number, transform=np.eye(3), origin=np.zeros(3), **parts))


def atoms_agree(one, two):
    """Same lengths and angles, same atoms modulo the lattice."""
    np.testing.assert_allclose(one.L @ one.L.T, two.L @ two.L.T, atol=1e-5)
    delta = one.x[:, None] - two.x[None]
    near = (np.abs(delta - np.rint(delta)).max(axis=-1) < 1e-5) & (one.z[:, None] == two.z[None])
    return len(one.z) == len(two.z) and bool((near.sum(axis=0) == 1).all())


def check(number):
    import gemmi
    import spglib
    from ase.io import read
    from pymatgen.core import Structure

    crystal = crystal_of(number)
    atoms = READERS["poscar"](format_poscar(crystal)).structure
    text = format_cif(crystal)
    own = read_cif(text)
    assert not own.notes and atoms_agree(own.structure, atoms)
    assert spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=1e-3).number == number
    assert standardize(own.structure, 0.01).number == number
    assert atoms_agree(READERS["extxyz"](format_extxyz(crystal)).structure, atoms)
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
    assert small.spacegroup.number == number and len(small.get_all_unit_cell_sites()) == len(atoms.z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [Structure.from_str(text, fmt="cif"), Structure.from_str(format_poscar(crystal), fmt="poscar")]
        if len(atoms.z) <= 100:  # ASE compares all pairs of sites in Python
            assert atoms_agree(from_ase(read(io.StringIO(text), format="cif")), atoms)
    assert all(atoms_agree(from_pymatgen(structure), atoms) for structure in theirs)
    assert atoms_agree(from_ase(read(io.StringIO(format_extxyz(crystal)), format="extxyz")), atoms)


@pytest.mark.parametrize("number", [2, 14, 146, 227])
def test_written_and_read_back(number):
    check(number)


@pytest.mark.slow
def test_all_groups_written_and_read_back():
    for number in range(1, 231):
        check(number)
