"""SymmCD's denoiser: published size, the split edge product against the plain one, symmetries, padding; losses and buckets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.symmcd import get_config
from symjax.errors import ConfigError
from symjax.models.symmcd import task as tasks
from symjax.models.symmcd.network import (
    NetworkOptions,
    Nodes,
    SymmcdNet,
    count_parameters,
    pair_features,
    shares,
    time_features,
)

SMALL = NetworkOptions(
    width=16,
    num_layers=2,
    num_frequencies=3,
    time_dim=10,
    latent=8,
    group_hidden=8,
    kind_dim=4,
    head_dim=5,
    site_symmetry=True,
)
B, M = 3, 4


@pytest.fixture(scope="module")
def case():
    """Parameters, a padded batch (2, 4 and 3 real orbits) and steps of noise."""
    rng = np.random.default_rng(0)
    nodes = Nodes(
        group=jnp.asarray(rng.integers(0, 2, (B, 397)), jnp.float32),
        k=jnp.asarray(rng.normal(size=(B, 6)), jnp.float32),
        types=jnp.asarray(rng.integers(0, 94, (B, M))),
        sites=jnp.asarray(rng.integers(0, 13, (B, M, 15))),
        x=jnp.asarray(rng.random((B, M, 3)), jnp.float32),
        mask=jnp.arange(M) < jnp.asarray([[2], [4], [3]]),
    )
    t = jnp.asarray([1.0, 500.0, 1000.0])
    params = jax.jit(SymmcdNet(SMALL).init)(jax.random.key(0), nodes, t)
    apply = jax.jit(lambda nodes: SymmcdNet(SMALL).apply(params, nodes, t))
    return params, nodes, t, apply


def test_paper_preset_has_the_published_number_of_parameters():
    """60,415,929 as instantiated, of which 199,875 belong to a head that is never used."""
    options = tasks.options_from_config(get_config("paper").model.symmcd)
    assert count_parameters(options.network) == 60_415_929 - 199_875 == 60_216_054
    assert count_parameters(tasks.options_from_config(get_config("small").model.symmcd).network) < 1_500_000


def plain(params, nodes, t):
    """The same network with every concatenation written out, for one crystal without padding (numpy)."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params["params"])
    silu = lambda v: v / (1 + np.exp(-v))

    def norm(v, name):
        v = (v - v.mean(-1, keepdims=True)) / np.sqrt(v.var(-1, keepdims=True) + 1e-5)
        return v * name["scale"] + name["bias"]

    linear = lambda v, name: v @ name["kernel"] + name.get("bias", 0.0)

    def psi(v):
        angles = (2 * np.pi * v[..., None] * np.arange(SMALL.num_frequencies)).reshape(*v.shape[:-1], -1)
        return np.concatenate([np.sin(angles), np.cos(angles)], -1)

    x, m = np.asarray(nodes.x, np.float64), nodes.x.shape[0]
    f = 10000.0 ** (-np.arange(5) / 4)
    clock = np.concatenate([np.sin(t * f), np.cos(t * f)])
    g = norm(np.maximum(linear(np.asarray(nodes.group), p["group_0"]), 0), p["group_norm_0"])
    g = linear(norm(np.maximum(linear(g, p["group_1"]), 0), p["group_norm_1"]), p["group_2"])
    kinds = linear(np.eye(13)[nodes.sites], p["kinds"]).reshape(m, -1)
    ones = np.ones((m, 1))
    parts = [linear(np.eye(94)[nodes.types], p["types"]), ones * clock, ones * g, linear(kinds, p["sites"]), psi(x)]
    h = linear(np.concatenate(parts, -1), p["init"])
    for layer in (p["layer_0"], p["layer_1"]):
        u = norm(h, layer["norm"])
        gathered = np.zeros_like(h)
        for i in range(m):
            for j in range(m):
                edge = np.concatenate([u[i], u[j], nodes.k, psi(x[j] - x[i])])
                gathered[i] += silu(linear(silu(linear(edge, layer["edge_0"])), layer["edge_1"])) / m
        h = h + silu(linear(silu(linear(np.concatenate([u, gathered], -1), layer["node_0"])), layer["node_1"]))
    h = norm(h, p["norm"])
    axes, kinds = linear(h, p["head_axes"]).reshape(m, 15, -1), linear(h, p["head_kinds"]).reshape(m, 13, -1)
    sites = np.einsum("mad,msd->mas", axes, kinds)
    return linear(h.mean(0), p["head_k"]), linear(h, p["head_x"]), linear(h, p["head_types"]), sites


@pytest.mark.slow
def test_split_edge_product_is_the_plain_network(case):
    params, nodes, t, apply = case
    got = apply(nodes)
    for i, m in enumerate((2, 4, 3)):
        one = Nodes(
            *(np.asarray(a[i] if a.ndim < 2 or n in ("group", "k") else a[i, :m]) for n, a in nodes._asdict().items())
        )
        expected = plain(params, one, float(t[i]))
        np.testing.assert_allclose(got.k[i], expected[0], atol=3e-5)
        for ours, theirs in zip((got.x, got.types, got.sites), expected[1:]):
            np.testing.assert_allclose(ours[i, :m], theirs, atol=3e-5)


def test_pair_features_are_those_of_the_differences():
    x = jax.random.uniform(jax.random.key(0), (1, 3, 3))
    difference = np.asarray(x[:, None] - x[:, :, None])  # x_j - x_i
    angles = (2 * np.pi * difference[..., None] * np.arange(4)).reshape(1, 3, 3, 12)
    np.testing.assert_allclose(pair_features(x, 4), np.concatenate([np.sin(angles), np.cos(angles)], -1), atol=1e-5)


def test_time_features_are_published_ones():
    got = np.asarray(time_features(jnp.asarray([7.0]), 10))[0]
    np.testing.assert_allclose(got[:5], np.sin(7.0 * np.array([1, 0.1, 0.01, 0.001, 0.0001])), atol=1e-6)


def test_permutation_periods_and_padding(case):
    _, nodes, _, apply = case
    got = apply(nodes)
    order = jnp.asarray([1, 0, 2, 3])  # both real in every row
    turned = apply(Nodes(*(a if n in ("group", "k") else a[:, order] for n, a in nodes._asdict().items())))
    np.testing.assert_allclose(turned.x, got.x[:, order], atol=2e-5)
    np.testing.assert_allclose(turned.k, got.k, atol=2e-5)
    shifted = apply(nodes._replace(x=nodes.x + jnp.asarray([1.0, -2.0, 3.0])))
    np.testing.assert_allclose(shifted.types, got.types, atol=2e-3)
    moved = apply(nodes._replace(x=nodes.x + 0.1))
    assert float(jnp.abs(moved.types - got.types).max()) > 1e-3  # not invariant under an origin shift, as published
    real = nodes.mask
    garbage = nodes._replace(
        types=jnp.where(real, nodes.types, 5),
        x=jnp.where(real[..., None], nodes.x, 0.777),
        sites=jnp.where(real[..., None], nodes.sites, 11),
    )
    other = apply(garbage)
    np.testing.assert_array_equal(np.asarray(other.k), np.asarray(got.k))
    np.testing.assert_array_equal(np.asarray(other.types)[real], np.asarray(got.types)[real])
    assert not np.asarray(got.x)[~np.asarray(real)].any()


def fake_stats(mean_orbits):
    rng = np.random.default_rng(1)
    values = {
        "group": np.ones(231) / 231,
        "orbits": np.ones((231, 21)) / 21,
        "elements": rng.dirichlet(np.ones(94)),
        "site": rng.dirichlet(np.ones(13), (231, 15)),
        "features": rng.integers(0, 2, (231, 397)),
        "k_free": np.ones((231, 6)),
        "k_constant": np.zeros((231, 6)),
        "k_shift": np.zeros(6),
        "k_scale": np.ones(6),
        "mean_orbits": np.asarray(mean_orbits),
    }
    values["k_free"][195:, :5] = 0
    return {name: jnp.asarray(v, jnp.float32) for name, v in values.items()}


def fake_options(**changes):
    options = tasks.options_from_config(get_config("tiny").model.symmcd)
    return dataclasses.replace(options, network=SMALL, **changes)


def fake_examples(nodes, numbers):
    return tasks.Examples(jnp.asarray(numbers), nodes.k, nodes.types, nodes.sites, nodes.x, nodes.mask)


# one program for all tests of the loss
loss_of = jax.jit(
    lambda net, stats, batch, key: tasks.diffusion_loss({"net": net, "stats": stats}, fake_options(), batch, key)
)


@pytest.mark.slow
def test_losses_are_the_published_averages(case):
    """With predictions of zero: unit noise and scores give 1, uniform logits the logarithms of the numbers of classes."""
    params, nodes, _, _ = case
    batch, zero = fake_examples(nodes, [225, 1, 1]), jax.tree.map(jnp.zeros_like, params)
    drawn = [loss_of(zero, fake_stats(3.0), batch, jax.random.key(i)) for i in range(300)]
    total, parts = jax.tree.map(lambda *values: float(np.mean(values)), *drawn)
    # one of six coefficients is free in cubic groups, all six in triclinic ones
    assert parts["lattice"] == pytest.approx((1 / 6 + 1 + 1) / 3, rel=0.08)
    assert parts["coordinates"] == pytest.approx(1.0, rel=0.08)
    assert parts["types"] == pytest.approx(np.log(94), rel=1e-5)
    assert parts["sites"] == pytest.approx(np.log(13), rel=1e-5)
    weighted = 5 * parts["lattice"] + parts["coordinates"] + 0.1 * parts["types"] + 10 * parts["sites"]
    assert total == pytest.approx(weighted, rel=1e-6)


@pytest.mark.slow
def test_crystals_weigh_by_their_orbits(case):
    """As in the published average over all representatives of a batch, whatever the buckets."""
    params, nodes, _, _ = case
    zero, weights = jax.tree.map(jnp.zeros_like, params), []
    for i in range(B):
        batch = fake_examples(nodes, [1, 1, 1])
        batch = batch._replace(mask=batch.mask & (jnp.arange(B) == i)[:, None])
        weights.append(float(loss_of(zero, fake_stats(3.0), batch, jax.random.key(0))[1]["types"]))
    np.testing.assert_allclose(np.array(weights) / np.log(94), np.array([2, 4, 3]) / 9, rtol=1e-5)


def test_padding_does_not_enter_the_loss(case):
    params, nodes, _, _ = case
    one = fake_examples(nodes, [1, 100, 225])
    other = one._replace(x=jnp.where(nodes.mask[..., None], nodes.x, 0.3), types=jnp.where(nodes.mask, nodes.types, 9))
    values = [float(loss_of(params, fake_stats(3.0), batch, jax.random.key(3))[0]) for batch in (one, other)]
    assert values[0] == values[1]


def test_sums_differ_from_means_by_the_number_of_orbits():
    mask = jnp.asarray([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(shares(mask, SMALL), [[0.5, 0.5, 0], [1, 0, 0]])
    np.testing.assert_allclose(shares(mask, dataclasses.replace(SMALL, sum_messages=True)), mask)
    options = tasks.options_from_config(get_config("tiny,messages=sum").model.symmcd)
    assert (
        options.network.sum_messages
        and not tasks.options_from_config(get_config("tiny").model.symmcd).network.sum_messages
    )


def test_unit_cell_variant_has_no_site_symmetries(case):
    _, nodes, t, _ = case
    without = dataclasses.replace(SMALL, site_symmetry=False)
    out, params = jax.eval_shape(lambda: SymmcdNet(without).init_with_output(jax.random.key(0), nodes, t))
    assert out.sites is None and out.x.shape == (B, M, 3)
    assert not {"kinds", "sites", "head_axes", "head_kinds"} & set(params["params"])


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("buckets", (4, 4), "rising"),
        ("buckets", (), "rising"),
        ("time_dim", 7, "even"),
        ("sigma_max", 0.001, "sigma_min"),
    ],
)
def test_bad_options_are_named(field, value, word):
    section = get_config("tiny").model.symmcd.copy_and_resolve_references()
    section[field] = value
    with pytest.raises(ConfigError, match=word):
        tasks.options_from_config(section)


def test_missing_fields_are_named():
    section = dict(get_config("tiny").model.symmcd.items())
    del section["kind_dim"]
    with pytest.raises(ConfigError, match="kind_dim"):
        tasks.options_from_config(section)
