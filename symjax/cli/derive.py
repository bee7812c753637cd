"""`symjax derive`: symmetry-reduced structures of a parent crystal in a folder, relaxed on demand, with index, table, picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.cli.energies import add_relaxation, relaxation_of
from symjax.cli.output import add_overwrite
from symjax.cli.potential import add_potential_option, potential_of
from symjax.cli.workers import add_worker_options, workers_of
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.cli.derive_classes import Class
    from symjax.cli.parent import Parent
    from symjax.navigate.derive import Derived

EPILOG = """\
The amplitude is the largest displacement of an atom from its place in the parent, the strain the largest principal strain; both
along what the subgroup sets free. Every class of subgroups of the type is used in turn unless --relation picks one.

examples:
  symjax derive BaTiO3.cif --to 99 --out tetragonal
  symjax derive BaTiO3.cif --irrep GM4- --direction "(a,a,0)" --out amm2
  symjax derive BaTiO3.cif --to R3m --amplitude 0.2 --num 5 --out rhombohedral
  symjax derive BaTiO3.cif --to 38 --relax --out orthorhombic
  symjax derive BaTiO3.cif --to 99 --max-cell 2 --out antipolar"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "derive",
        help="symmetry-reduced structures of a crystal",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Write structures that keep a subgroup of a crystal's group and no more: CIF files, index.json, table.csv and "
        "a picture in one folder.",
    )
    parser.add_argument("file", type=Path, help="the parent: CIF, POSCAR, .vasp or .extxyz, plain or .gz")
    parser.add_argument("--to", metavar="TYPE", help="type of the subgroup: number 1..230 or symbol, as P4mm")
    parser.add_argument(
        "--irrep",
        metavar="IRREP",
        help="instead of --to: move along one irrep of the parent's group, such as GM4- or R4+",
    )
    parser.add_argument(
        "--direction",
        metavar="DIR",
        help="of its order parameter, such as '(a,a,0)': equal letters are equal components; or numbers, '(1,0.5,0)' "
        "(all directions in turn)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write (made if it is not there)")
    parser.add_argument("--num", type=int, default=20, metavar="N", help="structures to draw (20)")
    parser.add_argument("--amplitude", type=float, default=0.1, metavar="A", help="largest displacement, Å (0.1)")
    parser.add_argument("--strain", type=float, default=1.0, metavar="S", help="largest principal strain, percent (1)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal structures (0)")
    parser.add_argument(
        "--max-cell",
        type=int,
        metavar="K",
        help="primitive cells up to K times the parent's, 1 to 27 (the smallest that will do, up to 4)",
    )
    parser.add_argument("--relation", type=int, metavar="I", help="only class I of the table of classes, from 1")
    parser.add_argument(
        "--min-distance",
        type=float,
        metavar="D",
        help="atoms nearer than D Å collide (0.7 of the parent's shortest distance)",
    )
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="tolerance of the parent's symmetry, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    parser.add_argument(
        "--setting",
        metavar="SYMBOL",
        help="write the structures in this setting of the subgroup's type: Pbnm, Fd-3m:1, a Hall symbol (the standard one)",
    )
    parser.add_argument("--no-picture", action="store_true", help="write no structures.png")
    parser.add_argument("--quiet", "-q", action="store_true", help="no tables and no progress bar")
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print the index as JSON instead of tables")
    relax = parser.add_argument_group("relaxation (needs the extra symjax-crystals[stability])")
    relax.add_argument(
        "--relax", action="store_true", help="relax each under its own symmetry; energies against the parent"
    )
    add_potential_option(relax)
    add_relaxation(relax)
    relax.add_argument(
        "--cache", type=Path, help="file of finished relaxations (the user's cache folder, or $SYMJAX_CACHE)"
    )
    relax.add_argument("--no-cache", action="store_true", help="keep no finished relaxations")
    add_worker_options(relax)


def run(args: argparse.Namespace) -> int:
    """Derive, relax if asked, write, and show what was made."""
    from symjax.cli.derive_classes import draw, find_classes, irrep_classes
    from symjax.cli.derive_report import describe, show, write
    from symjax.cli.output import check_folder, note_other_axes, setting_of, show_then_write, staged_folder
    from symjax.cli.parent import read_parent
    from symjax.groups.symbols import parse_space_group

    check_numbers(args)
    workers_of(args)
    if (args.to is None) == (args.irrep is None):
        raise InputError("give either --to, such as --to P4mm, or --irrep, such as --irrep GM4-")
    if args.direction is not None and args.irrep is None:
        raise InputError("--direction is one of an irrep; give --irrep as well")
    number = None if args.to is None else parse_space_group(args.to)
    folder = check_folder(args.out, overwrite=args.overwrite)
    potential = potential_of(args) if args.relax else None
    if args.to is not None and args.setting is None:
        note_other_axes(args.to)
    parent = read_parent(args.file, args.symprec)
    parent.warn()
    classes = irrep_classes(parent, args) if number is None else find_classes(parent, number, args)
    hall = setting_of(args.setting, {one.relation.number for one in classes})
    sets = draw(parent, classes, args)
    relaxed = _relax(parent, sets, potential, args) if args.relax else None
    found = describe(parent, classes, sets, relaxed=relaxed, args=args, hall=hall)

    def shown() -> None:
        if args.json:
            print(json.dumps(found.report))
        elif not args.quiet:
            show(found.report, folder)

    def written() -> None:
        with staged_folder(folder) as stage:
            write(stage, parent, found)

    show_then_write(shown, written)
    if not args.json and not args.quiet:
        print(f"written to {folder}{'' if str(folder).endswith('/') else '/'}")
    return 0


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot be meant, before any work.

    Raises:
        InputError: which option, and what it may be.
    """
    from symjax.navigate.klassengleiche import MAX_TARGET_INDEX

    rules = (
        ("--num", args.num, args.num >= 1, "at least 1"),
        ("--amplitude", args.amplitude, 0 <= args.amplitude <= 10, "0 to 10 angstrom"),
        ("--strain", args.strain, 0 <= args.strain <= 50, "0 to 50 percent"),
        (
            "--max-cell",
            args.max_cell,
            args.max_cell is None or 1 <= args.max_cell <= MAX_TARGET_INDEX,
            f"1 to {MAX_TARGET_INDEX}",
        ),
        (
            "--min-distance",
            args.min_distance,
            args.min_distance is None or args.min_distance >= 0,
            "at least 0 angstrom",
        ),
        ("--seed", args.seed, 0 <= args.seed < 2**32, "0 to 4294967295"),
    )
    for name, value, good, allowed in rules:
        if not good:
            raise InputError(f"{name} {value}: must be {allowed}")
    if args.potential != "chgnet" and not args.relax:
        raise InputError("--potential needs --relax")
    if args.amplitude == 0 and args.strain == 0:
        raise InputError("--amplitude 0 and --strain 0 leave the parent as it is; give one of them")


def _relax(
    parent: Parent, sets: list[tuple[Class, Derived]], potential: Any, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Results of the parent and then of every structure, in order."""
    from symjax.evaluate.cache import Cache, default_path
    from symjax.evaluate.stability import relax_many

    crystals = [parent.crystal, *(crystal for _, derived in sets for crystal in derived.crystals)]
    options = relaxation_of(args, symmetric=True)
    with Cache(None if args.no_cache else args.cache or default_path()) as cache:
        return relax_many(
            [c.atoms() for c in crystals],
            potential,
            options,
            cache=cache,
            processes=workers_of(args),
            progress=not (args.quiet or args.json),
        )
