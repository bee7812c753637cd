"""One run of `symjax discover`: draw, drop duplicates, relax, set against a hull, rank, write.

Each crystal that is drawn or relaxed is on disk at once, so the same call goes on where a killed one was. Without the packages of
the potential everything but energies is made, and the reason is told.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symjax import __version__
from symjax.crystals.types import AtomicStructure
from symjax.data.dataset import CrystalDataset
from symjax.discover.drawing import Drawn, Source, draw
from symjax.discover.energies import Reference, Say, hull_for
from symjax.discover.folder import PROGRAM, RESULTS, opened
from symjax.discover.ranking import described, ordered, relaxed_row
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.composition import plain_formula
from symjax.evaluate.describe import describe_all
from symjax.evaluate.matching import DEFAULT, UniqueNovel, match_distances, unique_and_novel
from symjax.evaluate.sources import Crystals
from symjax.evaluate.stability import (
    Hull,
    Potential,
    RelaxOptions,
    load_potential,
    phase_diagram,
    relax_many,
    relaxed_cell,
)
from symjax.evaluate.stability.completeness import Completeness
from symjax.generate.system import Progress
from symjax.parallel import Processes

MAX_DIAGRAMS = 12
"""Phase diagrams that are drawn: the chemical systems of the first crystals."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What a run does.

    Attributes:
        source: how crystals are drawn.
        num: how many.
        reference: what is known.
        potential: name, or the potential itself; None for no energies.
        relaxation: how crystals are relaxed; the default keeps their operations.
        processes: worker processes.
        bars: whether to show progress bars on stderr.
    """

    source: Source
    num: int
    reference: Reference = dataclasses.field(default_factory=Reference)
    potential: str | Potential | None = "chgnet"
    relaxation: RelaxOptions = dataclasses.field(default_factory=lambda: RelaxOptions(fmax=0.05, symmetric=True))
    processes: Processes = None
    bars: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        rows: by rank, duplicates last (see `symjax.discover.ranking`).
        cells: the crystal of each row, relaxed where it has an energy.
        drawn: what was drawn.
        hull: what energies were set against; None without energies.
        completeness: how much the hull knows of each chemical system.
        diagrams: phase diagrams of the first systems, as plain data.
        notes: what a reader must know, one sentence each.
        files: names of all files, relative to the folder.
    """

    rows: list[dict[str, Any]]
    cells: list[AtomicStructure]
    drawn: Drawn
    hull: Hull | None
    completeness: list[Completeness]
    diagrams: list[dict[str, Any]]
    notes: list[str]
    files: list[str]


def discover(
    options: Options,
    folder: str | Path,
    *,
    plan: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    say: Say = lambda text: None,
    extras: Callable[[Path, Outcome], Sequence[str]] | None = None,
) -> Outcome:
    """Answer the question, or go on with it.

    Args:
        options: what to do.
        folder: where files go.
        plan: JSON values that decide what comes out; None for those of the options' source.
        overwrite: remove what an earlier run left there.
        progress: told what was drawn.
        say: told what is missing and where the run is, one line a call.
        extras: writes more files (table, pictures, page) and gives their names.

    Raises:
        InputError: the request cannot be met, or the folder holds something else.
        SymjaxError: nothing came out.
    """
    folder = Path(folder)
    notes: list[str] = []
    potential = _potential(options, notes, say)
    with opened(folder, plan or _plan(options), overwrite=overwrite) as state, Cache(state / "results.sqlite") as cache:
        drawn = draw(options.source, options.num, state, progress)
        if drawn.reasons:
            lost = sum(drawn.reasons.values())
            notes.append(f"{lost} of {drawn.draws} draws gave nothing, or were refused and drawn again")
        entries = list(describe_all(drawn.dataset))
        cells = [cell for cell, _ in entries]
        rows = [described(entry, cell) for cell, entry in entries]
        first = _matched(cells, options, known=False)
        _mark_duplicates(rows, first)
        live = [i for i, row in enumerate(rows) if row["same_as"] is None]
        say(f"{len(rows)} crystals, {len(live)} of them different")
        hull: Hull | None = None
        found: list[Completeness] = []
        final = list(cells)
        if potential is not None:
            hull, found = hull_for(
                [cells[i] for i in live],
                options.reference,
                potential,
                options.relaxation,
                cache,
                say,
                processes=options.processes,
                progress=options.bars,
            )
            final = _relax(rows, cells, live, potential, hull, options, cache)
        _mark_known(rows, final, live, options, notes)
        order = ordered(rows, energies=potential is not None)
        place = {row["id"]: i for i, row in enumerate(rows)}
        where = [place[row["id"]] for row in order]
        files = _write_crystals(folder, drawn.dataset, [entry for _, entry in entries], cells, final, order, where)
        names = {row["id"]: row["file"] for row in order}
        for row in order:
            row["same_as"] = names.get(row["same_as"]) if row["same_as"] else None
        final = [final[i] for i in where]
        diagrams = [] if hull is None else _diagrams(order, final, hull, options.reference)
        outcome = Outcome(order, final, drawn, hull, found, diagrams, notes, files)
        if extras is not None:
            outcome = dataclasses.replace(outcome, files=sorted({*files, *extras(folder, outcome)}))
        _write_results(folder, outcome, options)
    return outcome


def _plan(options: Options) -> dict[str, Any]:
    source = options.source
    return {
        "model": source.model,
        "weights": source.weights,
        "request": source.request.describe(),
        "seed": source.settings.seed,
        "steps": source.settings.steps,
    }


def _potential(options: Options, notes: list[str], say: Say) -> Potential | None:
    """The potential, or None with a note that says what it would add."""
    if not isinstance(options.potential, str):
        return options.potential
    try:
        return load_potential(options.potential)
    except InputError as error:
        if options.potential != "chgnet":
            raise
        notes.append(
            f"no energies: {error}. With it, crystals are relaxed under their own symmetry, set against a hull and ranked by "
            "their energy above it; without, they are ranked by validity and likelihood"
        )
        say(notes[-1])
        return None


def _matched(cells: Sequence[AtomicStructure | None], options: Options, *, known: bool) -> UniqueNovel:
    crystals = options.reference.known if known else None
    return unique_and_novel(cells, () if crystals is None else crystals.cells, processes=options.processes)


def _mark_duplicates(rows: list[dict[str, Any]], found: UniqueNovel) -> None:
    """Name the first of its kind in every crystal that is another of them (StructureMatcher 0.2, 0.3, 5)."""
    for i, row in enumerate(rows):
        if int(found.classes[i]) != i and row["same_as"] is None:
            row["same_as"] = rows[int(found.classes[i])]["id"]


def _relax(
    rows: list[dict[str, Any]],
    cells: list[AtomicStructure],
    live: list[int],
    potential: Potential,
    hull: Hull,
    options: Options,
    cache: Cache,
) -> list[AtomicStructure]:
    """Relax the crystals that are different; those that become the same are duplicates of the first one."""
    outcomes = relax_many(
        [cells[i] for i in live],
        potential,
        options.relaxation,
        cache=cache,
        processes=options.processes,
        progress=options.bars,
    )
    final = list(cells)
    for i, outcome in zip(live, outcomes, strict=True):
        after = relaxed_cell(cells[i], outcome)
        rows[i] |= relaxed_row(rows[i]["space_group_number"], outcome, cells[i], after, hull)
        final[i] = cells[i] if after is None else after
    by_energy = sorted(
        live, key=lambda i: (rows[i]["energy_eV_per_atom"] is None, rows[i]["energy_eV_per_atom"] or 0.0)
    )
    found = _matched([final[i] for i in by_energy], options, known=False)
    for place, i in enumerate(by_energy):
        kept = by_energy[int(found.classes[place])]
        if kept != i:
            rows[i]["same_as"] = rows[kept]["id"]
    return final


def _mark_known(
    rows: list[dict[str, Any]], final: list[AtomicStructure], live: list[int], options: Options, notes: list[str]
) -> None:
    """Which crystals are among the known ones."""
    known = options.reference.known
    if known is None:
        notes.append("nobody was asked which crystals are known: give known crystals by --known DATA")
        return
    found = _matched([final[i] for i in live], options, known=True)
    for place, i in enumerate(live):
        rows[i]["new"] = bool(found.novel[place])
        if not rows[i]["new"]:
            rows[i]["known_as"] = _name_of_equal(final[i], known)


def _name_of_equal(cell: AtomicStructure, known: Crystals) -> str | None:
    """Name of the first known crystal that matches."""
    for name, other in zip(known.names, known.cells):
        same = other is not None and other.reduced == cell.reduced
        if same and np.isfinite(match_distances([cell], [other], setting=DEFAULT, processes=1)[0]):  # type: ignore[list-item]
            return str(name)
    return None


def _write_crystals(
    folder: Path,
    dataset: CrystalDataset,
    entries: list[dict[str, Any]],
    before: list[AtomicStructure],
    final: list[AtomicStructure],
    order: list[dict[str, Any]],
    where: list[int],
) -> list[str]:
    """A CIF file a crystal, relaxed where there is an energy; names by the number of the crystal, not by its rank."""
    from symjax.evaluate.describe import write_standard

    files = []
    for row, index in zip(order, where, strict=True):
        crystal, entry, cell = dataset.crystal(index), dict(entries[index]), final[index]
        if cell is not before[index]:  # representatives of a cell are the first atoms of its orbits
            crystal = dataclasses.replace(crystal, L=cell.L, x=cell.x[before[index].representatives])
        row["file"] = f"{index:05d}-{plain_formula(row['formula'])}.cif"
        write_standard(folder / row["file"], crystal, entry)
        files.append(row["file"])
    return files


def _diagrams(
    rows: list[dict[str, Any]], cells: list[AtomicStructure], hull: Hull, reference: Reference
) -> list[dict[str, Any]]:
    """Phase diagrams of two and three elements, those of the first crystals."""
    live = [i for i, row in enumerate(rows) if row["energy_eV_per_atom"] is not None and row["same_as"] is None]
    systems = list(dict.fromkeys(tuple(sorted(cells[i].counts)) for i in live))
    systems = [one for one in systems if 2 <= len(one) <= 3 and all(z in hull.references for z in one)]
    known = reference.known
    made = []
    for system in systems[:MAX_DIAGRAMS]:
        crystals = {} if known is None else dict(zip(known.names, known.cells))
        inside = {n: c for n, c in crystals.items() if c is not None and set(c.counts) <= set(system)}
        made.append(
            phase_diagram(
                hull,
                system,
                [cells[i].reduced for i in live],
                np.array([rows[i]["energy_eV_per_atom"] for i in live], float),
                names=[rows[i]["file"] for i in live],
                cells=[cells[i] for i in live],
                reference_cells=inside,
            )
        )
    return made


def _write_results(folder: Path, outcome: Outcome, options: Options) -> None:
    """`results.json`, which names all files; written last."""
    from symjax.data.files import write_text

    potential = options.potential
    name = potential if isinstance(potential, str) or potential is None else f"{potential.name}-{potential.version}"
    value = {
        "program": PROGRAM,
        "version": __version__,
        "model": options.source.model,
        "request": options.source.request.describe(),
        "seed": options.source.settings.seed,
        "asked_for": options.num,
        "draws": outcome.drawn.draws,
        "draws_that_gave_nothing": outcome.drawn.reasons,
        "ranked_by": "energy above hull, eV/atom" if outcome.hull is not None else "validity, then likelihood an orbit",
        "potential": name if outcome.hull is not None else None,
        "relaxation": {
            "fmax_eV_per_A": options.relaxation.fmax,
            "steps_at_most": options.relaxation.steps,
            "own_symmetry_kept": options.relaxation.symmetric,
        },
        "hull": None if outcome.hull is None else outcome.hull.describe(),
        "completeness": [one.as_json() for one in outcome.completeness],
        "notes": outcome.notes,
        "files": sorted({*outcome.files, RESULTS}),
        "crystals": outcome.rows,
        "phase_diagrams": [{k: v for k, v in one.items() if k != "png_base64"} for one in outcome.diagrams],
    }
    write_text(folder / RESULTS, json.dumps(value, indent=1, allow_nan=False) + "\n")
