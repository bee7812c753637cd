"""Stage 3 of symop: training of the joint diffusion of lattice and coordinates on what the operations leave free.

The network is in `network`, the noise in `process`.
"""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.buckets import assign_buckets
from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, types_from_dataset
from symjax.diffusion import wrapped
from symjax.diffusion.process import perturb
from symjax.elements import NUM_ELEMENTS
from symjax.errors import DataError
from symjax.models.symop.geometry.inputs import GeometryInputs, GeometryTargets, build_inputs, free_coordinates
from symjax.models.symop.geometry.network import (
    GeometryOptions,
    Statistics,
    atomic_fractions,
    denoise,
    init_params,
    options_from_config,
    standardised,
)
from symjax.models.symop.geometry.process import levels_at, processes
from symjax.train.interface import Bucket, BucketedTask, weighted_sum

_log = logging.getLogger(__name__)


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
    clean = {"k": standardised(stats, inputs, targets.k), "u": targets.u}
    noisy, wanted = perturb(processes(inputs), {"k": k_key, "u": u_key}, clean, levels_at(options, time))
    v, score = denoise(params, options, inputs, noisy["k"], noisy["u"], time)
    k_free = jnp.trace(inputs.k_projector, axis1=-2, axis2=-1)
    k_loss = jnp.mean(jnp.sum((v - wanted["k"]) ** 2, -1) / jnp.maximum(k_free, 1.0))
    freedom = jnp.sum(wrapped.used_directions(inputs.basis), -1) * inputs.orbit_mask
    wrong = jnp.sum((score - wanted["u"]) ** 2, -1) * inputs.orbit_mask
    per_crystal = jnp.sum(wrong, -1) / jnp.maximum(jnp.sum(freedom, -1), 1.0)
    has_freedom = jnp.sum(freedom, -1) > 0
    x_loss = jnp.sum(per_crystal * has_freedom) / jnp.maximum(jnp.sum(has_freedom), 1)
    losses = {"lattice": k_loss, "coordinates": x_loss}
    return weighted_sum(losses, {"lattice": options.lattice_weight, "coordinates": 1.0}), losses


class GeometryTask(BucketedTask):
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
        which = assign_buckets(np.stack([types.orbit_mask.sum(1), types.num_atoms()], axis=1), buckets)
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

    def init(self, key: Array, example_batch: Any) -> dict:
        """Fresh network parameters and the statistics of the training set."""
        return init_params(key, self.options, example_batch[0], self._stats)

    def loss(self, params: dict, batch: Any, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """See `diffusion_loss`."""
        del train
        return diffusion_loss(params, self.options, batch[0], batch[1], key)


__all__ = ["GeometryOptions", "GeometryTask", "diffusion_loss", "fit_statistics", "options_from_config"]
