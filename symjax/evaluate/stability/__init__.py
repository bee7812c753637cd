"""Stability with a real potential: energies, relaxation, hull, shares, phase diagrams.

Only `load_potential("chgnet")` needs the extra ``stability`` (``pip install 'symjax-crystals[stability]'``);
everything else works with any `Potential`.

* `load_potential(name, device)` -> `Potential`; without the packages an `InputError` that says how to get them.
* `relax_many(cells, potential, options, cache=, processes=, progress=)` -> one dict of JSON values a crystal, see
  `relax.result`; `relaxed_cell(cell, outcome)` -> the crystal. `RelaxOptions(symmetric=True)` keeps its operations.
* `single_points(cells, potential, cache=, ...)` -> ``{"energy": eV/atom | None, "reason": str | None}`` a crystal.
* `build_hull(cells, names, potential, cache, relax=, elements=, systems=, out=)`, `load_hull(path)` -> `Hull`.
* `energy_above_hull(hull, composition, energy)` -> `HullDistance`; `energies_above_hull` for many; `formation_energy`.
* Shares and S.U.N. are figures like others: `symjax.evaluate.metrics.stability`, from the arrays that `pipeline` makes.
* `phase_diagram`, `draw_phase_diagram`: `phases.py`, `draw.py`. `heat_map`, `group_change`, `subgroup_distance`:
`change.py`. * `pipeline.StabilityRun`: all of it for `symjax evaluate --metrics stability`.

A hull is only as good as its reference crystals: where the competing phases are not among them, distances come out too
low. So a hull should hold every known crystal there is (all splits), and real crystals through the same pipeline belong
beside every share.

Units: eV, angstrom; stresses eV/angstrom^3 with the sign of ``(1/V) dE/d(strain)``.
"""

from symjax.draw.phases import draw_phase_diagram
from symjax.evaluate.stability.batch import relax_many, single_points
from symjax.evaluate.stability.change import (
    GroupChange,
    HeatMap,
    group_change,
    heat_map,
    relaxation_change,
    subgroup_distance,
)
from symjax.evaluate.stability.elements import elemental_references
from symjax.evaluate.stability.hull import (
    Entry,
    Hull,
    HullDistance,
    energies_above_hull,
    energy_above_hull,
    formation_energy,
)
from symjax.evaluate.stability.named import load_potential
from symjax.evaluate.stability.phases import phase_diagram
from symjax.evaluate.stability.potential import INSTALL, Evaluation, Potential
from symjax.evaluate.stability.references import build_hull, load_hull
from symjax.evaluate.stability.relax import RelaxOptions, relaxed_cell
from symjax.evaluate.stability.symmetric import Operations, defect, operations_of, symmetrized

__all__ = [
    "INSTALL",
    "Entry",
    "Evaluation",
    "GroupChange",
    "HeatMap",
    "Hull",
    "HullDistance",
    "Operations",
    "Potential",
    "RelaxOptions",
    "build_hull",
    "defect",
    "draw_phase_diagram",
    "elemental_references",
    "energies_above_hull",
    "energy_above_hull",
    "formation_energy",
    "group_change",
    "heat_map",
    "load_hull",
    "load_potential",
    "operations_of",
    "phase_diagram",
    "relax_many",
    "relaxation_change",
    "relaxed_cell",
    "single_points",
    "subgroup_distance",
    "symmetrized",
]
