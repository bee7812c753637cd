"""Worker processes of this machine, by pebble: one that dies or is past its time takes down the task it had and nothing else.

Time is watched in the worker, by its own clock that never jumps (`symjax.parallel.worker`).

Workers are spawned, never forked: a fork of a process in which JAX has started its threads can hang.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from pebble import ProcessExpired, ProcessPool

from symjax.parallel.worker import Outcome, Work, begin, do, hard_limit

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC"), "1"
)
"""Variables by which numerical libraries, torch and JAX learn how many threads they may start."""

_STARTING = threading.Lock()


class Died(Exception):
    """The process that worked on some items has ended, or was ended because they took too long."""


class Broken(Exception):
    """Workers end before they are given anything: no item is to blame."""


@contextlib.contextmanager
def _ready_to_spawn() -> Iterator[None]:
    """A child started here computes with one thread and never sees Ctrl-C, not even while it imports."""
    with _STARTING:
        saved = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # it unblocks the signal in whichever thread starts it
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for name, value in saved.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _ready_to_spawn():
            return SpawnProcess._Popen(process_obj)  # type: ignore[attr-defined]


class _Context(SpawnContext):
    Process = _Process


class _Task:
    """Some items that were handed in, and how they fare.

    Attributes:
        ours: done as soon as there is something to be told; what it is, `Local.result` finds out.
        theirs: pebble's future of the last attempt to start them.
    """

    def __init__(self, items: Sequence[Any], seconds: Sequence[float | None]):
        self.items, self.seconds = items, seconds
        self.ours: Future[list[Outcome]] = Future()
        self.theirs: Future[list[Outcome]] | None = None
        self.pool: ProcessPool | None = None
        self.begun = 0.0

    def start(self, pool: ProcessPool) -> None:
        """Give them to a pool; a pool that cannot take them has broken, which is told like any other end."""
        self.pool, self.begun = pool, time.monotonic()
        try:
            self.theirs = pool.schedule(do, (self.items, self.seconds))
        except RuntimeError as error:
            self.theirs = Future()
            self.theirs.set_exception(BrokenProcessPool(str(error)))
        self.theirs.add_done_callback(self._done)

    def _done(self, theirs: Future[list[Outcome]]) -> None:
        if theirs is self.theirs and not self.ours.done():
            self.ours.set_result([])


class _Worker:
    """A pool of one process, with the tasks that it has or will have next.

    Workers of one pool share a pipe and its locks: one that is killed while it holds a lock, or in the middle of a message, leaves
    the others waiting for ever. So each has its own, which is thrown away with it.
    """

    def __init__(self, work: Work):
        self.work, self.tasks = work, list[_Task]()
        self._pool: ProcessPool | None = None

    def start(self, task: _Task) -> None:
        """Take a task."""
        if self._pool is None:
            self._pool = ProcessPool(1, initializer=begin, initargs=(self.work,), context=_Context())
        self.tasks.append(task)
        task.start(self._pool)

    def replace(self, pool: ProcessPool | None) -> None:
        """End the process of a pool, if this has not been done; a new one takes the tasks of which nothing is known yet."""
        if pool is not self._pool:
            return
        self.close()
        left, self.tasks = self.tasks, []
        for task in left:
            if task.ours.done():
                self.tasks.append(task)
            else:
                self.start(task)

    def close(self) -> None:
        """End the process, whatever it is at."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()


class Local:
    """Workers that all do the same. Its methods are for one thread.

    Args:
        work: what they do.
        count: how many there are.
    """

    def __init__(self, work: Work, count: int):
        self.count = count
        self._workers = [_Worker(work) for _ in range(count)]
        self._waiting: deque[_Task] = deque()
        self._given: dict[Future[list[Outcome]], tuple[_Task, _Worker]] = {}

    def submit(self, items: Sequence[Any], seconds: Sequence[float | None]) -> Future[list[Outcome]]:
        """Start a task; ask `result` for its outcomes once the future is done."""
        task = _Task(items, seconds)
        self._waiting.append(task)
        self._serve()
        return task.ours

    def _serve(self) -> None:
        """Give waiting tasks to workers: each has one to do and one to go on with."""
        while self._waiting:
            worker = min(self._workers, key=lambda one: len(one.tasks))
            if len(worker.tasks) >= 2:
                return
            task = self._waiting.popleft()
            self._given[task.ours] = task, worker
            worker.start(task)

    def result(self, future: Future[list[Outcome]]) -> list[Outcome]:
        """The outcomes of a task that is done.

        Raises:
            Died: its worker has ended, by itself or for taking too long.
            Broken: workers end before they are given anything.
        """
        task, worker = self._given.pop(future)
        worker.tasks.remove(task)
        assert task.theirs is not None
        try:
            return task.theirs.result()
        except ProcessExpired as error:
            worker.replace(task.pool)
            limit = hard_limit(task.seconds)
            if limit is not None and error.exitcode == 1 and time.monotonic() - task.begun >= limit:
                raise Died("the worker process was ended: far over its limit of time") from error
            raise Died(f"the worker process died ({_cause(error.exitcode)})") from error
        except (BrokenProcessPool, EOFError) as error:
            worker.replace(task.pool)
            raise Broken(str(error) or type(error).__name__) from error
        finally:
            self._serve()

    def close(self) -> None:
        """End all workers, whatever they are at."""
        with ThreadPoolExecutor(self.count) as threads:
            list(threads.map(_Worker.close, self._workers))


def _cause(code: int | None) -> str:
    """What an exit code says."""
    if code == -signal.SIGKILL:
        return "killed: out of memory?"
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else multiprocessing.cpu_count()


def memory() -> int | None:
    """Bytes of memory of this machine, or of the control group that holds this process; None where that cannot be told."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        with open("/sys/fs/cgroup/memory.max") as stream:
            found.append(int(stream.read()))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)
