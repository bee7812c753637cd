"""What a work folder says of its run: `state.json`, and a lock that only one run can hold.

`state` is ``running``, ``finished`` (all steps), ``ended early`` (no better validation), ``stopped`` (by a signal; the same command
goes on) or ``failed``. A run that was killed outright leaves ``running`` behind with nobody holding the lock.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from symjax.data.files import write_text

FILE, LOCK = "state.json", "run.lock"
STOPPED = 75
"""Exit code of a run that a signal stopped before its end (EX_TEMPFAIL: try again)."""


class RunState:
    """Writes the state of one run.

    Args:
        workdir: its folder.
        facts: what stands in the file whatever the state: batch sizes, devices, steps wanted.
        active: False in processes that write nothing.
    """

    def __init__(self, workdir: Path, facts: dict[str, Any], *, active: bool):
        self.path, self.facts, self.active = workdir / FILE, facts, active

    def write(self, state: str, step: int, reason: str = "") -> None:
        """Replace what the file says."""
        if self.active:
            said = {"state": state, "step": step, "reason": reason} | self.facts
            write_text(self.path, json.dumps(said, indent=1, sort_keys=True) + "\n")


def read_state(workdir: str | Path) -> dict[str, Any] | None:
    """What `state.json` says, None if there is none that can be read."""
    try:
        said = json.loads((Path(workdir) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None
