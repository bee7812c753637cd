"""SevenNet by name: a made-up package of that name here, since the real wheel is an extra; the real one where it is installed."""

import hashlib
import importlib
import importlib.metadata
import pickle
import sys

import numpy as np
import pytest

from symjax.cli import potential as command
from symjax.errors import InputError
from symjax.evaluate.stability import RelaxOptions, load_potential, relax_many
from symjax.evaluate.stability.named import NAMES
from symjax.evaluate.stability.sevennet import CHECKPOINTS
from tests.evaluate.test_stability_ase import copper

torch = pytest.importorskip("torch")
CALCULATOR = """
from ase.calculators.emt import EMT

class SevenNetCalculator(EMT):
    def __init__(self, model, device):
        super().__init__()
        self.model, self.device = model, device
"""
UTIL = """
import pathlib

def pretrained_name_to_path(name):
    if name == "7net-0":
        raise FileNotFoundError(name)
    return str(pathlib.Path(__file__).parent / f"{name}.pth")
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A package `sevenn` with one checkpoint, whose calculator is ASE's EMT."""
    package = tmp_path / "sevenn"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "calculator.py").write_text(CALCULATOR)
    (package / "util.py").write_text(UTIL)
    (package / "7net-l3i5.pth").write_bytes(b"weights")
    (tmp_path / "sevenn-0.13.0.dist-info").mkdir()
    (tmp_path / "sevenn-0.13.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sevenn\nVersion: 0.13.0\n"
    )
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "sevenn"}
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "sevenn"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_a_checkpoint_of_the_wheel_by_name(made):
    potential = load_potential("sevennet", "cpu")
    assert potential.name == "sevennet-l3i5" == load_potential("sevennet-l3i5", "cpu").name
    assert potential.version == f"0.13.0-{hashlib.sha256(b'weights').hexdigest()[:8]}"
    calculator = potential._loaded()
    assert (calculator.model, calculator.device) == ("7net-l3i5", "cpu")
    again = pickle.loads(pickle.dumps(potential))
    assert again._calculator is None and again.evaluate([copper()]).energies == potential.evaluate([copper()]).energies
    outcome = relax_many([copper()], potential, RelaxOptions(fmax=0.01, steps=100, symmetric=True), processes=1)[0]
    assert outcome["converged"] and outcome["energy_final"] < outcome["energy_initial"]


def test_threads_are_given_back(made):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    load_potential("sevennet", "cpu").evaluate([copper()])
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_what_is_missing_is_said(made, monkeypatch):
    with pytest.raises(InputError, match="has no checkpoint 7net-0"):
        load_potential("sevennet-0")
    with pytest.raises(InputError, match=r"no GPU|must be"):
        load_potential("sevennet", "cuda" if not torch.cuda.is_available() else "tpu")
    monkeypatch.setitem(sys.modules, "sevenn.util", None)
    with pytest.raises(InputError, match=r"\[sevennet\]"):
        load_potential("sevennet")


def test_the_command_names_all_potentials():
    assert command.NAMES == NAMES == ("chgnet", *CHECKPOINTS)


@pytest.mark.slow
@pytest.mark.skipif(
    "sevenn" not in sys.modules and not importlib.util.find_spec("sevenn"), reason="needs symjax-crystals[sevennet]"
)
@pytest.mark.parametrize("name", ["sevennet", "sevennet-0"])
def test_the_real_one(name):
    """Rock salt: forces and stress are slopes of the energy, and the lattice that it relaxes to is near the measured 5.64."""
    from symjax.crystals.types import AtomicStructure
    from symjax.evaluate.stability import relaxed_cell
    from tests.evaluate.test_stability_relax import rock_salt

    potential, cell = load_potential(name, "cpu"), rock_salt(5.5, (11, 17))
    rng = np.random.default_rng(0)
    odd = AtomicStructure(cell.L, cell.z, cell.x + 0.01 * rng.normal(size=cell.x.shape))
    found, step = potential.evaluate([odd]), 1e-3
    moved = []
    for sign in (1, -1):
        x = odd.x.copy()
        x[0] += sign * step * np.linalg.inv(cell.L)[0]  # along the first axis of space
        moved.append(AtomicStructure(odd.L, odd.z, x))
    up, down = potential.evaluate(moved, forces=False).energies
    assert found.forces[0][0, 0] == pytest.approx(-(up - down) / (2 * step), abs=5e-3)
    outcome = relax_many([cell], potential, RelaxOptions(fmax=0.02, steps=100, symmetric=True), processes=1)[0]
    after = relaxed_cell(cell, outcome)
    assert outcome["converged"] and (after.volume / len(after.z) * 8) ** (1 / 3) == pytest.approx(5.64, abs=0.1)
