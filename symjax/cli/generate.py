"""`symjax generate`: crystals of any system from the shipped or given weights into a folder, with an index, a table and a picture.

What may be asked for are the fields of `symjax.generate.request.Request`, the same for every system; what a system takes besides
are its own `options`. What has no meaning for a system is refused with the system's reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from symjax import systems
from symjax.cli import generate_append, generate_asked, generate_parent, generate_relax
from symjax.cli.generate_files import FORMATS, describe, write
from symjax.cli.numbers import count, ratio, seed
from symjax.cli.output import add_overwrite
from symjax.cli.workers import add_worker_options, workers_of
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.crystals.types import AtomicStructure
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.loop import Generated
    from symjax.generate.request import Request
    from symjax.generate.system import Settings, System

ROWS_ON_SCREEN = 25
REPRESENTATIONS = "genes.jsonl"
SHORT = 3
"""Exit code where fewer crystals came out than were asked for."""
_LISTED = 10
EPILOG = """\
KIND is one of: inversion, mirror, glide, rotation-2, rotation-3, rotation-4, rotation-6, screw-2, screw-3, screw-4, screw-6,
rotoinversion-3, rotoinversion-4, rotoinversion-6 (any pitch of a screw counts).

Exit codes: 0 done, 2 wrong input or nothing came out, 3 fewer crystals than asked for (those are written), 130 interrupted.

examples:
  symjax generate --num 100 --out crystals
  symjax generate --num 20 --out titanates --formula SrTiO3
  symjax generate --num 20 --out piezo --no-inversion --polar
  symjax generate --num 20 --out phases --parent BaTiO3.cif                       # lower symmetry, learned
  symjax generate --num 5 --out parents --parent tetragonal.cif --direction above
  symjax generate --num 20 --out rocksalt --model symmcd --space-group 225 --orbits 2
  symjax generate --num 20 --out salts --model wyckoff_transformer --space-group 225 --prefix Na:4a --include Cl"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "generate",
        help="generate crystals",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Generate crystals: files, index.json, crystals.npz and a picture in one folder.",
    )
    every = [systems.system(name) for name in systems.system_names()]
    about = "; ".join(f"{one.name}: {one.about}" for one in every)
    parser.add_argument("--num", type=count, required=True, metavar="N", help="how many crystals")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write (made if it is not there)")
    parser.add_argument(
        "--model", choices=[one.name for one in every], default="symop", help=f"{about} (default symop)"
    )
    parser.add_argument("--weights", metavar="DIR", help="trained weights (default: those in the package)")
    parser.add_argument("--seed", type=seed, default=0, help="equal seeds give equal crystals (default 0)")
    parser.add_argument(
        "--format", choices=FORMATS, default="cif", help="cif: a file each; others: one file (default cif)"
    )
    parser.add_argument(
        "--setting",
        metavar="SYMBOL",
        help="of the files of crystals of its type: Pbnm, Fd-3m:1, ... (the standard one)",
    )
    parser.add_argument("--steps", type=count, metavar="N", help="diffusion steps (default: the model's own)")
    parser.add_argument("--batch", type=count, default=64, metavar="N", help="crystals at a time (default 64)")
    parser.add_argument(
        "--min-ratio",
        type=ratio,
        default=0.6,
        metavar="R",
        help="redraw geometry with atoms closer than R covalent radii; 0: never (default 0.6)",
    )
    generate_relax.add_options(parser)
    add_overwrite(parser)
    parser.add_argument("--append", action="store_true", help="add to the crystals of an earlier run in the folder")
    parser.add_argument("--no-picture", action="store_true", help="write no crystals.png")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar and no table")
    generate_asked.add_options(
        parser.add_argument_group("what is asked for", "nothing by default; all that is given must hold")
    )
    add_realise(
        parser.add_argument_group("lattice and coordinates", "for the elements and positions that a model has drawn")
    )
    generate_parent.add_options(
        parser.add_argument_group("from a parent crystal", "its symmetry lowered or raised by the model")
    )
    add_worker_options(parser.add_argument_group("processes", "of --realise pyxtal and --relax"))
    for one in every:
        add_own(parser, one)


def add_realise(group: Any) -> None:
    """Options of what gives lattice and coordinates."""
    group.add_argument(
        "--realise",
        choices=systems.REALISERS,
        help="by symop's diffusion, random by PyXtal, or representations only (default: the model's own, else diffusion)",
    )
    group.add_argument("--attempts", type=count, metavar="N", help="pyxtal: attempts for each (default 30)")
    group.add_argument("--seconds", type=float, metavar="S", help="pyxtal: time for each (default 20)")


def add_own(parser: argparse.ArgumentParser, one: System) -> None:
    """Options of one system; those that several systems have stand once."""
    known = {action.dest for action in parser._actions}
    new = [option for option in one.options if option.name not in known]
    if not new:
        return
    group = parser.add_argument_group(one.name, one.about)
    for option in new:
        flag = f"--{option.name.replace('_', '-')}"
        if option.type is bool:
            group.add_argument(flag, action="store_true", default=None, help=option.help)
            continue
        group.add_argument(
            flag, type=option.type, metavar=option.metavar, choices=option.choices or None, help=option.help
        )


def own_options(args: argparse.Namespace, chosen: System) -> dict[str, Any]:
    """Values of a system's own options, as far as given.

    Raises:
        InputError: an option of other systems was given; the message names them.
    """
    own = {option.name for option in chosen.options}
    every = [systems.system(name) for name in systems.system_names()]
    for name in dict.fromkeys(option.name for one in every for option in one.options):
        if name not in own and getattr(args, name) is not None:
            owners = " or ".join(one.name for one in every if name in {option.name for option in one.options})
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} does not go with --model {chosen.name}: {flag} belongs to --model {owners}")
    return {name: getattr(args, name) for name in sorted(own) if getattr(args, name) is not None}


def check(args: argparse.Namespace) -> tuple[System, Request, dict[str, Any]]:
    """What is asked of which system, checked before anything is loaded.

    Raises:
        InputError: options that cannot be read, do not go together, or have no meaning for the system.
    """
    from symjax.generate.loop import check_request
    from symjax.generate.system import Settings

    chosen = systems.system(args.model)
    own = own_options(args, chosen)
    if args.parent is not None and "parent" in chosen.without_meaning:
        raise InputError(f"--parent cannot be asked of {chosen.name}: {chosen.without_meaning['parent']}")
    if args.parent is not None and own:
        raise InputError(f"--{next(iter(own)).replace('_', '-')} has no meaning with --parent")
    generate_parent.check(args, generate_asked.given(args))
    request = generate_asked.request_from(args)
    steps = args.steps if args.realise is None else None  # else they are the realiser's
    check_request(chosen, request, Settings(steps=steps, options=own), None)
    if args.realise is not None:
        systems.check_realise(chosen, args.realise, own)
        if args.parent is not None:
            raise InputError("--realise has no meaning here: lattice and coordinates start from the parent's")
    for name in ("attempts", "seconds"):
        if getattr(args, name) is not None and args.realise != "pyxtal":
            raise InputError(f"--{name} needs --realise pyxtal")
    if args.realise in ("pyxtal", "none") and args.steps is not None:
        raise InputError(f"--steps are diffusion steps and do not go with --realise {args.realise}")
    if args.append and args.overwrite:
        raise InputError("--append keeps what is there, --overwrite replaces it: leave one out")
    generate_asked.check_setting(args, request.groups)
    generate_relax.check(args)
    return chosen, request, own


class Drawn(NamedTuple):
    """What a way of generating gives.

    Attributes:
        dataset: the crystals; None where there are only representations of crystals.
        about: more values for the index.
        each: more values for the entry of each crystal, or None.
        before: prints what comes before the table of crystals.
        after: prints what comes after it.
        files: writes more files into a folder.
        missing: crystals that were asked for and did not come out.
    """

    dataset: CrystalDataset | None
    about: dict[str, Any] = {}
    each: list[dict[str, Any]] | None = None
    before: Callable[[list[AtomicStructure]], None] = lambda cells: None
    after: Callable[[], None] = lambda: None
    files: Callable[[Path], None] = lambda folder: None
    missing: int = 0


def run(args: argparse.Namespace) -> int:
    """Generate, write, and show what was made."""
    from symjax.cli.output import check_folder, show_then_write, staged_folder

    folder = check_folder(args.out, overwrite=args.overwrite, append=args.append)
    workers_of(args)
    chosen, request, own = check(args)
    before = generate_append.earlier(folder, args) if args.append else None
    started = time.perf_counter()
    drawn = _from_parent(args, chosen) if args.parent is not None else _generate(args, chosen, request, own)
    drawing = {"seconds": round(time.perf_counter() - started, 3), "hardware": hardware()}
    found = describe(drawn.dataset, args, drawn.each, before)

    def shown() -> None:
        if not args.quiet:
            drawn.before(found.cells)
            if drawn.dataset is not None:
                show(found.entries, folder, relaxed=args.relax)
            drawn.after()
            if args.relax:
                print(generate_relax.summary(found.entries))

    def written() -> None:
        with staged_folder(folder, keep=before is not None) as stage:
            drawn.files(stage)
            write(stage, found, args, drawing | drawn.about, before)

    show_then_write(shown, written)
    if not args.quiet:
        print(f"written to {folder}{'/' if not str(folder).endswith('/') else ''}")
    if drawn.missing:
        print(
            f"symjax: {drawn.missing} of {args.num} crystals are missing: every draw for them failed; the others are written",
            file=sys.stderr,
        )
        return SHORT
    return 0


def _settings(args: argparse.Namespace, own: dict[str, Any], progress: Any) -> Settings:
    from symjax.generate.system import Settings

    return Settings(args.seed, args.steps, args.batch, progress, own)


def _generate(args: argparse.Namespace, chosen: System, request: Request, own: dict[str, Any]) -> Drawn:
    from symjax.generate.progress import StageBar

    limits = {name: getattr(args, name) for name in ("attempts", "seconds") if getattr(args, name) is not None}
    limits["processes"] = workers_of(args)
    with StageBar(args.num, show=not args.quiet) as bar:
        made = systems.generate(
            chosen.name,
            args.num,
            weights=args.weights,
            request=request,
            settings=_settings(args, own, bar),
            realise=args.realise,
            min_ratio=args.min_ratio,
            limits=limits,
        )
    return Drawn(
        made.dataset,
        for_index(made),
        for_entries(made),
        after=lambda: show_draws(made),
        files=partial(write_more, made=made, genes=not chosen.draws_coordinates),
        missing=made.missing,
    )


def _from_parent(args: argparse.Namespace, chosen: System) -> Drawn:
    parent, found = generate_parent.draw(args, chosen)
    about, each = generate_parent.for_index(parent, found)
    missing = args.num - len(found.dataset)
    return Drawn(
        found.dataset,
        about | {"missing": missing},
        each,
        before=lambda cells: generate_parent.show(parent, found, cells),
        missing=missing,
    )


def for_index(made: Generated) -> dict[str, Any]:
    """What the index says about drawing: how many draws there were, which came to nothing, what became crystals."""
    return {
        "draws": made.attempts,
        "failed_draws": made.failed,
        "unrealised": [{**one, "reason": reason} for one, reason in made.unrealised],
        "missing": made.missing,
    }


def for_entries(made: Generated) -> list[dict[str, Any]] | None:
    """What the index says about each crystal: the group asked for, where it is only a condition."""
    asked = None if made.dataset is None else made.dataset.properties.get("requested_group")
    return None if asked is None else [{"requested_group": int(number)} for number in asked]


def write_more(folder: Path, *, made: Generated, genes: bool) -> None:
    """Representations of a model that draws no coordinates; the trace of the crystal with most steps, where it was asked for."""
    if genes:
        write_representations(folder / REPRESENTATIONS, made)
    if made.history is None or made.dataset is None:
        return
    import numpy as np

    from symjax.data.structure_types import reduced_formula
    from symjax.draw.operations import draw_history
    from symjax.groups.identify import identify

    row = int(np.argmax([len(sets) for sets in made.history]))
    sets = made.history[row]
    cell = made.dataset.crystal(row).atoms()
    numbers = [identify(one).number for one in sets]
    formula = reduced_formula(cell.z, np.ones(len(cell.z)))
    draw_history(folder / "trace.png", sets, numbers, cell, numbers[-1], formula)


def write_representations(path: Path, made: Generated) -> None:
    """One JSON object a line, line i for crystal i (`symjax.generate.representations`)."""
    import json

    from symjax.generate.representations import representations

    path.write_text("".join(json.dumps(one) + "\n" for one in representations(made.types)))


def show_draws(made: Generated) -> None:
    """Say how many draws came to nothing, and why."""
    lost = sum(made.failed.values())
    print(f"{lost} of {made.attempts} draws gave nothing{_reasons(made.failed)}")
    if made.dataset is None:
        print(f"{len(made.types.z)} representations in {REPRESENTATIONS}, one a line")
        return
    if made.dataset.properties.get("requested_group") is not None:
        print(
            "the space group is only a condition of these weights; crystals are in P1, with requested_group in the index"
        )
    if made.unrealised:
        drawn = made.attempts - lost
        reasons = _reasons(Counter(reason for _, reason in made.unrealised))
        print(f"{drawn - len(made.unrealised)} of {drawn} representations realised{reasons}")
    for one, reason in made.unrealised[:_LISTED]:
        orbits = ", ".join(f"{orbit['element']} {orbit['position']}" for orbit in one["orbits"])
        print(f"  not realised: {one['formula']} in {one['space_group']} ({orbits}): {reason}")
    if len(made.unrealised) > _LISTED:
        print(f"  ... and {len(made.unrealised) - _LISTED} more, all in index.json")


def _reasons(counts: Mapping[str, int]) -> str:
    """Reasons in brackets, the most frequent first."""
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f" ({listed})" if listed else ""


def hardware() -> str:
    """What the crystals were drawn on."""
    import os

    import jax

    devices = jax.devices()
    return f"{len(devices)} {devices[0].device_kind} device(s), {os.cpu_count()} CPU cores"


def show(entries: list[dict[str, Any]], folder: Path, *, relaxed: bool) -> None:
    """Print the table of crystals and a summary."""
    from symjax.cli.screen import Column, console, show_table, text

    where, rows = console(), entries[:ROWS_ON_SCREEN]
    column = lambda name, form, rank, left=False: Column(name, [form(row) for row in rows], rank, left)
    columns = [
        Column("#", [str(index) for index in range(len(rows))]),
        column("formula", lambda row: row["formula"], 0, True),
        column("group", lambda row: f"{row['group']['symbol']} ({row['group']['number']})", 0, True),
        column("operations", lambda row: str(row["num_operations"]), 4),
        column("orbits", lambda row: str(len(row["orbits"])), 3),
        column("atoms", lambda row: str(row["num_atoms"]), 2),
        column("Å³/atom", lambda row: f"{row['volume'] / row['num_atoms']:.1f}", 5),
        column("shortest, Å", lambda row: f"{row['shortest_distance']:.2f}", 6),
        column("/ covalent", lambda row: f"{row['shortest_over_covalent_radii']:.2f}", 1),
    ]
    if relaxed:
        energy = lambda row: text(row["relaxed"]["energy_eV_per_atom"], ".3f", "none")
        columns.append(column("relaxed, eV/atom", energy, 0))
    show_table(f"{len(entries)} crystals", columns, where)
    if len(entries) > ROWS_ON_SCREEN:
        where.print(f"... and {len(entries) - ROWS_ON_SCREEN} more, all in {folder / 'index.json'}")
    groups = Counter(entry["group"]["number"] for entry in entries)
    formulas = len({entry["formula"] for entry in entries})
    whole = sum(entry["group_found_in_atoms"]["has_all_operations"] for entry in entries)
    more = sum(entry["group_found_in_atoms"]["has_more"] for entry in entries)
    where.print(
        f"{len(groups)} space groups, {formulas} formulas; the generated operations were found again in the atoms of "
        f"{whole} of {len(entries)} (spglib, 0.01 Å), and a larger group in {more}"
    )
