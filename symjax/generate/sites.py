"""Given orbits: Wyckoff positions of one space group named in text (``4a`` or ``a``), checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from symjax.errors import InputError
from symjax.groups.tables import wyckoff_letters
from symjax.wyckoff.site_symbols import LETTERS, position_dof, position_multiplicity


def position_indices(sites: Sequence[tuple[str, str]], number: int) -> np.ndarray:
    """(n,) index of the position of each given orbit in `wyckoff_positions(standard_setting(number))`.

    Args:
        sites: element and position of each orbit, as in ("Na", "4a").
        number: space group.

    Raises:
        InputError: a letter that the group lacks, another multiplicity than the position's, or a position without free coordinates
            that is given twice.
    """
    letters, multiplicity = wyckoff_letters(number), position_multiplicity(number)
    out = []
    for name, text in sites:
        digits = text.rstrip(LETTERS)
        letter = text[len(digits) :]
        if len(letter) != 1 or letter not in letters or not (digits.isdigit() or not digits):
            every = " ".join(f"{multiplicity[letters.index(a)]}{a}" for a in sorted(letters, key=LETTERS.index))
            raise InputError(f"given orbit {name}:{text}: space group {number} has the positions {every}")
        position = letters.index(letter)
        if digits and int(digits) != multiplicity[position]:
            raise InputError(
                f"given orbit {name}:{text}: position {letter} of space group {number} has {multiplicity[position]} points, so it "
                f"is {multiplicity[position]}{letter}"
            )
        out.append(position)
    twice = [p for p, count in Counter(out).items() if count > 1 and position_dof(number)[p] == 0]
    if twice:
        atoms = ", ".join(name for (name, _), p in zip(sites, out, strict=True) if p == twice[0])
        raise InputError(
            f"given orbits: position {multiplicity[twice[0]]}{letters[twice[0]]} of space group {number} has no free coordinate "
            f"and holds one orbit, but {atoms} are given there"
        )
    return np.array(out, np.int64)
