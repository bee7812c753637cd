"""The import directions of the package, read from its source; and what an import must not drag in."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import symjax

PACKAGE = Path(symjax.__file__).parent
THIRD_PARTY = (
    "pymatgen",
    "spglib",
    "pyxtal",
    "ase",
    "gemmi",
    "smact",
    "moyopy",
    "matminer",
    "matplotlib",
    "chgnet",
    "torch",
)

ARRAYS = ("ops", "groups", "lattice", "wyckoff", "crystals", "nn", "diffusion", "data.dataset", "data.files")
ALLOWED = {
    "ops": (),
    "lattice": ("ops",),
    "groups": ("ops", "lattice"),
    "crystals": ("ops", "groups", "lattice"),
    "navigate": ("ops", "groups", "lattice", "crystals"),
    "nn": ("ops", "lattice"),
    "diffusion": ("ops", "lattice"),
    "models": (*ARRAYS, "train.weights", "train.interface"),
    "data": ("ops", "groups", "lattice", "crystals"),
    "train": (*ARRAYS, "models"),
    "evaluate": (*ARRAYS, "data", "models", "train"),
    "cli": (*ARRAYS, "data", "models", "train", "evaluate", "navigate"),
    "testing": ("ops", "groups", "lattice", "crystals", "data"),
}
ANYWHERE = ("errors", "elements")
CRYSTALLOGRAPHY = {"pymatgen", "spglib", "pyxtal", "ase", "gemmi", "smact", "moyopy", "matminer", "chgnet", "torch"}
MAY_USE_CRYSTALLOGRAPHY = ("data", "evaluate", "crystals.io", "groups.identify")


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if len(path.relative_to(PACKAGE).parts) > 1)


def name_of(path):
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """(name, whether at module level) of everything a file imports; relative imports are made absolute."""
    tree = ast.parse(path.read_text(), filename=str(path))
    package = ["symjax", *path.relative_to(PACKAGE).parts[:-1]]
    lazy = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _type_checking(node)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in lazy
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                yield f"{stem}.{alias.name}", id(node) not in lazy


def _type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def within(name, allowed):
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


def test_there_is_something_to_check():
    assert len(modules()) > 20


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_directions(path):
    """A folder imports only what the table allows."""
    module = name_of(path)
    folder = module.split(".")[0]
    assert folder in ALLOWED, f"symjax/{folder} has no row in the table of import directions"
    wrong = []
    for name, _ in imported(path):
        if name == "symjax" or not name.startswith("symjax."):
            continue
        target = name.removeprefix("symjax.")
        own = within(target, (folder,))
        if (
            not own
            and not within(target, ANYWHERE)
            and not within(target, ALLOWED[folder])
            and target not in ("__version__", "SymjaxError")
        ):
            wrong.append(name)
    assert not wrong, f"symjax.{module} must not import {', '.join(wrong)}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_crystallography_is_lazy_and_in_its_place(path):
    """pymatgen and its like are imported inside functions only, and only where they belong."""
    module = name_of(path)
    for name, at_import in imported(path):
        if name.split(".")[0] in CRYSTALLOGRAPHY:
            assert within(module, MAY_USE_CRYSTALLOGRAPHY), f"symjax.{module} must not import {name}"
            assert not at_import, f"symjax.{module} must import {name} inside a function"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_star_imports(path):
    assert not [name for name, _ in imported(path) if name.endswith(".*")]


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    "names",
    [
        ("symjax",),
        ("symjax.ops", "symjax.groups", "symjax.lattice"),
        (
            "symjax.data.dataset",
            "symjax.models",
            "symjax.train",
            "symjax.models.symop.generate",
            "symjax.models.symmcd.generate",
            "symjax.models.wyckoff_transformer.generate",
        ),
    ],
    ids=["top", "algebra", "models"],
)
def test_import_drags_nothing_in(names):
    """Training and sampling from prepared arrays need only the JAX stack."""
    code = "import sys\n" + "".join(f"import {name}\n" for name in names)
    code += f"print([n for n in {THIRD_PARTY!r} if n in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_importing_the_top_level_starts_no_jax():
    assert run_python("import sys, symjax; print('jax' in sys.modules)").strip() == "False"
