"""The processes of lattice and coordinates, and their noise levels as functions of a time in [0, 1].

`k`: variance-preserving Gaussian in the image of the set's projector, with v-prediction. `u`: wrapped normal on the torus of each
orbit's free coordinates, of geometric width.
"""

import jax.numpy as jnp
from jax import Array

from symjax.diffusion import schedules
from symjax.diffusion.gaussian import VelocityProcess
from symjax.diffusion.process import Levels
from symjax.diffusion.reverse import Grid
from symjax.diffusion.wrapped import WrappedProcess
from symjax.models.symop.geometry.inputs import GeometryInputs, torus_basis
from symjax.models.symop.geometry.network import GeometryOptions


def processes(
    inputs: GeometryInputs, *, eta: float = 1.0, corrector_step: float = 0.1
) -> dict[str, VelocityProcess | WrappedProcess]:
    """Of the crystals of a batch; `eta` and `corrector_step` matter to the reverse process only."""
    return {
        "k": VelocityProcess(inputs.k_projector, eta),
        "u": WrappedProcess(torus_basis(inputs), eta, corrector_step),
    }


def levels_at(options: GeometryOptions, time: Array) -> Levels:
    """Noise levels at times in [0, 1] (0 clean but for the smallest width, 1 noise)."""
    return {
        "k": schedules.cosine_alpha_sigma(time, options.lattice_power),
        "u": schedules.geometric_sigma(time, options.sigma_min, options.sigma_max),
    }


def noise_grid(options: GeometryOptions, num_steps: int, strength: Array | float = 1.0) -> Grid:
    """`num_steps` equal steps of time from `strength` to 0, and one that removes the smallest noise at once (Tweedie)."""
    # integers first: 1 - n/n may round below zero, where a power is not a number
    left = jnp.maximum(num_steps - jnp.arange(num_steps + 2), 0)
    time = strength * (left / num_steps)
    levels = levels_at(options, time)
    return Grid(time, levels | {"u": levels["u"].at[-1].set(0.0)})
