"""Shared settings of all tests: hypothesis profile, quiet third parties, one cache for compiled programs."""

import os

import pytest

# Before jax is imported anywhere: tests are small, and the CPU backend needs no search for other devices.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import HealthCheck, settings

settings.register_profile("symjax", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("symjax")


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
