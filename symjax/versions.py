"""Versions of packages, and the machine, as plain JSON values: what a file or a report says it was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any

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
