"""WyckoffTransformer's training: random prefixes of random orders of random equivalent representations, and the task of the loop.

A crystal of n sites has n + 1 steps (the last one is STOP) of three fields each. Its loss is the sum over steps and fields of the
cross-entropy, in nats, averaged over orders of the sites and over equivalent representations; for an element the target is the
distribution of the elements that are still to come, which is the average over orders given the prefix. Source:
WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text; later arXiv 2503.02407), section 3.2, and the public code for what
the paper leaves out.

By default every crystal of a minibatch gets, for each field by itself, a representation, an order and a step of its own, and the
batches come from buckets of similar numbers of sites. The gradient is an unbiased estimate of that of the loss. The published
recipe draws one field and one step for the whole training set (`per_batch`): the same loss on average, with a larger variance.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.dataset import CrystalDataset
from symjax.errors import ConfigError, DataError
from symjax.models.wyckoff_transformer.network import FIELDS, NetworkOptions, WyckoffNet, init_params
from symjax.models.wyckoff_transformer.steps import all_steps, make_step, rank_sites, score, step_losses
from symjax.models.wyckoff_transformer.tokens import MAX_SITES, Tokens, fits, tokenize
from symjax.models.wyckoff_transformer.variants import Variants, draw_variants, variants
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary, vocabulary
from symjax.options import options_of
from symjax.train.interface import Bucket, BucketedTask

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """Vocabulary, sizes and recipe; every field stands in `configs/wyckoff_transformer.py` with its meaning."""

    vocabulary: str
    embedding: tuple[int, int, int]
    num_layers: int
    num_heads: int
    feed_forward: int
    dropout: float
    augment: str
    per_batch: bool
    buckets: tuple[int, ...]

    @property
    def tokens(self) -> Vocabulary:
        """The vocabulary itself."""
        return vocabulary(self.vocabulary)

    @property
    def network(self) -> NetworkOptions:
        """Sizes of the network."""
        names = self.tokens
        return NetworkOptions(
            vocabulary=names.sizes,
            start=len(names.columns),
            embedding=self.embedding,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            feed_forward=self.feed_forward,
            dropout=self.dropout,
        )


AUGMENT = ("corrected", "faithful", "none")


def options_from_config(section: Any) -> TaskOptions:
    """Options from the `model.wyckoff_transformer` section of a resolved config (or its JSON form).

    Raises:
        ConfigError: fields that do not fit (see `symjax.options.options_of`), or a value is out of range.
    """
    where = "config.model.wyckoff_transformer"
    options = options_of(TaskOptions, section, "model.wyckoff_transformer")
    sizes = options.buckets
    if not sizes or sizes[0] < 1 or sizes[-1] > MAX_SITES or any(a >= b for a, b in itertools.pairwise(sizes)):
        raise ConfigError(f"{where}.buckets = {sizes}: numbers of sites, rising, from 1 to {MAX_SITES}")
    if options.per_batch and len(sizes) > 1:
        raise ConfigError(f"{where}: per_batch draws for the whole training set, so buckets = {sizes} must be one")
    if options.augment not in AUGMENT:
        raise ConfigError(f"{where}.augment = {options.augment!r}: not one of {', '.join(AUGMENT)}")
    if (
        len(options.embedding) != len(FIELDS)
        or min(options.embedding) < 1
        or sum(options.embedding) % options.num_heads
    ):
        raise ConfigError(f"{where}.embedding = {options.embedding}: three widths whose sum is a multiple of num_heads")
    if options.num_layers < 1 or not 0 <= options.dropout < 1:
        raise ConfigError(f"{where}: num_layers at least 1 and dropout from 0 to below 1 are needed")
    return options


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """The loss with the tables it needs.

    Attributes:
        options: of the model.
        variants: equivalent positions.
        mean_steps: average number of steps of a training crystal, n + 1.
    """

    options: TaskOptions
    variants: Variants
    mean_steps: float

    def draw(self, key: Array, tokens: Tokens) -> tuple[Tokens, Array]:
        """A representation and an order of each crystal."""
        variant_key, order_key = jax.random.split(key)
        if self.options.augment != "none":
            tokens = draw_variants(self.variants, variant_key, tokens, faithful=self.options.augment == "faithful")
        return tokens, rank_sites(order_key, tokens.mask)

    def sampled(self, params: dict, tokens: Tokens, key: Array) -> tuple[Array, dict[str, Array]]:
        """Unbiased up to the bucket's share: one step of each crystal for every field.

        Crystals of a bucket weigh by their steps, and buckets are drawn by theirs (see `WyckoffTask`), so that every step of every
        crystal has the same probability.
        """
        draw_key, step_key, drop_key = jax.random.split(key, 3)
        three = jax.tree.map(lambda a: jnp.concatenate([a] * 3), tokens)
        drawn, rank = self.draw(draw_key, three)
        steps = tokens.mask.sum(axis=1) + 1
        k = jnp.minimum((jax.random.uniform(step_key, (3, len(steps))) * steps).astype(jnp.int32), steps - 1)
        drawn, rank = jax.tree.map(lambda a: a.reshape(3, -1, *a.shape[1:]), (drawn, rank))
        rng = drop_key if self.options.dropout else None
        losses = step_losses(params, self.options.network, drawn, rank, k, key=rng)
        losses = jnp.mean(losses * self.mean_steps * steps / jnp.mean(steps), axis=1)
        return jnp.sum(losses), dict(zip(FIELDS, losses, strict=True))

    def published(self, params: dict, tokens: Tokens, key: Array) -> tuple[Array, dict[str, Array]]:
        """One field and one number of known sites for the whole batch; sum over the crystals that have so many sites."""
        field_key, step_key, draw_key, drop_key = jax.random.split(key, 4)
        k = jax.random.randint(step_key, (), 0, MAX_SITES + 1)
        drawn, rank = self.draw(draw_key, tokens)
        net, start = WyckoffNet(self.options.network), params["stats"]["start"]
        rngs = {"dropout": drop_key} if self.options.dropout else {}

        field = jax.random.randint(field_key, (), 0, len(FIELDS))
        step = make_step(self.options.network, start, drawn, rank=rank, k=jnp.full(len(rank), k), field=field)
        net_params = {"params": params["params"]}
        h = net.apply(net_params, step.context, bool(rngs), rngs=rngs, method="encode")

        def of(field: int) -> Array:
            return score(net.apply(net_params, h, step.context, field, method="decode"), step, field)

        values = jax.lax.switch(field, [functools.partial(of, f) for f in range(len(FIELDS))])
        kept = tokens.mask.sum(axis=1) >= k
        return jnp.sum(jnp.where(kept, values, 0.0)), {"kept": jnp.mean(kept.astype(jnp.float32))}

    def whole(self, params: dict, tokens: Tokens, key: Array) -> tuple[Array, dict[str, Array]]:
        """All steps of one order of one representation of each crystal: nats per crystal, and of each field."""
        drawn, rank = self.draw(key, tokens)
        losses = jnp.mean(all_steps(params, self.options.network, drawn, rank), axis=1)
        return jnp.sum(losses), dict(zip(FIELDS, losses, strict=True))


class WyckoffTask(BucketedTask):
    """What the training loop needs (see `symjax.train.interface`).

    Crystals with elements or positions outside the vocabulary, or more sites than the largest bucket, are left out, with a warning.

    Raises:
        DataError: no training crystal is left.
    """

    name = "wyckoff_transformer"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None):
        self.options = options_from_config(config.model.wyckoff_transformer)
        self._batch_size = int(config.train.batch_size)
        data = self._tokens(train, "training")
        if not len(data):
            raise DataError(
                f"no training crystal has at most {self.options.buckets[-1]} sites and elements and positions of the vocabulary "
                f"{self.options.vocabulary!r}"
            )
        steps = data.mask.sum(axis=1) + 1
        self._objective = Objective(self.options, variants(self.options.tokens), float(steps.mean()))
        self._stats = statistics(data, self.options.tokens)
        self._train = self._buckets(data)
        self._val = [] if val is None else self._buckets(self._tokens(val, "validation"))

    def _tokens(self, dataset: CrystalDataset, role: str) -> Tokens:
        """The crystals that fit the model."""
        names, largest = self.options.tokens, self.options.buckets[-1]
        fit = fits(dataset, names, largest)
        if not fit.all():
            named = ", ".join(str(name) for name in dataset.ids[~fit][:5])
            _log.warning(
                "%d of %d %s crystals have more than %d sites, or elements or positions outside the vocabulary %r, and are left "
                "out: %s ...",
                (~fit).sum(),
                len(fit),
                role,
                largest,
                names.name,
                named,
            )
        return tokenize(dataset.subset(np.flatnonzero(fit)), names, largest)

    def _buckets(self, data: Tokens) -> list[Bucket]:
        """Crystals of each padded size; a bucket's share is that of its steps."""
        num = data.mask.sum(axis=1)
        which = np.searchsorted(np.asarray(self.options.buckets), num)
        made = []
        for i, size in enumerate(self.options.buckets):
            rows = np.flatnonzero(which == i)
            if len(rows):
                part = jax.tree.map(lambda a: a if a.ndim < 2 else a[:, :size], data.take(rows))  # noqa: B023
                made.append(Bucket(part, float((num[rows] + 1).sum()), min(self._batch_size, len(rows))))
        return made

    def init(self, key: Array, example_batch: Tokens) -> dict:
        """Fresh network parameters, and the statistics of the training set."""
        del example_batch
        return init_params(self.options.network, key) | {"stats": {k: jnp.asarray(v) for k, v in self._stats.items()}}

    def loss(self, params: dict, batch: Tokens, key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """Training: see `Objective.sampled` and `Objective.published`. Validation: nats per crystal, all steps of one order."""
        if not train:
            return self._objective.whole(params, batch, key)
        return (self._objective.published if self.options.per_batch else self._objective.sampled)(params, batch, key)


def statistics(data: Tokens, names: Vocabulary) -> dict[str, np.ndarray]:
    """Fixed numbers that travel with the weights: float32 arrays.

    Keys: group `(231,)` crystals of each space group, sites `(21,)` crystals of each number of sites, start `(231, F)` features of
    the space groups, version `(l,)` characters of the vocabulary's version (`version_of`).
    """
    arrays = {
        "group": np.bincount(data.number, minlength=231),
        "sites": np.bincount(data.mask.sum(axis=1), minlength=MAX_SITES + 1),
        "start": names.start_features(),
        "version": np.frombuffer(names.version.encode(), np.uint8),
    }
    return {name: np.asarray(values, np.float32) for name, values in arrays.items()}


def version_of(stats: dict[str, Any]) -> str:
    """Version of the token tables that weights were trained with, to be given to `Vocabulary.check_version`."""
    return bytes(np.asarray(stats["version"]).astype(np.uint8).tolist()).decode("ascii", "replace")
