"""Versions of packages, and the machine, as plain JSON values: what a file or a report says it was made with."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "symjax-crystals"
"""What package indexes call this project; `symjax` is another project there, of the same import name."""

TRAINING = ("symjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "e3nn-jax", "ml-collections", "numpy")


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Version of each installed package by name; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    if "symjax" in found:  # a clone on the path need not be installed
        import symjax

        found["symjax"] = symjax.__version__
    return found


def training_versions() -> dict[str, Any]:
    """What training and sampling depend on: packages, Python, platform, and JAX's devices (which this starts)."""
    import jax

    found = jax.devices()
    return versions(TRAINING) | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "backend": jax.default_backend(),
        "devices": f"{len(found)} x {found[0].device_kind}",
        "processes": jax.process_count(),
    }


def install_hint(extra: str) -> str:
    """The command that installs an extra into this installation: from the folder or file it came from, else from an index.

    Args:
        extra: name of the extra, such as ``stability``.
    """
    try:
        origin = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = None
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").is_file():  # a clone, whether installed as editable or only on the path
        return f"pip install -e '{root}[{extra}]'"
    url = urlsplit(str((origin or {}).get("url", "")))
    if url.scheme == "file":
        return f"pip install '{unquote(url.path)}[{extra}]'"
    return f"pip install '{DISTRIBUTION}[{extra}]'"
