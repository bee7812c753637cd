"""Exact log-likelihood of structure types: species, frame and operations, sites (the discrete half of `symop`).

Every factor is exact: species and sites are autoregressive over a canonical order, and the walk is summed over all its ways
(`symjax.models.symop.sample.class_log_probabilities`), over every description of the type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.errors import InputError
from symjax.groups.tables import enantiomorph
from symjax.models.symop.network import OperationsNet
from symjax.models.symop.sample import SET_BLOCK, class_log_probabilities, encode_sites, pad_rows, site_logits
from symjax.models.symop.sites.balance import balance_rows
from symjax.models.symop.sites.network import site_nll, site_table
from symjax.models.symop.species import MAX_ORBITS, canonical_slots, species_nll
from symjax.models.symop.walk.chains import MAX_OPS
from symjax.models.symop.walk.states import states
from symjax.wyckoff.set_table import pad_table, standard_numbers
from symjax.wyckoff.types import MAX_POSITIONS

Array = Any
_BATCH = 64


@dataclass(frozen=True)
class TypeLikelihood:
    """Log-probabilities (nats) of b structure types, (b,) float64 each.

    Attributes:
        species: of the elements, one for each orbit.
        walk: of the space-group type of the operations, in any description, given the elements.
        sites: of the positions given both.
    """

    species: np.ndarray
    walk: np.ndarray
    sites: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(b,) of the structure type."""
        return self.species + self.walk + self.sites


def type_likelihood(net: OperationsNet, params: Any, types: StructureTypes) -> TypeLikelihood:
    """Exact log-likelihoods, whatever order the orbits stand in.

    Args:
        net, params: the discrete half.
        types: at most `MAX_ORBITS` orbits each.

    Raises:
        InputError: a structure type has more orbits; the message names its row.
    """
    if (large := types.orbit_mask.sum(1) > MAX_ORBITS).any():
        row = int(np.argmax(large))
        raise InputError(f"row {row}: {int(types.orbit_mask[row].sum())} orbits, symop draws at most {MAX_ORBITS}")
    z, pos = canonical_slots(types.z, types.pos)
    width = MAX_ORBITS - z.shape[1]
    z, pos = (np.pad(a[:, :MAX_ORBITS], ((0, 0), (0, max(width, 0)))) for a in (z, pos))
    return TypeLikelihood(
        species=_species(net, params, z), walk=_walks(net, params, types, z), sites=_sites(net, params, types, z, pos)
    )


def _species(net: OperationsNet, params: Any, z: np.ndarray) -> np.ndarray:
    """(b,) sum over the slots and the final STOP; equal rows are worked out once."""
    unique, inverse = np.unique(z, axis=0, return_inverse=True)
    count = (unique > 0).sum(1)
    row, step = np.nonzero(np.arange(MAX_ORBITS + 1) <= count[:, None])
    nll = _in_batches(lambda r, s: _species_terms(net, params, unique[r], s), row, step)
    return -np.bincount(row, weights=nll, minlength=len(unique))[inverse.ravel()]


@partial(jax.jit, static_argnames=("net",))
def _species_terms(net: OperationsNet, params: Any, z: Array, step: Array) -> Array:
    return species_nll(net.apply(params, z, step, method="species_logits"), z, step)


def _walks(net: OperationsNet, params: Any, types: StructureTypes, z: np.ndarray) -> np.ndarray:
    """(b,) of the type of each set: all classes that describe it, an enantiomorph half of what it shares with its other."""
    numbers, table = standard_numbers(types.sets), states()
    unique, inverse = np.unique(np.sort(z, 1), axis=0, return_inverse=True)
    log_p = class_log_probabilities(net, params, unique)[inverse.ravel()]
    wanted = numbers[types.set_index]
    result = np.zeros(len(z))
    for number in np.unique(wanted):
        rows, both = wanted == number, enantiomorph(int(number)) != number
        classes = table.of_types(np.array([number]))
        result[rows] = np.logaddexp.reduce(log_p[rows][:, classes], axis=1) - np.log(2) * both
    return result


def _sites(net: OperationsNet, params: Any, types: StructureTypes, z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """(b,) sum over the slots."""
    sets = pad_table(
        types.sets, max(MAX_OPS, types.sets.mask.shape[1]), max(MAX_POSITIONS, types.sets.pos_mask.shape[1])
    )
    table = site_table(sets)
    padded = jax.tree.map(lambda a: jnp.asarray(pad_rows(a, SET_BLOCK)), table)
    encoded = encode_sites(net, params, padded)
    atoms = table.mult[types.set_index[:, None], pos] * (z > 0)
    row, step = np.nonzero(z > 0)

    def terms(r: np.ndarray, s: np.ndarray) -> Array:
        before = atoms[r] * (np.arange(MAX_ORBITS) < s[:, None])
        slot = {
            "set": types.set_index[r],
            "z": z[r],
            "pos": pos[r],
            "step": s.astype(np.int32),
            "balance": balance_rows(z[r], before, s).astype(np.float32),
        }
        return site_nll(site_logits(net, params, encoded, padded, slot), pos[r], s)

    nll = _in_batches(terms, row, step)
    return -np.bincount(row, weights=nll, minlength=len(z))


def _in_batches(function: Any, row: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Values of a function of (row, step) pairs, called with `_BATCH` of them at a time (the last ones repeated)."""
    parts = []
    for first in range(0, len(row), _BATCH):
        r, s = row[first : first + _BATCH], step[first : first + _BATCH]
        extra = _BATCH - len(r)
        r, s = np.concatenate([r, np.repeat(r[-1:], extra)]), np.concatenate([s, np.repeat(s[-1:], extra)])
        parts.append(np.asarray(function(r, s), np.float64)[: _BATCH - extra])
    return np.concatenate(parts)
