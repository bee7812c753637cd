"""Training symop at size tiny really lowers the loss of both parts, through the program a user runs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from train_crystals import crystals
from train_helpers import ROOT

from experiments import train as program
from symjax.train.metrics import read
from symjax.train.weights import load_params


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    crystals(400).save(folder / "train.npz")
    crystals(60, seed=1).save(folder / "val.npz")
    return folder


def train(part, data, workdir, options, capsys, steps=120):
    """Run the program; returns rows of the metrics."""
    config = f"--config={ROOT / 'configs' / 'symop.py'}:tiny,part={part}"
    more = [f"--config.{option}" for option in (f"train.steps={steps}", "train.log_every=20", *options)]
    code = program.main(["train", config, f"--workdir={workdir}", f"--config.data.train={data / 'train.npz'}", *more])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert f"symop_{part}: step {steps}" in out
    params, stored = load_params(workdir / "weights")
    assert params and stored.model.name == f"symop_{part}"
    about = json.loads((workdir / "weights" / "metrics.json").read_text())
    assert len(about["data_hash"]["train"]) == 64 and about["parameters"] < 1_000_000
    return read(workdir / "metrics.jsonl")


def check_falls(rows, shares):
    for metric, share in shares.items():
        curve = [row[metric] for row in rows]
        assert len(curve) == 6 and np.isfinite(curve).all()
        assert curve[-1] < share * curve[0], (metric, curve)


@pytest.mark.slow
def test_operations_learn(data, tmp_path, capsys):
    rows = train("operations", data, tmp_path, (), capsys)
    check_falls(rows, {"species": 0.8, "walk": 0.75, "sites": 0.8, "loss": 0.75})


@pytest.mark.slow
def test_geometry_learns(data, tmp_path, capsys):
    # one padded size, since each is compiled by itself; the held-out loss, since its noise is the same every time
    options = (
        "model.geometry.buckets=((12, 64),)",
        "train.eval_every=100",
        "train.learning_rate=0.003",
        f"data.val={data / 'val.npz'}",
    )
    rows = train("geometry", data, tmp_path, options, capsys, steps=600)
    check_falls([row for row in rows if row["split"] == "val"], {"loss": 0.8})


@pytest.mark.slow
@pytest.mark.parametrize("part", ["operations", "geometry"])
def test_same_curve_on_one_and_eight_devices(part, data, tmp_path):
    """The real networks: sharding the batch changes nothing but rounding."""
    curves = []
    for devices in (1, 8):
        workdir = tmp_path / str(devices)
        flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        options = ["model.geometry.buckets=((12, 64),)"] if part == "geometry" else []
        options += [
            "train.steps=20",
            "train.log_every=5",
            "train.steps_per_dispatch=5",
            f"data.train={data / 'train.npz'}",
        ]
        command = [sys.executable, "-m", "experiments.train", f"--config=configs/symop.py:tiny,part={part}"]
        command += [f"--workdir={workdir}", *(f"--config.{option}" for option in options)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | flags, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        curves.append([row["loss"] for row in read(workdir / "metrics.jsonl", "train")])
    assert len(curves[0]) == 4
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-3)


@pytest.mark.slow
def test_a_first_try_needs_no_file(tmp_path, capsys):
    config = f"--config={ROOT / 'configs' / 'symop.py'}:tiny,part=geometry"
    more = ["--config.train.steps=20", "--config.model.geometry.buckets=((20, 96),)"]
    for steps in (20, 40):  # the second time it resumes with the data made before
        more[0] = f"--config.train.steps={steps}"
        code = program.main(["train", config, f"--workdir={tmp_path}", *more])
        out, err = capsys.readouterr()
        assert code == 0 and f"step {steps}" in out, err
    assert (tmp_path / "prototypes.npz").exists()
