r"""The exact distribution of a walk that is kept between two sets: dynamic programming over the closed sets between them.

A walk is a Markov chain on closed sets, and sets only grow. Sorted by size, the chance to reach each one is therefore a finite sum,
    reach(K) = sum over H < K of reach(H) sum over {g : <H, g> = K} p(g | H),      p(H) = reach(H) p(STOP | H),
with the network evaluated once per state. Two normalisations of the same sum are kept apart:

- free: p(. | H) over everything the network may add, as in training. p(H) is then the exact probability that the unconstrained walk
  ends at H (`symjax.models.symop.sampling.log_bounds` bounds it from below).
- kept: p(. | H) renormalised at each step over what keeps the walk between the bounds, as the sampler does under constraints.
  These probabilities sum to one over the states.

Dividing the free probabilities by their sum gives the walk *conditioned* on ending between the bounds (Bayes): sets grow, so a walk
that ends below G has never left G.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from symjax.groups.tables import vocabulary
from symjax.models.symop.network import OperationsNet
from symjax.models.symop.sampling import walk_constants
from symjax.models.symop.set_lattice import SetLattice
from symjax.models.symop.species import MAX_ORBITS

Array = Any
_BATCH = 64


@dataclass(frozen=True)
class WalkDistribution:
    """Exact log-probabilities (nats) of the s sets of a `SetLattice`, float64.

    Attributes:
        free: (s,) of ending at each set, walk unconstrained, given start, species and frame.
        kept: (s,) of ending at it with each step renormalised between the bounds; sums to one.
        frame: log-probability of the frame given the species (no part of the other two).
    """

    free: np.ndarray
    kept: np.ndarray
    frame: float

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
    add, stop, frame = _log_probabilities(net, params, lattice, z)
    kept_add, kept_stop = _renormalised(lattice, add, stop)
    free, kept = _reach(lattice, add) + stop, _reach(lattice, kept_add) + kept_stop
    return WalkDistribution(free=free, kept=kept, frame=float(frame))


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
    net: OperationsNet, params: Any, lattice: SetLattice, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(s, n) of adding each allowed operation, (s,) of stopping, () of the frame: the network as it was trained."""
    vocab = vocabulary()
    padded = np.zeros(MAX_ORBITS, np.int32)
    padded[: len(z)] = z
    frame = int(vocab.frame[lattice.operations[0]])
    members = np.zeros((len(lattice), vocab.size), np.float32)
    members[:, lattice.operations] = lattice.members
    constants = walk_constants()[:2]
    parts = []
    for first in range(0, len(members), _BATCH):
        rows = members[first : first + _BATCH]
        rows = np.concatenate([rows, np.repeat(rows[-1:], _BATCH - len(rows), 0)])
        parts.append([np.asarray(part, np.float64) for part in _logits(net, params, constants, rows, frame, padded)])
    candidate, stop, frames = (np.concatenate(part)[: len(members)] for part in zip(*parts, strict=True))
    total = np.logaddexp(np.logaddexp.reduce(candidate, axis=1), stop)
    of_frame = frames[0] - np.logaddexp.reduce(frames[0])
    return candidate[:, lattice.operations] - total[:, None], stop - total, of_frame[frame]


@partial(jax.jit, static_argnames=("net",))
def _logits(
    net: OperationsNet, params: Any, constants: tuple, members: Array, frame: Array, z: Array
) -> tuple[Array, Array, Array]:
    ops, pair = constants
    b = len(members)
    out = net.apply(
        params, ops, pair, members, jnp.full(b, frame), jnp.broadcast_to(z, (b, len(z))), method="walk_output"
    )
    return out.candidate, out.stop, nn.log_softmax(out.frame, -1)
