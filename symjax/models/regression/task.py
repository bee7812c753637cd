"""Regression of a property of crystals, such as the formation energy per atom: the task of the training loop, and predictions.

The target is standardised by the training set, the loss is the mean square error (both as published); the mean absolute error is
logged in the unit of the property.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.asymmetric_units import NUM_ELEMENTS
from symjax.data.buckets import assign_buckets
from symjax.data.dataset import CrystalDataset
from symjax.errors import ConfigError, DataError
from symjax.models.regression.graphs import KINDS, GraphOptions, Graphs, build_graphs
from symjax.models.regression.network import NetworkOptions, SchNet
from symjax.options import options_of
from symjax.train.interface import Bucket, BucketedTask

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RegressionOptions:
    """What is predicted from what; every field stands in `configs/formation_energy.py` with its meaning."""

    network: NetworkOptions
    graphs: GraphOptions
    property: str
    buckets: tuple[tuple[int, int], ...]


def options_from_config(section: Any) -> RegressionOptions:
    """Options from the `model.regression` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: fields that do not fit (see `symjax.options.options_of`), an unknown graph,
            or a cutoff, number of neighbours or basis that is too small, or empty buckets.
    """
    options, where = options_of(RegressionOptions, section, "model.regression"), "config.model.regression"
    net, graphs, buckets = options.network, options.graphs, options.buckets
    if graphs.graph not in KINDS:
        raise ConfigError(f"{where}.graph = {graphs.graph!r}: one of {', '.join(KINDS)}")
    if not graphs.cutoff > 0 or graphs.num_neighbours < 2:
        raise ConfigError(f"{where}: a cutoff above 0 and at least 2 neighbours are needed")
    if net.width < 2 or net.num_radial < 2 or not net.radial_range > 0 or net.num_layers < 0:
        raise ConfigError(
            f"{where}: width and num_radial of at least 2, radial_range above 0, num_layers of at least 0"
        )
    if not buckets or min(map(min, buckets)) < 1:
        raise ConfigError(f"{where}.buckets = {buckets}: pairs (orbits, edges into an orbit) of at least 1")
    return options


def padded(data: CrystalDataset, options: RegressionOptions) -> list[tuple[np.ndarray, Graphs]]:
    """Rows of the data set and their graphs, by bucket; crystals that fit none are missing."""
    known = np.ones(len(data), bool)
    known[data.orbit_crystal[(data.orbit_z < 1) | (data.orbit_z > NUM_ELEMENTS)]] = False
    rows = np.flatnonzero(known)
    if not len(rows):
        return []
    graphs = build_graphs(data.subset(rows), options.graphs)
    which = assign_buckets(np.stack([graphs.num_orbits, graphs.num_edges], axis=1), options.buckets)
    made = []
    for i, size in enumerate(options.buckets):
        part = np.flatnonzero(which == i)
        if len(part):
            made.append((rows[part], graphs.pad(part, *size)))
    return made


def targets_of(data: CrystalDataset, name: str, role: str) -> np.ndarray:
    """`(c,)` float64 values of a property, NaN where a crystal has none.

    Raises:
        DataError: the data set has no such property, or no value of it.
    """
    if name not in data.properties:
        have = ", ".join(sorted(data.properties)) or "none"
        raise DataError(
            f"the {role} data have no property {name!r} (they have: {have}); set config.model.regression.property, or prepare the "
            "data from a file with such a column"
        )
    values = np.asarray(data.properties[name], np.float64)
    if not np.isfinite(values).any():
        raise DataError(f"property {name!r} has no value for any of the {len(values)} {role} crystals")
    return values


def predict(params: dict, options: RegressionOptions, graphs: Graphs) -> Array:
    """`(b,)` predictions in the unit of the property."""
    stats = jax.lax.stop_gradient(params["stats"])
    return stats["mean"] + stats["scale"] * SchNet(options.network).apply(params["net"], graphs)


def predict_dataset(params: dict, config: Any, data: CrystalDataset, *, batch_size: int = 256) -> np.ndarray:
    """Predictions for a whole data set.

    Args:
        params, config: of `symjax.train.weights.load_params`.
        data: prepared crystals.
        batch_size: crystals at a time.

    Returns:
        (c,) float64 in the unit of the property; NaN for crystals that fit no bucket or have elements beyond plutonium.
    """
    options = options_from_config(config["model"]["regression"])
    run = jax.jit(lambda graphs: predict(params, options, graphs))
    out = np.full(len(data), np.nan)
    for rows, graphs in padded(data, options):
        for start in range(0, len(rows), batch_size):
            # the last batch is filled up, so that each bucket is compiled once
            index = np.arange(start, start + batch_size) % len(rows)
            values = np.asarray(run(Graphs(*(values[index] for values in graphs))), np.float64)
            part = rows[start : start + batch_size]
            out[part] = values[: len(part)]
    return out


class RegressionTask(BucketedTask):
    """What the training loop needs (see `symjax.train.interface`); examples are pairs (graphs, values).

    Crystals without a value, with elements beyond plutonium, or larger than every bucket are left out, with a warning.

    Raises:
        ConfigError, DataError: see `options_from_config` and `targets_of`; no training crystal is left.
    """

    name = "regression"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.regression)
        self._batch_size = int(config.train.batch_size)
        self._train = self._buckets(train, "training")
        if not self._train:
            raise DataError(
                f"no training crystal fits the buckets {self.options.buckets} (orbits, edges into an orbit)"
            )
        values = np.concatenate([bucket.arrays[1] for bucket in self._train]).astype(np.float64)
        self._stats = {"mean": values.mean(), "scale": max(float(values.std()), 1e-6)}
        self._val = [] if val is None else self._buckets(val, "validation")

    def _buckets(self, data: CrystalDataset, role: str) -> list[Bucket]:
        values = targets_of(data, self.options.property, role)
        have = np.flatnonzero(np.isfinite(values))
        parts = padded(data.subset(have), self.options)
        num = sum(len(rows) for rows, _ in parts)
        if num < len(data):
            _log.warning(
                "%d of %d %s crystals are left out: no value of %s, elements beyond plutonium, or larger than the buckets %s",
                len(data) - num,
                len(data),
                role,
                self.options.property,
                self.options.buckets,
            )
        return [
            Bucket((graphs, values[have[rows]].astype(np.float32)), len(rows) / num, min(self._batch_size, len(rows)))
            for rows, graphs in parts
        ]

    def init(self, key: Array, example_batch: tuple[Graphs, Array]) -> dict:
        """Fresh network parameters; mean and standard deviation of the training values."""
        stats = {name: jnp.asarray(value, jnp.float32) for name, value in self._stats.items()}
        return {"net": SchNet(self.options.network).init(key, example_batch[0]), "stats": stats}

    def loss(
        self, params: dict, batch: tuple[Graphs, Array], key: Array, train: bool
    ) -> tuple[Array, dict[str, Array]]:
        """Mean square error of the standardised value, and the mean absolute error in its unit."""
        del key, train
        graphs, values = batch
        wrong = predict(params, self.options, graphs) - values
        return jnp.mean((wrong / params["stats"]["scale"]) ** 2), {"mae": jnp.mean(jnp.abs(wrong))}
