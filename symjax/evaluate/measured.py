"""Crystals with what was worked out for each, as arrays over all rows: what the metrics of every table read.

Rows that are no crystal are in every array, with NaN, False, 0 or an empty tuple; each metric says what it does with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.evaluate import words
from symjax.evaluate.sources import Crystals
from symjax.evaluate.stages import column

NUM_SPECIES = 119
"""Columns of the element fractions: atomic numbers 0 to 118."""
Rows = Sequence[dict[str, Any] | None]


@dataclass(frozen=True)
class Measured:
    """n rows with the results of the stages; see `symjax.evaluate.stages` for the values' meaning.

    Attributes:
        crystals: the rows.
        geometry: of `stages.geometry`.
        composition: of `stages.composition`.
        symmetry: of `stages.symmetry`.
        operations: of `stages.ladder`; None where it was not run.
        fingerprint: of the fingerprints; None where they were not made.
        steadiness: of `stages.steadiness`; None where it was not run.
        chemistry: of `symjax.evaluate.chemistry`; None where it was not run.
        bonds: of `symjax.evaluate.energy_model.graphs.bonds`; None where it was not run.
    """

    crystals: Crystals
    geometry: Rows
    composition: Rows
    symmetry: Rows
    operations: Rows | None = None
    fingerprint: Rows | None = None
    steadiness: Rows | None = None
    chemistry: Rows | None = None
    bonds: Rows | None = None

    def __len__(self) -> int:
        """Rows, usable or not."""
        return len(self.crystals)

    @property
    def cells(self) -> tuple[AtomicStructure | None, ...]:
        """The crystal of each row."""
        return self.crystals.cells

    @property
    def usable(self) -> np.ndarray:
        """(n,) whether a row is a crystal."""
        return self.crystals.usable

    @cached_property
    def density(self) -> np.ndarray:
        """(n,) g/cm^3."""
        return column(self.geometry, "density")

    @cached_property
    def volume(self) -> np.ndarray:
        """(n,) cubic angstrom."""
        return column(self.geometry, "volume")

    @cached_property
    def atoms(self) -> np.ndarray:
        """(n,) atoms in the cell as given."""
        return column(self.geometry, "atoms")

    @cached_property
    def primitive_atoms(self) -> np.ndarray:
        """(n,) atoms in the primitive cell found at 0.1 angstrom."""
        return column(self.symmetry, "primitive_atoms")

    @cached_property
    def distance(self) -> np.ndarray:
        """(n,) shortest distance of any two atoms, own images included, angstrom."""
        return column(self.geometry, "distance")

    @cached_property
    def ratio(self) -> np.ndarray:
        """(n,) smallest distance over the sum of covalent radii."""
        return column(self.geometry, "ratio")

    @cached_property
    def structure_valid(self) -> np.ndarray:
        """(n,) CDVAE's rule: no two atoms of the cell under 0.5 angstrom at minimum image, volume at least 0.1 cubic angstrom."""
        between = column(self.geometry, "between", np.inf)
        failed = np.array([row is None or "error" in row for row in self.geometry], bool)
        return ~failed & (between >= 0.5) & (np.nan_to_num(self.volume) >= 0.1)

    @cached_property
    def structure_valid_40(self) -> np.ndarray:
        """(n,) SymmCD's rule: `structure_valid` with no cell edge over 40 angstrom."""
        return self.structure_valid & (column(self.geometry, "longest_edge", np.inf) <= 40.0)

    def composition_valid(self, rule: str = "cdvae") -> np.ndarray:
        """(n,) one of the rules of `symjax.evaluate.composition`."""
        return column(self.composition, rule, 0.0) > 0

    @cached_property
    def valid(self) -> np.ndarray:
        """(n,) SymmCD's rule: valid structure and composition."""
        return self.structure_valid_40 & self.composition_valid()

    @cached_property
    def reduced(self) -> list[tuple[tuple[int, int], ...]]:
        """Reduced composition of each row, empty for none."""
        return [
            () if row is None or "error" in row else tuple((int(z), int(c)) for z, c in row["reduced"])
            for row in self.composition
        ]

    @cached_property
    def species(self) -> np.ndarray:
        """(n,) distinct elements."""
        return np.array([len(counts) for counts in self.reduced], float)

    @cached_property
    def fractions(self) -> np.ndarray:
        """(n, 119) atomic fraction of each element."""
        out = np.zeros((len(self), NUM_SPECIES))
        for i, counts in enumerate(self.reduced):
            total = sum(count for _, count in counts)
            for z, count in counts:
                out[i, z] = count / total
        return out

    @cached_property
    def number(self) -> np.ndarray:
        """(n,) space group found at 0.1 angstrom and 5 degrees, 0 where none was."""
        return column(self.symmetry, "number", 0.0).astype(np.int64)

    @cached_property
    def number_tight(self) -> np.ndarray:
        """(n,) space group found at 0.01 angstrom and 5 degrees, 0 where none was."""
        return column(self.symmetry, "number_tight", 0.0).astype(np.int64)

    @cached_property
    def orbits(self) -> list[list[tuple[int, str]]]:
        """(element, Wyckoff letter) of each orbit at 0.1 angstrom."""
        return [
            [] if row is None or "error" in row else [(int(z), str(letter)) for z, letter in row["orbits"]]
            for row in self.symmetry
        ]

    @cached_property
    def sites(self) -> np.ndarray:
        """(n,) orbits."""
        return np.array([len(orbits) for orbits in self.orbits], float)

    @cached_property
    def dimensions(self) -> np.ndarray:
        """(n, 4) orbits on Wyckoff positions with 0, 1, 2, 3 free coordinates."""
        rows = [words.freedoms(int(n), orbits) for n, orbits in zip(self.number, self.orbits)]
        return np.array([np.bincount(row, minlength=4) for row in rows], float).reshape(-1, 4)

    @cached_property
    def freedom(self) -> np.ndarray:
        """(n,) free coordinates of all orbits."""
        return self.dimensions @ np.arange(4.0)

    @cached_property
    def templates(self) -> list[tuple[Any, ...]]:
        """Canonical template of each row."""
        return [words.template(int(n), orbits) for n, orbits in zip(self.number, self.orbits)]

    @cached_property
    def raw_templates(self) -> list[tuple[Any, ...]]:
        """Template with letters as found."""
        return [words.template(int(n), orbits, canonical=False) for n, orbits in zip(self.number, self.orbits)]

    @cached_property
    def genes(self) -> list[tuple[Any, ...]]:
        """Canonical word with elements of each row."""
        return [words.gene(int(n), orbits) for n, orbits in zip(self.number, self.orbits)]

    @cached_property
    def generated_number(self) -> np.ndarray:
        """(n,) space group of the crystal's own set of operations, 0 where it has none."""
        from symjax.groups.identify import identify
        from symjax.groups.sets import OpSet

        numbers: dict[bytes, int] = {}
        out = np.zeros(len(self), np.int64)
        for i, cell in enumerate(self.cells):
            if cell is None or not len(cell.W):
                continue
            key = cell.W.tobytes() + cell.w.tobytes()
            if key not in numbers:
                W, w = cell.W.astype(np.int32), cell.w.astype(np.int32)
                numbers[key] = int(identify(OpSet(W=W, w=w, mask=np.ones(len(W), bool), den=cell.den)).number)
            out[i] = numbers[key]
        return out
