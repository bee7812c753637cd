"""WyckoffTransformer's steps, losses and likelihoods against enumeration: sequences sum to one, orders to the multiset."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.wyckoff_transformer import get_config
from symjax.errors import ConfigError, InputError
from symjax.evaluate.statistics import permutation_divergence
from symjax.models.wyckoff_transformer import likelihood as lik
from symjax.models.wyckoff_transformer import task as tasks
from symjax.models.wyckoff_transformer.network import NetworkOptions, init_params
from symjax.models.wyckoff_transformer.steps import make_step, rank_sites, score, step_losses
from symjax.models.wyckoff_transformer.tokens import Tokens
from symjax.models.wyckoff_transformer.variants import variants
from symjax.models.wyckoff_transformer.vocabulary import vocabulary

NAMES = vocabulary("mp20")
TINY = NetworkOptions(
    vocabulary=(5, 4, 4), start=3, embedding=(3, 2, 3), num_layers=2, num_heads=2, feed_forward=6, dropout=0.0
)


def make_tokens(number, sites, width, pad=(91, 74, 10)):
    """Tokens of crystals given as lists of triples; `pos` is not used by what is tested here."""
    c = len(sites)
    fields = np.stack([np.full((c, width), p, np.int32) for p in pad])
    mask = np.zeros((c, width), bool)
    for i, row in enumerate(sites):
        fields[:, i, : len(row)] = np.array(row, np.int32).reshape(-1, 3).T
        mask[i, : len(row)] = True
    return Tokens(np.asarray(number, np.int32), *fields, mask, np.where(mask, 0, -1).astype(np.int16))


@pytest.fixture(scope="module")
def tiny():
    """Parameters of a network of five, four and four tokens, far from uniform."""
    params = jax.jit(lambda: init_params(TINY, jax.random.key(0)))()
    params = jax.tree.map(lambda a: 2.0 * a, params)
    start = np.random.default_rng(0).normal(size=(231, 3)).astype(np.float32)
    return params | {"stats": {"start": jnp.asarray(start)}}


def test_sequences_sum_to_one(tiny):
    """All outcomes of the first two slots, service tokens included, have probability 1; so have those of the first."""
    triples = list(itertools.product(*map(range, TINY.vocabulary)))
    for length in (1, 2):
        sites = list(itertools.product(triples, repeat=length))
        tokens = make_tokens([7] * len(sites), sites, 3, pad=(4, 3, 3))
        values = lik.log_likelihood(tiny, TINY, tokens, stopped=np.zeros(len(sites), bool))
        assert np.exp(values).sum() == pytest.approx(1.0, abs=1e-4)
        assert np.exp(values).max() > 2 / len(sites)


def test_stop_is_the_last_factor(tiny):
    """log p(a, STOP) = log p(a) + log p(STOP | a), the latter that of the triple (STOP, STOP, STOP) as a second site."""
    site, stop = (1, 0, 0), (3, 2, 2)
    with_stop = lik.log_likelihood(tiny, TINY, make_tokens([7], [[site]], 3))
    cut = lik.log_likelihood(tiny, TINY, make_tokens([7], [[site, stop]], 3), stopped=[False])
    np.testing.assert_allclose(with_stop, cut, atol=1e-5)


@pytest.fixture(scope="module")
def crystals():
    """Crystals of 3 sites, 3 (two equal), 1 and 3 (all equal); the padded width is the same in all tests, for one program."""
    a, b = (0, 0, 0), (1, 0, 0)
    return make_tokens([7, 8, 9, 9], [[a, b, (1, 0, 1)], [a, b, a], [a], [b, b, b]], 3, pad=(4, 3, 3))


def test_multiset_is_the_sum_over_distinct_orders(tiny, crystals):
    exact = lik.exact_multiset(tiny, TINY, crystals)
    fields = np.stack([crystals.element, crystals.site, crystals.enum], -1)
    for i, total in enumerate(exact):
        sites = [tuple(s) for s in fields[i][crystals.mask[i]].tolist()]
        distinct = sorted(set(itertools.permutations(sites)))
        values = lik.log_likelihood(
            tiny, TINY, make_tokens([crystals.number[i]] * len(distinct), distinct, 3, pad=(4, 3, 3))
        )
        assert np.logaddexp.reduce(values) == pytest.approx(total, abs=1e-4)
        assert lik.count_orders(crystals)[i] == pytest.approx(math.log(len(distinct)), abs=1e-9)


def test_bounds_lie_below_and_statistics_are_those_of_evaluate(tiny, crystals, tmp_path):
    found = lik.likelihoods(tiny, TINY, crystals, seed=0, num_orders=2000)
    exact = lik.exact_multiset(tiny, TINY, crystals)
    np.testing.assert_allclose(found.own, lik.log_likelihood(tiny, TINY, crystals), atol=1e-5)
    assert (found.bound <= found.tight_bound + 1e-9).all()
    np.testing.assert_allclose(found.bound[2:], exact[2:], atol=1e-4)  # one distinct order: no gap
    gap = exact - found.bound
    assert (gap[:2] > 0.01).all()
    assert (np.abs(found.tight_bound - exact)[:2] < 0.5 * gap[:2]).all()
    found.save(tmp_path / "likelihoods.npz")
    with np.load(tmp_path / "likelihoods.npz") as file:
        divergence, spread = permutation_divergence(file["own"], file["orders"])
    assert divergence == pytest.approx(found.divergence) and spread == pytest.approx(found.spread)
    figures = found.figures()
    assert figures["own"] - figures["averaged"] == pytest.approx(divergence)


def test_likelihood_follows_the_given_order_and_not_the_padding(tiny, crystals):
    rank = np.array([[2, 0, 1], [1, 0, 2], [0, 1, 2], [0, 1, 2]])
    order = np.argsort(rank, axis=1)
    moved = Tokens(
        crystals.number,
        *(np.take_along_axis(getattr(crystals, f), order, 1) for f in ("element", "site", "enum")),
        crystals.mask,
        crystals.pos,
    )
    one = lik.log_likelihood(tiny, TINY, crystals, rank)
    np.testing.assert_allclose(one, lik.log_likelihood(tiny, TINY, moved), atol=1e-5)
    assert np.abs(one - lik.log_likelihood(tiny, TINY, crystals))[:2].min() > 1e-3


@pytest.mark.slow
def test_soft_element_loss_is_the_average_over_what_comes_next(tiny, crystals):
    """Also: a site is only known if its place is below k, and the slot shows what the field may see."""
    tokens = jax.tree.map(jnp.asarray, crystals.take([0, 1]))
    k = jnp.asarray([1, 1])
    start = tiny["stats"]["start"]
    losses = jax.jit(
        lambda ranks, soft: step_losses(
            tiny, TINY, *jax.tree.map(lambda a: jnp.stack([a] * 3), (tokens, ranks, k)), soft=soft
        )[0],
        static_argnums=1,
    )
    hard = [losses(jnp.tile(jnp.asarray(order), (2, 1)), False) for order in ([0, 1, 2], [0, 2, 1])]
    rank = jnp.tile(jnp.arange(3), (2, 1))
    np.testing.assert_allclose(losses(rank, True), np.mean(hard, axis=0), atol=1e-5)
    assert np.abs(hard[0] - hard[1])[1] > 1e-3  # crystal 1: another element comes next
    step = make_step(TINY, start, tokens, rank=rank, k=jnp.asarray([1, 2]), field=jnp.asarray([1, 2]))
    np.testing.assert_array_equal(step.context.mask, [[1, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(step.context.slot, [[1, 1, 1], [0, 0, 1]])  # MASK is 2, 1, 1
    end = make_step(TINY, start, tokens, rank=rank, k=jnp.asarray([3, 3]), field=0)
    np.testing.assert_array_equal(end.value, [[3, 2, 2]] * 2)
    logits = jnp.asarray([[0.1, 0.2, 0.3, 0.4, 0.5]] * 2)
    np.testing.assert_allclose(score(logits, end, 0), jax.nn.logsumexp(logits, axis=1) - 0.4, atol=1e-6)


def test_random_orders_are_uniform():
    mask = jnp.asarray(np.tile(np.arange(4) < 3, (6000, 1)))
    rank = np.asarray(rank_sites(jax.random.key(0), mask))
    assert (np.sort(rank[:, :3], axis=1) == np.arange(3)).all() and (rank[:, 3] == 3).all()
    _, counts = np.unique(rank[:, :3], axis=0, return_counts=True)
    assert len(counts) == 6 and np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


@pytest.fixture(scope="module")
def real():
    """Crystals of three groups with the published tokens, and the loss of the smallest preset."""
    table = variants(NAMES)

    def site(number, z, pos):
        return int(NAMES.element_tokens[z]), int(table.site[number, pos]), int(table.enum[number, pos])

    rows = [
        (225, ((11, 0), (17, 1))),
        (221, ((38, 0), (22, 1), (8, 2))),
        (62, ((8, 2), (8, 3), (26, 0), (14, 2), (12, 2))),
    ]
    tokens = make_tokens([n for n, _ in rows], [[site(n, z, p) for z, p in sites] for n, sites in rows], 6)
    pos = np.full((3, 6), -1, np.int16)
    for i, (_, sites) in enumerate(rows):
        pos[i, : len(sites)] = [p for _, p in sites]
    section = get_config("tiny").model.wyckoff_transformer
    section.num_layers = 1
    tokens = tokens.replace(pos=pos)
    return tokens, tasks.Objective(tasks.options_from_config(section), table, float(tokens.mask.sum(1).mean() + 1))


@pytest.fixture(scope="module")
def programs(real):
    """The two losses, compiled, on 500 copies of each crystal, and parameters."""
    tokens, objective = real
    many = jax.tree.map(lambda a: np.repeat(a, 500, axis=0), tokens)
    net = jax.jit(lambda: init_params(objective.options.network, jax.random.key(3)))()
    params = net | {"stats": {"start": jnp.asarray(NAMES.start_features())}}
    return params, {
        name: functools.partial(jax.jit(getattr(objective, name)), tokens=many) for name in ("sampled", "whole")
    }


@pytest.mark.slow
def test_uniform_predictions_cost_the_logarithms_of_the_vocabulary(real, programs):
    """With parameters of zero every loss is known; the published one counts the crystals that are long enough."""
    tokens, objective = real
    params, losses = programs
    params = params | {"params": jax.tree.map(jnp.zeros_like, params["params"])}
    logs, steps = np.log(NAMES.sizes), tokens.mask.sum(1) + 1
    for loss in losses.values():
        total, parts = loss(params, key=jax.random.key(1))
        np.testing.assert_allclose([parts[f] for f in ("element", "site", "enum")], steps.mean() * logs, rtol=1e-4)
        assert float(total) == pytest.approx(steps.mean() * logs.sum(), rel=1e-4)
    published = jax.jit(lambda seed: objective.published(params, tokens, jax.random.key(seed)))
    totals, parts = jax.tree.map(lambda *values: np.array(values), *map(published, range(60)))
    allowed = np.array([log * kept for log in logs for kept in (0, 1, 2, 3)])
    assert np.abs(totals[:, None] - allowed).min(1).max() < 1e-4
    assert set(np.round(3 * parts["kept"]).astype(int)) == {0, 1, 2, 3}


@pytest.mark.slow
def test_sampled_loss_is_unbiased(programs):
    """Its mean over draws is the mean of the sum over all steps; no drop-out, random parameters."""
    params, losses = programs
    sampled, whole = (float(losses[name](params, key=jax.random.key(5))[0]) for name in ("sampled", "whole"))
    assert sampled == pytest.approx(whole, rel=0.03) and sampled != pytest.approx(whole, rel=1e-6)


def test_wrong_input_is_refused(tiny, crystals):
    with pytest.raises(InputError, match="each once"):
        lik.log_likelihood(tiny, TINY, crystals, np.zeros((4, 3), int))
    with pytest.raises(InputError, match="ranks"):
        lik.log_likelihood(tiny, TINY, crystals, np.zeros((4, 2), int))
    with pytest.raises(InputError, match="at least 2 orders"):
        lik.likelihoods(tiny, TINY, crystals, seed=0, num_orders=1)
    with pytest.raises(InputError, match="too many orders"):
        lik.exact_multiset(tiny, TINY, make_tokens([1], [[(0, 0, 0)] * 7], 8))
    for field, value in {
        "buckets": (4, 3),
        "augment": "some",
        "embedding": (8, 8, 5),
        "dropout": 1.0,
        "per_batch": True,
    }.items():
        section = get_config("tiny").model.wyckoff_transformer
        section.update({field: value})
        with pytest.raises(ConfigError, match="wyckoff_transformer"):
            tasks.options_from_config(section)
    with pytest.raises(ConfigError, match="lacks"):
        tasks.options_from_config({"vocabulary": "mp20"})


def test_equivalent_representations_are_counted(real):
    tokens, _ = real
    # rock salt: both halves exchange (2 multisets); perovskite: corner and centre exchange
    counts = lik.count_multisets(tokens, NAMES)
    assert counts[0] == 2 and counts[1] == 2 and counts[2] >= 2
