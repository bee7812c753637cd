"""WyCryst's weights on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.errors import WeightsError
from symjax.models.wycryst.network import WycrystNet
from symjax.models.wycryst.representation import MAX_COLUMNS, NUM_ROWS, multiplicities
from symjax.models.wycryst.task import WycrystOptions, options_from_config
from symjax.train.weights import check_shapes, load_model


@dataclasses.dataclass(frozen=True)
class WycrystWeights:
    """Parameters (`{"net", "stats"}`) and the options of their preset."""

    params: dict[str, Any]
    options: WycrystOptions


def load_weights(folder: str | Path) -> WycrystWeights:
    """Read a folder of weights; none travel with the package.

    Raises:
        WeightsError: the folder is missing or damaged, its weights are of another model or preset, or they were trained with
            another table of positions.
    """
    params, config = load_model(folder, "wycryst", stats=("multiplicity",))
    options = options_from_config(config["model"]["wycryst"])
    shape = jax.ShapeDtypeStruct
    expected = jax.eval_shape(
        WycrystNet(options.network).init,
        jax.random.key(0),
        shape((1, NUM_ROWS, MAX_COLUMNS), np.float32),
        shape((1,), np.int32),
        shape((1, options.network.latent), np.float32),
    )["params"]
    check_shapes(params.get("net", {}), expected, folder)
    if not np.array_equal(np.asarray(params["stats"]["multiplicity"]), multiplicities()):
        raise WeightsError(
            f"weights in {folder} were trained with another table of Wyckoff positions than this version's; train them again"
        )
    return WycrystWeights(params, options)
