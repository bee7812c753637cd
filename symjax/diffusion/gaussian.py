"""Variance-preserving Gaussian diffusion in a linear subspace, with prediction of v or of the noise.

Noise, data and predictions all lie in the image of the projector `P` (shape `(..., d, d)`), so every intermediate value does:
for the log-lattice coefficients that means that every noisy lattice is compatible with the operations. Where the subspace is
spanned by axes, a mask of the free ones is enough.
"""

import dataclasses

import jax.numpy as jnp
from jax import Array

from symjax.diffusion import rng
from symjax.diffusion.process import lead


def project(projector: Array, value: Array) -> Array:
    """`P value` for projectors `(..., d, d)` and vectors `(..., d)`."""
    return jnp.einsum("...ij,...j->...i", projector, value)


def noise(key: Array, projector: Array) -> Array:
    """Standard normal draw in the image of the projector, shape `(..., d)`."""
    return project(projector, rng.normal(key, projector.shape[:-1], projector.dtype))


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


def ddpm_step(noisy: Array, eps: Array, fresh: Array, *, abar: Array, abar_to: Array) -> Array:
    """Ancestral step from the signal share `abar` to `abar_to` with a prediction of the noise.

    The mean is `(x - beta / sqrt(1 - abar) eps) / sqrt(alpha)`, `alpha = abar / abar_to`, written as a combination of the implied
    clean value and of x. Where less than 1e-8 of the signal's variance is left, the implied clean value would be the error of the
    prediction times ten thousand; it is left out there (its weight in the exact posterior is `sqrt(abar_to)`).

    Args:
        noisy, eps, fresh: `(..., d)`; `fresh` is standard noise, projected where the state lives in a subspace.
        abar, abar_to: broadcasting against `noisy`.

    Source: Ho, Jain and Abbeel 2020, equations 7 and 11.
    """
    alpha = abar / abar_to
    left = 1.0 - abar
    clean = (noisy - jnp.sqrt(left) * eps) / jnp.sqrt(jnp.maximum(abar, 1e-8))
    clean = jnp.where(abar < 1e-8, 0.0, clean)
    mean = jnp.sqrt(abar_to) * (1.0 - alpha) / left * clean + jnp.sqrt(alpha) * (1.0 - abar_to) / left * noisy
    return mean + jnp.sqrt((1.0 - alpha) * (1.0 - abar_to) / left) * fresh


@dataclasses.dataclass(frozen=True)
class VelocityProcess:
    """A `Process` (see `symjax.diffusion.process`) in the image of a projector; the network learns v. Level: `(alpha, sigma)`.

    Attributes:
        projector: `(b, d, d)`.
        eta: 0 deterministic (DDIM) to 1 ancestral.
    """

    projector: Array
    eta: float = 1.0

    def prior(self, key: Array) -> Array:
        """Standard normal, `(b, d)`."""
        return noise(key, self.projector)

    def perturb(self, key: Array, clean: Array, level: tuple[Array, Array]) -> tuple[Array, Array]:
        """Noisy value and v."""
        alpha, sigma = lead(level, clean)
        return perturb(clean, noise(key, self.projector), alpha, sigma)

    def reverse(
        self, key: Array, state: Array, output: Array, *, now: tuple[Array, Array], after: tuple[Array, Array]
    ) -> Array:
        """See `reverse_step`."""
        fresh = noise(key, self.projector)
        return reverse_step(state, output, fresh, now=lead(now, state), after=lead(after, state), eta=self.eta)


@dataclasses.dataclass(frozen=True)
class NoiseProcess:
    """A `Process` (see `symjax.diffusion.process`) along some axes; the network learns the noise. Level: the kept share `abar`.

    Attributes:
        free: `(b, d)` 1.0 for the axes that there are, 0.0 for those that stay zero.
    """

    free: Array

    def prior(self, key: Array) -> Array:
        """Standard normal, `(b, d)`."""
        return self.free * rng.normal(key, self.free.shape)

    def perturb(self, key: Array, clean: Array, level: Array) -> tuple[Array, Array]:
        """Noisy value and its noise."""
        abar, eps = lead(level, clean), self.prior(key)
        return jnp.sqrt(abar) * clean + jnp.sqrt(1.0 - abar) * eps, eps

    def reverse(self, key: Array, state: Array, output: Array, *, now: Array, after: Array) -> Array:
        """See `ddpm_step`."""
        return self.free * ddpm_step(state, output, self.prior(key), abar=lead(now, state), abar_to=lead(after, state))
