"""The page on navigation: every command that it pastes with an output has that output."""

import re

import pytest

from symjax.cli.main import main

PAIR = re.compile(r"```bash\n(symjax [^\n]+)\n```\n+```text\n(.*?)```", re.DOTALL)


def pairs(repository):
    return PAIR.findall((repository / "docs" / "navigate.md").read_text())


def check(command, shown, repository, tmp_path, monkeypatch, capsys):
    """Every line shown is printed, in that order; lines of three dots stand for what was cut."""
    (tmp_path / "docs").symlink_to(repository / "docs")
    monkeypatch.chdir(tmp_path)
    arguments = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', command)][1:]
    assert main(arguments) == 0
    printed = iter(line.rstrip() for line in capsys.readouterr().out.splitlines())
    for line in shown.splitlines():
        assert line.startswith("...") or line.rstrip() in printed, f"{command}: no more such line: {line}"


def test_six_questions(repository):
    asked = [command.split()[1] for command, _ in pairs(repository)]
    assert asked == ["subgroups", "modes", "supergroups", "related", "derive", "subgroups", "subgroups", "path"]


SLOW = (4, 7)  # derive and path


@pytest.mark.parametrize("place", [pytest.param(i, marks=pytest.mark.slow) if i in SLOW else i for i in range(8)])
def test_outputs(place, repository, tmp_path, monkeypatch, capsys):
    command, shown = pairs(repository)[place]
    check(command, shown, repository, tmp_path, monkeypatch, capsys)
