"""Structure types: what a crystal is before it has a lattice and coordinates (numpy only).

A structure type is an operation set with, per orbit, an element and a Wyckoff position (stabilizer class).  The discrete
stages draw it, the last stage gives it a geometry, and here it turns into a data set and back.
"""

import dataclasses
from typing import Any

import numpy as np

from symjax.crystals.distances import shortest_images
from symjax.data.dataset import CrystalDataset
from symjax.elements import COVALENT_RADII, SYMBOLS
from symjax.lattice import lattice_from_log
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
        mult = np.asarray(self.sets.pos_mult)[self.set_index[:, None], self.pos]
        return np.where(self.orbit_mask, mult, 0).sum(1)

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


def closest_ratios(types: StructureTypes, k: np.ndarray, x: np.ndarray) -> np.ndarray:
    """`(b,)` smallest distance over the sum of covalent radii, over all pairs and periodic images (self images too)."""
    sets, result = types.sets, np.zeros(len(k))
    for i, index in enumerate(types.set_index):
        mask = types.orbit_mask[i]
        atoms, radii = [], []
        for z, pos, point in zip(types.z[i][mask], types.pos[i][mask], x[i][mask], strict=True):
            ops = sets.pos_images[index, pos]
            ops = ops[ops >= 0]
            atoms.append(point @ np.swapaxes(sets.W[index, ops], -1, -2) + sets.w[index, ops] / 24.0)
            radii.append(np.full(len(ops), COVALENT_RADII[z]))
        radius = np.concatenate(radii)
        first = np.cumsum([0] + [len(a) for a in atoms[:-1]])
        sums = radius[first][:, None] + radius
        lattice = np.asarray(lattice_from_log(k[i], int(sets.frame[index])))
        result[i] = (shortest_images(lattice, np.concatenate(atoms), first, sums) / sums).min()
    return result
