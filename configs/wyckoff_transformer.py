"""WyckoffTransformer: autoregressive, permutation-invariant model of space group and occupied Wyckoff positions.

    python -m experiments.train --config configs/wyckoff_transformer.py:small --config.data.train=train.npz \
        --config.data.val=val.npz --workdir runs/wyckoff_transformer
    mkdir -p weights && cp -r runs/wyckoff_transformer/weights weights/wyckoff_transformer
    symjax generate --model wyckoff_transformer --weights weights/wyckoff_transformer --num 100 --out crystals

Sizes: tiny (tests, seconds), small (the published network of 128,083 parameters, by minibatches and Adam, one CPU core; the shipped
weights), paper (the same for longer, one accelerator).

The shipped weights: `small` on the 26,818 crystals of rebuilt MP-20's training part, 7,000 steps of 256 crystals (about 67 draws of
each crystal, every one a single step for each field), 37 minutes on half a CPU core; validation at the end 19.29 nats per crystal
(elements 15.07, site symmetries 2.74, enumerations 1.49). Every logged value is in docs/training/wyckoff_transformer.jsonl.

Recipes: minibatch (default; each crystal of a batch has a step, order and representation of its own for each field), published
(`small,recipe=published`: the whole training set in a step, one field and one number of known sites for all, sum loss, plain
gradient descent whose steps are all cut to length 0.2 x 2, rate times 0.8 after 20 validations without a better one; 0.5 to 3 s a
step on a CPU core for up to a million steps, so it needs an accelerator).
"""

from ml_collections import ConfigDict

from symjax.train.config import apply, base, parse_argument

SIZES = ("small", "tiny", "paper")


def wyckoff_transformer() -> ConfigDict:
    """Section `model.wyckoff_transformer`, with the published values."""
    return ConfigDict(
        {
            "vocabulary": "mp20",  # mp20 = the published tokens (89 elements, 72 site symmetries) | all = Z 1 .. 94, all positions
            "embedding": (
                16,
                16,
                8,
            ),  # widths of element, site symmetry and enumeration; their sum is that of the network
            "num_layers": 3,  # of the encoder
            "num_heads": 4,  # of the attention
            "feed_forward": 128,  # hidden width
            "dropout": 0.2,  # in the encoder
            "augment": "corrected",  # equivalent representations: corrected | faithful (published: only the enumeration) | none
            "per_batch": False,  # True: one field and one number of known sites a step for the whole batch, sum loss (published)
            "buckets": (3, 5, 9, 20),  # padded numbers of sites
        }
    )


PRESETS: dict[str, dict[str, object]] = {
    "tiny": {
        "train.steps": 120,
        "train.batch_size": 32,
        "train.steps_per_dispatch": 10,
        "train.warmup": 10,
        "train.ema": 0.9,
        "model.wyckoff_transformer.embedding": (8, 8, 4),
        "model.wyckoff_transformer.num_layers": 2,
        "model.wyckoff_transformer.feed_forward": 32,
        "model.wyckoff_transformer.dropout": 0.0,
        "model.wyckoff_transformer.buckets": (6, 20),
    },
    "small": {
        "train.steps": 7_000,
        "train.batch_size": 256,
        "train.steps_per_dispatch": 4,
        "train.learning_rate": 2e-3,
        "train.warmup": 500,
        "train.log_every": 100,
        "train.eval_every": 2000,
        "train.eval_batches": 8,
        "train.checkpoint_every": 500,
        "model.wyckoff_transformer.dropout": 0.1,  # published: 0.2, for a hundred times as many crystals seen
    },
    "paper": {
        "train.steps": 400_000,
        "train.batch_size": 1024,
        "train.steps_per_dispatch": 10,
        "train.warmup": 2000,
        "train.log_every": 1000,
        "train.eval_every": 5000,
        "train.checkpoint_every": 5000,
    },
}


# of the public code; the paper gives no number
PUBLISHED: dict[str, object] = {
    "train.optimizer": "sgd",
    "train.steps": 1_000_000,
    "train.batch_size": 1_000_000,  # more than any training set: all of it
    "train.steps_per_dispatch": 20,
    "train.learning_rate": 0.2,
    "train.schedule": "constant",
    "train.warmup": 0,
    "train.clip": 2.0,
    "train.ema": 0.0,
    "train.plateau_factor": 0.8,
    "train.plateau_patience": 20,
    "train.stop_after": 100_000,
    "train.export_best": True,
    "train.log_every": 1000,
    "train.eval_every": 1000,
    "train.checkpoint_every": 1000,
    "model.wyckoff_transformer.dropout": 0.2,
    "model.wyckoff_transformer.per_batch": True,
    "model.wyckoff_transformer.buckets": (20,),
}


def get_config(argument: str | None = None) -> ConfigDict:
    """The tree of one size: `small`, `size=paper`, `small,recipe=published`."""
    chosen = parse_argument(argument, first="size", allowed={"size": SIZES, "recipe": ("minibatch", "published")})
    config = base()
    config.data.train = "prototypes"  # so that a first try needs no file
    config.model.name = "wyckoff_transformer"
    config.model.wyckoff_transformer = wyckoff_transformer()
    return apply(config, PRESETS[chosen["size"]] | (PUBLISHED if chosen["recipe"] == "published" else {}))
