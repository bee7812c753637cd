"""Devices: one mesh with one axis, `data`, over all devices of all hosts; batches are spread over it, all else is replicated.

Axis types are Auto, so models are written as for one device and XLA places the collectives.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from symjax.errors import SymjaxError

DATA = "data"


def connect(coordinator: str, num_processes: int, process_id: int) -> None:
    """Join the other hosts of a run; call it before anything else touches jax. Without a coordinator it does nothing.

    Args:
        coordinator: `host:port` of process 0.
        num_processes: hosts in the run.
        process_id: which one this is, from 0.

    Raises:
        SymjaxError: numbers that do not fit together, or the others could not be reached.
    """
    if not coordinator:
        if num_processes > 1 or process_id > 0:
            raise SymjaxError("--num_processes and --process_id need --coordinator=host:port")
        return
    if not 0 <= process_id < num_processes:
        raise SymjaxError(f"--process_id={process_id}: must be from 0 to --num_processes - 1 = {num_processes - 1}")
    try:
        jax.distributed.initialize(coordinator, num_processes=num_processes, process_id=process_id)
    except (RuntimeError, ValueError) as error:
        raise SymjaxError(f"cannot join the run at --coordinator={coordinator}: {error}") from error


def make_mesh() -> Mesh:
    """Mesh over every device of every process."""
    return jax.make_mesh((jax.device_count(),), (DATA,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def spread(mesh: Mesh) -> NamedSharding:
    """Leading axis divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def place(tree: Any, mesh: Mesh) -> Any:
    """Put host arrays, equal in every process, on all devices."""
    sharding = replicated(mesh)

    def put(leaf: Any) -> jax.Array:
        host = np.asarray(leaf)
        if jax.process_count() == 1:
            return jax.device_put(host, sharding)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree)


def is_main() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all processes must call it together."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))
