"""How a table is written: aligned text, Markdown, CSV or JSON.

A `Line` is one row ready to print. What is not a number is a word in every cell ("missing", "not computed", "not at hand"), never
a blank.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .types import Column, Table

ARROWS = {"higher": "↑", "lower": "↓", "": ""}
KINDS = ("reported", "rerun", "measured", "real data", "floor", "not measured", "missing")
"""Kinds of lines. rerun: the published rule applied by this project to published or public crystals; real data: the same figure
of a report's reference; floor: real crystals at the same numbers."""


@dataclass(frozen=True)
class Cell:
    """One value of a line, in the unit of its column.

    Attributes:
        value: the number, or None.
        word: what stands there when there is no number.
        sd: standard deviation, where one is known.
        low: lower end of a 95 % interval.
        high: upper end of it.
        n: crystals the number is over, where that differs from the line's.
        exact: whether the number is one that a source prints, to be written with all its digits.
    """

    value: float | None = None
    word: str = ""
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    exact: bool = False

    def text(self) -> str:
        """The cell as printed."""
        if self.value is None:
            return self.word
        number = f"{self.value:.{6 if self.exact or float(self.value).is_integer() else 4}g}"
        if self.sd is None:
            return number
        return f"{number} ± {self.sd:.4g}" if self.sd >= 100 else f"{number} ± {self.sd:.3g}"


@dataclass(frozen=True)
class Line:
    """One row ready to print: a cell for each column, and where it is from."""

    system: str
    kind: str
    n: int | None
    cells: Mapping[str, Cell]
    source: str
    provenance: str = ""
    note: str = ""

    def footnote(self) -> str:
        """Kind, source and note in one sentence."""
        kind = f"{self.kind} ({self.provenance})" if self.provenance not in ("", self.kind) else self.kind
        return f"{kind}: {self.source}" + (f"; {self.note}" if self.note else "")


def render(table: Table, lines: Sequence[Line], told: Sequence[str], form: str) -> str:
    """The whole table in one of `FORMS`, ending with a newline; ``told``: how the measured columns were made."""
    return FORMS[form](table, lines, told)


def document(table: Table, lines: Sequence[Line], told: Sequence[str]) -> dict[str, Any]:
    """The table as plain JSON values."""
    return {
        "table": table.key,
        "title": table.title,
        "paper": table.paper,
        "columns": [
            {"key": c.key, "heading": c.heading, "unit": c.unit, "better": c.better, "metric": c.metric}
            for c in table.columns
        ],
        "rows": [
            {
                "system": line.system,
                "kind": line.kind,
                "provenance": line.provenance,
                "n": line.n,
                "values": {
                    key: {
                        "value": cell.value,
                        "sd": cell.sd,
                        "low": cell.low,
                        "high": cell.high,
                        "n": cell.n,
                        "status": cell.word,
                    }
                    for key, cell in line.cells.items()
                },
                "source": line.source,
                "note": line.note,
            }
            for line in lines
        ],
        "measured_as": list(told),
        "caveats": list(table.caveats),
    }


def _json(table: Table, lines: Sequence[Line], told: Sequence[str]) -> str:
    return json.dumps(document(table, lines, told), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(table: Table, lines: Sequence[Line], told: Sequence[str]) -> str:
    """One line a row; each column is followed by its standard deviation and the ends of its interval."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = [name for c in table.columns for name in (c.key, f"{c.key}_sd", f"{c.key}_low", f"{c.key}_high")]
    writer.writerow(["system", "kind", "provenance", "n", *parts, "source", "note"])
    for line in lines:
        cells = [
            item
            for c in table.columns
            for cell in (line.cells[c.key],)
            for item in (cell.word if cell.value is None else repr(cell.value), cell.sd, cell.low, cell.high)
        ]
        writer.writerow([line.system, line.kind, line.provenance, line.n, *cells, line.source, line.note])
    return out.getvalue()


def _heading(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.heading}{unit} {ARROWS[column.better]}".rstrip()


def _grid(table: Table, lines: Sequence[Line]) -> tuple[list[str], list[list[str]], list[str]]:
    """Headings, rows of text, and the footnotes that the last column points to (equal ones share a number)."""
    notes: list[str] = []
    rows = []
    for line in lines:
        note = line.footnote()
        if note not in notes:
            notes.append(note)
        size = str(line.n) if line.n is not None else ("not stated" if line.provenance else "-")
        cells = [line.cells[c.key].text() for c in table.columns]
        rows.append([line.system, line.kind, size, *cells, f"[{notes.index(note) + 1}]"])
    return ["system", "kind", "n", *map(_heading, table.columns), "source"], rows, notes


def _text(table: Table, lines: Sequence[Line], told: Sequence[str]) -> str:
    """Aligned columns; a row whose cells all say the same word says it once."""
    heads, rows, notes = _grid(table, lines)
    spanned = [
        len(set(row[3:-1])) == 1 and line.cells[table.columns[0].key].value is None for row, line in zip(rows, lines)
    ]
    widths = [
        max(
            [len(heads[i])]
            + [len(row[i]) for row, wide in zip(rows, spanned) if not (wide and 3 <= i < len(heads) - 1)]
        )
        for i in range(len(heads))
    ]
    inner = sum(widths[3:-1]) + 2 * (len(table.columns) - 1)
    out = [table.title, f"{table.key}: {table.paper}", ""]
    out.append(_aligned(heads, widths))
    out.append("-" * len(out[-1]))
    for row, wide in zip(rows, spanned):
        if wide:
            first = "  ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2])))
            out.append(f"{first}  {row[3].ljust(inner)}  {row[-1].rjust(widths[-1])}")
        else:
            out.append(_aligned(row, widths))
    if not rows:
        out.append("(no rows)")
    out += ["", *(f"[{i + 1}] {note}" for i, note in enumerate(notes)), ""]
    out += ["Measured as:", *(f"  * {line}" for line in told), ""] if told else []
    out += ["Before comparing:"]
    out += [f"  * {caveat}" for caveat in table.caveats]
    return "\n".join(line.rstrip() for line in out) + "\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))


def _markdown(table: Table, lines: Sequence[Line], told: Sequence[str]) -> str:
    heads, rows, notes = _grid(table, lines)
    escape = lambda cell: cell.replace("|", "\\|")
    out = [f"### {table.title}", "", f"`{table.key}`: {table.paper}", ""]
    out.append("| " + " | ".join(map(escape, heads)) + " |")
    out.append("| " + " | ".join("---" if i < 2 else "---:" for i in range(len(heads))) + " |")
    out += ["| " + " | ".join(map(escape, row)) + " |" for row in rows]
    out += ["", *(f"\\[{i + 1}\\] {note}  " for i, note in enumerate(notes)), ""]
    out += ["Measured as:", "", *(f"* {line}" for line in told), ""] if told else []
    out += ["Before comparing:", ""]
    out += [f"* {caveat}" for caveat in table.caveats]
    return "\n".join(out) + "\n"


_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
_SPECIAL |= {
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Å": r"\AA{}",
    "≤": r"$\le$",
    "<": r"$<$",
    ">": r"$>$",
}


def escaped(text: str) -> str:
    """Text for LaTeX: nothing in it is a command."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _latex(table: Table, lines: Sequence[Line], told: Sequence[str]) -> str:
    """A table for the package booktabs, sources as notes below it; sets no column of words."""
    heads, rows, notes = _grid(table, lines)
    out = ["% needs \\usepackage{booktabs}", "\\begin{table}", "\\centering", f"\\caption{{{escaped(table.title)}}}"]
    out += [f"\\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}", "\\toprule"]
    out += [" & ".join(map(escaped, heads)) + " \\\\", "\\midrule"]
    out += [" & ".join(map(escaped, row)) + " \\\\" for row in rows]
    out += ["\\bottomrule", "\\end{tabular}", "\\par\\smallskip\\footnotesize\\raggedright"]
    out += [f"{{}}{escaped(f'[{i + 1}] {note}')}" + "\\\\" for i, note in enumerate(notes)]  # else \\\\[1] is a length
    out += [escaped(f"Measured as: {line}") + "\\\\" for line in told]
    out += [escaped(caveat) + "\\\\" for caveat in table.caveats]
    return "\n".join([*out, "\\end{table}"]) + "\n"


FORMS = {"text": _text, "markdown": _markdown, "csv": _csv, "json": _json, "latex": _latex}
"""Names of the formats -> how they are written."""
