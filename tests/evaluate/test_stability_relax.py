"""Relaxation with a potential without torch: against ASE, limits, divergence, symmetry, resuming, number of workers."""

import dataclasses
import time

import numpy as np
import pytest

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.stability import RelaxOptions, defect, operations_of, relax_many, relaxed_cell, single_points
from symjax.evaluate.stability.relax import advance, generalized_forces, prepare
from symjax.evaluate.stability.symmetric import found_operations, projector_of, reduced, reduced_operations, symmetrized
from symjax.groups import standard_setting
from tests.evaluate.stability_fakes import Deadly, Pair

FACE = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rock_salt(a=5.0, numbers=(11, 17)):
    ops = standard_setting(225)
    return AtomicStructure(
        L=a * np.eye(3),
        z=np.repeat(numbers, 4),
        x=np.concatenate([FACE, (FACE + 0.5) % 1]),
        orbit=np.repeat([0, 1], 4),
        W=np.asarray(ops.W, np.int64),
        w=np.asarray(ops.w, np.int64),
    )


def bent(seed=0, size=0.08):
    """A small crystal without symmetry, near a minimum of nothing in particular."""
    rng = np.random.default_rng(seed)
    lattice = np.diag([2.9, 3.1, 5.4]) + rng.normal(size=(3, 3)) * size
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.3], [0.1, 0.2, 0.65]]) + 0.01 * rng.random((3, 3))
    return AtomicStructure(lattice, [3, 8, 8], frac)


def without_time(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_pair_forces_and_stress_are_derivatives():
    cell, potential = bent(), Pair()
    found = potential.evaluate([cell])
    h = 1e-5
    for atom, axis in ((0, 0), (1, 2), (2, 1)):
        ends = []
        for sign in (1, -1):
            frac = cell.x.copy()
            frac[atom] += sign * h * np.eye(3)[axis] @ np.linalg.inv(cell.L)
            ends.append(potential.evaluate([dataclasses.replace(cell, x=frac)]).energies[0])
        assert found.forces[0][atom, axis] == pytest.approx(-(ends[0] - ends[1]) / (2 * h), abs=1e-6)
    for a, b in ((0, 0), (2, 2), (0, 1), (1, 2)):
        ends = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            ends.append(potential.evaluate([dataclasses.replace(cell, L=cell.L @ strain)]).energies[0])
        assert found.stresses[0][a, b] * cell.volume == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-5)


def ase_run(cell, filtered, fmax, steps=500):
    """(atoms, steps) of ASE's FIRE with the same potential."""
    from ase import Atoms
    from ase.calculators.calculator import Calculator, all_changes
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    class Calc(Calculator):
        implemented_properties = ["energy", "forces", "stress"]

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            now = AtomicStructure(atoms.cell[:], atoms.numbers, atoms.get_scaled_positions(wrap=False))
            found = Pair().evaluate([now])
            s = found.stresses[0]
            self.results = {
                "energy": float(found.energies[0]),
                "free_energy": float(found.energies[0]),
                "forces": found.forces[0],
                "stress": s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
            }

    atoms = Atoms(numbers=cell.z, cell=cell.L, scaled_positions=cell.x, pbc=True, calculator=Calc())
    run = FIRE(FrechetCellFilter(atoms) if filtered else atoms, logfile=None)
    run.run(fmax=fmax, steps=steps)
    return atoms, run.nsteps


def test_fixed_cell_follows_ase_step_by_step():
    cell = bent(1)
    atoms, steps = ase_run(cell, False, 1e-3)
    found = relax_many([cell], Pair(), RelaxOptions(fmax=1e-3, cell=False))[0]
    assert found["converged"] and found["steps"] == steps > 5
    shift = np.array(found["frac"]) - atoms.get_scaled_positions()
    np.testing.assert_allclose(shift - np.round(shift), 0, atol=1e-9)
    assert found["energy_final"] == pytest.approx(atoms.get_potential_energy() / 3, abs=1e-9)


@pytest.mark.slow
def test_variable_cell_reaches_the_minimum_of_ase():
    cell = bent(2, 0.02)
    atoms, _ = ase_run(cell, True, 1e-3)
    found = relax_many([cell], Pair(), RelaxOptions(fmax=1e-3))[0]
    assert found["converged"]
    assert found["energy_final"] == pytest.approx(atoms.get_potential_energy() / 3, abs=1e-4)
    assert found["energy_final"] < found["energy_initial"]
    assert abs(np.linalg.det(found["lattice"])) == pytest.approx(atoms.get_volume(), rel=5e-3)


def test_left_handed_cell_relaxes_like_its_mirror_image():
    cell = bent(2, 0.02)
    mirrored = AtomicStructure(cell.L[[1, 0, 2]], cell.z, cell.x[:, [1, 0, 2]])
    one, two = relax_many([cell, mirrored], Pair(), RelaxOptions(fmax=1e-3))
    assert np.linalg.det(mirrored.L) < 0
    assert one["energy_final"] == pytest.approx(two["energy_final"], abs=1e-9)


def test_fmax_has_the_stress_in_it():
    cell = rock_salt(6.0)
    found = Pair().evaluate([cell])
    rows = generalized_forces(cell, found.forces[0], found.stresses[0], None)
    np.testing.assert_allclose(rows[:8], 0, atol=1e-12)  # every atom sits on an inversion centre
    np.testing.assert_allclose(rows[8:], -cell.volume * found.stresses[0] / 8, atol=1e-12)
    relaxed = relax_many([cell], Pair())[0]
    assert relaxed["fmax_initial"] == pytest.approx(np.linalg.norm(rows[8:], axis=1).max(), rel=1e-9)
    assert relaxed["steps"] > 0 and relaxed["converged"] and relaxed["fmax_final"] <= 0.1
    held = relax_many([cell], Pair(), RelaxOptions(cell=False))[0]
    assert held["steps"] == 0 and held["converged"]
    assert held["volume_ratio"] == 1.0


def test_relaxing_in_the_primitive_cell_is_relaxing_the_crystal():
    cell = rock_salt(5.6)
    small, large = (relax_many([cell], Pair(), RelaxOptions(fmax=1e-4, primitive=flag))[0] for flag in (True, False))
    assert len(reduced(cell).cell.z) == 2
    assert small["energy_final"] == pytest.approx(large["energy_final"], abs=1e-6)
    np.testing.assert_allclose(small["lattice"], large["lattice"], atol=1e-3)
    assert len(small["frac"]) == 8
    assert defect(relaxed_cell(cell, small), operations_of(cell)) < 1e-10


def test_projection_keeps_every_operation_and_its_absence_loses_them():
    cell = rock_salt(5.2)
    cell = dataclasses.replace(cell, L=cell.L.copy())
    options = RelaxOptions(fmax=1e-9, steps=50, primitive=False, symmetric=True)
    kept = relax_many([cell], Pair(noise=0.3), options)[0]
    lost = relax_many([cell], Pair(noise=0.3), dataclasses.replace(options, symmetric=False))[0]
    assert kept["steps"] == lost["steps"] == 50
    assert defect(relaxed_cell(cell, kept), operations_of(cell)) < 1e-6
    assert defect(relaxed_cell(cell, lost), operations_of(cell)) > 1e-2


@pytest.mark.parametrize("number", [5, 14, 62, 88, 148, 161, 176, 198, 216])
def test_projection_with_free_coordinates(number):
    """General positions of groups of every system: atoms do move, and every operation holds afterwards."""
    ops = standard_setting(number)
    W, w = np.asarray(ops.W, np.int64), np.asarray(ops.w, np.int64)
    rng = np.random.default_rng(number)
    metric = np.diag([50.0, 60.0, 70.0]) + 3 * (lambda m: m + m.T)(rng.normal(size=(3, 3)))
    metric = np.einsum("gji,jk,gkl->il", W, metric, W) / len(W)
    frac = W @ np.array([0.11, 0.23, 0.37]) + w / 24
    cell = AtomicStructure(
        L=np.linalg.cholesky(metric),
        z=np.full(len(W), 14),
        x=frac - np.floor(frac),
        orbit=np.zeros(len(W), int),
        W=W,
        w=w,
    )
    found = relax_many([cell], Pair(noise=0.1), RelaxOptions(fmax=1e-9, steps=15, symmetric=True, closest=0.01))[0]
    assert found["steps"] == 15, found["reason"]
    after = relaxed_cell(cell, found)
    assert defect(after, operations_of(cell)) < 1e-8
    shift = after.x - cell.x
    assert np.abs((shift - np.round(shift)) @ cell.L).max() > 1e-3


def test_projections_are_projections():
    cell = rock_salt(5.2)
    projector = projector_of(cell, operations_of(cell))
    rng = np.random.default_rng(0)
    forces, stress = rng.normal(size=(8, 3)), rng.normal(size=(3, 3))
    np.testing.assert_allclose(projector.vectors(forces), 0, atol=1e-12)  # no free coordinate in rock salt
    np.testing.assert_allclose(projector.tensor(stress), np.trace(stress) / 3 * np.eye(3), atol=1e-12)
    found = Pair().evaluate([cell])
    np.testing.assert_allclose(projector.tensor(found.stresses[0]), found.stresses[0], atol=1e-12)


def test_operations_of_the_small_cell():
    cell = rock_salt()
    small = reduced(cell)
    operations = reduced_operations(operations_of(cell), small.basis)
    assert len(operations.W) == 48
    assert defect(small.cell, operations) < 1e-10


def test_crystal_without_operations_gets_them_from_a_search():
    rough = rock_salt(5.2)
    rng = np.random.default_rng(3)
    rough = AtomicStructure(rough.L + 1e-3 * rng.normal(size=(3, 3)), rough.z, rough.x + 2e-4 * rng.normal(size=(8, 3)))
    operations, number = found_operations(rough, 0.05)
    assert number == 225 and len(operations.W) == 192
    assert defect(rough, operations) > 1e-4
    assert defect(symmetrized(rough, operations), operations) < 1e-9
    found = relax_many([rough], Pair(noise=0.2), RelaxOptions(symmetric=True, symprec=0.05, fmax=1e-9, steps=20))[0]
    assert defect(relaxed_cell(rough, found), operations) < 1e-8


def test_operations_that_do_not_hold_are_a_reason():
    cell = rock_salt()
    frac = cell.x.copy()
    frac[0] += 0.1
    found = relax_many([dataclasses.replace(cell, x=frac)], Pair(), RelaxOptions(symmetric=True))[0]
    assert not found["converged"] and "does not map the crystal on itself" in found["reason"]
    assert found["energy_final"] is None and found["lattice"] is None


def test_steps_run_out():
    found = relax_many([rock_salt(6.2)], Pair(), RelaxOptions(fmax=1e-6, steps=3))[0]
    assert found["steps"] == 3 and not found["converged"] and "after 3 steps" in found["reason"]
    assert found["energy_final"] is not None and found["lattice"] is not None


class Slow(Pair):
    def evaluate(self, cells, *, forces=True):
        time.sleep(0.05)
        return super().evaluate(cells, forces=forces)


def test_time_limit():
    found = relax_many([rock_salt(6.2)], Slow(), RelaxOptions(fmax=1e-9, max_seconds=0.12))[0]
    assert found["reason"].startswith("time limit of 0.12 s") and found["energy_final"] is None
    assert 1 <= found["steps"] <= 3


class Runaway(Pair):
    """Pulls the cell apart."""

    def _one(self, cell):
        return -0.01 * cell.volume, np.zeros((len(cell.z), 3)), -np.eye(3), None


class NotANumber(Pair):
    def _one(self, cell):
        return np.nan, np.full((len(cell.z), 3), np.nan), np.full((3, 3), np.nan), None


class Cliff(Pair):
    def _one(self, cell):
        energy, forces, stress, _ = super()._one(cell)
        return (-100.0 * len(cell.z) if self.calls > 2 else energy), forces + 1, stress - 0.05, None


class Raises(Pair):
    def evaluate(self, cells, *, forces=True):
        if len(cells) > 1 or 17 in cells[0].z:
            raise RuntimeError("no memory")
        return super().evaluate(cells, forces=forces)


@pytest.mark.parametrize(
    ("potential", "cell", "reason"),
    [
        (Runaway(), rock_salt(), "volume changed by a factor 3"),
        (NotANumber(), rock_salt(), "not finite"),
        (Cliff(), rock_salt(6.0), "energy went from"),
        (Raises(), rock_salt(), "the potential failed: RuntimeError: no memory"),
        (Pair(fail=(17,)), rock_salt(), "does not know"),
        (Pair(), AtomicStructure(3 * np.eye(3), [3, 3], [[0, 0, 0], [0.01, 0, 0]]), "two atoms 0.03 angstrom apart"),
        (Pair(), AtomicStructure(np.diag([9, 9, 0.2]), [3], [[0, 0, 0]]), "two atoms 0.2 angstrom apart"),
        (Pair(), AtomicStructure(3 * np.eye(3), [3], [[0, np.nan, 0]]), "NaN"),
        (Pair(), AtomicStructure(np.zeros((3, 3)), [3], [[0, 0, 0]]), "cell volume under"),
        (Pair(), AtomicStructure(3 * np.eye(3), [], np.zeros((0, 3))), "no atoms"),
        (Pair(), AtomicStructure(0.8 * np.eye(3), [3], [[0, 0, 0]]), "atoms per cubic angstrom"),
    ],
)
def test_failures_are_reasons(potential, cell, reason):
    found = relax_many([cell, rock_salt(5.0, (12, 8))], potential, processes=1)
    assert reason in found[0]["reason"]
    assert not found[0]["converged"] and found[0]["energy_final"] is None and found[0]["lattice"] is None


def test_one_failure_in_a_batch_leaves_the_others_alone():
    cells = [rock_salt(5.1), rock_salt(5.2, (12, 8)), rock_salt(5.3, (20, 8))]
    found = relax_many(cells, Raises(batch=3))
    assert [one["converged"] for one in found] == [False, True, True]


def test_batches_give_what_single_crystals_give():
    cells = [bent(seed) for seed in range(5)] + [rock_salt(5.4)]
    assert without_time(relax_many(cells, Pair(batch=3))) == without_time(relax_many(cells, Pair(), processes=1))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_number_of_workers_gives_the_same():
    cells = [bent(seed) for seed in range(8)]
    options = RelaxOptions(steps=40)
    one, two = (relax_many(cells, Pair(), options, processes=workers) for workers in (1, 2))
    assert without_time(one) == without_time(two)


def test_a_dead_worker_costs_one_crystal():
    cells = [rock_salt(5.0 + 0.02 * i, (11, 79) if i == 3 else (11, 17)) for i in range(7)]
    found = relax_many(cells, Deadly(), RelaxOptions(steps=2), processes=2)
    assert ["worker process died" in str(one["reason"]) for one in found] == [i == 3 for i in range(7)]


class Killed(Pair):
    def evaluate(self, cells, *, forces=True):
        if self.calls > 25:
            raise KeyboardInterrupt
        return super().evaluate(cells, forces=forces)


def test_a_kill_in_the_middle_resumes(tmp_path):
    cells = [bent(seed) for seed in range(6)]
    with pytest.raises(KeyboardInterrupt), Cache(tmp_path / "cache.sqlite") as cache:
        relax_many(cells, Killed(), RelaxOptions(steps=9, fmax=1e-9), cache=cache, processes=1)
    fresh = Pair()
    with Cache(tmp_path / "cache.sqlite") as cache:
        found = relax_many(cells, fresh, RelaxOptions(steps=9, fmax=1e-9), cache=cache, processes=1)
        assert fresh.calls == 40  # 10 calls a crystal, two crystals were finished
        again = Pair()
        assert relax_many(cells, again, RelaxOptions(steps=9, fmax=1e-9), cache=cache, processes=1) == found
        assert again.calls == 0
        relax_many(
            cells[:1], again, RelaxOptions(steps=9, fmax=1e-8), cache=cache, processes=1
        )  # other options, other results
        assert again.calls == 10
    assert without_time(found) == without_time(relax_many(cells, Pair(), RelaxOptions(steps=9, fmax=1e-9), processes=1))


def test_failures_of_the_machine_are_tried_again():
    cache, options = Cache(), RelaxOptions(steps=1)
    assert "no memory" in relax_many([rock_salt()], Raises(), options, cache=cache)[0]["reason"]
    assert relax_many([rock_salt()], Pair(), options, cache=cache)[0]["energy_final"] is not None
    broken = AtomicStructure(3 * np.eye(3), [3, 3], [[0, 0, 0], [0.01, 0, 0]])  # this one is the crystal's own fault
    first, again = (
        relax_many([broken], Pair(), options, cache=cache),
        relax_many([broken], Raises(), options, cache=cache),
    )
    assert first == again


def test_equal_crystals_are_computed_once():
    potential = Pair()
    found = relax_many([bent(), bent(), bent()], potential, RelaxOptions(steps=0))
    assert potential.calls == 1 and found[0] == found[2]


def test_a_step_is_a_pure_function():
    cell, options, potential = bent(4), RelaxOptions(fmax=1e-6), Pair()
    prepared, state = prepare(cell, options)
    for _ in range(7):
        found = potential.evaluate([state.cell])
        arguments = (float(found.energies[0]), found.forces[0], found.stresses[0])
        first, second = (advance(prepared, state, *arguments, options=options) for _ in range(2))
        assert np.array_equal(first.cell.x, second.cell.x) and np.array_equal(first.cell.L, second.cell.L)
        state = first


def test_single_points():
    cells = [rock_salt(), bent(), AtomicStructure(3 * np.eye(3), [3], [[0, np.nan, 0]]), rock_salt(5.0, (11, 35))]
    found = single_points(cells, Pair(fail=(35,)))
    assert found[0]["energy"] == pytest.approx(Pair().evaluate([cells[0]]).energies[0] / 8, abs=1e-9)
    assert found[1]["energy"] == pytest.approx(Pair().evaluate([cells[1]]).energies[0] / 3, abs=1e-12)
    assert found[2]["energy"] is None and "NaN" in found[2]["reason"]
    assert found[3]["energy"] is None and "does not know" in found[3]["reason"]
    assert single_points([], Pair()) == [] and relax_many([], Pair()) == []


@pytest.mark.parametrize(
    "wrong", [{"fmax": 0}, {"steps": -1}, {"max_seconds": 0}, {"volume_factor": 1}, {"fmax": float("nan")}]
)
def test_wrong_options(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        RelaxOptions(**wrong)
