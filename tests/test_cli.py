"""The command line, run as a user would: in a new process, in an empty folder, reading what lies there afterwards."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import symjax
from symjax.cli.main import main

COMMAND = [sys.executable, "-m", "symjax"]
SALT = """data_salt
_cell_length_a 3.988
_cell_length_b 3.988
_cell_length_c 3.988
_cell_angle_alpha 60
_cell_angle_beta 60
_cell_angle_gamma 60
_symmetry_space_group_name_H-M 'P 1'
loop_
_symmetry_equiv_pos_as_xyz
'x,y,z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 Na 0 0 0
Cl1 Cl 0.5 0.5 0.5
"""


def run(*arguments, cwd, code=0):
    done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Six crystals of the shipped weights in a folder."""
    place = tmp_path_factory.mktemp("generate")
    done = run("generate", "--num", 6, "--out", "out", "--steps", 4, "--seed", 1, "--trace", cwd=place)
    return place / "out", done


def test_version_and_help(tmp_path):
    assert run("--version", cwd=tmp_path).stdout.split() == ["symjax", symjax.__version__]
    text = run("--help", cwd=tmp_path).stdout
    assert all(name in text for name in ("generate", "data", "analyze", "train"))


def test_usage_errors(tmp_path):
    for arguments in ([], ["dance"], ["generate"], ["generate", "--num", "0", "--out", "x"]):
        done = run(*arguments, cwd=tmp_path, code=2)
        assert "usage:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_train_and_tables_take_the_rest_of_the_line(tmp_path):
    """They are the programs of `experiments`, by their packaged names, from any folder."""
    assert "--workdir" in run("train", "--help", cwd=tmp_path).stdout
    error = run("train", "--config", "symop:huge", "--workdir=x", cwd=tmp_path, code=2).stderr
    assert error == "symjax train: error: config argument size='huge': not one of small, tiny, base\n"
    assert "symmcd-2" in run("tables", "--list", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_generate_writes_a_whole_folder(generated):
    folder, done = generated
    index = json.loads((folder / "index.json").read_text())
    assert sorted(file.name for file in folder.iterdir()) == index["files"]
    assert {"index.json", "crystals.npz", "crystals.png", "genes.jsonl", "trace.png", "trace.gif"} < set(index["files"])
    assert len(index["crystals"]) == 6
    assert (index["draws"], index["failed_draws"], index["unrealised"], index["missing"]) == (6, {}, [], 0)
    genes = [json.loads(line) for line in (folder / "genes.jsonl").read_text().splitlines()]
    assert [one["space_group"] for one in genes] == [entry["group"]["number"] for entry in index["crystals"]]
    assert [one["num_atoms"] for one in genes] == [entry["num_atoms"] for entry in index["crystals"]]
    assert sum(name.endswith(".cif") for name in index["files"]) == 6
    assert all(entry["formula"] in done.stdout for entry in index["crystals"])
    assert [file.name for file in folder.parent.iterdir()] == ["out"]


def test_index_describes_the_crystals(generated):
    folder, _ = generated
    for entry in json.loads((folder / "index.json").read_text())["crystals"]:
        assert entry["group_found_in_atoms"]["has_all_operations"]
        assert len(entry["operations"]) == entry["num_operations"]
        assert entry["operations"][0] == "x,y,z"
        assert sum(orbit["multiplicity"] for orbit in entry["orbits"]) == entry["num_atoms"]
        for orbit in entry["orbits"]:
            assert orbit["multiplicity"] * len(orbit["operations_fixing"]) == entry["num_operations"]
        assert entry["log_operations"] <= 0
        assert (folder / entry["file"]).exists()


def test_cif_files_read_back_to_the_crystals(generated):
    """What gemmi and pymatgen read is the crystal of the index, with its operations."""
    gemmi = pytest.importorskip("gemmi")
    from pymatgen.core import Structure

    folder, _ = generated
    for entry in json.loads((folder / "index.json").read_text())["crystals"]:
        structure = Structure.from_file(folder / entry["file"])
        assert len(structure) == entry["num_atoms"]
        assert structure.composition.reduced_formula == entry["formula"]
        small = gemmi.read_small_structure(str(folder / entry["file"]))
        assert len(small.get_all_unit_cell_sites()) == entry["num_atoms"]


def test_samples_are_a_prepared_data_set(generated):
    from symjax.data.dataset import load

    folder, _ = generated
    entries = json.loads((folder / "index.json").read_text())["crystals"]
    cells = load(folder / "crystals.npz").all_atoms()
    assert [len(cell.z) for cell in cells] == [entry["num_atoms"] for entry in entries]


@pytest.mark.slow
def test_generate_again_gives_the_same_bytes(generated, tmp_path):
    """Equal seeds: equal files; and a second run into a folder replaces the first one's files."""
    folder, _ = generated
    arguments = ["generate", "--out", "out", "--steps", 4, "--seed", 1, "--no-picture", "--quiet"]
    assert run(*arguments, "--num", 6, cwd=tmp_path).stdout == ""
    first = {file.name: file.read_bytes() for file in (tmp_path / "out").glob("*.cif")}
    assert first == {file.name: file.read_bytes() for file in folder.glob("*.cif")}
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert "--overwrite to replace them" in run(*arguments, "--num", 6, cwd=tmp_path, code=2).stderr
    run(*arguments, "--num", 6, "--format", "extxyz", "--overwrite", cwd=tmp_path)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"crystals.extxyz", "crystals.npz", "genes.jsonl", "index.json", "mine.txt"}
    from ase.io import read

    assert len(read(tmp_path / "out" / "crystals.extxyz", index=":")) == 6


@pytest.mark.slow
def test_generate_what_was_asked_for(tmp_path):
    arguments = ["--num", 6, "--steps", 4, "--no-picture", "--min-ratio", 0]
    run("generate", "--out", "a", "--formula", "SrTiO3", "--space-group", 221, *arguments, cwd=tmp_path)
    for entry in json.loads((tmp_path / "a" / "index.json").read_text())["crystals"]:
        assert (entry["formula"], entry["group"]["number"]) == ("SrTiO3", 221)


@pytest.mark.slow
def test_generate_by_operations(tmp_path):
    asked = ["--no-inversion", "--polar", "--forbid", "mirror", "--format", "json"]
    done = run("generate", "--out", "a", "--num", 6, "--steps", 4, *asked, cwd=tmp_path)
    assert "written to" in done.stdout
    for entry in json.loads((tmp_path / "a" / "index.json").read_text())["crystals"]:
        assert "-x,-y,-z" not in entry["operations"]
        assert "x,-y,z" not in entry["operations"]
    assert len(json.loads((tmp_path / "a" / "crystals.json").read_text())) == 6


def test_prepare_analyze(tmp_path, capsys):
    """A CSV with one bad row gives a data set of the others; a CIF is analysed on screen and as JSON."""
    with (tmp_path / "in.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "cif"])
        writer.writerows(
            [["good", SALT], ["bad", SALT.replace("Cl1 Cl", "Xq1 Xq")], ["also", SALT.replace("3.988", "4.1")]]
        )
    done = run("data", "prepare", "in.csv", "--out", "out.npz", "--workers", 1, cwd=tmp_path)
    assert "2 of 3 rows" in done.stdout
    from symjax.data.dataset import load

    assert list(load(tmp_path / "out.npz").ids) == ["good", "also"]
    assert main(["data", "info", str(tmp_path / "out.npz")]) == 0
    assert "192" in capsys.readouterr().out  # the most operations of a crystal
    (tmp_path / "salt.cif").write_text(SALT)
    assert "Fm-3m" in run("analyze", "salt.cif", cwd=tmp_path).stdout
    assert main(["analyze", str(tmp_path / "salt.cif"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["group"]["number"] == 225


def test_output_cut_off_is_no_error(tmp_path):
    """`symjax ... | head -1` ends quietly."""
    (tmp_path / "salt.cif").write_text(SALT)
    line = " ".join([*COMMAND, "analyze", "salt.cif", "--json"]) + " | head -c 1"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_nobody_reads_a_table(tmp_path, prototype_dataset):
    """The same for tables, whose library ends the program with 1."""
    prototype_dataset.save(tmp_path / "a.npz")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "data", "info", tmp_path / "a.npz"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 0 and not done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2, 12, 30])
def test_an_interrupt_ends_with_130_and_leaves_nothing(tmp_path, seconds):
    """While imports, compiled programs and workers run: no crash at the end, no folder, no half of one."""
    command = [*COMMAND, "generate", "--num", "500", "--out", "out", "--no-picture"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        time.sleep(seconds)
        for _ in range(6):  # as a person does: a library may swallow the first one while it compiles
            running.send_signal(signal.SIGINT)
            try:
                _, err = running.communicate(timeout=20)
                break
            except subprocess.TimeoutExpired:
                continue
    assert running.returncode == 130 and err.endswith("symjax: interrupted\n") and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_name_is_no_folder(tmp_path):
    assert "--out" in run("generate", "--num", 2, "--out", "", cwd=tmp_path, code=2).stderr
    assert list(tmp_path.iterdir()) == []


INTERRUPT = """
import signal, sys, time, types
import symjax.cli.main as cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests run under

class Drops:
    def __del__(self):  # an exception here is reported and dropped
        print("ready", flush=True)
        time.sleep(30)

def run(args):
    try:
        Drops()
        time.sleep(30)
    finally:
        time.sleep(1.5)  # longer than an interrupt waits before it comes again
        print("cleaned", flush=True)

cli.build_parser = lambda: types.SimpleNamespace(parse_args=lambda argv: types.SimpleNamespace(debug=False, command="x"))
sys.modules["symjax.cli.x"] = types.SimpleNamespace(run=run)
cli.program()
"""


def test_an_interrupt_that_a_library_drops_comes_again():
    """Ctrl-C inside a finalizer, where Python reports the exception and goes on; what cleans up is left in peace."""
    command = [sys.executable, "-c", INTERRUPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert "Exception ignored" in err and out == "cleaned\n"
    assert running.returncode == 130 and err.endswith("symjax: interrupted\n")
