"""SymmCD's weights on disk, and what they were trained for."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.errors import WeightsError
from symjax.models.symmcd.network import NUM_GROUP_FEATURES, Nodes, SymmcdNet
from symjax.models.symmcd.representation import Counts, group_features
from symjax.models.symmcd.task import SymmcdOptions, options_from_config
from symjax.train.weights import load_params


@dataclasses.dataclass(frozen=True)
class SymmcdWeights:
    """Parameters (`{"net", "stats"}`), the options of their preset, and the distributions of their training data."""

    params: dict[str, Any]
    options: SymmcdOptions

    @property
    def counts(self) -> Counts:
        """p(G), p(M | G) and the marginals of the training data."""
        stats = self.params["stats"]
        return Counts(**{name: np.asarray(stats[name], np.float64) for name in ("group", "orbits", "elements", "site")})


def shipped_weights() -> Path:
    """Folder of the weights that travel with the package."""
    return Path(str(importlib.resources.files("symjax") / "weights" / "symmcd"))


def load_weights(folder: str | Path | None = None) -> SymmcdWeights:
    """Read a folder of weights (default: the shipped ones).

    Raises:
        WeightsError: the folder is missing or damaged, its weights are of another model or preset, or they were trained with
            features of the space groups in another setting.
    """
    folder = Path(folder) if folder is not None else shipped_weights()
    if folder.is_dir() and (folder / "operations").is_dir():
        raise WeightsError(f"{folder} holds the two parts of symop; --model symop reads them, --model symmcd needs its own")
    params, config = load_params(folder)
    if config["model"]["name"] != "symmcd":
        raise WeightsError(f"weights in {folder} are of model {config['model']['name']!r}, not of symmcd")
    options = options_from_config(config["model"]["symmcd"])
    _check_shapes(params, options, folder)
    if not np.array_equal(np.asarray(params["stats"]["features"]), np.asarray(group_features(), np.float32)):
        raise WeightsError(
            f"weights in {folder} were trained with features of the space groups in another setting than this version's; "
            "train them again"
        )
    return SymmcdWeights(params, options)


def _check_shapes(params: dict[str, Any], options: SymmcdOptions, folder: Path) -> None:
    """Compare the arrays with what the configuration beside them says.

    Raises:
        WeightsError: an array is missing or has another shape.
    """
    nodes = Nodes(*(
        jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in (
            ((1, NUM_GROUP_FEATURES), np.float32), ((1, 6), np.float32), ((1, 1), np.int32), ((1, 1, 15), np.int32),
            ((1, 1, 3), np.float32), ((1, 1), bool),
        )
    ))  # fmt: skip
    expected = jax.eval_shape(SymmcdNet(options.network).init, jax.random.key(0), nodes, jax.ShapeDtypeStruct((1,), np.float32))
    want = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(expected)}
    have = {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params.get("net", {}))}
    wrong = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsError(
            f"weights in {folder} are of another preset than the config.json beside them: {name} has shape {have.get(name)}, "
            f"the configuration asks for {want.get(name)} ({len(wrong)} arrays differ)"
        )
    stats = {"group", "orbits", "elements", "site", "features", "k_free", "k_constant", "k_shift", "k_scale", "mean_orbits"}
    if missing := sorted(stats - set(params.get("stats", {}))):
        raise WeightsError(f"weights in {folder} lack {', '.join(missing)} of the training data; export them again")
