"""What runs inside a worker process: items one after the other, each within its time, all within the memory of the process.

A worker has one thread for numerics, does not hear Ctrl-C (its parent does), and ends when its parent has: noticed by a thread that
waits for the parent, and by a watchdog in C once an item is far over its time, should that thread never be let run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, NamedTuple

GRACE = 10.0  # s that an item over its time has to end by itself, before its process is ended


class Outcome(NamedTuple):
    """What became of an item: its result, or why there is none."""

    value: Any
    lost: str = ""


@dataclass(frozen=True)
class Work:
    """What a worker does with every item.

    Attributes:
        function: a module's function of an item, or of an item and ``shared``.
        shared: what all items need besides, such as a potential; sent once to each worker.
        memory: bytes that a worker may take, None for no limit.
    """

    function: Callable[..., Any]
    shared: Any = None
    memory: int | None = None

    def __call__(self, item: Any) -> Any:
        """The result of an item."""
        return self.function(item) if self.shared is None else self.function(item, self.shared)


class _TimeUp(BaseException):
    """Raised by the alarm; not an Exception, so that no library takes it for one of its own."""


_WORK: Work | None = None  # of this worker process, set once when it starts


def begin(work: Work) -> None:
    """Set up a worker process. Unpickling the argument imports the function's module, before any item waits for it."""
    global _WORK
    _WORK = work
    _limit_memory(work.memory)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def do(items: Sequence[Any], seconds: Sequence[float | None]) -> list[Outcome]:
    """The outcomes of some items, in a worker; each has its own limit of time."""
    assert _WORK is not None
    total = hard_limit(seconds)
    if total is not None:
        faulthandler.dump_traceback_later(total, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
    try:
        return [attempt(_WORK, item, limit) for item, limit in zip(items, seconds, strict=True)]
    finally:
        faulthandler.cancel_dump_traceback_later()


def hard_limit(seconds: Sequence[float | None]) -> float | None:
    """Seconds after which the process that works on these items is ended; None for never."""
    limits = [limit for limit in seconds if limit is not None]
    return None if len(limits) < len(seconds) else sum(limits) + GRACE


def attempt(work: Callable[[Any], Any], item: Any, seconds: float | None) -> Outcome:
    """The outcome of one item in this process. Limits become reasons, any other error is raised."""
    try:
        with _alarm(seconds):
            return Outcome(work(item))
    except _TimeUp:
        return Outcome(None, f"took more than {seconds:g} s")
    except MemoryError:
        limit = getattr(work, "memory", None)
        return Outcome(None, "out of memory" + (f" (the limit is {limit / 2**30:.3g} GiB a worker)" if limit else ""))


@contextlib.contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raise `_TimeUp` in the main thread after so many seconds, and again if that was swallowed; nothing in other threads."""
    able = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not able:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if (
            frame is not None and frame.f_code.co_name == "_xla_gc_callback"
        ):  # an exception there is printed and dropped
            signal.setitimer(signal.ITIMER_REAL, 0.01, 5.0)
            return
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _limit_memory(most: int | None) -> None:
    """Let allocations beyond ``most`` bytes fail, so that they are this process's trouble and not the machine's."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if most is not None:
        _, top = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most if top == resource.RLIM_INFINITY else min(most, top), top))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
