"""spglib's notice about its own future errors, left out where it is called; one place, since three layers call it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOTICE = "Set OLD_ERROR_HANDLING"


@contextmanager
def without_notice() -> Iterator[None]:
    """Leave out the deprecation notice of spglib's old way to report errors, by its words; every other warning stays.

    It says nothing about the crystal, and both ways are handled: callers take None as well as an exception for a failed search.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NOTICE, DeprecationWarning)
        yield
