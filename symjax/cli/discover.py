"""`symjax discover`: which crystals of these elements, formula or symmetry might exist, in one command.

Draws crystals, drops near-duplicates, relaxes under their own symmetry, sets them against a hull, ranks, and writes a table, CIF
files, phase diagrams and a page on which they turn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax import systems
from symjax.cli import generate_asked
from symjax.cli.energies import add_relaxation, relaxation_of
from symjax.cli.numbers import count, ratio, seed
from symjax.cli.potential import add_potential_option
from symjax.cli.workers import add_worker_options, workers_of
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.discover.run import Options, Outcome
    from symjax.generate.request import Request

ON_SCREEN = 25
EPILOG = """\
The same command goes on where it was stopped: every relaxed crystal is kept at once. Another command into the same folder is
refused; a larger --num adds crystals.

examples:
  symjax discover --elements Li,P,S --no-inversion --num 50 --out lips
  symjax discover --elements Li,P,S --num 50 --out lips --known train.npz --known val.npz
  symjax discover --formula SrTiO3 --num 20 --out titanates --model wyckoff_transformer --hull hull.json.gz"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "discover",
        help="generate, relax, rank by energy above the hull, and show",
        description="Draw crystals, drop near-duplicates, relax them under their own symmetry, set them against a hull, rank them. "
        "Writes results.json and results.csv (units in the keys), CIF files, phase diagrams and index.html. "
        "Without the extra symjax-crystals[stability] crystals are ranked by validity and likelihood.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = systems.system_names()
    parser.add_argument("--num", type=count, required=True, metavar="N", help="how many crystals to draw")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write (made if it is not there)")
    parser.add_argument("--model", choices=names, default="symop", help="what draws them (default symop)")
    parser.add_argument("--weights", metavar="DIR", help="trained weights (default: those in the package)")
    parser.add_argument("--seed", type=seed, default=0, help="equal seeds give equal crystals (default 0)")
    parser.add_argument("--steps", type=count, metavar="N", help="diffusion steps (default: the model's own)")
    parser.add_argument("--realise", choices=("diffusion", "pyxtal"), help="what gives lattice and coordinates")
    parser.add_argument(
        "--min-ratio",
        type=ratio,
        default=0.6,
        metavar="R",
        help="redraw geometry with atoms closer than R covalent radii; 0: never (default 0.6)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="remove what an earlier run left in the folder, and start again"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bars and no table")
    generate_asked.add_options(
        parser.add_argument_group("what is asked for", "nothing by default; all that is given must hold")
    )
    energy = parser.add_argument_group("energies (need the extra symjax-crystals[stability])")
    energy.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="DATA",
        help="known crystals (prepared .npz, CSV, CIFs): the hull is built of them, and crystals are new against them "
        "(may be repeated)",
    )
    energy.add_argument("--hull", type=Path, help="hull file of `symjax evaluate hull build`, instead of building one")
    energy.add_argument(
        "--relax-known", action="store_true", help="relax the known crystals for the hull (default: energies as given)"
    )
    add_potential_option(energy)
    energy.add_argument("--no-relax", action="store_true", help="no energies: rank by validity and likelihood")
    add_relaxation(energy)
    add_worker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Answer, write, show."""
    from symjax.cli.output import check_folder
    from symjax.generate.loop import check_request
    from symjax.generate.system import Settings

    folder = check_folder(args.out)
    chosen = systems.system(args.model)
    request = generate_asked.request_from(args)
    check_request(chosen, request, Settings(steps=args.steps if args.realise is None else None), None)
    if args.realise is not None:
        systems.check_realise(chosen, args.realise)
    if args.hull is not None and not args.hull.is_file():
        raise InputError(f"--hull {args.hull}: no such file; make one by `symjax evaluate hull build DATA --out FILE`")
    return _run(args, folder, request)


def _run(args: argparse.Namespace, folder: Path, request: Request) -> int:
    from symjax.discover.files import write_all
    from symjax.discover.run import discover
    from symjax.generate.progress import StageBar

    asked = request.describe()
    title = f"{args.num} crystals: {'whatever is found' if asked == 'nothing' else asked}"
    say = lambda text: None if args.quiet else print(f"symjax: {text}", file=sys.stderr)
    options = _options(args, request)
    with StageBar(args.num, show=not args.quiet and sys.stderr.isatty()) as bar:
        outcome = discover(
            options,
            folder,
            plan=_plan(args),
            overwrite=args.overwrite,
            progress=bar,
            say=say,
            extras=lambda where, found: write_all(where, found, title),
        )
    if not args.quiet:
        show(outcome, folder, title)
    return 0


def _plan(args: argparse.Namespace) -> dict[str, Any]:
    """What decides the crystals and their energies; how many, where the work is done, and what is known do not."""
    names = (
        "model",
        "weights",
        "seed",
        "steps",
        "realise",
        "min_ratio",
        "potential",
        "fmax",
        "relax_steps",
        "max_seconds",
    )
    asked = {one.dest: getattr(args, one.dest) for one in generate_asked.ASKED}
    return {name: getattr(args, name) for name in names} | {k: v for k, v in asked.items() if v is not None}


def _options(args: argparse.Namespace, request: Request) -> Options:
    from symjax.discover.drawing import Source
    from symjax.discover.energies import Reference
    from symjax.discover.run import Options
    from symjax.evaluate.sources import join, read_crystals
    from symjax.generate.system import Settings

    workers = workers_of(args)
    known = [read_crystals(path, processes=workers) for path in args.known]
    return Options(
        source=Source(args.model, args.weights, request, Settings(args.seed, args.steps), args.realise, args.min_ratio),
        num=args.num,
        reference=Reference(args.hull, join(known) if known else None, args.relax_known),
        potential=None if args.no_relax else args.potential,
        relaxation=relaxation_of(args, symmetric=True),
        processes=workers,
        bars=not args.quiet and sys.stderr.isatty(),
    )


def show(outcome: Outcome, folder: Path, title: str) -> None:
    """Print what must be known first, the table, and where everything is."""
    from symjax.cli.screen import Column, console, show_table, text
    from symjax.discover.files import warnings_of

    where = console()
    rows = [row for row in outcome.rows if row["same_as"] is None][:ON_SCREEN]
    flag = lambda value: {None: "", True: "yes", False: "no"}[value]
    energies = outcome.hull is not None
    column = lambda name, form, rank, left=False: Column(name, [form(row) for row in rows], rank, left)
    columns = [
        column("#", lambda row: str(row["rank"]), 0),
        column("formula", lambda row: row["formula"], 0, True),
        column("group", lambda row: f"{row['space_group']} ({row['space_group_number']})", 0, True),
    ]
    if energies:
        columns += [
            column("above hull, eV/atom", lambda row: text(row["energy_above_hull_eV_per_atom"], "+.3f", "none"), 0),
            column("eV/atom", lambda row: text(row["energy_eV_per_atom"], ".3f", "none"), 2),
            column("converged", lambda row: flag(row["converged"]), 3),
            column("group kept", lambda row: flag(row["group_kept"]), 5),
        ]
    else:
        columns += [
            column("valid", lambda row: flag(row["valid"]), 0),
            column("log-likelihood, nats", lambda row: text(row["log_likelihood_nats"], ".2f"), 2),
        ]
    kinds = lambda row: ", ".join(name for name in ("polar", "chiral") if row[name])
    known = lambda row: "" if row["new"] is None else "new" if row["new"] else "known"
    if any(row["new"] is not None for row in rows):
        columns.append(column("new", known, 1, True))
    columns += [column("kind", kinds, 4, True), column("file", lambda row: row["file"], 6, True)]
    show_table(title, columns, where)
    same = sum(row["same_as"] is not None for row in outcome.rows)
    where.print(f"{len(outcome.rows)} crystals out of {outcome.drawn.draws} draws; {same} the same as another one")
    for warning in warnings_of(outcome):
        where.print(f"note: {warning}", markup=False)
    where.print(f"written to {folder}: results.json, results.csv, index.html, {len(outcome.files)} files", markup=False)
