r"""Stage 1: the learned walk up the subgroup lattice, and the membership head.

State: a frame and a closed set H of vocabulary operations. One step gives a logit per candidate operation outside H and one
for STOP; the chosen operation is added and the set closed, so every state is a group. The network reads operations as
Euclidean motions (R, t) relative to a movable frame (A, o); see `symjax.nn.operation_encoder` for why its logits are
equivariant under conjugation by any rigid motion.

Likelihood: for a random chain H_0 < ... < H_n = G that adds uniformly drawn missing operations,
log p(G) >= E[log p(frame) + sum_i (log p(g_i | H_{i-1}) + log |G \\ H_{i-1}|) + log p(STOP | G)].
The target at H_k is therefore uniform over G \\ H_k, and STOP at G.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from symjax.groups.tables import vocabulary
from symjax.lattice import FRAMES
from symjax.models.symop.species import bag_of
from symjax.models.symop.walk.chains import pair_classes
from symjax.nn.element_encoder import BagEncoder, ElementEncoder
from symjax.nn.operation_encoder import MLP, OperationEncoder, OperationInputs, SetSummary

Array = Any
MASKED = -1e9


class WalkOutput(NamedTuple):
    """What the network says about b states.

    Attributes:
      candidate: (b, v) logits of adding each operation; masked inside H and in the other frame.
      stop: (b,) logit of stopping.
      member: (b, v) logits that an operation belongs to the final set.
      frame: (b, 2) logits of the frame (functions of the species alone).
    """

    candidate: Array
    stop: Array
    member: Array
    frame: Array


def operation_inputs() -> OperationInputs:
    """The vocabulary as Euclidean motions in its two reference frames, origins at zero (numpy, float32)."""
    vocab = vocabulary()
    A = np.asarray(FRAMES, np.float64)
    t = np.einsum("vij,vj->vi", A[vocab.frame], vocab.w / 24.0)
    f32 = np.float32
    return OperationInputs(
        vocab.R.astype(f32), t.astype(f32), vocab.frame, A.astype(f32), np.zeros((2, 3), f32), pair_classes().single
    )


class WalkNet(nn.Module):
    """Two towers: candidates are scored against a summary of the members, plus a bias per class of operation pairs."""

    dim: int
    layers: int
    heads: int
    num_kinds: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, ops: OperationInputs, pair: Array, members: Array, frame: Array, z: Array, *, train: bool = False
    ) -> WalkOutput:
        """Score the next step of b walks.

        Args:
          ops: the v operations.
          pair: (v, v) int32 class of g h^-1.
          members: (b, v) float, 1 for operations in H.
          frame: (b,) int32.
          z: (b, m) atomic numbers of the orbits, 0 padding; their order does not matter.
          train: whether dropout acts.
        """
        species = BagEncoder(self.dim, self.dropout, name="species")(ElementEncoder(self.dim)(), bag_of(z), train)
        frame_logits = MLP((self.dim, 2), self.dropout, name="frame")(nn.silu(species), train)
        embedding = OperationEncoder(self.dim, self.num_kinds, name="operations")(ops)
        context = jnp.concatenate([nn.silu(species), nn.one_hot(frame, 2)], -1)
        summary = SetSummary(self.dim, self.layers, self.heads, self.dropout, name="summary")(
            embedding, members, context, train
        )
        # psi(e_g) and f(summary) for both heads at once; row 0 walks, row 1 predicts membership
        keys = MLP((2 * self.dim, 2 * self.dim), name="keys")(embedding).reshape(-1, 2, self.dim)
        query = MLP((2 * self.dim, 2 * self.dim), self.dropout, name="query")(summary, train).reshape(-1, 2, self.dim)
        scores = jnp.einsum("bcd,vcd->bcv", query, keys) / self.dim**0.5
        bias = self.param("pair_bias", nn.initializers.zeros, (2, self.num_kinds))
        share = members / jnp.sum(members, -1, keepdims=True)
        scores = scores + jnp.einsum("bh,cgh->bcg", share, bias[:, pair])
        stop = MLP((self.dim, 1), self.dropout, name="stop")(summary, train)[:, 0]
        allowed = candidate_mask(ops.frame, members, frame)
        candidate = jnp.where(allowed, scores[:, 0], MASKED)
        return WalkOutput(candidate, stop, jnp.where(allowed, scores[:, 1] - 3.0, MASKED), frame_logits)


def candidate_mask(op_frame: Array, members: Array, frame: Array) -> Array:
    """`(b, v)` operations of the right frame that are not members yet."""
    return (op_frame[None, :] == frame[:, None]) & (members < 0.5)


def step_nll(out: WalkOutput, members: Array, target: Array) -> Array:
    r"""`(b,)` one term of the bound: minus log p(next) minus log |G \\ H|, averaged over the uniform target (nats).

    Args:
      out: network output at H.
      members: (b, v) H.
      target: (b, v) G, a superset of H.
    """
    logp = nn.log_softmax(jnp.concatenate([out.candidate, out.stop[:, None]], -1), -1)
    missing = target * (1.0 - members)
    count = jnp.sum(missing, -1)
    add = -jnp.sum(missing * logp[:, :-1], -1) / jnp.maximum(count, 1.0) - jnp.log(jnp.maximum(count, 1.0))
    return jnp.where(count > 0, add, -logp[:, -1])


def frame_nll(out: WalkOutput, frame: Array) -> Array:
    """`(b,)` minus log-probability of the frame (nats)."""
    return -jnp.take_along_axis(nn.log_softmax(out.frame, -1), frame[:, None], 1)[:, 0]


def membership_bce(out: WalkOutput, target: Array, allowed: Array) -> Array:
    """`(b,)` mean binary cross-entropy (nats) over the candidates that are not members yet."""
    loss = jnp.maximum(out.member, 0) - out.member * target + jnp.log1p(jnp.exp(-jnp.abs(out.member)))
    return jnp.sum(jnp.where(allowed, loss, 0.0), -1) / jnp.maximum(jnp.sum(allowed, -1), 1)


def member_probability(out: WalkOutput, members: Array) -> Array:
    """`(b, v)` probability that each operation belongs to the final set; 1 for members of H, 0 in the other frame."""
    return jnp.where(members > 0.5, 1.0, nn.sigmoid(out.member))


def unpack(packed: Array, rows: Array, size: int) -> Array:
    """`(b, size)` float32 sets from `numpy.packbits` rows."""
    bits = packed[rows][..., None] >> jnp.arange(7, -1, -1, dtype=jnp.uint8)
    return (bits & 1).reshape(len(rows), -1)[:, :size].astype(jnp.float32)
