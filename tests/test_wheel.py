"""The wheel: installed in an empty environment outside the repository it generates, trains and prints tables."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def finished(command, cwd, **environment):
    """What a command printed; it sees neither the clone nor the environment's own symjax."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"} | environment
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build(folder):
    """The wheel of a copy of the tree, so that nothing is written into it."""
    source = folder / "source"
    for part in ("symjax", "configs", "experiments"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    finished(pip, folder)
    return next(folder.glob("symjax_crystals-*.whl"))


def install(folder, wheel):
    """The program `symjax` in a new environment: the wheel, and the packages it depends on from this one behind it."""
    venv.create(folder / "env", with_pip=False)
    site = next((folder / "env").rglob("site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--force-reinstall"]
    finished([*pip, "--ignore-installed", "--prefix", folder / "env", wheel], folder)
    return folder / "env" / "bin" / "symjax"


@pytest.mark.slow
def test_the_wheel_generates_trains_and_prints_tables(tmp_path):
    wheel = build(tmp_path)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"symjax/configs/symop.py", "symjax/experiments/published/symmcd.py", "symjax/nn/orbit_net.py"} <= set(names)
    assert {"symjax/weights/symmcd/params.npz", "symjax/groups/tables.npz", "symjax/py.typed"} <= set(names)
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"symjax"}

    symjax, work = install(tmp_path, wheel), tmp_path / "work"
    work.mkdir()
    where = finished([symjax.with_name("python"), "-c", "import symjax.configs.symop as s; print(s.__file__)"], work)
    assert str(tmp_path) in where
    finished([symjax, "generate", "--num", 2, "--steps", 2, "--out", "crystals"], work)
    assert (work / "crystals" / "index.json").is_file()
    assert "symmcd-2" in finished([symjax, "tables", "--list"], work)
    assert "SymmCD" in finished([symjax, "tables", "symmcd-2"], work)
    finished(
        [symjax, "data", "prepare", "--source", "prototypes", "--limit", 20, "--workers", 1, "-o", "few.npz"], work
    )
    steps = ["--config.train.steps=3", "--config.train.batch_size=8", "--config.data.train=few.npz"]
    out = finished([symjax, "train", "--config", "wyckoff_transformer:tiny", "--workdir", "run", *steps], work)
    assert "step 3" in out and (work / "run" / "weights" / "params.npz").is_file()
