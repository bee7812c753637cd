"""Helpers for tests: where the real data is. Nothing here is needed to use the package."""

import os
from pathlib import Path

__all__ = ["shared_data"]


def shared_data(name: str | None = None) -> Path | None:
    """Return the folder that holds the real data sets, or None where there is none.

    The environment variable SYMJAX_SHARED names it; without that, `shared/data` beside the repository is used.

    Args:
        name: a file or folder inside it, such as `mp20_open/test.csv.gz`; None for the folder itself.

    Returns:
        The path if it exists, else None, so that a test can skip with a reason.
    """
    given = os.environ.get("SYMJAX_SHARED")
    root = Path(given) if given else Path(__file__).resolve().parents[2].parent / "shared" / "data"
    path = root / name if name else root
    return path if path.exists() else None
