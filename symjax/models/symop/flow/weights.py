"""Where the weights of the operation flow lie."""

from pathlib import Path
from typing import Any

from symjax.errors import WeightsError
from symjax.train.weights import load_params, shipped_weights


def load_flow(folder: str | Path | None = None) -> tuple[dict[str, Any], Any]:
    """Parameters and configuration (default: the shipped ones, `flow` beside the other parts of symop).

    Raises:
        WeightsError: the folder is missing or damaged, or its weights are of another model.
    """
    where = shipped_weights("symop") / "flow" if folder is None else Path(folder)
    params, config = load_params(where)
    if config["model"]["name"] != "symop_flow":
        raise WeightsError(f"weights in {where} are of model {config['model']['name']!r}, not of symop_flow")
    return params, config
