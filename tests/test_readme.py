"""What README.md shows must work: commands parse, the Python block runs, the files it names exist."""

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


def test_named_files_exist(text, repository):
    for name in re.findall(r"\]\(([^)]+)\)", text) + re.findall(
        r"`((?:symjax|configs|experiments|benchmarks)/[\w/.]*)", text
    ):
        if "://" not in name:
            assert (repository / name.rstrip("/")).exists(), name


@pytest.mark.slow
def test_python_block_runs(text, capsys):
    (code,) = blocks(text, "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "operations" in capsys.readouterr().out
