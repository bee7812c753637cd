"""`symjax derive` as a user runs it: the folder, the tables, relaxation with a small potential, and wrong input."""

import csv
import json
import sys
from pathlib import Path

import pytest
import spglib
from textbook import crystal

from symjax.cli.main import main
from symjax.crystals.io import read_structure, write_cif

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluate"))
from stability_fakes import Pair


def run(capsys, *arguments, code=0):
    got = main([str(a) for a in arguments])
    text = capsys.readouterr()
    assert got == code, text.out + text.err
    return text


@pytest.fixture(scope="module")
def barium(tmp_path_factory):
    path = tmp_path_factory.mktemp("parent") / "BaTiO3.cif"
    write_cif(path, crystal("BaTiO3 cubic"))
    return path


def number_of(path):
    s = read_structure(path)
    return spglib.get_symmetry_dataset((s.L, s.x, s.z), symprec=1e-4).number


def test_a_folder_of_structures(barium, tmp_path, capsys):
    out = tmp_path / "out"
    text = run(capsys, "derive", barium, "--to", "P4mm", "--num", 3, "--max-cell", 1, "--out", out, "--seed", 4)
    index = json.loads((out / "index.json").read_text())
    assert sorted(f.name for f in out.iterdir()) == index["files"]
    assert {"index.json", "table.csv", "structures.png", "parent.cif"} < set(index["files"])
    assert len(index["structures"]) == 3 and all(one["as_asked"] for one in index["structures"])
    assert [number_of(out / one["file"]) for one in index["structures"]] == [99, 99, 99]
    assert number_of(out / "parent.cif") == 221
    assert "3 of 3 structures have exactly P4mm (99)" in text.out
    only = index["classes"][0]
    assert (only["index"], only["kind"], only["freed_modes"], only["freed_strains"], only["primary_modes"]) == (
        6,
        "t",
        3,
        1,
        3,
    )
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [one["file"] for one in index["structures"]]
    shortest = [float(row["shortest_angstrom"]) for row in rows]
    assert shortest == sorted(shortest, reverse=True)
    assert all(float(row["amplitude_angstrom"]) == 0.1 and float(row["strain_percent"]) == 1.0 for row in rows)
    # the same again gives the same; fewer structures replace the files of before
    run(
        capsys,
        "derive",
        barium,
        "--to",
        "99",
        "--num",
        2,
        "--max-cell",
        1,
        "--out",
        out,
        "--seed",
        4,
        "--quiet",
        "--no-picture",
        "--overwrite",
    )
    again = json.loads((out / "index.json").read_text())
    assert sorted(f.name for f in out.iterdir()) == again["files"] and "structures.png" not in again["files"]
    before = {one["file"]: one["lengths"] for one in index["structures"]}
    assert all(before[one["file"]] == one["lengths"] for one in again["structures"])


def test_every_class_in_turn_or_one(tmp_path, capsys):
    path = tmp_path / "SrTiO3.cif"
    write_cif(path, crystal("SrTiO3 cubic"))
    options = ("--to", 140, "--max-cell", 2, "--num", 4, "--no-picture")
    text = run(capsys, "derive", path, *options, "--out", tmp_path / "all", "--json")
    index = json.loads(text.out)
    assert [one["index"] for one in index["classes"]] == [6, 6, 6, 6]
    realised = [one["class"] for one in index["classes"] if one["problem"] is None]
    assert len(realised) == 2 and all("P4/mmm (123)" in c["problem"] for c in index["classes"] if c["problem"])
    assert {one["class"] for one in index["structures"]} == set(realised)
    assert all(
        one["structures"] in (1, 2) for one in index["classes"] if one["problem"] is None
    )  # one mode: two at most
    text = run(capsys, "derive", path, *options, "--relation", realised[1], "--out", tmp_path / "one", "--json")
    assert {one["class"] for one in json.loads(text.out)["structures"]} == {realised[1]}


@pytest.mark.slow
def test_structures_drawn_twice_are_written_once(barium, tmp_path, capsys):
    text = run(
        capsys, "derive", barium, "--to", 225, "--max-cell", 2, "--num", 9, "--out", tmp_path / "out", "--no-picture"
    )
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert len(index["structures"]) <= 2
    assert f"{9 - len(index['structures'])} left out: the same structure was drawn before" in text.out


@pytest.mark.slow
def test_collisions_are_counted(barium, tmp_path, capsys):
    options = ("--to", 99, "--max-cell", 1, "--num", 20, "--amplitude", 1.5, "--no-picture")
    text = run(capsys, "derive", barium, *options, "--out", tmp_path / "out")
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    hit = index["collisions"]
    assert (
        hit["skipped"] > 0 and hit["closest"] < hit["min_distance"] and len(index["structures"]) == 20 - hit["skipped"]
    )
    assert f"{hit['skipped']} left out: atoms nearer than" in text.out
    run(capsys, "derive", barium, *options, "--out", tmp_path / "none", "--min-distance", 50)
    index = json.loads((tmp_path / "none" / "index.json").read_text())
    assert index["structures"] == [] and index["collisions"]["skipped"] == 20


def test_relaxation_keeps_the_group_and_goes_on_where_it_was(barium, tmp_path, capsys, monkeypatch):
    from symjax.evaluate import stability

    potential = Pair()
    monkeypatch.setattr(stability, "load_potential", lambda name="chgnet", device=None: potential)
    options = (
        "--to",
        99,
        "--max-cell",
        1,
        "--num",
        2,
        "--relax",
        "--fmax",
        0.1,
        "--relax-steps",
        60,
        "--workers",
        1,
        "--no-picture",
        "--cache",
        tmp_path / "cache.sqlite",
    )
    text = run(capsys, "derive", barium, *options, "--out", tmp_path / "out")
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    energies = [one["energy_relaxed"] for one in index["structures"]]
    assert energies == sorted(energies) and index["parent"]["energy_relaxed"] is not None
    for one in index["structures"]:
        assert (
            abs(one["energy_against_parent"] - 1000 * (one["energy_relaxed"] - index["parent"]["energy_relaxed"]))
            < 1e-6
        )
        relaxed = read_structure(tmp_path / "out" / one["file_relaxed"])
        found = spglib.get_symmetry_dataset((relaxed.L, relaxed.x, relaxed.z), symprec=0.01).number
        assert found == one["group_relaxed"]["0.01"] in (99, 221, 123)
    assert "meV/atom" in text.out
    calls = potential.calls
    assert calls > 0
    run(capsys, "derive", barium, *options, "--out", tmp_path / "out", "--quiet", "--overwrite")
    assert potential.calls == calls  # all from the cache
    assert json.loads((tmp_path / "out" / "index.json").read_text())["structures"] == index["structures"]


@pytest.mark.slow
def test_ferroelectric_phases_of_barium_titanate_with_chgnet(barium, tmp_path, capsys):
    """CHGNet 0.3.0: tetragonal, orthorhombic and rhombohedral lie below the cubic parent, the tetragonal least so."""
    pytest.importorskip("chgnet")
    lowest = {}
    for number in (99, 38, 160):
        out = tmp_path / str(number)
        run(
            capsys,
            "derive",
            barium,
            "--to",
            number,
            "--max-cell",
            1,
            "--num",
            2,
            "--relax",
            "--workers",
            1,
            "--no-cache",
            "--quiet",
            "--no-picture",
            "--out",
            out,
        )
        index = json.loads((out / "index.json").read_text())
        assert all(one["group_relaxed"]["0.01"] == number for one in index["structures"])
        lowest[number] = index["structures"][0]["energy_against_parent"]
    with capsys.disabled():
        print(f"\nmeV/atom against Pm-3m: {lowest}")
    assert lowest[99] < -5 and lowest[38] < lowest[99] and lowest[160] < lowest[99]


def test_relaxation_without_the_extra_says_how_to_get_it(barium, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "chgnet", None)
    text = run(capsys, "derive", barium, "--to", 99, "--max-cell", 1, "--relax", "--out", tmp_path / "out", code=2)
    assert "[stability]'" in text.err and "pip install" in text.err
    assert not (tmp_path / "out").exists()


WRONG = {
    "no subgroup": (("--to", 230), ("no subgroup of Pm-3m (221)", "nearest", "Fm-3")),
    "not realised": (("--to", 215, "--max-cell", 1), ("P-43m (215)", "keep Pm-3m (221)")),
    "no strain alone": (("--to", 99, "--max-cell", 1, "--amplitude", 0), ("P4/mmm (123)", "without displacements")),
    "nothing": (("--to", 99, "--amplitude", 0, "--strain", 0), ("leave the parent as it is",)),
    "cell too large": (("--to", 99, "--max-cell", 28), ("--max-cell 28", "1 to 27")),
    "class": (("--to", 99, "--max-cell", 1, "--relation", 7), ("--relation 7", "classes 1 to 1")),
    "number": (("--to", 231), ("231",)),
    "symbol": (("--to", "Qm3m"), ("Qm3m",)),
    "amplitude": (("--to", 99, "--amplitude", -1), ("--amplitude -1", "0 to 10")),
    "strain": (("--to", 99, "--strain", "nan"), ("--strain nan",)),
    "num": (("--to", 99, "--num", 0), ("--num 0",)),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(case, barium, tmp_path, capsys):
    options, says = WRONG[case]
    text = run(capsys, "derive", barium, *options, "--out", tmp_path / "out", code=2)
    assert text.err.count("\n") == 1 and all(word in text.err for word in says), text.err
    assert not (tmp_path / "out").exists()


def test_a_parent_that_depends_on_the_tolerance_is_told(tmp_path, capsys):
    import numpy as np

    from symjax.crystals.io import format_poscar
    from symjax.crystals.types import AtomicStructure

    atoms = crystal("BaTiO3 cubic").atoms()
    moved = AtomicStructure(atoms.L, atoms.z, atoms.x + np.where(atoms.z[:, None] == 22, [0, 0, 0.001], 0.0))
    (tmp_path / "nearly.vasp").write_text(format_poscar(moved))
    text = run(
        capsys,
        "derive",
        tmp_path / "nearly.vasp",
        "--to",
        99,
        "--max-cell",
        1,
        "--num",
        1,
        "--out",
        tmp_path / "out",
        "--no-picture",
    )
    assert "depends on the tolerance" in text.err and "221" in text.err


def test_the_smallest_cell_that_will_do_is_taken(barium, capsys, tmp_path):
    """Without --max-cell: P4mm in the parent's own cell only; Fm-3m needs twice the cell."""
    for number, index in ((99, 6), (225, 2)):
        out = tmp_path / str(number)
        run(capsys, "derive", barium, "--to", number, "--num", 1, "--no-picture", "--quiet", "--out", out)
        written = json.loads((out / "index.json").read_text())
        assert {one["index"] for one in written["classes"]} == {index}
