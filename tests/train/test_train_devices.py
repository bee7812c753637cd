"""The same program on one device, on eight, and in two processes; and what a signal does to it."""

import json
import signal
import socket
import time

import numpy as np
import pytest
from train_helpers import digests, finish, run, start

from symjax.train.metrics import read
from symjax.train.state import STOPPED, read_state


def losses(workdir, split="train"):
    return np.asarray([row["loss"] for row in read(workdir / "metrics.jsonl", split)])


@pytest.mark.slow
def test_one_and_eight_devices_and_moving_between_them(tmp_path):
    processes = [start(tmp_path / str(n), devices=n) for n in (1, 8)]
    for process in processes:
        code, _, err = finish(process)
        assert code == 0, err
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "8"), rtol=1e-4)
    np.testing.assert_allclose(losses(tmp_path / "1", "val"), losses(tmp_path / "8", "val"), rtol=1e-4)
    assert json.loads((tmp_path / "8" / "versions.json").read_text())["devices"].startswith("8 x")
    # what eight devices wrote goes on on one, and the other way round
    moved = [start(tmp_path / str(8 // n), "train.steps=60", devices=n) for n in (1, 8)]
    for process in moved:
        code, _, err = finish(process)
        assert code == 0 and "resumed from step 40" in err, err
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "8"), rtol=1e-4)
    assert len(losses(tmp_path / "1")) == 6


def test_signal_saves_and_the_rest_is_exact(tmp_path, capsys):
    """A program that is stopped; what goes on from there, in this process, is what an unbroken run gives."""
    many = ("train.steps=4000000", "train.log_every=10")
    process = start(tmp_path / "run", *many)
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(6000):  # ten minutes at most on a busy machine
        if metrics.exists() and metrics.stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == STOPPED and "Traceback" not in err, err
    assert "saved at step" in err
    assert read_state(tmp_path / "run")["state"] == "stopped" and read_state(tmp_path / "run")["reason"] == "SIGTERM"
    stopped = max(digests(tmp_path / "run"))
    assert f"saved at step {stopped}" in err and stopped % 10 == 0
    assert (tmp_path / "run" / "weights" / "params.npz").exists()
    run(tmp_path / "run", train__steps=stopped + 20)
    assert f"resumed from step {stopped}" in capsys.readouterr().err
    run(tmp_path / "whole", train__steps=stopped + 20)
    assert read_state(tmp_path / "run")["state"] == "finished"
    assert digests(tmp_path / "run")[stopped + 20] == digests(tmp_path / "whole")[stopped + 20]


@pytest.mark.slow
def test_two_processes_make_one_run(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = lambda i: (f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={i}")
    processes = [start(tmp_path / "two", devices=2, flags=flags(i)) for i in range(2)]
    ends = [finish(p) for p in processes]
    assert [code for code, _, _ in ends] == [0, 0], ends
    assert "toy: step 40" in ends[0][1] and "toy" not in ends[1][1]
    code, _, err = finish(start(tmp_path / "one"))
    assert code == 0, err
    np.testing.assert_allclose(losses(tmp_path / "one"), losses(tmp_path / "two"), rtol=1e-4)
    assert json.loads((tmp_path / "two" / "versions.json").read_text())["processes"] == 2
    code, _, err = finish(start(tmp_path / "two", "train.steps=60"))
    assert code == 0 and "resumed from step 40" in err, err
