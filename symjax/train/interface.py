"""What the training loop asks of a model: the `Task` protocol and the `Bucket` of examples.

A model plugs in by giving a `Task`; its builder is named in `symjax.systems`, and no line of the loop changes. Sampling is
not the loop's business: a model offers its own `generate` that reads weights by `symjax.train.weights.load_params`.

What a task may rely on:
- `loss` is traced under `jax.jit` on a device mesh. It sees one global batch (leading axis = batch) whose rows are spread over the
  devices, and must return means over that batch, so that the value does not depend on the number of devices.
- the key is different in every step and equal on every device; random numbers do not depend on the sharding.
- `params` are float32 masters. With `train.dtype = 'bfloat16'` the loop lets matrix products round their inputs to bfloat16 and
  accumulate in float32; everything else stays float32. A network may read `config.train.dtype` to go further.
- the top-level entry `stats` of the parameters, where there is one, holds fixed numbers (scales, regressions): it is stored
  with the weights and never updated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array

from symjax.errors import SymjaxError

# A pytree of arrays: nested dicts, tuples and flax dataclasses.
PyTree = Any
STATISTICS = "stats"


class Bucket(NamedTuple):
    """Examples of one padded size; one bucket is one compiled program.

    Attributes:
        arrays: pytree of numpy or jax arrays; every leaf has the examples on its leading axis. The loop puts it on the devices.
        weight: share of the dispatches that train on this bucket (normalised by the loop over all buckets).
        batch_size: examples per step. The loop rounds it up to a multiple of the number of devices.
    """

    arrays: PyTree
    weight: float
    batch_size: int


@runtime_checkable
class Task(Protocol):
    """A model with its data, as the loop sees it."""

    name: str

    def buckets(self) -> list[Bucket]:
        """Training examples, at least one bucket."""
        ...

    def validation(self) -> list[Bucket]:
        """Held-out examples; empty if there are none."""
        ...

    def init(self, key: Array, example_batch: PyTree) -> PyTree:
        """Fresh parameters (nested dict of float32 arrays) for batches shaped like `example_batch`."""
        ...

    def loss(self, params: PyTree, batch: PyTree, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """Mean loss of a batch and named scalars for the log."""
        ...


class BucketedTask:
    """What tasks share whose examples were put into buckets of padded sizes when they were made, as `_train` and `_val`."""

    _train: list[Bucket]
    _val: list[Bucket]

    def buckets(self) -> list[Bucket]:
        """Training examples by padded size."""
        return self._train

    def validation(self) -> list[Bucket]:
        """Held-out examples by padded size."""
        return self._val


def weighted_sum(terms: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    """Loss from its terms, each with its weight stated.

    Args:
        terms: scalars by name.
        weights: factor of each; 0 keeps a term for the log only.

    Raises:
        SymjaxError: a term without weight or a weight without term, so that renaming one drops nothing in silence.
    """
    if terms.keys() != weights.keys():
        bare, idle = sorted(terms.keys() - weights.keys()), sorted(weights.keys() - terms.keys())
        raise SymjaxError(f"loss: terms without weight: {bare}; weights without term: {idle}")
    first, *others = terms
    total = weights[first] * terms[first]
    for name in others:
        total = total + weights[name] * terms[name]
    return total
