"""Noise levels: as functions of the diffusion time `t` in [0, 1] (0 clean, 1 noise), or as tables over whole steps."""

import jax.numpy as jnp
import numpy as np
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


def cosine_levels(
    num_steps: int, *, offset: float = 0.008, smallest: float = 1e-4, largest: float = 0.9999
) -> np.ndarray:
    """Shares `abar` of the signal's variance kept after step 0 .. num_steps, `(num_steps + 1,)` float64; the first is one.

    The rates `beta_t = 1 - f(t) / f(t - 1)` with `f(t) = cos^2((t / T + offset) / (1 + offset) pi / 2)` are clipped before they are
    multiplied up. Source: Nichol and Dhariwal 2021, equation 17; clipping as in DiffCSP and SymmCD.
    """
    t = np.arange(num_steps + 1) / num_steps
    f = np.cos((t + offset) / (1.0 + offset) * np.pi / 2.0) ** 2
    beta = np.clip(1.0 - f[1:] / f[:-1], smallest, largest)
    return np.concatenate([[1.0], np.cumprod(1.0 - beta)])


def cosine_shares(num_steps: int, *, offset: float = 0.008, largest: float = 0.999) -> np.ndarray:
    """Shares `abar` kept at index 0 .. num_steps - 1, `(num_steps,)` float64; index 0 already holds one step of noise.

    Rates `beta_t = 1 - f(t + 1) / f(t)` with `f(t) = cos((t / T + offset) / (1 + offset) pi / 2)`: the cosine is not squared.
    Source: WyckoffDiff (Kelvinius et al., arXiv 2502.06485), public code.
    """
    t = np.arange(num_steps + 1) / num_steps
    f = np.cos((t + offset) / (1.0 + offset) * np.pi / 2.0)
    return np.cumprod(1.0 - np.minimum(1.0 - f[1:] / f[:-1], largest))


def geometric_levels(num_steps: int, sigma_min: float, sigma_max: float) -> np.ndarray:
    """Standard deviations after step 0 .. num_steps, `(num_steps + 1,)` float64: zero, then geometric from smallest to largest.

    Source: DiffCSP, and SymmCD with it.
    """
    return np.concatenate([[0.0], np.geomspace(sigma_min, sigma_max, num_steps)])
