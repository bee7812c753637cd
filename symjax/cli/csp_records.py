"""What `symjax csp` has done of a run, a line a crystal: a run that was stopped goes on, and is the same as one that was not.

`run.json` says what was asked for; `NAME.jsonl` holds a JSON object for each finished crystal. A line is written as a whole and
flushed to the disk; half a line at the end of a file (the machine went down) is dropped, and that crystal is done again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from symjax.errors import InputError

RUN = "run.json"
GIVEN = {
    "formula": "formula given, symmetry not",
    "atoms": "formula and atoms of the primitive cell given",
    "group": "formula and space group given",
    "operations": "formula and operations given",
}
"""Parts of a run: what is told of a crystal."""
SUBSTITUTION = "substitution"
"""What stands beside every model."""


class Records:
    """The finished crystals of one run.

    Args:
        folder: made if it is not there.
        settings: what decides the results (JSON values). A folder of other settings is refused.

    Raises:
        InputError: the folder holds another run; the message names what differs.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]):
        from symjax.data.files import write_text

        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        settings = json.loads(json.dumps(settings))
        place = folder / RUN
        if place.exists():
            try:
                before = json.loads(place.read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(f"{place}: not valid JSON ({error}); give another --out") from error
            different = [key for key in {*settings, *before} if settings.get(key) != before.get(key)]
            if different:
                key = sorted(different)[0]
                raise InputError(
                    f"{folder} holds a run with {key} {before.get(key)}, not {settings.get(key)}; give another --out, or the same "
                    "options to go on"
                )
        else:
            write_text(place, json.dumps(settings, indent=1) + "\n")

    def read(self, name: str) -> dict[int, dict[str, Any]]:
        """Row of the data -> what was found, of all finished crystals of a part of the run."""
        place = self._place(name)
        found: dict[int, dict[str, Any]] = {}
        if not place.exists():
            return found
        content = place.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with open(place, "r+b") as handle:
                handle.truncate(len(whole))
        for number, line in enumerate(whole.decode("utf-8").splitlines(), 1):
            try:
                one = json.loads(line)
                found[int(one["row"])] = one
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{place}, line {number}: not a record ({error}); remove the file to start anew"
                ) from error
        return found

    def add(self, name: str, one: dict[str, Any]) -> None:
        """Keep a finished crystal."""
        with open(self._place(name), "a", encoding="utf-8") as handle:
            handle.write(json.dumps(one, allow_nan=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"
