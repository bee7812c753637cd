"""Stage 2: which position (conjugacy class of stabilizers) each orbit takes, given operations and species.

Slots come in the canonical order of `symjax.models.symop.species` and, within one element, by rising position index, so a
multiset of (element, position) pairs has one sequence. Candidates are described from operations only: pooled embeddings of
the stabilizer, the space it fixes, its point, multiplicity and freedom. Positions without freedom are used at most once.

Counts of atoms are per primitive cell: multiplicities divided by the number of centring translations.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from symjax.elements import NUM_ELEMENTS
from symjax.groups.tables import vocabulary
from symjax.lattice import FRAMES
from symjax.models.symop.sites.balance import MAX_BALANCE
from symjax.models.symop.species import bag_of
from symjax.models.symop.walk.states import states
from symjax.nn.element_encoder import BagEncoder, ElementEncoder
from symjax.nn.operation_encoder import MLP, OperationEncoder, OperationInputs
from symjax.wyckoff.set_table import SetTable

Array = Any
MASKED = -1e9
_HARMONICS = np.array([1, 2, 3, 4])


class SiteTable(NamedTuple):
    """What the sites network reads of s sets with n operations and p positions each (all from operations).

    Attributes:
      vocab: (s, n) int32 vocabulary indices, v on padding.
      stab: (s, p, n) bool stabilizers.
      static: (s, p, f) float32 features of the positions.
      general: (s, 4) float32 features of the set: logs of order, order per primitive cell, centring, number of positions.
      mult: (s, p) float32 multiplicity in the primitive cell.
      dof: (s, p) int32 free coordinates.
      mask: (s, p) bool.
    """

    vocab: Array
    stab: Array
    static: Array
    general: Array
    mult: Array
    dof: Array
    mask: Array


def operation_inputs() -> OperationInputs:
    """The vocabulary as Euclidean motions in its two reference frames, origins at zero (numpy, float32)."""
    vocab = vocabulary()
    A = np.asarray(FRAMES, np.float64)
    t = np.einsum("vij,vj->vi", A[vocab.frame], vocab.w / 24.0)
    f32 = np.float32
    kind = states().operation_class
    return OperationInputs(vocab.R.astype(f32), t.astype(f32), vocab.frame, A.astype(f32), np.zeros((2, 3), f32), kind)


def site_table(sets: SetTable) -> SiteTable:
    """Features of every position of every set (numpy)."""
    ops, centring = np.asarray(sets.mask), sets.num_centrings
    mask, dof = np.asarray(sets.pos_mask), np.asarray(sets.pos_dof)
    order = ops.sum(-1)
    full = np.where(mask, np.asarray(sets.pos_mult), 1)
    mult = full / centring[:, None]
    frames = np.asarray(FRAMES)[np.asarray(sets.frame)]
    directions = np.einsum("sij,spjk->spik", frames, np.asarray(sets.pos_basis, float))
    fixed = directions @ np.linalg.pinv(directions)
    angle = 2 * np.pi * np.asarray(sets.pos_x0)[..., None] * _HARMONICS
    waves = np.concatenate([np.cos(angle), np.sin(angle)], -1).reshape(*mask.shape, -1)
    lowest = np.where(mask, mult, np.inf).min(-1, keepdims=True)
    share = mult / mult.max(-1, keepdims=True)
    static = np.concatenate(
        [
            np.log(mult)[..., None],
            share[..., None],
            np.log(mult / lowest)[..., None],
            np.eye(4)[dof],
            fixed[..., (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)],
            waves,
            (mult[..., None] == np.array([1, 2, 3, 4, 6, 8, 12, 16, 24])).astype(float),
        ],
        -1,
    )
    general = np.stack([np.log(order), np.log(order / centring), np.log(centring), np.log(mask.sum(-1))], -1)
    f32 = np.float32
    return SiteTable(
        np.asarray(sets.vocab, np.int32),
        np.asarray(sets.pos_stab) & mask[..., None],
        np.where(mask[..., None], static, 0).astype(f32),
        general.astype(f32),
        mult.astype(f32),
        dof.astype(np.int32),
        mask,
    )


class SlotState(NamedTuple):
    """What is known when slot `step` is filled, computed from the slots before it (b crystals, p positions).

    Attributes:
      z: (b,) element of the slot.
      left: (b,) slots of this element still to fill, this one included.
      rest: (b,) slots of later elements.
      atoms: (b, NUM_ELEMENTS) atoms placed, per primitive cell.
      occupied: (b, p) orbits on each position.
      same: (b, p) orbits of this element on each position.
      allowed: (b, p) bool candidates.
      mult: (b, p) multiplicities per primitive cell.
    """

    z: Array
    left: Array
    rest: Array
    atoms: Array
    occupied: Array
    same: Array
    allowed: Array
    mult: Array


def slot_state(table: SiteTable, set_index: Array, *, z: Array, pos: Array, step: Array) -> SlotState:
    """State at slot `step (b,)` of `z, pos (b, m)`; positions of that slot and later ones are not read."""
    slots = jnp.arange(z.shape[1])[None, :]
    now = jnp.take_along_axis(z, step[:, None], 1)
    before = (slots < step[:, None]) & (z > 0)
    mask, dof, mult = table.mask[set_index], table.dof[set_index], table.mult[set_index]
    here = nn.one_hot(jnp.where(before, pos, -1), mask.shape[1])  # (b, m, p), zero rows for slots not filled
    occupied = jnp.sum(here, 1)
    same = jnp.sum(here * (z == now)[..., None], 1)
    placed = jnp.einsum("bmp,bp->bm", here, mult)
    atoms = jnp.einsum("bm,bme->be", placed, nn.one_hot(z, NUM_ELEMENTS))
    last = jnp.max(jnp.where(before & (z == now), pos, 0), -1)
    ordered = jnp.arange(mask.shape[1])[None, :] >= last[:, None]
    allowed = mask & ordered & ~((dof == 0) & (occupied > 0))
    later = (slots >= step[:, None]) & (z > 0)
    left = jnp.sum(later & (z == now), -1)
    return SlotState(now[:, 0], left, jnp.sum(later, -1) - left, atoms, occupied, same, allowed, mult)


def _candidate_features(state: SlotState, balance: Array) -> Array:
    """`(b, p, 12)` features of each candidate that depend on what was placed before.

    balance: (b, MAX_BALANCE) 1 where that many atoms of this element (with the finished ones) can be charge neutral.
    """
    have = jnp.take_along_axis(state.atoms, state.z[:, None], 1)
    total = jnp.sum(state.atoms, -1, keepdims=True)
    left, last = state.left[:, None].astype(jnp.float32), (state.rest == 0)[:, None].astype(jnp.float32)

    def balanced(count: Array) -> Array:
        at = jnp.clip(jnp.round(count), 0, MAX_BALANCE - 1).astype(jnp.int32)
        return jnp.take_along_axis(balance, at, 1) * (count < MAX_BALANCE - 0.5)

    after = have + state.mult
    final = (left == 1).astype(jnp.float32)
    ones = jnp.ones_like(state.mult)
    features = [
        state.occupied,
        state.same,
        jnp.log(after),
        jnp.log(after + total - have) - jnp.log(total + 1.0),
        jnp.log(after) - jnp.log(jnp.maximum(total - have, 0.5)),
        balanced(after) * final * last,
        (1.0 - balanced(after)) * final * last,
        balanced(after) * ones,
        balanced(have + left * state.mult),
        balanced(have + left * state.mult) * last,
        state.mult / jnp.maximum(have, 0.5) * (have > 0),
        last * ones,
    ]
    return jnp.stack(features, -1)


class SitesNet(nn.Module):
    """Logits of the positions for one slot."""

    dim: int
    num_kinds: int
    dropout: float = 0.0

    def setup(self) -> None:
        """Declare the parts; positions and slots are encoded separately so that sampling can keep the former."""
        self.operations = OperationEncoder(self.dim // 2, self.num_kinds)
        self.position = MLP((2 * self.dim, self.dim))
        self.whole = MLP((self.dim, self.dim))
        self.elements = ElementEncoder(self.dim)
        self.bag_all = BagEncoder(self.dim // 2, self.dropout)
        self.bag_rest = BagEncoder(self.dim // 2, self.dropout)
        self.bag_atoms = BagEncoder(self.dim // 2, self.dropout)
        self.context = MLP((2 * self.dim, 2 * self.dim), self.dropout)
        self.dynamic = nn.Dense(self.dim)
        self.pair = nn.Dense(self.dim)
        self.hidden = nn.Dense(self.dim)
        self.drop = nn.Dropout(self.dropout)
        self.out = nn.Dense(1)

    def encode(self, ops: OperationInputs, table: SiteTable) -> tuple[Array, Array]:
        """`(s, p, dim)` vectors of positions and `(s, dim)` of sets."""
        embedding = self.operations(ops)
        embedding = jnp.concatenate([embedding, jnp.zeros_like(embedding[:1])])[table.vocab]
        stab = jnp.asarray(table.stab, embedding.dtype)
        pooled = jnp.einsum("spn,snd->spd", stab, embedding) / jnp.maximum(jnp.sum(stab, -1, keepdims=True), 1.0)
        real = (table.vocab < len(ops.frame)).astype(embedding.dtype)
        mean = jnp.einsum("sn,snd->sd", real, embedding) / jnp.sum(real, -1, keepdims=True)
        whole = self.whole(jnp.concatenate([mean, jnp.asarray(table.general)], -1))
        spread = jnp.broadcast_to(whole[:, None], pooled.shape[:2] + whole.shape[-1:])
        return self.position(jnp.concatenate([pooled, jnp.asarray(table.static), nn.silu(spread)], -1)), whole

    def slot(
        self, positions: Array, whole: Array, *, state: SlotState, z: Array, step: Array, balance: Array, train: bool
    ) -> Array:
        """`(b, p)` masked logits.

        Args:
          positions: (b, p, dim) of each crystal's set, from `encode`.
          whole: (b, dim).
          state: of the slot.
          z: (b, m) atomic numbers in canonical order.
          step: (b,) the slot.
          balance: (b, MAX_BALANCE) float, see `_candidate_features`.
          train: whether dropout acts.
        """
        elements = self.elements()
        later = jnp.where(jnp.arange(z.shape[1])[None, :] > step[:, None], z, 0)
        filled = jnp.einsum("bp,bpd->bd", state.occupied, positions) / jnp.maximum(step, 1)[:, None]
        mine = jnp.einsum("bp,bpd->bd", state.same, positions)
        have = jnp.take_along_axis(state.atoms, state.z[:, None], 1)
        total = jnp.sum(state.atoms, -1, keepdims=True)
        context = jnp.concatenate(
            [
                elements[state.z],
                whole,
                filled,
                mine,
                self.bag_all(elements, bag_of(z), train),
                self.bag_rest(elements, bag_of(later), train),
                self.bag_atoms(elements, state.atoms, train),
                jnp.log1p(have),
                jnp.log1p(total),
                nn.one_hot(state.left, 10),
                nn.one_hot(state.rest, 10),
                balance[:, :32],
            ],
            -1,
        )
        context = self.context(context, train)
        add, dot = jnp.split(context, 2, -1)
        h = positions + self.dynamic(_candidate_features(state, balance)) + add[:, None]
        h = self.drop(nn.silu(h), deterministic=not train)
        h = self.drop(nn.silu(self.hidden(h)), deterministic=not train)
        logits = self.out(h)[..., 0] + jnp.einsum("bpd,bd->bp", self.pair(positions), dot) / self.dim**0.5
        return jnp.where(state.allowed, logits, MASKED)

    def __call__(
        self,
        ops: OperationInputs,
        table: SiteTable,
        set_index: Array,
        *,
        z: Array,
        pos: Array,
        step: Array,
        balance: Array,
        train: bool = False,
    ) -> Array:
        """`(b, p)` logits of slot `step` of crystals with sets `set_index (b,)`; see `slot` and `slot_state`."""
        positions, whole = self.encode(ops, table)
        state = slot_state(table, set_index, z=z, pos=pos, step=step)
        return self.slot(
            positions[set_index], whole[set_index], state=state, z=z, step=step, balance=balance, train=train
        )


def site_nll(logits: Array, pos: Array, step: Array) -> Array:
    """`(b,)` minus log-probability (nats) of the position of slot `step` in `pos (b, m)`."""
    target = jnp.take_along_axis(pos, step[:, None], 1)
    return -jnp.take_along_axis(nn.log_softmax(logits, -1), target, 1)[:, 0]
