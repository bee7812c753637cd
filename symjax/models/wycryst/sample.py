"""Drawing from WyCryst: around known compounds, as published, or from the prior.

Published: a known compound is encoded, noise of standard deviation 1.4 is added to each latent, and the result is decoded;
entries under 0.1 count as zero, elements and space group are the largest entries, occupations are rounded. What it draws is
therefore close to what it knows, which is why its novelty is low. From the prior: latents are standard normal.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.errors import InputError
from symjax.models.wycryst.network import NetworkOptions, WycrystNet
from symjax.models.wycryst.representation import ELEMENT, OCCUPIED, Compounds, columns
from symjax.models.wycryst.weights import WycrystWeights

NOISE = 1.4
THRESHOLD = 0.1


def sample(
    weights: WycrystWeights,
    num: int,
    *,
    seed: int = 0,
    around: Compounds | None = None,
    noise: float = NOISE,
    batch_size: int = 1000,
    progress: Callable[[int], object] | None = None,
) -> Compounds:
    """Draw compounds; formal validity is judged by `symjax.models.wycryst.representation.judge`.

    Args:
        weights: from `load_weights`.
        num: how many, at least 1.
        seed: equal seeds, weights and arguments give equal compounds on one kind of device.
        around: known compounds; each draw starts at one of them, chosen at random. None draws from the prior.
        noise: standard deviation added to each latent of a known compound (1.4 as published); of no effect on the prior.
        progress: called with the number finished.

    Returns:
        Compounds `(num,)`; an empty column has atomic number 0.

    Raises:
        InputError: a number that is not positive, a negative noise, or no known compound.
    """
    if num < 1 or batch_size < 1:
        raise InputError(f"number of compounds and batch must be at least 1, got {num} and {batch_size}")
    if noise < 0:
        raise InputError(f"noise must not be negative, got {noise}")
    if around is not None and not len(around.number):
        raise InputError("no known compound to draw around: give binaries or ternaries, or none for the prior")
    options, net = weights.options.network, jax.tree.map(jnp.asarray, weights.params["net"])
    batch_size = min(batch_size, num)
    rng = np.random.default_rng(seed)
    rows, made = None if around is None else rng.integers(0, len(around.number), num), []
    for i, start in enumerate(range(0, num, batch_size)):
        key = jax.random.fold_in(jax.random.key(seed), i)
        take = np.minimum(np.arange(start, start + batch_size), num - 1)  # one shape, one compilation
        if around is None or rows is None:
            drawn = _from_prior(options, batch_size, net, key)
        else:
            drawn = _around(
                options, net, Compounds(*(jnp.asarray(v) for v in around.take(rows[take]))), jnp.float32(noise), key
            )
        made.append(Compounds(*(np.asarray(values)[: num - start] for values in drawn)))
        if progress is not None:
            progress(min(start + batch_size, num))
    return Compounds(*(np.concatenate(parts) for parts in zip(*made, strict=True)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _from_prior(options: NetworkOptions, num: int, net: dict, key: Array) -> Compounds:
    return _read(WycrystNet(options), net, jax.random.normal(key, (num, options.latent)))


@functools.partial(jax.jit, static_argnums=0)
def _around(options: NetworkOptions, net: dict, known: Compounds, noise: Array, key: Array) -> Compounds:
    model = WycrystNet(options)
    mean, _ = model.apply({"params": net}, columns(*known), known.number, method="encode")
    return _read(model, net, mean + noise * jax.random.normal(key, mean.shape))


def _read(model: WycrystNet, net: dict, latent: Array) -> Compounds:
    """Compounds of latents."""
    return read_columns(*model.apply({"params": net}, latent, method="decode"))


def read_columns(decoded: Array, logits: Array) -> Compounds:
    """Compounds of decoded columns `(b, NUM_ROWS, 3)` and logits of the group, by the published rule."""
    kept = jnp.swapaxes(jnp.where(decoded < THRESHOLD, 0.0, decoded), 1, 2)
    elements = kept[..., ELEMENT]
    z = jnp.where(elements.max(axis=-1) > 0, jnp.argmax(elements, axis=-1) + 1, 0)
    occupied = jnp.round(kept[..., OCCUPIED]) * (z > 0)[..., None]
    return Compounds(
        (jnp.argmax(logits, axis=1) + 1).astype(jnp.int32), z.astype(jnp.int32), occupied.astype(jnp.int32)
    )
