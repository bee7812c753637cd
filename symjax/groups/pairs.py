"""All products of the members of a set, packed: one int32 per pair.

Owns `compose_pairs` and `unpack_pairs`. A product is its rotation index among the 64 tabulated ones (bits 24..30) and
its translation in den-ths, one byte per component (x in bits 16.., y in 8.., z in 0..).

Why it is quick: the columns of W_i are packed into one integer each, so that three multiplications give all three
components of W_i w_j in separate bytes, and the reduction modulo den is done in all bytes at once; the rotation of a
product is one look-up in a table that fits into the first cache.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.errors import InputError
from symjax.groups.closure import check_opset
from symjax.groups.rotations import NUM_ROTATIONS, rotation_index, rotation_tables
from symjax.groups.sets import OpSet
from symjax.ops.exact import Op, namespace

Array = Any

MAX_PAIR_DEN = 42  # bytes hold sums below 6 den
_ONES = (1 << 16) | (1 << 8) | 1


@jax.jit
def compose_pairs(opset: OpSet) -> Array:
    """(..., n, n) int32 packed products "row after column" of all pairs of members; -1 for pairs with padding.

    Args:
      opset: (..., n) operations whose rotation parts are among the 64 of the tabulated settings. A product whose
        rotation part is not gets rotation index 64.

    Raises:
      InputError: shapes that do not fit, or a denominator above 42 (use `symjax.ops.exact.compose` then).
    """
    check_opset(opset)
    den = opset.den
    if den > MAX_PAIR_DEN:
        raise InputError(f"packed products need a denominator up to {MAX_PAIR_DEN}, got {den}; use symjax.ops.exact")
    W, mask = jnp.asarray(opset.W), jnp.asarray(opset.mask)
    w = jnp.asarray(opset.w) % den
    rot = jnp.where(mask, rotation_index(W, jnp), NUM_ROTATIONS)
    columns = (W[..., 0, :] << 16) + (W[..., 1, :] << 8) + W[..., 2, :]  # (..., n, 3) one packed integer per column
    own = (w[..., 0] << 16) + (w[..., 1] << 8) + w[..., 2] + 2 * den * _ONES  # never negative: W w >= -2 (den - 1)
    total = own[..., :, None]
    for axis in range(3):
        total = total + columns[..., :, None, axis] * w[..., None, :, axis]
    for multiple in (4, 2, 1):  # every byte is below 6 den: subtract 4 den, 2 den, den where they fit
        high = (
            ((total + (128 - multiple * den) * _ONES) >> 7) & _ONES
            if multiple * den <= 128
            else _at_least(total, multiple * den)
        )
        total = total - high * (multiple * den)
    table = jnp.asarray(rotation_tables().product.astype(np.int32).ravel() << 24)
    turned = table[rot[..., :, None] * (NUM_ROTATIONS + 1) + rot[..., None, :]]
    return jnp.where(mask[..., :, None] & mask[..., None, :], turned | total, -1)


def _at_least(total: Array, limit: int) -> Array:
    """One bit per byte that is at least `limit` (128 < limit): the top bit and the rest of it."""
    low = total & (0x7F * _ONES)
    return (((low + (256 - limit) * _ONES) & total) >> 7) & _ONES


def unpack_pairs(packed: Array) -> Op:
    """Packed products (...) to operations (..., 3, 3) and (..., 3); meaningless for -1 and for rotation index 64."""
    xp = namespace(packed)
    W = xp.asarray(rotation_tables().W)[(packed >> 24) & 0x7F]
    w = xp.stack([(packed >> 16) & 0xFF, (packed >> 8) & 0xFF, packed & 0xFF], -1)
    return Op(W, w.astype(xp.int32))
