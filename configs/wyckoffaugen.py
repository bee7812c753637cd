"""WyckoffAUGen: space group, elements, cell and atoms one after the other, with explicit likelihoods on asymmetric units.

    python -m experiments.train --config configs/wyckoffaugen.py:small --config.data.train=train.npz --config.data.val=val.npz \
        --workdir runs/wyckoffaugen
    mkdir -p weights && cp -r runs/wyckoffaugen/weights weights/wyckoffaugen
    python -m experiments.wyckoffaugen_likelihood --weights weights/wyckoffaugen --data val.npz

Sizes: tiny (tests, seconds), small (one CPU core, about an hour), paper (the published widths, one
accelerator).
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "paper")


def wyckoffaugen() -> ConfigDict:
    """Section `model.wyckoffaugen`, with the published values."""
    return ConfigDict(
        {
            "width": 256,  # hidden width
            "edge_width": 480,  # filters of relative positions
            "num_layers": 7,  # rounds of messages
            "num_radial": 300,  # radial functions of a distance
            "radial_range": 30.0,  # angstrom that they cover; no cutoff
            "num_frequencies": 128,  # of random Fourier features
            "fourier_scales": (
                20.0,
                1.0,
                10.0,
            ),  # their deviations: lengths, angles, edges of bins (parameters from -4 to 4)
            "num_bins": 100,  # of each of the two levels of a cell parameter
            "num_beta": 10,  # components on segments
            "num_dirichlet": 30,  # on polygons
            "num_von_mises": 50,  # in interiors
            "max_sites": 20,  # sites of a crystal
            "max_atoms": 20,  # atoms of its primitive cell
            "max_elements": 8,  # of a composition space
            "noise_x": 0.2,  # angstrom, Gaussian, on the sites that the next one is conditioned on
            "noise_length": 0.01,  # angstrom, range of uniform noise on the lengths
            "noise_angle": 1.0,  # degrees, on the angles
            "rebalance": 0.3,  # factor of the gradient of cell, position, element and stop
            "mixture_prior": 1e-4,  # times the log weights of the components: a Dirichlet prior of 1.0001
            "z_loss": 1e-4,  # times the squared logarithms of sums before normalising
            "buckets": (5, 20),  # padded numbers of sites
            "edges": (160, 768),  # slots for edges in each; the few crystals that have more lose some
        }
    )


# Rates of the parts as shares of train.learning_rate; published: 2e-4, 1e-3, 2e-3, 1e-3 and 5e-4.
RATES = (("gnn/.*", 0.2), ("group/.*", 1.0), ("composition/.*", 2.0), ("lattice/.*", 1.0), ("atoms/.*", 0.5))

PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "train.steps": 40,
        "train.batch_size": 16,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 3e-3,
        "train.warmup": 5,
        "train.ema": 0.9,
        "train.rates": (),
        "model.wyckoffaugen.width": 16,
        "model.wyckoffaugen.edge_width": 8,
        "model.wyckoffaugen.num_layers": 1,
        "model.wyckoffaugen.num_radial": 8,
        "model.wyckoffaugen.radial_range": 12.0,
        "model.wyckoffaugen.num_frequencies": 4,
        "model.wyckoffaugen.fourier_scales": (0.5, 0.5, 0.5),
        "model.wyckoffaugen.num_beta": 3,
        "model.wyckoffaugen.num_dirichlet": 3,
        "model.wyckoffaugen.num_von_mises": 4,
        "model.wyckoffaugen.buckets": (20,),
        "model.wyckoffaugen.edges": (768,),
    },
    "small": {
        "train.steps": 4_000,
        "train.batch_size": 128,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 3e-3,
        "train.warmup": 200,
        "train.log_every": 50,
        "train.eval_every": 1000,
        "train.eval_batches": 4,
        "train.checkpoint_every": 250,
        "train.weight_decay": 1e-3,
        "train.rates": (),
        "model.wyckoffaugen.width": 56,
        "model.wyckoffaugen.edge_width": 16,
        "model.wyckoffaugen.num_layers": 1,
        "model.wyckoffaugen.num_radial": 24,
        "model.wyckoffaugen.radial_range": 10.0,
        "model.wyckoffaugen.num_frequencies": 8,
        "model.wyckoffaugen.fourier_scales": (1.0, 0.5, 2.0),
        "model.wyckoffaugen.max_elements": 7,
        "model.wyckoffaugen.edges": (80, 448),
        "model.wyckoffaugen.num_beta": 10,
        "model.wyckoffaugen.num_dirichlet": 10,
        "model.wyckoffaugen.num_von_mises": 16,
    },
    # 3,000 epochs of 27,136 crystals; no schedule is given, so the rate falls as a cosine
    "paper": {
        "train.steps": 159_000,
        "train.batch_size": 512,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 1e-3,
        "train.warmup": 1000,
        "train.epsilon": 1e-5,
        "train.weight_decay": 1e-5,
        "train.log_every": 1000,
        "train.eval_every": 5000,
        "train.checkpoint_every": 5000,
        "train.rates": RATES,
    },
}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one size: `small`, `size=paper`."""
    chosen = parse_argument(argument, first="size", allowed={"size": SIZES})
    config = base()
    config.data.train = "prototypes"  # so that a first try needs no file
    config.model.name = "wyckoffaugen"
    config.model.wyckoffaugen = wyckoffaugen()
    return apply(config, PRESETS[chosen["size"]])
