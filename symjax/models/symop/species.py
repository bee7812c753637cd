"""Stage 0: which elements the orbits of a crystal carry.

Owns the canonical order of orbits and the autoregressive prior over the multiset of elements, one per orbit. Orbits are
sorted by rising electronegativity of their element (ties by atomic number), so a multiset has one sequence and the
likelihood is that of the multiset. The network sees only the bag of elements drawn so far and the last of them.
"""

from functools import cache
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from symjax.elements import ELECTRONEGATIVITY, NUM_ELEMENTS
from symjax.nn.element_encoder import BagEncoder, ElementEncoder
from symjax.nn.operation_encoder import MLP

Array = Any
MAX_ORBITS = 20
STOP = 0  # index of "no further orbit" among the NUM_ELEMENTS logits (atomic number 0 does not exist)


@cache
def element_rank() -> np.ndarray:
    """`(NUM_ELEMENTS,)` int32 place of each element in the canonical order, from 1; 0 for padding."""
    negativity = np.where(ELECTRONEGATIVITY > 0, ELECTRONEGATIVITY, 4.5)  # unknown ones (noble gases) come last
    order = np.lexsort((np.arange(1, NUM_ELEMENTS), negativity[1:])) + 1
    rank = np.zeros(NUM_ELEMENTS, np.int32)
    rank[order] = np.arange(1, NUM_ELEMENTS)
    return rank


def canonical_slots(z: np.ndarray, pos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorts the orbits of padded crystals: by element rank, then by position index, padding (z = 0) last.

    Args:
      z: (c, m) atomic numbers.
      pos: (c, m) position indices.

    Returns:
      z and pos in canonical order, (c, m) each; pos is 0 on padding.
    """
    rank = element_rank()[z]
    key = np.where(z > 0, rank * 1000 + pos, 10**6)
    order = np.argsort(key, axis=1, kind="stable")
    z, pos = np.take_along_axis(z, order, 1), np.take_along_axis(pos, order, 1)
    return z, np.where(z > 0, pos, 0)


def bag_of(z: Array, upto: Array | None = None) -> Array:
    """`(b, NUM_ELEMENTS)` float orbit counts of `z (b, m)`, of the first `upto (b,)` slots if given; column 0 is zero."""
    keep = z > 0
    if upto is not None:
        keep = keep & (jnp.arange(z.shape[1]) < upto[:, None])
    return jnp.sum(nn.one_hot(jnp.where(keep, z, 0), NUM_ELEMENTS), 1).at[:, 0].set(0.0)


class SpeciesPrior(nn.Module):
    """Logits of the next element given the bag of those drawn."""

    dim: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, z: Array, step: Array, train: bool = False) -> Array:
        """Next-element logits.

        Args:
          z: (b, m) atomic numbers in canonical order; only the first `step` slots are read.
          step: (b,) number of orbits drawn so far.
          train: whether dropout acts.

        Returns:
          (b, NUM_ELEMENTS) logits; index `STOP` ends the sequence. Elements before the last one in the canonical order,
          STOP at step 0, and anything but STOP at `MAX_ORBITS` are masked.
        """
        table = ElementEncoder(self.dim)()
        bag = bag_of(z, step)
        at = jnp.clip(step - 1, 0, z.shape[1] - 1)
        last = jnp.where(step > 0, jnp.take_along_axis(z, at[:, None], 1)[:, 0], 0)
        repeats = jnp.take_along_axis(bag, last[:, None], 1)[:, 0].astype(jnp.int32)
        h = jnp.concatenate(
            [BagEncoder(self.dim, self.dropout)(table, bag, train), table[last], nn.one_hot(repeats - 1, 9)], -1
        )
        h = MLP((2 * self.dim, self.dim), self.dropout)(h, train)
        keys = nn.Dense(self.dim)(nn.silu(table))
        bias = self.param("bias", nn.initializers.zeros, (NUM_ELEMENTS,))
        logits = h @ keys.T / self.dim**0.5 + bias
        # "the same element again" needs to know how often already: its own logit instead of the shared one
        again = MLP((self.dim, 1), self.dropout)(h, train)
        logits = logits + nn.one_hot(last, NUM_ELEMENTS) * (step > 0)[:, None] * again
        logits = logits.at[:, STOP].set(MLP((self.dim, 1), self.dropout)(h, train)[:, 0])
        return jnp.where(species_mask(last, step), logits, -1e9)


def species_mask(last: Array, step: Array) -> Array:
    """`(b, NUM_ELEMENTS)` what may follow `last (b,)` after `step (b,)` orbits."""
    rank = jnp.asarray(element_rank())
    ordered = rank[None, :] >= rank[last][:, None]
    stop = (jnp.arange(NUM_ELEMENTS) == STOP)[None, :]
    return jnp.where(stop, (step > 0)[:, None], ordered & (step < MAX_ORBITS)[:, None])


def species_nll(logits: Array, z: Array, step: Array) -> Array:
    """`(b,)` minus log-probability (nats) of what follows the first `step` orbits of `z (b, m)`."""
    padded = jnp.pad(z, ((0, 0), (0, 1)))
    target = jnp.take_along_axis(padded, step[:, None], 1)[:, 0]
    logp = nn.log_softmax(logits, -1)
    return -jnp.take_along_axis(logp, target[:, None], 1)[:, 0]
