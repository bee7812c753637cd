"""Rows of a published table that an experiment measured, kept in a file that `experiments.tables` takes as --report.

For tables that `symjax evaluate` knows nothing of, such as the cost of training. A file holds the name of its table, the rows in
the units of the table's columns, and whatever else the experiment writes beside them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symjax.errors import InputError

from .published import TABLES
from .published.render import Cell, Line


@dataclass(frozen=True)
class Rows:
    """Measured rows of one table; `name` is what they are called together."""

    table: str
    lines: tuple[Line, ...]
    name: str


def write(path: str | Path, table: str, lines: Sequence[Line], **more: Any) -> None:
    """Write rows of a table as JSON, with other values beside them.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [
        {
            "system": line.system,
            "values": {key: cell.value for key, cell in line.cells.items() if cell.value is not None},
            "spread": {key: cell.sd for key, cell in line.cells.items() if cell.sd is not None},
            "n": line.n,
            "source": line.source,
            "note": line.note,
        }
        for line in lines
    ]
    try:
        Path(path).write_text(json.dumps({"table": table, "rows": rows, **more}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def parse(content: Any, path: str | Path, name: str | None = None) -> Rows | None:
    """The rows of a file that `write` made; None where the content is of another kind.

    Args:
        content: parsed JSON.
        path: where it is from, for messages.
        name: put before the name of every row.

    Raises:
        InputError: a table that there is not, or rows that cannot be read.
    """
    if not isinstance(content, Mapping) or "rows" not in content or "table" not in content:
        return None
    table = TABLES.get(str(content["table"]))
    if table is None:
        raise InputError(f"{path}: its rows are of a table {content['table']!r}, which there is not")
    rows = content["rows"]
    if (
        not isinstance(rows, list)
        or not rows
        or not all(isinstance(row, Mapping) and row.get("system") for row in rows)
    ):
        raise InputError(f"{path}: 'rows' is not a list of rows with a 'system'")
    known = [column.key for column in table.columns]
    lines = []
    for row in rows:
        values, spread = ({str(k): v for k, v in (row.get(part) or {}).items()} for part in ("values", "spread"))
        wrong = [key for key, value in values.items() if key not in known or not _is_number(value)]
        if wrong:
            raise InputError(
                f"{path}: row {row['system']!r} has no number for a column of {table.key} in {', '.join(wrong)}"
            )
        cells = {
            key: Cell(float(values[key]), sd=spread.get(key)) if key in values else Cell(word="not measured")
            for key in known
        }
        label = f"{name}, {row['system']}" if name else str(row["system"])
        lines.append(
            Line(
                label,
                "measured",
                row.get("n"),
                cells,
                str(row.get("source") or Path(path).name),
                "",
                str(row.get("note") or ""),
            )
        )
    return Rows(table.key, tuple(lines), name or str(rows[0]["system"]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
