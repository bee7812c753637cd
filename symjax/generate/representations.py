"""Structure types as people and files read them: elements on Wyckoff positions, JSON values (host)."""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.data.structure_types import StructureTypes, reduced_formula
from symjax.elements import SYMBOLS
from symjax.groups.properties import point_group
from symjax.wyckoff.set_table import standard_numbers
from symjax.wyckoff.site_symbols import symbols
from symjax.wyckoff.types import positions_of_type


def representations(types: StructureTypes) -> list[dict[str, Any]]:
    """Space group, formula, atoms of the conventional cell, and element, position and site symmetry of each orbit.

    A set that is no standard setting has space group None; its positions are named by multiplicity alone and its site symmetries
    are not oriented.
    """
    numbers = standard_numbers(types.sets)
    return [_representation(types, row, int(numbers[index])) for row, index in enumerate(types.set_index)]


def _representation(types: StructureTypes, row: int, number: int) -> dict[str, Any]:
    sets, index = types.sets, int(types.set_index[row])
    real = types.z[row] > 0
    z, pos = types.z[row][real], types.pos[row][real]
    multiplicity = np.asarray(sets.pos_mult)[index, pos]
    if number:
        known, names = positions_of_type(number), symbols()
        named = [(str(known.label[p]), names[known.symbol[p]]) for p in pos]
    else:
        stab = np.asarray(sets.pos_stab)[index, pos]
        named = [
            (f"{m}", point_group(np.asarray(sets.W)[index][s])[0]) for m, s in zip(multiplicity, stab, strict=True)
        ]
    return {
        "space_group": number or None,
        "formula": reduced_formula(z, multiplicity),
        "num_atoms": int(multiplicity.sum()),
        "orbits": [
            {"element": SYMBOLS[e], "position": position, "site_symmetry": site}
            for e, (position, site) in zip(z.tolist(), named, strict=True)
        ],
    }
