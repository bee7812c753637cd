"""The peer of `benchmarks/symmcd.py`: SymmCD's layer stack in plain PyTorch, as published, on padded batches; for measuring only.

Same parameters and outputs as `symjax.models.symmcd.network.SymmcdNet`. Every message multiplies the concatenation of receiver,
sender, lattice and Fourier features with the whole first kernel, and the Fourier features are sines and cosines of every pair.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from symjax.models.symmcd.network import NUM_AXES, NUM_KINDS, NUM_TYPES, NetworkOptions


def linear(values: dict[str, Any]) -> nn.Linear:
    """A layer with our kernel and bias."""
    kernel = np.array(values["kernel"])
    made = nn.Linear(*kernel.shape, bias="bias" in values)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(kernel.T.copy()))
        if "bias" in values:
            made.bias.copy_(torch.from_numpy(np.array(values["bias"])))
    return made


def norm(values: dict[str, Any]) -> nn.LayerNorm:
    """Layer normalisation with our scale and bias."""
    made = nn.LayerNorm(len(values["scale"]))
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(np.array(values["scale"])))
        made.bias.copy_(torch.from_numpy(np.array(values["bias"])))
    return made


def fourier(vectors: Tensor, num: int) -> Tensor:
    """`(..., 3) -> (..., 6 num)`, sines then cosines."""
    angles = (2 * math.pi * vectors[..., None] * torch.arange(num)).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Layer(nn.Module):
    """One round of messages."""

    def __init__(self, p: dict[str, Any]):
        super().__init__()
        self.norm = norm(p["norm"])
        self.edge = nn.Sequential(linear(p["edge_0"]), nn.SiLU(), linear(p["edge_1"]), nn.SiLU())
        self.node = nn.Sequential(linear(p["node_0"]), nn.SiLU(), linear(p["node_1"]), nn.SiLU())

    def forward(self, h: Tensor, k: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        """`h (b, m, w)`, `k (b, 6)`, `pairs (b, m, m, 6f)`, receiver first."""
        u = self.norm(h)
        b, m, w = u.shape
        edges = [
            u[:, :, None].expand(b, m, m, w),
            u[:, None].expand(b, m, m, w),
            k[:, None, None].expand(b, m, m, 6),
            pairs,
        ]
        messages = self.edge(torch.cat(edges, dim=-1)) * mask[:, None, :, None]
        gathered = messages.sum(2) / mask.sum(1).clamp(min=1.0)[:, None, None]
        return h + self.node(torch.cat([u, gathered], dim=-1))


class PlainStack(nn.Module):
    """The whole denoiser, with parameters `p` of ours."""

    def __init__(self, options: NetworkOptions, p: dict[str, Any]):
        super().__init__()
        self.options = options
        self.group = nn.Sequential(
            linear(p["group_0"]),
            nn.ReLU(),
            norm(p["group_norm_0"]),
            linear(p["group_1"]),
            nn.ReLU(),
            norm(p["group_norm_1"]),
            linear(p["group_2"]),
        )
        for name in ("types", "kinds", "sites", "init", "head_k", "head_x", "head_types", "head_axes", "head_kinds"):
            setattr(self, name, linear(p[name]))
        self.layers = nn.ModuleList(Layer(p[f"layer_{i}"]) for i in range(options.num_layers))
        self.norm = norm(p["norm"])

    def forward(
        self, group: Tensor, k: Tensor, types: Tensor, sites: Tensor, x: Tensor, mask: Tensor, t: Tensor
    ) -> tuple[Tensor, ...]:
        """Predictions `(k, x, types, sites)` for the fields of `Nodes` and steps `t (b,)`."""
        o, (b, m) = self.options, types.shape
        real = mask.float()
        half = o.time_dim // 2
        angles = t[:, None] * 10000.0 ** (-torch.arange(half) / max(half - 1, 1))
        whole = torch.cat([angles.sin(), angles.cos(), self.group(group)], dim=-1)[:, None].expand(b, m, -1)
        kinds = self.kinds(F.one_hot(sites, NUM_KINDS).float()).flatten(-2)
        parts = [
            self.types(F.one_hot(types, NUM_TYPES).float()),
            whole,
            self.sites(kinds),
            fourier(x, o.num_frequencies),
        ]
        h = self.init(torch.cat(parts, dim=-1))
        pairs = fourier(x[:, None] - x[:, :, None], o.num_frequencies)
        for layer in self.layers:
            h = layer(h, k, pairs, real)
        h = self.norm(h)
        mean = (h * real[..., None]).sum(1) / real.sum(1).clamp(min=1.0)[:, None]
        axes = self.head_axes(h).unflatten(-1, (NUM_AXES, o.head_dim))
        factors = self.head_kinds(h).unflatten(-1, (NUM_KINDS, o.head_dim))
        logits = torch.einsum("bmad,bmsd->bmas", axes, factors)
        return self.head_k(mean), self.head_x(h) * real[..., None], self.head_types(h), logits
