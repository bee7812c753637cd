"""Sets of operations as indices into a product table: the closure that walks up the subgroup lattice use.

Owns `ProductTable` (of the vocabulary, or of one group) and the closure of index sets on it. Everything is jit-able,
batched over leading rows and made of gathers, so hundreds of sets close in a few milliseconds on a CPU.

Conventions: v operations, index v means "outside" (a product that the table does not hold) or padding; lists of members
are ascending, which for the vocabulary is the canonical order, with v at the end.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from symjax._later import jax, jit, jnp, pytree
from symjax.errors import InputError
from symjax.groups.sets import MAX_OPS
from symjax.groups.tables import OperationVocabulary, vocabulary

Array = Any


@pytree
class ProductTable:
    """Products of v operations.

    Attributes:
      product: (v + 1, v + 1) int16 or int32, row operation after column operation, v where it is outside.
      inverse: (v + 1,) index of the inverse, v where it is outside.
      identity: (f,) indices of the identities (one per reference frame; one for a group's own table).
    """

    product: Array
    inverse: Array
    identity: Array

    @property
    def size(self) -> int:
        """v, which also stands for "outside"."""
        return self.product.shape[-1] - 1


class ClosedIndices(NamedTuple):
    """Result of closing index sets; rows with a flag set hold no usable members (all v).

    Attributes:
      members: (b, m) int32 ascending, v at the end.
      count: (b,) int32 number of members, also where they do not fit.
      outside: (b,) bool, a product is not in the table.
      overflow: (b,) bool, the closed set has more than m members.
    """

    members: Array
    count: Array
    outside: Array
    overflow: Array


@cache
def vocabulary_table() -> ProductTable:
    """The product table of the vocabulary as numpy arrays (pass it to jitted functions as an argument)."""
    return table_of(vocabulary())


def table_of(vocab: OperationVocabulary, frame: int | None = None) -> ProductTable:
    """Product table of a vocabulary, or of one frame's block of it.

    With `frame` the indices count from the start of that block (`vocab.block[frame, 0]`), and v is the block's size:
    694 for the orthonormal and 106 for the hexagonal frame, which makes dense work on the table cheaper.

    Raises:
      InputError: frame is neither None, 0 nor 1.
    """
    if frame is None:
        return ProductTable(product=vocab.product, inverse=vocab.inverse, identity=vocab.identity)
    if frame not in (0, 1):
        raise InputError(f"a reference frame is 0 (orthonormal) or 1 (hexagonal), got {frame!r}")
    first, last = (int(i) for i in vocab.block[frame])
    rows = np.append(np.arange(first, last), vocab.size)
    local = np.full(vocab.size + 1, last - first, np.int16)
    local[first:last] = np.arange(last - first)
    return ProductTable(
        product=local[vocab.product[np.ix_(rows, rows)]],
        inverse=local[vocab.inverse[rows]],
        identity=local[vocab.identity[[frame]]],
    )


def to_mask(indices: Array, size: int) -> Array:
    """(..., m) indices, padding = size, to membership (..., size) bool."""
    indices = jnp.asarray(indices)
    flat = indices.reshape(-1, indices.shape[-1])
    mask = jnp.zeros((flat.shape[0], size + 1), bool).at[jnp.arange(flat.shape[0])[:, None], flat].set(True)
    return mask[:, :size].reshape(*indices.shape[:-1], size)


def to_indices(mask: Array, num_members: int = MAX_OPS) -> Array:
    """Membership (..., v) bool to ascending indices (..., num_members) int32, v at the end; extra members are cut."""
    mask = jnp.asarray(mask)
    v = mask.shape[-1]
    flat = mask.reshape(-1, v)
    place = jnp.where(flat, jnp.cumsum(flat, -1) - 1, num_members)  # the last slot collects what is not a member
    rows = jnp.arange(flat.shape[0])[:, None]
    out = jnp.full((flat.shape[0], num_members), v, jnp.int32)
    out = out.at[rows, place].set(jnp.arange(v, dtype=jnp.int32), mode="drop")
    return out.reshape(*mask.shape[:-1], num_members)


@jit()
def close_mask(table: ProductTable, mask: Array, new: Array) -> tuple[Array, Array]:
    """Smallest closed sets that hold closed sets H and one more operation g each.

    A grows from H. While g A misses an element y of A's right side, A takes in A y; A stays invariant under H from the
    left all the while, so at the end H A = A and g A = A, hence A is the generated group. Each turn can double A.

    Args:
      table: products.
      mask: (b, v) bool, each row closed under the product (a group).
      new: (b,) int operation to add; v adds nothing.

    Returns:
      mask (b, v) bool of the closed sets, and outside (b,) bool for rows whose closure leaves the table (the mask of
      such a row is meaningless).
    """
    v = table.size
    product, inverse = jnp.asarray(table.product), jnp.asarray(table.inverse)
    transposed = product.T
    member = jnp.concatenate([jnp.asarray(mask), jnp.zeros((*mask.shape[:-1], 1), bool)], -1)
    new = jnp.asarray(new).astype(jnp.int32)
    active = new < v
    left = product[new].astype(jnp.int32)  # (b, v + 1): g a for every a
    back = product[inverse[new]].astype(jnp.int32)  # g^-1 k
    outside = active & ((inverse[new] == v) | (member & (left == v)).any(-1))

    def missing(member: Array) -> Array:
        """(b, v) elements k with g^-1 k in A that are not in A themselves."""
        return jnp.take_along_axis(member, back, -1)[:, :v] & ~member[:, :v]

    def cond(state: tuple) -> Array:
        return state[2].any()

    def body(state: tuple) -> tuple:
        member, outside, todo = state
        lacks = missing(member)
        y = jnp.argmax(lacks, -1)
        grow = todo & lacks.any(-1)
        sources = jnp.take_along_axis(member, transposed[inverse[y]].astype(jnp.int32), -1)  # k y^-1 in A
        leaves = (inverse[y] == v) | (member & (transposed[y] == v)).any(-1)
        grown = member | (grow[:, None] & sources).at[:, v].set(False)
        left_out = (grown & (left == v)).any(-1)
        outside = outside | (grow & (leaves | left_out))
        return grown, outside, grow & ~outside

    state = (member, outside, active & ~outside)
    member, outside, _ = jax.lax.while_loop(cond, body, state)
    return member[:, :v], outside


@jit()
def close_indices(table: ProductTable, members: Array, new: Array) -> ClosedIndices:
    """Adds one operation to each closed set and closes again: one step of a walk up the subgroup lattice.

    Args:
      table: products (`vocabulary_table()`, or any other).
      members: (b, m) int indices of closed sets, v for padding anywhere; an empty row stands for the trivial group.
      new: (b,) int operation to add; v adds nothing.

    Returns:
      ClosedIndices with lists of the same length m. The flags are disjoint from usable rows: a row whose closure leaves
      the table or does not fit is never returned as a wrong set.
    """
    v, capacity = table.size, members.shape[-1]
    new = jnp.asarray(new)
    start = _with_identity(table, to_mask(members, v), new)
    mask, outside = close_mask(table, start, new)
    count = mask.sum(-1, dtype=jnp.int32)
    overflow = ~outside & (count > capacity)
    bad = outside | overflow
    out = jnp.where(bad[:, None], v, to_indices(mask, capacity))
    return ClosedIndices(members=out, count=jnp.where(outside, 0, count), outside=outside, overflow=overflow)


def _with_identity(table: ProductTable, mask: Array, new: Array) -> Array:
    """Fills empty rows with the identity that belongs to the operation to add."""
    product, identity = jnp.asarray(table.product), jnp.asarray(table.identity).astype(jnp.int32)
    fits = product[identity[None, :], new[:, None]].astype(jnp.int32) == new[:, None]  # (b, f): e g = g
    chosen = jnp.where(new < table.size, identity[jnp.argmax(fits, -1)], table.size)
    hot = jax.nn.one_hot(chosen, table.size + 1, dtype=bool)[:, : table.size]
    return mask | (hot & ~mask.any(-1, keepdims=True))


@jit()
def generate_indices(table: ProductTable, generators: Array) -> tuple[Array, Array]:
    """Groups generated by index lists (b, k), v for padding: mask (b, v) and outside (b,), as `close_mask`."""
    generators = jnp.asarray(generators)
    first = jnp.min(generators, -1)  # an index below v when there is any
    start = _with_identity(table, jnp.zeros((len(generators), table.size), bool), first)

    def add(carry: tuple, new: Array) -> tuple:
        mask, outside = carry
        closed, left = close_mask(table, mask, jnp.where(outside, table.size, new))
        return (jnp.where(left[:, None], mask, closed), outside | left), None

    (mask, outside), _ = jax.lax.scan(add, (start, jnp.zeros(len(generators), bool)), generators.T)
    return mask, outside


@jit()
def is_closed_mask(table: ProductTable, mask: Array) -> Array:
    """(b,) whether each membership row (b, v) is a group: holds an identity and every product of its members."""
    v = table.size
    product = jnp.asarray(table.product)
    identity = jnp.asarray(table.identity)

    def one(row: Array) -> Array:
        padded = jnp.append(row, False)
        inside = padded[product[:v, :v].astype(jnp.int32)]
        return row[identity].any() & jnp.where(row[:, None] & row[None, :], inside, True).all()

    return jax.lax.map(one, jnp.asarray(mask))
