"""The script for accelerators: what is missing is said before anything runs, a stage that fails takes no other with it, and all
of it runs on a CPU at the smallest size.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from symjax.data.dataset import CrystalDataset
from symjax.data.prepare import prepare

PATH = Path(__file__).parent.parent / "scripts" / "accelerator.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("accelerator", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_data_is_said(script, tmp_path, capsys):
    assert (
        script.main(["--train", str(tmp_path / "no.npz"), "--val", str(tmp_path / "no.npz"), "--out", str(tmp_path)])
        == 2
    )
    assert "no.npz: no such file" in capsys.readouterr().err


def test_a_stage_that_fails_takes_no_other_with_it(script, tmp_path, monkeypatch, capsys):
    """Stages and training are replaced by what such a process may do: a result, an error, nothing in time."""
    (tmp_path / "d.npz").write_bytes(b"")
    told = {"agree": {"agrees": False}, "symmcd": {"step, s": 1.0}}
    done = {"algebra": "1/0", "models": "import time; time.sleep(60)"}
    done |= {name: f"import json; print(json.dumps({value}))" for name, value in told.items()}
    real = subprocess.run
    monkeypatch.setattr(script, "LIMITS", dict.fromkeys(script.LIMITS, 60))
    monkeypatch.setattr(
        script.subprocess,
        "run",
        lambda command, **more: real([sys.executable, "-c", done[command[3]]], **more | {"timeout": 3}),
    )
    monkeypatch.setattr(script, "train", lambda args, deadline, log: {"failed": "no time was left"})
    out = tmp_path / "out"
    assert script.main(["--train", str(tmp_path / "d.npz"), "--val", str(tmp_path / "d.npz"), "--out", str(out)]) == 1
    stages = json.loads((out / "results.json").read_text())["stages"]
    assert "differ" in stages["agree"]["failed"] and "exit code 1" in stages["algebra"]["failed"]
    assert "longer than" in stages["models"]["failed"] and stages["symmcd"]["step, s"] == 1.0
    assert "ZeroDivisionError" in (out / "log.txt").read_text()


@pytest.mark.slow
def test_rehearsal(tmp_path):
    """End to end on this machine; every stage gives what it is there for."""
    data = prepare("prototypes", tmp_path / "all.npz", progress=False).dataset
    data.subset(np.resize(np.arange(len(data)), 128)).save(tmp_path / "many.npz")
    assert len(CrystalDataset.load(tmp_path / "many.npz")) == 128
    files = ["--train", str(tmp_path / "many.npz"), "--val", str(tmp_path / "many.npz")]
    command = [sys.executable, str(PATH), *files, "--out", str(tmp_path / "out"), "--size", "tiny", "--minutes", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    stages = json.loads((tmp_path / "out" / "results.json").read_text())["stages"]
    assert stages["agree"]["agrees"] and stages["algebra"]["close"]["sets/s"] > 0
    assert stages["models"]["symop"]["then, s"] > 0 and stages["symmcd"]["epoch, s"] > 0
    assert stages["train"]["exit code"] == 0
    files = list((tmp_path / "out").iterdir())
    assert len(files) <= 8 and all(path.is_file() and path.stat().st_size < 16 * 2**20 for path in files)
