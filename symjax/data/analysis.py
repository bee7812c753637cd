"""What a structure's symmetry is, in plain JSON values: operations, closure, group, orbits, lattice freedom.

Owns the report behind `symjax analyze`. The structure is brought to the standard setting of the group found; everything
reported about the group (closure, type, properties, positions) is then worked out from its operations, not looked up by
the number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.crystals.io.parse import check_structure
from symjax.crystals.setting import crystal_in_setting_of, oriented_in_setting, setting_change
from symjax.crystals.types import AtomicStructure, Crystal
from symjax.data.rows import RowOptions, reduced_formula
from symjax.data.standardize import standard_set, standardize, to_crystal
from symjax.elements import symbol
from symjax.errors import NotAGroupError
from symjax.groups.axioms import defects
from symjax.groups.identify import identify
from symjax.groups.order_parameter import reduced_rows
from symjax.groups.primitive import primitive_form
from symjax.groups.properties import properties
from symjax.groups.sets import OpSet
from symjax.groups.symbols import setting_name
from symjax.groups.tables import hall_setting, wyckoff_letters
from symjax.lattice import lattice_parameters, volume
from symjax.ops import Op
from symjax.ops.geometry import describe
from symjax.ops.seitz import seitz
from symjax.ops.symbols import format_xyz
from symjax.wyckoff.set_table import SetTable
from symjax.wyckoff.site_symbols import oriented_symbols


def analyze_structure(
    structure: AtomicStructure, symprec: float = 0.01, angle_tolerance: float = -1.0, *, setting: int | None = None
) -> dict[str, Any]:
    """The report on one structure.

    Args:
        structure: any cell, any origin.
        symprec: tolerance of the symmetry search, angstrom.
        angle_tolerance: its angle tolerance, degrees; -1 judges angles as lengths, by ``symprec``.
        setting: Hall number of the setting of the report; the standard one of the group found where left out.

    Returns:
        JSON values. ``transformation`` T and ``origin_shift`` p lead from the given cell to the reported one: x' = T x + p.
        Wyckoff letters are those of the standard setting.

    Raises:
        UnusableCrystal: no sound crystal.
        DataError: a tolerance that cannot be meant.
        InputError: the setting is one of another type.
    """
    RowOptions(symprec=symprec, angle_tolerance=angle_tolerance)  # checks the tolerances
    check_structure(structure)
    result = standardize(structure, symprec, angle_tolerance)
    crystal = to_crystal(result)
    opset, table = standard_set(result.number)
    T, p = result.transform, result.origin
    orbits = _orbits(result.number, table, opset, result.z, result.pos, result.x)
    if setting is not None:
        crystal, opset, change = crystal_in_setting_of(crystal, setting), hall_setting(setting), setting_change(setting)
        T, p = np.round(change.matrix @ T, 12), np.round(change.matrix @ p + change.origin, 12)
        p = p - np.rint(p - 1e-9)
        for i, orbit in enumerate(orbits):
            orbit |= _orbit_in(
                setting, crystal, i, flat=_flat(table, int(result.pos[i])), symbol=orbit["site_symmetry"]
            )
    parameters = lattice_parameters(crystal.L)
    found = properties(opset)
    centrings = len(found.centring)
    return {
        "formula": reduced_formula(structure.z).replace(" ", ""),
        "symprec": result.symprec,
        "angle_tolerance": angle_tolerance,
        "atoms_in_cell": crystal.num_atoms,
        "atoms_in_primitive_cell": crystal.num_atoms // centrings,
        "group": _group(opset),
        "properties": {
            "order": found.order,
            "point_group": found.point_group,
            "crystal_system": found.crystal_system,
            "centring": found.centring.tolist(),
            "centrosymmetric": found.centrosymmetric,
            "chiral": found.sohncke,
            "polar": found.polar,
            "polar_directions": found.polar_directions.tolist(),
            "symmorphic": found.symmorphic,
        },
        "closure": _closure(opset),
        "lattice": {
            "free_parameters": found.num_free_lattice,
            "lengths": parameters[:3].tolist(),
            "angles": parameters[3:].tolist(),
            "volume": float(volume(crystal.L)),
            "matrix": crystal.L.tolist(),
            "log_coefficients": result.k.tolist(),
        },
        "transformation": T.tolist(),
        "origin_shift": p.tolist(),
        "orbits": orbits,
        "operations": _operations(opset),
    }


def _group(opset: OpSet) -> dict[str, Any]:
    """Type and setting read off the operations."""
    found = identify(opset)
    return {
        "number": found.number,
        "symbol": found.symbol,
        "setting": setting_name(found.hall_number) if found.hall_number else None,
        "hall_number": found.hall_number,
        "hall_symbol": found.hall_symbol,
    }


def _closure(opset: OpSet) -> dict[str, Any]:
    """Whether the set is a group, and the counts of what is missing."""
    names = ("closure", "inverse", "identity", "duplicate")
    try:
        primitive_form(opset)  # exact, and quick where nothing is missing
        return {"is_group": True, "defects": dict.fromkeys(names, 0)}
    except NotAGroupError:
        counts = defects(opset)
    return {"is_group": False, "defects": {name: int(getattr(counts, name)) for name in names}}


def _operations(opset: OpSet) -> list[dict[str, Any]]:
    """Triplet, Seitz symbol and meaning of each operation."""
    op = Op(opset.W, opset.w)
    rows = zip(format_xyz(op, opset.den), seitz(op, opset.den), describe(op, opset.den), strict=True)
    return [{"xyz": xyz, "seitz": symbol, "meaning": str(meaning)} for xyz, symbol, meaning in rows]


def _orbits(
    number: int, table: Any, opset: OpSet, z: np.ndarray, pos: np.ndarray, x: np.ndarray
) -> list[dict[str, Any]]:
    """Element, multiplicity, Wyckoff letter, site symmetry, freedom and representative of each orbit."""
    orbits, letters, oriented = [], wyckoff_letters(number), oriented_symbols(number)
    for element, position, place in zip(z, pos, x, strict=True):
        stab = table.pos_stab[0, position]
        x0, basis = _flat(table, position)
        orbits.append(
            {
                "element": symbol(element),
                "multiplicity": int(table.pos_mult[0, position]),
                "letter": letters[position],
                "site_symmetry": oriented[position],
                "operations_fixing": np.flatnonzero(stab).tolist(),
                "free_coordinates": basis.shape[1],
                "position": position_text(x0, basis),
                "representative": place.tolist(),
            }
        )
    return orbits


def _flat(table: SetTable, position: int) -> tuple[np.ndarray, np.ndarray]:
    """A position's flat in the standard setting: (3,) a point, (3, f) directions as columns."""
    return table.pos_x0[0, position], table.pos_basis[0, position][:, : int(table.pos_dof[0, position])]


def _orbit_in(
    hall: int, crystal: Crystal, orbit: int, *, flat: tuple[np.ndarray, np.ndarray], symbol: str
) -> dict[str, Any]:
    """What is another for an orbit in another setting; ``crystal`` is there, flat and site symmetry are of the standard one."""
    change = setting_change(hall)
    x0, rows = change.matrix @ flat[0] + change.origin, (change.matrix @ flat[1]).T
    basis = reduced_rows(np.linalg.pinv(rows) @ rows)
    for row in basis:  # the coordinate that a free parameter is called after starts at 0
        x0 = x0 - row * x0[np.argmax(np.abs(row) > 1e-9)]
    return {
        "multiplicity": int(crystal.multiplicity[orbit]),
        "site_symmetry": oriented_in_setting(symbol, hall),
        "operations_fixing": np.flatnonzero(crystal.stab[orbit]).tolist(),
        "position": position_text(x0 - np.floor(x0 + 1e-9), basis.T),
        "representative": crystal.x[orbit].tolist(),
    }


def position_text(x0: np.ndarray, basis: np.ndarray) -> str:
    """The points of a flat (3,) with directions (3, f) as ``(x, 1/2, z+1/4)``.

    A free parameter is called after the first coordinate that it alone can name.
    """
    from fractions import Fraction

    names: list[str] = []
    for column in np.rint(basis).astype(int).T:
        moved = ["xyz"[row] for row in range(3) if column[row] and "xyz"[row] not in names]
        names.append(moved[0] if moved else next(name for name in "xyz" if name not in names))

    parts = []
    for start, row in zip(x0, np.rint(basis).astype(int), strict=True):
        terms = [
            f"{'-' if c < 0 else '+'}{abs(c) if abs(c) > 1 else ''}{name}"
            for c, name in zip(row, names, strict=True)
            if c
        ]
        fraction = Fraction(float(start)).limit_denominator(1000)
        if fraction or not terms:
            terms.append(f"{'-' if fraction < 0 else '+'}{abs(fraction)}")
        parts.append("".join(terms).removeprefix("+"))
    return f"({', '.join(parts)})"
