"""Protostructures as WyckoffDiff sees them: the element on each position without freedom, numbers of orbits on each of the others.

Owns `Nodes` (the 1,731 positions of all groups in two parts), `Occupations`, and the ways between them, orbits and structure types.
A position without free coordinates holds one orbit at most, so it is one class (0 empty, else the atomic number); any other holds a
count of orbits of each of 100 elements. The split is by freedom, not by "special" and "general": 24e (x, 0, 0) of group 225 is
special and free. In each part the positions stand by their letter. Counts are of orbits, not of atoms.

Source: WyckoffDiff (Ekström Kelvinius et al., arXiv 2502.06485), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import flax.struct
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.structure_types import StructureTypes
from symjax.elements import symbol
from symjax.errors import InputError
from symjax.wyckoff.set_table import SetTable, standard_numbers
from symjax.wyckoff.types import type_positions

Array = Any  # numpy or jax array

NUM_ELEMENTS = 100
"""Elements of the vocabulary, hydrogen to fermium."""
MAX_COUNT = 54
"""Most orbits of one element on one position (published)."""
MAX_FIXED, MAX_FREE = 8, 19
"""Most positions without, and with, free coordinates that a group has."""


@dataclass(frozen=True)
class Nodes:
    """Positions of all groups in two parts, `fixed` without free coordinates and `free` with some; row = space-group number.

    Attributes:
        fixed, free: (231, 8) and (231, 19) int8 index of the position, by rising letter, -1 where there is none.
        part: (231, 27) int8 of each position: 0 fixed, 1 free, -1 no such position.
        slot: (231, 27) int8 its place in that part, 0 where there is none.
    """

    fixed: np.ndarray
    free: np.ndarray
    part: np.ndarray
    slot: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """(231, 2) int64 number of positions of each part."""
        return np.stack([(self.fixed >= 0).sum(axis=1), (self.free >= 0).sum(axis=1)], axis=1)


@cache
def nodes() -> Nodes:
    """The table (host, kept; do not write into it)."""
    known = type_positions()
    part = np.where(known.mask, (known.dof > 0).astype(np.int8), -1)
    slot = np.zeros(part.shape, np.int8)
    tables = []
    for of_part, width in ((0, MAX_FIXED), (1, MAX_FREE)):
        table = np.full((len(part), width), -1, np.int8)
        for number in range(1, len(part)):
            positions = np.flatnonzero(part[number] == of_part)
            positions = positions[np.argsort(known.letter[number, positions])]
            table[number, : len(positions)] = positions
            slot[number, positions] = np.arange(len(positions))
        tables.append(table)
    return Nodes(fixed=tables[0], free=tables[1], part=part, slot=slot)


@flax.struct.dataclass
class Occupations:
    """c protostructures, padded to f positions without and r with free coordinates.

    Attributes:
        number: (c,) int32 space group.
        fixed: (c, f) int32 atomic number, 0 empty.
        free: (c, r, 100) int32 orbits of each element, column Z - 1.
    """

    number: Array
    fixed: Array
    free: Array

    def __len__(self) -> int:
        """Protostructures."""
        return len(self.number)


@dataclass(frozen=True)
class Orbits:
    """The same as lists of orbits, which take less room: (c, m), padded at the end.

    Attributes:
        number: (c,) int32 space group.
        z: (c, m) int16 atomic number, 0 where there is no orbit.
        pos: (c, m) int8 index of the position, 0 where there is no orbit.
    """

    number: np.ndarray
    z: np.ndarray
    pos: np.ndarray

    def __len__(self) -> int:
        """Protostructures."""
        return len(self.number)

    def take(self, rows: Any, width: int | None = None) -> Orbits:
        """Some rows, cut to a number of orbits that holds them."""
        return Orbits(self.number[rows], self.z[rows][:, :width], self.pos[rows][:, :width])


def usable(data: CrystalDataset, max_count: int = MAX_COUNT) -> np.ndarray:
    """(c,) bool crystals that `orbits_of` takes: standard setting, Z up to 100, and counts within bounds."""
    number, crystal = standard_numbers(data.sets)[data.set_index], data.orbit_crystal
    heavy = np.bincount(crystal, weights=data.orbit_z > NUM_ELEMENTS, minlength=len(data)) > 0
    return (number > 0) & ~heavy & (_largest_counts(data) <= max_count)


def _largest_counts(data: CrystalDataset) -> np.ndarray:
    """(c,) most orbits of one element on one position."""
    keys = (data.orbit_crystal.astype(np.int64) * 1024 + data.orbit_z) * 32 + data.orbit_pos
    values, counts = np.unique(keys, return_counts=True)
    most = np.zeros(len(data), np.int64)
    np.maximum.at(most, values // (1024 * 32), counts)
    return most


def orbits_of(data: CrystalDataset, max_count: int = MAX_COUNT) -> Orbits:
    """Protostructures of a prepared data set.

    Raises:
        InputError: a crystal is in no standard setting, has an element beyond the vocabulary, or more orbits of an element on one
            position than `max_count` (it is named; `usable` finds the crystals that can be used).
    """
    number, crystal = standard_numbers(data.sets)[data.set_index], data.orbit_crystal
    heavy = data.orbit_z > NUM_ELEMENTS
    names = ", ".join(symbol(int(z)) for z in np.unique(data.orbit_z[heavy]))
    _refuse(data, number == 0, "its operations are no standard setting; prepare the data with `symjax data prepare`")
    _refuse(
        data,
        np.bincount(crystal, weights=heavy, minlength=len(data)) > 0,
        f"{names} is beyond the {NUM_ELEMENTS} elements of the vocabulary",
    )
    _refuse(
        data,
        _largest_counts(data) > max_count,
        f"one element has more than {max_count} orbits on one position, the largest count of this model",
    )
    width = int(data.num_orbits.max(initial=1))
    z, pos = np.zeros((len(data), width), np.int16), np.zeros((len(data), width), np.int8)
    slot = np.arange(len(crystal)) - data.orbit_start[crystal]
    z[crystal, slot], pos[crystal, slot] = data.orbit_z, data.orbit_pos
    return Orbits(number.astype(np.int32), z, pos)


def _refuse(data: CrystalDataset, wrong: np.ndarray, why: str) -> None:
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(
            f"crystal {str(data.ids[first])!r} (row {int(data.row[first])}): {why} ({wrong.sum()} such crystals)"
        )


def occupations(orbits: Orbits, sizes: tuple[int, int] = (MAX_FIXED, MAX_FREE)) -> Occupations:
    """Tables of occupation of lists of orbits (host).

    Raises:
        InputError: a position that its group does not have, two orbits on a position without freedom, an element beyond the
            vocabulary, a count beyond 54, or more positions than `sizes`.
    """
    known, number = nodes(), np.asarray(orbits.number, np.int64)
    if number.size and not (number.min() >= 1 and number.max() < len(known.part)):
        raise InputError(
            f"space group {int(number[(number < 1) | (number >= len(known.part))][0])} is not one of 1 to 230"
        )
    if (known.sizes[number] > np.array(sizes)).any():
        raise InputError(f"a group has more positions than the {sizes[0]} and {sizes[1]} slots asked for")
    row, orbit = np.nonzero(orbits.z)
    z, pos, group = orbits.z[row, orbit].astype(np.int64), orbits.pos[row, orbit].astype(np.int64), number[row]
    part, slot = known.part[group, pos], known.slot[group, pos]
    if (part < 0).any() or (pos < 0).any():
        wrong = int(np.argmax((part < 0) | (pos < 0)))
        raise InputError(f"row {row[wrong]}: space group {group[wrong]} has no position {pos[wrong]}")
    if z.size and (z.min() < 1 or z.max() > NUM_ELEMENTS):
        wrong = int(np.argmax((z < 1) | (z > NUM_ELEMENTS)))
        raise InputError(f"row {row[wrong]}: atomic number {z[wrong]} is beyond the {NUM_ELEMENTS} of the vocabulary")
    fixed, free = np.zeros((len(number), sizes[0]), np.int32), np.zeros((len(number), sizes[1], NUM_ELEMENTS), np.int32)
    at = part == 0
    twice = np.zeros(fixed.shape, np.int64)
    np.add.at(twice, (row[at], slot[at]), 1)
    if (twice > 1).any():
        i, j = (int(index[0]) for index in np.nonzero(twice > 1))
        label = type_positions().label[number[i], known.fixed[number[i], j]]
        raise InputError(
            f"row {i}: position {label} of space group {number[i]} has no free coordinate and holds one orbit"
        )
    fixed[row[at], slot[at]] = z[at]
    np.add.at(free, (row[~at], slot[~at], z[~at] - 1), 1)
    if free.max(initial=0) > MAX_COUNT:
        raise InputError(
            f"row {int(np.nonzero(free > MAX_COUNT)[0][0])}: more than {MAX_COUNT} orbits of one element on a position"
        )
    return Occupations(number.astype(np.int32), fixed, free)


def orbits_from(tables: Occupations) -> Orbits:
    """Lists of orbits of tables of occupation (host); by element, then by position; a row may be empty.

    Raises:
        InputError: something sits on a position that the group does not have.
    """
    known, number = nodes(), np.asarray(tables.number, np.int64)
    fixed, free = np.asarray(tables.fixed), np.asarray(tables.free)
    of_fixed, of_free = known.fixed[number][:, : fixed.shape[1]], known.free[number][:, : free.shape[1]]
    row, slot = np.nonzero(fixed)
    row2, slot2, column = np.nonzero(free)
    times = free[row2, slot2, column]
    rows = np.concatenate([row, np.repeat(row2, times)])
    z = np.concatenate([fixed[row, slot], np.repeat(column + 1, times)])
    pos = np.concatenate([of_fixed[row, slot], np.repeat(of_free[row2, slot2], times)]).astype(np.int64)
    if (pos < 0).any():
        wrong = int(rows[np.argmax(pos < 0)])
        raise InputError(f"row {wrong}: an occupied position that space group {number[wrong]} does not have")
    order = np.lexsort((pos, z, rows))
    rows, z, pos = rows[order], z[order], pos[order]
    count = np.bincount(rows, minlength=len(number))
    out = [np.zeros((len(number), int(count.max(initial=1))), kind) for kind in (np.int16, np.int8)]
    at = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    out[0][rows, at], out[1][rows, at] = z, pos
    return Orbits(number.astype(np.int32), *out)


def structure_types(orbits: Orbits, sets: SetTable, set_index: np.ndarray) -> StructureTypes:
    """Structure types of protostructures whose groups are the rows `set_index` of a table of standard settings."""
    return StructureTypes(sets, np.asarray(set_index), orbits.z.astype(np.int32), orbits.pos.astype(np.int32))


def from_structure_types(types: StructureTypes) -> Orbits:
    """Protostructures of structure types.

    Raises:
        InputError: a set of operations is no standard setting.
    """
    number = standard_numbers(types.sets)[types.set_index]
    if (number == 0).any():
        raise InputError(f"row {int(np.argmax(number == 0))}: its operations are no standard setting")
    z = np.asarray(types.z)
    return Orbits(number.astype(np.int32), z.astype(np.int16), np.where(z > 0, types.pos, 0).astype(np.int8))
