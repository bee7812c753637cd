"""WyckoffDiff's tables of occupation, network, Adaptor and training: published sizes, plain definitions, padding, bad input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.wyckoffdiff import get_config
from symjax.diffusion import schedules
from symjax.diffusion.discrete import Share, noised, posterior
from symjax.errors import ConfigError, DataError, InputError
from symjax.models.wyckoffdiff import occupations as tables
from symjax.models.wyckoffdiff.network import Logits, NetworkOptions, WyckoffGNN, count_parameters, empty, init_params
from symjax.models.wyckoffdiff.occupations import (
    MAX_FIXED,
    MAX_FREE,
    Occupations,
    Orbits,
    nodes,
    occupations,
    orbits_from,
)
from symjax.models.wyckoffdiff.process import frequencies, levels_at, marginals
from symjax.models.wyckoffdiff.task import Examples, WyckoffdiffTask, describe, diffusion_loss, options_from_config
from symjax.nn.conditions import Condition
from symjax.wyckoff.labels import label
from symjax.wyckoff.normalizer import normalizer
from symjax.wyckoff.types import type_positions

SMALL = NetworkOptions(
    width=12,
    context=4,
    num_layers=2,
    num_steps=20,
    max_count=3,
    attention_width=6,
    message_width=10,
    head_width=8,
    adaptor_dim=4,
)
CONDITIONS = ("chemical_system", "e_above_hull")
SIZES = (MAX_FIXED, MAX_FREE)


def test_all_positions_stand_in_two_parts_by_freedom():
    """1,731 positions, 616 without freedom; group 47 has 27, the last one A; letters without freedom need not come first."""
    known, table = type_positions(), nodes()
    assert table.sizes.sum(axis=0).tolist() == [616, 1115] and known.mask.sum() == 1731
    assert np.bincount(known.dof[known.mask]).tolist() == [616, 718, 167, 230]
    assert table.sizes.max(axis=0).tolist() == [MAX_FIXED, MAX_FREE] and table.sizes[47].tolist() == [8, 19]
    assert (table.sizes[1:, 1] > 0).all() and (table.sizes[1:, 0] == 0).sum() == 85
    for number in (47, 59, 225):
        for part in (table.fixed[number], table.free[number]):
            letters = known.letter[number, part[part >= 0]]
            assert (np.diff(letters) > 0).all()
    assert known.letter[47, table.free[47][18]] == 26
    fixed, free = (known.letter[59, of[59][of[59] >= 0]] for of in (table.fixed, table.free))
    assert fixed.max() > free.min()


@st.composite
def protostructures(draw):
    number = draw(st.integers(1, 230))
    known = type_positions()
    count = int(known.mask[number].sum())
    room = [p for p in range(count) for _ in range(1 if known.dof[number, p] == 0 else 3)]
    chosen = draw(st.lists(st.integers(0, len(room) - 1), min_size=0, max_size=6, unique=True))
    z = draw(st.lists(st.integers(1, 100), min_size=len(chosen), max_size=len(chosen)))
    return Orbits(np.array([number]), np.array([[*z, 0]]), np.array([[*(room[i] for i in chosen), 0]]))


@given(one=protostructures())
@settings(max_examples=40)
def test_orbits_and_tables_are_the_same_thing(one):
    made = occupations(one)
    again = orbits_from(made)
    pair = lambda orbits: sorted(zip(orbits.z[orbits.z > 0].tolist(), orbits.pos[orbits.z > 0].tolist(), strict=True))
    assert pair(again) == pair(one)
    assert (made.fixed > 0).sum() + made.free.sum() == (one.z > 0).sum()


def test_random_descriptions_are_those_of_the_normalizer(prototype_dataset):
    """Each with its share, and all with one label."""
    number, z, pos = 227, np.array([12, 13, 8]), np.array([1, 2, 4])
    num = 400
    masks = [np.ones((num, n), bool) for n in SIZES]
    batch = Examples(np.full(num, number), np.tile(z, (num, 1)), np.tile(pos, (num, 1)), *masks, {})
    drawn = orbits_from(jax.device_get(jax.jit(describe)(batch, jax.random.key(0))))
    words = [tuple(row) for row in drawn.pos.tolist()]
    wanted = {tuple(np.asarray(p)[pos][[2, 0, 1]].tolist()) for p in normalizer(number).permutations}
    assert set(words) == wanted and len(wanted) == 2
    assert abs(words.count(words[0]) / num - 0.5) < 0.1
    assert len({label(number, *row) for row in zip(drawn.z, drawn.pos, strict=True)}) == 1
    same = orbits_from(jax.device_get(describe(batch)))
    assert (same.pos == pos[[2, 0, 1]]).all() and (same.z == z[[2, 0, 1]]).all()


@pytest.mark.parametrize(
    "number, z, pos, reason",
    [
        (231, [8], [0], "space group 231 is not one of 1 to 230"),
        (0, [8], [0], "space group 0 is not one of"),
        (225, [101], [0], "atomic number 101 is beyond the 100"),
        (225, [8, 8], [0, 0], "position 4a of space group 225 has no free coordinate"),
        (1, [8], [3], "space group 1 has no position 3"),
        (1, [8] * 55, [0] * 55, "more than 54 orbits"),
    ],
)
def test_orbits_that_no_crystal_has_are_refused(number, z, pos, reason):
    with pytest.raises(InputError, match=reason):
        occupations(Orbits(np.array([number]), np.array([z]), np.array([pos])))


def test_crystals_beyond_the_model_are_named(prototype_dataset):
    fit = tables.usable(prototype_dataset, 6)
    assert 0.9 < fit.mean() < 1
    with pytest.raises(InputError, match=r"crystal .*: one element has more than 6 orbits on one position"):
        tables.orbits_of(prototype_dataset, 6)


def test_published_numbers_of_parameters():
    """9,575,083, and 1,287,552 of two conditions."""
    paper = options_from_config(get_config("paper").model.wyckoffdiff).network
    assert count_parameters(paper) == 9_575_083
    assert (
        count_parameters(options_from_config(get_config("paper,part=adaptor").model.wyckoffdiff).network)
        == 9_575_083 + 1_287_552
    )
    assert count_parameters(options_from_config(get_config("small,part=adaptor").model.wyckoffdiff).network) < 1_000_000


def test_schedule_in_float32_keeps_what_is_lost():
    """beta_0 = 2.0642e-5, which 1 - abar in float32 has wrong by a part in a thousand."""
    level = levels_at(1000, jnp.arange(1000))
    exact = 1 - schedules.cosine_shares(1000)
    np.testing.assert_allclose(level.lost, exact, rtol=1e-6)
    assert float(level.lost[0]) == pytest.approx(2.0642e-5, rel=1e-4)
    assert abs(float(1.0 - level.kept[0]) / exact[0] - 1) > 5e-4


def mixing(share, m):
    """One step as a matrix."""
    return share * np.eye(len(m)) + (1 - share) * np.ones((len(m), 1)) * m


@pytest.mark.parametrize("kernel", ["uniform", "marginal", "zeros"])
@pytest.mark.parametrize("t", [1, 500])
def test_reverse_steps_of_the_kernels_are_bayes_rule_with_matrices(kernel, t):
    rng, shares = np.random.default_rng(t), schedules.cosine_shares(1000)
    stats = {"fixed": rng.dirichlet(np.ones(5)), "free": rng.dirichlet(np.ones(4))}
    for m in map(np.asarray, marginals(kernel, stats)):
        k, m = len(m), m.astype(float)
        steps = np.concatenate([[shares[0]], shares[1:] / shares[:-1]])
        whole = np.eye(k)
        for s in steps[:t]:
            whole = whole @ mixing(s, m)
        before, last = whole, mixing(steps[t], m)
        whole = before @ last
        clean = rng.dirichlet(np.ones(k))
        level, earlier = (levels_at(1000, jnp.asarray(i)) for i in (t, t - 1))
        np.testing.assert_allclose(
            noised(jnp.arange(k), Share(*(a[None] for a in level)), jnp.asarray(m)), whole, atol=1e-6
        )
        for z in np.flatnonzero(whole.min(axis=0) > 0):
            wanted = sum(clean[d] * last[:, z] * before[d] / whole[d, z] for d in range(k))
            got = posterior(jnp.asarray(clean), jnp.asarray(z), abar=level, abar_to=earlier, marginal=jnp.asarray(m))
            np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_frequencies_are_counted_over_all_positions(prototype_dataset):
    orbits = tables.orbits_of(prototype_dataset.subset(np.flatnonzero(tables.usable(prototype_dataset))[:40]))
    fixed, free = frequencies(orbits, 54)
    made = occupations(orbits)
    known = nodes().sizes[orbits.number]
    real = np.arange(MAX_FIXED) < known[:, :1]
    np.testing.assert_allclose(fixed, np.bincount(made.fixed[real], minlength=101) / real.sum())
    real = np.arange(MAX_FREE) < known[:, 1:]
    np.testing.assert_allclose(free, np.bincount(made.free[real].ravel(), minlength=55) / real.sum() / 100)


def plain(params, options, number, fixed, free, t):
    """The network of one crystal written down as it is defined, pair by pair, in float64 (numpy)."""
    p = jax.tree.map(lambda a: np.asarray(a, float), params["params"])
    silu = lambda x: x / (1 + np.exp(-x))

    def mlp(node, x):
        for i in range(len(node)):
            x = x @ node[f"layer_{i}"]["kernel"] + node[f"layer_{i}"]["bias"]
            x = silu(x) if i + 1 < len(node) else x
        return x

    known, table = type_positions(), nodes()
    pos = [int(i) for part in (table.fixed[number], table.free[number]) for i in part if i >= 0]
    h = [p["element"][z] for z in fixed]
    h += [p["count"][row, 0] @ p["counts"]["kernel"] + p["counts"]["bias"] for row in free]
    c = [
        p["dof"][known.dof[number, i]]
        + p["position"][known.letter[number, i]]
        + p["multiplicity"][known.multiplicity[number, i]]
        for i in pos
    ]
    c = [one + p["group"][number] + p["time"][t] for one in c]
    for layer in range(options.num_layers):
        node, z = p[f"layer_{layer}"], [np.concatenate(pair) for pair in zip(h, c, strict=True)]
        new = []
        for i in range(len(z)):
            alpha = np.array([mlp(node["attention"], np.concatenate([z[i], z[j]]))[0] for j in range(len(z))])
            weight = np.exp(alpha - alpha.max()) / np.exp(alpha - alpha.max()).sum()
            new.append(silu(h[i] + sum(weight[j] * mlp(node["message"], z[j]) for j in range(len(z)))))
        h = new
    of_free = [mlp(p["head_free"], one).reshape(100, -1) for one in h[len(fixed) :]]
    return [mlp(p["head_fixed"], one) for one in h[: len(fixed)]], of_free


def random_params(options, seed):
    """Parameters by numpy, which compiles nothing; last matrices of adaptors zero, as training starts."""
    shapes, rng = jax.eval_shape(lambda key: init_params(options, key), jax.random.key(0)), np.random.default_rng(seed)

    def one(path, leaf):
        scale = 0.0 if path[-1].key == "out" else 1.0 / max(leaf.shape[0], 1) ** 0.5
        return jnp.asarray(scale * rng.normal(size=leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(one, shapes)


@pytest.fixture(scope="module")
def case():
    """Parameters, and noisy occupations of three groups padded to all slots."""
    rng = np.random.default_rng(0)
    number = np.array([225, 47, 62])
    state = Occupations(number, rng.integers(0, 101, (3, MAX_FIXED)), rng.integers(0, 4, (3, MAX_FREE, 100)))
    state = jax.tree.map(lambda a: jnp.asarray(a, jnp.int32), state)
    return random_params(SMALL, 0), state, jnp.asarray([0, 7, 19])


def test_network_is_its_definition_and_padding_changes_nothing(case):
    """Against pairs one by one; and the same logits in the least slots that hold a group, whatever the padding holds."""
    params, state, t = case
    apply = jax.jit(WyckoffGNN(SMALL).apply)
    whole = apply(params, state, t)
    for row, number in enumerate(np.asarray(state.number).tolist()):
        f, r = nodes().sizes[number]
        fixed, free = plain(
            params, SMALL, number, np.asarray(state.fixed)[row, :f], np.asarray(state.free)[row, :r], int(t[row])
        )
        np.testing.assert_allclose(whole.fixed[row, :f], np.reshape(fixed, (f, 101)), atol=2e-5)
        np.testing.assert_allclose(whole.free[row, :r], free, atol=2e-5)
    f, r = nodes().sizes[62]
    less = Occupations(state.number[2:], state.fixed[2:, : max(f, 1)], state.free[2:, :r])
    own = apply(params, less, t[2:])
    np.testing.assert_allclose(own.fixed[0, :f], whole.fixed[2, :f], atol=1e-6)
    np.testing.assert_allclose(own.free[0], whole.free[2, :r], atol=1e-6)


def test_adaptor_starts_as_the_base_and_acts_where_conditions_are_known(case):
    """Bit for bit at the start; once its last matrices are not zero, only crystals with a known condition change."""
    params, state, t = case
    options = dataclasses.replace(SMALL, conditions=CONDITIONS)
    adapted = {"params": random_params(options, 1)["params"] | params["params"]}
    known = jnp.asarray([True, False, False])
    given = {
        "chemical_system": Condition(jnp.ones((3, 101)).at[:, 0].set(0.0), known),
        "e_above_hull": Condition(jnp.asarray([0.3, 0.0, 0.0]), known),
    }
    base = jax.jit(WyckoffGNN(SMALL).apply)(params, state, t)
    apply = jax.jit(WyckoffGNN(options).apply)
    at_start = apply(adapted, state, t, given)
    for one, other in zip(base, at_start, strict=True):
        assert (np.asarray(one) == np.asarray(other)).all()
    moved = jax.tree_util.tree_map_with_path(lambda path, a: a + 0.1 if path[-1].key == "out" else a, adapted)
    after = apply(moved, state, t, given)
    assert float(jnp.abs(after.fixed[0] - base.fixed[0]).max()) > 1e-3
    for one, other in zip(base, after, strict=True):
        assert (np.asarray(one)[1:] == np.asarray(other)[1:]).all()
    assert {path for path in adapted["params"] if path not in params["params"]} == {
        "embed_chemical_system",
        *(f"adaptor_{name}_{layer}" for name in CONDITIONS for layer in range(2)),
    }


@pytest.fixture(scope="module")
def data(prototype_dataset):
    """Prototypes with a made-up column, unknown for every third."""
    values = np.where(np.arange(len(prototype_dataset)) % 3 == 0, np.nan, prototype_dataset.num_atoms / 10.0)
    return dataclasses.replace(prototype_dataset, properties={"e_above_hull": values})


def task_of(data, val=None, argument="tiny", **values):
    config = get_config(argument)
    config.update_from_flattened_dict(values)
    return WyckoffdiffTask(config, data, val)


@pytest.mark.slow
def test_loss_is_the_mean_over_variables_or_their_sum(data, monkeypatch):
    """With uniform logits every variable costs the logarithm of its classes; what the noise shows can be left out."""
    from symjax.models.wyckoffdiff import task as module

    def even(params, options, state, t, conditions=None):
        return Logits(
            jnp.zeros((*state.fixed.shape, 101)), jnp.zeros((*state.free.shape, options.network.max_count + 1))
        )

    monkeypatch.setattr(module, "predict", even)
    for kind, skip in (("variables", False), ("crystals", False), ("crystals", True)):
        task = task_of(data, **{"model.wyckoffdiff.loss": kind, "model.wyckoffdiff.skip_known": skip})
        batch = jax.tree.map(lambda a: jnp.asarray(a[:16]), task.buckets()[0].arrays)
        params = {"net": {}, "stats": {k: jnp.asarray(v) for k, v in task._stats.items()}}
        loss, parts = diffusion_loss(params, task.options, batch, jax.random.key(0), train=True)
        n_fixed, n_free = np.asarray(batch.fixed.sum(axis=1)), 100 * np.asarray(batch.free.sum(axis=1))
        whole = n_fixed * np.log(101) + n_free * np.log(7)
        wanted = {"variables": whole / (n_fixed + n_free), "crystals": whole}[kind].mean()
        shown = wanted - float(loss)
        assert (0 < shown < 6 * np.log(101)) if skip else abs(shown) < 1e-3 * wanted
        assert float(parts["fixed"]) <= (n_fixed * np.log(101)).mean() * (1 + 1e-6)


def test_task_has_conditions_with_missing_labels_and_leaves_the_unfit_out(data, caplog):
    task = task_of(data, data, **{"model.wyckoffdiff.conditions": CONDITIONS})
    assert "crystals have elements beyond fermium, more than 6 orbits" in caplog.text
    (bucket,) = task.buckets()
    given = bucket.arrays.conditions
    systems = np.array([np.bincount(row[row > 0], minlength=101) > 0 for row in bucket.arrays.z])
    np.testing.assert_array_equal(given["chemical_system"].value, systems)
    assert 0.6 < given["e_above_hull"].known.mean() < 0.75
    known = given["e_above_hull"].value[given["e_above_hull"].known]
    assert task._stats["condition_mean"] == pytest.approx(known.mean(), rel=1e-5)
    assert len(task.validation()[0].arrays.number) == len(bucket.arrays.number)


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"kernel": "gauss"}, "kernel = 'gauss': not one of uniform, marginal, zeros"),
        ({"loss": "kl"}, "loss = 'kl': not one of variables, crystals"),
        ({"max_count": 55}, "max_count = 55: a count of orbits from 1 to 54"),
        ({"skip_known": True, "kernel": "uniform"}, "only kernel 'zeros' keeps what it shows"),
        ({"buckets": ((0, 4),)}, "at least 1 each"),
        ({"conditions": ("a", "a")}, "a name stands twice"),
        ({"adaptor_dim": 5}, "adaptor_dim even"),
        ({"condition_dropout": 1.0}, "from 0 to below 1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(values, reason):
    section = get_config("tiny").model.wyckoffdiff.to_dict() | values
    with pytest.raises(ConfigError, match=reason):
        options_from_config(section)


def test_conditions_without_a_column_and_frozen_chance_are_refused(data):
    with pytest.raises(
        DataError, match="condition 'band_gap': the data set has no such column of numbers; it has e_above_hull"
    ):
        task_of(data, **{"model.wyckoffdiff.conditions": ("band_gap",)})
    with pytest.raises(ConfigError, match="give the weights of the base"):
        task_of(data, argument="small,part=adaptor")
    with pytest.raises(DataError, match="no training crystal"):
        task_of(data.subset(np.flatnonzero(~tables.usable(data, 6))))


def test_empty_has_the_shape_that_is_asked_for():
    made = empty(2, (3, 4), number=5)
    assert made.fixed.shape == (2, 3) and made.free.shape == (2, 4, 100) and (np.asarray(made.number) == 5).all()
