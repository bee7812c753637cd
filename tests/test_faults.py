"""Faults, one after the other, in the commands as a user runs them: what survives, and what is lost.

    python -m pytest -m faults -n 0

Its table is docs/reliability.md. Faults of single parts stand beside these parts, under the same mark: tests/test_parallel.py
(workers), tests/evaluate/test_cache.py (the cache), tests/train/test_train_checkpoints.py (checkpoints), tests/data/test_fuzz.py
(hostile files).
"""

import contextlib
import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from symjax.parallel import Workers, map_items
from tests.corpus import GOOD

pytestmark = [pytest.mark.slow, pytest.mark.faults]
ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "symjax.cli.main"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
NUM = 400


@pytest.fixture
def source(tmp_path):
    """A CSV of different crystals."""
    with open(tmp_path / "in.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "cif"])
        writer.writerows([f"m-{i}", GOOD.replace("5.1\n", f"{5.1 + 0.001 * i:.3f}\n")] for i in range(NUM))
    return tmp_path / "in.csv"


def start(*arguments, cwd):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, code):
    out, err = process.communicate(timeout=900)
    assert process.returncode == code, (process.returncode, out, err)
    assert "Traceback" not in err, err
    return out, err


def prepare(out, cwd):
    return start("data", "prepare", "in.csv", "--out", out, "--workers", 2, "--quiet", cwd=cwd)


def evaluate(cwd, *more):
    metrics = "--metrics=symmcd,lemat"
    return start("evaluate", "in.csv", "-r", "in.csv", metrics, "--workers", 2, "--quiet", *more, cwd=cwd)


def workers(parent):
    """Worker processes of a process."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            owner = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if owner == parent.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def wait_for(what, seconds=300):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def gone(pids):
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 60)


@pytest.mark.parametrize("fault", ["worker killed", "parent killed", "SIGTERM", "Ctrl-C"])
def test_prepare(source, tmp_path, fault):
    """The file is the same bytes as without the fault, after the same command again where the command ended."""
    finish(prepare("whole.npz", tmp_path), 0)
    running = prepare("out.npz", tmp_path)
    wait_for(lambda: list(tmp_path.glob("out.npz.work/shard-*")))
    pids = workers(running)
    assert len(pids) == 2
    if fault == "worker killed":
        os.kill(pids[0], signal.SIGKILL)
        finish(running, 0)
    else:
        number = {"parent killed": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}[fault]
        os.killpg(running.pid, number) if fault == "Ctrl-C" else running.send_signal(number)
        err = finish(running, {"parent killed": -9, "SIGTERM": 143, "Ctrl-C": 130}[fault])[1]
        assert fault == "parent killed" or err.splitlines() == ["symjax: interrupted"]
        gone(pids)
        finish(prepare("out.npz", tmp_path), 0)
    gone(pids)
    assert (tmp_path / "out.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not (tmp_path / "out.npz.work").exists()


@pytest.mark.parametrize("fault", ["worker killed", "parent killed", "SIGTERM"])
def test_evaluate(source, tmp_path, fault):
    """The same figures, and no worker left."""
    whole = json.loads(finish(evaluate(tmp_path, "--no-cache", "--json"), 0)[0])
    running = evaluate(tmp_path, "--cache", "c.sqlite", "--json")
    pids = wait_for(lambda: len(found := workers(running)) == 2 and found)
    time.sleep(1)
    if fault == "worker killed":
        os.kill(pids[0], signal.SIGKILL)
        out = finish(running, 0)[0]
    else:
        running.send_signal(signal.SIGKILL if fault == "parent killed" else signal.SIGTERM)
        finish(running, -9 if fault == "parent killed" else 143)
        gone(pids)
        out = finish(evaluate(tmp_path, "--cache", "c.sqlite", "--json"), 0)[0]
    assert json.loads(out)["figures"] == whole["figures"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_disk_full(source, tmp_path, small_disk):
    """One line and code 2; what was worked out is shown; nothing half written, and the same command goes on elsewhere."""
    err = finish(prepare(small_disk / "out.npz", tmp_path), 2)[1]
    assert "No space left" in err and len(err.splitlines()) == 1
    assert not (small_disk / "out.npz").exists()
    for file in small_disk.iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    source.write_text("".join(source.read_text().partition("m-20,")[:1]))  # few are enough for what follows
    out, err = finish(evaluate(tmp_path, "--no-cache", "--json", "--out", small_disk / "report"), 2)
    assert json.loads(out)["figures"] and "No space left" in err
    assert not (small_disk / "report").exists()
    out, err = finish(evaluate(tmp_path, "--cache", small_disk / "c.sqlite", "--json"), 0)
    assert json.loads(out)["figures"] and "in memory only" in err


def test_two_at_once(source, tmp_path):
    """The second is refused, the first is not harmed."""
    first = prepare("out.npz", tmp_path)
    wait_for(lambda: (tmp_path / "out.npz.work" / "run.lock").exists())
    time.sleep(0.5)
    err = finish(prepare("out.npz", tmp_path), 2)[1]
    assert f"is in use by process {first.pid}" in err and len(err.splitlines()) == 1
    finish(first, 0)
    assert (tmp_path / "out.npz").exists()


def test_a_clock_that_goes_backwards_and_jumps(monkeypatch):
    """Limits of time do not hang on the clock of the wall."""
    jumps = iter(np.random.default_rng(0).uniform(-1e6, 1e6, 10**6).tolist())
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    assert map_items(abs, range(200), total=200, processes=Workers(2, seconds=5)) == list(range(200))


HOSTILE = {
    "negative.extxyz": b'-2\nLattice="1 0 0 0 1 0 0 0 1"\nH 0 0 0\n',
    "huge.extxyz": b'9999999999999\nLattice="1 0 0 0 1 0 0 0 1"\nH 0 0 0\n',
    "deep.json": b"[" * 10**5 + b"]" * 10**5,
    "deep.jsonl": b"[" * 10**5 + b"]" * 10**5,
    "bomb.cif.gz": b"",
    "thin.csv": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name):
    """One line and code 2, within half a gibibyte of memory beyond what the program takes."""
    (tmp_path / name).write_bytes(HOSTILE[name])
    if name == "bomb.cif.gz":
        with gzip.open(tmp_path / name, "wb", compresslevel=1) as stream:
            for _ in range(2048):
                stream.write(bytes(2**20))
    if name == "thin.csv":
        thin = GOOD.replace("5.1\n", "0.01\n").replace("6.2\n", "60\n").replace("7.3\n", "60\n").replace("99", "90")
        (tmp_path / name).write_text(f'material_id,cif\nthin,"{thin}"\n')
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30)); "
        "from symjax.cli.main import program; program()"
    )
    arguments = ["data", "prepare", name, "--out", "out.npz", "--quiet"]
    if name == "thin.csv":  # is no hostile text; judging it is what did not end
        arguments = ["evaluate", name, "-r", name, "--time-limit", "20", "--no-cache", "--quiet", "--metrics=coverage"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == (0 if name == "thin.csv" else 2), done.stderr
    assert "Traceback" not in done.stderr
    assert name == "thin.csv" or len(done.stderr.splitlines()) == 1
