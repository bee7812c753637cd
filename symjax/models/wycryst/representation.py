"""Binaries and ternaries as WyCryst sees them: a column for each of at most three elements, and the space group apart.

Owns `Compounds` (from `symjax.models.wyckoff_transformer.tokens.Tokens` and back) and the array of the network (`columns`).
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
from symjax.models.wyckoff_transformer.tokens import MAX_SITES, REASONS, Decoded, Tokens, decode, tables
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
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

NO_ATOMS, TOO_MANY, UNKNOWN = (
    "an element without atoms",
    f"more than {MAX_SITES} sites",
    "element outside the vocabulary",
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


def compounds(tokens: Tokens, vocabulary: Vocabulary) -> tuple[Compounds, np.ndarray]:
    """The binaries and ternaries among Wyckoff representations, and their rows.

    Returns:
        Compounds, and (c,) int64 rows of ``tokens`` that they are.
    """
    mask = np.asarray(tokens.mask)
    z = np.where(mask, vocabulary.atomic_numbers[np.asarray(tokens.element)], 0)
    present = np.zeros((len(z), NUM_ELEMENTS), bool)
    present[np.repeat(np.arange(len(z)), mask.sum(1)), z[mask]] = True
    num = present.sum(axis=1)
    rows = np.flatnonzero((num >= 2) & (num <= MAX_COLUMNS))
    # rank of each element among those present, most electropositive first (those without a value, such as He, first)
    order = np.lexsort((np.arange(NUM_ELEMENTS), ELECTRONEGATIVITY))
    rank = np.zeros((len(rows), NUM_ELEMENTS), int)
    rank[:, order] = np.cumsum(present[rows][:, order], axis=1) - 1
    columns = np.zeros((len(rows), MAX_COLUMNS), np.int32)
    occupied = np.zeros((len(rows), MAX_COLUMNS, MAX_POSITIONS), np.int32)
    crystal, slot = np.nonzero(mask[rows])
    element = z[rows[crystal], slot]
    column = rank[crystal, element]
    columns[crystal, column] = element
    np.add.at(occupied, (crystal, column, np.asarray(tokens.pos)[rows[crystal], slot]), 1)
    return Compounds(np.asarray(tokens.number)[rows].astype(np.int32), columns, occupied), rows


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
        decoded: elements at positions; rows that are no representation are empty.
        reasons: (b,) str, "valid" or why not.
    """

    decoded: Decoded
    reasons: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(b,) bool."""
        return self.reasons == REASONS[0]


def judge(drawn: Compounds, vocabulary: Vocabulary, *, drop: bool = True) -> Verdict:
    """Formal validity: the rules of `tokens.decode` after three of a table of columns.

    A column with an element and no sites (published), more sites than a representation has slots, or an element that has no token,
    makes a row invalid first.

    Args:
        drawn: b compounds.
        vocabulary: the elements that count as known.
        drop: leave out sites on positions that the group does not have, as the public code does; otherwise they make a row invalid.
    """
    number = np.asarray(drawn.number)
    count = np.where((np.asarray(drawn.z) > 0)[..., None], np.asarray(drawn.occupied), 0)
    if drop:
        count *= (multiplicities()[number] > 0)[:, None]
    sites = count.sum(axis=(1, 2))
    token = vocabulary.element_tokens[np.asarray(drawn.z)]
    reasons = np.select(
        [
            ((np.asarray(drawn.z) > 0) & (count.sum(axis=2) == 0)).any(axis=1),
            sites > MAX_SITES,
            ((token < 0) & (np.asarray(drawn.z) > 0)).any(axis=1),
        ],
        [NO_ATOMS, TOO_MANY, UNKNOWN],
        "",
    ).astype(object)
    count[reasons != ""] = 0
    known = tables(vocabulary)
    row, column, pos = (np.repeat(index, count[np.nonzero(count)]) for index in np.nonzero(count))
    slot = np.arange(len(row)) - np.searchsorted(row, row)
    shape = (len(number), MAX_SITES + 1)
    element, site, enum = (np.full(shape, stop, np.int64) for stop in vocabulary.stop)
    absent = np.argmin(known.site_ok[:, : vocabulary.names[1]], axis=1)  # a symbol that the group does not have
    there = pos < known.num_positions[number[row]]
    element[row, slot] = token[row, column]
    site[row, slot] = np.where(there, known.site[number[row], pos], absent[number[row]])
    enum[row, slot] = np.where(there, known.enum[number[row], pos], 0)
    decoded = decode(number, element, site, enum, vocabulary=vocabulary)
    return Verdict(decoded, np.where(reasons == "", np.asarray(REASONS, object)[decoded.reason], reasons))
