"""Noise levels as functions of the diffusion time `t` in [0, 1] (0 clean, 1 noise)."""

import jax.numpy as jnp
from jax import Array


def geometric_sigma(t: Array, sigma_min: float, sigma_max: float) -> Array:
    """Standard deviation of the variance-exploding process, `sigma_min^(1-t) sigma_max^t`.

    Source: Song et al. 2021 (score SDEs), appendix C; DiffCSP uses the same for fractional coordinates.
    """
    return sigma_min * (sigma_max / sigma_min) ** t


def cosine_alpha_sigma(t: Array, power: float = 1.0) -> tuple[Array, Array]:
    """Signal and noise scales `(cos, sin)(pi/2 t^power)` of the variance-preserving process; squares sum to one.

    `power > 1` resolves the variable earlier in the reverse process.  Source: Nichol and Dhariwal 2021 without their offset.
    """
    angle = 0.5 * jnp.pi * t**power
    return jnp.cos(angle), jnp.sin(angle)
