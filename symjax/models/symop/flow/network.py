"""The networks of the operation flow: one for each stage, under one parameter tree and with one encoder of the species.

All inputs are components in the frame U of the lattice being generated (see `representation`), so rigid motions change nothing;
the labelling of the basis and the origin are the canonical ones of the noise (see `process`), so the networks need not commute with
either. Heads are categorical: rotations over the near-isometries of the lattice, translations over 24ths, each in the basis that is
itself being generated.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from symjax.lattice import K_BASIS
from symjax.models.symop.flow.process import (
    SIGMA_K,
    SIGMA_R,
    SIGMA_Z,
    assigned,
    candidates,
    phases,
    product_table,
    stretch,
    votes,
)
from symjax.models.symop.flow.representation import ORDERS
from symjax.models.symop.species import bag_of
from symjax.nn.element_encoder import BagEncoder, ElementEncoder
from symjax.nn.operation_encoder import MLP
from symjax.ops.types import DEN
from symjax.options import options_of

Array = Any
HARMONICS = (1, 2, 3, 4, 6)
_SHORT = np.array([v for v in np.ndindex(3, 3, 3) if v > (1, 1, 1)]) - 1  # one of each pair v, -v
_DATA_K = 0.45  # root mean square of a component of k in general


@dataclasses.dataclass(frozen=True)
class FlowOptions:
    """Sizes and loss weights; `configs/symop.py` has the same fields under `model.flow`.

    Attributes:
      dim, layers, heads: width, attention layers over the tokens and heads of the rotation and of the translation network.
      lattice_dim, lattice_draws: width of the lattice network, noises of each crystal in a step.
      species_dim: width of the encoder of the elements.
      dropout: of that encoder and of the head of the order.
      tokens: operations in a batch; the number of crystals of a bucket follows, `smallest` to `largest`.
      lattice_weight, translation_weight, order_weight: of these losses beside that of the rotations.
      closure, inverse, identity, compatibility: weights of the four regularisers on the assigned clean estimate.
    """

    dim: int
    layers: int
    heads: int
    lattice_dim: int
    lattice_draws: int
    species_dim: int
    dropout: float
    tokens: int
    smallest: int
    largest: int
    lattice_weight: float
    translation_weight: float
    order_weight: float
    closure: float
    inverse: float
    identity: float
    compatibility: float


def options_from_config(section: Any) -> FlowOptions:
    """Options from the `model.flow` section of a resolved config (or its JSON form).

    Raises:
      ConfigError: see `symjax.options.options_of`.
    """
    return options_of(FlowOptions, section, "model.flow")


def time_features(tau: Array) -> Array:
    """(b, 8) smooth functions of a time (b,) in [0, 1]."""
    waves = jnp.pi * tau[..., None] * jnp.array([0.5, 1.0, 2.0])
    ends = jnp.log(jnp.stack([tau, 1 - tau], -1) + 0.02) / 4
    return jnp.concatenate([jnp.sin(waves), jnp.cos(waves), ends], -1)


class Attention(nn.Module):
    """Attention over the tokens of a set with a bias for each pair, then a small network on each token (both residual)."""

    dim: int
    heads: int

    @nn.compact
    def __call__(self, h: Array, pair: Array, mask: Array) -> Array:
        """`h (b, n, d)`, `pair (b, n, n, f)` features of pairs, `mask (b, n)`."""
        b, n, _ = h.shape
        x = nn.LayerNorm()(h)
        q, k, v = jnp.split(nn.Dense(3 * self.dim, use_bias=False)(x).reshape(b, n, self.heads, -1), 3, -1)
        bias = nn.Dense(self.heads)(nn.silu(nn.Dense(16)(pair)))
        logits = jnp.einsum("bihd,bjhd->bijh", q, k) / np.sqrt(q.shape[-1]) + bias
        logits = jnp.where(mask[:, None, :, None], logits, -1e9)
        h = h + nn.Dense(self.dim)(jnp.einsum("bijh,bjhd->bihd", nn.softmax(logits, 2), v).reshape(b, n, -1))
        return h + MLP((2 * self.dim, self.dim))(nn.LayerNorm()(h))


class _AttentionStep(nn.Module):
    """`Attention` in the form that a scan over layers wants."""

    dim: int
    heads: int

    @nn.compact
    def __call__(self, h: Array, pair: Array, mask: Array) -> tuple[Array, None]:
        """One layer."""
        return Attention(self.dim, self.heads)(h, pair, mask), None


class LatticeNet(nn.Module):
    """Clean lattice from a noisy one."""

    dim: int

    @nn.compact
    def __call__(self, k: Array, tau: Array, cond: Array) -> Array:
        """`(..., 5)` estimate of k from the noisy k (..., 5), its time (...) and the condition (..., d)."""
        noise, data = (1 - tau) * SIGMA_K, tau * _DATA_K
        size = jnp.sqrt(noise**2 + data**2)[..., None]
        x = jnp.concatenate([k / size, k, jnp.sin(4 * k), jnp.cos(4 * k), time_features(tau)], -1)
        h = nn.Dense(self.dim)(x) + nn.Dense(self.dim)(cond)
        zeros = nn.initializers.zeros
        h = h + nn.Dense(self.dim, use_bias=False, kernel_init=zeros, name="lengths")(_log_lengths(k))
        for _ in range(2):
            h = h + MLP((2 * self.dim, self.dim))(nn.LayerNorm()(h))
        for layer in range(2):
            wide = nn.silu(nn.Dense(3 * self.dim, name=f"wide_{layer}")(nn.LayerNorm(name=f"norm_{layer}")(h)))
            h = h + nn.Dense(self.dim, kernel_init=zeros, name=f"back_{layer}")(wide)
        raw = nn.Dense(5)(nn.silu(nn.LayerNorm()(h)))
        skip = (data * _DATA_K / (size[..., 0] ** 2))[..., None]
        return skip * k + (noise * _DATA_K)[..., None] / size * raw


class RotationNet(nn.Module):
    """Clean rotations, and the lattice once more, from noisy tokens."""

    dim: int
    layers: int
    heads: int

    @nn.compact
    def __call__(self, R: Array, k: Array, tau: Array, cond: Array, mask: Array) -> dict:
        """Probabilities of each token over the near-isometries of the lattice.

        Args:
          R: (b, n, 3, 3) noisy rotations.
          k: (b, 5) lattice, nearly clean.
          tau: (b,) time of the rotations.
          cond: (b, d).
          mask: (b, n).

        Returns:
          W (b, c, 3, 3) and R (b, c, 3, 3) the candidates, p (b, n, c) probabilities after assignment, free (b, n, c) before,
          score (b, n, c) what a hard assignment goes by (isometries first), k (b, 5) the lattice's estimate.
        """
        W_c, R_c, defect = candidates(k)
        evidence = self._evidence(R, R_c, tau) - 4 * jnp.minimum(defect, 20)[:, None]
        seen = nn.softmax(evidence, -1) @ R_c.reshape(*R_c.shape[:2], 9)
        support, tokens = _consensus(seen.reshape(R.shape), R_c, mask)
        cond = jnp.concatenate([cond, time_features(tau), k], -1)
        kinds = jnp.stack([jnp.trace(R_c, axis1=-2, axis2=-1), jnp.linalg.det(R_c), jnp.log(defect + 1e-4) / 4], -1)
        flat = R_c.reshape(*R_c.shape[:2], 9)
        told = nn.Dense(64)(cond)
        c = nn.Dense(64)(jnp.concatenate([flat, kinds, support, support**2], -1)) + told[:, None]
        placed = jnp.concatenate([_placement(R_c, k), W_c.reshape(flat.shape).astype(k.dtype)], -1)
        c = c + nn.Dense(64, use_bias=False, kernel_init=nn.initializers.zeros, name="placed")(placed)
        c = nn.silu(c + self._summed_evidence(evidence, mask))
        # which candidates there are, and are held, tells the lattice and the group: pooled, it goes to all
        pooled = jnp.concatenate([jnp.mean(c, 1), jnp.einsum("bc,bcd->bd", nn.softmax(-4 * defect, -1), c)], -1)
        c = nn.silu(nn.Dense(64)(c) + nn.Dense(64)(pooled)[:, None])
        c = c + self._compared(c, R_c, defect)
        keys = nn.Dense(33)(c)
        h = jnp.concatenate([R.reshape(seen.shape), seen, tokens], -1)
        h = nn.Dense(self.dim)(h) + nn.Dense(self.dim)(jnp.concatenate([cond, pooled], -1))[:, None]
        layers = nn.scan(
            _AttentionStep,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.layers,
        )
        h, _ = layers(self.dim, self.heads)(h, _pair_features(seen.reshape(R.shape)), mask)
        h = nn.LayerNorm()(h)
        logits = (
            evidence + jnp.einsum("bid,bcd->bic", nn.Dense(32)(h), keys[..., :32]) / np.sqrt(32) + keys[:, None, :, 32]
        )
        p = assigned(logits, mask)
        # once more: what the estimates hold and make together, against what each says by itself
        again, _ = _consensus((p @ flat).reshape(R.shape), R_c, mask)
        mend = nn.silu(
            nn.Dense(32)(jnp.concatenate([support, again, again**2, kinds], -1)) + nn.Dense(32)(told)[:, None]
        )
        logits = logits + (nn.Dense(1, kernel_init=nn.initializers.normal(0.1))(mend)[..., 0])[:, None]
        p = assigned(logits, mask)
        return {
            "W": W_c,
            "R": R_c,
            "p": p,
            "free": nn.softmax(logits, -1),
            "score": logits - 100 * jnp.minimum(defect, 1)[:, None],
            "k": self._lattice(h, k, (p @ W_c.reshape(flat.shape).astype(k.dtype)).reshape(R.shape), tau, cond, mask),
        }

    def _summed_evidence(self, evidence: Array, mask: Array) -> Array:
        """(b, c, 64) what all tokens say of each candidate: early on none says much, and a class is chosen all the same."""
        held = jnp.sum(assigned(evidence, mask) * mask[..., None], 1)
        odds = jnp.log(held + 0.01) - jnp.log(jnp.maximum(1 - held, 0) + 0.01)
        features = jnp.stack([held, odds], -1)
        return nn.Dense(64, use_bias=False, kernel_init=nn.initializers.zeros, name="summed")(features)

    def _compared(self, c: Array, R_c: Array, defect: Array) -> Array:
        """(b, c, 64) what candidates learn from each other: which subgroup of the order is meant shows in all together."""
        pair, near = _pair_features(R_c), defect < 1
        h = c
        for layer in range(2):
            h = Attention(64, 4, name=f"compare_{layer}")(h, pair, near)
        h = nn.LayerNorm(name="compare_norm")(h)
        return nn.Dense(64, use_bias=False, kernel_init=nn.initializers.zeros, name="compared")(h)

    def _evidence(self, R: Array, R_c: Array, tau: Array) -> Array:
        """Log-likelihood of each candidate given the token alone, softened by a learned factor."""
        gain = nn.softplus(self.param("gain", nn.initializers.constant(0.54), (1,)))
        t = tau[:, None, None]
        var = ((1 - t) * SIGMA_R) ** 2 + 0.03
        inner = jnp.einsum("bijk,bcjk->bic", R, R_c)
        norm = jnp.sum(R_c**2, (-1, -2))[:, None]
        return gain * (t * inner - 0.5 * t**2 * norm) / var

    def _lattice(self, h: Array, k: Array, W: Array, tau: Array, cond: Array, mask: Array) -> Array:
        """The lattice again: pulled towards the average over the estimated operations, and moved a little."""
        weight = mask / jnp.maximum(jnp.sum(mask, -1, keepdims=True), 1)
        S, _ = stretch(k)
        mean = jnp.einsum("bn,bnji,bjk,bnkl->bil", weight, W, S @ S, W)
        pull = jax.lax.stop_gradient(_log_coordinates(mean)) - k
        pooled = jnp.einsum("bn,bnd->bd", weight, h)
        x = nn.silu(nn.Dense(64)(jnp.concatenate([pooled, cond, pull * 10], -1)))
        out = nn.Dense(10, kernel_init=nn.initializers.normal(0.01))(x)
        left = (1 - tau)[:, None] * 0.1 * SIGMA_K + 0.01
        return k + nn.sigmoid(out[:, :5]) * jnp.clip(pull, -0.1, 0.1) + left * out[:, 5:]


def _log_lengths(k: Array) -> Array:
    """(..., 13) logarithms of the squared lengths of the short lattice vectors: whose being equal makes a lattice special."""
    S, _ = stretch(k)
    return jnp.log(jnp.sum((jnp.asarray(_SHORT, k.dtype) @ S) ** 2, -1) + 1e-3)


def _placement(R_c: Array, k: Array) -> Array:
    """(b, c, 9) how the near-isometries R_c (b, c, 3, 3) of lattices k (b, 5) lie to the short lattice vectors.

    Powers 1 to 3 of the cosine between a vector and its image, averaged over the vectors, short ones first. That is what tells 3m1
    from 31m: mirror planes along or across the shortest vectors. It does not depend on the labelling of the basis.
    """
    S, _ = stretch(k)
    vectors = jnp.asarray(_SHORT, k.dtype) @ S  # S is symmetric
    square = jnp.sum(vectors**2, -1)
    cosine = jnp.einsum("bvi,bcij,bvj->bcv", vectors, R_c, vectors) / square[:, None]
    relative = square / jnp.min(square, -1, keepdims=True)
    weights = jnp.stack([nn.softmax(-beta * relative, -1) for beta in (0.0, 2.0, 8.0)], 1)
    powers = jnp.stack([cosine, cosine**2, cosine**3], -2)
    return jnp.einsum("bcpv,bwv->bcpw", powers, weights).reshape(*R_c.shape[:2], 9)


def _log_coordinates(G: Array) -> Array:
    """(b, 5) k of metrics (b, 3, 3), forward only."""
    values, vectors = jnp.linalg.eigh(G)
    log = jnp.einsum("bij,bj,bkj->bik", vectors, 0.5 * jnp.log(jnp.maximum(values, 1e-6)), vectors)
    return jnp.einsum("bij,kij->bk", log, jnp.asarray(K_BASIS[:5], G.dtype))


def _pair_features(R: Array) -> Array:
    """(b, n, n, 4) invariants of pairs of estimated rotations."""
    same = jnp.einsum("bijk,bljk->bil", R, R) / 3
    product = jnp.einsum("bijk,blkj->bil", R, R) / 3
    return jnp.stack([same, product, same**2, product**2], -1)


def _consensus(R: Array, R_c: Array, mask: Array) -> tuple[Array, Array]:
    """How often each candidate is held, is an inverse, and is a product of tokens.

    Returns:
      (b, c, 3) these three numbers (1 for a member of a group, 0 for others), and
      (b, n, 5) the same read at each token, with its trace and determinant.
    """
    beta = 3.0
    norm = jnp.sum(R_c**2, (-1, -2))[:, None]

    def near(X: Array) -> Array:  # (b, x, 3, 3) -> (b, x, c); an estimate near no candidate gives little to any
        size = jnp.sum(X**2, (-1, -2))[..., None]
        distance = size + norm - 2 * jnp.einsum("bxjk,bcjk->bxc", X, R_c)
        close = jnp.exp(-beta * jnp.maximum(distance, 0))
        return close / (jnp.sum(close, -1, keepdims=True) + np.exp(-beta))

    n = R.shape[1]
    share = near(R) * mask[..., None]
    inverse = near(jnp.swapaxes(R, -1, -2)) * mask[..., None]
    products = jnp.einsum("bijk,blkm->biljm", R, R).reshape(len(R), n * n, 3, 3)
    both = (mask[:, :, None] & mask[:, None, :]).reshape(len(R), -1)
    made = jnp.einsum("bx,bxc->bc", both.astype(R.dtype), near(products)) / jnp.maximum(jnp.sum(mask, -1), 1)[:, None]
    support = jnp.stack([jnp.sum(share, 1), jnp.sum(inverse, 1), made], -1)
    tokens = jnp.einsum("bic,bcs->bis", share, support)
    kind = jnp.stack([jnp.trace(R, axis1=-2, axis2=-1), jnp.linalg.det(R)], -1)
    return support, jnp.concatenate([tokens, kind], -1)


class _VoteStep(nn.Module):
    """One round of the translation network: votes, what they say relative to each other, attention, new estimates."""

    dim: int
    heads: int

    @nn.compact
    def __call__(
        self, carry: tuple, W: Array, table: tuple, anchors: Array, pair: Array, mask: Array
    ) -> tuple[tuple, None]:
        """`carry` is h (b, n, d) and the estimates X (b, n, 3, m)."""
        h, X = carry
        every = jnp.concatenate([X, votes(X, W, table, mask), anchors], -1)
        h = Attention(self.dim, self.heads)(h + nn.Dense(self.dim)(_relative(every)), pair, mask)
        mix = _complex_weights(h, every.shape[-1] * X.shape[-1]).reshape(*every.shape, X.shape[-1])
        return (h, _unit(X + jnp.sum(every[..., None] * mix, -2))), None


class TranslationNet(nn.Module):
    """Clean translations over known rotations, from noisy phases."""

    dim: int
    layers: int
    heads: int

    @nn.compact
    def __call__(self, z: Array, W: Array, k: Array, tau: Array, cond: Array, mask: Array) -> Array:
        """`(b, n, 3, 24)` logits of each component of each translation.

        Args:
          z: (b, n, 3) complex noisy phases.
          W: (b, n, 3, 3) int32.
          k: (b, 5) clean lattice.
          tau: (b,) time of the translations.
          cond: (b, d).
          mask: (b, n).
        """
        table = product_table(W, mask)
        S, inverse = stretch(k)
        R = S[:, None] @ W.astype(k.dtype) @ inverse[:, None]
        z = jnp.where(mask[..., None], z, 0)
        cond = jnp.concatenate([cond, time_features(tau), k], -1)
        kinds = jnp.stack([jnp.trace(R, axis1=-2, axis2=-1), jnp.linalg.det(R), jnp.mean(table[1], 1)], -1)
        h = nn.Dense(self.dim)(jnp.concatenate([R.reshape(*R.shape[:2], 9), W.reshape(*W.shape[:2], 9), kinds], -1))
        h = nn.silu(h + nn.Dense(self.dim)(cond)[:, None] + self._strength(z, tau))
        anchors = jnp.stack([_unit(z), jnp.ones_like(z)], -1)
        X = jnp.concatenate([anchors, anchors[..., :1]], -1)
        layers = nn.scan(
            _VoteStep,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.layers,
        )
        (h, X), _ = layers(self.dim, self.heads)((h, X), W, table, anchors, _pair_features(R), mask)
        every = jnp.concatenate([X, votes(X, W, table, mask), anchors], -1)
        h = nn.LayerNorm()(h + nn.Dense(self.dim)(_relative(every)))
        return self._logits(h, every, z, tau)

    def _strength(self, z: Array, tau: Array) -> Array:
        """(b, n, d) the noisy phases as evidence, with their size, which the estimates of size one have lost."""
        t = tau[:, None, None]
        told = z * t / (((1 - t) * SIGMA_Z) ** 2 + 0.03)
        told = jnp.concatenate([told.real, told.imag], -1)
        told = jnp.concatenate([told, jnp.arcsinh(told)], -1) / 4
        return nn.Dense(self.dim, use_bias=False, kernel_init=nn.initializers.zeros, name="strength")(told)

    def _logits(self, h: Array, every: Array, z: Array, tau: Array) -> Array:
        """Functions on the circle made of harmonics of the estimates; the likelihood of the noisy phase is one of them."""
        gain = nn.softplus(self.param("gain", nn.initializers.constant(0.54), (1,)))
        circle = phases(jnp.arange(DEN))  # (24,)
        t = tau[:, None, None]
        var = ((1 - t) * SIGMA_Z) ** 2 + 0.03
        logits = gain * (t / var)[..., None] * (z[..., None] * jnp.conj(circle)).real
        size, power = every.shape[-1], _unit(every)
        mix = _complex_weights(h, len(HARMONICS) * size).reshape(*every.shape[:3], len(HARMONICS), size)
        for i, harmonic in enumerate(HARMONICS):
            wave = jnp.sum(mix[..., i, :] * power**harmonic, -1)
            logits = logits + 3.0 * (wave[..., None] * jnp.conj(circle**harmonic)).real
        return logits


def _complex_weights(h: Array, num: int) -> Array:
    """(b, n, 3, num) complex numbers that depend on a token (b, n, d), for each component."""
    weights = nn.Dense(6 * num, kernel_init=nn.initializers.normal(0.02))(nn.LayerNorm()(h))
    weights = weights.reshape(*h.shape[:2], 3, num, 2)
    return jax.lax.complex(weights[..., 0], weights[..., 1])


def _unit(x: Array) -> Array:
    """Complex numbers brought to size one at most, without a kink at zero."""
    return x / jnp.sqrt(x.real**2 + x.imag**2 + 0.02)


def _relative(every: Array) -> Array:
    """Products of one estimate with the conjugate of another, for each component; one of them is constant, so all are in there."""
    a, b = np.triu_indices(every.shape[-1], 1)
    product = every[..., a] * jnp.conj(every[..., b])
    size = every.real**2 + every.imag**2
    flat = jnp.concatenate([product.real, product.imag, size], -1)
    return flat.reshape(*flat.shape[:2], -1)


class FlowNet(nn.Module):
    """The encoder of the species, the head of the order and the three stages."""

    options: FlowOptions

    def setup(self) -> None:
        """Declare the parts."""
        o = self.options
        self.elements = ElementEncoder(o.species_dim)
        self.bag = BagEncoder(o.species_dim, o.dropout)
        self.order_embedding = nn.Embed(len(ORDERS), o.species_dim)
        self.order_elements = ElementEncoder(o.species_dim)
        self.order_bag = BagEncoder(o.species_dim, o.dropout)
        self.order_head = MLP((o.species_dim, len(ORDERS)), o.dropout)
        self.lattice = LatticeNet(o.lattice_dim)
        self.rotation = RotationNet(o.dim, o.layers, o.heads)
        self.translation = TranslationNet(o.dim, o.layers, o.heads)

    def order_logits(self, z: Array, *, train: bool = False) -> Array:
        """(b, 10) logits of the order of the set, of z (b, m) the elements of the orbits."""
        h = self.order_bag(self.order_elements(), bag_of(z), train)
        return self.order_head(nn.silu(h), train)

    def condition(self, z: Array, order: Array, *, train: bool = False) -> Array:
        """(b, 2 d) what all stages are told: the bag of elements and which of `ORDERS` the set has."""
        return jnp.concatenate([nn.silu(self.bag(self.elements(), bag_of(z), train)), self.order_embedding(order)], -1)

    def lattice_estimate(self, k: Array, tau: Array, cond: Array) -> Array:
        """See `LatticeNet`."""
        return self.lattice(k, tau, cond)

    def rotation_estimate(self, *state: Array) -> dict:
        """See `RotationNet`."""
        return self.rotation(*state)

    def translation_logits(self, *state: Array) -> Array:
        """See `TranslationNet`."""
        return self.translation(*state)
