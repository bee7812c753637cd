"""WyckoffDiff's training: a random equivalent description, a random noise level, and the cross-entropy of the clean occupation.

One task trains the base (no conditions) and the Adaptor (conditions, started from the base's weights by `train.init_from`, all of
it or with the base frozen by `train.freeze`). Sources: WyckoffDiff (Ekström Kelvinius et al., arXiv 2502.06485), public code for
loss and augmentation; WyckoffDiff-Adaptor (Ishii et al., arXiv 2601.08115). Condition dropout is MatterGen's code.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.buckets import assign_buckets
from symjax.data.dataset import CrystalDataset
from symjax.diffusion import discrete
from symjax.diffusion.process import lead
from symjax.errors import ConfigError, DataError
from symjax.models.wyckoffdiff.network import CHEMICAL_SYSTEM, Logits, NetworkOptions, WyckoffGNN, init_params
from symjax.models.wyckoffdiff.occupations import MAX_COUNT, NUM_ELEMENTS, Occupations, Orbits, nodes, orbits_of, usable
from symjax.models.wyckoffdiff.process import KERNELS, frequencies, levels_at, marginals
from symjax.nn.conditions import Condition, Conditions, conditions_of, drop
from symjax.options import options_of
from symjax.train.interface import Bucket, BucketedTask
from symjax.wyckoff.normalizer import permutation_table

_log = logging.getLogger(__name__)
LOSSES = ("variables", "crystals")


@dataclasses.dataclass(frozen=True)
class WyckoffdiffOptions:
    """Sizes, kernel and recipe; every field stands in `configs/wyckoffdiff.py` with its meaning."""

    network: NetworkOptions
    kernel: str
    loss: str
    skip_known: bool
    augment: bool
    condition_dropout: float
    buckets: tuple[tuple[int, int], ...]


def options_from_config(section: Any) -> WyckoffdiffOptions:
    """Options from the `model.wyckoffdiff` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: fields that do not fit (see `symjax.options.options_of`), or a value is out of range.
    """
    where, options = "config.model.wyckoffdiff", options_of(WyckoffdiffOptions, section, "model.wyckoffdiff")
    net = options.network
    if options.kernel not in KERNELS:
        raise ConfigError(f"{where}.kernel = {options.kernel!r}: not one of {', '.join(KERNELS)}")
    if options.loss not in LOSSES:
        raise ConfigError(f"{where}.loss = {options.loss!r}: not one of {', '.join(LOSSES)}")
    if not 1 <= net.max_count <= MAX_COUNT:
        raise ConfigError(f"{where}.max_count = {net.max_count}: a count of orbits from 1 to {MAX_COUNT}")
    if options.skip_known and options.kernel != "zeros":
        raise ConfigError(f"{where}.skip_known: only kernel 'zeros' keeps what it shows, not {options.kernel!r}")
    if not 0 <= options.condition_dropout < 1:
        raise ConfigError(f"{where}.condition_dropout = {options.condition_dropout}: from 0 to below 1")
    if net.num_steps < 2 or net.num_layers < 1 or net.adaptor_dim < 2 or net.adaptor_dim % 2:
        raise ConfigError(
            f"{where}: num_steps at least 2, num_layers at least 1, adaptor_dim even and at least 2 are needed"
        )
    if len(set(net.conditions)) < len(net.conditions):
        raise ConfigError(f"{where}.conditions = {net.conditions}: a name stands twice")
    sizes = options.buckets
    if not sizes or any(len(size) != 2 or min(size) < 1 for size in sizes):
        raise ConfigError(
            f"{where}.buckets = {sizes}: pairs of numbers of positions without and with freedom, at least 1 each"
        )
    return options


@flax.struct.dataclass
class Examples:
    """Training crystals of one padded size.

    Attributes:
        number: `(b,)` int32 space group.
        z, pos: `(b, m)` int32 orbits, z = 0 where there is none.
        fixed, free: `(b, f)` and `(b, r)` bool which positions without, and with, free coordinates there are; their shapes are the
            padded sizes.
        conditions: see `symjax.nn.conditions`.
    """

    number: Array
    z: Array
    pos: Array
    fixed: Array
    free: Array
    conditions: Conditions

    @property
    def sizes(self) -> tuple[int, int]:
        """Padded numbers of positions of both parts."""
        return self.fixed.shape[1], self.free.shape[1]


def describe(examples: Examples, key: Array | None = None) -> Occupations:
    """Tables of occupation of examples; jit-able.

    Args:
        examples: b crystals.
        key: of a random equivalent description for each crystal (the permutations of a group's positions by its normalizer are a
            group, so each distinct description is as likely); None for the description of the data.
    """
    known, (permutation, count), sizes = nodes(), permutation_table(), examples.sizes
    number, z, pos = examples.number, examples.z, examples.pos
    rows = jnp.arange(number.shape[0])[:, None]
    if key is not None:
        choices = jnp.asarray(count)[number]
        drawn = (jax.random.uniform(key, number.shape) * choices).astype(jnp.int32)
        pos = jnp.asarray(permutation)[number[:, None], jnp.minimum(drawn, choices - 1)[:, None], pos]
    part, slot = (jnp.asarray(table)[number[:, None], pos] for table in (known.part, known.slot))
    real = z > 0
    in_fixed, in_free = (jnp.where(real & (part == i), slot.astype(jnp.int32), max(sizes)) for i in (0, 1))
    fixed = jnp.zeros((z.shape[0], sizes[0]), jnp.int32).at[rows, in_fixed].set(z, mode="drop")
    free = jnp.zeros((z.shape[0], sizes[1], NUM_ELEMENTS), jnp.int32)
    return Occupations(number, fixed, free.at[rows, in_free, jnp.maximum(z - 1, 0)].add(1, mode="drop"))


def predict(
    params: dict, options: WyckoffdiffOptions, state: Occupations, t: Array, conditions: Conditions | None = None
) -> Logits:
    """The network; numeric conditions in units of the data."""
    stats, names = params["stats"], [name for name in options.network.conditions if name != CHEMICAL_SYSTEM]
    scaled = dict(conditions or {})
    for i, name in enumerate(names):
        if name in scaled:
            value = (scaled[name].value - stats["condition_mean"][i]) / stats["condition_std"][i]
            scaled[name] = Condition(jnp.where(scaled[name].known, value, 0.0), scaled[name].known)
    return WyckoffGNN(options.network).apply(params["net"], state, t, scaled)


def diffusion_loss(
    params: dict, options: WyckoffdiffOptions, batch: Examples, key: Array, *, train: bool
) -> tuple[Array, dict[str, Array]]:
    """Cross-entropy of the clean occupation, and its two sums in nats a crystal.

    `variables` (published): mean over a crystal's variables, one a position without freedom and 100 any other, then over crystals.
    `crystals`: sum over the variables, so that crystals weigh alike however many positions their group has. With `skip_known`,
    variables that the absorbing kernel shows are left out: their clean class is what they show.
    """
    stats = jax.lax.stop_gradient(params["stats"])
    t_key, variant_key, fixed_key, free_key, drop_key = jax.random.split(key, 5)
    b, num_steps = batch.number.shape[0], options.network.num_steps
    # t in 1 .. T - 1 as published, stratified over the batch, which lowers the variance
    share = jnp.mod(jax.random.uniform(t_key) + jnp.arange(b) / b, 1.0)
    t = 1 + jnp.minimum((share * (num_steps - 1)).astype(jnp.int32), num_steps - 2)

    clean = describe(batch, variant_key if options.augment else None)
    level = levels_at(num_steps, t)
    of_fixed, of_free = marginals(options.kernel, stats)
    fixed = discrete.perturb(fixed_key, clean.fixed, lead(level, clean.fixed), of_fixed)
    free = discrete.perturb(free_key, clean.free, lead(level, clean.free), of_free)
    conditions = batch.conditions
    if train and conditions:
        conditions = drop(conditions, drop_key, options.condition_dropout)
    logits = predict(params, options, Occupations(batch.number, fixed, free), t, conditions)

    variables = batch.fixed.sum(axis=1) + NUM_ELEMENTS * batch.free.sum(axis=1)
    open_fixed, open_free = batch.fixed, jnp.broadcast_to(batch.free[..., None], free.shape)
    if options.skip_known:
        open_fixed, open_free = open_fixed & (fixed == 0), open_free & (free == 0)
    nats_fixed = jnp.sum(jnp.where(open_fixed, discrete.cross_entropy(logits.fixed, clean.fixed), 0.0), axis=1)
    nats_free = jnp.sum(jnp.where(open_free, discrete.cross_entropy(logits.free, clean.free), 0.0), axis=(1, 2))
    weight = 1.0 / variables if options.loss == "variables" else jnp.ones(b)
    loss = jnp.mean((nats_fixed + nats_free) * weight)
    return loss, {"fixed": jnp.mean(nats_fixed), "free": jnp.mean(nats_free)}


def chemical_systems(data: CrystalDataset) -> np.ndarray:
    """(c, 101) int8 which elements occur, index = atomic number."""
    out = np.zeros((len(data), NUM_ELEMENTS + 1), np.int8)
    out[data.orbit_crystal, data.orbit_z] = 1
    return out


def columns_of(data: CrystalDataset, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns that conditions are made from.

    Raises:
        DataError: the data set has no such numeric column; the message lists those it has.
    """
    if missing := [name for name in names if name != CHEMICAL_SYSTEM and name not in data.properties]:
        has = ", ".join(sorted(data.properties)) or "none"
        raise DataError(f"condition {missing[0]!r}: the data set has no such column of numbers; it has {has}")
    return {name: chemical_systems(data) if name == CHEMICAL_SYSTEM else data.properties[name] for name in names}


class WyckoffdiffTask(BucketedTask):
    """What the training loop needs (see `symjax.train.interface`).

    Crystals with elements beyond fermium, more orbits of an element on a position than `max_count`, or in groups of more positions
    than the largest bucket are left out, with a warning.

    Raises:
        ConfigError: parameters are frozen that start at random.
        DataError: no training crystal is left, or a condition has no column.
    """

    name = "wyckoffdiff"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.wyckoffdiff)
        if config.train.freeze and not config.train.init_from:
            raise ConfigError(
                "config.train.freeze keeps parameters that start at random: give the weights of the base as config.train.init_from"
            )
        self._batch_size = int(config.train.batch_size)
        orbits, conditions = self._read(train, "training")
        if not len(orbits):
            raise DataError(
                "no training crystal has elements up to fermium and counts and positions within the bounds of the model"
            )
        self._stats = statistics(orbits, conditions, self.options)
        self._train = self._buckets(orbits, conditions)
        self._val = [] if val is None else self._buckets(*self._read(val, "validation"))

    def _read(self, dataset: CrystalDataset, role: str) -> tuple[Orbits, Conditions]:
        """The crystals that fit the model, and their conditions."""
        net = self.options.network
        fit = usable(dataset, net.max_count)
        orbits = orbits_of(dataset.subset(np.flatnonzero(fit)), net.max_count)
        fit[np.flatnonzero(fit)[self._which(orbits) < 0]] = False
        if not fit.all():
            named = ", ".join(str(name) for name in dataset.ids[~fit][:5])
            _log.warning(
                "%d of %d %s crystals have elements beyond fermium, more than %d orbits of an element on a position, or a group of "
                "too many positions and are left out: %s ...",
                (~fit).sum(),
                len(fit),
                role,
                net.max_count,
                named,
            )
        part = dataset.subset(np.flatnonzero(fit))
        columns = columns_of(part, net.conditions)
        conditions = conditions_of(columns) if role == "training" else _known(columns)
        return orbits_of(part, net.max_count), conditions if len(part) else {}

    def _which(self, orbits: Orbits) -> np.ndarray:
        """Bucket of each crystal."""
        return assign_buckets(nodes().sizes[orbits.number], self.options.buckets)

    def _buckets(self, orbits: Orbits, conditions: Conditions) -> list[Bucket]:
        """Crystals of each padded size."""
        which, made, table = self._which(orbits), [], nodes()
        for i, sizes in enumerate(self.options.buckets):
            rows = np.flatnonzero(which == i)
            if len(rows):
                part = orbits.take(rows, int((orbits.z[rows] > 0).sum(axis=1).max()))
                fixed, free = (
                    padded(of >= 0, size)[part.number]
                    for of, size in zip((table.fixed, table.free), sizes, strict=True)
                )
                own = jax.tree.map(lambda a: a[rows], conditions)  # noqa: B023
                examples = Examples(part.number, part.z.astype(np.int32), part.pos.astype(np.int32), fixed, free, own)
                made.append(Bucket(examples, len(rows) / len(which), min(self._batch_size, len(rows))))
        return made

    def init(self, key: Array, example_batch: Examples) -> dict:
        """Fresh network parameters, and the statistics of the training set."""
        del example_batch
        stats = {name: jnp.asarray(values) for name, values in self._stats.items()}
        return {"net": init_params(self.options.network, key), "stats": stats}

    def loss(self, params: dict, batch: Examples, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """See `diffusion_loss`."""
        return diffusion_loss(params, self.options, batch, key, train=train)


def padded(table: np.ndarray, width: int) -> np.ndarray:
    """The first columns of a table, with False beyond its own."""
    return np.pad(table, ((0, 0), (0, max(0, width - table.shape[1]))))[:, :width]


def _known(columns: dict[str, np.ndarray]) -> Conditions:
    """Conditions of held-out crystals, which may lack every value of a column."""
    made: Conditions = {}
    for name, column in columns.items():
        try:
            made |= conditions_of({name: column})
        except DataError:
            made[name] = Condition(np.zeros(column.shape, np.float32), np.zeros(len(column), bool))
    return made


def statistics(orbits: Orbits, conditions: Conditions, options: WyckoffdiffOptions) -> dict[str, np.ndarray]:
    """Fixed numbers that travel with the weights: float32 arrays.

    Keys: fixed `(101,)` and free `(max_count + 1,)` frequencies of classes, group `(231,)` crystals of each space group, elements
    `(101,)` crystals with each element, orbits `(m + 1,)` crystals with so many orbits, condition_mean and condition_std `(k,)` of
    the numeric conditions in their order.
    """
    fixed, free = frequencies(orbits, options.network.max_count)
    present = np.zeros((len(orbits), NUM_ELEMENTS + 1), bool)
    present[np.arange(len(orbits))[:, None], orbits.z] = True
    numbers = [conditions[name] for name in options.network.conditions if name != CHEMICAL_SYSTEM]
    known = [np.asarray(one.value, np.float64)[np.asarray(one.known)] for one in numbers]
    arrays = {
        "fixed": fixed,
        "free": free,
        "group": np.bincount(orbits.number, minlength=231),
        "elements": np.where(np.arange(NUM_ELEMENTS + 1) > 0, present.sum(axis=0), 0),
        "orbits": np.bincount((orbits.z > 0).sum(axis=1)),
    }
    if known:  # checkpoints hold no empty arrays
        arrays["condition_mean"] = np.array([one.mean() for one in known])
        arrays["condition_std"] = np.array([one.std() + 1e-5 for one in known])
    return {name: np.asarray(values, np.float32) for name, values in arrays.items()}
