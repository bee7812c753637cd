"""How navigation writes things: changes of basis and origin, coordinates, kinds of steps, labels of positions.

Conventions of the International Tables A1: new basis vectors in terms of a, b, c, then the origin shift: ``a-b,a+b,c; 0,1/2,0``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from symjax.groups.setting import Setting

_CLOSE = 1e-6
CONVENTION = (
    "[new a, new b, new c in the old axes; new origin in the old axes]: new vectors are the columns of P, x_new = P^-1 (x_old - p) "
    "(International Tables A, 1.5)"
)
"""What a change of basis and origin in brackets means; printed with it."""


def basis_text(setting: Setting) -> str:
    """The new basis vectors, such as ``1/2a-1/2b,1/2a+1/2b,c``."""
    return ",".join(_vector([Fraction(int(v), setting.P_den) for v in column]) for column in setting.P.T)


def origin_text(setting: Setting) -> str:
    """The origin shift, such as ``0,1/2,0``."""
    return ",".join(str(Fraction(int(v), setting.p_den)) for v in setting.p)


def fractions_of(setting: Setting) -> tuple[list[list[str]], list[str]]:
    """P (3, 3) by rows and p (3,) as texts of exact fractions, for files."""
    P = [[str(Fraction(int(v), setting.P_den)) for v in row] for row in setting.P]
    return P, [str(Fraction(int(v), setting.p_den)) for v in setting.p]


def change_text(P: np.ndarray, p: np.ndarray) -> str:
    """A change of basis and origin given by real numbers, such as ``a+b,-a+b,c; 0,1/2,0``; decimals where they are no fractions."""
    basis = ",".join(_vector([_near_fraction(float(v)) for v in column]) or "0" for column in np.asarray(P).T)
    return f"{basis}; {','.join(str(_near_fraction(float(v))) for v in p)}"


def way_texts(P: np.ndarray, p: np.ndarray, name: str = "file_to_standard") -> dict[str, Any]:
    """A change of basis and origin for reports: in one line, P by rows and p, as fractions."""
    rows = fraction_texts(P)
    return {name: change_text(P, p), f"{name}_P": [rows[i : i + 3] for i in (0, 3, 6)], f"{name}_p": fraction_texts(p)}


IDENTITY = "a,b,c; 0,0,0"
"""The change that changes nothing, as `change_text` writes it."""


def numbers_of(texts: Any) -> np.ndarray:
    """Numbers from nested lists of texts such as ``1/2`` or ``0.12345``."""
    return np.array([float(Fraction(t)) for t in np.asarray(texts).ravel().tolist()]).reshape(np.shape(texts))


def fraction_texts(values: Any) -> list[str]:
    """Real numbers as fractions, or decimals where they are none of a denominator up to 24."""
    return [str(_near_fraction(float(v))) for v in np.asarray(values).ravel()]


class _Decimal(float):
    """A number that is no simple fraction; printed with five digits."""

    def __str__(self) -> str:
        return f"{float(self):.5f}"

    def __abs__(self) -> _Decimal:
        return _Decimal(abs(float(self)))


def _near_fraction(value: float) -> Any:
    near = Fraction(value).limit_denominator(24)
    return near if abs(float(near) - value) < 2e-5 else _Decimal(value)


def _vector(coefficients: list[Any]) -> str:
    text = ""
    for value, name in zip(coefficients, "abc", strict=True):
        if value:
            size = "" if abs(value) == 1 else str(abs(value))
            text += f"{'-' if value < 0 else '+'}{size}{name}"
    return text.removeprefix("+")


def coordinate_text(x: np.ndarray, digits: int = 4) -> str:
    """Coordinates (3,) modulo 1: exact fractions where they are ones of small denominator, else so many digits."""
    parts = []
    for value in np.mod(np.asarray(x, float) + _CLOSE, 1.0) - _CLOSE:
        near = Fraction(float(value)).limit_denominator(24)
        parts.append(str(near) if abs(float(near) - value) < 2 * _CLOSE else f"{value:.{digits}f}")
    return ",".join(parts)


def free_text(directions: np.ndarray) -> str:
    """Which coordinates may change, from the directions of a position's flat as columns (3, f): ``z``, or ``x,2x``.

    A free parameter is called after the first coordinate that it moves (and that no other one is called after).
    """
    names: dict[int, str] = {}
    for column in range(directions.shape[1]):
        moved = [row for row in range(3) if directions[row, column] and "xyz"[row] not in names.values()]
        names[column] = "xyz"[moved[0]] if moved else next(name for name in "xyz" if name not in names.values())
    parts = []
    for row in directions:
        text = ""
        for column, name in names.items():
            value = int(row[column])
            if value:
                text += f"{'-' if value < 0 else '+'}{abs(value) if abs(value) > 1 else ''}{name}"
        if text:
            parts.append(text.removeprefix("+"))
    return ",".join(parts)


def mathtext(symbol: str) -> str:
    """A Hermann-Mauguin symbol for matplotlib: bars over digits, screws as subscripts, letters italic."""
    out, i = "", 0
    while i < len(symbol):
        if symbol[i] == "-" and i + 1 < len(symbol):
            out += rf"\bar{{{symbol[i + 1]}}}"
            i += 2
        elif symbol[i] == "_" and i + 1 < len(symbol):
            out += f"_{symbol[i + 1]}"
            i += 2
        else:
            out += symbol[i]
            i += 1
    return f"${out}$"
