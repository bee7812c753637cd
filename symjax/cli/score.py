"""`symjax score FILES --model M`: how likely crystals are under a model that has a likelihood or a bound of one."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax import systems
from symjax.cli.numbers import count, seed
from symjax.cli.workers import add_worker_options, workers_of
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

ON_SCREEN = 40


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "score",
        help="log-likelihoods of crystals under a model",
        description="Log-likelihoods (nats) of crystals, the most likely first. Values of two models compare only where they are "
        "of the same thing, which is said.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="CIF, POSCAR, extxyz, JSON, CSV, folder, or prepared .npz"
    )
    parser.add_argument("--model", required=True, choices=systems.system_names())
    parser.add_argument("--weights", metavar="DIR", help="trained weights (default: those in the package)")
    parser.add_argument(
        "--orders", type=count, default=10, metavar="K", help="random orders of the sites, averaged (10)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the orders (0)")
    parser.add_argument("--symprec", type=float, default=0.1, help="tolerance of the symmetry search, Å (0.1)")
    parser.add_argument("--out", "-o", type=Path, metavar="FILE", help="write a table there (.csv or .json)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    add_worker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Read, score, print, write; 1 where no crystal has a likelihood."""
    if args.out is not None and args.out.suffix not in (".csv", ".json"):
        raise InputError(f"--out {args.out}: the name must end in .csv or .json")
    data, refused = read(args)
    found = systems.log_likelihood(args.weights, data, model=args.model, orders=args.orders, seed=args.seed)
    from symjax.evaluate.symmetry import group_numbers

    numbers = group_numbers(data)
    number = lambda value: None if value != value else round(float(value), 6)
    rows = [
        {
            "id": str(data.ids[i]),
            "formula": str(data.formula[i]),
            "space_group_number": int(numbers[i]),
            "log_likelihood_nats": number(found.value[i]),
            "log_likelihood_nats_per_orbit": number(found.value[i] / data.num_orbits[i]),
            **{f"{name}_nats": number(values[i]) for name, values in found.terms.items()},
            "reason": found.reason[i] or None,
        }
        for i in range(len(data))
    ]
    rows.sort(key=lambda row: (row["log_likelihood_nats"] is None, -float(row["log_likelihood_nats"] or 0.0)))
    value = {"model": args.model, "kind": found.kind, "of": found.of, "crystals": rows, "could_not_be_read": refused}
    if args.out is not None:
        _write(args.out, value)
    if args.json:
        print(json.dumps(value))
    else:
        _show(value, args)
    return 0 if any(row["log_likelihood_nats"] is not None for row in rows) else 1


def read(args: argparse.Namespace) -> tuple[CrystalDataset, list[dict[str, str]]]:
    """All files as one prepared data set, and what of them could not be read.

    Raises:
        InputError: nothing could.
    """
    from symjax.data.dataset import joined, load
    from symjax.data.prepare import assemble, treat_rows
    from symjax.data.readers import read_source
    from symjax.data.rows import RowOptions

    parts: list[CrystalDataset] = []
    refused: list[dict[str, str]] = []
    options = RowOptions(symprec=args.symprec)
    for name in args.files:
        if Path(name).suffix == ".npz":
            parts.append(load(name))
            continue
        treated = treat_rows(read_source(name), options, workers=workers_of(args))
        report = assemble(treated, options, source=Path(name).name)
        refused += [{"id": str(row["id"]), "reason": str(row["reason"])} for row in report.rejected]
        if len(report.dataset):
            parts.append(report.dataset)
    if not parts:
        why = f" (the first: {refused[0]['reason']})" if refused else ""
        raise InputError(f"{', '.join(args.files)}: no crystal could be read{why}")
    return joined(parts), refused


def _write(path: Path, value: dict[str, Any]) -> None:
    from symjax.data.files import write_text

    if path.suffix == ".json":
        write_text(path, json.dumps(value, indent=1) + "\n")
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(value["crystals"][0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(value["crystals"])
    write_text(path, text.getvalue())


def _show(value: dict[str, Any], args: argparse.Namespace) -> None:
    from symjax.cli.screen import Column, console, show_table, text

    where, rows = console(), value["crystals"][:ON_SCREEN]
    column = lambda name, form, rank=0, left=False: Column(name, [form(row) for row in rows], rank, left)
    terms = [name for name in value["crystals"][0] if name.endswith("_nats") and not name.startswith("log_")]
    columns = [
        column("crystal", lambda row: row["id"], 0, True),
        column("formula", lambda row: row["formula"], 0, True),
        column("group", lambda row: str(row["space_group_number"]), 2),
        column("nats", lambda row: text(row["log_likelihood_nats"], ".2f", "none")),
        column("nats/orbit", lambda row: text(row["log_likelihood_nats_per_orbit"], ".2f"), 1),
        *(column(name.removesuffix("_nats"), lambda row, name=name: text(row[name], ".2f"), 3) for name in terms),
    ]
    show_table(f"log-likelihoods under {value['model']}: {value['kind']}, of {value['of']}", columns, where)
    if len(value["crystals"]) > ON_SCREEN:
        where.print(f"... and {len(value['crystals']) - ON_SCREEN} more (--out, --json)")
    for row in value["crystals"]:
        if row["reason"]:
            print(f"symjax: no likelihood of {row['id']}: {row['reason']}", file=sys.stderr)
    for row in value["could_not_be_read"]:
        print(f"symjax: could not read {row['id']}: {row['reason']}", file=sys.stderr)
    if args.out is not None:
        where.print(f"written to {args.out}")
