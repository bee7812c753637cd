"""Trained parameters on disk: a folder that a model is sampled from, separate from checkpoints (which resume training).

    params.npz     flat 'a/b/c' -> float32 array
    config.json    the resolved configuration the parameters were trained with
    versions.json  versions of the packages, and the hardware
    metrics.json   step, last metrics, sha256 of the data, and whatever else the trainer wants to say

The folder appears whole or not at all. Nothing here imports optax, orbax or the loop, so sampling stays light.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from symjax.data.files import load_arrays, save_arrays
from symjax.errors import SymjaxError, WeightsError
from symjax.versions import training_versions

PARAMS = "params.npz"
CONFIG = "config.json"
FORMAT = 1


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested dicts of arrays to one dict with keys 'a/b/c'.

    Raises:
        WeightsError: a key holds a slash, or a leaf is not an array of numbers.
    """
    flat: dict[str, np.ndarray] = {}
    for name, value in params.items():
        if "/" in name:
            raise WeightsError(f"parameter name {prefix}{name!r} holds a slash; names may not")
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}/"))
        else:
            array = np.asarray(jax.device_get(value))
            if array.dtype.kind not in "fiub" and array.dtype != jax.numpy.bfloat16:
                raise WeightsError(f"parameter {prefix}{name} has type {array.dtype}; arrays of numbers are stored")
            flat[prefix + name] = array
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Inverse of `flatten`."""
    params: dict[str, Any] = {}
    for path, array in flat.items():
        *parents, name = path.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = array
    return params


def save_params(
    folder: str | Path,
    params: Mapping[str, Any],
    config: ConfigDict | Mapping[str, Any],
    *,
    metrics: Mapping[str, Any] | None = None,
    data_hash: Mapping[str, str] | None = None,
) -> Path:
    """Write parameters and what made them; an older folder of that name is replaced at the end.

    Args:
        folder: where to write; its parent is made if needed.
        params: nested dicts of arrays; floats are stored as float32.
        config: the resolved configuration.
        metrics: numbers and text to store beside them (JSON).
        data_hash: sha256 of the data files, by role.

    Returns:
        The folder.

    Raises:
        WeightsError: the folder cannot be written.
    """
    folder = Path(folder)
    arrays = {k: v.astype(np.float32) if _is_float(v) else v for k, v in flatten(params).items()}
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        save_arrays(temporary / PARAMS, arrays)
        _write_json(temporary / CONFIG, json.loads(to_json(config)))
        _write_json(temporary / "versions.json", training_versions())
        about = {"format": FORMAT, "parameters": int(sum(a.size for a in arrays.values()))}
        _write_json(temporary / "metrics.json", about | {"data_hash": dict(data_hash or {})} | dict(metrics or {}))
        temporary.chmod(0o755)
        _replace_folder(temporary, folder)
    except (OSError, SymjaxError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"cannot write weights to {folder}: {reason}") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load_params(folder: str | Path) -> tuple[dict[str, Any], ConfigDict]:
    """Read parameters (nested dict of numpy arrays) and the configuration they were trained with.

    Lists of the JSON come back as tuples, as configurations have them.

    Raises:
        WeightsError: the folder or a file of it is missing or damaged.
    """
    folder = Path(folder)
    missing = [name for name in (PARAMS, CONFIG) if not (folder / name).is_file()]
    if missing:
        what = "does not exist" if not folder.exists() else f"has no {' and no '.join(missing)}"
        raise WeightsError(f"no weights in {folder}: it {what}; give the folder `weights` of a finished training run")
    try:
        params = unflatten(load_arrays(folder / PARAMS))
        config = config_from_json((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"weights in {folder} are damaged: {error}; copy or train them again") from error
    return params, config


def shipped_weights(model: str) -> Path:
    """Folder of a model's weights that travel with the package (there may be none)."""
    return Path(str(importlib.resources.files("symjax") / "weights" / model))


def load_model(
    folder: str | Path | None, model: str, *, stats: Collection[str] = ()
) -> tuple[dict[str, Any], ConfigDict]:
    """Parameters and configuration of one model (default folder: the shipped weights).

    Args:
        folder: where they lie.
        model: name in the configuration's `model.name`.
        stats: what of the training data must lie with them.

    Raises:
        WeightsError: the folder is missing or damaged, its weights are of another model, or they lack statistics.
    """
    folder = shipped_weights(model) if folder is None else Path(folder)
    if (folder / "operations").is_dir():
        raise WeightsError(
            f"{folder} holds the two parts of symop; --model symop reads them, --model {model} needs its own"
        )
    params, config = load_params(folder)
    if config["model"]["name"] != model:
        raise WeightsError(f"weights in {folder} are of model {config['model']['name']!r}, not of {model}")
    if missing := sorted(set(stats) - set(params.get("stats", {}))):
        raise WeightsError(f"weights in {folder} lack {', '.join(missing)} of the training data; export them again")
    return params, config


def check_shapes(found: Any, expected: Any, folder: str | Path | None) -> None:
    """Compare arrays with those that the configuration beside them asks for.

    Args:
        found: pytree of arrays.
        expected: pytree of arrays or their shapes (`jax.eval_shape`).
        folder: named in the message; None for the shipped weights.

    Raises:
        WeightsError: an array is missing, not asked for, or of another shape.
    """
    have, want = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (found, expected)
    )
    if wrong := sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name)):
        where, name = folder or "the package", wrong[0]
        if odd := [name for name in wrong if name not in have or name not in want]:
            which = "lack" if odd[0] in want else "have an unknown"
            raise WeightsError(
                f"weights in {where} are of an older or newer form of the network: they {which} {odd[0]} "
                f"({len(wrong)} arrays differ); train them again, starting from these with train.init_from"
            )
        raise WeightsError(
            f"weights in {where} are of another preset than the config.json beside them: {name} has shape "
            f"{have.get(name)}, the configuration asks for {want.get(name)} ({len(wrong)} arrays differ)"
        )


def to_json(config: ConfigDict | Mapping[str, Any]) -> str:
    """Portable text of a configuration: sorted keys, tuples as lists."""
    values = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    return json.dumps(values, sort_keys=True, indent=1)


def config_from_json(text: str) -> ConfigDict:
    """A locked configuration from `to_json`."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("the configuration is not a JSON object")
    return ConfigDict(_tuples(values)).lock()


def _tuples(value: Any) -> Any:
    """Lists to tuples all the way down: JSON has no tuples, configurations no lists."""
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return value


def _is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype == jax.numpy.bfloat16


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def _replace_folder(new: Path, old: Path) -> None:
    """Rename `new` to `old`; a folder of that name steps aside first, so that one whole version exists at any time."""
    aside = None
    if old.exists():
        aside = Path(tempfile.mkdtemp(dir=old.parent, prefix=f".{old.name}.old."))
        os.replace(old, aside / old.name)
    os.replace(new, old)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
