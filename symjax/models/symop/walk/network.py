r"""Stage 1: the learned walk up the subgroup lattice, without axes, frame or label.

State: a class of conjugate closed sets H, at first the identity alone (`symjax.models.symop.walk.states`). One step scores
every class that one more operation leads to, and STOP; so every state is a group. What a set looks like to the network is
worked out from its operations alone: each operation g gathers its pairs with the members h, x_g = mean_h e(class of (h, g
h^-1)), and the set is the mean over its members. The classes are invariants of conjugation, so another description of the same
operations gives the same logits exactly, with any weights, and STOP cannot know whether a set is a tabulated setting.

Likelihood: for a random chain H_0 < ... < H_n = G that adds uniformly drawn missing operations, with q(K | H) the share of the
missing operations whose closure with H is of class K,
log p(G) >= E[sum_i (log p(K_i | H_{i-1}) - log q(K_i | H_{i-1})) + log p(STOP | G)].
`class_log_probabilities` gives the exact value: classes rise in order along every step, so the sum over all ways is finite.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from symjax.models.symop.species import bag_of
from symjax.models.symop.walk.classes import features_of
from symjax.models.symop.walk.states import SetContexts, states
from symjax.nn.element_encoder import BagEncoder, ElementEncoder
from symjax.nn.operation_encoder import MLP

Array = Any
MASKED = -1e9


class WalkInputs(NamedTuple):
    """The c classes of closed sets as the network reads them.

    Attributes:
      features: (k, f) float32 of the classes of operations; pair_features: (p, f') float32 of their pairs.
      contexts: of the classes of sets.
      next: (c, e) int32 classes that one more operation leads to, padding -1.
    """

    features: Array
    pair_features: Array
    contexts: SetContexts
    next: Array


class WalkOutput(NamedTuple):
    """What the network says about b states.

    Attributes:
      next: (b, e) logits of the classes that one more operation leads to; masked on padding.
      stop: (b,) logit of stopping.
    """

    next: Array
    stop: Array


def walk_inputs() -> WalkInputs:
    """All classes (numpy)."""
    table = states()
    pairs = np.concatenate([features_of(half) for half in np.split(table.pairs, 2, axis=1)], 1)
    return WalkInputs(features_of(table.operations), pairs, table.contexts, table.next)


class WalkNet(nn.Module):
    """Classes of sets are embedded from their operations; a step scores the sets that it leads to against set and elements."""

    dim: int
    quotient_dim: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, inputs: WalkInputs, state: Array, z: Array, *, train: bool = False) -> WalkOutput:
        """Score the next step of b walks.

        Args:
          inputs: all classes.
          state: (b,) int32 class on which each walk stands.
          z: (b, m) atomic numbers of the orbits, 0 padding; their order does not matter.
          train: whether dropout acts.
        """
        # sets from operations, operations from their pairs with the members
        embedding = MLP((self.dim, self.dim), name="classes")(inputs.features)
        pairs = MLP((self.dim, self.quotient_dim), name="pairs")(inputs.pair_features)
        contexts = inputs.contexts
        x = jnp.einsum("ctj,ctjd->ctd", contexts.weight, pairs[contexts.pair])
        hidden = nn.silu(nn.Dense(self.dim)(x) + nn.Dense(self.dim)(embedding)[contexts.own])
        hidden = nn.silu(nn.Dense(self.dim)(hidden))
        pooled = jnp.einsum("ct,ctd->cd", contexts.share, hidden)
        sets = MLP((2 * self.dim, self.dim), name="sets")(jnp.concatenate([pooled, contexts.log_order[:, None]], -1))
        sets = nn.LayerNorm()(sets)
        # where each walk stands, and for which elements
        species = BagEncoder(self.dim, self.dropout, name="species")(ElementEncoder(self.dim)(), bag_of(z), train)
        here = jnp.concatenate([sets[state], nn.silu(species)], -1)
        here = nn.LayerNorm()(MLP((2 * self.dim, self.dim), self.dropout, name="here")(here, train))
        stop = MLP((self.dim, 1), self.dropout, name="stop")(here, train)[:, 0]
        # the sets that one more operation would make
        after = inputs.next[state]
        query = MLP((self.dim, self.dim), self.dropout, name="query")(here, train)
        scores = jnp.einsum("bd,bed->be", query, nn.Dense(self.dim, name="keys")(sets)[after]) / self.dim**0.5
        mixed = nn.Dense(self.dim, name="after")(sets)[after] + nn.Dense(self.dim, name="before")(here)[:, None]
        scores = scores + nn.Dense(1, name="score")(nn.silu(mixed))[..., 0]
        return WalkOutput(jnp.where(after >= 0, scores, MASKED), stop)


def log_steps(out: WalkOutput) -> tuple[Array, Array]:
    """`(b, e)` log-probabilities of the next class, and `(b,)` of stopping."""
    logp = nn.log_softmax(jnp.concatenate([out.next, out.stop[:, None]], -1), -1)
    return logp[:, :-1], logp[:, -1]


def step_nll(out: WalkOutput, missing: Array) -> Array:
    r"""`(b,)` one term of the bound (nats).

    The divergence of the next class from the share of the missing operations, or minus log p(STOP).

    Args:
      out: network output at H.
      missing: (b, e) number of operations of G \\ H whose closure with H is of each next class; all zero at G.
    """
    step, stop = log_steps(out)
    count = jnp.sum(missing, -1, keepdims=True)
    share = missing / jnp.maximum(count, 1.0)
    add = jnp.sum(jnp.where(missing > 0, share * (jnp.log(jnp.maximum(share, 1e-30)) - step), 0.0), -1)
    return jnp.where(count[:, 0] > 0, add, -stop)


def reach_all(step: np.ndarray, stop: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`(b, c)` exact log-probability of ending at each class.

    Args:
      step: (b, c, e) log-probabilities of the next classes; stop: (b, c) of stopping.
      after: (c, e) the next classes, padding -1.
    """
    reach = np.zeros(stop.shape)
    reach[:, 0] = 1.0
    chance = np.exp(step)
    for state in range(stop.shape[1]):  # orders rise along every step, so all ways into a class come before it
        to = after[state][after[state] >= 0]
        reach[:, to] += reach[:, state, None] * chance[:, state, : len(to)]
    return np.log(np.maximum(reach, 1e-300)) + stop


def unpack(packed: Array, rows: Array, size: int) -> Array:
    """`(b, size)` float32 sets from `numpy.packbits` rows."""
    bits = packed[rows][..., None] >> jnp.arange(7, -1, -1, dtype=jnp.uint8)
    return (bits & 1).reshape(len(rows), -1)[:, :size].astype(jnp.float32)
