"""Checkpoints: the whole training state, atomic, newest and best kept, restored on any number of devices.

A checkpoint holds the state (orbax) and a JSON record: what made it, and a checksum of every byte of the state, because a damaged
file does not always fail to read. Whatever goes wrong becomes a `WeightsError` that names the checkpoint and what to do.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import shutil
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from symjax.errors import WeightsError
from symjax.train.step import TrainState

FORMAT = "symjax checkpoint 1"
_LOSS = "loss"


def digest(state: TrainState) -> int:
    """CRC-32 over names, types, shapes and bytes of all leaves (the same on any number of devices)."""
    total = 0
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.ascontiguousarray(jax.device_get(leaf))
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
        return sorted(int(p.name) for p in self.folder.iterdir() if p.is_dir() and p.name.isdigit())

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
        record = {"format": FORMAT, "step": step, "digest": digest(state), **record}
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
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(record=ocp.args.JsonRestore()))
            record = restored["record"]
        except Exception as error:
            raise self._unreadable(step, error) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise self._unreadable(step, "it was not written by symjax")
        return record

    def restore(self, step: int, like: TrainState, checksum: int | None) -> TrainState:
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
        if checksum is not None and digest(state) != checksum:
            raise self._unreadable(step, "its checksum does not fit its content")
        return state

    def set_aside(self, step: int) -> Path:
        """Move a checkpoint out of the way, into ``damaged`` beside the folder, and return where it lies now.

        Raises:
            WeightsError: it cannot be moved.
        """
        place = self.folder.parent / "damaged"
        number = next(i for i in itertools.count() if not (place / f"{step}-{i}").exists())
        try:
            place.mkdir(exist_ok=True)
            (self.folder / str(step)).rename(place / f"{step}-{number}")
        except OSError as error:
            raise WeightsError(f"cannot move {self.folder / str(step)} out of the way: {error.strerror}") from error
        self._manager.reload()
        return place / f"{step}-{number}"

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


def _reason(error: Exception) -> str:
    """Why a write failed: the end of tensorstore's chain of reasons, which starts with long paths."""
    line = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return line[0].split(": ")[-1] if "os_error_code" in line[0] else _line(error)


def _line(error: Exception) -> str:
    """First line of an error's text, at most 300 characters; orbax and tensorstore write pages."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:300]
