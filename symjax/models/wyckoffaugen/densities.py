"""Distributions of a coordinate on each kind of shape, as pure functions of the raw outputs of the network.

Segments: mixtures of Beta distributions. Polygons: mixtures of Dirichlet distributions on a triangle, pushed to the polygon
(`symjax.models.wyckoffaugen.polygons`). Interiors: mixtures of products of von Mises distributions on the cell, summed over the
operations of the group, so that the density on the asymmetric unit is continuous and invariant.

Convention: densities are relative to the uniform density on the shape, so log density 0 is uniform and the mean over a shape is 1.
The change to angstrom adds a logarithm of length, area or volume, which depends on the lattice and on no parameter.

Concentrations are bounded: floor + (limit - floor) sigmoid, so no density can collapse onto a point and none is infinite at an end
(Chang et al. bound from above only). Source: Chang et al. (WyckoffAUGen), section 3 and appendix.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln, i0e

BETA_LIMIT, DIRICHLET_LIMIT, KAPPA_LIMIT = 5000.0, 2500.0, 500.0
BETA_WIDTH, DIRICHLET_WIDTH, VON_MISES_WIDTH = 3, 4, 7
"""Raw numbers of one component: weight and concentrations, or weight, three means and three concentrations."""
EDGE = 1e-6
"""Coordinates keep this distance from the ends of a shape, where logarithms are infinite."""


def bounded(raw: Array, limit: float, floor: float) -> Array:
    """floor + exp(raw) for small raw, at most `limit`: a softplus in the logarithm of what is above the floor."""
    top = jnp.log(limit - floor)
    return floor + jnp.exp(top - jax.nn.softplus(top - raw))


def beta_mixture(raw: Array, u: Array) -> Array:
    """(...) log density of u (...) in [0, 1].

    Args:
        raw: (..., 3 k).
        u: place along the segment, 0 at its first vertex.
    """
    weight, a, b = _beta(raw)
    u = jnp.clip(u, EDGE, 1 - EDGE)[..., None]
    log = gammaln(a + b) - gammaln(a) - gammaln(b) + (a - 1) * jnp.log(u) + (b - 1) * jnp.log1p(-u)
    return jax.nn.logsumexp(weight + log, axis=-1)


def sample_beta(key: Array, raw: Array) -> Array:
    """() u of one mixture (3 k,)."""
    which, draw = jax.random.split(key)
    weight, a, b = _beta(raw)
    component = jax.random.categorical(which, weight)
    return jax.random.beta(draw, a[component], b[component])


def _beta(raw: Array) -> tuple[Array, Array, Array]:
    parts = raw.reshape(*raw.shape[:-1], -1, BETA_WIDTH)
    a, b = (bounded(parts[..., i], BETA_LIMIT, 1.0) for i in (1, 2))
    return jax.nn.log_softmax(parts[..., 0], axis=-1), a, b


def dirichlet_mixture(raw: Array, y: Array) -> Array:
    """(...) log density of triangle coordinates y (..., 2) for raw (..., 4 k)."""
    weight, alpha = _dirichlet(raw)
    inner = jnp.concatenate([1 - jnp.sum(y, axis=-1, keepdims=True), y], axis=-1)
    inner = jnp.clip(inner, EDGE, 1.0)[..., None, :]
    log = gammaln(alpha.sum(axis=-1)) - gammaln(alpha).sum(axis=-1) + ((alpha - 1) * jnp.log(inner)).sum(axis=-1)
    return jax.nn.logsumexp(weight + log, axis=-1) - jnp.log(2.0)


def sample_dirichlet(key: Array, raw: Array) -> Array:
    """(2,) triangle coordinates of one mixture (4 k,)."""
    which, draw = jax.random.split(key)
    weight, alpha = _dirichlet(raw)
    return jax.random.dirichlet(draw, alpha[jax.random.categorical(which, weight)])[1:]


def _dirichlet(raw: Array) -> tuple[Array, Array]:
    parts = raw.reshape(*raw.shape[:-1], -1, DIRICHLET_WIDTH)
    return jax.nn.log_softmax(parts[..., 0], axis=-1), bounded(parts[..., 1:], DIRICHLET_LIMIT, 1.0)


def von_mises_mixture(raw: Array, x: Array) -> Array:
    """(...) log density of fractional coordinates x (..., 3) on the cell for raw (..., 7 k); the mean over the cell is 1.

    With a concentration of up to 500 the Bessel function overflows in float32; its exponentially scaled form does not.
    """
    weight, mean, kappa = _von_mises(raw)
    angle = 2 * jnp.pi * x[..., None, :] - mean
    log = kappa * (jnp.cos(angle) - 1) - jnp.log(i0e(kappa))
    return jax.nn.logsumexp(weight + log.sum(axis=-1), axis=-1)


def wrapped_von_mises(raw: Array, x: Array, R: Array, t: Array, mask: Array) -> Array:
    """(...) log density on the asymmetric unit, relative to the uniform one.

    Args:
        raw: (..., 7 k).
        x: (..., 3) any point of the orbit: the density is the same for all of them.
        R, t, mask: (..., g, 3, 3), (..., g, 3), (..., g) operations of the group, centring included.
    """
    images = jnp.einsum("...gij,...j->...gi", R, x) + t
    log = von_mises_mixture(raw[..., None, :], images)
    count = jnp.sum(mask, axis=-1)
    return jax.nn.logsumexp(jnp.where(mask, log, -jnp.inf), axis=-1) - jnp.log(count)


def sample_von_mises(key: Array, raw: Array) -> Array:
    """(3,) fractional coordinates in [0, 1) of one mixture (7 k,), anywhere in the cell."""
    which, draw = jax.random.split(key)
    weight, mean, kappa = _von_mises(raw)
    component = jax.random.categorical(which, weight)
    mean, kappa = mean[component], kappa[component]
    # Best and Fisher's rejection (Appl. Stat. 28, 152, 1979) with a fixed number of proposals; the chance that none is taken is
    # below 1e-9, since each is taken with probability 0.66 or more
    tau = 1 + jnp.sqrt(1 + 4 * kappa**2)
    rho = (tau - jnp.sqrt(2 * tau)) / jnp.maximum(2 * kappa, 1e-6)
    r = (1 + rho**2) / jnp.maximum(2 * rho, 1e-6)
    u = jax.random.uniform(draw, (3, 20, 3), minval=1e-7)
    z = jnp.cos(jnp.pi * u[0])
    f = (1 + r * z) / (r + z)
    c = kappa * (r - f)
    taken = (c * (2 - c) - u[1] > 0) | (jnp.log(c / u[1]) + 1 - c >= 0)
    first = jnp.argmax(taken, axis=0)
    f = jnp.take_along_axis(f, first[None], axis=0)[0]
    sign = jnp.where(jnp.take_along_axis(u[2], first[None], axis=0)[0] > 0.5, 1.0, -1.0)
    angle = mean + sign * jnp.arccos(jnp.clip(f, -1.0, 1.0))
    return jnp.mod(angle / (2 * jnp.pi), 1.0)


def _von_mises(raw: Array) -> tuple[Array, Array, Array]:
    parts = raw.reshape(*raw.shape[:-1], -1, VON_MISES_WIDTH)
    return jax.nn.log_softmax(parts[..., 0], axis=-1), parts[..., 1:4], bounded(parts[..., 4:], KAPPA_LIMIT, 0.01)


def mixture_weights(raw: Array, width: int) -> Array:
    """(..., k) log weights of a mixture whose components have `width` raw numbers."""
    return jax.nn.log_softmax(raw.reshape(*raw.shape[:-1], -1, width)[..., 0], axis=-1)
