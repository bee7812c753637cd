"""SymmCD's denoiser: message passing between all pairs of orbit representatives, self-pairs included (the paper's appendix E).

Functions of the representatives' fractional coordinates by Fourier features, so periodic in them, and equivariant under
permutations of the representatives; not equivariant under anything else, on purpose. The lattice enters only by its six
coefficients.

The first product of every message is split by blocks: the receiver's, the sender's and the lattice's columns are multiplied once
per representative or crystal, only the Fourier columns once per pair (same function, same parameters, 0.64 of the FLOPs at the
published sizes). Messages are averaged, and so are representatives for the lattice, as in the public code that made the published
numbers; the paper writes sums (`sum_messages`).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.nn.affine import Affine

NUM_TYPES = 94  # atom types Z = 1 .. 94, class Z - 1
NUM_AXES, NUM_KINDS = 15, 13  # site symmetry: directions, and what there is about each
NUM_GROUP_FEATURES = 397  # 7 centring letters and 15 x 26 elements
_TIME = 10000.0


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Sizes; every field stands in `configs/symmcd.py` with its meaning."""

    width: int
    num_layers: int
    num_frequencies: int
    time_dim: int
    latent: int
    group_hidden: int
    kind_dim: int
    head_dim: int
    site_symmetry: bool
    sum_messages: bool = False


class Nodes(NamedTuple):
    """A padded batch of noisy crystals, as the network sees them.

    Attributes:
        group: `(b, 397)` features of the space group.
        k: `(b, 6)` lattice coefficients.
        types: `(b, m)` int32 classes of atom types.
        sites: `(b, m, 15)` int32 classes of site symmetries.
        x: `(b, m, 3)` fractional coordinates.
        mask: `(b, m)` bool, False in the padding.
    """

    group: Array
    k: Array
    types: Array
    sites: Array
    x: Array
    mask: Array


class Predictions(NamedTuple):
    """What the network predicts.

    Attributes:
        k: `(b, 6)` noise of the lattice coefficients.
        x: `(b, m, 3)` minus the score of the coordinates, over its root mean square at that time.
        types: `(b, m, 94)` logits of the clean atom types.
        sites: `(b, m, 15, 13)` logits of the clean site symmetries; absent (None) in the unit-cell variant.
    """

    k: Array
    x: Array
    types: Array
    sites: Array | None


def fourier(vectors: Array, num: int) -> Array:
    """`(..., 3) -> (..., 6 num)`: sines, then cosines of 2 pi f v for f = 0 .. num - 1, coordinate by coordinate."""
    angles = 2.0 * np.pi * vectors[..., None] * jnp.arange(num, dtype=vectors.dtype)
    angles = angles.reshape(*vectors.shape[:-1], 3 * num)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def pair_features(x: Array, num: int) -> Array:
    """`(b, m, m, 6 num)` Fourier features of `x_j - x_i`, receiver i first, from those of the points.

    The sums of angles are products of sines and cosines already there, which is cheaper than sines of every pair.
    """
    angles = 2.0 * np.pi * x[..., None] * jnp.arange(num, dtype=x.dtype)
    angles = angles.reshape(*x.shape[:-1], 3 * num)
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    sin_i, cos_i, sin_j, cos_j = sin[:, :, None], cos[:, :, None], sin[:, None], cos[:, None]
    return jnp.concatenate([sin_j * cos_i - cos_j * sin_i, cos_j * cos_i + sin_j * sin_i], axis=-1)


def time_features(t: Array, dim: int) -> Array:
    """`(b,) -> (b, dim)`: sines, then cosines of t times 10000^(-j / (dim / 2 - 1))."""
    half = dim // 2
    frequencies = _TIME ** (-jnp.arange(half) / max(half - 1, 1))
    angles = t[:, None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def shares(mask: Array, options: NetworkOptions) -> Array:
    """`(b, m)` weights of the representatives in averages (or sums): zero in the padding."""
    return mask if options.sum_messages else mask / jnp.maximum(jnp.sum(mask, axis=-1, keepdims=True), 1.0)


class _Layer(nn.Module):
    """One round of messages."""

    options: NetworkOptions

    @nn.compact
    def __call__(self, h: Array, k: Array, pairs: Array, mask: Array) -> Array:
        width = self.options.width
        u = nn.LayerNorm(epsilon=1e-5, name="norm")(h)
        first = Affine(width, 2 * width + 6 + pairs.shape[-1], name="edge_0")
        of_i, of_j, of_k, of_pair = first.blocks(u, u, k, pairs)
        node = of_i + of_k[:, None] + first.bias
        message = nn.silu(node[:, :, None] + of_j[:, None] + of_pair)
        message = nn.silu(Affine(width, width, name="edge_1")(message))
        gathered = jnp.einsum("bj,bijc->bic", shares(mask, self.options), message)
        second = Affine(width, 2 * width, name="node_0")
        change = nn.silu(sum(second.blocks(u, gathered)) + second.bias)
        return h + nn.silu(Affine(width, width, name="node_1")(change))


class SymmcdNet(nn.Module):
    """The whole denoiser; see the head of this module."""

    options: NetworkOptions

    @nn.compact
    def __call__(self, nodes: Nodes, t: Array) -> Predictions:
        """Predictions for noisy crystals.

        Args:
            nodes: padded batch.
            t: `(b,)` steps of noise, 1 .. T, the same for all variables of a crystal.
        """
        o = self.options
        mask = nodes.mask.astype(jnp.float32)
        h = self._embed(nodes, t)
        pairs = pair_features(nodes.x, o.num_frequencies)
        for layer in range(o.num_layers):
            h = _Layer(o, name=f"layer_{layer}")(h, nodes.k, pairs, mask)
        h = nn.LayerNorm(epsilon=1e-5, name="norm")(h)
        pooled = jnp.einsum("bm,bmc->bc", shares(mask, o), h)
        return Predictions(
            k=Affine(6, o.width, use_bias=False, name="head_k")(pooled),
            x=Affine(3, o.width, use_bias=False, name="head_x")(h) * mask[..., None],
            types=Affine(NUM_TYPES, o.width, name="head_types")(h),
            sites=self._site_logits(h) if o.site_symmetry else None,
        )

    def _embed(self, nodes: Nodes, t: Array) -> Array:
        """Initial features `(b, m, width)` of type, time, site symmetry, space group and place."""
        o = self.options
        group = Affine(o.group_hidden, NUM_GROUP_FEATURES, name="group_0")(nodes.group)
        group = nn.LayerNorm(epsilon=1e-5, name="group_norm_0")(nn.relu(group))
        group = nn.relu(Affine(o.group_hidden, o.group_hidden, name="group_1")(group))
        group = Affine(o.latent, o.group_hidden, name="group_2")(nn.LayerNorm(epsilon=1e-5, name="group_norm_1")(group))
        types = Affine(o.width, NUM_TYPES, name="types")(jax.nn.one_hot(nodes.types, NUM_TYPES))
        place = fourier(nodes.x, o.num_frequencies)
        sites = self._site_features(nodes.sites) if o.site_symmetry else jnp.zeros((*nodes.types.shape, 0))
        clock = time_features(t.astype(jnp.float32), o.time_dim)
        sizes = (o.width, o.time_dim, o.latent, sites.shape[-1], place.shape[-1])
        first = Affine(o.width, sum(sizes), name="init")
        # order of the blocks as published
        of_types, of_time, of_group, of_sites, of_place = first.blocks(types, clock, group, sites, place)
        return of_types + of_sites + of_place + (of_time + of_group + first.bias)[:, None]

    def _site_features(self, sites: Array) -> Array:
        o = self.options
        kinds = Affine(o.kind_dim, NUM_KINDS, name="kinds")(jax.nn.one_hot(sites, NUM_KINDS))
        flat = kinds.reshape(*sites.shape[:-1], NUM_AXES * o.kind_dim)
        return Affine(o.latent, NUM_AXES * o.kind_dim, name="sites")(flat)

    def _site_logits(self, h: Array) -> Array:
        """Low-rank logits `(b, m, 15, 13)`: a product of factors of axes and of kinds."""
        o = self.options
        axes = Affine(NUM_AXES * o.head_dim, o.width, name="head_axes")(h)
        kinds = Affine(NUM_KINDS * o.head_dim, o.width, name="head_kinds")(h)
        axes = axes.reshape(*h.shape[:-1], NUM_AXES, o.head_dim)
        kinds = kinds.reshape(*h.shape[:-1], NUM_KINDS, o.head_dim)
        return jnp.einsum("bmad,bmsd->bmas", axes, kinds)


def count_parameters(options: NetworkOptions) -> int:
    """Number of trained parameters (traced, nothing is allocated)."""
    nodes = Nodes(
        group=jnp.zeros((1, NUM_GROUP_FEATURES)),
        k=jnp.zeros((1, 6)),
        types=jnp.zeros((1, 1), jnp.int32),
        sites=jnp.zeros((1, 1, NUM_AXES), jnp.int32),
        x=jnp.zeros((1, 1, 3)),
        mask=jnp.ones((1, 1), bool),
    )
    shapes = jax.eval_shape(SymmcdNet(options).init, jax.random.key(0), nodes, jnp.ones(1))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
