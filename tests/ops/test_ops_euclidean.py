"""The euclidean layer: agreement with the exact one through both frames, wrapping, and gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops_strategies import HEXAGONAL, any_op, crystal_op, distinct, frame_of, table_op, unimodular

from symjax.ops import BasisError, Motion, Op, OperationError, euclidean, exact

CELL = np.array([[5.1, -1.2, 0.4], [0.0, 4.7, 0.9], [0.0, 0.0, 6.3]])  # columns of a skew lattice
axes = st.lists(st.floats(-2, 2), min_size=3, max_size=3).map(np.array)


def close(a: Motion, b: Motion, atol: float = 1e-9) -> bool:
    return bool(np.allclose(a.R, b.R, atol=atol) and np.allclose(a.t, b.t, atol=atol))


@st.composite
def rigid(draw):
    """Random rigid motions, proper and improper."""
    Q, _ = np.linalg.qr(
        np.array(draw(st.lists(st.floats(-1, 1), min_size=9, max_size=9))).reshape(3, 3) + 2 * np.eye(3)
    )
    return Motion(Q * draw(st.sampled_from([1.0, -1.0])), draw(axes))


@given(rigid(), rigid(), rigid())
def test_group_laws(a, b, c):
    assert close(euclidean.compose(euclidean.compose(a, b), c), euclidean.compose(a, euclidean.compose(b, c)))
    assert close(euclidean.compose(a, euclidean.invert(a)), euclidean.identity(dtype=np.float64))
    assert close(euclidean.power(a, 3), euclidean.compose(a, euclidean.compose(a, a)))
    assert close(euclidean.power(a, -2), euclidean.invert(euclidean.compose(a, a)))
    assert close(euclidean.power(a, 0), euclidean.identity(dtype=np.float64))
    x = np.array([[0.3, -1.0, 2.0]])
    assert np.allclose(euclidean.apply(euclidean.compose(a, b), x), euclidean.apply(a, euclidean.apply(b, x)))


@given(table_op(), table_op())
def test_agrees_with_the_exact_layer_through_the_reference_frames(a, b):
    A = HEXAGONAL if np.array_equal(frame_of(a.W), HEXAGONAL) else frame_of(b.W)
    lift = lambda op: euclidean.from_exact(op, A)
    product = euclidean.compose(lift(a), lift(b))
    assert euclidean.equal(product, lift(exact.compose(a, b)), A, tol=1e-9)
    assert euclidean.equal(euclidean.invert(lift(a)), lift(exact.invert(a)), A, tol=1e-9)
    assert euclidean.equal(euclidean.power(lift(a), 5), lift(exact.power(a, 5)), A, tol=1e-9)
    assert euclidean.order(lift(a), A) == exact.order(a)
    assert close(euclidean.reduce(euclidean.from_exact(a, A), A, 1e-9), lift(exact.reduce(a)))
    x = np.array([0.1, 0.2, 0.3])
    assert np.allclose(euclidean.apply(lift(a), A @ x), A @ exact.apply(a, x))


@given(any_op(), unimodular(), st.lists(st.integers(-30, 30), min_size=3, max_size=3))
def test_change_of_basis_agrees_with_the_exact_layer(a, P, p):
    p = np.array(p, dtype=np.int32)
    moved = euclidean.change_basis(euclidean.from_exact(a, dtype=np.float64), P.astype(float), p / 24)
    assert euclidean.equal(moved, euclidean.from_exact(exact.change_basis(a, P, p), dtype=np.float64), tol=1e-6)


@given(crystal_op(), axes)
def test_conjugation_is_a_homomorphism_for_any_real_basis_and_origin(a, p):
    m = euclidean.from_exact(a, dtype=np.float64)
    change = lambda motion: euclidean.change_basis(motion, CELL, p)
    assert close(change(euclidean.compose(m, m)), euclidean.compose(change(m), change(m)), atol=1e-6)
    assert close(euclidean.change_basis(change(m), np.linalg.inv(CELL), -np.linalg.solve(CELL, p)), m, atol=1e-6)


def test_all_tabulated_rotations_are_orthogonal_in_their_frame():
    op = distinct()
    frames = np.stack([frame_of(W) for W in op.W])
    R = euclidean.from_exact(op, frames).R
    assert np.abs(np.swapaxes(R, -1, -2) @ R - np.eye(3)).max() < 1e-12
    assert set((frames[:, 0, 1] == 0).tolist()) == {True, False}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wrap_stays_below_one(dtype):
    x = np.array([-1e-9, 1 - 1e-9, -1e-17, 0.0, 1.0, -1.0, 7.25, -0.25, 1e-9, 0.5], dtype=dtype)
    y = euclidean.wrap(x)
    assert y.dtype == dtype and np.all((y >= 0) & (y < 1))
    assert np.all(np.abs(x - y - np.round(x - y)) <= 1e-6)
    assert euclidean.wrap(x, 1e-6).tolist() == [0, 0, 0, 0, 0, 0, 0.25, 0.75, 0, 0.5]
    jitted = np.asarray(jax.jit(euclidean.wrap)(jnp.asarray(x, dtype=jnp.float32)))
    assert np.all((jitted >= 0) & (jitted < 1))


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20))
def test_wrap_stays_below_one_for_any_float32(values):
    y = euclidean.wrap(np.array(values, dtype=np.float32))
    assert np.all((y >= 0) & (y < 1))


@pytest.mark.parametrize("eps", [-1e-9, 1 - 1e-9, -1e-6])
def test_reduce_at_the_wrap_in_a_skew_cell_float32(eps):
    t = (CELL @ np.array([eps, 0.5, 2.0])).astype(np.float32)
    m = Motion(np.eye(3, dtype=np.float32), t)
    A = CELL.astype(np.float32)
    reduced = euclidean.reduce(m, A, 1e-5)
    assert np.allclose(reduced.t, A @ np.array([0, 0.5, 0]), atol=2e-5) and reduced.t.dtype == np.float32
    assert euclidean.equal(m, reduced, A) and euclidean.equal(reduced, euclidean.reduce(reduced, A, 1e-5), A)


def test_noise_at_the_wrap_does_not_break_membership():
    rng = np.random.default_rng(0)
    op = distinct()
    m = euclidean.from_exact(op, dtype=np.float32)
    noisy = Motion(m.R, euclidean.wrap(m.t + rng.uniform(-1e-6, 1e-6, m.t.shape).astype(np.float32)))
    assert np.any(np.abs(noisy.t - m.t) > 0.9)  # the direct comparison would fail here
    assert np.all(euclidean.equal(noisy, m, tol=1e-5))


def test_repeated_composition_drifts_little_in_float32_when_reduced():
    screw = euclidean.from_exact(
        Op(np.array([[1, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([4, 8, 4])), dtype=np.float32
    )
    m = euclidean.identity()
    for _ in range(72):
        m = euclidean.reduce(euclidean.compose(m, screw))
    assert euclidean.equal(m, euclidean.identity(), tol=1e-5)


@pytest.mark.slow
def test_gradients_flow_through_every_function_and_are_right():
    op = exact.take(distinct(), np.arange(0, 882, 97))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(len(op.W), 3)), dtype=jnp.float32)

    def loss(A, t):
        m = euclidean.from_exact(Op(jnp.asarray(op.W), jnp.asarray(op.w)), A)
        m = Motion(m.R, m.t + t)
        m = euclidean.compose(euclidean.power(m, 2), euclidean.invert(m))
        m = euclidean.change_basis(m, A + 0.1 * jnp.eye(3), t)
        m = euclidean.reduce(m, A)
        return jnp.sum(jnp.sin(euclidean.apply(m, x)) * x)

    A, t = jnp.asarray(CELL, dtype=jnp.float32), jnp.array([0.11, -0.23, 0.31], dtype=jnp.float32)
    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(A, t)
    chex.assert_tree_all_finite(gradients)
    direction = (jnp.ones((3, 3)) * 0.3, jnp.array([0.2, -0.5, 0.1]))
    step = 3e-3
    change = loss(A + step * direction[0], t + step * direction[1]) - loss(
        A - step * direction[0], t - step * direction[1]
    )
    exact_change = sum(jnp.sum(g * d) for g, d in zip(gradients, direction))
    assert np.isclose(change / (2 * step), exact_change, rtol=2e-2, atol=2e-2)


def test_gradient_of_wrap_is_one_also_at_the_wrap():
    for tol in (0.0, 1e-6):
        slopes = jax.vmap(jax.grad(lambda x, tol=tol: euclidean.wrap(x, tol)))(jnp.array([-1e-9, 0.0, 1.0, 0.3]))
        assert np.array_equal(slopes, np.ones(4))


def test_jit_and_vmap_agree_with_numpy():
    op = distinct()
    A = HEXAGONAL.astype(np.float32)
    host = euclidean.reduce(euclidean.invert(euclidean.from_exact(op, A)), A, 1e-5)
    one = lambda W, w: euclidean.reduce(
        euclidean.invert(euclidean.from_exact(Op(W, w), jnp.asarray(A))), jnp.asarray(A), 1e-5
    )
    device = jax.jit(jax.vmap(one))(jnp.asarray(op.W), jnp.asarray(op.w))
    assert np.all(euclidean.equal(Motion(*map(np.asarray, device)), host, A, tol=1e-5))
    orders = jax.jit(lambda m: euclidean.order(m, jnp.asarray(A)))(euclidean.from_exact(Op(*map(jnp.asarray, op)), A))
    assert np.array_equal(orders, exact.order(op))


def test_order_is_zero_for_irrational_motions():
    c, s = np.cos(1.0), np.sin(1.0)
    turn = Motion(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.zeros(3))
    shift = Motion(np.eye(3), np.array([np.sqrt(2) / 10, 0, 0]))
    assert euclidean.order(turn) == 0 and euclidean.order(shift) == 0


def test_singular_bases_are_named():
    flat = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 1.0]])
    op = exact.identity()
    for call in (
        lambda: euclidean.from_exact(op, flat),
        lambda: euclidean.change_basis(euclidean.identity(), flat),
        lambda: euclidean.invert(Motion(flat, np.zeros(3))),
        lambda: euclidean.reduce(euclidean.identity(), flat * np.nan),
    ):
        with pytest.raises(BasisError, match="singular or not finite"):
            call()
    with pytest.raises(OperationError, match="Python int"):
        euclidean.power(euclidean.identity(), 0.5)
