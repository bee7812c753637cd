"""Samplers of stage 3: predictor-corrector and few-step deterministic reverse diffusion of lattice and coordinates.

A draw starts from noise, or from a known geometry noised to a time below one and denoised from there, which gives learned
variations of that geometry (SDEdit: Meng et al. 2022, Guided Image Synthesis and Editing with Stochastic Differential Equations).
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.structure_types import StructureTypes
from symjax.diffusion import rng
from symjax.diffusion.process import Outputs, State, deal, perturb, prior
from symjax.diffusion.reverse import Corrector, reverse
from symjax.errors import InputError
from symjax.generate.batches import plan_batches
from symjax.models.symop.geometry.inputs import GeometryInputs, build_inputs, free_coordinates
from symjax.models.symop.geometry.network import GeometryOptions, denoise, final_lattice, standardised
from symjax.models.symop.geometry.process import noise_grid, processes

_PROGRAM = (
    300_000  # padded atoms times steps that are drawn on a CPU core in the time in which a program is compiled, about
)


@dataclasses.dataclass(frozen=True)
class GeometrySampling:
    """How the reverse process runs.

    `num_steps` network times; `eta` 0 deterministic (DDIM) to 1 ancestral; `num_corrector` Langevin steps of the coordinates after
    each predictor step with `corrector_step` as a fraction of the noise variance.
    """

    num_steps: int = 60
    eta: float = 1.0
    num_corrector: int = 0
    corrector_step: float = 0.1

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_corrector < 0 or not 0.0 <= self.eta <= 1.0:
            raise InputError(f"sampler: num_steps >= 1, num_corrector >= 0 and 0 <= eta <= 1 are needed, got {self}")


@dataclasses.dataclass(frozen=True)
class Start:
    """A geometry to start from: `k (b, 6)` and `x (b, m, 3)` on their flats, and the diffusion time in (0, 1] it is noised to."""

    k: np.ndarray
    x: np.ndarray
    strength: float

    def take(self, rows: np.ndarray) -> "Start":
        """Some rows."""
        return Start(self.k[rows], self.x[rows], self.strength)


@functools.partial(jax.jit, static_argnames=("options", "sampler"))
def reverse_diffusion(
    params: dict,
    key: Array,
    inputs: GeometryInputs,
    *,
    options: GeometryOptions,
    sampler: GeometrySampling,
    clean: tuple[Array, Array] | None = None,
    strength: Array | float = 1.0,
) -> tuple[Array, Array]:
    """Standardised lattice coefficients `(b, 6)` and free coordinates `(b, m, 3)` drawn from the model.

    Args:
        key: one for the batch, or `(b,)` one a crystal.
        clean: such a pair that is noised to time `strength` and denoised from there; None starts from noise at time 1.
    """
    b = inputs.z.shape[0]
    variables = processes(inputs, eta=sampler.eta, corrector_step=sampler.corrector_step)
    grid = noise_grid(options, sampler.num_steps, strength)

    def predict(state: State, time: Array) -> Outputs:
        v, score = denoise(params, options, inputs, state["k"], state["u"], jnp.full((b,), time))
        return {"k": v, "u": score}

    start_key, loop_key = rng.split(key, 2)
    if clean is None:
        state = prior(variables, start_key)
    else:
        first = grid.at(jnp.asarray(0))
        state, _ = perturb(variables, deal(start_key, variables), {"k": clean[0], "u": clean[1]}, first)
    corrector = Corrector(("u",), sampler.num_corrector) if sampler.num_corrector else None
    state, _ = reverse(variables, predict, grid, loop_key, state, corrector=corrector)
    return state["k"], state["u"]


def sample_geometry(
    params: dict,
    options: GeometryOptions,
    key: Array,
    types: StructureTypes,
    *,
    sampler: GeometrySampling,
    batch_size: int = 128,
    start: Start | None = None,
    progress: Callable[[int], object] | None = None,
    shapes: set[tuple[int, int]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw lattice and coordinates for structure types.

    Args:
        params: `{"net", "stats"}`.
        key: one for all, or `(b,)` one a crystal (`symjax.diffusion.rng`); equal keys and structure types give equal crystals, to
            rounding, whatever else is drawn with them.
        start: a geometry of each structure type to start from instead of noise.
        progress: called with the number of crystals finished, after each batch.
        shapes: what is compiled already (`symjax.generate.batches.plan_batches`).

    Returns:
        `k (b, 6)` float64 log-lattice coefficients and `x (b, m, 3)` float64 representatives, exactly on their flats.

    Raises:
        InputError: a structure type is larger than the largest bucket.
    """
    sizes = np.stack([types.orbit_mask.sum(1), types.num_atoms()], axis=1)
    plan = plan_batches(
        sizes,
        options.buckets,
        batch_size,
        work=[atoms * sampler.num_steps / _PROGRAM for _, atoms in options.buckets],
        names=("orbits", "atoms"),
        shapes=shapes,
    )
    keys = key if key.ndim else rng.row_keys(key, np.arange(len(types.z)))
    k = np.zeros((len(types.z), 6))
    x = np.zeros((*types.z.shape, 3))
    for batch in plan:
        max_orbits, max_atoms = options.buckets[batch.bucket]
        real, padded = batch.rows, batch.padded
        inputs = build_inputs(types.take(padded, max_orbits), max_atoms)
        given = {} if start is None else _from(start, padded, params["stats"], inputs)
        state, u = reverse_diffusion(params, keys[padded], inputs, options=options, sampler=sampler, **given)
        projector = np.asarray(types.sets.k_projector)[types.set_index[padded]]
        k[real] = final_lattice(params["stats"], inputs, state, projector)[: len(real)]
        width = min(max_orbits, x.shape[1])
        basis = np.asarray(inputs.basis, np.float64)
        flat = np.asarray(types.sets.pos_x0)[types.set_index[real][:, None], types.pos[real]]
        free = np.asarray(u, np.float64)[: len(real), :width]
        x[real, :width] = flat[:, :width] + np.einsum("bmij,bmj->bmi", basis[: len(real), :width], free)
        if progress is not None:
            progress(len(real))
    return k, np.where(types.orbit_mask[..., None], x, 0.0)


def _from(start: Start, rows: np.ndarray, stats: dict, inputs: GeometryInputs) -> dict:
    """Arguments of `reverse_diffusion` that start it from a geometry."""
    width = inputs.z.shape[1]
    x = np.zeros((len(rows), width, 3))
    x[:, : start.x.shape[1]] = start.x[rows][:, :width]
    free = standardised(stats, inputs, start.k[rows])
    return {"clean": (free, jnp.asarray(free_coordinates(inputs, x))), "strength": jnp.float32(start.strength)}
