"""Where the weights of the operation flow lie."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from symjax.errors import WeightsError
from symjax.models.symop.flow.network import FlowNet, options_from_config
from symjax.models.symop.flow.task import init_params
from symjax.train.weights import check_shapes, load_params, shipped_weights


def load_flow(folder: str | Path | None = None) -> tuple[dict[str, Any], Any]:
    """Parameters and configuration (default: the shipped ones, `flow` beside the other parts of symop).

    Raises:
        WeightsError: the folder is missing or damaged, or its weights are of another model or an older form of this one.
    """
    where = shipped_weights("symop") / "flow" if folder is None else Path(folder)
    params, config = load_params(where)
    if config["model"]["name"] != "symop_flow":
        raise WeightsError(f"weights in {where} are of model {config['model']['name']!r}, not of symop_flow")
    net = FlowNet(options_from_config(config["model"]["flow"]))
    init = lambda key: init_params(net, key, jnp.zeros((2, 4), jnp.int32), jnp.ones((2, 8), bool))
    check_shapes(params, jax.eval_shape(init, jax.random.key(0)), folder)
    return params, config
