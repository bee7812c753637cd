"""Orbits to atoms: coset images, positions, primitive cells."""

import numpy as np
import pytest

from symjax.crystals import AtomicStructure, Crystal, coset_images
from symjax.errors import InputError, NotAGroupError
from symjax.groups.tables import standard_setting

SAMPLE = range(0, 288, 9)


def distance_mod1(a, b):
    """Largest component of the periodic difference, all pairs (a, b)."""
    delta = a[:, None] - b[None]
    return np.abs(delta - np.rint(delta)).max(axis=-1)


def test_images_are_those_of_the_table(prototype_dataset):
    """Cosets found from stabilizers are the ones the table of sets lists, for every orbit of a third of the prototypes."""
    data = prototype_dataset
    for i in range(0, len(data), 3):
        crystal = data.crystal(i)
        orbits = slice(data.orbit_start[i], data.orbit_start[i + 1])
        table = data.sets.pos_images[data.set_index[i], data.orbit_pos[orbits]][:, : len(crystal.W)]
        np.testing.assert_array_equal(coset_images(crystal.W, crystal.w, crystal.stab), table)


@pytest.mark.parametrize("i", SAMPLE)
def test_atoms_are_invariant_and_counted(prototype_dataset, i):
    """Every operation maps the atoms of each species on themselves; counts are |G|/|S|; no two atoms coincide."""
    crystal = prototype_dataset.crystal(i)
    atoms = crystal.atoms()
    assert len(atoms.z) == crystal.num_atoms == prototype_dataset.num_atoms[i]
    assert (distance_mod1(atoms.x, atoms.x) + np.eye(len(atoms.z)) > 1e-3).all()
    for W, w in list(zip(crystal.W, crystal.w, strict=True))[:: max(1, len(crystal.W) // 8)]:
        moved = atoms.x @ W.T + w / 24
        for z in np.unique(atoms.z):
            near = distance_mod1(moved[atoms.z == z], atoms.x[atoms.z == z])
            assert near.min(axis=1).max() < 1e-9


def test_representatives_are_fixed_by_their_stabilizers(prototype_dataset):
    for i in range(len(prototype_dataset)):
        one = prototype_dataset.crystal(i)
        moved = np.einsum("nij,mj->mni", one.W, one.x) + one.w / one.den - one.x[:, None]
        assert np.abs(moved - np.rint(moved)).max(axis=-1)[one.stab].max() < 1e-12


def test_lattices_are_compatible(prototype_dataset):
    from symjax.lattice import compatibility_defect

    for i in range(len(prototype_dataset)):
        one = prototype_dataset.crystal(i)
        assert compatibility_defect(one.W, np.ones(len(one.W), bool), one.L @ one.L.T) < 1e-12


def test_tiny_negative_coordinates_wrap_into_the_cell():
    """x - floor(x) rounds up to 1 for tiny negative x."""
    x = np.array([[-1e-9, -1e-18, 1 - 1e-17]])
    crystal = Crystal(W=np.eye(3)[None], w=np.zeros((1, 3)), L=np.eye(3), z=[1], x=x, stab=np.ones((1, 1)))
    for atoms in (crystal.atoms(), AtomicStructure(np.eye(3), [1], x).wrapped()):
        assert ((atoms.x >= 0) & (atoms.x < 1)).all()


def test_primitive_cells_have_the_share_of_atoms(prototype_dataset):
    for i in SAMPLE:
        crystal = prototype_dataset.crystal(i)
        primitive = crystal.primitive()
        centrings = int((crystal.W == np.eye(3)).all(axis=(1, 2)).sum())
        assert len(primitive.z) * centrings == crystal.num_atoms
        assert primitive.volume * centrings == pytest.approx(np.linalg.det(crystal.L))
        assert np.linalg.det(primitive.L) > 0


def test_wrong_stabilizers_are_refused():
    opset = standard_setting(225)
    stab = np.zeros((1, len(opset.W)), bool)
    with pytest.raises(NotAGroupError, match=r"identity|overlaps"):
        coset_images(opset.W, opset.w, stab)
    stab[0, [0, 1, 2]] = True  # three centring translations of four: no subgroup
    with pytest.raises(NotAGroupError, match="coset"):
        coset_images(opset.W, opset.w, stab)


def test_wrong_shapes_are_refused():
    eye, none = np.eye(3)[None], np.zeros((1, 3))
    with pytest.raises(InputError, match="'stab' has shape"):
        Crystal(W=eye, w=none, L=np.eye(3), z=[1], x=none, stab=np.ones((1, 2)))
    with pytest.raises(InputError, match="'x' has shape"):
        Crystal(W=eye, w=none, L=np.eye(3), z=[1], x=np.zeros((1, 2)), stab=np.ones((1, 1)))
