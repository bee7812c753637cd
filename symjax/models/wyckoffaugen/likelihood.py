"""The exact likelihood of any crystal: bounds over orders of its sites, summed over its equivalent descriptions.

    from symjax.models.wyckoffaugen.likelihood import log_likelihood
    values = log_likelihood(load_weights("weights/wyckoffaugen"), data)

A description of a crystal is its standard cell with an origin and axes; the same crystal has as many as the normalizer of its group
has maps that move its sites. The probability of the crystal is the sum over them, so it does not depend on the description that the
symmetry search chose, nor on the cell, basis or order of atoms of the file. Sites of equal letter and element may stand in any
order; the model gives the probability of one order, and averages over random orders bound the logarithm from below.

Units: nats; bins of the cell parameters are probabilities, coordinates are relative to the uniform density on their shape.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.models.wyckoffaugen.network import constants
from symjax.models.wyckoffaugen.objective import TERMS, log_likelihood_terms, random_rank
from symjax.models.wyckoffaugen.representation import Sites, fits, from_sites, space_groups
from symjax.models.wyckoffaugen.tables import MAX_OPERATIONS
from symjax.models.wyckoffaugen.weights import AugenWeights
from symjax.ops.types import DEN
from symjax.wyckoff.normalizer import normalizer

BATCH = 32
"""Descriptions at a time."""


class LogLikelihood(NamedTuple):
    """Of c crystals.

    Attributes:
        value: (c,) log of the mean over orders, summed over descriptions: the best estimate.
        bound: (c,) mean of the logarithms over orders of the first description: a lower bound of it.
        terms: name -> (c,) parts of `bound`.
        descriptions: (c,) int how many there were.
    """

    value: np.ndarray
    bound: np.ndarray
    terms: dict[str, np.ndarray]
    descriptions: np.ndarray


def descriptions(data: CrystalDataset) -> tuple[Sites, np.ndarray]:
    """All descriptions of the crystals of a data set that differ in the positions of their sites, the given one of each first.

    Returns:
        d descriptions, and (d,) which crystal each is of.
    """
    numbers, lattices = space_groups(data), data.lattices()
    number, L, of, sites = [], [], [], []
    for i in range(len(data)):
        rows = slice(int(data.orbit_start[i]), int(data.orbit_start[i + 1]))
        pos, z, x = (np.asarray(values[rows]) for values in (data.orbit_pos, data.orbit_z, data.orbit_x))
        maps, met = normalizer(int(numbers[i])), set()
        for M, t, permutation in zip(maps.M, maps.t, maps.permutations, strict=True):
            key = tuple(sorted(zip(z.tolist(), permutation[pos].tolist(), strict=True)))
            if key in met:
                continue
            met.add(key)
            number.append(numbers[i])
            L.append(np.linalg.inv(M).T @ lattices[i] * np.sign(np.linalg.det(M)))
            sites.append((permutation[pos], z, x @ M.T + t / DEN))
            of.append(i)
    crystal = np.repeat(np.arange(len(sites)), [len(one[0]) for one in sites])
    pos, z, x = (np.concatenate(values) for values in zip(*sites, strict=True))
    return Sites(np.array(number), np.array(L), crystal, pos, z, x), np.array(of)


def log_likelihood(
    weights: AugenWeights, data: CrystalDataset, *, orders: int = 1, seed: int = 0, num_edges: int = 1024
) -> LogLikelihood:
    """Log-likelihoods of prepared crystals.

    Args:
        weights: of the model.
        data: crystals in standard settings.
        orders: random orders of equal sites that are averaged; 1 suffices where no two sites have letter and element in common.
        seed: of the orders.
        num_edges: slots for the edges of a graph; MP-20 has at most 912.

    Raises:
        InputError: no crystal, orders below 1, or a crystal that the model cannot hold.
    """
    options = weights.options.network
    if orders < 1 or not len(data):
        raise InputError(f"log_likelihood needs at least one crystal and one order, got {len(data)} and {orders}")
    fit = fits(data, options.max_sites, options.max_atoms)
    if not fit.all():
        row = int(np.argmin(fit))
        raise InputError(
            f"crystal {data.ids[row]!r}: more than {options.max_sites} sites or {options.max_atoms} atoms in the "
            f"primitive cell, an element "
            "beyond 100, or a cell outside the model's ranges: it has no likelihood there"
        )
    sites, of = descriptions(data)
    every = from_sites(sites, options.max_sites, options.max_atoms)
    params, consts = jax.tree.map(jnp.asarray, weights.params), constants()
    program = jax.jit(
        lambda batch, jitter: log_likelihood_terms(
            params, consts, options, batch, jax.vmap(random_rank)(batch, jitter), num_edges, MAX_OPERATIONS
        )
    )
    rng = np.random.default_rng(seed)
    terms = {name: np.zeros((orders, len(every))) for name in TERMS}
    for order in range(orders):
        jitter = rng.random((len(every), options.max_sites)).astype(np.float32)
        for start in range(0, len(every), BATCH):
            rows = np.arange(start, min(start + BATCH, len(every)))
            padded = np.resize(rows, BATCH)
            found = program(every.take(padded), jitter[padded])
            for name in TERMS:
                terms[name][order, rows] = np.asarray(found[name])[: len(rows)]
    return _summed(terms, of, len(data))


def _summed(terms: dict[str, np.ndarray], of: np.ndarray, num: int) -> LogLikelihood:
    """Over orders and descriptions."""
    total = np.sum(list(terms.values()), axis=0)
    over_orders = np.logaddexp.reduce(total, axis=0) - np.log(len(total))
    value = np.full(num, -np.inf)
    np.logaddexp.at(value, of, over_orders)
    first = np.unique(of, return_index=True)[1]
    means = {name: values.mean(axis=0)[first] for name, values in terms.items()}
    return LogLikelihood(value, total.mean(axis=0)[first], means, np.bincount(of, minlength=num))
