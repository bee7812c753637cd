"""What README.md shows must work: commands parse, the two commands stand where CI reads them, the Python block of the docs runs."""

import re
import shlex

import pytest

from symjax.cli.main import build_parser


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def test_commands_parse(text):
    lines = [line for block in blocks(text, "bash") for line in block.splitlines() if line.startswith("symjax ")]
    assert len(lines) > 8
    for line in lines:
        build_parser().parse_args(shlex.split(line, comments=True)[1:])


def test_the_two_commands(text):
    """One line each, between the markers that .ci/run reads."""
    for marker, program in (("generate", "symjax generate --num 100"), ("tests", "pytest")):
        line = re.search(rf"<!-- {marker} -->\n```bash\n(.*)\n```\n<!-- end -->", text)
        assert line, f"no single line between the markers of {marker}"
        assert line[1].startswith("python3 -m venv")
        assert program in line[1]
    generate = re.search(r"symjax (generate --num 100.*)", text)[1]
    assert build_parser().parse_args(shlex.split(generate)).num == 100


def test_it_stays_short(text):
    """The rest has its page in docs/."""
    assert len(text.splitlines()) < 150


@pytest.mark.slow
def test_python_blocks_run(repository, capsys):
    for code in blocks((repository / "docs" / "python.md").read_text(), "python"):
        exec(compile(code, "docs/python.md", "exec"), {})
    assert "operations" in capsys.readouterr().out
