"""`symjax generate --relax`: the crystals relaxed under their own symmetry by a universal potential, written beside the others.

Part of the command `generate` (not a command of its own). Cell and free coordinates move, operations stay. Source:
WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text), section 3.3 (limits of its public code: 0.05 eV/angstrom, 500
steps).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from symjax.cli.energies import FMAX, STEPS
from symjax.cli.potential import add_potential_option, potential_of
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.crystals.types import AtomicStructure, Crystal
    from symjax.data.dataset import CrystalDataset
    from symjax.evaluate.stability import Potential
    from symjax.parallel import Processes


def add_options(group: Any) -> None:
    """Register the option."""
    group.add_argument(
        "--relax",
        action="store_true",
        help="relax under the crystal's symmetry (needs the extra symjax-crystals[stability])",
    )
    add_potential_option(group)


def check(args: argparse.Namespace) -> None:
    """Ask for the potential before any work, so that a missing package is said at once.

    Raises:
        InputError: there are no crystals to relax, or the packages are missing.
    """
    if not args.relax:
        if args.potential != "chgnet":
            raise InputError("--potential needs --relax")
        return
    if args.realise == "none":
        raise InputError("--relax needs crystals; --realise none gives representations only")
    potential_of(args)


def relax_crystals(
    dataset: CrystalDataset,
    cells: list[AtomicStructure],
    entries: list[dict[str, Any]],
    potential: Potential,
    start: int = 0,
    *,
    processes: Processes,
    progress: bool,
) -> dict[int, Crystal]:
    """Relax all crystals and say in each entry what came out (`relaxed`); returns those that have an energy, by their place.

    Args:
        dataset: the crystals.
        cells: the same with their atoms written out.
        entries: one a crystal, changed in place.
        potential: what gives energies.
        start: number of the first crystal in file names.
        processes: worker processes.
        progress: whether to show a bar.
    """
    from symjax.evaluate import stability
    from symjax.evaluate.cache import Cache, default_path
    from symjax.evaluate.symmetry import detected_number

    options = stability.RelaxOptions(fmax=FMAX, steps=STEPS, symmetric=True)
    with Cache(default_path()) as cache:
        found = stability.relax_many(cells, potential, options, cache=cache, processes=processes, progress=progress)
    relaxed = {}
    for index, (cell, entry, outcome) in enumerate(zip(cells, entries, found, strict=True)):
        entry["relaxed"] = {
            "energy_unrelaxed_eV_per_atom": outcome["energy_initial"],
            "energy_eV_per_atom": outcome["energy_final"],
            **{name: outcome[name] for name in ("steps", "converged", "reason", "volume_ratio")},
            "file": None,
            "group_found": None,
            "potential": f"{potential.name}-{potential.version}",
        }
        after = stability.relaxed_cell(cell, outcome)
        if after is None:
            continue
        crystal = dataset.crystal(index)
        # representatives of a cell are the first atoms of its orbits
        relaxed[index] = replace(crystal, L=after.L, x=after.x[cell.representatives])
        entry["relaxed"] |= {
            "file": f"{start + index:05d}-relaxed.cif",
            "group_found": detected_number(after, 0.01, -1.0),
        }
    return relaxed


def summary(entries: list[dict[str, Any]]) -> str:
    """One line on how relaxation went."""
    converged = sum(entry["relaxed"]["converged"] for entry in entries)
    energies = [entry["relaxed"]["energy_eV_per_atom"] for entry in entries]
    known = sorted(value for value in energies if value is not None)
    span = f" ({known[0]:.3f} to {known[-1]:.3f} eV/atom)" if known else ""
    potential = entries[0]["relaxed"]["potential"] if entries else ""
    return (
        f"relaxed, {potential}: {converged} of {len(entries)} converged to {FMAX} eV/Å within {STEPS} steps, {len(known)} "
        f"have an energy{span}; each in index.json, energy_eV_per_atom"
    )
