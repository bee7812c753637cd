"""Checks of a resolved configuration, and its comparison with the one a checkpoint was made with.

`configs/base.py` says what each field means. `validate` collects every problem before anything is built, so that a person mends
them all at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from symjax import systems as registry
from symjax.errors import ConfigError

SCHEDULES = ("constant", "cosine", "linear")
DTYPES = ("float32", "bfloat16")
OPTIMIZERS = ("adam", "sgd")
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
    "data.train",
    "data.val",
)

# What a checkpoint made before these fields existed was trained with.
_EARLIER = {"train.optimizer": "adam", "train.plateau_factor": 0.0, "train.plateau_patience": 20}

# field -> (type, lowest allowed, whether the lowest itself is allowed)
_NUMBERS: dict[str, tuple[type, float, bool]] = {
    "steps": (int, 1, True),
    "batch_size": (int, 1, True),
    "steps_per_dispatch": (int, 1, True),
    "learning_rate": (float, 0.0, False),
    "warmup": (int, 0, True),
    "final_rate": (float, 0.0, True),
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


def validate(config: ConfigDict) -> None:
    """Check the shared part of a configuration.

    Raises:
        ConfigError: every problem, one per line, with field, value and what is allowed.
    """
    for section in ("train", "data", "model"):
        if section not in config:
            raise ConfigError(f"config.{section} is missing; start from configs/base.py")
    train = config.train
    problems = _check_numbers(train)
    for name, allowed in (("schedule", SCHEDULES), ("dtype", DTYPES), ("optimizer", OPTIMIZERS)):
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
    problems += _check_model_and_data(config)
    if problems:
        raise ConfigError("\n  ".join([f"{len(problems)} problem(s) in the configuration:", *problems]))


def _check_model_and_data(config: ConfigDict) -> list[str]:
    try:
        needs_data = registry.entry(config.model.name).needs_data
    except ConfigError as error:
        return [str(error)]
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
        if path and not Path(path).is_file() and (role, path) != ("train", PROTOTYPES):
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
