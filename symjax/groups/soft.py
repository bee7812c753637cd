"""How far probabilities over candidate operations are from a group: differentiable quantities for losses.

Owns the group-consistency terms of Wang, Zhu and Hippalgaonkar (Generative symmetry in crystal modelling): closure, inverse,
identity and lattice compatibility of probabilities p_i ("operation i belongs to the set") on a product table c(i, j). Each is
zero exactly if the set of certain operations (p in {0, 1}) has the property, and positive otherwise.

Conventions: p is (..., v) in [0, 1] over the rows of a `ProductTable`; operations outside the table count as p = 0.
Candidates of the other reference frame must have p = 0 (they then add nothing). Sums run over one row at a time, so
the full closure term of v = 694 costs half a million gathers per row; `num_rows` gives an unbiased estimate of it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from symjax.errors import InputError
from symjax.groups.indexed import ProductTable

Array = Any


def closure_defect(
    p: Array,
    table: ProductTable,
    *,
    key: Array | None = None,
    num_rows: int | None = None,
    candidates: Array | None = None,
    weighted: bool = False,
) -> Array:
    """mean_ij p_i p_j (1 - p_c(i,j)): the mass of products that are missing.

    Args:
      p: (..., v) probabilities.
      table: products of the v operations.
      key: random key, needed with `num_rows`.
      num_rows: estimate the outer sum from this many operations i per example, drawn from a half-and-half mixture of
        p and the uniform distribution and reweighted: value and gradient are unbiased. All rows when left out.
      candidates: (..., v) bool; the mean runs over the pairs of candidates (all v x v pairs when left out).
      weighted: divide by sum_ij p_i p_j instead (the expected share of failing products), held constant in gradients.

    Returns:
      (...) of the dtype of p.
    """
    p = _check(p, table)
    flat = p.reshape(-1, p.shape[-1])
    if num_rows is None:
        missing = _missing_all(flat, jnp.asarray(table.product), jnp.asarray(table.inverse))
    else:
        if key is None:
            raise InputError("closure_defect(num_rows=...) draws rows at random and needs a key")
        mass = jax.lax.stop_gradient(flat)
        uniform = jnp.ones_like(mass) if candidates is None else candidates.reshape(mass.shape).astype(mass.dtype)
        proposal = 0.5 * _normalized(mass, uniform) + 0.5 * _normalized(uniform, uniform)
        rows = jax.random.categorical(key, jnp.log(proposal)[:, None, :], shape=(len(flat), num_rows))
        chance = jnp.take_along_axis(proposal, rows, -1)
        weight = jnp.take_along_axis(flat, rows, -1) / (num_rows * chance)
        per_row = _missing_rows(flat, rows, jnp.asarray(table.product), jnp.asarray(table.inverse))
        missing = (weight * per_row).sum(-1)
    if weighted:
        total = jax.lax.stop_gradient(flat.sum(-1) ** 2)
    else:
        num = p.shape[-1] if candidates is None else candidates.reshape(flat.shape).sum(-1)
        total = jnp.asarray(num, flat.dtype) ** 2
    return (missing / jnp.maximum(total, jnp.finfo(flat.dtype).tiny)).reshape(p.shape[:-1])


def inverse_defect(p: Array, table: ProductTable, *, candidates: Array | None = None, weighted: bool = False) -> Array:
    """mean_i p_i (1 - p_inv(i)); arguments and result as in `closure_defect`."""
    p = _check(p, table)
    padded = jnp.concatenate([p, jnp.zeros_like(p[..., :1])], -1)
    missing = (p * (1 - padded[..., jnp.asarray(table.inverse)[:-1].astype(jnp.int32)])).sum(-1)
    if weighted:
        total = jax.lax.stop_gradient(p.sum(-1))
    else:
        total = jnp.asarray(p.shape[-1] if candidates is None else candidates.sum(-1), p.dtype)
    return missing / jnp.maximum(total, jnp.finfo(p.dtype).tiny)


def identity_defect(p: Array, table: ProductTable, frame: Array | None = None) -> Array:
    """1 - p_e, with e the identity of each row's reference frame (...) int; frame 0 when left out."""
    p = _check(p, table)
    which = jnp.zeros(p.shape[:-1], jnp.int32) if frame is None else jnp.asarray(frame)
    at = jnp.asarray(table.identity).astype(jnp.int32)[which]
    return 1 - jnp.take_along_axis(p, at[..., None], -1)[..., 0]


def lattice_defect(p: Array, W: Array, metric: Array) -> Array:
    """|W^T M W - M| / |M| (Frobenius) averaged under p / sum p: how far a metric is from the likely operations.

    Args:
      p: (..., v) probabilities.
      W: (v, 3, 3) rotation parts in the lattice basis.
      metric: (..., 3, 3) metric tensors M = L L^T (rows of L are the lattice vectors).

    Returns:
      (...); zero exactly if every operation with p > 0 is an isometry of the lattice.
    """
    p, metric = jnp.asarray(p), jnp.asarray(metric)
    if metric.shape[-2:] != (3, 3) or jnp.shape(W)[-2:] != (3, 3) or jnp.shape(W)[-3] != p.shape[-1]:
        raise InputError(
            "lattice_defect needs p (..., v), W (v, 3, 3) and metric (..., 3, 3), "
            f"got {p.shape}, {jnp.shape(W)}, {metric.shape}"
        )
    W = jnp.asarray(W).astype(metric.dtype)
    image = jnp.einsum("vji,...jk,vkl->...vil", W, metric, W)
    square = ((image - metric[..., None, :, :]) ** 2).sum((-1, -2)) / (metric**2).sum((-1, -2))[..., None]
    positive = square > 0  # the square root has no gradient at zero: keep that branch out of the derivative
    size = jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)
    return (p * size).sum(-1) / jnp.maximum(p.sum(-1), jnp.finfo(p.dtype).tiny)


def _check(p: Array, table: ProductTable) -> Array:
    p = jnp.asarray(p)
    if p.shape[-1:] != (table.size,):
        raise InputError(f"probabilities must have one entry per operation of the table ({table.size}), got {p.shape}")
    return p


def _normalized(weights: Array, fallback: Array) -> Array:
    """Rows that sum to one; a row of zeros becomes the fallback's."""
    total = weights.sum(-1, keepdims=True)
    chosen = jnp.where(total > 0, weights, fallback)
    return chosen / jnp.maximum(chosen.sum(-1, keepdims=True), jnp.finfo(weights.dtype).tiny)


def _gathered(p: Array, products: Array) -> Array:
    """p at products (b, r, v), zero outside: p (b, v) to (b, r, v)."""
    padded = jnp.concatenate([p, jnp.zeros_like(p[:, :1])], -1)
    flat = products.reshape(len(p), -1).astype(jnp.int32)
    return jnp.take_along_axis(padded, flat, -1).reshape(products.shape)


@jax.custom_vjp
def _missing_rows(p: Array, rows: Array, product: Array, inverse: Array) -> Array:
    """(b, r) sum_j p_j (1 - p_c(i,j)) for the operations i = rows (b, r)."""
    found = _gathered(p, product[rows][..., :-1])
    return jnp.einsum("bj,brj->br", p, 1 - found)


def _missing_rows_fwd(p: Array, rows: Array, product: Array, inverse: Array) -> tuple:
    return _missing_rows(p, rows, product, inverse), (p, rows, product, inverse)


def _missing_rows_bwd(saved: tuple, g: Array) -> tuple:
    """Gathers instead of the scatter that automatic differentiation would make: c(i, j) = k means j = c(i^-1, k)."""
    p, rows, product, inverse = saved
    found = _gathered(p, product[rows][..., :-1])
    before = _gathered(p, product[inverse[rows].astype(jnp.int32)][..., :-1])
    return jnp.einsum("br,brj->bj", g, 1 - found - before), None, None, None


_missing_rows.defvjp(_missing_rows_fwd, _missing_rows_bwd)


@jax.custom_vjp
def _missing_all(p: Array, product: Array, inverse: Array) -> Array:
    """(b,) sum_ij p_i p_j (1 - p_c(i,j)), one outer row at a time so that memory stays at (b, v)."""
    v = p.shape[-1]

    def add(total: Array, i: Array) -> tuple:
        rows = jnp.full((len(p), 1), i)
        return total + p[:, i] * _missing_rows(p, rows, product, inverse)[:, 0], None

    return jax.lax.scan(add, jnp.zeros_like(p[:, 0]), jnp.arange(v))[0]


def _missing_all_fwd(p: Array, product: Array, inverse: Array) -> tuple:
    return _missing_all(p, product, inverse), (p, product, inverse)


def _missing_all_bwd(saved: tuple, g: Array) -> tuple:
    p, product, inverse = saved
    columns = product[:-1, :-1].T  # c(j, i) over j for a fixed i

    def add(total: Array, i: Array) -> tuple:
        left = _gathered(p, jnp.broadcast_to(product[i, :-1], (len(p), 1, p.shape[-1])))[:, 0]  # p_c(i,j)
        right = _gathered(p, jnp.broadcast_to(columns[i], (len(p), 1, p.shape[-1])))[:, 0]  # p_c(j,i)
        back = _gathered(p, jnp.broadcast_to(product[inverse[i], :-1], (len(p), 1, p.shape[-1])))[:, 0]
        return total + p[:, i, None] * (2 - left - right - back), None

    total = jax.lax.scan(add, jnp.zeros_like(p), jnp.arange(p.shape[-1]))[0]
    return g[:, None] * total, None, None


_missing_all.defvjp(_missing_all_fwd, _missing_all_bwd)
