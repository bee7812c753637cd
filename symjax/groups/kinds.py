"""Names for what the operations of a set do: inversion, mirror, glide, rotation-n, screw-n, rotoinversion-n.

Owns `OPERATION_KINDS`, `operation_kinds` and `simplest_kinds`: the words by which constraints of generation and selections in
navigation ask for operations. `operation_kinds` names the operations of a list as they stand there. In a centred lattice a mirror
comes with glides and a rotation with screws (their products with lattice translations), and which of them a list shows depends on
the cell; `simplest_kinds` does not: it names each rotation part by the simplest operation that has it.
"""

from __future__ import annotations

import numpy as np

from symjax.groups.integer import as_rows, hermite
from symjax.groups.primitive import primitive_form
from symjax.groups.sets import OpSet
from symjax.ops.geometry import Kind, axis_data, kind
from symjax.ops.types import Op

_TURNS = {Kind.ROTATION: ("rotation", (2, 3, 4, 6)), Kind.SCREW: ("screw", (2, 3, 4, 6))}
OPERATION_KINDS = (
    "inversion",
    "mirror",
    "glide",
    *(f"{name}-{n}" for name, orders in _TURNS.values() for n in orders),
    *(f"rotoinversion-{n}" for n in (3, 4, 6)),
)


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


def simplest_kinds(opset: OpSet) -> frozenset[str]:
    """Names of `OPERATION_KINDS` found among the rotation parts of a group, in any basis and cell.

    An operation counts as a mirror or a rotation if some product of it with a lattice translation is one: exactly if its intrinsic
    part is that of a lattice translation.

    Raises:
        NotAGroupError: the set is not closed.
    """
    form = primitive_form(opset)
    names = set()
    for W, w, order in zip(form.W, form.w, np.abs(np.asarray(axis_data(form.W)[0])).tolist(), strict=True):
        proper = round(float(np.linalg.det(W))) == 1
        if order == 1:
            names |= set() if proper else {"inversion"}
            continue
        if not proper and order > 2:
            names.add(f"rotoinversion-{order}")
            continue
        # order times the projection on what W leaves as it is
        N = np.sum([np.linalg.matrix_power(W, i) for i in range(order)], axis=0)
        simple = _in_lattice(N @ w, form.den * hermite(as_rows(N.T)))
        names.add(("mirror" if simple else "glide") if not proper else f"{'rotation' if simple else 'screw'}-{order}")
    return frozenset(names)


def _in_lattice(vector: np.ndarray, rows: np.ndarray) -> bool:
    """Whether an integer vector (3,) is an integer combination of Hermite rows (r, 3), r <= 3."""
    left = np.array(vector, np.int64)
    for row in rows:
        pivot = int(np.flatnonzero(row)[0])
        if left[pivot] % row[pivot]:
            return False
        left -= left[pivot] // row[pivot] * row
    return not left.any()
