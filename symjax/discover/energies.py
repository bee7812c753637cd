"""The hull that crystals of a run are set against, and what is said of it before anything is relaxed.

A hull comes from a file, or is built of known crystals for the chemical systems that occur; elements without a reference crystal
get one from prototypes, relaxed with the same potential. Everything that will be missing is told first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from symjax.crystals.types import AtomicStructure
from symjax.elements import SYMBOLS
from symjax.errors import InputError
from symjax.evaluate.cache import Cache
from symjax.evaluate.sources import Crystals
from symjax.evaluate.stability import Hull, Potential, RelaxOptions, build_hull, elemental_references, load_hull
from symjax.evaluate.stability.completeness import Completeness, of_systems
from symjax.evaluate.stability.elements import lacking
from symjax.parallel import Processes

Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Reference:
    """What is known.

    Attributes:
        hull: file of a hull; None to build one.
        known: known crystals, of which a hull is built and against which crystals are new; None for none.
        relax_known: whether known crystals are relaxed for the hull (else their energies are as given, a little high).
    """

    hull: Path | None = None
    known: Crystals | None = None
    relax_known: bool = False


def hull_for(
    cells: Sequence[AtomicStructure],
    reference: Reference,
    potential: Potential,
    options: RelaxOptions,
    cache: Cache,
    say: Say,
    *,
    processes: Processes = None,
    progress: bool = False,
) -> tuple[Hull, list[Completeness]]:
    """The hull of the chemical systems of some crystals, and how complete it is in each of them.

    Args:
        cells: the crystals.
        reference: what is known.
        potential: the same for known crystals and for those of the run.
        options: of relaxations.
        cache: finished work is taken from here and stored here.
        say: told what is missing, before anything is computed.
        processes: worker processes.
        progress: whether to show bars on stderr.

    Raises:
        InputError: the hull cannot be read, or belongs to another potential.
    """
    systems = sorted({tuple(sorted(cell.counts)) for cell in cells})
    elements = sorted({z for system in systems for z in system})
    kind = f"{potential.name}-{potential.version}"
    if reference.hull is not None:
        hull = load_hull(reference.hull)
        if hull.potential != kind:
            raise InputError(
                f"{reference.hull}: is a hull of {hull.potential}, the crystals get energies from {kind}; the two do not "
                "compare. Build one by `symjax evaluate hull build DATA --out FILE`"
            )
    else:
        hull = Hull((), kind, {"relaxed": reference.relax_known, "source": "none"})
    known = [] if reference.known is None else [cell for cell in reference.known.cells if cell is not None]
    entries = [(z,) for cell in known if len(cell.counts) == 1 for z in cell.counts]
    missing = [z for z in lacking(hull.entries, elements) if z in elements and (z,) not in entries]
    if missing:
        names = ", ".join(SYMBOLS[z] for z in missing)
        say(f"no reference crystal for {names}: elemental references are made from prototypes by {kind} first")
    if reference.hull is None and known:
        assert reference.known is not None
        names_of = [name for name, cell in zip(reference.known.names, reference.known.cells) if cell is not None]
        hull = build_hull(
            known,
            names_of,
            potential,
            cache,
            relax=reference.relax_known,
            options=options,
            systems=systems,
            source=reference.known.source,
            processes=processes,
            progress=progress,
        )
    elif missing:
        added, failed = elemental_references(missing, potential, cache, processes=processes, progress=progress)
        settings = dict(hull.settings)
        settings["elements_from_prototypes"] = [*settings.get("elements_from_prototypes", []), *(e.name for e in added)]
        hull = dataclasses.replace(
            hull, entries=(*hull.entries, *added), settings=settings, failed=(*hull.failed, *failed), _systems={}
        )
    found = of_systems(hull, systems)
    for one in found:
        if one.empty or one.missing:
            say(f"hull, {one.system}: {one}")
    return hull, found
