"""Structure types: what a crystal is before it has a lattice and coordinates (numpy only).

A structure type is an operation set with, per orbit, an element and a Wyckoff position (stabilizer class).  The discrete
stages draw it, the last stage gives it a geometry, and here it turns into a data set and back.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from symjax.crystals.distances import shortest_images
from symjax.crystals.types import AtomicStructure
from symjax.data.dataset import CrystalDataset
from symjax.elements import COVALENT_RADII, SYMBOLS
from symjax.lattice import lattice_from_log
from symjax.ops.types import DEN
from symjax.wyckoff.set_table import SetTable


@dataclasses.dataclass(frozen=True)
class StructureTypes:
    """`b` structure types: sets plus indices, host arrays padded to m orbits."""

    sets: SetTable
    set_index: np.ndarray  # (b,)
    z: np.ndarray  # (b, m), 0 = padding
    pos: np.ndarray  # (b, m) index into the set's positions

    @property
    def orbit_mask(self) -> np.ndarray:
        """`(b, m)` True for real orbits."""
        return self.z > 0

    def num_atoms(self) -> np.ndarray:
        """`(b,)` atoms of the conventional cell."""
        return self.multiplicity.sum(1)

    @property
    def multiplicity(self) -> np.ndarray:
        """`(b, m)` atoms of each orbit in the conventional cell, 0 for padding."""
        mult = np.asarray(self.sets.pos_mult)[self.set_index[:, None], self.pos]
        return np.where(self.orbit_mask, mult, 0)

    def take(self, index: np.ndarray, num_orbits: int | None = None) -> "StructureTypes":
        """Rows `index`, cut or padded to `num_orbits`."""
        z, pos = self.z[index], self.pos[index]
        if num_orbits is not None:
            pad = max(0, num_orbits - z.shape[1])
            z = np.pad(z, ((0, 0), (0, pad)))[:, :num_orbits]
            pos = np.pad(pos, ((0, 0), (0, pad)))[:, :num_orbits]
        return StructureTypes(self.sets, self.set_index[index], z, pos)


def types_from_dataset(dataset: CrystalDataset) -> tuple[StructureTypes, np.ndarray]:
    """Structure types of a prepared data set and their representatives' coordinates `(c, m, 3)`."""
    start = np.asarray(dataset.orbit_start)
    count = np.diff(start)
    width = int(count.max()) if len(count) else 1
    slot = np.arange(width)[None, :]
    mask = slot < count[:, None]
    index = np.where(mask, start[:-1, None] + slot, 0)
    z = np.where(mask, np.asarray(dataset.orbit_z)[index], 0).astype(np.int32)
    pos = np.where(mask, np.asarray(dataset.orbit_pos)[index], 0).astype(np.int32)
    x = np.where(mask[..., None], np.asarray(dataset.orbit_x)[index], 0.0)
    return StructureTypes(dataset.sets, np.asarray(dataset.set_index), z, pos), x


def dataset_from_types(
    types: StructureTypes, k: np.ndarray, x: np.ndarray, *, properties: dict[str, np.ndarray], meta: dict[str, Any]
) -> CrystalDataset:
    """A `CrystalDataset` of structure types with geometry; reduced formulas are made from the elements and multiplicities."""
    mask = types.orbit_mask
    mult = np.asarray(types.sets.pos_mult)[types.set_index[:, None], types.pos]
    num = len(mask)
    return CrystalDataset(
        sets=types.sets,
        set_index=types.set_index.astype(np.int32),
        k=k,
        orbit_start=np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64),
        orbit_z=types.z[mask].astype(np.int16),
        orbit_pos=types.pos[mask].astype(np.int16),
        orbit_x=x[mask],
        ids=np.array([f"symop-{i:05d}" for i in range(num)]),
        formula=np.array([reduced_formula(types.z[i][mask[i]], mult[i][mask[i]]) for i in range(num)]),
        row=np.arange(num, dtype=np.int64),
        properties=properties,
        meta=meta,
    )


def reduced_formula(z: np.ndarray, multiplicity: np.ndarray) -> str:
    """Formula with the smallest integers, elements by rising atomic number."""
    counts = {int(e): int(multiplicity[z == e].sum()) for e in np.unique(z)}
    divisor = int(np.gcd.reduce(list(counts.values())))
    return "".join(f"{SYMBOLS[e]}{c // divisor if c > divisor else ''}" for e, c in counts.items())


def atoms_of(types: StructureTypes, row: int, k: np.ndarray, x: np.ndarray) -> AtomicStructure:
    """All atoms of the conventional cell of one structure type with geometry, orbit after orbit.

    Args:
        types: structure types.
        row: which one.
        k: (6,) log-lattice coefficients.
        x: (m, 3) representatives on their flats.
    """
    sets, index = types.sets, int(types.set_index[row])
    own, mask = np.asarray(sets.mask)[index], types.orbit_mask[row]
    W, w = np.asarray(sets.W)[index], np.asarray(sets.w)[index]
    orbit, column = np.nonzero(np.asarray(sets.pos_images)[index, types.pos[row][mask]] >= 0)
    ops = np.asarray(sets.pos_images)[index, types.pos[row][mask]][orbit, column]
    points = np.einsum("aij,aj->ai", W[ops], x[mask][orbit]) + w[ops] / DEN
    lattice = np.asarray(lattice_from_log(k, int(np.asarray(sets.frame)[index])))
    return AtomicStructure(L=lattice, z=types.z[row][mask][orbit], x=points, orbit=orbit, W=W[own], w=w[own])


def closest_ratios(types: StructureTypes, k: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`(b,)` smallest distance over the sum of covalent radii, over all pairs and periodic images (self images too)."""
    radii = lambda atoms: COVALENT_RADII[atoms.z]
    return np.array([_closest(atoms_of(types, row, k[row], x[row]), radii) for row in range(len(k))])


def shortest_distances(types: StructureTypes, k: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`(b,)` smallest distance in angstrom, as `closest_ratios`."""
    half = lambda atoms: np.full(len(atoms.z), 0.5)
    return np.array([_closest(atoms_of(types, row, k[row], x[row]), half) for row in range(len(k))])


def _closest(atoms: AtomicStructure, sizes: Callable[[AtomicStructure], np.ndarray]) -> float:
    """Smallest distance of two atoms over the sum of their sizes; one atom an orbit sees all others."""
    size, first = sizes(atoms), atoms.representatives
    sums = size[first][:, None] + size
    return float((shortest_images(atoms.L, atoms.x, first, sums) / sums).min())
