"""WyckoffTransformer's network: published size, golden logits of the published code, initial values, order and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from symjax.models.wyckoff_transformer.network import (
    Context,
    NetworkOptions,
    WyckoffNet,
    count_parameters,
    head_widths,
    init_params,
)

PUBLISHED = NetworkOptions(vocabulary=(92, 75, 11), start=97)

# Made with the public PyTorch code in float64: elements, site symmetries, enumerations (the slot last), first six logits,
# logsumexp, argmax
GOLDEN = (
    (
        (28, 23, 89),
        (60, 60, 72),
        (0, 1, 8),
        (-0.001219, -0.353086, -0.337800, -0.043611, 0.127242, -0.057685),
        4.545608,
        64,
    ),
    (
        (28, 23, 56),
        (60, 60, 72),
        (0, 1, 8),
        (-1.666939, -2.021976, 0.000875, 1.954928, 1.483317, -0.909269),
        5.305378,
        31,
    ),
    (
        (28, 23, 56),
        (60, 60, 9),
        (0, 1, 8),
        (0.281119, -0.225395, 0.329517, -0.373788, 0.018453, -0.165566),
        2.354555,
        2,
    ),
)


def golden_params():
    """All arrays filled by one sine rule, in the order of the public code; Linear weights are filled as (out, in)."""
    count = iter(range(60))

    def fill(*shape, scale=False):
        t = next(count)
        values = 0.2 * np.sin(0.37 * np.arange(np.prod(shape)) + t) + (1.0 if scale else 0.0)
        return values.astype(np.float32).astype(np.float64).reshape(shape)

    def affine(rows, columns, bias=True):
        return {"kernel": fill(rows, columns).T} | ({"bias": fill(rows)} if bias else {})

    p = {
        f"embed_{field}": fill(*shape)
        for field, shape in (("element", (92, 16)), ("site", (75, 16)), ("enum", (11, 8)))
    }
    for i in range(3):
        layer = {"in_kernel": fill(120, 40).T, "in_bias": fill(120), "out_kernel": fill(40, 40).T, "out_bias": fill(40)}
        layer |= {"feed_0": affine(128, 40), "feed_1": affine(40, 128)}
        layer |= {name: {"scale": fill(40, scale=True), "bias": fill(40)} for name in ("norm_0", "norm_1")}
        p[f"layer_{i}"] = layer
    p["start"] = affine(40, 97)
    p["mixer"] = affine(40, 40, bias=False)
    for field, size in zip(("element", "site", "enum"), (92, 75, 11)):
        widths = head_widths(40 + size, size)
        p[f"head_{field}"] = {f"layer_{i}": affine(widths[i + 1], widths[i]) for i in range(3)}
    assert next(count, None) is None
    return {"params": p}


fresh = jax.jit(lambda seed: init_params(PUBLISHED, jax.random.key(seed)))


def test_golden_logits_of_the_published_code():
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, golden_params())
        start = jnp.tile((jnp.arange(97) % 3 == 0).astype(jnp.float64), (3, 1))
        tokens = jnp.asarray([row[:3] for row in GOLDEN])  # (row, field, site)
        context = Context(start, *tokens[:, :, :2].swapaxes(0, 1), jnp.ones((3, 2), bool), tokens[:, :, 2])
        heads = jax.jit(lambda params, context: WyckoffNet(PUBLISHED).apply(params, context))(params, context)
        for head, (*_, first, logsumexp, largest) in enumerate(GOLDEN):
            logits = np.asarray(heads[head][head])
            assert logits.dtype == np.float64
            np.testing.assert_allclose(logits[:6], first, atol=6e-7)
            assert np.log(np.exp(logits).sum()) == pytest.approx(logsumexp, abs=6e-7)
            assert logits.argmax() == largest


def test_published_number_of_parameters_and_widths():
    assert count_parameters(PUBLISHED) == 128_083
    assert [head_widths(40 + size, size) for size in (92, 75, 11)] == [
        (132, 118, 105, 92),
        (115, 101, 88, 75),
        (51, 37, 24, 11),
    ]


def test_published_initial_values():
    types = {(leaf.dtype.name, leaf.weak_type) for leaf in jax.tree.leaves(jax.eval_shape(fresh, 0))}
    assert types == {("float32", False)}  # weak types would compile the training step twice
    params = jax.tree.map(np.asarray, fresh(0))["params"]
    first, last = params["layer_0"], params["layer_2"]
    jax.tree.map(np.testing.assert_array_equal, first, last)
    assert 0.9 * 0.25 * np.sqrt(0.6) < np.abs(first["in_kernel"]).max() <= np.sqrt(6 / 160)
    assert not np.any(first["in_bias"]) and not np.any(first["out_bias"]) and np.any(first["feed_0"]["bias"])
    assert 0.9 / np.sqrt(128) < np.abs(first["feed_1"]["kernel"]).max() <= 1 / np.sqrt(128)
    for field in ("element", "site", "enum"):
        table = np.asarray(params[f"embed_{field}"])
        assert not table[-1].any() and 0.8 < table[:-1].std() < 1.2


@pytest.fixture(scope="module")
def case():
    """Parameters, a batch of contexts with 0, 2 and 4 known sites, and the logits of all heads."""
    rng = np.random.default_rng(0)
    tokens = [rng.integers(0, size - 3, (3, 4)) for size in PUBLISHED.vocabulary]
    mask = np.arange(4) < np.array([[0], [2], [4]])
    slot = np.array([[89, 72, 8], [5, 72, 8], [7, 3, 8]])
    context = Context(jnp.asarray(rng.integers(0, 2, (3, 97)), jnp.float32), *map(jnp.asarray, (*tokens, mask, slot)))
    params = fresh(1)
    apply = jax.jit(lambda context: WyckoffNet(PUBLISHED).apply(params, context))
    return context, apply, apply(context), params


def test_order_and_padding_do_not_enter(case):
    context, apply, logits, _ = case
    order = jnp.asarray([[3, 1, 2, 0], [3, 1, 2, 0], [2, 0, 3, 1]])  # padding may stand anywhere
    fields = ("element", "site", "enum", "mask")
    turned = context._replace(**{f: jnp.take_along_axis(getattr(context, f), order, axis=1) for f in fields})
    for got, expected in zip(apply(turned), logits):
        np.testing.assert_allclose(got, expected, atol=3e-6)
    garbage = context._replace(**{f: jnp.where(context.mask, getattr(context, f), 10) for f in fields[:3]})
    for got, expected in zip(apply(garbage), logits):
        np.testing.assert_array_equal(got, expected)
    other = context._replace(site=context.site.at[2, 0].add(1))
    assert all(np.abs(got - expected)[2].max() > 1e-3 for got, expected in zip(apply(other), logits))


def test_presence_is_a_set_of_one_field_with_the_slot(case):
    context, _, _, params = case
    net = WyckoffNet(PUBLISHED)
    for head, (field, size) in enumerate(zip(("element", "site", "enum"), PUBLISHED.vocabulary)):
        got = np.asarray(net.apply(params, context, head, method="presence"))
        assert got.shape == (3, size)
        for row in range(3):
            known = np.asarray(getattr(context, field)[row])[np.asarray(context.mask[row])]
            assert set(np.flatnonzero(got[row])) == {*known.tolist(), int(context.slot[row, head])}
            assert set(np.unique(got[row])) <= {0.0, 1.0}


def test_dropout_only_in_training(case):
    context, _, logits, params = case
    net = WyckoffNet(PUBLISHED)
    drop = jax.jit(lambda seed: net.apply(params, context, head=2, train=True, rngs={"dropout": jax.random.key(seed)}))
    assert np.abs(drop(0) - logits[2]).max() > 1e-2
    assert np.abs(drop(0) - drop(1)).max() > 1e-2
