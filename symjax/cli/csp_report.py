"""The figures of `symjax csp`: a table with element substitution and published rows beside, report.json and structures.csv."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from symjax.cli.csp_records import GIVEN, SUBSTITUTION
from symjax.cli.generate import hardware
from symjax.evaluate.figure import Figure, plain
from symjax.evaluate.metrics.prediction import Try, tries_figures
from symjax.evaluate.published import PREDICTION

NOTES = (
    "published rows are given the number of atoms of the cell as well, as the row --given atoms is",
    "substitution: training crystals with elements in the same amounts, those that fit best (symjax.data.substitution)",
    "match: over all crystals asked for, 95 % interval (Wilson); valid: no match where prediction or truth fails CDVAE's validity, "
    "which is how DiffCSP's code counts published rows",
)
Row = dict[str, Any]


def finish(
    args: argparse.Namespace, folder: Path, settings: Row, parts: dict[str, list[Row]], known: frozenset
) -> None:
    """Write the report and the table of crystals, and print."""
    from symjax.data.files import write_text
    from symjax.versions import versions

    rows, figures = [], []
    for given, records in parts.items():
        for name in dict.fromkeys((args.model, SUBSTITUTION)):
            row, found = measured(name, given, records, known)
            rows.append(row)
            figures += found
    report = {
        "program": "symjax csp",
        "settings": settings,
        "data": str(args.data),
        "train": str(args.train),
        "num": len(next(iter(parts.values()))),
        "rows": rows,
        "published": [one._asdict() for one in published(args)],
        "figures": figures,
        "notes": list(NOTES),
        "versions": versions(("numpy", "pymatgen", "spglib", "jax", "jaxlib")),
        "hardware": hardware(),
    }
    write_text(folder / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    write_text(folder / "structures.csv", table_of_structures(parts))
    if args.json:
        print(json.dumps(report, allow_nan=False))
    elif not args.quiet:
        show(report, args)


def measured(name: str, given: str, records: list[Row], known: frozenset) -> tuple[Row, list[Row]]:
    """A row of the table, and its figures: over all crystals, and over those whose formula no training crystal has."""
    results = [one["results"][name] for one in records]
    tries = [[None if one is None else Try(**one) for one in result["tries"]] for result in results]
    new = [i for i, one in enumerate(records) if tuple(map(tuple, one["reduced"])) not in known]
    key = f"{name}.{given}"
    every, fresh = tries_figures(tries, key), tries_figures([tries[i] for i in new], f"{key}.new_formula")
    spent = np.array([result["seconds"] / max(len(result["tries"]), 1) for result in results])
    programs = [int(one.get("programs", 0)) for one in results]
    row = {
        "name": name,
        "given": given,
        "tries": max((len(one) for one in tries), default=0),
        "num": len(tries),
        "none": sum(all(one is None for one in row) for row in tries),
        "new_formulas": len(new),
        "seconds_per_try": {"median": float(np.median(spent)), "mean": float(spent.mean())},
        "programs": {
            "first_half": sum(programs[: len(programs) // 2]),
            "second_half": sum(programs[len(programs) // 2 :]),
        },
        **{figure.key.removeprefix(f"{key}."): _cell(figure) for figure in (*every, *fresh)},
    }
    return row, [figure.as_json() for figure in (*every, *fresh)]


def _cell(figure: Figure) -> Row:
    spread = figure.interval
    return {"value": plain(figure.value), "num": figure.num, "interval": None if spread is None else list(spread)}


def published(args: argparse.Namespace) -> list[Any]:
    """Published rows of the benchmark, fewest tries first."""
    return sorted((one for one in PREDICTION if one.dataset == args.benchmark), key=lambda one: (one.tries, one.match))


def show(report: Row, args: argparse.Namespace) -> None:
    """Print the table."""
    import sys

    from rich.console import Console
    from rich.table import Table

    said = f"structure prediction, {args.data}, {report['num']} crystals, seed {args.seed}"
    table = Table(title=said, title_justify="left")
    for name in ("model", "given", "tries", "n", "match %", "RMSE", "valid %", "new formulas %", "s/try"):
        table.add_column(name, justify="left" if name in ("model", "given") else "right")
    for row in report["rows"]:
        cells = [row["name"], GIVEN[row["given"]].replace(" given", ""), str(row["tries"]), str(row["num"])]
        cells += [_share(row["match"]), _number(row["rmse"]["value"]), _percent(row["match_valid"]["value"])]
        cells += [f"{_percent(row['new_formula.match']['value'])} of {row['new_formulas']}"]
        table.add_row(*cells, _number(row["seconds_per_try"]["median"], 2))
        if "first.match" in row:
            first = [_share(row["first.match"]), _number(row["first.rmse"]["value"]), "", "", ""]
            table.add_row("  its first try", "", "1", str(row["num"]), *first)
    table.add_section()
    for one in report["published"]:
        table.add_row(
            one["model"],
            "formula, atoms",
            str(one["tries"]),
            "test",
            f"{one['match']:g}",
            f"{one['rmse']:g}",
            "",
            "",
            "",
        )
    console = Console(width=None if sys.stdout.isatty() else 132)
    console.print(table)
    for text in (*report["notes"], *sorted({f"published: {one['source']}" for one in report["published"]})):
        console.print(text, soft_wrap=True, highlight=False)
    for row in report["rows"]:
        if row["none"]:
            console.print(f"{row['name']}, {row['given']}: no prediction at all for {row['none']} of {row['num']}")
    print(f"written to {args.out}/report.json and {args.out}/structures.csv")


def _share(cell: Row) -> str:
    low, high = cell["interval"] or (math.nan, math.nan)
    return f"{_percent(cell['value'])} [{100 * low:.0f}, {100 * high:.0f}]"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def table_of_structures(parts: dict[str, list[Row]]) -> str:
    """CSV, a row for each crystal, what was given and what predicts: distance of the best try, empty where none matches."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ("row", "id", "formula", "atoms", "group")
    writer.writerow(["given", *about, "model", "rms", "predictions", "seconds", "parent", "reason"])
    for given, records in parts.items():
        for one in records:
            for name, result in sorted(one["results"].items()):
                there = sum(t is not None for t in result["tries"])
                parent = (result.get("parents") or [""])[0]
                end = [name, _best(result), there, result["seconds"], parent, result.get("reason", "")]
                writer.writerow([given, *(one[key] for key in about), *end])
    return out.getvalue()


def _best(result: Row) -> str:
    found = [one["distance"] for one in result["tries"] if one is not None and one["distance"] is not None]
    return f"{min(found):.6f}" if found else ""
