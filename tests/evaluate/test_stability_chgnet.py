"""The real potential. Needs the extra: ``pip install 'symjax-crystals[stability]'``."""

import dataclasses
import sys

import numpy as np
import pytest

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability import RelaxOptions, load_potential, relax_many, single_points
from tests.evaluate.test_stability_relax import rock_salt, without_time


def salts():
    rng = np.random.default_rng(0)
    out = []
    for a, numbers in ((5.6, (11, 17)), (4.2, (12, 8)), (4.6, (22, 7))):
        cell = rock_salt(a, numbers)
        frac = cell.x + 0.01 * rng.normal(size=cell.x.shape)
        out.append(AtomicStructure(cell.L @ (np.eye(3) + 0.01 * rng.normal(size=(3, 3))), cell.z, frac))
    return out


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "chgnet", None)
    with pytest.raises(InputError, match=r"pip install -e '.*\[stability\]'"):
        load_potential("chgnet")


def test_unknown_potential():
    with pytest.raises(InputError, match=r"there are chgnet, sevennet, .* and ase:"):
        load_potential("nothing")


@pytest.mark.slow
class TestChgnet:
    @pytest.fixture(autouse=True)
    def _needs(self):
        pytest.importorskip("torch", reason="the stability extra is not installed")
        pytest.importorskip("chgnet", reason="the stability extra is not installed")

    def test_equals_the_public_prediction(self):
        """One backward pass of ours against CHGNet.predict_structure: eV/atom, eV/angstrom, GPa."""
        potential = load_potential(device="cpu")
        cells = salts()
        found = potential.evaluate(cells)
        for index, cell in enumerate(cells):
            public = potential._loaded().predict_structure(to_pymatgen(cell), task="efs")
            assert found.energies[index] / 8 == pytest.approx(float(public["e"]), abs=1e-5)
            np.testing.assert_allclose(found.forces[index], public["f"], atol=1e-4)
            np.testing.assert_allclose(found.stresses[index] * 160.21766208, public["s"], atol=1e-2)
        alone = potential.evaluate(cells, forces=False)
        np.testing.assert_allclose(alone.energies, found.energies, atol=1e-4)

    @pytest.mark.parametrize("left", [False, True])
    def test_forces_and_stress_are_derivatives(self, left):
        """Also in a left-handed cell, where CHGNet's own stress has the wrong sign."""
        potential, h = load_potential(device="cpu"), 2e-3
        cell = salts()[1]
        if left:
            cell = AtomicStructure(cell.L[[1, 0, 2]], cell.z, cell.x[:, [1, 0, 2]])
        found = potential.evaluate([cell])
        for a, b in ((0, 0), (1, 1), (0, 2)):
            ends = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[a, b] += sign * h / 2
                strain[b, a] += sign * h / 2
                ends.append(potential.evaluate([dataclasses.replace(cell, L=cell.L @ strain)]).energies[0])
            assert found.stresses[0][a, b] == pytest.approx((ends[0] - ends[1]) / (2 * h) / cell.volume, abs=3e-3)
        step = h * np.linalg.inv(cell.L)
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                frac = cell.x.copy()
                frac[0] += sign * step[axis]
                ends.append(potential.evaluate([dataclasses.replace(cell, x=frac)]).energies[0])
            assert found.forces[0][0, axis] == pytest.approx(-(ends[0] - ends[1]) / (2 * h), abs=2e-2)

    def test_batches_are_single_crystals(self):
        one, many = load_potential(device="cpu"), load_potential(device="cpu")
        many.batch = 4
        cells = salts()
        a, b = one.evaluate(cells), many.evaluate(cells)
        np.testing.assert_allclose(a.energies, b.energies, atol=1e-4)
        np.testing.assert_allclose(a.stresses, b.stresses, atol=1e-5)
        rows = zip(relax_many(cells, one, processes=1), relax_many(cells, many))
        assert all(x["energy_final"] == pytest.approx(y["energy_final"], abs=2e-3) for x, y in rows)

    def test_relaxation_finds_rock_salt_again(self):
        found = relax_many(salts(), load_potential(device="cpu"), RelaxOptions(fmax=0.02), processes=1)
        for one, edge in zip(found, (5.6, 4.2, 4.24)):
            assert one["converged"], one["reason"]
            assert abs(np.linalg.det(one["lattice"])) ** (1 / 3) == pytest.approx(edge, rel=0.03)
            assert one["energy_final"] < one["energy_initial"]

    def test_workers_give_the_same(self):
        cells = [dataclasses.replace(cell, L=cell.L * s) for s in (0.99, 1.0, 1.01) for cell in salts()]
        options = RelaxOptions(steps=3)
        one, two = (relax_many(cells, load_potential(device="cpu"), options, processes=n) for n in (1, 2))
        assert without_time(one) == without_time(two)

    def test_what_it_cannot_handle_is_a_reason(self):
        cells = [
            AtomicStructure(20 * np.eye(3), [3], [[0, 0, 0]]),
            AtomicStructure(4 * np.eye(3), [100], [[0, 0, 0]]),
            rock_salt(5.6),
            AtomicStructure(5 * np.eye(3), [3, 3], [[0, 0, 0], [0, 0, 0]]),
        ]
        found = single_points(cells, load_potential(device="cpu"))
        assert "no neighbour within 6 angstrom" in found[0]["reason"]
        assert "element 100 is unknown to CHGNet" in found[1]["reason"]
        assert found[2]["energy"] == pytest.approx(-3.70, abs=0.05)  # Materials Project, anion correction included
        assert (
            found[3]["reason"] or found[3]["energy"] is not None
        )  # atoms on each other: any finite energy or a reason
        relaxed = relax_many(cells, load_potential(device="cpu"), processes=1)
        assert [one["energy_final"] is None for one in relaxed] == [True, True, False, True]

    def test_devices(self):
        import torch

        if not torch.cuda.is_available():
            with pytest.raises(InputError, match="no GPU"):
                load_potential(device="cuda")
        with pytest.raises(InputError, match="'cpu' or 'cuda'"):
            load_potential(device="abacus")
