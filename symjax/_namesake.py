"""Another project is called `symjax` in package indexes and imports as `symjax` too; where both are installed, files mix.

The distribution of this project is called symjax-crystals (`symjax.versions.DISTRIBUTION`).
"""

from __future__ import annotations

import warnings
from pathlib import Path

FILES = ("base.py", "tensor", "probabilities", "_version.py")
"""What the other project puts into the folder `symjax`, and this one does not."""


def found(package: Path) -> list[str]:
    """What of the other project lies in a folder `symjax` and beside it.

    Args:
        package: the folder.
    """
    inside = [f"{package.name}/{name}" for name in FILES if (package / name).exists()]
    records = sorted(package.parent.glob("symjax-*.dist-info")) + sorted(package.parent.glob("symjax-*.egg-info"))
    foreign = []
    for record in records:
        try:
            text = (record / "METADATA").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        if "symmetry operations" not in text.lower().split("\n\n", 1)[0]:  # this project under its earlier name
            foreign.append(record.name)
    return inside + foreign


def warn() -> None:
    """Say once, on import, that the other project's files lie on the same path."""
    package = Path(__file__).resolve().parent
    if (package.parent / "pyproject.toml").is_file():  # a clone: nothing is installed into it
        return
    if others := found(package):
        warnings.warn(
            f"the project `symjax` of package indexes, another one, is installed at the same place ({', '.join(others)} in "
            f"{package.parent}); files of both may be mixed. Put it right by `pip uninstall symjax symjax-crystals` and then "
            "installing symjax-crystals again",
            RuntimeWarning,
            stacklevel=3,
        )
