"""The noise of occupations: one discrete process for positions without freedom, one for counts, and the published schedule.

Every variable is on its own: with probability abar it keeps its clean class, else it is drawn from the kernel's distribution, which
is uniform, the frequencies of the training data (`marginal`), or the empty class (`zeros`, absorbing: time reversed, a variable
leaves zero at most once). Index t = 0 .. T - 1 of the schedule; index 0 holds one step of noise already, and is what sampling ends
at. Source: WyckoffDiff (Ekström Kelvinius et al., arXiv 2502.06485), section 3, and its public code for schedule and kernels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import schedules
from symjax.diffusion.discrete import DiscreteProcess, Share
from symjax.models.wyckoffdiff.occupations import NUM_ELEMENTS, Orbits, nodes

KERNELS = ("uniform", "marginal", "zeros")


@lru_cache(maxsize=4)
def noise_levels(num_steps: int) -> Share:
    """`(T,)` share kept, and lost, at every index of the published cosine schedule (float64 on the host, then float32)."""
    return Share.of(schedules.cosine_shares(num_steps))


def levels_at(num_steps: int, index: Any) -> Share:
    """Levels at some indices; jit-able."""
    return Share(*(jnp.asarray(table)[index] for table in noise_levels(num_steps)))


def frequencies(orbits: Orbits, max_count: int) -> tuple[np.ndarray, np.ndarray]:
    """(101,) and (max_count + 1,) frequencies of the classes of both parts, over all positions, groups and (counts) 100 elements.

    The public code pools counts over 118 elements, of which 18 never occur.
    """
    known = nodes()
    sizes = known.sizes[orbits.number].sum(axis=0)
    real = orbits.z > 0
    row = np.broadcast_to(np.arange(len(orbits))[:, None], real.shape)[real].astype(np.int64)
    z, pos = orbits.z[real].astype(np.int64), orbits.pos[real].astype(np.int64)
    free = known.part[orbits.number[row], pos] == 1
    fixed = np.bincount(z[~free], minlength=NUM_ELEMENTS + 1).astype(np.float64)
    fixed[0] = sizes[0] - fixed.sum()
    _, counts = np.unique((row[free] * 32 + pos[free]) * 128 + z[free], return_counts=True)
    count = np.bincount(counts, minlength=max_count + 1).astype(np.float64)[: max_count + 1]
    count[0] = sizes[1] * NUM_ELEMENTS - count.sum()
    return fixed / max(fixed.sum(), 1.0), count / count.sum()


def marginals(kernel: str, stats: dict) -> tuple[Array, Array]:
    """What both processes end in: `(101,)` and `(max_count + 1,)` probabilities.

    Args:
        kernel: one of `KERNELS`.
        stats: `fixed` and `free`, frequencies of the training data.
    """

    def of(frequency: Array) -> Array:
        if kernel == "uniform":
            return jnp.full(frequency.shape, 1.0 / frequency.shape[0])
        return frequency if kernel == "marginal" else jnp.zeros(frequency.shape).at[0].set(1.0)

    return of(jnp.asarray(stats["fixed"])), of(jnp.asarray(stats["free"]))


def processes(kernel: str, stats: dict, num: int, sizes: tuple[int, int]) -> dict[str, DiscreteProcess]:
    """The two variables of `num` crystals with padded numbers of positions."""
    fixed, free = marginals(kernel, stats)
    return {
        "fixed": DiscreteProcess(jnp.broadcast_to(fixed, (num, sizes[0], *fixed.shape)), by_inversion=True),
        "free": DiscreteProcess(jnp.broadcast_to(free, (num, sizes[1], NUM_ELEMENTS, *free.shape)), by_inversion=True),
    }
