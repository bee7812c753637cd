"""WyckoffDiff's weights on disk, what they were trained for, and which conditions they know."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.models.wyckoffdiff.network import CHEMICAL_SYSTEM, init_params
from symjax.models.wyckoffdiff.task import WyckoffdiffOptions, options_from_config
from symjax.train.weights import check_shapes, load_model

_STATS = ("fixed", "free", "group", "elements", "orbits")


@dataclasses.dataclass(frozen=True)
class WyckoffdiffWeights:
    """Parameters (`{"net", "stats"}`) and the options of their preset."""

    params: dict[str, Any]
    options: WyckoffdiffOptions

    @property
    def group_counts(self) -> np.ndarray:
        """`(231,)` float64 training crystals of each space group."""
        return np.asarray(self.params["stats"]["group"], np.float64)

    @property
    def known_elements(self) -> np.ndarray:
        """`(101,)` bool elements of the training data, index = atomic number."""
        return np.asarray(self.params["stats"]["elements"]) > 0

    @property
    def max_orbits(self) -> int:
        """Most orbits of a training crystal."""
        return len(np.asarray(self.params["stats"]["orbits"])) - 1

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions; none for the base."""
        return self.options.network.conditions

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of those that are numbers."""
        return tuple(name for name in self.conditions if name != CHEMICAL_SYSTEM)


def load_weights(folder: str | Path | None = None) -> WyckoffdiffWeights:
    """Read a folder of weights (default: the shipped ones).

    Raises:
        WeightsError: the folder is missing or damaged, or its weights are of another model or preset.
    """
    params, config = load_model(folder, "wyckoffdiff", stats=_STATS)
    options = options_from_config(config["model"]["wyckoffdiff"])
    expected = jax.eval_shape(lambda key: init_params(options.network, key), jax.random.key(0))
    check_shapes(params.get("net", {}), expected, folder)
    return WyckoffdiffWeights(params, options)
