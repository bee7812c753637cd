"""The documentation as a site, from the tree, by one command (extra `docs`: mkdocs-material).

    python -m scripts.make_site --out site            # everything; the four scripts of docs/tutorials are run
    python -m scripts.make_site --out site --no-run   # quick: their output is left out

Pages: README, what stands in docs/, one page a command (from its parser), one a system (what it is, its options, its part of
docs/fidelity.md), the interface of every module (from docstrings), the scripts with what they printed, a gallery. mkdocs is strict:
a link that leads nowhere ends with exit code 1. Nothing is fetched by the finished pages.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FORWARDED = {"train": "experiments/train.py", "sweep": "experiments/sweep.py", "tables": "experiments/tables.py"}
FIDELITY = {
    "symop": "Generative symmetry in crystal modelling",
    "symmcd": "SymmCD",
    "wyckoff_transformer": "WyckoffTransformer",
    "wyckoffdiff": "WyckoffDiff-Adaptor",
    "wyckoffaugen": "WyckoffAUGen",
}
"""System -> its heading in docs/fidelity.md."""
GUIDES = (
    ("Generate", "generate.md"),
    ("Discover", "discover.md"),
    ("Navigate", "navigate.md"),
    ("Evaluate", "evaluate.md"),
    ("Read files", "readers.md"),
    ("Prepare and train", "train.md"),
    ("Run on a pod", "pods.md"),
    ("Many machines and faults", "reliability.md"),
    ("Print tables", "tables.md"),
    ("In Python", "python.md"),
    ("Add a system", "systems.md"),
)


def pages(*, run: bool) -> dict[str, str]:
    """Name -> Markdown of every page that is made; those of docs/ are copied beside them."""
    made = {"index.md": home(), "BUILD_NOTES.md": inside((ROOT / "BUILD_NOTES.md").read_text())}
    made |= {f"commands/{name}.md": text for name, text in commands()}
    made |= {f"systems/{name}.md": text for name, text in systems()}
    made |= {f"api/{name}.md": text for name, text in interfaces()}
    made |= {f"tutorials/{path.stem}.md": tutorial(path, run=run) for path in tutorials()}
    return made | {"gallery.md": gallery()}


def inside(text: str) -> str:
    """Links of a document of the root as they are in the site."""
    text = re.sub(r"\[([^\]]*)\]\(docs/decisions\)", r"\1", text)  # a folder is no page
    return re.sub(r"\]\(docs/([^)]*)\)", r"](\1)", text)


def home() -> str:
    """README, without what GitHub shows otherwise."""
    return re.sub(r"<!-- .*? -->\n?", "", inside((ROOT / "README.md").read_text()))


def commands() -> Iterator[tuple[str, str]]:
    """One page a command, as its `--help` says."""
    from symjax.cli.main import build_parser

    subparsers = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, parser in subparsers.choices.items():
        title = "evaluate hull" if name == "hull" else name
        if name in FORWARDED:
            doc = ast.get_docstring(ast.parse((ROOT / FORWARDED[name]).read_text())) or ""
            yield name, f"# symjax {title}\n\n```text\n{doc}\n```\n"
            continue
        parts = [f"# symjax {title}\n\n```text\n{_help(parser)}```\n"]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parts += [f"## {title} {key}\n\n```text\n{_help(one)}```\n" for key, one in action.choices.items()]
        yield name, "\n".join(parts)


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = _narrow(parser.formatter_class)
    return parser.format_help()


def _narrow(kind: Any) -> Any:
    """A formatter of 100 columns, whatever the terminal is."""
    return lambda prog: kind(prog, width=100)


def systems() -> Iterator[tuple[str, str]]:
    """One page a system."""
    from symjax import systems as registry
    from symjax.generate.likelihood import Scoring

    fidelity = (ROOT / "docs" / "fidelity.md").read_text()
    for row in registry.rows():
        lines = [f"# {row.name}", ""]
        if row.system is None:
            lines += ["It trains and draws nothing by itself.", ""]
        else:
            one = registry.system(row.name)
            what = (
                "lattice and coordinates too"
                if one.draws_coordinates
                else "elements on positions; a realiser gives coordinates"
            )
            scored = (
                "yes" if isinstance(one, Scoring) else f"no: {getattr(one, 'no_likelihood', 'none is implemented')}"
            )
            lines += [f"{one.about[0].upper()}{one.about[1:]}. Draws {what}. Likelihood: {scored}.", ""]
            lines += ["| option | meaning |", "| --- | --- |"]
            lines += [f"| `--{o.name.replace('_', '-')}` | {o.help} |" for o in one.options] or [
                "| none of its own | |"
            ]
            lines += ["", "What cannot be asked of it:", ""]
            lines += [f"- `{name}`: {why}" for name, why in one.without_meaning.items()] or ["- nothing"]
            lines += [""]
        if row.config:
            text = (ROOT / row.config).read_text()
            lines += [
                "## Training",
                "",
                "```text",
                (ast.get_docstring(ast.parse(text)) or row.config).strip(),
                "```",
                "",
            ]
        heading = FIDELITY.get(row.name)
        if heading is not None:
            lines += ["## Fidelity", "", _section(fidelity, heading), ""]
        yield row.name, "\n".join(lines)


def _section(text: str, heading: str) -> str:
    """What stands under a heading of the second level, its own headings one level down; links as seen from a folder below."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    if found is None:
        raise SystemExit(f"docs/fidelity.md has no section {heading!r}")
    body = re.sub(r"^(#+) ", r"#\1 ", found[1].strip(), flags=re.M)
    return re.sub(r"\]\((?!https?:|#|\.\./)([^)]+)\)", r"](../\1)", body).replace("](#", "](../fidelity.md#")


def interfaces() -> Iterator[tuple[str, str]]:
    """One page a folder of the package: every public name with its signature and docstring, read from the source."""
    package = ROOT / "symjax"
    rooms: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        room = parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")
        if room == "models" and len(parts) > 2:
            room = f"models.{parts[1]}"
        if not room.startswith("_") or room == "__init__":
            rooms.setdefault(room, []).append(path)
    rooms.pop("__init__", None)
    for room, paths in sorted(rooms.items()):
        parts = [f"# symjax.{room}\n"]
        for path in paths:
            module = ".".join(("symjax", *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
            parts += list(_module(module, path))
        yield room, "\n".join(parts)


def _module(name: str, path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    if path.name.startswith("_") and path.name != "__init__.py":
        return
    yield f"## {name}\n"
    yield _fenced(ast.get_docstring(tree) or "")
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield f"### {name.rpartition('.')[2]}.{node.name}\n"
        yield f"```python\n{_signature(node)}\n```\n"
        yield _fenced(ast.get_docstring(node) or "")
        for inner in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                yield f"```python\n{_signature(inner)}\n```\n"
                yield _fenced(ast.get_docstring(inner) or "")


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {node.name}({ast.unparse(node.args)}){returns}"


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```\n" if text else ""


def tutorials() -> list[Path]:
    """The scripts that are run."""
    return sorted((ROOT / "docs" / "tutorials").glob("*.py"))


def tutorial(path: Path, *, run: bool) -> str:
    """A script as a page: its text, its code cell by cell, and what each cell printed."""
    source = path.read_text()
    head, *cells = re.split(r"^# %% ", source, flags=re.M)
    parts = [(ast.get_docstring(ast.parse(head)) or path.stem) + "\n"]
    parts.append(f"The script is `docs/tutorials/{path.name}`; run it in a clone.\n")
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        title, _, body = cell.partition("\n")
        lines = body.splitlines()
        count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        words = [line.removeprefix("#").strip() for line in lines[:count]]
        code = "\n".join(lines[count:]).strip("\n")
        shown = code
        parts += [f"## {title.strip()}\n", " ".join(words) + "\n", f"```python\n{shown}\n```\n"]
        if run:
            out = io.StringIO()
            with redirect_stdout(out):
                exec(compile(code, str(path), "exec"), scope)
            if out.getvalue().strip():
                parts.append(f"```text\n{out.getvalue().rstrip()}\n```\n")
    return "\n".join(parts)


def gallery() -> str:
    """Pictures of the tree."""
    shown = (
        ("crystals.png", "`symjax generate`: crystals of the shipped weights, and the space groups that appeared."),
        (
            "polar.png",
            "`symjax subgroups docs/examples/BaTiO3.cif --polar --png polar.png`: where polar phases can come from.",
        ),
        ("curves.png", "`python -m experiments.plot_curves`: training of the shipped weights."),
    )
    figures = "\n\n".join(f"![{text}]({name})\n\n{text}" for name, text in shown if (ROOT / "docs" / name).is_file())
    return f"# Gallery\n\n{figures}\n"


def settings(source: Path, out: Path) -> dict[str, Any]:
    """What mkdocs is told (its file is YAML, of which JSON is a part)."""
    listed = lambda folder: [{p.stem: f"{folder}/{p.name}"} for p in sorted((source / folder).glob("*.md"))]
    return {
        "site_name": "symjax",
        "docs_dir": str(source),
        "site_dir": str(out),
        "use_directory_urls": False,
        "theme": {"name": "material", "font": False, "features": ["navigation.tabs", "content.code.copy"]},
        "plugins": ["search"],
        "markdown_extensions": ["tables", "fenced_code", {"toc": {"permalink": True}}],
        "validation": {"links": {"anchors": "warn", "not_found": "warn"}, "nav": {"omitted_files": "info"}},
        "nav": [
            {"Start": "index.md"},
            {"Concepts": "concepts.md"},
            {"Guides": [{title: name} for title, name in GUIDES if (source / name).is_file()]},
            {"Commands": listed("commands")},
            {"Systems": [*listed("systems"), {"Fidelity": "fidelity.md"}]},
            {"Scripts": listed("tutorials")},
            {"Gallery": "gallery.md"},
            {"Python": listed("api")},
            {
                "Inside": [
                    {"Layout": "layout.md"},
                    {"Build notes": "BUILD_NOTES.md"},
                    {"Measurements": "measurements.md"},
                    {"Sources": "sources.md"},
                    {"Decisions": listed("decisions")},
                ]
            },
        ],
    }


def main(argv: list[str] | None = None) -> int:
    """Write the sources, run mkdocs; its exit code."""
    parser = argparse.ArgumentParser(prog="scripts.make_site", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("site"), help="folder of the site (site)")
    parser.add_argument("--no-run", action="store_true", help="show the scripts without running them")
    parser.add_argument("--sources", type=Path, metavar="DIR", help="only write the Markdown there")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        source = args.sources or Path(folder) / "docs"
        shutil.copytree(ROOT / "docs", source, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.jsonl", "*.py"))
        for name, text in pages(run=not args.no_run).items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if args.sources:
            return 0
        config = Path(folder) / "mkdocs.yml"
        config.write_text(json.dumps(settings(source, args.out.resolve()), indent=1))
        return subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", str(config)], check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
