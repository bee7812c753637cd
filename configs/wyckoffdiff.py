"""WyckoffDiff: discrete diffusion over which elements occupy the Wyckoff positions of a group; and its Adaptor for conditions.

    python -m experiments.train --config configs/wyckoffdiff.py:small --config.data.train=train.npz --config.data.val=val.npz \
        --workdir runs/wyckoffdiff
    python -m experiments.train --config configs/wyckoffdiff.py:small,part=adaptor --workdir runs/adaptor \
        --config.train.init_from=runs/wyckoffdiff/weights --config.data.train=train.npz --config.data.val=val.npz
    symjax generate --model wyckoffdiff --weights runs/adaptor/weights --num 16 --elements Li,O --condition e_above_hull=0 \
        --guidance 2 --out lithium_oxides

Sizes: tiny (tests, seconds), small (one CPU core, about an hour; the shipped weights), paper (9,575,083 parameters and 1,287,552 of
the Adaptor's two conditions, one accelerator). Parts: base, adaptor (fine-tuned from the base's weights, which stay frozen in
`small`, and move in `paper`). Kernels: uniform (the public code's default), marginal, zeros.

The shipped weights are base and Adaptor: 14,000 steps of `small` and 3,000 of `small,part=adaptor` on the rebuilt MP-20 (26,523 of
its 26,818 training crystals); validation 7.08 nats a crystal without conditions, 6.33 with them. Every logged value is in
docs/training/wyckoffdiff.jsonl and docs/training/wyckoffdiff_adaptor.jsonl.
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "paper")
FREQUENT = (225, 12, 139, 62, 194, 166, 63, 221, 2, 123, 14, 164, 216, 15, 129, 1, 189, 71, 38, 8)
"""The 20 most frequent space groups of MP-20's training split, as figure 2 of arXiv 2601.08115 has them."""
CONDITIONS = ("chemical_system", "e_above_hull", "formation_energy_per_atom", "band_gap")


def wyckoffdiff() -> ConfigDict:
    """Section `model.wyckoffdiff`, with the published values."""
    return ConfigDict(
        {
            "width": 256,  # features of a position
            "context": 16,  # features of its freedom, letter, multiplicity, of space group and time
            "num_layers": 3,  # rounds of messages
            "num_steps": 1000,  # T
            "max_count": 54,  # most orbits of one element on one position
            "attention_width": 544,  # hidden width of the weights of messages
            "message_width": 544,  # of the messages
            "head_width": 512,  # of both heads
            "conditions": (),  # chemical_system, or names of numeric columns of the data set; () is the base
            "adaptor_dim": 64,  # width of an embedded condition
            "kernel": "uniform",  # uniform | marginal | zeros: what noise ends in
            "loss": "variables",  # variables: mean over a crystal's variables (published) | crystals: sum over them
            "skip_known": False,  # kernel zeros: leave out of the loss what the noisy occupation shows
            "augment": True,  # a random equivalent description (origin and axes) each time
            "condition_dropout": 0.2,  # probability to hide a condition, each by itself (MatterGen's code)
            "buckets": (
                (2, 3),
                (4, 5),
                (4, 8),
                (6, 10),
                (8, 19),
            ),  # padded numbers of positions without and with freedom
        }
    )


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "train.steps": 60,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 10,
        "train.warmup": 10,
        "train.learning_rate": 3e-3,
        "train.ema": 0.9,
        "model.wyckoffdiff.width": 24,
        "model.wyckoffdiff.context": 8,
        "model.wyckoffdiff.num_layers": 1,
        "model.wyckoffdiff.num_steps": 50,
        "model.wyckoffdiff.max_count": 6,
        "model.wyckoffdiff.attention_width": 16,
        "model.wyckoffdiff.message_width": 32,
        "model.wyckoffdiff.head_width": 32,
        "model.wyckoffdiff.adaptor_dim": 8,
        "model.wyckoffdiff.kernel": "zeros",
        "model.wyckoffdiff.loss": "crystals",
        "model.wyckoffdiff.skip_known": True,
        "model.wyckoffdiff.buckets": ((8, 19),),
    },
    "small": {
        "train.steps": 14_000,
        "train.batch_size": 64,
        "train.steps_per_dispatch": 10,
        "train.learning_rate": 2e-3,
        "train.warmup": 200,
        "train.log_every": 100,
        "train.eval_every": 1000,
        "train.checkpoint_every": 1000,
        "model.wyckoffdiff.width": 96,
        "model.wyckoffdiff.max_count": 8,  # leaves out 1.1 % of MP-20, whose largest is 14
        "model.wyckoffdiff.attention_width": 16,
        "model.wyckoffdiff.message_width": 128,
        "model.wyckoffdiff.head_width": 128,
        "model.wyckoffdiff.adaptor_dim": 32,
        "model.wyckoffdiff.kernel": "zeros",
        "model.wyckoffdiff.loss": "crystals",
        "model.wyckoffdiff.skip_known": True,
    },
    # 900 epochs of 27,136 crystals in batches of 32, rate 1e-4 (arXiv 2601.08115); no average of weights, no clipping by norm
    "paper": {
        "train.steps": 763_200,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 100,
        "train.learning_rate": 1e-4,
        "train.warmup": 0,
        "train.schedule": "constant",
        "train.ema": 0.0,
        "train.clip": 0.0,
        "train.log_every": 1000,
        "train.eval_every": 8480,
        "train.checkpoint_every": 8480,
    },
}

FROZEN = (r"net/params/(?!adaptor|embed).*",)
ADAPTOR: dict[str, dict[str, object]] = {
    "tiny": {"train.steps": 20, "model.wyckoffdiff.conditions": ("chemical_system", "formation_energy_per_atom")},
    "small": {
        "train.steps": 3_000,
        "train.learning_rate": 2e-3,
        "train.freeze": FROZEN,
        "model.wyckoffdiff.conditions": CONDITIONS,
    },
    # 200 epochs, rate 2e-4
    "paper": {"train.steps": 169_600, "train.learning_rate": 2e-4, "model.wyckoffdiff.conditions": CONDITIONS[:2]},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one size: `small`, `size=paper`, `small,part=adaptor`, `paper,kernel=zeros`."""
    allowed = {"size": SIZES, "part": ("base", "adaptor"), "kernel": ("", "uniform", "marginal", "zeros")}
    chosen = parse_argument(argument, first="size", allowed=allowed)
    config = base()
    config.data.train = "prototypes"  # so that a first try needs no file
    config.model.name = "wyckoffdiff"
    config.model.wyckoffdiff = wyckoffdiff()
    values = dict(PRESETS[chosen["size"]])
    if chosen["part"] == "adaptor":
        values |= ADAPTOR[chosen["size"]]
    if chosen["kernel"]:
        values["model.wyckoffdiff.kernel"] = chosen["kernel"]
        if chosen["kernel"] != "zeros":
            values["model.wyckoffdiff.skip_known"] = False
    return apply(config, values)
