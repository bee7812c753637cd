"""Wyckoff positions of sets of operations: tables of sets with their positions, orbits, site symmetries, normalizers, occupancy."""

from symjax.wyckoff.occupancy import FormulaFitter
from symjax.wyckoff.orbits import Orbits, assign_orbits
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions
from symjax.wyckoff.set_table import SetTable, build_set_table

__all__ = [
    "FormulaFitter",
    "Orbits",
    "SetTable",
    "WyckoffPositions",
    "assign_orbits",
    "build_set_table",
    "wyckoff_positions",
]
