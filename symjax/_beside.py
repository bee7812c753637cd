"""`symjax.configs` and `symjax.experiments` in a clone, where these folders lie beside the package; a wheel carries them inside.

So `symjax.configs.symop` has one name everywhere: in a clone on the path, in an editable install and in a wheel.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

FOLDERS = ("configs", "experiments")
_ROOT = Path(__file__).resolve().parent.parent


class _Finder(importlib.abc.MetaPathFinder):
    """Asked last, and only for what no other finder has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        start = _ROOT / name / "__init__.py"
        if package != "symjax" or name not in FOLDERS or not start.is_file():
            return None
        return importlib.util.spec_from_file_location(fullname, start, submodule_search_locations=[str(start.parent)])


def install() -> None:
    """Put the finder at the end of the import system; done once, by `symjax/__init__.py`."""
    if not any(
        type(finder).__name__ == _Finder.__name__ and type(finder).__module__ == __name__ for finder in sys.meta_path
    ):
        sys.meta_path.append(_Finder())


def config_file(name: str) -> Path | None:
    """A configuration of the package by name, as `symop` or `configs/symop.py`; None if there is none of that name."""
    wanted = Path(name)
    if wanted.parent not in (Path("."), Path("configs")):
        return None
    found = importlib.util.find_spec("symjax.configs")
    folder = Path(next(iter(found.submodule_search_locations or []), "")) if found else Path()
    file = folder / f"{wanted.name.removesuffix('.py')}.py"
    return file if found and file.is_file() and not wanted.name.startswith("_") else None
