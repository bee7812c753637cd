"""Many items on workers, in order: results, retries, limits and what is said of items that no worker could finish.

The rule: an item whose worker died is tried once more, alone; if that fails too, or if the item was over its limit of time or of
memory, it is lost, and what stands for a lost item is the caller's to say. A worker that dies costs the others nothing.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from symjax.errors import SymjaxError
from symjax.parallel.worker import Outcome, Work, attempt

T = TypeVar("T")
R = TypeVar("R")

SMALL = 64
"""Fewer items than this run in this process, with the limit of time but not of memory: starting workers costs seconds."""
_BREAKS = 10  # times that every worker may end in a row, before it was given anything, until there is an error
_LEAST_MEMORY = 2**30
_LOG = logging.getLogger("symjax")


@dataclass(frozen=True)
class Workers:
    """Where items are worked on, and within what limits.

    Attributes:
        count: worker processes; None for one a core; 0 for none: everything in this process.
        seconds: limit of time for a crystal; None for no limit.
        memory: bytes that a worker may take; None for its share of four fifths of the machine's.
        scheduler: address of a running Dask scheduler, or its JSON file; None for this machine.
    """

    count: int | None = None
    seconds: float | None = 300.0
    memory: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        if self.count is not None and self.count < 0:
            raise SymjaxError(f"the number of workers must be at least 0, got {self.count}")
        for name in ("seconds", "memory"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SymjaxError(f"the limit of {name} of a worker must be positive, got {value}")


Processes = Workers | int | None
"""How a function is told: `Workers`, or a number of processes (1: this one), or None for one a core."""


def workers_of(processes: Processes) -> Workers:
    """What was meant."""
    if isinstance(processes, Workers):
        return processes
    return Workers(0 if processes == 1 else processes)


def map_items(function: Callable[..., R], items: Sequence[T], **options: Any) -> list[R]:
    """All of `imap_items`."""
    return list(imap_items(function, items, **options))


def imap_items(
    function: Callable[..., R],
    items: Iterable[T],
    *,
    processes: Processes = None,
    lost: Callable[[T, str], R] | None = None,
    shared: Any = None,
    size: Callable[[T], int] | None = None,
    small: int = SMALL,
    label: str = "",
    progress: bool = False,
    chunk: int = 8,
    total: int | None = None,
) -> Iterator[R]:
    """``function(item)`` of each item, in order, each given out as soon as it and all before it are there.

    Args:
        function: a function of a module (workers import it by name).
        items: what it is called with; must be picklable. Read as needed, never far ahead.
        processes: where; see `Workers`.
        lost: what stands for an item that could not be finished, given it and the reason. None: that is an error.
        shared: second argument of the function, the same for all items and sent once to each worker; None for none.
        size: crystals in an item, which multiply its limit of time; None for 1.
        small: fewer items than this run in this process.
        label: name on the progress bar, and in what is said of lost items.
        progress: whether to show one on stderr.
        chunk: items sent to a worker at a time.
        total: how many items there are, where ``items`` has no length.

    Raises:
        SymjaxError: an item was lost and there is no ``lost``; workers cannot be started; a scheduler cannot be used.
    """
    options = {"shared": shared, "size": size, "small": small, "label": label, "progress": progress, "chunk": chunk}
    for _, value in _imap(True, function, items, processes, lost, total, **options):
        yield value


def imap_unordered(
    function: Callable[..., R],
    items: Iterable[T],
    *,
    processes: Processes = None,
    lost: Callable[[T, str], R] | None = None,
    total: int | None = None,
    **options: Any,
) -> Iterator[tuple[int, R]]:
    """Place and result of each item as they are finished; arguments as `imap_items`."""
    yield from _imap(False, function, items, processes, lost, total, **options)


def _imap(
    ordered: bool,
    function: Callable[..., R],
    items: Iterable[T],
    processes: Processes,
    lost: Callable[[T, str], R] | None,
    total: int | None,
    *,
    shared: Any = None,
    size: Callable[[T], int] | None = None,
    small: int = SMALL,
    label: str = "",
    progress: bool = False,
    chunk: int = 8,
) -> Iterator[tuple[int, R]]:
    workers = workers_of(processes)
    total = len(items) if isinstance(items, Sequence) else total
    work = Work(function, shared)
    timed = (
        (item, None if workers.seconds is None else workers.seconds * (size(item) if size else 1)) for item in items
    )
    with _bar(total, label, progress) as bar:
        for place, item, outcome in _outcomes(work, timed, workers, total, small, chunk, ordered):
            bar.update(1)
            if not outcome.lost:
                yield place, outcome.value
                continue
            said = f"{label or 'items'}: item {place}: {outcome.lost}"
            if lost is None:
                raise SymjaxError(said)
            _LOG.warning("symjax: lost: %s", said)
            yield place, lost(item, outcome.lost)


def _outcomes(
    work: Work,
    timed: Iterator[tuple[T, float | None]],
    workers: Workers,
    total: int | None,
    small: int,
    chunk: int,
    ordered: bool,
) -> Iterator[tuple[int, T, Outcome]]:
    """Place, item and outcome of every item."""
    few = total is not None and total < small
    if workers.count == 0 or (few and workers.scheduler is None):
        for place, (item, seconds) in enumerate(timed):
            yield place, item, attempt(work, item, seconds)
        return
    engine = _engine(work, workers, total, chunk)
    try:
        yield from _drive(engine, timed, chunk, ordered)
    finally:
        engine.close()


class Engine(Protocol):
    """Something that works on items: `symjax.parallel.local.Local` or `symjax.parallel.cluster.Cluster`."""

    count: int

    def submit(self, items: Sequence[Any], seconds: Sequence[float | None]) -> Future[list[Outcome]]:
        """Start a task."""

    def result(self, future: Future[list[Outcome]]) -> list[Outcome]:
        """Its outcomes; raises `Died` or `Broken`."""

    def close(self) -> None:
        """End everything."""


def _engine(work: Work, workers: Workers, total: int | None, chunk: int) -> Engine:
    from symjax.parallel.local import Local, cores, memory

    if workers.scheduler is not None:
        from symjax.parallel.cluster import Cluster

        return Cluster(workers.scheduler, Work(work.function, work.shared, workers.memory))
    count = workers.count or cores()
    if total is not None:
        count = min(count, max(-(-total // chunk), 1))
    most, there = workers.memory, memory()
    if most is None and there is not None:
        most = max(int(0.8 * there / count), _LEAST_MEMORY)
    return Local(Work(work.function, work.shared, most), count)


class _Task(NamedTuple):
    """Some items at a worker: place of the first, items, limits, and whether they were tried before."""

    place: int
    items: list[Any]
    seconds: list[float | None]
    again: bool = False


def _drive(
    engine: Engine, timed: Iterator[tuple[T, float | None]], chunk: int, ordered: bool
) -> Iterator[tuple[int, T, Outcome]]:
    """Keep the engine busy and give outcomes out; no more than a window of tasks is under way or waits to be given out."""
    from symjax.parallel.local import Broken, Died

    window = max(64, 8 * engine.count)
    fresh = _tasks(timed, chunk)
    waiting: deque[_Task] = deque()
    running: dict[Future[list[Outcome]], _Task] = {}
    ready: dict[int, tuple[Any, Outcome]] = {}
    given, taken, breaks = (
        0,
        0,
        0,
    )  # items given out, items taken in, workers in a row that ended before they were given any
    while True:
        while len(running) < window and (waiting or taken - given < window * chunk):
            task = waiting.popleft() if waiting else next(fresh, None)
            if task is None:
                break
            taken = max(taken, task.place + len(task.items))
            running[engine.submit(task.items, task.seconds)] = task
        if not running:
            return
        broken = ""
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task = running.pop(future)
            try:
                outcomes = engine.result(future)
            except Broken as error:
                broken, breaks = str(error), breaks + 1
                waiting.append(task)
                continue
            except Died as error:
                if not task.again:
                    waiting.extend(
                        _Task(task.place + i, [item], [limit], True)
                        for i, (item, limit) in enumerate(zip(task.items, task.seconds))
                    )
                    continue
                outcomes = [Outcome(None, str(error))]
            breaks = 0
            ready |= {task.place + i: pair for i, pair in enumerate(zip(task.items, outcomes, strict=True))}
        if breaks >= _BREAKS * engine.count:
            raise SymjaxError(f"worker processes end as soon as they start ({broken})")
        while (place := given if ordered else next(iter(ready), -1)) in ready:
            yield place, *ready.pop(place)
            given += 1


def _tasks(timed: Iterator[tuple[Any, float | None]], chunk: int) -> Iterator[_Task]:
    place = 0
    while part := list(itertools.islice(timed, chunk)):
        yield _Task(place, [item for item, _ in part], [seconds for _, seconds in part])
        place += len(part)


def _bar(total: int | None, label: str, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc=label, dynamic_ncols=True, disable=not progress)
