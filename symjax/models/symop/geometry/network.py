"""The denoiser of lattice and coordinates: options, what a crystal's mean is, and the network on a noisy crystal.

State: standardised log-lattice coefficients `k` in the image of the set's projector, and free coordinates `u` of each
representative on the torus of the subspace its stabilizer fixes. Both are clean of any component the operations forbid, at every
noise level, so each intermediate state is a crystal with at least the given operations.

The volume is not left to diffusion alone: a ridge regression of the volume per atom on composition sets the mean of `k[5]`, and
the residual diffuses (volumes that a trial network predicted were no better than that regression).
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import gaussian, schedules, wrapped
from symjax.elements import COVALENT_RADII, NUM_ELEMENTS, element_features
from symjax.lattice import K_BASIS
from symjax.models.symop.geometry.inputs import GeometryInputs, search_offsets, torus_basis
from symjax.nn.orbit_net import Neighbours, OrbitNet, find_neighbours
from symjax.options import options_of

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
    """The message-passing network of these sizes."""
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
        """As they travel in the parameters."""
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


_mean_coefficients = jax.jit(mean_coefficients)  # one program on the host's way instead of fifteen


def standardised(stats: dict[str, Array], inputs: GeometryInputs, k: Any) -> Array:
    """The state `(b, 6)` of known coefficients: deviations from the mean in units of their scales, projected."""
    return gaussian.project(inputs.k_projector, (k - mean_coefficients(stats, inputs)) / stats["scale"])


def final_lattice(stats: dict[str, Array], inputs: GeometryInputs, k_state: Array, projector: np.ndarray) -> np.ndarray:
    """Coefficients `(b, 6)` in float64, projected once more so that rounding leaves no forbidden component.

    Args:
        projector: `(b, 6, 6)` float64, as in the set table.
    """
    mean = np.asarray(_mean_coefficients(stats, inputs), np.float64)
    k = mean + np.asarray(stats["scale"], np.float64) * np.asarray(k_state)
    return np.einsum("bij,bj->bi", projector, k)


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
    # the noisy crystal: lattice, representatives, and their symmetry images
    stats = jax.lax.stop_gradient(params["stats"])
    k = mean_coefficients(stats, inputs) + stats["scale"] * k_state
    lattice, tensor = lattice_matrices(k, inputs.frame)
    rep = inputs.x0 + jnp.einsum("bmij,bmj->bmi", inputs.basis, u)
    of_atom = jnp.take_along_axis(rep, inputs.atom_orbit[..., None], axis=1)
    atom = jnp.einsum("baij,baj->bai", inputs.atom_W, of_atom) + inputs.atom_w
    # messages between representatives, through the nearest images
    edges = _neighbours(options, inputs, rep, atom, lattice)
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
    # only what the operations leave free
    v = gaussian.project(inputs.k_projector, jnp.einsum("bij,cij->bc", matrix, _K_BASIS))
    score = jnp.einsum("bij,bmj->bmi", _shape_inverse(tensor), output)
    return v, project_free(inputs, score)


def project_free(inputs: GeometryInputs, vector: Array) -> Array:
    """Project Euclidean vectors `(b, m, 3)` onto the directions each orbit is free to move in."""
    euclid = torus_basis(inputs)
    return jnp.einsum("bmij,bmj->bmi", euclid, wrapped.to_coordinates(euclid, vector))


def _neighbours(
    options: GeometryOptions, inputs: GeometryInputs, rep: Array, atom: Array, lattice: Array
) -> Neighbours:
    """Nearest images of the representatives."""
    return find_neighbours(
        rep,
        atom,
        lattice=lattice,
        atom_mask=inputs.atom_mask,
        atom_orbit=inputs.atom_orbit,
        home=inputs.home,
        offsets=jnp.asarray(search_offsets(inputs.atom_mask.shape[-1])),
        num=options.num_neighbours,
    )


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
    atom = jnp.zeros((b, inputs.atom_mask.shape[1], 3))
    edges = _neighbours(options, inputs, jnp.zeros((b, m, 3)), atom, inputs.frame * 4.0)
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
