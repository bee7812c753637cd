"""A crystal goes to (operations, lattice, orbits, stabilizers) and back to the same structure."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher

from symjax.crystals import AtomicStructure
from symjax.crystals.io import to_pymatgen
from symjax.data.convert import crystal_from_structure, dataset_from_structures
from symjax.data.prototypes import prototype_rows
from symjax.data.rows import parse_row
from symjax.data.standardize import standardize
from symjax.errors import DataError
from symjax.testing import shared_data


def rebuilt(data, i):
    """The primitive cell made from the arrays alone."""
    crystal = data.crystal(i)
    orbits = slice(data.orbit_start[i], data.orbit_start[i + 1])
    return to_pymatgen(crystal.primitive(data.sets.pos_images[data.set_index[i], data.orbit_pos[orbits]]))


def test_every_sixth_prototype(prototype_dataset):
    rows, matcher = prototype_rows(), StructureMatcher()
    for i in range(0, len(rows), 6):
        source = to_pymatgen(parse_row(rows[prototype_dataset.row[i]]))
        distance = matcher.get_rms_dist(source, rebuilt(prototype_dataset, i))
        assert distance is not None and distance[0] < 0.02, rows[i].id


@pytest.mark.slow
@pytest.mark.parametrize("name", ["val"])
def test_every_row_of_real_data(name, tmp_path):
    """All 1,000 rows of mp20_open/val (about a minute)."""
    from symjax.data.prepare import prepare
    from symjax.data.readers import read_source

    path = shared_data(f"mp20_open/{name}.csv.gz")
    if path is None:
        pytest.skip("needs the shared data set mp20_open")
    report = prepare(path, tmp_path / "a.npz", progress=False)
    rows, matcher = read_source(path), StructureMatcher()
    assert not report.rejected and len(report.dataset) == len(rows) == 1000
    missed = [
        rows[i].id
        for i in range(len(rows))
        if not matcher.fit(to_pymatgen(parse_row(rows[i])), rebuilt(report.dataset, i))
    ]
    assert not missed, f"{len(missed)} of {len(rows)} rows do not come back: {missed[:10]}"


SHEARS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2), st.sampled_from([-1, 1])), max_size=3)


@settings(max_examples=25)
@given(st.integers(0, 287), SHEARS, st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.booleans())
def test_cell_origin_and_handedness_of_the_input_do_not_matter(prototypes, i, shears, shift, flip):
    """The same crystal in another basis, from another origin, left-handed: same group, orbits and volume."""
    base = prototypes[i]
    P = np.eye(3)
    for row, step, sign in shears:
        E = np.eye(3)
        E[row, (row + step) % 3] = sign
        P = P @ E
    if flip:
        P = -P
    # new rows = P^T rows, so columns get multiplied by P; coordinates by its inverse
    moved = AtomicStructure(L=P.T @ base.L, z=base.z, x=(base.x + shift) @ np.linalg.inv(P).T)
    one, two = standardize(base, 0.01), standardize(moved, 0.01)
    assert one.number == two.number
    assert sorted(one.z) == sorted(two.z)
    assert one.k[5] == pytest.approx(two.k[5], abs=1e-6)


@pytest.fixture(scope="module")
def prototypes():
    return [parse_row(row) for row in prototype_rows()]


@pytest.mark.parametrize("i", [4, 60, 150, 233])
def test_supercells_reduce(prototypes, i):
    """A doubled cell gives the same crystal as the single one."""
    base = prototypes[i]
    doubled = AtomicStructure(
        L=np.diag([1, 2, 1]) @ base.L, z=np.tile(base.z, 2), x=np.concatenate([base.x, base.x + [0, 1, 0]]) / [1, 2, 1]
    )
    one, two = standardize(base), standardize(doubled)
    assert one.number == two.number and one.k == pytest.approx(two.k, abs=1e-6)
    assert sorted(zip(one.z, one.pos, strict=True)) == sorted(zip(two.z, two.pos, strict=True)) or len(one.z) == len(
        two.z
    )


@settings(max_examples=15)
@given(st.integers(0, 287), st.integers(0, 2**31))
def test_noise_within_the_tolerance_is_symmetrized(prototypes, i, seed):
    """Displaced by 0.01 angstrom an atom comes back at its place; the structure matches and keeps whole orbits."""
    base = prototypes[i]
    noise = np.random.default_rng(seed).normal(size=base.x.shape)
    noisy = AtomicStructure(L=base.L, z=base.z, x=base.x + 0.004 * noise @ np.linalg.inv(base.L))
    clean, found = standardize(base), standardize(noisy)
    assert found.number == clean.number
    atoms = crystal_from_structure(noisy).atoms()
    assert StructureMatcher().fit(to_pymatgen(atoms), to_pymatgen(base))


def test_a_superstructure_is_not_averaged_away():
    """Seven atoms that a loose tolerance takes for one atom in seven small cells stay what they are."""
    rng = np.random.default_rng(0)
    x = np.array([[i / 7, 0, 0] for i in range(7)])
    base = AtomicStructure(L=np.diag([7 * 2.4, 2.4, 2.4]), z=np.full(7, 41), x=x)
    # displacements well below symprec keep the small cell, and the structure still matches
    near = AtomicStructure(L=base.L, z=base.z, x=x + rng.normal(size=x.shape) * 0.002 @ np.linalg.inv(base.L))
    assert standardize(near).number == 221
    from symjax.data.standardize import _keeps_structure

    alternating = base.x + np.array([[0, 0.3 * (-1) ** i / 2.4, 0] for i in range(7)])
    assert not _keeps_structure(standardize(base), AtomicStructure(L=base.L, z=base.z, x=alternating))


def test_from_pymatgen_and_ase():
    from ase.build import bulk
    from pymatgen.core import Lattice, Structure

    crystal = crystal_from_structure(bulk("Cu", "fcc", a=3.6))
    assert len(crystal.W) == 192 and crystal.num_atoms == 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    data = dataset_from_structures([salt, bulk("Si")], ids=["salt", "silicon"])
    assert data.formula.tolist() == ["Cl1 Na1", "Si1"] and data.num_atoms.tolist() == [8, 8]
    assert data.num_ops.tolist() == [192, 192] and data.num_orbits.tolist() == [2, 1]


def test_overlap_and_silly_tolerances_are_refused():
    structure = AtomicStructure(L=3 * np.eye(3), z=[1, 1], x=[[0, 0, 0], [0, 0, 0.01]])
    with pytest.raises(DataError, match=r"overlapping atoms: 1 and 2 are 0.030"):
        crystal_from_structure(structure)
    with pytest.raises(DataError, match="symprec"):
        crystal_from_structure(structure, symprec=0)
    with pytest.raises(DataError, match="symprec"):
        crystal_from_structure(structure, symprec=float("nan"))
    with pytest.raises(DataError, match="'structure-0' cannot be used: overlapping"):
        dataset_from_structures([structure])
