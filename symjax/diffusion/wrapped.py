"""Wrapped normal diffusion on flat tori of dimension 0 to 3: free coordinates of points confined to a subspace.

A point is `x0 + B u` with `u` in the unit torus: the columns of `basis = A B` (Euclidean, shape `(..., 3, 3)`, unused columns zero)
are the shortest translations that map the subspace onto itself, so its periods differ between subspaces (a diagonal line is
longer than an edge) and nothing outside the subspace enters the sum over images.  Noise is isotropic in Euclidean space.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import rng
from symjax.diffusion.process import lead

_REACH = 2
IMAGES = np.array(list(itertools.product(range(-_REACH, _REACH + 1), repeat=3)), np.float32)


def wrap(u: Array) -> Array:
    """Representative in [-1/2, 1/2] of coordinates modulo one."""
    return u - jnp.round(u)


def used_directions(basis: Array) -> Array:
    """`(..., 3)` 1.0 where a column of the basis is used, else 0.0."""
    return (jnp.sum(basis**2, axis=-2) > 1e-12).astype(basis.dtype)


def uniform(key: Array, basis: Array) -> Array:
    """Uniform point of the torus, coordinates `(..., 3)` in [0, 1), zero along unused directions."""
    draw = rng.uniform(key, basis.shape[:-2] + (3,), basis.dtype)
    return draw * used_directions(basis)


def to_coordinates(basis: Array, vector: Array) -> Array:
    """Least-squares coordinates `u` with `basis u = P vector`, where P projects onto the spanned subspace.

    Args:
        basis: `(..., 3, 3)` columns; unused ones zero.
        vector: `(..., 3)` Euclidean.
    """
    gram = jnp.einsum("...ki,...kj->...ij", basis, basis)
    gram = gram + jnp.eye(3, dtype=basis.dtype) * (1.0 - used_directions(basis))[..., None, :]
    right = jnp.einsum("...ki,...k->...i", basis, vector)
    return jnp.einsum("...ij,...j->...i", jnp.linalg.inv(gram), right)


def noise(key: Array, basis: Array) -> Array:
    """Euclidean standard normal in the subspace, as coordinates `(..., 3)`."""
    return to_coordinates(basis, rng.normal(key, basis.shape[:-2] + (3,), basis.dtype))


def scaled_score(basis: Array, delta: Array, sigma: Array) -> Array:
    """`sigma` times the score of the wrapped normal at displacement `basis delta` from its centre, Euclidean `(..., 3)`.

    Args:
        basis: `(..., 3, 3)` Euclidean columns.
        delta: `(..., 3)` coordinates of the displacement.
        sigma: `(...)` standard deviation in the unit of the basis; the sum over images reaches 2 periods, enough for
            `sigma <= 0.7` periods (relative error under 1e-2 there, and the score itself is then nearly zero).
    """
    images = jnp.asarray(IMAGES, basis.dtype)
    shifted = wrap(delta)[..., None, :] + images
    vectors = jnp.einsum("...ij,...nj->...ni", basis, shifted)
    weights = jax.nn.softmax(-jnp.sum(vectors**2, axis=-1) / (2.0 * sigma[..., None] ** 2), axis=-1)
    return -jnp.einsum("...n,...ni->...i", weights, vectors) / sigma[..., None]


def reverse_step(
    basis: Array, u: Array, score_scaled: Array, fresh: Array, *, sigma: Array, sigma_to: Array, eta: float
) -> Array:
    """One reverse step of the variance-exploding process on the torus.

    `eta = 0` follows the probability-flow (DDIM) map `x + sigma (sigma - sigma') score`, `eta = 1` the ancestral one; `fresh` are
    coordinates of standard noise.  Source: Song et al. 2021, appendix F (ancestral sampling of VE), DDIM limit.
    """
    added = eta * sigma_to / sigma * jnp.sqrt(jnp.maximum(sigma**2 - sigma_to**2, 0.0))
    kept = jnp.sqrt(jnp.maximum(sigma_to**2 - added**2, 0.0))
    move = to_coordinates(basis, (sigma - kept)[..., None] * score_scaled)
    return jnp.mod(u + move + added[..., None] * fresh, 1.0)


def langevin_step(basis: Array, u: Array, score_scaled: Array, fresh: Array, *, sigma: Array, step: float) -> Array:
    """Langevin corrector with step `step * sigma^2` (a fraction of the noise variance): keeps the marginal at `sigma`."""
    size = step * sigma**2
    move = to_coordinates(basis, (step * sigma)[..., None] * score_scaled)
    return jnp.mod(u + move + jnp.sqrt(2.0 * size)[..., None] * fresh, 1.0)


def cubic_score(delta: Array, sigma: Array, reach: int = 10) -> Array:
    """Score of the wrapped normal on the unit torus, one coordinate at a time.

    Args:
        delta: `(...)` displacement from the centre in periods, wrapped or not.
        sigma: broadcasting against `delta`, in periods.
        reach: images summed on either side.

    Source: DiffCSP (Jiao et al. 2023), appendix; evaluated as a softmax over images, so that no underflow occurs.
    """
    shifted = wrap(delta)[..., None] + jnp.arange(-reach, reach + 1, dtype=delta.dtype)
    variance = jnp.asarray(sigma)[..., None] ** 2
    weights = jax.nn.softmax(-(shifted**2) / (2.0 * variance), axis=-1)
    return -jnp.sum(weights * shifted / variance, axis=-1)


def cubic_score_scale(sigma: np.ndarray, nodes: int = 4001) -> np.ndarray:
    """Expected square of `cubic_score` for each standard deviation, by quadrature over one period (host, float64).

    Exact to 1e-6 for `sigma >= 0.003`; a standard deviation of zero gives 1. SymmCD and DiffCSP estimate it by 10,000 draws, which
    scatter by one percent at the largest noise.
    """
    sigma = np.asarray(sigma, np.float64)
    images = np.arange(-10, 11)
    result = np.ones_like(sigma)
    for i, s in enumerate(sigma):
        if s > 0:
            # beyond 12 standard deviations nothing is left, so narrow peaks get all nodes
            y = np.linspace(-1.0, 1.0, nodes) * min(0.5, 12.0 * s)
            shifted = y[:, None] + images
            exponent = -(shifted**2) / (2.0 * s**2)
            weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
            score = (weights * shifted).sum(1) / weights.sum(1) / s**2
            density = np.exp(exponent).sum(1)
            result[i] = np.trapezoid(score**2 * density, y) / np.trapezoid(density, y)
    return result


@dataclasses.dataclass(frozen=True)
class WrappedProcess:
    """A `Process` (see `symjax.diffusion.process`) on tori of any shape; the network learns `scaled_score`. Level: sigma.

    Attributes:
        basis: `(b, m, 3, 3)` Euclidean columns of each torus; states are coordinates `(b, m, 3)`, outputs Euclidean `(b, m, 3)`.
        eta: 0 deterministic (DDIM) to 1 ancestral.
        corrector_step: Langevin step as a fraction of the noise variance.
    """

    basis: Array
    eta: float = 1.0
    corrector_step: float = 0.1

    def prior(self, key: Array) -> Array:
        """Uniform."""
        return uniform(key, self.basis)

    def perturb(self, key: Array, clean: Array, level: Array) -> tuple[Array, Array]:
        """Noisy coordinates and the scaled score."""
        sigma = self._each(level)
        delta = sigma[..., None] * noise(key, self.basis)
        return jnp.mod(clean + delta, 1.0), scaled_score(self.basis, delta, sigma)

    def reverse(self, key: Array, state: Array, output: Array, *, now: Array, after: Array) -> Array:
        """See `reverse_step`."""
        sigma, sigma_to = self._each(now), self._each(after)
        fresh = noise(key, self.basis)
        return reverse_step(self.basis, state, output, fresh, sigma=sigma, sigma_to=sigma_to, eta=self.eta)

    def correct(self, key: Array, state: Array, output: Array, *, now: Array, after: Array) -> Array:
        """See `langevin_step`."""
        del after
        fresh = noise(key, self.basis)
        return langevin_step(self.basis, state, output, fresh, sigma=self._each(now), step=self.corrector_step)

    def _each(self, level: Array) -> Array:
        """The level of every torus."""
        shape = self.basis.shape[:-2]
        return jnp.broadcast_to(lead(level, jnp.zeros(shape)), shape)


@dataclasses.dataclass(frozen=True)
class CubicProcess:
    """A `Process` (see `symjax.diffusion.process`) on unit tori, one coordinate at a time. Level: sigma and the score's scale.

    The network learns minus the score over its root mean square (`cubic_score_scale`), as in DiffCSP and SymmCD.

    Attributes:
        shape: of the state, `(b, m, 3)`.
        sigma_min: smallest noise of the schedule.
        corrector_step: Langevin step at the smallest noise; it grows with the noise's variance.
    """

    shape: tuple[int, ...]
    sigma_min: float
    corrector_step: float = 1e-5

    def prior(self, key: Array) -> Array:
        """Uniform."""
        return rng.uniform(key, self.shape)

    def perturb(self, key: Array, clean: Array, level: tuple[Array, Array]) -> tuple[Array, Array]:
        """Noisy coordinates and minus their scaled score."""
        sigma, scale = lead(level, clean)
        moved = sigma * rng.normal(key, clean.shape)
        return jnp.mod(clean + moved, 1.0), -cubic_score(moved, sigma) / scale

    def reverse(
        self, key: Array, state: Array, output: Array, *, now: tuple[Array, Array], after: tuple[Array, Array]
    ) -> Array:
        """Ancestral step of the variance-exploding process."""
        (sigma, scale), (sigma_to, _) = lead(now, state), lead(after, state)
        drop = sigma**2 - sigma_to**2
        fresh = rng.normal(key, state.shape)
        return jnp.mod(state - drop * scale * output + sigma_to / sigma * jnp.sqrt(drop) * fresh, 1.0)

    def correct(
        self, key: Array, state: Array, output: Array, *, now: tuple[Array, Array], after: tuple[Array, Array]
    ) -> Array:
        """Langevin step; without fresh noise where the predictor is to leave none."""
        (sigma, scale), (sigma_to, _) = lead(now, state), lead(after, state)
        size = self.corrector_step * (sigma / self.sigma_min) ** 2
        fresh = jnp.where(sigma_to > 0, 1.0, 0.0) * rng.normal(key, state.shape)
        return jnp.mod(state - size * scale * output + jnp.sqrt(2.0 * size) * fresh, 1.0)
