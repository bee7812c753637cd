"""Which symmetry elements lie along which lattice directions: site symmetries and space groups as binary matrices.

Owns `DIRECTIONS`, `SITE_CLASSES`, `ELEMENT_KINDS`, `site_symmetry` and `group_elements`, which need operations alone, and the
tables of the 230 standard settings (oriented.npz, made by scripts/make_site_symmetry.py) for what is convention: which copy of a
position stands first, and the matrix of elements as pyxtal's functions make it. The direction of an element is the primitive
integer vector that its rotation part (times its determinant) leaves fixed, so for a mirror or glide the normal of the plane.
Source: SymmCD (Levy et al., arXiv 2502.03638), section 3.2 and appendix C; directions in the order of pyxtal.

Hexagonal axes (groups 143 to 194): directions are integer lattice vectors here too, and [120] and [210] have the last two slots.
pyxtal goes through Cartesian axes, so its slot names are not lattice directions: version 0.6.7 relabels one to one ([100] to slot
[2-10], [010] to [1-20], [120] to [010], [210] to [100]), version 1.1.5 the same but for [100], which stays and so shares a slot
with [210]; a 2 and an m that meet there become an m. Classes of pyxtal 1.1.5 stand in another order (4, -4, 2/m for 2/m, 4, -4).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.errors import InputError
from symjax.groups.packaged import arrays, check_number, rows_of
from symjax.groups.sets import OpSet, members
from symjax.ops import exact, geometry
from symjax.ops.types import Op

DIRECTIONS = np.array(
    [
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1, 1, 1),
        (1, -1, -1),
        (-1, 1, -1),
        (-1, -1, 1),
        (1, -1, 0),
        (1, 1, 0),
        (0, 1, -1),
        (0, 1, 1),
        (-1, 0, 1),
        (1, 0, 1),
        (1, 2, 0),
        (2, 1, 0),
    ],
    np.int64,
)
"""(15, 3) the directions in which conventional settings have symmetry elements; the last two occur in hexagonal axes only."""

SITE_CLASSES = ("1", "-1", "2", "m", "3", "2/m", "4", "-4", "-3", "6", "-6", "4/m", "6/m")
"""What one direction of a site symmetry can be, in the order of pyxtal 0.6.7 (that of the published tables)."""

ELEMENT_KINDS = (
    "1",
    "-1",
    "2",
    "2_1",
    "m",
    "a",
    "b",
    "c",
    "n",
    "d",
    "3",
    "3_1",
    "3_2",
    "4",
    "-4",
    "4_1",
    "4_2",
    "4_3",
    "-3",
    "6",
    "6_1",
    "6_2",
    "6_3",
    "6_4",
    "6_5",
    "-6",
)
"""The 26 kinds of elements along one direction of a space group; several can hold at once."""

LATTICE_LETTERS = "PIFABCR"

# Which of (inversion, 2, m, 3, 4, -4) a class holds about its direction.
_HOLDS: dict[tuple[int, ...], str] = {
    (0, 0, 0, 0, 0, 0): "1",
    (1, 0, 0, 0, 0, 0): "-1",
    (0, 1, 0, 0, 0, 0): "2",
    (0, 0, 1, 0, 0, 0): "m",
    (0, 0, 0, 1, 0, 0): "3",
    (1, 1, 1, 0, 0, 0): "2/m",
    (0, 1, 0, 0, 1, 0): "4",
    (0, 1, 0, 0, 0, 1): "-4",
    (1, 0, 0, 1, 0, 0): "-3",
    (0, 1, 0, 1, 0, 0): "6",
    (0, 0, 1, 1, 0, 0): "-6",
    (1, 1, 1, 0, 1, 1): "4/m",
    (1, 1, 1, 1, 0, 0): "6/m",
}
_PARTS = {2: (1,), -2: (2,), 3: (3,), -3: (3,), 4: (1, 4), -4: (1, 5), 6: (1, 3), -6: (2, 3)}


def direction_slots(axis: np.ndarray) -> np.ndarray:
    """(...) slot of each primitive lattice vector (..., 3) of either sign; -1 for any that is none of the 15."""
    axis = np.asarray(axis, np.int64)[..., None, :]
    same = (axis == DIRECTIONS).all(axis=-1) | (axis == -DIRECTIONS).all(axis=-1)
    return np.where(same.any(axis=-1), same.argmax(axis=-1), -1)


def _slots_of(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed orders (n,) and slots (n,) of rotation parts; slot -1 for orders 1 and -1.

    Raises:
        InputError: an element lies along none of the 15 directions (a primitive or sheared basis).
    """
    order, axis, _ = geometry.axis_data(np.asarray(W, np.int64))
    slot = direction_slots(axis)
    wrong = np.flatnonzero((np.abs(order) > 1) & (slot < 0))
    if len(wrong):
        raise InputError(
            f"operation {int(wrong[0])} has its element along {axis[wrong[0]].tolist()}, which is none of the 15 directions of the "
            "conventional settings: bring the set to its standard setting first (symjax.groups.find_setting)"
        )
    return order, slot


def site_symmetry(W: Any) -> np.ndarray:
    """Class of each direction (15,) int8, an index into `SITE_CLASSES`, of a site-symmetry group.

    Args:
        W: (n, 3, 3) integers, the rotation parts of all operations that fix the point.

    With the inversion every direction is at least "-1". Source: SymmCD (Levy et al., arXiv 2502.03638), appendix C.

    Raises:
        InputError: an element lies along none of the 15 directions, or the rotation parts are no group.
    """
    order, slot = _slots_of(W)
    held = np.zeros((15, 6), np.int64)
    held[:, 0] = (order == -1).any()
    for n, at in zip(order.tolist(), slot.tolist(), strict=True):
        if at >= 0:
            held[at, list(_PARTS[n])] = 1
    try:
        return np.array([SITE_CLASSES.index(_HOLDS[tuple(row)]) for row in held.tolist()], np.int8)
    except KeyError as error:
        raise InputError(f"the {len(order)} rotation parts are no group: {error} about one direction") from error


def group_elements(opset: OpSet) -> np.ndarray:
    """Elements of a space group by direction, (15, 26) bool: columns `ELEMENT_KINDS`, several may hold in a row.

    Args:
        opset: one set; every operation given counts, so with centring translations included glides and screws that they make count
            too (C2/m has 2 and 2_1, m and a). The published matrix takes one operation of each coset of the centring.

    Glides are named by their glide vector, of the shortest translate: "d" for quarters, "n" for two or three halves.

    Raises:
        InputError: an element lies along none of the 15 directions.
    """
    inner = members(opset)
    W, w = np.asarray(inner.W, np.int64), np.asarray(inner.w, np.int64)
    _, slot = _slots_of(W)
    out = np.zeros((15, 26), bool)
    out[:, 0] = True
    for at, one in zip(slot.tolist(), geometry.describe(Op(W, w), inner.den), strict=True):
        if one.kind == geometry.Kind.INVERSION:
            out[:, 1] = True
        elif at >= 0:
            out[at, ELEMENT_KINDS.index("n" if one.symbol == "g" else one.symbol)] = True
    return out


def first_copies(number: int) -> np.ndarray:
    """(p,) int32 operation of the standard setting that takes our flat of each position to the copy listed first.

    Which copy stands first is a convention of the International Tables, like letters: operations do not tell it. Source: pyxtal.
    """
    return arrays("wyckoff/oriented")["first"][rows_of("wyckoff/oriented", number)].astype(np.int32)


def oriented_stabilizer(W: np.ndarray, stab: np.ndarray, copy: int) -> np.ndarray:
    """Rotation parts (s, 3, 3) of the operations that fix another copy of a flat.

    Args:
        W: (n, 3, 3) integer rotation parts of a set.
        stab: (n,) bool, the operations that fix the representative flat.
        copy: the operation that takes the representative flat to the copy.
    """
    W = np.asarray(W, np.int64)
    return W[copy] @ W[np.asarray(stab, bool)] @ exact.inverse_matrix(W[copy])


def group_features() -> np.ndarray:
    """(231, 397) float32 binary features of the space groups, row = number, row 0 zero: 7 lattice letters, then 15 x 26 elements.

    Elements as pyxtal's functions name them, of one operation for each coset of the centring (the first block of the International
    Tables), which is what SymmCD was published with; directions as in this module. All 230 rows differ. `group_elements` of the
    same operations gives the same but for 15 groups, where pyxtal names a diagonal glide by its translation part and not by its
    glide vector (P4bm's diagonal mirror becomes an n).
    """
    tables = arrays("wyckoff/oriented")
    elements = np.unpackbits(tables["elements"], axis=1)[:, : 15 * 26]
    letters = np.array([[letter == one for one in LATTICE_LETTERS] for letter in tables["letter"].tolist()])
    return np.concatenate([letters, elements], axis=1).astype(np.float32)


def listed_operations(number: int) -> np.ndarray:
    """(l,) int32 the operations that the International Tables list first, one for each coset of the centring."""
    tables = arrays("wyckoff/oriented")
    check_number(number)
    return tables["listed"][tables["listed_start"][number] : tables["listed_start"][number + 1]].astype(np.int32)
