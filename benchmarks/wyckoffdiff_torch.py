"""The peer of `benchmarks/wyckoffdiff.py`: the published network and reverse step in plain PyTorch, for measuring only.

As the public code does it: nodes of all crystals one after the other, a list of all edges (self loops included), both node features
of every edge concatenated for the first product, a softmax by scattering; posteriors by the matrices of the kernel. Same parameters
and outputs as `symjax.models.wyckoffdiff.network.WyckoffGNN`.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from symjax.models.wyckoffdiff.network import NetworkOptions
from symjax.models.wyckoffdiff.occupations import NUM_ELEMENTS, nodes
from symjax.wyckoff.types import type_positions


class Graph(NamedTuple):
    """Positions of several crystals as one graph."""

    fixed: Tensor  # (n,) bool without freedom
    rows: tuple[Tensor, ...]  # (n,) each: freedom, letter, multiplicity, group
    receiver: Tensor  # (e,)
    sender: Tensor  # (e,)


def graph_of(number: np.ndarray) -> Graph:
    """The graph of some space groups."""
    known, table = type_positions(), nodes()
    positions = [np.concatenate([part[n][part[n] >= 0] for part in (table.fixed, table.free)]) for n in number]
    group = np.repeat(number, [len(p) for p in positions])
    at = np.concatenate(positions)
    start = np.cumsum([0] + [len(p) for p in positions])
    pairs = [
        np.stack(np.meshgrid(range(a, b), range(a, b), indexing="ij")).reshape(2, -1)
        for a, b in itertools.pairwise(start)
    ]
    receiver, sender = torch.from_numpy(np.concatenate(pairs, axis=1))
    rows = tuple(
        torch.from_numpy(np.asarray(values[group, at], np.int64))
        for values in (known.dof, known.letter, known.multiplicity)
    )
    return Graph(rows[0] == 0, (*rows, torch.from_numpy(group.astype(np.int64))), receiver, sender)


class PlainNet:
    """The network with our parameters, as functions of tensors."""

    def __init__(self, options: NetworkOptions, params: dict[str, Any]):
        self.options, self.values = options, self._tensors(params["params"])

    def _tensors(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._tensors(part) for name, part in value.items()}
        return torch.from_numpy(np.array(value, np.float32))

    def _mlp(self, node: dict[str, Any], x: Tensor) -> Tensor:
        for i in range(len(node)):
            x = x @ node[f"layer_{i}"]["kernel"] + node[f"layer_{i}"]["bias"]
            x = F.silu(x) if i + 1 < len(node) else x
        return x

    def logits(self, graph: Graph, fixed: Tensor, free: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """`(n_fixed, 101)` and `(n_free, 100, counts)` of classes `(n_fixed,)` and counts `(n_free, 100)`."""
        v, n = self.values, len(graph.fixed)
        h = torch.empty(n, self.options.width)
        h[graph.fixed] = v["element"][fixed]
        h[~graph.fixed] = v["count"][free][..., 0] @ v["counts"]["kernel"] + v["counts"]["bias"]
        names = ("dof", "position", "multiplicity", "group")
        c = sum(v[name][rows] for name, rows in zip(names, graph.rows, strict=True)) + v["time"][t]
        for layer in range(self.options.num_layers):
            node, z = v[f"layer_{layer}"], torch.cat([h, c], dim=1)
            alpha = self._mlp(node["attention"], torch.cat([z[graph.receiver], z[graph.sender]], dim=1))[:, 0]
            largest = torch.full((n,), -torch.inf).scatter_reduce(0, graph.receiver, alpha, "amax")
            weight = torch.exp(alpha - largest[graph.receiver])
            weight = weight / torch.zeros(n).index_add(0, graph.receiver, weight)[graph.receiver]
            message = self._mlp(node["message"], z)[graph.sender] * weight[:, None]
            h = F.silu(h + torch.zeros_like(h).index_add(0, graph.receiver, message))
        free_logits = self._mlp(v["head_free"], h[~graph.fixed]).reshape(-1, NUM_ELEMENTS, self.options.max_count + 1)
        return self._mlp(v["head_fixed"], h[graph.fixed]), free_logits


def step(logits: Tensor, index: Tensor, one: Tensor, before: Tensor, whole: Tensor) -> Tensor:
    """A draw from the posterior, by matrices: `one` of the step, `before` up to the earlier index, `whole` up to this one."""
    clean = torch.softmax(logits, dim=-1)
    likely = (
        one.T[index][..., None, :] * before / whole[:, index].movedim(0, -1).clamp(min=1e-6)[..., None]
    )  # (..., clean, earlier)
    earlier = (clean[..., None] * likely).sum(dim=-2)
    flat = earlier.reshape(-1, earlier.shape[-1])
    return torch.multinomial(flat.clamp(min=0) + 1e-30, 1).reshape(index.shape)


def matrices(abar: np.ndarray, marginal: np.ndarray, t: int) -> tuple[Tensor, Tensor, Tensor]:
    """The three matrices of a step from index t to t - 1."""
    k = len(marginal)
    made = (abar[t] / abar[t - 1], abar[t - 1], abar[t])
    one, before, whole = (share * np.eye(k) + (1 - share) * np.ones((k, 1)) * marginal for share in made)
    return tuple(torch.from_numpy(m.astype(np.float32)) for m in (one, before, whole))  # type: ignore[return-value]
