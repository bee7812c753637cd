"""Timing that the benchmarks share, and what the machine did beside."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Seconds(NamedTuple):
    """Of one call: on the clock, and of the processor."""

    wall: float
    cpu: float


def best_of(repeats: int, *calls: Callable[[], Any]) -> list[Seconds]:
    """Smallest seconds of each call, made in turn so that slow spells of the machine meet all; the first one is not timed."""
    for call in calls:
        call()
    best = [Seconds(float("inf"), float("inf"))] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            taken = Seconds(time.perf_counter() - wall, time.process_time() - cpu)
            best[i] = Seconds(min(best[i].wall, taken.wall), min(best[i].cpu, taken.cpu))
    return best


QUIET = 0.1
"""Cores that others may be at work on while a figure is called quiet."""


class Beside:
    """Cores that other processes were at work on between two moments (Linux: all busy time less that of this process)."""

    def __init__(self) -> None:
        self.began, self.busy, self.own = time.perf_counter(), _busy(), _own()

    def cores(self) -> float | None:
        """Mean number of cores that others used since; None where the system does not say."""
        now = _busy()
        if now is None or self.busy is None:
            return None
        return max(0.0, (now - self.busy - (_own() - self.own)) / (time.perf_counter() - self.began))

    def text(self) -> str:
        """In words, to stand under the figures."""
        cores, total = self.cores(), os.cpu_count()
        if cores is None:
            return f"machine: {total} cores; what else ran is not known here"
        quiet = (
            "quiet"
            if cores <= QUIET
            else "NOT quiet: times are upper bounds, ratios to a peer of the same run still hold"
        )
        return f"machine: {total} cores, other work took {cores:.2f} of them meanwhile: {quiet}"


def watched(main: Callable[[], object], *, patience: int = 3) -> None:
    """Run a benchmark and say under its figures whether the machine was quiet; again where it was not, `patience` times at most.

    `SYMJAX_BENCH_ONCE=1` runs it once.
    """
    for left in reversed(range(1 if os.environ.get("SYMJAX_BENCH_ONCE") else patience)):
        beside = Beside()
        found = main()
        print(beside.text(), flush=True)
        code = found if isinstance(found, int) else 0
        if code or (beside.cores() or 0.0) <= QUIET:
            sys.exit(code)
        if left:
            print("once more:", flush=True)


def _busy() -> float | None:
    """Seconds that all cores were at work since the machine started."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, soft, *_ = map(int, file.readline().split()[1:])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Seconds of this process and its finished children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
