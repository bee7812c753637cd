"""`symjax data prepare` and `symjax data info`: from sources of crystals to array files, and what stands in them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from symjax.cli.workers import add_worker_options, workers_of


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `data` with its two actions."""
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
    prepare.add_argument("--symprec", type=float, default=0.1, help="tolerance of the symmetry search, angstrom (0.1)")
    prepare.add_argument("--angle-tolerance", type=float, default=5.0, help="its angle tolerance, degrees (5)")
    prepare.add_argument("--min-distance", type=float, default=0.5, help="closer atoms overlap, angstrom (0.5)")
    prepare.add_argument(
        "--max-atoms", type=int, default=0, help="reject more atoms in the primitive cell (0: no limit)"
    )
    prepare.add_argument("--max-orbits", type=int, default=0, help="reject more orbits (0: no limit)")
    prepare.add_argument(
        "--strict", action="store_true", help="reject rows with notes: assumed symmetry, missing hydrogens, ..."
    )
    add_worker_options(prepare)
    prepare.add_argument("--limit", type=int, default=None, metavar="N", help="only the first N rows")
    prepare.add_argument("--quiet", action="store_true", help="no progress bar")
    prepare.add_argument("--json", action="store_true", help="print the summary as JSON")
    info = actions.add_parser("info", help="what a prepared file holds")
    info.add_argument("file", type=Path)
    info.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run the action chosen; returns the exit code."""
    return _prepare(args) if args.action == "prepare" else _info(args)


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
    for reason, count in report.reasons.items():
        print(f"  rejected {count}: {reason}")
    for kind, count in report.notes.items():
        print(f"  noted {count}: {kind}")
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
