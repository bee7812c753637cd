"""All products of the members of a set, each as one integer.

Owns `compose_pairs` and `unpack_pairs`. A product is given by `symjax.ops.exact.code`: nine base-3 digits for the
rotation part, then the translation in base den.

Why it is quick: nothing but multiplications and additions of whole arrays. The code of a product of rotation parts is
bilinear in their rows and columns, so three multiplications give it; three more give all components of W_i w_j in the
bytes of one integer, which are then reduced modulo den together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax._later import jit, jnp
from symjax.errors import InputError
from symjax.groups.closure import check_opset
from symjax.groups.rotations import group_of_rotations, rotation_index, rotation_tables
from symjax.groups.sets import OpSet
from symjax.ops.exact import Op, namespace
from symjax.ops.types import DEN

Array = Any

MAX_PAIR_DEN = 42  # bytes hold sums below 6 den, and three bytes fit the 24 bits of float32
_ONES = (1 << 16) | (1 << 8) | 1
_CENTER = (3**9 - 1) // 2  # the code of the zero matrix


def compose_pairs(opset: OpSet) -> Array:
    """(..., n, n) int32 codes of the products "row after column" of all pairs of members.

    Args:
      opset: (..., n) operations whose rotation parts lie in one of the groups formed by the 64 rotation parts of the
        tabulated settings (true for every tabulated setting and every subset of one).

    Returns:
      `exact.code` of each product; -1 for pairs with padding, and for all pairs of a set with other rotation parts
      (use `exact.compose` and `exact.hash_ops` for those).

    Raises:
      InputError: shapes that do not fit, or a denominator above 42.
    """
    check_opset(opset)
    if opset.den > MAX_PAIR_DEN:
        raise InputError(
            f"packed products need a denominator up to {MAX_PAIR_DEN}, got {opset.den}; use symjax.ops.exact"
        )
    # two compiled functions, so that what belongs to one operation is not made again for every pair by loop fusion
    return _combine(*_prepare(opset), den=opset.den)


@jit()
def _prepare(opset: OpSet) -> tuple:
    """Per operation: the packed parts that `_combine` multiplies, as contiguous (..., n) arrays."""
    den = opset.den
    W, mask = jnp.asarray(opset.W), jnp.asarray(opset.mask)
    w = jnp.asarray(opset.w) % den
    group, _ = group_of_rotations(jnp.where(mask, rotation_index(W, jnp), 0))
    mask = mask & (group < len(rotation_tables().group_order) - 1)[..., None]
    by_column = W[..., 0, :] * 3**6 + W[..., 1, :] * 3**3 + W[..., 2, :]
    by_row = W[..., :, 0] * 9 + W[..., :, 1] * 3 + W[..., :, 2]
    lanes = (W[..., 0, :] << 16) + (W[..., 1, :] << 8) + W[..., 2, :]
    own = (w[..., 0] << 16) + (w[..., 1] << 8) + w[..., 2] + 2 * den * _ONES  # never negative: W w >= -2 (den - 1)
    split = [tuple(a[..., axis].astype(jnp.float32) for axis in range(3)) for a in (by_column, by_row, lanes, w)]
    return (*split, own.astype(jnp.float32), mask)


@jit(static_argnames=("den",))
def _combine(by_column: tuple, by_row: tuple, lanes: tuple, w: tuple, own: Array, mask: Array, *, den: int) -> Array:
    # float32 multiplies and adds faster than int32 on CPUs, and every number here is an integer below 2^24: exact
    turned, moved = jnp.float32(_CENTER), own[..., :, None]
    for axis in range(3):
        turned = turned + by_column[axis][..., :, None] * by_row[axis][..., None, :]
        moved = moved + lanes[axis][..., :, None] * w[axis][..., None, :]
    turned, moved = turned.astype(jnp.int32) * den**3, moved.astype(jnp.int32)
    for multiple in (4, 2, 1):  # every byte is below 6 den: subtract 4 den, 2 den, den where they fit
        moved = moved - _at_least(moved, multiple * den) * (multiple * den)
    translation = ((moved >> 16) * den + ((moved >> 8) & 0xFF)) * den + (moved & 0xFF)
    return jnp.where(mask[..., :, None] & mask[..., None, :], turned + translation, -1)


def _at_least(total: Array, limit: int) -> Array:
    """One bit per byte, at its lowest place, for the bytes that are at least `limit`."""
    if limit <= 128:  # no byte overflows: they are below 2 limit when this is asked
        return ((total + (128 - limit) * _ONES) >> 7) & _ONES
    low = total & (0x7F * _ONES)
    return (((low + (256 - limit) * _ONES) & total) >> 7) & _ONES


def unpack_pairs(codes: Array, den: int = DEN) -> Op:
    """Codes (...) back to operations (..., 3, 3) and (..., 3) int32; meaningless for -1."""
    xp = namespace(codes)
    rotation, translation = codes // den**3, codes % den**3
    digits = rotation[..., None] // xp.asarray(3 ** np.arange(8, -1, -1)) % 3 - 1
    w = xp.stack([translation // den**2, translation // den % den, translation % den], -1)
    return Op(digits.reshape(*codes.shape, 3, 3).astype(xp.int32), w.astype(xp.int32))


__all__ = ["MAX_PAIR_DEN", "compose_pairs", "unpack_pairs"]
