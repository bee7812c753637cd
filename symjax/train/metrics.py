"""What a run tells: JSON lines, TensorBoard events and a progress bar; only the main process writes.

`metrics.jsonl` has one object a line: step, split ("train" or "val"), seconds since the start of this process, and the metrics.
Train values are means over the steps since the line before.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from symjax.data.files import write_text

METRICS = "metrics.jsonl"


class Beside(Protocol):
    """A writer beside the files, such as `symjax.train.wandb.Wandb`."""

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """One line of metrics at a step."""
        ...

    def close(self) -> None:
        """Flush everything."""
        ...


class Writer:
    """Metric files and progress of one run.

    Args:
        folder: the work folder.
        start: step the run starts from; later lines of an earlier, broken run are dropped.
        total: steps in all, for the progress bar.
        active: False in processes that write nothing.
        beside: another writer that gets the same.
    """

    def __init__(self, folder: Path, *, start: int, total: int, active: bool, beside: Beside | None = None):
        self._active, self._begin, self._beside = active, time.monotonic(), beside
        if not active:
            return
        from tqdm import tqdm

        path = folder / METRICS
        _drop_after(path, start)
        self._file = path.open("a", encoding="utf-8")
        self._board = _Board(folder / "tensorboard", start)
        interval = 0.2 if sys.stderr.isatty() else 20.0
        self._bar = tqdm(
            total=total, initial=start, unit="step", mininterval=interval, file=sys.stderr, dynamic_ncols=True
        )

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """One line of metrics at a step."""
        if not self._active:
            return
        row: dict[str, Any] = {"step": step, "split": split, "seconds": round(time.monotonic() - self._begin, 3)}
        row |= {k: float(v) if math.isfinite(v) else None for k, v in sorted(values.items())}  # JSON has no NaN
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self._board.add(step, {f"{split}/{name}": float(np.float64(value)) for name, value in values.items()})
        if self._beside is not None:
            self._beside.write(step, split, values)
        if split == "train":
            self._bar.set_postfix_str(f"loss {values['loss']:.4g}", refresh=False)

    def advance(self, steps: int) -> None:
        """Move the progress bar."""
        if self._active:
            self._bar.update(steps)

    def say(self, text: str) -> None:
        """A line of text beside the bar."""
        if self._active:
            self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        """Flush everything."""
        if self._active:
            self._file.close()
            self._board.close()
            self._bar.close()
            if self._beside is not None:
                self._beside.close()


class _Board:
    """TensorBoard's events, written by whom they are told.

    tensorboardX's usual writer has a thread, which ends where the clock is set back or the disk is full, and a queue, for whose
    space a run then waits for ever.
    """

    def __init__(self, folder: Path, start: int):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))
        self._writer.write_event(
            Event(step=start, session_log=SessionLog(status=SessionLog.START))
        )  # hides later steps

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars of a step."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class Meter:
    """Sums of metrics and steps since the last line of the log.

    A checkpoint keeps them, so that a resumed run writes the same line.

    Args:
        steps: so many are in the sums.
        sums: of each metric.
    """

    def __init__(self, steps: int = 0, sums: Mapping[str, float] | None = None) -> None:
        self.steps, self._timed, self._begin, self._sums = steps, 0, time.monotonic(), dict(sums or {})
        self._examples, self._apart = 0, 0.0

    def start_clock(self) -> None:
        """Training begins now."""
        self._begin, self._apart = time.monotonic(), 0.0

    def add(self, sums: Mapping[str, Any], steps: int, examples: int = 0, *, timed: bool = True) -> None:
        """Count so many more steps with these sums, of so many examples in all; untimed ones were left out of the clock."""
        self.steps += steps
        if timed:
            self._timed, self._examples = self._timed + steps, self._examples + examples
        for name, value in sums.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def leave_out(self, seconds: float) -> None:
        """Seconds that were no training: compiling, validating."""
        self._apart += seconds

    def stored(self) -> list[Any]:
        """The arguments of one like this, as JSON values."""
        return [self.steps, self._sums]

    def means(self) -> dict[str, float]:
        """Means over the steps, and how many steps and examples a second this process made, compiling left out."""
        means = {name: value / self.steps for name, value in self._sums.items()}
        seconds = max(time.monotonic() - self._begin - self._apart, 1e-9)
        rates = {"steps_per_second": self._timed / seconds, "examples_per_second": self._examples / seconds}
        return means | (rates if self._timed else {})


def read(path: str | Path, split: str | None = None) -> list[dict[str, Any]]:
    """Rows of a metrics file, of one split if asked; a torn last line is left out."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if split is None or row.get("split") == split:
            rows.append(row)
    return rows


def _drop_after(path: Path, step: int) -> None:
    """Remove lines of steps that will be done again."""
    if path.exists():
        kept = [row for row in read(path) if row.get("step", 0) <= step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
