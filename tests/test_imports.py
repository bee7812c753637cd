"""The import directions of the package, read from its source; and what an import must not drag in."""

import ast
import subprocess
import sys
from functools import cache
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

EXACT = ("ops", "groups", "lattice")
CORE = (*EXACT, "wyckoff", "crystals")
ALLOWED = {  # what a folder may import besides itself and ANYWHERE; models.X stands for every model
    "ops": (),
    "lattice": ("ops",),
    "groups": ("ops", "lattice"),
    "wyckoff": EXACT,
    "crystals": (*EXACT, "wyckoff"),
    "nn": ("ops", "lattice"),
    "diffusion": ("ops", "lattice"),
    "data": CORE,
    "navigate": CORE,
    "draw": (*CORE, "navigate"),
    "generate": (*CORE, "data", "navigate"),
    "train": (*CORE, "nn", "data.dataset", "data.files", "data.addresses"),
    "evaluate": (*CORE, "data", "draw"),
    "models": (*CORE, "nn", "diffusion", "data", "generate", "train"),
    "systems": (*CORE, "data.dataset", "models", "generate", "train"),
    "discover": (*CORE, "data", "draw", "generate", "systems", "evaluate"),
    "cli": (
        *CORE,
        "data",
        "navigate",
        "draw",
        "generate",
        "train",
        "evaluate",
        "systems",
        "discover",
        "models.symop.derive",
    ),
    "facade": (*CORE, "data", "navigate", "generate", "systems", "evaluate"),
    "testing": (*CORE, "data"),
    "__main__": ("cli",),
}
ANYWHERE = (
    "errors",
    "elements",
    "options",
    "parallel",
    "versions",
    "_beside",
    "_later",
    "_namesake",
)  # single files below every folder
CRYSTALLOGRAPHY = {"pymatgen", "spglib", "pyxtal", "ase", "gemmi", "smact", "moyopy", "matminer", "chgnet", "torch"}
MAY_USE_CRYSTALLOGRAPHY = ("data", "evaluate", "discover", "crystals.io", "groups.identify", "generate.pyxtal", "draw")


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path):
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imported(path):
    """[(name, whether at module level)] of everything a file imports; relative imports are made absolute."""
    tree = ast.parse(path.read_text(), filename=str(path))
    package = ["symjax", *path.relative_to(PACKAGE).parts[:-1]]
    lazy = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _type_checking(node)
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            found += [(f"{stem}.{alias.name}", id(node) not in lazy) for alias in node.names]
    return found


def _type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def within(name, allowed):
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


def test_there_is_something_to_check():
    assert len(modules()) > 20


def test_directions():
    """A folder imports only what the table allows, and a model no other model; lazily and for annotations no more than at once."""
    wrong = []
    for path in modules():
        module = name_of(path)
        folder = module.split(".")[0]
        if within(module, ANYWHERE):
            folder, allowed = module, ()
        else:
            assert folder in ALLOWED, f"symjax/{folder} has no row in the table of import directions"
            allowed = ALLOWED[folder]
        own = ".".join(module.split(".")[:2]) if folder == "models" else folder
        for name, _ in imported(path):
            target = name.removeprefix("symjax.")
            if target == name or target in ("__version__", "SymjaxError"):
                continue
            if not within(target, (own, *ANYWHERE, *allowed)):
                wrong.append(f"symjax.{module} must not import {name}")
    assert not wrong, "\n".join(wrong)


def circles(graph):
    """Strongly connected components of more than one node (Tarjan 1972) of a graph given as node -> set of nodes."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(set(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d", "f"}, "f": set(), "g": {"a"}}
    assert sorted(map(sorted, circles(graph))) == [["a", "b", "c"], ["d", "e"]]


def test_no_circles():
    """No module needs itself by way of others, imports inside functions and for annotations included."""
    names = {name_of(path): path for path in modules()}
    graph = {name: set() for name in names}
    for module, path in names.items():
        for name, _ in imported(path):
            target = name.removeprefix("symjax.")
            target = target if target in names else target.rpartition(".")[0]
            if target in names and target != module:
                graph[module].add(target)
    found = circles(graph)
    assert not found


def test_crystallography_is_lazy_and_in_its_place():
    """pymatgen and its like are imported inside functions only, and only where they belong; nothing is imported by a star."""
    wrong = []
    for path in modules():
        module = name_of(path)
        for name, at_import in imported(path):
            if name.endswith(".*"):
                wrong.append(f"symjax.{module} imports {name}")
            if name.split(".")[0] in CRYSTALLOGRAPHY:
                if not within(module, MAY_USE_CRYSTALLOGRAPHY):
                    wrong.append(f"symjax.{module} must not import {name}")
                if at_import:
                    wrong.append(f"symjax.{module} must import {name} inside a function")
    assert not wrong, "\n".join(wrong)


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
            "symjax.systems",
            "symjax.generate.loop",
            "symjax.models.symop.draw",
            "symjax.models.symop.geometry.realise",
            "symjax.models.symmcd.draw",
            "symjax.models.wyckoff_transformer.draw",
            "symjax.models.wyckoffaugen.draw",
            "symjax.models.wyckoffaugen.likelihood",
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


def test_walking_symmetry_starts_no_jax(repository):
    """`analyze` and `subgroups` need neither JAX nor pymatgen; JAX imported later, by whomever, knows the pytrees."""
    file = repository / "docs" / "examples" / "BaTiO3-tetragonal.cif"
    code = f"""
import io, sys, contextlib
from symjax.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["analyze", {str(file)!r}])
    main(["subgroups", {str(file)!r}, "--max-index", "1"])
print([name for name in ("jax", "flax", "pymatgen", "scipy", "matplotlib") if name in sys.modules])
from symjax.groups import close, standard_setting
import jax
opset = standard_setting(62)
print(len(jax.tree.leaves(opset)), jax.tree.structure(opset) == jax.tree.structure(standard_setting(225)))
"""
    assert run_python(code).split("\n")[:2] == ["[]", "3 True"]
