"""From nothing to crystals: species, operations, sites, then lattice and coordinates; the flagship's sampling interface.

Imports none of pymatgen, spglib and pyxtal: groups are read off afterwards, by whoever wants a label.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes, closest_ratios, dataset_from_types
from symjax.errors import InputError
from symjax.generate.constraints import Constraints
from symjax.lattice import lattice_from_log
from symjax.models.symop.geometry.sample import SamplerOptions, Start, sample_geometry
from symjax.models.symop.geometry.task import GeometryOptions, options_from_config
from symjax.models.symop.task import sample_structure_types
from symjax.models.symop.weights import SymopWeights


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
        min_ratio: lattice and coordinates are redrawn (the structure type is kept) while two atoms sit closer than this
            share of the sum of their covalent radii, up to `max_draws` draws; the best draw is kept. 0 keeps every
            first draw (raw rates).
        progress: called with a stage name and a number of crystals finished.

    Raises:
        InputError: `num` is not positive, or the constraints cannot be met (the message says why).
    """
    if num < 1:
        raise InputError(f"number of crystals must be at least 1, got {num}")
    sampler = sampler or SamplerOptions()
    options = geometry_options(weights)
    type_key, geometry_key = jax.random.split(jax.random.key(seed))
    drawn = sample_structure_types(
        weights.operations,
        weights.operations_config,
        type_key,
        num,
        constraints=constraints,
        max_orbits=options.buckets[-1][0],
        max_atoms=options.buckets[-1][1],
        progress=None if progress is None else (lambda done: progress("operations and sites", done)),
    )
    z = np.where(np.asarray(drawn.orbit_mask), np.asarray(drawn.z), 0)
    types = StructureTypes(drawn.sets, np.asarray(drawn.set_index), z, np.asarray(drawn.pos))
    k, x, best, draws = draw_geometry(
        weights,
        types,
        geometry_key,
        sampler=sampler,
        min_ratio=min_ratio,
        max_draws=max_draws,
        batch_size=batch_size,
        progress=progress,
    )
    properties = {"log_bound": np.asarray(drawn.log_bound, float), "min_ratio": best, "draws": draws.astype(float)}
    return Generated(dataset_from_types(types, k, x, properties=properties, meta={"model": "symop", "seed": seed}))


def geometry_options(weights: SymopWeights) -> GeometryOptions:
    """Options that the geometry network was trained with."""
    return options_from_config(weights.geometry_config["model"]["geometry"])


def draw_geometry(
    weights: SymopWeights,
    types: StructureTypes,
    key: jax.Array,
    *,
    sampler: SamplerOptions,
    min_ratio: float,
    max_draws: int,
    batch_size: int,
    start: Start | None = None,
    progress: Callable[[str, int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lattice and coordinates of structure types, drawn again while atoms sit too close; arguments as `generate`.

    Args:
        start: a geometry to start from instead of noise.

    Returns:
        k (b, 6), x (b, m, 3), the smallest ratio of a distance to covalent radii (b,) and the number of draws (b,).
    """
    num, options = len(types.z), geometry_options(weights)
    rows, draws = np.arange(num), np.zeros(num, int)
    k, x, best = np.zeros((num, 6)), np.zeros((*types.z.shape, 3)), np.full(num, -1.0)
    for attempt in range(max_draws if min_ratio > 0 else 1):
        part = types.take(rows)
        new_k, new_x = sample_geometry(
            weights.geometry,
            options,
            jax.random.fold_in(key, attempt),
            part,
            sampler=sampler,
            batch_size=batch_size if attempt == 0 else min(batch_size, 32),
            start=None if start is None else start.take(rows),
            progress=None if progress is None or attempt else (lambda done: progress("lattice and coordinates", done)),
        )
        draws[rows] += 1
        ratio = closest_ratios(part, new_k, new_x)
        better = ratio > best[rows]
        chosen = rows[better]
        k[chosen], x[chosen], best[chosen] = new_k[better], new_x[better], ratio[better]
        rows = np.nonzero(best < min_ratio)[0]
        if not len(rows):
            break
    return k, x, best, draws
