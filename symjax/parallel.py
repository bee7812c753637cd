"""Run one pure function over many items on all cores, in order, with a progress bar.

Workers are spawned, never forked: a fork of a process in which JAX has started its threads can hang.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

SMALL = 64
"""Fewer items than this run in this process: starting workers costs seconds."""


def map_items(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    processes: int | None = None,
    label: str = "",
    progress: bool = False,
    chunk: int = 8,
) -> list[R]:
    """Return ``[function(item) for item in items]``, in order.

    Args:
        function: a function of a module (workers import it by name).
        items: what it is called with; must be picklable.
        processes: worker processes; None for one a core. One, or few items, means this process.
        label: name on the progress bar.
        progress: whether to show one on stderr.
        chunk: items sent to a worker at a time.
    """
    return list(imap_items(function, items, processes=processes, label=label, progress=progress, chunk=chunk))


def imap_items(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    processes: int | None = None,
    label: str = "",
    progress: bool = False,
    chunk: int = 8,
) -> Iterator[R]:
    """`map_items`, giving each result out as soon as it and all before it are there."""
    workers = processes if processes is not None else (os.cpu_count() or 1)
    if workers <= 1 or len(items) < SMALL:
        yield from _bar(map(function, items), len(items), label, progress)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from _bar(pool.map(function, items, chunksize=chunk), len(items), label, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupted run must not first finish what is queued
            raise


def _bar(iterable: Iterable[R], total: int, label: str, progress: bool) -> Iterable[R]:
    if not progress:
        return iterable
    from tqdm import tqdm

    bar: Any = tqdm(iterable, total=total, desc=label, dynamic_ncols=True)
    return bar
