"""A linear regression with two buckets: the smallest task that uses all the loop offers. `python -m tests.train.toy` trains it."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from symjax.models import registry
from symjax.train.interface import Bucket


class ToyTask:
    name = "toy"

    def __init__(self, config, train=None, val=None):
        del train, val
        self.options = config.model
        rng = np.random.default_rng(0)
        width = config.model.width
        self.weight = rng.normal(size=(width, 1)).astype(np.float32)
        self.parts = [self.make(rng, n) for n in (100, 37, 24)]
        self.batch = config.train.batch_size

    def make(self, rng, num):
        x = rng.normal(size=(num, self.options.width)).astype(np.float32)
        return {"x": x, "y": x @ self.weight + 0.5}

    def buckets(self):
        return [Bucket(self.parts[0], 0.75, self.batch), Bucket(self.parts[1], 0.25, self.batch)]

    def validation(self):
        return [Bucket(self.parts[2], 1.0, self.batch)]

    def init(self, key, example_batch):
        width = example_batch["x"].shape[1]
        weight = 0.1 * jax.random.normal(key, (width, 1))
        return {"net": {"weight": weight, "bias": jnp.zeros(1)}, "stats": {"scale": jnp.full((2, 2), 0.1)}}

    def loss(self, params, batch, key, train):
        x = batch["x"] + self.options.noise * jax.random.normal(key, batch["x"].shape) if train else batch["x"]
        wrong = x @ params["net"]["weight"] + params["net"]["bias"] - batch["y"]
        loss = jnp.mean(wrong**2) + 0.0 * jnp.sum(params["stats"]["scale"])
        if train and self.options.blow_up >= 0:
            # the gradient at the step is not a number either, as in a real divergence
            loss = jnp.where(jax.random.key_data(key).sum() >= 0, loss, loss) + jnp.log(self.fuse(params))
        return loss, {"mae": jnp.mean(jnp.abs(wrong))}

    def fuse(self, params):
        """Positive until the bias has grown, then below zero: its logarithm ends the run."""
        return 1.0 - jnp.abs(params["net"]["bias"][0]) / 0.3


registry.register("toy", ToyTask, needs_data=False)

if __name__ == "__main__":
    from experiments.train import main

    sys.exit(main())
