"""Variance-preserving Gaussian diffusion in the image of an orthogonal projector, with v-prediction.

Noise, data and predictions all lie in the image of the projector `P` (shape `(..., d, d)`), so every intermediate value does:
for the log-lattice coefficients that means that every noisy lattice is compatible with the operations.
"""

import jax
import jax.numpy as jnp
from jax import Array


def project(projector: Array, value: Array) -> Array:
    """`P value` for projectors `(..., d, d)` and vectors `(..., d)`."""
    return jnp.einsum("...ij,...j->...i", projector, value)


def noise(key: Array, projector: Array) -> Array:
    """Standard normal draw in the image of the projector, shape `(..., d)`."""
    return project(projector, jax.random.normal(key, projector.shape[:-1], projector.dtype))


def perturb(clean: Array, eps: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """Noisy value `alpha x0 + sigma eps` and the v-target `alpha eps - sigma x0` (Salimans and Ho 2022, appendix D)."""
    return alpha * clean + sigma * eps, alpha * eps - sigma * clean


def split_v(noisy: Array, v: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """Clean value and noise implied by a v-prediction: `(alpha x_t - sigma v, sigma x_t + alpha v)`."""
    return alpha * noisy - sigma * v, sigma * noisy + alpha * v


def reverse_step(
    noisy: Array, v: Array, fresh: Array, *, now: tuple[Array, Array], after: tuple[Array, Array], eta: float
) -> Array:
    """One reverse step from noise level `now` to `after` (both `(alpha, sigma)`).

    `eta = 0` is deterministic (DDIM), `eta = 1` ancestral; `fresh` is projected standard noise.
    Source: Song, Meng and Ermon 2021, equations 12 and 16.
    """
    (alpha, sigma), (alpha_to, sigma_to) = now, after
    clean, eps = split_v(noisy, v, alpha, sigma)
    ratio = jnp.clip(1.0 - (alpha / jnp.maximum(alpha_to, 1e-6)) ** 2, 0.0, 1.0)
    added = eta * sigma_to / jnp.maximum(sigma, 1e-6) * jnp.sqrt(ratio)
    return alpha_to * clean + jnp.sqrt(jnp.maximum(sigma_to**2 - added**2, 0.0)) * eps + added * fresh
