"""Lattices: log coordinates, invariant metrics, projectors; numpy and jax give the same."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax import lattice
from symjax.errors import SymjaxError
from symjax.groups import hall_setting, standard_frame, standard_setting

coefficients = st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6).map(np.array)

# Free metric parameters by crystal system, by the International Tables.
FREE = [(1, 2, 6), (3, 15, 4), (16, 74, 3), (75, 142, 2), (143, 194, 2), (195, 230, 1)]


def free_parameters(number):
    return next(free for first, last, free in FREE if first <= number <= last)


def test_k_basis_is_orthonormal_and_in_the_agreed_order():
    np.testing.assert_allclose(np.einsum("aij,bij->ab", lattice.K_BASIS, lattice.K_BASIS), np.eye(6), atol=1e-15)
    S = np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]])
    k = np.einsum("aij,ij->a", lattice.K_BASIS, S)
    expected = [2 * np.sqrt(2), 3 * np.sqrt(2), 5 * np.sqrt(2), -3 / np.sqrt(2), (5 - 12) / np.sqrt(6), 11 / np.sqrt(3)]
    np.testing.assert_allclose(k, expected, atol=1e-12)


@pytest.mark.parametrize("frame", [0, 1])
@given(k=coefficients)
@settings(max_examples=50)
def test_log_round_trip_metric_and_volume(frame, k):
    L = lattice.lattice_from_log(k, frame)
    np.testing.assert_allclose(lattice.log_from_lattice(L, frame), k, atol=1e-9)
    A = lattice.FRAMES[frame]
    S = np.einsum("a,aij->ij", k, lattice.K_BASIS)
    np.testing.assert_allclose(lattice.metric(L), A.T @ scipy.linalg.expm(2 * S) @ A, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(lattice.volume(L), np.linalg.det(A) * np.exp(np.sqrt(3) * k[5]), rtol=1e-9)
    assert np.linalg.det(L) > 0
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(lattice.log_from_lattice(-L @ rotation, frame), k, atol=1e-9)


@given(k=coefficients)
@settings(max_examples=20)
def test_cell_parameters_round_trip(k):
    L = lattice.lattice_from_log(k, 0)
    parameters = lattice.lattice_parameters(L)
    np.testing.assert_allclose(
        lattice.lattice_parameters(lattice.lattice_from_parameters(parameters)), parameters, rtol=1e-7
    )


def test_cell_parameters_of_a_hexagonal_cell():
    parameters = lattice.lattice_parameters(2 * lattice.FRAMES[1].T)
    np.testing.assert_allclose(parameters, [2, 2, 2, 90, 90, 120], atol=1e-12)


def test_jax_agrees_with_numpy_jits_and_batches():
    k = np.random.default_rng(1).normal(size=(2, 5, 6)) * 0.7
    frame = np.array([[0], [1]])
    host = lattice.lattice_from_log(k, frame)
    device = jax.jit(lattice.lattice_from_log)(jnp.asarray(k), jnp.asarray(frame))
    assert isinstance(host, np.ndarray) and host.dtype == np.float64
    np.testing.assert_allclose(device, host, rtol=2e-5, atol=2e-5)
    back = jax.jit(lattice.log_from_lattice)(device, jnp.asarray(frame))
    np.testing.assert_allclose(back, k, atol=3e-5)
    for number in (62, 166):
        W, of = standard_setting(number).W, standard_frame(number)
        np.testing.assert_allclose(
            jax.jit(lattice.k_projector, static_argnums=2)(jnp.asarray(W), None, of),
            lattice.k_projector(W, None, of),
            atol=1e-6,
        )


@pytest.mark.slow
def test_gradients_are_finite_at_cubic_lattices():
    """Equal eigenvalues make plain eigenvector derivatives NaN; cubic crystals sit there."""
    at = jnp.zeros(6).at[5].set(2.0)
    jacobian = jax.jacfwd(lambda k: lattice.log_from_lattice(lattice.lattice_from_log(k, 0), 0))(at)
    np.testing.assert_allclose(jacobian, np.eye(6), atol=1e-5)
    reverse = jax.jacrev(lambda k: lattice.log_from_lattice(lattice.lattice_from_log(k, 1), 1))(at + 0.3)
    np.testing.assert_allclose(reverse, np.eye(6), atol=1e-4)
    W = jnp.asarray(standard_setting(221).W)
    gradient = jax.grad(lambda G: lattice.metric_defects(W, G).sum())(jnp.eye(3))
    assert np.isfinite(gradient).all()


def test_all_230_groups_have_the_known_freedom_and_exact_projectors():
    rng = np.random.default_rng(2)
    for number in range(1, 231):
        W, frame = standard_setting(number).W, standard_frame(number)
        assert lattice.choose_frame(W) == frame, number
        R = lattice.frame_rotations(W, frame)
        np.testing.assert_allclose(R @ np.swapaxes(R, -1, -2), np.broadcast_to(np.eye(3), R.shape), atol=1e-14)
        P = lattice.k_projector(W, None, frame)
        np.testing.assert_allclose(P @ P, P, atol=1e-13)
        np.testing.assert_allclose(P[5, 5], 1.0, atol=1e-13)  # the volume is always free
        free = free_parameters(number)
        assert (round(np.trace(P)), int(lattice.num_free(W)), len(lattice.invariant_metrics(W))) == (free,) * 3, number
        k = rng.normal(size=6)
        L = lattice.lattice_from_log(lattice.project_k(k, P), frame)
        assert lattice.compatibility_defect(W, None, lattice.metric(L)) < 1e-12, number
        assert abs(np.log(lattice.volume(L) / lattice.volume(lattice.lattice_from_log(k, frame)))) < 1e-12
        A = rng.normal(size=(3, 3))
        G = lattice.project_metric(W, None, A @ A.T)
        assert lattice.compatibility_defect(W, None, G) < 1e-13 and np.linalg.eigvalsh(G).min() > 0, number


@given(seed=st.integers(0, 10_000), number=st.sampled_from([2, 15, 74, 141, 166, 194, 225]))
@settings(max_examples=25)
def test_metric_projection_in_any_basis(seed, number):
    rng = np.random.default_rng(seed)
    P = np.eye(3, dtype=int)
    for _ in range(6):
        i, j = rng.choice(3, 2, replace=False)
        P[:, i] += rng.choice([-1, 1]) * P[:, j]
    inverse = np.rint(np.linalg.inv(P)).astype(int)
    W = inverse @ standard_setting(number).W @ P
    metrics = lattice.invariant_metrics(W)
    assert len(metrics) == lattice.num_free(W) == free_parameters(number)
    A = rng.normal(size=(3, 3))
    G = lattice.project_metric(W, None, A @ A.T)
    assert lattice.compatibility_defect(W, None, G) < 1e-10
    np.testing.assert_allclose(
        np.einsum("dij,dkl,kl->ij", metrics, metrics, G), G, rtol=1e-8, atol=1e-8 * np.abs(G).max()
    )


def test_padding_changes_nothing():
    W = standard_setting(167).W
    padded = np.concatenate([W, np.full((4, 3, 3), 7, np.int32)])
    mask = np.arange(len(padded)) < len(W)
    G = np.array([[3.0, 0.2, 0.1], [0.2, 2.0, 0.3], [0.1, 0.3, 4.0]])
    np.testing.assert_allclose(lattice.project_metric(padded, mask, G), lattice.project_metric(W, None, G), atol=1e-14)
    np.testing.assert_allclose(lattice.compatibility_defect(padded, mask, G), lattice.compatibility_defect(W, None, G))
    np.testing.assert_allclose(lattice.k_projector(padded, mask, 1), lattice.k_projector(W, None, 1), atol=1e-14)
    assert lattice.num_free(padded, mask) == 2


def test_a_distorted_lattice_has_a_defect():
    W = standard_setting(221).W
    assert lattice.compatibility_defect(W, None, np.diag([1.0, 1.0, 1.1])) > 0.05


def test_frame_counts_over_the_530_settings():
    """Orthonormal frame only 441, hexagonal only 52, both 37 (all of them reported as orthonormal)."""
    counts = [0, 0]
    for hall in range(1, 531):
        counts[lattice.choose_frame(hall_setting(hall).W)] += 1
    assert counts == [478, 52]


@pytest.mark.parametrize(
    "call",
    [
        lambda: lattice.log_from_lattice(np.zeros((3, 3)), 0),
        lambda: lattice.log_from_lattice(np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]), 0),
        lambda: lattice.log_from_lattice(np.full((2, 3, 3), np.nan), 0),
        lambda: lattice.choose_frame([np.eye(3), [[1, 1, 0], [0, 1, 0], [0, 0, 1]]]),
        lambda: lattice.k_projector(standard_setting(194).W, None, 0),
    ],
)
def test_wrong_input_is_named(call):
    with pytest.raises(SymjaxError):
        call()


def test_axes_of_the_coefficients():
    """Each coefficient changes what its name says: shears of a pair of axes, axis ratios, the volume."""
    for index, (i, j) in enumerate(itertools.combinations(range(3), 2)):
        G = lattice.metric(lattice.lattice_from_log(np.eye(6)[index] * 0.3, 0))
        assert abs(G[i, j]) > 0.1 and np.abs(G - np.diag(np.diag(G))).sum() == pytest.approx(2 * abs(G[i, j]))
    assert np.ptp(np.diag(lattice.metric(lattice.lattice_from_log(np.eye(6)[5], 0)))) < 1e-12
