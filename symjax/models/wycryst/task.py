"""WyCryst's loss and the task of the training loop.

Loss of a compound = squared error of the columns / 64 + 4 x KL / (256 x 256) + 32 x squared error of the property +
cross-entropy of the group / 6 + squared error of the formula / 256. Published weights: the public code sums everything but KL
over its batch of 256 and averages KL over batch and 256 latents, so the prior weighs next to nothing: it is nearly an
autoencoder, which is why it is sampled around known compounds. The property is the formation energy per atom where the data have
one, scaled to 0 .. 1 by the extremes of the training data.

Corrected against the public code, whose formula term indexes a table by space-group number with an argmax that counts from 0
(so it reads the group before), and goes through argmax and rounding, so that no gradient reaches the decoder: here the atoms of
a column are compared with the expectation over the predicted group of multiplicity times the predicted, unrounded occupation.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.dataset import CrystalDataset
from symjax.errors import ConfigError, DataError
from symjax.models.wycryst.network import NetworkOptions, WycrystNet
from symjax.models.wycryst.representation import (
    COUNT,
    COUNT_SCALE,
    LARGEST_ELEMENT,
    MAX_SITES,
    OCCUPIED,
    Compounds,
    columns,
    compounds,
    multiplicities,
)
from symjax.options import options_of
from symjax.train.interface import Bucket, weighted_sum
from symjax.wyckoff.set_table import standard_numbers

_log = logging.getLogger(__name__)
ENERGY = "formation_energy_per_atom"


@dataclasses.dataclass(frozen=True)
class WycrystOptions:
    """Sizes and weights; every field stands in `configs/wycryst.py` with its meaning."""

    network: NetworkOptions
    weight_columns: float
    weight_kl: float
    weight_energy: float
    weight_group: float
    weight_formula: float


def options_from_config(section: Any) -> WycrystOptions:
    """Options from the `model.wycryst` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: fields that do not fit (see `symjax.options.options_of`), or there are not three numbers of channels.
    """
    options = options_of(WycrystOptions, section, "model.wycryst")
    if len(options.network.channels) != 3:
        raise ConfigError(
            f"config.model.wycryst.channels = {options.network.channels}: one number for each of three convolutions"
        )
    return options


class Examples(NamedTuple):
    """Training compounds: `Compounds`, with the property `(b,)` and whether there is one."""

    number: Array
    z: Array
    occupied: Array
    energy: Array
    has_energy: Array


def vae_loss(params: dict, options: WycrystOptions, batch: Examples, key: Array) -> tuple[Array, dict[str, Array]]:
    """Weighted sum of the five terms, and each of them (unweighted)."""
    stats = jax.lax.stop_gradient(params["stats"])
    target = columns(batch.number, batch.z, batch.occupied)
    noise = jax.random.normal(key, (len(batch.number), options.network.latent))
    out = WycrystNet(options.network).apply({"params": params["net"]}, target, batch.number, noise)
    mean, log_variance, decoded, logits, energy = out
    low, high = stats["energy_low"], stats["energy_high"]
    wanted = (batch.energy - low) / jnp.maximum(high - low, 1e-6)
    losses = {
        "columns": jnp.mean(jnp.sum((decoded - target) ** 2, axis=(1, 2))),
        "kl": jnp.mean(0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=1)),
        "energy": jnp.mean(jnp.where(batch.has_energy, (energy - wanted) ** 2, 0.0)),
        "group": -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch.number[:, None] - 1, axis=1)),
        "formula": jnp.mean(jnp.sum(formula_error(decoded, logits, stats["multiplicity"]) ** 2, axis=1)),
    }
    weights = {
        "columns": options.weight_columns,
        "kl": options.weight_kl,
        "energy": options.weight_energy,
        "group": options.weight_group,
        "formula": options.weight_formula,
    }
    return weighted_sum(losses, weights), losses | {
        "group_right": jnp.mean(jnp.argmax(logits, axis=1) == batch.number - 1)
    }


def formula_error(decoded: Array, logits: Array, multiplicity: Array) -> Array:
    """`(b, 3)` predicted atoms less those that the predicted sites have, expected over the predicted group, over `COUNT_SCALE`."""
    points = jax.nn.softmax(logits) @ multiplicity[1:]
    sites = jax.nn.relu(decoded[:, OCCUPIED])
    return decoded[:, COUNT] - jnp.einsum("bpc,bp->bc", sites, points) / COUNT_SCALE


def represent(data: CrystalDataset, role: str = "training") -> tuple[Compounds, np.ndarray]:
    """Compounds and rows in the data set of its binaries and ternaries; the others are left out, with a message.

    So are crystals in no standard setting, with elements beyond plutonium, or with more sites than a representation has.
    """
    number = standard_numbers(data.sets)[data.set_index]
    fits = (number > 0) & (data.num_orbits <= MAX_SITES)
    fits[data.orbit_crystal[(data.orbit_z < 1) | (data.orbit_z > LARGEST_ELEMENT)]] = False
    usable = np.flatnonzero(fits)
    part = data.subset(usable)
    made, rows = compounds(number[usable], part.orbit_crystal, part.orbit_z, part.orbit_pos)
    if len(rows) < len(data):
        _log.info("%d of %d %s crystals are binaries or ternaries that fit", len(rows), len(data), role)
    return made, usable[rows]


class WycrystTask:
    """What the training loop needs (see `symjax.train.interface`). Crystals of one, or of more than three, elements are left out.

    Raises:
        DataError: no binary or ternary is left.
    """

    name = "wycryst"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.wycryst)
        self._batch_size = int(config.train.batch_size)
        self._train = self._examples(train, "training")
        if not len(self._train.number):
            raise DataError(
                "no training crystal has two or three elements of atomic number 1 to 94 and at most 20 sites"
            )
        self._val = None if val is None else self._examples(val, "validation")

    def _examples(self, data: CrystalDataset, role: str) -> Examples:
        made, rows = represent(data, role)
        energy = np.asarray(data.properties.get(ENERGY, np.full(len(data), np.nan)), np.float32)[rows]
        known = np.isfinite(energy)
        return Examples(*made, np.where(known, energy, 0.0).astype(np.float32), known)

    def buckets(self) -> list[Bucket]:
        """Training examples."""
        return [self._bucket(self._train)]

    def validation(self) -> list[Bucket]:
        """Held-out examples."""
        return [] if self._val is None or not len(self._val.number) else [self._bucket(self._val)]

    def _bucket(self, examples: Examples) -> Bucket:
        return Bucket(examples, 1.0, min(self._batch_size, len(examples.number)))

    def init(self, key: Array, example_batch: Examples) -> dict:
        """Fresh parameters; multiplicities and the range of the property travel as statistics."""
        e = example_batch
        target = columns(e.number, e.z, e.occupied)
        net = WycrystNet(self.options.network).init(
            key, target, e.number, jnp.zeros((len(target), self.options.network.latent))
        )
        energy = self._train.energy[self._train.has_energy]
        low, high = (energy.min(), energy.max()) if len(energy) else (0.0, 1.0)
        stats = {"multiplicity": multiplicities(), "energy_low": np.float32(low), "energy_high": np.float32(high)}
        return {"net": net["params"], "stats": {name: jnp.asarray(value) for name, value in stats.items()}}

    def loss(self, params: dict, batch: Examples, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """See `vae_loss`."""
        del train
        return vae_loss(params, self.options, batch, key)
