r"""The exact distribution of a walk that is kept between two sets: dynamic programming over the closed sets between them.

A walk is a Markov chain on closed sets, and sets only grow. Two distributions over the sets of a `SetLattice` are kept apart:

- free: p of the class of conjugate sets that each one belongs to, over everything the walk may do, shared evenly by the sets
  of that class in the lattice. This is the exact likelihood that training bounds from below.
- kept: each step renormalised over what keeps the walk between the bounds, as the sampler does under constraints. A class that
  a step leads to is shared evenly by the operations that lead there. With reach(K) = sum over H < K of reach(H) sum over
  {g : <H, g> = K} p(g | H), p(H) = reach(H) p(STOP | H); these probabilities sum to one.

Sets that no standard setting holds (and that no walk can reach) have no probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symjax.groups.tables import vocabulary
from symjax.models.symop.network import OperationsNet
from symjax.models.symop.sample import step_log_probabilities
from symjax.models.symop.species import MAX_ORBITS
from symjax.models.symop.walk.network import reach_all
from symjax.models.symop.walk.set_lattice import SetLattice
from symjax.models.symop.walk.states import states


@dataclass(frozen=True)
class WalkDistribution:
    """Exact log-probabilities (nats) of the s sets of a `SetLattice`, float64.

    Attributes:
        free: (s,) of ending at each set, walk unconstrained, given the species.
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
    table, size = states(), vocabulary().size
    rows = np.zeros((len(lattice), size), bool)
    rows[:, lattice.operations] = lattice.members
    state = np.array([table.of(row) for row in rows])
    species = np.zeros((1, MAX_ORBITS), np.int32)
    species[0, : len(z)] = z
    step, stop = (one[0] for one in step_log_probabilities(net, params, species))
    log_p = np.append(reach_all(step[None], stop[None], table.next)[0], -np.inf)  # state -1: out of reach
    free = log_p[state] - np.log(np.bincount(state + 1)[state + 1])
    add = _operation_steps(lattice, state, step, table.next)
    end = np.append(stop, -np.inf)[state]
    total = np.logaddexp(np.logaddexp.reduce(add, axis=1, initial=-np.inf), end)
    total = np.where(np.isfinite(total), total, 0.0)
    return WalkDistribution(free=free, kept=_reach(lattice, add - total[:, None]) + end - total)


def _operation_steps(lattice: SetLattice, state: np.ndarray, step: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(s, n) log-probability of adding each operation and staying between the bounds; -inf for all others."""
    add = np.full(lattice.target.shape, -np.inf)
    for i, here in enumerate(state):
        inside = np.flatnonzero(lattice.target[i] >= 0)
        if here < 0 or not len(inside):
            continue
        leads = state[lattice.target[i, inside]]
        for column, to in enumerate(after[here]):
            same = inside[leads == to] if to >= 0 else inside[:0]
            add[i, same] = step[here, column] - np.log(max(len(same), 1))
    return add


def _reach(lattice: SetLattice, add: np.ndarray) -> np.ndarray:
    """(s,) log of the chance to pass each set, from (s, n) log-probabilities of adding each operation."""
    reach = np.full(len(lattice), -np.inf)
    reach[0] = 0.0
    for state in range(len(lattice)):  # by rising size, so all ways into a state come before it
        goes = lattice.target[state] >= 0
        np.logaddexp.at(reach, lattice.target[state][goes], reach[state] + add[state][goes])
    return reach
