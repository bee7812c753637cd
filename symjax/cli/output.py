"""A folder of results: checked before the work, written as a whole at the end.

Everything is first written into a hidden folder on the same disk and moved in when complete, so that an interrupted or failed
run leaves the target as it was. A second run into the same folder is refused, unless it is to replace the files of the first (those
its index names).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.crystals.types import AtomicStructure, Crystal

INDEX = "index.json"


def add_overwrite(parser: Any) -> None:
    """Register the option without which no file of an earlier run is removed."""
    parser.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run in the folder")


def check_folder(
    path: str | Path, *, overwrite: bool | None = None, append: bool = False, names: Collection[str] = ()
) -> Path:
    """Make sure that a folder can be made at ``path`` or written to, leaving nothing behind.

    Args:
        path: the folder.
        overwrite: whether files of an earlier run there may be replaced; None where nothing would be.
        append: whether the run adds to what is there.
        names: files that the run will write there, where it leaves no index.

    Raises:
        InputError: it is a file, cannot be made or written to, or holds the files of an earlier run; the message names it.
    """
    from symjax.data.files import local_path

    if not str(path).strip():
        raise InputError("--out: an empty name is no folder; give one, or . for the current folder")
    folder = local_path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; --out needs a folder")
    written = set(names) or _named_in_index(folder) - {INDEX}
    earlier = {name for name in written if (folder / name).exists()} if overwrite is False and not append else set()
    if earlier:
        raise InputError(
            f"{folder}: holds {len(earlier)} files of an earlier run, such as {min(earlier)}; give another --out, or "
            "--overwrite to replace them"
        )
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise InputError(f"{parent}: is a file, so the folder {folder} cannot be made inside it")
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InputError(f"{parent}: cannot write there ({error.strerror or error})") from error
    return folder


@contextmanager
def staged_folder(folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """Give an empty folder to write into; its files replace those in ``folder`` only if the block ends well.

    Args:
        folder: where the files go.
        keep: leave the files of an earlier run that have no new one.

    Raises:
        InputError: the files cannot be written; the message says why.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Inside a folder that exists: it may be a disk of its own, or the only place here where this user may write.
        place = folder if folder.exists() else folder.parent
        stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=place))
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror or error})") from error
    try:
        yield stage
        stage.chmod(0o777 & ~_umask())
        if not folder.exists():
            stage.rename(folder)
            return
        stale = set() if keep else _named_in_index(folder)
        # The index goes last: whoever sees a new index sees the new files.
        for file in sorted(stage.iterdir(), key=lambda item: item.name == INDEX):
            os.replace(file, folder / file.name)
            stale.discard(file.name)
        for name in sorted(stale):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot write there ({error.strerror or error})") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def show_then_write(show: Callable[[], object], write: Callable[[], object]) -> None:
    """What was worked out is shown, whether or not it can be written, and written, whether or not anybody reads on."""
    try:
        show()
        sys.stdout.flush()
    except (OSError, SystemExit):  # nobody reads on (rich ends the program then), or a full disk
        write()
        raise
    write()


def read_noted(path: str | Path) -> AtomicStructure:
    """A structure file; what reading it assumed goes to stderr, a line a note."""
    from symjax.crystals.io import read_file

    reading = read_file(path)
    for note in reading.notes:
        print(f"symjax: note: {path}: {note.kind}: {note.text}", file=sys.stderr)
    return reading.structure


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a final newline; NaN and infinities are refused."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def _named_in_index(folder: Path) -> set[str]:
    """Plain file names that an earlier run's index says it wrote; nothing if there is none or it is not ours."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        names = {str(name) for name in index["files"]} if str(index.get("program")).startswith("symjax ") else set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return {name for name in names if Path(name).name == name and name not in (".", "..")}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def setting_of(text: str | None, numbers: set[int]) -> int | None:
    """Hall number of --setting, None where it is not given.

    Raises:
        InputError: no such setting, or one of another type than the structures to be written.
    """
    from symjax.groups.symbols import parse_setting, short_symbol
    from symjax.groups.tables import hall_to_number

    if text is None:
        return None
    hall = parse_setting(text)
    if numbers != {hall_to_number(hall)}:
        listed = ", ".join(f"{short_symbol(n)} ({n})" for n in sorted(numbers))
        raise InputError(
            f"--setting {text} is one of {short_symbol(hall_to_number(hall))}; the structures have {listed}"
        )
    return hall


def file_setting_entry(hall: int) -> dict[str, Any]:
    """For an index: the setting of files, and where its axes lie in the standard ones, x_standard = basis x_file + origin."""
    import numpy as np

    from symjax.crystals.setting import setting_change
    from symjax.groups.symbols import setting_name

    change = setting_change(hall)
    basis = np.linalg.inv(change.matrix)
    return {
        "name": setting_name(hall),
        "basis": (basis + 0.0).tolist(),
        "origin": (-basis @ change.origin + 0.0).tolist(),
    }


def note_other_axes(text: str) -> None:
    """Say, where a type is asked for by the symbol of another than its standard setting, that files do not follow."""
    from symjax.groups.symbols import parse_setting, setting_name, short_symbol
    from symjax.groups.tables import default_hall, hall_to_number

    hall = parse_setting(text)
    number = hall_to_number(hall)
    if hall != default_hall(number):
        print(
            f"symjax: note: {setting_name(hall)} is {short_symbol(number)} in other axes; files are in the standard setting "
            f"(--setting {text} writes them in this one)",
            file=sys.stderr,
        )


def cif_text(crystal: Crystal, number: int, *, name: str, hall: int | None = None) -> str:
    """CIF text of a crystal of the standard setting, in another tabulated setting if asked."""
    from symjax.crystals.io import format_cif
    from symjax.crystals.setting import crystal_in_setting_of
    from symjax.evaluate.describe import setting_symbol, symbol_in_files
    from symjax.groups.tables import default_hall

    if hall is None or hall == default_hall(number):
        symbol = setting_symbol(number, crystal.W, crystal.w)
        return format_cif(crystal, name=name, symbol=symbol, number=number if symbol else None)
    moved, symbol = crystal_in_setting_of(crystal, hall), symbol_in_files(hall)
    return format_cif(moved, name=name, symbol=symbol, number=number)
