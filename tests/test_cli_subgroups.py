"""`symjax subgroups` and the reader of parents, in this process: what is printed, drawn and refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from symjax.cli.main import main
from symjax.cli.parent import LADDER, ladder_text, parent_of, read_parent
from symjax.crystals.io import format_poscar, write_cif
from symjax.crystals.types import AtomicStructure
from symjax.errors import SymjaxError

sys.path.insert(0, str(Path(__file__).parent / "navigate"))
from textbook import crystal, structure


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """CIF files of textbook crystals by name."""
    folder = tmp_path_factory.mktemp("subgroups")
    found = {}
    for name in ("BaTiO3 cubic", "PbTiO3", "quartz beta 180", "BiVO4"):
        found[name] = folder / f"{name.replace(' ', '-')}.cif"
        write_cif(found[name], crystal(name))
    return found


def output(capsys, *arguments, code=0):
    assert main([str(argument) for argument in arguments]) == code
    text = capsys.readouterr()
    assert "Traceback" not in text.err
    return text.out if code == 0 else text.err


def report(capsys, *arguments):
    return json.loads(output(capsys, *arguments, "--json"))


def test_the_tree(files, capsys):
    text = output(capsys, "subgroups", files["BaTiO3 cubic"])
    for words in (
        "BaTiO3, Pm-3m (221)",
        "9 classes of maximal subgroups",
        "P4/mmm (123)",
        "index 3",
        "translationengleiche",
        "3 conjugates",
        "klassengleiche, enlarged cell",
        "[2a,2b,2c; 1/2,1/2,1/2]",
        "ferroelastic",
        "O 3c -> 1c (1/2,1/2,0) + 2e (0,1/2,1/2)",
        "cell a,c (+1)",
        "order parameter: 1 strain",
        "these atoms cannot have it",
    ):
        assert words in text.replace("\n│   ", ""), words


def test_json_is_complete(files, capsys):
    found = report(capsys, "subgroups", files["BaTiO3 cubic"], "--max-index", 1)
    assert found["formula"] == "BaTiO3" and found["parent"]["number"] == 221 and found["symmetry_ladder"]["0.01"] == 221
    assert {(one["number"], one["index"]) for one in found["subgroups"]} == {
        (215, 2),
        (207, 2),
        (200, 2),
        (123, 3),
        (166, 4),
    }
    one = next(one for one in found["subgroups"] if one["number"] == 123)
    assert one["P"] == [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"]] and one["p"] == ["0", "0", "0"]
    assert one["maximal"] and one["conjugates"] == 3 and one["ferroelastic"] and not one["polar"]


def test_paths_by_number_and_symbol(files, capsys):
    by_symbol = report(capsys, "subgroups", files["BaTiO3 cubic"], "--to", "P4mm")["subgroups"]
    assert by_symbol == report(capsys, "subgroups", files["BaTiO3 cubic"], "--to", "99")["subgroups"]
    (one,) = by_symbol
    (path,) = one["paths"]
    assert [(step["label"], step["number"]) for step in path["steps"]] == [("t3", 123), ("t2", 99)]
    assert [step["order_parameter_displacements"] for step in path["steps"]] == [0, 3]
    text = output(capsys, "subgroups", files["BaTiO3 cubic"], "--to", "R3m")
    assert "path 1 of 2: -t2-> P-43m -t4-> R3m" in text and "path 2 of 2: -t4-> R-3m -t2-> R3m" in text


def test_selections(files, capsys):
    polar = report(capsys, "subgroups", files["BaTiO3 cubic"], "--polar")["subgroups"]
    assert {(one["number"], one["index"]) for one in polar} == {(99, 6), (160, 8), (38, 12)}
    kept = report(capsys, "subgroups", files["BaTiO3 cubic"], "--polar", "--keep", "{m_010|0}", "--keep", "x,y,z")[
        "subgroups"
    ]
    assert {one["number"] for one in kept} == {99, 38}
    hands = report(capsys, "subgroups", files["quartz beta 180"], "--to", 154)["subgroups"]
    assert [one["index"] for one in hands] == [2]
    text = output(capsys, "subgroups", files["BaTiO3 cubic"], "--remove", "inversion")
    assert "P-43m (215)" in text and "P432 (207)" in text and "Pm-3 (200)" not in text


def test_all_and_levels_of_a_bare_group(capsys):
    found = report(capsys, "subgroups", "--group", "P4mm", "--all")["subgroups"]
    assert sorted(one["number"] for one in found) == [1, 3, 6, 8, 25, 35, 75]
    assert all("orbits" not in one for one in found)
    levels = report(capsys, "subgroups", "--group", 99, "--depth", 2, "--max-index", 1)["subgroups"]
    assert {one["number"] for one in levels} == {75, 25, 35} and all(one["children"] for one in levels)


def test_drawings(files, tmp_path, capsys):
    names = {kind: tmp_path / f"tree.{kind}" for kind in ("dot", "svg", "png")}
    arguments = [item for kind, path in names.items() for item in (f"--{kind}", path)]
    output(capsys, "subgroups", files["BaTiO3 cubic"], "--to", 38, *arguments)
    assert names["dot"].read_text().count("->") == 3
    assert names["svg"].read_bytes().startswith(b"<?xml") and names["png"].read_bytes().startswith(b"\x89PNG")


BAD = [
    (("--to", 194), ("P6_3/mmc (194) is not a subgroup of Pm-3m (221)", "none has its crystal class 6/mmm", "nearest")),
    (
        ("--to", 62, "--max-cell", 2),
        ("Pnma (62) is not a subgroup", "crystal class mmm", "Cmmm (65, index 6)", "--max-cell"),
    ),
    (("--to", 231), ("231",)),
    (("--to", "Pfoo"), ("Pfoo",)),
    (("--max-index", 9), ("--max-index 9", "1 to 8")),
    (("--to", 62, "--max-cell", 28), ("--max-cell 28", "1 to 27")),
    (("--depth", 0), ("--depth 0",)),
    (("--depth", 2, "--polar"), ("--depth",)),
    (("--keep", "x,y,z+1/2"), ("'x,y,z+1/2' is not in the parent group Pm-3m (221)",)),
    (("--keep", "swirl"), ("swirl",)),
    (("--remove", "swirl"), ("unknown kind of operation 'swirl'",)),
    (("--remove", "glide"), ("has no glide to remove", "mirror")),
    (("--remove", "inversion", "--keep=-x,-y,-z"), ("-x,-y,-z is a kind of operation to remove",)),
    (("--polar", "--keep=-x,-y,-z"), ("no subgroup that is polar, with -x,-y,-z",)),
    (("--png", "absent/tree.png"), ("absent/tree.png",)),
    (("--symprec", -1), ("symprec",)),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=lambda value: str(value)[:40])
def test_refused(files, arguments, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = output(capsys, "subgroups", files["BaTiO3 cubic"], *arguments, code=2)
    assert "symjax: error:" in text
    for words in says:
        assert words in text
    assert list(tmp_path.iterdir()) == []


def test_refused_files(tmp_path, capsys):
    assert "absent.cif" in output(capsys, "subgroups", tmp_path / "absent.cif", code=2)
    assert "--group" in output(capsys, "subgroups", code=2)
    (tmp_path / "bad.cif").write_text("data_x\n")
    assert "bad.cif" in output(capsys, "subgroups", tmp_path / "bad.cif", code=2)


def test_paths_that_are_too_many(capsys):
    """P1 with a large cell: the class is listed, its paths refused in words."""
    found = report(capsys, "subgroups", "--group", 47, "--to", 1, "--max-cell", 1)
    assert found["subgroups"][0]["paths"]
    from symjax.navigate import interval

    limit, interval.MAX_GROUPS = interval.MAX_GROUPS, 3
    try:
        text = output(capsys, "subgroups", "--group", 47, "--to", 1)
    finally:
        interval.MAX_GROUPS = limit
    assert "more than 3 groups lie above" in text


def test_ladder_of_tolerances(tmp_path, capsys):
    """Titanium 0.04 angstrom off its centre: tetragonal at 0.01, cubic at 0.1; the command says so and goes on."""
    cubic = structure("BaTiO3 cubic")
    x = cubic.x.copy()
    x[cubic.z == 22, 2] += 0.01
    (tmp_path / "off.vasp").write_text(format_poscar(AtomicStructure(L=cubic.L, z=cubic.z, x=x)))
    parent = read_parent(tmp_path / "off.vasp")
    assert parent.number == 99 and parent.symbol == "P4mm"
    assert {t: parent.ladder[t] for t in LADDER} == {0.001: 99, 0.01: 99, 0.1: 221}
    assert ladder_text({0.001: 99, 0.01: 99, 0.1: 221}) == "P4mm (99) at 0.001 and 0.01, Pm-3m (221) at 0.1 angstrom"
    assert len(parent.warnings) == 1 and "Pm-3m (221) at 0.1 angstrom. P4mm" in parent.warnings[0]
    assert main(["subgroups", str(tmp_path / "off.vasp"), "--max-index", "1", "--json"]) == 0
    text = capsys.readouterr()
    assert "depends on the tolerance" in text.err and "Pm-3m (221) at 0.1" in text.err
    assert json.loads(text.out)["symmetry_ladder"] == {f"{t:g}": n for t, n in parent.ladder.items()}
    assert read_parent(tmp_path / "off.vasp", 0.1).number == 221


def test_parents_are_exact():
    """No warning for a textbook structure; the group is kept by the crystal that comes back."""
    for name, number in (("BaTiO3 cubic", 221), ("quartz beta 180", 180), ("BiVO4", 15)):
        parent = parent_of(structure(name))
        assert parent.number == number and not parent.warnings, parent.warnings
        metric = parent.crystal.L @ parent.crystal.L.T
        W = parent.crystal.W
        assert np.allclose(np.swapaxes(W, 1, 2) @ metric @ W, metric, atol=1e-9)
        assert len(parent.opset.W) == len(W)
    with pytest.raises(SymjaxError, match="symprec"):
        parent_of(structure("BiVO4"), -1.0)
