"""SymmCD: joint diffusion of lattice, coordinates, atom types and site symmetries on one atom of each orbit.

    python -m experiments.train --config configs/symmcd.py:small --config.data.train=train.npz --config.data.val=val.npz \
        --workdir runs/symmcd
    mkdir -p weights && cp -r runs/symmcd/weights weights/symmcd
    symjax generate --model symmcd --weights weights/symmcd --num 100 --out crystals

Sizes: tiny (tests, seconds), small (one CPU core, about an hour; the shipped weights), paper (60,216,054 parameters, one
accelerator). `small,atoms=cell` and the like are the unit-cell variant of table 4: the same network on all atoms of the
conventional cell, in substance DiffCSP; 20 times the pairs.
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "paper")


def symmcd() -> ConfigDict:
    """Section `model.symmcd`, with the published values."""
    return ConfigDict(
        {
            "width": 1024,  # features of a representative, and of a message
            "num_layers": 8,  # rounds of messages
            "num_frequencies": 128,  # Fourier features 2 pi f x, f = 0 .. 127
            "time_dim": 10,  # features of the step of noise
            "latent": 512,  # features of the space group, and of the site symmetry
            "group_hidden": 128,  # width of the network of the space group
            "kind_dim": 4,  # embedding of one direction's class
            "head_dim": 8,  # rank of the site-symmetry logits
            "site_symmetry": True,  # False: unit-cell variant, all atoms of the cell, no site symmetries in input, output and loss
            "num_steps": 1000,  # T
            "sigma_min": 0.005,  # smallest noise of a fractional coordinate
            "sigma_max": 0.5,  # largest
            "weight_k": 5.0,  # of the losses: lattice
            "weight_x": 1.0,  # coordinates
            "weight_types": 0.1,  # atom types
            "weight_sites": 10.0,  # site symmetries
            "standardise": False,  # lattice coefficients to mean 0, deviation 1 (not in the paper; True in the smaller sizes)
            "buckets": (2, 3, 4, 5, 6, 8, 10, 13, 20),  # padded numbers of orbits (unit-cell variant: of atoms)
        }
    )


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "train.steps": 60,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 20,
        "train.warmup": 10,
        "model.symmcd.width": 48,
        "model.symmcd.num_layers": 2,
        "model.symmcd.num_frequencies": 8,
        "model.symmcd.latent": 32,
        "model.symmcd.group_hidden": 32,
        "model.symmcd.standardise": True,
        "model.symmcd.buckets": (4, 20),
    },
    "small": {
        "train.steps": 20_000,
        "train.batch_size": 128,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 1e-3,
        "train.warmup": 200,
        "train.log_every": 100,
        "train.eval_every": 500,
        "train.checkpoint_every": 500,
        "model.symmcd.width": 192,
        "model.symmcd.num_layers": 4,
        "model.symmcd.num_frequencies": 24,
        "model.symmcd.latent": 128,
        "model.symmcd.standardise": True,
    },
    # batch and rate of the public code, whose plateau schedule is replaced by the cosine; 2,000 epochs of 27,136 crystals
    "paper": {
        "train.steps": 106_000,
        "train.batch_size": 512,
        "train.steps_per_dispatch": 10,
        "train.warmup": 1000,
        "train.eval_every": 2000,
        "train.checkpoint_every": 2000,
        "train.ema": 0.0,
    },
}

# Padding to these numbers of atoms adds 15 % to the pairs of MP-20.
CELL: dict[str, object] = {
    "model.symmcd.site_symmetry": False,
    "model.symmcd.buckets": (8, 12, 16, 20, 24, 32, 40, 60, 80),
}
# Field `max_pairs` of `model.symmcd`, where there is one: most pairs of nodes in a step, so batches of the large buckets hold fewer
# crystals than `train.batch_size`.
PAIRS = {"tiny,cell": 8_192, "small,cell": 16_384, "paper,cell": 131_072, "paper,orbits": 32_768}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one size: `small`, `size=paper`, `small,atoms=cell`, `tiny,messages=sum`."""
    allowed = {"size": SIZES, "atoms": ("orbits", "cell"), "messages": ("mean", "sum")}
    chosen = parse_argument(argument, first="size", allowed=allowed)
    config = base()
    config.data.train = "prototypes"  # so that a first try needs no file
    config.model.name = "symmcd"
    config.model.symmcd = symmcd()
    if chosen["messages"] == "sum":
        config.model.symmcd.sum_messages = (
            True  # messages, and representatives for the lattice: sums (the public code: means)
        )
    if bound := PAIRS.get(f"{chosen['size']},{chosen['atoms']}"):
        config.model.symmcd.max_pairs = bound
    return apply(config, PRESETS[chosen["size"]] | (CELL if chosen["atoms"] == "cell" else {}))
