"""The rows of a run: what each crystal is, what became of it, and in which order they stand.

With energies, rows are ordered by the energy above the hull; without, by validity and then by the likelihood an orbit, where the
model gives one. Duplicates stand nowhere but are counted and named. Keys carry their units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.evaluate.composition import is_valid_composition
from symjax.evaluate.stability.hull import Hull, energy_above_hull, formation_energy
from symjax.evaluate.symmetry import TIGHT, detected_number
from symjax.groups.properties import properties
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import standard_setting

LIKELIHOODS = ("log_prob", "log_operations")
"""Properties of crystals that are log-likelihoods or bounds on them, nats; the first that a model gives is taken."""
MIN_RATIO = 0.6
"""Share of the sum of covalent radii below which two atoms are too close for a valid crystal."""


def described(entry: Mapping[str, Any], cell: AtomicStructure) -> dict[str, Any]:
    """What is known of a crystal before any energy.

    Args:
        entry: from `symjax.evaluate.describe`.
        cell: the crystal.
    """
    number = entry["group"]["number"]
    kind = properties(standard_setting(number))
    balanced = is_valid_composition(cell.reduced)
    likelihood = next((entry[name] for name in LIKELIHOODS if entry.get(name) is not None), None)
    apart = entry["shortest_over_covalent_radii"]
    return {
        "id": entry["id"],
        "file": None,
        "formula": entry["formula"],
        "space_group_number": number,
        "space_group": short_symbol(number),
        "polar": kind.polar,
        "chiral": kind.sohncke,
        "centrosymmetric": kind.centrosymmetric,
        "num_atoms": entry["num_atoms"],
        "num_orbits": len(entry["orbits"]),
        "volume_A3_per_atom": round(entry["volume"] / entry["num_atoms"], 4),
        "shortest_distance_A": entry["shortest_distance"],
        "shortest_over_covalent_radii": apart,
        "charge_balanced": balanced,
        "valid": bool(balanced and apart >= MIN_RATIO),
        "log_likelihood_nats": likelihood,
        "energy_eV_per_atom": None,
        "energy_unrelaxed_eV_per_atom": None,
        "energy_above_hull_eV_per_atom": None,
        "formation_energy_eV_per_atom": None,
        "hull_phases": [],
        "only_elements_in_hull": None,
        "converged": None,
        "steps": None,
        "space_group_found_number": None,
        "group_kept": None,
        "known_as": None,
        "new": None,
        "same_as": None,
        "reason": None,
    }


def relaxed_row(
    number: int, outcome: Mapping[str, Any], cell: AtomicStructure, after: AtomicStructure | None, hull: Hull
) -> dict[str, Any]:
    """What relaxation adds to a row.

    Args:
        number: space group of the crystal as drawn.
        outcome: from `symjax.evaluate.stability.relax_many`.
        cell: the crystal as drawn.
        after: as relaxed; None where it has no energy.
        hull: the reference.
    """
    energy = outcome["energy_final"]
    distance = energy_above_hull(hull, cell.reduced, energy)
    found = 0 if after is None else detected_number(after, TIGHT, -1.0)
    return {
        "energy_eV_per_atom": energy,
        "energy_unrelaxed_eV_per_atom": outcome["energy_initial"],
        "energy_above_hull_eV_per_atom": distance.value if math.isfinite(distance.value) else None,
        "formation_energy_eV_per_atom": _finite(formation_energy(hull, cell.reduced, energy)),
        "hull_phases": [{"name": name, "share": round(share, 6)} for name, share in distance.phases],
        "only_elements_in_hull": distance.elements_only if distance.reason is None else None,
        "converged": outcome["converged"],
        "steps": outcome["steps"],
        "space_group_found_number": found or None,
        "group_kept": None if after is None else found == number,
        "reason": outcome["reason"] or distance.reason,
    }


def ordered(rows: Sequence[dict[str, Any]], *, energies: bool) -> list[dict[str, Any]]:
    """The rows by rank, with `rank` counted from 1 (None for duplicates, which come last).

    Args:
        rows: of all crystals.
        energies: whether the order is that of energies; else validity, then likelihood an orbit, then distances.
    """

    def key(row: Mapping[str, Any]) -> tuple:
        above, energy = row["energy_above_hull_eV_per_atom"], row["energy_eV_per_atom"]
        if energies:
            return (above is None, above if above is not None else (energy if energy is not None else math.inf))
        likelihood = row["log_likelihood_nats"]
        each = -math.inf if likelihood is None else likelihood / max(row["num_orbits"], 1)
        return (not row["valid"], not row["charge_balanced"], -each, -row["shortest_over_covalent_radii"])

    own = sorted((row for row in rows if row["same_as"] is None), key=key)
    again = [row for row in rows if row["same_as"] is not None]
    placed = [{"rank": place, **row} for place, row in enumerate(own, 1)]
    return [*placed, *({"rank": None, **row} for row in again)]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
