"""`symjax data prepare`, `select`, `fetch` and `info`: array files of crystals, their parts, what stands in them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from symjax.cli.numbers import count
from symjax.cli.workers import add_worker_options, workers_of

PUBLIC = ("mp20", "mpts52", "perov5", "carbon24")
"""Data sets of `symjax.data.fetch`, named here so that help costs nothing."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `data` with its actions."""
    parser = subparsers.add_parser("data", help="prepare crystals for training, look into prepared files")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    prepare = actions.add_parser(
        "prepare",
        help="CSV with a cif column, CIF, POSCAR, extxyz, JSON, a folder of them, or the AFLOW prototypes -> one array file",
        description="Every row is brought to the standard setting of the group found; rows that cannot be used are reported "
        "with their reason beside the output (OUT.report.json) and never stop the run. A stopped run continues where it was.",
    )
    prepare.add_argument(
        "input", nargs="?", type=Path, help=".csv, .cif, POSCAR, .extxyz, .json, .jsonl (also .gz), or a folder"
    )
    prepare.add_argument(
        "--source", choices=("file", "prototypes"), default="file", help="prototypes: needs no input file"
    )
    prepare.add_argument("--out", "-o", type=Path, required=True, help="array file to write (.npz)")
    prepare.add_argument(
        "--substitutions", type=int, default=0, metavar="N", help="with prototypes: N variants of each"
    )
    prepare.add_argument("--symprec", type=float, default=0.1, help="tolerance of the symmetry search, Å (0.1)")
    prepare.add_argument("--angle-tolerance", type=float, default=5.0, help="its angle tolerance, degrees (5)")
    prepare.add_argument("--min-distance", type=float, default=0.5, help="closer atoms overlap, Å (0.5)")
    prepare.add_argument(
        "--max-atoms", type=int, default=0, help="reject more atoms in the primitive cell (0: no limit)"
    )
    prepare.add_argument("--max-orbits", type=int, default=0, help="reject more orbits (0: no limit)")
    prepare.add_argument(
        "--strict", action="store_true", help="reject rows with notes: assumed symmetry, missing hydrogens, ..."
    )
    add_worker_options(prepare)
    prepare.add_argument("--limit", type=int, default=None, metavar="N", help="only the first N rows")
    prepare.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    prepare.add_argument("--json", action="store_true", help="print the summary as JSON")
    _add_select(actions)
    _add_fetch(actions)
    info = actions.add_parser("info", help="what a prepared file holds")
    info.add_argument("file", type=Path)
    info.add_argument("--json", action="store_true", help="print JSON")


def _add_select(actions: Any) -> None:
    select = actions.add_parser(
        "select",
        help="part of a prepared file, by chemical system, group, size",
        description="Write the crystals of a prepared file that meet all that is asked for.",
    )
    select.add_argument("file", type=Path, help="prepared file")
    select.add_argument("--out", "-o", type=Path, required=True, help="array file to write (.npz)")
    select.add_argument("--system", metavar="Li-P-S", help="a chemical system: no other elements than these")
    select.add_argument("--elements", metavar="A,B", help="exactly these elements")
    select.add_argument("--include", metavar="A,B", help="at least these elements")
    select.add_argument("--space-group", metavar="N,..", help="one of these: numbers or symbols, as in 225 or 2,Fm-3m")
    select.add_argument("--crystal-system", metavar="NAME", help="triclinic .. cubic")
    for what in ("atoms", "orbits"):
        where = "in the primitive cell" if what == "atoms" else "occupied positions"
        select.add_argument(f"--min-{what}", type=count, metavar="N", help=f"at least N {what} ({where})")
        select.add_argument(f"--max-{what}", type=count, metavar="N", help=f"at most N {what}")


def _add_fetch(actions: Any) -> None:
    fetch = actions.add_parser(
        "fetch",
        help="fetch a public data set: " + ", ".join(PUBLIC),
        description="Fetch train.csv, val.csv and test.csv of a public data set, check them, and say what to run next.",
    )
    fetch.add_argument("name", choices=PUBLIC)
    fetch.add_argument("--out", "-o", type=Path, metavar="DIR", help="folder (default: the name)")
    fetch.add_argument("--split", action="append", choices=("train", "val", "test"), help="only this (may be repeated)")
    fetch.add_argument("--from", dest="base", metavar="ADDRESS", help="folder of the files elsewhere (a mirror)")
    fetch.add_argument("--accept", action="store_true", help="keep files that are others than stated")
    fetch.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run the action chosen; returns the exit code."""
    return {"prepare": _prepare, "info": _info, "select": _select, "fetch": _fetch}[args.action](args)


def _select(args: argparse.Namespace) -> int:
    """Select, write, and say how many are left."""
    from symjax.data.dataset import load
    from symjax.data.selection import Selection, select
    from symjax.generate.request import parse_elements, parse_space_groups

    read = lambda text: () if text is None else parse_elements(text)
    wanted = Selection(
        within=read(None if args.system is None else args.system.replace("-", ",")),
        elements=read(args.elements),
        include=read(args.include),
        groups=() if args.space_group is None else parse_space_groups(args.space_group),
        crystal_system=args.crystal_system,
        atoms=(args.min_atoms, args.max_atoms),
        orbits=(args.min_orbits, args.max_orbits),
    )
    data = load(args.file)
    numbers = None
    if wanted.groups or wanted.crystal_system:
        from symjax.evaluate.symmetry import group_numbers

        numbers = group_numbers(data)
    part = select(data, wanted, numbers)
    part.save(args.out)
    print(f"{args.out}: {len(part)} of {len(data)} crystals")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    """Fetch, and say what each file is and what to run next."""
    from tqdm import tqdm

    from symjax.data.fetch import SETS, fetch

    folder = args.out or Path(args.name)
    bars: dict[str, Any] = {}

    def told(name: str, done: int, total: int) -> None:
        if name not in bars:
            bars[name] = tqdm(total=total or None, desc=name, unit="B", unit_scale=True, dynamic_ncols=True)
        bars[name].update(done - bars[name].n)

    shown = not args.quiet and sys.stderr.isatty()
    splits = tuple(dict.fromkeys(args.split or ("train", "val", "test")))
    found = fetch(
        args.name, folder, splits=splits, base=args.base, accept=args.accept, progress=told if shown else None
    )
    for bar in bars.values():
        bar.close()
    known = SETS[args.name]
    for one in found:
        said = "as stated" if one.checked else "no hash of it is public" if not known.sha256 else "NOT the one stated"
        print(f"{one.path}: {one.rows} rows, SHA-256 {one.sha256} ({said}){', was there' if one.there else ''}")
    print(f"{known.source}; {known.licence}")
    for one in found:
        print(f"next: symjax data prepare {one.path} --out {one.path.with_suffix('.npz')}")
    return 0


def _prepare(args: argparse.Namespace) -> int:
    """Prepare a source and print how many rows were kept and why others were not."""
    from symjax.data.prepare import prepare
    from symjax.data.rows import RowOptions
    from symjax.errors import InputError

    if (args.source == "prototypes") == (args.input is not None):
        raise InputError("give either an input file or folder, or --source prototypes")
    if args.limit is not None and args.limit < 1:
        raise InputError(f"--limit must be at least 1, got {args.limit}")
    workers = workers_of(args)
    options = RowOptions(
        symprec=args.symprec,
        angle_tolerance=args.angle_tolerance,
        min_distance=args.min_distance,
        max_atoms=args.max_atoms,
        max_orbits=args.max_orbits,
        strict=args.strict,
    )
    report = prepare(
        args.input or "prototypes",
        args.out,
        options,
        workers=workers,
        substitutions=args.substitutions,
        limit=args.limit,
        progress=not args.quiet and sys.stderr.isatty(),
    )
    summary = {
        "rows": report.rows,
        "accepted": len(report.dataset),
        "rejected": len(report.rejected),
        "reasons": report.reasons,
        "notes": report.notes,
    }
    if args.json:
        print(json.dumps(summary | {"path": str(report.path), "data_hash": report.dataset.data_hash()}))
        return 0
    print(
        f"{report.path}: {summary['accepted']} of {summary['rows']} rows, {len(report.dataset.sets.W)} sets of operations"
    )
    for reason, times in report.reasons.items():
        print(f"  rejected {times}: {reason}")
    for kind, times in report.notes.items():
        print(f"  noted {times}: {kind}")
    if report.rejected or report.noted:
        print(f"  each with its reason or notes in {args.out.name.removesuffix('.npz')}.report.json")
    return 0


def _info(args: argparse.Namespace) -> int:
    """Print counts, sizes, properties and origin of a prepared file."""
    import numpy as np

    from symjax.data.dataset import load

    data = load(args.file)
    number, atoms = data.num_orbits, data.num_atoms
    facts: dict[str, Any] = {
        "crystals": len(data),
        "sets": int(len(np.unique(data.set_index))),
        "orbits": int(len(data.orbit_z)),
        "elements": int(len(np.unique(data.orbit_z))),
        "max_operations": int(data.num_ops.max()),
        "max_orbits": int(number.max()),
        "mean_orbits": round(float(number.mean()), 3),
        "max_atoms": int(atoms.max()),
        "share_p1": round(float((data.num_ops == 1).mean()), 5),
        "properties": sorted(data.properties),
    }
    if args.json:
        print(json.dumps(facts | {"meta": data.meta}, sort_keys=True))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(args.file), show_header=False)
    kept = (
        "source",
        "accepted",
        "rejected",
        "rejected_by_reason",
        "notes_by_kind",
        "options",
        "symprec_used",
        "versions",
        "data_hash",
    )
    for name, value in (facts | {name: data.meta[name] for name in kept if name in data.meta}).items():
        table.add_row(name, str(value))
    Console().print(table)
    return 0
