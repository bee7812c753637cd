"""Baselines without a model: they keep what they should of their parents, and are what the seed says."""

import json

import numpy as np
import pytest

from experiments import baselines
from symjax.data.substitution import states
from symjax.evaluate.sources import read_crystals
from symjax.evaluate.symmetry import detected_number
from tests.evaluate.made_crystals import random_dataset


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    place = tmp_path_factory.mktemp("train") / "train.npz"
    random_dataset((14, 62, 139, 194, 225) * 12, 4).save(place)
    return place


def made(train, tmp_path, *more):
    out = tmp_path / "made.json"
    assert baselines.main([*more, "--train", str(train), "--out", str(out)]) == 0
    return out


def test_substitution_keeps_the_structure_of_its_parent(train, tmp_path):
    from symjax.data.dataset import load

    data = load(train)
    rows = {str(name): i for i, name in enumerate(data.ids)}
    out = made(train, tmp_path, "substitution", "--num", "8")
    for entry in json.loads(out.read_text()):
        parent = data.atoms(rows[entry["id"].split("-of-")[1]])
        structure = entry["structure"]
        pairs = set(zip(parent.z.tolist(), structure["z"]))
        assert len(pairs) == len(parent.counts) and any(a != b for a, b in pairs)
        for a, b in pairs:
            assert a == b or states(a) & states(b)
        assert np.allclose(structure["x"], parent.x)
        shape = np.array(structure["L"]) / np.linalg.norm(structure["L"]) * np.linalg.norm(parent.L)
        assert np.allclose(shape, parent.L)
    found = read_crystals(out, processes=1)
    assert found.usable.all() and detected_number(found.cells[0]) > 1


def test_a_crystal_does_not_depend_on_how_many_there_are(train, tmp_path):
    few = json.loads(made(train, tmp_path, "random", "--num", "3").read_text())
    many = json.loads(made(train, tmp_path, "random", "--num", "6").read_text())
    assert many[:3] == few
    assert json.loads(made(train, tmp_path, "random", "--num", "3", "--seed", "1").read_text()) != few


def test_a_formula_is_put_into_crystals_of_its_amounts(train, tmp_path):
    from symjax.data.dataset import load

    cell = load(train).atoms(0)
    amounts = [count for _, count in cell.reduced]
    formula = "".join(f"{name}{count}" for name, count in zip(("Mg", "O", "Cl"), amounts))
    found = read_crystals(made(train, tmp_path, "substitution", "--num", "2", "--formula", formula), processes=1)
    assert all(sorted(count for _, count in crystal.reduced) == sorted(amounts) for crystal in found.cells)
    assert all({z for z, _ in crystal.reduced} <= {8, 12, 17} for crystal in found.cells)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["random", "--num", "0"], "at least 1"),
        (["random", "--formula", "NaCl"], "substitution only"),
        (["substitution", "--formula", "H97O89"], "amounts of H97O89"),
    ],
)
def test_wrong_input_is_one_line(train, tmp_path, capsys, more, said):
    assert baselines.main([*more, "--train", str(train), "--out", str(tmp_path / "x.json")]) == 2
    assert said in capsys.readouterr().err
