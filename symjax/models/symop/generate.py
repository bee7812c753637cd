"""From nothing to crystals: species, operations, sites, then lattice and coordinates; the flagship's sampling interface.

Imports none of pymatgen, spglib and pyxtal: groups are read off afterwards, by whoever wants a label.
"""

import dataclasses
import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.lattice import lattice_from_log
from symjax.models.symop.constraints import Constraints
from symjax.models.symop.geometry import options_from_config
from symjax.models.symop.geometry_inputs import StructureTypes
from symjax.models.symop.geometry_sample import SamplerOptions, sample_geometry
from symjax.models.symop.operations import sample_structure_types
from symjax.nn.elements import COVALENT_RADII, SYMBOLS
from symjax.train.weights import load_params


@dataclasses.dataclass(frozen=True)
class SymopWeights:
    """Parameters and configs of the two trained parts."""

    operations: Any
    operations_config: Any
    geometry: Any
    geometry_config: Any


def shipped_weights() -> Path:
    """Folder of the weights that travel with the package."""
    return Path(str(importlib.resources.files("symjax") / "weights" / "symop"))


def load_weights(folder: str | Path | None = None) -> SymopWeights:
    """Read `folder/operations` and `folder/geometry` (default: the shipped weights).

    Raises:
        WeightsError: a part is missing or not of symop.
    """
    root = Path(folder) if folder is not None else shipped_weights()
    operations, operations_config = load_params(root / "operations")
    geometry, geometry_config = load_params(root / "geometry")
    return SymopWeights(operations, operations_config, geometry, geometry_config)


@dataclasses.dataclass(frozen=True)
class Generated:
    """Generated crystals.

    `dataset` holds them as a data set of the package (so that everything that reads prepared data reads samples), with the
    properties `log_bound` (lower bound of the log-likelihood of the operations, nats), `min_ratio` (smallest interatomic distance
    over the sum of covalent radii) and `draws` (how often the geometry was drawn).
    """

    dataset: CrystalDataset

    @property
    def lattice(self) -> np.ndarray:
        """`(b, 3, 3)` rows a, b, c in angstrom."""
        frame = np.asarray(self.dataset.sets.frame)[self.dataset.set_index]
        return np.stack([lattice_from_log(k, int(f)) for k, f in zip(self.dataset.k, frame, strict=True)])


def generate(
    weights: SymopWeights,
    num: int,
    *,
    seed: int = 0,
    constraints: Constraints | None = None,
    sampler: SamplerOptions | None = None,
    min_ratio: float = 0.0,
    max_draws: int = 4,
    batch_size: int = 128,
    progress: Callable[[str, int], object] | None = None,
) -> Generated:
    """Generate crystals whose symmetry nobody asked for (or, with constraints, was asked for by operations).

    Args:
        weights: from `load_weights`.
        num: number of crystals, at least 1.
        seed: equal seeds, weights and arguments give equal crystals on one kind of device.
        constraints: what is asked of species and operations; None for nothing.
        sampler: reverse diffusion options.
        min_ratio: lattice and coordinates are redrawn (the structure type is kept) while two atoms sit closer than this share of the
            sum of their covalent radii, up to `max_draws` draws; the best draw is kept. 0 keeps every first draw (raw rates).
        progress: called with a stage name and a number of crystals finished.

    Raises:
        InputError: `num` is not positive, or the constraints cannot be met (the message says why).
    """
    if num < 1:
        raise InputError(f"number of crystals must be at least 1, got {num}")
    sampler = sampler or SamplerOptions()
    options = options_from_config(weights.geometry_config["model"]["geometry"])
    type_key, geometry_key = jax.random.split(jax.random.key(seed))
    drawn = sample_structure_types(
        weights.operations, weights.operations_config, type_key, num,
        constraints=constraints, max_orbits=options.buckets[-1][0], max_atoms=options.buckets[-1][1],
        progress=None if progress is None else (lambda done: progress("operations and sites", done)),
    )  # fmt: skip
    z = np.where(np.asarray(drawn.orbit_mask), np.asarray(drawn.z), 0)
    types = StructureTypes(drawn.sets, np.asarray(drawn.set_index), z, np.asarray(drawn.pos))
    rows, draws = np.arange(num), np.zeros(num, int)
    k, x, best = np.zeros((num, 6)), np.zeros(z.shape + (3,)), np.full(num, -1.0)
    for attempt in range(max_draws if min_ratio > 0 else 1):
        part = types.take(rows)
        new_k, new_x = sample_geometry(
            weights.geometry, options, jax.random.fold_in(geometry_key, attempt), part,
            sampler=sampler, batch_size=batch_size if attempt == 0 else min(batch_size, 32),
            progress=None if progress is None or attempt else (lambda done: progress("lattice and coordinates", done)),
        )  # fmt: skip
        draws[rows] += 1
        ratio = closest_ratios(part, new_k, new_x)
        better = ratio > best[rows]
        chosen = rows[better]
        k[chosen], x[chosen], best[chosen] = new_k[better], new_x[better], ratio[better]
        rows = np.nonzero(best < min_ratio)[0]
        if not len(rows):
            break
    properties = {"log_bound": np.asarray(drawn.log_bound, float), "min_ratio": best, "draws": draws.astype(float)}
    return Generated(dataset_from_types(types, k, x, properties=properties, meta={"model": "symop", "seed": seed}))


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
    cells = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for i, index in enumerate(types.set_index):
        mask = types.orbit_mask[i]
        lattice = np.asarray(lattice_from_log(k[i], int(sets.frame[index])))
        atoms, radii = [], []
        for z, pos, point in zip(types.z[i][mask], types.pos[i][mask], x[i][mask], strict=True):
            ops = sets.pos_images[index, pos]
            ops = ops[ops >= 0]
            atoms.append(point @ np.swapaxes(sets.W[index, ops], -1, -2) + sets.w[index, ops] / 24.0)
            radii.append(np.full(len(ops), COVALENT_RADII[z]))
        every, radius = np.concatenate(atoms), np.concatenate(radii)
        first = np.cumsum([0] + [len(a) for a in atoms[:-1]])
        diff = every[None] - every[first][:, None]
        diff -= np.round(diff)
        distance = np.linalg.norm((diff[:, :, None] + cells) @ lattice, axis=-1)
        distance[np.arange(len(first)), first, len(cells) // 2] = np.inf
        result[i] = (distance.min(-1) / (radius[first][:, None] + radius)).min()
    return result
