"""Makes symjax/wyckoff/site_symbols.npz: the site-symmetry symbols of the 1,731 Wyckoff positions.

Run: python scripts/make_site_symbols.py [--out PATH]. Deterministic: the same pyxtal gives the same bytes. Needs pyxtal 1.1.

What comes from pyxtal (its spelling is the convention of published checkpoints) and what from operations:
  symbols       the distinct oriented site-symmetry symbols, sorted (pyxtal)
  symbol        (1731,) index into them, rows of one group in the order of `wyckoff_positions(standard_setting(number))` (pyxtal)
  dof, multiplicity  (1731,) of each position, from operations
  start         (232,) first row of each group
  matrix        (231, 34) bits of 15 directions x 18 kinds of symmetry elements, in pyxtal's slots (pyxtal)
  letter        lattice letter of each group (pyxtal)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from make_tables import write_table

from symjax.groups.tables import NUM_TYPES, standard_setting, wyckoff_letters
from symjax.wyckoff.positions import wyckoff_positions


def symbols_of(group: Any) -> dict[str, str]:
    """Letter -> site-symmetry symbol of one group; pyxtal fills the attribute when the method is called."""
    out = {}
    for position in group.Wyckoff_positions:
        position.get_site_symmetry()
        out[position.letter] = position.site_symm
    return out


def from_pyxtal() -> tuple[list[list[str]], np.ndarray, list[str]]:
    """Symbols of each position, element matrices (231, 270) and lattice letters, by space group."""
    from pyxtal.symmetry import Group

    symbols: list[list[str]] = [[]]
    matrix, letter = np.zeros((NUM_TYPES + 1, 270), bool), [""]
    for number in range(1, NUM_TYPES + 1):
        group = Group(number)
        by_letter = symbols_of(group)
        symbols.append([by_letter[one] for one in wyckoff_letters(number)])
        matrix[number] = np.asarray(group.get_spg_symmetry_object().to_matrix_representation()).ravel()
        letter.append(group.symbol[0])
    return symbols, matrix, letter


def build() -> dict[str, np.ndarray]:
    """All arrays."""
    symbols, matrix, letter = from_pyxtal()
    names = sorted({one for row in symbols for one in row})
    positions = [wyckoff_positions(standard_setting(number)) for number in range(1, NUM_TYPES + 1)]
    start = np.cumsum([0, *map(len, symbols)])
    return {
        "symbols": np.array(names),
        "symbol": np.array([names.index(one) for row in symbols for one in row], np.uint8),
        "dof": np.concatenate([p.dof for p in positions]).astype(np.uint8),
        "multiplicity": np.concatenate([p.multiplicity for p in positions]).astype(np.uint8),
        "start": start.astype(np.int32),
        "matrix": np.packbits(matrix, axis=1),
        "letter": np.array(letter),
    }


if __name__ == "__main__":
    write_table(
        "wyckoff/site_symbols", __doc__, build, lambda a: f"{len(a['symbol'])} positions, {len(a['symbols'])} symbols"
    )
