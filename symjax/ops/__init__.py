"""Affine operations, one or arrays of them: exact integers and differentiable floats under one naming.

`exact` and `euclidean` share the names compose, invert, power, order, apply, apply_all, change_basis, reduce, equal
and identity. `basis` changes to bases of any determinant and snaps floats to exact operations (host), `geometry` says
what an operation does, `symbols` reads and writes triplets, `seitz` Seitz symbols.
"""

from symjax.ops import basis, euclidean, exact, geometry, seitz, symbols
from symjax.ops.checks import BasisError, OperationError, ParseError, SnapError, as_op
from symjax.ops.types import DEN, Motion, Op

__all__ = [
    "DEN",
    "BasisError",
    "Motion",
    "Op",
    "OperationError",
    "ParseError",
    "SnapError",
    "as_op",
    "basis",
    "euclidean",
    "exact",
    "geometry",
    "seitz",
    "symbols",
]
