"""Orbits to atoms: coset images, positions in numpy and under jit, primitive cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.crystals import (
    Crystal,
    batch_images,
    coset_images,
    expand_crystal,
    expand_positions,
    primitive_structure,
    stack_crystals,
    unstack_crystals,
)
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
        crystal = unstack_crystals(data.batch([i]))[0]
        orbits = slice(data.orbit_start[i], data.orbit_start[i + 1])
        table = data.sets.pos_images[data.set_index[i], data.orbit_pos[orbits]][:, : len(crystal.W)]
        np.testing.assert_array_equal(coset_images(crystal.W, crystal.w, crystal.stab), table)


@pytest.mark.parametrize("i", SAMPLE)
def test_atoms_are_invariant_and_counted(prototype_dataset, i):
    """Every operation maps the atoms of each species on themselves; counts are |G|/|S|; no two atoms coincide."""
    crystal = unstack_crystals(prototype_dataset.batch([i]))[0]
    atoms = expand_crystal(crystal)
    assert len(atoms.z) == crystal.num_atoms == prototype_dataset.num_atoms[i]
    assert (distance_mod1(atoms.x, atoms.x) + np.eye(len(atoms.z)) > 1e-3).all()
    for W, w in list(zip(crystal.W, crystal.w, strict=True))[:: max(1, len(crystal.W) // 8)]:
        moved = atoms.x @ W.T + w / 24
        for z in np.unique(atoms.z):
            near = distance_mod1(moved[atoms.z == z], atoms.x[atoms.z == z])
            assert near.min(axis=1).max() < 1e-9


def test_representatives_are_fixed_by_their_stabilizers(prototype_dataset):
    batch = prototype_dataset.batch(range(len(prototype_dataset)))
    moved = np.einsum("bnij,bmj->bmni", batch.W, batch.x) + (batch.w / 24)[:, None] - batch.x[:, :, None]
    defect = np.abs(moved - np.rint(moved)).max(axis=-1)
    assert defect[batch.stab].max() < 1e-12


def test_lattices_are_compatible(prototype_dataset):
    from symjax.lattice import compatibility_defect, metric

    batch = prototype_dataset.batch(range(len(prototype_dataset)))
    assert compatibility_defect(batch.W, batch.op_mask, metric(batch.L)).max() < 1e-12


def test_numpy_and_jit_agree_on_a_padded_batch(prototype_dataset):
    batch = prototype_dataset.batch([0, 5, 40, 100], num_ops=192, num_orbits=12)
    images = batch_images(batch)
    positions, mask = expand_positions(batch.W, batch.w, batch.x, images)
    on_device = jax.jit(expand_positions)(*map(jnp.asarray, (batch.W, batch.w, batch.x, images)))
    delta = np.asarray(on_device[0]) - positions
    assert np.abs(delta - np.rint(delta)).max() < 1e-5
    np.testing.assert_array_equal(np.asarray(on_device[1]), mask)
    assert ((positions >= 0) & (positions < 1)).all()
    assert mask.sum(axis=(1, 2)).tolist() == prototype_dataset.num_atoms[[0, 5, 40, 100]].tolist()


def test_tiny_negative_coordinates_wrap_into_the_cell():
    W, w = np.eye(3, dtype=np.int32)[None], np.zeros((1, 3), np.int32)
    for dtype in (np.float32, np.float64):
        x = np.array([[-1e-9, -1e-18, 1 - 1e-17]], dtype)
        positions, _ = expand_positions(W, w, x, np.zeros((1, 1), np.int32))
        assert ((positions >= 0) & (positions < 1)).all()


def test_stack_and_unstack_are_inverse(prototype_dataset):
    crystals = unstack_crystals(prototype_dataset.batch([3, 17, 250]))
    again = unstack_crystals(stack_crystals(crystals, num_ops=192, num_orbits=40))
    for one, two in zip(crystals, again, strict=True):
        for name in ("W", "w", "L", "z", "x", "stab"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    with pytest.raises(InputError, match="more than the bucket"):
        stack_crystals(crystals, num_ops=4)


def test_primitive_cells_have_the_share_of_atoms(prototype_dataset):
    for i in SAMPLE:
        crystal = unstack_crystals(prototype_dataset.batch([i]))[0]
        primitive = primitive_structure(crystal)
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
