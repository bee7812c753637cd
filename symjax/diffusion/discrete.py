"""Discrete diffusion towards a given marginal (D3PM): noise, posterior and sampling in closed form, O(classes), no matrices.

A state is a class index. After the process has kept a share `abar` of the data, `q(x_t | x_0) = abar [x_t = x_0] + (1 - abar) m`
with a marginal `m`, so the process ends in `m`. `m` may differ between variables and between crystals: it is an array whose last
axis counts classes and whose other axes broadcast against the states (site symmetries use one marginal per space group and
axis). Levels `abar` broadcast against the states, too; a `Share` says besides what was lost, which float32 cannot tell near one.

Source: Austin et al. 2021 (structured denoising diffusion in discrete spaces); marginals as in Vignac et al. 2023 (DiGress) and in
SymmCD, equation 5. Steps need not be consecutive: a step from `abar` to `abar_to > abar` keeps the share `abar / abar_to`.
"""

import dataclasses
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import rng
from symjax.diffusion.process import lead

_TINY = 1e-30


class Share(NamedTuple):
    """A level as two numbers: the share of the data that is kept, and 1 minus it, exact where the first is next to one."""

    kept: Array | np.ndarray
    lost: Array | np.ndarray

    @staticmethod
    def of(abar: np.ndarray) -> "Share":
        """float32 levels of float64 ones (numpy)."""
        abar = np.asarray(abar, np.float64)
        return Share(abar.astype(np.float32), (1.0 - abar).astype(np.float32))


Level: TypeAlias = Array | Share
"""A level of noise: the kept share, alone or with what was lost."""


def _both(level: Level) -> tuple[Array, Array]:
    """Kept and lost shares, with a last axis for the classes."""
    if isinstance(level, Share):
        return jnp.asarray(level.kept)[..., None], jnp.asarray(level.lost)[..., None]
    kept = jnp.asarray(level)[..., None]
    return kept, 1.0 - kept


def noised(index: Array, abar: Level, marginal: Array) -> Array:
    """Probabilities `(..., classes)` of the noisy class.

    Args:
        index: `(...)` clean classes.
        abar: share of the data that is kept, broadcasting against `index`.
        marginal: `(..., classes)`.
    """
    kept, lost = _both(abar)
    return kept * jax.nn.one_hot(index, marginal.shape[-1], dtype=marginal.dtype) + lost * marginal


def draw(key: Array, probabilities: Array) -> Array:
    """Class indices `(...)` int32; classes of probability zero are never drawn (rows need not be normalised)."""
    logits = jnp.where(probabilities > 0, jnp.log(jnp.maximum(probabilities, _TINY)), -jnp.inf)
    return rng.categorical(key, logits).astype(jnp.int32)


def draw_by_inversion(key: Array, probabilities: Array) -> Array:
    """As `draw`, with one random number a variable instead of one a class: on CPUs random words cost more than anything else.

    Probabilities are met to float32 rounding of their running sums; those of zero are never drawn.
    """
    classes = probabilities.shape[-1]
    # what made the probabilities would be computed again in each of the places that read them below
    probabilities = jax.lax.optimization_barrier(probabilities)
    earlier = jnp.asarray(np.triu(np.ones((classes, classes)), 1), probabilities.dtype)
    before = jnp.matmul(probabilities, earlier, precision="highest")
    total = before[..., -1:] + probabilities[..., -1:]
    number = rng.uniform(key, probabilities.shape[:-1])[..., None] * total
    possible = probabilities > 0
    first = jnp.argmax(possible, axis=-1, keepdims=True)
    reached = jnp.where(possible & (before <= number), jnp.arange(classes), first)
    return jnp.max(reached, axis=-1).astype(jnp.int32)


def draw_shared(key: Array, marginal: Array, shape: tuple[int, ...]) -> Array:
    """Class indices of a shape from one marginal `(classes,)`, with one random number each."""
    edges = jnp.cumsum(marginal)[:-1] / jnp.sum(marginal)
    return jnp.sum(rng.uniform(key, shape)[..., None] >= edges, axis=-1, dtype=jnp.int32)


def perturb(key: Array, index: Array, abar: Level, marginal: Array, *, by_inversion: bool = False) -> Array:
    """Noisy classes `(...)` int32: the clean one with probability `abar`, else a draw from the marginal."""
    stay_key, draw_key = rng.split(key, 2)
    number = rng.uniform(stay_key, index.shape)
    stay = number >= abar.lost if isinstance(abar, Share) else number < abar
    if marginal.ndim == 1:
        fresh = draw_shared(draw_key, marginal, index.shape)
    else:
        drawn = draw_by_inversion if by_inversion else draw
        fresh = drawn(draw_key, jnp.broadcast_to(marginal, (*index.shape, marginal.shape[-1])))
    return jnp.where(stay, index, fresh).astype(jnp.int32)


def posterior(clean: Array, index: Array, *, abar: Level, abar_to: Level, marginal: Array) -> Array:
    """Probabilities `(..., classes)` of the class one step earlier, averaged over a prediction of the clean class.

    `sum_d p(d) q(x_to = s | x_t = z, x_0 = d)`, which is `q(z | s) sum_d p(d) q(s | d) / q(z | d)`. Classes d from which z could
    not come (`m_z = 0` and `d != z` at full knowledge) are left out; a row without any becomes the observed class.

    Args:
        clean: `(..., classes)` probabilities of the clean class, rows sum to one.
        index: `(...)` observed classes z.
        abar: share kept at the observed time, broadcasting against `index`; below one.
        abar_to: share kept at the earlier time; one means that the clean class itself is asked for.
        marginal: `(..., classes)`.
    """
    classes = clean.shape[-1]
    seen = jax.nn.one_hot(index, classes, dtype=clean.dtype)
    full = jnp.broadcast_to(marginal, clean.shape)
    at_seen = jnp.sum(full * seen, axis=-1, keepdims=True)  # m_z
    (kept, lost), (kept_to, lost_to) = _both(abar), _both(abar_to)
    step = kept / kept_to
    fade = (lost - lost_to) / kept_to if isinstance(abar, Share) else 1.0 - step
    reach = kept * seen + lost * at_seen  # q(z | d)
    weight = jnp.where(reach > _TINY, clean / jnp.maximum(reach, _TINY), 0.0)
    come = step * seen + fade * at_seen  # q(z | s)
    raw = come * (kept_to * weight + lost_to * full * jnp.sum(weight, axis=-1, keepdims=True))
    total = jnp.sum(raw, axis=-1, keepdims=True)
    return jnp.where(total > 0, raw / jnp.maximum(total, _TINY), seen)


def cross_entropy(logits: Array, index: Array) -> Array:
    """`-log softmax(logits)[index]`, shape `(...)`, nats."""
    return jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(logits, index[..., None], axis=-1)[..., 0]


@dataclasses.dataclass(frozen=True)
class DiscreteProcess:
    """A `Process` (see `symjax.diffusion.process`) of classes; the network learns the clean class. Level: the kept share `abar`.

    The marginal is the kernel: one over the number of classes (uniform), frequencies of the data (marginal), or one class with all
    the weight (absorbing).

    Attributes:
        marginal: `(b, ..., classes)`; the state has its leading axes.
        normalised: outputs are log-probabilities of the clean class; otherwise logits.
        by_inversion: draw by `draw_by_inversion`.
    """

    marginal: Array
    normalised: bool = False
    by_inversion: bool = False

    def prior(self, key: Array) -> Array:
        """Classes from the marginal."""
        return self.draw(key, self.marginal)

    def draw(self, key: Array, probabilities: Array) -> Array:
        """Classes `(...)` of probabilities `(..., classes)`."""
        return (draw_by_inversion if self.by_inversion else draw)(key, probabilities)

    def perturb(self, key: Array, clean: Array, level: Array) -> tuple[Array, Array]:
        """Noisy classes and the clean ones."""
        noisy = perturb(key, clean, lead(level, clean), self.marginal, by_inversion=self.by_inversion)
        return noisy, clean

    def reverse(self, key: Array, state: Array, output: Array, *, now: Array, after: Array) -> Array:
        """A draw from the `posterior`."""
        clean = jnp.exp(output) if self.normalised else jax.nn.softmax(output, axis=-1)
        earlier = posterior(clean, state, abar=lead(now, state), abar_to=lead(after, state), marginal=self.marginal)
        return self.draw(key, earlier)
