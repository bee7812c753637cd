"""WyckoffAUGen's training: buckets of crystals by their number of sites, and the loss (`symjax.models.wyckoffaugen.objective`)."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.dataset import CrystalDataset
from symjax.errors import ConfigError, DataError
from symjax.models.wyckoffaugen.network import NetworkOptions, constants, fourier_frequencies, init_params
from symjax.models.wyckoffaugen.objective import (
    REBALANCED,
    TERMS,
    Recipe,
    log_likelihood_terms,
    random_rank,
    scaled_gradient,
    training_terms,
)
from symjax.models.wyckoffaugen.representation import NUM_Z, Crystals, crystals, fits
from symjax.models.wyckoffaugen.tables import tables
from symjax.options import options_of
from symjax.train.interface import Bucket, BucketedTask

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class AugenOptions(Recipe, NetworkOptions):
    """Sizes and recipe; every field stands in `configs/wyckoffaugen.py` with its meaning."""

    buckets: tuple[int, ...]
    edges: tuple[int, ...]

    @property
    def network(self) -> NetworkOptions:
        """Sizes of the network."""
        return NetworkOptions(**{f.name: getattr(self, f.name) for f in dataclasses.fields(NetworkOptions)})

    @property
    def recipe(self) -> Recipe:
        """Departures from the plain likelihood."""
        return Recipe(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Recipe)})


def options_from_config(section: Any) -> AugenOptions:
    """Options from the `model.wyckoffaugen` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: fields that do not fit (see `symjax.options.options_of`), or a value is out of range.
    """
    where, options = "config.model.wyckoffaugen", options_of(AugenOptions, section, "model.wyckoffaugen")
    sizes = options.buckets
    if not sizes or sizes[0] < 1 or any(a >= b for a, b in itertools.pairwise(sizes)) or sizes[-1] != options.max_sites:
        raise ConfigError(
            f"{where}.buckets = {sizes}: numbers of sites, rising, the last one max_sites = {options.max_sites}"
        )
    if len(options.edges) != len(sizes) or min(options.edges) < 1:
        raise ConfigError(f"{where}.edges = {options.edges}: a number of edges for each of the buckets {sizes}")
    positive = (
        "width",
        "edge_width",
        "num_radial",
        "num_frequencies",
        "num_bins",
        "num_beta",
        "num_dirichlet",
        "num_von_mises",
    )
    for name in (*positive, "max_atoms", "max_elements"):
        if getattr(options, name) < 1:
            raise ConfigError(f"{where}.{name} = {getattr(options, name)}: at least 1")
    if not 0 < options.rebalance <= 1 or min(options.noise_x, options.noise_length, options.noise_angle) < 0:
        raise ConfigError(f"{where}: rebalance above 0 and at most 1, and noise of 0 or more are needed")
    return options


class AugenTask(BucketedTask):
    """What the training loop needs (see `symjax.train.interface`).

    Crystals with more sites or atoms than the model holds, elements beyond 100, or cell parameters outside the ranges are left out,
    with a warning: nothing is clipped.

    Raises:
        DataError: no training crystal is left.
    """

    name = "wyckoffaugen"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.wyckoffaugen)
        self._batch_size = int(config.train.batch_size)
        data = self._crystals(train, "training")
        if data is None:
            raise DataError(
                f"no training crystal has at most {self.options.max_sites} sites and {self.options.max_atoms} atoms in "
                f"the primitive "
                "cell, elements up to 100 and a cell within the ranges"
            )
        held_out = None if val is None else self._crystals(val, "validation")
        self._consts = constants()
        self._num_ops = max(_operations_needed(part) for part in (data, held_out) if part is not None)
        steps = data.mask.sum(axis=1) + 1
        self._mean_steps = float(steps.mean())
        self._stats = statistics(data) | fourier_frequencies(self.options.network)
        self._train = self._buckets(data)
        self._val = [] if held_out is None else self._buckets(held_out)

    def _crystals(self, dataset: CrystalDataset, role: str) -> Crystals | None:
        """The crystals that fit the model; None where none does."""
        fit = fits(dataset, self.options.max_sites, self.options.max_atoms)
        if not fit.all():
            named = ", ".join(str(name) for name in dataset.ids[~fit][:5])
            _log.warning(
                "%d of %d %s crystals have more than %d sites or %d atoms in the primitive cell, elements beyond 100, "
                "or cells outside "
                "the ranges, and are left out: %s ...",
                (~fit).sum(),
                len(fit),
                role,
                self.options.max_sites,
                self.options.max_atoms,
                named,
            )
        if not fit.any():
            return None
        return crystals(dataset.subset(np.flatnonzero(fit)), self.options.max_sites, self.options.max_atoms)

    def _buckets(self, data: Crystals) -> list[Bucket]:
        """Crystals of each padded size; a bucket's share is that of its prefixes."""
        num, made = data.mask.sum(axis=1), []
        which = np.searchsorted(np.asarray(self.options.buckets), num)
        for i, size in enumerate(self.options.buckets):
            rows = np.flatnonzero(which == i)
            if len(rows):
                images = int(data.image_mask[rows].sum(axis=1).max())
                part = data.take(rows, size, images)
                made.append(Bucket(part, float((num[rows] + 1).sum()), min(self._batch_size, len(rows))))
        return made

    def init(self, key: Array, example_batch: Crystals) -> dict:
        """Fresh network parameters, and the statistics of the training set."""
        del example_batch
        params = init_params(self.options.network, key)
        counts = jnp.asarray(self._stats["group_count"])
        params["group"]["free"] = jnp.log(counts + 0.5) - jnp.log(counts.sum())
        return params | {"stats": {k: jnp.asarray(v) for k, v in self._stats.items()}}

    def _edges(self, batch: Crystals) -> int:
        return dict(zip(self.options.buckets, self.options.edges, strict=True))[batch.mask.shape[1]]

    def loss(self, params: dict, batch: Crystals, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """Training: an estimate with noise and regularisers (`training_terms`). Validation: nats a crystal, one order of atoms."""
        options, recipe = self.options.network, self.options.recipe
        if not train:
            rank = jax.vmap(random_rank)(batch, jax.random.uniform(key, batch.mask.shape))
            terms = log_likelihood_terms(params, self._consts, options, batch, rank, self._edges(batch), self._num_ops)
            means = {name: -jnp.mean(terms[name]) for name in TERMS}
            return sum(means.values()), means  # type: ignore[return-value]
        terms, extra, steps = training_terms(
            params, self._consts, options, recipe, batch, key, self._edges(batch), self._num_ops
        )
        # crystals of a bucket come as often as they have prefixes, see `_buckets`
        weight = self._mean_steps / jnp.mean(steps)
        means = {name: weight * jnp.mean(terms[name]) for name in TERMS}
        total = jnp.zeros(())
        for name in TERMS:
            total += scaled_gradient(means[name], recipe.rebalance if name in REBALANCED else 1.0)
        total -= recipe.mixture_prior * weight * jnp.mean(extra["prior"])
        total += recipe.z_loss * weight * jnp.mean(extra["z"])
        return total, means


def _operations_needed(data: Crystals) -> int:
    """Operations of the largest group with an atom in general position."""
    own = tables()
    general = (own.dim[own.row[data.number[:, None], data.letter]] == 3) & data.mask
    numbers = data.number[general.any(axis=1)]
    return int(own.op_mask[numbers].sum(axis=1).max(initial=1))


def statistics(data: Crystals) -> dict[str, np.ndarray]:
    """Fixed numbers that travel with the weights: training crystals of each space group (231,) and with each element (101,)."""
    element = np.zeros(NUM_Z)
    for z in range(1, NUM_Z):
        element[z] = ((data.z == z) & data.mask).any(axis=1).sum()
    group = np.bincount(data.number, minlength=231)
    return {"group_count": group.astype(np.float32), "element_count": element.astype(np.float32)}
