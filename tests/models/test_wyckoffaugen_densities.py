"""Densities on shapes: each integrates to 1, samples follow them, and extreme parameters stay finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.models.wyckoffaugen import densities, polygons
from symjax.models.wyckoffaugen.tables import tables
from symjax.wyckoff.asymmetric import POLYGONS, shapes


def raw(seed, components, width):
    return jnp.asarray(np.random.default_rng(seed).normal(size=components * width) * 2, jnp.float32)


@pytest.mark.slow
def test_beta_mixtures_integrate_to_one_and_samples_follow_them():
    own = raw(0, 4, densities.BETA_WIDTH)
    u = (jnp.arange(4000) + 0.5) / 4000
    p = np.exp(np.asarray(densities.beta_mixture(own, u), float))
    assert abs(p.mean() - 1) < 1e-4
    drawn = np.asarray(jax.vmap(lambda key: densities.sample_beta(key, own))(jax.random.split(jax.random.key(0), 4000)))
    for power in (1, 2):
        assert abs((drawn**power).mean() - (p * np.asarray(u) ** power).mean()) < 0.03


def grid_in_polygon(kind, n=140):
    """Points of a fine grid inside a polygon, in its coordinates."""
    corners = np.array(POLYGONS[kind])
    x = np.linspace(0, corners.max(axis=0), n, axis=-1)
    middle = (x[:, 1:] + x[:, :-1]) / 2
    c = np.stack(np.meshgrid(*middle, indexing="ij"), axis=-1).reshape(-1, 2)
    along = np.roll(corners, -1, axis=0) - corners
    inside = [(a[0] * (c - v)[:, 1] - a[1] * (c - v)[:, 0]) > 0 for v, a in zip(corners, along, strict=True)]
    return c[np.all(inside, axis=0)]


@pytest.mark.parametrize("kind", [0, *(pytest.param(kind, marks=pytest.mark.slow) for kind in range(1, 5))])
def test_dirichlet_mixtures_integrate_to_one_on_every_class_of_polygon(kind):
    """On the triangle, and pushed to the polygon: the mean over a grid of the polygon, whose map is inverted point by point."""
    own = raw(1, 3, densities.DIRICHLET_WIDTH) * 0.5
    c = grid_in_polygon(kind)
    y, log_det = polygons.from_polygon(np.full(len(c), kind), c)
    log = np.asarray(densities.dirichlet_mixture(own, jnp.asarray(y, jnp.float32)), float) - log_det
    assert abs(np.exp(log).mean() - 1) < 0.02
    back = np.asarray(polygons.to_polygon(jnp.full(len(c), kind), jnp.asarray(y, jnp.float32)))
    assert np.abs(back - c).max() < 5e-5


@pytest.mark.slow
def test_maps_of_polygons_are_one_to_one_and_nearly_keep_areas():
    """Determinants are positive on a dense grid, and their spread is what the search of the inserted points gave."""
    n = 60
    grid = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    grid = jnp.asarray(grid[grid.sum(axis=1) < 1 - 1e-6], jnp.float32)
    kinds = jnp.repeat(jnp.arange(5)[:, None], len(grid), axis=1)
    det = np.exp(np.asarray(polygons.log_determinant(kinds, jnp.broadcast_to(grid, (5, *grid.shape))), float))
    assert det.min() > 0.5 and det.max() < 2.1
    distortion = ((1 / det - 1) ** 2 * det).sum(axis=1) / det.sum(axis=1)
    assert np.allclose(distortion, [0, 0.048, 0.012, 0.023, 0.032], atol=2e-3)
    assert np.allclose(det.mean(axis=1), 1, atol=0.01)


def test_determinants_are_those_of_finite_differences():
    y = np.random.default_rng(2).dirichlet([2, 2, 2], 5)[:, 1:]
    _, analytic = polygons.from_polygon(np.arange(5), np.asarray(polygons.to_polygon(jnp.arange(5), jnp.asarray(y))))
    step = 1e-3
    for kind in range(5):
        move = lambda dy, kind=kind: np.asarray(
            polygons.to_polygon(jnp.int32(kind), jnp.asarray(y[kind] + dy, jnp.float32)), float
        )
        J = np.stack([(move(d) - move(-d)) / (2 * step) for d in step * np.eye(2)], axis=-1)
        assert abs(np.log(np.linalg.det(J) / polygons.AREA_RATIO[kind]) - analytic[kind]) < 5e-3


@pytest.mark.parametrize(
    "number", [14, 166, pytest.param(62, marks=pytest.mark.slow), pytest.param(227, marks=pytest.mark.slow)]
)
def test_wrapped_von_mises_mixtures_integrate_to_one_and_are_invariant(number):
    """The density is the same for all atoms of an orbit, so its mean over the cell is that over the asymmetric unit."""
    own, n = raw(3, 3, densities.VON_MISES_WIDTH), 12
    table = tables()
    count = int(table.op_mask[number].sum())
    R, t, mask = (jnp.asarray(a[number, :count]) for a in (table.R, table.t, table.op_mask))
    grid = np.stack(np.meshgrid(*[np.arange(n) / n + 0.013] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    # a lattice sum converges fast for smooth periodic densities: keep the concentrations low
    soft = own.reshape(-1, densities.VON_MISES_WIDTH).at[:, 4:].set(1.0).reshape(-1)
    log = jax.jit(jax.vmap(lambda x: densities.wrapped_von_mises(soft, x, R, t, mask)))
    p = np.exp(np.asarray(log(jnp.asarray(grid, jnp.float32)), float))
    assert abs(p.mean() - 1) < 1e-3
    x = np.random.default_rng(4).random((grid.shape[0], 3))
    g = np.random.default_rng(5).integers(count, size=len(x))
    moved = np.einsum("kij,kj->ki", table.R[number, g], x) + table.t[number, g]
    assert np.allclose(log(jnp.asarray(x, jnp.float32)), log(jnp.asarray(moved, jnp.float32)), atol=2e-3)


@pytest.mark.slow
def test_von_mises_samples_follow_the_density():
    own = raw(6, 2, densities.VON_MISES_WIDTH)
    keys = jax.random.split(jax.random.key(1), 3000)
    drawn = np.asarray(jax.vmap(lambda key: densities.sample_von_mises(key, own))(keys))
    n = 24
    grid = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    p = np.exp(np.asarray(densities.von_mises_mixture(own, jnp.asarray(grid, jnp.float32)), float))
    for wave in (1, 2):
        found = np.exp(2j * np.pi * wave * drawn).mean(axis=0)
        expected = (p[:, None] * np.exp(2j * np.pi * wave * grid)).mean(axis=0)
        assert np.abs(found - expected).max() < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("value", [-1e3, 1e3])
def test_extreme_parameters_stay_finite(value):
    """At their bounds, and at the ends of the shapes, values and gradients are finite in float32."""
    kinds = [
        (densities.beta_mixture, densities.BETA_WIDTH, jnp.array(0.0)),
        (densities.dirichlet_mixture, densities.DIRICHLET_WIDTH, jnp.array([1.0, 0.0])),
        (densities.von_mises_mixture, densities.VON_MISES_WIDTH, jnp.array([0.5, 0.0, 1.0])),
    ]
    for density, width, at in kinds:
        own = jnp.full(2 * width, value)
        log, slope = jax.value_and_grad(lambda raw, density=density, at=at: density(raw, at))(own)
        assert jnp.isfinite(log) and jnp.isfinite(slope).all()


def test_concentrations_are_bounded():
    big = densities.bounded(jnp.array([-1e4, 0.0, 1e4]), 500.0, 1.0)
    assert np.allclose(big, [1.0, 2.0, 500.0], atol=0.01)


def test_tables_hold_all_positions_and_tell_all_groups_apart():
    own, cut = tables(), shapes()
    assert own.position.shape == (1731, 231) and own.group.shape == (231, 62)
    assert len(np.unique(own.group[1:], axis=0)) == 230
    for slot in range(4):
        real = own.shape[:, slot] >= 0
        images = (own.image[own.shape[real, slot]] >= 0).sum(axis=1)
        assert (images == own.primitive[real]).all() and (cut.dim[own.shape[real, slot]] == own.dim[real]).all()
