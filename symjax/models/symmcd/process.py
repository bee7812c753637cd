"""The processes of lattice, coordinates, atom types and site symmetries, and the tables of their noise levels.

One step t in 1 .. T a crystal for everything. Lattice coefficients: variance-preserving Gaussian with the cosine schedule, on the
coefficients that the crystal family leaves free. Coordinates: wrapped normal of geometric width. Atom types: discrete diffusion
to the marginal of the training data. Site symmetries: the same to the marginals of the space group, each of 15 directions alone.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import schedules, wrapped
from symjax.diffusion.discrete import DiscreteProcess
from symjax.diffusion.gaussian import NoiseProcess
from symjax.diffusion.process import Process
from symjax.diffusion.wrapped import CubicProcess
from symjax.models.symmcd.network import NUM_AXES, NUM_KINDS, NUM_TYPES


class Levels(NamedTuple):
    """Noise after step 0 .. T, each `(T + 1,)` float32."""

    abar: np.ndarray  # share of the signal's variance: lattice, types and sites
    sigma: np.ndarray  # standard deviation of fractional coordinates
    scale: np.ndarray  # root mean square of the coordinates' score

    def at(self, step: Any) -> dict[str, Any]:
        """Levels of each variable at steps."""
        abar, sigma, scale = (jnp.asarray(table)[step] for table in self)
        return {"k": abar, "x": (sigma, scale), "types": abar, "sites": abar}


@functools.lru_cache(maxsize=8)
def noise_levels(num_steps: int, sigma_min: float, sigma_max: float) -> Levels:
    """Tables of the schedules."""
    sigma = schedules.geometric_levels(num_steps, sigma_min, sigma_max)
    scale = np.sqrt(wrapped.cubic_score_scale(sigma, nodes=801))
    return Levels(*(table.astype(np.float32) for table in (schedules.cosine_levels(num_steps), sigma, scale)))


def processes(
    stats: dict,
    number: Array,
    num_orbits: int,
    *,
    sigma_min: float,
    elements: Array | None = None,
    corrector_step: float = 0.0,
    sites: bool = True,
) -> dict[str, Process]:
    """Of crystals of space groups `number (b,)`.

    Args:
        stats: of the training data, as they travel with the weights.
        num_orbits: slots m.
        sigma_min: smallest noise of the coordinates.
        elements: `(94,)` marginal of atom types; None for that of the training data.
        corrector_step: of the coordinates, in the reverse process.
        sites: False in the unit-cell variant.
    """
    b, m = number.shape[0], num_orbits
    of_types = stats["elements"] if elements is None else elements
    made: dict[str, Process] = {
        "k": NoiseProcess(stats["k_free"][number]),
        "x": CubicProcess((b, m, 3), sigma_min, corrector_step),
        "types": DiscreteProcess(jnp.broadcast_to(of_types, (b, m, NUM_TYPES))),
    }
    if sites:
        of_sites = jnp.broadcast_to(stats["site"][number][:, None], (b, m, NUM_AXES, NUM_KINDS))
        made["sites"] = DiscreteProcess(of_sites, normalised=True)
    return made


def standardised(stats: dict, number: Array, k: Array) -> Array:
    """The state `(b, 6)` of known lattice coefficients: zero where the family fixes one."""
    return stats["k_free"][number] * (k - stats["k_shift"]) / stats["k_scale"]


def coefficients(stats: dict, number: Array, state: Array) -> Array:
    """Lattice coefficients `(b, 6)` of a state, those that the family fixes at their values."""
    return stats["k_free"][number] * (state * stats["k_scale"] + stats["k_shift"]) + stats["k_constant"][number]
