"""Files that are either whole or absent: atomic replacement, and ``.npz`` archives whose bytes depend on the content alone.

Owns how prepared data reaches the disk. A file is written beside its target under a temporary name, flushed, and renamed, so a
crash, a full disk or a second writer never leaves half a file under the real name. Archives hold plain numpy members (readable
by ``numpy.load``) in sorted order with a fixed time stamp: writing the same arrays twice gives the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import platform
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from symjax.errors import SymjaxError

BOMB_FROM, MAX_RATIO = (
    2**28,
    500,
)  # bytes of arrays from which their ratio to compressed bytes is looked at, and the most
LOCAL_ONLY = "mount the bucket (gcsfuse, mountpoint-s3, blobfuse2) and give its path"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least: C:/ is a disk; Path makes one slash of two
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip member can carry


def kind_of_address(path: str | Path) -> str:
    """``gs`` of ``gs://bucket/run``; empty for a path of this machine."""
    return str(path).partition(":")[0] if _ADDRESS.match(str(path)) else ""


def local_path(path: str | Path) -> Path:
    """A path of this machine.

    Raises:
        SymjaxError: it is an address such as ``gs://bucket/run``, of which a local folder ``gs:`` would be made.
    """
    if kind := kind_of_address(path):
        raise SymjaxError(
            f"{path}: an address of {kind}, which only `symjax train` takes (data and work folder); here {LOCAL_ONLY}"
        )
    return Path(path)


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` and rename it to ``path`` when the block ends without an error.

    Raises:
        SymjaxError: the folder does not exist, cannot be written, or the disk is full.
    """
    path = local_path(path)
    temporary = None
    try:
        handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False)  # noqa: SIM115 - renamed, not deleted, when closed
        temporary = Path(handle.name)
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise SymjaxError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file mode mask (only readable by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def locked(path: str | Path, what: str) -> Iterator[None]:
    """Hold the lock of a file while the block runs; the system lets go of it when the process ends, however it ends.

    Args:
        path: the file, made if absent and left behind: it says which process held it last.
        what: what nobody else may use meanwhile, for the message.

    Raises:
        SymjaxError: another process holds it, or the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        yield
        return
    try:
        handle = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise SymjaxError(f"cannot make {path}: {error.strerror or error}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise SymjaxError(f"{what} is in use by {handle.read(200).strip() or 'another process'}") from None
        except OSError:  # a file system without locks
            pass
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {platform.node()}\n")
        handle.flush()
        yield


def printable(text: str) -> str:
    """Text that can be written as UTF-8: bytes of a file's name that the locale could not decode are read as UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 atomically."""
    with atomic_write(path) as handle:
        handle.write(printable(text).encode("utf-8"))


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as one compressed ``.npz``; equal arrays give equal bytes."""
    with atomic_write(path) as handle, zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, buffer.getvalue())


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read every array of an ``.npz`` without unpickling anything.

    Raises:
        SymjaxError: no such file, not an archive, or a damaged member.
    """
    path = local_path(path)
    if not path.is_file():
        raise SymjaxError(f"{path}: no such file (prepared data is made by `symjax data prepare`)")
    try:
        with open(path, "rb") as handle:
            _check_members(handle)
            with np.load(handle, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except Exception as error:
        # zipfile, its codecs and numpy raise a dozen types on what is damaged, encrypted or unknown to them
        said = str(error) or type(error).__name__
        raise SymjaxError(f"{path}: not a readable array archive ({said}); write it again") from error


def _check_members(handle: IO[bytes]) -> None:
    """Refuse an archive whose members claim more numbers than they hold, before any memory is given to them."""
    with zipfile.ZipFile(handle) as archive:
        held, packed = (sum(getattr(i, name) for i in archive.infolist()) for name in ("file_size", "compress_size"))
        if held > max(BOMB_FROM, MAX_RATIO * packed):
            raise ValueError(f"{held >> 20} MiB in {packed} compressed bytes")
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = header(member)
                claimed = math.prod(map(abs, shape)) * max(dtype.itemsize, 1)
                if dtype.hasobject or claimed > max(info.file_size - member.tell(), 0):
                    raise ValueError(f"{info.filename} claims {claimed} bytes and holds {info.file_size}")
    handle.seek(0)


def hash_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, dtypes, shapes and values, in sorted order of names (independent of compression)."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
