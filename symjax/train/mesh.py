"""Devices: one mesh over all devices of all hosts, with the axes `data` and `model`.

Batches are spread over `data`. Parameters and all that belongs to them are divided over `model`, which has one device unless asked
for: then everything but the batch is the same on every device. Axis types are Auto, so models are written as for one device and XLA
places the collectives.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from symjax.errors import ConfigError
from symjax.nn.partition import DATA

MODEL = "model"
"""Name of the mesh's axis over which parameters are divided."""
DIVIDED_FROM = 2**14
"""Numbers from which an array is divided: of smaller ones the traffic costs more than the memory."""


def make_mesh(model: int = 1) -> Mesh:
    """Mesh (data, model) over every device of every process; those of one group of `model` are neighbours, on one host if they fit.

    Raises:
        ConfigError: the devices cannot be grouped so.
    """
    devices = jax.device_count()
    if devices % model:
        raise ConfigError(f"config.train.model_axis = {model}: does not divide {devices} devices")
    return jax.make_mesh((devices // model, model), (DATA, MODEL), axis_types=(AxisType.Auto,) * 2)


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
    """Leading axis divided over the axis `data`."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def divided(shapes: Any, mesh: Mesh) -> Any:
    """How the arrays of a state lie on the devices.

    Args:
        shapes: tree of arrays or of `jax.ShapeDtypeStruct`.
        mesh: of `make_mesh`.

    Returns:
        The tree with a sharding for each array: divided over `model` on its largest axis that divides (the first of equal ones);
        whole on every device where it has none or holds fewer than `DIVIDED_FROM` numbers.
    """
    num = mesh.shape[MODEL]

    def of(leaf: Any) -> NamedSharding:
        axes = [axis for axis, length in enumerate(leaf.shape) if length % num == 0]
        if num == 1 or not axes or math.prod(leaf.shape) < DIVIDED_FROM:
            return replicated(mesh)
        axis = max(axes, key=lambda a: leaf.shape[a])
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, MODEL))

    return jax.tree.map(of, shapes)


def place(tree: Any, shardings: Any) -> Any:
    """Put host arrays, equal in every process, on the devices.

    Args:
        tree: of arrays.
        shardings: a sharding for each of them, or one for all.
    """

    def put(leaf: Any, sharding: NamedSharding) -> jax.Array:
        host = np.asarray(leaf)
        if jax.process_count() == 1:
            return jax.device_put(host, sharding)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    if isinstance(shardings, NamedSharding):
        return jax.tree.map(lambda leaf: put(leaf, shardings), tree)
    return jax.tree.map(put, tree, shardings)


def send(tree: Any, indices: np.ndarray, mesh: Mesh) -> Any:
    """Examples that lie on the hosts, on the devices: each process reads only the rows of its own devices.

    Args:
        tree: of host arrays `(examples, ...)`.
        indices: `(n, batch)` which examples, equal in every process.
        mesh: of `make_mesh`.

    Returns:
        Tree of `(n, batch, ...)` with the second axis spread over `data`.
    """
    sharding = NamedSharding(mesh, PartitionSpec(None, DATA))

    def take(leaf: np.ndarray) -> jax.Array:
        shape = indices.shape + leaf.shape[1:]
        return jax.make_array_from_callback(shape, sharding, lambda index: leaf[indices[index[:2]]])

    return jax.tree.map(take, tree)


def whole(tree: Any) -> Any:
    """Host arrays of arrays that may be divided over devices of other processes; all processes must call it together."""

    def fetch(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            from jax.experimental import multihost_utils

            return multihost_utils.process_allgather(leaf, tiled=True)
        return jax.device_get(leaf)

    return jax.tree.map(fetch, tree)


def is_main() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all processes must call it together."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))
