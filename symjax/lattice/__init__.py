"""Lattices that a set of operations allows: frames, log coordinates, invariant metrics.

`frames` turns integer rotation parts into orthogonal matrices of a reference frame, `log` maps six coefficients to lattices
and back, `invariant` projects metrics and coefficients onto those that a set leaves free and measures incompatibility.
Every function takes numpy arrays (float64 on the host) or jax arrays (jit, vmap, grad) and answers in kind.
"""

from symjax.lattice.frames import FRAMES, FRAMES_INVERSE, choose_frame, frame_rotations
from symjax.lattice.invariant import (
    compatibility_defect,
    invariant_metrics,
    k_projector,
    metric_defects,
    num_free,
    project_k,
    project_metric,
)
from symjax.lattice.log import (
    K_BASIS,
    lattice_from_log,
    lattice_from_parameters,
    lattice_parameters,
    log_from_lattice,
    log_from_metric,
    metric,
    volume,
)
from symjax.lattice.reduction import reduce_metric, reduced_basis

__all__ = [
    "FRAMES",
    "FRAMES_INVERSE",
    "K_BASIS",
    "choose_frame",
    "compatibility_defect",
    "frame_rotations",
    "invariant_metrics",
    "k_projector",
    "lattice_from_log",
    "lattice_from_parameters",
    "lattice_parameters",
    "log_from_lattice",
    "log_from_metric",
    "metric",
    "metric_defects",
    "num_free",
    "project_k",
    "project_metric",
    "reduce_metric",
    "reduced_basis",
    "volume",
]
