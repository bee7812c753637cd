"""WyckoffTransformer's network: an encoder without positions over [space group, masked slot, known sites], and three heads.

The slot that is to be predicted holds MASK in the fields that are not known yet, and the logits of a field are read at its
output. Known sites attend to the slot, so their states change with every field and every site; nothing can be kept from one call
to the next. The order of the known sites does not matter, and padded ones enter nothing.

Exactly the published function (Kazeev et al., arXiv 2503.02407; sizes, initial values and the presence vector as in the public
code), with two savings that change no output: only the slot passes through the last layer, and a head sees its presence vector as
a sum of rows of its first kernel. Kernels are `(in, out)`.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

FIELDS = ("element", "site", "enum")
NUM_SERVICE = 3  # MASK, STOP, PAD: the last three tokens of every field


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Sizes; every field stands in `configs/wyckoff_transformer.py` with its meaning.

    `vocabulary` and `start` follow from the named vocabulary: tokens of the three fields, service tokens included, and features
    of a space group.
    """

    vocabulary: tuple[int, int, int]
    start: int
    embedding: tuple[int, int, int] = (16, 16, 8)
    num_layers: int = 3
    num_heads: int = 4
    feed_forward: int = 128
    dropout: float = 0.2

    @property
    def width(self) -> int:
        """Features of a token."""
        return sum(self.embedding)


class Context(NamedTuple):
    """What is known of a padded batch of crystals, and the slot that is asked for.

    Attributes:
        start: `(b, F)` float features of the space group (`start_features(vocabulary)[number]`).
        element, site, enum: `(b, m)` int tokens of the known sites, in any order; m may be 0.
        mask: `(b, m)` bool, known sites; the others may hold anything, anywhere.
        slot: `(b, 3)` int tokens of the asked slot: (MASK, MASK, MASK) for an element, (element, MASK, MASK) for a site symmetry,
            (element, site, MASK) for an enumeration.
    """

    start: Array
    element: Array
    site: Array
    enum: Array
    mask: Array
    slot: Array


def head_widths(inputs: int, outputs: int) -> tuple[int, ...]:
    """Widths of a head's three layers: linear from input to output, cut to integers."""
    return tuple(int(inputs + (outputs - inputs) * i / 3) for i in range(4))


_unset = (
    nn.initializers.zeros_init()
)  # `init_params` gives initial values; drawing each array by itself takes long to compile


class Affine(nn.Module):
    """A linear layer."""

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, values: Array) -> Array:
        """Product with the kernel, plus the bias."""
        product = values @ self.param("kernel", _unset, (values.shape[-1], self.features))
        return product + self.param("bias", _unset, (self.features,)) if self.use_bias else product


def dropout_masks(key: Array, rate: float, shapes: list[tuple[int, ...]], dtype: jnp.dtype) -> list[Array]:
    """Arrays to multiply by: 0 with probability `rate` (to the nearest of 256), else what keeps the mean at 1.

    A byte decides each entry and all are drawn at once: random words are what dropout costs on a CPU.
    """
    cut = round(256 * rate)
    sizes = [int(np.prod(shape)) for shape in shapes]
    words = jax.random.bits(key, (-(-sum(sizes) // 4),), jnp.uint32)
    kept = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1) >= cut
    scaled = kept.astype(dtype) * (256 / (256 - cut))
    ends = np.cumsum(sizes)
    return [scaled[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)]


class _Layer(nn.Module):
    """Attention and feed-forward, each followed by its norm; the output of the first `num` tokens only, if given."""

    options: NetworkOptions
    num: int | None = None

    @nn.compact
    def __call__(self, x: Array, mask: Array, train: bool) -> Array:
        """`(b, t, width) -> (b, num or t, width)`; `mask (b, t)` are the tokens that are attended to."""
        o, width = self.options, self.options.width
        query = x[:, : self.num]
        b, i, t = len(x), query.shape[1], x.shape[1]
        drop: list[Array | float] = [1.0] * 4
        if train and o.dropout:
            shapes = [(b, o.num_heads, i, t), (b, i, width), (b, i, o.feed_forward), (b, i, width)]
            drop = list(dropout_masks(self.make_rng("dropout"), o.dropout, shapes, x.dtype))
        gathered = self._attend(query, x, mask, drop[0])
        out = gathered @ self.param("out_kernel", _unset, (width, width)) + self.param("out_bias", _unset, (width,))
        x = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name="norm_0")(query + out * drop[1])
        hidden = nn.relu(Affine(o.feed_forward, name="feed_0")(x)) * drop[2]
        out = Affine(width, name="feed_1")(hidden) * drop[3]
        return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name="norm_1")(x + out)

    def _attend(self, query: Array, x: Array, mask: Array, drop: Array | float) -> Array:
        """What each query gathers, heads side by side."""
        o, width = self.options, self.options.width
        kernel = self.param("in_kernel", _unset, (width, 3 * width))
        bias = self.param("in_bias", _unset, (3 * width,))
        size = width // o.num_heads

        def heads(values: Array, part: slice) -> Array:
            return (values @ kernel[:, part] + bias[part]).reshape(*values.shape[:-1], -1, size)

        q = heads(query, slice(0, width)) * size**-0.5
        k, v = jnp.split(heads(x, slice(width, 3 * width)), 2, axis=-2)
        scores = jnp.einsum("bihd,bjhd->bhij", q, k)
        scores = jnp.where(mask[:, None, None, :], scores, jnp.finfo(scores.dtype).min)
        gathered = jnp.einsum("bhij,bjhd->bihd", nn.softmax(scores) * drop, v)
        return gathered.reshape(*query.shape[:-1], width)


class _Head(nn.Module):
    """Logits of one field from the slot's output and the tokens that are present."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array, presence: Array) -> Array:
        values = jnp.concatenate([h, presence], axis=-1)
        for layer, width in enumerate(self.widths[1:]):
            values = Affine(width, name=f"layer_{layer}")(nn.relu(values) if layer else values)
        return values


class WyckoffNet(nn.Module):
    """The whole network; see the head of this module.

    `net = WyckoffNet(options)`; `net.apply(params, context, head=0)` with params as returned by `init_params`.
    """

    options: NetworkOptions

    def setup(self) -> None:
        """Embeddings, encoder and heads."""
        o = self.options
        self.embeddings = [
            self.param(f"embed_{field}", _unset, (size, dim))
            for field, size, dim in zip(FIELDS, o.vocabulary, o.embedding, strict=True)
        ]
        self.mixer = Affine(o.width, use_bias=False)
        self.start = Affine(o.width)
        last = o.num_layers - 1
        self.layers = [_Layer(o, num=1 if i == last else None, name=f"layer_{i}") for i in range(o.num_layers)]
        self.heads = [
            _Head(head_widths(o.width + size, size), name=f"head_{field}")
            for field, size in zip(FIELDS, o.vocabulary, strict=True)
        ]

    def __call__(self, context: Context, *, head: int | None = None, train: bool = False) -> Array | tuple[Array, ...]:
        """Logits at the slot.

        Args:
            context: known sites and the slot.
            head: static; 0 element, 1 site symmetry, 2 enumeration. None computes all three from the slot as it is (only one of
                them is meant by the slot; the others are for tests and initialisation).
            train: static; whether to drop out (rng `dropout`).

        Returns:
            `(b, V)` logits over all tokens of the field, MASK, STOP and PAD included (last three); or the three of them.
        """
        h = self.encode(context, train)
        return tuple(self.decode(h, context, f) for f in range(3)) if head is None else self.decode(h, context, head)

    def decode(self, h: Array, context: Context, head: int) -> Array:
        """`(b, V)` logits of a field from the slot's output `h (b, width)`, see `encode`."""
        return self.heads[head](h, self.presence(context, head))

    def encode(self, context: Context, train: bool = False) -> Array:
        """`(b, width)` output of the slot."""
        known = (context.element, context.site, context.enum)
        tokens = [jnp.concatenate([context.slot[:, f, None], ids], axis=1) for f, ids in enumerate(known)]
        parts = [table[ids] for table, ids in zip(self.embeddings, tokens, strict=True)]
        sites = self.mixer(jnp.concatenate(parts, axis=-1))
        x = jnp.concatenate([sites[:, :1], self.start(context.start)[:, None], sites[:, 1:]], axis=1)
        mask = jnp.concatenate([jnp.ones((len(context.mask), 2), bool), context.mask], axis=1)
        for layer in self.layers:
            x = layer(x, mask, train)
        return x[:, 0]

    def presence(self, context: Context, head: int) -> Array:
        """`(b, V)` 0 or 1: tokens of a field among the known sites and in the slot (where it is asked for: MASK)."""
        size = self.options.vocabulary[head]
        known = jnp.where(context.mask, (context.element, context.site, context.enum)[head], size)  # size: outside
        tokens = jnp.concatenate([context.slot[:, head, None], known], axis=1)
        rows = jnp.arange(len(tokens))[:, None]
        return jnp.zeros((len(tokens), size), context.start.dtype).at[rows, tokens].set(1.0, mode="drop")


def empty_context(options: NetworkOptions, batch: int = 1, sites: int = 1) -> Context:
    """A context of zeros, for shapes and initialisation."""
    ids = jnp.zeros((batch, sites), jnp.int32)
    return Context(
        jnp.zeros((batch, options.start)), ids, ids, ids, jnp.zeros(ids.shape, bool), jnp.zeros((batch, 3), jnp.int32)
    )


def init_params(options: NetworkOptions, key: Array) -> dict:
    """Fresh parameters `{"params": ...}` with the published initial values.

    Embeddings standard normal, PAD zero; kernels and biases of linear layers uniform within 1 / sqrt(fan in); the packed kernel of
    queries, keys and values Xavier-uniform; biases of the attention zero; norms 1 and 0. All layers of the encoder start from the
    same values.
    """
    shapes = flatten_dict(jax.eval_shape(WyckoffNet(options).init, key, empty_context(options))["params"])
    drawn = [path for path in shapes if not path[0].startswith("layer_") or path[0] == "layer_0"]
    sizes = [int(np.prod(shapes[path].shape)) for path in drawn]
    uniform_key, normal_key = jax.random.split(key)
    uniform = jnp.split(jax.random.uniform(uniform_key, (sum(sizes),), minval=-1.0, maxval=1.0), np.cumsum(sizes)[:-1])
    params = {}
    for path, values in zip(drawn, uniform, strict=True):
        shape = shapes[path].shape
        if path[-1] in ("kernel", "bias") and (*path[:-1], "kernel") in shapes:
            params[path] = values.reshape(shape) * shapes[(*path[:-1], "kernel")].shape[0] ** -0.5
        elif path[-1] in ("in_kernel", "out_kernel"):
            params[path] = (
                values.reshape(shape) * ((6 / sum(shape)) if path[-1] == "in_kernel" else 1 / shape[0]) ** 0.5
            )
        else:
            params[path] = jnp.full(shape, 1.0 if path[-1] == "scale" else 0.0, jnp.float32)
    normal = jax.random.normal(normal_key, (sum(options.vocabulary), max(options.embedding)))
    for field, rows, dim in zip(
        FIELDS, np.split(np.arange(len(normal)), np.cumsum(options.vocabulary)[:-1]), options.embedding
    ):
        params[(f"embed_{field}",)] = normal[rows, :dim].at[-1].set(0.0)
    every = {path: params[path if path in params else ("layer_0", *path[1:])] for path in shapes}
    return {"params": unflatten_dict(every)}


def count_parameters(options: NetworkOptions) -> int:
    """Number of trained parameters (traced, nothing is allocated)."""
    shapes = jax.eval_shape(lambda key: init_params(options, key), jax.random.key(0))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
