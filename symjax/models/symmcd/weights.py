"""SymmCD's weights on disk, and what they were trained for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.errors import WeightsError
from symjax.models.symmcd.network import NUM_GROUP_FEATURES, Nodes, SymmcdNet
from symjax.models.symmcd.representation import Counts, group_features
from symjax.models.symmcd.task import SymmcdOptions, options_from_config
from symjax.train.weights import check_shapes, load_model

_STATS = (
    "group",
    "orbits",
    "elements",
    "site",
    "features",
    "k_free",
    "k_constant",
    "k_shift",
    "k_scale",
    "mean_orbits",
)


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


def load_weights(folder: str | Path | None = None) -> SymmcdWeights:
    """Read a folder of weights (default: the shipped ones).

    Raises:
        WeightsError: the folder is missing or damaged, its weights are of another model or preset, or they were trained with
            features of the space groups in another setting.
    """
    params, config = load_model(folder, "symmcd", stats=_STATS)
    options = options_from_config(config["model"]["symmcd"])
    check_shapes(params.get("net", {}), _expected(options), folder)
    if not np.array_equal(np.asarray(params["stats"]["features"]), np.asarray(group_features(), np.float32)):
        raise WeightsError(
            f"weights in {folder or 'the package'} were trained with features of the space groups in another setting than this "
            "version's; train them again"
        )
    return SymmcdWeights(params, options)


def _expected(options: SymmcdOptions) -> Any:
    """Shapes of the network's arrays."""
    nodes = Nodes(
        *(
            jax.ShapeDtypeStruct(shape, dtype)
            for shape, dtype in (
                ((1, NUM_GROUP_FEATURES), np.float32),
                ((1, 6), np.float32),
                ((1, 1), np.int32),
                ((1, 1, 15), np.int32),
                ((1, 1, 3), np.float32),
                ((1, 1), bool),
            )
        )
    )
    return jax.eval_shape(
        SymmcdNet(options.network).init, jax.random.key(0), nodes, jax.ShapeDtypeStruct((1,), np.float32)
    )
