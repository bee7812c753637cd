"""Configurations: the fields that every model shares with their meaning, their checks, and their comparison with a checkpoint's.

A file of `configs/` takes `base()`, adds its model's section, applies a preset and returns the tree. It is locked, so a misspelled
field is an error, in the file as well as on the command line. Values are numbers, strings, booleans and tuples. `validate` collects
every problem before anything is built, so that a person mends them all at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from symjax.data import addresses
from symjax.data.files import kind_of_address
from symjax.errors import ConfigError, SymjaxError

SCHEDULES = ("constant", "cosine", "linear")
DTYPES = ("float32", "bfloat16")
OPTIMIZERS = ("adam", "sgd")
MATMUL = ("default", "high", "highest")
EXAMPLES_ON = ("devices", "hosts")
PROTOTYPES = "prototypes"  # value of data.train that needs no file

# Fields that may differ when a run is resumed: they do not enter the state of training at a given step. (The schedule's shape
# depends on `steps`; the loop says so.)
FREE_ON_RESUME = (
    "train.steps",
    "train.log_every",
    "train.eval_every",
    "train.eval_batches",
    "train.checkpoint_every",
    "train.keep",
    "train.stop_after",
    "train.export_best",
    "train.profile",
    "train.wandb",
    "train.model_axis",
    "train.examples_on",
    "data.train",
    "data.val",
)

# What a checkpoint made before these fields existed was trained with.
_EARLIER = {
    "train.optimizer": "adam",
    "train.plateau_factor": 0.0,
    "train.plateau_patience": 20,
    "train.epsilon": 1e-8,
    "train.rates": (),
    "train.freeze": (),
    "train.init_from": "",
    "train.matmul": "default",
}

# field -> (type, lowest allowed, whether the lowest itself is allowed)
_NUMBERS: dict[str, tuple[type, float, bool]] = {
    "steps": (int, 1, True),
    "batch_size": (int, 1, True),
    "steps_per_dispatch": (int, 1, True),
    "model_axis": (int, 1, True),
    "learning_rate": (float, 0.0, False),
    "warmup": (int, 0, True),
    "final_rate": (float, 0.0, True),
    "epsilon": (float, 0.0, False),
    "weight_decay": (float, 0.0, True),
    "clip": (float, 0.0, True),
    "plateau_factor": (float, 0.0, True),
    "plateau_patience": (int, 0, True),
    "stop_after": (int, 0, True),
    "ema": (float, 0.0, True),
    "seed": (int, 0, True),
    "log_every": (int, 1, True),
    "eval_every": (int, 0, True),
    "eval_batches": (int, 0, True),
    "checkpoint_every": (int, 0, True),
    "keep": (int, 1, True),
}


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
                "epsilon": 1e-8,  # of Adam's denominator
                "rates": (),  # ((pattern, factor), ...): share of the schedule's rate for parameters; the first that fits counts
                "freeze": (),  # patterns of parameters that stay as they start; a pattern must match the whole path 'a/b/c'
                "init_from": "",  # folder of weights to start from; what has no equal there starts fresh and is listed
                "weight_decay": 0.0,  # decoupled (AdamW), on arrays of two and more axes
                "clip": 1.0,  # largest global norm of the gradient; 0 = no clipping
                "ema": 0.999,  # decay of the averaged parameters that are evaluated and exported; 0 = the newest
                "plateau_factor": 0.0,  # factor of the rate when validations stop getting better; 0 = only the schedule
                "plateau_patience": 20,  # validations in a row that may fail to be better before that
                "stop_after": 0,  # steps without a better validation after which training ends; 0 = never
                "export_best": False,  # weights of the checkpoint with the best validation, in place of the last state
                "dtype": "float32",  # float32 | bfloat16 (inputs of matrix products, on GPU and TPU; parameters stay float32)
                "matmul": "default",  # precision of float32 matrix products: default (the hardware's) | high | highest
                "model_axis": 1,  # devices over which each large array of parameters is divided; the others share the batch
                "examples_on": "devices",  # devices (each holds all examples) | hosts (each sends its devices their rows)
                "profile": "",  # steps that jax.profiler records into workdir/profile, as 100:110; empty = none
                "wandb": "",  # project of Weights & Biases that gets the metrics too (extra wandb); empty = none
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


def window(text: str) -> tuple[int, int] | None:
    """First and last step of ``100:110``; None for the empty text.

    Raises:
        ConfigError: not two rising step numbers.
    """
    if not text:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise ConfigError(f"config.train.profile = {text!r}: first and last step as in 100:110")
    return int(first), int(last)


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


def flat(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested configuration to one dict with dotted names."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict | Mapping):
            values.update(flat(value, f"{prefix}{name}."))
        else:
            values[prefix + name] = value
    return values


def _check_numbers(train: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, (kind, lowest, inclusive) in _NUMBERS.items():
        if name not in train:
            problems.append(f"config.train.{name} is missing")
            continue
        value = train[name]
        right_type = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not right_type or not math.isfinite(value):
            problems.append(
                f"config.train.{name} = {value!r}: must be {'a whole' if kind is int else 'a finite'} number"
            )
        elif value < lowest or (value == lowest and not inclusive):
            problems.append(
                f"config.train.{name} = {value!r}: must be {'at least' if inclusive else 'more than'} {lowest:g}"
            )
    return problems


def validate(config: ConfigDict, *, needs_data: bool = True) -> None:
    """Check the shared part of a configuration.

    Args:
        config: the resolved tree.
        needs_data: whether the model trains on a prepared data set (`symjax.systems.Entry`).

    Raises:
        ConfigError: every problem, one per line, with field, value and what is allowed.
    """
    for section in ("train", "data", "model"):
        if section not in config:
            raise ConfigError(f"config.{section} is missing; start from symjax.train.config.base()")
    train = config.train
    problems = _check_numbers(train)
    for name, allowed in {
        "schedule": SCHEDULES,
        "dtype": DTYPES,
        "optimizer": OPTIMIZERS,
        "matmul": MATMUL,
        "examples_on": EXAMPLES_ON,
    }.items():
        if train.get(name) not in allowed:
            problems.append(f"config.train.{name} = {train.get(name)!r}: must be one of {', '.join(allowed)}")
    if not problems:
        if train.ema >= 1:
            problems.append(f"config.train.ema = {train.ema!r}: must be below 1")
        if train.final_rate > 1:
            problems.append(f"config.train.final_rate = {train.final_rate!r}: a share of the peak, at most 1")
        if train.plateau_factor >= 1:
            problems.append(f"config.train.plateau_factor = {train.plateau_factor!r}: must be below 1")
        if train.seed >= 2**31:
            problems.append(f"config.train.seed = {train.seed!r}: must be below 2**31")
    try:
        window(train.get("profile", ""))
    except ConfigError as error:
        problems.append(str(error))
    problems += _check_patterns(train) + _check_data(config, needs_data)
    if problems:
        raise ConfigError("\n  ".join([f"{len(problems)} problem(s) in the configuration:", *problems]))


def _check_patterns(train: Mapping[str, Any]) -> list[str]:
    """Forms of `freeze`, `rates` and `init_from`; whether patterns match is found when the parameters are known."""
    problems, patterns = [], []
    for pattern in train.get("freeze", ()):
        patterns.append(("freeze", pattern))
    for item in train.get("rates", ()):
        good = isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[1], int | float)
        if not good or not 0 < item[1] < math.inf:
            problems.append(f"config.train.rates: {item!r} is not a pair (pattern, factor above 0)")
        else:
            patterns.append(("rates", item[0]))
    for field, pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            problems.append(f"config.train.{field}: {pattern!r} is no regular expression ({error})")
    folder = train.get("init_from", "")
    if folder and not Path(folder).is_dir():
        problems.append(f"config.train.init_from = {folder!r}: no such folder")
    return problems


def _check_data(config: ConfigDict, needs_data: bool) -> list[str]:
    problems = []
    if needs_data and not config.data.train:
        problems.append(
            f"config.data.train is empty: give a data set of `symjax data prepare`, or the word {PROTOTYPES}"
        )
    if needs_data and not config.data.val:
        problems += [
            f"config.train.{name} = {config.train[name]!r}: needs a validation set (config.data.val)"
            for name in ("plateau_factor", "stop_after", "export_best")
            if config.train.get(name)
        ]
    for role in ("train", "val"):
        path = config.data[role]
        if kind_of_address(path):
            try:
                addresses.check(path)
            except SymjaxError as error:
                problems.append(f"config.data.{role} = {error}")
        elif path and not Path(path).is_file() and (role, path) != ("train", PROTOTYPES):
            problems.append(f"config.data.{role} = {path!r}: no such file")
    return problems


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Fields, free ones left out, in which two flat configurations differ, as 'field: old -> new'."""
    absent = "absent"
    changed = []
    for name in sorted(set(old) | set(new)):
        before, after = (_plain(values.get(name, _EARLIER.get(name, absent))) for values in (old, new))
        if name not in FREE_ON_RESUME and before != after:
            changed.append(f"config.{name}: {before} -> {after}")
    return changed


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a value compares equal with itself read back from JSON."""
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
