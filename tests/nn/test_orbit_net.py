"""Symmetries of the message-passing network and of its neighbour search, float32."""

import itertools

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from symjax.nn.orbit_net import OrbitNet, find_neighbours, rotate

OFFSETS = jnp.array(sorted(itertools.product((-1, 0, 1), repeat=3), key=lambda c: sum(abs(i) for i in c)))
NET = OrbitNet("8x0e+4x1o+2x2e", "6x0e+4x1o+2x2e", 2, 2, 10, 8, 8.0)
init, apply = jax.jit(NET.init), jax.jit(NET.apply)
search = jax.jit(find_neighbours, static_argnames="num")


def scene(seed=0, b=2, m=3):
    """Crystals with inversion as the only operation: atoms 2a and 2a + 1 are x_a and -x_a."""
    key = jax.random.key(seed)
    rep = jax.random.uniform(key, (b, m, 3))
    atom = jnp.stack([rep, -rep], 2).reshape(b, 2 * m, 3)
    lattice = 4.0 * (jnp.eye(3) + 0.15 * jax.random.normal(jax.random.fold_in(key, 1), (b, 3, 3)))
    rotation = jnp.broadcast_to(jnp.stack([jnp.eye(3), -jnp.eye(3)]), (b, m, 2, 3, 3)).reshape(b, 2 * m, 3, 3)
    return rep, atom, lattice, rotation


def evaluate(params, rep, atom, lattice, rotation, z=None):
    b, m, _ = rep.shape
    orbit = jnp.broadcast_to(jnp.repeat(jnp.arange(m), 2), (b, 2 * m))
    z = jnp.broadcast_to(jnp.arange(1, m + 1), (b, m)) if z is None else z
    edges = search(
        rep,
        atom,
        lattice=lattice,
        atom_mask=jnp.ones((b, 2 * m), bool),
        atom_orbit=orbit,
        home=jnp.broadcast_to(2 * jnp.arange(m), (b, m)),
        offsets=OFFSETS,
        num=12,
    )
    arguments = {
        "edges": edges,
        "atom_orbit": orbit,
        "atom_rotation": rotation,
        "orbit_weight": jnp.full((b, m), 1 / m),
        "tensor_state": jnp.zeros((b, 3, 3)),
    }
    inputs = (z, jnp.ones((b, m)), 0.1 * jnp.ones((b, m, 2)))
    if params is None:
        return init(jax.random.key(7), *inputs, **arguments)
    return apply(params, *inputs, **arguments)


@pytest.mark.parametrize("improper", [False, True])
def test_outputs_turn_with_the_crystal(improper):
    rep, atom, lattice, rotation = scene()
    params = evaluate(None, rep, atom, lattice, rotation)
    q = jnp.asarray(Rotation.random(random_state=2).as_matrix() * (-1 if improper else 1), jnp.float32)
    vector, matrix = evaluate(params, rep, atom, lattice, rotation)
    turned = jnp.einsum("ij,bajk,lk->bail", q, rotation, q)
    vector_q, matrix_q = evaluate(params, rep, atom, jnp.einsum("ij,bjk->bik", q, lattice), turned)
    assert float(jnp.abs(vector).max()) > 1e-3
    np.testing.assert_allclose(vector_q, vector @ q.T, atol=2e-5 + 1e-4 * float(jnp.abs(vector).max()))
    np.testing.assert_allclose(matrix_q, q @ matrix @ q.T, atol=2e-5 + 1e-4 * float(jnp.abs(matrix).max()))


def test_origin_and_orbit_order_do_not_matter():
    rep, atom, lattice, rotation = scene(1)
    params = evaluate(None, rep, atom, lattice, rotation)
    vector, matrix = evaluate(params, rep, atom, lattice, rotation)
    shift = jnp.array([0.3, 0.71, 0.05])
    moved = evaluate(params, rep + shift, atom + shift, lattice, rotation)
    np.testing.assert_allclose(moved[0], vector, atol=2e-5)
    order = jnp.array([2, 0, 1])
    atoms = atom.reshape(2, 3, 2, 3)[:, order].reshape(2, 6, 3)
    swapped = evaluate(params, rep[:, order], atoms, lattice, rotation, z=jnp.broadcast_to(order + 1, (2, 3)))
    np.testing.assert_allclose(swapped[0], vector[:, order], atol=2e-5)
    np.testing.assert_allclose(swapped[1], matrix, atol=2e-5)


def test_another_representative_gives_the_rotated_vector():
    """Describing orbit 1 by its inverted atom turns its vector by the inversion and leaves the rest alone."""
    rep, atom, lattice, rotation = scene(2)
    params = evaluate(None, rep, atom, lattice, rotation)
    vector, matrix = evaluate(params, rep, atom, lattice, rotation)
    flipped = rep.at[:, 1].multiply(-1)
    atoms = jnp.stack([flipped, -flipped], 2).reshape(2, 6, 3)
    other, other_matrix = evaluate(params, flipped, atoms, lattice, rotation)
    np.testing.assert_allclose(other[:, 1], -vector[:, 1], atol=2e-5)
    np.testing.assert_allclose(other[:, 0], vector[:, 0], atol=2e-5)
    np.testing.assert_allclose(other_matrix, matrix, atol=2e-5)


def test_neighbours_agree_with_a_plain_search():
    rep, atom, lattice, _ = scene(3, b=1)
    edges = search(
        rep,
        atom,
        lattice=lattice,
        atom_mask=jnp.ones((1, 6), bool),
        atom_orbit=jnp.zeros((1, 6), int),
        home=2 * jnp.arange(3)[None],
        offsets=OFFSETS,
        num=10,
    )
    cells = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    for i in range(3):
        every = (np.asarray(atom[0])[:, None] + cells - np.asarray(rep[0, i])) @ np.asarray(lattice[0]).T
        nearest = np.sort(np.linalg.norm(every, axis=-1).ravel())[1:11]
        np.testing.assert_allclose(np.sort(edges.distance[0, i]), nearest, rtol=1e-4)
    assert float(edges.envelope.min()) == 0.0  # the farthest kept neighbour carries no weight


def test_rotation_of_features_agrees_with_e3nn():
    """Features of vectors are turned as the features of the turned vectors; harmonics of a few vectors span their space."""
    rng = np.random.default_rng(0)
    scalars, ones, twos = (
        jnp.asarray(rng.normal(size=(4, mul, dim)), jnp.float32) for mul, dim in ((2, 1), (3, 3), (2, 3))
    )
    matrix = jnp.asarray(-Rotation.random(random_state=5).as_matrix(), jnp.float32)

    def features(turn):
        harmonics = [e3nn.spherical_harmonics(l, x @ turn.T, False).array for l, x in (("1o", ones), ("2e", twos))]
        return e3nn.from_chunks("2x0e+3x1o+2x2e", [scalars, *harmonics], (4,), jnp.float32)

    turned = rotate(features(jnp.eye(3)), jnp.broadcast_to(matrix, (4, 3, 3)))
    np.testing.assert_allclose(turned.array, features(matrix).array, atol=1e-5)
