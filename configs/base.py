"""The part of a configuration that every model shares: all fields of training and data, each with unit and meaning.

A file beside this one takes `base()`, adds its model's section, applies a preset and returns the tree. It is locked, so a
misspelled field is an error, in the file as well as on the command line. Values are numbers, strings, booleans and tuples.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from symjax.errors import ConfigError


def base() -> ConfigDict:
    """The tree with defaults that run; the model is still missing."""
    return ConfigDict(
        {
            "train": {
                "steps": 1000,  # length of training, in optimizer steps
                "batch_size": 64,  # examples per step over all devices
                "steps_per_dispatch": 50,  # steps that run on the device between two looks of the host
                "learning_rate": 1e-3,  # peak
                "warmup": 100,  # steps of linear rise from 0
                "schedule": "cosine",  # after the warmup: constant | cosine | linear
                "final_rate": 0.01,  # rate at the last step, as a share of the peak (cosine, linear)
                "optimizer": "adam",  # adam (AdamW) | sgd (plain gradient descent, no momentum)
                "weight_decay": 0.0,  # decoupled (AdamW), on arrays of two and more axes
                "clip": 1.0,  # largest global norm of the gradient; 0 = no clipping
                "ema": 0.999,  # decay of the averaged parameters that are evaluated and exported; 0 = the newest
                "plateau_factor": 0.0,  # factor of the rate when validations stop getting better; 0 = only the schedule
                "plateau_patience": 20,  # validations in a row that may fail to be better before that
                "stop_after": 0,  # steps without a better validation after which training ends; 0 = never
                "export_best": False,  # weights of the checkpoint with the best validation, in place of the last state
                "dtype": "float32",  # float32 | bfloat16 (inputs of matrix products, on GPU and TPU; parameters stay float32)
                "seed": 0,  # of parameters, batches and noise
                "log_every": 50,  # steps between lines of metrics
                "eval_every": 500,  # steps between validations; 0 = only at the end
                "eval_batches": 0,  # batches per bucket in a validation; 0 = the whole set
                "checkpoint_every": 500,  # steps between checkpoints; 0 = only at the end
                "keep": 2,  # newest checkpoints kept (the best is kept besides)
            },
            "data": {
                "train": "",  # prepared data set (.npz of `symjax data prepare`); `prototypes` = made from pymatgen's library
                "val": "",  # held-out data set; empty = none
            },
            "model": {
                "name": ""  # a name of symjax.systems
            },
        }
    )


def apply(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """Set dotted fields of a locked configuration; a field that does not exist is an error.

    Raises:
        ConfigError: unknown field or a value of another type.
    """
    config.lock()
    for path, value in values.items():
        try:
            config.update_from_flattened_dict({path: value})
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigError(f"config.{path}: {str(error).splitlines()[0]}") from error
    return config


def parse_argument(text: str | None, *, first: str, allowed: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Read what follows the colon of `--config file.py:small,part=geometry`.

    Args:
        text: the argument, or None when there is no colon.
        first: name of the field that may be given without `name=`.
        allowed: allowed values of each field; the first one is the default.

    Raises:
        ConfigError: unknown field or value; the message lists the allowed ones.
    """
    chosen = {name: values[0] for name, values in allowed.items()}
    for item in (text or "").split(","):
        if not item.strip():
            continue
        name, _, value = item.strip().rpartition("=")
        name = name or first
        if name not in allowed:
            raise ConfigError(f"config argument {item.strip()!r}: no field {name!r}; fields are {', '.join(allowed)}")
        if value not in allowed[name]:
            raise ConfigError(f"config argument {name}={value!r}: not one of {', '.join(allowed[name])}")
        chosen[name] = value
    return chosen
