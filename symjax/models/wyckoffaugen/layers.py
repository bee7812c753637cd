"""Small perceptrons of several inputs as plain functions of nested dicts of arrays.

A first layer over concatenated inputs is kept as one matrix for each input: what is the same for all bins, positions or elements is
multiplied once and broadcast. Names: w0_i (inputs, hidden), b0, w1 (hidden, outputs), b1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Params = dict[str, Any]


class Mlp(NamedTuple):
    """Widths of one perceptron: its inputs, one hidden layer, its output."""

    inputs: tuple[int, ...]
    hidden: int
    out: int


def mlp(params: Params, *inputs: Array) -> Array:
    """Two layers with SiLU between them; inputs broadcast over their leading axes."""
    total = params["b0"]
    for i, value in enumerate(inputs):
        total = total + value @ params[f"w0_{i}"]
    return jax.nn.silu(total) @ params["w1"] + params["b1"]


def shapes_of(spec: Any) -> Any:
    """Nested dict of the shapes of all arrays; a leaf of the specification is an `Mlp` or a shape."""
    if isinstance(spec, Mlp):
        first = {f"w0_{i}": (size, spec.hidden) for i, size in enumerate(spec.inputs)}
        return first | {"b0": (spec.hidden,), "w1": (spec.hidden, spec.out), "b1": (spec.out,)}
    if isinstance(spec, dict):
        return {name: shapes_of(part) for name, part in spec.items()}
    return tuple(spec)


def init(spec: Any, key: Array) -> Params:
    """Fresh arrays: kernels uniform with variance 1 / fan in (over all inputs of a layer), other arrays 0.

    All numbers are drawn at once, since drawing each array by itself takes long to compile.
    """
    leaves: list[tuple[int, ...]] = []
    _collect(shapes_of(spec), leaves)
    sizes = [int(np.prod(shape)) for shape in leaves]
    drawn = iter(jnp.split(jax.random.uniform(key, (sum(sizes),), minval=-1.0, maxval=1.0), np.cumsum(sizes)[:-1]))
    return _fill(spec, drawn)


def _collect(tree: Any, into: list[tuple[int, ...]]) -> None:
    if isinstance(tree, dict):
        for part in tree.values():
            _collect(part, into)
    else:
        into.append(tree)


def _fill(spec: Any, drawn: Any) -> Any:
    if isinstance(spec, Mlp):
        fan = sum(spec.inputs)
        out = {
            f"w0_{i}": next(drawn).reshape(size, spec.hidden) * (3 / fan) ** 0.5 for i, size in enumerate(spec.inputs)
        }
        next(drawn)
        out["b0"] = jnp.zeros(spec.hidden)
        out["w1"] = next(drawn).reshape(spec.hidden, spec.out) * (3 / spec.hidden) ** 0.5
        next(drawn)
        out["b1"] = jnp.zeros(spec.out)
        return out
    if isinstance(spec, dict):
        return {name: _fill(part, drawn) for name, part in spec.items()}
    value = next(drawn)
    return value.reshape(spec) * (3 / spec[0]) ** 0.5 if len(spec) > 1 else jnp.zeros(spec)


def fourier(value: Array, frequency: Array) -> Array:
    """(..., 2 f) sines and cosines of a number (..., 1) or vector (..., d) at frequencies (f,) or (f, d), in periods."""
    phase = 2 * jnp.pi * (value @ frequency.T if frequency.ndim == 2 else value * frequency)
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)


def masked_log_softmax(logits: Array, mask: Array) -> tuple[Array, Array]:
    """(..., k) log probabilities, -inf where masked, and (...) the logarithm of the sum before normalising.

    Where everything is masked all are -inf and the sum is 0.
    """
    some = jnp.any(mask, axis=-1, keepdims=True)
    safe = jnp.where(mask | ~some, logits, -jnp.inf)
    total = jax.nn.logsumexp(safe, axis=-1, keepdims=True)
    return jnp.where(mask, safe - total, -jnp.inf), jnp.where(some[..., 0], total[..., 0], 0.0)


def pick(log_prob: Array, index: Array) -> Array:
    """(...) entry of the last axis."""
    return jnp.take_along_axis(log_prob, index[..., None], axis=-1)[..., 0]


def running_sum(values: Array) -> Array:
    """(..., k) sums up to and with each entry, as a product with a triangle of ones (XLA's take quadratic time on CPUs)."""
    return values @ jnp.asarray(np.triu(np.ones((values.shape[-1],) * 2, np.float32)))
