"""Training WyckoffTransformer at size tiny by both recipes, through the program a user runs; the weights are read back."""

import json

import numpy as np
import pytest
from train_crystals import crystals
from train_helpers import ROOT

from configs import wyckoff_transformer as configuration
from experiments import train as program
from symjax.errors import DataError, WeightsError
from symjax.models.wyckoff_transformer.task import WyckoffTask
from symjax.models.wyckoff_transformer.weights import load_weights
from symjax.train.config import validate
from symjax.train.metrics import read


def train(tmp_path, argument, *options):
    """Run the program on 200 crystals of six structure types; rows of its metrics."""
    crystals(200).save(tmp_path / "train.npz")
    crystals(60, seed=1).save(tmp_path / "val.npz")
    given = (
        f"data.train={tmp_path / 'train.npz'}",
        f"data.val={tmp_path / 'val.npz'}",
        "model.wyckoff_transformer.buckets=(3,)",
        "model.wyckoff_transformer.num_layers=1",
        *options,
    )
    config = f"--config={ROOT / 'configs' / 'wyckoff_transformer.py'}:{argument}"
    code = program.main(["train", config, f"--workdir={tmp_path / 'run'}", *(f"--config.{option}" for option in given)])
    assert code == 0
    return read(tmp_path / "run" / "metrics.jsonl")


@pytest.mark.slow
def test_model_learns_by_minibatches(tmp_path):
    rows = train(tmp_path, "tiny", "train.log_every=20", "train.eval_every=120", "train.learning_rate=0.01")
    curve = [row["loss"] for row in rows if row["split"] == "train"]
    assert len(curve) == 6 and np.isfinite(curve).all() and curve[-1] < 0.5 * curve[0]
    (val,) = [row for row in rows if row["split"] == "val"]
    # per crystal: six types, about 2 x ln 8 of elements; uniform guesses cost 37 nats
    assert val["loss"] == pytest.approx(val["element"] + val["site"] + val["enum"], rel=1e-5) and 4 < val["loss"] < 17
    weights = load_weights(tmp_path / "run" / "weights")
    assert weights.group_counts.sum() == 200 and np.flatnonzero(weights.group_counts).tolist() == [
        136,
        186,
        216,
        221,
        225,
    ]
    about = json.loads((tmp_path / "run" / "weights" / "metrics.json").read_text())
    assert about["step"] == 120 and len(about["data_hash"]["train"]) == 64
    with np.load(tmp_path / "run" / "weights" / "params.npz") as file:
        arrays = dict(file)
    arrays["stats/version"] = arrays["stats/version"] + 1  # tokens of another table version
    np.savez(tmp_path / "run" / "weights" / "params.npz", **arrays)
    with pytest.raises(WeightsError):
        load_weights(tmp_path / "run" / "weights")


@pytest.mark.slow
def test_published_recipe_runs(tmp_path):
    """One field and one number of known sites a step: the whole set at once, its best validation exported."""
    rows = train(
        tmp_path,
        "tiny,recipe=published",
        "train.steps=60",
        "train.log_every=20",
        "train.eval_every=20",
        "train.checkpoint_every=20",
    )
    val = [row["loss"] for row in rows if row["split"] == "val"]
    assert len(val) == 3 and min(val) < 36.0
    kept = [row["kept"] for row in rows if row["split"] == "train"]
    assert 0 < np.mean(kept) < 0.4  # 3.3 of 21 numbers of known sites are within a crystal
    about = json.loads((tmp_path / "run" / "weights" / "metrics.json").read_text())
    assert about["step"] == 20 * (1 + int(np.argmin(val)))


@pytest.mark.parametrize(
    "argument", [f"{size},recipe={r}" for size in configuration.SIZES for r in ("minibatch", "published")]
)
def test_presets_are_valid(argument, tmp_path):
    config = configuration.get_config(argument)
    (tmp_path / "val.npz").write_text("")
    config.data.val = str(tmp_path / "val.npz")
    validate(config)
    assert (config.train.optimizer == "sgd") == config.model.wyckoff_transformer.per_batch == ("published" in argument)


def test_data_without_a_usable_crystal_is_refused():
    config = configuration.get_config("tiny")
    config.model.wyckoff_transformer.buckets = (1,)
    with pytest.raises(DataError, match="no training crystal has at most 1 sites"):
        WyckoffTask(config, crystals(20), None)
