"""Metrics of operations on random crystals of known groups, so most answers are known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from symjax.evaluate.describe import describe_all
from symjax.evaluate.metrics.prediction import match_figures
from symjax.evaluate.sets import metric_defect
from symjax.evaluate.symmetry import group_numbers
from tests.evaluate.made_crystals import GROUPS, random_dataset


@pytest.fixture(scope="module")
def data():
    return random_dataset(GROUPS, 0)


def test_atoms_of_a_cell(data):
    """Multiplicities, compatible lattices, and every operation maps the atoms onto themselves."""
    for index, cell in enumerate(data.all_atoms()):
        assert len(cell.z) == data.num_atoms[index]
        assert metric_defect(cell) < 1e-9
        for W, w in zip(cell.W[:: max(len(cell.W) // 6, 1)], cell.w[:: max(len(cell.W) // 6, 1)]):
            moved = cell.x @ W.T + w / 24
            gap = moved[:, None] - cell.x[None]
            gap -= np.round(gap)
            same = (np.abs(gap).max(axis=-1) < 1e-6) & (cell.orbit[:, None] == cell.orbit)
            assert same.any(axis=1).all()


def test_lattice_defect_sees_a_wrong_lattice(data):
    cell = data.atoms(GROUPS.index(225))
    stretched = replace(cell, L=cell.L * [1.001, 1, 1])
    assert metric_defect(stretched) > 1e-4


def test_groups_are_read_off(data):
    assert group_numbers(data).tolist() == list(GROUPS)


def test_match_rate_of_the_truth(data):
    cells = data.all_atoms()
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
        assert entry["num_atoms"] == len(cell.z) == sum(orbit["multiplicity"] for orbit in entry["orbits"])
        for orbit in entry["orbits"]:
            assert orbit["multiplicity"] * len(orbit["operations_fixing"]) == entry["num_operations"]
