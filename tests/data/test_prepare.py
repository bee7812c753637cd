"""From sources to array files: bad rows, resuming, determinism, mixed-up columns, every kind of source."""

import csv
import gzip
import json

import numpy as np
import pytest

from symjax.cli.main import main
from symjax.crystals.io import format_cif, format_extxyz, to_pymatgen
from symjax.data import prepare as module
from symjax.data.dataset import load
from symjax.data.prepare import prepare
from symjax.data.prototypes import prototype_rows, similar_elements, substitution_mappings
from symjax.data.readers import read_source
from symjax.data.rows import RowOptions
from symjax.errors import DataError

GOOD = """data_CsCl
_cell_length_a 4.12
_cell_length_b 4.12
_cell_length_c 4.12
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cs Cs0 0.0 0.0 0.0 1
Cl Cl1 0.5 0.5 0.5 1
"""
BAD = {  # what is wrong -> (CIF text, class of reason, words of the reason)
    "empty": ("", "empty", "empty"),
    "blank": ("  \n ", "empty", "empty"),
    "no cif": ("hello world", "unreadable cif", "not CIF text"),
    "cut in the cell": (GOOD[:60], "truncated cif", "_cell_length_c is missing"),
    "cut before sites": (GOOD[: GOOD.index("loop_")], "truncated cif", "no atom sites"),
    "cut in a site": (GOOD.replace("0.5 0.5 0.5 1", "0.5 0."), "unreadable cif|truncated cif", ""),
    "cut before rows": (GOOD[: GOOD.index("Cs Cs0")], "truncated cif|unreadable cif", ""),
    "unknown element": (GOOD.replace("Cs Cs0", "Xq Xq0"), "unknown element", "site 1: unknown element 'Xq'"),
    "dummy": (GOOD.replace("Cs Cs0", "X X0"), "unknown element", "unknown element"),
    "partial occupancy": (GOOD.replace("0.5 0.5 0.5 1", "0.5 0.5 0.5 0.5"), "occupancy", "partial occupancy"),
    "too full": (GOOD + "Br Br2 0.5 0.5 0.5 1\n", "occupancy|overlap", ""),
    "overlap": (GOOD.replace("0.5 0.5 0.5 1", "0.0 0.0 0.05 1"), "overlap", "overlapping atoms: 1 and 2"),
    "same place": (GOOD + "Cl Cl2 0.5 0.5 0.5 1\n", "overlap|occupancy", ""),
    "zero edge": (GOOD.replace("length_a 4.12", "length_a 0.0"), "zero volume", "_cell_length_a is 0"),
    "negative edge": (GOOD.replace("length_a 4.12", "length_a -4.12"), "zero volume", "_cell_length_a is -4.12"),
    "flat angles": (
        GOOD.replace("alpha 90", "alpha 120").replace("beta 90", "beta 120").replace("gamma 90", "gamma 120"),
        "zero volume",
        "do not close a cell",
    ),
    "tiny edge": (GOOD.replace("length_a 4.12", "length_a 0.2"), "overlap", "lattice has a vector of 0.200"),
    "not a number": (GOOD.replace("Cl1 0.5", "Cl1 ?"), "truncated cif", "site 2: coordinate x is not a number"),
    "nan": (GOOD.replace("Cl1 0.5", "Cl1 nan"), "truncated cif", "not a number"),
    "words for an edge": (
        GOOD.replace("length_a 4.12", "length_a big"),
        "truncated cif",
        "_cell_length_a is not a number",
    ),
}


def write_csv(path, rows, header=("material_id", "band_gap", "note", "cif")):
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else open(path, "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def mixed(tmp_path):
    """A CSV with good rows first, last and between all the bad ones."""
    rows = [["good-0", "1.5", "a", GOOD]]
    for name, (text, _, _) in BAD.items():
        rows += [[name, "", "b", text]]
    rows += [["good-1", "", "c", GOOD.replace("4.12", "4.20")]]
    return write_csv(tmp_path / "mixed.csv", rows)


def test_no_bad_row_stops_the_run_and_each_has_its_reason(mixed, tmp_path):
    import re

    report = prepare(mixed, tmp_path / "out.npz", workers=1, progress=False)
    assert report.dataset.ids.tolist() == ["good-0", "good-1"]
    assert report.dataset.row.tolist() == [0, len(BAD) + 1]
    rejected = {r["id"]: r for r in report.rejected}
    assert rejected.keys() == BAD.keys()
    for name, (_, kind, words) in BAD.items():
        assert re.fullmatch(kind, rejected[name]["kind"]), (name, rejected[name])
        assert words in rejected[name]["reason"], (name, rejected[name])
        assert rejected[name]["row"] == 1 + list(BAD).index(name)
    written = json.loads((tmp_path / "out.report.json").read_text())
    assert written["rows"] == len(BAD) + 2 and written["accepted"] == 2 and len(written["rejected"]) == len(BAD)
    assert sum(written["reasons"].values()) == len(BAD)
    np.testing.assert_array_equal(report.dataset.properties["band_gap"], [1.5, np.nan])
    assert "note" not in report.dataset.properties
    assert not (tmp_path / "out.npz.work").exists()


def test_the_crystal_read_is_right(mixed, tmp_path):
    data = prepare(mixed, tmp_path / "out.npz", workers=1, progress=False).dataset
    crystal = data.crystal(0)
    assert len(crystal.W) == 48 and sorted(crystal.z.tolist()) == [17, 55]
    np.testing.assert_allclose(crystal.L, 4.12 * np.eye(3), atol=1e-9)
    assert data.formula[0] == "Cl1 Cs1"


def many(tmp_path, prototype_dataset, count=80):
    rows = [
        [prototype_dataset.ids[i], str(i), "x", format_cif(prototype_dataset.crystal(i))]
        for i in np.argsort(prototype_dataset.num_atoms, kind="stable")[:count]
    ]
    rows.insert(5, ["bad", "0", "x", "hello"])
    return write_csv(tmp_path / "many.csv.gz", rows)


def test_same_bytes_for_any_number_of_workers(prototype_dataset, tmp_path):
    source = many(tmp_path, prototype_dataset)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one = prepare(source, tmp_path / "a" / "x.npz", workers=1, progress=False)
    two = prepare(source, tmp_path / "b" / "x.npz", workers=2, progress=False)
    assert len(one.dataset) == 80 and len(one.rejected) == 1
    for name in ("x.npz", "x.report.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert two.dataset.data_hash() == load(tmp_path / "a" / "x.npz").meta["data_hash"]


def test_a_stopped_run_continues(prototype_dataset, tmp_path, monkeypatch):
    """Killed in the third shard: the second run treats only what is missing, and the file is that of an undisturbed run."""
    source, treated = many(tmp_path, prototype_dataset, 40), []
    monkeypatch.setattr(module, "SHARD_ROWS", 8)
    real = module.treat_row

    def dying(row, options):
        treated.append(row.row)
        if row.row == 20:
            raise KeyboardInterrupt
        return real(row, options)

    monkeypatch.setattr(module, "treat_row", dying)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "x.npz", workers=1, progress=False)
    assert not (tmp_path / "x.npz").exists() and (tmp_path / "x.npz.work").is_dir()
    treated.clear()
    monkeypatch.setattr(module, "treat_row", lambda row, options: (treated.append(row.row), real(row, options))[1])
    prepare(source, tmp_path / "x.npz", workers=1, progress=False)
    assert min(treated) == 16 and len(treated) == 41 - 16
    monkeypatch.setattr(module, "treat_row", real)
    prepare(source, tmp_path / "y.npz", workers=1, progress=False)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_other_options_do_not_reuse_shards(prototype_dataset, tmp_path, monkeypatch):
    source = many(tmp_path, prototype_dataset, 10)
    rows = read_source(source)
    work = tmp_path / "w"
    module.treat_rows(rows, RowOptions(), work=work, workers=1)
    calls = []
    real = module.treat_row
    monkeypatch.setattr(module, "treat_row", lambda row, options: (calls.append(1), real(row, options))[1])
    module.treat_rows(rows, RowOptions(), work=work, workers=1)
    assert not calls
    module.treat_rows(rows, RowOptions(symprec=0.01), work=work, workers=1)
    assert len(calls) == len(rows)


def test_limits_reject_with_numbers(tmp_path):
    source = write_csv(tmp_path / "a.csv", [["one", "1", "", GOOD], ["two", "1", "", GOOD.replace("Cl Cl1", "Cs Cs1")]])
    atoms = prepare(source, tmp_path / "o.npz", RowOptions(max_atoms=1), workers=1, progress=False)
    assert atoms.rejected[0]["reason"] == "2 atoms in the primitive cell, the limit is 1" and len(atoms.dataset) == 1
    orbits = prepare(source, tmp_path / "o.npz", RowOptions(max_orbits=1), workers=1, progress=False)
    assert orbits.rejected[0]["reason"] == "2 orbits, the limit is 1"
    with pytest.raises(DataError, match="max_atoms must be"):
        RowOptions(max_atoms=-1)


def test_mixed_up_columns_are_named(tmp_path):
    swapped = write_csv(tmp_path / "s.csv", [[GOOD, "1", "x", "mp-1"], [GOOD, "2", "x", "mp-2"]])
    with pytest.raises(DataError, match=r"'cif' holds neither CIF text nor .*stands in column 'material_id'.*mixed up"):
        prepare(swapped, tmp_path / "o.npz", workers=1, progress=False)
    missing = write_csv(tmp_path / "m.csv", [["a", GOOD]], header=("id", "structure"))
    with pytest.raises(DataError, match=r"no column 'cif'; found \['id', 'structure'\]"):
        read_source(missing)
    twice = write_csv(tmp_path / "t.csv", [["a", GOOD, GOOD]], header=("id", "cif", "cif"))
    with pytest.raises(DataError, match="more than once"):
        read_source(twice)
    short = write_csv(tmp_path / "h.csv", [["a", "1", "x", GOOD], ["b", "1"], ["c", "1", "x", GOOD, "extra"]])
    report = prepare(short, tmp_path / "o.npz", workers=1, progress=False)
    assert [r["reason"] for r in report.rejected] == [
        "2 fields where the header has 4",
        "5 fields where the header has 4",
    ]
    assert not (tmp_path / "s.npz").exists()


def test_official_mp20_columns_are_read(tmp_path):
    header = (
        "",
        "material_id",
        "formation_energy_per_atom",
        "band_gap",
        "pretty_formula",
        "e_above_hull",
        "elements",
        "cif",
        "spacegroup.number",
    )
    rows = [["0", "mp-1", "-2.1", "5.0", "CsCl", "0.0", "['Cl', 'Cs']", GOOD, "221"]]
    data = prepare(
        write_csv(tmp_path / "train.csv", rows, header), tmp_path / "o.npz", workers=1, progress=False
    ).dataset
    assert data.ids.tolist() == ["mp-1"]
    assert {k: v[0] for k, v in data.properties.items()} == {
        "formation_energy_per_atom": -2.1,
        "band_gap": 5.0,
        "e_above_hull": 0.0,
        "spacegroup.number": 221.0,
    }


def test_folders_and_extxyz(prototype_dataset, tmp_path):
    crystals = [prototype_dataset.crystal(i) for i in (10, 20)]
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name, crystal in zip(("b", "a"), crystals, strict=True):
        (folder / f"{name}.cif").write_text(format_cif(crystal))
    (folder / "broken.cif").write_bytes(b"\xff\xfe\x00")
    (folder / "broken.cif.gz").write_bytes(b"no gzip")
    report = prepare(folder, tmp_path / "f.npz", workers=1, progress=False)
    assert report.dataset.ids.tolist() == ["a", "b"] and len(report.rejected) == 2
    frames = (
        format_extxyz(crystals[0])
        + format_extxyz(crystals[1])
        + "1\nno lattice\nFe 0 0 0\n"
        + "1\n\nQq 0 0 0\n"
        + "3\ncut\nFe 0 0 0\n"
    )
    (tmp_path / "a.extxyz").write_text(frames)
    report = prepare(tmp_path / "a.extxyz", tmp_path / "x.npz", workers=1, progress=False)
    assert report.dataset.num_atoms.tolist() == prototype_dataset.num_atoms[[10, 20]].tolist()
    assert [r["kind"] for r in report.rejected] == ["zero volume", "unknown element", "malformed row"]


def test_sources_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "e.csv").write_text("")
    (tmp_path / "h.csv").write_text("id,cif\n")
    (tmp_path / "z.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "a.parquet").write_bytes(b"x")
    (tmp_path / "a.xyz").write_text("many\n")
    for name, words in {
        "none.csv": "no such file",
        "empty": "without .cif",
        "e.csv": "empty file",
        "h.csv": "holds no crystals",
        "z.csv.gz": "cannot be read",
        "a.parquet": "cannot tell the kind",
        "a.xyz": "line 1 must hold",
    }.items():
        with pytest.raises(DataError, match=words):
            prepare(tmp_path / name, tmp_path / "o.npz", workers=1, progress=False)
    write_csv(tmp_path / "all.csv", [["a", "1", "", GOOD.replace("Cs Cs0", "Xq Xq0")]])
    with pytest.raises(
        DataError, match="none of 1 rows is usable; the first reason, row 0: site 1: unknown element 'Xq'"
    ):
        prepare(tmp_path / "all.csv", tmp_path / "o.npz", workers=1, progress=False)
    for out, words in {"o.csv": "must end in .npz", "e.csv/o.npz": "output folder"}.items():
        with pytest.raises(DataError, match=words):
            prepare(tmp_path / "h.csv", tmp_path / out, workers=1, progress=False)
    assert not list(tmp_path.glob("*.npz"))


def test_prototypes_and_substitutions(prototype_dataset):
    """288 crystals of 98 sets; substitutions are deterministic, keep elements apart and exchange like for like."""
    assert len(prototype_dataset) == 288 and len(prototype_dataset.sets) == 98
    assert len(set(prototype_dataset.ids.tolist())) == 288
    rows = prototype_rows(2)
    assert rows == prototype_rows(2) and len({r.id for r in rows}) == len(rows) > 2.8 * 288
    assert 9 in similar_elements(17) or 35 in similar_elements(17)
    assert 11 not in similar_elements(17) and similar_elements(10) == ()
    mappings = substitution_mappings("x", (11, 17), 5)
    assert len(mappings) == len({tuple(m.items()) for m in mappings}) == 5
    assert all(len(set(m.values())) == 2 for m in mappings)


def test_command_line(mixed, tmp_path, capsys):
    out = tmp_path / "out.npz"
    assert main(["data", "prepare", str(mixed), "--out", str(out), "--workers", "1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["accepted"] == 2 and summary["rejected"] == len(BAD) and summary["path"] == str(out)
    assert main(["data", "info", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["crystals"] == 2 and facts["sets"] == 1 and facts["meta"]["rejected"] == len(BAD)
    assert main(["data", "info", str(out)]) == 0
    assert "rejected_by_reason" in capsys.readouterr().out
    assert main(["data", "prepare", str(mixed), "--out", str(out), "--workers", "1"]) == 0
    assert f"2 of {len(BAD) + 2} rows, 1 sets" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["data", "prepare", "--out", "o.npz"], "give either an input file"),
        (["data", "prepare", "x.csv", "--source", "prototypes", "--out", "o.npz"], "give either an input file"),
        (["data", "prepare", "x.csv", "--out", "o.npz"], "x.csv: no such file"),
        (["data", "prepare", "x.csv", "--out", "o.npz", "--symprec", "-1"], "symprec must be"),
        (["data", "prepare", "x.csv", "--out", "o.npz", "--workers", "0"], "--workers must be at least 1"),
        (["data", "prepare", "x.csv", "--out", "o.npz", "--substitutions", "3"], "--source prototypes"),
        (["data", "info", "none.npz"], "none.npz: no such file"),
        (["analyze", "none.cif"], "none.cif: no such file"),
    ],
)
def test_command_line_errors(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("symjax: error: ") and words in captured.err and captured.err.count("\n") == 1
    assert not captured.out and not list(tmp_path.iterdir())


def test_analyze(tmp_path, capsys, prototype_dataset):
    crystal = next(
        prototype_dataset.crystal(i)
        for i in range(288)
        if prototype_dataset.meta["space_group_numbers"][prototype_dataset.set_index[i]] == 186
    )
    (tmp_path / "a.cif").write_text(to_pymatgen(crystal).to(fmt="cif"))
    assert main(["analyze", str(tmp_path / "a.cif"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["group"]["number"] == 186 and report["group"]["symbol"].startswith("P6_3mc")
    assert report["closure"] == {
        "is_group": True,
        "defects": {"closure": 0, "inverse": 0, "identity": 0, "duplicate": 0},
    }
    assert len(report["operations"]) == report["properties"]["order"] == 12
    assert report["properties"]["polar"] and report["properties"]["polar_directions"] == [[0, 0, 1]]
    assert not report["properties"]["centrosymmetric"] and report["lattice"]["free_parameters"] == 2
    assert sum(o["multiplicity"] for o in report["orbits"]) == report["atoms_in_cell"] == crystal.num_atoms
    assert all(len(o["operations_fixing"]) * o["multiplicity"] == 12 for o in report["orbits"])
    assert {o["xyz"] for o in report["operations"]} >= {"x,y,z", "-x,-y,z+1/2"}
    assert main(["analyze", str(tmp_path / "a.cif")]) == 0
    text = capsys.readouterr().out
    assert "(186)" in text and "lattice freedom" in text and "-x,-y,z+1/2" in text


@pytest.mark.parametrize(
    "name", ["empty", "cut in the cell", "unknown element", "partial occupancy", "overlap", "zero edge"]
)
def test_analyze_refuses_what_prepare_rejects(name, tmp_path, capsys):
    (tmp_path / "bad.cif").write_text(BAD[name][0])
    assert main(["analyze", str(tmp_path / "bad.cif")]) == 2
    captured = capsys.readouterr()
    assert "bad.cif: " in captured.err and BAD[name][2] in captured.err and not captured.out


def test_position_text():
    from symjax.data.analysis import position_text

    basis = np.array([[1, 0, 0], [-1, 0, 0], [0, 2, 0]])
    assert position_text(np.array([0, 0.5, 0.25]), basis[:, :2]) == "(x, -x+1/2, 2z+1/4)"
    assert position_text(np.array([0, 1 / 3, -0.25]), np.zeros((3, 0))) == "(0, 1/3, -1/4)"
