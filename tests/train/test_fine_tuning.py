"""Training from given weights, frozen parameters, rates by path, Adam's epsilon, and conditions with dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_task
from train_helpers import config, digests, run

from experiments import train as program
from symjax.errors import ConfigError, WeightsError
from symjax.nn.conditions import conditions_of, drop
from symjax.train.config import differences, flat, validate
from symjax.train.loop import Trainer
from symjax.train.parameters import merge, paths, split
from symjax.train.step import init_state, make_optimizer, make_step
from symjax.train.weights import load_params, save_params

PLAIN = {"train__schedule": "constant", "train__learning_rate": 0.1, "train__clip": 0.0, "train__ema": 0.0}


def one_step(**values):
    """Parameters before and after one step without noise, and the gradient worked out by hand."""
    c = config(model__noise=0.0, **PLAIN, **values)
    task, optimizer = toy_task.ToyTask(c), make_optimizer(c.train)
    batch = {k: v[:16] for k, v in task.parts[0].items()}
    state = init_state(task, optimizer, 0, batch, freeze=c.train.freeze)
    after, _ = jax.jit(make_step(task, optimizer, c.train))(state, batch)
    before, after = (jax.tree.map(np.asarray, s.params["net"]) for s in (state, after))
    wrong = batch["x"] @ before["weight"] + before["bias"] - batch["y"]
    gradient = {"weight": 2 * batch["x"].T @ wrong / 16, "bias": 2 * wrong.mean(axis=0)}
    return before, after, gradient


def test_rates_by_path():
    before, after, gradient = one_step(train__optimizer="sgd", train__rates=(("net/b.*", 0.5), (".*", 2.0)))
    np.testing.assert_allclose(after["bias"], before["bias"] - 0.1 * 0.5 * gradient["bias"], rtol=1e-5)
    np.testing.assert_allclose(after["weight"], before["weight"] - 0.1 * 2.0 * gradient["weight"], rtol=1e-4, atol=1e-6)


def test_epsilon_of_adam():
    """The first step of Adam is rate x g / (|g| + epsilon)."""
    for epsilon in (1e-8, 0.5):
        before, after, gradient = one_step(train__epsilon=epsilon)
        for name, g in gradient.items():
            expected = before[name] - 0.1 * g / (np.abs(g) + epsilon)
            np.testing.assert_allclose(after[name], expected, rtol=1e-4, atol=1e-6)


def test_split_and_merge_are_inverse():
    params = {"stats": {"scale": 1}, "net": {"a": {"w": 2, "b": 3}, "c": 4}, "empty": {}}
    for freeze, left in (
        ((), ["net/a/b", "net/a/w", "net/c"]),
        (("net/a/.*",), ["net/c"]),
        (("net/.*/b", "net/c"), ["net/a/w"]),
    ):
        trained, fixed = split(params, freeze)
        assert paths(trained) == left and merge(trained, fixed) == params
    assert split(params)[0] == {"net": params["net"], "empty": {}}


@pytest.mark.slow
def test_frozen_parameters_stay_bit_for_bit(tmp_path):
    result = run(tmp_path, train__freeze=("net/bias",), train__weight_decay=0.1)
    c = config()
    task = toy_task.ToyTask(c)
    start = init_state(task, make_optimizer(c.train), 0, {k: v[:16] for k, v in task.parts[0].items()})
    for tree in (result.state.params, result.state.ema, load_params(tmp_path / "weights")[0]):
        np.testing.assert_array_equal(tree["net"]["bias"], start.params["net"]["bias"])
        assert (np.asarray(tree["net"]["weight"]) != np.asarray(start.params["net"]["weight"])).all()
    assert not any(
        "bias" in jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(result.state.opt_state)
    )


@pytest.mark.slow
def test_start_from_weights_lists_what_does_not_match(tmp_path, capsys):
    run(tmp_path / "a")
    given, trained_with = load_params(tmp_path / "a" / "weights")
    given["net"]["old"] = np.zeros(2, np.float32)
    folder = save_params(tmp_path / "given", given, trained_with)
    capsys.readouterr()

    same = run(tmp_path / "b", train__init_from=str(folder), train__freeze=("net/weight",))
    for tree in (same.state.params, same.state.ema, load_params(tmp_path / "b" / "weights")[0]):
        np.testing.assert_array_equal(tree["net"]["weight"], given["net"]["weight"])
    err = capsys.readouterr().err
    assert f"3 of 3 parameters start from {folder}" in err and "net/old is not used: no such parameter here" in err

    fresh = init_state(
        toy_task.ToyTask(config(model__width=4)), make_optimizer(config().train), 0, {"x": np.zeros((16, 4))}
    )
    other = run(tmp_path / "c", train__init_from=str(folder), model__width=4, train__freeze=("net/weight",))
    np.testing.assert_allclose(other.state.params["net"]["weight"], fresh.params["net"]["weight"], rtol=1e-6)
    err = capsys.readouterr().err
    assert "2 of 3 parameters start" in err and "net/weight starts fresh: shape (8, 1) there, (4, 1) here" in err

    foreign = save_params(tmp_path / "foreign", {"tower": np.zeros(3)}, trained_with)
    with pytest.raises(WeightsError, match="share no parameter"):
        run(tmp_path / "d", train__init_from=str(foreign))


class Conditioned(toy_task.ToyTask):
    """The toy task with a condition that half of the examples lack."""

    def make(self, rng, num):
        energy = np.where(np.arange(num) % 2, np.nan, rng.normal(size=num))
        return super().make(rng, num) | {"conditions": conditions_of({"energy": energy})}

    def loss(self, params, batch, key, train):
        seen = drop(batch["conditions"], key, 0.2)["energy"] if train else batch["conditions"]["energy"]
        loss, metrics = super().loss(params, batch, key, train)
        return loss + 1e-2 * jnp.mean(seen.known * params["net"]["bias"] * seen.value), metrics


@pytest.mark.slow
def test_resume_is_bit_equal_with_all_of_them(tmp_path):
    run(tmp_path / "given", train__steps=10)
    values = {
        "train__init_from": str(tmp_path / "given" / "weights"),
        "train__freeze": ("net/weight",),
        "train__rates": (("net/bias", 0.3),),
        "train__epsilon": 1e-5,
        "train__schedule": "constant",
    }

    def conditioned(workdir, **more):
        c = config(**values, **more)
        return Trainer(Conditioned(c), c, tmp_path / workdir).run()

    whole = conditioned("whole")
    conditioned("broken", train__steps=20)
    conditioned("broken")
    assert digests(tmp_path / "whole")[40] == digests(tmp_path / "broken")[40]
    plain = config(**values)
    other = Trainer(toy_task.ToyTask(plain), plain, tmp_path / "plain").run()
    assert (np.asarray(other.state.params["net"]["bias"]) != np.asarray(whole.state.params["net"]["bias"])).any()


def test_checkpoints_from_before_these_fields():
    old, new = flat(config()), ("epsilon", "rates", "freeze", "init_from")
    for name in new:
        del old[f"train.{name}"]
    assert differences(old, flat(config())) == []
    assert differences(old, flat(config(train__freeze=("net/bias",)))) == ["config.train.freeze: [] -> ['net/bias']"]


def test_patterns_that_match_nothing(tmp_path):
    for name, value, message in (
        (
            "freeze",
            ("net/biaz",),
            r"config.train.freeze: 'net/biaz' matches none of 2 parameters \(net/bias, net/weight\)",
        ),
        ("freeze", ("stats/scale",), "config.train.freeze: 'stats/scale' matches none"),
        ("rates", (("bias", 0.1),), "config.train.rates: 'bias' matches none"),  # the whole path must match
        ("freeze", (".*",), "leaves no parameter"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(tmp_path, **{f"train__{name}": value})
    with pytest.raises(ConfigError, match="rates: 'net/bias' matches none of 1"):
        run(tmp_path, train__freeze=("net/bias",), train__rates=(("net/bias", 0.1),))


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("freeze", ("(",), "'(' is no regular expression"),
        ("rates", (("a", 0.0),), "not a pair"),
        ("rates", ("ab",), "not a pair"),
        ("init_from", "nowhere", "no such folder"),
        ("epsilon", 0.0, "more than 0"),
    ],
)
def test_wrong_values_are_told(name, value, message):
    with pytest.raises(ConfigError) as caught:
        validate(config(**{f"train__{name}": value}), needs_data=False)
    assert str(caught.value).startswith("1 problem(s)") and f"config.train.{name}" in str(caught.value)
    assert message in str(caught.value)


def test_on_the_command_line():
    line = [
        "train",
        "--config",
        "toy",
        "--config.train.freeze=('net/bias',)",
        "--config.train.rates=(('net/.*', 0.5),)",
    ]
    c = program.parse([*line, "--workdir=x"]).config
    assert c.train.freeze == ("net/bias",) and c.train.rates == (("net/.*", 0.5),)
