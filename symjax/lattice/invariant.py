"""Metrics that a set of operations leaves unchanged.

Owns the projectors (of metric tensors in any basis, of log coefficients in a reference frame), the number of free lattice
parameters and the defect W^T G W - G. Translations play no part; a set may hold each rotation part several times (centring).
The average is a projection only for closed sets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.errors import SymjaxError
from symjax.lattice.frames import frame_rotations, to_float
from symjax.lattice.log import K_BASIS
from symjax.ops.types import namespace

Array = Any  # numpy or jax array


def _weights(mask: Any, shape: tuple[int, ...], dtype: Any, xp: Any) -> Array:
    """(..., n) weights of the mean over members; uniform when mask is None."""
    mask = xp.ones(shape, dtype=dtype) if mask is None else xp.asarray(mask).astype(dtype)
    return mask / xp.maximum(mask.sum(axis=-1, keepdims=True), 1)


def k_projector(W: Any, mask: Any = None, frame: Any = 0) -> Array:
    """Orthogonal projector onto the log coefficients that a closed set leaves free: mean over g of S -> R_g S R_g^T.

    Args:
        W: (..., n, 3, 3) rotation parts, integers in the lattice basis; or, with ``frame=None``, orthogonal matrices R.
        mask: (..., n) bool members (or weights), all when left out.
        frame: (...) 0 or 1, or None when W holds orthogonal matrices already.

    Returns:
        (..., 6, 6), symmetric and idempotent; its rank is the number of free lattice parameters.

    Raises:
        SymjaxError: (host arrays only) a member is not orthogonal in the frame.
    """
    xp = namespace(W, mask, frame)
    R = to_float(W, xp) if frame is None else frame_rotations(W, frame)
    weights = _weights(mask, R.shape[:-2], R.dtype, xp)
    if xp is np:
        defect = np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max(axis=(-1, -2)) * (weights > 0)
        if defect.max(initial=0) > 1e-6:
            at = np.argwhere(defect > 1e-6)[0].tolist()
            raise SymjaxError(f"operation {at} is not orthogonal in reference frame {frame}; see choose_frame")
    basis = xp.asarray(K_BASIS, dtype=R.dtype)
    # R S R^T for all six basis matrices at once, averaged first over the set as the 9 x 9 matrix of R (x) R
    pair = xp.einsum("...g,...gij,...gkl->...ijkl", weights, R, R)
    projector = xp.einsum("aik,...ijkl,bjl->...ab", basis, pair, basis)
    return 0.5 * (projector + xp.swapaxes(projector, -1, -2))


def project_k(k: Any, projector: Any) -> Array:
    """Projection of log coefficients k (..., 6) by projectors (..., 6, 6) of `k_projector`. Keeps the volume."""
    xp = namespace(k, projector)
    k = to_float(k, xp)
    return xp.einsum("...ij,...j->...i", xp.asarray(projector, dtype=k.dtype), k)


def project_metric(W: Any, mask: Any, G: Any) -> Array:
    """Mean over the set of W^T G W: the nearest invariant metric of a closed set, in any basis.

    Args:
        W: (..., n, 3, 3) integers.
        mask: (..., n) bool or None.
        G: (..., 3, 3) metric tensors.

    Returns:
        (..., 3, 3), symmetric; positive definite if G is. The volume is not kept (the average of log coefficients keeps it).
    """
    xp = namespace(W, mask, G)
    G = to_float(G, xp)
    W = xp.asarray(W).astype(G.dtype)
    weights = _weights(mask, W.shape[:-2], G.dtype, xp)
    moved = xp.swapaxes(W, -1, -2) @ G[..., None, :, :] @ W
    mean = (weights[..., None, None] * moved).sum(axis=-3)
    return 0.5 * (mean + xp.swapaxes(mean, -1, -2))


def metric_defects(W: Any, G: Any) -> Array:
    """Frobenius norms |W^T G W - G| (angstrom^2) per operation: W (..., n, 3, 3), G (..., 3, 3) -> (..., n).

    The gradient is finite also where an operation is an isometry.
    """
    xp = namespace(W, G)
    G = to_float(G, xp)
    W = xp.asarray(W).astype(G.dtype)
    defect = xp.swapaxes(W, -1, -2) @ G[..., None, :, :] @ W - G[..., None, :, :]
    square = (defect**2).sum(axis=(-1, -2))
    return xp.where(square > 0, xp.sqrt(xp.where(square > 0, square, 1.0)), 0.0)


def compatibility_defect(W: Any, mask: Any, G: Any) -> Array:
    """Largest |W^T G W - G| over the members of a set, relative to |G| (Frobenius norms); 0 means compatible.

    Args:
        W: (..., n, 3, 3) integers.
        mask: (..., n) bool or None.
        G: (..., 3, 3) metric tensors.

    Returns:
        (...), without unit; about 1e-15 in float64 and 1e-6 in float32 for a compatible lattice.
    """
    xp = namespace(W, mask, G)
    G = to_float(G, xp)
    defects = metric_defects(W, G)
    if mask is not None:
        defects = xp.where(xp.asarray(mask), defects, 0.0)
    return defects.max(axis=-1) / xp.sqrt((G**2).sum(axis=(-1, -2)))


def num_free(W: Any, mask: Any = None) -> Array:
    """Number of free lattice parameters (...) of closed sets W (..., n, 3, 3), mask (..., n): 6, 4, 3, 2 or 1.

    The mean over the set of (tr(W)^2 + tr(W^2)) / 2, the character of the symmetric square; exact in integers.
    """
    xp = namespace(W, mask)
    W = xp.asarray(W)
    trace = xp.trace(W, axis1=-2, axis2=-1)
    trace_square = xp.trace(W @ W, axis1=-2, axis2=-1)
    terms = trace * trace + trace_square
    member = xp.ones(terms.shape, bool) if mask is None else xp.asarray(mask)
    return xp.where(member, terms, 0).sum(axis=-1) // (2 * xp.maximum(member.sum(axis=-1), 1))


def invariant_metrics(W: Any, mask: Any = None) -> np.ndarray:
    """Basis of the metrics that one set leaves unchanged, in any basis (host): (d, 3, 3), Frobenius-orthonormal.

    Args:
        W: (n, 3, 3) integers of a closed set.
        mask: (n,) bool or None.
    """
    W = np.asarray(W, float)
    kept = W if mask is None else W[np.asarray(mask, bool)]
    moved = np.einsum("gji,ajk,gkl->gail", kept, K_BASIS, kept)
    operator = np.einsum("gail,bil->ba", moved, K_BASIS) / len(kept)
    u, singular, _ = np.linalg.svd(operator)  # the average projects (obliquely) onto the invariant metrics: its range
    return np.einsum("ad,aij->dij", u[:, singular > 1e-9 * singular[0]], K_BASIS)
