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
from symjax.diffusion import gaussian, schedules, wrapped
from symjax.errors import InputError
from symjax.models.symop.geometry.inputs import GeometryInputs, assign_buckets, build_inputs, free_coordinates
from symjax.models.symop.geometry.task import GeometryOptions, denoise, final_lattice, mean_coefficients, torus_basis


@dataclasses.dataclass(frozen=True)
class SamplerOptions:
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
    sampler: SamplerOptions,
    clean: tuple[Array, Array] | None = None,
    strength: Array | float = 1.0,
) -> tuple[Array, Array]:
    """Standardised lattice coefficients `(b, 6)` and free coordinates `(b, m, 3)` drawn from the model.

    Args:
        clean: such a pair that is noised to time `strength` and denoised from there; None starts from noise at time 1.
    """
    euclid = torus_basis(inputs)
    b = inputs.z.shape[0]
    start_key, loop_key = jax.random.split(key)
    k_key, u_key = jax.random.split(start_key)

    def levels(time: Array) -> tuple[tuple[Array, Array], Array]:
        alpha, spread = schedules.cosine_alpha_sigma(time, options.lattice_power)
        return (alpha[:, None], spread[:, None]), jnp.broadcast_to(
            schedules.geometric_sigma(time, options.sigma_min, options.sigma_max)[:, None], inputs.z.shape
        )

    k_state = gaussian.noise(k_key, inputs.k_projector)
    if clean is None:
        u = wrapped.uniform(u_key, euclid)
    else:
        (alpha, spread), sigma = levels(jnp.full((b,), strength))
        k_state, _ = gaussian.perturb(clean[0], k_state, alpha, spread)
        u = jnp.mod(clean[1] + sigma[..., None] * wrapped.noise(u_key, euclid), 1.0)

    def step(state: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        k_state, u = state
        # integers first: 1 - n/n may round below zero, where a power is not a number
        time = jnp.full((b,), strength * ((sampler.num_steps - i) / sampler.num_steps))
        after = jnp.full((b,), strength * (jnp.maximum(sampler.num_steps - i - 1, 0) / sampler.num_steps))
        (now, sigma), (then, sigma_to) = levels(time), levels(after)
        # the last pass removes the smallest noise at once (Tweedie)
        sigma_to = jnp.where(i == sampler.num_steps, 0.0, sigma_to)
        keys = jax.random.split(jax.random.fold_in(loop_key, i), 2 + sampler.num_corrector)
        v, score = denoise(params, options, inputs, k_state, u, time)
        fresh = gaussian.noise(keys[0], inputs.k_projector)
        k_state = gaussian.reverse_step(k_state, v, fresh, now=now, after=then, eta=sampler.eta)
        u = wrapped.reverse_step(
            euclid, u, score, wrapped.noise(keys[1], euclid), sigma=sigma, sigma_to=sigma_to, eta=sampler.eta
        )
        for corrector_key in keys[2:]:
            _, score = denoise(params, options, inputs, k_state, u, after)
            fresh = wrapped.noise(corrector_key, euclid)
            u = wrapped.langevin_step(euclid, u, score, fresh, sigma=sigma_to, step=sampler.corrector_step)
        return (k_state, u), None

    return jax.lax.scan(step, (k_state, u), jnp.arange(sampler.num_steps + 1))[0]


def plan_batches(
    num_orbits: np.ndarray, num_atoms: np.ndarray, buckets: tuple[tuple[int, int], ...], batch_size: int
) -> list[tuple[int, np.ndarray, int]]:
    """Which rows run together: `(bucket, rows, padded batch)`.

    A bucket with few rows joins the next larger one, because compiling a program costs more than padding a few crystals; batches
    are padded to powers of two, so that few shapes are ever compiled.

    Raises:
        InputError: a structure type is larger than the largest bucket.
    """
    which = assign_buckets(num_orbits, num_atoms, buckets)
    if (which < 0).any():
        row = int(np.argmax(which < 0))
        raise InputError(
            f"row {row}: {num_orbits[row]} orbits and {num_atoms[row]} atoms exceed the largest bucket {buckets[-1]}"
        )
    for bucket in range(len(buckets) - 1):
        rows = np.nonzero(which == bucket)[0]
        if len(rows) < batch_size // 4 and (which > bucket).any():
            larger = assign_buckets(num_orbits[rows], num_atoms[rows], buckets[bucket + 1 :])
            which[rows] = np.where(larger >= 0, larger + bucket + 1, bucket)
    plan = []
    for bucket in range(len(buckets)):
        rows = np.nonzero(which == bucket)[0]
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            padded = min(batch_size, max(8, 1 << (len(part) - 1).bit_length()))
            plan.append((bucket, part, padded if len(rows) < batch_size else batch_size))
    return plan


def sample_geometry(
    params: dict,
    options: GeometryOptions,
    key: Array,
    types: StructureTypes,
    *,
    sampler: SamplerOptions,
    batch_size: int = 128,
    start: Start | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw lattice and coordinates for structure types.

    Args:
        params: `{"net", "stats"}`.
        key: consumed; equal keys and structure types give equal crystals.
        start: a geometry of each structure type to start from instead of noise.
        progress: called with the number of crystals finished, after each batch.

    Returns:
        `k (b, 6)` float64 log-lattice coefficients and `x (b, m, 3)` float64 representatives, exactly on their flats.

    Raises:
        InputError: a structure type is larger than the largest bucket.
    """
    plan = plan_batches(types.orbit_mask.sum(1), types.num_atoms(), options.buckets, batch_size)
    k = np.zeros((len(types.z), 6))
    x = np.zeros((*types.z.shape, 3))
    for number, (bucket, real, size) in enumerate(plan):
        max_orbits, max_atoms = options.buckets[bucket]
        padded = np.resize(real, size)
        inputs = build_inputs(types.take(padded, max_orbits), max_atoms)
        batch_key = jax.random.fold_in(key, number)
        given = {} if start is None else _from(start, padded, params["stats"], inputs)
        state, u = reverse_diffusion(params, batch_key, inputs, options=options, sampler=sampler, **given)
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
    free = gaussian.project(inputs.k_projector, (start.k[rows] - mean_coefficients(stats, inputs)) / stats["scale"])
    return {"clean": (free, jnp.asarray(free_coordinates(inputs, x))), "strength": jnp.float32(start.strength)}
