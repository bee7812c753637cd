"""What reading a crystal gives beside its atoms: notes on everything assumed or left out, and the reasons for refusing.

Owns `Note`, `Reading` and `UnusableCrystal`. A note never changes what was read; whoever wants none asks for a strict reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from symjax.crystals.types import AtomicStructure
from symjax.errors import DataError

_LONGEST = 600  # characters of a reason; a value of the file stands in it, and may be of any length


class UnusableCrystal(DataError):
    """Text or numbers that are no sound, ordered crystal.

    Attributes:
        kind: short class of reasons, for counting: empty, truncated cif, unreadable cif, unreadable xyz, unreadable poscar,
            unreadable json, unknown element, occupancy, operations, symmetry conflict, zero volume, overlap, not finite, and
            more where rows are treated.
    """

    def __init__(self, kind: str, reason: str) -> None:
        """Keep the class beside the message."""
        super().__init__(reason if len(reason) <= _LONGEST else reason[:_LONGEST] + " ...")
        self.kind = kind


class Note(NamedTuple):
    """Something that a reader assumed, changed or left out.

    Attributes:
        kind: short class, for counting: ``formula differs``, ``hydrogens missing``, ``occupancy unknown``, ``symmetry assumed``,
            ``symmetry conflict``, ``special position``, ``equivalent sites``, ``moments dropped``, ``not periodic``,
            ``element assumed``, ``block without atoms``, ``more structures``, ``duplicate id``, ``cell and operations``.
        text: what happened, with the place.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Reading:
    """A structure as read.

    Attributes:
        structure: all atoms of the cell.
        notes: what was assumed.
        symmetry: where the operations came from that made the atoms; empty for formats that list every atom.
    """

    structure: AtomicStructure
    notes: tuple[Note, ...] = field(default=())
    symmetry: str = ""
