"""Steps of a crystal's sequence: what is known and asked at a step, and the cross-entropy of the answer.

A crystal of n sites in an order has n + 1 steps, 0 .. n, the last one STOP, of three fields each. Orders are given as the place
of every site, so nothing is sorted or moved: the known sites of step k are those with places below k. Source: WyckoffTransformer
(Kazeev et al., NeurIPS 2024 workshop text; later arXiv 2503.02407), section 3.2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from symjax.models.wyckoff_transformer.network import Context, NetworkOptions, WyckoffNet
from symjax.models.wyckoff_transformer.tokens import Tokens


def rank_sites(key: Array, mask: Array) -> Array:
    """`(b, m)` int32 place of every real site in a random order, 0 .. n - 1; n and more in the padding."""
    u = jnp.where(mask, jax.random.uniform(key, mask.shape), 2.0 + jnp.arange(mask.shape[1]))
    return jnp.sum(u[:, None, :] < u[:, :, None], axis=2).astype(jnp.int32)


class Step(NamedTuple):
    """One field of one step of each crystal, as the network sees it and as it is scored.

    Attributes:
        context: known sites and the slot.
        value: `(b, 3)` int tokens of the site that is next in the order, STOP after the last.
        left: `(b, m)` bool sites that are not known yet.
        ends: `(b,)` bool all are known.
    """

    context: Context
    value: Array
    left: Array
    ends: Array


def make_step(
    options: NetworkOptions, start: Array, tokens: Tokens, *, rank: Array, k: Array, field: Array | int
) -> Step:
    """What is known and asked at step k of each crystal.

    Args:
        options: sizes of the network.
        start: `(231, F)` features of the space groups.
        tokens: `(b, m)` crystals.
        rank: `(b, m)` int place of every site in its crystal's order.
        k: `(b,)` int known sites, 0 .. n; step n is STOP.
        field: 0 element, 1 site symmetry (given the element), 2 enumeration (given both); one number, or `(b,)`.
    """
    known = tokens.mask & (rank < k[:, None])
    following = tokens.mask & (rank == k[:, None])
    ends = k == tokens.mask.sum(axis=1)
    fields = (tokens.element, tokens.site, tokens.enum)
    sizes = jnp.asarray(options.vocabulary)
    value = jnp.stack([jnp.sum(jnp.where(following, ids, 0), axis=1) for ids in fields], axis=1)
    value = jnp.where(ends[:, None], sizes - 2, value)
    slot = jnp.where(jnp.arange(3) < jnp.reshape(field, (-1, 1)), value, sizes - 3)
    return Step(Context(start[tokens.number], *fields, known, slot), value, tokens.mask & ~known, ends)


def score(logits: Array, step: Step, field: int, *, soft: bool = True) -> Array:
    """`(b,)` cross-entropy, nats.

    Args:
        logits: `(b, V)` of the field.
        step: what was asked.
        field: static.
        soft: static; for an element, average over the sites still to come in place of the one that is next.
    """
    if field == 0 and soft:
        element = step.context.element
        targets = jnp.concatenate([jnp.where(step.left, element, 0), step.value[:, :1]], axis=1)  # the last one: STOP
        weight = jnp.concatenate([step.left, step.ends[:, None]], axis=1)
        chosen = jnp.take_along_axis(logits, targets, axis=1)
        picked = jnp.sum(jnp.where(weight, chosen, 0.0), axis=1) / jnp.maximum(weight.sum(axis=1), 1)
    else:
        picked = jnp.take_along_axis(logits, step.value[:, field, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - picked


def step_losses(
    params: dict,
    options: NetworkOptions,
    tokens: Tokens,
    rank: Array,
    k: Array,
    *,
    soft: bool = True,
    key: Array | None = None,
) -> Array:
    """`(3, b)` cross-entropy of the three fields, nats; each has its own crystals, orders and steps.

    Args:
        params: `{"params", "stats"}`.
        options: sizes of the network.
        tokens: arrays `(3, b, ...)`; `rank`: `(3, b, m)`, `k`: `(3, b)`; see `make_step`. Rows with k > n mean nothing.
        rank: see above.
        k: see above.
        soft: static, see `score`.
        key: for dropout; None for none.
    """
    b = k.shape[1]
    tokens, rank, k = jax.tree.map(lambda a: a.reshape(3 * b, *a.shape[2:]), (tokens, rank, k))
    net = WyckoffNet(options)
    step = make_step(options, params["stats"]["start"], tokens, rank=rank, k=k, field=jnp.repeat(jnp.arange(3), b))
    rngs = {} if key is None else {"dropout": key}
    # one pass for all fields: larger products, and a third of the program to compile
    h = net.apply({"params": params["params"]}, step.context, key is not None, rngs=rngs, method="encode")
    losses = []
    for field in range(3):
        h_field, part = jax.tree.map(lambda a: a[field * b : (field + 1) * b], (h, step))  # noqa: B023
        logits = net.apply({"params": params["params"]}, h_field, part.context, field, method="decode")
        losses.append(score(logits, part, field, soft=soft))
    return jnp.stack(losses)


def all_steps(
    params: dict, options: NetworkOptions, tokens: Tokens, rank: Array, *, soft: bool = True, stops: Array | None = None
) -> Array:
    """`(3, b)` nats of each field, summed over the steps of one order of each crystal; arguments as `step_losses`, one axis less.

    Args:
        params: see there.
        options: see there.
        tokens: `(b, m)`.
        rank: `(b, m)`.
        soft: static, see `score`.
        stops: `(b,)` bool, whether a crystal's last step, STOP, counts; None for all.
    """
    num = tokens.mask.sum(axis=1)
    steps = num + 1 if stops is None else num + stops
    three, ranks = jax.tree.map(lambda a: jnp.stack([a] * 3), (tokens, rank))

    def add(total: Array, k: Array) -> tuple[Array, None]:
        losses = step_losses(params, options, three, ranks, jnp.full((3, len(num)), k), soft=soft)
        return total + jnp.where(k < steps, losses, 0.0), None

    return jax.lax.scan(add, jnp.zeros((3, len(num))), jnp.arange(tokens.mask.shape[1] + 1))[0]
