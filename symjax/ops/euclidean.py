"""Floating operations: differentiable, with the names of `symjax.ops.exact`.

A `Motion` holds (R, t) with x' = R x + t, in any basis; the usual one is Cartesian, where R is orthogonal and t in
angstrom. What depends on the lattice takes `basis`, the matrix whose COLUMNS are the basis vectors in the frame of the
motion (None: the motion is already in fractional coordinates, the lattice is Z^3).

Gradients flow through R, t, points and bases. Integer parts of a reduction are constants, so its gradient is that of a
translation. Everything takes any leading batch axes and works under jit, vmap and grad; `order` and `equal` return
integers and booleans.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax._later import jax
from symjax.ops import exact
from symjax.ops.checks import BasisError, OperationError
from symjax.ops.types import DEN, Array, Den, Motion, Op, is_concrete, namespace, per_axis

MAX_ROTATION_ORDER = 12
MAX_TRANSLATION_ORDER = 48


def identity(shape: tuple[int, ...] = (), xp: Any = np, dtype: Any = np.float32) -> Motion:
    """Identity motions with the given batch shape, as numpy (default) or jax.numpy arrays."""
    return Motion(xp.broadcast_to(xp.eye(3, dtype=dtype), (*shape, 3, 3)), xp.zeros((*shape, 3), dtype=dtype))


def _real(*arrays: Any) -> list[Any]:
    """Arrays of one floating dtype and one namespace; integers become the default float."""
    xp = namespace(*arrays)
    arrays = tuple(xp.asarray(a) for a in arrays)
    kinds = [a.dtype for a in arrays if xp.issubdtype(a.dtype, xp.floating)]
    dtype = xp.result_type(*kinds) if kinds else xp.zeros(()).dtype
    return [a.astype(dtype) for a in arrays]


def inverse_matrix(A: Array) -> Array:
    """Inverses of (..., 3, 3) floating matrices by cofactors: no LAPACK call, the same formula on every backend.

    Raises:
        BasisError: a singular matrix (only for concrete values).
    """
    xp = namespace(A)
    C = exact.cofactors(A)
    det = xp.sum(A[..., 0, :] * C[..., 0, :], axis=-1)
    if is_concrete(A):
        values, size = np.asarray(det), np.abs(np.asarray(A)).max(axis=(-1, -2)) ** 3
        if np.any(np.abs(values) <= 1e-9 * size) or not np.all(np.isfinite(values)):
            raise BasisError(f"matrix is singular or not finite (determinants {np.atleast_1d(values).ravel()[:4]})")
    return xp.swapaxes(C, -1, -2) / det[..., None, None]


def wrap(x: Array, tol: float = 0.0) -> Array:
    """Fractional coordinates brought to [0, 1), also where rounding gives exactly 1 (float32: -1e-9).

    Args:
        x: any shape, floating.
        tol: values within tol of an integer become exactly 0, so that noise does not split 0 from 0.9999.

    Returns:
        The dtype of x. The gradient is one everywhere, also where the value is snapped to 0.
    """
    xp = namespace(x)
    y = x - xp.floor(x)
    constant = y if xp is np else jax.lax.stop_gradient(y)
    return xp.where((y >= 1 - tol) | (y <= tol), y - constant, y)


def compose(a: Motion, b: Motion) -> Motion:
    """The product a b (b acts first): (Ra Rb, Ra tb + ta)."""
    return Motion(exact.matmul(a.R, b.R), exact.matvec(a.R, b.t) + a.t)


def invert(m: Motion) -> Motion:
    """The inverse (R^-1, -R^-1 t), for any invertible R.

    Raises:
        BasisError: a singular R (only for concrete values).
    """
    inverse = inverse_matrix(m.R)
    return Motion(inverse, -exact.matvec(inverse, m.t))


def power(m: Motion, exponent: int) -> Motion:
    """m composed with itself `exponent` times (a Python int; 0 gives the identity, negative inverts).

    Raises:
        OperationError: exponent is not an int.
    """
    if isinstance(exponent, bool) or not isinstance(exponent, (int, np.integer)):
        raise OperationError(f"power: exponent must be a Python int, got {exponent!r}")
    base = invert(m) if exponent < 0 else m
    shape = np.broadcast_shapes(m.R.shape[:-2], m.t.shape[:-1])
    result = identity(shape, xp=namespace(m.R, m.t), dtype=m.R.dtype)
    left = abs(int(exponent))
    while left:
        if left & 1:
            result = compose(result, base)
        left >>= 1
        base = compose(base, base) if left else base
    return result


def _to_lattice(t: Array, basis: Array | None) -> Array:
    """Components of a vector in the lattice basis."""
    return t if basis is None else exact.matvec(inverse_matrix(basis), t)


def order(m: Motion, basis: Array | None = None, *, tol: float = 1e-4) -> Array:
    """Order of the motions modulo the lattice, int32; 0 where none is found.

    Args:
        m: (...) motions.
        basis: (..., 3, 3) lattice columns; None for Z^3.
        tol: largest entry of R^k - I and of the fractional difference that counts as zero.

    Searched: rotation orders up to 12, translations up to 1/48 of a lattice vector.
    """
    xp = namespace(m.R, m.t, basis)
    eye = xp.eye(3, dtype=m.R.dtype)
    found = xp.zeros(np.broadcast_shapes(m.R.shape[:-2], m.t.shape[:-1]), dtype=xp.int32)
    shift = xp.zeros_like(m.t)
    current = m
    for k in range(1, MAX_ROTATION_ORDER + 1):
        hit = (found == 0) & (xp.abs(current.R - eye).max(axis=(-1, -2)) <= tol)
        found = xp.where(hit, k, found)
        shift = xp.where(hit[..., None], current.t, shift)
        current = compose(current, m)
    multiples = xp.arange(1, MAX_TRANSLATION_ORDER + 1, dtype=m.t.dtype)
    s = _to_lattice(shift, basis)[..., None, :] * multiples[:, None]
    closed = xp.abs(s - xp.round(s)).max(axis=-1) <= tol * multiples
    times = xp.where(xp.any(closed, axis=-1), xp.argmax(closed, axis=-1) + 1, 0)
    return (found * times).astype(xp.int32)


def apply(m: Motion, x: Array) -> Array:
    """Images R x + t of points (..., 3); batch axes broadcast."""
    return exact.matvec(m.R, x) + m.t


def apply_all(m: Motion, x: Array) -> Array:
    """Every motion on every point: m (..., n) and x (..., m, 3) to (..., n, m, 3)."""
    return apply(Motion(m.R[..., None, :, :], m.t[..., None, :]), x[..., None, :, :])


def change_basis(m: Motion, P: Array, p: Array | None = None) -> Motion:
    """Conjugation by any invertible change of basis P (columns) and new origin p (old coordinates).

    R' = P^-1 R P, t' = P^-1 (t + (R - I) p); nothing is reduced.

    Raises:
        BasisError: a singular P (only for concrete values).
    """
    inverse = inverse_matrix(P)
    t = m.t if p is None else m.t + exact.matvec(m.R, p) - p
    return Motion(exact.matmul(inverse, exact.matmul(m.R, P)), exact.matvec(inverse, t))


def reduce(m: Motion, basis: Array | None = None, tol: float = 0.0) -> Motion:
    """Translations modulo the lattice: fractional components in [0, 1), see `wrap` for the ends and tol.

    Args:
        m: (...) motions.
        basis: (..., 3, 3) lattice columns; None for Z^3.
        tol: fractional components within tol of an integer become 0.
    """
    if basis is None:
        return Motion(m.R, wrap(m.t, tol))
    return Motion(m.R, exact.matvec(basis, wrap(_to_lattice(m.t, basis), tol)))


def equal(a: Motion, b: Motion, basis: Array | None = None, *, tol: float = 1e-4) -> Array:
    """Whether motions agree modulo the lattice: entries of R and fractional translations within tol. (...) bool."""
    xp = namespace(a.R, a.t, b.R, b.t, basis)
    d = _to_lattice(a.t - b.t, basis)
    same = xp.all(xp.abs(a.R - b.R) <= tol, axis=(-1, -2))
    return same & xp.all(xp.abs(d - xp.round(d)) <= tol, axis=-1)


def from_exact(op: Op, basis: Array | None = None, den: Den = DEN, *, dtype: Any = None) -> Motion:
    """Exact operations as motions: R = A W A^-1, t = A w / den.

    Args:
        op: (...) exact operations.
        basis: (..., 3, 3) lattice columns A in the target frame (angstrom for a crystal, or a reference frame of
            `symjax.lattice`); None keeps fractional coordinates.
        den: denominator of op.w.
        dtype: floating dtype; that of the basis (default float when None).

    Raises:
        BasisError: a singular basis (only for concrete values).
    """
    xp = namespace(op.W, op.w, basis)
    if dtype is None:
        dtype = xp.zeros(()).dtype if basis is None else _real(basis)[0].dtype
    W, w = xp.asarray(op.W).astype(dtype), xp.asarray(op.w).astype(dtype) / per_axis(den)
    if basis is None:
        return Motion(W, w.astype(dtype))
    A = xp.asarray(basis).astype(dtype)
    return Motion(exact.matmul(A, exact.matmul(W, inverse_matrix(A))), exact.matvec(A, w.astype(dtype)))
