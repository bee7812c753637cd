"""Wrong input: a clear error that names the place, exit code 2, no traceback, nothing half written."""

import csv
import os

import numpy as np
import pytest
from test_cli import SALT

from symjax.cli.main import main
from symjax.errors import SymjaxError


def fails(capsys, *arguments, says=()):
    """Run the command line in this process; it must exit with code 2 and say each of ``says`` in one message."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    text = capsys.readouterr()
    assert code == 2, text.out + text.err
    assert "error:" in text.err
    for word in says:
        assert str(word) in text.err, text.err
    return text.err


BAD_CIFS = {
    "unknown element": (SALT.replace("Cl1 Cl", "Xq1 Xq"), ("Xq",)),
    "empty": ("", ("empty",)),
    "truncated in the cell": (SALT[:60], ()),
    "truncated in a loop": (SALT.replace("0.5 0.5 0.5", "0.5"), ()),
    "no sites": (SALT[: SALT.index("Na1")], ()),
    "partial occupancy": (
        SALT.replace("_atom_site_fract_z\n", "_atom_site_fract_z\n_atom_site_occupancy\n")
        .replace("0 0 0\n", "0 0 0 0.5\n")
        .replace("0.5 0.5 0.5\n", "0.5 0.5 0.5 1\n"),
        ("occupancy",),
    ),
    "zero volume": (SALT.replace("gamma 60", "gamma 120.0"), ()),
    "overlapping atoms": (SALT.replace("0.5 0.5 0.5", "0.01 0 0"), ()),
    "no numbers": (SALT.replace("3.988", "wide"), ()),
    "not a CIF at all": ("\x00\x01\x02", ()),
}


@pytest.mark.parametrize("case", BAD_CIFS)
def test_analyze_refuses(case, tmp_path, capsys):
    text, words = BAD_CIFS[case]
    (tmp_path / "bad.cif").write_text(text)
    fails(capsys, "analyze", tmp_path / "bad.cif", says=("bad.cif", *words))
    assert [file.name for file in tmp_path.iterdir()] == ["bad.cif"]


def test_analyze_of_nothing(tmp_path, capsys):
    fails(capsys, "analyze", tmp_path / "absent.cif", says=("absent.cif",))
    fails(capsys, "analyze", tmp_path, says=(tmp_path.name,))


def write_csv(path, header, *rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def test_one_bad_row_never_stops_a_data_set(tmp_path, capsys):
    rows = [[f"bad-{i}", text] for i, (text, _) in enumerate(BAD_CIFS.values()) if "\x00" not in text]
    source = write_csv(tmp_path / "in.csv", ["material_id", "cif"], *rows, ["good", SALT])
    assert main(["data", "prepare", str(source), "--out", str(tmp_path / "out.npz"), "--workers", "1", "--quiet"]) == 0
    assert f"1 of {len(rows) + 1} rows" in capsys.readouterr().out
    report = (tmp_path / "out.report.json").read_text()
    assert all(row[0] in report for row in rows)


@pytest.mark.parametrize("case", ["no column", "mixed up", "all bad", "absent", "empty"])
def test_prepare_refuses(case, tmp_path, capsys):
    source = tmp_path / "in.csv"
    if case == "no column":
        write_csv(source, ["material_id", "structure"], ["a", SALT])
    elif case == "mixed up":
        write_csv(source, ["cif", "material_id"], ["mp-1", SALT])
    elif case == "all bad":
        write_csv(source, ["material_id", "cif"], ["a", BAD_CIFS["unknown element"][0]])
    elif case == "empty":
        source.write_text("")
    fails(capsys, "data", "prepare", source, "--out", tmp_path / "out.npz", "--workers", 1, "--quiet", says=("in.csv",))
    assert not (tmp_path / "out.npz").exists()


def test_prepared_file_that_is_none(tmp_path, capsys):
    fails(capsys, "data", "info", tmp_path / "absent.npz", says=("absent.npz",))
    (tmp_path / "text.npz").write_text("no arrays")
    fails(capsys, "data", "info", tmp_path / "text.npz", says=("text.npz",))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    fails(capsys, "data", "info", tmp_path / "other.npz", says=("other.npz",))


GENERATE = ("generate", "--num", 2, "--steps", 2, "--quiet")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--formula", "Xq2O"), ("Xq",)),
        (("--formula", "Sr(Ti"), ("Sr(Ti",)),
        (("--formula", ""), ()),
        (("--elements", "Li,Qq"), ("Qq",)),
        (("--space-group", "231"), ("231", "230")),
        (("--space-group", "Fm-9m"), ("Fm-9m",)),
        (("--point-group", "17"), ("17",)),
        (("--require", "wobble"), ("wobble",)),
        (("--forbid", "wobble"), ("wobble",)),
        (("--crystal-system", "round"), ("round",)),
        (("--centrosymmetric", "--no-inversion"), ()),
        (("--weights", "absent-weights"), ("absent-weights",)),
        (("--centrosymmetric", "--chiral"), ()),
        (("--space-group", "225", "--no-inversion"), ()),
        (("--formula", "SrTiO3", "--elements", "Li,O"), ("contradict",)),
        (("--elements", "Li,At"), ("At", "in no crystal")),
        (("--formula", "SrTiO3", "--space-group", "225", "--orbits", "3"), ("SrTiO3", "another formula or group")),
        (("--orbits", "21"), ("21",)),
        (("--space-group", "225,231"), ("231",)),
        (("--prefix", "Na:4a"), ("one space group",)),
    ],
    ids=lambda value: " ".join(map(str, value)) if value and str(value[0]).startswith("--") else "",
)
def test_generate_refuses(arguments, words, tmp_path, capsys):
    fails(capsys, *GENERATE, "--out", tmp_path / "out", *arguments, says=words)
    assert list(tmp_path.iterdir()) == []


def test_generate_refuses_foreign_weights(tmp_path, capsys):
    weights = tmp_path / "weights"
    for part in ("operations", "geometry"):
        (weights / part).mkdir(parents=True)
        (weights / part / "params.npz").write_text("not weights")
        (weights / part / "config.json").write_text("{}")
    fails(capsys, *GENERATE, "--out", tmp_path / "out", "--weights", weights, says=("params.npz",))
    assert not (tmp_path / "out").exists()


def test_generate_refuses_a_folder_it_cannot_write(tmp_path, capsys):
    """Said before any work is done: the weights do not even exist."""
    (tmp_path / "file").write_text("mine")
    before = fails(capsys, *GENERATE, "--out", tmp_path / "file", "--weights", "absent", says=("file", "folder"))
    assert "absent" not in before
    fails(capsys, *GENERATE, "--out", tmp_path / "file" / "deeper", says=("file",))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_generate_refuses_a_folder_without_permission(tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    fails(capsys, *GENERATE, "--out", tmp_path / "locked" / "out", says=("locked",))


def test_disk_that_refuses_while_writing(tmp_path, monkeypatch):
    """An error in the middle leaves the folder of an earlier run as it was, and nothing beside it."""
    from symjax.cli.output import staged_folder

    folder = tmp_path / "out"
    with staged_folder(folder) as stage:
        (stage / "index.json").write_text('{"program": "symjax generate", "files": ["index.json", "old.cif"]}')
        (stage / "old.cif").write_text("old")
    with pytest.raises(SymjaxError, match="No space left"), staged_folder(folder) as stage:
        (stage / "new.cif").write_text("half")
        assert stage.parent == folder  # the same disk, also where the folder is one of its own
        raise OSError(28, "No space left on device", str(stage / "new.cif"))
    assert sorted(file.name for file in folder.iterdir()) == ["index.json", "old.cif"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    with staged_folder(folder) as stage:
        (stage / "index.json").write_text("{}")
        (stage / "new.cif").write_text("new")
    assert sorted(file.name for file in folder.iterdir()) == ["index.json", "new.cif"]


def test_a_set_that_does_not_close():
    """The message names an offending pair; identification refuses it too."""
    from symjax.errors import NotAGroupError
    from symjax.groups import make_opset, standard_setting
    from symjax.groups.identify import identify

    group = standard_setting(62)
    shifted = np.array(group.w)
    shifted[3] = (shifted[3] + [12, 0, 0]) % 24
    with pytest.raises(NotAGroupError, match=r"[xyz]"):
        identify(make_opset(group.W, shifted))


def test_a_singular_basis():
    from symjax.groups import standard_setting
    from symjax.ops import Op, exact

    group = standard_setting(62)
    singular = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    with pytest.raises(SymjaxError, match=r"(?i)unimodular|singular|determinant"):
        exact.change_basis(Op(np.asarray(group.W), np.asarray(group.w)), singular)


def test_more_orbits_than_the_bucket(tmp_path):
    from symjax.data.dataset import load

    source = write_csv(tmp_path / "in.csv", ["material_id", "cif"], ["salt", SALT])
    main(["data", "prepare", str(source), "--out", str(tmp_path / "out.npz"), "--workers", "1", "--quiet"])
    with pytest.raises(SymjaxError, match="out of range"):
        load(tmp_path / "out.npz").crystal(1)


def test_wrong_types_and_shapes():
    from symjax.groups import make_opset
    from symjax.ops import Op, as_op, exact
    from symjax.ops.symbols import parse_xyz

    with pytest.raises(SymjaxError):
        make_opset(np.eye(3)[None] * 0.5, np.zeros((1, 3), int))
    with pytest.raises(SymjaxError):
        make_opset(np.eye(3, dtype=int)[None], np.zeros((2, 2), int))
    with pytest.raises(SymjaxError, match="shape"):
        as_op(np.eye(2, dtype=int), np.zeros(2, int))
    with pytest.raises(SymjaxError, match="integer"):
        as_op(np.eye(3) / 2, np.zeros(3, int))
    flat = Op(np.eye(2, dtype=int), np.zeros(2, int))
    turn = Op(np.eye(3, dtype=int), np.zeros(3, int))
    with pytest.raises(SymjaxError, match="shape"):
        exact.compose(turn, flat)
    with pytest.raises(SymjaxError, match="integer"):
        exact.compose(turn, Op(np.eye(3), np.zeros(3)))
    with pytest.raises(SymjaxError, match="points"):
        exact.apply(turn, np.zeros((4, 2)))
    with pytest.raises(SymjaxError, match="q"):
        parse_xyz("x,y,q")
