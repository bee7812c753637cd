"""WyckoffTransformer's weights on disk, the tokens they were trained with, and the space groups of their training data."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.errors import WeightsError
from symjax.models.wyckoff_transformer.network import init_params
from symjax.models.wyckoff_transformer.task import TaskOptions, options_from_config, version_of
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.train.weights import load_params

_STATS = ("group", "sites", "start", "version")


@dataclasses.dataclass(frozen=True)
class WyckoffWeights:
    """Parameters (`{"params", "stats"}`) and the options of their preset."""

    params: dict[str, Any]
    options: TaskOptions

    @property
    def vocabulary(self) -> Vocabulary:
        """Names of the tokens."""
        return self.options.tokens

    @property
    def group_counts(self) -> np.ndarray:
        """`(231,)` float64 training crystals of each space group."""
        return np.asarray(self.params["stats"]["group"], np.float64)


def shipped_weights() -> Path:
    """Folder of the weights that travel with the package."""
    return Path(str(importlib.resources.files("symjax") / "weights" / "wyckoff_transformer"))


def load_weights(folder: str | Path | None = None) -> WyckoffWeights:
    """Read a folder of weights (default: the shipped ones).

    Raises:
        WeightsError: the folder is missing or damaged, its weights are of another model or preset, or they were trained with tokens
            of another table version.
    """
    folder = Path(folder) if folder is not None else shipped_weights()
    if folder.is_dir() and (folder / "operations").is_dir():
        raise WeightsError(f"{folder} holds the two parts of symop; --model symop reads them, --model wyckoff_transformer its own")
    params, config = load_params(folder)
    if config["model"]["name"] != "wyckoff_transformer":
        raise WeightsError(f"weights in {folder} are of model {config['model']['name']!r}, not of wyckoff_transformer")
    options = options_from_config(config["model"]["wyckoff_transformer"])
    if missing := sorted(set(_STATS) - set(params.get("stats", {}))):
        raise WeightsError(f"weights in {folder} lack {', '.join(missing)} of the training data; export them again")
    options.tokens.check_version(version_of(params["stats"]), f"weights in {folder}")
    _check_shapes(params, options, folder)
    return WyckoffWeights(params, options)


def _check_shapes(params: dict[str, Any], options: TaskOptions, folder: Path) -> None:
    """Compare the arrays with what the configuration beside them says.

    Raises:
        WeightsError: an array is missing or has another shape.
    """
    expected = jax.eval_shape(lambda key: init_params(options.network, key), jax.random.key(0))["params"]
    want, have = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (expected, params.get("params", {}))
    )
    wrong = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsError(
            f"weights in {folder} are of another preset than the config.json beside them: {name} has shape {have.get(name)}, "
            f"the configuration asks for {want.get(name)} ({len(wrong)} arrays differ)"
        )
