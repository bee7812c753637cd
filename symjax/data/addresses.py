"""Addresses of object stores, ``gs://``, ``s3://``, ``az://`` and ``hf://``, as `etils.epath` takes them.

Everything else here works on local files, so an address means a copy: data is fetched when a run starts, and a work folder is a
local one that is sent after each checkpoint (`Staged`). Every driver is a package of its own; one that is missing is named.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from symjax.data.files import LOCAL_ONLY, kind_of_address
from symjax.errors import SymjaxError

DRIVERS = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}
"""Kind of address -> package that epath needs for it (through fsspec)."""
TENSORFLOW = ("gs", "s3")
"""Kinds that epath also serves by TensorFlow, where that is installed."""
LAST = "state.json"
"""File of a work folder that says how far the others are: it is sent after them."""
UNSENT = ("run.lock",)


def opened(address: str | Path) -> Any:
    """The `epath.Path` of an address; nothing is asked of the store yet.

    Raises:
        SymjaxError: epath knows no such kind, or its driver is not installed.
    """
    kind = kind_of_address(address)
    if kind not in DRIVERS:
        kinds = ", ".join(f"{one}://" for one in DRIVERS)
        raise SymjaxError(f"{address}: an address of {kind}; known are {kinds}")
    installed = lambda package: importlib.util.find_spec(package) is not None
    if not installed(DRIVERS[kind]) and not (kind in TENSORFLOW and installed("tensorflow")):
        raise SymjaxError(
            f"{address}: an address of {kind} needs the package {DRIVERS[kind]}, which is not installed: `pip install "
            f"{DRIVERS[kind]}`, or {LOCAL_ONLY}"
        )
    from etils import epath

    rest = str(address).partition(":")[2].lstrip("/")  # pathlib makes one slash of two
    return epath.Path(f"{kind}://{rest}")


def check(path: str | Path) -> None:
    """Refuse an address that cannot be served; a path of this machine passes.

    Raises:
        SymjaxError: see `opened`.
    """
    if kind_of_address(path):
        opened(path)


@contextlib.contextmanager
def fetched(path: str | Path) -> Iterator[Path]:
    """A local path of a file while the block runs: the path itself, or a copy of what lies at the address.

    Raises:
        SymjaxError: it cannot be fetched.
    """
    if not kind_of_address(path):
        yield Path(path)
        return
    remote = opened(path)
    with tempfile.TemporaryDirectory(prefix="symjax-") as folder:
        local = Path(folder) / remote.name
        _copy(remote, local, path)
        yield local


class Staged:
    """A local folder that stands for a work folder at an address; a context, which fetches first and sends at the end.

    Only this process may use the address meanwhile: stores have no locks. A run that is killed loses what came after the last
    `send`; files that were sent in part by it are those of the newest checkpoint, which the loop then finds damaged and sets aside.

    Args:
        address: of the work folder.

    Raises:
        SymjaxError: see `opened`.
    """

    def __init__(self, address: str | Path):
        self.address, self._remote = str(address), opened(address)
        self.folder = Path(tempfile.mkdtemp(prefix="symjax-"))
        self._known: dict[str, tuple[int, int]] = {}  # file -> size and time when it was last sent or fetched

    def __enter__(self) -> Staged:
        with _told(self.address):
            names = list(_files(self._remote)) if self._remote.exists() else []
        for name in names:
            local = self.folder / name
            local.parent.mkdir(parents=True, exist_ok=True)
            _copy(self._remote / name, local, self.address)
        self._known = self._here()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.send()
        except SymjaxError as failure:
            raise SymjaxError(f"{failure}; what was not sent lies in {self.folder}") from error
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self) -> None:
        """Make the address hold what the folder holds: new and changed files, `state.json` last, then removals.

        Raises:
            SymjaxError: the store refuses.
        """
        here = self._here()
        changed = [name for name, what in here.items() if self._known.get(name) != what]
        for name in sorted(changed, key=lambda name: (name == LAST, name)):
            _copy(self.folder / name, self._remote / name, self.address)
            self._known[name] = here[name]
        for name in sorted(set(self._known) - set(here)):
            with _told(self.address):
                (self._remote / name).unlink(missing_ok=True)
            del self._known[name]

    def _here(self) -> dict[str, tuple[int, int]]:
        """Files that are whole: not the lock, and none under a temporary name."""
        found = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and name not in UNSENT and not any(_temporary(part) for part in Path(name).parts):
                stat = path.stat()
                found[name] = stat.st_size, stat.st_mtime_ns
        return found


def _temporary(part: str) -> bool:
    return part.endswith(".tmp") or ".orbax-checkpoint-tmp" in part


def _files(folder: Any, prefix: str = "") -> Iterator[str]:
    """Names of all files below a folder of epath's, with slashes."""
    for path in folder.iterdir():
        if not path.name:
            continue  # a store's own mark for a folder
        if path.is_dir():
            yield from _files(path, f"{prefix}{path.name}/")
        else:
            yield prefix + path.name


def _copy(source: Any, target: Any, what: str | Path) -> None:
    with _told(what):
        reading: IO[bytes]
        with source.open("rb") as reading, target.open("wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)


@contextlib.contextmanager
def _told(what: str | Path) -> Iterator[None]:
    """Whatever a driver raises, in one line: each has types of its own."""
    try:
        yield
    except FileNotFoundError as error:
        raise SymjaxError(f"{what}: no such file ({error})") from error
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SymjaxError(f"{what}: {line[:300]}") from error
