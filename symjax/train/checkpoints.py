"""Checkpoints: the whole training state, atomic, newest and best kept, restored on any number of devices.

A checkpoint holds the state (orbax) and a JSON record: what made it, and a checksum of every byte of the state and of the record
itself, because a damaged file does not always fail to read. A folder may come from anywhere: nothing in it is run, followed out of
it or believed before it is checked. Whatever goes wrong becomes a `WeightsError` that names the checkpoint and what to do.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from symjax.errors import WeightsError
from symjax.train.mesh import whole
from symjax.train.step import TrainState

FORMAT = "symjax checkpoint 2"
_EARLIER = "symjax checkpoint 1"  # records without a checksum of their own
_LOSS = "loss"
_STEP = re.compile(r"0|[1-9]\d{0,17}")
_NEEDED = ("digest", "config", "data_hash")
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "digest": lambda value: isinstance(value, int),
    "config": lambda value: isinstance(value, dict),
    "data_hash": lambda value: isinstance(value, dict),
    "metrics": lambda value: isinstance(value, dict) and _numbers(value.values()),
    "best": lambda value: value is None or (isinstance(value, list) and len(value) == 2 and _numbers(value)),
    "meter": lambda value: _numbers(value[:1]) and _numbers(value[1].values()),
    "batch": lambda value: value is None or _numbers(value),
    "ended": lambda value: isinstance(value, bool),
}
"""What the loop reads of a record, and whether a value can be meant."""


def digest(state: TrainState) -> int:
    """CRC-32 of names, types, shapes and bytes of all leaves (the same on any number of devices); all processes call it at once."""
    total = 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(whole(leaf))
        total = zlib.crc32(f"{jax.tree_util.keystr(path)}{array.dtype}{array.shape}".encode(), total)
        total = zlib.crc32(array.tobytes(), total)
    return total


class Checkpoints:
    """The checkpoints of one run; use as a context manager, so that the last one is committed whatever happens.

    Args:
        folder: where they lie; made if needed.
        keep: how many of the newest are kept; the one with the lowest loss of those that were validated is kept besides.
    """

    def __init__(self, folder: str | Path, keep: int):
        self.folder = Path(folder).resolve()  # orbax fails late on relative paths
        for name in ("absl", "asyncio"):  # orbax tells every stage of a save; its errors come as exceptions as well
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._writing: int | None = None  # step of the save under way
        self.notes = self._unrank()
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(n=keep),
                checkpoint_managers.BestN(
                    get_metric_fn=lambda m: m[_LOSS], reverse=True, n=1, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        # best_fn makes orbax store the metrics that the policy ranks by; it has no say in what is kept
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policy,
            best_fn=lambda m: m[_LOSS],
            best_mode="min",
            cleanup_tmp_directories=True,
            create=True,
        )
        try:
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        except Exception as error:  # orbax raises many types
            raise WeightsError(f"cannot use {self.folder} for checkpoints: {_line(error)}") from error

    def __enter__(self) -> Checkpoints:
        strange = sorted({*self._manager.all_steps()} - {*self.steps()})  # orbax takes any number
        if strange:
            said = ", ".join(str(step)[:20] for step in strange[:3])
            raise WeightsError(
                f"{self.folder} holds folders that no run named, and are taken for steps {said}; remove them"
            )
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._manager.close()
        except Exception as failure:
            if error is None:
                raise self._failed(failure) from failure

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are complete on disk, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if _STEP.fullmatch(p.name) and p.is_dir())

    def _unrank(self) -> list[str]:
        """Take away losses that cannot be read: without them a checkpoint is not ranked, with them orbax opens none at all."""
        notes = []
        for step in self.steps():
            folder = self.folder / str(step) / "metrics"
            if not folder.exists() or (not _strange(folder) and _readable(folder / "metrics")):
                continue
            if jax.process_count() > 1:
                raise WeightsError(f"{folder} is damaged; remove it")
            place = self._move(folder, f"{step}-metrics")
            notes.append(f"DAMAGED: the loss of {self.folder / str(step)} cannot be read; moved to {place}")
        return notes

    def best(self) -> int | None:
        """Step of the complete checkpoint with the lowest loss; None if none was ranked."""
        self.wait()
        step = self._manager.best_step()
        return step if step in self.steps() else None

    def describe_last(self) -> str:
        """The last complete checkpoint, for messages; waits for one that is being written."""
        with contextlib.suppress(Exception):  # a save that failed has its own message
            self._manager.wait_until_finished()
        steps = self.steps()
        return f"last good checkpoint: step {steps[-1]} in {self.folder}" if steps else "there is no checkpoint yet"

    def save(self, step: int, state: TrainState, record: dict[str, Any], loss: float | None) -> None:
        """Write one checkpoint while training goes on; a step that is already there is left alone.

        Args:
            step: of the state.
            state: on the devices; it may be donated as soon as this returns.
            record: plain JSON values.
            loss: what ranks it for being the best; None leaves it out of that race.

        Raises:
            WeightsError: this or the one before could not be written; earlier ones are untouched.
        """
        if step in self._manager.all_steps():
            return
        self.wait()  # for the save before this one: its errors are its own
        self._writing = step
        self._check_space(state)
        # a copy: it is written while training goes on and changes what the caller's record refers to
        record = json.loads(json.dumps({"format": FORMAT, "step": step, "digest": digest(state), **record}))
        record["sum"] = _record_sum(record)
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record))
        metrics = {_LOSS: loss} if loss is not None and math.isfinite(loss) else None
        try:
            saved = self._manager.save(step, args=items, metrics=metrics)
        except Exception as error:
            raise self._failed(error) from error
        if not saved:
            raise WeightsError(f"{self.folder} holds checkpoints newer than step {step}; use a fresh --workdir")

    def _check_space(self, state: TrainState) -> None:
        """Refuse to start a write that the disk cannot hold."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + 2**20
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise self._failed(OSError(f"no space left: {needed / 2**20:.0f} MiB needed, {free / 2**20:.0f} free"))

    def wait(self) -> None:
        """Return when everything saved is on disk.

        Raises:
            WeightsError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._failed(error) from error

    def record(self, step: int) -> dict[str, Any]:
        """The JSON record of a checkpoint.

        Raises:
            WeightsError: there is none, or it was written by something else.
        """
        if strange := _strange(self.folder / str(step)):
            raise self._unreadable(step, strange)
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(record=ocp.args.JsonRestore()))
            record = restored["record"]
        except (Exception, RecursionError) as error:
            raise self._unreadable(step, error) from error
        if not isinstance(record, dict) or record.get("format") not in (FORMAT, _EARLIER):
            raise self._unreadable(step, "it was not written by symjax")
        if record["format"] == FORMAT and record.get("sum") != _record_sum(record):
            raise self._unreadable(step, "the checksum of its record does not fit")
        for name, fits in _FIELDS.items():
            try:
                good = name not in (*record, *_NEEDED) or fits(record.get(name))
            except Exception:  # a list where a mapping is meant, and the like
                good = False
            if not good:
                raise self._unreadable(step, f"its record has no proper {name!r}")
        if record.get("step") != step:
            raise self._unreadable(step, f"it is of step {record.get('step')}")
        return record

    def restore(self, step: int, like: TrainState, checksum: int) -> TrainState:
        """Read a state.

        Args:
            step: which checkpoint.
            like: tree of `jax.ShapeDtypeStruct` with shardings.
            checksum: what `digest` gave when it was written.

        Raises:
            WeightsError: damaged, of another shape or not of this program.
        """
        try:
            items = ocp.args.Composite(state=ocp.args.StandardRestore(like))
            state = self._manager.restore(step, args=items)["state"]
        except Exception as error:
            raise self._unreadable(step, error) from error
        if digest(state) != checksum:
            raise self._unreadable(step, "its checksum does not fit its content")
        return state

    def set_aside(self, step: int) -> Path:
        """Move a checkpoint out of the way, into ``damaged`` beside the folder, and return where it lies now.

        Raises:
            WeightsError: it cannot be moved.
        """
        place = self._move(self.folder / str(step), str(step))
        self._manager.reload()
        return place

    def _move(self, what: Path, name: str) -> Path:
        folder = self.folder.parent / "damaged"
        place = next(folder / f"{name}-{i}" for i in itertools.count() if not (folder / f"{name}-{i}").exists())
        try:
            folder.mkdir(exist_ok=True)
            what.rename(place)
        except OSError as error:
            raise WeightsError(f"cannot move {what} out of the way: {error.strerror}") from error
        return place

    def _unreadable(self, step: int, reason: Exception | str) -> WeightsError:
        others = [s for s in self.steps() if s != step]
        text = reason if isinstance(reason, str) else _line(reason)
        remedy = (
            f"remove it to go on from step {others[-1]}"
            if others
            else "remove it, or use a fresh --workdir, to start anew"
        )
        return WeightsError(f"checkpoint {self.folder / str(step)} is damaged or foreign: {text}; {remedy}")

    def _failed(self, error: Exception) -> WeightsError:
        where = f"{self.folder / str(self._writing)}"
        return WeightsError(f"could not write checkpoint {where}: {_reason(error)}; {self.describe_last()}")


def _readable(path: Path) -> bool:
    """Whether a file of orbax's holds a loss."""
    try:
        return math.isfinite(json.loads(path.read_text(encoding="utf-8"))[_LOSS])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _record_sum(record: dict[str, Any]) -> int:
    """CRC-32 of a record without this number itself; equal for what JSON makes of it."""
    said = {name: value for name, value in record.items() if name != "sum"}
    return zlib.crc32(json.dumps(json.loads(json.dumps(said)), sort_keys=True).encode())


def _strange(folder: Path) -> str:
    """What in a folder no save leaves there and reading might follow or wait for: a link, a pipe, a device; empty if nothing."""
    if folder.is_symlink():
        return "it is a link"
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                return f"{path.relative_to(folder)} is no plain file"
    return ""


def _reason(error: Exception) -> str:
    """Why a write failed: the end of tensorstore's chain of reasons, which starts with long paths."""
    line = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return line[0].split(": ")[-1] if "os_error_code" in line[0] else _line(error)


def _line(error: Exception) -> str:
    """First line of an error's text, at most 300 characters; orbax and tensorstore write pages."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:300]
