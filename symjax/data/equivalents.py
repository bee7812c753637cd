"""All equivalent Wyckoff representations of a crystal: the same atoms, described from each possible origin and set of axes.

Owns `EquivalentRepresentation` and `equivalent_representations`. The descriptions differ by maps of the affine normalizer of the
space group (`symjax.wyckoff.normalizer`), which permute letters, site symmetries and enumerations. Orthorhombic axes may be
exchanged; in monoclinic and triclinic crystals the cell that the symmetry search chose is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symjax.crystals.io.parse import check_structure
from symjax.crystals.types import AtomicStructure
from symjax.data.convert import as_atomic
from symjax.data.rows import RowOptions
from symjax.data.standardize import standardize, to_crystal
from symjax.elements import symbol
from symjax.groups.tables import wyckoff_letters
from symjax.ops.types import DEN
from symjax.wyckoff.normalizer import normalizer
from symjax.wyckoff.site_symbols import symbols
from symjax.wyckoff.types import positions_of_type


@dataclass(frozen=True)
class EquivalentRepresentation:
    """A crystal of m orbits in one of its equivalent descriptions.

    Attributes:
        number: space group.
        elements: (m,) symbols, the same order in every description.
        letters: (m,) Wyckoff letters.
        site_symmetries: (m,) oriented symbols, as in `symjax.wyckoff.site_symbols`.
        enumerations: (m,) number of each position among those of its symbol.
        multiplicities: (m,) atoms of each orbit in the conventional cell.
        structure: the conventional cell in this description; the same crystal, or its mirror image.
        mirrored: whether it is the mirror image.
    """

    number: int
    elements: tuple[str, ...]
    letters: tuple[str, ...]
    site_symmetries: tuple[str, ...]
    enumerations: tuple[int, ...]
    multiplicities: tuple[int, ...]
    structure: AtomicStructure
    mirrored: bool

    @property
    def word(self) -> str:
        """``225: Hg 8c, Mg 4a, Tm 4b``: elements and letters in the order of the elements."""
        sites = zip(self.elements, self.multiplicities, self.letters, strict=True)
        return f"{self.number}: " + ", ".join(sorted(f"{element} {n}{letter}" for element, n, letter in sites))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "word": self.word,
            "elements": list(self.elements),
            "letters": list(self.letters),
            "site_symmetries": list(self.site_symmetries),
            "enumerations": list(self.enumerations),
            "mirrored": self.mirrored,
            "lattice": self.structure.L.tolist(),
            "z": self.structure.z.tolist(),
            "x": self.structure.x.tolist(),
        }


def equivalent_representations(
    structure: Any, symprec: float = 0.1, angle_tolerance: float = 5.0
) -> list[EquivalentRepresentation]:
    """All distinct descriptions of a crystal, the one that the symmetry search gives first.

    Args:
        structure: `AtomicStructure`, pymatgen ``Structure`` or ``ase.Atoms``, any cell.
        symprec: tolerance of the symmetry search, angstrom.
        angle_tolerance: its angle tolerance, degrees.

    Two descriptions are the same if they are the same multiset of (element, position).

    Raises:
        UnusableCrystal: no sound crystal.
        DataError: a tolerance that cannot be meant.
        InputError: no structure.
    """
    RowOptions(symprec=symprec, angle_tolerance=angle_tolerance)  # checks the tolerances
    plain = as_atomic(structure)
    check_structure(plain)
    result = standardize(plain, symprec, angle_tolerance)
    cell = to_crystal(result).atoms()
    found = normalizer(result.number)
    out: dict[tuple, EquivalentRepresentation] = {}
    for M, t, permutation in zip(found.M, found.t, found.permutations, strict=True):
        positions = permutation[np.asarray(result.pos)]
        key = tuple(sorted(zip(np.asarray(result.z).tolist(), positions.tolist(), strict=True)))
        if key not in out:
            out[key] = _describe(result.number, result.z, positions, _moved(cell, M, t))
    return list(out.values())


def _moved(cell: AtomicStructure, M: np.ndarray, t: np.ndarray) -> tuple[AtomicStructure, bool]:
    """The cell with new axes and origin, and whether it became its mirror image (to keep the axes right-handed)."""
    mirrored = bool(np.linalg.det(M) < 0)
    L = np.linalg.inv(M).T @ cell.L * (-1 if mirrored else 1)
    return AtomicStructure(L=L, z=cell.z, x=np.mod(cell.x @ M.T + t / DEN, 1.0)), mirrored


def _describe(
    number: int, z: np.ndarray, positions: np.ndarray, moved: tuple[AtomicStructure, bool]
) -> EquivalentRepresentation:
    """The names of positions."""
    names, letters, known = symbols(), wyckoff_letters(number), positions_of_type(number)
    return EquivalentRepresentation(
        number=number,
        elements=tuple(symbol(int(one)) for one in z),
        letters=tuple(letters[p] for p in positions),
        site_symmetries=tuple(names[i] for i in known.symbol[positions]),
        enumerations=tuple(known.enumeration[positions].tolist()),
        multiplicities=tuple(known.multiplicity[positions].tolist()),
        structure=moved[0],
        mirrored=moved[1],
    )
