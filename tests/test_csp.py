"""Structure prediction: the rule, element substitution, and the command, which goes on where it was stopped."""

import csv
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from symjax import systems
from symjax.cli.main import main
from symjax.crystals.types import AtomicStructure
from symjax.data.substitution import Parents, compositions, fit, states
from symjax.elements import COVALENT_RADII, symbol
from symjax.errors import SymjaxError
from symjax.evaluate.metrics.prediction import Try, judge, tries_figures
from symjax.evaluate.published import DATASETS, PREDICTION
from symjax.evaluate.symmetry import group_numbers
from symjax.generate.loop import Generated
from tests.evaluate.made_crystals import random_dataset

GROUPS = (1, 2, 4, 14, 62, 99)


@pytest.fixture(scope="module")
def train():
    return random_dataset(GROUPS * 4, 4)


@pytest.fixture(scope="module")
def files(tmp_path_factory, train):
    place = tmp_path_factory.mktemp("csp")
    train.save(place / "train.npz")
    random_dataset(GROUPS, 5).save(place / "test.npz")
    return place


# ---- element substitution ----


def test_compositions_are_those_of_the_atoms(train):
    assert compositions(train) == [cell.reduced for cell in train.all_atoms()]


@pytest.mark.parametrize("wanted", [((8, 1), (12, 1)), ((8, 3), (22, 1), (56, 1)), ((1, 2), (3, 2), (7, 2), (8, 4))])
def test_the_cheapest_places_are_found(wanted):
    """Against every bijection that keeps the amounts."""
    have = tuple(sorted(zip((11, 17, 38, 53), (n for _, n in wanted))))
    ways = [
        dict(zip([z for z, _ in have], order))
        for order in itertools.permutations([z for z, _ in wanted])
        if all(dict(have)[old] == dict(wanted)[new] for old, new in zip([z for z, _ in have], order))
    ]
    price = lambda places: sum(
        abs(COVALENT_RADII[b] / COVALENT_RADII[a] - 1) + (not states(a) & states(b)) for a, b in places.items()
    )
    cost, places = fit(have, wanted)
    assert places in ways and cost == pytest.approx(min(map(price, ways))) == pytest.approx(price(places))
    assert fit(have, ((8, 7), (12, 1))) is None


def test_a_known_formula_is_found_again(train):
    """No exchange is cheapest, and the kinds of its other parents come before a kind comes twice."""
    parents = Parents(train)
    for row in range(0, len(train), 5):
        truth = train.atoms(row)
        found = parents.best(truth.reduced, 3)
        assert parents.compositions[found[0][1]] == truth.reduced
        assert all(cell.reduced == truth.reduced for cell, _ in found)
        assert [r for _, r in parents.best(truth.reduced, 2)] == [r for _, r in found][:2]
        assert [r for _, r in parents.best(truth.reduced, 9, rows=[row])] == [row]
    assert parents.best(((1, 97), (8, 89)), 3) == []


# ---- the rule ----


def test_tries_are_judged_by_distance_formula_and_validity():
    salt = AtomicStructure(5.6 * np.eye(3), [11] * 4 + [17] * 4, [*FCC, *(np.array(FCC) + [0.5, 0, 0])])
    other = replace(salt, z=np.array([19] * 4 + [17] * 4))
    near = replace(salt, x=salt.x + 0.004 * np.random.default_rng(0).normal(size=salt.x.shape))
    crushed = replace(salt, L=salt.L / 20)
    tries = judge([salt, near, other, crushed], salt)
    assert tries[0] == Try(pytest.approx(0.0, abs=1e-6), True) and 0.001 < tries[1].distance < 0.05 and tries[1].valid
    assert tries[2].distance is None and tries[2].valid and not tries[3].valid


FCC = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))


def test_the_best_try_counts():
    tries = [
        [Try(0.2, True), Try(0.1, False)],
        [Try(None, True), Try(0.3, True)],
        [None, Try(None, False)],
        [None, None],
    ]
    value = {figure.key: figure for figure in tries_figures(tries, "x")}
    assert value["x.match"].value == 0.5 and value["x.match"].num == 4
    assert value["x.rmse"].value == pytest.approx((0.1 + 0.3) / 2) and value["x.rmse"].num == 2
    assert value["x.match_valid"].value == 0.5  # the better of the first pair is not valid, the other one is
    assert value["x.first.match"].value == 0.25 and value["x.first.rmse"].value == pytest.approx(0.2)
    low, high = value["x.match"].interval
    assert 0.1 < low < 0.2 and 0.8 < high < 0.9  # Wilson, 2 of 4: 0.150 to 0.850
    assert "x.first.match" not in {figure.key for figure in tries_figures([[Try(0.2, True)]], "x")}


def test_published_rows():
    """One-try rows of DiffCSP's table 1, and every cell within what a match rate can be."""
    cells = {(one.model, one.dataset, one.tries): (one.match, one.rmse) for one in PREDICTION}
    assert cells["DiffCSP", "mp-20", 1] == (51.49, 0.0631) and cells["DiffCSP", "mp-20", 20] == (77.93, 0.0492)
    assert len(cells) == len(PREDICTION) and {one.dataset for one in PREDICTION} == set(DATASETS)
    assert all(0 < one.match < 100 and 0 < one.rmse < 0.5 and one.source for one in PREDICTION)


# ---- the command ----


class Oracle:
    """In place of `symjax.systems.generate`: gives the truth on every second row, the first of several tries missing."""

    def __init__(self, data, stop_after=10**6):
        self.data, self.stop_after, self.asked = data, stop_after, []
        self.rows = {cell.reduced: row for row, cell in enumerate(data.all_atoms())}

    def __call__(self, name, num, *, request, seed, **more):
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((name, num, request, seed))
        row = next(
            row for reduced, row in self.rows.items() if {symbol(z): n for z, n in reduced} == dict(request.formula)
        )
        if row % 2:
            raise SymjaxError("nothing that meets the request")
        kept = np.arange(num)[min(1, num - 1) :]
        return Generated(None, self.data.subset([row] * len(kept)), num, {}, [], num - len(kept), rows=kept)


@pytest.fixture
def oracle(files, monkeypatch):
    from symjax.data.dataset import load
    from symjax.models.symop.system import Symop

    monkeypatch.setattr(Symop, "load", lambda self, folder: None)
    made = Oracle(load(files / "test.npz"))
    monkeypatch.setattr(systems, "generate", made)
    return made


def csp(files, out, *more):
    return main(["csp", str(files / "test.npz"), "--train", str(files / "train.npz"), "--out", str(out), *more])


def without_time(out, name="formula"):
    lines = [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]
    for one in lines:
        for result in one["results"].values():
            del result["seconds"]
            result.pop("programs", None)
    return lines


def test_what_comes_out(files, oracle, tmp_path, capsys):
    assert csp(files, tmp_path, "--tries", "2", "--given", "formula", "atoms", "group", "operations") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    rows = {(row["name"], row["given"]): row for row in report["rows"]}
    assert len(rows) == 8 and rows["symop", "formula"]["match"] == {
        "value": 0.5,
        "num": 6,
        "interval": pytest.approx([0.188, 0.812], abs=1e-3),
    }
    assert rows["symop", "formula"]["rmse"]["value"] == pytest.approx(0.0, abs=1e-5)
    assert rows["symop", "formula"]["first.match"]["value"] == 0.0  # the first try came to nothing
    assert rows["symop", "group"]["none"] == 3
    numbers = group_numbers(oracle.data).tolist()
    assert [request.groups for _, _, request, _ in oracle.asked] == [()] * 12 + [(n,) for n in numbers] * 2
    assert [request.atoms for _, _, request, _ in oracle.asked[6:12]] == [
        len(cell.primitive().z) for cell in oracle.data.all_atoms()
    ]
    assert all(request.below is request.above is None for _, _, request, _ in oracle.asked[:18])
    assert all(len(request.below.W) == len(request.above.W) for _, _, request, _ in oracle.asked[18:])
    table = list(csv.DictReader((tmp_path / "structures.csv").read_text().splitlines()))
    assert len(table) == 48 and [one["predictions"] for one in table if one["model"] == "symop"][:2] == ["1", "0"]
    assert "meets the request" in next(one["reason"] for one in table if one["model"] == "symop" and one["row"] == "1")
    shown = capsys.readouterr().out
    assert "DiffCSP" in shown and "2309.04475" in shown and "substitution" in shown and "51.49" in shown


def test_a_stopped_run_goes_on(files, oracle, tmp_path, capsys):
    """The same as one that was not stopped, whatever was on its way to the disk; a larger --num keeps what is done."""
    assert csp(files, tmp_path / "whole", "--num", "5") == 0
    oracle.asked.clear()
    oracle.stop_after = 2
    assert csp(files, tmp_path / "parts", "--num", "5") == 130
    with (tmp_path / "parts" / "formula.jsonl").open("a") as handle:
        handle.write('{"row": 4, "id"')  # half a line
    oracle.stop_after = 10**6
    assert csp(files, tmp_path / "parts", "--num", "5") == 0 and len(oracle.asked) == 5
    assert without_time(tmp_path / "parts") == without_time(tmp_path / "whole")
    assert csp(files, tmp_path / "parts") == 0 and len(oracle.asked) == 6
    assert csp(files, tmp_path / "parts", "--num", "3") == 0 and len(oracle.asked) == 6
    assert json.loads((tmp_path / "parts" / "report.json").read_text())["num"] == 3
    seeds = {seed for *_, seed in oracle.asked}
    assert len(seeds) == 6
    assert csp(files, tmp_path / "parts", "--seed", "1") == 2
    assert "seed" in capsys.readouterr().err


def test_substitution_alone(files, tmp_path):
    assert csp(files, tmp_path, "--model", "substitution", "--tries", "3", "--given", "group", "--quiet") == 0
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["substitution"] and rows[0]["num"] == 6


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "symmcd", "--given", "operations"], "not sets of operations"),
        (["--model", "wyckoffaugen", "--steps", "5"], "no diffusion"),
        (["--realise", "none"], "nothing can be compared"),
        (["--model", "substitution", "--steps", "5"], "no model"),
        (["--attempts", "5"], "--realise pyxtal"),
        (["--model", "symmcd", "--temperature", "2"], "wyckoff_transformer"),
        (["--train", "train.csv"], "data prepare"),
    ],
)
def test_what_has_no_meaning_is_refused(files, tmp_path, capsys, more, said):
    assert csp(files, tmp_path, *more) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "formula.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["symop", "symmcd", "wyckoff_transformer", "wyckoffdiff", "wyckoffaugen"])
def test_no_program_is_compiled_for_a_formula(model, tmp_path):
    """After formulas of a size, others of that size compile nothing."""
    from symjax.cli.csp import _count_programs
    from symjax.generate.request import Request

    weights, compiled = systems.system(model).load(None), _count_programs()
    ask = lambda formula: systems.generate(
        model, 1, weights=weights, request=Request(formula=formula, groups=(225,)), seed=0, min_ratio=0.0
    )
    for formula in ({"Na": 1, "Cl": 1}, {"Ca": 1, "F": 2}):
        ask(formula)
    before = compiled()
    for formula in ({"Mg": 1, "O": 1}, {"K": 1, "Br": 1}, {"Sr": 1, "Cl": 2}):
        ask(formula)
    assert compiled() == before
