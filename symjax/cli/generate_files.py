"""Files of `symjax generate`: crystals in one of three formats, index, table of the package, picture.

Part of the command `generate` (not a command of its own).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from symjax.cli import generate_relax
from symjax.cli.potential import potential_of
from symjax.cli.workers import workers_of

if TYPE_CHECKING:
    from symjax.cli.generate_append import Earlier
    from symjax.crystals.types import AtomicStructure, Crystal
    from symjax.data.dataset import CrystalDataset

FORMATS = ("cif", "extxyz", "json")
PICTURED = 18


class Described(NamedTuple):
    """What is known of the crystals before anything is written.

    Attributes:
        dataset: the crystals; None where there are only representations of crystals.
        cells: their atoms.
        entries: their entries of the index.
        relaxed: those that were relaxed and have an energy, by their place.
    """

    dataset: CrystalDataset | None
    cells: list[AtomicStructure]
    entries: list[dict[str, Any]]
    relaxed: dict[int, Crystal]


def describe(
    dataset: CrystalDataset | None,
    args: argparse.Namespace,
    each: list[dict[str, Any]] | None = None,
    before: Earlier | None = None,
) -> Described:
    """Index entries of the crystals, which are relaxed if asked for.

    Args:
        dataset: the crystals, if there are any.
        args: the command line.
        each: more values for the entry of each crystal.
        before: an earlier run in the folder, to which this one is added.
    """
    from tqdm import tqdm

    from symjax.cli.generate_append import renumbered
    from symjax.evaluate.describe import describe_all

    start = 0 if before is None else before.number
    if dataset is not None and before is not None:
        dataset = renumbered(dataset, start)
    found = Described(dataset, [], [], {})
    if dataset is None:
        return found
    for cell, entry in tqdm(
        describe_all(dataset), total=len(dataset), desc=f"{'group, sizes':<24}", unit="crystal", disable=args.quiet
    ):
        found.cells.append(cell)
        found.entries.append(entry)
    for entry, more in zip(found.entries, each or []):
        entry.update(more)
    if not args.relax:
        return found
    relaxed = generate_relax.relax_crystals(
        dataset,
        found.cells,
        found.entries,
        potential_of(args),
        start,
        processes=workers_of(args),
        progress=not args.quiet,
    )
    return found._replace(relaxed=relaxed)


def write(
    stage: Path, found: Described, args: argparse.Namespace, drawing: dict[str, Any], before: Earlier | None = None
) -> None:
    """Write all files into ``stage``.

    Args:
        stage: folder.
        found: the crystals.
        args: the command line.
        drawing: how long drawing took (compilation included) and on what, and anything else for the index.
        before: an earlier run in the folder, to which this one is added.
    """
    from symjax import __version__
    from symjax.cli.generate_append import asked, merged, prepend
    from symjax.cli.output import INDEX, write_json
    from symjax.data.dataset import joined
    from symjax.evaluate.describe import write_standard
    from symjax.groups.symbols import parse_setting

    if found.dataset is not None:
        hall = None if args.setting is None else parse_setting(args.setting)
        start = 0 if before is None else before.number
        _write_crystals(stage, found.dataset, found.entries, args.format, start, hall)
        for row, crystal in found.relaxed.items():
            entry = found.entries[row]
            write_standard(stage / entry["relaxed"]["file"], crystal, entry, hall)
        whole = found.dataset if before is None else joined([before.dataset, found.dataset])
        whole.save(stage / "crystals.npz")
        if before is not None:
            prepend(stage, before.folder, args.format)
        if not args.no_picture:
            known = [] if before is None else before.content["crystals"]
            old = [] if before is None else before.dataset.all_atoms()
            _draw(stage / "crystals.png", [*old, *found.cells], [*known, *found.entries])
    index = {
        "program": "symjax generate",
        "version": __version__,
        "options": asked(args),
        **drawing,
        "files": sorted({file.name for file in stage.iterdir()} | {INDEX}),
        "crystals": found.entries,
    }
    write_json(stage / INDEX, index if before is None else merged(before.content, index))


def _write_crystals(
    stage: Path, dataset: CrystalDataset, entries: list[dict[str, Any]], kind: str, start: int, hall: int | None
) -> None:
    """Write the crystals in one format, numbered from `start`, and the name of each one's file into its entry.

    Those of the type of a Hall number are written in that setting; others, and all without one, in CIF files in the standard one.
    """
    import json

    from symjax.crystals.io import format_extxyz, to_pymatgen
    from symjax.evaluate.composition import plain_formula
    from symjax.evaluate.describe import in_file_setting, write_standard
    from symjax.groups.symbols import setting_name
    from symjax.groups.tables import hall_to_number

    if hall is not None and hall_to_number(hall) not in [entry["group"]["number"] for entry in entries]:
        print(f"symjax: note: no crystal has the type of --setting {setting_name(hall)}", file=sys.stderr)
    crystals = [dataset.crystal(index) for index in range(len(dataset))]
    if kind != "cif" and hall is not None:
        crystals = [in_file_setting(crystal, entry, hall)[0] for crystal, entry in zip(crystals, entries)]
    for index, (crystal, entry) in enumerate(zip(crystals, entries)):
        entry["file"] = (
            f"crystals.{kind}" if kind != "cif" else f"{start + index:05d}-{plain_formula(entry['formula'])}.cif"
        )
        if kind == "cif":
            write_standard(stage / entry["file"], crystal, entry, hall)
    if kind == "extxyz":
        frames = [format_extxyz(crystal, id=entry["id"]) for crystal, entry in zip(crystals, entries)]
        (stage / "crystals.extxyz").write_text("".join(frames))
    elif kind == "json":
        structures = [to_pymatgen(crystal).as_dict() for crystal in crystals]
        (stage / "crystals.json").write_text(json.dumps(structures) + "\n")


def _draw(path: Path, cells: list[AtomicStructure], entries: list[dict[str, Any]]) -> None:
    from symjax.draw.page import draw_page, grid_order

    groups = [entry["group"]["number"] for entry in entries]
    order = grid_order(groups, [-len(cell.z) for cell in cells], PICTURED)
    draw_page(
        [cells[i] for i in order],
        [entries[i]["formula"] for i in order],
        [groups[i] for i in order],
        path,
        all_groups=groups,
        heading=f"{len(cells)} generated crystals" if len(cells) > 1 else "",
    )
