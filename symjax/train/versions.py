"""What a run was made with: package versions, Python, platform and devices, as plain JSON values."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

PACKAGES = ("symjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "e3nn-jax", "ml-collections", "numpy")


def versions() -> dict[str, Any]:
    """Versions of what training and sampling depend on, and the devices in use."""
    import jax

    import symjax

    found: dict[str, Any] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    found["symjax"] = symjax.__version__
    devices = jax.devices()
    found["python"] = platform.python_version()
    found["platform"] = platform.platform()
    found["processor"] = platform.machine()
    found["backend"] = jax.default_backend()
    found["devices"] = f"{len(devices)} x {devices[0].device_kind}"
    found["processes"] = jax.process_count()
    return found
