"""Guides of the reverse loop: `(outputs, state, time) -> outputs`, after each call of the network.

What is here serves any model: classifier-free guidance, and masks of classes. The gradient of a penalty on the state is a guide
too: with a prediction of the noise, `eps + w sigma grad penalty(state)` samples from the density times `exp(-w penalty)`.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from symjax.diffusion.process import Outputs, State
from symjax.diffusion.reverse import Denoiser, Guide


def combine(conditional: Outputs, unconditional: Outputs, factor: Array | float) -> Outputs:
    """`u + factor (c - u)` of every output: 0 forgets the condition, 1 is the condition, more exaggerates it.

    For scores, noise and logits alike. Classes whose logit is -inf in the conditional output stay excluded for any factor above 0.
    Source: Ho and Salimans 2022 (arXiv 2207.12598), equation 6, with factor = 1 + w.
    """
    return jax.tree.map(lambda c, u: u + factor * (c - u), conditional, unconditional)


def classifier_free(unconditional: Denoiser, factor: float) -> Guide | None:
    """Guide of a denoiser that knows its condition, by the same network without it; None where it would change nothing.

    Each step then has two calls of the network. A model that prefers one call of a doubled batch does so inside its denoiser and
    gives `combine` of the halves.

    Args:
        unconditional: the network without its condition.
        factor: see `combine`; static.
    """
    if factor == 1.0:
        return None
    return lambda outputs, state, time: combine(outputs, unconditional(state, time), factor)


def allow_classes(allowed: Mapping[str, Array]) -> Guide:
    """Guide that takes classes away: their logits become -inf.

    Args:
        allowed: bool by the name of a discrete variable, broadcasting against its logits `(..., classes)`.
    """

    def guide(outputs: Outputs, state: State, time: Array) -> Outputs:
        del state, time
        return outputs | {name: jnp.where(ok, outputs[name], -jnp.inf) for name, ok in allowed.items()}

    return guide


def chain(*guides: Guide | None) -> Guide | None:
    """One guide after the other; None are left out."""
    used = [guide for guide in guides if guide is not None]

    def guide(outputs: Outputs, state: State, time: Array) -> Outputs:
        for one in used:
            outputs = one(outputs, state, time)
        return outputs

    return guide if used else None
