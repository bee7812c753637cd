"""Closed forms of the discrete process, the cosine levels, the cubic torus and the ancestral step, against slow definitions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.diffusion import discrete, gaussian, schedules, wrapped

ABAR = schedules.cosine_levels(1000)


def matrices(t, marginal):
    """One-step and whole transition matrices, rows = before, by multiplying the steps up."""
    d = len(marginal)
    whole, last = np.eye(d), np.eye(d)
    for s in range(1, t + 1):
        alpha = ABAR[s] / ABAR[s - 1]
        last = alpha * np.eye(d) + (1 - alpha) * np.ones((d, 1)) * marginal
        whole = whole @ last
    return last, whole


def test_levels_are_the_published_ones():
    """Levels of the public code of SymmCD: clipped rates, products of the clipped ones."""
    expected = {1: 0.9999, 100: 0.971719, 500: 0.493654, 900: 0.0240825, 999: 2.42783e-6, 1000: 2.42783e-10}
    for t, abar in expected.items():
        assert ABAR[t] == pytest.approx(abar, rel=1e-5)
    beta = 1 - ABAR[1:] / ABAR[:-1]
    assert beta.min() == pytest.approx(1e-4) and beta.max() == pytest.approx(0.9999)
    sigma = schedules.geometric_levels(1000, 0.005, 0.5)
    assert sigma[0] == 0 and sigma[1] == pytest.approx(0.005) and sigma[1000] == pytest.approx(0.5)


@pytest.mark.parametrize("t", [1, 2, 137, 1000])
def test_noised_probabilities_are_the_product_of_the_steps(t):
    marginal = np.random.default_rng(t).dirichlet(np.ones(7))
    _, whole = matrices(t, marginal)
    got = discrete.noised(jnp.arange(7), jnp.asarray(ABAR[t]), jnp.asarray(marginal))
    np.testing.assert_allclose(got, whole, atol=2e-6)


def test_the_end_of_the_process_is_the_marginal():
    marginal = np.random.default_rng(0).dirichlet(np.ones(13))
    index = jnp.full(20000, 3)
    end = discrete.noised(index[:1], jnp.asarray(ABAR[1000]), jnp.asarray(marginal))[0]
    np.testing.assert_allclose(end, marginal, atol=1e-6)
    drawn = discrete.perturb(jax.random.key(0), index, jnp.asarray(ABAR[1000]), jnp.asarray(marginal, jnp.float32))
    np.testing.assert_allclose(np.bincount(drawn, minlength=13) / 20000, marginal, atol=0.015)
    kept = discrete.perturb(jax.random.key(0), index, jnp.asarray(1.0), jnp.asarray(marginal, jnp.float32))
    assert (kept == 3).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), t=st.integers(1, 1000), zeros=st.integers(0, 3))
def test_posterior_is_bayes_rule_with_matrices(seed, t, zeros):
    """Sum over clean classes of p(d) q(s | z, d), each by the d x d matrices; classes that cannot be seen included."""
    rng = np.random.default_rng(seed)
    marginal = rng.dirichlet(np.ones(6))
    marginal[:zeros] = 0.0
    marginal /= marginal.sum()
    clean = rng.dirichlet(np.ones(6))
    before, whole = matrices(t - 1, marginal)[1], matrices(t, marginal)[1]
    last = matrices(t, marginal)[0]
    for z in range(6):
        likely = np.zeros(6)
        for d in range(6):
            if whole[d, z] > 1e-20:
                likely += clean[d] * last[:, z] * before[d] / whole[d, z]
        if not likely.sum():
            continue
        got = discrete.posterior(
            jnp.asarray(clean, jnp.float32),
            jnp.asarray(z),
            abar=jnp.asarray(ABAR[t], jnp.float32),
            abar_to=jnp.asarray(ABAR[t - 1], jnp.float32),
            marginal=jnp.asarray(marginal, jnp.float32),
        )
        assert float(got.sum()) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(got, likely / likely.sum(), atol=2e-3)


def test_a_row_without_any_possibility_becomes_the_observed_class():
    marginal = jnp.asarray([0.5, 0.5, 0.0])
    got = discrete.posterior(
        jnp.asarray([1.0, 0.0, 0.0]), jnp.asarray(2), abar=jnp.asarray(0.5), abar_to=jnp.asarray(0.6), marginal=marginal
    )
    np.testing.assert_allclose(got, [0.0, 0.0, 1.0])


def test_reverse_process_with_the_exact_prediction_gives_the_data_back():
    """The exact p(x_0 | x_t) of a two-peaked distribution, 50 steps of 1000: its frequencies come out."""
    data = jnp.asarray([0.7, 0.0, 0.3, 0.0, 0.0])
    marginal = jnp.asarray([0.1, 0.3, 0.2, 0.2, 0.2])
    times = np.round(np.linspace(1000, 0, 51)).astype(int)
    state = discrete.draw(jax.random.key(0), jnp.broadcast_to(marginal, (4000, 5)))
    for i, (t, to) in enumerate(itertools.pairwise(times)):
        abar, abar_to = jnp.asarray(ABAR[t], jnp.float32), jnp.asarray(ABAR[to], jnp.float32)
        joint = data[:, None] * discrete.noised(jnp.arange(5), abar, marginal)  # (clean, seen)
        clean = (joint / jnp.maximum(joint.sum(0), 1e-12)).T[state]
        new = discrete.posterior(clean, state, abar=abar, abar_to=abar_to, marginal=marginal)
        state = discrete.draw(jax.random.key(i + 1), new)
    np.testing.assert_allclose(np.bincount(state, minlength=5) / 4000, data, atol=0.03)


@pytest.mark.parametrize("draw", [discrete.draw, discrete.draw_by_inversion])
def test_classes_are_drawn_as_often_as_they_should_and_never_at_zero(draw):
    """Rows need not be normalised; a class of zero is drawn neither first, nor last, nor in between."""
    wanted = np.array([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    drawn = draw(jax.random.key(1), jnp.broadcast_to(jnp.asarray(7 * wanted), (20_000, 6)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=6) / 20_000, wanted, atol=0.015)
    assert set(np.unique(drawn)) == {1, 3, 4}
    tiny = draw(jax.random.key(2), jnp.broadcast_to(jnp.asarray([0.0, 1e-6, 1.0, 0.0]), (5000, 4)))
    assert set(np.unique(tiny)) <= {1, 2} and tiny.dtype == jnp.int32


def test_a_process_draws_in_either_way():
    marginal = jnp.broadcast_to(jnp.asarray([0.2, 0.0, 0.8]), (20_000, 3))
    for by_inversion in (False, True):
        process = discrete.DiscreteProcess(marginal, by_inversion=by_inversion)
        noisy, clean = process.perturb(jax.random.key(0), jnp.ones(20_000, jnp.int32), jnp.float32(0.5))
        np.testing.assert_allclose(np.bincount(noisy, minlength=3) / 20_000, [0.1, 0.5, 0.4], atol=0.015)
        np.testing.assert_allclose(np.bincount(process.prior(jax.random.key(1))) / 20_000, [0.2, 0, 0.8], atol=0.015)
        assert (clean == 1).all()


@settings(deadline=None, max_examples=30)
@given(delta=st.floats(-3, 3), log_sigma=st.floats(-5.3, -0.69))
def test_cubic_score_is_the_gradient_of_the_wrapped_density(delta, log_sigma):
    sigma = float(np.exp(log_sigma))

    def log_density(y):
        return jax.nn.logsumexp(-((y + jnp.arange(-15, 16)) ** 2) / (2 * sigma**2))

    by_autodiff = jax.grad(log_density)(jnp.asarray(delta, jnp.float32))
    got = wrapped.cubic_score(jnp.asarray(delta, jnp.float32), jnp.asarray(sigma, jnp.float32))
    assert float(got) == pytest.approx(float(by_autodiff), abs=2e-4 / sigma**2)


@pytest.mark.slow
def test_cubic_score_agrees_with_the_one_for_any_lattice():
    delta = jax.random.uniform(jax.random.key(0), (50, 3), minval=-0.5, maxval=0.5)
    sigma = jnp.full(50, 0.3)
    other = wrapped.scaled_score(jnp.broadcast_to(jnp.eye(3), (50, 3, 3)), delta, sigma) / sigma[:, None]
    np.testing.assert_allclose(wrapped.cubic_score(delta, sigma[:, None]), other, atol=1e-3)


def test_scale_of_the_score():
    """sigma^2 E[score^2]: one for narrow peaks; values of independent quadrature where images overlap; by sampling."""
    sigma = schedules.geometric_levels(1000, 0.005, 0.5)[[0, 1, 500, 700, 800, 900, 950, 1000]]
    got = wrapped.cubic_score_scale(sigma)
    assert got[0] == 1
    expected = [1, 1, 0.996696, 0.769779, 0.157911, 0.0247031, 0.00102103]
    np.testing.assert_allclose(got[1:] * sigma[1:] ** 2, expected, rtol=2e-5)
    drawn = sigma[5] * jax.random.normal(jax.random.key(0), (200_000,))
    assert float(jnp.mean(wrapped.cubic_score(drawn, jnp.asarray(sigma[5])) ** 2)) == pytest.approx(got[5], rel=0.02)


@pytest.mark.parametrize("t", [2, 100, 500, 999])
def test_ancestral_step_is_the_textbook_one(t):
    noisy, eps, fresh = jax.random.normal(jax.random.key(t), (3, 40, 6))
    abar, abar_to = ABAR[t], ABAR[t - 1]
    alpha, beta = abar / abar_to, 1 - abar / abar_to
    expected = (noisy - beta / np.sqrt(1 - abar) * eps) / np.sqrt(alpha) + np.sqrt(
        beta * (1 - abar_to) / (1 - abar)
    ) * fresh
    got = gaussian.ddpm_step(
        noisy, eps, fresh, abar=jnp.asarray(abar, jnp.float32), abar_to=jnp.asarray(abar_to, jnp.float32)
    )
    np.testing.assert_allclose(got, expected, atol=3e-3)


@pytest.mark.slow
def test_first_step_does_not_blow_up_and_last_gives_the_clean_value():
    noisy, eps, fresh = jax.random.normal(jax.random.key(0), (3, 2000, 6))
    first = gaussian.ddpm_step(noisy, eps, fresh, abar=jnp.asarray(ABAR[1000]), abar_to=jnp.asarray(ABAR[999]))
    assert float(first.std()) == pytest.approx(1.0, abs=0.02)  # the published one multiplies the error of eps by 100
    clean = jax.random.normal(jax.random.key(1), (2000, 6))
    abar = jnp.asarray(ABAR[1], jnp.float32)
    noisy = jnp.sqrt(abar) * clean + jnp.sqrt(1 - abar) * eps
    last = gaussian.ddpm_step(noisy, eps, fresh * 0, abar=abar, abar_to=jnp.asarray(1.0))
    np.testing.assert_allclose(last, clean, atol=1e-4)


def test_ancestral_steps_recover_the_moments_of_a_gaussian():
    mean, spread = 1.9, 0.23
    x = jax.random.normal(jax.random.key(0), (4000,))
    times = np.round(np.linspace(1000, 0, 201)).astype(int)
    for i, (t, to) in enumerate(itertools.pairwise(times)):
        abar = ABAR[t]
        variance = abar * spread**2 + 1 - abar
        eps = np.sqrt(1 - abar) * (x - np.sqrt(abar) * mean) / variance
        fresh = jax.random.normal(jax.random.key(i + 1), x.shape) * (to > 0)
        x = gaussian.ddpm_step(
            x, eps, fresh, abar=jnp.asarray(abar, jnp.float32), abar_to=jnp.asarray(ABAR[to], jnp.float32)
        )
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.std()) == pytest.approx(spread, rel=0.1)
