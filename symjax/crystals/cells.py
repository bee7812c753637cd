"""A crystal with every atom of its cell written out, and how to get one from the package's other forms.

Conventions: lattice rows are a, b, c in angstrom; coordinates are fractions in [0, 1); operations are integer rotation parts
and translations in units of 1/den. Everything is numpy on the host, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from symjax.data.dataset import CrystalDataset


@dataclass(frozen=True)
class Cell:
    """One crystal.

    Attributes:
        lattice: (3, 3) float64, rows a, b, c in angstrom.
        frac: (n, 3) float64 fractional coordinates of all atoms, orbit after orbit.
        numbers: (n,) int64 atomic numbers.
        orbit: (n,) int64 orbit of each atom; the first atom of an orbit is its representative.
        W: (g, 3, 3) int64 rotation parts of the set of operations, (0, 3, 3) where none is known.
        w: (g, 3) int64 translations in units of 1/den.
        den: the denominator.
    """

    lattice: np.ndarray
    frac: np.ndarray
    numbers: np.ndarray
    orbit: np.ndarray
    W: np.ndarray
    w: np.ndarray
    den: int = 24

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe a crystal."""
        num = len(self.numbers)
        if np.shape(self.lattice) != (3, 3) or np.shape(self.frac) != (num, 3) or np.shape(self.orbit) != (num,):
            raise InputError(
                f"a cell needs lattice (3, 3), frac (n, 3), numbers (n,), orbit (n,); got {np.shape(self.lattice)}, "
                f"{np.shape(self.frac)}, {np.shape(self.numbers)}, {np.shape(self.orbit)}"
            )

    @property
    def representatives(self) -> np.ndarray:
        """(m,) index of the first atom of each orbit."""
        return np.unique(self.orbit, return_index=True)[1]

    @property
    def volume(self) -> float:
        """Volume in cubic angstrom."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def counts(self) -> dict[int, int]:
        """Atomic number -> atoms in the cell."""
        values, counts = np.unique(self.numbers, return_counts=True)
        return {int(z): int(c) for z, c in zip(values, counts)}

    @property
    def reduced(self) -> tuple[tuple[int, int], ...]:
        """The composition divided by its greatest common divisor, sorted by atomic number."""
        counts = self.counts
        divisor = int(np.gcd.reduce(list(counts.values()))) if counts else 1
        return tuple((z, c // divisor) for z, c in sorted(counts.items()))


def make_cell(lattice: Any, frac: Any, numbers: Any) -> Cell:
    """A cell with no known operations: every atom is its own orbit."""
    numbers = np.asarray(numbers, np.int64)
    return Cell(
        lattice=np.asarray(lattice, np.float64),
        frac=_wrap(np.asarray(frac, np.float64)),
        numbers=numbers,
        orbit=np.arange(len(numbers)),
        W=np.zeros((0, 3, 3), np.int64),
        w=np.zeros((0, 3), np.int64),
    )


def cell_of(dataset: CrystalDataset, index: int) -> Cell:
    """Crystal ``index`` of a prepared data set, in the cell of its set of operations."""
    from symjax.lattice import lattice_from_log

    sets = dataset.sets
    row = int(dataset.set_index[index])
    num = int(np.asarray(sets.mask[row]).sum())
    W, w = np.asarray(sets.W[row][:num], np.int64), np.asarray(sets.w[row][:num], np.int64)
    den = int(getattr(sets, "den", 24))
    frac, numbers, orbit = [], [], []
    for slot, place in enumerate(range(int(dataset.orbit_start[index]), int(dataset.orbit_start[index + 1]))):
        position = int(dataset.orbit_pos[place])
        images = np.asarray(sets.pos_images[row, position])[: int(sets.pos_mult[row, position])]
        frac.append(W[images] @ np.asarray(dataset.orbit_x[place], np.float64) + w[images] / den)
        numbers += [int(dataset.orbit_z[place])] * len(images)
        orbit += [slot] * len(images)
    lattice = np.asarray(lattice_from_log(np.asarray(dataset.k[index]), int(sets.frame[row])), np.float64)
    return Cell(
        lattice=lattice,
        frac=_wrap(np.concatenate(frac)),
        numbers=np.array(numbers, np.int64),
        orbit=np.array(orbit, np.int64),
        W=W,
        w=w,
        den=den,
    )


def cells_of(dataset: CrystalDataset) -> list[Cell]:
    """Every crystal of a prepared data set."""
    return [cell_of(dataset, index) for index in range(len(dataset))]


def primitive(cell: Cell) -> Cell:
    """The same crystal in a primitive cell of its own centring translations (operations are dropped).

    The translations are those of the set of operations, so nothing is searched for and nothing is rounded. Matching in the
    primitive cell is many times faster than in the conventional one.
    """
    pure = (cell.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2)) if len(cell.W) else np.zeros(0, bool)
    shifts = cell.w[pure] % cell.den
    if len(shifts) <= 1:
        return make_cell(cell.lattice, cell.frac, cell.numbers)
    basis = _integer_basis(np.concatenate([shifts, cell.den * np.eye(3, dtype=np.int64)])) / cell.den
    lattice = _reduce(basis @ cell.lattice)
    frac = cell.frac @ cell.lattice @ np.linalg.inv(lattice)
    difference = frac[:, None] - frac[None]
    difference -= np.round(difference)
    same = (np.linalg.norm(difference @ lattice, axis=-1) < 1e-3) & (cell.numbers[:, None] == cell.numbers)
    first = same.argmax(axis=1) == np.arange(len(frac))
    return make_cell(lattice, frac[first], cell.numbers[first])


def to_structure(cell: Cell) -> Structure:
    """A pymatgen Structure with the atoms of the cell."""
    from pymatgen.core import Element, Lattice, Structure

    return Structure(Lattice(cell.lattice), [Element.from_Z(int(z)) for z in cell.numbers], cell.frac)


def from_structure(structure: Structure) -> Cell:
    """The cell of an ordered pymatgen Structure."""
    return make_cell(structure.lattice.matrix, structure.frac_coords, [site.specie.Z for site in structure])


def _wrap(frac: np.ndarray) -> np.ndarray:
    """Into [0, 1), also for -1e-20, whose remainder rounds to 1."""
    wrapped = frac - np.floor(frac)
    return np.where(wrapped >= 1.0, 0.0, wrapped)


def _integer_basis(rows: np.ndarray) -> np.ndarray:
    """(3, 3) integer rows spanning the same lattice as ``rows`` (r, 3), by Euclid's algorithm column after column."""
    work = [np.array(row, np.int64) for row in rows]
    basis = []
    for column in range(3):
        while sum(row[column] != 0 for row in work) > 1:
            live = [row for row in work if row[column] != 0]
            pivot = min(live, key=lambda row: abs(row[column]))
            work = [row if row is pivot else row - pivot * (row[column] // pivot[column]) for row in work]
        index = next(i for i, row in enumerate(work) if row[column] != 0)
        basis.append(work.pop(index))
    return np.array(basis)


def _reduce(lattice: np.ndarray) -> np.ndarray:
    """Shorten rows against each other until none gets shorter (pairs only: short enough to search few images)."""
    lattice = lattice.copy()
    for _ in range(100):
        changed = False
        for i in range(3):
            for j in range(3):
                if i != j:
                    step = np.round(lattice[i] @ lattice[j] / (lattice[j] @ lattice[j]))
                    shorter = lattice[i] - step * lattice[j]
                    if shorter @ shorter < lattice[i] @ lattice[i] * (1 - 1e-9):
                        lattice[i], changed = shorter, True
        if not changed:
            break
    return lattice
