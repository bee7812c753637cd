"""Hall symbols to sets of operations.

Owns `parse_hall`. Source: S. R. Hall, Acta Cryst. A37 (1981) 517, with the corrections of International Tables B, A1.4.2.3:
a lattice symbol, up to four rotations ``N A T`` (order, axis, translation), and an optional change of origin ``(v w x)`` in
twelfths. Translations are in 24ths throughout; nothing is looked up.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from symjax.errors import InputError
from symjax.groups.sets import MAX_OPS, OpSet, canonical_unique, make_opset
from symjax.ops.types import DEN

_LATTICES = {
    "P": [],
    "A": [(0, 12, 12)],
    "B": [(12, 0, 12)],
    "C": [(12, 12, 0)],
    "I": [(12, 12, 12)],
    "R": [(16, 8, 8), (8, 16, 16)],
    "H": [(16, 8, 0), (8, 16, 0)],
    "F": [(0, 12, 12), (12, 0, 12), (12, 12, 0)],
}
_SHIFTS = {
    "a": (12, 0, 0),
    "b": (0, 12, 0),
    "c": (0, 0, 12),
    "n": (12, 12, 12),
    "u": (6, 0, 0),
    "v": (0, 6, 0),
    "w": (0, 0, 6),
    "d": (6, 6, 6),
}
_ABOUT_Z = {
    1: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    2: [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    3: [[0, -1, 0], [1, -1, 0], [0, 0, 1]],
    4: [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    6: [[1, -1, 0], [1, 0, 0], [0, 0, 1]],
}
_DIAGONAL = {
    "'": [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
    '"': [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
}  # beside z: a - b, a + b
_THREEFOLD = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # about a + b + c
_CYCLE = np.array(_THREEFOLD)  # x to y, y to z, z to x
_LONGEST = 64  # characters of a symbol
_ROTATION = re.compile(r"(-?)([12346])([1-5]?)([xyz'\"*]?)([abcnuvwd]*)$")


@cache
def parse_hall(symbol: str) -> OpSet:
    """The closed set of a Hall symbol such as ``-P 2ybc`` or ``P 31 2 (0 0 4)``, in canonical order.

    Underscores may stand for blanks; case matters only in the lattice symbol, which may be given in either.

    Raises:
        InputError: not a Hall symbol, or one whose operations do not close.
    """
    text = " ".join(symbol.replace("_", " ").split())
    if len(text) > _LONGEST:
        raise InputError(f"{text[:40]!r}... is not a Hall symbol such as '-P 2ybc': {len(text)} characters")
    match = re.match(r"(-?)\s*([A-Za-z])\s+([^()]+?)\s*(\(.*\))?$", text)
    if match is None or match.group(2).upper() not in _LATTICES:
        raise InputError(f"{symbol!r} is not a Hall symbol such as '-P 2ybc'")
    minus, lattice, rotations, shift = match.groups()
    W, w = [np.eye(3, dtype=int)], [np.zeros(3, int)]
    if minus:
        W, w = [*W, -np.eye(3, dtype=int)], [*w, np.zeros(3, int)]
    for vector in _LATTICES[lattice.upper()]:
        W, w = [*W, np.eye(3, dtype=int)], [*w, np.array(vector)]
    previous = axis = ""
    for place, part in enumerate(rotations.lower().split()):
        matrix, translation, previous, axis = _rotation(symbol, part, place, previous, axis)
        W, w = [*W, matrix], [*w, translation]
    closed = _close(np.array(W), np.array(w))
    if closed is None:
        raise InputError(f"{symbol!r}: the operations do not close within {MAX_OPS}")
    return _moved(symbol, *closed, shift)


def _rotation(
    symbol: str, part: str, place: int, previous: str, before: str
) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Matrix and translation of one rotation symbol, its order, and the axis that diagonals after it refer to."""
    match = _ROTATION.match(part)
    # an order above the screw's digit: "31", but "2'" and "-1n" have none
    if match is None or (match.group(3) and int(match.group(3)) >= int(match.group(2))):
        raise InputError(f"{symbol!r}: {part!r} is not a rotation of a Hall symbol")
    minus, order, screw, axis, letters = match.groups()
    reference = before or "z"
    if not axis:
        if place == 0 or order == "1":
            axis = "z"
        elif order == "3":
            axis = "*"
        elif order == "2" and place == 1:
            axis = "x" if previous in "24" else "'"
        else:
            axis = "z" if order != "2" else "x"
    if axis == "*":
        if order != "3":
            raise InputError(f"{symbol!r}: only a threefold axis can lie along *, not {part!r}")
        matrix, direction = np.array(_THREEFOLD), reference
    elif axis in _DIAGONAL:
        if order != "2":
            raise InputError(f"{symbol!r}: only twofold axes lie on diagonals, not {part!r}")
        matrix, direction = _turned(np.array(_DIAGONAL[axis]), reference), reference
    else:
        matrix, direction = _turned(np.array(_ABOUT_Z[int(order)]), axis), axis
    translation = sum((np.array(_SHIFTS[letter]) for letter in letters), np.zeros(3, int))
    if screw:
        along = np.eye(3, dtype=int)["xyz".index(direction)]
        translation = translation + DEN * int(screw) // int(order) * along
    return (-matrix if minus else matrix), translation % DEN, order, direction


def _turned(matrix: np.ndarray, axis: str) -> np.ndarray:
    """The operation about z carried to another axis by the cyclic exchange of axes."""
    for _ in range({"z": 0, "x": 1, "y": 2}[axis]):
        matrix = _CYCLE @ matrix @ _CYCLE.T
    return matrix


def _close(W: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """All products modulo the lattice, None when there are more than a space group's cell can hold."""
    rows = _rows(W, w)
    known = {row.tobytes() for row in rows}
    found = [rows]
    while len(rows):
        new_W, new_w = rows[:, :9].reshape(-1, 3, 3), rows[:, 9:]
        products = np.einsum("aij,bjk->abik", new_W, W).reshape(-1, 3, 3)
        shifts = (np.einsum("aij,bj->abi", new_W, w) + new_w[:, None]).reshape(-1, 3)
        rows = np.array([row for row in _rows(products, shifts) if row.tobytes() not in known]).reshape(-1, 12)
        known |= {row.tobytes() for row in rows}
        found.append(rows)
        if len(known) > MAX_OPS:
            return None
    every = np.concatenate(found)
    return every[:, :9].reshape(-1, 3, 3), every[:, 9:]


def _rows(W: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(n, 12) distinct operations, translations in [0, 24)."""
    return np.unique(np.concatenate([W.reshape(-1, 9), w % DEN], axis=1).astype(np.int64), axis=0)


def _moved(symbol: str, W: np.ndarray, w: np.ndarray, shift: str | None) -> OpSet:
    """The set with its origin moved by (v w x) twelfths: W' = W, w' = w + (I - W) v."""
    if shift:
        numbers = shift.strip("()").replace(",", " ").split()
        if len(numbers) != 3 or not all(re.fullmatch(r"[+-]?\d{1,4}", number) for number in numbers):
            raise InputError(f"{symbol!r}: a change of origin is three whole numbers of twelfths, such as (0 0 4)")
        v = np.array([int(number) for number in numbers]) * (DEN // 12)
        w = w + v - W @ v
    found = make_opset(W, w % DEN)
    order = canonical_unique(np.asarray(found.W), np.asarray(found.w))
    return make_opset(np.asarray(found.W)[order], np.asarray(found.w)[order])
