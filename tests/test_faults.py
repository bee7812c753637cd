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
import sqlite3
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
NUM = 160
EMT = ("--relax", "--potential", "ase:ase.calculators.emt:EMT", "--fmax", "0.02", "--relax-steps", "60")


def write_source(path, num=NUM, elements=("Na", "Cl")):
    """A CSV of different crystals of two atoms."""
    text = GOOD.replace("Na", elements[0]).replace("Cl", elements[1])
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "cif"])
        writer.writerows([f"m-{i}", text.replace("5.1\n", f"{5.1 + 0.001 * i:.3f}\n")] for i in range(num))


@pytest.fixture
def source(tmp_path):
    write_source(tmp_path / "in.csv")
    return tmp_path / "in.csv"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the commands make of the source where nothing goes wrong: the array file, and the figures."""
    folder = tmp_path_factory.mktemp("whole")
    write_source(folder / "in.csv")
    finish(prepare("whole.npz", folder), 0)
    out = finish(evaluate(folder, "--cache", "whole.sqlite", "--json"), 0)[0]
    return {"prepare": (folder / "whole.npz").read_bytes(), "evaluate": json.loads(out)["figures"], "folder": folder}


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


def prepare(out, cwd, where=("--workers", 2)):
    return start("data", "prepare", "in.csv", "--out", out, *where, "--quiet", cwd=cwd)


def evaluate(cwd, *more, where=("--workers", 2)):
    metrics = "--metrics=symmcd,lemat"
    return start("evaluate", "in.csv", "-r", "in.csv", metrics, *where, "--quiet", *more, cwd=cwd)


def relax(out, cwd, where=("--workers", 2)):
    """A hull of relaxed crystals, by a potential that takes no time."""
    options = ("--cache", f"{out}.sqlite", *where, "--quiet")
    return start("evaluate", "hull", "build", "metals.csv", "--out", out, *EMT, *options, cwd=cwd)


def kept(path):
    """What a cache holds, without how long relaxations took on the clock."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT stage, version, key, value FROM results").fetchall()
    values = [(stage, version, key, json.loads(text.partition(" ")[2])) for stage, version, key, text in rows]
    return sorted((*place, {k: v for k, v in value.items() if k != "seconds"}) for *place, value in values)


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
def test_prepare(source, whole, tmp_path, fault):
    """The file is the same bytes as without the fault, after the same command again where the command ended."""
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
    assert (tmp_path / "out.npz").read_bytes() == whole["prepare"]
    assert not (tmp_path / "out.npz.work").exists()


@pytest.mark.parametrize("fault", ["worker killed", "parent killed", "SIGTERM"])
def test_evaluate(source, whole, tmp_path, fault):
    """The same figures, and no worker left."""
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
    assert json.loads(out)["figures"] == whole["evaluate"]


def dask(module, *arguments, cwd):
    command = [sys.executable, "-m", f"distributed.cli.dask_{module}", "--no-dashboard", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_scheduler(source, whole, tmp_path):
    """Prepare, evaluate and relax on two workers of a Dask scheduler, one of them killed in each: the bytes of one machine."""
    pytest.importorskip("distributed")
    file, where = tmp_path / "scheduler.json", ("--scheduler", "scheduler.json")
    write_source(tmp_path / "metals.csv", 80, ("Cu", "Ni"))
    finish(relax("local.json.gz", tmp_path), 0)
    started = [dask("scheduler", "--port", "0", "--scheduler-file", file, cwd=tmp_path)]
    worker = lambda: dask("worker", "--scheduler-file", file, "--nthreads", "1", "--no-nanny", cwd=tmp_path)

    def rows_of(name):
        with contextlib.suppress(sqlite3.OperationalError):  # not made yet
            return len(kept(tmp_path / name)) if (tmp_path / name).exists() else 0
        return 0

    begin = {
        "prepare": lambda: prepare("out.npz", tmp_path, where),
        "evaluate": lambda: evaluate(tmp_path, "--cache", "c.sqlite", "--json", where=where),
        "relax": lambda: relax("out.json.gz", tmp_path, where),
    }
    under_way = {
        "prepare": lambda: list(tmp_path.glob("out.npz.work/shard-*")),
        "evaluate": lambda: rows_of("c.sqlite") > NUM + 64,  # all texts are read, and some crystals looked at
        "relax": lambda: rows_of("out.json.gz.sqlite") > 85,
    }
    out = {}
    try:
        started += [worker()]
        for name, command in begin.items():
            started += [worker()]
            running = command()
            wait_for(under_way[name], 900)
            assert running.poll() is None
            started[-2].kill()
            out[name] = finish(running, 0)[0]
    finally:
        for process in started[::-1]:
            process.kill()
            process.wait()
    assert (tmp_path / "out.npz").read_bytes() == whole["prepare"]
    assert json.loads(out["evaluate"])["figures"] == whole["evaluate"]
    assert kept(tmp_path / "c.sqlite") == kept(whole["folder"] / "whole.sqlite")
    assert kept(tmp_path / "out.json.gz.sqlite") == kept(tmp_path / "local.json.gz.sqlite")
    local, far = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("local.json.gz", "out.json.gz"))
    assert json.loads(local) == json.loads(far)


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


SHOWN = {
    "generate": (["--num", "3", "--steps", "4", "--no-picture"], "3 crystals"),
    "derive": (["{parent}", "--to", "99", "--num", "3", "--no-picture"], "structures have exactly"),
    "path": (["{parent}", "{parent}", "--no-picture"], "shortest distance along the path"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_disk_full_shows_first(tmp_path, small_disk, name):
    """What was worked out is on the screen, though it cannot be written; nothing is left behind."""
    (small_disk / "full").write_bytes(bytes(60 * 1024))
    arguments, shown = SHOWN[name]
    parent = ROOT / "docs" / "examples" / "BaTiO3.cif"
    arguments = [word.format(parent=parent) for word in arguments]
    out, err = finish(start(name, *arguments, "--out", small_disk / "out", cwd=tmp_path), 2)
    assert shown in out and "No space left" in err.splitlines()[-1]
    assert [file.name for file in small_disk.iterdir()] == ["full"]


def test_printed_to_a_full_disk(tmp_path):
    """One line and code 2, and no complaint of the interpreter while it ends."""
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "subgroups", "--group", "99"]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "symjax: error: cannot write: No space left on device\n")


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
