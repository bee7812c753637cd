"""WyckoffGNN: messages between all pairs of Wyckoff positions of a group, and the Adaptor's injections before each round.

A node is a position of the space group, occupied or not; every ordered pair is an edge, self-pairs included, without geometry. Node
features h come from the occupation; context features c (freedom, letter, space group, time, multiplicity) are formed once and
enter every layer anew. Nodes come in two parts, without and with free coordinates (`symjax.models.wyckoffdiff.occupations`), so
that each head works on its own part only; both parts may be padded.

The first product of every pair is split by blocks, the receiver's and the sender's columns multiplied once a node: the same
function and parameters. Sources: WyckoffDiff (Ekström Kelvinius et al., arXiv 2502.06485) and its public code; WyckoffDiff-Adaptor
(Ishii, Hisama and Shinohara, arXiv 2601.08115), whose adaptor is that of MatterGen (Zeni et al., arXiv 2312.03687, appendix).
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.groups.tables import NUM_TYPES
from symjax.models.wyckoffdiff.occupations import MAX_FIXED, MAX_FREE, NUM_ELEMENTS, Occupations, nodes
from symjax.nn.affine import Affine, Mlp
from symjax.nn.conditions import Conditions
from symjax.wyckoff.types import LETTERS, type_positions

CHEMICAL_SYSTEM = "chemical_system"
"""Name of the condition that says which elements occur; every other condition is a number."""
NUM_MULTIPLICITIES = 193
_FAR = -1e30  # attention to padding
_BASE = 10000.0  # of the sinusoidal code of numbers


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Sizes; every field stands in `configs/wyckoffdiff.py` with its meaning."""

    width: int
    context: int
    num_layers: int
    num_steps: int
    max_count: int
    attention_width: int
    message_width: int
    head_width: int
    conditions: tuple[str, ...] = ()
    adaptor_dim: int = 64


class Logits(NamedTuple):
    """Logits of the clean occupation: `(b, f, 101)` of positions without freedom, `(b, r, 100, max_count + 1)` of the others."""

    fixed: Array
    free: Array


class _Features(NamedTuple):
    """Rows of the embedding tables of every node, `(231, slots)` int32, and which nodes there are."""

    dof: np.ndarray
    letter: np.ndarray
    multiplicity: np.ndarray
    mask: np.ndarray


@cache
def _features() -> tuple[_Features, _Features]:
    """Of both parts, from the tables of positions."""
    known, table, number = type_positions(), nodes(), np.arange(NUM_TYPES + 1)[:, None]

    def of(part: np.ndarray) -> _Features:
        mask, at = part >= 0, np.maximum(part, 0)
        dof, letter, multiplicity = (
            np.where(mask, values[number, at], 0).astype(np.int32)
            for values in (known.dof, known.letter, known.multiplicity)
        )
        return _Features(dof, letter, multiplicity, mask)

    return of(table.fixed), of(table.free)


def node_masks(number: Array, sizes: tuple[int, int]) -> tuple[Array, Array]:
    """`(b, f)` and `(b, r)` bool which nodes of both parts there are; jit-able."""
    fixed, free = (jnp.asarray(of.mask)[number] for of in _features())
    return fixed[:, : sizes[0]], free[:, : sizes[1]]


def _normal(key: Array, shape: tuple[int, ...], dtype: jax.typing.DTypeLike = jnp.float32) -> Array:
    """What PyTorch's embeddings start from."""
    return jax.random.normal(key, shape, dtype)


class _Layer(nn.Module):
    """One round: messages weighted by a softmax over all senders, the node itself included."""

    options: NetworkOptions

    @nn.compact
    def __call__(self, h: Array, c: Array, mask: Array) -> Array:
        o = self.options
        z = jnp.concatenate([h, jnp.broadcast_to(c, (*h.shape[:-1], o.context))], axis=-1)
        size = z.shape[-1]
        attention = Mlp(2 * size, (o.attention_width,) * 3 + (1,), name="attention")
        of_receiver, of_sender = attention.first(z, z)
        alpha = attention.rest(of_receiver[:, :, None] + of_sender[:, None])[..., 0]
        weight = jax.nn.softmax(jnp.where(mask[:, None, :], alpha, _FAR), axis=-1)
        value = Mlp(size, (o.message_width,) * 3 + (o.width,), name="message")(z)
        return nn.silu(h + jnp.einsum("bij,bjc->bic", weight, value))


class _Adaptor(nn.Module):
    """What one condition adds to every node before one round: zero at the start, zero for crystals whose condition is unknown."""

    options: NetworkOptions

    @nn.compact
    def __call__(self, h: Array, embedding: Array, known: Array) -> Array:
        o = self.options
        hidden = Mlp(o.width + o.adaptor_dim, (o.width, o.width), name="mix")
        of_node, of_condition = hidden.first(h, embedding)
        mixed = hidden.rest(of_node + of_condition[:, None])
        out = self.param("out", nn.initializers.zeros, (o.width, o.width))
        return known.astype(h.dtype)[:, None, None] * (mixed @ out)


class WyckoffGNN(nn.Module):
    """The whole network; see the head of this module."""

    options: NetworkOptions

    @nn.compact
    def __call__(self, state: Occupations, t: Array, conditions: Conditions | None = None) -> Logits:
        """Logits of the clean occupation.

        Args:
            state: noisy occupations, each part padded.
            t: `(b,)` int32 index of the noise, 0 .. num_steps - 1.
            conditions: of `options.conditions`, numbers standardised; None, or one that is absent, is unknown for all.
        """
        o = self.options
        f, r = state.fixed.shape[1], state.free.shape[1]
        mask = jnp.concatenate(node_masks(state.number, (f, r)), axis=1)
        h, c = self._occupation(state), self._context(state.number, t, (f, r))
        embedded = self._embedded(conditions or {})
        for layer in range(o.num_layers):
            added = [
                _Adaptor(o, name=f"adaptor_{name}_{layer}")(h, *embedded[name])
                for name in o.conditions
                if name in embedded
            ]
            for one in added:
                h = h + one
            h = _Layer(o, name=f"layer_{layer}")(h, c, mask)
        hidden = (o.head_width,) * 3
        fixed = Mlp(o.width, (*hidden, NUM_ELEMENTS + 1), name="head_fixed")(h[:, :f])
        free = Mlp(o.width, (*hidden, NUM_ELEMENTS * (o.max_count + 1)), name="head_free")(h[:, f:])
        return Logits(fixed, free.reshape(*free.shape[:2], NUM_ELEMENTS, o.max_count + 1))

    def _occupation(self, state: Occupations) -> Array:
        """`(b, f + r, width)` of the occupation: a row for each element, or a number for each count and then an affine map."""
        o = self.options
        element = self.param("element", _normal, (NUM_ELEMENTS + 1, o.width))
        count = self.param("count", _normal, (o.max_count + 1, 1))
        free = Affine(o.width, NUM_ELEMENTS, name="counts")(count[state.free, 0])
        return jnp.concatenate([element[state.fixed], free], axis=1)

    def _context(self, number: Array, t: Array, sizes: tuple[int, int]) -> Array:
        """`(b, f + r, context)` of freedom, letter, multiplicity, space group and time: five rows added up."""
        o = self.options

        def table(name: str, rows: int) -> Array:
            return self.param(name, _normal, (rows, o.context))

        def node(name: str) -> Array:
            both = [jnp.asarray(getattr(of, name))[number][:, :n] for of, n in zip(_features(), sizes, strict=True)]
            return jnp.concatenate(both, axis=1)

        of_node = (
            table("dof", 4)[node("dof")]
            + table("position", len(LETTERS))[node("letter")]
            + table("multiplicity", NUM_MULTIPLICITIES)[node("multiplicity")]
        )
        of_crystal = table("group", NUM_TYPES + 1)[number] + table("time", o.num_steps)[t]
        return of_node + of_crystal[:, None]

    def _embedded(self, conditions: Conditions) -> dict[str, tuple[Array, Array]]:
        """Vectors `(b, adaptor_dim)` of conditions, and for which crystals they are known."""
        o = self.options
        found = {}
        for name in o.conditions:
            if name == CHEMICAL_SYSTEM:
                layer = Affine(o.adaptor_dim, NUM_ELEMENTS + 1, name="embed_chemical_system")
                if name in conditions:
                    found[name] = layer(conditions[name].value.astype(jnp.float32)), conditions[name].known
            elif name in conditions:
                found[name] = sinusoidal(conditions[name].value, o.adaptor_dim), conditions[name].known
        return found


def sinusoidal(value: Array, dim: int) -> Array:
    """`(b,) -> (b, dim)`: sines and cosines in turn of value times 10000^(-2 i / dim), as in MatterGen's code."""
    angles = value[:, None] * _BASE ** (-jnp.arange(0, dim, 2) / dim)
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(value.shape[0], dim)


def empty(num: int, sizes: tuple[int, int] = (MAX_FIXED, MAX_FREE), number: int = 1) -> Occupations:
    """Empty occupations of one group, to be shaped by."""
    free = jnp.zeros((num, sizes[1], NUM_ELEMENTS), jnp.int32)
    return Occupations(jnp.full(num, number, jnp.int32), jnp.zeros((num, sizes[0]), jnp.int32), free)


def init_params(options: NetworkOptions, key: Array) -> dict:
    """Fresh parameters, those of all adaptors included."""
    from symjax.nn.conditions import Condition

    def value(name: str) -> Array:
        return jnp.zeros((1, NUM_ELEMENTS + 1) if name == CHEMICAL_SYSTEM else (1,))

    conditions = {name: Condition(value(name), jnp.ones(1, bool)) for name in options.conditions}
    return WyckoffGNN(options).init(key, empty(1, (1, 1)), jnp.zeros(1, jnp.int32), conditions)


def count_parameters(options: NetworkOptions) -> int:
    """Number of parameters (traced, nothing is allocated)."""
    shapes = jax.eval_shape(lambda key: init_params(options, key), jax.random.key(0))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
