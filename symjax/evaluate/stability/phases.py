"""Phase diagram of one chemical system: the hull of generated crystals against the hull of reference crystals.

WyckoffDiff-Adaptor, figure 3 (Li-O and Ti-O, 1,280 samples each): formation energy per atom against composition, the
generated hull over the known one, and which known phases were found. Both sides have energies of one potential and the
same elemental references, those of the reference hull. Everything is plain data; `draw.py` makes the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.elements import ELECTRONEGATIVITY, SYMBOLS
from symjax.errors import InputError
from symjax.evaluate.matching import DEFAULT, Setting, match_distances
from symjax.evaluate.stability.hull import Composition, Hull, formation_energy, lower_hull, reduced_composition

ON_HULL = 1e-6
"""eV/atom within which a point counts as lying on the hull it is part of."""


def phase_diagram(
    hull: Hull,
    elements: Iterable[int],
    compositions: Sequence[Composition],
    energies: Sequence[float | None] | np.ndarray,
    *,
    names: Sequence[str] | None = None,
    cells: Sequence[AtomicStructure | None] | None = None,
    reference_cells: Mapping[str, AtomicStructure] | None = None,
    setting: Setting = DEFAULT,
) -> dict[str, Any]:
    """Hulls of a chemical system and the known phases that were found.

    Args:
        hull: reference energies.
        elements: atomic numbers of the system; 2 or more.
        compositions: (n) of generated crystals, of this system or not.
        energies: (n,) eV/atom from the hull's potential, None or NaN where there is none.
        names: (n) of generated crystals; None for their numbers.
        cells: (n) generated crystals as relaxed, to be matched with the known phases; None for compositions alone.
        reference_cells: reference crystals by name, as the hull's entries are named.
        setting: of pymatgen's StructureMatcher.

    Returns:
        JSON values: ``system``, ``elements``, ``hull`` (which), ``reference`` and ``generated`` (lists of points: name,
        formula, fractions in the order of ``elements``, formation_energy; reference ones on_reference_hull; generated ones
        e_hull against the reference and on_generated_hull, the hull of the generated crystals and the elements alone, on which
        a crystal may lie that is far above the reference hull), ``known_phases`` (phases on the reference hull, no elements:
        found_by_composition, found_by_structure, which is None where it could not be asked, and ``difference``, lowest
        generated minus reference, eV/atom) and ``counts``: generated crystals in the system, outside it, without an
        energy; known phases and how many were found either way.

    Raises:
        InputError: fewer than two elements, or one without a reference.
    """
    system = tuple(sorted(set(elements)))
    if len(system) < 2:
        raise InputError(f"a phase diagram needs at least two elements, got {[SYMBOLS[z] for z in system]}")
    lacking = [SYMBOLS[z] for z in system if z not in hull.references]
    if lacking:
        raise InputError(f"the hull has no elemental reference for {', '.join(lacking)}; build it with elements=True")
    names = [str(i) for i in range(len(compositions))] if names is None else names
    reference = _points(
        hull, system, [(e.composition, e.energy, e.name) for e in hull.entries if _inside(e.composition, system)]
    )
    inside = [i for i, comp in enumerate(compositions) if _inside(comp, system)]
    live = [i for i in inside if energies[i] is not None and np.isfinite(np.float64(energies[i]))]  # type: ignore[arg-type]
    generated = _points(hull, system, [(compositions[i], float(energies[i]), names[i]) for i in live])  # type: ignore[arg-type]
    _mark(reference, reference, "on_reference_hull")
    _mark(generated, [*generated, *(p for p in reference if max(p["fractions"]) == 1.0)], "on_generated_hull")
    for point in generated:
        point["e_hull"] = point["formation_energy"] - _level(reference, point["fractions"])
    phases = [p for p in reference if p["on_reference_hull"] and max(p["fractions"]) < 1.0]
    made = [None if cells is None else cells[i] for i in live]
    known = [_known(phase, generated, made, (reference_cells or {}).get(phase["name"]), setting) for phase in phases]
    return {
        "system": "-".join(SYMBOLS[z] for z in system),
        "elements": [SYMBOLS[z] for z in system],
        "hull": hull.describe(),
        "reference": reference,
        "generated": generated,
        "known_phases": known,
        "counts": {
            "in_system": len(inside),
            "outside": len(compositions) - len(inside),
            "without_energy": len(inside) - len(live),
            "known": len(known),
            "found_by_composition": sum(k["found_by_composition"] for k in known),
            "found_by_structure": sum(bool(k["found_by_structure"]) for k in known),
            "below_reference_hull": sum(p["e_hull"] < -ON_HULL for p in generated),
        },
    }


def formula(composition: Composition) -> str:
    """Such as ``Li2O``: elements by electronegativity, then by atomic number."""
    order = sorted(composition, key=lambda pair: (float(ELECTRONEGATIVITY[pair[0]]) or 9.0, pair[0]))
    return "".join(SYMBOLS[z] + (str(count) if count > 1 else "") for z, count in order)


def _inside(composition: Composition, system: tuple[int, ...]) -> bool:
    return all(z in system for z, _ in composition)


def _points(hull: Hull, system: tuple[int, ...], rows: list[tuple[Composition, float, str]]) -> list[dict[str, Any]]:
    out = []
    for composition, energy, name in rows:
        composition = reduced_composition(composition)
        counts = dict(composition)
        total = sum(counts.values())
        out.append(
            {
                "name": str(name),
                "formula": formula(composition),
                "fractions": [counts.get(z, 0) / total for z in system],
                "formation_energy": formation_energy(hull, composition, energy),
            }
        )
    return out


def _level(points: list[dict[str, Any]], at: list[float]) -> float:
    """The lower hull of the points at a composition."""
    fractions = np.array([p["fractions"] for p in points]).T
    return lower_hull(fractions, np.array([p["formation_energy"] for p in points]), np.array(at))[0]


def _mark(points: list[dict[str, Any]], against: list[dict[str, Any]], key: str) -> None:
    """Mark the points that lie on the lower hull of ``against``; of equal compositions only the lowest."""
    lowest: dict[tuple[float, ...], dict[str, Any]] = {}
    for point in points:
        place = tuple(point["fractions"])
        if place not in lowest or point["formation_energy"] < lowest[place]["formation_energy"]:
            lowest[place] = point
    for point in points:
        point[key] = False
    for point in lowest.values():
        point[key] = bool(point["formation_energy"] <= _level(against, point["fractions"]) + ON_HULL)


def _known(
    phase: dict[str, Any],
    generated: list[dict[str, Any]],
    cells: list[AtomicStructure | None],
    truth: AtomicStructure | None,
    setting: Setting,
) -> dict[str, Any]:
    """Whether a phase of the reference hull is among the generated crystals."""
    same = [i for i, point in enumerate(generated) if point["formula"] == phase["formula"]]
    found: bool | None = None
    if truth is not None and (not same or any(cells[i] is not None for i in same)):
        candidates = [cell for cell in (cells[i] for i in same) if cell is not None]
        found = bool(
            np.isfinite(match_distances(candidates, [truth] * len(candidates), setting=setting, processes=1)).any()
        )
    best = min((generated[i]["formation_energy"] for i in same), default=None)
    return {
        "name": phase["name"],
        "formula": phase["formula"],
        "formation_energy": phase["formation_energy"],
        "found_by_composition": bool(same),
        "found_by_structure": found,
        "difference": None if best is None else best - phase["formation_energy"],
    }
