"""WyCryst: variational autoencoder over the Wyckoff representation of binaries and ternaries, a baseline.

    python -m experiments.train --config configs/wycryst.py:small --config.data.train=train.npz --config.data.val=val.npz \
        --workdir runs/wycryst

Sizes: tiny (tests, seconds), small (one CPU core, a few minutes), paper (published widths). The published optimiser is RMSprop at
2e-4 with a plateau schedule over 48 epochs of batches of 256; here it is the loop's Adam with a cosine, and no L2 on the property.
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "paper")


def wycryst() -> ConfigDict:
    """Section `model.wycryst`, with the published values."""
    return ConfigDict(
        {
            "channels": (32, 64, 128),  # of the three convolutions
            "dense": 1024,  # features of a compound
            "group": (256, 128),  # layers of the space group
            "latent": 256,  # dimensions of the latent
            "energy": (128, 32),  # layers of the property
            "weight_columns": 1 / 64,  # of the losses: squared error of the columns
            "weight_kl": 4
            / 256
            / 256,  # Kullback-Leibler divergence from the prior, nats (4 / latent / published batch)
            "weight_energy": 32.0,  # squared error of the scaled property
            "weight_group": 1 / 6,  # cross-entropy of the space group, nats
            "weight_formula": 1 / 256,  # squared difference of atoms and sites times multiplicities
        }
    )


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "train.steps": 60,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 20,
        "train.warmup": 10,
        "model.wycryst.channels": (4, 8, 8),
        "model.wycryst.dense": 32,
        "model.wycryst.group": (16, 16),
        "model.wycryst.latent": 8,
        "model.wycryst.weight_kl": 4 / 8 / 256,
        "model.wycryst.energy": (16, 8),
    },
    "small": {
        "train.steps": 3000,
        "train.batch_size": 128,
        "train.steps_per_dispatch": 50,
        "train.log_every": 250,
        "train.eval_every": 1000,
        "train.checkpoint_every": 1000,
        "model.wycryst.channels": (16, 32, 32),
        "model.wycryst.dense": 256,
        "model.wycryst.group": (128, 64),
        "model.wycryst.latent": 64,
        "model.wycryst.weight_kl": 4 / 64 / 256,
        "model.wycryst.energy": (64, 32),
    },
    "paper": {"train.steps": 5000, "train.batch_size": 256, "train.learning_rate": 2e-4, "train.ema": 0.0},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one size: `small`, `size=paper`."""
    chosen = parse_argument(argument, first="size", allowed={"size": SIZES})
    config = base()
    config.data.train = "prototypes"  # so that a first try needs no file
    config.model.name = "wycryst"
    config.model.wycryst = wycryst()
    return apply(config, PRESETS[chosen["size"]])
