"""The pool of workers: what an item that kills, hangs or fills memory costs, and what is left when a run is ended."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from symjax.errors import SymjaxError
from symjax.parallel import Workers, imap_items, imap_unordered, map_items

KILLS, HANGS, FILLS, ONCE = 13, 40, 60, 70
TWO = Workers(2, seconds=2, memory=2**30)


def work(item, folder=None):
    """The square of an item; some of them misbehave."""
    if item == KILLS or (item == ONCE and folder and not Path(folder, "killed").exists()):
        Path(folder or ".", "killed").touch() if item == ONCE else None
        os.kill(os.getpid(), signal.SIGKILL)
    if item == HANGS:
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue
    if item == FILLS:
        return len(np.ones(2**28))
    return item * item


def alive(item):
    """Where a worker is, and its threads after it has multiplied."""
    a = np.ones((400, 400)) @ np.ones((400, 400))
    time.sleep(0.05)
    return os.getpid(), len(os.listdir("/proc/self/task")) - int(a[0, 0] == 0)


def fails(item):
    raise ValueError(f"no {item}")


def reason(item, why):
    return why


def test_lost_items_cost_nothing_else(tmp_path, caplog):
    """Killed twice: lost. Killed once: tried again. Over its time or memory: lost. All others have their results, in order."""
    found = map_items(work, range(100), total=100, processes=TWO, lost=reason, shared=str(tmp_path), label="squares")
    lost = {place: value for place, value in enumerate(found) if isinstance(value, str)}
    assert set(lost) == {KILLS, HANGS, FILLS}
    assert (
        "killed" in lost[KILLS]
        and "more than 2 s" in lost[HANGS]
        and "out of memory (the limit is 1 GiB" in lost[FILLS]
    )
    assert all(value == place * place for place, value in enumerate(found) if place not in lost)
    assert (tmp_path / "killed").exists()  # the worker of item 70 did die once
    assert sorted(r.getMessage().split(": ")[3] for r in caplog.records) == ["item 13", "item 40", "item 60"]


def test_one_thread_a_worker_and_none_left():
    found = dict(imap_unordered(alive, range(80), total=80, processes=Workers(2), chunk=1))
    assert sorted(found) == list(range(80))
    workers = dict(found.values())
    assert len(workers) == 2 and max(workers.values()) <= 3  # itself, what waits for the parent, what watches the time
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_in_this_process():
    assert map_items(work, [1, 2, 3]) == [1, 4, 9]
    limits = Workers(0, seconds=0.2)
    assert map_items(work, [1, HANGS, 3], processes=limits, lost=reason) == [1, "took more than 0.2 s", 9]
    with pytest.raises(SymjaxError, match="item 1: took more"):
        map_items(work, [1, HANGS, 3], processes=limits)
    with pytest.raises(ValueError, match="no 5"):
        map_items(fails, [5])
    with pytest.raises(SymjaxError, match="limit of seconds"):
        Workers(seconds=0)


def test_items_are_read_as_needed():
    """Neither all items nor all results are ever held."""
    taken = []
    numbers = (taken.append(item) or item for item in itertools.count())
    results = imap_items(abs, numbers, processes=Workers(1))
    assert [next(results) for _ in range(100)] == list(range(100))
    assert len(taken) < 64 * 8 + 200
    results.close()


COMMAND = """
import signal, sys
from symjax.parallel import Workers, imap_items
from tests.test_parallel import alive
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests run under
    workers = set()
    for pid, _ in imap_items(alive, range(10**5), total=10**5, processes=Workers(2), chunk=1):
        if pid not in workers:
            workers.add(pid)
            print(pid, flush=True)
"""


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(tmp_path, number):
    """Ctrl-C (sent to the whole group, as a terminal does), SIGTERM and kill -9 of the parent."""
    script = tmp_path / "run.py"
    script.write_text(COMMAND)
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    ) as parent:
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        os.killpg(parent.pid, number) if number == signal.SIGINT else parent.send_signal(number)
        said = parent.communicate(timeout=60)[1]
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert said.count("Traceback") == (number == signal.SIGINT)  # the script's own


def swell(item):
    """Far more than a pipe holds, there and back."""
    time.sleep(0.01)
    return item + item


def worker_processes():
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("when", ["while they start", "again and again"])
def test_killed_at_any_moment(when, caplog):
    """Before a worker has taken anything, while it waits, while it writes: no item waits for ever, and only its own is lost."""
    ended = threading.Event()

    def kill():
        for i in range(2 if when == "while they start" else 12):
            while not (pids := worker_processes()) and not ended.is_set():
                time.sleep(0.001)
            if ended.wait(0 if when == "while they start" else 0.7):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[i % len(pids)], signal.SIGKILL)

    items = [chr(65 + i % 26) * 60_000 for i in range(300)]
    killer = threading.Thread(target=kill)
    killer.start()
    found = map_items(swell, items, total=300, processes=Workers(2), lost=reason, chunk=2)
    ended.set()
    killer.join()
    wrong = [value for item, value in zip(items, found, strict=True) if value != item + item]
    assert all("worker process died" in value for value in wrong) and len(wrong) == len(caplog.records) <= 2
    assert when == "again and again" or not wrong


@pytest.mark.slow
@pytest.mark.faults
def test_killed_while_it_hangs_in_c():
    """A worker whose item never comes back to Python is ended, and the item is lost."""
    found = map_items(stuck, range(70), total=70, processes=Workers(2, seconds=1), lost=reason, chunk=1)
    assert "far over its limit" in found[5] and found[6] == 6


def stuck(item):
    if item == 5:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # as code that never returns to the interpreter
        time.sleep(1000)
    return item


@pytest.mark.slow
@pytest.mark.faults
def test_dask(tmp_path):
    """Two workers, one of them killed on the way: the results of one machine; a wrong address is one line."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    module = [sys.executable, "-m"]
    here = Path(__file__).parent
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    options = {"stderr": subprocess.DEVNULL, "env": env}
    started = [
        subprocess.Popen(
            [*module, "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file],
            **options,
        )
    ]
    try:
        for _ in range(2):
            command = [*module, "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", "1"]
            started.append(subprocess.Popen([*command, "--no-dashboard", "--no-nanny"], **options))
        for _ in range(600):
            if file.exists() and file.read_text().endswith("}"):
                break
            time.sleep(0.1)
        cluster = Workers(scheduler=json.loads(file.read_text())["address"], seconds=2, memory=2**30)
        found = map_items(work, range(100), total=100, processes=cluster, lost=reason)
        assert found == map_items(work, range(100), total=100, processes=TWO, lost=reason)
        results = []
        for value, _ in imap_items(alive, range(200), total=200, processes=Workers(scheduler=str(file))):
            results.append(value)
            if len(results) == 20:
                started[1].kill()
        assert len(results) == 200
    finally:
        for process in started[::-1]:
            process.kill()
            process.wait()
    with pytest.raises(SymjaxError, match="no scheduler with workers"):
        map_items(work, range(3), processes=Workers(scheduler="tcp://localhost:1"))
