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
from symjax.train.weights import load_params


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
    params, config = load_params(folder)
    if config["model"]["name"] != "wycryst":
        raise WeightsError(f"weights in {folder} are of model {config['model']['name']!r}, not of wycryst")
    options = options_from_config(config["model"]["wycryst"])
    shape = jax.ShapeDtypeStruct
    expected = jax.eval_shape(
        WycrystNet(options.network).init, jax.random.key(0), shape((1, NUM_ROWS, MAX_COLUMNS), np.float32), shape((1,), np.int32),
        shape((1, options.network.latent), np.float32),
    )["params"]  # fmt: skip
    want = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(expected)}
    have = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params.get("net", {}))}
    if wrong := sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name)):
        raise WeightsError(
            f"weights in {folder} are of another preset than the config.json beside them: {wrong[0]} has shape "
            f"{have.get(wrong[0])}, the configuration asks for {want.get(wrong[0])} ({len(wrong)} arrays differ)"
        )
    if not np.array_equal(np.asarray(params.get("stats", {}).get("multiplicity", 0)), multiplicities()):
        raise WeightsError(
            f"weights in {folder} were trained with another table of Wyckoff positions than this version's; train them again"
        )
    return WycrystWeights(params, options)
