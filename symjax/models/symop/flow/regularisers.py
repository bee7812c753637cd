"""The four regularisers of generated sets: closure, inverse, identity and lattice compatibility.

They act on what the flow generates: on the clean estimate of the tokens after assignment, and on the lattice that it predicts,
not on the true one. Each is zero exactly if the estimate is a group of isometries of the predicted lattice, and has a gradient
elsewhere.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from symjax.models.symop.flow.process import product_table

Array = Any
_SHARPNESS = 8.0  # of the soft minimum over tokens; distinct rotations are at least 2 apart in the squared distance


def _nearest(distance: Array, mask: Array) -> Array:
    """Soft minimum over the last axis (tokens)."""
    weight = jax.nn.softmax(jnp.where(mask, -_SHARPNESS * distance, -1e9), -1)
    return jnp.sum(weight * distance, -1)


def _mean(x: Array, mask: Array) -> Array:
    axes = tuple(range(1, x.ndim))
    return jnp.sum(x * mask, axes) / jnp.maximum(jnp.sum(mask, axes), 1)


def rotation_defects(R: Array, mask: Array, rows: Array) -> dict[str, Array]:
    """Defects of estimated rotations in the frame of the predicted lattice.

    Args:
      R: (b, n, 3, 3) S W S^-1 of the estimates W over the predicted lattice S.
      mask: (b, n).
      rows: (r,) int tokens whose products are looked at.

    Returns:
      (b,) each: closure, mean of min_k |R_i R_j - R_k|^2; inverse, mean of min_k |R_i R_k - 1|^2; identity, min_k |R_k - 1|^2;
      compatibility, mean of |R_i^T R_i - 1|^2.
    """
    one = jnp.eye(3, dtype=R.dtype)
    size = jnp.sum(R**2, (-1, -2))
    few = R[:, rows]
    products = jnp.einsum("bijk,blkm->biljm", few, R)
    inner = jnp.einsum("bixjk,byjk->bixy", products, R)
    distance = jnp.sum(products**2, (-1, -2))[..., None] + size[:, None, None] - 2 * inner
    member = mask[:, None, None, :]
    closure = _nearest(jnp.maximum(distance, 0), member)
    back = jnp.sum((products - one) ** 2, (-1, -2))
    inverse = _nearest(back, mask[:, None, :])
    gram = jnp.einsum("bnji,bnjk->bnik", R, R) - one
    live = mask[:, rows]
    return {
        "closure": _mean(closure, live[:, :, None] & mask[:, None, :]),
        "inverse": _mean(inverse, live),
        "identity": _nearest(jnp.sum((R - one) ** 2, (-1, -2)), mask),
        "compatibility": _mean(jnp.sum(gram**2, (-1, -2)), mask),
    }


def translation_defects(u: Array, W: Array, mask: Array) -> dict[str, Array]:
    """Defects of estimated phases over known rotations.

    Args:
      u: (b, n, 3) complex estimates of exp(2 pi i w).
      W: (b, n, 3, 3) int32.
      mask: (b, n).

    Returns:
      (b,) each: closure, mean over the products that exist of |u_i (W_i u_j) - u_ij|^2; inverse, the same over pairs whose
      rotations give the identity, against 1; identity, |u_e - 1|^2.
    """
    j, valid = product_table(W, mask)
    other = jnp.take_along_axis(u[:, None], j[..., None], 2)  # (b, i, k, 3)
    row = W[:, :, None]
    turned = other[:, :, :, None]
    powers = jnp.where(row == 0, 1.0 + 0j, jnp.where(row > 0, turned, jnp.conj(turned)))
    said = u[:, :, None] * powers[..., 0] * powers[..., 1] * powers[..., 2]
    identity = (W == jnp.eye(3, dtype=W.dtype)).all((-1, -2)) & mask

    def square(x: Array) -> Array:
        return jnp.sum(x.real**2 + x.imag**2, -1)

    return {
        "closure": _mean(square(said - u[:, None]), valid),
        "inverse": _mean(square(said - 1.0), valid & identity[:, None, :]),
        "identity": _mean(square(u - 1.0), identity),
    }
