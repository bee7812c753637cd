"""Work on rows that XLA does not divide by itself: each device does its own.

A program over a mesh is written as for one device, and XLA divides its operations. Some it does not know how to divide (`top_k`
is one): it gathers the whole batch on every device, which then does the work of all. `by_row` says what XLA cannot see, that row i
of the result needs row i of the arguments alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax.sharding import PartitionSpec

DATA = "data"
"""Name of the mesh's axis over which batches are divided."""


def by_row(function: Callable[..., Any], *arrays: Array) -> Any:
    """``function(*arrays)``; under a mesh (`jax.set_mesh`) each device calls it on its own rows.

    Args:
        function: of arrays with a common leading axis, to arrays with that axis; row i depends on rows i alone.
        arrays: `(b, ...)` each.
    """
    mesh = jax.sharding.get_abstract_mesh()
    devices = 1 if mesh.empty else dict(mesh.shape).get(DATA, 1)
    if devices == 1 or arrays[0].shape[0] % devices:
        return function(*arrays)
    rows = PartitionSpec(DATA)
    return jax.shard_map(function, in_specs=rows, out_specs=rows)(*arrays)
