"""Array files that travel with the package (`groups/tables.npz`, ...), and their rows of one space group.

A file over space groups has an entry `start` (232,): the rows of group n are start[n] to start[n + 1]. The module that reads a file
says which script made it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from symjax.errors import InputError

NUM_TYPES = 230
"""Space-group types."""


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of `name`.npz below the package's folder, as in `groups/tables`, read once; do not write into them."""
    with resources.files("symjax").joinpath(f"{name}.npz").open("rb") as file, np.load(file) as data:
        return {key: data[key] for key in data.files}


def check_number(number: Any) -> int:
    """A space-group number as an int.

    Raises:
        InputError: it is none.
    """
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number <= NUM_TYPES:
        raise InputError(f"a space-group number is an integer from 1 to {NUM_TYPES}, got {number!r}")
    return int(number)


def rows_of(name: str, number: int) -> slice:
    """Rows of one space group in the arrays of a file.

    Raises:
        InputError: no space-group number.
    """
    number, start = check_number(number), arrays(name)["start"]
    return slice(int(start[number]), int(start[number + 1]))
