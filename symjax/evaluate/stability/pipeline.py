"""Samples through the potential: relaxed, set against a hull, and looked at again; what `--metrics stability` reads.

Real crystals drawn from the reference go the same way (the calibration), because relaxation alone moves crystals against a hull:
without their share beside it, a share of samples under the hull says little.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.draw.phases import draw_phase_diagram
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.matching import unique_and_novel
from symjax.evaluate.stability.batch import relax_many
from symjax.evaluate.stability.change import farthest_move, relaxation_change
from symjax.evaluate.stability.completeness import of_systems
from symjax.evaluate.stability.hull import Hull, energies_above_hull, formation_energy
from symjax.evaluate.stability.named import load_potential
from symjax.evaluate.stability.phases import formula, phase_diagram
from symjax.evaluate.stability.potential import Potential
from symjax.evaluate.stability.references import load_hull
from symjax.evaluate.stability.relax import RelaxOptions, relaxed_cell
from symjax.evaluate.symmetry import detected_number
from symjax.parallel import Processes, map_items

if TYPE_CHECKING:
    from symjax.evaluate.metrics.common import Study


class Relaxed(NamedTuple):
    """Crystals after the potential; all (n,) over the rows given, NaN or None where there is nothing.

    Attributes:
        cells: relaxed crystals.
        energy: eV/atom.
        e_hull: eV/atom above the hull.
        initial: eV/atom above the hull of the crystals as they were given.
        drop: eV/atom by which relaxation lowered the energy.
        move: how far the atom that moved farthest went, angstrom.
        pressure: of the crystals as they were given, GPa.
        same: 1 where StructureMatcher calls the relaxed crystal the one given, 0 where not.
        formation: formation energy, eV/atom.
        converged: whether the relaxation ended within its tolerance.
        elements_only: whether nothing but elements stands behind the hull of the row's chemical system.
        reasons: why a row has no finite `e_hull`, or did not converge; empty otherwise.
    """

    cells: tuple[AtomicStructure | None, ...]
    energy: np.ndarray
    e_hull: np.ndarray
    initial: np.ndarray
    drop: np.ndarray
    move: np.ndarray
    pressure: np.ndarray
    same: np.ndarray
    formation: np.ndarray
    converged: np.ndarray
    elements_only: np.ndarray
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class StabilityRun:
    """How energies are made.

    Attributes:
        hull: file of a hull, or the hull itself.
        potential: name, or the potential itself.
        options: of the relaxation.
        calibrate: real crystals of the reference that go the same way.
        systems: chemical systems (atomic numbers) whose phase diagrams are made from the samples.
    """

    hull: Path | Hull
    potential: str | Potential = "chgnet"
    options: RelaxOptions = field(default_factory=RelaxOptions)
    calibrate: int = 500
    systems: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a negative calibration."""
        if self.calibrate < 0:
            raise InputError(f"the calibration needs a number of crystals of at least 0, got {self.calibrate}")

    def run(self, study: Study, cache: Cache) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays over the samples for the metrics, and what the report says of them.

        Without the packages of the potential there are no arrays, and the reason stands under ``stability_reason``.

        Raises:
            InputError: the hull cannot be read.
        """
        hull = self.hull if isinstance(self.hull, Hull) else load_hull(self.hull)
        try:
            potential = load_potential(self.potential) if isinstance(self.potential, str) else self.potential
        except InputError as error:
            return {}, {"stability_reason": str(error)}
        more: dict[str, Any] = {"processes": study.processes, "progress": study.progress}
        samples = through(study.samples.cells, hull, potential, self.options, cache, **more)
        arrays = {
            "e_hull": samples.e_hull,
            "e_hull_initial": samples.initial,
            "energy_drop": samples.drop,
            "move": samples.move,
            "pressure": samples.pressure,
            "same": samples.same,
            "energy": samples.energy,
            "formation_energy": samples.formation,
            "elements_only": samples.elements_only,
            "converged": samples.converged[study.samples.usable],
        }
        arrays |= _symmetry(study.samples.cells, samples.cells, study.samples.number, **more)
        if self.calibrate:
            rows = _drawn(study.reference.cells, self.calibrate, study.seed)
            known = through([study.reference.cells[i] for i in rows], hull, potential, self.options, cache, **more)
            formation = np.full(len(study.reference), np.nan)
            formation[rows] = known.formation
            arrays |= {
                "calibration_e_hull": known.e_hull,
                "calibration_e_hull_initial": known.initial,
                "calibration_energy_drop": known.drop,
                "calibration_move": known.move,
                "calibration_pressure": known.pressure,
                "calibration_same": known.same,
                "reference_formation_energy": formation,
            }
        told = self._told(study, hull, potential, samples)
        if self.systems:
            told["phase_diagrams"] = [_diagram(system, study, hull, samples) for system in self.systems]
        return arrays, told

    def _told(self, study: Study, hull: Hull, potential: Potential, samples: Relaxed) -> dict[str, Any]:
        names = study.samples.crystals.names
        kind = f"{potential.name}-{potential.version}"
        systems = [cell.counts for cell in study.samples.cells if cell is not None]
        other = "" if hull.potential == kind else f" (NOT of the samples' potential {kind}: the values do not compare)"
        return {
            "hull": hull.describe() + other,
            "relaxation": {
                "potential": kind,
                "fmax": self.options.fmax,
                "steps": self.options.steps,
                "max_seconds": self.options.max_seconds,
                "symmetric": self.options.symmetric,
                "calibrate": self.calibrate,
            },
            "completeness": [one.as_json() for one in of_systems(hull, systems)],
            "crystals": _each(study, samples),
            "trouble": [
                {"name": name, "stage": "stability", "reason": said}
                for name, said, cell in zip(names, samples.reasons, study.samples.cells)
                if said and cell is not None
            ],
        }


def _each(study: Study, samples: Relaxed) -> list[dict[str, Any]]:
    """What came out for each row, with units in the keys."""
    crystals = study.samples.crystals
    files = crystals.files or [""] * len(crystals)
    number = lambda value: float(value) if np.isfinite(value) else None
    return [
        {
            "id": crystals.names[i],
            "file": files[i] or None,
            "formula": formula(study.samples.reduced[i]) or None,
            "energy_eV_per_atom": number(samples.energy[i]),
            "energy_above_hull_eV_per_atom": number(samples.e_hull[i]),
            "energy_above_hull_unrelaxed_eV_per_atom": number(samples.initial[i]),
            "energy_drop_eV_per_atom": number(samples.drop[i]),
            "formation_energy_eV_per_atom": number(samples.formation[i]),
            "converged": bool(samples.converged[i]),
            "only_elements_in_hull": bool(samples.elements_only[i]),
            "reason": samples.reasons[i] or None,
        }
        for i in range(len(crystals))
    ]


def through(
    cells: Sequence[AtomicStructure | None],
    hull: Hull,
    potential: Potential,
    options: RelaxOptions,
    cache: Cache | None = None,
    *,
    processes: Processes = None,
    progress: bool = False,
) -> Relaxed:
    """Relax crystals and set them against a hull; rows without a crystal stay, with the reason.

    Args:
        cells: n rows.
        hull: the reference.
        potential: that of the hull.
        options: of the relaxation.
        cache: finished crystals are taken from here and stored here.
        processes: worker processes.
        progress: whether to show a bar on stderr.
    """
    rows = [i for i, cell in enumerate(cells) if cell is not None]
    live = [cell for cell in cells if cell is not None]
    outcomes = relax_many(live, potential, options, cache=cache, processes=processes, progress=progress)
    energies = [outcome["energy_final"] for outcome in outcomes]
    distances = energies_above_hull(hull, [cell.reduced for cell in live], energies)
    relaxed: list[AtomicStructure | None] = [None] * len(cells)
    starts = [outcome.get("energy_initial") for outcome in outcomes]
    given = energies_above_hull(hull, [cell.reduced for cell in live], starts)
    energy, e_hull, initial, drop, move, pressure, same, formation = (np.full(len(cells), np.nan) for _ in range(8))
    converged, alone, reasons = np.zeros(len(cells), bool), np.zeros(len(cells), bool), ["no crystal"] * len(cells)
    for row, cell, outcome, distance, first in zip(rows, live, outcomes, distances, given):
        relaxed[row] = relaxed_cell(cell, outcome)
        energy[row] = np.nan if outcome["energy_final"] is None else outcome["energy_final"]
        e_hull[row], initial[row] = distance.value, first.value
        if outcome["energy_final"] is not None and outcome.get("energy_initial") is not None:
            drop[row] = outcome["energy_initial"] - outcome["energy_final"]
        if outcome.get("pressure_initial") is not None:  # finished crystals of older caches have none
            pressure[row] = outcome["pressure_initial"]
        formation[row] = formation_energy(hull, cell.reduced, outcome["energy_final"])
        converged[row], alone[row] = outcome["converged"], distance.elements_only
        reasons[row] = str(outcome["reason"] or distance.reason or "")
    pairs: list[Any] = [(cell, relaxed[row]) for row, cell in zip(rows, live) if relaxed[row] is not None]
    places = [row for row in rows if relaxed[row] is not None]
    moves = map_items(_moved, pairs, processes=processes, lost=_not_moved, label="structure after", progress=progress)
    for row, (far, kept) in zip(places, moves):
        move[row], same[row] = far, kept
    return Relaxed(
        tuple(relaxed), energy, e_hull, initial, drop, move, pressure, same, formation, converged, alone, tuple(reasons)
    )


def _moved(pair: tuple[AtomicStructure, AtomicStructure]) -> tuple[float, float]:
    """Farthest move, and 1 where the relaxed crystal is still the one given."""
    kept = unique_and_novel([pair[1]], [pair[0]], processes=1).novel[0]
    return farthest_move(*pair), float(not kept)


def _not_moved(pair: tuple[AtomicStructure, AtomicStructure], reason: str) -> tuple[float, float]:
    return float("nan"), float("nan")


def _diagram(system: tuple[int, ...], study: Study, hull: Hull, samples: Relaxed) -> dict[str, Any]:
    """Hull of the samples of a chemical system against the known one, with its picture where one can be drawn."""
    known = {
        name: cell
        for part in (study.train, study.reference)
        if part is not None
        for name, cell in zip(part.crystals.names, part.cells)
        if cell is not None and set(cell.counts) <= set(system)
    }
    data = phase_diagram(
        hull,
        system,
        [reduced or ((1, 1),) for reduced in study.samples.reduced],
        samples.energy,
        names=study.samples.crystals.names,
        cells=samples.cells,
        reference_cells=known,
    )
    if len(system) <= 3:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "diagram.png"
            draw_phase_diagram(data, path)
            data["png_base64"] = base64.b64encode(path.read_bytes()).decode()
    return data | {"title": f"Phase diagram {data['system']}"}


def _symmetry(
    before: Sequence[AtomicStructure | None],
    after: Sequence[AtomicStructure | None],
    numbers: np.ndarray,
    *,
    processes: Processes,
    progress: bool,
) -> dict[str, np.ndarray]:
    """Groups after relaxation, and how they compare with those before and with the crystals' own operations."""
    rows = [i for i, cell in enumerate(after) if cell is not None]
    pairs: list[Any] = [(before[i], after[i]) for i in rows]
    found = map_items(
        _compare, pairs, processes=processes, lost=_not_compared, label="symmetry after", progress=progress
    )
    group = np.zeros(len(after), np.int64)
    group[rows] = [number for number, _, _ in found]
    return {
        "group_after": group,
        "group_kept": group[rows] == numbers[rows],
        "operations_kept": np.array([kept for _, kept, _ in found if kept is not None], bool),
        "subgroup_distance": np.array([distance for _, _, distance in found], float),
    }


def _not_compared(pair: tuple[AtomicStructure, AtomicStructure], reason: str) -> tuple[int, bool | None, float]:
    return 0, False if len(pair[0].W) else None, float("nan")


def _compare(pair: tuple[AtomicStructure, AtomicStructure]) -> tuple[int, bool | None, float]:
    """Group after, whether all own operations are kept (None without any), subgroup distance (NaN where there is none)."""
    first, second = pair
    number = detected_number(second)
    change = relaxation_change(first, second) if len(first.W) else None
    if change is None:
        return number, False if len(first.W) else None, float("nan")
    return number, change.lost == 0, change.distance


def _drawn(cells: Sequence[AtomicStructure | None], num: int, seed: int) -> list[int]:
    """So many rows with a crystal drawn at random, all of them if there are fewer."""
    live = [i for i, cell in enumerate(cells) if cell is not None]
    order = np.random.default_rng(seed).permutation(len(live))[:num]
    return sorted(live[i] for i in order)
