"""Arrays that the lattice-and-coordinates stage reads, built on the host from structure types (numpy only).

Everything that the operations dictate is expanded here once: the projector of the lattice coefficients, the torus of each
orbit's free coordinates and the list of atoms as symmetry images of the representatives.
"""

import itertools

import flax.struct
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.structure_types import StructureTypes
from symjax.errors import InputError
from symjax.lattice import FRAMES


@flax.struct.dataclass
class GeometryInputs:
    """What is known before lattice and coordinates are drawn, of one crystal (m orbits, a atoms; batches lead).

    Padding: orbits have z 0 and an all-zero basis, atoms repeat the identity image of orbit 0.
    """

    frame: jnp.ndarray  # (3, 3) columns of the reference frame
    k_projector: jnp.ndarray  # (6, 6) onto the coefficients that the operations leave free
    z: jnp.ndarray  # (m,) int32
    orbit_mask: jnp.ndarray  # (m,) bool
    weight: jnp.ndarray  # (m,) share of the orbit in the atoms of the cell
    x0: jnp.ndarray  # (m, 3) fractional
    basis: jnp.ndarray  # (m, 3, 3) integer columns: x = x0 + basis u
    home: jnp.ndarray  # (m,) int32 index of the representative among the atoms
    atom_mask: jnp.ndarray  # (a,) bool
    atom_orbit: jnp.ndarray  # (a,) int32
    atom_W: jnp.ndarray  # (a, 3, 3) float32 rotation in the lattice basis
    atom_w: jnp.ndarray  # (a, 3) float32 fractional translation
    atom_R: jnp.ndarray  # (a, 3, 3) float32 rotation, Cartesian


@flax.struct.dataclass
class GeometryTargets:
    """Known geometry: `k (6,)` log-lattice coefficients, `u (m, 3)` free coordinates modulo one."""

    k: jnp.ndarray
    u: jnp.ndarray


def build_inputs(types: StructureTypes, num_atoms: int) -> GeometryInputs:
    """Expand structure types to padded arrays with `num_atoms` atoms.

    Raises:
        InputError: a cell holds more atoms than the bucket.
    """
    sets, index, mask = types.sets, types.set_index, types.orbit_mask
    b = len(types.z)
    total = types.num_atoms()
    if b and total.max() > num_atoms:
        raise InputError(
            f"row {int(total.argmax())}: {int(total.max())} atoms do not fit the bucket of {num_atoms} atoms"
        )
    # atoms: the images of each orbit's representative, one after the other
    frame = FRAMES[np.asarray(sets.frame)[index]]
    images = np.asarray(sets.pos_images)[index[:, None], types.pos]
    row, orbit, slot = np.nonzero(mask[:, :, None] & (images >= 0))
    op = images[row, orbit, slot]
    first = np.concatenate([[0], np.cumsum(total)])[:-1]
    place = np.arange(len(row)) - first[row]
    rotation = np.tile(np.eye(3), (b, num_atoms, 1, 1))
    translation = np.zeros((b, num_atoms, 3))
    atom_orbit = np.zeros((b, num_atoms), np.int32)
    atom_mask = np.zeros((b, num_atoms), bool)
    rotation[row, place] = np.asarray(sets.W)[index[row], op]
    translation[row, place] = np.asarray(sets.w)[index[row], op] / 24.0
    atom_orbit[row, place] = orbit
    atom_mask[row, place] = True
    # orbits: their first atom, and the flat that the representative lies on
    mult = np.where(mask, np.asarray(sets.pos_mult)[index[:, None], types.pos], 0)
    home = np.where(mask, np.cumsum(mult, 1) - mult, 0)
    cartesian = frame[:, None] @ rotation @ np.linalg.inv(frame)[:, None]
    basis = np.where(mask[..., None, None], np.asarray(sets.pos_basis)[index[:, None], types.pos], 0.0)
    x0 = np.where(mask[..., None], np.asarray(sets.pos_x0)[index[:, None], types.pos], 0.0)
    f32 = np.float32
    return GeometryInputs(
        frame=frame.astype(f32),
        k_projector=np.asarray(sets.k_projector)[index].astype(f32),
        z=types.z.astype(np.int32),
        orbit_mask=mask,
        weight=(mult / np.maximum(total, 1)[:, None]).astype(f32),
        x0=x0.astype(f32),
        basis=basis.astype(f32),
        home=home.astype(np.int32),
        atom_mask=atom_mask,
        atom_orbit=atom_orbit,
        atom_W=rotation.astype(f32),
        atom_w=translation.astype(f32),
        atom_R=cartesian.astype(f32),
    )


def free_coordinates(inputs: GeometryInputs, x: np.ndarray) -> np.ndarray:
    """`u (b, m, 3)` in [0, 1) with `x0 + basis u = x` for representatives on their flat."""
    basis = np.asarray(inputs.basis, np.float64)
    u = np.einsum("bmij,bmj->bmi", np.linalg.pinv(basis), x - np.asarray(inputs.x0, np.float64))
    used = (np.abs(basis).sum(-2) > 0).astype(np.float64)
    return (np.mod(u, 1.0) * used).astype(np.float32)


def torus_basis(inputs: GeometryInputs) -> Array:
    """`(b, m, 3, 3)` Euclidean columns of the tori of the free coordinates, in the reference frame."""
    return jnp.einsum("bij,bmjk->bmik", inputs.frame, inputs.basis)


def search_offsets(num_atoms: int) -> np.ndarray:
    """Integer cells searched around the nearest image, `(o, 3)`, (0, 0, 0) first; wider for small cells."""
    reach = 2 if num_atoms <= 8 else 1
    cells = sorted(itertools.product(range(-reach, reach + 1), repeat=3), key=lambda c: (sum(abs(i) for i in c), c))
    return np.array(cells, np.int32)
