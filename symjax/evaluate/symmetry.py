"""Symmetry found in a crystal's atoms, against the operations it was built from.

The search is spglib's. A failed search (atoms on top of each other) is reported as number 0 and counts as the trivial group
where a histogram is made, as the published evaluations do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from symjax.errors import InputError
from symjax.evaluate.cells import Cell

GROUPS = 230


class Found(NamedTuple):
    """What a search found.

    Attributes:
        number: space-group number, 0 where the search failed.
        contains: whether every operation of the cell's own set was found.
        missing: how many were not.
    """

    number: int
    contains: bool
    missing: int


def find_symmetry(cell: Cell, symprec: float = 0.01, angle_tolerance: float = -1.0) -> Found:
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
        return Found(0, len(cell.W) == 0, len(cell.W))
    by_rotation: dict[bytes, list[np.ndarray]] = {}
    for rotation, translation in zip(rotations, translations):
        by_rotation.setdefault(np.asarray(rotation, np.int64).tobytes(), []).append(translation)
    missing = 0
    for W, w in zip(cell.W, cell.w):
        found = np.array(by_rotation.get(np.asarray(W, np.int64).tobytes(), np.zeros((0, 3)))).reshape(-1, 3)
        shift = found - w / cell.den
        shift -= np.round(shift)
        # A translation is recovered from atoms that are themselves within symprec of where it sends them.
        if not (np.linalg.norm(shift @ cell.lattice, axis=1) < 2 * symprec).any():
            missing += 1
    return Found(number, missing == 0, missing)


def detected_number(cell: Cell, symprec: float = 0.1, angle_tolerance: float = 5.0) -> int:
    """Space-group number found in the atoms (defaults: those of the published tables), 0 where the search failed."""
    return _search(cell, symprec, angle_tolerance)[2]


def histogram(numbers: Sequence[int] | np.ndarray) -> np.ndarray:
    """(230,) relative frequencies of space-group numbers 1..230; 0 (search failed) counts as 1.

    Raises:
        InputError: no numbers, or one outside 0..230.
    """
    values = np.asarray(numbers, np.int64)
    if values.size == 0:
        raise InputError("a histogram of space groups needs at least one crystal")
    if values.min() < 0 or values.max() > GROUPS:
        raise InputError(f"space-group numbers must be 0..{GROUPS}, got {values.min()}..{values.max()}")
    return np.bincount(np.maximum(values, 1), minlength=GROUPS + 1)[1:] / values.size


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon distance of two distributions: the root of the divergence, natural logarithm, at most 0.8326."""
    middle = (p + q) / 2

    def divergence(a: np.ndarray) -> float:
        live = a > 0
        return float((a[live] * np.log(a[live] / middle[live])).sum())

    return float(np.sqrt(max((divergence(p) + divergence(q)) / 2, 0.0)))


def sampling_floor(
    source: np.ndarray, target: np.ndarray, num: int, draws: int = 20, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of the distance to ``target`` of ``num`` draws from ``source``.

    What a perfect copy of ``source`` would score with that many samples; finite samples never score zero.
    """
    generator = np.random.default_rng(seed)
    values = [jensen_shannon(generator.multinomial(num, source) / num, target) for _ in range(draws)]
    return float(np.mean(values)), float(np.std(values))


def _search(cell: Cell, symprec: float, angle_tolerance: float) -> tuple[np.ndarray, np.ndarray, int]:
    import warnings

    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = spglib.get_symmetry_dataset(
                (cell.lattice, cell.frac, cell.numbers), symprec=symprec, angle_tolerance=angle_tolerance
            )
        except Exception:  # spglib raises its own classes or returns None, by version and setting
            found = None
    if found is None:
        return np.zeros((0, 3, 3)), np.zeros((0, 3)), 0
    return found.rotations, found.translations, int(found.number)
