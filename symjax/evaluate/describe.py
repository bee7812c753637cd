"""What a machine reads about one crystal: formula, operations, group, orbits, distances, as plain JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.evaluate.composition import formula_of
from symjax.evaluate.distances import shortest
from symjax.evaluate.symmetry import TIGHT, find_symmetry, identified_numbers
from symjax.groups.symbols import short_symbol
from symjax.ops.types import DEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from symjax.crystals.types import Crystal
    from symjax.data.dataset import CrystalDataset


def describe_all(dataset: CrystalDataset) -> Iterator[tuple[AtomicStructure, dict[str, Any]]]:
    """Each crystal of a data set with its description, in order."""
    numbers = identified_numbers(dataset)
    triplets: dict[int, list[str]] = {}
    for index in range(len(dataset)):
        cell, row = dataset.atoms(index), int(dataset.set_index[index])
        if row not in triplets:
            triplets[row] = _triplets(cell)
        yield cell, describe(dataset, index, cell, number=int(numbers[row]), operations=triplets[row])


def describe(
    dataset: CrystalDataset, index: int, cell: AtomicStructure, *, number: int, operations: list[str]
) -> dict[str, Any]:
    """Description of one crystal.

    Args:
        dataset: where it is from.
        index: which one.
        cell: the same crystal with its atoms written out.
        number: space-group number read off its operations.
        operations: its operations as x,y,z triplets.

    Returns:
        JSON values; lengths in angstrom, ``representative`` in fractions of the cell. ``operations_fixing`` of an orbit are
        indices into ``operations``: the site symmetry of the representative.
    """
    near, found = shortest(cell), find_symmetry(cell, TIGHT)
    lengths = np.linalg.norm(cell.L, axis=1)
    cosines = [cell.L[i] @ cell.L[j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    return {
        "id": str(dataset.ids[index]),
        "formula": formula_of(tuple(cell.counts.items())),
        "composition": {_symbol(z): count for z, count in sorted(cell.counts.items())},
        "num_atoms": len(cell.z),
        "lattice": _rounded(cell.L),
        "lengths": _rounded(lengths),
        "angles": _rounded(np.degrees(np.arccos(np.clip(cosines, -1, 1)))),
        "volume": round(cell.volume, 6),
        "group": {"number": number, "symbol": short_symbol(number)},
        "num_operations": len(operations),
        "operations": operations,
        "group_found_in_atoms": {
            "symprec": TIGHT,
            "number": found.number,
            "symbol": short_symbol(found.number) if found.number else None,
            "has_all_operations": found.contains,
            "has_more": bool(found.number) and found.number != number,
        },
        "orbits": _orbits(dataset, index),
        "shortest_distance": round(near.distance, 6),
        "shortest_over_covalent_radii": round(near.ratio, 6),
        **{name: _finite(values[index]) for name, values in sorted(dataset.properties.items()) if name != "min_ratio"},
    }


def setting_symbol(number: int, W: np.ndarray, w: np.ndarray) -> str | None:
    """The Hermann-Mauguin symbol for files, such as ``F d -3 m :2``, if a set is in this package's standard setting.

    Args:
        number: space-group number of the set.
        W: (n, 3, 3) rotation parts.
        w: (n, 3) translations in units of 1/24.

    Returns:
        The symbol with its choice of origin or axes, None for a set in any other setting (a symbol would mislead readers).
    """
    from symjax.groups import default_hall, standard_setting

    standard = standard_setting(number)
    known = {
        (Wi.tobytes(), wi.tobytes())
        for Wi, wi in zip(np.asarray(standard.W, np.int32), np.asarray(standard.w, np.int32))
    }
    given = {(Wi.tobytes(), wi.tobytes()) for Wi, wi in zip(np.asarray(W, np.int32), np.asarray(w, np.int32) % DEN)}
    return symbol_in_files(default_hall(number)) if known == given else None


def symbol_in_files(hall: int) -> str:
    """The Hermann-Mauguin symbol for files, such as ``P b n m`` or ``F d -3 m :1``, of a tabulated setting (Hall number)."""
    import spglib

    found = spglib.get_spacegroup_type(hall)
    symbol = found.international_full if 3 <= found.number <= 15 else found.international.split("=")[0]
    choice = found.choice if found.choice in ("1", "2", "H", "R") else ""
    return symbol.strip().replace("_", "") + (f" :{choice}" if choice else "")


def in_file_setting(crystal: Crystal, entry: dict[str, Any], hall: int | None = None) -> tuple[Crystal, str]:
    """A crystal in a tabulated setting, which every reader knows, and the symbol of that setting.

    Operations in another setting are brought to the standard one, and to that of a Hall number where it is of their type; the entry
    keeps the generated ones and says how the file's axes lie in theirs (`file_setting`: x = basis x_file + origin).
    """
    from symjax.crystals.setting import crystal_in_setting_of, setting_change, standard_crystal
    from symjax.groups.tables import default_hall, hall_to_number

    number = entry["group"]["number"]
    symbol, basis, origin = setting_symbol(number, crystal.W, crystal.w), np.eye(3), np.zeros(3)
    if symbol is None:
        crystal, setting = standard_crystal(crystal)
        symbol = setting_symbol(number, crystal.W, crystal.w)
        basis, origin = setting.matrix, setting.origin
    if hall is not None and hall != default_hall(number) and hall_to_number(hall) == number:
        change = setting_change(hall)
        crystal, symbol = crystal_in_setting_of(crystal, hall), symbol_in_files(hall)
        origin = origin - basis @ np.linalg.solve(change.matrix, change.origin)
        basis = basis @ np.linalg.inv(change.matrix)
    if (basis != np.eye(3)).any() or origin.any():
        entry["file_setting"] = {"basis": basis.tolist(), "origin": origin.tolist()}
    return crystal, symbol or ""


def write_standard(path: Path, crystal: Crystal, entry: dict[str, Any], hall: int | None = None) -> None:
    """Write a CIF file in the standard setting, or in another of its type; see `in_file_setting`."""
    from symjax.crystals.io import write_cif

    crystal, symbol = in_file_setting(crystal, entry, hall)
    write_cif(path, crystal, symbol=symbol or None, number=entry["group"]["number"])


def _orbits(dataset: CrystalDataset, index: int) -> list[dict[str, Any]]:
    row = int(dataset.set_index[index])
    orbits = []
    for place in range(int(dataset.orbit_start[index]), int(dataset.orbit_start[index + 1])):
        position = int(dataset.orbit_pos[place])
        orbits.append(
            {
                "element": _symbol(int(dataset.orbit_z[place])),
                "multiplicity": int(dataset.sets.pos_mult[row, position]),
                "free_coordinates": int(dataset.sets.pos_dof[row, position]),
                "representative": _rounded(np.asarray(dataset.orbit_x[place]) % 1.0, 8),
                "operations_fixing": np.flatnonzero(dataset.sets.pos_stab[row, position]).tolist(),
            }
        )
    return orbits


def _triplets(cell: AtomicStructure) -> list[str]:
    from symjax.ops import Op
    from symjax.ops.symbols import format_xyz

    return list(format_xyz(Op(cell.W.astype(np.int32), cell.w.astype(np.int32)), cell.den))


def _symbol(z: int) -> str:
    from ase.data import chemical_symbols

    return str(chemical_symbols[z])


def _rounded(values: np.ndarray, digits: int = 6) -> Any:
    return np.round(np.asarray(values, float), digits).tolist()


def _finite(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
