"""Stage 3 of symop: joint diffusion of the lattice and of the coordinates on what the operations leave free.

State: standardised log-lattice coefficients `k` in the image of the set's projector (variance-preserving Gaussian), and free
coordinates `u` of each representative on the torus of the subspace its stabilizer fixes (wrapped normal).  Both are clean of any
component the operations forbid, at every noise level, so each intermediate state is a crystal with at least the given operations.

The volume is not left to diffusion alone: a ridge regression of the volume per atom on composition sets the mean of `k[5]`, and the
residual diffuses (volumes that a trial network predicted were no better than that regression).
"""

import dataclasses
import logging
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, types_from_dataset
from symjax.diffusion import gaussian, schedules, wrapped
from symjax.elements import COVALENT_RADII, NUM_ELEMENTS, element_features
from symjax.errors import DataError
from symjax.lattice import K_BASIS
from symjax.models.symop.geometry.inputs import (
    GeometryInputs,
    GeometryTargets,
    assign_buckets,
    build_inputs,
    free_coordinates,
    search_offsets,
)
from symjax.nn.orbit_net import OrbitNet, find_neighbours
from symjax.options import options_of
from symjax.train.interface import Bucket, weighted_sum

_log = logging.getLogger(__name__)
_K_BASIS = np.asarray(K_BASIS, np.float32)


@dataclasses.dataclass(frozen=True)
class GeometryOptions:
    """Sizes and noise levels of the stage; every field stands in `configs/symop.py` with its meaning."""

    irreps: str
    message_irreps: str
    lmax: int
    num_layers: int
    radial_hidden: int
    num_neighbours: int
    sigma_min: float
    sigma_max: float
    lattice_power: float
    lattice_weight: float
    buckets: tuple[tuple[int, int], ...]


def options_from_config(section: Any) -> GeometryOptions:
    """Options from the `model.geometry` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: see `symjax.options.options_of`.
    """
    return options_of(GeometryOptions, section, "model.geometry")


def make_network(options: GeometryOptions) -> OrbitNet:
    return OrbitNet(
        irreps=options.irreps,
        message_irreps=options.message_irreps,
        lmax=options.lmax,
        num_layers=options.num_layers,
        num_elements=NUM_ELEMENTS,
        radial_hidden=options.radial_hidden,
        average_neighbours=float(options.num_neighbours),
    )


class Statistics(NamedTuple):
    """Fixed numbers of the training set, stored beside the weights."""

    volume: Array  # (NUM_ELEMENTS,) log volume per atom: weights on the atomic fractions
    scale: Array  # (6,) standard deviations of k: one for the five shape coefficients, one for the volume

    def as_dict(self) -> dict[str, Array]:
        return self._asdict()


def atomic_fractions(z: Array, weight: Array) -> Array:
    """`(b, NUM_ELEMENTS)` share of each element among the atoms of the cell."""
    return jnp.einsum("bm,bme->be", weight, jax.nn.one_hot(z, NUM_ELEMENTS, dtype=jnp.float32))


def mean_coefficients(stats: dict[str, Array], inputs: GeometryInputs) -> Array:
    """`(b, 6)` expected k: the isotropic part from the volume regression, no distortion of the reference frame."""
    atoms = jnp.sum(inputs.atom_mask, axis=-1)
    log_volume = jnp.log(atoms) + atomic_fractions(inputs.z, inputs.weight) @ stats["volume"]
    trace = log_volume - jnp.log(jnp.linalg.det(inputs.frame))
    return jnp.zeros(log_volume.shape + (6,)).at[..., 5].set(trace / np.sqrt(3.0))


def fit_statistics(inputs: list[GeometryInputs], targets: list[GeometryTargets], ridge: float = 1.0) -> Statistics:
    """Ridge regression of log volume per atom on atomic fractions, and the scales of what it leaves."""
    fractions = np.concatenate([np.asarray(atomic_fractions(i.z, i.weight)) for i in inputs])
    k = np.concatenate([np.asarray(t.k) for t in targets])
    atoms = np.concatenate([np.asarray(i.atom_mask).sum(-1) for i in inputs])
    frame = np.concatenate([np.asarray(i.frame) for i in inputs])
    log_volume = k[:, 5] * np.sqrt(3.0) + np.log(np.linalg.det(frame)) - np.log(atoms)
    centre = log_volume.mean()
    gram = fractions.T @ fractions + ridge * np.eye(NUM_ELEMENTS)
    weights = np.linalg.solve(gram, fractions.T @ (log_volume - centre)) + centre
    residual = (log_volume - fractions @ weights) / np.sqrt(3.0)
    scale = np.concatenate([np.full(5, k[:, :5].std()), [residual.std()]])
    return Statistics(jnp.asarray(weights, jnp.float32), jnp.asarray(np.maximum(scale, 1e-3), jnp.float32))


def lattice_matrices(k: Array, frame: Array) -> tuple[Array, Array]:
    """Lattice columns `expm(S) A` and the symmetric `S` for coefficients `(b, 6)` in float32 inside jit."""
    tensor = jnp.einsum("bc,cij->bij", k, _K_BASIS)
    values, vectors = jnp.linalg.eigh(tensor)
    stretch = jnp.einsum("bij,bj,bkj->bik", vectors, jnp.exp(jnp.clip(values, -8.0, 8.0)), vectors)
    return stretch @ frame, tensor


def _shape_inverse(tensor: Array) -> Array:
    """`expm(-S + tr(S)/3)`: takes Cartesian directions back to the reference frame without changing the scale."""
    values, vectors = jnp.linalg.eigh(tensor)
    values = values - jnp.mean(values, axis=-1, keepdims=True)
    return jnp.einsum("bij,bj,bkj->bik", vectors, jnp.exp(-jnp.clip(values, -4.0, 4.0)), vectors)


def denoise(
    params: dict, options: GeometryOptions, inputs: GeometryInputs, k_state: Array, u: Array, time: Array
) -> tuple[Array, Array]:
    """The network on a noisy crystal.

    Args:
        params: `{"net": ..., "stats": ...}`.
        k_state: `(b, 6)` noisy standardised coefficients.
        u: `(b, m, 3)` noisy free coordinates.
        time: `(b,)` diffusion time in [0, 1].

    Returns:
        v-prediction `(b, 6)` for `k_state` and sigma-scaled score `(b, m, 3)`, Euclidean in the reference frame, both inside the
        subspaces that the operations leave free.
    """
    stats = jax.lax.stop_gradient(params["stats"])
    k = mean_coefficients(stats, inputs) + stats["scale"] * k_state
    lattice, tensor = lattice_matrices(k, inputs.frame)
    rep = inputs.x0 + jnp.einsum("bmij,bmj->bmi", inputs.basis, u)
    of_atom = jnp.take_along_axis(rep, inputs.atom_orbit[..., None], axis=1)
    atom = jnp.einsum("baij,baj->bai", inputs.atom_W, of_atom) + inputs.atom_w
    edges = find_neighbours(
        rep,
        atom,
        lattice=lattice,
        atom_mask=inputs.atom_mask,
        atom_orbit=inputs.atom_orbit,
        home=inputs.home,
        offsets=jnp.asarray(search_offsets(inputs.atom_mask.shape[-1])),
        num=options.num_neighbours,
    )
    output, matrix = make_network(options).apply(
        params["net"],
        inputs.z,
        jnp.asarray(COVALENT_RADII, jnp.float32)[inputs.z],
        _conditions(options, inputs, tensor, k_state, time),
        edges=edges,
        atom_orbit=inputs.atom_orbit,
        atom_rotation=inputs.atom_R,
        orbit_weight=inputs.weight,
        tensor_state=jnp.einsum("bc,cij->bij", k_state, _K_BASIS),
    )
    v = gaussian.project(inputs.k_projector, jnp.einsum("bij,cij->bc", matrix, _K_BASIS))
    score = jnp.einsum("bij,bmj->bmi", _shape_inverse(tensor), output)
    return v, project_free(inputs, score)


def project_free(inputs: GeometryInputs, vector: Array) -> Array:
    """Project Euclidean vectors `(b, m, 3)` onto the directions each orbit is free to move in."""
    euclid = torus_basis(inputs)
    return jnp.einsum("bmij,bmj->bmi", euclid, wrapped.to_coordinates(euclid, vector))


def torus_basis(inputs: GeometryInputs) -> Array:
    """`(b, m, 3, 3)` Euclidean columns of the tori of the free coordinates, in the reference frame."""
    return jnp.einsum("bij,bmjk->bmik", inputs.frame, inputs.basis)


def _conditions(options: GeometryOptions, inputs: GeometryInputs, tensor: Array, k_state: Array, time: Array) -> Array:
    """Scalars `(b, m, c)` that the network may know: time, noise in angstrom, sizes, freedom of the orbit, chemistry."""
    b, m = inputs.z.shape
    atoms = jnp.sum(inputs.atom_mask, axis=-1).astype(jnp.float32)
    edge = jnp.trace(tensor, axis1=-2, axis2=-1) / 3.0
    sigma = schedules.geometric_sigma(time, options.sigma_min, options.sigma_max)
    angles = 2.0 * jnp.pi * time[:, None] * jnp.array([0.25, 0.5, 1.0, 2.0])
    crystal = jnp.stack([time, jnp.log(sigma) + edge, jnp.log(atoms) - 2.5, edge - 1.7, k_state[:, 5]], axis=-1)
    crystal = jnp.concatenate([crystal, jnp.cos(angles), jnp.sin(angles)], axis=-1)
    chemistry = jnp.asarray(element_features())[inputs.z]
    freedom = jax.nn.one_hot(jnp.sum(wrapped.used_directions(inputs.basis), -1).astype(jnp.int32), 4)
    share = jnp.log(jnp.maximum(inputs.weight * atoms[:, None], 1.0))[..., None]
    return jnp.concatenate(
        [jnp.broadcast_to(crystal[:, None], (b, m, crystal.shape[-1])), freedom, share, chemistry], axis=-1
    )


def init_params(key: Array, options: GeometryOptions, inputs: GeometryInputs, stats: Statistics) -> dict:
    """Random network parameters together with the fixed statistics."""
    b, m = inputs.z.shape
    num = options.num_neighbours
    rep = jnp.zeros((b, m, 3))
    edges = find_neighbours(
        rep,
        jnp.zeros((b, inputs.atom_mask.shape[1], 3)),
        lattice=inputs.frame * 4.0,
        atom_mask=inputs.atom_mask,
        atom_orbit=inputs.atom_orbit,
        home=inputs.home,
        offsets=jnp.asarray(search_offsets(inputs.atom_mask.shape[-1])),
        num=num,
    )
    tensor = jnp.zeros((b, 3, 3))
    net = make_network(options).init(
        key,
        inputs.z,
        jnp.ones((b, m)),
        _conditions(options, inputs, tensor, jnp.zeros((b, 6)), jnp.ones((b,))),
        edges=edges,
        atom_orbit=inputs.atom_orbit,
        atom_rotation=inputs.atom_R,
        orbit_weight=inputs.weight,
        tensor_state=tensor,
    )
    return {"net": net, "stats": stats.as_dict()}


def diffusion_loss(
    params: dict, options: GeometryOptions, inputs: GeometryInputs, targets: GeometryTargets, key: Array
) -> tuple[Array, dict[str, Array]]:
    """Denoising loss: v-matching of the lattice and sigma-scaled score matching of the coordinates.

    Each is a mean square error per free dimension, so crystals with much freedom do not drown the others.
    """
    time_key, k_key, u_key = jax.random.split(key, 3)
    b = inputs.z.shape[0]
    # stratified times lower the variance of the loss
    time = jnp.mod(jax.random.uniform(time_key) + jnp.arange(b) / b, 1.0)
    stats = jax.lax.stop_gradient(params["stats"])
    clean = gaussian.project(inputs.k_projector, (targets.k - mean_coefficients(stats, inputs)) / stats["scale"])
    alpha, spread = schedules.cosine_alpha_sigma(time, options.lattice_power)
    k_state, v_target = gaussian.perturb(
        clean, gaussian.noise(k_key, inputs.k_projector), alpha[:, None], spread[:, None]
    )
    sigma = schedules.geometric_sigma(time, options.sigma_min, options.sigma_max)[:, None]
    euclid = torus_basis(inputs)
    delta = sigma[..., None] * wrapped.noise(u_key, euclid)
    score_target = wrapped.scaled_score(euclid, delta, jnp.broadcast_to(sigma, inputs.z.shape))
    v, score = denoise(params, options, inputs, k_state, jnp.mod(targets.u + delta, 1.0), time)
    k_free = jnp.trace(inputs.k_projector, axis1=-2, axis2=-1)
    k_loss = jnp.mean(jnp.sum((v - v_target) ** 2, -1) / jnp.maximum(k_free, 1.0))
    freedom = jnp.sum(wrapped.used_directions(inputs.basis), -1) * inputs.orbit_mask
    wrong = jnp.sum((score - score_target) ** 2, -1) * inputs.orbit_mask
    per_crystal = jnp.sum(wrong, -1) / jnp.maximum(jnp.sum(freedom, -1), 1.0)
    has_freedom = jnp.sum(freedom, -1) > 0
    x_loss = jnp.sum(per_crystal * has_freedom) / jnp.maximum(jnp.sum(has_freedom), 1)
    losses = {"lattice": k_loss, "coordinates": x_loss}
    return weighted_sum(losses, {"lattice": options.lattice_weight, "coordinates": 1.0}), losses


class GeometryTask:
    """What the training loop needs (see `symjax.train.interface`)."""

    name = "symop_geometry"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.geometry)
        self._batch_size = int(config.train.batch_size)
        self._train = self._make(train, "training")
        self._val = self._make(val, "validation") if val is not None else []
        if not self._train:
            raise DataError(f"no training crystal fits the largest bucket {self.options.buckets[-1]} (orbits, atoms)")
        self._stats = fit_statistics([b.arrays[0] for b in self._train], [b.arrays[1] for b in self._train])

    def _make(self, dataset: CrystalDataset, role: str) -> list[Bucket]:
        types, x = types_from_dataset(dataset)
        buckets = self.options.buckets
        which = assign_buckets(types.orbit_mask.sum(1), types.num_atoms(), buckets)
        if (which < 0).any():
            named = ", ".join(str(dataset.ids[i]) for i in np.nonzero(which < 0)[0][:5])
            _log.warning(
                "%d of %d %s crystals are larger than the largest bucket %s (orbits, atoms) and left out: %s ...",
                (which < 0).sum(),
                len(which),
                role,
                buckets[-1],
                named,
            )
        made = []
        for i, (num_orbits, num_atoms) in enumerate(buckets):
            rows = np.nonzero(which == i)[0]
            if not len(rows):
                continue
            part: StructureTypes = types.take(rows, num_orbits)
            inputs = build_inputs(part, num_atoms)
            width = min(num_orbits, x.shape[1])
            padded = np.zeros((len(rows), num_orbits, 3))
            padded[:, :width] = x[rows, :width]
            k = np.asarray(dataset.k)[rows].astype(np.float32)
            targets = GeometryTargets(k=k, u=free_coordinates(inputs, padded))
            size = max(1, min(self._batch_size, len(rows)))
            made.append(Bucket(arrays=(inputs, targets), weight=len(rows) / len(types.z), batch_size=size))
        return made

    def buckets(self) -> list[Bucket]:
        """Training examples by padded size."""
        return self._train

    def validation(self) -> list[Bucket]:
        """Held-out examples by padded size."""
        return self._val

    def init(self, key: Array, example_batch: Any) -> dict:
        """Fresh network parameters and the statistics of the training set."""
        return init_params(key, self.options, example_batch[0], self._stats)

    def loss(self, params: dict, batch: Any, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """See `diffusion_loss`."""
        del train
        return diffusion_loss(params, self.options, batch[0], batch[1], key)


def final_lattice(stats: dict[str, Array], inputs: GeometryInputs, k_state: Array, projector: np.ndarray) -> np.ndarray:
    """Coefficients `(b, 6)` in float64, projected once more so that rounding leaves no forbidden component.

    Args:
        projector: `(b, 6, 6)` float64, as in the set table.
    """
    k = np.asarray(mean_coefficients(stats, inputs), np.float64) + np.asarray(stats["scale"], np.float64) * np.asarray(
        k_state
    )
    return np.einsum("bij,bj->bi", projector, k)


__all__ = ["GeometryOptions", "GeometryTask", "denoise", "diffusion_loss", "init_params", "options_from_config"]
