"""`symjax supergroups` and `symjax path` as a user runs them: files in, files and tables out, errors in one line."""

import json

import numpy as np
import pytest
import spglib
from textbook import GROUP, crystal, structure

from symjax.cli.main import main
from symjax.crystals.io import format_poscar, read_structure, write_cif
from symjax.crystals.types import AtomicStructure
from symjax.groups.tables import standard_setting
from symjax.navigate.notation import numbers_of


@pytest.fixture
def given(tmp_path):
    """Writes a textbook structure to a file and returns its path."""

    def write(name):
        path = tmp_path / f"{name.replace(' ', '-')}.cif"
        write_cif(path, crystal(name), number=GROUP[name])
        return str(path)

    return write


def detected(path, symprec=1e-4):
    atoms = read_structure(path)
    return spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=symprec).number


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_supergroups_table_files_and_json(given, tmp_path, capsys):
    """The table names the parent; the folder holds each parent as CIF in its own group; JSON has the modes."""
    file, folder = given("SrTiO3"), tmp_path / "parents"
    code, out, _ = run(capsys, "supergroups", file, "--out", folder)
    assert code == 0 and "Pm-3m (221)" in out and "P4/mmm (123)" in out
    index = json.loads((folder / "index.json").read_text())
    assert sorted(index["files"]) == sorted(p.name for p in folder.iterdir())
    for entry in index["supergroups"]:
        assert detected(folder / entry["file"]) == entry["number"] == entry["found_in_atoms"]
    code, out, _ = run(capsys, "supergroups", file, "--json")
    report = json.loads(out)
    cubic = next(e for e in report["supergroups"] if e["number"] == 221)
    assert (report["group"]["number"], cubic["index"], cubic["t_index"], cubic["k_index"]) == (140, 6, 3, 2)
    assert cubic["modes"]["amplitude_by_element"]["O"] == pytest.approx(cubic["modes"]["amplitude"])
    assert round(abs(np.linalg.det(cubic["basis"]))) == 4  # the body-centred cell of twice the cube's volume
    meanings = [one["meaning"] for one in cubic["near_operations"]]
    assert any(text.startswith("translation") for text in meanings) and len(meanings) == 33


def way(entry, name):
    """(P, p) of an entry."""
    return numbers_of(entry[f"{name}_P"]), numbers_of(entry[f"{name}_p"])


def assert_standard_setting_of(path, number, P, p):
    """The operations of the standard setting, taken to the file's axes by (P, p), take its atoms to atoms of the same element."""
    atoms, group, back = read_structure(path), standard_setting(number), np.linalg.inv(P)
    for W, w in zip(np.asarray(group.W), np.asarray(group.w) / group.den, strict=True):
        gap = (((atoms.x - p) @ back.T) @ W.T + w) @ P.T + p
        gap = gap[:, None] - atoms.x
        gap = np.linalg.norm((gap - np.rint(gap)) @ atoms.L, axis=-1)
        assert (np.where(atoms.z[:, None] == atoms.z, gap, np.inf).min(axis=1) < 1e-3).all()


@pytest.mark.parametrize("name", ["SrTiO3", "BaTiO3 tetragonal"])
def test_the_ways_of_each_supergroup_go_together(name, given, capsys):
    file = given(name)
    _, out, _ = run(capsys, "supergroups", file, "--json")
    report = json.loads(out)
    for entry in report["supergroups"]:
        (P, p), (Q, q) = way(entry, "file_to_parent"), way(entry, "file_to_standard")
        np.testing.assert_allclose(P @ entry["basis"], Q, atol=1e-4)
        np.testing.assert_allclose(P @ entry["origin"] + p, q, atol=1e-4)
        assert_standard_setting_of(file, report["group"]["number"], Q, q)


def test_supergroups_reads_what_it_wrote(given, tmp_path, capsys):
    """A parent written is its own parent: nothing above it at the tolerance it was found with."""
    run(capsys, "supergroups", given("BaTiO3 tetragonal"), "--out", tmp_path / "p")
    entry = json.loads((tmp_path / "p" / "index.json").read_text())["supergroups"][-1]
    code, out, _ = run(capsys, "supergroups", tmp_path / "p" / entry["file"])
    assert entry["number"] == 221 and code == 0 and "no supergroup within" in out


def test_supergroups_lists_no_more_than_asked_for(given, capsys):
    """Of eight supergroups four: the two highest, and the least displaced minimal ones."""
    code, out, err = run(capsys, "supergroups", given("CaTiO3"), "--tolerance", 0.5, "--num", 4, "--max-groups", 5)
    assert code == 0 and "4 of " in out and "Pm-3m (221)" in out and "Imma (74)" in out
    assert "--max-groups" in err


def test_supergroups_warns_where_symmetry_depends_on_the_tolerance(tmp_path, capsys):
    cubic = structure("BaTiO3 cubic")
    moved = AtomicStructure(
        L=cubic.L, z=cubic.z, x=cubic.x + np.where(cubic.z == 22, 0.02 / 4.006, 0.0)[:, None] * [0, 0, 1]
    )
    path = tmp_path / "nearly.vasp"
    path.write_text(format_poscar(moved))
    code, out, err = run(capsys, "supergroups", path)
    assert code == 0 and "Pm-3m (221)" in out
    assert "depends on the tolerance" in err and "99" in err and "221" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tolerance", "-1"], "positive"),
        (["--tolerance", "0.0001"], "must not be below"),
        (["--strain-tolerance", "70"], "30 percent"),
        (["--symprec", "0"], "positive"),
        (["--num", "0"], "--num must be at least 1"),
    ],
)
def test_supergroups_wrong_options(given, capsys, arguments, words):
    code, _, err = run(capsys, "supergroups", given("BaTiO3 tetragonal"), *arguments)
    assert code == 2 and words in err and "Traceback" not in err


def test_supergroups_wrong_files(tmp_path, given, capsys):
    code, _, err = run(capsys, "supergroups", tmp_path / "none.cif")
    assert code == 2 and "no such file" in err
    (tmp_path / "bad.cif").write_text("data_x\n_cell_length_a 3\n")
    code, _, err = run(capsys, "supergroups", tmp_path / "bad.cif")
    assert code == 2 and "bad.cif" in err
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "supergroups", given("SrTiO3"), "--out", tmp_path / "file")
    assert code == 2 and "needs a folder" in err


def test_path_table_images_and_picture(given, tmp_path, capsys):
    """Images are written in the common subgroup's standard setting and have exactly that group, the ends their own."""
    first, second, folder = given("BaTiO3 tetragonal"), given("BaTiO3 rhombohedral"), tmp_path / "way"
    code, out, _ = run(capsys, "path", first, second, "--images", 3, "--max-cell", 1, "--out", folder)
    assert code == 0 and "Cm (8)" in out and "each of the 3 images between has exactly Cm (8)" in out
    assert "P4mm (99) -t2-> Cmm2 (35) -t2-> Cm (8)" in out and "R3m (160) -t3-> Cm (8)" in out
    index = json.loads((folder / "index.json").read_text())
    assert [image["s"] for image in index["images"]] == [0, 0.25, 0.5, 0.75, 1]
    assert [detected(folder / image["file"], 1e-3) for image in index["images"]] == [99, 8, 8, 8, 160]
    assert [image["number"] for image in index["images"]] == [99, 8, 8, 8, 160]
    assert (folder / "path.png").stat().st_size > 10_000
    best = index["paths"][0]
    assert best["in_first"]["index"] == 4 and best["in_second"]["index"] == 3
    assert {row["element"] for row in best["atoms"]} == {"Ba", "Ti", "O"}
    assert max(row["displacement"] for row in best["atoms"]) == pytest.approx(best["max_displacement"], abs=1e-5)


def test_path_json_and_choice(given, capsys):
    """Another path of the list can be interpolated; JSON says which."""
    first, second = given("Fe fcc"), given("Fe bcc")
    code, out, _ = run(
        capsys, "path", first, second, "--json", "--num", 2, "--which", 2, "--images", 1, "--max-cell", 2
    )
    report = json.loads(out)
    assert code == 0 and report["which"] == 2 and len(report["paths"]) == 2
    assert report["paths"][0]["number"] == 139 and report["paths"][0]["principal_strains"][0] == pytest.approx(
        -22.76, abs=0.01
    )
    assert report["images"][1]["number"] == report["paths"][1]["number"]
    assert "atoms" in report["paths"][1] and "atoms" not in report["paths"][0]
    assert 0 < report["correspondences"]["tried"] <= report["correspondences"]["known"]


def test_the_ways_of_a_path_go_together(given, capsys):
    files = [given(name) for name in ("BaTiO3 tetragonal", "BaTiO3 rhombohedral")]
    _, out, _ = run(capsys, "path", *files, "--json")
    report = json.loads(out)
    for which, file, end in zip(("in_first", "in_second"), files, (report["first"], report["second"]), strict=True):
        for one in report["paths"]:
            (P, p), (Q, q) = way(one[which], "file_to_images"), way(one[which], "file_to_standard")
            np.testing.assert_allclose(Q @ one[which]["basis"], P, atol=1e-4)
            np.testing.assert_allclose(Q @ one[which]["origin"] + q, p, atol=1e-4)
            assert_standard_setting_of(file, end["number"], Q, q)


def test_path_says_when_an_image_has_more_symmetry(given, tmp_path, capsys):
    """Dauphine twins of quartz: halfway lies high quartz."""
    first = given("quartz alpha 154")
    code, out, _ = run(capsys, "path", first, first, "--which", 2, "--num", 2, "--images", 1, "--max-cell", 1)
    assert code == 0 and "more symmetry than the common subgroup: P6_222 (180) at 0.5" in out


@pytest.mark.parametrize(
    ("pair", "arguments", "words"),
    [
        (("Fe fcc", "NiTi B2"), [], "a path needs two phases of one composition"),
        (("CaTiO3 cubic", "CaTiO3"), ["--max-cell", "2"], "raise the limit to 4"),
        (("Fe fcc", "Fe bcc"), ["--max-strain", "2", "--max-cell", "1"], "raise the strain"),
        (("Fe fcc", "Fe bcc"), ["--max-strain", "99"], "60 percent"),
        (("Fe fcc", "Fe bcc"), ["--images", "0"], "--images must be 1"),
        (("Fe fcc", "Fe bcc"), ["--which", "9"], "--which must be 1 to 5"),
        (("Fe fcc", "Fe bcc"), ["--symprec", "-1"], "positive"),
    ],
)
def test_path_wrong_input(given, tmp_path, capsys, pair, arguments, words):
    """One line, exit code 2, nothing written."""
    folder = tmp_path / "out"
    code, _, err = run(capsys, "path", given(pair[0]), given(pair[1]), "--out", folder, *arguments)
    assert code == 2 and words in err and err.startswith("symjax: error:") and not folder.exists()


def test_interrupted_path_leaves_nothing(given, tmp_path, monkeypatch, capsys):
    import symjax.draw.path as module

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "draw", stop)
    code, _, err = run(capsys, "path", given("Fe fcc"), given("Fe bcc"), "--max-cell", 1, "--out", tmp_path / "out")
    assert code == 130 and "interrupted" in err
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".cif", ".cif"]
