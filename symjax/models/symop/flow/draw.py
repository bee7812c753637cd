"""The operation flow in the place of the walk (`symjax.models.symop.sample.DrawOperations`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from symjax.groups.identify import identify
from symjax.models.symop.demands import Demands
from symjax.models.symop.flow.sample import sample_operations
from symjax.models.symop.flow.weights import load_flow
from symjax.models.symop.sample import DrawOperations


def flow_operations(folder: Path) -> DrawOperations:
    """Draws by the flow whose weights lie in a folder.

    Nothing is masked: a set whose type does not meet the demands counts as failed and is drawn again. Sites and geometry go on
    from the standard setting of its type, as after a walk; the flow's own lattice is not used there.

    Raises:
        WeightsError: see `symjax.models.symop.flow.weights.load_flow`.
    """
    params, config = load_flow(folder)

    def draw(keys: Any, z: np.ndarray, demands: Demands) -> tuple[np.ndarray, np.ndarray, None]:
        drawn = sample_operations(params, config, keys[0], z)
        numbers = np.array([1 if one.opset is None else identify(one.opset).number for one in drawn], np.int32)
        failed = np.array([one.opset is None for one in drawn]) | ~demands.numbers[numbers]
        return numbers, failed, None

    return draw
