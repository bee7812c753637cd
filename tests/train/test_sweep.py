"""Sweeps: which runs there are, what is not run again, and the table; rates, profile windows and W&B of a run."""

import json
import sys
import types

import pytest

from experiments import sweep
from symjax.errors import ConfigError, SymjaxError
from symjax.train.config import window
from symjax.train.metrics import Meter
from symjax.train.wandb import Wandb


def test_runs_and_fields():
    over = sweep.fields(["train.learning_rate=1e-3,3e-4", "config.model.sizes=(1,2);(3,)"])
    assert over == {"train.learning_rate": ["1e-3", "3e-4"], "model.sizes": ["(1,2)", "(3,)"]}
    made = sweep.runs(over)
    assert len(made) == 4 and made["learning_rate=1e-3,sizes=_1,2_"] == {
        "train.learning_rate": "1e-3",
        "model.sizes": "(1,2)",
    }
    with pytest.raises(ConfigError, match="write field and values"):
        sweep.fields(["train.ema"])
    with pytest.raises(ConfigError, match="--workdir is missing"):
        sweep.split_line(["--over", "a=1"])


def test_the_table_and_going_on(tmp_path, monkeypatch, capsys):
    """Runs by a program made by hand: losses from the rate; finished runs are not made again."""
    lines = []

    def run(command, check):
        lines.append(command)
        rate = next(
            float(word.rpartition("=")[2]) for word in command if "learning_rate" in word and "workdir" not in word
        )
        folder = next(word.partition("=")[2] for word in command if word.startswith("--workdir"))
        place = tmp_path.joinpath(folder)
        place.mkdir(parents=True)
        (place / "state.json").write_text(json.dumps({"state": "finished", "step": 7}))
        (place / "metrics.jsonl").write_text(json.dumps({"step": 7, "split": "val", "loss": rate}) + "\n")
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setattr(sweep.subprocess, "run", run)
    line = ["--config", "symop:tiny", "--workdir", str(tmp_path / "s"), "--over", "train.learning_rate=0.3,0.1,0.2"]
    assert sweep.main(line) == 0
    rows = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert [row["val_loss"] for row in rows] == [0.1, 0.2, 0.3] and len(lines) == 3
    assert lines[0][1:3] == ["-m", "symjax.experiments.train"] and "symop:tiny" in lines[0]
    assert "learning_rate" in capsys.readouterr().out
    assert sweep.main(line) == 0 and len(lines) == 3


def test_throughput_leaves_compiling_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("symjax.train.metrics.time.monotonic", lambda: now[0])
    meter = Meter()
    now[0] = 100.0
    meter.leave_out(90.0)
    meter.add({"loss": 20.0}, 10, 640)
    found = meter.means()
    assert found == {"loss": 2.0, "steps_per_second": 1.0, "examples_per_second": 64.0}


def test_profile_windows():
    assert window("100:110") == (100, 110) and window("") is None
    for text in ("100", "9:3", "a:b"):
        with pytest.raises(ConfigError, match="first and last step"):
            window(text)


def test_wandb(tmp_path, monkeypatch):
    """A run is started once and resumed under its id; without the package the hint names the extra."""
    told = []

    class Run:
        id = "abc"

        def log(self, values, step):
            told.append((step, values))

        def finish(self):
            told.append("end")

    starts = []
    fake = types.SimpleNamespace(init=lambda **given: starts.append(given) or Run())
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for _ in range(2):
        writer = Wandb("mine", tmp_path, {"train.steps": 3}, active=True)
        writer.write(5, "val", {"loss": 1.0, "bad": float("nan")})
        writer.close()
    assert [given["id"] for given in starts] == [None, "abc"]
    assert told == [(5, {"val/loss": 1.0}), "end"] * 2
    Wandb("", tmp_path, {}, active=True).write(1, "val", {"loss": 1.0})
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(SymjaxError, match=r"\[wandb\]"):
        Wandb("mine", tmp_path, {}, active=True)
