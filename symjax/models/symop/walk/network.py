r"""Stage 1: the learned walk up the subgroup lattice, in any axes.

State: a closed set H of operations, at first the identity alone. One step gives a logit per candidate operation outside H
and one for STOP; the chosen operation is added and the set closed, so every state is a group. No frame and no label is
drawn: as long as the set is the identity alone, candidates of both reference frames of the vocabulary stand beside each
other, and the first operation settles it.

Equivariance: operations are read through `symjax.models.symop.walk.contexts` only, the classes of single operations and of
pairs (h, g h^-1) under every change of axes and origin that keeps the frame's lattice. So conjugating H conjugates the
logits, exactly and with any weights: STOP cannot know whether a set is a tabulated setting or another description of it.

Likelihood: for a random chain H_0 < ... < H_n = G that adds uniformly drawn missing operations,
log p(G) >= E[sum_i (log p(g_i | H_{i-1}) + log |G \\ H_{i-1}|) + log p(STOP | G)].
The target at H_k is therefore uniform over G \\ H_k, and STOP at G.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from symjax.models.symop.species import bag_of
from symjax.models.symop.walk.classes import operation_classes
from symjax.models.symop.walk.contexts import Contexts
from symjax.nn.element_encoder import BagEncoder, ElementEncoder
from symjax.nn.operation_encoder import MLP

Array = Any
MASKED = -1e9


class WalkOutput(NamedTuple):
    """What the network says about b states.

    Attributes:
      candidate: (b, t) logits of adding one operation of each context; masked where a context has no candidates.
      stop: (b,) logit of stopping.
    """

    candidate: Array
    stop: Array


class WalkNet(nn.Module):
    """Every operation g gathers what its quotients with the members h are, x_g = mean_h e(class of (h, g h^-1)).

    A set is summarised by its members' x; a candidate is scored from its own x (the coset g H^-1 that it would bring) against the
    summary and the elements.
    """

    dim: int
    quotient_dim: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, features: tuple[Array, Array], contexts: Contexts, z: Array, *, train: bool = False
    ) -> WalkOutput:
        """Score the next step of b walks.

        Args:
          features: of the classes of operations and of pairs (`class_features`).
          contexts: of b sets.
          z: (b, m) atomic numbers of the orbits, 0 padding; their order does not matter.
          train: whether dropout acts.
        """
        species = BagEncoder(self.dim, self.dropout, name="species")(ElementEncoder(self.dim)(), bag_of(z), train)
        # classes are embedded once
        embedding = MLP((self.dim, self.dim), name="classes")(features[0])
        pairs = MLP((self.dim, self.quotient_dim), name="pairs")(features[1])
        x = jnp.einsum("btj,btjd->btd", contexts.weight, pairs[contexts.pair])
        hidden = nn.silu(nn.Dense(self.dim)(x) + nn.Dense(self.dim)(embedding)[contexts.own])
        # the set, with the elements
        pooled = jnp.einsum("bt,btd->bd", contexts.members, hidden)
        context = jnp.concatenate([pooled, contexts.log_order[:, None], nn.silu(species)], -1)
        context = MLP((2 * self.dim, self.dim), self.dropout, name="context")(context, train)
        context = nn.LayerNorm()(context)
        stop = MLP((self.dim, 1), self.dropout, name="stop")(context, train)[:, 0]
        # the candidates against it
        query = MLP((self.dim, self.dim), self.dropout, name="query")(context, train)
        mixed = nn.Dense(self.dim)(hidden)
        scores = jnp.einsum("bd,btd->bt", query, mixed) / self.dim**0.5
        scores = scores + nn.Dense(1)(nn.silu(mixed + nn.Dense(self.dim)(context)[:, None]))[..., 0]
        return WalkOutput(jnp.where(contexts.candidates > 0, scores, MASKED), stop)


def class_features() -> tuple[np.ndarray, np.ndarray]:
    """Features of the classes of operations and of pairs (numpy, float32)."""
    classes = operation_classes()
    return classes.features, classes.pair_features


def log_normaliser(out: WalkOutput, contexts: Contexts) -> Array:
    """`(b,)` log of the sum over all operations that may be added, and the stop."""
    weight = jnp.log(jnp.maximum(contexts.candidates, 1e-30))
    every = jnp.concatenate([out.candidate + weight, out.stop[:, None]], -1)
    return nn.logsumexp(every, -1)


def settle(members: Array, drawn: Array, identity: Array) -> Array:
    """`(b, v)` bool sets without the other frame's identity, once an operation `drawn (b,)` of a frame is added."""
    second = jnp.arange(members.shape[-1]) >= identity[1]
    return members & (second[None] == (drawn >= identity[1])[:, None])


def step_nll(out: WalkOutput, contexts: Contexts, missing: Array) -> Array:
    r"""`(b,)` one term of the bound: minus log p(next) minus log |G \\ H|, averaged over the uniform target (nats).

    Args:
      out: network output at H, of these contexts.
      contexts: of H.
      missing: (b, t) number of operations of G \\ H in each context.
    """
    norm = log_normaliser(out, contexts)
    count = jnp.sum(missing, -1)
    chosen = jnp.sum(missing * jnp.where(missing > 0, out.candidate, 0.0), -1) / jnp.maximum(count, 1.0)
    add = norm - chosen - jnp.log(jnp.maximum(count, 1.0))
    return jnp.where(count > 0, add, norm - out.stop)


def unpack(packed: Array, rows: Array, size: int) -> Array:
    """`(b, size)` float32 sets from `numpy.packbits` rows."""
    bits = packed[rows][..., None] >> jnp.arange(7, -1, -1, dtype=jnp.uint8)
    return (bits & 1).reshape(len(rows), -1)[:, :size].astype(jnp.float32)
