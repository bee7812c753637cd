"""WyckoffTransformer's weights on disk, the tokens they were trained with, and the space groups of their training data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.models.wyckoff_transformer.network import init_params
from symjax.models.wyckoff_transformer.task import TaskOptions, options_from_config, version_of
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.train.weights import check_shapes, load_model

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


def load_weights(folder: str | Path | None = None) -> WyckoffWeights:
    """Read a folder of weights (default: the shipped ones).

    Raises:
        WeightsError: the folder is missing or damaged, its weights are of another model or preset, or they were trained with tokens
            of another table version.
    """
    params, config = load_model(folder, "wyckoff_transformer", stats=_STATS)
    options = options_from_config(config["model"]["wyckoff_transformer"])
    options.tokens.check_version(version_of(params["stats"]), f"weights in {folder or 'the package'}")
    expected = jax.eval_shape(lambda key: init_params(options.network, key), jax.random.key(0))["params"]
    check_shapes(params.get("params", {}), expected, folder)
    return WyckoffWeights(params, options)
