"""Sets of symmetry operations with masks: the pytree that every other part passes around.

Owns `OpSet` and what only rearranges it (building, padding, stacking, sorting, selecting, comparing on the host).
It does not know what a group is: see `closure` and `algebra`.

Conventions: x' = W x + w in the basis of the cell; ``w`` counts 1/den of the cell edges and is kept in [0, den).
A set is taken modulo Z^3 of that cell, so the centring translations of a conventional cell are explicit members and a
set has at most 192 of them in a standard setting. Padding sits at the end: identity rotation, w = 0, mask False.
Canonical order is that of `symjax.ops.exact.canonical_order`: the identity first, then the other pure translations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symjax._later import pytree, static
from symjax.errors import InputError
from symjax.ops import exact
from symjax.ops.types import DEN

Array = Any  # numpy or jax array

MAX_OPS = 192


@pytree
class OpSet:
    """A set (or a batch of sets) of operations, padded to one length.

    Attributes:
      W: (..., n, 3, 3) int32 rotation parts in the lattice basis.
      w: (..., n, 3) int32 translation parts in units of 1/den, in [0, den).
      mask: (..., n) bool, True for members, False for the padding at the end.
      den: common denominator of the translations (static).
    """

    W: Array
    w: Array
    mask: Array
    den: int = static(default=DEN)

    @property
    def capacity(self) -> int:
        """Number of slots, padding included."""
        return self.W.shape[-3]

    @property
    def order(self) -> Array:
        """(...) number of members."""
        return self.mask.sum(axis=-1)


def make_opset(W: Any, w: Any, *, mask: Any = None, den: int = DEN, num_ops: int | None = None) -> OpSet:
    """Builds a numpy `OpSet`, reducing the translations modulo the lattice.

    Args:
      W: (..., n, 3, 3) integers.
      w: (..., n, 3) integers in units of 1/den.
      mask: (..., n) bool; all True when left out.
      den: denominator of w.
      num_ops: pad to this many slots.

    Raises:
      InputError: wrong shapes, non-integer values, or more operations than `num_ops`.
    """
    W, w = _as_int(W, "W"), _as_int(w, "w")
    if W.shape[-2:] != (3, 3) or w.shape[-1:] != (3,) or W.shape[:-2] != w.shape[:-1] or W.ndim < 3:
        raise InputError(f"an operation set needs W (..., n, 3, 3) and w (..., n, 3), got {W.shape} and {w.shape}")
    if den < 1:
        raise InputError(f"the denominator of translations must be positive, got {den}")
    mask = np.ones(W.shape[:-2], bool) if mask is None else np.asarray(mask, bool)
    if mask.shape != W.shape[:-2]:
        raise InputError(f"the mask of an operation set must have shape {W.shape[:-2]}, got {mask.shape}")
    opset = OpSet(W=W.astype(np.int32), w=np.mod(w, den).astype(np.int32), mask=mask, den=den)
    return opset if num_ops is None else pad(opset, num_ops)


def _as_int(values: Any, name: str) -> np.ndarray:
    """Integers as int64; floats are accepted only when they are exactly integral."""
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise InputError(f"{name} of an operation set must be integers, got dtype {array.dtype}")
    rounded = np.rint(array) if array.dtype.kind == "f" else array
    if not np.array_equal(rounded, array):
        raise InputError(f"{name} of an operation set must be integers (w in units of 1/den), got non-integral values")
    return rounded.astype(np.int64)


def pad(opset: OpSet, num_ops: int) -> OpSet:
    """Pads a numpy set to `num_ops` slots (or drops padding down to it).

    Raises:
      InputError: a set has more members than `num_ops`.
    """
    W, w, mask = np.asarray(opset.W), np.asarray(opset.w), np.asarray(opset.mask)
    largest = int(mask.sum(-1).max(initial=0))
    if largest > num_ops:
        raise InputError(f"a set of {largest} operations does not fit into {num_ops} slots")
    keep = min(num_ops, W.shape[-3])
    if mask[..., keep:].any():
        raise InputError("cannot shorten an operation set whose padding is not at its end")
    shape = mask.shape[:-1] + (num_ops,)
    out_W = np.broadcast_to(np.eye(3, dtype=np.int32), shape + (3, 3)).copy()
    out_w, out_mask = np.zeros(shape + (3,), np.int32), np.zeros(shape, bool)
    out_mask[..., :keep] = mask[..., :keep]
    out_W[..., :keep, :, :] = np.where(mask[..., :keep, None, None], W[..., :keep, :, :], np.eye(3, dtype=np.int32))
    out_w[..., :keep, :] = np.where(mask[..., :keep, None], w[..., :keep, :], 0)
    return OpSet(W=out_W, w=out_w, mask=out_mask, den=opset.den)


def stack(opsets: Sequence[OpSet], num_ops: int | None = None) -> OpSet:
    """Stacks sets of one denominator along a new leading axis, padded to `num_ops` (default: the largest)."""
    if not opsets:
        raise InputError("cannot stack an empty list of operation sets")
    dens = {s.den for s in opsets}
    if len(dens) > 1:
        raise InputError(f"cannot stack operation sets of different denominators {sorted(dens)}")
    size = max(int(np.asarray(s.mask).sum(-1).max(initial=0)) for s in opsets) if num_ops is None else num_ops
    padded = [pad(s, size) for s in opsets]
    return OpSet(
        W=np.stack([s.W for s in padded]),
        w=np.stack([s.w for s in padded]),
        mask=np.stack([s.mask for s in padded]),
        den=opsets[0].den,
    )


def members(opset: OpSet) -> OpSet:
    """The members of one numpy set without its padding (and wherever the mask has holes)."""
    mask = np.asarray(opset.mask)
    if mask.ndim != 1:
        raise InputError(f"members() takes one set, got a batch of shape {mask.shape[:-1]}")
    return take(opset, np.flatnonzero(mask))


def take(opset: OpSet, indices: Any) -> OpSet:
    """The operations at `indices` (m,) of one set, as an unpadded numpy set in that order."""
    indices = np.asarray(indices, np.int64)
    return OpSet(
        W=np.asarray(opset.W)[indices],
        w=np.asarray(opset.w)[indices],
        mask=np.asarray(opset.mask)[indices],
        den=opset.den,
    )


def canonicalize(opset: OpSet) -> OpSet:
    """One numpy set, its members in canonical order, duplicates dropped, its padding (same capacity) at the end."""
    inner = members(opset)
    return pad(take(inner, canonical_unique(inner.W, inner.w, inner.den)), opset.capacity)


def canonical_unique(W: np.ndarray, w: np.ndarray, den: int = DEN) -> np.ndarray:
    """Indices (m,) of the distinct operations among (n,), in canonical order (host, exact for any entries)."""
    rows = np.concatenate([W.reshape(-1, 9), w % den], -1)
    _, first = np.unique(rows, axis=0, return_index=True)
    first = np.sort(first)
    return first[exact.canonical_order(exact.Op(W[first], w[first]), den=den)]


def same_set(a: OpSet, b: OpSet) -> bool:
    """Whether two numpy sets hold the same operations, whatever their order, padding and denominator."""
    ka, kb = _exact_keys(a), _exact_keys(b)
    return ka == kb


def _exact_keys(opset: OpSet) -> set[tuple]:
    """Hashable exact description of the members: rotation entries and translations as reduced fractions."""
    inner = members(opset)
    den = inner.den
    gcd = np.gcd(inner.w, den)
    top, bottom = inner.w // gcd, den // gcd
    return {
        (tuple(W.ravel().tolist()), tuple(t.tolist()), tuple(b.tolist()))
        for W, t, b in zip(inner.W, top, bottom, strict=True)
    }
