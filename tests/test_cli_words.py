"""Help, completion, widths of tables, refusals of the command line; no crystal is drawn."""

import json
import subprocess

import pytest

from symjax.cli.main import build_parser, main
from symjax.cli.screen import Column, fitting, width


def said(capsys, *arguments, code=0):
    try:
        found = main([str(a) for a in arguments])
    except SystemExit as ended:
        found = ended.code
    assert found == code
    return capsys.readouterr()


def test_hull_has_help_of_its_own(capsys):
    text = said(capsys, "evaluate", "hull", "--help").out
    assert text.startswith("usage: symjax evaluate hull") and "--reference" not in text
    build = said(capsys, "evaluate", "hull", "build", "--help").out
    assert "usage: symjax evaluate hull build" in build and "--system" in build and "--reference" not in build
    args = build_parser().parse_args(["evaluate", "hull", "build", "a.npz", "--out", "h.json", "--system", "Li-P-S"])
    assert (args.command, args.action, args.data, args.system) == ("hull", "build", ["a.npz"], ["Li-P-S"])
    assert build_parser().parse_args(["evaluate", "crystals", "-r", "test.npz"]).command == "evaluate"


def test_completion(capsys):
    script = said(capsys, "completion", "bash").out
    probe = (
        'COMP_WORDS=(symjax generate --model sym); COMP_CWORD=3; _symjax; echo "${COMPREPLY[@]}"; '
        'COMP_WORDS=(symjax disc); COMP_CWORD=1; _symjax; echo "${COMPREPLY[@]}"; '
        'COMP_WORDS=(symjax evaluate --refe); COMP_CWORD=2; _symjax; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", f"{script}\n{probe}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["symop symmcd", "discover", "--reference"]
    assert "complete -c symjax" in said(capsys, "completion", "fish").out
    assert "bashcompinit" in said(capsys, "completion", "zsh").out


def test_columns_are_left_out_not_cut(monkeypatch):
    columns = [
        Column("formula", ["Ba3Ti2O7"], 0, True),
        Column("group", ["P4mm (99)"], 0),
        Column("long name", ["x"], 2),
    ]
    assert [one.name for one in fitting(columns, 80)] == ["formula", "group", "long name"]
    assert [one.name for one in fitting(columns, 30)] == ["formula", "group"]
    assert [one.name for one in fitting(columns, 5)] == ["formula", "group"]  # what is needed stays
    monkeypatch.setenv("COLUMNS", "67")
    assert width() == 67


def test_a_folder_of_an_earlier_run_is_refused(tmp_path, capsys):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "00000-NaCl.cif").write_text("x")
    (folder / "index.json").write_text(
        json.dumps({"program": "symjax generate", "files": ["00000-NaCl.cif", "index.json"]})
    )
    message = said(capsys, "generate", "--num", 1, "--out", folder, code=2).err
    assert "holds 1 files of an earlier run, such as 00000-NaCl.cif" in message and "--overwrite" in message
    assert (folder / "00000-NaCl.cif").read_text() == "x"
    both = said(capsys, "generate", "--num", 1, "--out", tmp_path / "new", "--append", "--overwrite", code=2).err
    assert "leave one out" in both
    assert "holds no crystals" in said(capsys, "generate", "--num", 1, "--out", folder, "--append", code=2).err


@pytest.mark.parametrize("command", ["generate", "discover"])
def test_elements_in_another_form(command, tmp_path, capsys):
    message = said(capsys, command, "--num", 1, "--out", tmp_path / "o", "--elements", "Li-P-S", code=2).err
    assert "did you mean Li,P,S?" in message and not (tmp_path / "o").exists()


def test_indices_of_two_runs_are_one():
    from symjax.cli.generate_append import merged

    first = {
        "options": {"seed": 0},
        "draws": 3,
        "failed_draws": {"a": 1},
        "crystals": [1],
        "files": ["x", "index.json"],
    }
    later = {"options": {"seed": 1}, "draws": 4, "failed_draws": {"a": 2, "b": 1}, "crystals": [2], "files": ["y"]}
    whole = merged(first, later)
    assert whole["options"] == {"seed": 0} and whole["appended"] == [{"seed": 1}]
    assert whole["draws"] == 7 and whole["failed_draws"] == {"a": 3, "b": 1}
    assert whole["crystals"] == [1, 2] and whole["files"] == ["index.json", "x", "y"]
