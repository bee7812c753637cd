"""Embeddings of elements and of bags of elements (order-free)."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from symjax.elements import NUM_ELEMENTS, element_features
from symjax.nn.operation_encoder import MLP

Array = Any
MAX_COUNT = 20  # counts above share the last one-hot entry


class ElementEncoder(nn.Module):
    """One vector per atomic number: a learned part plus a function of chemistry features."""

    dim: int

    @nn.compact
    def __call__(self) -> Array:
        """`(NUM_ELEMENTS, dim)`; row 0 (padding) is zero."""
        learned = self.param("free", nn.initializers.normal(0.1), (NUM_ELEMENTS, self.dim))
        features = jnp.asarray(element_features())
        table = learned + MLP((2 * self.dim, self.dim))(features)
        return table * (jnp.arange(NUM_ELEMENTS) > 0)[:, None]


class BagEncoder(nn.Module):
    """A bag of elements (how many orbits or atoms of each) as one vector."""

    dim: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, table: Array, counts: Array, train: bool = False) -> Array:
        """Encode bags.

        Args:
          table: (NUM_ELEMENTS, d) element vectors.
          counts: (b, NUM_ELEMENTS) non-negative; entry 0 is ignored (its vector is zero).
          train: whether dropout acts.

        Returns:
          (b, dim).
        """
        hidden = nn.silu(nn.Dense(self.dim)(table)) * (jnp.arange(NUM_ELEMENTS) > 0)[:, None]
        counts = counts.at[:, 0].set(0.0)
        present = (counts > 0).astype(hidden.dtype)
        total = jnp.sum(counts, -1, keepdims=True)
        kinds = jnp.sum(present, -1, keepdims=True)
        size = nn.one_hot(jnp.clip(jnp.round(total[:, 0]), 0, MAX_COUNT).astype(jnp.int32), MAX_COUNT + 1)
        parts = [present @ hidden, counts @ hidden / jnp.maximum(total, 1.0), jnp.log1p(counts) @ hidden]
        x = jnp.concatenate([*parts, jnp.log1p(total), kinds / 4.0, size], -1)
        return MLP((self.dim, self.dim), self.dropout)(x, train)
