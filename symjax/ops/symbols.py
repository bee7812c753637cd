"""Text of operations: the triplet `x,y,z` of the International Tables, parsed and printed (Seitz symbols: `symjax.ops.seitz`).

Host only. Triplets are exact: translations must be multiples of 1/den (decimals such as 0.333 within 0.001).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

from symjax.ops.checks import OperationError, ParseError, as_op, check_den
from symjax.ops.types import DEN, Op

DECIMAL_TOL = 1e-3
"""Largest distance of a decimal translation from a multiple of 1/den; 1/24 is 0.042, so nothing is ambiguous."""

_AXES = "xyz"
_LONGEST = 256  # characters of a triplet
_LARGEST = 1000  # entry of a rotation part; far beyond any setting, and far from where products overflow
_TOKEN = re.compile(
    r"\s*(?P<sign>[+-])?\s*(?:(?P<number>\d+\.?\d*|\.\d+)(?:\s*/\s*(?P<below>\d+))?)?\s*\*?\s*(?P<axis>[xyzXYZ])?"
)


def _error(text: str, position: int, why: str) -> ParseError:
    found = f"character {text[position]!r}" if position < len(text) else "the end"
    return ParseError(f"operation {text!r}: {why} at {found}, position {position + 1}; expected e.g. '-y+1/2,x,z+1/4'")


def _parse_row(text: str, start: int, stop: int, den: int) -> tuple[list[int], int]:
    """One of the three expressions: three coefficients and a translation in units of 1/den."""
    row, shift = [0, 0, 0], Fraction(0)
    position, terms = start, 0
    while text[position:stop].strip():
        match = _TOKEN.match(text, position, stop)
        number, below, axis = match.group("number", "below", "axis") if match else (None, None, None)
        at = position + len(text[position:stop]) - len(text[position:stop].lstrip())
        if match is None or (number is None and axis is None):
            raise _error(text, min(match.end() if match else at, len(text)), "cannot read")
        if terms and match.group("sign") is None:
            raise _error(text, at, "missing + or -")
        if below is not None and int(below) == 0:
            raise _error(text, match.start("below"), "division by zero")
        value = Fraction(1) if number is None else Fraction(number) / (int(below) if below else 1)
        value = -value if match.group("sign") == "-" else value
        if axis is None:
            shift += value
        elif value.denominator != 1:
            raise _error(text, match.start("number"), f"coefficient {value} of {axis} is not an integer")
        else:
            row[_AXES.index(axis.lower())] += int(value)
        position, terms = match.end(), terms + 1
    if not terms:
        raise _error(text, stop, "empty expression")
    units = round(shift * den)
    if abs(float(shift * den - units)) > DECIMAL_TOL * den:
        raise _error(text, start, f"translation {shift} is not a multiple of 1/{den}")
    return row, units


def _parse_one(text: str, den: int) -> tuple[list[list[int]], list[int]]:
    if not isinstance(text, str):
        raise ParseError(f"operation must be text such as 'x,y,z', got {type(text).__name__}")
    if len(text) > _LONGEST:
        raise ParseError(f"operation {text[:40]!r}...: {len(text)} characters are too many for x,y,z")
    commas = [i for i, character in enumerate(text) if character == ","]
    if len(commas) != 2:
        place = commas[2] if len(commas) > 2 else len(text)
        raise _error(text, place, f"{len(commas) + 1} expressions instead of 3")
    bounds = [0, *(i + 1 for i in commas)], [*commas, len(text)]
    rows = [_parse_row(text, start, stop, den) for start, stop in zip(*bounds)]
    W = [row for row, _ in rows]
    if max(abs(entry) for row in W for entry in row) > _LARGEST:
        raise ParseError(f"operation {text!r}: a coefficient is larger than {_LARGEST}")
    if abs(round(float(np.linalg.det(np.array(W, dtype=np.float64))))) != 1:
        raise ParseError(f"operation {text!r}: rotation part {W} has a determinant other than +1 or -1")
    return W, [units % den for _, units in rows]


def parse_xyz(text: str | Sequence[str], den: int = DEN) -> Op:
    """Read triplets such as '-y+1/2, x, z+0.25', in any order, case and spacing.

    Args:
        text: one triplet, or a sequence of them.
        den: denominator of the result.

    Returns:
        numpy `Op` with W (3, 3) for one triplet, (n, 3, 3) for n; translations in [0, den).

    Raises:
        ParseError: naming operation, character and position; also for translations that are not multiples of 1/den
            and for rotation parts that are not unimodular.
    """
    check_den(den)
    if isinstance(text, str):
        return as_op(*_parse_one(text, den))
    parsed = [_parse_one(item, den) for item in text]
    W = np.array([W for W, _ in parsed], dtype=np.int32).reshape(-1, 3, 3)
    return as_op(W, np.array([w for _, w in parsed], dtype=np.int32).reshape(-1, 3))


def format_translation(units: int, den: int = DEN) -> str:
    """A translation component as the shortest fraction: '0', '1/2', '5/6'."""
    value = Fraction(int(units), int(den))
    return str(value)


@lru_cache(maxsize=1 << 14)
def _format_row(row: tuple[int, ...], units: int, den: int) -> str:
    text = ""
    for coefficient, axis in zip(row, _AXES):
        if coefficient:
            size = "" if abs(coefficient) == 1 else str(abs(coefficient))
            text += ("-" if coefficient < 0 else "+") + size + axis
    units %= den
    if units or not text:
        text += "+" + format_translation(units, den)
    return text.removeprefix("+")


def format_xyz(op: Op, den: int = DEN) -> str | list:
    """Triplets such as '-y+1/2,x,z+1/4', translations in [0, 1).

    Returns:
        A string for one operation, else nested lists with the batch shape.

    Raises:
        OperationError: wrong shapes.
    """
    check_den(den)
    W, w = np.asarray(op.W), np.asarray(op.w)
    if W.shape[-2:] != (3, 3) or w.shape[-1:] != (3,) or W.shape[:-2] != w.shape[:-1]:
        raise OperationError(f"format_xyz: shapes {W.shape} and {w.shape} are not (..., 3, 3) and (..., 3)")
    if W.ndim > 2:
        return [format_xyz(Op(W[i], w[i]), den) for i in range(len(W))]
    return ",".join(_format_row(tuple(row), int(units), int(den)) for row, units in zip(W.tolist(), w.tolist()))
