"""The folder of `symjax discover`: whose it is, what it was made by, and what a second run may do with it.

`.discover/` in it holds what a run goes on from: the plan, the pieces drawn so far and every finished relaxation. The same
command goes on there; another one is refused, so that no crystal of an earlier run goes away without a word.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from symjax.data.files import locked, write_text
from symjax.errors import InputError

STATE = ".discover"
RESULTS = "results.json"
PROGRAM = "symjax discover"


@contextmanager
def opened(folder: Path, plan: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[Path]:
    """Hold a folder for one run; gives the folder of its state.

    Args:
        folder: made if absent.
        plan: JSON values that decide what comes out; only a run of the same plan goes on in the folder.
        overwrite: remove what an earlier run wrote there.

    Raises:
        InputError: it holds files of something else, or of a run with another plan.
        SymjaxError: another process works in it.
    """
    state = folder / STATE
    try:
        fresh = not folder.exists() or not any(folder.iterdir())
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot write there ({error.strerror or error})") from error
    with locked(state / "lock", f"the folder {folder}"):
        if overwrite:
            _clear(folder)
        elif not fresh and not (state / "plan.json").is_file():
            if not any(state.glob("[!l]*")):
                shutil.rmtree(state)
            raise InputError(f"{folder}: holds files already; give another --out, or --overwrite to write among them")
        else:
            _check(folder, state, plan)
        write_text(state / "plan.json", json.dumps(plan, indent=1, sort_keys=True) + "\n")
        yield state


def _check(folder: Path, state: Path, plan: Mapping[str, Any]) -> None:
    try:
        before = json.loads((state / "plan.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise InputError(f"{state / 'plan.json'}: not JSON ({error}); --overwrite starts again") from error
    now = json.loads(json.dumps(plan))
    if changed := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
        said = "; ".join(f"{name}: {before.get(name)} there, {now.get(name)} now" for name in changed[:4])
        raise InputError(
            f"{folder}: was made by another command ({said}); give another --out, or --overwrite to remove its results"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier run of this program wrote."""
    state = folder / STATE
    try:
        files = json.loads((folder / RESULTS).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        files = []
    for name in files:
        if not Path(name).is_absolute() and ".." not in Path(name).parts:
            (folder / name).unlink(missing_ok=True)
    for item in state.iterdir():
        if item.name != "lock":
            shutil.rmtree(item) if item.is_dir() else item.unlink()
