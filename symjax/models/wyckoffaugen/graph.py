"""Neighbours of the sites among all atoms of the primitive cell, without a cutoff: a list of edges of one crystal.

Every site sees every other atom of the primitive cell by its shortest periodic vector; equally short vectors are edges of their
own. Source: Chang et al. (WyckoffAUGen), section 3, graph.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

SHIFTS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
TIE = 0.01
"""Vectors longer than the shortest by less than this (angstrom) are as short."""


class Edges(NamedTuple):
    """e edges, padded at the end.

    Attributes:
        site, other: (e,) int32 the site that listens, and the site whose image is heard.
        vector: (e, 3) from the site to the image, angstrom.
        mask: (e,) bool.
        lost: () int32 edges that did not fit.
    """

    site: Array
    other: Array
    vector: Array
    mask: Array
    lost: Array


def find_edges(
    x: Array, mask: Array, images: tuple[Array, Array, Array, Array], reduced: Array, L: Array, num: int
) -> Edges:
    """Edges of one crystal.

    Args:
        x: (n, 3) fractional coordinates of the sites.
        mask: (n,) bool.
        images: (p,) site of each atom of the primitive cell, (p, 3, 3) and (p, 3) its operation, (p,) bool mask; the atoms of a
        site
            stand together, itself first.
        reduced: (3, 3) rows: a reduced basis of the primitive lattice, fractional.
        L: (3, 3) rows a, b, c of the conventional cell, angstrom.
        num: slots for edges.
    """
    site, R, t, real = images
    real = real & mask[site]
    points = jnp.einsum("pij,pj->pi", R, x[site]) + t
    first = jnp.concatenate([jnp.ones(1, bool), site[1:] != site[:-1]])
    own = first & (site == jnp.arange(len(x))[:, None])  # (n, p)
    inverse = inverse3(reduced)
    coefficients = (points - x[:, None]) @ inverse
    coefficients = coefficients - jnp.round(coefficients)
    vectors = (coefficients[:, :, None] + SHIFTS) @ (reduced @ L)  # (n, p, 27, 3)
    squared = jnp.sum(vectors**2, axis=-1)
    shortest = jnp.sqrt(jnp.min(squared, axis=-1, keepdims=True))
    near = jnp.sqrt(squared) <= shortest + TIE
    chosen = near & (real & ~own & mask[:, None])[:, :, None]
    place, total = running_count(chosen.reshape(-1, 27))
    flat = chosen.reshape(-1)
    index = jnp.zeros(num, jnp.int32).at[jnp.where(flat, place, num)].set(jnp.arange(flat.size), mode="drop")
    found = jnp.arange(num) < total
    num_images = len(site)
    return Edges(
        site=index // (27 * num_images),
        other=site[index // 27 % num_images],
        vector=vectors.reshape(-1, 3)[index],
        mask=found,
        lost=jnp.maximum(total - num, 0),
    )


def running_count(chosen: Array) -> tuple[Array, Array]:
    """(r c,) number of chosen entries of (r, c) before each, row after row, and () of all.

    By products with triangles of ones, exact for fewer than 2^24 entries: XLA's running sums take quadratic time on CPUs.
    """
    ones = chosen.astype(jnp.float32)
    rows, columns = chosen.shape
    within = ones @ jnp.asarray(np.triu(np.ones((columns, columns), np.float32), 1))
    before = jnp.asarray(np.tril(np.ones((rows, rows), np.float32), -1)) @ ones.sum(axis=1)
    return (within + before[:, None]).reshape(-1).astype(jnp.int32), ones.sum().astype(jnp.int32)


def inverse3(a: Array) -> Array:
    """(..., 3, 3) inverses, written out: small batches of a solver are slow."""
    rows = [jnp.cross(a[..., (i + 1) % 3, :], a[..., (i + 2) % 3, :]) for i in range(3)]
    adjugate = jnp.stack(rows, axis=-1)
    det = jnp.sum(a[..., 0, :] * rows[0], axis=-1)
    return adjugate / det[..., None, None]
