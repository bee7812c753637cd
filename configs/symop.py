"""symop: operations first, then the crystal. Two networks, trained one after the other (or side by side) by the same loop.

    python -m experiments.train --config configs/symop.py:small,part=operations --config.data.train=train.npz \
        --config.data.val=val.npz --workdir runs/operations
    python -m experiments.train --config configs/symop.py:small,part=geometry --config.data.train=train.npz \
        --config.data.val=val.npz --workdir runs/geometry

Sizes: tiny (tests, seconds), small (two CPU cores, under an hour), base (one modern accelerator). Parts: operations (species, the
walk up the subgroup lattice, sites) and geometry (lattice and coordinates).
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "base")
PARTS = ("operations", "geometry", "flow")


def operations() -> ConfigDict:
    """Section `model.operations`: species prior, operation walk, sites."""
    return ConfigDict(
        {
            "species_dim": 96,  # width of the species network
            "walk_dim": 64,  # width of the walk's network
            "quotient_dim": 24,  # width in which the quotients of a set are summed
            "sites_dim": 96,  # width of the site network
            "dropout": 0.1,  # in all three
            "chains": 16,  # random subgroup chains kept for each description of a type
            "conjugates": 0.5,  # share of crystals described by a random one of their type's descriptions
            "held_out": 0,  # classes of sets whose index it divides are left out of those descriptions; 0 for none
        }
    )


def geometry() -> ConfigDict:
    """Section `model.geometry`: joint diffusion of lattice and coordinates."""
    return ConfigDict(
        {
            "irreps": "96x0e + 32x1o",  # features of an orbit representative
            "message_irreps": "32x0e + 16x1o",  # features that travel to neighbours
            "lmax": 1,  # degree of the spherical harmonics on edges
            "num_layers": 3,  # message-passing layers
            "radial_hidden": 64,  # width of the radial networks
            "num_neighbours": 24,  # nearest symmetry images per representative
            "sigma_min": 0.003,  # smallest noise of a free coordinate, in edges of the reference cell
            "sigma_max": 0.7,  # largest; the torus is then nearly uniform
            "lattice_power": 1.5,  # exponent of the lattice's cosine schedule; above 1 the lattice settles before the atoms
            "lattice_weight": 1.0,  # weight of the lattice loss beside the coordinate loss
            # (orbits, atoms per cell) each padded size holds
            "buckets": ((2, 4), (4, 12), (6, 24), (8, 40), (12, 48), (20, 96)),
        }
    )


def flow() -> ConfigDict:
    """Section `model.flow`: the operation flow, lattice first, then rotations, then translations."""
    return ConfigDict(
        {
            "dim": 64,  # width of the rotation and of the translation network
            "layers": 3,  # attention layers over the operations of each
            "heads": 4,  # heads of each
            "lattice_dim": 128,  # width of the lattice network
            "lattice_draws": 16,  # noises of each lattice in a step
            "species_dim": 64,  # width of the encoder of the elements
            "dropout": 0.2,  # of that encoder and of the head of the order
            "tokens": 640,  # operations in a batch, half of them for the rotations and half for the translations
            "smallest": 16,  # crystals in a batch at least
            "largest": 96,  # and at most
            "lattice_weight": 1.0,  # of the lattice's loss, in units of the cross-entropy of a rotation
            "translation_weight": 1.0,  # of the cross-entropy of a translation (mean over its components)
            "order_weight": 0.2,  # of the cross-entropy of the number of operations
            "closure": 0.02,  # weights of the regularisers on the assigned clean estimate
            "inverse": 0.02,
            "identity": 0.02,
            "compatibility": 0.02,  # of the operations with the predicted lattice
        }
    )


# Dotted overrides of size, and of size and part.
PRESETS: dict[tuple[str, str], dict[str, object]] = {
    ("tiny", "operations"): {
        "train.steps": 60,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 20,
        "train.warmup": 10,
        "train.learning_rate": 3e-3,
        "model.operations.species_dim": 32,
        "model.operations.walk_dim": 32,
        "model.operations.quotient_dim": 8,
        "model.operations.sites_dim": 32,
        "model.operations.chains": 4,
    },
    ("small", "operations"): {
        "train.steps": 4500,
        "train.batch_size": 256,
        "train.learning_rate": 2e-3,
        "train.warmup": 200,
        "train.weight_decay": 0.03,  # with the dropout: 0.01 and 0.1 overfit the sites (docs/decisions/training.md)
        "model.operations.dropout": 0.25,
    },
    ("base", "operations"): {
        "train.steps": 50_000,
        "train.batch_size": 1024,
        "model.operations.species_dim": 256,
        "model.operations.walk_dim": 256,
        "model.operations.quotient_dim": 64,
        "model.operations.sites_dim": 256,
    },
    ("tiny", "flow"): {
        "train.steps": 60,
        "train.steps_per_dispatch": 4,
        "train.warmup": 10,
        "train.learning_rate": 2e-3,
        "model.flow.dim": 24,
        "model.flow.layers": 1,
        "model.flow.heads": 2,
        "model.flow.lattice_dim": 32,
        "model.flow.lattice_draws": 2,
        "model.flow.species_dim": 16,
        "model.flow.tokens": 128,
        "model.flow.smallest": 4,
        "model.flow.largest": 16,
    },
    ("small", "flow"): {
        "train.steps": 10_000,
        "train.steps_per_dispatch": 4,
        "train.learning_rate": 2e-3,
        "train.warmup": 200,
        "train.weight_decay": 0.01,
        "train.ema": 0.998,
        "train.eval_every": 0,
        "train.eval_batches": 6,
        "train.checkpoint_every": 500,
    },
    ("base", "flow"): {
        "train.steps": 100_000,
        "train.steps_per_dispatch": 4,
        "model.flow.dim": 256,
        "model.flow.layers": 6,
        "model.flow.heads": 8,
        "model.flow.lattice_dim": 384,
        "model.flow.species_dim": 128,
        "model.flow.tokens": 16_384,
        "model.flow.largest": 1024,
    },
    ("tiny", "geometry"): {
        "train.steps": 60,
        "train.batch_size": 16,
        "train.steps_per_dispatch": 20,
        "train.warmup": 10,
        "model.geometry.irreps": "16x0e + 4x1o",
        "model.geometry.message_irreps": "8x0e + 4x1o",
        "model.geometry.num_layers": 2,
        "model.geometry.radial_hidden": 16,
        "model.geometry.num_neighbours": 12,
        "model.geometry.buckets": ((4, 24), (12, 64)),
    },
    ("small", "geometry"): {
        "train.steps": 16_000,
        "train.batch_size": 64,
        "train.learning_rate": 2e-3,
        "train.warmup": 300,
        "train.eval_every": 1000,
        "train.checkpoint_every": 1000,
    },
    ("base", "geometry"): {
        "train.steps": 200_000,
        "train.batch_size": 512,
        "model.geometry.irreps": "192x0e + 64x1o + 32x2e",
        "model.geometry.message_irreps": "96x0e + 32x1o + 16x2e",
        "model.geometry.lmax": 2,
        "model.geometry.num_layers": 4,
        "model.geometry.radial_hidden": 128,
    },
}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one size and part: `small`, `tiny,part=geometry`, `size=base,part=operations`."""
    chosen = parse_argument(argument, first="size", allowed={"size": SIZES, "part": PARTS})
    config = base()
    config.data.train = "prototypes"  # so that a first try needs no file
    config.model.name = f"symop_{chosen['part']}"
    sections = {"operations": operations, "geometry": geometry, "flow": flow}
    config.model[chosen["part"]] = sections[chosen["part"]]()
    return apply(config, PRESETS[chosen["size"], chosen["part"]])
