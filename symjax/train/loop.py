"""The training loop: it knows tasks, devices and files, and nothing about crystals.

The host only chooses examples, starts dispatches of many steps and looks at the results of the dispatch before, so the device never
waits for it. At the end of every dispatch it may log, validate, write a checkpoint, or stop because a signal asked for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from symjax.data.files import local_path, locked, write_text
from symjax.errors import ConfigError, SymjaxError, WeightsError
from symjax.nn.partition import DATA
from symjax.train import hosts
from symjax.train import mesh as meshes
from symjax.train.batches import BatchPlan, evaluation_indices
from symjax.train.checkpoints import Checkpoints
from symjax.train.config import differences, flat
from symjax.train.interface import Bucket, PyTree, Task
from symjax.train.metrics import Meter, Writer
from symjax.train.parameters import check_patterns, split, start_from
from symjax.train.plateau import factor_of, observe
from symjax.train.profile import Profile
from symjax.train.state import LOCK, RunState
from symjax.train.step import LOSS, TrainState, init_state, make_dispatch, make_evaluate, make_optimizer, make_schedule
from symjax.train.wandb import Wandb
from symjax.train.weights import save_params, to_json
from symjax.versions import TRAINING, training_versions, versions


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        step: steps done.
        finished: False if a signal stopped it early.
        metrics: last means, keys 'train/loss', 'val/loss' and so on.
        weights: folder of the exported parameters.
        state: the final state, on the devices.
    """

    step: int
    finished: bool
    metrics: dict[str, float]
    weights: Path
    state: TrainState


class StopSignal:
    """Turns SIGTERM and Ctrl-C into a flag while the block runs; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.name = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.name and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name


class Trainer:
    """One run: everything that is built before the first step, then `run`.

    Args:
        task: the model with its data.
        config: the resolved configuration (`symjax.train.config.base`).
        workdir: where everything is written.
        data_hash: sha256 of the data files by role; a resumed run must have the same.
        after_checkpoint: called when a checkpoint is whole on disk; training waits for it.

    Raises:
        SymjaxError: the folder cannot be written, the data cannot be batched, or a checkpoint there does not fit.
    """

    def __init__(
        self,
        task: Task,
        config: ConfigDict,
        workdir: str | Path,
        *,
        data_hash: Mapping[str, str] | None = None,
        after_checkpoint: Callable[[], None] | None = None,
    ):
        self.task, self.config, self.train = task, config, config.train
        self.workdir = local_path(workdir)
        self.data_hash = dict(data_hash or {})
        self._after_checkpoint = after_checkpoint
        self.mesh = meshes.make_mesh(self.train.model_axis)
        buckets = task.buckets()
        hosts.agree(self._common(buckets))
        self.plan = BatchPlan(
            [_num_examples(b, f"bucket {i} of {task.name}") for i, b in enumerate(buckets)],
            [b.weight for b in buckets],
            [_round_up(b.batch_size, self.mesh) for b in buckets],  # told at the start, see _batch_notes
            steps_per_dispatch=self.train.steps_per_dispatch,
            seed=self.train.seed,
        )
        self._sent = self.train.examples_on == "hosts"  # each host sends its devices their rows of every batch
        self.arrays = [self._kept(b.arrays) for b in buckets]
        self.validation: list[tuple[PyTree, PyTree, int]] = []  # arrays, items (`make_dispatch`), number of examples
        for i, b in enumerate(task.validation()):
            size = _num_examples(b, f"validation bucket {i} of {task.name}")
            indices = evaluation_indices(size, _round_up(b.batch_size, self.mesh), self.train.eval_batches)
            self.validation.append((*self._items(self._kept(b.arrays), indices), size))
        self.optimizer, self._schedule = make_optimizer(self.train), make_schedule(self.train)
        first = np.arange(self.plan.batch_sizes[0]) % self.plan.sizes[0]
        example = jax.tree.map(lambda a: np.asarray(a[first]), buckets[0].arrays)
        self._example = meshes.place(example, meshes.replicated(self.mesh))
        self._shapes = jax.eval_shape(self._init, self._example)
        self._sharding = meshes.divided(self._shapes, self.mesh)
        self._dispatch = make_dispatch(task, self.optimizer, self.train, self.mesh, self._sharding)
        self._evaluate = make_evaluate(task, self.train, self.mesh)
        self._scored: tuple[int, float] | None = None  # step and loss of the last validation, or of the log without one
        self._metrics: dict[str, float] = {}
        self._best: tuple[float, int] | None = None  # lowest validation loss, and its step
        self._ended = False  # no better validation for too long
        self._at: int | None = None  # step of the last checkpoint or of the start
        self._notes = _batch_notes([b.batch_size for b in buckets], self.mesh)  # what is said at the start
        self._meter = Meter()
        facts = {"batch": list(self.plan.batch_sizes), "devices": self.mesh.size, "steps": int(self.train.steps)}
        self._facts = facts | {"processes": jax.process_count()}
        self._state = RunState(self.workdir, self._facts, active=meshes.is_main())

    def _common(self, buckets: Sequence[Bucket]) -> dict[str, str]:
        """What must be the same on every host; data may lie under another name there, and is told by its content."""
        config = {name: value for name, value in flat(self.config).items() if not name.startswith("data.")}
        sizes = [(b.batch_size, b.weight, [np.shape(leaf) for leaf in jax.tree.leaves(b.arrays)]) for b in buckets]
        return {
            "configuration": json.dumps(config, sort_keys=True),
            "data": json.dumps([self.data_hash, repr(sizes)], sort_keys=True),
            "versions": json.dumps(versions(TRAINING)),
        }

    def _kept(self, arrays: PyTree) -> PyTree:
        """Examples where they stay: on every device, or on the hosts."""
        if self._sent:
            return jax.tree.map(np.asarray, arrays)
        return meshes.place(arrays, meshes.replicated(self.mesh))

    def _items(self, arrays: PyTree, indices: np.ndarray) -> tuple[PyTree, PyTree]:
        """What a program takes for examples: arrays with indices, or None with the rows themselves."""
        return (None, meshes.send(arrays, indices, self.mesh)) if self._sent else (arrays, indices)

    def _init(self, example: PyTree) -> TrainState:
        return init_state(self.task, self.optimizer, self.train.seed, example, freeze=self.train.freeze)

    def _start(self, checkpoints: Checkpoints) -> TrainState:
        """A fresh state, or that of the newest checkpoint."""
        check_patterns(self._shapes.params, self.train)
        self._notes += checkpoints.notes
        while steps := checkpoints.steps():
            try:
                record = checkpoints.record(steps[-1])
                self._compare(record, checkpoints.folder / str(steps[-1]))
                state = self._restore(checkpoints, steps[-1], record)
            except WeightsError as error:
                if len(steps) == 1 or jax.process_count() > 1:  # several processes cannot agree on what was damaged
                    raise
                place = checkpoints.set_aside(steps[-1])
                self._notes.append(f"DAMAGED: {error.args[0].partition('; ')[0]}; moved to {place}")
                continue
            self._metrics = dict(record.get("metrics", {}))
            self._best = tuple(record["best"]) if record.get("best") else None
            self._meter = Meter(*record.get("meter", (0, {})))
            stays = self._best is not None and 0 < self.train.stop_after <= steps[-1] - self._best[1]
            self._ended = bool(record.get("ended")) and stays
            return state
        return self._given(jax.jit(self._init, out_shardings=self._sharding)(self._example))

    def _given(self, state: TrainState) -> TrainState:
        """The fresh state with the weights of `train.init_from` put in, if there are any."""
        if not self.train.init_from:
            return state
        params, notes = start_from(meshes.whole(state.params), self.train.init_from)
        self._notes += notes
        placed = lambda: meshes.place(params, self._sharding.params)  # each a buffer of its own: the state is donated
        return dataclasses.replace(state, params=placed(), ema=placed())

    def _restore(self, checkpoints: Checkpoints, step: int, record: Mapping[str, Any]) -> TrainState:
        """The state of a checkpoint, on the devices."""
        typed = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        like = jax.tree.map(typed, self._shapes, self._sharding)
        return checkpoints.restore(step, like, record["digest"])

    def _compare(self, record: Mapping[str, Any], path: Path) -> None:
        """Refuse a checkpoint of another model, configuration or data set."""
        changed = differences(record["config"], flat(self.config))
        before, now = record.get("batch"), list(self.plan.batch_sizes)
        if before not in (None, now):
            devices = f"{record.get('devices')} devices before, {self.mesh.size} now"
            changed.append(f"examples a step, which must divide over the devices ({devices}): {before} -> {now}")
        old = record["data_hash"]
        changed += [
            f"content of config.data.{k}"
            for k in sorted({*old, *self.data_hash})
            if old.get(k) != self.data_hash.get(k)
        ]
        if changed:
            raise ConfigError(
                f"checkpoint {path} was made with another configuration; use a fresh --workdir or undo:\n  "
                + "\n  ".join(changed)
            )

    def _record(self) -> dict[str, Any]:
        config = json.loads(json.dumps(flat(self.config)))
        return {
            "task": self.task.name,
            "config": config,
            "data_hash": self.data_hash,
            "best": self._best,
            "ended": self._ended,
            "meter": self._meter.stored(),
            "batch": list(self.plan.batch_sizes),
            "devices": self.mesh.size,
            "metrics": {k: v for k, v in self._metrics.items() if np.isfinite(v)},
            "versions": training_versions(),
        }

    def evaluate(self, params: PyTree, root: jax.Array) -> dict[str, float]:
        """Mean validation metrics over all held-out examples; empty without any."""
        rows = [self._evaluate(params, arrays, items, root) for arrays, items, _ in self.validation]
        if not rows:
            return {}
        sizes = np.asarray([size for _, _, size in self.validation], np.float64)
        host = [jax.device_get(row) for row in rows]
        return {k: float(np.average([row[k] for row in host], weights=sizes)) for k in host[0]}

    def run(self) -> Result:
        """Train to `train.steps`, or until SIGTERM or Ctrl-C; resume if the work folder has checkpoints.

        Raises:
            SymjaxError: the loss stopped being finite, or something could not be written.
        """
        _make_folder(self.workdir)
        main = meshes.is_main()
        with locked(self.workdir / LOCK, f"{self.workdir}") if main else contextlib.nullcontext():
            try:
                return self._run()
            except BaseException as error:
                if self._at is not None:  # else nothing was done, and what the file says still holds
                    with contextlib.suppress(SymjaxError):  # the disk may be full
                        self._state.write("failed", self._at, str(error) or type(error).__name__)
                raise

    def _run(self) -> Result:
        with Checkpoints(self.workdir / "checkpoints", self.train.keep) as checkpoints, StopSignal() as stop:
            state = self._start(checkpoints)
            start = self._at = int(state.step)
            if start > self.train.steps:
                raise ConfigError(
                    f"{self.workdir} is at step {start} already; config.train.steps = {self.train.steps} is less"
                )
            _describe_run(self.workdir, self.config)
            self._state.write("running", start)
            main = meshes.is_main()
            beside = Wandb(self.train.get("wandb", ""), self.workdir, flat(self.config), active=main)
            writer = Writer(self.workdir, start=start, total=self.train.steps, active=main, beside=beside)
            try:
                for line in [*self._banner(state), *self._notes]:
                    writer.say(line)
                if start:
                    writer.say(f"resumed from step {start}")
                state = self._loop(state, checkpoints, stop, writer)
                step = int(state.step)
                self._save(checkpoints, step, state)
                checkpoints.wait()
                if self._ended:
                    writer.say(f"no better validation for {self.train.stop_after} steps: ended at step {step}")
                stopped = bool(stop.name) and step < self.train.steps and not self._ended
                if stopped:
                    writer.say(f"{stop.name}: saved at step {step}; the same command goes on from there")
                best = checkpoints.best() if self.train.export_best else None
                chosen = state if best in (None, step) else self._restore(checkpoints, best, checkpoints.record(best))
            finally:
                writer.close()
        weights = self.export(chosen)
        self._state.write("stopped" if stopped else "ended early" if self._ended else "finished", step, stop.name)
        return Result(step, self._ended or step >= self.train.steps, dict(self._metrics), weights, state)

    def _banner(self, state: TrainState) -> list[str]:
        """What is said first: model, devices, sizes, rate."""
        trained, fixed = (jax.tree.leaves(part) for part in split(state.params, self.train.freeze))
        count = lambda leaves: sum(int(np.prod(np.shape(leaf))) for leaf in leaves)
        kind = jax.devices()[0].device_kind
        groups = self.mesh.shape[DATA]  # of devices that see the same rows
        batches = [size // groups for size in self.plan.batch_sizes]
        each = f"{min(batches)} to {max(batches)}" if min(batches) < max(batches) else f"{batches[0]}"
        over = f", each divided over {self.mesh.size // groups} devices" if groups < self.mesh.size else ""
        kept = " (they stay on the hosts)" if self._sent else ""
        return [
            f"{self.task.name}: {count(trained):,} parameters are trained, {count(fixed):,} numbers stay{over}",
            f"{self.mesh.size} x {kind} in {jax.process_count()} process(es), {each} examples a device and step, "
            f"{sum(self.plan.sizes):,} in all{kept}",
            f"steps {int(state.step)} to {self.train.steps}, {self.train.optimizer}, rate {self.train.learning_rate:g} "
            f"({self.train.schedule}, warmup {self.train.warmup}), {self.train.dtype}, matrix products "
            f"{self.train.get('matmul', 'default')}",
        ]

    def _loop(self, state: TrainState, checkpoints: Checkpoints, stop: StopSignal, writer: Writer) -> TrainState:
        step, total = int(state.step), int(self.train.steps)
        pending: tuple[dict, jax.Array, int, int] | None = None  # results of the dispatch before this one
        profile = Profile(self.train.get("profile", ""), self.workdir, writer.say, active=meshes.is_main())
        compiled: set[int] = set()  # buckets whose program this process has
        self._meter.start_clock()
        while step < total and not self._ended and not meshes.any_process(bool(stop.name)):
            num = min(self.plan.steps_left(step), total - step)
            bucket = self.plan.bucket(step)
            indices = self.plan.indices(step, num)
            padded = np.zeros((self.train.steps_per_dispatch, indices.shape[1]), np.int32)
            padded[:num] = indices
            profile.before(step, num)
            begun = time.monotonic()
            state, sums, bad = self._dispatch(state, *self._items(self.arrays[bucket], padded), np.int32(num))
            if pending:
                self._collect(pending, checkpoints)
            timed = bucket in compiled
            if not timed:  # the first call of a bucket compiles its program
                jax.block_until_ready(bad)
                compiled.add(bucket)
                self._meter.leave_out(time.monotonic() - begun)
            pending, step = (sums, bad, num, num * indices.shape[1] if timed else 0), step + num
            profile.after(step, state)
            writer.advance(num)
            last = step >= total
            log, evaluate, save = (_due(step, num, every) or last for every in self._cadence())
            if log or evaluate or save:
                self._collect(pending, checkpoints)
                pending = None
            if log and self._meter.steps:
                rate = float(self._schedule(step - 1)) * factor_of(state.opt_state)
                self._log(writer, step, "train", self._meter.means() | {"learning_rate": rate})
                self._meter = Meter()
            if evaluate and self.validation:
                begun = time.monotonic()
                values = self.evaluate(state.ema, state.key)
                self._meter.leave_out(time.monotonic() - begun)
                self._log(writer, step, "val", values)
                state = self._observe(state, values[LOSS], step)
            if save and not last:  # the last one is saved by the caller
                self._save(checkpoints, step, state)
        if pending:
            self._collect(pending, checkpoints)
        profile.close(step, state)
        return state

    def _observe(self, state: TrainState, loss: float, step: int) -> TrainState:
        """What a validation decides: the learning rate's factor, and whether training has ended."""
        if self._best is None or loss < self._best[0]:
            self._best = loss, step
        self._ended = 0 < self.train.stop_after <= step - self._best[1]
        if not self.train.plateau_factor:
            return state
        factor, patience = float(self.train.plateau_factor), int(self.train.plateau_patience)
        return dataclasses.replace(state, opt_state=observe(state.opt_state, loss, factor=factor, patience=patience))

    def _cadence(self) -> tuple[int, int, int]:
        return self.train.log_every, self.train.eval_every, self.train.checkpoint_every

    def _collect(self, pending: tuple[dict, jax.Array, int, int], checkpoints: Checkpoints) -> None:
        """Fetch one dispatch's metrics; refuse to go on from a state that is not finite."""
        sums, bad, num, examples = jax.device_get(pending)
        if bad >= 0:
            raise SymjaxError(
                f"training of {self.task.name} diverged: loss or gradient is not finite at step {int(bad)}; "
                f"{checkpoints.describe_last()}; try a smaller config.train.learning_rate or config.train.clip"
            )
        self._meter.add(sums, num, examples, timed=examples > 0)

    def _log(self, writer: Writer, step: int, split: str, values: dict[str, float]) -> None:
        writer.write(step, split, values)
        self._metrics |= {f"{split}/{k}": v for k, v in values.items()}
        if split == "val" or not self.validation:
            self._scored = step, values[LOSS]

    def _save(self, checkpoints: Checkpoints, step: int, state: TrainState) -> None:
        fresh = self._scored is not None and self._scored[0] == step
        self._at = step
        checkpoints.save(step, state, self._record(), self._scored[1] if fresh and self._scored else None)
        if self._after_checkpoint is not None:
            checkpoints.wait()
            self._after_checkpoint()

    def export(self, state: TrainState) -> Path:
        """Write the averaged parameters of a state to `workdir/weights`."""
        folder, params = self.workdir / "weights", meshes.whole(state.ema)
        if meshes.is_main():
            about = {"step": int(state.step), "task": self.task.name, "metrics": self._metrics}
            save_params(folder, params, self.config, metrics=about, data_hash=self.data_hash)
        return folder


def _due(step: int, num: int, every: int) -> bool:
    """Whether a multiple of `every` was reached by the last `num` steps."""
    return every > 0 and step // every > (step - num) // every


def _num_examples(bucket: Bucket, what: str) -> int:
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(bucket.arrays)}
    if len(sizes) != 1 or () in sizes:
        raise SymjaxError(
            f"{what}: leading axes {sorted(sizes)} differ; each array must have the examples on its first axis"
        )
    return sizes.pop()[0]


def _round_up(batch: int, mesh: Mesh) -> int:
    """Batches must divide over the axis `data`; nothing pads them later."""
    return -(-batch // mesh.shape[DATA]) * mesh.shape[DATA]


def _batch_notes(batches: Sequence[int], mesh: Mesh) -> list[str]:
    """What is to be said of batches that do not divide over the devices."""
    num = mesh.shape[DATA]
    what = "devices" if num == mesh.size else f"groups of {mesh.size // num} devices"
    changed = sorted({b for b in batches if b % num})
    return [
        f"a batch of {b} examples does not divide over {num} {what}: each step takes {_round_up(b, mesh)}"
        for b in changed
    ]


def _make_folder(workdir: Path) -> None:
    """Make the work folder.

    Raises:
        SymjaxError: it cannot be made or written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SymjaxError(f"cannot make the work folder {workdir}: {error.strerror}") from error
    if not os.access(workdir, os.W_OK):
        raise SymjaxError(f"cannot write to the work folder {workdir}")


def _describe_run(workdir: Path, config: ConfigDict) -> None:
    """Leave the configuration and the versions in the work folder."""
    if meshes.is_main():
        write_text(workdir / "config.json", to_json(config) + "\n")
        write_text(workdir / "versions.json", json.dumps(training_versions(), indent=1, sort_keys=True) + "\n")
