"""Workers of a running Dask scheduler: the same tasks, outcomes and limits as on one machine.

A task runs on a Dask worker inside one guarded process of `symjax.parallel.local`, one to each of that worker's threads, so that a
crystal which kills its process or never ends takes no Dask worker with it. A Dask worker that goes away itself (a node that ends)
is Dask's trouble: it gives the task to another. Dask is imported on use and is an extra, ``pip install 'symjax-crystals[dask]'``.
"""

from __future__ import annotations

import multiprocessing
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from symjax.errors import SymjaxError
from symjax.parallel.local import Broken, Died, Local
from symjax.parallel.worker import Outcome, Work
from symjax.versions import install_hint, versions

DECISIVE = ("symjax", "numpy", "scipy", "pymatgen", "spglib", "pyxtal", "smact", "matminer", "gemmi")
"""Packages that decide results: every worker must have this machine's versions of them."""


class Cluster:
    """The workers of a scheduler, all doing the same.

    Args:
        address: of the scheduler, such as ``tcp://host:8786``, or a path to the JSON file that it wrote.
        work: what they do.

    Raises:
        SymjaxError: no Dask here, no scheduler or no workers there, or workers with other versions.
    """

    def __init__(self, address: str, work: Work):
        try:
            from distributed import Client
        except ImportError as error:
            raise SymjaxError(f"--scheduler needs Dask ({error}): {install_hint('dask')}") from error
        try:
            given = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
            self.client = Client(**given, timeout=30, set_as_default=False)
            self.client.wait_for_workers(1, timeout=120)
        except (OSError, ValueError, TimeoutError) as error:
            raise SymjaxError(f"--scheduler {address}: no scheduler with workers answers there ({error})") from error
        self.count = sum(self.client.nthreads().values())
        _check_versions(self.client.run(versions, DECISIVE), address)
        self.run = uuid.uuid4().hex
        self.work = self.client.scatter(work, broadcast=True, hash=False)
        self._theirs: dict[Future[list[Outcome]], Any] = {}  # Dask forgets a result that nobody refers to

    def submit(self, items: Sequence[Any], seconds: Sequence[float | None]) -> Future[list[Outcome]]:
        """Start a task; ask `result` for its outcomes once the future is done."""
        ours: Future[list[Outcome]] = Future()
        theirs = self.client.submit(_do, self.run, self.work, items, seconds, pure=False)
        self._theirs[ours] = theirs
        theirs.add_done_callback(lambda _: ours.set_result([]))
        return ours

    def result(self, future: Future[list[Outcome]]) -> list[Outcome]:
        """The outcomes of a task that is done.

        Raises:
            Died: the guarded process has ended, or so many Dask workers that Dask gave up.
            Broken: the scheduler has gone.
        """
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            return self._theirs.pop(future).result()
        except KilledWorker as error:
            raise Died("the Dask workers that had it died") from error
        except FutureCancelledError as error:
            raise Broken(f"the scheduler gave it up: {error}") from error

    def close(self) -> None:
        """End the guarded processes of this run and leave the scheduler."""
        try:
            self.client.cancel(list(self._theirs.values()))
            self.client.run(_end, self.run, on_error="ignore")
        finally:
            self.client.close()


def _check_versions(found: dict[str, dict[str, str | None]], address: str) -> None:
    """Refuse workers whose results could differ from this machine's."""
    ours = versions(DECISIVE)
    for worker, theirs in found.items():
        wrong = [f"{name} {theirs[name]}, here {ours[name]}" for name in DECISIVE if theirs[name] != ours[name]]
        if wrong:
            raise SymjaxError(f"--scheduler {address}: worker {worker} has other versions: {'; '.join(wrong)}")


_LOCAL: dict[tuple[str, int], Local] = {}  # run and thread of this Dask worker -> its guarded process
_LOCK = threading.Lock()


def _do(run: str, work: Work, items: Sequence[Any], seconds: Sequence[float | None]) -> list[Outcome]:
    """A task on a Dask worker."""
    key = run, threading.get_ident()
    with _LOCK:
        multiprocessing.current_process().daemon = False  # Dask marks its workers as having no children
        local = _LOCAL.setdefault(key, Local(work, 1))
    future = local.submit(items, seconds)
    try:
        future.exception()  # waits
        return local.result(future)
    except Broken as error:
        local.close()
        raise Died(str(error)) from error


def _end(run: str) -> None:
    """End the guarded processes of a run on this Dask worker."""
    with _LOCK:
        ours = [key for key in _LOCAL if key[0] == run]
        ended = [_LOCAL.pop(key) for key in ours]
    for local in ended:
        local.close()
