"""WyCryst's networks: convolutions over the rows of a compound, a space-group branch, a Gaussian latent, a property branch.

Encoder: convolutions (kernel 5 stride 2, kernel 3 stride 2, kernel 3), flattened into one wide layer; space group through two
layers; both into mean and log-variance. Decoder: the mirror image, with the space group from the latent. Source: public
repository RaymondZhurm/WyCryst.

Unlike there: normalisation is per row over channels, where the original has batch averages (whose running values would be a
second kind of state); the logits of the space group go to the softmax as they are (there through a ReLU, which stops the
gradient of every group whose logit is negative).
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from symjax.groups.tables import NUM_TYPES
from symjax.models.wycryst.representation import MAX_COLUMNS, NUM_ROWS

_SLOPE = 0.2
_LOG_VARIANCE = 10.0  # bound of its magnitude


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """Sizes; every field stands in `configs/wycryst.py` with its meaning."""

    channels: tuple[int, ...]
    dense: int
    group: tuple[int, ...]
    latent: int
    energy: tuple[int, ...]


class Convolution(nn.Module):
    """Convolution along the rows, as one matrix product over shifted rows (XLA's own is ten times slower inside loops on a CPU).

    ``up``: transposed, rows are first spread out with zeros between them.
    """

    features: int
    kernel: int
    stride: int = 1
    up: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`(b, l, c) -> (b, l * up / stride, features)`, zeros beyond the ends."""
        if self.up > 1:
            spread = jnp.pad(x[:, :, None], ((0, 0), (0, 0), (self.up - 1, 0), (0, 0)))
            x = spread.reshape(len(x), -1, x.shape[-1])
        num = -(-x.shape[1] // self.stride)
        reach = (num - 1) * self.stride
        missing = max(reach + self.kernel - x.shape[1], 0)
        x = jnp.pad(x, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))
        rows = [x[:, i : i + reach + 1 : self.stride] for i in range(self.kernel)]
        return nn.Dense(self.features)(jnp.concatenate(rows, axis=-1))


class WycrystNet(nn.Module):
    """The three networks; `__call__` runs all of them."""

    options: NetworkOptions

    def setup(self) -> None:
        """Layers."""
        o = self.options
        first, second, third = o.channels
        self.convolutions = [Convolution(first, 5, 2), Convolution(second, 3, 2), Convolution(third, 3)]
        self.norms = [nn.LayerNorm(epsilon=1e-5) for _ in o.channels]
        self.dense = nn.Dense(o.dense)
        self.group_layers = [nn.Dense(width) for width in o.group]
        self.mean, self.log_variance = nn.Dense(o.latent), nn.Dense(o.latent)
        self.energy_layers = [nn.Dense(width) for width in o.energy]
        self.energy_head = nn.Dense(1)
        self.unfold = nn.Dense(third * NUM_ROWS // 4)
        self.transposed = [Convolution(second, 3), Convolution(first, 3, up=2)]
        self.decoder_norms = [nn.LayerNorm(epsilon=1e-5) for _ in range(2)]
        self.last = Convolution(MAX_COLUMNS, 5, up=2)
        self.group_head = nn.Dense(NUM_TYPES)

    def encode(self, columns: Array, number: Array) -> tuple[Array, Array]:
        """Mean and log-variance `(b, latent)` of compounds: `(b, NUM_ROWS, 3)` columns and `(b,)` space-group numbers."""
        h = columns
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            h = nn.leaky_relu(norm(convolution(h)), _SLOPE)
        h = nn.relu(self.dense(h.reshape(len(h), -1)))
        g = jax.nn.one_hot(number - 1, NUM_TYPES)
        for layer in self.group_layers:
            g = nn.relu(layer(g))
        both = jnp.concatenate([h, g], axis=-1)
        return self.mean(both), jnp.clip(self.log_variance(both), -_LOG_VARIANCE, _LOG_VARIANCE)

    def decode(self, latent: Array) -> tuple[Array, Array]:
        """Columns `(b, NUM_ROWS, 3)` and logits of the space group `(b, 230)`, number - 1."""
        h = nn.relu(self.unfold(latent)).reshape(len(latent), NUM_ROWS // 4, -1)
        for convolution, norm in zip(self.transposed, self.decoder_norms, strict=True):
            h = nn.relu(norm(convolution(h)))
        return self.last(h), self.group_head(latent)

    def energy(self, mean: Array) -> Array:
        """`(b,)` property in (0, 1), from the latent mean."""
        h = nn.relu(mean)
        for layer in self.energy_layers:
            h = nn.relu(layer(h))
        return nn.sigmoid(self.energy_head(h))[:, 0]

    def __call__(self, columns: Array, number: Array, noise: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Mean, log-variance, decoded columns, logits of the group, property; `noise` `(b, latent)` is standard normal."""
        mean, log_variance = self.encode(columns, number)
        decoded, logits = self.decode(mean + jnp.exp(0.5 * log_variance) * noise)
        return mean, log_variance, decoded, logits, self.energy(mean)
