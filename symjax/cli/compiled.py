"""Compiled programs are kept between runs: most of the time of a short command is XLA compiling what it compiled the day before.

JAX's own persistent cache, in the user's cache folder. Set in the environment before jax is imported, so worker processes share it.
"""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SETTINGS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # a command has a hundred small programs
    # reading a program back, XLA tells at length that its own tuning flags are no features of the machine
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def folder() -> Path:
    """Where the programs of this machine lie: ``symjax/compiled/HASH`` in the user's cache folder.

    The hash is of the processor's features and of jaxlib: a home folder may be shared by machines of several kinds, and a program
    for one may not run on another.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        features = platform.processor()
    try:
        library = version("jaxlib")
    except PackageNotFoundError:
        library = ""
    name = hashlib.sha256(f"{platform.machine()} {features} {library}".encode()).hexdigest()[:16]
    return (Path(base) if base else Path.home() / ".cache") / "symjax" / "compiled" / name


def keep_programs() -> None:
    """Turn the cache on, unless the user has set one or turned it off, or the folder cannot be written."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or "JAX_ENABLE_COMPILATION_CACHE" in os.environ:
        return
    try:
        where = folder()
        where.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home at all
        return
    if os.access(where, os.W_OK):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(where)
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
