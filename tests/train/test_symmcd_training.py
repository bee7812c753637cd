"""Training SymmCD at size tiny lowers every loss, through the program a user runs; the weights are read back by the sampler."""

import json

import numpy as np
import pytest
from train_crystals import crystals
from train_helpers import ROOT

from experiments import train as program
from symjax.models.symmcd.weights import load_weights
from symjax.train.metrics import read


@pytest.mark.slow
def test_symmcd_learns(tmp_path, capsys):
    crystals(300).save(tmp_path / "train.npz")
    crystals(60, seed=1).save(tmp_path / "val.npz")
    options = (
        "train.steps=120",
        "train.log_every=20",
        "train.eval_every=60",
        "train.learning_rate=0.003",
        "model.symmcd.buckets=(4,)",
        f"data.train={tmp_path / 'train.npz'}",
        f"data.val={tmp_path / 'val.npz'}",
    )
    config = f"--config={ROOT / 'configs' / 'symmcd.py'}:tiny"
    code = program.main(
        ["train", config, f"--workdir={tmp_path / 'run'}", *(f"--config.{option}" for option in options)]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "symmcd: step 120" in out
    rows = [row for row in read(tmp_path / "run" / "metrics.jsonl") if row["split"] == "train"]
    assert len(rows) == 6
    for metric, share in {"sites": 0.5, "types": 0.9, "lattice": 0.9, "loss": 0.5}.items():
        curve = [row[metric] for row in rows]
        assert np.isfinite(curve).all() and curve[-1] < share * curve[0], (metric, curve)
    weights = load_weights(tmp_path / "run" / "weights")
    assert weights.counts.group.sum() == pytest.approx(1.0, abs=1e-5)
    about = json.loads((tmp_path / "run" / "weights" / "metrics.json").read_text())
    assert len(about["data_hash"]["train"]) == 64


def test_buckets_that_hold_nothing_are_refused(tmp_path, capsys):
    crystals(20).save(tmp_path / "train.npz")
    config = f"--config={ROOT / 'configs' / 'symmcd.py'}:tiny"
    options = ("model.symmcd.buckets=(1,)", f"data.train={tmp_path / 'train.npz'}")
    code = program.main(
        ["train", config, f"--workdir={tmp_path / 'run'}", *(f"--config.{option}" for option in options)]
    )
    err = capsys.readouterr().err
    assert code == 2 and "no training crystal has at most 1 orbits" in err and "Traceback" not in err
