"""The documents against the tree: links lead somewhere, paths and code names exist, commands parse."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from symjax.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "BUILD_NOTES.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
FOLDERS = "symjax|configs|experiments|tests|benchmarks|scripts|docs"
PRIVATE = r"(?:seed|paper) 0\d\d\b|\bDESIGN\b|fact sheet|reference notes|shared/reference"


def of_code(text):
    """What stands between backticks or in fenced blocks."""
    fenced = re.findall(r"```.*?\n(.*?)```", text, flags=re.S)
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return fenced + inline


@cache
def names_of(path):
    """name -> what it defines in turn, of a module's top level (imported names included)."""
    return _names(ast.parse(path.read_text()).body)


def _names(body):
    found = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _names(node.body)
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = {}
        elif isinstance(node, ast.Assign):
            found |= {name.id: {} for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = {}
        elif isinstance(node, ast.If):  # names for type checkers, found on first use
            found |= _names(node.body)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0]: {} for alias in node.names}
    return found


def exists(dotted):
    """Whether a dotted name is a module, or something that a module defines or imports."""
    parts = dotted.split(".")
    if parts[0] == "symjax" and parts[1] in ("configs", "experiments"):  # what they are called beside the package
        parts = parts[1:]
    for cut in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[:cut])
        module = next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)
        if module is None and stem.is_dir():
            return cut == len(parts)
        if module is not None:
            names = names_of(module)
            for part in parts[cut:]:
                if part not in names:
                    return False
                names = names[part]
            return True
    return False


def test_the_check_can_fail():
    assert exists("symjax.lattice.log.metric") and exists("symjax.train.interface.Task.loss") and exists("symjax.ops")
    assert not exists("symjax.lattice.log.nothing") and not exists("symjax.nowhere.metric")


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_links(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), f"{target} leads nowhere"
        if anchor and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(), flags=re.M)
            made = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
            assert anchor in made, f"{target}: no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_paths_and_names(path):
    for code in of_code(path.read_text()):
        for name in re.findall(rf"(?<![\w./-])((?:{FOLDERS})/[\w./*-]*)", code):
            name = name.rstrip(".")
            assert any(ROOT.glob(name)) if "*" in name else (ROOT / name).exists(), f"{name} does not exist"
        for name in re.findall(
            r"(?<![\w./-])((?:symjax|experiments|benchmarks|configs)(?:\.[A-Za-z_]\w*)+)(?![\w/])", code
        ):
            assert exists(name), f"{name} does not exist"


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_commands_parse(path):
    for block in re.findall(r"```bash\n(.*?)```", path.read_text(), flags=re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("symjax ") and "--help" not in line:
                build_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_python_blocks(path):
    """They parse, and every name that they import from this project exists."""
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("symjax", "experiments"):
                for alias in node.names:
                    assert exists(f"{node.module}.{alias.name}"), f"{node.module} has no {alias.name}"


def test_every_reference_can_be_opened():
    """No note of the authors' own is cited where a reader looks for a paper."""
    folders = ("symjax", "experiments", "configs", "benchmarks", "scripts", "docs")
    files = [p for folder in folders for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".py", ".md")]
    wrong = [
        f"{p.relative_to(ROOT)}: {hit[0]}" for p in [*files, *DOCUMENTS] if (hit := re.search(PRIVATE, p.read_text()))
    ]
    assert not wrong, wrong
