"""Tensors out of a torch checkpoint, without torch and without running anything that the file says.

A checkpoint (torch 1.6 and later) is a zip archive: ``data.pkl`` describes the objects, ``data/KEY`` holds the bytes of each
storage. A pickle can name any function to be called, so the reader here gives it only what tensors need: ordered dictionaries, the
names of storages, and the rebuilding of a tensor, which is our own function. Every other name becomes an inert `Unknown` that keeps
what it was given; nothing is imported, and no code of the file's choice runs.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import IO, Any

import numpy as np

from symjax.errors import InputError

MAX_BYTES = 1 << 30
"""Bytes of one member that are read at most; the published models have 262,144."""
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class Unknown:
    """Whatever a checkpoint holds besides tensors: arguments and state as they stood there, never acted upon.

    Attributes:
        args: what it was to be made with.
        state: its attributes.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        """Keep what was given."""
        self.args, self.state = (*args, *more.values()), None

    def __new__(cls, *args: Any, **more: Any) -> Unknown:
        """As an object is made without its own constructor."""
        made = super().__new__(cls)
        made.args, made.state = (*args, *more.values()), None
        return made

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes."""
        self.state = state

    def append(self, item: Any) -> None:
        """Items of a list that is none are dropped."""

    def extend(self, items: Any) -> None:
        """As `append`."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """As `append`."""


def read_checkpoint(file: str | IO[bytes]) -> Any:
    """The objects of a checkpoint, tensors as numpy arrays.

    Args:
        file: path, or an open binary file.

    Raises:
        InputError: no such archive, a storage that is missing or too short, a kind of number that numpy does not have.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                raise InputError("not a torch checkpoint: it holds no data.pkl, or several")
            folder = names[0][: -len("data.pkl")]
            order = f"{folder}byteorder"
            if order in archive.namelist() and _member(archive, order).strip() != b"little":
                raise InputError("the checkpoint's numbers are big-endian, which is not supported")
            return _Reader(archive, folder).load()
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        raise InputError(f"not a readable torch checkpoint: {type(error).__name__}: {error}") from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise InputError(f"{name} is larger than {MAX_BYTES} bytes")
    return archive.read(name)


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors and nothing else."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(_member(archive, f"{folder}data.pkl")))
        self.archive, self.folder = archive, folder
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return name  # a mark, which can be called no more than any text
        return Unknown

    def persistent_load(self, pid: Any) -> Any:
        kind, storage, key, _, num = pid
        if kind != "storage" or not isinstance(storage, str):
            raise InputError(f"the checkpoint holds a kind of storage that is not supported: {kind!r}")
        if str(key) not in self.storages:
            values = np.frombuffer(_member(self.archive, f"{self.folder}data/{key}"), np.dtype(_DTYPES[storage]))
            if len(values) < num:
                raise InputError(f"storage {key} of the checkpoint has {len(values)} numbers where {num} are announced")
            self.storages[str(key)] = values
        return self.storages[str(key)]


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    """A copy of the part of a storage that a tensor is."""
    if not isinstance(storage, np.ndarray) or len(size) != len(stride):
        raise InputError("a tensor of the checkpoint has no storage")
    if min((offset, *size, *stride)) < 0:
        raise InputError("a tensor of the checkpoint has negative sizes")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if 0 not in size and last >= len(storage):
        raise InputError(f"a tensor of the checkpoint reaches to number {last} of a storage of {len(storage)}")
    places = np.full(size, offset, np.int64)
    for axis, step in enumerate(stride):
        places += step * np.arange(size[axis]).reshape([-1 if i == axis else 1 for i in range(len(size))])
    return storage[places]
