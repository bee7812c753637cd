"""The training objective of the operation flow: couplings, states along the path, and the losses of the stages.

Half of a batch trains the rotations, half the translations. The order and the lattice are trained on crystals of every size that
travel with the batch, since a batch of one size says one order only. Losses are cross-entropies of the
categorical estimates (variational flow matching, Eijkelboom et al., arXiv 2406.04843) and a squared error of k in the units of its
remaining noise. The regularisers weigh a state by the fourth power of its time: early on the estimate is a mean over many
groups, which need not be one, and pressing it to be one would press the flow to choose too soon.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from symjax.models.symop.flow import process as p
from symjax.models.symop.flow.network import FlowNet, FlowOptions
from symjax.models.symop.flow.regularisers import rotation_defects, translation_defects
from symjax.ops.types import DEN
from symjax.train.interface import weighted_sum

Array = Any
_ROWS = 8  # tokens whose products the closure of rotations looks at in a step


def lattice_loss(net: FlowNet, params: Any, k1: Array, cond: Array, key: Array) -> Array:
    """Mean square error of the lattice network's raw output, over `lattice_draws` noises of each lattice k1 (b, 5)."""
    draws, (noise_key, time_key) = net.options.lattice_draws, jax.random.split(key)
    k0 = p.SIGMA_K * jax.random.normal(noise_key, (len(k1), draws, 5))
    k0 = p.relabel_lattice(k0, p.canonical_label(k0))
    k1 = jnp.broadcast_to(k1[:, None], k0.shape)
    k1 = p.relabel_lattice(k1, p.nearest_label(k0, k1))
    tau = 1 - jax.random.uniform(time_key, k0.shape[:2]) ** 1.5  # more of the end, where lattices become special
    k = (1 - tau)[..., None] * k0 + tau[..., None] * k1
    cond = jnp.broadcast_to(cond[:, None], (*k0.shape[:2], cond.shape[-1]))
    estimate = net.apply(params, k, tau, cond, method="lattice_estimate")
    left = ((1 - tau) * p.SIGMA_K + 0.01)[..., None]
    return jnp.mean(((estimate - k1) / left) ** 2 / (1 + (0.3 / left) ** 2) * 2)


def label(k1: Array, W: Array, w: Array, key: Array) -> tuple[Array, Array, Array, Array]:
    """Noise of the lattice in its canonical labelling, and the crystal relabelled to be nearest to it: (k0, k1, W, w)."""
    k0 = p.SIGMA_K * jax.random.normal(key, k1.shape)
    k0 = p.relabel_lattice(k0, p.canonical_label(k0))
    which = p.nearest_label(k0, k1)
    turned = jnp.rint(p.relabel_matrices(W, which)).astype(jnp.int32)
    return k0, p.relabel_lattice(k1, which), turned, p.relabel_translations(w, which)


def rotation_loss(
    net: FlowNet, params: Any, state: tuple, cond: Array, mask: Array, key: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cross-entropy of the rotations after assignment, error of the lattice, defects of the estimate; and scalars for the log.

    `state` is (k0, k1, W) of `label`.
    """
    k0, k1, W = state
    noise_key, time_key, row_key = jax.random.split(key, 3)
    b, n = mask.shape
    R1 = p.rotations(W, k1)
    R0 = p.SIGMA_R * jax.random.normal(noise_key, R1.shape)
    match = p.greedy_assignment(
        jnp.where(mask[:, None, :], jnp.einsum("bijk,bljk->bil", R0, R1), -100.0), mask
    )  # noise -> operation
    W, R1 = jnp.take_along_axis(W, match[..., None, None], 1), jnp.take_along_axis(R1, match[..., None, None], 1)
    # the class is decided early, as with the translations below
    tau = jnp.mod(jax.random.uniform(time_key) + jnp.arange(b) / b, 1.0) ** 2.2
    tau_k = p.LATTICE_END + (1 - p.LATTICE_END) * tau
    t = tau[:, None, None, None]
    R = (1 - t) * R0 + t * R1
    k = (1 - tau_k)[:, None] * k0 + tau_k[:, None] * k1

    out = net.apply(params, R, k, tau, cond, mask, method="rotation_estimate")
    hit = (W[:, :, None] == out["W"][:, None]).all((-1, -2))
    known = hit.any(-1) & mask
    weight = mask / jnp.maximum(jnp.sum(mask, -1, keepdims=True), 1)
    nll = -jnp.log(jnp.sum(jnp.where(hit, out["p"], 0), -1) + 1e-6)
    free = -jnp.log(jnp.sum(jnp.where(hit, out["free"], 0), -1) + 1e-6)
    left = (1 - tau_k)[:, None] * p.SIGMA_K + 0.01
    estimate = jnp.einsum("bic,bcjk->bijk", out["p"], out["W"].astype(k.dtype))
    rows = jax.random.permutation(row_key, n)[: min(n, _ROWS)]
    defects = rotation_defects(p.rotations(estimate, out["k"]), mask, rows)
    losses = {
        "rotation": jnp.mean(jnp.sum(weight * known * (nll + 0.2 * free), -1)),
        "lattice_again": jnp.mean(((out["k"] - k1) / left) ** 2),
        **{name: jnp.mean(tau**4 * value) for name, value in defects.items()},
    }
    right = jnp.take_along_axis(hit, jnp.argmax(out["p"], -1)[..., None], -1)[..., 0]
    return losses, {
        "rotation_right": jnp.mean(jnp.sum(weight * right, -1)),
        "not_candidate": jnp.mean(jnp.sum(weight * ~known, -1)),
    }


def translation_loss(
    net: FlowNet, params: Any, state: tuple, cond: Array, mask: Array, key: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cross-entropy of the translations (mean over components), defects of the estimate; and scalars for the log.

    `state` is (k1, W, w) of `label`.
    """
    k1, W, w = state
    real, imaginary, time_key = jax.random.split(key, 3)
    b = len(w)
    z0 = p.SIGMA_Z * jax.lax.complex(jax.random.normal(real, w.shape), jax.random.normal(imaginary, w.shape))
    z0 = z0 * p.origin_turn(W, p.canonical_origin_of_noise(W, z0, mask))
    w = p.shifted(W, w, p.canonical_origin(W, w, mask))
    # many phases leave the noise together, so the class is decided early: that is where most of the times are
    tau = jnp.mod(jax.random.uniform(time_key) + jnp.arange(b) / b, 1.0) ** 1.5
    t = tau[:, None, None]
    z = (1 - t) * z0 + t * p.phases(w)
    circle = p.phases(jnp.arange(DEN))

    logits = net.apply(params, z, W, k1, tau, cond, mask, method="translation_logits")
    logp = jax.nn.log_softmax(logits, -1)
    weight = mask / jnp.maximum(jnp.sum(mask, -1, keepdims=True), 1)
    nll = -jnp.take_along_axis(logp, w[..., None], -1)[..., 0]
    defects = translation_defects(jnp.exp(logp) @ circle, W, mask)
    losses = {
        "translation": jnp.mean(jnp.sum(weight * jnp.mean(nll, -1), -1)),
        **{name: jnp.mean(tau**4 * value) for name, value in defects.items()},
    }
    right = (jnp.argmax(logp, -1) == w).all(-1)
    return losses, {"translation_right": jnp.mean(jnp.sum(weight * right, -1))}


REGULARISERS = ("closure", "inverse", "identity", "compatibility")


def loss_weights(options: FlowOptions) -> dict[str, float]:
    """Weight of each term of `flow_loss`."""
    return {
        "order": options.order_weight,
        "lattice": options.lattice_weight,
        "rotation": 1.0,
        "lattice_again": 0.1 * options.lattice_weight,
        "translation": options.translation_weight,
        **{name: getattr(options, name) for name in REGULARISERS},
    }


def flow_loss(
    net: FlowNet, params: Any, batch: dict[str, Array], key: Array, train: bool, *, weights: Any = None
) -> tuple[Array, dict]:
    """Loss of a batch (see `symjax.models.symop.flow.task`) and all its terms.

    Args:
      weights: of the terms, where they are not those of the options.
    """
    weights = loss_weights(net.options) if weights is None else weights
    label_key, lattice_key, rotation_key, translation_key, drop1, drop2 = jax.random.split(key, 6)
    z, order, mask, others = batch["z"], batch["order"], batch["mask"], batch["any"]
    logits = net.apply(params, others["z"], train=train, method="order_logits", rngs={"dropout": drop1})
    order_nll = -jnp.take_along_axis(jax.nn.log_softmax(logits, -1), others["order"][:, None], 1).mean()
    both = jnp.concatenate([z, others["z"]]), jnp.concatenate([order, others["order"]])
    cond = net.apply(params, *both, train=train, method="condition", rngs={"dropout": drop2})
    cond, other_cond = cond[: len(z)], cond[len(z) :]
    k0, k1, W, w = label(batch["k"], batch["W"], batch["w"], label_key)
    half = (len(z) + 1) // 2
    turn, move = slice(0, half), slice(len(z) - half, None)
    rotation, seen = rotation_loss(net, params, (k0[turn], k1[turn], W[turn]), cond[turn], mask[turn], rotation_key)
    translation, seen_w = translation_loss(
        net, params, (k1[move], W[move], w[move]), cond[move], mask[move], translation_key
    )
    terms = {
        "order": order_nll,
        "lattice": lattice_loss(net, params, others["k"], other_cond, lattice_key),
        "rotation": rotation.pop("rotation"),
        "lattice_again": rotation.pop("lattice_again"),
        "translation": translation.pop("translation"),
        **{name: rotation[name] + translation.get(name, 0.0) for name in rotation},
    }
    total = weighted_sum(terms, weights)
    return total, {**terms, **seen, **seen_w}
