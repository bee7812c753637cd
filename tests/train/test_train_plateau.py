"""Plain gradient descent, a rate that falls on plateaus, early stopping, and the weights of the best validation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from train_helpers import config, run

from configs.wyckoff_transformer import get_config
from symjax.errors import ConfigError
from symjax.train.checkpoints import Checkpoints
from symjax.train.config import apply, differences, flat, validate
from symjax.train.metrics import read
from symjax.train.plateau import observe, scale_by_plateau
from symjax.train.state import read_state
from symjax.train.step import make_optimizer
from symjax.train.weights import load_params

# torch.optim.lr_scheduler.ReduceLROnPlateau(factor=0.5, patience=2), rate after each loss
LOSSES = (5.0, 4.0, 4.0, 4.1, 3.9999, 3.9, 3.95, 3.9, 3.92, 3.91, 3.95, 3.8, 3.9, 3.9, 3.9, 3.9, 3.9, 3.9)
RATES = (1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.0625)


def test_rule_is_that_of_torch():
    optimizer = optax.chain(optax.scale_by_adam(), scale_by_plateau(), optax.scale(-1.0))
    state = optimizer.init({"a": jnp.ones(2)})
    step = jax.jit(lambda state, loss: observe(state, loss, factor=0.5, patience=2))
    scales = []
    for loss in LOSSES:
        state = step(state, loss)
        scales.append(float(state[1].scale))
    np.testing.assert_array_equal(scales, RATES)
    update, _ = scale_by_plateau().update({"a": jnp.ones(2)}, state[1])
    np.testing.assert_array_equal(update["a"], RATES[-1])


def test_sgd_steps_have_the_length_of_rate_times_clip():
    c = config(
        train__optimizer="sgd", train__clip=2.0, train__learning_rate=0.2, train__schedule="constant", train__warmup=0
    )
    optimizer = make_optimizer(c.train)
    params = {"a": jnp.zeros(3)}
    update, _ = optimizer.update({"a": jnp.asarray([300.0, 400.0, 0.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(update["a"], [-0.24, -0.32, 0.0], rtol=1e-6)  # 0.2 x 2 = 0.4 against the gradient


@pytest.mark.slow
def test_run_ends_without_better_validations_and_exports_the_best(tmp_path):
    """The rate is so large that training leaves the minimum; the resumed run knows the best one of before."""
    values = {
        "optimizer": "sgd",
        "clip": 0.5,
        "schedule": "constant",
        "warmup": 0,
        "ema": 0.0,
        "learning_rate": 0.3,
        "steps_per_dispatch": 5,
        "eval_every": 5,
        "checkpoint_every": 5,
        "stop_after": 40,
        "export_best": True,
        "plateau_factor": 0.9,
        "plateau_patience": 3,
    }
    values = {f"train__{name}": value for name, value in values.items()}
    first = run(tmp_path, train__steps=20, **values)
    assert first.step == 20 and first.finished
    result = run(tmp_path, train__steps=4000, **values)
    rows = {row["step"]: row["loss"] for row in read(tmp_path / "metrics.jsonl") if row["split"] == "val"}
    best = min(rows, key=rows.get)
    assert result.finished and result.step < 4000 and result.step == max(rows) == best + 40
    with Checkpoints(tmp_path / "checkpoints", 2) as checkpoints:
        assert checkpoints.best() == best and checkpoints.record(result.step)["best"] == [
            pytest.approx(rows[best]),
            best,
        ]
    assert read_state(tmp_path)["state"] == "ended early"
    files = {path: path.read_bytes() for path in (tmp_path / "weights").iterdir()}
    again = run(tmp_path, train__steps=4000, **values)  # the same command does nothing more
    assert again.step == result.step and again.finished and read_state(tmp_path)["state"] == "ended early"
    assert files == {path: path.read_bytes() for path in (tmp_path / "weights").iterdir()}
    longer = run(tmp_path, train__steps=result.step + 5, **values | {"train__stop_after": 4000})
    assert longer.step == result.step + 5 and read_state(tmp_path)["state"] == "finished"
    params, _ = load_params(tmp_path / "weights")
    assert not np.array_equal(params["net"]["weight"], np.asarray(result.state.params["net"]["weight"]))


def test_older_checkpoints_had_adam_and_no_plateau():
    old = flat(config())
    for name in ("optimizer", "plateau_factor", "plateau_patience", "stop_after", "export_best"):
        del old[f"train.{name}"]
    assert differences(old, flat(config(train__stop_after=5))) == []
    assert differences(old, flat(config(train__optimizer="sgd"))) == ["config.train.optimizer: adam -> sgd"]


@pytest.mark.parametrize("name, value", [("optimizer", "adagrad"), ("plateau_factor", 1.0), ("stop_after", -1)])
def test_wrong_values_are_told(name, value):
    with pytest.raises(ConfigError, match=f"config.train.{name} = "):
        validate(config(**{f"train__{name}": value}), needs_data=False)


def test_rules_of_the_validation_need_one():
    with pytest.raises(ConfigError, match="export_best = True: needs a validation set"):
        validate(apply(get_config("tiny"), {"train.export_best": True}))
