"""The parent crystal that a navigation command starts from: read, brought to its standard setting, its symmetry questioned.

A parent must have its group exactly, because everything after it is exact. So the group is looked for at several tolerances; where
they disagree, or fewer operations than expected fit the atoms, the reader says so with the ladder of tolerances and names the one
at which the group jumps. `tolerance_for` is that rule, of all commands.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.groups.sets import OpSet

if TYPE_CHECKING:
    from symjax.navigate.transition import Phase

LADDER = (0.001, 0.01, 0.1)
"""Tolerances at which the group is looked for, angstrom."""
DEFAULT_SYMPREC = 0.01
"""Tolerance of every command that looks for the group of a structure, angstrom (`symjax data prepare` has that of the papers)."""
NOISE = (0.02, 0.03, 0.05, 0.08)
"""Tolerances looked at besides where those of `LADDER` disagree, angstrom."""
LENGTH_RULE = -1.0
"""spglib's angle tolerance that judges angles by the same length as positions; 5 degrees would call BiVO4 tetragonal."""


@dataclass(frozen=True)
class Parent:
    """A crystal with its group, in the standard setting of it.

    Attributes:
        crystal: operations, lattice and orbits; atoms and lattice are projected on the group, so it is kept exactly.
        number: space-group number.
        symbol: short international symbol.
        ladder: tolerance in angstrom -> space-group number found there (0: the search failed).
        warnings: what the user should know, in words; commands print them with `warn`.
        P, p: (3, 3), (3,) the axes and origin of the standard setting in those of the file, x_standard = P^-1 (x_file - p).
    """

    crystal: Crystal
    number: int
    symbol: str
    ladder: dict[float, int]
    warnings: list[str]
    P: np.ndarray
    p: np.ndarray

    @property
    def transformation(self) -> dict[str, Any]:
        """The way from the file's axes to the standard setting, for reports: text, P by rows and p as fractions."""
        from symjax.navigate.notation import way_texts

        return way_texts(self.P, self.p)

    @property
    def opset(self) -> OpSet:
        """The group as a set of operations of the conventional cell."""
        c = self.crystal
        return OpSet(W=c.W.astype(np.int32), w=c.w.astype(np.int32), mask=np.ones(len(c.W), bool), den=c.den)

    def warn(self) -> None:
        """Print the warnings to stderr."""
        for text in self.warnings:
            print(f"symjax: warning: {text}", file=sys.stderr)


def read_parent(path: str | Path, symprec: float | None = None) -> Parent:
    """Read a structure file and bring the crystal to the standard setting of the group found at a tolerance.

    Args:
        path: CIF, POSCAR, .vasp or .extxyz, plain or gzipped.
        symprec: tolerance of the symmetry search, angstrom; by the rule of `tolerance_for` where left out.

    Raises:
        InputError: no such file or an unknown kind of file.
        DataError: the file holds no sound crystal, or the tolerance cannot be meant.
    """
    from symjax.crystals.io import read_file
    from symjax.errors import DataError

    reading = read_file(path)
    try:
        found = parent_of(reading.structure, symprec, name=str(path))
        return replace(found, warnings=[*(f"{path}: {note.text}" for note in reading.notes), *found.warnings])
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def parent_of(structure: AtomicStructure, symprec: float | None = None, *, name: str = "the structure") -> Parent:
    """As `read_parent`, for a structure at hand.

    Args:
        structure: any cell, any origin.
        symprec: tolerance, angstrom; by the rule of `tolerance_for` where left out.
        name: how warnings call it.

    Raises:
        DataError: no sound crystal, or a tolerance that cannot be meant.
    """
    from symjax.crystals.io import check_structure
    from symjax.data.rows import RowOptions
    from symjax.data.standardize import standardize, to_crystal
    from symjax.groups.symbols import short_symbol

    RowOptions(symprec=DEFAULT_SYMPREC if symprec is None else symprec)  # checks the tolerance
    check_structure(structure)
    chosen = tolerance_for(structure, symprec)
    result = standardize(structure, chosen.symprec, LENGTH_RULE)
    warnings = chosen.warnings(name, "the atoms are moved onto it")
    if result.symprec != chosen.symprec:
        fell = (
            "no tolerance; the identity alone is left" if result.symprec == 0 else f"{result.symprec:g} angstrom only"
        )
        warnings.append(
            f"{name}: at {chosen.symprec:g} angstrom the atoms do not keep to the group found (their average leaves them by more "
            f"than that); they do at {fell}"
        )
    symbol, P = short_symbol(result.number), np.linalg.inv(result.transform)
    return Parent(
        to_crystal(result), result.number, symbol, chosen.ladder, warnings, P, plain_origin(-P @ result.origin, P)
    )


def plain_origin(p: np.ndarray, P: np.ndarray) -> np.ndarray:
    """(3,) an origin moved by lattice vectors of the file's cell to the place nearest to zero, the same where the cells agree."""
    moved = p - np.rint(p - 1e-9) if abs(abs(float(np.linalg.det(P))) - 1) < 1e-6 else p
    return np.where(np.abs(moved) < 5e-6, 0.0, moved)


def formula_text(z: np.ndarray) -> str:
    """The reduced formula of atoms with elements by electronegativity, as in BaTiO3, and no brackets."""
    from symjax.elements import plain_formula

    values, counts = np.unique(np.asarray(z), return_counts=True)
    return plain_formula({int(v): int(n) for v, n in zip(values, counts, strict=True)})


def low_phase(path: str | Path, structure: AtomicStructure, symprec: float | None = None) -> Phase:
    """A structure in its primitive cell with its group; warns where the group depends on the tolerance.

    Raises:
        DataError: no sound crystal.
    """
    from symjax.crystals.io import check_structure
    from symjax.errors import DataError
    from symjax.navigate.transition import phase_of

    try:
        check_structure(structure)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    chosen = tolerance_for(structure, symprec)
    for text in chosen.warnings(str(path), "the atoms are moved onto it"):
        print(f"symjax: warning: {text}", file=sys.stderr)
    return phase_of(structure, chosen.symprec)


@dataclass(frozen=True)
class Tolerance:
    """At which tolerance a structure's group is taken.

    Attributes:
        symprec: the tolerance, angstrom.
        asked: whether the user gave it.
        ladder: tolerance in angstrom -> space-group number found there (0: the search failed).
        jump: where the ladder disagrees and none was asked for: the first tolerance above the default at which there is another
            group that twice that tolerance finds as well; 0 where there is none.
    """

    symprec: float
    asked: bool
    ladder: dict[float, int]
    jump: float = 0.0

    def warnings(self, name: str, used: str) -> list[str]:
        """What to tell of a structure whose group depends on the tolerance, with what comes of it; nothing of any other."""
        from symjax.groups.symbols import short_symbol

        if len(set(self.ladder.values())) < 2:
            return []

        def at(tolerance: float) -> str:
            number = self.ladder[tolerance]
            return f"{short_symbol(number)} ({number})" if number else "nothing"

        text = f"{name}: the symmetry depends on the tolerance: {ladder_text(self.ladder)}. {at(self.symprec)} at {self.symprec:g} "
        if self.symprec == self.jump:
            return [
                f"{text}angstrom is used, where the group jumps, because {DEFAULT_SYMPREC:g} leaves translations alone; {used} "
                f"(--symprec {DEFAULT_SYMPREC:g} for P1)"
            ]
        hint = "choose another with --symprec"
        if self.jump:
            hint = f"it jumps to {at(self.jump)} at {self.jump:g}: if that is noise, give --symprec {self.jump:g}"
        return [f"{text}angstrom is used; {used}; {hint}"]


def tolerance_for(structure: AtomicStructure, asked: float | None) -> Tolerance:
    """The tolerance of a structure's group: one rule for all commands.

    It is `DEFAULT_SYMPREC` unless asked for. A structure relaxed without symmetry misses its group by noise: where the default
    leaves P1, the tolerance is taken at which the group jumps; where it leaves another group, that tolerance is proposed and not
    taken, because a small distortion looks just like noise.

    Raises:
        InputError: a tolerance that cannot be meant.
    """
    from symjax.errors import InputError
    from symjax.evaluate.symmetry import detected_number

    symprec = DEFAULT_SYMPREC if asked is None else asked
    if not (np.isfinite(symprec) and symprec > 0):
        raise InputError(f"--symprec must be a positive number of angstrom, got {symprec:g}")
    ladder = symmetry_ladder(structure, symprec)
    if len(set(ladder.values())) < 2:
        return Tolerance(symprec, asked is not None, ladder)
    for tolerance in NOISE:
        ladder.setdefault(tolerance, detected_number(structure, tolerance, LENGTH_RULE))
    ladder = dict(sorted(ladder.items()))
    own, jump = ladder[DEFAULT_SYMPREC], 0.0
    for tolerance in NOISE if asked is None else ():
        twice = detected_number(structure, 2 * tolerance, LENGTH_RULE)
        if ladder[tolerance] not in (0, 1, own) and ladder[tolerance] == twice:
            jump = tolerance
            break
    return Tolerance(jump if jump and own <= 1 else symprec, asked is not None, ladder, jump)


def symmetry_ladder(structure: AtomicStructure, symprec: float = 0.01) -> dict[float, int]:
    """Space-group number found at each tolerance of `LADDER` and at ``symprec``, angstrom; 0 where the search failed."""
    from symjax.evaluate.symmetry import detected_number

    return {tolerance: detected_number(structure, tolerance, LENGTH_RULE) for tolerance in sorted({*LADDER, symprec})}


def ladder_text(ladder: dict[float, int]) -> str:
    """The ladder in words: ``P4mm (99) at 0.001, Pm-3m (221) at 0.01 and 0.1 angstrom``."""
    from symjax.groups.symbols import short_symbol

    runs: list[tuple[int, list[str]]] = []
    for tolerance, number in ladder.items():
        if not runs or runs[-1][0] != number:
            runs.append((number, []))
        runs[-1][1].append(f"{tolerance:g}")
    parts = []
    for number, at in runs:
        named = f"{short_symbol(number)} ({number})" if number else "nothing"
        parts.append(f"{named} at {' and '.join(at) if len(at) < 3 else f'{at[0]} to {at[-1]}'}")
    return f"{', '.join(parts)} angstrom"
