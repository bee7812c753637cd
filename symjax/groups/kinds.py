"""Names for what the operations of a set do: inversion, mirror, glide, rotation-n, screw-n, rotoinversion-n.

Owns `OPERATION_KINDS` and `operation_kinds`: the words by which constraints of generation and selections in navigation ask for
operations.
"""

from __future__ import annotations

import numpy as np

from symjax.groups.sets import OpSet
from symjax.ops.geometry import Kind, axis_data, kind
from symjax.ops.types import Op

_TURNS = {Kind.ROTATION: ("rotation", (2, 3, 4, 6)), Kind.SCREW: ("screw", (2, 3, 4, 6))}
OPERATION_KINDS = (
    "inversion", "mirror", "glide",
    *(f"{name}-{n}" for name, orders in _TURNS.values() for n in orders),
    *(f"rotoinversion-{n}" for n in (3, 4, 6)),
)  # fmt: skip


def operation_kinds(opset: OpSet) -> frozenset[str]:
    """Names of `OPERATION_KINDS` found among the operations of a set (numpy, unpadded)."""
    W, w = np.asarray(opset.W), np.asarray(opset.w)
    kinds = np.asarray(kind(Op(W, w), opset.den))
    order = np.abs(np.asarray(axis_data(W)[0]))
    simple = {Kind.INVERSION: "inversion", Kind.MIRROR: "mirror", Kind.GLIDE: "glide"}
    names = set()
    for one, n in {(int(k), int(n)) for k, n in zip(kinds, order, strict=True)}:
        if one in simple:
            names.add(simple[Kind(one)])
        elif one in _TURNS:
            names.add(f"{_TURNS[Kind(one)][0]}-{n}")
        elif one == Kind.ROTOINVERSION:
            names.add(f"rotoinversion-{n}")
    return frozenset(names)
