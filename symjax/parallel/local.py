"""Worker processes of this machine, by pebble: one that dies or is past its time takes down the task it had and nothing else.

Workers are spawned, never forked: a fork of a process in which JAX has started its threads can hang.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
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


class Local:
    """A pool of workers that all do the same.

    Args:
        work: what they do.
        count: how many there are.
    """

    def __init__(self, work: Work, count: int):
        self.work, self.count = work, count
        self._pool: ProcessPool | None = None

    def submit(self, items: Sequence[Any], seconds: Sequence[float | None]) -> Future[list[Outcome]]:
        """Start a task; ask `result` for its outcomes once the future is done."""
        for _ in range(2):
            if self._pool is None:
                self._pool = ProcessPool(self.count, initializer=begin, initargs=(self.work,), context=_Context())
            try:
                return self._pool.schedule(do, (items, seconds), timeout=hard_limit(seconds))
            except RuntimeError:  # it broke since; the next one is whole
                self.close()
        raise Broken("worker processes cannot be started")

    def result(self, future: Future[list[Outcome]]) -> list[Outcome]:
        """The outcomes of a task that is done.

        Raises:
            Died: its worker has ended, by itself or for taking too long.
            Broken: workers end before they are given anything.
        """
        try:
            return future.result()
        except ProcessExpired as error:
            raise Died(f"the worker process died ({_cause(error.exitcode)})") from error
        except TimeoutError as error:
            raise Died("the worker process was ended: far over its limit of time") from error
        except (BrokenProcessPool, EOFError) as error:
            raise Broken(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """End all workers, whatever they are at."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()


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
