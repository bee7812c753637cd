"""Where the weights of symop's two parts lie."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.elements import NUM_ELEMENTS
from symjax.errors import ConfigError, WeightsError
from symjax.groups.tables import standard_setting
from symjax.models.symop.geometry.inputs import build_inputs
from symjax.models.symop.geometry.network import Statistics, init_params
from symjax.models.symop.geometry.realise import GeometryWeights
from symjax.models.symop.network import options_from_config
from symjax.train.weights import check_shapes, load_params, shipped_weights
from symjax.wyckoff.set_table import build_set_table


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
        WeightsError: a part is missing, not of symop, or an older form or another preset than its configuration says.
    """
    operations, config = load_params(_root(folder) / "operations")
    try:
        options = options_from_config(config["model"]["operations"])
    except (KeyError, ConfigError) as error:
        raise WeightsError(
            f"weights in {_root(folder) / 'operations'} are of another version of symop than this program ({error}); train them "
            "again (symjax train --config symop:small,part=operations), or use those of the package"
        ) from error
    if folder is not None:  # as with the geometry below
        from symjax.models.symop.task import parameter_shapes

        check_shapes(operations, parameter_shapes(options), _root(folder) / "operations")
    return SymopWeights(operations, config, load_geometry(folder), _root(folder))


def load_geometry(folder: str | Path | None = None) -> GeometryWeights:
    """Read `folder/geometry` alone, which realises the structure types of every system.

    Raises:
        WeightsError: it is missing, not of symop, or an older form or another preset than its configuration says.
    """
    found = GeometryWeights(*load_params(_root(folder) / "geometry"))
    if folder is not None:  # those of the package fit (tested), and tracing the network takes a second
        check_shapes(found.params, _geometry_shapes(found), _root(folder) / "geometry")
    return found


def _geometry_shapes(weights: GeometryWeights) -> Any:
    """Shapes of the parameters that a configuration asks for."""
    try:
        options = weights.options
    except (KeyError, ConfigError) as error:
        raise WeightsError(f"the configuration is not one of symop's geometry: {error}") from error
    one = StructureTypes(
        build_set_table([standard_setting(1)]), np.zeros(1, int), np.full((1, 1), 1), np.zeros((1, 1), int)
    )
    inputs = build_inputs(one.take(np.zeros(1, int), options.buckets[0][0]), options.buckets[0][1])
    stats = Statistics(jnp.zeros(NUM_ELEMENTS), jnp.ones(6))
    return jax.eval_shape(lambda key: init_params(key, options, inputs, stats), jax.random.key(0))


def _root(folder: str | Path | None) -> Path:
    return Path(folder) if folder is not None else shipped_weights("symop")
