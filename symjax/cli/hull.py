"""`symjax evaluate hull build DATA --out FILE`: energies of reference crystals, once, from one potential."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from symjax.cli.energies import add_relaxation, relaxation_of
from symjax.cli.potential import add_potential_option, potential_of
from symjax.cli.sources import cache_of, progress_of, read_source, system_of
from symjax.cli.workers import add_worker_options, workers_of

PROGRAM = "symjax evaluate hull"
USAGE = f"{PROGRAM} build DATA [DATA ...] --out hull.json.gz"
LISTED = 10


def add_parser(subparsers: Any) -> None:
    """Add the subcommand, which `symjax evaluate hull` leads to."""
    parser = subparsers.add_parser(
        "hull",
        prog=PROGRAM,
        help="build and look into hulls of reference crystals (also `symjax evaluate hull`)",
        description="A hull holds the energies of reference crystals, all from one potential. It should hold every known crystal "
        "there is: where competing phases are not in it, energies above it come out too low.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="make a hull of reference crystals",
        description="Energies of reference crystals into one file. Elements without a reference crystal get one from prototypes, "
        "relaxed with the same potential.",
    )
    build.add_argument("data", nargs="*", metavar="DATA", help="prepared .npz, CSV, folder of CIFs, extxyz, JSON")
    build.add_argument("--out", "-o", type=Path, metavar="FILE", help="file to write (.json or .json.gz)")
    build.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="Li-P-S",
        help="only crystals within this chemical system (may be repeated); small and quick",
    )
    build.add_argument("--relax", action="store_true", help="relax the reference crystals too")
    build.add_argument("--keep-symmetry", action="store_true", help="relax under the crystals' own operations")
    add_potential_option(build)
    add_relaxation(build)
    build.add_argument("--cache", type=Path, help="file of per-crystal results (default: the user's cache folder)")
    build.add_argument("--no-cache", action="store_true", help="keep nothing on disk")
    build.add_argument("--quiet", "-q", action="store_true", help="no progress bars")
    add_worker_options(build)
    show = actions.add_parser("show", help="what a hull holds, and how complete it is in some chemical systems")
    show.add_argument("file", type=Path)
    show.add_argument("--system", action="append", default=[], metavar="Li-P-S", help="may be repeated")


def run(args: argparse.Namespace) -> int:
    """Build or show."""
    return _build(args) if args.action == "build" else _show(args)


def _show(args: argparse.Namespace) -> int:
    from symjax.evaluate.stability import load_hull

    hull = load_hull(args.file)
    print(f"{args.file}: {hull.describe()}")
    _tell(hull, [system_of(text) for text in args.system])
    return 0


def _build(args: argparse.Namespace) -> int:
    """Energies of reference crystals into one file."""
    from symjax.errors import InputError
    from symjax.evaluate.sources import join
    from symjax.evaluate.stability import build_hull

    if not args.data or args.out is None:
        raise InputError(f"usage: {USAGE} (several sources of DATA may be given)")
    systems = [system_of(text) for text in args.system]
    potential = potential_of(args)
    with cache_of(args) as cache:
        data = join([read_source(path, args, cache) for path in args.data])
        pairs = [(name, cell) for name, cell in zip(data.names, data.cells) if cell is not None]
        hull = build_hull(
            [cell for _, cell in pairs],
            [name for name, _ in pairs],
            potential,
            cache,
            relax=args.relax,
            options=relaxation_of(args, symmetric=args.keep_symmetry),
            systems=systems or None,
            out=args.out,
            processes=workers_of(args),
            source=", ".join(Path(path).name for path in args.data),
            progress=progress_of(args),
        )
    print(f"{args.out}: {hull.describe()}")
    _tell(hull, systems)
    for name, reason in hull.failed[:LISTED]:
        print(f"  left out {name}: {reason}")
    if len(hull.failed) > LISTED:
        print(f"  and {len(hull.failed) - LISTED} more, in the file")
    return 0


def _tell(hull: Any, systems: list[tuple[int, ...]]) -> None:
    """How much the hull knows of chemical systems."""
    from symjax.evaluate.stability.completeness import of_systems

    for one in of_systems(hull, systems):
        print(f"  {one.system}: {one}")
