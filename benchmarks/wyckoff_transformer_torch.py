"""The peer of `benchmarks/wyckoff_transformer.py`: the published network in plain PyTorch, for measuring only.

Same parameters and outputs as `symjax.models.wyckoff_transformer.network.WyckoffNet`. Sampling is as published: no mask, no
padding, 63 passes of the whole network over a growing context for all rows (21 slots, element then site symmetry then
enumeration), whether a row has stopped or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from symjax.models.wyckoff_transformer.network import FIELDS, NetworkOptions


class PlainNet:
    """The network with our parameters, as functions of tensors."""

    def __init__(self, options: NetworkOptions, params: dict[str, Any], start: np.ndarray):
        self.options = options
        self.start_features = torch.from_numpy(np.array(start, np.float32))
        self.values = {name: self._tensors(value) for name, value in params.items()}

    def _tensors(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._tensors(part) for name, part in value.items()}
        return torch.from_numpy(np.array(value, np.float32))

    def _affine(self, x: Tensor, part: dict[str, Tensor]) -> Tensor:
        return x @ part["kernel"] + part["bias"] if "bias" in part else x @ part["kernel"]

    def _layer(self, x: Tensor, part: dict[str, Any]) -> Tensor:
        """One post-norm layer, all tokens."""
        o = self.options
        b, t, width = x.shape
        heads = (x @ part["in_kernel"] + part["in_bias"]).reshape(b, t, 3, o.num_heads, -1).permute(2, 0, 3, 1, 4)
        gathered = F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(b, t, width)
        x = x + gathered @ part["out_kernel"] + part["out_bias"]
        x = F.layer_norm(x, (width,), part["norm_0"]["scale"], part["norm_0"]["bias"], 1e-5)
        y = self._affine(F.relu(self._affine(x, part["feed_0"])), part["feed_1"])
        return F.layer_norm(x + y, (width,), part["norm_1"]["scale"], part["norm_1"]["bias"], 1e-5)

    def logits(self, number: Tensor, sites: Tensor, head: int) -> Tensor:
        """`(b, V)` at the last of the sites `(b, t, 3)`, which is the masked slot."""
        o, v = self.options, self.values
        parts = [v[f"embed_{field}"][sites[..., f]] for f, field in enumerate(FIELDS)]
        x = torch.cat(
            [
                self._affine(self.start_features[number], v["start"])[:, None],
                self._affine(torch.cat(parts, -1), v["mixer"]),
            ],
            1,
        )
        for i in range(o.num_layers):
            x = self._layer(x, v[f"layer_{i}"])
        presence = torch.zeros(len(sites), o.vocabulary[head]).scatter_(1, sites[..., head], 1.0)
        x = torch.cat([x[:, -1], presence], -1)
        for i in range(3):
            x = self._affine(F.relu(x) if i else x, v[f"head_{FIELDS[head]}"][f"layer_{i}"])
        return x

    def sample(self, number: np.ndarray, slots: int) -> np.ndarray:
        """`(b, slots, 3)` tokens."""
        groups = torch.from_numpy(number.astype(np.int64))
        masks = torch.tensor([size - 3 for size in self.options.vocabulary])
        sites = torch.zeros((len(groups), 0, 3), dtype=torch.long)
        with torch.no_grad():
            for _ in range(slots):
                sites = torch.cat([sites, masks.expand(len(groups), 1, 3)], 1).contiguous()
                for head in range(3):
                    drawn = torch.multinomial(torch.softmax(self.logits(groups, sites, head), -1), 1)
                    sites[:, -1, head] = drawn[:, 0]
        return sites.numpy()
