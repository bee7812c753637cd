"""WyckoffAUGen's weights on disk, and what they were trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.models.wyckoffaugen.network import init_params
from symjax.models.wyckoffaugen.task import AugenOptions, options_from_config
from symjax.train.weights import check_shapes, load_model

_STATS = ("group_count", "element_count", "length", "angle", "edge", "point")


@dataclasses.dataclass(frozen=True)
class AugenWeights:
    """Parameters with `stats`, and the options of their preset."""

    params: dict[str, Any]
    options: AugenOptions

    @property
    def group_counts(self) -> np.ndarray:
        """(231,) training crystals of each space group."""
        return np.asarray(self.params["stats"]["group_count"], np.float64)

    @property
    def element_counts(self) -> np.ndarray:
        """(101,) training crystals with each element."""
        return np.asarray(self.params["stats"]["element_count"], np.float64)


def load_weights(folder: str | Path | None = None) -> AugenWeights:
    """Read a folder of weights (default: the shipped ones).

    Raises:
        WeightsError: the folder is missing or damaged, or its weights are of another model or preset.
    """
    params, config = load_model(folder, "wyckoffaugen", stats=_STATS)
    options = options_from_config(config["model"]["wyckoffaugen"])
    expected = jax.eval_shape(lambda key: init_params(options.network, key), jax.random.key(0))
    check_shapes({k: v for k, v in params.items() if k != "stats"}, expected, folder)
    return AugenWeights(params, options)
