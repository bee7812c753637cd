"""The exact layer: group laws, orders, basis changes, canonical order and hashes, on numpy and under jit and vmap."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops_strategies import any_op, crystal_op, dens, distinct, settings_530, unimodular, vectors

from symjax.ops import Op, OperationError, as_op, exact


def same(a: Op, b: Op, den: int = 24) -> bool:
    return bool(np.all(exact.equal(a, b, den)))


def to_jax(op: Op) -> Op:
    return Op(jnp.asarray(op.W), jnp.asarray(op.w))


def pairs(op: Op) -> Op:
    return exact.compose(Op(op.W[:, None], op.w[:, None]), Op(op.W[None], op.w[None]))


@given(any_op(), any_op(), any_op(), dens)
def test_composition_is_associative_and_reduced(a, b, c, den):
    left = exact.compose(exact.compose(a, b, den), c, den)
    right = exact.compose(a, exact.compose(b, c, den), den)
    assert np.array_equal(left.W, right.W) and np.array_equal(left.w, right.w)
    assert left.W.dtype == left.w.dtype == np.int32
    assert left.w.min() >= 0 and left.w.max() < den


@given(any_op(), dens)
def test_inverse_on_both_sides(a, den):
    inverse = exact.invert(a, den)
    assert same(exact.compose(a, inverse, den), exact.identity(), den)
    assert same(exact.compose(inverse, a, den), exact.identity(), den)


@given(any_op(), any_op(), dens)
def test_composition_applies_the_right_factor_first(a, b, den):
    x = np.array([[0.1, 0.27, -0.4], [3.5, 0.0, 0.25]])
    product = Op(a.W @ b.W, a.W @ b.w + a.w)  # not reduced, so no lattice vector to forget
    assert np.allclose(exact.apply(product, x, den), exact.apply(a, exact.apply(b, x, den), den), atol=1e-9)
    assert same(exact.compose(a, b, den), product, den)


@given(crystal_op(), st.integers(-7, 7), st.integers(-7, 7), dens)
def test_powers_add(a, m, n, den):
    product = exact.compose(exact.power(a, m, den), exact.power(a, n, den), den)
    assert same(exact.power(a, m + n, den), product, den)


@given(crystal_op(), dens)
def test_order_is_the_first_power_that_is_the_identity(a, den):
    order = int(exact.order(a, den))
    assert order > 0
    powers, current = [], a
    for _ in range(order):
        powers.append(same(current, exact.identity(), den))
        current = exact.compose(current, a, den)
    assert powers == [False] * (order - 1) + [True]


def test_order_of_infinite_rotation_parts_is_zero():
    shear = as_op([[1, 1, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
    hyperbolic = as_op([[2, 1, 0], [1, 1, 0], [0, 0, 1]], [3, 0, 0])
    assert exact.order(shear) == 0 and exact.order(hyperbolic) == 0


@given(crystal_op(), crystal_op(), unimodular(), vectors, dens)
def test_change_of_basis_is_a_homomorphism_with_an_inverse(a, b, P, p, den):
    change = lambda op: exact.change_basis(op, P, p, den)
    assert same(change(exact.compose(a, b, den)), exact.compose(change(a), change(b), den), den)
    back_P = exact.inverse_matrix(P)
    back_p = -(back_P @ p)
    assert same(exact.change_basis(change(a), back_P, back_p, den), a, den)
    assert int(exact.order(change(a), den)) == int(exact.order(a, den))


@given(crystal_op(), unimodular(), vectors)
def test_change_of_basis_moves_points_the_same_way(a, P, p):
    x_new = np.array([0.13, 0.46, -0.21])
    x_old = P @ x_new + p / 24
    image = np.linalg.solve(P.astype(float), exact.apply(a, x_old) - p / 24)
    difference = exact.apply(exact.change_basis(a, P, p), x_new) - image
    assert np.allclose(difference, np.round(difference), atol=1e-6)


def test_integer_points_stay_integer_and_float_points_keep_their_dtype():
    op = settings_530()[522]
    grid = exact.apply_all(op, np.array([[1, 5, 23], [0, 0, 0]], dtype=np.int32))
    points = exact.apply_all(op, np.array([[1, 5, 23], [0, 0, 0]], dtype=np.float32) / np.float32(24))
    assert grid.dtype == np.int32 and points.dtype == np.float32 and points.shape == (192, 2, 3)
    assert np.allclose(points * 24, grid, atol=1e-4)


def test_reduce_and_equal_see_lattice_translations_as_nothing():
    op = distinct()
    shifted = Op(op.W, op.w + 24 * np.array([-3, 1, 40], dtype=np.int32))
    assert same(op, shifted) and np.array_equal(exact.reduce(shifted).w, op.w)
    assert not np.any(exact.equal(op, Op(op.W, op.w + 1)))


def test_jit_and_vmap_agree_with_numpy_for_all_pairs_of_the_largest_group():
    op = settings_530()[522]  # F d -3 m with origin choice 1 or 2: 192 operations
    host = pairs(op)
    device = jax.jit(pairs)(to_jax(op))
    row = lambda a: jax.vmap(lambda b: exact.compose(a, b))(to_jax(op))
    mapped = jax.jit(jax.vmap(row))(to_jax(op))
    for result in (device, mapped):
        assert result.W.dtype == jnp.int32 and np.array_equal(result.W, host.W) and np.array_equal(result.w, host.w)
    found, index = exact.isin(Op(host.W.reshape(-1, 3, 3), host.w.reshape(-1, 3)), op)
    assert found.all() and np.array_equal(np.sort(index.reshape(192, 192), axis=1), np.tile(np.arange(192), (192, 1)))


def test_every_function_gives_the_same_on_numpy_and_jax():
    op, key = distinct(), np.random.default_rng(0)
    P = np.array([[1, 1, 0], [0, 1, -1], [0, 0, 1]], dtype=np.int32)
    p = np.array([3, 5, 1], dtype=np.int32)
    mask = key.random(len(op.W)) < 0.7
    functions = [
        exact.invert,
        exact.reduce,
        exact.order,
        exact.hash_ops,
        exact.sort_key,
        exact.code,
        lambda o: exact.power(o, -3),
        lambda o: exact.power(o, 0),
        lambda o: exact.change_basis(o, P, p),
        lambda o: exact.canonical_order(o, mask),
        lambda o: exact.apply_all(o, np.array([[1, 2, 3]], dtype=np.int32)),
        lambda o: exact.isin(o, exact.take(o, np.arange(5))),
    ]
    for function in functions:
        host, device = function(op), jax.jit(function)(to_jax(op))
        chex.assert_trees_all_equal(jax.tree.map(np.asarray, device), jax.tree.map(np.asarray, host))
        assert [x.dtype for x in jax.tree.leaves(device)] == [x.dtype for x in jax.tree.leaves(host)]


def test_one_compilation_serves_every_batch_of_a_shape():
    traced = jax.jit(chex.assert_max_traces(pairs, n=1))
    for i in (0, 1, 2):
        traced(Op(jnp.full((4, 3, 3), i, dtype=jnp.int32), jnp.full((4, 3), i, dtype=jnp.int32)))


@given(st.randoms(use_true_random=False), st.integers(0, 529))
def test_canonical_order_does_not_depend_on_the_order_given(random, hall):
    op = settings_530()[hall]
    n = len(op.W)
    shuffled = list(range(n))
    random.shuffle(shuffled)
    mixed = exact.take(op, np.array(shuffled))
    first = exact.take(op, exact.canonical_order(op))
    second = exact.take(mixed, exact.canonical_order(mixed))
    assert np.array_equal(first.W, second.W) and np.array_equal(first.w, second.w)
    assert same(Op(first.W[0], first.w[0]), exact.identity())


def test_canonical_order_puts_padding_last_in_batches():
    op = exact.take(settings_530()[100], np.array([3, 0, 2, 1]))
    padded = Op(np.concatenate([op.W, exact.identity((3,)).W]), np.concatenate([op.w, exact.identity((3,)).w]))
    mask = np.arange(7) < 4
    order = exact.canonical_order(Op(padded.W[None], padded.w[None]), mask[None])
    assert order.shape == (1, 7) and set(order[0, :4]) == {0, 1, 2, 3} and order[0, 0] == 1
    assert np.array_equal(exact.take(padded, order[0]).W[:4], exact.take(op, exact.canonical_order(op)).W)


def test_identity_sorts_before_shears_and_translations():
    shear = as_op([[1, 1, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
    ops = Op(
        np.stack([shear.W, np.eye(3, dtype=np.int32), np.eye(3, dtype=np.int32)]),
        np.array([[0] * 3, [12] * 3, [0] * 3]),
    )
    assert exact.canonical_order(ops).tolist() == [2, 1, 0]


def test_hashes_and_codes_are_free_of_collisions_and_stable():
    op = distinct()
    assert len(np.unique(exact.hash_ops(op), axis=0)) == len(op.W) == 882
    assert len(np.unique(exact.code(op))) == 882 and exact.code(op).min() >= 0
    entries = np.random.default_rng(1).integers(-4, 5, size=(200_000, 3, 3)).astype(np.int32)
    distinct_matrices = len(np.unique(entries.reshape(-1, 9), axis=0))
    assert len(np.unique(exact.rotation_code(entries))) == distinct_matrices
    fourfold = as_op([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [0, 12, 30])
    assert exact.hash_ops(fourfold).tolist() == [-(9**7) + 9**5 + 1, 12 * 24 + 6]
    assert exact.code(exact.identity()) == sum((1 + (i % 4 == 0)) * 3 ** (8 - i) for i in range(9)) * 24**3
    assert exact.code(as_op([[2, 1, 0], [1, 1, 0], [0, 0, 1]], [0, 0, 0])) == -1


def test_a_denominator_per_operation():
    W = np.stack([np.eye(3, dtype=np.int32)] * 2)
    op, den = Op(W, np.array([[6, 0, 0], [6, 0, 0]], dtype=np.int32)), np.array([12, 18], dtype=np.int32)
    assert exact.order(op, den).tolist() == [2, 3]
    assert np.allclose(exact.apply(op, np.zeros((2, 3)), den)[:, 0], [1 / 2, 1 / 3])
    assert exact.compose(op, op, den).w[:, 0].tolist() == [0, 12]
    assert exact.hash_ops(op, den).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: as_op(np.eye(3), np.zeros(3, int)), "rotation part must have an integer dtype, got float64"),
        (lambda: as_op(np.eye(3, dtype=int), np.zeros(3)), "translation part must have an integer dtype"),
        (lambda: as_op(np.eye(2, dtype=int), np.zeros(3, int)), r"shape \(..., 3, 3\), got \(2, 2\)"),
        (lambda: as_op(np.eye(3, dtype=int), np.zeros(4, int)), r"shape \(..., 3\), got \(4,\)"),
        (lambda: as_op(np.ones((2, 3, 3), int), np.zeros((3, 3), int)), "do not fit"),
        (lambda: as_op(np.ones((2, 3, 3), int), np.zeros((2, 3), int)), r"\(0,\).*determinant 0"),
        (lambda: as_op(np.eye(3, dtype=int), np.array([2**40, 0, 0])), "beyond int32"),
        (lambda: exact.invert(Op(2 * np.eye(3, dtype=np.int32), np.zeros(3, np.int32))), "determinant 8"),
        (lambda: exact.power(exact.identity(), 1.5), "must be a Python int, got 1.5"),
        (lambda: exact.code(exact.identity(), 48), "1..47"),
        (lambda: exact.change_basis(exact.identity(), np.eye(3)), "change of basis P must have an integer dtype"),
        (lambda: exact.change_basis(exact.identity(), np.ones((3, 3), int)), "determinant 0"),
        (lambda: exact.change_basis(exact.identity(), np.eye(2, dtype=int)), "3, 3"),
        (lambda: exact.change_basis(exact.identity(), np.eye(3, dtype=int), np.zeros(3)), "origin shift p"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(OperationError, match=words):
        call()
