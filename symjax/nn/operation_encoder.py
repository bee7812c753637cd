"""Embeddings of operations, invariant under rigid motions of the frame.

An operation is read relative to its frame (columns A, origin o): the components `A^-1 R A` and the translation
`A^-1 (t + (R - 1) o)` modulo the lattice. Both stay the same when operation and frame are conjugated by one rigid motion
(Q, s), proper or improper, so everything computed from them is equivariant under conjugation: moving the frame moves no
logit. Together they determine the operation, so nothing is lost.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

Array = Any
HARMONICS = (1, 2, 3, 4, 6)  # resolve translations in 1/2, 1/3, 1/4 and 1/6 of a cell edge


class OperationInputs(NamedTuple):
    """v operations of two frames as a network reads them.

    Attributes:
      R: (v, 3, 3) orthogonal rotation parts.
      t: (v, 3) translations in the units of the frame.
      frame: (v,) which frame an operation belongs to.
      A: (2, 3, 3) frame basis as columns.
      o: (2, 3) origin of each frame.
      kind: (v,) int32 class of the operation (rotation kind and intrinsic translation), invariant under rigid motions.
    """

    R: Array
    t: Array
    frame: Array
    A: Array
    o: Array
    kind: Array


def relative_features(ops: OperationInputs, num_kinds: int) -> Array:
    """`(v, 45 + num_kinds)` features that determine an operation relative to its frame; see the module docstring."""
    A, o = ops.A[ops.frame], ops.o[ops.frame]
    inverse = jnp.linalg.inv(ops.A)[ops.frame]
    W = jnp.einsum("vij,vjk,vkl->vil", inverse, ops.R, A)
    w = jnp.einsum("vij,vj->vi", inverse, ops.t + jnp.einsum("vij,vj->vi", ops.R, o) - o)
    angle = 2 * jnp.pi * w[:, :, None] * jnp.asarray(HARMONICS, w.dtype)
    gram = jnp.einsum("vij,vik->vjk", A, A)[:, (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
    kind = jnp.eye(num_kinds, dtype=w.dtype)[ops.kind]
    waves = [f(angle).reshape(len(w), -1) for f in (jnp.cos, jnp.sin)]
    return jnp.concatenate([W.reshape(-1, 9), *waves, gram, kind], axis=-1)


class MLP(nn.Module):
    """Dense layers with SiLU between them and dropout after each hidden one."""

    widths: tuple[int, ...]
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """`(..., d)` to `(..., widths[-1])`."""
        for width in self.widths[:-1]:
            x = nn.silu(nn.Dense(width)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.widths[-1])(x)


class OperationEncoder(nn.Module):
    """One embedding per operation of the vocabulary."""

    dim: int
    num_kinds: int

    @nn.compact
    def __call__(self, ops: OperationInputs) -> Array:
        """`(v, dim)` embeddings."""
        features = relative_features(ops, self.num_kinds)
        hidden = MLP((2 * self.dim, self.dim))(features)
        return nn.LayerNorm()(hidden + MLP((self.dim, self.dim))(nn.silu(hidden)))
