"""The papers' tables as they are printed: one JSON file a paper, every cell as text, in the form and order of the paper.

A cell says "-" where the paper prints nothing, and "*" behind a number where the paper marks it; numbers are read from that text,
so that a table here cannot differ from the printed one. What stands anywhere else (another version of a paper, a notebook, a
rerun, a third party) is no part of these files and has rows of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .types import Provenance, Row

PAPERS = ("symmcd", "wyckoff_transformer", "wyckoffaugen", "adaptor")
"""Names of the files."""


@cache
def load(paper: str) -> dict[str, Any]:
    """What the file of a paper holds: its name, its version, its tables and what its figures show."""
    content: dict[str, Any] = json.loads((Path(__file__).parent / f"{paper}.json").read_text(encoding="utf-8"))
    return content


def number(text: str) -> float | None:
    """The number of a cell, None where nothing is printed."""
    plain = text.rstrip("*").strip()
    return None if plain == "-" else float(plain)


def table(paper: str, which: str, part: int = 0) -> dict[str, Any]:
    """One table of a paper by its number; ``part`` where it is printed in several.

    Raises:
        KeyError: there is none.
    """
    found = [entry for entry in load(paper)["tables"] if entry["number"] == which]
    if part >= len(found):
        raise KeyError(f"{paper} has no table {which}, part {part}")
    result: dict[str, Any] = found[part]
    return result


def rows(
    paper: str,
    which: str,
    columns: Mapping[str, str],
    source: str,
    *,
    names: Mapping[str, str] | None = None,
    note: str = "",
    notes: Mapping[str, str] | None = None,
    spread: Mapping[str, str] | None = None,
    provenance: Provenance = "paper",
) -> tuple[Row, ...]:
    """Rows of a table that has a system in each line.

    Args:
        paper: name of the file.
        which: number of the table.
        columns: printed heading -> key of the column here.
        source: what the rows say they are from.
        names: printed name -> name here, where it is another.
        note: of every row.
        notes: printed name -> note of that row.
        spread: key of a column -> printed heading of its standard deviation.
        provenance: of the rows.
    """
    printed = table(paper, which)
    found = []
    for line in printed["rows"]:
        cells = {head: number(text) for head, text in zip(printed["head"][1:], line[1:], strict=True)}
        marked = [head for head, text in zip(printed["head"][1:], line[1:], strict=True) if text.endswith("*")]
        values = {key: value for head, key in columns.items() if (value := cells[head]) is not None}
        deviations = {key: value for key, head in (spread or {}).items() if (value := cells[head]) is not None}
        said = [note, (notes or {}).get(line[0], ""), f"marked * in the paper: {', '.join(marked)}" if marked else ""]
        found.append(
            Row(
                (names or {}).get(line[0], line[0]),
                values,
                source,
                provenance,
                n=printed.get("samples"),
                note="; ".join(part for part in said if part),
                spread=deviations,
            )
        )
    return tuple(found)


def by_column(
    paper: str, which: str, part: int, heading: str, lines: Mapping[str, str], name: str, source: str, **more: Any
) -> Row:
    """One row of a table that has a system in each column.

    Args:
        paper: name of the file.
        which: number of the table.
        part: which part of it.
        heading: printed heading of the system's column.
        lines: printed name of a line -> key of the column here; a cell that is no single number is left out.
        name: what the row is called here.
        source: what it says it is from.
        more: of `Row`.
    """
    printed = table(paper, which, part)
    place = printed["head"].index(heading)
    values = {}
    for line in printed["rows"]:
        if line[0] in lines:
            try:
                value = number(line[place])
            except ValueError:  # two ways of making structures in one cell
                continue
            if value is not None:
                values[lines[line[0]]] = value
    return Row(name, values, source, "paper", **more)
