"""How much a hull knows of a chemical system, said in words: an energy above a hull without competitors is a lower bound.

A hull that holds the elements alone covers every system and passes every check, and still says no more than that a crystal is
below its elements. So what stands behind a value is counted for each chemical system, and told wherever values are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from symjax.elements import SYMBOLS
from symjax.evaluate.stability.hull import Hull, subsets

_HOW_MANY = {1: "", 2: "both of ", 3: "all three of ", 4: "all four of ", 5: "all five of "}


class Completeness(NamedTuple):
    """What a hull holds of one chemical system.

    Attributes:
        elements: atomic numbers, sorted.
        full: reference compositions that hold every element of the system.
        partial: those of two elements or more that hold some of them.
        missing: elements without an elemental reference; with any of them no value can be given.
    """

    elements: tuple[int, ...]
    full: int
    partial: int
    missing: tuple[int, ...]

    @property
    def system(self) -> str:
        """Such as ``Li-P-S``."""
        return "-".join(SYMBOLS[z] for z in self.elements)

    @property
    def empty(self) -> bool:
        """Whether nothing in the hull competes in the system itself."""
        return len(self.elements) > 1 and self.full == 0

    def __str__(self) -> str:
        """In words."""
        names = ", ".join(SYMBOLS[z] for z in self.elements)
        if self.missing:
            lacking = ", ".join(SYMBOLS[z] for z in self.missing)
            return f"no elemental reference for {lacking}: no energy above hull can be given in {self.system}"
        if len(self.elements) == 1:
            return f"{names} is an element: its reference is the hull"
        how = _HOW_MANY.get(len(self.elements), f"all {len(self.elements)} of ")
        compounds = "compound holds" if self.full == 1 else "compounds hold"
        said = f"{self.full} reference {compounds} {how}{names}"
        if self.partial or len(self.elements) > 2:
            said += f" ({self.partial} some of them)"
        if self.empty:
            return f"{said}: energies above hull are lower bounds, shares at or under the hull upper bounds"
        return f"{said}; a phase that is not among them makes energies above hull too low"

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "system": self.system,
            "reference_compounds_with_all_elements": self.full,
            "reference_compounds_with_some": self.partial,
            "without_elemental_reference": [SYMBOLS[z] for z in self.missing],
            "complete_in_name_only": self.empty,
            "text": str(self),
        }


def completeness(hull: Hull, elements: Iterable[int]) -> Completeness:
    """What a hull holds of a chemical system.

    Args:
        hull: the reference.
        elements: atomic numbers.
    """
    system = tuple(sorted({int(z) for z in elements}))
    inside = set(subsets(system))
    sizes = [len(comp) for comp in hull.lowest if frozenset(z for z, _ in comp) in inside]
    full = sum(size == len(system) for size in sizes) if len(system) > 1 else 0
    partial = sum(1 < size < len(system) for size in sizes)
    return Completeness(system, full, partial, tuple(z for z in system if z not in hull.references))


def of_systems(hull: Hull, systems: Iterable[Iterable[int]]) -> list[Completeness]:
    """`completeness` of each chemical system that occurs, once each: those of which the hull knows least come first."""
    distinct = sorted({tuple(sorted({int(z) for z in system})) for system in systems} - {()})
    return sorted((completeness(hull, system) for system in distinct), key=lambda one: (not one.missing, not one.empty))
