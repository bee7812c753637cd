"""The loop in this process: it learns, resumes bit for bit, keeps what it should and stops when it must."""

import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import toy_task
from train_helpers import config, digests, run

from symjax.data.files import locked
from symjax.errors import ConfigError, SymjaxError
from symjax.train import loop
from symjax.train.loop import Trainer
from symjax.train.metrics import read
from symjax.train.state import LOCK, read_state
from symjax.train.weights import load_params


def test_learns_and_leaves_everything(tmp_path):
    result = run(tmp_path, train__steps=300, train__log_every=20)
    assert result.finished and result.step == 300
    losses = [row["loss"] for row in read(tmp_path / "metrics.jsonl", "train")]
    assert losses[-1] < 0.05 * losses[0]
    assert result.metrics["val/loss"] < 0.01
    params, stored = load_params(result.weights)
    weight = toy_task.ToyTask(stored).weight
    np.testing.assert_allclose(params["net"]["weight"], weight, atol=0.1)
    np.testing.assert_array_equal(params["stats"]["scale"], np.full((2, 2), 0.1, np.float32))
    assert stored.train.steps == 300
    assert json.loads((tmp_path / "config.json").read_text())["train"]["steps"] == 300
    assert json.loads((tmp_path / "versions.json").read_text())["jax"]
    assert list((tmp_path / "tensorboard").glob("events*"))
    about = json.loads((result.weights / "metrics.json").read_text())
    assert about["step"] == 300 and about["parameters"] == 8 + 1 + 4


@pytest.mark.slow
def test_half_and_half_equals_whole_bit_for_bit(tmp_path):
    run(tmp_path / "whole", train__steps=80)
    run(tmp_path / "parts", train__steps=40)
    run(tmp_path / "parts", train__steps=80)
    whole, parts = digests(tmp_path / "whole"), digests(tmp_path / "parts")
    assert whole[80] == parts[80]
    curve = lambda name: [(r["step"], r["loss"]) for r in read(tmp_path / name / "metrics.jsonl", "train")]
    assert curve("whole") == curve("parts") and len(curve("whole")) == 8


def test_stop_in_the_middle_of_a_dispatch_changes_nothing(tmp_path):
    run(tmp_path / "whole", train__steps=40)
    for steps in (13, 27, 40):
        run(tmp_path / "parts", train__steps=steps)
    assert digests(tmp_path / "whole")[40] == digests(tmp_path / "parts")[40]


def test_seed_changes_the_run(tmp_path):
    run(tmp_path / "a", train__steps=10)
    run(tmp_path / "b", train__steps=10, train__seed=1)
    assert digests(tmp_path / "a") != digests(tmp_path / "b")


def test_resumed_run_rewrites_later_metrics(tmp_path):
    run(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 50, "split": "train", "loss": 1.0}\n{"step": 60, "spl')
    run(tmp_path, train__steps=60)
    steps = [row["step"] for row in read(tmp_path / "metrics.jsonl", "train")]
    assert steps == [10, 20, 30, 40, 50, 60]
    assert all(row["loss"] != 1.0 for row in read(tmp_path / "metrics.jsonl", "train"))


def test_newest_and_best_are_kept(tmp_path):
    # a rate this high makes validation wander, so the best is not the newest
    run(tmp_path, train__steps=200, train__keep=2, train__learning_rate=0.5, train__ema=0.0)
    rows = {row["step"]: row["loss"] for row in read(tmp_path / "metrics.jsonl", "val")}
    assert len(rows) == 10
    best = min(rows, key=rows.get)
    assert set(digests(tmp_path)) == {180, 200, best}


def test_divergence_names_step_and_checkpoint(tmp_path):
    with pytest.raises(SymjaxError, match=r"not finite at step \d+; last good checkpoint: step 20 in .*checkpoints"):
        run(
            tmp_path,
            train__steps=400,
            model__fuse=0.4,
            train__learning_rate=0.015,
            train__checkpoint_every=10,
            train__keep=1,
        )
    assert all(np.isfinite(row["loss"]) for row in read(tmp_path / "metrics.jsonl"))


def test_resume_with_another_configuration_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ConfigError, match=r"config.train.batch_size: 16 -> 8"):
        run(tmp_path, train__steps=60, train__batch_size=8)
    assert json.loads((tmp_path / "config.json").read_text())["train"]["batch_size"] == 16
    with pytest.raises(ConfigError, match="at step 40 already"):
        run(tmp_path, train__steps=30)
    c = config(train__steps=60)
    with pytest.raises(ConfigError, match=r"content of config\.data\.train"):
        Trainer(toy_task.ToyTask(c), c, tmp_path, data_hash={"train": "1"}).run()


@pytest.mark.slow
def test_schedule_clip_decay_and_bfloat16(tmp_path):
    run(tmp_path / "a", train__schedule="cosine", train__warmup=5, train__clip=0.1, train__weight_decay=0.1)
    run(tmp_path / "b", train__schedule="linear", train__dtype="bfloat16", train__ema=0.0)
    for name in "ab":
        losses = [row["loss"] for row in read(tmp_path / name / "metrics.jsonl", "train")]
        assert losses[-1] < losses[0]
    params, _ = load_params(tmp_path / "b" / "weights")
    assert params["net"]["weight"].dtype == np.float32


def test_bad_tasks_are_told(tmp_path):
    c = config()

    class Uneven(toy_task.ToyTask):
        def buckets(self):
            first = super().buckets()[0]
            return [first._replace(arrays={**first.arrays, "y": first.arrays["y"][:-1]})]

    class NoData(toy_task.ToyTask):
        def buckets(self):
            return []

    class Vector(toy_task.ToyTask):
        def loss(self, params, batch, key, train):
            loss, _ = super().loss(params, batch, key, train)
            return loss, {"rows": batch["y"]}

    with pytest.raises(SymjaxError, match="bucket 0 of toy: leading axes"):
        Trainer(Uneven(c), c, tmp_path)
    with pytest.raises(SymjaxError, match="at least one is needed"):
        Trainer(NoData(c), c, tmp_path)
    with pytest.raises(SymjaxError, match="must be scalars"):
        Trainer(Vector(c), c, tmp_path).run()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SymjaxError, match="cannot make the work folder"):
        run(tmp_path / "file" / "run")


def test_log_lines_after_a_stop_are_those_of_a_whole_run(tmp_path):
    """Lines of the log are means over the steps since the one before, also where a stop lies between the two."""
    values = {"train__log_every": 15, "train__checkpoint_every": 10, "train__steps_per_dispatch": 5}
    run(tmp_path / "whole", **values)
    c = config(**values)
    trainer = Trainer(toy_task.ToyTask(c), c, tmp_path / "parts")
    save = trainer._save

    def interrupt(*args):
        save(*args)
        os.kill(os.getpid(), signal.SIGTERM)

    trainer._save = interrupt
    assert not trainer.run().finished
    assert read_state(tmp_path / "parts")["step"] == 10
    run(tmp_path / "parts", **values)
    rows = [
        [
            {k: v for k, v in row.items() if k == "step" or not (k.startswith("s") or k.endswith("per_second"))}
            for row in read(folder / "metrics.jsonl")
        ]
        for folder in (tmp_path / "whole", tmp_path / "parts")
    ]
    assert rows[0] == rows[1] and len(rows[0]) > 3


def test_a_folder_in_use_is_left_alone(tmp_path):
    run(tmp_path, train__steps=10)
    before = read_state(tmp_path)
    with locked(tmp_path / LOCK, "it"), pytest.raises(SymjaxError, match=f"in use by process {os.getpid()}"):
        run(tmp_path)
    assert read_state(tmp_path) == before and before["state"] == "finished" and before["batch"]
    assert run(tmp_path, train__steps=10).finished


def test_batches_that_do_not_divide(tmp_path, capfd, monkeypatch):
    """Said at the start; a run goes on only with the batches that it had."""
    run(tmp_path / "run", train__steps=10, train__batch_size=16)
    assert "does not divide" not in capfd.readouterr().err
    monkeypatch.setattr(loop, "_round_up", lambda batch, mesh: -(-batch // 3) * 3)  # as on three devices
    with pytest.raises(ConfigError, match=r"examples a step.*\[16, 16\] -> \[18, 18\]"):
        run(tmp_path / "run", train__steps=20, train__batch_size=16)
    assert read_state(tmp_path / "run")["state"] == "finished"
    devices = lambda data, model: SimpleNamespace(size=data * model, shape={"data": data, "model": model})
    assert loop._batch_notes([16, 16, 18], devices(3, 1)) == [
        "a batch of 16 examples does not divide over 3 devices: each step takes 18"
    ]
    monkeypatch.undo()
    assert loop._batch_notes([16, 18], devices(2, 4)) == []
    assert loop._batch_notes([15], devices(2, 4)) == [
        "a batch of 15 examples does not divide over 2 groups of 4 devices: each step takes 16"
    ]
