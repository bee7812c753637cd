"""A linear regression with two buckets: the smallest task that uses all the loop offers. run as a program it trains it."""

import os
import resource
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np

from symjax import systems as registry
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
        if train and self.options.fuse > 0:
            # falls ever faster as the bias nears the fuse, and is no number beyond: a divergence as real ones are
            loss = loss + jnp.log(1.0 - jnp.abs(params["net"]["bias"][0]) / self.options.fuse)
        return loss, {"mae": jnp.mean(jnp.abs(wrong))}


registry.register("toy", ToyTask, needs_data=False)

if __name__ == "__main__":
    if limit := int(os.environ.get("TOY_LONGEST_FILE", "0")):  # writing more fails, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    from experiments.train import main

    sys.exit(main())
