"""Training: cross-entropy of space groups and of elements."""

import jax
import jax.numpy as jnp
import numpy as np

from symjax.elements import NUM_ELEMENTS
from symjax.train.interface import Bucket
from symjax.wyckoff.set_table import standard_numbers


class TinyTask:
    name = "tiny"

    def __init__(self, config, train, val):
        self.scale, self.batch = config.model.tiny.scale, config.train.batch_size
        self.parts = [examples(data) for data in (train, val) if data is not None]

    def buckets(self):
        return [Bucket(self.parts[0], 1.0, self.batch)]

    def validation(self):
        return [Bucket(part, 1.0, self.batch) for part in self.parts[1:]]

    def init(self, key, example_batch):
        net = {
            name: self.scale * jax.random.normal(key, (n,)) for name, n in (("group", 231), ("element", NUM_ELEMENTS))
        }
        known = jnp.zeros(NUM_ELEMENTS).at[1:].set((self.parts[0]["element"].sum(0) > 0)[1:].astype(float))
        return {"net": net, "stats": {"known": known}}

    def loss(self, params, batch, key, train):
        group = jax.nn.log_softmax(params["net"]["group"])[batch["group"]]
        element = batch["element"] @ jax.nn.log_softmax(params["net"]["element"])
        parts = {"group": -group.mean(), "element": -element.mean()}
        return sum(parts.values()), parts


def examples(data):
    """Space group (n,) and share of orbits of each element (n, NUM_ELEMENTS)."""
    share = np.zeros((len(data), NUM_ELEMENTS), np.float32)
    np.add.at(share, (np.asarray(data.orbit_crystal), np.asarray(data.orbit_z)), 1.0)
    group = standard_numbers(data.sets)[np.asarray(data.set_index)].astype(np.int32)
    return {"group": group, "element": share / share.sum(1, keepdims=True)}
