"""Binaries and ternaries as WyCryst sees them: a column for each of at most three elements, and the space group apart.

Owns `Compounds` (of orbits, and back by `judge`) and the array of the network (`columns`).
Rows of a column: 0-102 the element one-hot, 103 its atoms in the conventional cell over `COUNT_SCALE`, 104 its share of the
atoms, 105-125 features of the element, 126-152 how many of its orbits sit on each of the 27 positions, 153-155 zero (the length
must divide by 4).

Conventions. Positions are indexed as in `symjax.wyckoff.positions.wyckoff_positions(standard_setting(number))`. Columns stand in
the order of electronegativity, as formulas are written; binaries have an empty third column.

Source: public repository RaymondZhurm/WyCryst. Unlike there: all 27 positions of group 47 fit (there 26 letters), the 92
features of CGCNN are the 21 of `symjax.elements`, atoms are scaled, and a row that is always zero is left out. Unlike there
too, binaries are taken, as in table 1 of WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from symjax.elements import ELECTRONEGATIVITY, NUM_ELEMENTS, element_features
from symjax.wyckoff.types import MAX_POSITIONS, type_positions

Array = Any  # numpy or jax array

MAX_COLUMNS = 3
COUNT_SCALE = 20.0  # atoms of an element in the cell, brought to order one
NUM_FEATURES = 21
ELEMENT = slice(0, NUM_ELEMENTS - 1)  # row = atomic number - 1
COUNT, SHARE = ELEMENT.stop, ELEMENT.stop + 1
FEATURES = slice(SHARE + 1, SHARE + 1 + NUM_FEATURES)
OCCUPIED = slice(FEATURES.stop, FEATURES.stop + MAX_POSITIONS)
NUM_ROWS = -(-OCCUPIED.stop // 4) * 4

MAX_SITES = 20
"""Sites of the largest crystal of MP-20."""
LARGEST_ELEMENT = 94
"""Atomic number of the last element that counts as known."""

VALID, NO_ATOMS, TOO_MANY, UNKNOWN, NO_POSITION, OCCUPIED_TWICE, NO_SITE = (
    "valid",
    "an element without atoms",
    f"more than {MAX_SITES} sites",
    "element outside the vocabulary",
    "no such position in the space group",
    "position without free coordinates occupied twice",
    "no site",
)


class Compounds(NamedTuple):
    """c compounds.

    Attributes:
        number: (c,) int32 space group, 1 to 230.
        z: (c, 3) int32 atomic number of each column, 0 = empty.
        occupied: (c, 3, 27) int32 orbits of each column on each position of the group.
    """

    number: Array
    z: Array
    occupied: Array

    def take(self, index: Any) -> Compounds:
        """The compounds at an index."""
        return Compounds(*(values[index] for values in self))


@cache
def multiplicities() -> np.ndarray:
    """(231, 27) float32 points of each position in the conventional cell, 0 where the group has none; row = space-group number."""
    return type_positions().multiplicity.astype(np.float32)


def compounds(number: np.ndarray, crystal: np.ndarray, z: np.ndarray, pos: np.ndarray) -> tuple[Compounds, np.ndarray]:
    """The binaries and ternaries among crystals.

    Args:
        number: (n,) space groups.
        crystal: (o,) the crystal of each orbit, rising.
        z: (o,) atomic numbers.
        pos: (o,) positions.

    Returns:
        Compounds, and (c,) int64 which of the n they are.
    """
    present = np.zeros((len(number), NUM_ELEMENTS), bool)
    present[crystal, z] = True
    num = present.sum(axis=1)
    rows = np.flatnonzero((num >= 2) & (num <= MAX_COLUMNS))
    # rank of each element among those present, most electropositive first (those without a value, such as He, first)
    order = np.lexsort((np.arange(NUM_ELEMENTS), ELECTRONEGATIVITY))
    rank = np.zeros((len(rows), NUM_ELEMENTS), int)
    rank[:, order] = np.cumsum(present[rows][:, order], axis=1) - 1
    columns = np.zeros((len(rows), MAX_COLUMNS), np.int32)
    occupied = np.zeros((len(rows), MAX_COLUMNS, MAX_POSITIONS), np.int32)
    mine = np.isin(crystal, rows)
    row, z, pos = np.searchsorted(rows, crystal[mine]), z[mine], pos[mine]
    column = rank[row, z]
    columns[row, column] = z
    np.add.at(occupied, (row, column, pos), 1)
    return Compounds(number[rows].astype(np.int32), columns, occupied), rows


def columns(number: Array, z: Array, occupied: Array) -> jax.Array:
    """`(b, NUM_ROWS, 3)` float32: the array that the network reads and writes (see the head of this module)."""
    occupied = jnp.asarray(occupied, jnp.float32)
    atoms = jnp.einsum("bcp,bp->bc", occupied, jnp.asarray(multiplicities())[number])
    share = atoms / jnp.maximum(atoms.sum(axis=1, keepdims=True), 1.0)
    parts = [
        jax.nn.one_hot(z - 1, NUM_ELEMENTS - 1),  # a row of zeros where the column is empty
        (atoms / COUNT_SCALE)[..., None],
        share[..., None],
        jnp.asarray(element_features())[z],
        occupied,
    ]
    made = jnp.concatenate(parts, axis=-1)
    return jnp.swapaxes(jnp.pad(made, ((0, 0), (0, 0), (0, NUM_ROWS - made.shape[-1]))), 1, 2)


class Verdict(NamedTuple):
    """What became of drawn compounds.

    Attributes:
        number: (b,) space group.
        z: (b, MAX_SITES) int32 atomic number of each orbit, 0 = none; all 0 in a row that is no representation.
        pos: (b, MAX_SITES) int32 its position, 0 where there is none.
        reasons: (b,) str, "valid" or why not.
    """

    number: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    reasons: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(b,) bool."""
        return self.reasons == VALID


def judge(drawn: Compounds, *, drop: bool = True) -> Verdict:
    """Formal validity, by the rules of WyckoffTransformer's table 1 after three of a table of columns.

    A column with an element and no sites (published), more sites than a representation has slots, or an element beyond plutonium,
    makes a row invalid first. Then the first site that offends decides: a position that the group does not have, or one without
    free coordinates that an earlier site occupies; last, a row without a site.

    Args:
        drawn: b compounds.
        drop: leave out sites on positions that the group does not have, as the public code does; otherwise they make a row invalid.
    """
    number, element = np.asarray(drawn.number), np.asarray(drawn.z)
    count = np.where((element > 0)[..., None], np.asarray(drawn.occupied), 0)
    if drop:
        count *= (multiplicities()[number] > 0)[:, None]
    reasons = np.select(
        [
            ((element > 0) & (count.sum(axis=2) == 0)).any(axis=1),
            count.sum(axis=(1, 2)) > MAX_SITES,
            (element > LARGEST_ELEMENT).any(axis=1),
        ],
        [NO_ATOMS, TOO_MANY, UNKNOWN],
        "",
    ).astype(object)
    count[reasons != ""] = 0
    # the sites in a row's slots, column by column
    row, column, site = (np.repeat(index, count[np.nonzero(count)]) for index in np.nonzero(count))
    slot = np.arange(len(row)) - np.searchsorted(row, row)
    z, pos = np.zeros((2, len(number), MAX_SITES), np.int32)
    z[row, slot], pos[row, slot] = element[row, column], site
    real = z > 0
    absent = real & (multiplicities()[number[:, None], pos] == 0)
    earlier = np.tril((pos[:, :, None] == pos[:, None, :]) & real[:, None, :], -1).any(axis=2)
    twice = real & earlier & (type_positions().dof[number[:, None], pos] == 0)
    first = (absent | twice).argmax(axis=1)
    offends = np.select([absent, twice], [NO_POSITION, OCCUPIED_TWICE], VALID)[np.arange(len(number)), first]
    later = np.where(real.any(axis=1), offends, NO_SITE)
    reasons = np.where(reasons == "", later, reasons)
    good = (reasons == VALID)[:, None]
    return Verdict(number, np.where(good, z, 0), np.where(good, pos, 0), reasons)
