"""Random numbers for a batch of crystals: one key for all of them, or one key a crystal.

With a key a crystal, what a crystal gets does not depend on the batch it is drawn in, nor on how far the batch is padded: numbers
of JAX's generator are a function of the key and of the place in the array, counted from its beginning
(`jax_threefry_partitionable`, the default). Training uses one key for a batch, sampling one for each crystal. The functions take
both, so processes need not know.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import Array


def seed_key(seed: int) -> Array:
    """The key of a seed from 0 to 2^64 - 1; below 2^32 it is `jax.random.key`, which reads no more bits than that.

    Args:
        seed: not negative.
    """
    low, high = int(seed) & 0xFFFFFFFF, int(seed) >> 32
    key = jax.random.key(np.uint32(low))
    return jax.random.fold_in(key, np.uint32(high)) if high else key


def row_keys(key: Array, rows: Sequence[int] | np.ndarray) -> Array:
    """`(n,)` a key for each of some numbered crystals."""
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(np.asarray(rows, np.uint32))


def fold_in(key: Array, data: Array | int) -> Array:
    """As `jax.random.fold_in`, of a key `()` or keys `(b,)`."""
    return jax.vmap(lambda one: jax.random.fold_in(one, data))(key) if key.ndim else jax.random.fold_in(key, data)


def split(key: Array, num: int) -> list[Array]:
    """As `jax.random.split`, of a key `()` or keys `(b,)`: `num` keys of the same shape."""
    parts = jax.vmap(lambda one: jax.random.split(one, num))(key) if key.ndim else jax.random.split(key, num)
    return [parts[..., i] for i in range(num)]


def _drawn(draw: Callable[..., Array], key: Array, shape: Sequence[int], dtype: jax.typing.DTypeLike) -> Array:
    if not key.ndim:
        return draw(key, tuple(shape), dtype)
    return jax.vmap(lambda one: draw(one, tuple(shape[1:]), dtype))(key)


def normal(key: Array, shape: Sequence[int], dtype: jax.typing.DTypeLike = float) -> Array:
    """Standard normal numbers of a shape with the crystals in front."""
    return _drawn(jax.random.normal, key, shape, dtype)


def uniform(key: Array, shape: Sequence[int], dtype: jax.typing.DTypeLike = float) -> Array:
    """Numbers in [0, 1) of a shape with the crystals in front."""
    return _drawn(jax.random.uniform, key, shape, dtype)


def categorical(key: Array, logits: Array) -> Array:
    """Classes drawn along the last axis of logits with the crystals in front."""
    if not key.ndim:
        return jax.random.categorical(key, logits, axis=-1)
    return jax.vmap(lambda one, row: jax.random.categorical(one, row, axis=-1))(key, logits)
