"""Metrics of operations on random crystals of known groups, so most answers are known."""

import json

import numpy as np
import pytest

from symjax.data.dataset import CrystalDataset
from symjax.evaluate.cells import cell_of, cells_of
from symjax.evaluate.describe import describe_all
from symjax.evaluate.metrics.operations import lattice_defect
from symjax.evaluate.metrics.prediction import match_figures
from symjax.evaluate.symmetry import group_numbers
from symjax.groups import standard_setting
from symjax.groups.set_table import build_set_table

GROUPS = (1, 2, 14, 62, 99, 139, 166, 194, 216, 225)


def random_dataset(groups, seed):
    """One crystal for each of ``groups``: a random compatible lattice and two random orbits, the general one among them."""
    generator = np.random.default_rng(seed)
    numbers = sorted(set(groups))
    table = build_set_table([standard_setting(number) for number in numbers])
    set_index = np.array([numbers.index(group) for group in groups], np.int32)
    k, z, pos, x = [], [], [], []
    for row in set_index:
        live = np.asarray(table.mask[row])
        wild = 0.15 * generator.normal(size=6) + np.array([0, 0, 0, 0, 0, 3.9])
        k.append(np.asarray(table.k_projector[row]) @ wild)
        general = int(table.pos_mask[row].sum()) - 1
        for position in (general, int(generator.integers(0, general + 1))):
            free = generator.random(3)
            x.append(table.pos_x0[row, position] + table.pos_basis[row, position] @ free)
            pos.append(position)
            z.append(int(generator.integers(3, 80)))
        assert live.any()
    num = len(groups)
    return CrystalDataset(
        sets=table, set_index=set_index, k=np.array(k), orbit_start=np.arange(0, 2 * num + 1, 2, dtype=np.int64),
        orbit_z=np.array(z, np.int16), orbit_pos=np.array(pos, np.int16), orbit_x=np.array(x),
        ids=np.array([f"c{i}" for i in range(num)]), formula=np.array(["?"] * num), row=np.arange(num),
        properties={"log_bound": -np.ones(num)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return random_dataset(GROUPS, 0)


def test_atoms_of_a_cell(data):
    """Multiplicities, compatible lattices, and every operation maps the atoms onto themselves."""
    for index, cell in enumerate(cells_of(data)):
        assert len(cell.numbers) == data.num_atoms[index]
        assert lattice_defect(cell) < 1e-9
        for W, w in zip(cell.W[:: max(len(cell.W) // 6, 1)], cell.w[:: max(len(cell.W) // 6, 1)]):
            moved = cell.frac @ W.T + w / 24
            gap = moved[:, None] - cell.frac[None]
            gap -= np.round(gap)
            same = (np.abs(gap).max(axis=-1) < 1e-6) & (cell.orbit[:, None] == cell.orbit)
            assert same.any(axis=1).all()


def test_lattice_defect_sees_a_wrong_lattice(data):
    cell = cell_of(data, GROUPS.index(225))
    stretched = type(cell)(cell.lattice * [1.001, 1, 1], cell.frac, cell.numbers, cell.orbit, cell.W, cell.w)
    assert lattice_defect(stretched) > 1e-4


def test_groups_are_read_off(data):
    assert group_numbers(data).tolist() == list(GROUPS)


def test_match_rate_of_the_truth(data):
    cells = cells_of(data)
    figures = match_figures(cells, cells, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], processes=1)
    value = {figure.key: figure.value for figure in figures}
    assert value["prediction.match"] == 1
    assert value["prediction.rmse"] == pytest.approx(0, abs=1e-6)
    assert [figure.num for figure in figures[2:]] == [1, 4, 5]


def test_descriptions(data):
    for (cell, entry), group in zip(describe_all(data), GROUPS):
        json.dumps(entry, allow_nan=False)
        assert entry["group"]["number"] == group
        assert entry["group_found_in_atoms"]["has_all_operations"]
        assert entry["operations"][0] == "x,y,z"
        assert entry["num_atoms"] == len(cell.numbers) == sum(orbit["multiplicity"] for orbit in entry["orbits"])
        for orbit in entry["orbits"]:
            assert orbit["multiplicity"] * len(orbit["operations_fixing"]) == entry["num_operations"]
