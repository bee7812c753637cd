"""From atoms to crystals: what the symmetry search and the orbit assignment make of structures already in memory.

Owns the one-call versions of what `prepare` does for whole files. `crystal_from_structure` and `Crystal.atoms` are
each other's inverse up to the tolerance, the choice of cell and the choice of origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symjax.crystals.io.convert import from_ase, from_pymatgen
from symjax.crystals.io.parse import check_structure
from symjax.crystals.types import AtomicStructure, Crystal
from symjax.data.dataset import CrystalDataset
from symjax.data.prepare import assemble, treat_rows
from symjax.data.readers import iter_json_rows
from symjax.data.rows import RowOptions
from symjax.data.standardize import standardize, to_crystal
from symjax.errors import DataError, InputError


def as_atomic(structure: Any) -> AtomicStructure:
    """An `AtomicStructure` from itself, a pymatgen ``Structure`` or an ``ase.Atoms``.

    Raises:
        InputError: something else.
        UnusableCrystal: partial occupancy, no cell, or no element.
    """
    if isinstance(structure, AtomicStructure):
        return structure
    if hasattr(structure, "frac_coords") and hasattr(structure, "lattice"):
        return from_pymatgen(structure)
    if hasattr(structure, "get_scaled_positions"):
        return from_ase(structure)
    raise InputError(f"expected an AtomicStructure, a pymatgen Structure or ase Atoms, got {type(structure).__name__}")


def crystal_from_structure(structure: Any, symprec: float = 0.1, angle_tolerance: float = 5.0) -> Crystal:
    """The crystal in its standard setting: closed set of operations, compatible lattice, orbits with stabilizers.

    Args:
        structure: `AtomicStructure`, pymatgen ``Structure`` or ``ase.Atoms``.
        symprec: tolerance of the symmetry search, angstrom.
        angle_tolerance: its angle tolerance, degrees.

    Raises:
        UnusableCrystal: no sound crystal (overlapping atoms, zero volume, ...).
        DataError: a tolerance that cannot be meant.
    """
    RowOptions(symprec=symprec, angle_tolerance=angle_tolerance)  # checks the tolerances
    plain = as_atomic(structure)
    check_structure(plain)
    return to_crystal(standardize(plain, symprec, angle_tolerance))


def dataset_from_structures(
    structures: Sequence[Any], ids: Sequence[str] | None = None, options: RowOptions | None = None
) -> CrystalDataset:
    """A data set from structures in memory, in this process.

    Args:
        structures: as for `crystal_from_structure`.
        ids: their names; ``structure-0`` and so on by default.
        options: tolerances and limits.

    Raises:
        DataError: a structure is rejected (it is named, with the reason).
    """
    options = options or RowOptions()
    names = list(ids) if ids is not None else [f"structure-{i}" for i in range(len(structures))]
    if len(names) != len(structures):
        raise InputError(f"{len(structures)} structures need as many ids, got {len(names)}")
    plain = (as_atomic(s) for s in structures)
    rows = iter_json_rows(
        (n, {"L": s.L.tolist(), "z": s.z.tolist(), "x": s.x.tolist()}) for n, s in zip(names, plain, strict=True)
    )
    report = assemble(treat_rows(rows, options, workers=1), options, source="structures in memory")
    if report.rejected:
        first = report.rejected[0]
        raise DataError(f"structure {first['id']!r} cannot be used: {first['reason']} ({len(report.rejected)} in all)")
    return report.dataset
