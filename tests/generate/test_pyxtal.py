"""Random crystals of Wyckoff representations: PyXtal's points in the package's settings, limits, failures as reasons."""

import time

import jax
import numpy as np
import pytest

from symjax.data.structure_types import StructureTypes, dataset_from_types
from symjax.errors import InputError
from symjax.generate import pyxtal as realise
from symjax.generate.pyxtal import Pyxtal
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.wyckoff.set_table import build_set_table
from symjax.wyckoff.types import positions_of_type

KEY = jax.random.key(0)
GROUPS = (
    1,
    2,
    5,
    9,
    14,
    15,
    48,
    62,
    88,
    139,
    148,
    161,
    167,
    194,
    205,
    216,
    225,
    227,
)  # settings with a choice among them


def types_of(orbits):
    """Structure types of {number: [(z, letter), ...]}."""
    sets = build_set_table([standard_setting(number) for number in orbits])
    width = max(map(len, orbits.values()))
    z, pos = np.zeros((len(orbits), width), int), np.zeros((len(orbits), width), int)
    for row, (number, given) in enumerate(orbits.items()):
        for slot, (element, letter) in enumerate(given):
            z[row, slot], pos[row, slot] = element, wyckoff_letters(number).index(letter)
    return StructureTypes(sets, np.arange(len(orbits)), z, pos)


@pytest.fixture(scope="module")
def small():
    """In each group its smallest position and its smallest one with a free coordinate."""
    pytest.importorskip("pyxtal")
    orbits = {}
    for number in GROUPS:
        known, letters = positions_of_type(number), wyckoff_letters(number)
        dof, mult = known.dof, known.multiplicity
        first = int(np.argmin(mult))
        free = int(np.argmin(np.where(dof > 0, mult, 999)))
        orbits[number] = [(11, letters[first]), (8, letters[free])]
    return types_of(orbits)


def test_crystals_stand_on_the_positions_that_were_asked_for(small):
    found = Pyxtal(seconds=5.0)(small, KEY)
    good = np.array([not reason for reason in found.reason])
    assert good.sum() >= len(GROUPS) - 1, found.reason
    kept = small.take(np.flatnonzero(good))
    data = dataset_from_types(kept, found.k[good], found.x[good], properties={}, meta={})
    stabilized = data.sets.pos_stab[data.orbit_set, data.orbit_pos]
    moved = np.einsum("onij,oj->oni", data.sets.W[data.orbit_set], data.orbit_x) + data.sets.w[data.orbit_set] / 24
    moved -= data.orbit_x[:, None]
    assert np.abs(moved - np.round(moved))[stabilized].max() < 1e-9
    assert (found.properties["min_ratio"][good] > 0.5).all()
    projector = np.asarray(kept.sets.k_projector)[kept.set_index]
    np.testing.assert_allclose(np.einsum("bij,bj->bi", projector, found.k[good]), found.k[good], atol=1e-9)


def test_volume_is_that_of_pyxtal(small):
    """The lattice comes over whole: its volume is the cell's that PyXtal made."""
    from symjax.lattice import lattice_from_log

    job = Pyxtal()._job(small, GROUPS.index(62), 62, 5)
    lattice, points = realise._realise(job)
    assert [len(images) for images in points] == [orbit[2] for orbit in job.orbits]
    index = int(small.set_index[GROUPS.index(62)])
    k = realise._coefficients(small.sets, index, lattice)
    again = lattice_from_log(k, int(np.asarray(small.sets.frame)[index]))
    np.testing.assert_allclose(
        np.sort(np.linalg.norm(again, axis=1)), np.sort(np.linalg.norm(lattice, axis=1)), rtol=1e-6
    )


def test_equal_seeds_give_equal_crystals(small):
    part = small.take(np.array([GROUPS.index(139), GROUPS.index(225)]))
    first, again, other = (Pyxtal()(part, jax.random.key(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.k, again.k)
    assert (first.k != other.k).any()


def test_what_does_not_work_is_a_reason():
    pytest.importorskip("pyxtal")
    crowded = types_of({221: [(11, "a"), (17, "b")]})
    found = Pyxtal(attempts=1, factor=40.0)(crowded, KEY)
    assert all("no coordinates in 1 attempts" in reason for reason in found.reason)
    assert (found.k == 0).all() and (found.properties["min_ratio"] == 0).all()
    twice = types_of({225: [(11, "a"), (17, "a")]})
    assert "no coordinates in 2 attempts" in Pyxtal(attempts=2)(twice, KEY).reason[0]


def test_time_is_limited(monkeypatch, small):
    def never(job):
        while True:
            try:
                sum(range(100))
            except Exception:  # as third-party code may do
                continue

    monkeypatch.setattr(realise, "_from_random", never)
    started = time.process_time()
    found = Pyxtal(seconds=0.2)(small.take(np.array([0, 1])), KEY)
    assert all("more than 0.2 s" in reason for reason in found.reason) and time.process_time() - started < 2


def test_errors_of_pyxtal_are_reasons(monkeypatch, small):
    def broken(job):
        raise RuntimeError("no table")

    monkeypatch.setattr(realise, "_from_random", broken)
    assert Pyxtal()(small.take(np.array([0])), KEY).reason == ["PyXtal failed: RuntimeError: no table"]


def test_operations_of_no_standard_setting_are_a_reason(small):
    """A set that PyXtal has no number for is left out, the others are tried."""
    from symjax.groups import make_opset

    group = standard_setting(2)
    moved = make_opset(np.asarray(group.W), np.asarray(group.w) + np.array([[0, 0, 0], [12, 0, 0]]))
    sets = build_set_table([moved, standard_setting(221)])
    types = StructureTypes(sets, np.array([0, 1]), np.array([[11], [11]]), np.zeros((2, 1), int))
    found = Pyxtal()(types, KEY)
    assert found.reason == ["operations of no standard setting, which PyXtal does not know", ""]
    assert (found.k[0] == 0).all() and np.isfinite(found.k[1]).all()


@pytest.mark.slow
def test_workers_give_the_same(small):
    many = small.take(np.resize(np.arange(4), 70))
    one, two = Pyxtal(processes=1)(many, KEY), Pyxtal(processes=2)(many, KEY)
    np.testing.assert_array_equal(one.x, two.x)
    assert one.reason == two.reason


@pytest.mark.parametrize("limits", [{"attempts": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"factor": -1.0}])
def test_limits_must_be_positive(limits):
    with pytest.raises(InputError, match="positive"):
        Pyxtal(**limits)
