"""What is worked out for each crystal by itself, once: stages, run on all cores, kept in the cache as they finish.

A stage is a pure function of a crystal to plain JSON values. A crystal for which it fails gets ``{"error": reason}``, never an
exception, so that one bad crystal is counted and named instead of ending the run. Results do not depend on the number of
workers or on where a stopped run was resumed: every one passes through JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np

from symjax.crystals.io.search import search_symmetry
from symjax.crystals.types import AtomicStructure
from symjax.elements import COVALENT_RADII
from symjax.evaluate.cache import Cache, stamp
from symjax.evaluate.chemistry import chemistry
from symjax.evaluate.composition import RULES, is_valid_composition
from symjax.evaluate.distances import shortest
from symjax.evaluate.sets import metric_defect
from symjax.evaluate.sources import Crystals
from symjax.evaluate.symmetry import LADDER, find_symmetry
from symjax.parallel import Processes, imap_items

T = TypeVar("T")

AMU_PER_A3 = 1.66053906660
"""g/cm^3 of one atomic mass unit in a cubic angstrom."""


@dataclass(frozen=True)
class Stage:
    """One thing that is worked out for a crystal.

    Attributes:
        name: stable name, in the cache and in the report.
        version: raised when results change.
        function: a module's function of a crystal to JSON values.
        operations: whether the result depends on the crystal's own set of operations.
        packages: others whose versions decide results.
    """

    name: str
    version: int
    function: Callable[[AtomicStructure], dict[str, Any]]
    operations: bool = False
    packages: tuple[str, ...] = ("numpy",)

    @property
    def stamp(self) -> str:
        """The version with those of the packages, as the cache keeps it."""
        return stamp(self.version, self.packages)


def geometry(cell: AtomicStructure) -> dict[str, Any]:
    """Sizes and shortest distances: angstrom, cubic angstrom, g/cm^3."""
    near = shortest(cell)
    mass = sum(count * _mass(z) for z, count in cell.counts.items())
    return {
        "distance": near.distance,
        "ratio": near.ratio,
        "between": near.between if np.isfinite(near.between) else None,
        "softened": _softened(cell),
        "volume": cell.volume,
        "atoms": len(cell.z),
        "density": mass / cell.volume * AMU_PER_A3,
        "longest_edge": float(np.linalg.norm(cell.L, axis=1).max()),
        "shortest_edge": float(np.linalg.norm(cell.L, axis=1).min()),
    }


@cache
def _mass(z: int) -> float:
    """Atomic mass of pymatgen's table, whose densities the published figures are of."""
    from pymatgen.core import Element

    return float(Element.from_Z(z).atomic_mass)


def _softened(cell: AtomicStructure) -> float | None:
    """Smallest of distance / (0.5 (0.7 + r_i + r_j)) between different atoms, covalent radii; None for one atom."""
    from symjax.crystals.distances import shortest_images

    if len(cell.z) < 2:
        return None
    radii = COVALENT_RADII[cell.z]
    bounds = 0.5 * (0.7 + radii[:, None] + radii[None])
    near = shortest_images(cell.L, cell.x, np.arange(len(radii)), bounds)
    np.fill_diagonal(near, np.inf)
    return float((near / bounds).min())


def composition(cell: AtomicStructure) -> dict[str, Any]:
    """Reduced composition and which of the published rules of charge balance it passes."""
    reduced = cell.reduced
    return {"reduced": [list(pair) for pair in reduced]} | {rule: is_valid_composition(reduced, rule) for rule in RULES}


def symmetry(cell: AtomicStructure) -> dict[str, Any]:
    """Groups found at 0.1 and 0.01 angstrom (5 degrees), (element, Wyckoff letter) of orbits, atoms of the primitive cell."""
    wide, tight = search_symmetry(cell, 0.1, 5.0), search_symmetry(cell, 0.01, 5.0)
    number = 0 if wide is None else int(wide.number)
    orbits = []
    if wide is not None:
        for atom in np.unique(wide.crystallographic_orbits, return_index=True)[1]:
            orbits.append([int(cell.z[atom]), str(wide.wyckoffs[atom])])
    return {
        "number": number,
        "number_tight": 0 if tight is None else int(tight.number),
        "orbits": sorted(orbits),
        "primitive_atoms": len(cell.z) if wide is None else len(np.unique(wide.mapping_to_primitive)),
    }


NEARBY = (0.09, 0.11)
"""Tolerances in angstrom between which a group should not change if it is to mean something at 0.1."""


def steadiness(cell: AtomicStructure) -> dict[str, Any]:
    """Whether the group found at 0.1 angstrom changes with the order of the atoms, and whether it does from 0.09 to 0.11."""
    backwards = AtomicStructure(cell.L, cell.z[::-1], cell.x[::-1])
    found = [
        search_symmetry(atoms, symprec, 5.0)
        for atoms, symprec in ((cell, 0.1), (backwards, 0.1), *((cell, near) for near in NEARBY))
    ]
    first, reordered, *near = [0 if item is None else int(item.number) for item in found]
    return {"reordered": first != reordered, "tolerance": any(number != first for number in near)}


def ladder(cell: AtomicStructure) -> dict[str, Any]:
    """Whether the crystal's own operations are found again in its atoms, at each tolerance of `LADDER`; and their defects."""
    found = [find_symmetry(cell, tolerance) for tolerance in LADDER]
    return {
        "numbers": [item.number for item in found],
        "contains": [item.contains for item in found],
        "equals": [item.contains and item.order == len(cell.W) for item in found],
        "lattice_defect": metric_defect(cell),
        "order": len(cell.W),
    }


def _fingerprint(cell: AtomicStructure) -> dict[str, Any]:
    from symjax.evaluate.fingerprints import fingerprint_stage

    return fingerprint_stage(cell)


def _bonds(cell: AtomicStructure) -> dict[str, Any]:
    from symjax.evaluate.energy_model.graphs import bonds

    return bonds(cell)


GEOMETRY = Stage("geometry", 2, geometry, packages=("numpy", "pymatgen"))
COMPOSITION = Stage("composition", 2, composition, packages=("pymatgen", "smact"))
SYMMETRY = Stage("symmetry", 2, symmetry, packages=("numpy", "spglib"))
STEADINESS = Stage("steadiness", 1, steadiness, packages=("numpy", "spglib"))
CHEMISTRY = Stage("chemistry", 1, chemistry, packages=("numpy", "pymatgen"))
BONDS = Stage("bonds", 1, _bonds, packages=("numpy", "pymatgen", "scipy"))
OPERATIONS = Stage("ladder", 1, ladder, operations=True, packages=("numpy", "spglib"))


def fingerprint() -> Stage:
    """The stage of CrystalNN and Magpie fingerprints (its version is that of their module)."""
    from symjax.evaluate.fingerprints import VERSION

    return Stage("fingerprint", VERSION, _fingerprint, packages=("matminer", "numpy", "pymatgen", "scipy", "spglib"))


def run_stages(
    work: Sequence[tuple[Crystals, Sequence[Stage]]],
    cache: Cache,
    *,
    processes: Processes = None,
    progress: bool = False,
) -> list[dict[str, list[dict[str, Any] | None]]]:
    """Run the stages wanted for each source, all in one pass over the distinct crystals.

    Equal crystals are worked out once; what the cache holds is not worked out again, and each result is in the cache soon
    after it is made.

    Args:
        work: sources with the stages wanted for each.
        cache: where results are.
        processes: where (`symjax.parallel.Workers`), or a number of worker processes; None for one a core.
        progress: whether to show a progress bar on stderr.

    Returns:
        for each source: name of the stage -> a result for every row, None for rows that are no crystal.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    jobs: dict[str, tuple[AtomicStructure, dict[Stage, str]]] = {}
    for crystals, wanted in work:
        for stage in wanted:
            keys = _keys(crystals, stage)
            known = cache.get_many(stage.name, stage.stamp, [key for key in keys if key])
            found.update({(stage.name, key): value for key, value in known.items()})
            for plain, key, cell in zip(crystals.keys, keys, crystals.cells):
                if cell is not None and key not in known:
                    jobs.setdefault(plain + key, (cell, {}))[1][stage] = key
    wanted_of = list(jobs.values())
    calls = [(tuple(stage.function for stage in todo), cell) for cell, todo in wanted_of]
    texts = imap_items(_guarded, calls, processes=processes, lost=_lost, label="crystals", progress=progress)
    for batch in _batches(zip(wanted_of, texts), 64):
        kept = []
        for (_, todo), row in batch:
            if isinstance(row, str):  # lost: the next run tries again, perhaps on a larger machine
                found.update({(stage.name, key): {"error": row} for stage, key in todo.items()})
            else:
                kept += [(stage, key, json.loads(text)) for (stage, key), text in zip(todo.items(), row)]
        for stage in {stage for stage, _, _ in kept}:
            cache.put_many(stage.name, stage.stamp, [(key, value) for other, key, value in kept if other == stage])
        found.update({(stage.name, key): value for stage, key, value in kept})
    return [
        {stage.name: [found[stage.name, key] if key else None for key in _keys(crystals, stage)] for stage in wanted}
        for crystals, wanted in work
    ]


def _keys(crystals: Crystals, stage: Stage) -> Sequence[str]:
    return crystals.keys_with_operations if stage.operations else crystals.keys


_Job = tuple[tuple[Callable[[AtomicStructure], dict[str, Any]], ...], AtomicStructure]


def _lost(job: _Job, reason: str) -> str:
    return reason


def _guarded(job: _Job) -> list[str] | str:
    functions, cell = job
    texts = []
    for function in functions:
        try:
            texts.append(json.dumps(function(cell), allow_nan=False))
        except MemoryError:
            raise
        except Exception as error:  # any failure is this crystal's alone; the reason goes to the report
            texts.append(json.dumps({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}))
    return texts


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def column(results: Sequence[dict[str, Any] | None], name: str, fill: float = np.nan) -> np.ndarray:
    """(n,) float64 of one value of a stage; ``fill`` where the row is no crystal, the stage failed or the value is None."""
    values = [None if row is None else row.get(name) for row in results]
    return np.array([fill if value is None else float(value) for value in values], float)


def failures(results: Sequence[dict[str, Any] | None]) -> list[tuple[int, str]]:
    """(row, reason) of the crystals for which a stage failed."""
    return [(i, str(row["error"])) for i, row in enumerate(results) if row is not None and "error" in row]
