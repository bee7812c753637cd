"""Shared settings of all tests: hypothesis profile, quiet third parties, one cache for compiled programs."""

import os
import shutil
import sys
import tempfile

import pytest

# Before jax is imported anywhere: tests are small, and the CPU backend needs no search for other devices.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
# Most of the time goes into compiling small programs: without LLVM's optimisations a fifth less. What is marked (slow, faults)
# is run with them, as users do.
if not any(word in argument for argument in sys.argv for word in ("slow", "faults")):
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# The same programs are compiled by several test processes (workers of xdist, commands run as a user would); compile once.
# The first process makes the folder, those that it starts inherit it.
_CACHE = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _CACHE = tempfile.mkdtemp(prefix="symjax-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    # Reading a program back, XLA warns at length that its own tuning flags are no features of the machine.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile("symjax", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("symjax")


# Tests that share fixtures and compiled programs go to one worker: those of a file, and of these folders (all draw from the shipped
# weights). What takes long starts first, so that no worker is left alone with it.
TOGETHER = ("tests/generate/",)
FIRST = ("tests/generate/", "tests/models/", "tests/train/", "tests/test_cli", "tests/navigate/", "tests/evaluate/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files to a worker, in the order in which they were collected, where nothing else is asked for."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Shared(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.split("::", 1)[0])

    config.option.loadscopereorder = False
    return Shared(config, log)


def pytest_collection_modifyitems(items):
    """Long files first."""
    place = {folder: i for i, folder in enumerate(FIRST)}
    items.sort(key=lambda item: next((i for folder, i in place.items() if item.nodeid.startswith(folder)), len(place)))


def pytest_unconfigure():
    """Remove the compiled programs."""
    if _CACHE:
        shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def repository():
    """The root of the repository (skips where the tests run from somewhere else)."""
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    if not (root / "pyproject.toml").exists():
        pytest.skip("needs the repository around the tests")
    return root


@pytest.fixture(scope="session")
def prototype_dataset():
    """The 288 AFLOW prototypes as a prepared data set, made once (about 3 s)."""
    from symjax.data.prepare import assemble, treat_rows
    from symjax.data.prototypes import prototype_rows
    from symjax.data.rows import RowOptions

    return assemble(treat_rows(prototype_rows(), RowOptions(), workers=1), RowOptions(), source="prototypes").dataset
