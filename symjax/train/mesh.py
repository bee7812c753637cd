"""Devices: one mesh with one axis, `data`, over all devices of all hosts; batches are spread over it, all else is replicated.

Axis types are Auto, so models are written as for one device and XLA places the collectives.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from symjax.nn.partition import DATA


def make_mesh() -> Mesh:
    """Mesh over every device of every process."""
    return jax.make_mesh((jax.device_count(),), (DATA,), axis_types=(AxisType.Auto,))


class Meshed:
    """A compiled program that is called, or lowered, under a mesh, so that what is inside knows of it (`symjax.nn.partition`)."""

    def __init__(self, program: Any, mesh: Mesh):
        self._program, self._mesh = program, mesh

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        with jax.set_mesh(self._mesh):
            return self._program(*arguments)

    def lower(self, *arguments: Any) -> Any:
        """What `jax.jit` has to compile."""
        with jax.set_mesh(self._mesh):
            return self._program.lower(*arguments)


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
