"""Sources of many rows: folders, blocks, frames, entries; notes counted and refused on demand; limits on what a file may claim."""

import gzip
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from symjax.cli.main import main
from symjax.crystals.io import files
from symjax.data.files import load_arrays, locked, save_arrays
from symjax.data.prepare import prepare
from symjax.data.readers import read_source
from symjax.data.rows import RowOptions, read_row
from symjax.errors import DataError, SymjaxError
from tests.corpus import EXTXYZ, GOOD, POSCAR, READ, VASP4

PLAIN = json.dumps({"L": (4 * np.eye(3)).tolist(), "z": [11, 17], "x": [[0, 0, 0], [0.5, 0.5, 0.5]]})


def serialized():
    return {
        "lattice": {"matrix": (4 * np.eye(3)).tolist()},
        "sites": [
            {"species": [{"element": name, "occu": 1}], "abc": place}
            for name, place in (("Na", [0, 0, 0]), ("Cl", [0.5, 0.5, 0.5]))
        ],
    }


@pytest.fixture
def folder(tmp_path):
    """Files of every kind, in sub-folders, one of them hidden."""
    two = "data_global\n_x 1\n" + GOOD + GOOD.replace("good", "other").replace("Na", "K")
    contents = {
        "a.cif": GOOD,
        "sub/two.cif": two,
        "sub/POSCAR": POSCAR,
        "sub/deep/old.vasp": VASP4,
        "sub/b.extxyz": EXTXYZ * 2,
        "c.json": json.dumps({"first": serialized(), "second": {"structure": serialized(), "gap": 1.5}}),
        "d.jsonl": f"{PLAIN}\n\n{json.dumps(serialized())}\nbroken\n",
        "index.json": '{"program": "other"}',
        ".hidden/e.cif": GOOD,
        "f.txt": "no crystal",
        "g.cif": "data_global\n_x 1\n",
    }
    for name, text in contents.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(text)
    (tmp_path / "in" / "h.cif.gz").write_bytes(gzip.compress(GOOD.encode()))
    return tmp_path / "in"


def test_a_folder_of_everything(folder, tmp_path):
    report = prepare(folder, tmp_path / "o.npz", workers=1, progress=False)
    names = ["a", "c:first", "c:second", "d:row-0", "d:row-1", "h", "sub/POSCAR", "sub/b:frame-0", "sub/b:frame-1"]
    names += ["sub/deep/old", "sub/two:good", "sub/two:other"]
    assert sorted(report.dataset.ids.tolist()) == names
    assert [(r["id"], r["kind"]) for r in report.rejected] == [("d:row-2", "malformed row"), ("g", "truncated cif")]
    assert report.notes == {"block without atoms": 1, "element assumed": 1}
    assert {r["id"] for r in report.noted} == {"sub/deep/old", "sub/two:good"}
    assert json.loads((tmp_path / "o.report.json").read_text())["notes"] == report.notes
    strict = prepare(folder, tmp_path / "s.npz", RowOptions(strict=True), workers=1, progress=False)
    assert len(strict.dataset) == len(names) - 2
    assert strict.reasons["noted: element assumed"] == 1 and strict.notes == report.notes


def test_names_given_twice_are_noted(tmp_path):
    (tmp_path / "a.csv").write_text("id,cif\n" + 3 * f'x,"{GOOD}"\n')
    rows = read_source(tmp_path / "a.csv")
    assert [[note.kind for note in row.notes] for row in rows] == [[], ["duplicate id"], ["duplicate id"]]
    assert [note.kind for note in read_row(rows[1]).notes] == ["duplicate id"]
    assert len(read_source(tmp_path / "a.csv", limit=2)) == 2


def test_command_line_tells_notes(tmp_path, capsys):
    (tmp_path / "a.cif").write_text(READ["hydrogen declared"][0])
    assert main(["analyze", str(tmp_path / "a.cif"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [note["kind"] for note in report["notes"]] == ["hydrogens missing"]
    assert (
        report["stated_symmetry"] == "symbol 'P 1': P 1"
        and report["symmetry_ladder"]["0.01"] == report["group"]["number"]
    )
    assert "".join(orbit["letter"] for orbit in report["orbits"]).isalpha()
    assert main(["analyze", str(tmp_path / "a.cif")]) == 0
    text = capsys.readouterr().out
    assert "note: hydrogens missing" in text and "from the file's cell" in text
    assert main(["analyze", str(tmp_path / "a.cif"), "--strict"]) == 2
    assert "has hydrogen" in capsys.readouterr().err
    out = ["--out", str(tmp_path / "o.npz"), "--workers", "1"]
    assert main(["data", "prepare", str(tmp_path / "a.cif"), *out]) == 0
    assert "noted 1: hydrogens missing" in capsys.readouterr().out


def test_a_folder_in_the_way_is_kept(tmp_path):
    (tmp_path / "a.cif").write_text(GOOD)
    (tmp_path / "o.npz.work").mkdir()
    (tmp_path / "o.npz.work" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is in the way"):
        prepare(tmp_path / "a.cif", tmp_path / "o.npz", workers=1, progress=False)
    assert (tmp_path / "o.npz.work" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["job.txt", "shard-1.txt"])
def test_files_of_a_user_in_the_work_folder_are_kept(tmp_path, name):
    """Also one that is named as ours are."""
    (tmp_path / "a.cif").write_text(GOOD)
    (tmp_path / "o.npz.work").mkdir()
    (tmp_path / "o.npz.work" / name).write_text("mine")
    with pytest.raises(DataError, match=f"'{name}' in it is not of this command"):
        prepare(tmp_path / "a.cif", tmp_path / "o.npz", workers=1, progress=False)
    assert (tmp_path / "o.npz.work" / name).read_text() == "mine"


def test_two_at_once(tmp_path):
    """The second is refused and harms nothing; what a killed run left is taken up."""
    (tmp_path / "a.cif").write_text(GOOD)
    work = tmp_path / "o.npz.work"
    work.mkdir()
    with locked(work / "run.lock", "it"), pytest.raises(SymjaxError, match=f"in use by process {os.getpid()}"):
        prepare(tmp_path / "a.cif", tmp_path / "o.npz", workers=1, progress=False)
    assert (work / "run.lock").exists() and not (tmp_path / "o.npz").exists()
    assert len(prepare(tmp_path / "a.cif", tmp_path / "o.npz", workers=1, progress=False).dataset) == 1
    assert not work.exists()


def test_bombs_and_false_claims_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "RATIO_FROM", 1 << 16)
    (tmp_path / "bomb.cif.gz").write_bytes(gzip.compress(b"data_x\n" + b" " * (1 << 24)))
    with pytest.raises(DataError, match="MiB of text in"):
        read_source(tmp_path / "bomb.cif.gz")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deep"):
        read_source(tmp_path / "deep.json")
    (tmp_path / "n.extxyz").write_text('-2\nLattice="1 0 0 0 1 0 0 0 1"\nH 0 0 0\n')
    with pytest.raises(DataError, match="number of atoms of a frame, found '-2'"):
        read_source(tmp_path / "n.extxyz")
    save_arrays(tmp_path / "a.npz", {"x": np.zeros(3)})
    assert load_arrays(tmp_path / "a.npz")["x"].shape == (3,)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        member = archive.read("x.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        claim = b"(3,), }" + b" " * 12
        assert claim in member
        archive.writestr("x.npy", member.replace(claim, b"(100000000000,), }" + b" "))
    with pytest.raises(SymjaxError, match="claims 800000000000 bytes"):
        load_arrays(tmp_path / "a.npz")


def test_a_terminal_without_unicode(tmp_path):
    """Names and tables beyond ASCII are shown with replacement marks, not with a traceback."""
    (tmp_path / "é.cif").write_text(GOOD)
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "symjax.cli.main", "analyze", str(tmp_path / "é.cif")],
        capture_output=True,
        env=environment,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr and b"NaCl" in done.stdout
