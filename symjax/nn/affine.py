"""Linear layers as PyTorch starts them, blocks of whose input may be multiplied apart; and chains of them."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array


def uniform(fan_in: int) -> nn.initializers.Initializer:
    """Uniform within 1 / sqrt(fan in), for kernels and biases: PyTorch's default, from which published models start."""
    limit = fan_in**-0.5
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -limit, limit)


class Affine(nn.Module):
    """A linear layer; blocks of its input may be multiplied apart (`blocks`)."""

    features: int
    fan_in: int
    use_bias: bool = True

    def setup(self) -> None:
        """Kernel and bias."""
        start = uniform(self.fan_in)
        self.kernel = self.param("kernel", start, (self.fan_in, self.features))
        self.bias = self.param("bias", start, (self.features,)) if self.use_bias else 0.0

    def __call__(self, values: Array) -> Array:
        """Product with the whole kernel, plus the bias."""
        return values @ self.kernel + self.bias

    def blocks(self, *values: Array) -> list[Array]:
        """Products of blocks of the input with their rows of the kernel, without the bias."""
        products, at = [], 0
        for value in values:
            products.append(value @ self.kernel[at : at + value.shape[-1]])
            at += value.shape[-1]
        assert at == self.fan_in, f"blocks of {at} columns for {self.fan_in}"
        return products


class Mlp(nn.Module):
    """Affine layers with SiLU between them.

    Attributes:
        fan_in: width of the input.
        widths: of the layers.
    """

    fan_in: int
    widths: tuple[int, ...]

    def setup(self) -> None:
        """One layer a width."""
        ins = (self.fan_in, *self.widths[:-1])
        self.layers = [
            Affine(out, fan, name=f"layer_{i}") for i, (out, fan) in enumerate(zip(self.widths, ins, strict=True))
        ]

    def __call__(self, values: Array) -> Array:
        """(..., fan_in) -> (..., last width)."""
        return self.rest(self.layers[0](values))

    def first(self, *values: Array) -> list[Array]:
        """Products of blocks of the input with the first layer, its bias in the first of them; their sum goes into `rest`."""
        products = self.layers[0].blocks(*values)
        return [products[0] + self.layers[0].bias, *products[1:]]

    def rest(self, values: Array) -> Array:
        """What follows the first layer."""
        for layer in self.layers[1:]:
            values = layer(nn.silu(values))
        return values
