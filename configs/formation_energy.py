"""Formation energy per atom by SchNet on graphs of orbits (SymmCD's property table).

    python -m experiments.train --config configs/formation_energy.py:graph=asymmetric,sites=with --config.data.train=train.npz \
        --config.data.val=val.npz --workdir runs/energy
    python -m experiments.formation_energy --train train.npz --val val.npz --test test.npz --workdir runs/energies

The second command trains all four variants and prints the table. Sizes: tiny (tests, seconds), small (one CPU core, minutes), paper
(width, number of layers and number of neighbours of the published DimeNet++; an accelerator).
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "paper")
GRAPHS = ("multigraph", "asymmetric")
SITES = ("with", "without")

# padded sizes (orbits, edges into an orbit); a crystal goes to the first that holds it
BUCKETS = {"multigraph": ((3, 8), (4, 20), (7, 20), (20, 20)), "asymmetric": ((3, 2), (5, 4), (8, 10), (20, 20))}


def regression() -> ConfigDict:
    """Section `model.regression`."""
    return ConfigDict(
        {
            "property": "formation_energy_per_atom",  # column of the data that is predicted
            "graph": "multigraph",  # multigraph: all atoms, periodic | asymmetric: representatives only, no periodic images
            "cutoff": 7.0,  # multigraph: farthest neighbour, angstrom
            "num_neighbours": 20,  # multigraph: most neighbours of an atom
            "width": 128,  # features of a node
            "num_layers": 4,  # convolutions
            "num_radial": 60,  # Gaussians of the distance, from 0 ...
            "radial_range": 15.0,  # ... to here, angstrom: pairs without periodic images are as long as a cell
            "site_dim": 8,  # numbers that a site symmetry is brought to
            "site_symmetry": True,  # whether site symmetries are read
            "buckets": BUCKETS["multigraph"],
        }
    )


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "train.steps": 60,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 10,
        "train.warmup": 10,
        "model.regression.width": 24,
        "model.regression.num_layers": 2,
        "model.regression.num_radial": 30,
    },
    "small": {
        "train.steps": 4000,
        "train.batch_size": 64,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 1e-3,
        "train.log_every": 100,
        "train.eval_every": 0,
        "train.checkpoint_every": 500,
        "train.ema": 0.99,
        "model.regression.width": 64,
        "model.regression.num_layers": 3,
    },
    "paper": {
        "train.steps": 100_000,
        "train.batch_size": 128,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 5e-4,
        "train.warmup": 1000,
        "train.eval_every": 5000,
        "train.checkpoint_every": 5000,
    },
}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one variant: `small`, `size=paper,graph=asymmetric,sites=without`."""
    allowed = {"size": SIZES, "graph": GRAPHS, "sites": SITES}
    chosen = parse_argument(argument, first="size", allowed=allowed)
    config = base()
    config.model.name = "regression"
    config.model.regression = regression()
    variant = {
        "model.regression.graph": chosen["graph"],
        "model.regression.buckets": BUCKETS[chosen["graph"]],
        "model.regression.site_symmetry": chosen["sites"] == "with",
    }
    return apply(config, PRESETS[chosen["size"]] | variant)
