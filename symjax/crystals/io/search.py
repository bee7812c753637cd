"""spglib's symmetry search in the atoms of a cell, in one place.

What spglib has to say of a crystal is in its data set; a search that finds nothing gives None, and whoever asked says so in its
own words (a smaller tolerance that was taken, the number 0 in a report). Its Python warnings tell of its own interface, which
changes between versions, and of no crystal: nothing of a file is lost with them.
"""

from __future__ import annotations

import os
from typing import Any

from symjax.crystals.types import AtomicStructure
from symjax.groups.spglib_notice import without_notice


def search_symmetry(
    structure: AtomicStructure, symprec: float, angle_tolerance: float = -1.0, hall_number: int = 0
) -> Any:
    """`spglib.SpglibDataset` of all atoms of a cell, None where the search failed.

    Args:
        structure: the cell.
        symprec: tolerance, angstrom.
        angle_tolerance: degrees; -1 for spglib's own rule.
        hall_number: setting to which the transformation leads; 0 for spglib's choice.

    Source: A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater. Meth. 4 (2024) 2384822, arXiv:1808.01590.
    """
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # its C code reports every tightened tolerance on stderr
    import spglib

    cell = (structure.L, structure.x, structure.z)
    with without_notice():
        try:
            return spglib.get_symmetry_dataset(
                cell, symprec=symprec, angle_tolerance=angle_tolerance, hall_number=hall_number
            )
        except Exception:  # it raises its own classes or returns None, by version and setting; both mean "not found"
            return None
