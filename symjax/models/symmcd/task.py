"""SymmCD's joint diffusion of lattice, coordinates, atom types and site symmetries: losses, and the task of the loop.

The noise is in `process`. Losses and weights as published: 5 lattice + 1 coordinates + 0.1 types + 10 sites.

Where this differs from the published code: coefficients may be standardised (`standardise`; published: raw), averages over all
representatives of a batch are taken as sums over the expected number, so that buckets of one size give the published average
unbiased, and crystals with one orbit have one representative.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.buckets import assign_buckets
from symjax.data.dataset import CrystalDataset
from symjax.diffusion import discrete
from symjax.diffusion.process import Process, perturb
from symjax.errors import ConfigError, DataError
from symjax.models.symmcd.cell import represent_cells
from symjax.models.symmcd.network import NUM_AXES, NUM_TYPES, NetworkOptions, Nodes, Predictions, SymmcdNet
from symjax.models.symmcd.process import Levels, noise_levels, processes, standardised
from symjax.models.symmcd.representation import Counts, Representation, count, group_features, lattice_masks, represent
from symjax.options import options_of
from symjax.train.interface import Bucket, BucketedTask, weighted_sum

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SymmcdOptions:
    """Sizes, noise levels and weights; every field stands in `configs/symmcd.py` with its meaning."""

    network: NetworkOptions
    num_steps: int
    sigma_min: float
    sigma_max: float
    weight_k: float
    weight_x: float
    weight_types: float
    weight_sites: float
    standardise: bool
    buckets: tuple[int, ...]
    max_pairs: int = 0

    @property
    def unit_cell(self) -> bool:
        """Whether the nodes are all atoms of the conventional cell (`symjax.models.symmcd.cell`), not one of each orbit."""
        return not self.network.site_symmetry

    @property
    def nodes_are(self) -> str:
        """What a node is, for messages."""
        return "atoms" if self.unit_cell else "orbits"


def options_from_config(section: Any) -> SymmcdOptions:
    """Options from the `model.symmcd` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: fields that do not fit (see `symjax.options.options_of`), buckets that do not rise, or an odd width of the time
            features.
    """
    options = options_of(SymmcdOptions, section, "model.symmcd")
    buckets, time_dim = options.buckets, options.network.time_dim
    if not buckets or buckets[0] < 1 or any(a >= b for a, b in itertools.pairwise(buckets)):
        raise ConfigError(f"config.model.symmcd.buckets = {buckets}: numbers of nodes, rising, at least 1")
    if time_dim < 2 or time_dim % 2:
        raise ConfigError(f"config.model.symmcd.time_dim = {time_dim}: an even number of at least 2")
    if options.max_pairs < 0:
        raise ConfigError(f"config.model.symmcd.max_pairs = {options.max_pairs}: pairs of nodes, or 0 for no bound")
    if not 0 < options.sigma_min < options.sigma_max:
        raise ConfigError("config.model.symmcd: 0 < sigma_min < sigma_max is needed")
    return options


def levels_of(options: SymmcdOptions) -> Levels:
    """Tables of a model's schedules."""
    return noise_levels(options.num_steps, options.sigma_min, options.sigma_max)


def processes_of(
    options: SymmcdOptions, stats: dict, number: Array, num_orbits: int, **given: Any
) -> dict[str, Process]:
    """A model's variables; `given` as in `symjax.models.symmcd.process.processes`."""
    return processes(stats, number, num_orbits, sigma_min=options.sigma_min, sites=not options.unit_cell, **given)


class Examples(NamedTuple):
    """Training crystals of one padded size.

    Attributes:
        number: `(b,)` int32 space group.
        k: `(b, 6)` float32 lattice coefficients.
        types: `(b, m)` int32 classes of atom types, 0 in the padding.
        sites: `(b, m, 15)` int32 classes of site symmetries.
        x: `(b, m, 3)` float32 fractional coordinates.
        mask: `(b, m)` bool.
    """

    number: Array
    k: Array
    types: Array
    sites: Array
    x: Array
    mask: Array


def examples_of(data: Representation) -> Examples:
    """Arrays of a representation in the types that the network takes."""
    return Examples(
        number=np.asarray(data.number, np.int32),
        k=np.asarray(data.k, np.float32),
        types=np.maximum(np.asarray(data.z, np.int32) - 1, 0),
        sites=np.asarray(data.site, np.int32),
        x=np.asarray(data.x, np.float32),
        mask=np.asarray(data.mask, bool),
    )


def fit_statistics(data: Representation, counts: Counts, standardise: bool) -> dict[str, np.ndarray]:
    """Fixed numbers that travel with the weights: what sampling draws from, features of the groups, and scales of k."""
    free, constant = lattice_masks()
    used = free[data.number] > 0
    shift, scale = np.zeros(6), np.ones(6)
    for i in range(6) if standardise else ():
        values = data.k[used[:, i], i]
        if len(values) > 1:
            shift[i], scale[i] = values.mean(), max(float(values.std()), 1e-2)
    arrays = {
        "group": counts.group,
        "orbits": counts.orbits,
        "elements": counts.elements,
        "site": counts.site,
        "features": group_features(),
        "k_free": free,
        "k_constant": constant,
        "k_shift": shift,
        "k_scale": scale,
        "mean_orbits": np.asarray(data.mask.sum() / len(data.mask)),
    }
    return {name: np.asarray(values, np.float32) for name, values in arrays.items()}


def predict(params: dict, options: SymmcdOptions, nodes: Nodes, t: Array) -> Predictions:
    """The network; `nodes.k` is the state of the diffusion (zero where the family fixes a coefficient)."""
    return SymmcdNet(options.network).apply(params["net"], nodes, t)


def nodes_of(
    stats: dict, number: Array, mask: Array, *, k: Array, types: Array, x: Array, sites: Array | None = None
) -> Nodes:
    """Network inputs of a state: the constants of the crystal family are put in; the unit-cell variant has no sites."""
    sites = jnp.zeros((*mask.shape, NUM_AXES), jnp.int32) if sites is None else sites
    return Nodes(stats["features"][number], k + stats["k_constant"][number], types, sites, x, mask)


def diffusion_loss(params: dict, options: SymmcdOptions, batch: Examples, key: Array) -> tuple[Array, dict[str, Array]]:
    """Weighted sum of the four denoising losses, and each of them."""
    stats = jax.lax.stop_gradient(params["stats"])
    t_key, *keys = jax.random.split(key, 5)
    b = batch.number.shape[0]
    # stratified steps lower the variance of the loss
    share = jnp.mod(jax.random.uniform(t_key) + jnp.arange(b) / b, 1.0)
    t = 1 + jnp.minimum((share * options.num_steps).astype(jnp.int32), options.num_steps - 1)

    # one noise level a crystal, for all variables
    clean = {"k": standardised(stats, batch.number, batch.k), "x": batch.x, "types": batch.types, "sites": batch.sites}
    variables = processes_of(options, stats, batch.number, batch.mask.shape[1])
    noisy, target = perturb(variables, dict(zip(clean, keys, strict=True)), clean, levels_of(options).at(t))
    out = predict(params, options, nodes_of(stats, batch.number, batch.mask, **noisy), t)
    num = b * stats["mean_orbits"]  # expected number of representatives

    def mean(values: Array) -> Array:
        return jnp.sum(jnp.where(batch.mask, values, 0.0)) / num

    losses = {
        "lattice": jnp.mean((out.k - target["k"]) ** 2),
        "coordinates": mean(jnp.mean((out.x - target["x"]) ** 2, axis=-1)),
        "types": mean(discrete.cross_entropy(out.types, target["types"])),
    }
    weights = {"lattice": options.weight_k, "coordinates": options.weight_x, "types": options.weight_types}
    if out.sites is not None:
        losses["sites"] = mean(jnp.mean(discrete.cross_entropy(out.sites, target["sites"]), axis=-1))
        weights["sites"] = options.weight_sites
    return weighted_sum(losses, weights), losses


class SymmcdTask(BucketedTask):
    """What the training loop needs (see `symjax.train.interface`).

    Crystals with elements beyond plutonium, or more orbits (unit-cell variant: atoms) than the largest bucket, are left out, with a
    warning. Where `max_pairs` bounds the pairs of a step, batches of large buckets hold fewer crystals.

    Raises:
        DataError: no training crystal is left.
    """

    name = "symmcd"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.symmcd)
        self._batch_size = int(config.train.batch_size)
        data = self._represent(train, "training")
        if not len(data):
            raise DataError(
                f"no training crystal has at most {self.options.buckets[-1]} {self.options.nodes_are} and elements up to plutonium"
            )
        self._stats = fit_statistics(data, count(data), self.options.standardise)
        self._train = self._buckets(data)
        self._val = [] if val is None else self._buckets(self._represent(val, "validation"))

    def _represent(self, dataset: CrystalDataset, role: str) -> Representation:
        """The crystals that fit the model."""
        largest, cells = self.options.buckets[-1], self.options.unit_cell
        fits = (dataset.num_atoms if cells else dataset.num_orbits) <= largest
        fits[dataset.orbit_crystal[dataset.orbit_z > NUM_TYPES]] = False
        if not fits.all():
            named = ", ".join(str(name) for name in dataset.ids[~fits][:5])
            _log.warning(
                "%d of %d %s crystals have more than %d %s or elements beyond plutonium and are left out: %s ...",
                (~fits).sum(),
                len(fits),
                role,
                largest,
                self.options.nodes_are,
                named,
            )
        part = dataset.subset(np.flatnonzero(fits))
        return represent_cells(part) if cells else represent(part)

    def _buckets(self, data: Representation) -> list[Bucket]:
        """Crystals of each padded size."""
        which = assign_buckets(np.asarray(data.num_orbits)[:, None], [(size,) for size in self.options.buckets])
        made = []
        for i, size in enumerate(self.options.buckets):
            rows = np.flatnonzero(which == i)
            if len(rows):
                bound = self.options.max_pairs // size**2 or 1 if self.options.max_pairs else self._batch_size
                batch = max(1, min(self._batch_size, bound, len(rows)))
                made.append(Bucket(examples_of(data.take(rows, size)), len(rows) / len(which), batch))
        return made

    def init(self, key: Array, example_batch: Examples) -> dict:
        """Fresh network parameters, and the statistics of the training set."""
        e = example_batch
        stats = {name: jnp.asarray(values) for name, values in self._stats.items()}
        nodes = nodes_of(stats, e.number, e.mask, k=e.k, types=e.types, sites=e.sites, x=e.x)
        net = SymmcdNet(self.options.network).init(key, nodes, jnp.ones(e.number.shape))
        return {"net": net, "stats": stats}

    def loss(self, params: dict, batch: Examples, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """See `diffusion_loss`."""
        del train
        return diffusion_loss(params, self.options, batch, key)
