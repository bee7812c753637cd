"""Errors of the operation algebra and the checks that raise them.

The checks look at values, so they run on the host only; inside `jax.jit` only shapes and dtypes are checked and the
values are the caller's duty (each function says what it assumes).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.errors import SymjaxError
from symjax.ops.types import Op, is_concrete


class OperationError(SymjaxError):
    """An operation, or an array of them, has a wrong shape, dtype or value."""


class BasisError(SymjaxError):
    """A change of basis is singular, or does not map the operations onto integral ones."""


class SnapError(SymjaxError):
    """Floating-point operations are not close enough to exact ones."""


class ParseError(SymjaxError):
    """A symbol of an operation cannot be read; the message names the character."""


def check_shapes(W: Any, w: Any, *, what: str = "operation") -> None:
    """Check that W is (..., 3, 3) and w is (..., 3); batch axes may broadcast.

    Raises:
        OperationError: naming the shapes found.
    """
    W_shape, w_shape = np.shape(W), np.shape(w)
    if len(W_shape) < 2 or W_shape[-2:] != (3, 3):
        raise OperationError(f"{what}: rotation part must have shape (..., 3, 3), got {W_shape}")
    if len(w_shape) < 1 or w_shape[-1] != 3:
        raise OperationError(f"{what}: translation part must have shape (..., 3), got {w_shape}")
    try:
        np.broadcast_shapes(W_shape[:-2], w_shape[:-1])
    except ValueError as error:
        raise OperationError(f"{what}: batch axes of W {W_shape[:-2]} and w {w_shape[:-1]} do not fit") from error


def check_integer(array: Any, *, what: str) -> None:
    """Check for an integer dtype (floats are never truncated silently; use `symjax.ops.basis.snap`).

    Raises:
        OperationError: naming the dtype found.
    """
    dtype = getattr(array, "dtype", None)
    dtype = np.asarray(array).dtype if dtype is None else np.dtype(dtype)
    if not np.issubdtype(dtype, np.integer):
        raise OperationError(f"{what} must have an integer dtype, got {dtype}; use symjax.ops.basis.snap for floats")


def check_den(den: Any) -> None:
    """Check that the denominator is a positive integer (or an array of them).

    Raises:
        OperationError: naming the value.
    """
    if not is_concrete(den):
        return
    values = np.asarray(den)
    if not np.issubdtype(values.dtype, np.integer) or values.size == 0 or values.min() < 1:
        raise OperationError(f"den must be a positive integer, got {den!r}")


def check_unimodular(W: Any, det: Any, *, what: str, error: type[SymjaxError] = OperationError) -> None:
    """Check det = +1 or -1 for every matrix when values are available.

    Raises:
        SymjaxError: of the given class, naming the first failing matrix.
    """
    if not is_concrete(W, det):
        return
    bad = np.abs(np.asarray(det)) != 1
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(np.atleast_1d(bad))[0])
        values = np.broadcast_to(np.asarray(W), (*bad.shape, 3, 3)).reshape(-1, 3, 3)
        first = int(np.flatnonzero(bad)[0])
        place = f" {index}" if bad.ndim else ""
        found = int(np.atleast_1d(np.asarray(det)).reshape(-1)[first])
        raise error(f"{what}{place} {values[first].tolist()} has determinant {found}, must be +1 or -1")


def as_op(W: Any, w: Any) -> Op:
    """Host arrays (lists, any integer dtype) to a checked `Op` of numpy int32 arrays with equal batch axes.

    Args:
        W: (..., 3, 3) integers, determinant +1 or -1.
        w: (..., 3) integers in units of 1/den.

    Raises:
        OperationError: wrong shape, non-integer dtype, determinant other than +-1, or entries beyond int32.
    """
    W, w = np.asarray(W), np.asarray(w)
    check_shapes(W, w)
    check_integer(W, what="rotation part")
    check_integer(w, what="translation part")
    limit = np.iinfo(np.int32).max
    largest = lambda array: max(int(array.max()), -int(array.min())) if array.size else 0
    if largest(W) > 1000 or largest(w) > limit:
        raise OperationError("operation: rotation entries beyond 1000 or translations beyond int32 are not supported")
    W = W.astype(np.int32)
    check_unimodular(W, np.rint(np.linalg.det(W.astype(np.float64))).astype(np.int64), what="rotation part")
    batch = np.broadcast_shapes(W.shape[:-2], w.shape[:-1])
    return Op(np.broadcast_to(W, (*batch, 3, 3)).copy(), np.broadcast_to(w.astype(np.int32), (*batch, 3)).copy())
