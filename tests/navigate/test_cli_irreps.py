"""The commands about irreps: `modes`, `related`, `subgroups --irrep`, `derive --irrep`."""

import json
import re
import time
from fractions import Fraction

import gemmi
import numpy as np
import pytest
from test_symmetry_modes import axis_of_arm, lamno3, parent_of, perovskite

from symjax.cli.main import main
from symjax.cli.output import cif_text
from symjax.cli.parent import read_parent
from symjax.crystals.io import read_file, write_cif
from symjax.groups.irrep_names import parse_irrep
from symjax.groups.order_parameter import real_irrep
from symjax.groups.symbols import parse_setting
from symjax.groups.tables import standard_setting
from symjax.navigate.irrep_modes import _partner, modes_of_irrep
from symjax.navigate.irreps import isotropy_relation
from symjax.navigate.modes import ModeSpace


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("irreps")
    crystals = {
        "high": parent_of(perovskite(3.9407, 57, 25, 8)),
        "low": parent_of(lamno3()),
        "other": parent_of(perovskite(4.0, 38, 25, 8)),
    }
    for name, parent in crystals.items():
        write_cif(folder / f"{name}.cif", parent.crystal)
    return {name: folder / f"{name}.cif" for name in crystals} | {"folder": folder}


def output(capsys, *arguments, code=0):
    assert main([str(argument) for argument in arguments]) == code
    text = capsys.readouterr()
    assert "Traceback" not in text.err
    return text.err if code == 2 else text.out


def test_modes_of_lamno3(files, capsys):
    png, cif = files["folder"] / "modes.png", files["folder"] / "out.cif"
    report = json.loads(output(capsys, "modes", files["high"], files["low"], "--json", "--png", png, "--out", cif))
    found = {one["irrep"]: one for one in report["irreps"]}
    assert found["R4+"]["amplitude"] == pytest.approx(1.18838, abs=1e-3)
    assert found["R4+"]["amplitude_parent_normalised"] == pytest.approx(1.18838 / 2, abs=1e-3)
    assert found["R4+"]["isotropy_subgroup"] == {"number": 74, "symbol": "Imma", "index": 12}
    assert found["X5+"]["direction"] == "(a,a;0,0;0,0)" and found["X5+"]["label_is_standard"]
    assert [m["element"] for m in found["X5+"]["modes"]] == ["La", "O"]
    assert report["high"]["formula"] == "LaMnO3" and report["high"]["file_to_standard"] == "a,b,c; 0,0,0"
    assert len(report["atoms"]) == 20 and png.stat().st_size > 1000
    block = gemmi.cif.read(str(cif)).sole_block()  # another reader finds the amplitudes and the structure
    values = [float(v) for v in block.find_values("_iso_displacivemode_value")]
    assert np.linalg.norm(values) == pytest.approx(report["amplitude"], abs=1e-5)
    small = gemmi.make_small_structure_from_block(block)
    assert len(small.get_all_unit_cell_sites()) == 20
    check_iso_items(block)


def check_iso_items(block):
    """As many variables as modes; deltas = matrix times (norm times values), coordinates = formulas, as readers take it."""

    def column(name):
        return [gemmi.cif.as_string(v) for v in block.find_values(f"_iso_{name}")]

    names, delta = column("deltacoordinate_label"), np.array(column("deltacoordinate_value"), float)
    values, norm = (np.array(column(f"displacivemode{name}_value"), float) for name in ("", "norm"))
    matrix = np.zeros((len(names), len(values)))
    places = [np.array(column(f"displacivemodematrix_{name}"), int) - 1 for name in ("row", "col")]
    matrix[places[0], places[1]] = np.array(column("displacivemodematrix_value"), float)
    assert len(names) == len(values) and abs(np.linalg.det(matrix)) > 0
    assert np.abs(matrix @ (norm * values) - delta).max() < 1e-6
    variables = dict(zip(names, delta.tolist(), strict=True))
    formulas = dict(zip(column("coordinate_label"), column("coordinate_formula"), strict=True))
    for label, *fracts in block.find("_atom_site_", ["label", "fract_x", "fract_y", "fract_z"]):
        for axis, value in zip("xyz", fracts, strict=True):
            assert eval(formulas[f"{label}_{axis}"], {}, variables) == pytest.approx(float(value), abs=2e-5)


def test_modes_text_names_origin_and_convention(files, capsys):
    text = output(capsys, "modes", files["high"], files["low"])
    for words in ("origin of the labels: Mn 1a (0,0,0)", "M3+", "primary: R4+ + M3+", "x_new = P^-1 (x_old - p)"):
        assert words in text


def test_related(files, capsys):
    report = json.loads(output(capsys, "related", files["low"], files["high"], "--json"))
    assert report["related"] and report["supergroup"] == 1 and (report["t_index"], report["k_index"]) == (6, 4)
    lows = [row["low"]["atom"] for row in report["atoms"]]
    assert sorted(lows) == list(range(20))  # every atom of the larger cell once
    counts = np.bincount([row["high"]["atom"] for row in report["atoms"]])
    assert (counts == 4).all() and all(row["high"]["element"] == row["low"]["element"] for row in report["atoms"])


@pytest.mark.parametrize("command", ["modes", "related"])
def test_the_ways_go_together(command, files, capsys):
    """From LOW's own axes (Pbnm) to its standard setting, from there to the parent's: atoms land on atoms of their element."""
    low = files["folder"] / "pbnm.cif"
    low.write_text(cif_text(read_parent(files["low"]).crystal, 62, name="low", hall=parse_setting("Pbnm")))
    report = json.loads(output(capsys, command, files["high"], low, "--json"))
    about = report["low"] if command == "modes" else report["structures"][1]
    P, p = (np.array([[float(Fraction(v)) for v in row] for row in one]) for one in (report["P"], [report["p"]]))
    Q, q = (
        np.array([[float(Fraction(v)) for v in row] for row in one])
        for one in (about["file_to_standard_P"], [about["file_to_standard_p"]])
    )
    atoms, parent = read_file(low).structure, read_file(files["high"]).structure
    standard = (atoms.x - q) @ np.linalg.inv(Q).T
    group = standard_setting(62)
    for W, w in zip(group.W, group.w / group.den, strict=True):  # the group of the file, in that setting
        gap = (standard @ W.T + w)[:, None] - standard
        assert np.abs(gap - np.rint(gap)).max(axis=2).min(axis=1).max() < 1e-4
    gap = (standard @ P.T + p)[:, None] - parent.x
    away = np.linalg.norm((gap - np.rint(gap)) @ parent.L, axis=-1)
    assert (parent.z[away.argmin(axis=1)] == atoms.z).all() and away.min(
        axis=1
    ).max() < 0.5  # the largest displacement is 0.46


def test_related_with_other_elements(files, capsys):
    text = output(capsys, "related", files["other"], files["low"], code=1)
    assert "not related" in text and "one composition" in text
    text = output(capsys, "related", files["other"], files["low"], "--substitute", "Sr=La")
    assert "is a subgroup of Pm-3m (221)" in text and "index 24" in text and "Sr 1" in text
    assert "no element" in output(capsys, "related", files["other"], files["low"], "--substitute", "Sr=Qq", code=2)


def test_subgroups_of_an_irrep(files, capsys):
    text = output(capsys, "subgroups", files["high"], "--irrep", "R4+")
    for words in ("6 classes of isotropy subgroups of R4+: R (1/2,1/2,1/2), 1 arm, 3 components", "irrep: R4+ (a,a,0)"):
        assert words in text
    text = output(capsys, "subgroups", "--group", "221", "--irrep", "k(0,0,1/3)[1]")
    assert "k(0,0,1/3)[1] is no standard label; characters of the little group of k (0,0,1/3): 1 of x,y,z" in text
    report = json.loads(output(capsys, "subgroups", "--group", "221", "--irrep", "k(0,0,1/3)[1]", "--json"))
    assert not report["asked"]["irrep"][0]["standard"] and {one["k_index"] for one in report["subgroups"]} >= {3}
    assert "there is no" in output(capsys, "subgroups", "--group", "221", "--irrep", "R7+", code=2)
    place = axis_of_arm(*parse_irrep(221, "M3+")).index(0)
    in_phase = ";".join("a" if i == place else "0" for i in range(3))
    tilts = ("--irrep", "R4+ (0,a,a)", "--irrep", f"M3+ ({in_phase})")  # Glazer's a+b-b-
    report = json.loads(output(capsys, "subgroups", "--group", "221", *tilts, "--json"))
    (one,) = report["subgroups"]
    assert one["symbol"] == "Pnma" and [part["irrep"] for part in one["primary"][0]] == ["R4+", "M3+"]
    assert [len(irrep["star"]) for irrep in report["asked"]["irrep"]] == [1, 3]
    assert "has a direction" in output(
        capsys, "subgroups", "--group", "221", "--irrep", "R4+", "--irrep", "M3+", code=2
    )
    report = json.loads(output(capsys, "subgroups", "--group", "221", "--max-index", "1", "--json"))
    assert [one["primary"][0][0]["irrep"] for one in report["subgroups"]] == ["GM2-", "GM1-", "GM2+", "GM3+", "GM5+"]


def written_amplitudes(path):
    """Irrep -> amplitude from the `_iso_` items of a file, which hold what readers take them to hold; small ones left out."""
    block = gemmi.cif.read(str(path)).sole_block()
    check_iso_items(block)
    found = {}
    for label, value in block.find("_iso_displacivemode_", ["label", "value"]):
        irrep = re.search(r"\](\w+[+-]?)\(", gemmi.cif.as_string(label)).group(1)
        found[irrep] = float(np.hypot(found.get(irrep, 0.0), float(value)))
    return {irrep: value for irrep, value in found.items() if value > 1e-4}


@pytest.mark.parametrize(("target", "setting"), [("62", "Pbnm"), ("99", "P4mm"), ("160", "R3m:R")])
def test_derived_files_hold_their_modes(target, setting, files, capsys):
    """Amplitudes and strains in the files are those that `symjax modes` finds from the atoms, in any setting."""
    folder = files["folder"] / f"derived-{target}"
    options = (
        "--to",
        target,
        "--setting",
        setting,
        "--num",
        "2",
        "--amplitude",
        "0.2",
        "--no-picture",
        "--out",
        folder,
    )
    output(capsys, "derive", files["high"], *options)
    index = json.loads((folder / "index.json").read_text())
    assert index["file_setting"]["name"] == setting
    for one in index["structures"]:
        report = json.loads(output(capsys, "modes", files["high"], folder / one["file"], "--json"))
        theirs = {i["irrep"]: i["amplitude"] for i in report["irreps"] if i["amplitude"] > 1e-4}
        assert written_amplitudes(folder / one["file"]) == pytest.approx(theirs, abs=2e-4)
        block = gemmi.cif.read(str(folder / one["file"])).sole_block()
        values = [100 * float(v) for v in block.find_values("_iso_strainmode_value")]
        strains = [v for i in report["irreps"] for v in i["strain"]]
        assert sorted(values) == pytest.approx(sorted(strains), abs=1e-4)
        lengths = [float(block.find_value(f"_cell_length_{name}")) for name in "abc"]
        assert one["lengths"] == pytest.approx(lengths, abs=1e-5)
        basis = np.array([[float(Fraction(v)) for v in row] for row in index["classes"][one["class"] - 1]["basis"]])
        assert np.linalg.norm(3.9407 * basis, axis=0) == pytest.approx(
            lengths, rel=0.02
        )  # the file's cell in the parent's


def test_derive_along_an_irrep(files, capsys):
    folder = files["folder"] / "derived"
    options = ("--irrep", "R4+", "--direction", "(a,a,0)", "--amplitude", "0.3", "--num", "1", "--no-picture")
    output(capsys, "derive", files["high"], *options, "--out", folder)
    index = json.loads((folder / "index.json").read_text())
    (one,) = index["structures"]
    assert one["group"]["symbol"] == "Imma" and one["as_asked"]
    report = json.loads(output(capsys, "modes", files["high"], folder / one["file"], "--json"))
    moved = {i["irrep"]: i["amplitude"] for i in report["irreps"] if i["amplitude"] > 1e-4}
    assert set(moved) == {"R4+"}  # that order parameter and nothing else
    assert written_amplitudes(folder / one["file"]) == pytest.approx(moved, abs=1e-5)
    # two of three oxygen pairs turn about one axis each: four O of the cell by 0.3, eight by 0.3 / 2 or as the direction asks
    assert report["irreps"][0]["max_displacement"] == pytest.approx(0.3, abs=1e-3)
    numbers = ("--irrep", "R4+", "--direction", "(1,0.5,0)", "--amplitude", "0.3", "--num", "1", "--no-picture")
    output(capsys, "derive", files["high"], *numbers, "--out", folder, "--overwrite")
    (one,) = json.loads((folder / "index.json").read_text())["structures"]
    assert one["group"]["symbol"] == "C2/m" and one["as_asked"]
    assert "give either --to" in output(capsys, "derive", files["high"], "--out", folder, "--overwrite", code=2)
    assert "no displacements" in output(
        capsys, "derive", files["high"], "--irrep", "GM1-", "--out", folder, "--overwrite", code=2
    )


def test_a_numeric_direction_is_that_very_one(files):
    """R4+ (2,1,0): the field has components in that ratio along the two directions that its isotropy subgroup keeps."""
    parent = read_parent(files["high"])
    irrep = real_irrep(*parse_irrep(221, "R4+"))
    v = np.array([2.0, 1.0, 0.0])
    relation = isotropy_relation(221, [(irrep, v)])
    assert len(modes_of_irrep(parent.crystal, irrep, relation).displacement) == 2
    modes = modes_of_irrep(parent.crystal, irrep, relation, along=v)
    assert len(modes.displacement) == 1 and modes.realized is None
    space = ModeSpace(modes.split)
    a = space.coordinates(modes.displacement)[:, 0]
    parts = [np.linalg.norm(space.mean(_partner(space, irrep, np.eye(3)[i])) @ a) for i in range(3)]
    assert np.allclose(parts, [2 / np.sqrt(5), 1 / np.sqrt(5), 0], atol=1e-6)


def test_noise_of_a_relaxation_is_told_from_symmetry(tmp_path, capsys):
    """LaMnO3 with noise of 0.005 angstrom in each coordinate has P1 at 0.01; commands find the jump to Pnma, use it, say it."""
    from symjax.cli.parent import tolerance_for
    from symjax.crystals.io import format_poscar
    from symjax.crystals.types import AtomicStructure

    exact = lamno3()
    noise = np.random.default_rng(3).normal(size=exact.x.shape) * 0.005
    noisy = AtomicStructure(L=exact.L, z=exact.z, x=exact.x + noise @ np.linalg.inv(exact.L))
    found = tolerance_for(noisy, None)
    assert 0.02 <= found.symprec == found.jump <= 0.08 and found.ladder[0.01] == 1 and found.ladder[found.jump] == 62
    assert tolerance_for(exact, None).symprec == 0.01 and not tolerance_for(exact, None).warnings("x", "y")
    assert tolerance_for(noisy, 0.001).symprec == 0.001
    file = tmp_path / "noisy.vasp"
    file.write_text(format_poscar(noisy))
    start = time.process_time()
    for command in (("analyze", file), ("supergroups", file, "--tolerance", "0.1", "--quiet")):
        assert main([*map(str, command), "--json"]) == 0
        text = capsys.readouterr()
        assert "(62) at" in text.err and "where the group jumps" in text.err and f"{found.jump:g}" in text.err
        report = json.loads(text.out)
        assert report["group"]["number"] == 62 and report["symmetry_ladder"]["0.01"] == 1
    assert time.process_time() - start < 20  # it was two minutes, with 325 supergroups of P1
