"""Lattice and coordinates for protostructures, and whether the crystal that comes out still has the label that was asked for.

A realiser (`symjax.generate.pyxtal.Pyxtal`, or symop's diffusion) puts orbits on the positions of the group, so the crystal has at
least its symmetry; where the occupied positions force more, or random coordinates come close to it, the label is another one. The
label of a result is that of its own symmetry, found by the search that reads every crystal (0.01 angstrom); in triclinic and
monoclinic groups letters are compared up to another choice of the cell (`symjax.wyckoff.labels.same_but_cell`).

Source: WyckoffDiff-Adaptor (Ishii et al., arXiv 2601.08115): up to 100 attempts of PyXtal, rejected where the label differs.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from symjax.data.structure_types import StructureTypes, atoms_of
from symjax.errors import SymjaxError
from symjax.generate.system import Realised, Realiser
from symjax.models.wyckoffdiff.occupations import from_structure_types
from symjax.wyckoff.labels import label, same_but_cell

ATTEMPTS = 100
"""Attempts of PyXtal for a protostructure (published)."""
TOLERANCE = 0.01
"""Of the symmetry search, angstrom."""


class Labelled(NamedTuple):
    """Realised crystals with labels.

    Attributes:
        realised: as the realiser gave them, but with a reason where the label is another one.
        asked: label of each protostructure.
        got: label of each crystal; empty where there is none.
        kept: (n,) bool realised with the label that was asked for.
    """

    realised: Realised
    asked: tuple[str, ...]
    got: tuple[str, ...]
    kept: np.ndarray


def labels_of(types: StructureTypes) -> tuple[str, ...]:
    """Canonical labels of structure types in standard settings."""
    orbits = from_structure_types(types)
    rows = zip(orbits.number.tolist(), orbits.z, orbits.pos, strict=True)
    return tuple(label(number, z, pos) for number, z, pos in rows)


def labelled(realiser: Realiser, types: StructureTypes, key: jax.Array, tolerance: float = TOLERANCE) -> Labelled:
    """Realise protostructures, and compare labels.

    Args:
        realiser: gives lattice and coordinates.
        types: n structure types in standard settings.
        key: of the realiser.
        tolerance: of the symmetry search, angstrom.
    """
    from symjax.data.standardize import standardize

    found, asked = realiser(types, key), labels_of(types)
    got, reasons = [""] * len(asked), list(found.reason)
    for row, reason in enumerate(found.reason):
        if reason:
            continue
        try:
            own = standardize(atoms_of(types, row, found.k[row], found.x[row]), tolerance, 5.0)
        except SymjaxError as error:
            reasons[row] = f"no symmetry found: {error}"
            continue
        got[row] = label(int(own.number), np.asarray(own.z), np.asarray(own.pos))
        if not same_but_cell(asked[row], got[row]):
            reasons[row] = f"its label is {got[row]}"
    kept = np.array([bool(word) and not reason for word, reason in zip(got, reasons, strict=True)])
    return Labelled(found._replace(reason=reasons), asked, tuple(got), kept)
