r"""The exact distribution of a walk that is kept between two sets: dynamic programming over the closed sets between them.

A walk is a Markov chain on closed sets, and sets only grow. Sorted by size, the chance to reach each one is therefore a finite sum,
    reach(K) = sum over H < K of reach(H) sum over {g : <H, g> = K} p(g | H),      p(H) = reach(H) p(STOP | H),
with the network evaluated once per state. Two normalisations of the same sum are kept apart:

- free: p(. | H) over everything the network may add, as in training. p(H) is then the exact likelihood that training bounds from
  below (`symjax.models.symop.sample.log_bounds`). Operations whose closure leaves the vocabulary count as lost here; the
  sampler draws again instead, so its own chance to end at H is never smaller.
- kept: p(. | H) renormalised at each step over what keeps the walk between the bounds, as the sampler does under constraints.
  These probabilities sum to one over the states.

Dividing the free probabilities by their sum gives the walk *conditioned* on ending between the bounds (Bayes): sets grow, so a walk
that ends below G has never left G.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symjax.groups.tables import vocabulary
from symjax.models.symop.network import OperationsNet
from symjax.models.symop.sample import score_states
from symjax.models.symop.species import MAX_ORBITS
from symjax.models.symop.walk.chains import opened
from symjax.models.symop.walk.set_lattice import SetLattice

_BATCH = 64  # states of one network call
_ROWS = 4096  # states whose logits are held at a time


@dataclass(frozen=True)
class WalkDistribution:
    """Exact log-probabilities (nats) of the s sets of a `SetLattice`, float64.

    Attributes:
        free: (s,) of ending at each set, walk unconstrained, given start and species.
        kept: (s,) of ending at it with each step renormalised between the bounds; sums to one.
    """

    free: np.ndarray
    kept: np.ndarray

    @property
    def conditioned(self) -> np.ndarray:
        """(s,) log-probability of each set for the free walk conditioned on ending between the bounds; sums to one."""
        return self.free - np.logaddexp.reduce(self.free)


def walk_distribution(net: OperationsNet, params: Any, lattice: SetLattice, z: np.ndarray) -> WalkDistribution:
    """Exact probabilities of every closed set between the bounds of `lattice`.

    Args:
        net, params: the trained walk.
        lattice: states; its first one is where the walk starts.
        z: (m,) atomic numbers of the orbits that the network is conditioned on, in any order, padding 0.
    """
    return walk_distributions(net, params, [(lattice, z)])[0]


def walk_distributions(
    net: OperationsNet, params: Any, cases: Sequence[tuple[SetLattice, np.ndarray]]
) -> list[WalkDistribution]:
    """The same for many pairs of a lattice and elements; the network sees the states of all of them in full batches."""
    found: list[WalkDistribution] = []
    first = 0
    while first < len(cases):
        last, rows = first, 0
        while last < len(cases) and (last == first or rows + len(cases[last][0]) <= _ROWS):
            rows += len(cases[last][0])
            last += 1
        part = cases[first:last]
        for (lattice, _), (add, stop) in zip(part, _log_probabilities(net, params, part), strict=True):
            kept_add, kept_stop = _renormalised(lattice, add, stop)
            free, kept = _reach(lattice, add) + stop, _reach(lattice, kept_add) + kept_stop
            found.append(WalkDistribution(free=free, kept=kept))
        first = last
    return found


def _reach(lattice: SetLattice, add: np.ndarray) -> np.ndarray:
    """(s,) log of the chance to pass each set, from (s, n) log-probabilities of adding each operation."""
    reach = np.full(len(lattice), -np.inf)
    reach[0] = 0.0
    for state in range(len(lattice)):  # by rising size, so all ways into a state come before it
        goes = lattice.target[state] >= 0
        np.logaddexp.at(reach, lattice.target[state][goes], reach[state] + add[state][goes])
    return reach


def _renormalised(lattice: SetLattice, add: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step probabilities over what stays between the bounds."""
    inside = np.where(lattice.target >= 0, add, -np.inf)
    total = np.logaddexp(np.logaddexp.reduce(inside, axis=1, initial=-np.inf), stop)
    return inside - total[:, None], stop - total


def _log_probabilities(
    net: OperationsNet, params: Any, cases: Sequence[tuple[SetLattice, np.ndarray]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each case (s, n) of adding each operation and (s,) of stopping: the network as trained."""
    size, first = vocabulary().size, np.cumsum([0] + [len(lattice) for lattice, _ in cases])
    members, z = np.zeros((first[-1], size), bool), np.zeros((first[-1], MAX_ORBITS), np.int32)
    for (lattice, species), start in zip(cases, first):
        rows = slice(start, start + len(lattice))
        members[rows, lattice.operations] = lattice.members
        z[rows, : len(species)] = species
    states, where = np.unique(opened(members), axis=0, return_inverse=True)
    add, stop = np.zeros(members.shape), np.zeros(len(members))
    for start in range(0, len(members), _BATCH):
        rows = np.minimum(np.arange(start, start + _BATCH), len(members) - 1)  # the last ones repeated
        here, at = np.unique(where.ravel()[rows], return_inverse=True)
        candidate, end, norm, _ = score_states(net, params, states[here], at.ravel(), z[rows])
        norm = np.asarray(norm, np.float64)
        add[rows], stop[rows] = np.asarray(candidate, np.float64) - norm[:, None], np.asarray(end, np.float64) - norm
    for (lattice, _), start in zip(cases, first):
        rows = slice(start, start + len(lattice))
        yield add[rows][:, lattice.operations], stop[rows]
