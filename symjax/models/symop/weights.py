"""Where the weights of symop's two parts lie."""

import dataclasses
from pathlib import Path
from typing import Any

from symjax.errors import ConfigError, WeightsError
from symjax.models.symop.geometry.realise import GeometryWeights
from symjax.models.symop.network import options_from_config
from symjax.train.weights import load_params, shipped_weights


@dataclasses.dataclass(frozen=True)
class SymopWeights:
    """Parameters and configurations of the two trained parts, and the folder that may hold a third, `flow`."""

    operations: Any
    operations_config: Any
    geometry: GeometryWeights
    folder: Path


def load_weights(folder: str | Path | None = None) -> SymopWeights:
    """Read `folder/operations` and `folder/geometry` (default: the shipped weights).

    Raises:
        WeightsError: a part is missing, not of symop, or of another version of the walk.
    """
    operations, config = load_params(_root(folder) / "operations")
    try:
        options_from_config(config["model"]["operations"])
    except (KeyError, ConfigError) as error:
        raise WeightsError(
            f"weights in {_root(folder) / 'operations'} are of another version of symop than this program ({error}); train them "
            "again (symjax train --config symop:small,part=operations), or use those of the package"
        ) from error
    return SymopWeights(operations, config, load_geometry(folder), _root(folder))


def load_geometry(folder: str | Path | None = None) -> GeometryWeights:
    """Read `folder/geometry` alone, which realises the structure types of every system.

    Raises:
        WeightsError: it is missing or not of symop.
    """
    return GeometryWeights(*load_params(_root(folder) / "geometry"))


def _root(folder: str | Path | None) -> Path:
    return Path(folder) if folder is not None else shipped_weights("symop")
