"""The third stage as a realiser: lattice and coordinates for structure types of any origin, by the learned diffusion.

Owns `draw_geometry` and `Diffusion` (see `symjax.generate.system.Realiser`). The network is conditioned on operations, elements and
positions only, so it serves every system that draws these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes, closest_ratios
from symjax.diffusion.rng import row_keys
from symjax.generate.system import Progress, Realised
from symjax.models.symop.geometry.network import GeometryOptions, options_from_config
from symjax.models.symop.geometry.sample import GeometrySampling, Start, sample_geometry


class GeometryWeights(NamedTuple):
    """Parameters (`{"net", "stats"}`) and configuration of the stage."""

    params: Any
    config: Any

    @property
    def options(self) -> GeometryOptions:
        """Options that the network was trained with."""
        return options_from_config(self.config["model"]["geometry"])

    @property
    def known_elements(self) -> np.ndarray:
        """(NUM_ELEMENTS,) bool elements of the training data.

        The ridge regression of volumes leaves every element without a crystal exactly at the mean, as it leaves number 0.
        """
        volume = np.asarray(self.params["stats"]["volume"])
        return volume != volume[0]


def draw_geometry(
    weights: GeometryWeights,
    types: StructureTypes,
    key: jax.Array,
    *,
    sampler: GeometrySampling,
    min_ratio: float,
    max_draws: int,
    batch_size: int,
    start: Start | None = None,
    progress: Callable[[int], object] | None = None,
    shapes: set[tuple[int, int]] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lattice and coordinates of structure types, drawn again while atoms sit too close.

    Args:
        weights: of this stage.
        types: `b` structure types that fit the largest bucket.
        key: consumed; each crystal has its own numbers, by its row.
        sampler: reverse diffusion options.
        min_ratio: drawn again while two atoms sit closer than this share of the sum of their covalent radii, up to `max_draws`
            draws; the best draw is kept. 0 keeps every first draw (raw rates).
        max_draws: see there.
        batch_size: crystals at a time.
        start: a geometry to start from instead of noise.
        progress: called with the number of crystals finished.
        shapes: what is compiled already, kept from call to call; None for a new one.

    Returns:
        k (b, 6), x (b, m, 3), the smallest ratio of a distance to covalent radii (b,) and the number of draws (b,).

    Raises:
        InputError: a structure type is larger than the largest bucket.
    """
    num, options = len(types.z), weights.options
    shapes = set() if shapes is None else shapes
    rows, draws = np.arange(num), np.zeros(num, int)
    k, x, best = np.zeros((num, 6)), np.zeros((*types.z.shape, 3)), np.full(num, -1.0)
    for attempt in range(max_draws if min_ratio > 0 else 1):
        part = types.take(rows)
        new_k, new_x = sample_geometry(
            weights.params,
            options,
            row_keys(jax.random.fold_in(key, attempt), rows),
            part,
            sampler=sampler,
            batch_size=batch_size if attempt == 0 else min(batch_size, 32),
            start=None if start is None else start.take(rows),
            progress=None if attempt else progress,
            shapes=shapes,
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


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """Diffusion of lattice and coordinates, given operations, elements and positions.

    Attributes:
        weights: of the stage.
        sampler: reverse diffusion options.
        min_ratio, max_draws: drawn again while atoms sit closer than this share of covalent radii, so many times at most.
        batch_size: crystals at a time.
        progress: called with a stage name and a number of crystals finished.
        shapes: padded shapes that are compiled already.
    """

    weights: GeometryWeights
    sampler: GeometrySampling = dataclasses.field(default_factory=GeometrySampling)
    min_ratio: float = 0.0
    max_draws: int = 4
    batch_size: int = 64
    progress: Progress | None = None
    shapes: set[tuple[int, int]] = dataclasses.field(default_factory=set, compare=False)

    def __call__(self, types: StructureTypes, key: jax.Array) -> Realised:
        """Draw; structure types larger than the network's largest bucket are refused, one by one."""
        most_orbits, most_atoms = self.weights.options.buckets[-1]
        large = (types.num_atoms() > most_atoms) | (types.orbit_mask.sum(1) > most_orbits)
        k, x, ratio, draws = (np.zeros((len(large), *shape)) for shape in ((6,), (types.z.shape[1], 3), (), ()))
        fit, told = np.flatnonzero(~large), self.progress
        if len(fit):
            k[fit], x[fit], ratio[fit], draws[fit] = draw_geometry(
                self.weights,
                types.take(fit),
                key,
                sampler=self.sampler,
                min_ratio=self.min_ratio,
                max_draws=self.max_draws,
                batch_size=self.batch_size,
                progress=None if told is None else (lambda done: told("lattice and coordinates", done)),
                shapes=self.shapes,
            )
        why = f"more than {most_atoms} atoms or {most_orbits} orbits, too large for the geometry network"
        return Realised(k, x, [why if one else "" for one in large], {"min_ratio": ratio, "geometry_draws": draws})
