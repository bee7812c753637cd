"""The smallest configuration: a linear regression without data files, for trying the loop and for its tests."""

from ml_collections import ConfigDict

from symjax.train.config import apply, base


def get_config() -> ConfigDict:
    """A run of two hundred steps that takes seconds."""
    config = base()
    config.model.name = "toy"
    config.model.noise = 0.1  # standard deviation of the noise that the loss adds to the inputs
    config.model.width = 8  # inputs
    config.model.fuse = 0.0  # bias at which the loss stops being a number; 0 = none
    steps = {"train.steps": 200, "train.batch_size": 16, "train.steps_per_dispatch": 20, "train.warmup": 0}
    every = {"train.log_every": 20, "train.eval_every": 100, "train.checkpoint_every": 100}
    return apply(config, {**steps, **every, "train.schedule": "constant", "train.learning_rate": 0.05})
