"""Checkpoints: the whole training state, atomic, newest and best kept, restored on any number of devices.

A checkpoint holds the state (orbax) and a JSON record: what made it, and a checksum of every byte of the state, because a damaged
file does not always fail to read. Whatever goes wrong becomes a `WeightsError` that names the checkpoint and what to do.
"""

from __future__ import annotations

import logging
import math
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
        keep: how many of the newest are kept; the one with the lowest loss is kept besides.
    """

    def __init__(self, folder: str | Path, keep: int):
        self.folder = Path(folder).resolve()  # orbax fails late on relative paths
        logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells every stage of a save
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(n=keep),
                checkpoint_managers.BestN(get_metric_fn=lambda m: m[_LOSS], reverse=True, n=1),
            ]
        )
        options = ocp.CheckpointManagerOptions(preservation_policy=policy, cleanup_tmp_directories=True, create=True)
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

    def describe_last(self) -> str:
        """The last complete checkpoint, for messages."""
        steps = self.steps()
        return f"last good checkpoint: step {steps[-1]} in {self.folder}" if steps else "there is no checkpoint yet"

    def save(self, step: int, state: TrainState, record: dict[str, Any], loss: float) -> None:
        """Write one checkpoint while training goes on; a step that is already there is left alone.

        Raises:
            WeightsError: this or the one before could not be written; earlier ones are untouched.
        """
        if step in self._manager.all_steps():
            return
        record = {"format": FORMAT, "step": step, "digest": digest(state), **record}
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record))
        metrics = {_LOSS: loss if math.isfinite(loss) else float(np.finfo(np.float64).max)}
        try:
            self._manager.wait_until_finished()
            saved = self._manager.save(step, args=items, metrics=metrics)
        except Exception as error:
            raise self._failed(error, step) from error
        if not saved:
            raise WeightsError(f"{self.folder} holds checkpoints newer than step {step}; use a fresh --workdir")

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

    def _unreadable(self, step: int, reason: Exception | str) -> WeightsError:
        others = [s for s in self.steps() if s != step]
        text = reason if isinstance(reason, str) else _line(reason)
        remedy = f"remove it to go on from step {others[-1]}" if others else "remove it, or use a fresh --workdir, to start anew"
        return WeightsError(f"checkpoint {self.folder / str(step)} is damaged or foreign: {text}; {remedy}")

    def _failed(self, error: Exception, step: int | None = None) -> WeightsError:
        what = f"checkpoint of step {step}" if step is not None else "a checkpoint"
        return WeightsError(f"could not write {what} to {self.folder}: {_line(error)}; {self.describe_last()}")


def _line(error: Exception) -> str:
    """First line of an error's text, at most 300 characters; orbax and tensorstore write pages."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:300]
