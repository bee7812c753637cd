"""Wyckoff positions of sets of operations: tables of sets with their positions, orbits, site symmetries, normalizers, occupancy."""

from symjax.wyckoff.asymmetric import AsymmetricUnit, Shapes, asymmetric_unit, into_unit, shapes
from symjax.wyckoff.occupancy import FormulaFitter
from symjax.wyckoff.orbits import Orbits, assign_orbits
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions
from symjax.wyckoff.set_table import SetTable, build_set_table

__all__ = [
    "AsymmetricUnit",
    "FormulaFitter",
    "Orbits",
    "SetTable",
    "Shapes",
    "WyckoffPositions",
    "assign_orbits",
    "asymmetric_unit",
    "build_set_table",
    "into_unit",
    "shapes",
    "wyckoff_positions",
]
