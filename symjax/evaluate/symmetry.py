"""Symmetry found in a crystal's atoms, against the operations it was built from.

The search is spglib's. A failed search (atoms on top of each other) is reported as number 0 and counts as the trivial group
where a histogram is made, as the published evaluations do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from symjax.crystals.io.search import search_symmetry
from symjax.crystals.types import AtomicStructure

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

TIGHT = 0.01
"""Tolerance in angstrom at which the generated group must be found again."""
LADDER = (1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3)
"""Tolerances at which a crystal's own operations are looked for, angstrom."""


class Found(NamedTuple):
    """What a search found.

    Attributes:
        number: space-group number, 0 where the search failed.
        contains: whether every operation of the cell's own set was found.
        missing: how many were not.
        order: how many operations were found in the cell.
    """

    number: int
    contains: bool
    missing: int
    order: int


def find_symmetry(cell: AtomicStructure, symprec: float = 0.01, angle_tolerance: float = -1.0) -> Found:
    """Search the atoms for symmetry and compare it with the cell's own operations, as sets modulo the cell.

    spglib gives up on atoms closer than its tolerance; then a tenth of it is tried, twice at most. Operations found at a
    tighter tolerance hold at the wider one all the more.

    Args:
        cell: the crystal.
        symprec: tolerance in angstrom.
        angle_tolerance: degrees; -1 for spglib's own rule.
    """
    for divisor in (1, 10, 100):
        rotations, translations, number = _search(cell, symprec / divisor, angle_tolerance)
        if number:
            break
    if number == 0:
        return Found(0, len(cell.W) == 0, len(cell.W), 0)
    by_rotation: dict[bytes, list[np.ndarray]] = {}
    for rotation, translation in zip(rotations, translations):
        by_rotation.setdefault(np.asarray(rotation, np.int64).tobytes(), []).append(translation)
    missing = 0
    for W, w in zip(cell.W, cell.w):
        found = np.array(by_rotation.get(np.asarray(W, np.int64).tobytes(), np.zeros((0, 3)))).reshape(-1, 3)
        shift = found - w / cell.den
        shift -= np.round(shift)
        # A translation is recovered from atoms that are themselves within symprec of where it sends them.
        if not (np.linalg.norm(shift @ cell.L, axis=1) < 2 * symprec).any():
            missing += 1
    return Found(number, missing == 0, missing, len(rotations))


def identified_numbers(dataset: CrystalDataset) -> np.ndarray:
    """(s,) space-group number of each set of operations that occurs in a data set, read off the operations; 0 elsewhere."""
    from symjax.groups.identify import identify
    from symjax.groups.sets import OpSet

    sets = dataset.sets
    numbers = np.zeros(len(sets.W), np.int64)
    for row in np.unique(dataset.set_index):
        live = np.asarray(sets.mask[row], bool)
        numbers[row] = identify(
            OpSet(W=np.asarray(sets.W[row])[live], w=np.asarray(sets.w[row])[live], mask=live[live])
        ).number
    return numbers


def group_numbers(dataset: CrystalDataset) -> np.ndarray:
    """(c,) space-group number of each crystal, read off its operations."""
    return identified_numbers(dataset)[dataset.set_index]


def detected_number(cell: AtomicStructure, symprec: float = 0.1, angle_tolerance: float = 5.0) -> int:
    """Space-group number found in the atoms (defaults: those of the published tables), 0 where the search failed."""
    return _search(cell, symprec, angle_tolerance)[2]


def _search(cell: AtomicStructure, symprec: float, angle_tolerance: float) -> tuple[np.ndarray, np.ndarray, int]:
    found = search_symmetry(cell, symprec, angle_tolerance)  # with 5 degrees: pymatgen's SpacegroupAnalyzer
    if found is None:
        return np.zeros((0, 3, 3)), np.zeros((0, 3)), 0
    return found.rotations, found.translations, int(found.number)
