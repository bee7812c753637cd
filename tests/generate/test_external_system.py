"""A system of another package, found by its entry point, trains, generates, is evaluated and stands in a table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

METADATA = "Metadata-Version: 2.1\nName: tiny-system\nVersion: 0\n"
ENTRY_POINTS = "[symjax.systems]\ntiny = tiny_system.row:ROW\n"
PACKAGES = Path(__file__).resolve().parents[1] / "external"


@pytest.fixture(scope="module")
def place(tmp_path_factory, repository, prototype_dataset):
    """An empty folder with data, and an environment in which the package is installed (its folder, and what pip writes of it)."""
    folder = tmp_path_factory.mktemp("tiny")
    installed(folder / "site", "tiny_system-0.dist-info", ENTRY_POINTS)
    prototype_dataset.subset(range(0, len(prototype_dataset), 2)).save(folder / "train.npz")
    prototype_dataset.subset(range(1, len(prototype_dataset), 8)).save(folder / "val.npz")
    return folder


def installed(site, name, entry_points):
    (site / name).mkdir(parents=True)
    (site / name / "METADATA").write_text(METADATA)
    (site / name / "entry_points.txt").write_text(entry_points)


@pytest.fixture(scope="module")
def run(place, repository):
    def run(*arguments, code=0, site="site"):
        paths = [str(place / site), str(PACKAGES), str(repository)]
        done = subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=place,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def weights(place, run):
    given = ["--config.data.train=train.npz", "--config.data.val=val.npz", "--workdir=run"]
    done = run("experiments.train", f"--config={PACKAGES / 'tiny_system' / 'config.py'}", *given)
    assert "tiny: step 20" in done.stdout
    return "run/weights"


ASKED = ("--formula", "SrTiO3", "--polar", "--space-group", "38,99,221,P4/mmm", "--num", 5, "--seed", 3)


@pytest.fixture(scope="module")
def crystals(place, run, weights):
    given = ("--model", "tiny", "--weights", weights, "--realise", "pyxtal", "--no-picture", "--sharpness", 0.5)
    run("symjax.cli.main", "generate", *given, *ASKED, "--out", "out")
    return place / "out"


@pytest.mark.slow
def test_it_trains_and_generates_what_was_asked_for(crystals):
    index = json.loads((crystals / "index.json").read_text())
    entries = index["crystals"]
    assert len(entries) == 5 and index["missing"] == 0 and index["draws"] == 5 + len(index["unrealised"])
    assert {entry["formula"] for entry in entries} == {"SrTiO3"}
    assert {entry["group"]["number"] for entry in entries} <= {38, 99}
    assert all("-x,-y,-z" not in entry["operations"] for entry in entries)
    assert [entry["id"] for entry in entries] == [f"tiny-{i:05d}" for i in range(5)]
    assert len((crystals / "genes.jsonl").read_text().splitlines()) == 5


@pytest.mark.slow
def test_it_is_evaluated_and_stands_in_a_table(crystals, place, run):
    given = ("--train", "train.npz", "--reference", "val.npz", "--metrics", "symmcd", "--draws", 2)
    run("symjax.cli.main", "evaluate", "out", *given, "--out", "judged", "--quiet", "--no-cache", "--workers", 1)
    shown = run("experiments.tables", "symmcd-2", "--report", "judged/report.json", "--name", "tiny").stdout
    (row,) = [line for line in shown.splitlines() if line.lstrip("| ").startswith("tiny")]
    assert "measured" in row
    assert "model tiny" in shown and "formula SrTiO3" in shown and "polar True" in shown  # in the note of its row


def test_what_has_no_meaning_for_it_is_refused(run):
    """Before any weights are looked for."""
    asked = ("generate", "--num", 2, "--out", "none", "--model", "tiny")
    trained = ("--weights", "nowhere")
    for given, words in (
        (
            (*trained, "--space-group", 225, "--prefix", "Na:4a"),
            "given orbits cannot be asked of tiny: it draws groups",
        ),
        ((*trained, "--parent", "x.cif"), "--parent cannot be asked of tiny"),
        ((), "no weights"),
    ):
        assert words in run("symjax.cli.main", *asked, *given, code=2).stderr
    assert "--sharpness S" in run("symjax.cli.main", "generate", "--help").stdout
    foreign = ("generate", "--num", 2, "--out", "none", "--sharpness", 2)
    assert "belongs to --model tiny" in run("symjax.cli.main", *foreign, code=2).stderr


def test_a_broken_or_clashing_entry_is_said(place, run):
    """In one line, by every command that needs the table."""
    installed(place / "broken", "tiny_system-0.dist-info", "[symjax.systems]\ntiny = tiny_system.nothing:ROW\n")
    installed(place / "twice", "tiny_system-0.dist-info", ENTRY_POINTS + "more = tiny_system.row:ROW\n")
    for site, words in (
        ("broken", "tiny_system.nothing:ROW of symjax.systems does not load"),
        ("twice", "the name tiny is taken"),
    ):
        error = run("symjax.cli.main", "generate", "--num", 2, "--out", "none", code=2, site=site).stderr
        assert words in error and error.count("\n") == 1
