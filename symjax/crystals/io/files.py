"""Files as text, within limits: compressed or not, never more than a machine can hold.

Owns `open_text`, `read_text`, `load_json` and the limits. What is too large, bombs included, is refused before it fills memory.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import IO, Any

from symjax.errors import DataError

MAX_BYTES = 4 * 2**30  # of text in one file
MAX_RATIO = 200  # of text to compressed bytes, looked at beyond RATIO_FROM; crystals compress less than tenfold
RATIO_FROM = 64 * 2**20


class _Limited(io.RawIOBase):
    """A stream that raises once more bytes came out of a file than can be meant."""

    def __init__(self, inner: IO[bytes], path: Path, compressed: int) -> None:
        self.inner, self.path, self.compressed, self.total = inner, path, compressed, 0

    def readable(self) -> bool:
        """A stream to read from."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer and count."""
        data = self.inner.read(len(buffer))
        self.total += len(data)
        bomb = self.compressed and self.total > max(RATIO_FROM, MAX_RATIO * self.compressed)
        if self.total > MAX_BYTES or bomb:
            raise DataError(
                f"{self.path}: holds more than {self.total >> 20} MiB of text"
                + (f" in {self.compressed} compressed bytes" if self.compressed else "")
                + "; cut it into smaller files"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file below as well."""
        if not self.closed:
            self.inner.close()
        super().close()


def open_text(path: str | Path) -> io.TextIOWrapper:
    """A text stream of a plain or gzipped file (by its name or first bytes); bytes that are not UTF-8 become replacement marks.

    Raises:
        DataError: it cannot be opened; while reading, that it is damaged (`OSError`, `EOFError`, `zlib.error`) or too large.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            packed = path.suffix.lower() == ".gz" or stream.read(2) == b"\x1f\x8b"
        inner = gzip.open(path, "rb") if packed else open(path, "rb")  # noqa: SIM115 - closed with the stream
        size = path.stat().st_size if packed else 0
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    limited = _Limited(inner, path, size)  # type: ignore[arg-type]
    return io.TextIOWrapper(io.BufferedReader(limited, 1 << 20), encoding="utf-8-sig", errors="replace", newline="")


def read_text(path: str | Path) -> str:
    """The whole text of a plain or gzipped file.

    Raises:
        DataError: missing, damaged or too large.
    """
    try:
        with open_text(path) as stream:
            return stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def load_json(text: str, name: str) -> Any:
    """A JSON value, nothing decoded beyond it.

    Raises:
        DataError: not JSON, or nested too deep; the message begins with ``name``.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{name}: nested too deep to be data") from None
    except ValueError as error:
        raise DataError(f"{name}: not valid JSON ({error})") from error
