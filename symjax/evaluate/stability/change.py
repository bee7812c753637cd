"""What relaxation does to the symmetry.

**Subgroup distance** of two groups G and H in one basis of one cell: ``log2(|G| / |G n H|) + log2(|H| / |G n H|)``,
orders counted modulo the lattice of that cell (centring translations of a conventional cell count). It is 0 for equal
groups, 1 where one is a subgroup of index 2 of the other, and the number of doublings down to the common subgroup and up
again otherwise. An operation of G is in H if H has the same rotation part and a translation within a tolerance in
angstrom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.stability.symmetric import Operations, found_operations, operations_of
from symjax.groups.packaged import NUM_TYPES
from symjax.groups.symbols import CRYSTAL_SYSTEMS


def farthest_move(before: AtomicStructure, after: AtomicStructure) -> float:
    """How far the atom that moved farthest went against the others, angstrom: in the cell after, without the mean shift.

    Args:
        before: a crystal.
        after: the same atoms in the same order, in a cell with the same basis.
    """
    moved = after.x - before.x
    moved -= moved[0]  # so that a shift of all of them by half a cell is none
    moved -= np.round(moved)
    moved -= moved.mean(axis=0)
    return float(np.linalg.norm(moved @ after.L, axis=1).max())


class HeatMap(NamedTuple):
    """Requested space group against crystal system after relaxation (WyckoffDiff-Adaptor, figure 2).

    Attributes:
        groups: (r,) requested space-group numbers, ascending.
        systems: the seven crystal systems, in the order of the columns.
        counts: (r, 7) crystals.
        failed: (r,) crystals without a relaxed group, which are in no column.
        preserved: (r,) share of each row, failed ones included in the denominator, whose system is that of the requested
            group.
        overall: the same over all rows.
        same_group: share of all whose number is the requested one.
    """

    groups: np.ndarray
    systems: tuple[str, ...]
    counts: np.ndarray
    failed: np.ndarray
    preserved: np.ndarray
    overall: float
    same_group: float


class GroupChange(NamedTuple):
    """Operations of G (before) and H (after).

    Attributes:
        before: order of G modulo the cell's lattice.
        after: order of H modulo the same lattice.
        common: operations of G that H has too.
        distance: see the module.
    """

    before: int
    after: int
    common: int
    distance: float

    @property
    def lost(self) -> int:
        """Operations of G that H has not."""
        return self.before - self.common

    @property
    def gained(self) -> int:
        """Operations of H that G has not."""
        return self.after - self.common


def system_index(numbers: np.ndarray | Sequence[int]) -> np.ndarray:
    """(n,) column of the crystal system (0 triclinic .. 6 cubic) of space-group numbers, -1 for 0 (search failed or no
    crystal).
    """
    values = np.asarray(numbers, np.int64)
    if values.size and (values.min() < 0 or values.max() > NUM_TYPES):
        raise InputError(f"space-group numbers must be 0 to 230, got {values.min()} to {values.max()}")
    last = np.array([numbers[-1] for numbers in CRYSTAL_SYSTEMS.values()])
    return np.where(values == 0, -1, np.searchsorted(last, values))


def heat_map(requested: np.ndarray | Sequence[int], relaxed: np.ndarray | Sequence[int]) -> HeatMap:
    """Counts of requested space groups against crystal systems after relaxation.

    WyckoffDiff-Adaptor, figure 2: 20 requested groups, 64 samples each; the paper prints no numbers and no symmetry
    tolerance (report 0.1 and 0.01 angstrom).

    Args:
        requested: (n,) requested space-group numbers, 1 to 230.
        relaxed: (n,) numbers found in the relaxed crystals, 0 where there is none.

    Raises:
        InputError: different lengths, or numbers outside the ranges.
    """
    wanted, found = np.asarray(requested, np.int64), np.asarray(relaxed, np.int64)
    if wanted.shape != found.shape or wanted.ndim != 1:
        raise InputError(f"requested and relaxed must have one shape (n,), got {wanted.shape} and {found.shape}")
    column, own = system_index(found), system_index(wanted)
    if (own < 0).any():
        raise InputError("requested space-group numbers must be 1 to 230, got 0")
    groups, row = np.unique(wanted, return_inverse=True)
    counts = np.zeros((len(groups), len(CRYSTAL_SYSTEMS)), np.int64)
    np.add.at(counts, (row[column >= 0], column[column >= 0]), 1)
    kept = column == own
    totals = np.bincount(row, minlength=len(groups))
    preserved = np.bincount(row, weights=kept, minlength=len(groups)) / np.maximum(totals, 1)
    overall, same = (
        (float(kept.mean()), float((wanted == found).mean())) if len(wanted) else (float("nan"), float("nan"))
    )
    return HeatMap(groups, tuple(CRYSTAL_SYSTEMS), counts, totals - counts.sum(axis=1), preserved, overall, same)


def group_change(before: np.ndarray | Sequence[int], after: np.ndarray | Sequence[int]) -> dict[str, float]:
    """How space-group numbers changed.

    Args:
        before: (n,) numbers before relaxation, 0 where there is none.
        after: (n,) numbers after, 0 where there is none.

    Returns:
        ``num`` pairs with both numbers (the denominator), ``missing`` pairs without, and the shares ``same_group``,
        ``same_system``, ``higher`` and ``lower`` (another crystal system of higher or lower index), ``p1_before`` and
        ``p1_after``.
    """
    first, second = np.asarray(before, np.int64), np.asarray(after, np.int64)
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(f"before and after must have one shape (n,), got {first.shape} and {second.shape}")
    old, new = system_index(first), system_index(second)
    live = (old >= 0) & (new >= 0)
    hits = {
        "same_group": first == second,
        "same_system": old == new,
        "higher": new > old,
        "lower": new < old,
        "p1_before": first == 1,
        "p1_after": second == 1,
    }
    shares = {name: float(hit[live].mean()) if live.any() else float("nan") for name, hit in hits.items()}
    return {"num": float(live.sum()), "missing": float((~live).sum()), **shares}


def subgroup_distance(
    before: Operations, after: Operations, lattice: np.ndarray, *, tolerance: float = 0.1
) -> GroupChange:
    """Compare two groups given in one basis, modulo its lattice.

    Args:
        before: operations of G.
        after: operations of H.
        lattice: (3, 3) rows, to measure translations in angstrom.
        tolerance: angstrom by which translations may differ.
    """
    table: dict[bytes, list[np.ndarray]] = {}
    for W, t in zip(after.W, after.t):
        table.setdefault(np.asarray(W, np.int64).tobytes(), []).append(t)
    common = 0
    for W, t in zip(before.W, before.t):
        shift = np.array(table.get(np.asarray(W, np.int64).tobytes(), np.zeros((0, 3)))).reshape(-1, 3) - t
        shift -= np.round(shift)
        common += bool((np.linalg.norm(shift @ lattice, axis=1) < tolerance).any())
    n, m = len(before.W), len(after.W)
    distance = float(np.log2(n / common) + np.log2(m / common)) if common else float("inf")
    return GroupChange(n, m, common, distance)


def relaxation_change(
    cell: AtomicStructure, relaxed: AtomicStructure, *, symprec: float = 0.1, search: float = 0.01
) -> GroupChange | None:
    """Operations kept, lost and gained by a relaxation.

    G is what the crystal was generated with (searched at ``search`` angstrom where it brings none); H is what spglib
    finds in the relaxed crystal at ``symprec``, in the same basis. Translations are matched within 2 ``symprec``, because
    a search recovers them only to the tolerance of the atoms.

    Returns:
        None where the search in the relaxed crystal failed.
    """
    found, number = found_operations(relaxed, symprec)
    if number == 0:
        return None
    return subgroup_distance(operations_of(cell, search), found, relaxed.L, tolerance=2 * symprec)
