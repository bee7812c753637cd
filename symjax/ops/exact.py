"""Exact operations: int32 rotation parts and int32 translations in units of 1/den.

Owns the algebra that must never be off by a rounding: compose, invert, power, order, apply, change of basis, reduction
modulo the lattice, comparison, canonical order and hashes. Everything is a pure function of arrays with any leading
batch axes (they broadcast as in numpy), works under jit and vmap, and gives the same integers on every backend.

`den` is the denominator of the translations, 24 by default; larger cells need others, so it is an argument of every
function whose result depends on it: a Python int, or an integer array with one value per operation.
Results are reduced: translations lie in [0, den). The lattice is Z^3; centring translations are explicit operations.

`symjax.ops.euclidean` has the same names for floating operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.ops.checks import OperationError, check_integer, check_shapes, check_unimodular
from symjax.ops.types import DEN, Array, Den, Op, namespace, per_axis

ORDERS = (1, 2, 3, 4, 6)
"""Finite orders of integer 3x3 matrices (crystallographic restriction)."""

_ROTATION_BASE = 9  # digits -4..4: nine of them fit int32 without a collision
_CODE_BASE = 3  # digits -1..1 of every standard and every reduced primitive setting


_NEXT, _AFTER = np.array([1, 2, 0]), np.array([2, 0, 1])


def identity(shape: tuple[int, ...] = (), xp: Any = np) -> Op:
    """Identity operations with the given batch shape, as numpy (default) or jax.numpy arrays."""
    return Op(xp.broadcast_to(xp.eye(3, dtype=xp.int32), (*shape, 3, 3)), xp.zeros((*shape, 3), dtype=xp.int32))


def determinant(W: Array) -> Array:
    """Determinants of integer matrices, exactly. (..., 3, 3) -> (...)."""
    xp = namespace(W)
    return xp.sum(W[..., 0, :] * cofactors(W)[..., 0, :], axis=-1, dtype=W.dtype)


def cofactors(W: Array) -> Array:
    """Cofactor matrices C with W C^T = det(W) I, exactly. (..., 3, 3) -> (..., 3, 3)."""
    xp = namespace(W)
    if xp is np:  # np.roll costs ten times what the arithmetic does
        down, down2 = np.asarray(W)[..., _NEXT, :], np.asarray(W)[..., _AFTER, :]
        return down[..., _NEXT] * down2[..., _AFTER] - down[..., _AFTER] * down2[..., _NEXT]
    down, down2 = xp.roll(W, -1, axis=-2), xp.roll(W, -2, axis=-2)
    return xp.roll(down, -1, axis=-1) * xp.roll(down2, -2, axis=-1) - xp.roll(down, -2, axis=-1) * xp.roll(
        down2, -1, axis=-1
    )


def inverse_matrix(W: Array) -> Array:
    """Inverses of integer matrices of determinant +1 or -1, exactly.

    Raises:
        OperationError: a determinant other than +-1 (only when values are concrete; under jit it is assumed).
    """
    xp = namespace(W)
    C = cofactors(W)
    det = xp.sum(W[..., 0, :] * C[..., 0, :], axis=-1, dtype=W.dtype)
    check_unimodular(W, det, what="rotation part")
    return xp.swapaxes(C, -1, -2) * det[..., None, None]


def matvec(W: Array, x: Array) -> Array:
    """W x for (..., 3, 3) and (..., 3) with broadcasting batch axes.

    Written as multiply and add over whole arrays: integer einsum in numpy is slow, and jax 0.10.2 on CPU computes wrong
    values for vmapped matrix-row products (see tests/ops/test_jax_regression.py).
    """
    return W[..., :, 0] * x[..., None, 0] + W[..., :, 1] * x[..., None, 1] + W[..., :, 2] * x[..., None, 2]


def matmul(A: Array, B: Array) -> Array:
    """A B for (..., 3, 3) integer matrices with broadcasting batch axes (same reasons as `matvec`)."""
    return (
        A[..., :, 0, None] * B[..., None, 0, :]
        + A[..., :, 1, None] * B[..., None, 1, :]
        + A[..., :, 2, None] * B[..., None, 2, :]
    )


def reduce(op: Op, den: Den = DEN) -> Op:
    """Translations brought to [0, den)."""
    return Op(op.W, op.w % per_axis(den))


def compose(a: Op, b: Op, den: Den = DEN) -> Op:
    """The product a b (b acts first), reduced: (Wa Wb, Wa wb + wa mod den).

    Raises:
        OperationError: a wrong shape or a dtype that is not an integer.
    """
    for op in (a, b):
        check_shapes(op.W, op.w, what="compose")
        check_integer(op.W, what="compose: rotation part")
        check_integer(op.w, what="compose: translation part")
    return Op(matmul(a.W, b.W), (matvec(a.W, b.w) + a.w) % per_axis(den))


def invert(op: Op, den: Den = DEN) -> Op:
    """The inverse (W^-1, -W^-1 w mod den).

    Raises:
        OperationError: a rotation part that is not unimodular (only for concrete values).
    """
    inverse = inverse_matrix(op.W)
    return Op(inverse, -matvec(inverse, op.w) % per_axis(den))


def power(op: Op, exponent: int, den: Den = DEN) -> Op:
    """op composed with itself `exponent` times (a Python int; 0 gives the identity, negative inverts).

    Raises:
        OperationError: exponent is not an int.
    """
    if isinstance(exponent, bool) or not isinstance(exponent, (int, np.integer)):
        raise OperationError(f"power: exponent must be a Python int, got {exponent!r}")
    base = invert(op, den) if exponent < 0 else reduce(op, den)
    result = identity(np.broadcast_shapes(op.W.shape[:-2], op.w.shape[:-1]), xp=namespace(op.W, op.w))
    left = abs(int(exponent))
    while left:
        if left & 1:
            result = compose(result, base, den)
        left >>= 1
        base = compose(base, base, den) if left else base
    return result


def rotation_order(W: Array) -> Array:
    """Order of the rotation parts: 1, 2, 3, 4, 6, or 0 where W has infinite order. (..., 3, 3) -> (...) int32."""
    xp = namespace(W)
    eye = np.eye(3, dtype=np.int32)
    W2 = matmul(W, W)
    W3 = matmul(W2, W)
    powers = {1: W, 2: W2, 3: W3, 4: matmul(W2, W2), 6: matmul(W3, W3)}
    order = xp.zeros(W.shape[:-2], dtype=xp.int32)
    for n in reversed(ORDERS):  # the smallest n is written last
        order = xp.where(xp.all(powers[n] == eye, axis=(-1, -2)), n, order)
    return order.astype(xp.int32)


def order(op: Op, den: Den = DEN) -> Array:
    """Order of the operations modulo Z^3, int32 (0 where the rotation part has infinite order).

    With k the order of W and op^k = (I, s), the order is k den / gcd(s, den); so a screw 4_1 has order 4 and a
    centring translation by 1/2 has order 2.
    """
    xp = namespace(op.W, op.w)
    k = rotation_order(op.W)
    s = orbit_sum(op, k)
    step = xp.gcd(xp.gcd(s[..., 0], s[..., 1]), xp.gcd(s[..., 2], xp.asarray(den, dtype=xp.int32)))
    return (k * (den // step)).astype(xp.int32)


def orbit_sum(op: Op, k: Array) -> Array:
    """sum of W^i w for i < k, with k (...) in 0..6: the translation of op^k, not reduced. (..., 3) int32."""
    xp = namespace(op.W, op.w)
    total, term = xp.zeros_like(op.w), op.w
    for i in range(max(ORDERS)):
        total = total + xp.where((i < k)[..., None], term, 0)
        term = matvec(op.W, term)
    return total


def apply(op: Op, x: Array, den: Den = DEN) -> Array:
    """Images W x + w of points, not reduced.

    Args:
        op: batch axes broadcast with those of x: for all images use Op(W[:, None], w[:, None]) or `apply_all`.
        x: (..., 3) floating fractional coordinates, or integers in units of 1/den (then the result is too).
        den: denominator of op.w.

    Returns:
        (..., 3) of the dtype of x.

    Raises:
        OperationError: a wrong shape.
    """
    check_shapes(op.W, op.w, what="apply")
    xp = namespace(op.W, op.w, x)
    x = xp.asarray(x)
    if x.shape[-1:] != (3,):
        raise OperationError(f"apply: points must have shape (..., 3), got {x.shape}")
    if xp.issubdtype(x.dtype, xp.integer):
        return matvec(op.W, x) + op.w
    return matvec(op.W.astype(x.dtype), x) + op.w.astype(x.dtype) / per_axis(den)


def apply_all(op: Op, x: Array, den: Den = DEN) -> Array:
    """Every operation on every point: op (..., n) and x (..., m, 3) to (..., n, m, 3)."""
    den = den if np.ndim(den) == 0 else den[..., None]
    return apply(Op(op.W[..., None, :, :], op.w[..., None, :]), x[..., None, :, :], den)


def change_basis(op: Op, P: Array, p: Array | None = None, den: Den = DEN) -> Op:
    """Conjugation by a unimodular change of basis and an origin shift; jit-able.

    New basis = old basis times P (columns), new origin p: W' = P^-1 W P, w' = P^-1 (w + (W - I) p).

    Args:
        op: operations in the old basis.
        P: (..., 3, 3) integers of determinant +1 or -1. For others see `symjax.ops.basis.change_basis_rational`.
        p: (..., 3) integers, the new origin in old coordinates in units of 1/den; None for no shift.
        den: denominator of op.w, p and the result.

    Raises:
        OperationError: wrong shape or dtype of P or p, or (for concrete values) P not unimodular.
    """
    check_integer(P, what="change of basis P")
    xp = namespace(op.W, op.w, P, p)
    P = xp.asarray(P, dtype=xp.int32)
    w = op.w
    if p is not None:
        check_integer(p, what="origin shift p")
        p = xp.asarray(p, dtype=xp.int32)
        w = w + matvec(op.W, p) - p
    check_shapes(P, w, what="change of basis")
    inverse = inverse_matrix(P)
    return Op(matmul(inverse, matmul(op.W, P)), matvec(inverse, w) % per_axis(den))


def equal(a: Op, b: Op, den: Den = DEN) -> Array:
    """Whether a and b are the same operation modulo Z^3. (...) bool, batch axes broadcast."""
    xp = namespace(a.W, a.w, b.W, b.w)
    return xp.all(a.W == b.W, axis=(-1, -2)) & xp.all((a.w - b.w) % per_axis(den) == 0, axis=-1)


def rotation_code(W: Array) -> Array:
    """One int32 per rotation part: nine signed digits in base 9.

    Without collision for entries in -4..4; larger entries wrap around int32 and may collide.
    """
    xp = namespace(W)
    place = np.array([_ROTATION_BASE**i for i in range(8, -1, -1)], dtype=np.int32)
    return xp.sum(W.reshape(*W.shape[:-2], 9) * place, axis=-1, dtype=xp.int32)


def translation_code(w: Array, den: Den = DEN) -> Array:
    """One int32 in [0, den^3) per translation part modulo the lattice; without collision for den <= 1290."""
    w = w % per_axis(den)
    return (w[..., 0] * den + w[..., 1]) * den + w[..., 2]


def hash_ops(op: Op, den: Den = DEN) -> Array:
    """Stable hash (..., 2) int32: rotation code and translation code, modulo the lattice.

    Equal operations have equal hashes on every backend and in every version; different ones differ whenever rotation
    entries lie in -4..4 and den <= 1290. Compare only hashes made with the same den.
    """
    return namespace(op.W, op.w).stack([rotation_code(op.W), translation_code(op.w, den)], axis=-1)


def code(op: Op, den: int = DEN) -> Array:
    """One int32 in [0, 19683 den^3) per operation for table look-up, without collision; -1 if an entry of W exceeds 1.

    Raises:
        OperationError: den > 47, for which the codes would not fit int32.
    """
    if not 1 <= den <= 47:
        raise OperationError(f"code: den must lie in 1..47 to fit int32, got {den}; use hash_ops")
    xp = namespace(op.W, op.w)
    place = np.array([_CODE_BASE**i for i in range(8, -1, -1)], dtype=np.int32)
    digits = op.W.reshape(*op.W.shape[:-2], 9)
    small = xp.all(xp.abs(digits) <= 1, axis=-1)
    rotation = xp.sum((digits + 1) * place, axis=-1, dtype=xp.int32)
    return xp.where(small, rotation * den**3 + translation_code(op.w, den), -1).astype(xp.int32)


def sort_key(op: Op, den: Den = DEN) -> Array:
    """Keys (..., 3) int32 of the canonical order, to be compared lexicographically.

    Columns: class (0 for identity rotation parts, then proper by trace from 2 to 6-fold, then improper, then infinite
    order), rotation code, translation code. The identity has the smallest key of all, pure translations follow it.
    """
    xp = namespace(op.W, op.w)
    det = determinant(op.W)
    trace = op.W[..., 0, 0] + op.W[..., 1, 1] + op.W[..., 2, 2]
    proper = det * trace  # 3, -1, 0, 1, 2 for orders 1, 2, 3, 4, 6
    rank = xp.where(proper == 3, 0, proper + 2) + xp.where(det < 0, 8, 0)
    rank = xp.where((proper < -1) | (proper > 3) | (xp.abs(det) != 1), 16, rank)
    # trace 3 alone does not make the identity: shears share it
    is_eye = xp.all(np.eye(3, dtype=np.int32) == op.W, axis=(-1, -2))
    rank = xp.where((rank == 0) & ~is_eye, 16, rank)
    return xp.stack([rank.astype(xp.int32), rotation_code(op.W), translation_code(op.w, den)], axis=-1)


def canonical_order(op: Op, mask: Array | None = None, den: Den = DEN) -> Array:
    """Indices (..., n) int32 that sort operations canonically along the last batch axis: identity first, masked last.

    Args:
        op: (..., n) operations.
        mask: (..., n) bool, False for padding; None when all are real.
        den: denominator; a per-set array must have shape (..., 1).
    """
    xp = namespace(op.W, op.w, mask)
    key = sort_key(op, den)
    absent = xp.zeros(key.shape[:-1], dtype=bool) if mask is None else ~xp.asarray(mask)
    return xp.lexsort((key[..., 2], key[..., 1], key[..., 0], absent)).astype(xp.int32)


def take(op: Op, indices: Array) -> Op:
    """Operations reordered along the last batch axis: op (..., n), indices (..., m) -> (..., m)."""
    xp = namespace(op.W, op.w, indices)
    return Op(
        xp.take_along_axis(op.W, indices[..., None, None], axis=-3),
        xp.take_along_axis(op.w, indices[..., None], axis=-2),
    )


def isin(op: Op, pool: Op, mask: Array | None = None, den: Den = DEN) -> tuple[Array, Array]:
    """Membership of operations (..., m) in a pool (..., n) along the last batch axis.

    Returns:
        found (..., m) bool and index (..., m) int32 of the first equal pool member (0 where not found).
    """
    xp = namespace(op.W, op.w, pool.W, pool.w, mask)
    a, b = hash_ops(op, den), hash_ops(pool, den)
    same = xp.all(a[..., :, None, :] == b[..., None, :, :], axis=-1)
    if mask is not None:
        same = same & xp.asarray(mask)[..., None, :]
    return xp.any(same, axis=-1), xp.argmax(same, axis=-1).astype(xp.int32)
