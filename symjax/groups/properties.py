"""What a set of operations is as a whole, from the operations alone (host, exact, any basis and origin).

Owns `GroupProperties` and `properties`: order, point group, crystal system, centring translations, centrosymmetric, Sohncke,
polar with its directions, symmorphic, free lattice parameters. No look-up of a space-group type is involved; the name of the
point group follows from the counts of its rotation kinds, which differ for all 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.groups.integer import as_rows, kernel
from symjax.groups.primitive import PrimitiveForm, primitive_form, solve_origin
from symjax.groups.sets import OpSet
from symjax.lattice import num_free
from symjax.ops import exact, geometry

_KINDS = (1, 2, 3, 4, 6, -1, -2, -3, -4, -6)

# Point group -> number of rotation parts of each kind in _KINDS (International Tables A, section 3.2).
_POINT_GROUPS: dict[str, tuple[str, tuple[int, ...]]] = {
    "1": ("triclinic", (1, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    "-1": ("triclinic", (1, 0, 0, 0, 0, 1, 0, 0, 0, 0)),
    "2": ("monoclinic", (1, 1, 0, 0, 0, 0, 0, 0, 0, 0)),
    "m": ("monoclinic", (1, 0, 0, 0, 0, 0, 1, 0, 0, 0)),
    "2/m": ("monoclinic", (1, 1, 0, 0, 0, 1, 1, 0, 0, 0)),
    "222": ("orthorhombic", (1, 3, 0, 0, 0, 0, 0, 0, 0, 0)),
    "mm2": ("orthorhombic", (1, 1, 0, 0, 0, 0, 2, 0, 0, 0)),
    "mmm": ("orthorhombic", (1, 3, 0, 0, 0, 1, 3, 0, 0, 0)),
    "4": ("tetragonal", (1, 1, 0, 2, 0, 0, 0, 0, 0, 0)),
    "-4": ("tetragonal", (1, 1, 0, 0, 0, 0, 0, 0, 2, 0)),
    "4/m": ("tetragonal", (1, 1, 0, 2, 0, 1, 1, 0, 2, 0)),
    "422": ("tetragonal", (1, 5, 0, 2, 0, 0, 0, 0, 0, 0)),
    "4mm": ("tetragonal", (1, 1, 0, 2, 0, 0, 4, 0, 0, 0)),
    "-42m": ("tetragonal", (1, 3, 0, 0, 0, 0, 2, 0, 2, 0)),
    "4/mmm": ("tetragonal", (1, 5, 0, 2, 0, 1, 5, 0, 2, 0)),
    "3": ("trigonal", (1, 0, 2, 0, 0, 0, 0, 0, 0, 0)),
    "-3": ("trigonal", (1, 0, 2, 0, 0, 1, 0, 2, 0, 0)),
    "32": ("trigonal", (1, 3, 2, 0, 0, 0, 0, 0, 0, 0)),
    "3m": ("trigonal", (1, 0, 2, 0, 0, 0, 3, 0, 0, 0)),
    "-3m": ("trigonal", (1, 3, 2, 0, 0, 1, 3, 2, 0, 0)),
    "6": ("hexagonal", (1, 1, 2, 0, 2, 0, 0, 0, 0, 0)),
    "-6": ("hexagonal", (1, 0, 2, 0, 0, 0, 1, 0, 0, 2)),
    "6/m": ("hexagonal", (1, 1, 2, 0, 2, 1, 1, 2, 0, 2)),
    "622": ("hexagonal", (1, 7, 2, 0, 2, 0, 0, 0, 0, 0)),
    "6mm": ("hexagonal", (1, 1, 2, 0, 2, 0, 6, 0, 0, 0)),
    "-6m2": ("hexagonal", (1, 3, 2, 0, 0, 0, 4, 0, 0, 2)),
    "6/mmm": ("hexagonal", (1, 7, 2, 0, 2, 1, 7, 2, 0, 2)),
    "23": ("cubic", (1, 3, 8, 0, 0, 0, 0, 0, 0, 0)),
    "m-3": ("cubic", (1, 3, 8, 0, 0, 1, 3, 8, 0, 0)),
    "432": ("cubic", (1, 9, 8, 6, 0, 0, 0, 0, 0, 0)),
    "-43m": ("cubic", (1, 3, 8, 0, 0, 0, 6, 0, 6, 0)),
    "m-3m": ("cubic", (1, 9, 8, 6, 0, 1, 9, 8, 6, 0)),
}


@dataclass(frozen=True)
class GroupProperties:
    """Properties of one closed set.

    Attributes:
        order: operations modulo Z^3 of the cell given, centring included.
        point_group_order: distinct rotation parts.
        point_group: Hermann-Mauguin symbol of the class, such as "m-3m"; orientation is not told apart (-42m is also -4m2).
        crystal_system: triclinic, monoclinic, orthorhombic, tetragonal, trigonal, hexagonal or cubic.
        centring: (c, 3) float64 translations in the cell, the zero vector first.
        centrosymmetric: holds an operation with rotation part -I.
        sohncke: only proper rotation parts (chiral crystals are possible).
        polar: some direction is left unchanged by all rotation parts.
        polar_directions: (d, 3) int64 primitive lattice basis (rows) of these directions in the cell given; d is 0 if not
            polar, 1 for an axis, 2 for a plane, 3 for P1.
        symmorphic: some origin makes all translation parts lattice vectors.
        num_free_lattice: free lattice parameters, 1 to 6.
    """

    order: int
    point_group_order: int
    point_group: str
    crystal_system: str
    centring: np.ndarray
    centrosymmetric: bool
    sohncke: bool
    polar: bool
    polar_directions: np.ndarray
    symmorphic: bool
    num_free_lattice: int


@cache
def _by_counts() -> dict[tuple[int, ...], tuple[str, str]]:
    """Counts of rotation kinds -> (point group, crystal system)."""
    return {counts: (symbol, system) for symbol, (system, counts) in _POINT_GROUPS.items()}


def point_group(W: np.ndarray) -> tuple[str, str]:
    """(symbol, crystal system) of a finite group of distinct rotation parts (m, 3, 3), in any basis.

    Raises:
        KeyError: the matrices are not one of the 32 crystallographic point groups.
    """
    kinds = geometry.rotation_type(np.asarray(W, np.int64)).tolist()
    return _by_counts()[tuple(kinds.count(kind) for kind in _KINDS)]


def properties(opset: OpSet) -> GroupProperties:
    """Properties of one closed set in any basis and origin.

    Raises:
        NotAGroupError: the set does not close; names the first failing pair.
        SymjaxError: a batch, or a set without members.
    """
    return form_properties(primitive_form(opset), opset)


def form_properties(form: PrimitiveForm, opset: OpSet) -> GroupProperties:
    """As `properties`, for a set whose primitive form is known."""
    mask = np.asarray(opset.mask)
    W, w = np.asarray(opset.W)[mask].astype(np.int64), np.asarray(opset.w)[mask].astype(np.int64) % opset.den
    eye = np.eye(3, dtype=np.int64)
    centring = w[(W == eye).all(axis=(1, 2))]
    symbol, system = point_group(form.W)
    distinct = np.unique(W.reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    directions = kernel(as_rows((distinct - eye).reshape(-1, 3)))
    return GroupProperties(
        order=len(W),
        point_group_order=len(form.W),
        point_group=symbol,
        crystal_system=system,
        centring=centring[np.lexsort(centring.T[::-1])] / opset.den,
        centrosymmetric=bool((form.W == -eye).all(axis=(1, 2)).any()),
        sohncke=bool((exact.determinant(form.W) == 1).all()),
        polar=len(directions) > 0,
        polar_directions=directions,
        symmorphic=solve_origin(form.W, form.w, form.den) is not None,
        num_free_lattice=int(num_free(form.W)),
    )
