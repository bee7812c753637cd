"""What benchmarks say about the machine: work of others is seen, work of one's own is not."""

import subprocess
import sys
import time

import pytest

from benchmarks import timing


def test_own_work_is_not_that_of_others(monkeypatch):
    """On a machine where nothing else runs: everything busy is our own."""
    monkeypatch.setattr(timing, "_busy", timing._own)
    beside = timing.Beside()
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass
    assert beside.cores() < 0.05 and beside.text().endswith("quiet")


@pytest.mark.skipif(timing._busy() is None, reason="no /proc/stat")
def test_work_of_others_is_seen():
    busy = [sys.executable, "-c", "import time\nt = time.time()\nwhile time.time() - t < 30: pass"]
    other = subprocess.Popen(busy)
    try:
        time.sleep(0.2)
        beside = timing.Beside()
        time.sleep(1.0)
        assert beside.cores() > 0.2 and "NOT quiet" in beside.text()
    finally:
        other.kill()
        other.wait()


def test_a_disturbed_benchmark_runs_again_and_says_so(monkeypatch, capsys):
    runs = []
    monkeypatch.setattr(timing.Beside, "cores", lambda self: [0.9, 0.9, 0.0][len(runs) - 1])
    monkeypatch.delenv("SYMJAX_BENCH_ONCE", raising=False)
    with pytest.raises(SystemExit) as ended:
        timing.watched(lambda: runs.append(1))
    assert len(runs) == 3 and ended.value.code == 0
    out = capsys.readouterr().out
    assert out.count("NOT quiet") == 2 and out.count("once more") == 2 and out.rstrip().endswith("meanwhile: quiet")
    runs.clear()
    with pytest.raises(SystemExit) as ended:
        timing.watched(lambda: runs.append(1) or 2)
    assert len(runs) == 1 and ended.value.code == 2
