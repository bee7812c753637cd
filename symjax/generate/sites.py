"""Given orbits: Wyckoff positions of one space group named in text (``4a`` or ``a``), checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from symjax.errors import InputError
from symjax.wyckoff.types import find_position, positions_of_type


def position_indices(sites: Sequence[tuple[str, str]], number: int) -> np.ndarray:
    """(n,) index of the position of each given orbit in `wyckoff_positions(standard_setting(number))`.

    Args:
        sites: element and position of each orbit, as in ("Na", "4a").
        number: space group.

    Raises:
        InputError: a letter that the group lacks, another multiplicity than the position's, or a position without free coordinates
            that is given twice.
    """
    known, out = positions_of_type(number), []
    for name, text in sites:
        try:
            out.append(find_position(number, text))
        except InputError as error:
            raise InputError(f"given orbit {name}:{text}: {error}") from None
    twice = [p for p, count in Counter(out).items() if count > 1 and known.dof[p] == 0]
    if twice:
        atoms = ", ".join(name for (name, _), p in zip(sites, out, strict=True) if p == twice[0])
        raise InputError(
            f"given orbits: position {known.label[twice[0]]} of space group {number} has no free coordinate "
            f"and holds one orbit, but {atoms} are given there"
        )
    return np.array(out, np.int64)
