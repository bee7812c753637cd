"""Closed forms of the noise processes, and reverse diffusion with exact scores recovering known distributions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.diffusion import gaussian, schedules, wrapped

BASES = {
    0: np.zeros((3, 3)),
    1: np.array([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]]),
    2: np.array([[1.0, -0.5, 0], [0, np.sqrt(3) / 2, 0], [0, 0, 0]]),
    3: np.eye(3),
}


def log_density(basis, delta, sigma, reach=6):
    images = jnp.array(list(itertools.product(range(-reach, reach + 1), repeat=3)), jnp.float32)
    vectors = jnp.einsum("ij,nj->ni", basis, delta + images)
    return jax.nn.logsumexp(-jnp.sum(vectors**2, -1) / (2 * sigma**2))


@pytest.mark.parametrize("dof", [1, 2, 3])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**16), log_sigma=st.floats(-4.5, -0.4))
def test_scaled_score_is_the_gradient_of_the_wrapped_density(dof, seed, log_sigma):
    basis = jnp.asarray(BASES[dof], jnp.float32)
    sigma = float(np.exp(log_sigma))
    delta = jax.random.uniform(jax.random.key(seed), (3,), minval=-0.5, maxval=0.5) * wrapped.used_directions(basis)
    # the gradient along coordinates is the score pulled back by the basis
    by_hand = jax.grad(lambda d: log_density(basis, d, sigma))(delta)
    score = wrapped.scaled_score(basis, delta, jnp.asarray(sigma)) / sigma
    np.testing.assert_allclose(basis.T @ score, by_hand, atol=2e-2 * max(1.0, float(jnp.abs(by_hand).max())))


@pytest.mark.parametrize("dof", [0, 1, 2, 3])
def test_coordinates_project_onto_the_subspace(dof):
    basis = jnp.asarray(BASES[dof], jnp.float32)
    vector = jax.random.normal(jax.random.key(dof), (3,))
    projector = np.linalg.pinv(BASES[dof].T) @ BASES[dof].T
    np.testing.assert_allclose(basis @ wrapped.to_coordinates(basis, vector), projector @ vector, atol=1e-5)


@pytest.mark.slow
def test_reverse_diffusion_on_the_torus_recovers_a_wrapped_normal():
    """Start uniform on a diagonal line and on the cell, follow the exact score: mean and spread of the target come out."""
    for dof in (1, 3):
        basis = jnp.broadcast_to(jnp.asarray(BASES[dof], jnp.float32), (4000, 3, 3))
        centre, width = 0.9 * wrapped.used_directions(basis[0]), 0.06
        u = wrapped.uniform(jax.random.key(0), basis)
        times = np.linspace(1, 0, 61)
        for i, (now, after) in enumerate(itertools.pairwise(times)):
            sigma, sigma_to = (jnp.full(4000, schedules.geometric_sigma(t, 0.005, 0.7)) for t in (now, after))
            total = jnp.sqrt(sigma**2 + width**2)
            score = wrapped.scaled_score(basis, u - centre, total) / total[:, None] * sigma[:, None]
            fresh = wrapped.noise(jax.random.key(i + 1), basis)
            u = wrapped.reverse_step(basis, u, score, fresh, sigma=sigma, sigma_to=sigma_to, eta=1.0)
        error = np.einsum("bij,bj->bi", basis, wrapped.wrap(u - centre))
        assert abs(error.mean()) < 0.01
        assert np.sqrt((error**2).sum(-1).mean() / dof) == pytest.approx(width, rel=0.12)


@pytest.mark.slow
def test_gaussian_process_recovers_moments_inside_the_subspace():
    """Exact v-prediction for data N(mean, s^2) in the image of a projector: deterministic and ancestral sampling agree with it."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 3)))
    projector = jnp.broadcast_to(jnp.asarray(q @ q.T, jnp.float32), (4000, 6, 6))
    mean = gaussian.project(projector[0], jnp.arange(6.0) / 5)
    spread = 0.3
    for eta in (0.0, 1.0):
        x = gaussian.noise(jax.random.key(1), projector)
        times = np.linspace(1, 0, 101)
        for i, (now, after) in enumerate(itertools.pairwise(times)):
            level = [tuple(jnp.asarray(v) for v in schedules.cosine_alpha_sigma(jnp.asarray(t))) for t in (now, after)]
            alpha, sigma = level[0]
            variance = alpha**2 * spread**2 + sigma**2
            clean = mean + alpha * spread**2 / variance * (x - alpha * mean)
            eps = (x - alpha * clean) / jnp.maximum(sigma, 1e-4)
            v = alpha * eps - sigma * clean
            fresh = gaussian.noise(jax.random.key(100 + i), projector)
            x = gaussian.reverse_step(x, v, fresh, now=level[0], after=level[1], eta=eta)
        np.testing.assert_allclose(x @ (np.eye(6) - q @ q.T), 0.0, atol=1e-4)
        np.testing.assert_allclose(x.mean(0), mean, atol=0.03)
        assert float(jnp.sqrt(jnp.var(x @ q, axis=0).mean())) == pytest.approx(spread, rel=0.08)


def test_v_prediction_inverts_the_perturbation():
    key = jax.random.key(3)
    clean, eps = jax.random.normal(key, (2, 5, 6))
    alpha, sigma = schedules.cosine_alpha_sigma(jnp.asarray(0.37), 1.5)
    noisy, v = gaussian.perturb(clean, eps, alpha, sigma)
    back, back_eps = gaussian.split_v(noisy, v, alpha, sigma)
    np.testing.assert_allclose(back, clean, atol=1e-6)
    np.testing.assert_allclose(back_eps, eps, atol=1e-6)
    assert float(alpha**2 + sigma**2) == pytest.approx(1.0)
