"""The reverse loop: guidance, held values, correctors, parts of the way, random numbers; and kernels of discrete processes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.diffusion import schedules
from symjax.diffusion.discrete import DiscreteProcess, posterior
from symjax.diffusion.gaussian import NoiseProcess, VelocityProcess
from symjax.diffusion.guidance import allow_classes, chain, classifier_free, combine
from symjax.diffusion.process import deal, perturb, prior
from symjax.diffusion.reverse import Corrector, Grid, Hold, reverse
from symjax.diffusion.wrapped import CubicProcess, cubic_score

N, ABAR = 3000, schedules.cosine_levels(1000)
STEPS = np.round(np.linspace(1000, 0, 101)).astype(int)
ALPHA, SIGMA = (jnp.asarray(f(ABAR[STEPS]), jnp.float32) for f in (np.sqrt, lambda a: np.sqrt(1 - a)))
SPREAD = 0.5
VELOCITY = Grid(jnp.asarray(STEPS), {"x": (ALPHA, SIGMA)})


def velocity_of(mean, spread=SPREAD):
    """The exact v of data N(mean, spread^2), as a denoiser on `VELOCITY`."""

    def denoise(state, time):
        i = jnp.argmin(jnp.abs(VELOCITY.time - time))
        alpha, sigma, x = ALPHA[i], SIGMA[i], state["x"]
        variance = alpha**2 * spread**2 + sigma**2
        clean = mean + alpha * spread**2 / variance * (x - alpha * mean)
        eps = sigma * (x - alpha * mean) / variance
        return {"x": alpha * eps - sigma * clean}

    return denoise


def run(denoise, num=N, grid=VELOCITY, processes=None, seed=0, **given):
    processes = processes or {"x": VelocityProcess(jnp.broadcast_to(jnp.eye(2), (num, 2, 2)))}
    start, loop = jax.random.split(jax.random.key(seed))
    go = jax.jit(lambda loop, state: reverse(processes, denoise, grid, loop, state, **given))
    return go(loop, prior(processes, start))


def test_guidance_of_factor_one_is_none_and_moves_the_mean_as_computed():
    """Two Gaussians of one width: the guided score is that of the Gaussian of the same width with mean u + w (c - u)."""
    given, free = velocity_of(1.0), velocity_of(0.2)
    processes = {"x": VelocityProcess(jnp.broadcast_to(jnp.eye(2), (N, 2, 2)))}
    start, loop = jax.random.split(jax.random.key(0))
    state = prior(processes, start)

    @jax.jit
    def drawn(factor):
        guide = lambda outputs, state, time: combine(outputs, free(state, time), factor)
        return reverse(processes, given, VELOCITY, loop, state, guide=guide).state["x"]

    np.testing.assert_allclose(drawn(1.0), run(given).state["x"], atol=1e-4)
    for factor in (0.0, 2.0, 3.0):
        guided = drawn(factor)
        np.testing.assert_allclose(guided.mean(0), 0.2 + factor * 0.8, atol=0.04)
        assert float(guided.std()) == pytest.approx(SPREAD, rel=0.06)
    assert classifier_free(free, 1.0) is None
    time = VELOCITY.time[40]
    outputs = classifier_free(free, 2.0)(given(state, time), state, time)["x"]
    np.testing.assert_allclose(outputs, 2 * given(state, time)["x"] - free(state, time)["x"], atol=1e-5)


def test_the_gradient_of_a_penalty_shifts_the_mean():
    """A penalty linear in the clean value, told at each level: N(m, s^2) exp(-w x) = N(m - w s^2, s^2)."""
    weight = 1.5
    denoise = velocity_of(1.0)

    def guide(outputs, state, time):
        i = jnp.argmin(jnp.abs(VELOCITY.time - time))
        alpha, sigma = ALPHA[i], SIGMA[i]
        # E[exp(-w x0) | x] has the logarithm -w E[x0 | x] + constant; its gradient tilts the noise, and v = d eps / alpha
        gradient = jax.grad(lambda x: weight * (alpha * x - sigma * denoise({"x": x}, time)["x"]).sum())(state["x"])
        return {"x": outputs["x"] + sigma * gradient / jnp.maximum(alpha, 1e-3)}

    moved = run(denoise, guide=guide).state["x"]
    np.testing.assert_allclose(moved.mean(0), 1.0 - weight * SPREAD**2, atol=0.03)


def test_guides_follow_each_other():
    double = lambda outputs, state, time: {"x": 2 * outputs["x"]}
    assert chain(None, None) is None
    assert chain(double, None, double)({"x": jnp.ones(1)}, {}, jnp.zeros(()))["x"] == 4.0


INDEX = np.arange(999, -1, -9)
SHARES = Grid(jnp.asarray(INDEX), {"c": jnp.asarray(schedules.cosine_shares(1000)[INDEX], jnp.float32)})
DATA = jnp.asarray([0.5, 0.2, 0.3, 0.0])


@jax.jit
def draw_classes(key, state, marginal, allowed, first, last):
    """Part of the way of four classes with the frequencies `DATA`, by their exact p(clean | noisy)."""

    def denoise(state, time):
        abar = SHARES.levels["c"][jnp.argmin(jnp.abs(SHARES.time - time))]
        return {"c": jnp.log(DATA[:, None] * (abar * jnp.eye(4) + (1 - abar) * marginal)).T[state["c"]]}

    processes = {"c": DiscreteProcess(jnp.broadcast_to(marginal, (N, 4)))}
    start = {"c": jnp.where(first == 0, prior(processes, jax.random.fold_in(key, 999))["c"], state)}
    guide = allow_classes({"c": allowed})
    return reverse(processes, denoise, SHARES, key, start, guide=guide, steps=(first, last)).state["c"]


@pytest.mark.parametrize("marginal", [[0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]])
def test_every_kernel_gives_the_data_back_and_masks_hold(marginal):
    """Uniform, marginal and absorbing kernels on WyckoffDiff's schedule."""
    key, marginal, nothing = jax.random.key(0), jnp.asarray(marginal), jnp.zeros(N, int)
    every, end = jnp.ones(4, bool), len(INDEX) - 1
    drawn = draw_classes(key, nothing, marginal, every, 0, end)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / N, DATA, atol=0.04)
    allowed = jnp.asarray([True, False, True, False])
    assert set(np.unique(draw_classes(key, nothing, marginal, allowed, 0, end))) <= {0, 2}
    if marginal[0] == 1.0:  # a class once left for is kept
        half = np.asarray(draw_classes(key, nothing, marginal, every, 0, 60))
        later = np.asarray(draw_classes(jax.random.key(9), half, marginal, every, 60, end))
        assert 0 < (half > 0).sum() < N and (later == half)[half > 0].all()


def test_the_schedule_of_wyckoffdiff_and_its_posterior():
    """Published values of beta and of the kept share; posteriors of the public code for three classes."""
    shares = schedules.cosine_shares(1000)
    expected = {0: 0.999979, 100: 0.985685, 500: 0.701630, 900: 0.1536753, 998: 1.55845e-3, 999: 1.55845e-6}
    for t, share in expected.items():
        assert shares[t] == pytest.approx(share, rel=4e-6)
    cases = [
        ([1 / 3] * 3, 500, 0, [0.99615956, 0.00229214, 0.00154830]),
        ([1 / 3] * 3, 500, 1, [0.00103859, 0.99755090, 0.00141051]),
        ([0.7, 0.2, 0.1], 500, 1, [0.00133762, 0.99746179, 0.00120058]),
        ([1.0, 0.0, 0.0], 500, 0, [0.99702465, 0.00185959, 0.00111576]),
        ([1.0, 0.0, 0.0], 500, 1, [0.0, 1.0, 0.0]),
        ([1.0, 0.0, 0.0], 999, 0, [0.99875449, 0.00077845, 0.00046707]),
    ]
    clean = jnp.asarray([0.2, 0.5, 0.3])
    for marginal, t, seen, wanted in cases:
        got = posterior(
            clean,
            jnp.asarray(seen),
            abar=jnp.float32(shares[t]),
            abar_to=jnp.float32(shares[t - 1]),
            marginal=jnp.asarray(marginal),
        )
        np.testing.assert_allclose(got, wanted, atol=3e-6)


def test_held_values_come_out_and_the_rest_follows_them():
    """Two correlated coordinates, one held for half of the rows: the other's mean by the same linear updates of the means."""
    covariance, levels = np.array([[1.0, 0.8], [0.8, 1.0]]), jnp.asarray(ABAR[STEPS], jnp.float32)
    grid = Grid(jnp.asarray(STEPS), {"a": levels, "b": levels})

    def matrix(abar):
        return (1 - abar) ** 0.5 * jnp.linalg.inv(abar * covariance + (1 - abar) * jnp.eye(2))

    def denoise(state, time):
        abar = levels[jnp.argmin(jnp.abs(grid.time - time))]
        eps = jnp.concatenate([state["a"], state["b"]], axis=1) @ matrix(abar)
        return {"a": eps[:, :1], "b": eps[:, 1:]}

    processes = {name: NoiseProcess(jnp.ones((N, 1))) for name in "ab"}
    where = jnp.arange(N)[:, None] < N // 2
    out = run(denoise, grid=grid, processes=processes, hold=Hold({"a": jnp.full((N, 1), 1.2)}, where)).state
    np.testing.assert_allclose(out["a"][: N // 2], 1.2, atol=1e-4)
    mean, inverse = 0.0, np.array([np.linalg.inv(a * covariance + (1 - a) * np.eye(2)) for a in ABAR[STEPS]])
    for i, (abar, after) in enumerate(itertools.pairwise(ABAR[STEPS])):
        eps = (1 - abar) * (inverse[i] @ [1.2 * np.sqrt(abar), mean])[1]
        alpha = abar / after
        mean = (mean - (1 - alpha) / (1 - abar) * eps) / np.sqrt(alpha) if abar > 1e-8 else mean
    assert mean > 0.4 and float(out["b"][: N // 2].mean()) == pytest.approx(mean, abs=0.06)
    free = np.concatenate([out["a"], out["b"]], axis=1)[N // 2 :]
    np.testing.assert_allclose(np.cov(free.T), covariance, atol=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
def test_correctors_keep_the_distribution(before):
    sigma = np.concatenate([np.geomspace(0.5, 0.005, 60), [0.0]])
    levels = (jnp.asarray(sigma, jnp.float32), jnp.ones(61))
    grid, width = Grid(jnp.asarray(sigma, jnp.float32), {"x": levels}), 0.07
    processes = {"x": CubicProcess((1000, 1, 3), 0.005, 1e-6)}

    def denoise(state, time):
        return {"x": -cubic_score(state["x"] - 0.3, jnp.sqrt(time**2 + width**2))}

    error = run(denoise, grid=grid, processes=processes, corrector=Corrector(("x",), 2, before)).state["x"] - 0.3
    error -= jnp.round(error)
    assert abs(float(error.mean())) < 0.01 and float(error.std()) == pytest.approx(width, rel=0.12)


@pytest.mark.slow
def test_parts_of_the_way_are_the_whole_way():
    """The same steps in two parts give the same numbers, and one program serves both; a known start is noised."""
    processes = {"x": VelocityProcess(jnp.broadcast_to(jnp.eye(2), (50, 2, 2)))}
    start, loop = jax.random.split(jax.random.key(3))
    state, compiled = prior(processes, start), []

    @jax.jit
    def part(state, first, last):
        compiled.append(1)
        return reverse(processes, velocity_of(1.0), VELOCITY, loop, state, steps=(first, last))

    whole = run(velocity_of(1.0), 50, seed=3)
    half = part(state, jnp.asarray(0), jnp.asarray(40)).state
    rest = part(half, jnp.asarray(40), jnp.asarray(100))
    np.testing.assert_allclose(rest.state["x"], whole.state["x"], atol=1e-5)
    assert len(compiled) == 1
    nothing = part(half, jnp.asarray(40), jnp.asarray(40))
    assert not nothing.outputs["x"].any() and (nothing.state["x"] == half["x"]).all()
    clean = {"x": jnp.full((50, 2), 2.0)}
    noisy, target = perturb(processes, deal(start, processes), clean, VELOCITY.at(jnp.asarray(50)))
    alpha, sigma = VELOCITY.at(jnp.asarray(50))["x"]
    np.testing.assert_allclose(alpha * noisy["x"] - sigma * target["x"], 2.0, atol=1e-5)
