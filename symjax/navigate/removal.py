"""Deleting operations from a group: the largest subgroups with all of its translations that lack them.

Owns `read_operation` and `without_operations`. An operation goes together with its products with lattice translations, because the
translations stay; other operations may have to go with it, since what is left must close.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from symjax.errors import InputError
from symjax.groups.primitive import primitive_form
from symjax.groups.sets import OpSet, members, take
from symjax.groups.setting import find_setting
from symjax.navigate.relation import Relation
from symjax.navigate.selection import kept_operations
from symjax.navigate.translationengleiche import t_subgroups
from symjax.ops import symbols
from symjax.ops.geometry import describe
from symjax.ops.types import Op


def read_operation(parent: OpSet, text: str, *, number: int) -> int:
    """Row of an operation of a group in its standard setting.

    Args:
        parent: the standard setting.
        text: its number in `symjax analyze` (from 0), a triplet ``-x,-y,-z``, a Seitz symbol ``{m_100|0 0 0}``, or a symmetry
            element as the International Tables print it, ``m 1/2,y,z`` or ``2 x,0,1/4``: symbol and place.
        number: its type.

    Raises:
        InputError: it cannot be read, or the group has no such operation; several elements of that name are told.
    """
    group = members(parent)
    plain = text.strip()
    if re.fullmatch(r"\d+", plain):
        if int(plain) >= len(group.W):
            raise InputError(
                f"operation {plain}: the group has operations 0 to {len(group.W) - 1} (`symjax analyze --all`)"
            )
        return int(plain)
    element = re.fullmatch(r"(-?\d(?:_\d)?[+-]?|[mabcndg])\s+([^\s].*)", plain)
    if element is None or "{" in plain:
        wanted = kept_operations(parent, [plain], number=number)
        assert wanted is not None
        same = (group.W == wanted.W[0]).all(axis=(1, 2)) & ((group.w - wanted.w[0]) % parent.den == 0).all(axis=1)
        return int(np.flatnonzero(same)[0])
    names = element_names(group)
    place = element.group(2).replace(" ", "")
    fitting = [i for i, (symbol, at) in enumerate(names) if symbol == element.group(1) and at == place]
    if not fitting:
        near = [f"{symbol} {at}" for symbol, at in names if symbol.rstrip("+-") == element.group(1).rstrip("+-")]
        told = ", ".join(dict.fromkeys(near)) or "none of that kind"
        raise InputError(f"the group has no element {plain!r}; it has {told}")
    return fitting[0]


def element_names(group: OpSet) -> list[tuple[str, str]]:
    """Symbol and place of each operation's symmetry element: ("m", "1/2,y,z"), ("2", "x,0,1/4"), ("-1", "0,0,0")."""
    found = []
    for one in describe(Op(np.asarray(group.W), np.asarray(group.w)), group.den):
        if one.point is None:
            found.append((one.symbol + one.sense, ""))
            continue
        directions = np.zeros((3, 0), int)
        if one.axis is not None and one.order != -2 and one.order > 0:
            directions = np.array(one.axis)[:, None]
        elif one.order == -2:
            directions = _plane(group.W[len(found)])
        found.append((one.symbol + one.sense, _place(one.point, directions)))
    return found


def _plane(W: np.ndarray) -> np.ndarray:
    """(3, 2) integer columns that a reflection leaves as they are, in reduced form."""
    from symjax.groups.integer import as_rows, kernel

    return kernel(as_rows(np.asarray(W, np.int64) - np.eye(3, dtype=np.int64))).T


def _place(point: tuple, directions: np.ndarray) -> str:
    """A flat as ``1/2,y,z`` or ``x,x+1/2,0``: free parameters are named after the first coordinate that each moves alone."""
    names: list[str] = []
    for column in directions.T:
        free = ["xyz"[row] for row in range(3) if column[row] and "xyz"[row] not in names]
        names.append(free[0])
    start = np.array([float(v) for v in point])
    shift = np.zeros(3)
    for column, name in zip(directions.T, names, strict=True):
        row = "xyz".index(name)
        shift = shift - column * (start[row] + shift[row]) / column[row]
    rest = start + shift
    parts = []
    for row in range(3):
        text = ""
        for column, name in zip(directions.T, names, strict=True):
            if column[row]:
                text += f"{'-' if column[row] < 0 else '+'}{abs(column[row]) if abs(column[row]) > 1 else ''}{name}"
        from fractions import Fraction

        number = Fraction(float(rest[row])).limit_denominator(48)
        if number or not text:
            text += f"{'-' if number < 0 else '+'}{abs(number)}"
        parts.append(text.removeprefix("+"))
    return ",".join(parts)


def without_operations(parent: OpSet, rows: Sequence[int], *, metric: np.ndarray | None = None) -> list[Relation]:
    """The largest subgroups with all translations of a group that hold none of some operations.

    Args:
        parent: one closed set.
        rows: of the operations to delete, in the order of its members.
        metric: by which cells are chosen (see `find_setting`).

    Returns:
        one relation for each such subgroup (no conjugate stands for another: the operations are told one by one), largest first.

    Raises:
        InputError: the identity or a translation is to go.
    """
    group = members(parent)
    form = primitive_form(group)
    eye = np.eye(3, dtype=np.int64)
    for row in rows:
        if (np.asarray(group.W[row]) == eye).all():
            text = symbols.format_xyz(Op(group.W[row], group.w[row]), group.den)
            raise InputError(f"{text} is a translation; deleting translations enlarges the cell: --max-index, --irrep")
    masks = [mask[: len(group.W)] for one in t_subgroups(group) for mask in one.masks]
    left = [mask for mask in masks if not mask[list(rows)].any()]
    largest = [mask for mask in left if not any((other >= mask).all() and other.sum() > mask.sum() for other in left)]
    found = []
    for mask in sorted(largest, key=lambda m: (-int(m.sum()), m.tobytes())):
        inner = take(group, np.flatnonzero(mask))
        setting = find_setting(inner, metric=metric)
        index = len(group.W) // int(mask.sum())
        found.append(Relation(parent, setting, index, 1, 1))
    if len(form.W) == 1:
        raise InputError("the group has translations alone; there is nothing to delete")
    return found
