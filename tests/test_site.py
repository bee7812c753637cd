"""The site of the documents: its pages are made from the tree, links between them lead somewhere, scripts and examples run."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
site = importlib.import_module("scripts.make_site") if (ROOT / "scripts").is_dir() else None


@pytest.fixture(scope="module")
def made():
    return site.pages(run=False)


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_links_between_pages(made):
    copied = {str(p.relative_to(ROOT / "docs")): p.read_text() for p in (ROOT / "docs").rglob("*.md")}
    other = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*") if p.is_file()}
    every = copied | made
    for name, text in made.items():
        plain = re.sub(r"```.*?```", "", text, flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", plain):
            if "://" in target:
                continue
            place, _, anchor = target.partition("#")
            there = str((ROOT / name).parent.joinpath(place).resolve().relative_to(ROOT)) if place else name
            assert there in every or there in other, f"{name}: {target} leads nowhere"
            if anchor and there in every:
                headings = re.findall(r"^#+ (.*)$", every[there], flags=re.M)
                assert anchor in set(map(slug, headings)), f"{name}: {target}: no such heading"


def test_every_command_and_system_has_a_page(made):
    from symjax.cli.main import COMMANDS
    from symjax.systems import rows

    assert {f"commands/{name}.md" for name in COMMANDS} <= set(made)
    assert {f"systems/{row.name}.md" for row in rows()} <= set(made)
    assert "## Fidelity" in made["systems/symop.md"] and "--known" in made["commands/discover.md"]
    assert "def close" in made["api/facade.md"] and "The group that operations generate" in made["api/facade.md"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["algebra", "generation", "navigation", "new_model"])
def test_scripts_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = site.tutorial(ROOT / "docs" / "tutorials" / f"{name}.py", run=True)
    cells = page.split("\n## ")[1:]
    assert cells and all("```python" in cell for cell in cells) and page.count("```text") >= len(cells) - 2


@pytest.mark.slow
def test_examples_of_the_python_page_run(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.S):
        exec(block, scope)
    assert "Pmc2_1" in capsys.readouterr().out


@pytest.mark.slow
def test_mkdocs_is_content(tmp_path):
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("the extra docs is not installed")
    line = [sys.executable, "-m", "scripts.make_site", "--no-run", "--out", str(tmp_path / "site")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()
