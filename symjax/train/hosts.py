"""The hosts of a run: how they find each other, and agree on what they train.

A scheduler that starts several processes says so in environment variables, and JAX reads most of them by itself. What stands here
is the rule around that: a process that belongs to several never trains alone in silence.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from symjax.errors import SymjaxError

JOIN_SECONDS = 300  # to wait for the others


class Announced(NamedTuple):
    """What the environment says of the run that this process belongs to.

    Attributes:
        by: who started it.
        num: how many processes there are; None where only JAX can ask.
        where: what says so.
        start: how processes are started there so that they find each other.
    """

    by: str
    num: int | None
    where: str
    start: str


def announced(environ: Mapping[str, str]) -> Announced | None:
    """What the environment says of several processes: SLURM, Open MPI, TPU (also under GKE), an indexed job of Kubernetes."""
    if "SLURM_JOB_ID" in environ:
        name = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environ else "SLURM_NTASKS"
        return _counted(environ, "SLURM", name, "start it by `srun`")
    if "OMPI_COMM_WORLD_SIZE" in environ:
        return _counted(environ, "Open MPI", "OMPI_COMM_WORLD_SIZE", "Open MPI from version 5 on needs --coordinator")
    for name in ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES"):
        if environ.get(name):
            count = len(environ[name].split(",")) * int(environ.get("MEGASCALE_NUM_SLICES") or 1)
            return Announced("TPU", count, f"{name}={environ[name]}", "start it on every worker of the slice")
    if "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" in environ:
        start = "an indexed Job needs a headless service and `pip install 'jax[k8s]'`"
        return Announced("Kubernetes", None, "JOB_COMPLETION_INDEX is set", start)
    if importlib.util.find_spec("libtpu") and any(Path("/dev").glob("accel*")):
        return Announced("TPU", None, "this machine has TPU chips", "start it on every worker of the slice")
    return None


def _counted(environ: Mapping[str, str], by: str, name: str, start: str) -> Announced | None:
    text = environ.get(name, "")
    return Announced(by, int(text), f"{name}={text}", start) if text.isdecimal() else None


def connect(
    coordinator: str = "",
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    seconds: int = JOIN_SECONDS,
) -> None:
    """Join the other processes of a run; call it before anything else touches jax.

    Without arguments the environment decides: several processes are joined as JAX finds them, one trains alone.

    Args:
        coordinator: `host:port` of process 0; empty to let JAX find it.
        num_processes: processes in the run; None for what the environment says; 1 without a coordinator to train alone on purpose.
        process_id: which one this is, from 0; None for what the environment says.
        seconds: how long to wait for the others.

    Raises:
        SymjaxError: numbers that do not fit together, hosts that are not alike, or the others could not be reached.
    """
    found = announced(os.environ)
    if coordinator and process_id is not None and not 0 <= process_id < (num_processes or process_id + 1):
        raise SymjaxError(
            f"--process_id={process_id}: must be from 0 to --num_processes - 1 = {(num_processes or 1) - 1}"
        )
    if not coordinator:
        alone = num_processes is None and (found is None or found.num == 1)
        if process_id in (None, 0) and (num_processes == 1 or alone):
            return
        if found is None or process_id is not None:
            raise SymjaxError("--num_processes and --process_id need --coordinator=host:port")
    elif found is None and (num_processes is None or process_id is None):
        raise SymjaxError(f"--coordinator={coordinator} needs --num_processes=N and --process_id=I")
    try:
        jax.distributed.initialize(coordinator or None, num_processes, process_id, initialization_timeout=seconds)
    except Exception as error:  # JAX and its detection of clusters raise many types
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if found is None or coordinator:
            raise SymjaxError(f"cannot join the run at --coordinator={coordinator}: {reason}") from error
        raise SymjaxError(
            f"{found.by} says that this process is one of several ({found.where}), and JAX cannot join them: {reason}; "
            f"{found.start}, or give --coordinator=host:port, or --num_processes=1 to train alone"
        ) from error
    _check_even()
    wanted = num_processes or (found.num if found else None)
    if wanted is not None and jax.process_count() != wanted:
        raise SymjaxError(f"{wanted} processes were to train together, and JAX joined {jax.process_count()}")


def _check_even() -> None:
    """Refuse hosts with different numbers of devices, which collectives of JAX and Orbax do not serve."""
    counts = Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{n} on host {i}" for i, n in sorted(counts.items()))
        raise SymjaxError(f"the hosts of this run have different numbers of devices ({said}); give each the same")


def agree(said: Mapping[str, str]) -> None:
    """Refuse to train where processes were given different things; all of them must call it together.

    Args:
        said: name -> what must be equal everywhere, as text.

    Raises:
        SymjaxError: naming what differs, and the processes that differ from the first.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    own = [np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32) for text in said.values()]
    every = np.asarray(multihost_utils.process_allgather(np.stack(own)))  # (processes, names, 8)
    wrong = (every != every[:1]).any(-1)
    differing = [name for name, column in zip(said, wrong.T, strict=True) if column.any()]
    if differing:
        others = ", ".join(str(i) for i in np.flatnonzero(wrong.any(1)))
        raise SymjaxError(f"the hosts of this run differ from host 0 in {', '.join(differing)} (hosts {others})")
