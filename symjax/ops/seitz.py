"""Seitz symbols in the notation of the International Tables and the IUCr (Glazer et al., Acta Cryst. A70, 300, 2014).

`{4+_001|1/2 0 1/4}`: signed order (m for a reflection), sense for orders above 2, axis (the normal of a reflection),
and translation. Axes with an index beyond 9 are written `_(10,1,-3)`. Host only.

A rotation part follows from its symbol only together with a basis: `2_100` is (x,-y,-z) in orthogonal axes and
(x-y,-y,-z) in hexagonal ones. So `parse_seitz` takes one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from symjax.ops import exact, geometry
from symjax.ops.checks import BasisError, OperationError, ParseError, as_op, check_den
from symjax.ops.kept import Kept
from symjax.ops.types import DEN, HEXAGONAL, Op

_SYMBOL = re.compile(
    r"\s*\{\s*(?P<order>m|-?\d)\s*(?P<sense>[+-])?\s*(?:_\s*(?P<axis>\([^)]*\)|(?:-?\d){3}))?\s*\|(?P<shift>[^}]*)\}\s*"
)
_ORDERS = {"1": 1, "2": 2, "3": 3, "4": 4, "6": 6, "-1": -1, "m": -2, "-2": -2, "-3": -3, "-4": -4, "-6": -6}


def _rotation_text(order: int, axis: np.ndarray, sense: int) -> str:
    text = {-2: "m"}.get(order, str(order)) + {1: "+", -1: "-"}.get(sense, "")
    if abs(order) == 1:
        return text
    digits = [str(x) for x in axis.tolist()]
    return f"{text}_{''.join(digits)}" if np.abs(axis).max() <= 9 else f"{text}_({','.join(digits)})"


def _distinct(rows: np.ndarray, codes: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows and where each row went; by codes without collisions where there are some (ten times faster)."""
    if codes is None:
        distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
        return distinct, inverse
    _, first, inverse = np.unique(codes.reshape(-1), return_index=True, return_inverse=True)
    return rows[first], inverse


def seitz(op: Op, den: int = DEN) -> Any:
    """Seitz symbols with translations in [0, 1), such as '{4+_001|1/2 0 1/4}'.

    Every distinct rotation part and translation is spelled once, so large arrays are cheap.

    Args:
        op: operations with any batch shape, in a right-handed basis.
        den: denominator of op.w.

    Returns:
        A string for one operation, else nested lists with the batch shape.

    Raises:
        OperationError: wrong shape, dtype or den, or a rotation part of infinite order.
    """
    check_den(den)
    op = as_op(op.W, op.w)
    batch = op.W.shape[:-2]
    flat = Op(op.W.reshape(-1, 3, 3), op.w.reshape(-1, 3) % den)
    texts = _SPELLED.of(flat, den, lambda some: _spelled(some, den)) if len(flat.W) <= _FEW else _spelled(flat, den)
    return np.array(texts, dtype=object).reshape(batch).tolist() if batch else str(texts[0])


_SPELLED = Kept()
_FEW = 10_000  # more operations than this are spelled by their distinct parts


def _spelled(op: Op, den: int) -> list[str]:
    """Seitz symbols of operations (n,), translations in [0, den)."""
    W, which_W = _distinct(op.W.reshape(-1, 9), exact.rotation_code(op.W) if np.abs(op.W).max(initial=0) <= 4 else None)
    w, which_w = _distinct(op.w, exact.translation_code(op.w, den) if den <= 1290 else None)
    order, axis, _ = geometry.axis_data(W.reshape(-1, 3, 3))
    if np.any(order == 0):
        bad = int(np.flatnonzero(order == 0)[0])
        index = int(np.flatnonzero(which_W.ravel() == bad)[0])
        raise OperationError(f"operation {index}: rotation part {W[bad].reshape(3, 3).tolist()} has infinite order")
    turn = geometry.sense(W.reshape(-1, 3, 3), axis)
    rotations = [_rotation_text(int(n), u, int(s)) for n, u, s in zip(order, axis, turn)]
    shifts = [" ".join(str(Fraction(int(x), den)) for x in row) for row in w]
    pairs, which = np.unique(which_W.ravel() * len(w) + which_w.ravel(), return_inverse=True)
    texts = np.array([f"{{{rotations[p // len(w)]}|{shifts[p % len(w)]}}}" for p in pairs.tolist()], dtype=object)
    return texts[which.ravel()].tolist()


def rotation_about(order: int, axis: Any, sense: int, basis: Any) -> np.ndarray:
    """The rotation part (3, 3) int32 of a signed order, direct-lattice axis and sense, in a basis.

    Args:
        order: 1, 2, 3, 4, 6 or the negative (-2: reflection).
        axis: (3,) integers [uvw]; not used for orders 1 and -1.
        sense: +1 or -1; not used for orders up to 2.
        basis: 'orthogonal', 'hexagonal', or (3, 3) columns of a right-handed basis in Cartesian coordinates.

    Raises:
        BasisError: singular basis, or a lattice that this operation does not leave invariant.
    """
    if isinstance(basis, str):
        if basis not in ("orthogonal", "hexagonal"):
            raise BasisError(f"basis must be 'orthogonal', 'hexagonal' or a (3, 3) matrix, got {basis!r}")
        A = np.eye(3) if basis == "orthogonal" else HEXAGONAL
    else:
        A = np.asarray(basis, dtype=np.float64)
        if A.shape != (3, 3) or not np.all(np.isfinite(A)) or abs(np.linalg.det(A)) < 1e-9 * np.abs(A).max() ** 3:
            raise BasisError(f"basis must be a regular (3, 3) matrix, got {A.tolist()}")
    sign, n = (1 if order > 0 else -1), abs(order)
    if n == 1:
        return sign * np.eye(3, dtype=np.int32)
    u = A @ np.asarray(axis, dtype=np.float64)
    u = u / np.linalg.norm(u)
    angle = (1 if n == 2 else sense) * 2 * np.pi / n
    K = np.array([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])
    R = np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)
    W = sign * np.linalg.inv(A) @ R @ A
    if np.abs(W - np.round(W)).max() > 1e-4:
        symbol = _rotation_text(order, np.array(axis), sense)
        raise BasisError(f"a lattice with this basis is not invariant under {symbol}; pass the basis of the symbol")
    return np.round(W).astype(np.int32)


def _parse_axis(text: str, symbol: str) -> list[int]:
    if not text.startswith("("):
        return [int(x) for x in re.findall(r"-?\d", text)]
    parts = text[1:-1].split(",")
    if len(parts) != 3 or not all(re.fullmatch(r"\s*[+-]?\d+\s*", part) for part in parts):
        raise ParseError(f"Seitz symbol {symbol!r}: axis {text!r} is not three integers, as in (10,1,-3)")
    return [int(part) for part in parts]


def _parse_shift(text: str, symbol: str, den: int) -> list[int]:
    parts = text.replace(",", " ").split()
    parts = ["0", "0", "0"] if parts == ["0"] else parts
    if len(parts) != 3:
        shift = text.strip()
        raise ParseError(f"Seitz symbol {symbol!r}: translation {shift!r} must have three components, as in 1/2 0 0")
    units = []
    for part in parts:
        try:
            value = Fraction(part) * den
        except (ValueError, ZeroDivisionError) as error:
            position = symbol.index(part, symbol.index("|")) + 1
            raise ParseError(f"Seitz symbol {symbol!r}: {part!r} at position {position} is not a fraction") from error
        if abs(value - round(value)) > Fraction(den, 1000):
            raise ParseError(f"Seitz symbol {symbol!r}: translation {part} is not a multiple of 1/{den}")
        units.append(round(value) % den)
    return units


def parse_seitz(text: str | Sequence[str], basis: Any = "orthogonal", den: int = DEN) -> Op:
    """Read Seitz symbols such as '{4+_001|1/2 0 1/4}', '{m_1-10|0}', '{-1|0 0 0}'.

    Args:
        text: one symbol, or a sequence of them.
        basis: 'orthogonal', 'hexagonal', or (3, 3) columns; see `rotation_about`.
        den: denominator of the result.

    Returns:
        numpy `Op`, one operation or (n,).

    Raises:
        ParseError: naming symbol and place.
        BasisError: the lattice of this basis does not have the operation.
    """
    check_den(den)
    if isinstance(text, str):
        return as_op(*_parse_one(text, basis, den))
    parsed = [_parse_one(item, basis, den) for item in text]
    W = np.array([W for W, _ in parsed], dtype=np.int32).reshape(-1, 3, 3)
    return exact.reduce(as_op(W, np.array([w for _, w in parsed], dtype=np.int32).reshape(-1, 3)), den)


def _parse_one(text: str, basis: Any, den: int) -> tuple[np.ndarray, list[int]]:
    if not isinstance(text, str):
        raise ParseError(f"Seitz symbol must be text such as '{{2_001|0 0 1/2}}', got {type(text).__name__}")
    match = _SYMBOL.fullmatch(text)
    if match is None:
        raise ParseError(f"Seitz symbol {text!r}: cannot read from {_where(text)}; expected e.g. '{{4+_001|1/2 0 0}}'")
    order = _ORDERS.get(match.group("order"))
    if order is None:
        position = match.start("order") + 1
        raise ParseError(f"Seitz symbol {text!r}: order {match.group('order')!r} at position {position} does not exist")
    axis_text, sense_text = match.group("axis"), match.group("sense")
    if (abs(order) > 1) != (axis_text is not None):
        need = "needs an axis, as in 2_001" if abs(order) > 1 else "has no axis"
        raise ParseError(f"Seitz symbol {text!r}: {match.group('order')} {need} (position {match.end('order') + 1})")
    if (abs(order) > 2) != (sense_text is not None):
        need = "needs a sense, as in 4+_001" if abs(order) > 2 else "has no sense"
        raise ParseError(f"Seitz symbol {text!r}: {match.group('order')} {need} (position {match.end('order') + 1})")
    axis = _parse_axis(axis_text, text) if axis_text else [0, 0, 0]
    if abs(order) > 1 and not any(axis):
        raise ParseError(f"Seitz symbol {text!r}: axis {axis_text} is zero")
    W = rotation_about(order, axis, -1 if sense_text == "-" else 1, basis)
    return W, _parse_shift(match.group("shift"), text, den)


def _where(text: str) -> str:
    """The first place at which a symbol stops being one: the longest readable prefix, found by its parts."""
    axis = r"\s*(?:_\s*(?:\([^)]*\)|(?:-?\d){3}))?"
    parts = (r"\s*\{", r"\s*(?:m|-?\d)", r"\s*[+-]?", axis, r"\s*\|", r"[^}]*", r"\}\s*")
    position = 0
    for part in parts:
        match = re.compile(part).match(text, position)
        if match is None:
            break
        position = match.end()
    found = f"character {text[position]!r}" if position < len(text) else "the end"
    return f"{found}, position {position + 1}"
