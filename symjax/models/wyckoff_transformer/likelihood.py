"""Exact log-likelihoods of Wyckoff representations in given orders of their sites, and what follows from several orders.

The model gives a probability to a sequence: sites in an order, and STOP. `log_likelihood` is exact for a sequence, given its
space group: the sum over steps and fields of the log-softmax over all tokens, service tokens included, so it is the published,
unmasked model's. A crystal is a multiset of sites, and its probability is the sum over its distinct orders; from random orders come
a lower bound of it and how far the model is from giving all orders the same probability (table 2 of the paper).

Source: WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text; later arXiv 2503.02407), appendix D. The published code
scores samples that never stop as if they had no site; here they are scored as what they are, a sequence cut at the last slot,
without the factor of STOP (`stopped`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.data.files import save_arrays
from symjax.errors import InputError
from symjax.models.wyckoff_transformer.network import NetworkOptions
from symjax.models.wyckoff_transformer.steps import all_steps
from symjax.models.wyckoff_transformer.tokens import Tokens
from symjax.models.wyckoff_transformer.variants import apply_variant, variants
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary

WIDTHS = (3, 6, 12)
"""Padded numbers of sites, one compiled program each; the last one is that of the tokens."""
BATCH = 256
EXACT_SITES = 6
"""Most sites of which `exact_multiset` takes all orders (720)."""


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihoods of n crystals, nats, given their space groups.

    Attributes:
        own: `(n,)` in the order of the tokens (of generated ones: that in which they were drawn).
        orders: `(n, k)` in k random orders (and equivalent representations, if asked for).
        stopped: `(n,)` bool whether STOP was counted.
        log_orders: `(n,)` logarithm of the number of distinct sequences over which the random ones were drawn.
    """

    own: np.ndarray
    orders: np.ndarray
    stopped: np.ndarray
    log_orders: np.ndarray

    @property
    def divergence(self) -> float:
        """Mean of [own - mean over orders]: KL of generated sequences from the model made symmetric, nats."""
        return float((self.own - self.orders.mean(axis=1)).mean())

    @property
    def spread(self) -> float:
        """Standard deviation over orders (n - 1), averaged over crystals, nats."""
        return float(self.orders.std(axis=1, ddof=1).mean())

    @property
    def bound(self) -> np.ndarray:
        """`(n,)` lower bound of the log-probability of the multiset: log of the number of orders plus the mean (Jensen).

        With `variants` it is that of the class of equivalent representations.
        """
        return self.log_orders + self.orders.mean(axis=1)

    @property
    def tight_bound(self) -> np.ndarray:
        """`(n,)` the same from the logarithm of the mean probability: below the truth on average, and nearer to it than `bound`."""
        return self.log_orders + np.logaddexp.reduce(self.orders, axis=1) - np.log(self.orders.shape[1])

    def figures(self) -> dict[str, float]:
        """What table 2 prints, nats: mean and deviation of both log-likelihoods, KL, sigma; mean bound; share that stopped."""
        averaged = self.orders.mean(axis=1)
        return {
            "own": float(self.own.mean()),
            "own_deviation": float(self.own.std(ddof=1)) if len(self.own) > 1 else 0.0,
            "averaged": float(averaged.mean()),
            "averaged_deviation": float(averaged.std(ddof=1)) if len(self.own) > 1 else 0.0,
            "divergence": self.divergence,
            "spread": self.spread,
            "bound": float(self.bound.mean()),
            "tight_bound": float(self.tight_bound.mean()),
            "stopped": float(self.stopped.mean()),
            "crystals": float(len(self.own)),
        }

    def save(self, path: str | Path) -> None:
        """Write the file that ``symjax evaluate --likelihoods`` reads: own `(n,)` and orders `(n, k)`."""
        save_arrays(Path(path), {name: getattr(self, name) for name in ("own", "orders", "stopped", "log_orders")})


@functools.partial(jax.jit, static_argnames="options")
def _scores(params: dict, tokens: Tokens, rank: Array, stops: Array, *, options: NetworkOptions) -> Array:
    """`(b,)` log-likelihoods of sequences, nats."""
    return -jnp.sum(all_steps(params, options, tokens, rank, soft=False, stops=stops), axis=0)


def log_likelihood(
    params: dict,
    options: NetworkOptions,
    tokens: Tokens,
    rank: np.ndarray | None = None,
    *,
    stopped: np.ndarray | None = None,
) -> np.ndarray:
    """Exact log-likelihood of sequences given their space groups.

    Args:
        params: `{"params", "stats"}` as trained.
        options: sizes of the network.
        tokens: `(c, m)` crystals, host arrays; real sites first.
        rank: `(c, m)` place of each site in the order to be scored (0 .. n - 1 for real sites); None for the order of the tokens.
        stopped: `(c,)` bool, whether the sequence ends with STOP; False where it was cut after its last site. None for all.

    Returns:
        `(c,)` float64, nats.

    Raises:
        InputError: shapes disagree, or a rank is no order of the real sites.
    """
    tokens = jax.tree.map(np.asarray, tokens)
    mask = tokens.mask
    count, width = mask.shape
    rank = np.tile(np.arange(width), (count, 1)) if rank is None else np.asarray(rank)
    stopped = np.ones(count, bool) if stopped is None else np.asarray(stopped, bool)
    if rank.shape != mask.shape or stopped.shape != (count,):
        raise InputError(f"tokens of shape {mask.shape} with ranks {rank.shape} and stopped {stopped.shape}")
    num = mask.sum(axis=1)
    places = np.sort(np.where(mask, rank, width), axis=1)
    if (mask != (np.arange(width) < num[:, None])).any() or (places != np.where(mask, np.arange(width), width)).any():
        raise InputError("real sites must come first, and the ranks of n sites must be 0 to n - 1, each once")
    out = np.zeros(count)
    sizes = [w for w in WIDTHS if w < width] + [width]
    which = np.searchsorted(sizes, num)
    for i, size in enumerate(sizes):
        rows = np.flatnonzero(which == i)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            padded = np.resize(part, BATCH)
            batch = jax.tree.map(lambda a: a[padded] if a.ndim < 2 else a[padded, :size], tokens)  # noqa: B023
            values = _scores(params, batch, rank[padded, :size].astype(np.int32), stopped[padded], options=options)
            out[part] = np.asarray(values, np.float64)[: len(part)]
    return out


def likelihoods(
    params: dict,
    options: NetworkOptions,
    tokens: Tokens,
    *,
    seed: int,
    num_orders: int = 20,
    stopped: np.ndarray | None = None,
    equivalent: Vocabulary | None = None,
) -> Likelihoods:
    """Log-likelihoods in the crystals' own order and in random ones.

    Args:
        params: `{"params", "stats"}` as trained.
        options: sizes of the network.
        tokens: `(c, m)` crystals, host arrays; real sites first.
        seed: of the random orders.
        num_orders: random orders of each crystal, at least 2 (the paper: 20 for samples, 10 orders x 10 representations for data).
        stopped: see `log_likelihood`.
        equivalent: the tokens' vocabulary, to draw an equivalent representation with each order as well; None for orders alone.

    Raises:
        InputError: fewer than 2 orders, no crystal, or tokens as in `log_likelihood`.
    """
    tokens = jax.tree.map(np.asarray, tokens)
    count = len(tokens)
    if num_orders < 2 or not count:
        raise InputError(f"{num_orders} orders of {count} crystals: at least 2 orders of 1 crystal are needed")
    rng = np.random.default_rng(seed)
    own = log_likelihood(params, options, tokens, stopped=stopped)
    many = tokens.take(np.repeat(np.arange(count), num_orders))
    if equivalent is not None:
        tables = variants(equivalent)
        total = tables.count[many.number]
        many = apply_variant(tables, many, np.minimum((rng.random(len(total)) * total).astype(np.int64), total - 1))
    noise = np.where(many.mask, rng.random(many.mask.shape), 2.0)
    rank = np.argsort(np.argsort(noise, axis=1, kind="stable"), axis=1)
    drawn = log_likelihood(
        params,
        options,
        many,
        rank,
        stopped=None if stopped is None else np.repeat(np.asarray(stopped, bool), num_orders),
    )
    log_orders = count_orders(tokens)
    if equivalent is not None:
        log_orders = log_orders + np.log(count_multisets(tokens, equivalent))
    return Likelihoods(
        own,
        drawn.reshape(count, num_orders),
        np.ones(count, bool) if stopped is None else np.asarray(stopped, bool),
        log_orders,
    )


def count_orders(tokens: Tokens) -> np.ndarray:
    """`(c,)` logarithm of the number of distinct orders of each crystal's sites, n! / prod(m!) over m equal ones."""
    out = np.zeros(len(tokens))
    for i, sites in enumerate(_sites(tokens)):
        out[i] = math.lgamma(len(sites) + 1) - sum(math.lgamma(m + 1) for m in Counter(sites).values())
    return out


def count_multisets(tokens: Tokens, vocabulary: Vocabulary) -> np.ndarray:
    """`(c,)` int number of distinct multisets among the equivalent representations of each crystal."""
    tables = variants(vocabulary)
    out = np.zeros(len(tokens), np.int64)
    for i in range(len(tokens)):
        count = int(tables.count[tokens.number[i]])
        images = apply_variant(tables, tokens.take(np.full(count, i)), np.arange(count))
        out[i] = len({tuple(sorted(sites)) for sites in _sites(images)})
    return out


def exact_multiset(
    params: dict, options: NetworkOptions, tokens: Tokens, *, stopped: np.ndarray | None = None
) -> np.ndarray:
    """`(c,)` exact log-probability of each multiset given its space group, by all orders; crystals of few sites.

    Raises:
        InputError: a crystal has more than `EXACT_SITES` sites.
    """
    tokens = jax.tree.map(np.asarray, tokens)
    num = tokens.mask.sum(axis=1)
    if num.max(initial=0) > EXACT_SITES:
        raise InputError(
            f"a crystal of {int(num.max())} sites has too many orders; at most {EXACT_SITES} sites are taken"
        )
    width = tokens.mask.shape[1]
    orders = [np.array(list(itertools.permutations(range(n)))).reshape(math.factorial(n), n) for n in num]
    rank = np.concatenate(
        [np.concatenate([o, np.tile(np.arange(n, width), (len(o), 1))], 1) for n, o in zip(num, orders)]
    )
    rows = np.repeat(np.arange(len(num)), [len(o) for o in orders])
    values = log_likelihood(
        params,
        options,
        tokens.take(rows),
        rank.astype(np.int64),
        stopped=None if stopped is None else np.asarray(stopped)[rows],
    )
    sums = np.array([np.logaddexp.reduce(values[rows == i]) for i in range(len(num))])
    # all n! orders count each distinct one as often as equal sites can be exchanged
    return sums + count_orders(tokens) - np.array([math.lgamma(n + 1) for n in num])


def _sites(tokens: Tokens) -> list[list[tuple[Any, ...]]]:
    """Sites of each crystal as triples of tokens."""
    fields = np.stack([tokens.element, tokens.site, tokens.enum], axis=-1)
    return [
        [tuple(site) for site in row[real].tolist()] for row, real in zip(fields, np.asarray(tokens.mask), strict=True)
    ]
