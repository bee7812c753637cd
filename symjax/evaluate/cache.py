"""What was worked out for a crystal, kept on disk by the crystal's content: a second run, or one after a kill, starts there.

One sqlite file holds rows (stage, version, key) -> JSON with a checksum. A stage's version is raised when its results change and
names the packages that decide them, so stale rows are never read; a value that does not fit its checksum is worked out again. Only
the parent process writes; each row is committed with its batch, and a kill loses at most the batch under way. A cache that cannot
be read or written any more (damaged, read-only, full, locked) is given up with one line, and the run goes on in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.versions import versions

_LOG = logging.getLogger("symjax")
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


def stamp(version: int | str, packages: Sequence[str]) -> str:
    """A stage's version with those of the packages that decide its results, as the cache keeps it."""
    return "; ".join([str(version), *(f"{name} {found}" for name, found in versions(packages).items())])


class Cache:
    """Per-crystal results on disk; without a path, in memory.

    Args:
        path: the sqlite file, made if absent; None for memory.

    Raises:
        InputError: the file is something else than a cache.
    """

    def __init__(self, path: Path | str | None = None):
        self.path = path
        self.database: sqlite3.Connection | None = None  # None: nothing is read from disk (any more)
        self._memory: dict[tuple[str, str, str], str] | None = {} if path is None else None  # None: all is on disk
        if path is None:
            return
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(str(path), timeout=60)
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS results (stage TEXT, version TEXT, key TEXT, value TEXT, PRIMARY KEY "
                "(stage, version, key))"
            )
            self.database.commit()
        except (OSError, sqlite3.Error) as error:
            if "not a database" in str(error):
                raise InputError(f"{path}: is no cache ({error}); give another with --cache, or --no-cache") from error
            self._give_up(error, reading=self.database is None or not self._readable())

    def _readable(self) -> bool:
        try:
            assert self.database is not None
            self.database.execute("SELECT count(*) FROM (SELECT 1 FROM results LIMIT 1)")
        except sqlite3.Error:
            return False
        return True

    def _give_up(self, error: Exception, *, reading: bool) -> None:
        """Write to memory from now on, and read nothing from disk if that failed too."""
        if self._memory is None:
            self._memory = {}
            _LOG.warning(
                "symjax: %s: the cache cannot be %s (%s); results are kept in memory only",
                self.path,
                "read" if reading else "written",
                error,
            )
        if reading and self.database is not None:
            with contextlib.suppress(sqlite3.Error):
                self.database.close()
            self.database = None

    def __enter__(self) -> Cache:
        """The cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self.database is not None:
            with contextlib.suppress(sqlite3.Error):
                self.database.close()

    def get_many(self, stage: str, version: int | str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The results there are, by key; those whose checksum is wrong are not."""
        unique = list(dict.fromkeys(keys))
        found: dict[str, str] = {}
        for start in range(0, len(unique), _LOOKUP):
            if self.database is None:
                break
            part = unique[start : start + _LOOKUP]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value FROM results WHERE stage = ? AND version = ? AND key IN ({marks})"
            try:
                found.update(self.database.execute(query, [stage, str(version), *part]).fetchall())
            except (sqlite3.Error, UnicodeDecodeError) as error:
                self._give_up(error, reading=True)
        if self._memory is not None:
            places = ((key, (stage, str(version), key)) for key in unique)
            found |= {key: self._memory[place] for key, place in places if place in self._memory}
        values = ((key, _unpacked(stage, version, key, text)) for key, text in found.items())
        return {key: value for key, value in values if value is not None}

    def put_many(self, stage: str, version: int | str, results: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Keep results; they are on disk when this returns."""
        rows = [(stage, str(version), key, _packed(stage, version, key, value)) for key, value in results]
        if self._memory is None and self.database is not None:
            try:
                with self.database:
                    self.database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)
                return
            except sqlite3.Error as error:
                self._give_up(error, reading=False)
        assert self._memory is not None
        self._memory |= {row[:3]: row[3] for row in rows}

    def put(self, stage: str, version: int | str, key: str, value: dict[str, Any]) -> None:
        """Keep one result."""
        self.put_many(stage, version, [(key, value)])


def _checksum(stage: str, version: int | str, key: str, text: str) -> str:
    return f"{zlib.crc32(f'{stage}|{version}|{key}|{text}'.encode()):08x}"


def _packed(stage: str, version: int | str, key: str, value: dict[str, Any]) -> str:
    """What is kept: a checksum of the row, and the value as JSON."""
    text = json.dumps(value)
    return f"{_checksum(stage, version, key, text)} {text}"


def _unpacked(stage: str, version: int | str, key: str, kept: Any) -> dict[str, Any] | None:
    """The value of a row, None where the row is not what was written."""
    checksum, _, text = str(kept).partition(" ")
    if checksum != _checksum(stage, version, key, text):
        return None
    value = json.loads(text)
    return value if isinstance(value, dict) and value else None
