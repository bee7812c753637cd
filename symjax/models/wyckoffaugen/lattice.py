"""Cell parameters, one after the other: constraints of the family, telescoping bins, and the support of gamma.

Six conditionals a, b, c, alpha, beta, gamma. Each free parameter is one of 100 coarse bins of its range and one of 100 finer bins
of that: 10,000 cells (0.013 angstrom, 0.0075 degrees) at the price of 200 logits. What the family fixes has probability 1 and is
known to all later conditionals. The volume is positive because gamma keeps to the interval that alpha and beta leave
(|alpha - beta|, min(alpha + beta, 360 - alpha - beta)); the mask is in the probability as well as in the sampler.

Source: Chang et al. (WyckoffAUGen), section 3; ranges as in the public code of SGEquiDiff (arXiv 2505.10994).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.models.wyckoffaugen.layers import Params, fourier, masked_log_softmax, mlp, pick
from symjax.models.wyckoffaugen.representation import ANGLES, LENGTHS

LOW = np.repeat([LENGTHS[0], ANGLES[0]], 3)
HIGH = np.repeat([LENGTHS[1], ANGLES[1]], 3)
# families as in symjax.models.wyckoffaugen.tables.FAMILIES: which of a, b, c, alpha, beta, gamma are free
FREE = np.array(
    [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 1, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0, 0],
        [1, 0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
    ]
).astype(bool)
FIXED = np.array([90.0] * 3)
HEXAGONAL = 4


def constrain(cell: Array, family: Array) -> Array:
    """(..., 6) parameters with what a family (...) fixes put in: b = a, c = a, angles of 90 or 120 degrees."""
    free = jnp.asarray(FREE)[family]
    a = cell[..., :1]
    fixed = jnp.concatenate([a, a, a, jnp.full_like(cell[..., 3:], 90.0)], axis=-1)
    fixed = fixed.at[..., 5].set(jnp.where(family == HEXAGONAL, 120.0, 90.0))
    return jnp.where(free, cell, fixed)


def known_before(which: Array, family: Array) -> Array:
    """(..., 6) bool parameters that are known when parameter `which` (...) is drawn."""
    index = jnp.arange(6)
    free = jnp.asarray(FREE)[family]
    tied = ~free & (index < 3)
    return jnp.where(free, index < which[..., None], jnp.where(tied, which[..., None] > 0, True))


def normalised(cell: Array) -> Array:
    """Cell parameters from their ranges to [-4, 4]."""
    low, high = jnp.asarray(LOW, cell.dtype), jnp.asarray(HIGH, cell.dtype)
    return 8 * (cell - low) / (high - low) - 4


def cell_features(cell: Array, known: Array, stats: Params) -> tuple[Array, Array]:
    """(..., 12 f) Fourier features of the known parameters, zero for others, and (..., 6) their values and mask (12)."""
    value = normalised(cell)
    waves = jnp.concatenate(
        [fourier(value[..., :3, None], stats["length"]), fourier(value[..., 3:, None], stats["angle"])], axis=-2
    )
    mask = known.astype(cell.dtype)
    waves = (waves * mask[..., None]).reshape(*cell.shape[:-1], -1)
    return waves, jnp.concatenate([value * mask, mask], axis=-1)


def bins_of(value: Array, which: Array, num: int) -> tuple[Array, Array]:
    """Coarse and fine bin of values (...) of parameters `which` (...)."""
    low, high = jnp.asarray(LOW, value.dtype)[which], jnp.asarray(HIGH, value.dtype)[which]
    cell = jnp.floor((value - low) / (high - low) * num**2)
    cell = jnp.clip(cell, 0, num**2 - 1).astype(jnp.int32)
    return cell // num, cell % num


def centre(coarse: Array, fine: Array, which: Array, num: int) -> Array:
    """Middle of a cell."""
    low, high = jnp.asarray(LOW, jnp.float32)[which], jnp.asarray(HIGH, jnp.float32)[which]
    return low + (high - low) * (coarse * num + fine + 0.5) / num**2


def support(cell: Array, which: Array) -> tuple[Array, Array]:
    """Interval (...) of allowed values: that of gamma, widened by a fine bin, and everything for other parameters."""
    alpha, beta = cell[..., 3], cell[..., 4]
    gamma = which == 5
    low = jnp.where(gamma, jnp.abs(alpha - beta), -jnp.inf)
    return low, jnp.where(gamma, jnp.minimum(alpha + beta, 360 - alpha - beta), jnp.inf)


def edge_features(first: Array, width: float, num: int, stats: Params) -> Array:
    """(..., num, 4 f) Fourier features of both edges of `num` bins that start at `first` (...), all normalised to [-4, 4]."""
    edges = first[..., None] + width * jnp.arange(num + 1)
    waves = fourier(edges[..., None], stats["edge"])
    return jnp.concatenate([waves[..., :-1, :], waves[..., 1:, :]], axis=-1)


def conditioning(params: Params, stats: Params, group: Array, elements: Array, cell: Array, known: Array) -> Array:
    """(..., d) what a conditional reads: features of the group, composition space, and the known parameters."""
    waves, values = cell_features(cell, known, stats)
    return mlp(params["context"], group, elements, waves, values)


def bin_logits(params: Params, cond: Array, which: Array, features: Array) -> Array:
    """(b, num) logits of the bins of parameters `which` (b,), coarse or fine: the edges tell which.

    The perceptron of lengths or of angles, and the output that belongs to the parameter, are taken before anything is multiplied.

    Args:
        params: of the lattice.
        cond: (b, d), see `conditioning`.
        which: (b,).
        features: (num, 4 f) of bins that are the same for all, or (b, num, 4 f).
    """
    both = [params["length"], params["angle"]]
    kind = which // 3
    take = lambda name: jnp.stack([own[name] for own in both])[kind]
    if features.ndim == 2:
        hidden = jnp.stack([features @ own["w0_0"] for own in both])[kind]
    else:
        hidden = features @ take("w0_0")
    outer = take("b0") + jnp.einsum("bd,bde->be", cond, take("w0_1"))
    column = jnp.take_along_axis(take("w1"), (which % 3)[:, None, None], axis=-1)
    bias = jnp.take_along_axis(take("b1"), (which % 3)[:, None], axis=-1)
    return (jax.nn.silu(hidden + outer[:, None]) @ column)[..., 0] + bias


def _levels(
    params: Params, stats: Params, cond: Array, which: Array, cell: Array, num: int
) -> tuple[Array, Array, Array]:
    """Log probabilities of the coarse bins, and the support (low, high)."""
    low, high = support(cell, which)
    size = (jnp.asarray(HIGH - LOW, cell.dtype)[which]) / num
    start = jnp.asarray(LOW, cell.dtype)[which][..., None] + size[..., None] * jnp.arange(num)
    fine = size[..., None] / num
    mask = (start + size[..., None] > low[..., None] - fine) & (start < high[..., None] + fine)
    logits = bin_logits(params, cond, which, edge_features(jnp.float32(-4.0), 8 / num, num, stats))
    return masked_log_softmax(logits, mask)[0], low, high


def _fine(
    params: Params, stats: Params, cond: Array, which: Array, coarse: Array, low: Array, high: Array, num: int
) -> Array:
    """Log probabilities of the fine bins of a coarse one."""
    middle = centre(coarse[..., None], jnp.arange(num), which[..., None], num)
    fine = (jnp.asarray(HIGH - LOW, middle.dtype)[which] / num**2)[..., None]
    mask = (middle > low[..., None] - fine) & (middle < high[..., None] + fine)
    logits = bin_logits(params, cond, which, edge_features(-4.0 + 8 * coarse / num, 8 / num**2, num, stats))
    return masked_log_softmax(logits, mask)[0]


def log_prob(
    params: Params,
    stats: Params,
    group: Array,
    elements: Array,
    family: Array,
    which: Array,
    cell: Array,
    given: Array,
    num: int,
) -> Array:
    """(b,) log probability of parameter `which` of cells: of its bin of about 0.01 angstrom or degrees.

    Args:
        params, stats: of the lattice.
        group, elements: (b, 62), (b, 101).
        family, which: (b,) int.
        cell: (b, 6) the cells.
        given: (b, 6) what the earlier parameters are taken to be: the cells, or noisy ones.
        num: bins of one level.
    """
    cond = conditioning(params, stats, group, elements, given, known_before(which, family))
    value = jnp.take_along_axis(cell, which[..., None], axis=-1)[..., 0]
    coarse, fine = bins_of(value, which, num)
    first, low, high = _levels(params, stats, cond, which, cell, num)
    second = _fine(params, stats, cond, which, coarse, low, high, num)
    free = jnp.take_along_axis(jnp.asarray(FREE)[family], which[..., None], axis=-1)[..., 0]
    return jnp.where(free, pick(first, coarse) + pick(second, fine), 0.0)


def sample(
    params: Params, stats: Params, keys: Array, group: Array, elements: Array, family: Array, num: int
) -> tuple[Array, Array]:
    """Draw cells.

    Args:
        keys: (b,) one for each.
        group, elements, family: (b, 62), (b, 101), (b,).
        params, stats, num: as `log_prob`.

    Returns:
        cell (b, 6) and its log probability (b,).
    """
    free = jnp.asarray(FREE)[family]

    def step(j: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        cell, total = state
        which = jnp.full(len(keys), j)
        own = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, j)))(keys)
        cond = conditioning(params, stats, group, elements, cell, known_before(which, family))
        first, low, high = _levels(params, stats, cond, which, cell, num)
        coarse = jax.vmap(jax.random.categorical)(own[:, 0], first)
        second = _fine(params, stats, cond, which, coarse, low, high, num)
        fine = jax.vmap(jax.random.categorical)(own[:, 1], second)
        drawn = jnp.where(free[:, j], centre(coarse, fine, which, num), cell[:, j])
        log = jnp.where(free[:, j], pick(first, coarse) + pick(second, fine), 0.0)
        return constrain(cell.at[:, j].set(drawn), family), total + log

    start = constrain(jnp.full((len(keys), 6), 90.0), family), jnp.zeros(len(keys))
    return jax.lax.fori_loop(0, 6, step, start)
