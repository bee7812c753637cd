"""The Wyckoff positions of the 230 space-group types, as one table: letter, multiplicity, freedom, site symmetry.

Owns `TypePositions`, the 1,731 positions of the standard settings as arrays over (space-group number, position), built once, and
names such as "4a". Positions are indexed as in `wyckoff_positions(standard_setting(number))`, which sorts by multiplicity and
freedom, not by letter. Letters are those of the International Tables A; the 27th of group 47 is "A", as in pyxtal.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from symjax.errors import InputError
from symjax.groups.packaged import NUM_TYPES, arrays, check_number
from symjax.groups.tables import wyckoff_letters

MAX_POSITIONS = 27
"""Most positions of a type: those of Pmmm."""
LETTERS = string.ascii_lowercase + "A"
"""Wyckoff letters in their order; only group 47 has the last."""


@dataclass(frozen=True)
class TypePositions:
    """Positions of types; do not write into the arrays.

    The leading axes are (231, 27) in `type_positions`, row = space-group number and row 0 empty, and (p,) in `positions_of_type`.

    Attributes:
        mask: (...) bool, there is such a position.
        letter: (...) int8 index into `LETTERS`, -1 where there is none.
        label: (...) str multiplicity and letter, as in "4a"; empty where there is none.
        multiplicity: (...) int32 points in the conventional cell, 0 where there is none.
        dof: (...) int32 free coordinates, 0 to 3; 0 where there is none.
        symbol: (...) int16 site symmetry as an index into `symjax.wyckoff.site_symbols.symbols()`, -1 where there is none.
        enumeration: (...) int8 how many positions of the same symbol have an earlier letter, -1 where there is none.
        site: (..., 15) int8 site symmetry by direction, of the copy that the International Tables list first, as indices into
            `symjax.wyckoff.oriented.SITE_CLASSES`; 0 where there is none. Stored, and equal to what `oriented_stabilizer` and
            `site_symmetry` make of the operations (tests/wyckoff/test_oriented.py, all 1,731).
    """

    mask: np.ndarray
    letter: np.ndarray
    label: np.ndarray
    multiplicity: np.ndarray
    dof: np.ndarray
    symbol: np.ndarray
    enumeration: np.ndarray
    site: np.ndarray

    def __len__(self) -> int:
        """Rows: 231 types, or p positions of one."""
        return len(self.mask)


@cache
def type_positions() -> TypePositions:
    """The positions of all types, (231, 27)."""
    letters = [wyckoff_letters(number) for number in range(1, NUM_TYPES + 1)]
    mask = np.array([[False] * MAX_POSITIONS] + [[i < len(own) for i in range(MAX_POSITIONS)] for own in letters])
    symbols, oriented = arrays("wyckoff/site_symbols"), arrays("wyckoff/oriented")

    def padded(rows: np.ndarray, kind: type, empty: int) -> np.ndarray:
        out = np.full((*mask.shape, *rows.shape[1:]), empty, kind)
        out[mask] = rows
        return out

    letter = padded(np.array([LETTERS.index(one) for own in letters for one in own]), np.int8, -1)
    multiplicity = padded(symbols["multiplicity"], np.int32, 0)
    symbol = padded(symbols["symbol"], np.int16, -1)
    same = (symbol[:, :, None] == symbol[:, None, :]) & (letter[:, None, :] < letter[:, :, None])
    label = np.full(mask.shape, "", "<U4")
    label[mask] = [f"{n}{LETTERS[one]}" for n, one in zip(multiplicity[mask], letter[mask], strict=True)]
    return TypePositions(
        mask=mask,
        letter=letter,
        label=label,
        multiplicity=multiplicity,
        dof=padded(symbols["dof"], np.int32, 0),
        symbol=symbol,
        enumeration=np.where(mask, same.sum(axis=2), -1).astype(np.int8),
        site=padded(oriented["site"], np.int8, 0),
    )


def positions_of_type(number: int) -> TypePositions:
    """The positions of one type, (p,).

    Raises:
        InputError: no space-group number.
    """
    return _positions_of(check_number(number))  # checked first: True would find what is kept for 1


@cache
def _positions_of(number: int) -> TypePositions:
    every, count = type_positions(), len(wyckoff_letters(number))
    return TypePositions(**{field.name: getattr(every, field.name)[number, :count] for field in fields(TypePositions)})


def find_position(number: int, name: str) -> int:
    """Index of the position with a name such as "4a", or "a".

    Raises:
        InputError: the type has no such position (the message lists those it has), or its multiplicity is another.
    """
    letters, positions = wyckoff_letters(number), positions_of_type(number)
    digits = name.rstrip(LETTERS)
    letter = name[len(digits) :]
    if len(letter) != 1 or letter not in letters or not (digits.isdigit() or not digits):
        every = " ".join(positions.label[np.argsort(positions.letter)])
        raise InputError(f"space group {number} has the positions {every}")
    found = letters.index(letter)
    multiplicity = int(positions.multiplicity[found])
    if digits and int(digits) != multiplicity:
        raise InputError(
            f"position {letter} of space group {number} has {multiplicity} points, so it is {multiplicity}{letter}"
        )
    return found
