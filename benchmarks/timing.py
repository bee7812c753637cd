"""Timing that the benchmarks share."""

from __future__ import annotations

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
