"""SymmCD's rows in the published tables: what the experiments write fills tables 4 and 5, the ten groups have their row."""

import argparse
import json

import numpy as np
import pytest

from experiments import formation_energy, measured, tables
from experiments import symmcd_speed as speed
from experiments.published.render import Cell, Line
from symjax.evaluate.report.reading import usable
from symjax.evaluate.sources import Crystals
from symjax.generate.masks import masks_of
from symjax.generate.request import Request
from symjax.models.symmcd.requests import TEN_GROUPS, draw_requests
from symjax.models.symmcd.weights import load_weights

FOUND = {
    "orbits": {
        "pairs": 26.0,
        "waste": 0.13,
        "memory": 0.41,
        "max_batch": 49000.4,
        "step": 0.1,
        "rate": 422.0,
        "epoch": 64.3,
    },
    "cell": {"pairs": 400.0, "waste": 0.19, "step": 0.5, "rate": 84.0, "epoch": 323.1},
}


def printed(capsys, *argv):
    code = tables.main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return code, out, err


def rows(capsys, table, *files, kind="measured"):
    named = [word for file in files for word in ("--report", file)]
    code, out, err = printed(capsys, table, *named, "--format", "json")
    assert code == 0, err
    return [row for row in json.loads(out)["rows"] if row["kind"] == kind]


def test_speed_fills_table_4(tmp_path, capsys):
    args = argparse.Namespace(data="runs/train.npz", size="small", batch=64, limit=40.0)
    place = tmp_path / "speed.json"
    measured.write(place, "symmcd-4", speed.lines_of(FOUND, args, "cpu, 2 cores", 10796), figures=FOUND)
    unit, cell = rows(capsys, "symmcd-4", place)
    assert {key: value["value"] for key, value in unit["values"].items()} == {
        "max_batch": 49000.4,
        "memory": 0.41,
        "epoch": 64.3,
    }
    assert cell["values"]["epoch"]["value"] == 323.1 and cell["values"]["memory"]["status"] == "not measured"
    assert "train.npz (n 10796)" in unit["source"] and "cpu, 2 cores" in unit["source"] and "27,136" in unit["note"]
    assert json.loads(place.read_text())["figures"]["orbits"]["pairs"] == 26.0
    assert not rows(capsys, "symmcd-4", place, kind="not measured")  # nor said to be missing
    (missing,) = rows(capsys, "symmcd-4", kind="not measured")
    assert "experiments.symmcd_speed" in missing["note"]
    code, out, _ = printed(capsys, "all", "--report", place)
    assert code == 0 and out.count("SymmCD (small), asymmetric unit") == 1


def test_regression_fills_table_5(tmp_path, capsys):
    runs = [
        {
            "graph": graph,
            "sites": sites,
            "seed": seed,
            "size": "small",
            "test_mae": mae + 0.01 * seed,
            "test_error": 0.001,
            "test_num": 7342,
            "test_left_out": 0,
            "val_mae": None,
            "mean_mae": 0.8,
            "train_num": 10796,
            "steps": 3000,
            "batch_size": 64,
            "parameters": 1,
            "edges": 40.0,
            "seconds": None,
            "device": "1 x cpu",
        }
        for graph, sites, mae in (
            ("multigraph", "with", 0.111),
            ("multigraph", "without", 0.122),
            ("asymmetric", "with", 0.133),
            ("asymmetric", "without", 0.144),
        )
        for seed in (0, 1)
    ]
    place = tmp_path / "energies.json"
    measured.write(place, "symmcd-5", formation_energy.lines_of(runs, "made up"), runs=runs)
    without, with_sites = rows(capsys, "symmcd-5", place)
    assert without["values"]["multigraph"]["value"] == pytest.approx(0.127)
    assert with_sites["values"]["asymmetric"]["value"] == pytest.approx(0.138)
    assert without["values"]["asymmetric"]["sd"] == pytest.approx(np.std([0, 0.01], ddof=1)) and without["n"] == 7342
    named = ["symmcd-5", "--report", place, "--name", "on MP-20"]
    assert "on MP-20, without site symmetry, SchNet" in printed(capsys, *named)[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"table": "symmcd-9", "rows": []}, "'symmcd-9', which there is not"),
        ({"table": "symmcd-4", "rows": []}, "not a list of rows"),
        ({"table": "symmcd-4", "rows": [{"values": {}}]}, "not a list of rows"),
        ({"table": "symmcd-4", "rows": [{"system": "a", "values": {"speed": 1.0}}]}, "speed"),
        ({"table": "symmcd-4", "rows": [{"system": "a", "values": {"epoch": "fast"}}]}, "epoch"),
        ({"table": "symmcd-5", "rows": [{"system": "a", "values": {}}]}, "has rows of symmcd-5, not of symmcd-4"),
    ],
)
def test_rows_that_do_not_belong_are_refused_in_one_line(content, words, tmp_path, capsys):
    place = tmp_path / "rows.json"
    place.write_text(json.dumps(content))
    code, out, err = printed(capsys, "symmcd-4", "--report", place)
    assert code == 2 and words in err and err.count("\n") == 1 and not out


def test_rows_cannot_be_written_nowhere(tmp_path):
    line = Line("a", "measured", None, {"epoch": Cell(1.0)}, "here")
    with pytest.raises(measured.InputError, match="cannot write"):
        measured.write(tmp_path / "none" / "rows.json", "symmcd-4", [line])


def report(**samples):
    figures = [
        {"key": "symmcd.d_sg", "value": 0.47, "num": 900, "definition": "d", "tolerance": "", "note": ""},
        {
            "key": "symmcd.structural_validity",
            "value": 0.97,
            "num": 1000,
            "definition": "d",
            "tolerance": "",
            "note": "",
        },
    ]
    return {"symjax": "1", "samples": {"source": "ten", "num": 1000, "num_usable": 1000} | samples, "figures": figures}


def test_ten_groups_have_a_row_that_says_so(tmp_path, capsys):
    """The options of `symjax generate` and the share of failed draws travel from the index to the note of the row."""
    groups = ",".join(map(str, TEN_GROUPS))
    facts = {
        "options": {"model": "symmcd", "space_group": groups, "orbits": None, "seed": 0},
        "draws": 1010,
        "failed_draws": {"no cell": 4, "coinciding atoms": 6},
    }
    source = Crystals("ten", (), (), (), facts=facts).summary()
    assert source["asked"] == {"model": "symmcd", "space_group": groups, "seed": 0}
    assert usable({"samples": report(**source)["samples"] | {"num": 1000, "num_usable": 1000}}, "samples") == (
        "1,000 (10 of 1,010 draws gave no crystal, 0.99 %)"
    )
    place = tmp_path / "report.json"
    place.write_text(json.dumps(report(**{key: source[key] for key in ("draws", "failed_draws", "asked")})))
    code, out, _ = printed(
        capsys, "symmcd-2", "--report", place, "--name", "SymmCD here, 10 groups", "--format", "json"
    )
    (row,) = [row for row in json.loads(out)["rows"] if row["kind"] == "measured"]
    assert code == 0 and row["system"] == "SymmCD here, 10 groups" and row["values"]["d_sg"]["value"] == 0.47
    assert "10 of 1,010 draws gave no crystal, 0.99 %" in row["note"] and f"space-group {groups}" in row["note"]


def test_the_ten_groups_can_be_asked_for():
    """All of them occur in the training data of the shipped weights, as often as there."""
    counts = load_weights().counts
    asked = masks_of(Request(groups=TEN_GROUPS))
    number, _ = draw_requests(counts, asked, 4000, rng=np.random.default_rng(0), max_orbits=20)
    assert set(number) == set(TEN_GROUPS)
    share = np.asarray(counts.group)[list(TEN_GROUPS)]
    for n, want in zip(TEN_GROUPS, share / share.sum(), strict=True):
        assert (number == n).mean() == pytest.approx(want, abs=0.025)
