"""Reading anybody's crystals: every format gives the same crystals, and every bad row is named with its reason."""

import gzip
import json

import numpy as np
import pytest

from symjax.cli.main import main
from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.errors import DataError
from symjax.evaluate.sources import from_cells, from_structures, join, read_crystals
from tests.evaluate.made_crystals import random_dataset

GOOD = """data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 Na 0 0 0
Cl1 Cl 0.5 0.5 0.5
"""
BAD = {
    "empty": ("", "empty"),
    "nan": (GOOD.replace("0.5 0.5 0.5", "nan 0.5 0.5"), "not a number"),
    "flat": (GOOD.replace("_cell_length_c 5.64", "_cell_length_c 0"), "zero volume"),
    "unknown": (GOOD.replace("Cl", "Qq"), "unknown element"),
    "text": ("hello", "not CIF"),
    "cut": (GOOD[:120], "truncated"),
}


@pytest.fixture(scope="module")
def structures():
    return [to_pymatgen(cell.primitive()) for cell in random_dataset((2, 14, 62, 166), 7).all_atoms()]


def test_every_format_gives_the_same_crystals(structures, tmp_path):
    import ase.io
    from pymatgen.io.ase import AseAtomsAdaptor

    expected = from_structures(structures)
    texts = [structure.to(fmt="cif", significant_figures=12) for structure in structures]
    (tmp_path / "cifs").mkdir()
    for i, text in enumerate(texts):
        (tmp_path / "cifs" / f"{i}.cif").write_text(text)
    rows = "\n".join(f'{i},"{text.replace(chr(34), chr(34) * 2)}",-1.5' for i, text in enumerate(texts))
    with gzip.open(tmp_path / "all.csv.gz", "wt") as file:
        file.write(f"material_id,cif,formation_energy_per_atom\n{rows}\n")
    ase.io.write(tmp_path / "all.extxyz", [AseAtomsAdaptor.get_atoms(s) for s in structures], format="extxyz")
    (tmp_path / "list.json").write_text(json.dumps([s.as_dict() for s in structures]))
    (tmp_path / "named.json").write_text(json.dumps({f"n{i}": s.as_dict() for i, s in enumerate(structures)}))
    deep = [{"structure": s.as_dict(), "id": f"d{i}", "e": 1.0} for i, s in enumerate(structures)]
    (tmp_path / "deep.json").write_text(json.dumps(deep))
    for name in ("cifs", "all.csv.gz", "all.extxyz", "list.json", "named.json", "deep.json"):
        found = read_crystals(tmp_path / name, processes=1)
        assert found.usable.all(), (name, found.reasons)
        for ours, theirs in zip(found.cells, expected.cells):
            assert np.array_equal(np.sort(ours.z), np.sort(theirs.z)), name
            assert to_pymatgen(ours).volume == pytest.approx(to_pymatgen(theirs).volume, rel=1e-6)
    assert (
        read_crystals(tmp_path / "all.csv.gz", processes=1).properties["formation_energy_per_atom"].tolist()
        == [-1.5] * 4
    )
    assert read_crystals(tmp_path / "named.json", processes=1).names == ("n0", "n1", "n2", "n3")
    assert read_crystals(tmp_path / "deep.json", processes=1).names == ("d0", "d1", "d2", "d3")
    assert read_crystals(tmp_path / "list.json", processes=1).sha256 == expected.sha256  # JSON keeps every digit


def test_a_prepared_file_keeps_its_operations(tmp_path):
    data = random_dataset((2, 14, 62), 1)
    data.save(tmp_path / "data.npz")
    found = read_crystals(tmp_path / "data.npz")
    assert [len(cell.W) for cell in found.cells] == [2, 4, 8]
    assert found.keys != found.keys_with_operations


def test_bad_rows_are_named_with_their_reason(tmp_path):
    (tmp_path / "good.cif").write_text(GOOD)
    (tmp_path / "good2.cif").write_text(GOOD)
    for name, (text, _) in BAD.items():
        (tmp_path / f"{name}.cif").write_text(text)
    found = read_crystals(tmp_path, processes=1)
    assert len(found) == len(BAD) + 2
    told = dict(zip(found.names, found.reasons))
    assert told["good"] == told["good2"] == ""
    for name, (_, word) in BAD.items():
        assert word in told[name], (name, told[name])
    assert found.duplicates == [("good2", "good")]
    assert found.summary()["num_usable"] == 2
    assert found.summary()["notes_by_kind"] == {"symmetry assumed": 2}  # nothing is assumed of what cannot be read
    assert found.take([0]).notes == found.notes[:1] and join([found, from_cells([], "none")]).notes == found.notes


def test_bad_sources_say_what_is_wrong(tmp_path):
    (tmp_path / "no.csv").write_text("id,text\n1,2\n")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "none.json").write_text("[1, 2]")
    (tmp_path / "void").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "index.json").write_text("{}")
    cases = {
        "missing": "no such",
        "no.csv": "no column 'cif'",
        "bad.json": "not valid JSON",
        "none.json": "no structures",
        "void": "without .cif",
    }
    for name, word in cases.items():
        with pytest.raises(DataError, match=word):
            read_crystals(tmp_path / name)
    with pytest.raises(DataError, match="not an index"):
        read_crystals(tmp_path / "foreign" / "index.json")


def test_names_are_made_distinct():
    cell = AtomicStructure(3 * np.eye(3), [26], [[0, 0, 0]])
    assert from_cells([cell, cell, cell], names=["a", "a", "b"]).names == ("a", "a (2)", "b")


def test_sources_are_joined():
    cell = AtomicStructure(3 * np.eye(3), [26], [[0, 0, 0]])
    first, second = from_cells([cell, cell], "a"), from_cells([cell], "b", ["row-0"])
    first.properties["energy"] = np.array([1.0, 2.0])
    both = join([first, second])
    assert both.source == "a, b"
    assert both.names == ("row-0", "row-1", "row-0 (2)")
    assert np.array_equal(both.properties["energy"], [1.0, 2.0, np.nan], equal_nan=True)
    with pytest.raises(DataError):
        join([])


def test_the_help_names_every_family(capsys):
    from symjax.evaluate.metrics import FAMILIES

    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(key in shown for key in FAMILIES)


def test_the_command_line(structures, tmp_path, capsys):
    """Table, both files, equal figures as JSON; wrong input in one line with exit code 2 and nothing written."""
    (tmp_path / "a").mkdir()
    for i, structure in enumerate(structures):
        (tmp_path / "a" / f"{i}.cif").write_text(structure.to(fmt="cif") if i else GOOD)
    (tmp_path / "b.json").write_text(json.dumps([s.as_dict() for s in structures]))
    common = [
        "--reference",
        str(tmp_path / "b.json"),
        "--no-cache",
        "--workers",
        "1",
        "--draws",
        "3",
        "--metrics=-coverage",
    ]
    assert main(["evaluate", str(tmp_path / "a"), *common, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "SymmCD" in shown
    assert "no training data given" in shown
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["samples"]["notes_by_kind"] == {"symmetry assumed": 1} and not report["reference"]["notes"]
    assert [(note["name"], note["kind"]) for note in report["samples"]["notes"]] == [("0", "symmetry assumed")]
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(
        "symmetry assumed 1" in text and report["samples"]["notes"][0]["text"][:40] in text for text in (shown, page)
    )
    twice = ["--train", str(tmp_path / "b.json"), "--train", str(tmp_path / "a")]
    assert main(["evaluate", str(tmp_path / "a"), *common, *twice, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["num"] == 2 * len(structures)
    assert main(["evaluate", str(tmp_path / "a"), *common, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["figures"] == report["figures"]
    (tmp_path / "out" / "mine.txt").write_text("kept")
    assert main(["evaluate", str(tmp_path / "b.json"), *common, "--out", str(tmp_path / "out"), "--overwrite"]) == 0
    capsys.readouterr()
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"report.html", "report.json", "mine.txt"}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["samples"]["source"] == str(tmp_path / "b.json")
    wrong = {
        "holds 2 files of an earlier run, such as report.html; give another --out, or --overwrite": [
            str(tmp_path / "zzz"),  # said before anything is read
            *common,
            "--out",
            str(tmp_path / "out"),
        ],
        "--reference is missing": [str(tmp_path / "a")],
        "metrics 'nonsense' do not exist": [str(tmp_path / "a"), *common[:-1], "--metrics=nonsense"],
        "needs --hull": [str(tmp_path / "a"), *common[:-1], "--metrics=stability"],
        "no such file": [str(tmp_path / "zzz"), *common],
        "one too many": [str(tmp_path / "a"), "b", *common],
        "--draws": [str(tmp_path / "a"), *common, "--draws", "1"],
        "hull build DATA [DATA": ["hull", "build", "--out", "x"],
        "different elements": [
            str(tmp_path / "a"),
            *common[:-1],
            "--metrics=stability",
            "--hull",
            "h.json",
            "--system",
            "Li",
        ],
    }
    for word, arguments in wrong.items():
        assert main(["evaluate", *arguments]) == 2
        assert word in capsys.readouterr().err, word
