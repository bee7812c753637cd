"""Where the weights of symop's two parts lie."""

import dataclasses
from pathlib import Path
from typing import Any

from symjax.train.weights import load_params, shipped_weights


@dataclasses.dataclass(frozen=True)
class SymopWeights:
    """Parameters and configs of the two trained parts."""

    operations: Any
    operations_config: Any
    geometry: Any
    geometry_config: Any


def load_weights(folder: str | Path | None = None) -> SymopWeights:
    """Read `folder/operations` and `folder/geometry` (default: the shipped weights).

    Raises:
        WeightsError: a part is missing or not of symop.
    """
    root = Path(folder) if folder is not None else shipped_weights("symop")
    operations, operations_config = load_params(root / "operations")
    geometry, geometry_config = load_params(root / "geometry")
    return SymopWeights(operations, operations_config, geometry, geometry_config)
