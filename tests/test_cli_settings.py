"""`--setting` on the way in and out: the same symmetry told in the axes asked for."""

import json
from pathlib import Path

import numpy as np
import pytest
import spglib

from symjax.cli.main import main
from symjax.crystals.io import read_file

HEAD = """data_x
_cell_length_a {}
_cell_length_b {}
_cell_length_c {}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {}
_symmetry_space_group_name_H-M '{}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{}
"""
# Rodriguez-Carvajal et al., Phys. Rev. B 57, R3189 (1998); corundum, R-3c in hexagonal axes
LAMNO3 = HEAD.format(
    5.5367,
    5.7473,
    7.6929,
    90,
    "P b n m",
    "La1 La 0.9922 0.049 0.25\nMn1 Mn 0.5 0 0\nO1 O 0.0745 0.4874 0.25\nO2 O 0.7256 0.3066 0.0384",
)
CORUNDUM = HEAD.format(4.759, 4.759, 12.991, 120, "R -3 c H", "Al1 Al 0 0 0.3522\nO1 O 0.3063 0 0.25")


@pytest.fixture
def files(tmp_path):
    found = {}
    for name, text in (("LaMnO3", LAMNO3), ("Al2O3", CORUNDUM)):
        found[name] = tmp_path / f"{name}.cif"
        found[name].write_text(text)
    return found


def output(capsys, *arguments, code=0):
    assert main([str(argument) for argument in arguments]) == code
    text = capsys.readouterr()
    return text.err if code else text.out


def test_analyze_in_the_file_own_setting(files, capsys):
    """International Tables A, Pbnm: 4b at (1/2,0,0), 4c on ..m at (x,y,1/4); nothing is moved."""
    report = json.loads(output(capsys, "analyze", files["LaMnO3"], "--setting", "Pbnm", "--json"))
    assert report["group"]["number"] == 62 and report["group"]["setting"] == "Pbnm"
    assert np.allclose(report["transformation"], np.eye(3)) and np.allclose(report["origin_shift"], 0)
    rows = {(o["element"], o["letter"], o["site_symmetry"], o["position"]) for o in report["orbits"]}
    assert rows == {
        ("Mn", "b", "-1", "(1/2, 0, 0)"),
        ("La", "c", "..m", "(x, y, 1/4)"),
        ("O", "c", "..m", "(x, y, 1/4)"),
        ("O", "d", "1", "(x, y, z)"),
    }
    found = spglib.get_symmetry_from_database(report["group"]["hall_number"])
    ours = {(row["xyz"]) for row in report["operations"]}
    assert len(ours) == len(found["rotations"]) == 8 and "x,y,-z+1/2" in ours
    assert "Pbnm (62)" in output(capsys, "analyze", files["LaMnO3"], "--setting", "-P 2c 2ab")


@pytest.mark.parametrize(
    ("name", "setting"), [("LaMnO3", "Pmcn"), ("LaMnO3", "Pnma"), ("Al2O3", "R-3c:R"), ("Al2O3", "R-3c:H")]
)
def test_analyze_leads_there(name, setting, files, capsys):
    """The file's atoms, brought there by what is printed, are the orbits of the printed representatives."""
    report = json.loads(output(capsys, "analyze", files[name], "--setting", setting, "--json"))
    structure = read_file(files[name]).structure
    x = structure.x @ np.array(report["transformation"]).T + report["origin_shift"]
    for orbit in report["orbits"]:
        gap = x - orbit["representative"]
        gap -= np.rint(gap)
        assert np.abs(gap).max(axis=1).min() < 1e-6
        assert len(orbit["operations_fixing"]) * orbit["multiplicity"] == len(report["operations"])
    assert sum(o["multiplicity"] for o in report["orbits"]) == report["atoms_in_cell"]
    assert report["lattice"]["volume"] * len(structure.z) == pytest.approx(
        abs(np.linalg.det(structure.L)) * report["atoms_in_cell"]
    )


def test_rhombohedral_axes(files, capsys):
    """International Tables A, R-3c, rhombohedral axes: 4c (x,x,x), 6e (x,-x+1/2,1/4)."""
    report = json.loads(output(capsys, "analyze", files["Al2O3"], "--setting", "R-3c:R", "--json"))
    assert [(o["multiplicity"], o["letter"], o["position"]) for o in report["orbits"]] == [
        (4, "c", "(x, x, x)"),
        (6, "e", "(x, -x+1/2, 1/4)"),
    ]
    assert report["lattice"]["lengths"] == pytest.approx([5.1285] * 3, abs=1e-3)


def test_subgroups_are_told_in_the_setting(files, capsys):
    text = output(capsys, "subgroups", files["LaMnO3"], "--setting", "Pbnm", "--remove", "m x,y,1/4")
    assert "in Pbnm: Mn 4b -1 (1/2,0,0)" in text and "without x,y,-z+1/2" in text
    assert "in the axes of Pbnm: [b,-a,c; 0,0,0]" in text  # of Pna2_1
    same = output(capsys, "subgroups", files["LaMnO3"], "--remove", "m x,1/4,z")
    kinds = [line.split("   ")[:2] for line in text.splitlines() if "index" in line]
    assert kinds == [line.split("   ")[:2] for line in same.splitlines() if "index" in line]
    kept = json.loads(
        output(capsys, "subgroups", "--group", "Pbnm", "--keep", "x,y,-z+1/2", "--remove", "inversion", "--json")
    )
    assert {one["symbol"] for one in kept["subgroups"]} == {"Pmc2_1", "Pmn2_1"}
    assert kept["asked"]["selection"] == "without any inversion, with x,y,-z+1/2"
    text = output(
        capsys, "subgroups", "--group", "Pbnm", "--remove", "-x,-y,-z"
    )  # a value that starts with a minus sign
    assert "without -x,-y,-z" in text and "P2_12_12_1 (19)" in text
    assert "the structures have R-3c" in output(capsys, "subgroups", files["Al2O3"], "--setting", "Pbnm", code=2)


def test_a_target_by_the_name_of_another_setting(capsys):
    report = json.loads(output(capsys, "subgroups", "--group", "221", "--to", "Pbnm", "--json"))
    assert {one["in_setting"]["change"] for one in report["subgroups"]} >= {"a+c,a-c,2b; 0,0,0"}  # sqrt2, sqrt2, 2
    assert "in_setting" not in output(capsys, "subgroups", "--group", "221", "--to", "P4mm", "--json")


def test_derive_says_that_files_are_in_the_standard_setting(capsys, tmp_path):
    cubic = Path(__file__).parent.parent / "docs" / "examples" / "BaTiO3.cif"
    main(["derive", str(cubic), "--to", "Bmm2", "--num", "1", "--no-picture", "--out", str(tmp_path / "out")])
    assert "Bmm2 is Amm2 in other axes" in capsys.readouterr().err
