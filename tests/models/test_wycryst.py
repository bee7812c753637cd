"""WyCryst: the array of a compound and back, formal validity, the corrected formula term, training, drawing, weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.wycryst import get_config
from symjax.errors import ConfigError, DataError, InputError, WeightsError
from symjax.groups.tables import wyckoff_letters
from symjax.models.wyckoff_transformer.tokens import tokenize
from symjax.models.wyckoff_transformer.variants import fingerprints
from symjax.models.wyckoff_transformer.vocabulary import vocabulary
from symjax.models.wycryst import representation as rep
from symjax.models.wycryst import task as tasks
from symjax.models.wycryst.network import Convolution, WycrystNet
from symjax.models.wycryst.sample import read_columns, sample
from symjax.models.wycryst.weights import WycrystWeights, load_weights

VOCAB = vocabulary("all")
COLUMNS, READ = jax.jit(rep.columns), jax.jit(read_columns)


def compound(number, *sites):
    """One compound of (Z, letters) columns, by the letters of the International Tables."""
    z, occupied = np.zeros((1, 3), np.int32), np.zeros((1, 3, 27), np.int32)
    for column, (element, letters) in enumerate(sites):
        z[0, column] = element
        for letter in letters:
            occupied[0, column, wyckoff_letters(number).index(letter)] += 1
    return rep.Compounds(np.array([number], np.int32), z, occupied)


@pytest.fixture(scope="module")
def known(prototype_dataset):
    """Compounds and rows of the binaries and ternaries among the prototypes."""
    return tasks.represent(prototype_dataset)


@pytest.fixture(scope="module")
def started(prototype_dataset):
    """The tiny model: task, fresh parameters, and its loss as a function."""
    task = tasks.WycrystTask(get_config("tiny"), prototype_dataset, None)
    params = jax.jit(task.init)(jax.random.key(0), jax.tree.map(lambda a: jnp.asarray(a[:1]), task.buckets()[0].arrays))
    return task, params, jax.jit(lambda params, batch, key: task.loss(params, batch, key, False))


def test_only_binaries_and_ternaries(prototype_dataset, known):
    compounds, rows = known
    data = prototype_dataset
    species = np.array([len(set(data.orbit_z[a:b].tolist())) for a, b in zip(data.orbit_start, data.orbit_start[1:])])
    assert set(rows) == set(np.flatnonzero((species >= 2) & (species <= 3) & (data.num_orbits <= 20)))
    assert len(rows) == len(compounds.number)


def test_columns_hold_the_formula(prototype_dataset, known):
    """Atoms of each element against the crystal's own cell (multiplicities of the data set's positions)."""
    compounds, rows = known
    data = prototype_dataset
    made = np.asarray(COLUMNS(*compounds))
    assert made.shape == (len(rows), rep.NUM_ROWS, 3)
    for i, row in enumerate(rows[:60]):
        part = data.subset([row])
        points = part.sets.pos_mult[part.orbit_set, part.orbit_pos]
        for column, z in enumerate(compounds.z[i]):
            atoms = points[part.orbit_z == z].sum() if z else 0
            assert made[i, rep.COUNT, column] * rep.COUNT_SCALE == pytest.approx(atoms)
            assert made[i, rep.SHARE, column] == pytest.approx(atoms / part.num_atoms[0], rel=1e-6)
            assert made[i, rep.ELEMENT, column].sum() == (z > 0)
            assert z == 0 or made[i, z - 1, column] == 1
    assert (made[:, rep.OCCUPIED.stop :] == 0).all()


def test_formula_order():
    """Columns stand as formulas are written: Na before Cl, Ca before Ti before O."""
    for number, sites in ((225, ((17, "b"), (11, "a"))), (221, ((8, "d"), (22, "a"), (20, "b")))):
        pos = np.array([wyckoff_letters(number).index(letter) for _, letter in sites])
        made, _ = rep.compounds(np.array([number]), np.zeros(len(pos), int), np.array([z for z, _ in sites]), pos)
        assert made.z[0, : len(sites)].tolist() == {225: [11, 17], 221: [20, 22, 8]}[number]


def test_round_trip(prototype_dataset, known):
    """Against the other reading of the same crystals as Wyckoff representations."""
    compounds, rows = known
    verdict = rep.judge(compounds)
    assert verdict.valid.all()
    tokens = tokenize(prototype_dataset.subset(rows), VOCAB)
    z = np.where(tokens.mask, VOCAB.atomic_numbers[tokens.element], 0)
    before = fingerprints(tokens.number, z, np.maximum(tokens.pos, 0))
    assert fingerprints(verdict.number, verdict.z, verdict.pos) == before


def test_27_positions():
    """Group 47 has a 27th position, which the original's 26 letters cannot hold."""
    verdict = rep.judge(compound(47, (11, "a"), (8, "A")))
    assert verdict.valid.all() and verdict.pos[0, 1] == wyckoff_letters(47).index("A")


@pytest.mark.parametrize(
    "drawn, reason",
    [
        (compound(225, (11, "a"), (17, "b")), "valid"),
        (compound(225, (11, "a"), (17, "")), rep.NO_ATOMS),
        (compound(225, (11, "a"), (17, "a")), "position without free coordinates occupied twice"),
        (compound(225, (11, "bb")), "position without free coordinates occupied twice"),
        (compound(225, (11, "ee"), (17, "ee")), "valid"),  # a free coordinate: any number fits
        (compound(1, (11, "a" * 11), (17, "a" * 10)), rep.TOO_MANY),
        (compound(1, (11, "a" * 10), (17, "a" * 10)), "valid"),
        (compound(225, (96, "a"), (17, "b")), rep.UNKNOWN),  # curium
        (compound(225), "no site"),
    ],
)
def test_formal_validity(drawn, reason):
    verdict = rep.judge(drawn)
    assert verdict.reasons.tolist() == [reason]
    assert (verdict.z.sum() > 0) == (reason == "valid")


def test_position_the_group_lacks():
    drawn = compound(225, (11, "a"), (17, "b"))._replace(number=np.array([1], np.int32))  # group 1 has one position
    assert rep.judge(drawn, drop=False).reasons.tolist() == ["no such position in the space group"]
    assert rep.judge(drawn).reasons.tolist() == [rep.NO_ATOMS]  # of Cl
    more = drawn._replace(occupied=drawn.occupied + np.eye(3, 27, dtype=np.int32)[[0, 0, 0]])
    verdict = rep.judge(more)
    assert verdict.valid.all() and sorted(verdict.z[0][:3].tolist()) == [11, 11, 17] and verdict.z.sum() == 39


def test_formula_term_reads_the_right_group_and_has_a_gradient():
    """The public code looks one group off, and rounds; here exact columns cost nothing, and the occupation is moved."""
    points = jnp.asarray(rep.multiplicities())
    error = jax.jit(lambda decoded, which: jnp.abs(tasks.formula_error(decoded, which, points)).sum())
    for number in (2, 195, 230):
        drawn = compound(number, (11, wyckoff_letters(number)[0]), (17, wyckoff_letters(number)[-1]))
        exact = COLUMNS(*drawn)
        logits = 1e3 * jax.nn.one_hot(jnp.array([number - 1]), 230)
        assert error(exact, logits) == pytest.approx(0, abs=1e-6)
        assert error(exact, jnp.roll(logits, -1, axis=1)) > 0.01
    slope = jax.jit(jax.grad(error))(exact.at[0, rep.COUNT, 0].add(0.1), logits)
    assert jnp.abs(slope[0, rep.OCCUPIED, 0]).max() > 0.5


@pytest.mark.slow
def test_losses_by_hand(started):
    """KL and the group's cross-entropy against formulas over the network's own outputs."""
    task, params, loss = started
    batch = jax.tree.map(lambda a: jnp.asarray(a[:5]), task.buckets()[0].arrays)
    key = jax.random.key(7)
    _, metrics = loss(params, batch, key)
    columns = COLUMNS(batch.number, batch.z, batch.occupied)
    noise = jax.random.normal(key, (5, task.options.network.latent))
    net = WycrystNet(task.options.network)
    mean, log_variance, decoded, logits, _ = jax.jit(net.apply)({"params": params["net"]}, columns, batch.number, noise)
    mean, log_variance, logits = (np.asarray(values, np.float64) for values in (mean, log_variance, logits))
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum() / 5
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-4)
    assert float(metrics["group"]) == pytest.approx(
        -np.log(share[np.arange(5), np.asarray(batch.number) - 1]).mean(), rel=1e-4
    )
    assert float(metrics["columns"]) == pytest.approx(
        ((np.asarray(decoded) - np.asarray(columns)) ** 2).sum() / 5, rel=1e-4
    )


@pytest.mark.slow
def test_training_lowers_the_loss(started):
    """60 clipped steps with momentum on 64 compounds."""
    task, params, _ = started
    batch = jax.tree.map(lambda a: jnp.asarray(a[:64]), task.buckets()[0].arrays)

    @jax.jit
    def run(net, key):
        def step(carry, key):
            net, velocity = carry
            loss, slope = jax.value_and_grad(lambda n: task.loss({**params, "net": n}, batch, key, True)[0])(net)
            norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(slope)))
            velocity = jax.tree.map(lambda v, g: 0.9 * v - 0.02 * g / jnp.maximum(norm, 1.0), velocity, slope)
            return (jax.tree.map(jnp.add, net, velocity), velocity), loss

        return jax.lax.scan(step, (net, jax.tree.map(jnp.zeros_like, net)), jax.random.split(key, 60))[1]

    losses = run(params["net"], jax.random.key(0))
    assert np.isfinite(losses).all()
    assert losses[-10:].mean() < 0.6 * losses[0]


@pytest.mark.slow
def test_energy_is_learned_only_where_it_is_known(prototype_dataset, started):
    """The prototypes have no energies, so the branch costs nothing; where there are some, the squared scaled error of those."""
    task, params, loss = started
    assert task.validation() == []
    energy = np.where(np.arange(len(prototype_dataset)) % 2, np.linspace(-3, 1, len(prototype_dataset)), np.nan)
    told = tasks.WycrystTask(
        get_config("tiny"), dataclasses.replace(prototype_dataset, properties={tasks.ENERGY: energy}), None
    )
    arrays = told.buckets()[0].arrays
    _, rows = tasks.represent(prototype_dataset)
    np.testing.assert_allclose(arrays.energy, np.nan_to_num(energy[rows]), rtol=1e-6)
    batch = jax.tree.map(lambda a: jnp.asarray(a[:5]), arrays)
    assert 0 < int(batch.has_energy.sum()) < 5
    stats = {**params["stats"], "energy_low": jnp.float32(-3), "energy_high": jnp.float32(1)}
    key = jax.random.key(7)
    silent = loss(params, batch._replace(has_energy=np.zeros(5, bool)), key)[1]
    assert float(silent["energy"]) == 0
    net = WycrystNet(task.options.network)
    columns = COLUMNS(batch.number, batch.z, batch.occupied)
    mean, _ = net.apply({"params": params["net"]}, columns, batch.number, method="encode")
    predicted = np.asarray(net.apply({"params": params["net"]}, mean, method="energy"), np.float64)
    wanted = (np.asarray(batch.energy) + 3) / 4
    by_hand = np.where(batch.has_energy, (predicted - wanted) ** 2, 0).sum() / 5
    assert float(loss({**params, "stats": stats}, batch, key)[1]["energy"]) == pytest.approx(by_hand, rel=1e-4)


def test_reading_decoded_columns(known):
    """The published rule gives every compound back from its own columns."""
    compounds, _ = known
    logits = jax.nn.one_hot(compounds.number - 1, 230)
    found = READ(COLUMNS(*compounds), logits)
    for mine, theirs in zip(found, compounds):
        np.testing.assert_array_equal(mine, theirs)
    faint = READ(0.09 * COLUMNS(*compounds), logits)
    assert not np.asarray(faint.z).any() and not np.asarray(faint.occupied).any()


@pytest.mark.slow
def test_drawing(started, known):
    task, params, _ = started
    weights, (compounds, _) = WycrystWeights(params, task.options), known
    around = sample(weights, 70, seed=3, around=compounds, batch_size=32)
    again = sample(weights, 70, seed=3, around=compounds, batch_size=32)
    other = sample(weights, 70, seed=4, around=compounds, batch_size=32)
    assert all((a == b).all() for a, b in zip(around, again)) and (around.number != other.number).any()
    assert len(around.number) == 70 and around.number.min() >= 1 and around.number.max() <= 230
    prior = sample(weights, 40, seed=0)
    assert prior.occupied.shape == (40, 3, 27) and (prior.occupied >= 0).all()
    rep.judge(prior)
    with pytest.raises(InputError, match="at least 1"):
        sample(weights, 0)
    with pytest.raises(InputError, match="no known compound"):
        sample(weights, 1, around=compounds.take(slice(0, 0)))
    with pytest.raises(InputError, match="noise"):
        sample(weights, 1, around=compounds, noise=-1.0)


def test_weights(started, tmp_path):
    from symjax.train.weights import save_params

    task, params, _ = started
    config = get_config("tiny")
    found = load_weights(save_params(tmp_path / "good", params, config))
    assert found.options == task.options
    stats = {**params["stats"], "multiplicity": np.asarray(params["stats"]["multiplicity"]) + 1}
    with pytest.raises(WeightsError, match="another table of Wyckoff positions"):
        load_weights(save_params(tmp_path / "table", {**params, "stats": stats}, config))
    with pytest.raises(WeightsError, match="another preset"):
        load_weights(save_params(tmp_path / "size", params, get_config("small")))
    from configs.symmcd import get_config as other

    with pytest.raises(WeightsError, match="'symmcd', not of wycryst"):
        load_weights(save_params(tmp_path / "other", params, other("tiny")))


def test_wrong_configuration_and_data(prototype_dataset):
    with pytest.raises(ConfigError, match="latent"):
        tasks.options_from_config(dict.fromkeys(("dense", "channels"), 1))
    config = get_config("tiny")
    config.model.wycryst.channels = (4, 8)
    with pytest.raises(ConfigError, match="three convolutions"):
        tasks.WycrystTask(config, prototype_dataset, None)
    single = [
        len(set(prototype_dataset.orbit_z[a:b].tolist())) == 1
        for a, b in zip(prototype_dataset.orbit_start, prototype_dataset.orbit_start[1:])
    ]
    with pytest.raises(DataError, match="two or three elements"):
        tasks.WycrystTask(get_config("tiny"), prototype_dataset.subset(np.array(single)), None)


@pytest.mark.slow
def test_convolutions_are_convolutions():
    """Against flax's own with the same kernels; spread rows are its transposed ones."""
    import flax.linen as nn

    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 12, 3)), jnp.float32)
    for mine, theirs in (
        (Convolution(4, 5, 2), nn.Conv(4, (5,), 2)),
        (Convolution(4, 3, up=2), nn.ConvTranspose(4, (3,), (2,))),
        (Convolution(4, 5, up=2), nn.ConvTranspose(4, (5,), (2,))),
    ):
        params = jax.jit(theirs.init)(jax.random.key(0), x)["params"]
        dense = {"Dense_0": {"kernel": params["kernel"].reshape(-1, 4), "bias": params["bias"]}}
        np.testing.assert_allclose(
            jax.jit(mine.apply)({"params": dense}, x), jax.jit(theirs.apply)({"params": params}, x), atol=1e-5
        )


def test_registry_builds_it(prototype_dataset):
    from symjax import systems as registry

    config = get_config("tiny")
    task = registry.entry(config.model.name).build(config, prototype_dataset, None)
    assert task.name == "wycryst" and len(task.buckets()) == 1
