"""Site-symmetry symbols, and symmetry elements of the groups, as WyckoffTransformer reads them.

Owns the names behind `TypePositions.symbol` and the symmetry elements of each group as pyxtal 1.1.5 arranges them
(site_symbols.npz, made by scripts/make_site_symbols.py).

Conventions. Positions are indexed as in `wyckoff_positions(standard_setting(number))`. Symbols are oriented (2.., .2. and ..2
differ) in pyxtal's spelling, which is not everywhere that of the International Tables (4/mm.m, 2.22): published checkpoints use
it. The enumeration counts positions of equal symbol in one group in the order of their letters, a first, from 0. Source:
WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text; later arXiv 2503.02407), section 3.1.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from symjax.groups.packaged import arrays, rows_of
from symjax.groups.tables import NUM_TYPES, wyckoff_letters

NUM_SYMBOLS = 78
NUM_ENUMERATIONS = 8
MATRIX_SHAPE = (15, 18)
LATTICE_LETTERS = "PABCIRF"


def symbols() -> tuple[str, ...]:
    """The 78 distinct site-symmetry symbols, in plain string order."""
    return tuple(arrays("wyckoff/site_symbols")["symbols"].tolist())


@cache
def oriented_symbols(number: int) -> tuple[str, ...]:
    """Oriented site-symmetry symbol, such as ``4/mm.m``, of each of `wyckoff_positions(standard_setting(number))`."""
    tables = arrays("wyckoff/site_symbols")
    return tuple(str(tables["symbols"][i]) for i in tables["symbol"][rows_of("wyckoff/site_symbols", number)])


def group_matrices() -> np.ndarray:
    """(231, 277) float32 of 0 and 1, row = space-group number, row 0 zero: 15 directions x 18 elements, then the lattice letter.

    As pyxtal 1.1.5 makes them, slots included: directions are the axes, four body and six face diagonals, [1-20] and [2-10];
    elements 1, -1, 2, 2_1, m, a, b, c, n, d, 3, 3_1, 3_2, 4, 4_1, 4_2, 4_3, -4. `symjax.wyckoff.oriented.group_features` is another
    arrangement (26 elements, lattice directions). Source: the public code of WyckoffTransformer;
    the paper says only that the first token contains the space group.
    """
    tables = arrays("wyckoff/site_symbols")
    size = MATRIX_SHAPE[0] * MATRIX_SHAPE[1]
    matrix = np.unpackbits(tables["matrix"], axis=1)[:, :size]
    letters = np.array([[letter == one for one in LATTICE_LETTERS] for letter in tables["letter"].tolist()])
    return np.concatenate([matrix, letters], axis=1).astype(np.float32)


@cache
def digest() -> str:
    """SHA-256 of all tables that give tokens their meaning: symbols, letters and the elements of the groups."""
    sha = hashlib.sha256()
    for name in ("symbols", "symbol", "dof", "multiplicity", "matrix", "letter"):
        array = arrays("wyckoff/site_symbols")[name]
        sha.update(f"{name}{array.shape}".encode() + " ".join(map(str, array.ravel().tolist())).encode())
    sha.update(" ".join(wyckoff_letters(number) for number in range(1, NUM_TYPES + 1)).encode())
    return sha.hexdigest()
