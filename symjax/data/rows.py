"""One row of a source: parse it, refuse what is not a sound ordered crystal, bring it to the standard setting.

Owns the rules for rejecting a row and the words of each reason. A row never raises: `treat_row` returns either the
crystal's numbers or a reason, so that one bad row never stops a data set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from symjax.crystals.io.cif_read import read_cif
from symjax.crystals.io.parse import READERS, check_structure
from symjax.crystals.io.report import Reading, UnusableCrystal
from symjax.crystals.types import AtomicStructure
from symjax.data.readers import SourceRow
from symjax.data.standardize import standard_set, standardize
from symjax.elements import symbol
from symjax.errors import DataError, SymjaxError


@dataclass(frozen=True)
class RowOptions:
    """How rows are treated.

    Attributes:
        symprec: tolerance of the symmetry search, angstrom.
        angle_tolerance: its angle tolerance, degrees; -1 judges angles as lengths, by ``symprec``.
        min_distance: atoms closer than this overlap, angstrom.
        max_atoms: largest number of atoms in the primitive cell, 0 for no limit.
        max_orbits: largest number of orbits, 0 for no limit.
        strict: reject rows whose reading left a note (`symjax.crystals.io.report.Note`).
    """

    symprec: float = 0.1
    angle_tolerance: float = 5.0
    min_distance: float = 0.5
    max_atoms: int = 0
    max_orbits: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse tolerances that cannot be meant."""
        for name in ("symprec", "angle_tolerance", "min_distance", "max_atoms", "max_orbits"):
            value = getattr(self, name)
            if name == "angle_tolerance" and value == -1:
                continue
            if not np.isfinite(value) or value < 0:
                raise DataError(f"option {name} must be a finite number of at least 0, got {value!r}")
        if self.symprec == 0:
            raise DataError("option symprec must be positive (angstrom); 0.1 is usual for computed structures")


def treat_row(source: SourceRow, options: RowOptions) -> dict[str, Any]:
    """JSON-ready result: the crystal in its standard setting, or ``reason`` (with ``kind``, a short class of reasons).

    ``notes`` (kind, text) are there where reading the row left any.
    """
    base: dict[str, Any] = {"row": source.row, "id": source.id}
    try:
        if source.problem:
            raise UnusableCrystal("malformed row", source.problem)
        reading = read_row(source)
        if reading.notes:
            base["notes"] = [list(note) for note in reading.notes]
            if options.strict:
                kinds = ", ".join(dict.fromkeys(note.kind for note in reading.notes))
                raise UnusableCrystal(f"noted: {kinds}", "; ".join(note.text for note in reading.notes))
        check_structure(reading.structure, options.min_distance)
        return base | {"properties": _clean(source.properties)} | _describe(reading.structure, options)
    except UnusableCrystal as error:
        return base | {"kind": error.kind, "reason": str(error)}
    except SymjaxError as error:
        return base | {"kind": "symmetry", "reason": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a row must never stop the run; the report names the unforeseen error
        return base | {"kind": "unexpected", "reason": f"{type(error).__name__}: {error}"}


def _clean(properties: dict[str, float]) -> dict[str, float]:
    """Without NaN, which JSON does not know."""
    return {name: value for name, value in properties.items() if value == value}


def _describe(structure: AtomicStructure, options: RowOptions) -> dict[str, Any]:
    """Standardize and check the limits that need orbits."""
    result = standardize(structure, options.symprec, options.angle_tolerance)
    opset, table = standard_set(result.number)
    centring = int((opset.W == np.eye(3, dtype=int)).all(axis=(1, 2)).sum())
    atoms = int(table.pos_mult[0, result.pos].sum()) // centring
    if options.max_atoms and atoms > options.max_atoms:
        raise UnusableCrystal(
            "too many atoms", f"{atoms} atoms in the primitive cell, the limit is {options.max_atoms}"
        )
    if options.max_orbits and len(result.z) > options.max_orbits:
        raise UnusableCrystal("too many orbits", f"{len(result.z)} orbits, the limit is {options.max_orbits}")
    return {
        "number": result.number,
        "k": result.k.tolist(),
        "z": result.z.tolist(),
        "pos": result.pos.tolist(),
        "x": result.x.tolist(),
        "symprec": result.symprec,
        "formula": reduced_formula(structure.z),
    }


def reduced_formula(z: np.ndarray) -> str:
    """Alphabetical reduced formula with explicit counts, such as ``O3 Sr1 Ti1``."""
    numbers, counts = np.unique(z, return_counts=True)
    counts = counts // np.gcd.reduce(counts)
    parts = sorted((symbol(n), int(c)) for n, c in zip(numbers, counts, strict=True))
    return " ".join(f"{symbol}{count}" for symbol, count in parts)


def read_row(source: SourceRow, *, overlapping: bool = False) -> Reading:
    """The structure of a row, with the notes of finding and of reading it.

    Args:
        source: the row.
        overlapping: keep listed atoms that lie in one place, as formats without symmetry do; else such CIF text is refused.

    Raises:
        UnusableCrystal: it cannot be parsed, has unknown elements, or partial occupancy.
    """
    if not source.text.strip():
        raise UnusableCrystal("empty", f"empty {source.kind} text")
    if source.kind not in READERS:
        raise UnusableCrystal("malformed row", f"unknown kind of text {source.kind!r}")
    reading = (
        read_cif(source.text, overlapping=True)
        if overlapping and source.kind == "cif"
        else READERS[source.kind](source.text)
    )
    return replace(reading, notes=(*source.notes, *reading.notes)) if source.notes else reading


def parse_row(source: SourceRow) -> AtomicStructure:
    """`read_row` without the notes."""
    return read_row(source).structure


def options_dict(options: RowOptions) -> dict[str, Any]:
    """The options as plain JSON."""
    return asdict(options)
