"""The report on screen: one table a family of figures, then what could not be used and what was not computed.

Nothing is cut off: long names go over several lines. Away from a terminal the width is 120 columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from symjax.evaluate.report.reading import (
    DASH,
    ROLES,
    Family,
    Report,
    by_family,
    clean,
    duplicates_of,
    failed_of,
    kinds_of_notes,
    like_real,
    notes_of,
    skipped_of,
    source_of,
    unusable_of,
    usable,
    write_floor,
    write_interval,
    write_like,
    write_number,
    write_p,
    write_value,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 120
SHOWN = 20
"""Unusable rows listed of each source; all of them are in report.json."""


def show(report: Report, console: Console | None = None) -> None:
    """Print a report.

    Args:
        report: the report dict (see `symjax.evaluate.report.reading`).
        console: where to; None for standard output, 120 columns wide where that is no terminal.
    """
    from rich.console import Console
    from rich.text import Text

    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
    for role in ROLES:
        source = source_of(report, role)
        if source is not None:
            said = f"{role}: {clean(source.get('source', ''))}, {usable(report, role)} crystals"
            console.print(Text(said, overflow="fold"))
    families = by_family(report)
    for family in families:
        console.print()
        console.print(_table(family))
    if not families:
        console.print(Text("no figure could be computed"))
    elif any(like_real(row) for family in families for row in family.figures):
        console.print(
            Text("* like real data: of as many real crystals more than one set in twenty is as far off (p > 0.05)")
        )
    if report.get("protocols"):
        console.print()
        _show_protocols(report["protocols"], console)
    _show_completeness(report, console)
    _show_unusable(report, console)
    skipped = skipped_of(report)
    if skipped:
        console.print()
        console.print(Text("not computed", style="bold"))
        for metric, reason in skipped:
            console.print(Text(f"  {metric}: {reason}", overflow="fold"))


def _show_completeness(report: Report, console: Console) -> None:
    """Chemical systems in which an energy above the hull says little, before anybody believes it."""
    from rich.text import Text

    found = report.get("stability")
    rows = list(found.get("completeness") or []) if isinstance(found, Mapping) else []
    weak = [row for row in rows if row.get("complete_in_name_only") or row.get("without_elemental_reference")]
    if not rows:
        return
    console.print()
    said = (
        f"hull: {len(weak)} of {len(rows)} chemical systems have no competing compound, or lack an element's reference"
    )
    console.print(Text(said, style="bold", overflow="fold"))
    for row in weak[:SHOWN]:
        console.print(Text(f"  {clean(row.get('text', ''))}", overflow="fold"))
    if len(weak) > SHOWN:
        console.print(Text(f"  and {len(weak) - SHOWN} more; all are listed in report.json"))


def _table(family: Family) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = family.figures
    columns = {
        "value": [write_value(row) + (" *" if like_real(row) else "") for row in rows],
        "95 % interval": [write_interval(row) for row in rows],
        "floor": [write_floor(row) for row in rows],
        "p": [write_p(row) for row in rows],
        "reference": [write_like(row, row.get("reference"), blank="") for row in rows],
        "n": [write_number(row.get("num")) for row in rows],
        "n ref.": [write_number(row.get("num_reference") or None, blank="") for row in rows],
    }
    table = Table(
        title=Text(family.title),
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("figure", overflow="fold")
    # A column that nobody fills only takes room from the names.
    kept = {name: cells for name, cells in columns.items() if name == "value" or any(cells)}
    for name in kept:
        table.add_column(name, justify="right", overflow="fold")
    for index, row in enumerate(rows):
        label = Text(clean(row.get("name") or row.get("key") or DASH), overflow="fold")
        table.add_row(label, *(Text(cells[index], overflow="fold") for cells in kept.values()))
    return table


def _show_protocols(protocols: Any, console: Console) -> None:
    """Both protocols side by side, and what is published under one of them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = f"stability, two protocols side by side, per cent of {protocols['num']} rows, {protocols['potential']}"
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", overflow="fold")
    for name in protocols["columns"].values():
        table.add_column(clean(name), justify="right")
    for row in protocols["rows"]:
        cells = []
        for key in protocols["columns"]:
            cell = row.get(key)
            low, high = (cell or {}).get("interval") or (math.nan, math.nan)
            cells.append(DASH if cell is None else f"{100 * cell['value']:.1f} [{100 * low:.0f}, {100 * high:.0f}]")
        table.add_row(clean(row["name"]), *cells)
    console.print(table)
    other = protocols["published"]
    listed = ", ".join(f"{name} {value:g}" for name, value in other["rows"].items())
    console.print(Text(f"hull: {clean(protocols['hull'])}", overflow="fold"))
    console.print(
        Text(f"published, n = {other['num']}: {other['what']}: {listed} ({other['source']})", overflow="fold")
    )


def _show_unusable(report: Report, console: Console) -> None:
    from rich.text import Text

    kinds = (
        ("could not be used", ": ", unusable_of),
        ("measured in part only", ": ", failed_of),
        ("notes on what was read", ": ", notes_of),
        ("the same content as another row", " = ", duplicates_of),
    )
    for role in ROLES:
        for what, between, find in kinds:
            rows = find(report, role)
            if not rows:
                continue
            console.print()
            console.print(Text(f"{role}: {what}: {write_number(len(rows))}", style="bold"))
            if find is notes_of:
                console.print(Text(f"  rows: {kinds_of_notes(report, role)}", overflow="fold"))
            for name, reason in rows[:SHOWN]:
                console.print(Text(f"  {name}{between}{reason}", overflow="fold"))
            if len(rows) > SHOWN:
                console.print(Text(f"  and {write_number(len(rows) - SHOWN)} more; all are listed in report.json"))
