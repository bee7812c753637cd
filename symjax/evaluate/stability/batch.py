"""Many crystals through a potential: cached, resumable, on all cores or in batches on a GPU.

Every finished crystal goes to the cache at once, written by the parent process, so a killed run loses the crystals under
way and nothing else. Crystals are independent of each other: results are the same for any number of workers (wall-clock
seconds and what the time limit catches apart). Failures are reasons in the results, never exceptions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.cache import Cache, content_key, stamp
from symjax.evaluate.stability.potential import Evaluation, Potential, unfit
from symjax.evaluate.stability.relax import VERSION, RelaxOptions, advance, failed, prepare, result
from symjax.evaluate.stability.symmetric import reduced
from symjax.parallel import Processes, imap_unordered, workers_of

Job = tuple[AtomicStructure, RelaxOptions | None]
"""A crystal, and how to relax it; None for a single point."""

FEW = {True: 6, False: 200}
"""Fewer relaxations, fewer single points than this are not worth starting workers, which load the model in seconds."""

PACKAGES = ("numpy", "spglib", "torch")
"""Whose versions decide results besides the potential's, which is in the name of the stage."""

LOST, ERROR = "lost", "the potential failed"
TRANSIENT = (LOST, ERROR)
"""Reasons that lie in the machine as much as in the crystal: these results are not stored, so that another run tries again."""


def relax_many(
    cells: Sequence[AtomicStructure],
    potential: Potential,
    options: RelaxOptions | None = None,
    *,
    cache: Cache | None = None,
    processes: Processes = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Relax crystals.

    Args:
        cells: the crystals; equal ones (bit for bit) are computed once.
        potential: from `load_potential`, or any `Potential`.
        options: None for the defaults: FIRE, fmax 0.05 eV/angstrom, 500 steps, cell relaxed, no projection.
        cache: finished crystals are taken from here and stored here.
        processes: worker processes; None for one a core. A potential with ``batch`` over 1 always runs in this process.
        progress: whether to show a bar on stderr.

    Returns:
        one result a crystal, in order: see `relax.result`.
    """
    options = options or RelaxOptions()
    return _run(
        [(cell, options) for cell in cells],
        potential,
        stage_of(potential, options),
        cache=cache,
        processes=processes,
        label="relax",
        progress=progress,
    )


def single_points(
    cells: Sequence[AtomicStructure],
    potential: Potential,
    *,
    cache: Cache | None = None,
    processes: Processes = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Energies of crystals as they are.

    Arguments as `relax_many`.

    Returns:
        one dict a crystal, in order: ``energy`` (eV/atom, None where there is none) and ``reason`` (None where there is
        an energy).
    """
    return _run(
        [(cell, None) for cell in cells],
        potential,
        stage_of(potential, None),
        cache=cache,
        processes=processes,
        label="energies",
        progress=progress,
    )


def stage_of(potential: Potential, options: RelaxOptions | None) -> str:
    """Name under which results lie in a cache: what was done, with which potential and options."""
    what = "energy" if options is None else f"relax-{options.hash}"
    return f"{what}:{potential.name}-{potential.version}"


def _run(
    jobs: list[Job],
    potential: Potential,
    stage: str,
    *,
    cache: Cache | None,
    processes: Processes,
    label: str,
    progress: bool,
) -> list[dict[str, Any]]:
    """Results of all jobs, from the cache or computed."""
    keys = [content_key(cell, operations=True) for cell, _ in jobs]
    version = stamp(VERSION, PACKAGES)
    known = cache.get_many(stage, version, keys) if cache is not None else {}
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    missing = sorted(index for key, index in first.items() if key not in known)
    bar = _bar(len(first), len(known), label, progress)
    for index, value in _compute([jobs[i] for i in missing], potential, processes):
        key = keys[missing[index]]
        known[key] = value
        if cache is not None and not str(value["reason"]).startswith(TRANSIENT):
            cache.put(stage, version, key, value)
        bar.update(1)
    bar.close()
    return [known[key] for key in keys]


def _compute(jobs: list[Job], potential: Potential, processes: Processes) -> Iterator[tuple[int, dict[str, Any]]]:
    """(index, result) of every job, as they finish."""
    if not jobs:
        return
    options, workers = jobs[0][1], workers_of(processes)
    few = len(jobs) < FEW[options is not None] and workers.scheduler is None
    if potential.batch > 1 or workers.count == 0 or few:
        yield from _inline(jobs, potential)
        return
    if options is not None:  # it ends by itself between two steps; this is for a step that does not end
        workers = replace(workers, seconds=2 * options.max_seconds + 60 if np.isfinite(options.max_seconds) else None)
    yield from imap_unordered(_work, jobs, processes=workers, lost=_lost, shared=potential, small=1, chunk=1)


def _inline(jobs: list[Job], potential: Potential) -> Iterator[tuple[int, dict[str, Any]]]:
    """All jobs in this process, up to ``potential.batch`` crystals in a call; one that ends makes room for the next."""
    if jobs[0][1] is None:
        for low in range(0, len(jobs), potential.batch):
            part = [_smaller(cell) for cell, _ in jobs[low : low + potential.batch]]
            found = _ask(potential, part, forces=False)
            for offset, (cell, energy, reason) in enumerate(zip(part, found.energies, found.reasons)):
                ok = reason is None and np.isfinite(energy)
                yield (
                    low + offset,
                    {
                        "energy": float(energy) / len(cell.z) if ok else None,
                        "reason": None if ok else reason or "the energy is not finite",
                    },
                )
        return
    waiting = list(range(len(jobs)))[::-1]
    live: dict[int, _Live] = {}
    while waiting or live:
        while waiting and len(live) < potential.batch:
            index = waiting.pop()
            live[index] = _Live(*jobs[index])
        running = [index for index, one in live.items() if not one.state.done]
        if running:
            found = _ask(potential, [live[index].state.cell for index in running], forces=True)
            for place, index in enumerate(running):
                live[index].take(found, place)
        for index in [index for index, one in live.items() if one.state.done]:
            yield index, live.pop(index).outcome()


def _smaller(cell: AtomicStructure) -> AtomicStructure:
    """The primitive cell of a sound crystal: the same energy per atom for less work."""
    return cell if unfit(cell) else reduced(cell).cell


class _Live:
    """A relaxation under way and its clock."""

    def __init__(self, cell: AtomicStructure, options: RelaxOptions | None) -> None:
        assert options is not None
        self.options = options
        self.begun = time.monotonic()
        self.prepared, self.state = prepare(cell, options)

    def take(self, found: Evaluation, place: int) -> None:
        """Go one step on with what the potential said."""
        reason = found.reasons[place]
        if reason is not None:
            self.state = failed(self.state, f"diverged: {reason}" if self.state.steps else reason)
            return
        energy = float(found.energies[place])
        self.state = advance(
            self.prepared, self.state, energy, found.forces[place], found.stresses[place], options=self.options
        )
        if not self.state.done and time.monotonic() - self.begun > self.options.max_seconds:
            self.state = failed(
                self.state, f"time limit of {self.options.max_seconds:g} s after {self.state.steps} steps"
            )

    def outcome(self) -> dict[str, Any]:
        """The result."""
        return result(self.prepared, self.state, time.monotonic() - self.begun)


def _ask(potential: Potential, cells: Sequence[AtomicStructure], *, forces: bool) -> Evaluation:
    """What the potential says. If it fails, each crystal is asked alone, and one that still fails has the error as its
    reason.
    """
    sound = [index for index, cell in enumerate(cells) if unfit(cell) is None]
    if len(sound) < len(cells):
        nothing = Evaluation(np.zeros(0), [], np.zeros((0, 3, 3)), [])
        found = _ask(potential, [cells[i] for i in sound], forces=forces) if sound else nothing
        return _merge(cells, sound, found)
    try:
        return potential.evaluate(cells, forces=forces)
    except InputError:
        raise  # the potential itself is missing or wrong: not a crystal's failure
    except Exception as error:
        if len(cells) == 1:
            reason = f"{ERROR}: {type(error).__name__}: {error}"
            return Evaluation(np.array([np.nan]), [np.zeros((0, 3))], np.full((1, 3, 3), np.nan), [reason])
    parts = [_ask(potential, [cell], forces=forces) for cell in cells]
    return Evaluation(
        np.concatenate([p.energies for p in parts]),
        [p.forces[0] for p in parts],
        np.concatenate([p.stresses for p in parts]),
        [p.reasons[0] for p in parts],
    )


def _merge(cells: Sequence[AtomicStructure], sound: list[int], found: Evaluation) -> Evaluation:
    """The evaluation of the sound cells, with reasons for the others."""
    place = {index: position for position, index in enumerate(sound)}
    energies, stresses = np.full(len(cells), np.nan), np.full((len(cells), 3, 3), np.nan)
    forces: list[np.ndarray] = []
    reasons: list[str | None] = []
    for index, cell in enumerate(cells):
        at = place.get(index)
        forces.append(np.zeros((0, 3)) if at is None else found.forces[at])
        reasons.append(unfit(cell) if at is None else found.reasons[at])
        if at is not None:
            energies[index], stresses[index] = found.energies[at], found.stresses[at]
    return Evaluation(energies, forces, stresses, reasons)


def _work(job: Job, potential: Potential) -> dict[str, Any]:
    return next(_inline([job], potential))[1]


def _lost(job: Job, reason: str) -> dict[str, Any]:
    """The result of a crystal that no worker could finish."""
    cell, options = job
    reason = f"{LOST}: {reason}"
    if options is None:
        return {"energy": None, "reason": reason}
    prepared, state = prepare(cell, options)
    return result(prepared, failed(state, reason), 0.0)


def _bar(total: int, initial: int, label: str, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, desc=label, dynamic_ncols=True, disable=not progress)
