"""Which parameters: paths, patterns, parts of the tree, and values taken from weights on disk.

A path is 'a/b/c'. A pattern is a regular expression that must match the whole path; one that matches no parameter is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from symjax.errors import ConfigError, SymjaxError, WeightsError
from symjax.train.interface import STATISTICS, PyTree
from symjax.train.weights import flatten, load_params, unflatten


def path_of(keys: Sequence[Any]) -> str:
    """'a/b/c' of the keys that `jax.tree_util` gives a leaf of nested dicts."""
    return "/".join(str(key.key) for key in keys)


def paths(params: PyTree) -> list[str]:
    """Path of every leaf."""
    return [path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]


def split(params: PyTree, freeze: Sequence[str] = ()) -> tuple[dict, dict]:
    """Parameters that are trained, and those that stay: the entry `stats`, and what matches a pattern.

    Raises:
        SymjaxError: not a dict of parameters.
    """
    if not isinstance(params, Mapping):
        raise SymjaxError(f"a task's init must return a dict of parameters, not {type(params).__name__}")

    def part(node: Any, path: str) -> tuple[Any, Any]:
        if path == STATISTICS:
            return None, node
        if not isinstance(node, Mapping):
            return (None, node) if any(re.fullmatch(pattern, path) for pattern in freeze) else (node, None)
        parts = {name: part(value, f"{path}/{name}" if path else name) for name, value in node.items()}
        trained, fixed = ({k: v[i] for k, v in parts.items() if v[i] is not None} for i in (0, 1))
        return (trained if trained or not fixed else None), fixed or None

    trained, fixed = part(params, "")
    return trained or {}, fixed or {}


def merge(trained: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict:
    """The tree that `split` took apart."""
    out = dict(trained)
    for name, value in fixed.items():
        out[name] = merge(out[name], value) if name in out else value
    return out


def scale_by_rates(rates: Sequence[tuple[str, float]]) -> optax.GradientTransformation:
    """Multiplies the update of each parameter by the factor of the first pattern that matches its path; 1 without one."""

    def factor(path: str) -> float:
        return next((float(value) for pattern, value in rates if re.fullmatch(pattern, path)), 1.0)

    def update(updates: Any, state: optax.OptState, params: Any = None) -> tuple[Any, optax.OptState]:
        del params
        return jax.tree_util.tree_map_with_path(lambda keys, u: u * factor(path_of(keys)), updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def check_patterns(params: PyTree, train: Any) -> None:
    """Every pattern of `train.freeze` and `train.rates` must match a parameter that it can act on.

    Args:
        params: parameters or their shapes.
        train: the section of the configuration.

    Raises:
        ConfigError: a pattern that matches none, or nothing is left to be trained.
    """
    trained, _ = split(params)
    names, left = paths(trained), paths(split(params, train.freeze)[0])
    problems = []
    for field, patterns, among in (
        ("freeze", train.freeze, names),
        ("rates", [pattern for pattern, _ in train.rates], left),
    ):
        for pattern in patterns:
            if not any(re.fullmatch(pattern, name) for name in among):
                shown = ", ".join(among[:5]) + (" ..." if len(among) > 5 else "")
                problems.append(f"config.train.{field}: {pattern!r} matches none of {len(among)} parameters ({shown})")
    if not left:
        problems.append("config.train.freeze leaves no parameter to be trained")
    if problems:
        raise ConfigError("\n  ".join(problems))


def start_from(params: PyTree, folder: str | Path) -> tuple[dict, list[str]]:
    """Fresh parameters with those of a weights folder put in where path and shape agree, the entry `stats` included.

    Args:
        params: fresh parameters on the host.
        folder: as `symjax.train.weights.save_params` writes it.

    Returns:
        The parameters, and lines for the log: how many were taken, and each that was not.

    Raises:
        WeightsError: the folder is missing or damaged, or no parameter agrees.
    """
    found, fresh = flatten(load_params(folder)[0]), flatten(params)
    taken = {k: found[k].astype(v.dtype) for k, v in fresh.items() if k in found and found[k].shape == v.shape}
    if not set(paths(split(unflatten(fresh))[0])) & taken.keys():
        raise WeightsError(f"config.train.init_from: weights in {folder} share no parameter with this model")
    lines = [f"{len(taken)} of {len(fresh)} parameters start from {folder}"]
    for name in sorted(fresh.keys() - taken.keys()):
        why = f"shape {found[name].shape} there, {fresh[name].shape} here" if name in found else "not there"
        lines.append(f"  + {name} starts fresh: {why}")
    lines += [f"  - {name} is not used: no such parameter here" for name in sorted(found.keys() - fresh.keys())]
    return unflatten({k: np.asarray(taken.get(k, v)) for k, v in fresh.items()}), lines
