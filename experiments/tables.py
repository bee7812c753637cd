"""Print a table of one of the papers: the published rows beside rows measured here.

  python -m experiments.tables --list
  python -m experiments.tables symmcd-2 --report report.json
  python -m experiments.tables symop-1 --report report.json --name symop --format markdown --out symop.md
  python -m experiments.tables all --report ours.json --report theirs.json --name symop --name DiffCSP

A report is the report.json that `symjax evaluate` writes, or one that `experiments.wyckoff_tables` writes; each gives one
measured row. Published rows are marked reported, with their source; measured rows say on which data, with how many crystals
and on what machine. A system of this project that has no weights yet stands there as missing. The footnotes say what must be
equal before two rows may be compared.

Where neither measures a table (training speed, a regression), the experiment that does writes rows with --json:

  python -m experiments.symmcd_speed --data train.npz --json speed.json
  python -m experiments.tables symmcd-4 --report speed.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symjax.errors import InputError, SymjaxError
from symjax.evaluate.report.reading import write_p

from . import measured as own
from . import shipped
from .published import SYSTEMS, TABLES, Column, System, Table, owner
from .published.render import FORMS, Cell, Line, document, render
from .reports import REAL, Report, read, whole

ABSENT = {
    "elsewhere": ("not at hand", "reported elsewhere, not at hand"),
    "picture": ("no numbers", "a picture; the paper prints no numbers"),
}
"""What a published row without values says, by its provenance: in its cells, in its note."""


def parse(argv: Sequence[str] | None = None, name: str = "experiments.tables") -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog=name, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("table", nargs="?", help="name of a table, or `all`; --list shows them")
    parser.add_argument("--list", action="store_true", help="list the tables and stop")
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FILE",
        help="report.json of `symjax evaluate`, or rows that an experiment measured; may be repeated",
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="what the row of a report is called; one for each --report, in order",
    )
    parser.add_argument(
        "--shipped", action="store_true", help="also a row for each report that comes with the package, of its weights"
    )
    parser.add_argument(
        "--columns", metavar="A,B", help="only these columns, by the keys that --format json shows; fits 80 columns so"
    )
    parser.add_argument("--format", choices=tuple(FORMS), default="text")
    parser.add_argument("--out", metavar="FILE", help="write there instead of printing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, *, name: str = "experiments.tables") -> int:
    """Print a table; wrong input is one line on stderr, after the program's name, and exit code 2."""
    args = parse(argv, name)
    try:
        emit(listing() if args.list else tables(args), args.out)
    except SymjaxError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    return 0


def listing() -> str:
    """The tables there are, one a line."""
    width = max(map(len, TABLES))
    lines = (f"{key:<{width}}  {len(t.rows):3d} reported rows  {t.title} [{t.paper}]" for key, t in TABLES.items())
    return "\n".join(lines) + "\n"


def tables(args: argparse.Namespace) -> str:
    """The text of what was asked for.

    Raises:
        InputError: an unknown table, names that do not go with the reports, or a report that cannot be used.
    """
    known = f"tables are {', '.join(TABLES)}, or `all`"
    if args.table is None:
        raise InputError(f"which table? {known}")
    if args.table not in TABLES and args.table != "all":
        raise InputError(f"no table {args.table!r}; {known}")
    if args.name and len(args.name) != len(args.report):
        raise InputError(f"{len(args.name)} --name for {len(args.report)} --report; give one for each, or none")
    if args.table == "all" and args.format == "csv":
        raise InputError(
            "the columns of tables differ: --format csv takes one table; `all` goes as text, markdown, latex or json"
        )
    reports = [read(path, name) for path, name in zip(args.report, args.name or [None] * len(args.report))]
    if args.shipped:
        reports = [*_shipped(), *reports]
    for path, report in zip(args.report, reports[len(reports) - len(args.report) :]):
        if isinstance(report, own.Rows) and args.table not in (report.table, "all"):
            raise InputError(f"{path} has rows of {report.table}, not of {args.table}")
    chosen = list(TABLES.values()) if args.table == "all" else [TABLES[args.table]]
    if args.columns is not None:
        chosen = [_with_columns(table, args.columns) for table in chosen]
    filled = [(table, lines_of(table, reports), definitions(table, reports)) for table in chosen]
    if args.table == "all" and args.format == "json":
        return json.dumps([document(*parts) for parts in filled], indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return "\n\n".join(render(*parts, args.format).rstrip("\n") for parts in filled) + "\n"


def _shipped() -> list[Report]:
    """Reports of the package's weights; those that were made with earlier ones say so."""
    made = []
    for path in shipped.paths():
        report = read(path, SYSTEMS[path.stem].label + " (this project)" if path.stem in SYSTEMS else path.stem)
        assert isinstance(report, Report)  # `experiments.shipped` keeps no other
        old = shipped.outdated(json.loads(path.read_text(encoding="utf-8")), path.stem)
        made.append(dataclasses.replace(report, note="; ".join(filter(None, (report.note, old)))))
    return made


def _with_columns(table: Table, text: str) -> Table:
    """A table of some of its columns, in the order given.

    Raises:
        InputError: it has none of that key; the message lists those it has.
    """
    by_key = {column.key: column for column in table.columns}
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if not wanted or (unknown := [name for name in wanted if name not in by_key]):
        said = f"no column {unknown[0]!r}" if wanted else "no columns"
        raise InputError(f"--columns: {said} in {table.key}; it has {', '.join(by_key)}")
    return dataclasses.replace(table, columns=tuple(by_key[name] for name in wanted))


def emit(text: str, out: str | None) -> None:
    """Print, or write a file all at once.

    Raises:
        InputError: the file cannot be written.
    """
    if out is None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    place = Path(out)
    try:
        handle, part = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(part, 0o644)
        os.replace(part, place)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        Path(part).unlink(missing_ok=True)


def lines_of(table: Table, reports: Sequence[Report | own.Rows]) -> list[Line]:
    """All rows of a table: reported, measured with the real data and the floor beside them, not measured, missing."""
    lines = []
    for row in table.rows:
        word, why = ABSENT.get(row.provenance, ("-", ""))
        cells = {
            c.key: Cell(row.values[c.key], sd=row.spread.get(c.key), exact=True)
            if c.key in row.values
            else Cell(word=word)
            for c in table.columns
        }
        note = "; ".join(part for part in (why, row.note) if part)
        kind = "rerun" if row.provenance == "rerun" else row.kind
        lines.append(Line(row.system, kind, row.n, cells, row.source, row.provenance, note))
    beside: list[Line] = []
    known = [report for report in reports if isinstance(report, Report) or report.table == table.key]
    for report in known:
        if isinstance(report, own.Rows):
            lines += report.lines
            continue
        lines.append(measured(table, report))
        beside += [line for line in (real(table, report), floor(table, report)) if line is not None]
    lines += [line for i, line in enumerate(beside) if line not in beside[:i]]
    # a report named after a system without weights is of somebody else's crystals: ours is still missing
    found = {key for key in map(owner, (report.name for report in known)) if key and has_weights(key)}
    lines += [absent(table, SYSTEMS[key]) for key in table.systems if key not in found]
    return lines


def measured(table: Table, report: Report) -> Line:
    """The row of a report; a figure that it lacks says so, with the reason where the report gives one."""
    cells, reasons = {}, []
    for column in table.columns:
        cells[column.key], reason = _measured_cell(column, report)
        if reason and f"{column.heading}: {reason}" not in reasons:
            reasons.append(f"{column.heading}: {reason}")
    if any(cell.word == "not computed" for cell in cells.values()):
        reasons += [f"the report skipped {what} ({why})" for what, why in report.skipped.items() if "." not in what]
        reasons += [f"metrics of the report: {', '.join(report.asked)}"] if report.asked else []
    sizes = [f"{c.heading} {cells[c.key].n}" for c in table.columns if cells[c.key].n not in (None, report.n)]
    ends = [
        f"{c.heading} {cell.low:.4g} to {cell.high:.4g}"
        for c in table.columns
        for cell in (cells[c.key],)
        if cell.low is not None and cell.high is not None
    ]
    notes = [report.note, f"n where it differs: {', '.join(sizes)}" if sizes else ""]
    told = [(c.heading, p_text(report.figures.get(c.metric, {}).get("p"))) for c in table.columns]
    apart = [f"{heading} {p}" for heading, p in told if p]
    notes += [f"95 % intervals: {', '.join(ends)}" if ends else "", "; ".join(reasons)]
    notes += [f"p against the reference: {', '.join(apart)}" if apart else ""]
    notes += [f"{', '.join(headings)}: {remark}" for remark, headings in _remarks(table, report).items()]
    return Line(report.name, "measured", report.n, cells, report.source, "", "; ".join(note for note in notes if note))


def _remarks(table: Table, report: Report) -> dict[str, list[str]]:
    """Notes of the figures that a table shows, such as the hull -> headings of the columns that have them."""
    remarks: dict[str, list[str]] = {}
    for column in table.columns:
        figure = report.figures.get(column.metric, {})
        if figure.get("note") and _number(figure.get("value"), column) is not None:
            remarks.setdefault(str(figure["note"]), []).append(column.heading)
    return remarks


def definitions(table: Table, reports: Sequence[Report | own.Rows]) -> list[str]:
    """How each measured column was made, in the words of the reports: "heading: definition (tolerance)"."""
    found: list[str] = []
    for column in table.columns:
        for report in reports:
            figure = {} if isinstance(report, own.Rows) else report.figures.get(column.metric, {})
            tolerance = f" ({figure['tolerance']})" if figure.get("tolerance") else ""
            line = f"{column.heading}: {figure.get('definition')}{tolerance}"
            if figure.get("definition") and line not in found:
                found.append(line)
    return found


def _measured_cell(column: Column, report: Report) -> tuple[Cell, str]:
    """The cell, and why it is no number."""
    if not column.metric:
        return Cell(word="n/a"), "`symjax evaluate` has no such figure"
    figure = report.figures.get(column.metric)
    if figure is None:
        return Cell(word="not computed"), _why(column.metric, report.skipped)
    value = _number(figure.get("value"), column)
    if value is None:
        return Cell(word="undefined", n=whole(figure.get("num"))), str(
            figure.get("note") or "no crystal in the denominator"
        )
    ends = figure.get("interval")
    low, high = (_number(end, column) for end in (ends if isinstance(ends, list) and len(ends) == 2 else (None, None)))
    return Cell(value, low=low, high=high, n=whole(figure.get("num"))), ""


def _why(metric: str, skipped: Mapping[str, str]) -> str:
    """The reason that a report gives for a figure, or for a figure of the same stem (recall for precision of a coverage)."""
    stems = {key.rsplit("_", 1)[0]: reason for key, reason in skipped.items() if "_" in key}
    return skipped.get(metric) or stems.get(metric.rsplit("_", 1)[0], "")


def _number(value: Any, column: Column) -> float | None:
    """A figure of a report in the unit of the column; None where it is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return round(float(value) * column.scale, 12) if good else None


def p_text(value: Any) -> str:
    """A p-value as printed, empty where there is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return write_p({"p": value}) if good else ""


def real(table: Table, report: Report) -> Line | None:
    """The same figures of the reference data, where a report has any that this table shows."""
    values = {c.key: _number(report.figures.get(c.metric, {}).get("reference"), c) for c in table.columns}
    if report.name == REAL or all(value is None for value in values.values()):
        return None
    cells = {key: Cell(value) if value is not None else Cell(word="-") for key, value in values.items()}
    name, num = report.reference
    return Line(f"reference data ({name})", "real data", num, cells, f"same report as {report.name}")


def floor(table: Table, report: Report) -> Line | None:
    """What real crystals score at the numbers of the samples and the reference, where a report has it."""
    cells = {}
    for column in table.columns:
        found = report.figures.get(column.metric, {}).get("floor")
        found = found if isinstance(found, dict) else {}
        mean, sd = _number(found.get("mean"), column), _number(found.get("sd"), column)
        cells[column.key] = Cell(word="-") if mean is None else Cell(mean, sd=sd)
    if all(cell.value is None for cell in cells.values()):
        return None
    note = "what sampling alone costs: samples and reference pooled and split again at the numbers of each figure (coverage and "
    note += "templates: disjoint parts of the reference)"
    return Line(f"floor at n of {report.name}", "floor", report.n, cells, f"same report as {report.name}", "", note)


def absent(table: Table, system: System, root: Path | None = None) -> Line:
    """The row of a system of ours without a report: not measured where it has weights, missing where it has none."""
    trained, built = has_weights(system.key, root), is_registered(system.key)
    if trained:
        kind, word = "not measured", "no report"
        note = f"weights are there; evaluate samples of it and give --report FILE --name {system.key}"
        if table.command:
            note = f"`{table.command}` measures it; give FILE as --report"
    else:
        kind = word = "missing"
        note = "no weights yet" if built else "no weights yet, and no model of that name yet"
    cells = {c.key: Cell(word=word) for c in table.columns}
    return Line(f"{system.label} (this project)", kind, None, cells, system.paper, "", note)


def has_weights(key: str, root: Path | None = None) -> bool:
    """Whether weights of a system travel with the package: arrays in a folder under `symjax/weights` that is named for it."""
    import symjax

    root = root or Path(symjax.__file__).parent / "weights"
    folders = [path for path in root.iterdir() if path.is_dir() and owner(path.name) == key] if root.is_dir() else []
    return any(True for folder in folders for _ in folder.rglob("*.npz"))


def is_registered(key: str) -> bool:
    """Whether a model of that system can be trained here."""
    from symjax.systems import names

    return any(owner(name) == key for name in names())


if __name__ == "__main__":
    sys.exit(main())
