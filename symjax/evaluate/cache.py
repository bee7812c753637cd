"""What was worked out for a crystal, kept on disk by the crystal's content: a second run, or one after a kill, starts there.

One sqlite file holds rows (stage, version, key) -> JSON. A stage's version is raised when its results change, so stale rows are
never read. Only the parent process writes; each row is committed with its batch, and a kill loses at most the batch under way.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError

_LOOKUP = 500  # keys a query; sqlite's limit on variables is larger


def default_path() -> Path:
    """``$SYMJAX_CACHE``, or ``symjax/evaluate.sqlite`` in the user's cache folder."""
    given = os.environ.get("SYMJAX_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "symjax" / "evaluate.sqlite"


def content_key(cell: AtomicStructure, *, operations: bool = False) -> str:
    """SHA-256 of lattice, coordinates and elements, bit for bit; with the set of operations if asked for."""
    digest = hashlib.sha256()
    arrays: list[Any] = [cell.L.astype("<f8"), cell.x.astype("<f8"), cell.z.astype("<i8")]
    if operations:
        arrays += [cell.W.astype("<i8"), cell.w.astype("<i8"), np.array([cell.den], "<i8")]
    for array in arrays:
        digest.update(f"{array.shape}|".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Cache:
    """Per-crystal results on disk; without a path, in memory.

    Args:
        path: the sqlite file, made if absent; None for memory.

    Raises:
        InputError: the file is no cache or cannot be written.
    """

    def __init__(self, path: Path | str | None = None):
        self.path = path
        try:
            if path is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(":memory:" if path is None else str(path), timeout=60)
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS results (stage TEXT, version TEXT, key TEXT, value TEXT, PRIMARY KEY "
                "(stage, version, key))"
            )
            self.database.commit()
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"{path}: cannot be used as a cache ({error}); give another with --cache, or --no-cache"
            ) from error

    def __enter__(self) -> Cache:
        """The cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.database.close()

    def get_many(self, stage: str, version: int | str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The results there are, by key."""
        found: dict[str, dict[str, Any]] = {}
        unique = list(dict.fromkeys(keys))
        for start in range(0, len(unique), _LOOKUP):
            part = unique[start : start + _LOOKUP]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value FROM results WHERE stage = ? AND version = ? AND key IN ({marks})"
            for key, value in self.database.execute(query, [stage, str(version), *part]):
                found[key] = json.loads(value)
        return found

    def put_many(self, stage: str, version: int | str, results: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Keep results; they are on disk when this returns."""
        rows = [(stage, str(version), key, json.dumps(value)) for key, value in results]
        try:
            with self.database:
                self.database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: cannot write the cache ({error})") from error

    def put(self, stage: str, version: int | str, key: str, value: dict[str, Any]) -> None:
        """Keep one result."""
        self.put_many(stage, version, [(key, value)])
