"""Any ASE calculator as a potential: those that ASE itself carries, relaxed and set against a hull."""

import pickle
import sys

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability import Potential, RelaxOptions, load_potential, relax_many
from symjax.evaluate.stability.relax import relaxed_cell

EMT = "ase:ase.calculators.emt:EMT"


def copper(a=3.7, numbers=(29, 29, 29, 29)):
    return AtomicStructure(a * np.eye(3), numbers, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def test_emt_relaxes_copper_to_its_lattice():
    """EMT's copper has a = 3.59 angstrom; energies are ASE's own."""
    from ase.build import bulk
    from ase.calculators.emt import EMT as Emt

    potential = load_potential(EMT)
    assert isinstance(potential, Potential) and potential.name == EMT and potential.version.startswith("3")
    outcome = relax_many([copper()], potential, RelaxOptions(fmax=0.005, steps=200), processes=1)[0]
    assert outcome["converged"]
    found = relaxed_cell(copper(), outcome)
    atoms = bulk("Cu", a=found.volume ** (1 / 3), cubic=True)
    atoms.calc = Emt()
    assert found.volume ** (1 / 3) == pytest.approx(3.59, abs=0.01)
    assert outcome["energy_final"] == pytest.approx(atoms.get_potential_energy() / 4, abs=1e-6)


def test_stress_is_the_slope_of_the_energy_in_either_hand():
    potential = load_potential(EMT)
    cell = AtomicStructure(copper().L, copper().z, copper().x + 0.02 * np.random.default_rng(0).normal(size=(4, 3)))
    left = AtomicStructure(-cell.L, cell.z, -cell.x)
    found, other = (potential.evaluate([each]) for each in (cell, left))
    assert np.allclose(found.stresses, other.stresses) and np.allclose(found.forces[0], other.forces[0])
    step = 1e-4
    up, down = (
        potential.evaluate([AtomicStructure((1 + sign * step) * cell.L, cell.z, cell.x)], forces=False).energies[0]
        for sign in (1, -1)
    )
    assert np.trace(found.stresses[0]) == pytest.approx((up - down) / (2 * step) / cell.volume, rel=1e-4)


def test_what_a_calculator_cannot_do_is_a_reason():
    found = load_potential(EMT).evaluate([copper(numbers=(92, 29, 29, 29)), copper(), copper(a=0.4)])
    assert "ase:" in found.reasons[0] and found.reasons[1] is None and "cubic angstrom" in found.reasons[2]
    assert np.isnan(found.energies[[0, 2]]).all() and np.isfinite(found.energies[1])


def test_workers_get_a_copy_without_the_calculator():
    potential = load_potential(EMT)
    again = pickle.loads(pickle.dumps(potential))
    assert again._calculator is None and again.version == potential.version
    assert again.evaluate([copper()]).energies == potential.evaluate([copper()]).energies


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ase:nothing", "package.module:factory"),
        ("ase:no_such_module:make", "cannot be imported"),
        ("ase:ase.calculators.emt:Nothing", "has no Nothing"),
        ("ase:json:loads", "failed without arguments"),
        ("ase:builtins:dict", "no ASE calculator"),
        ("mace", "unknown potential"),
    ],
)
def test_wrong_paths_are_named(path, said):
    with pytest.raises(InputError, match=said):
        load_potential(path)


def test_a_calculator_with_arguments_is_a_function_of_ones_own(tmp_path, monkeypatch):
    """Another parameter is another version, so the cache keeps them apart."""
    (tmp_path / "my_potentials.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "def plain():\n    return EMT()\n"
        "def asap():\n    return EMT(asap_cutoff=True)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    first, second = (load_potential(f"ase:my_potentials:{name}") for name in ("plain", "asap"))
    assert first.version != second.version and first.version.startswith("unknown")
    sys.modules.pop("my_potentials")
