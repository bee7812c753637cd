"""Tables on screen: as wide as the terminal or $COLUMNS says, columns left out where there is no room, nothing cut in a cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 120
"""Columns where neither a terminal nor $COLUMNS says how many there are."""


class Column(NamedTuple):
    """One column.

    Attributes:
        name: its head.
        cells: a text a row.
        rank: columns of higher rank are left out first where there is no room; 0 never.
        left: whether cells stand at the left.
    """

    name: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False

    @property
    def width(self) -> int:
        """Characters that it needs."""
        return max(map(len, [self.name, *self.cells]))


def width() -> int:
    """Columns of the screen: $COLUMNS, else the terminal's, else `WIDE`."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if sys.stdout.isatty():
        try:
            return os.get_terminal_size(sys.stdout.fileno()).columns
        except OSError:
            pass
    return WIDE


def console() -> Console:
    """Where tables go."""
    from rich.console import Console

    return Console(width=width(), highlight=False)


def fitting(columns: Sequence[Column], room: int) -> list[Column]:
    """The columns that fit, those of highest rank left out first.

    Args:
        columns: all of them.
        room: characters; between two columns stand three.
    """
    kept = list(columns)
    while sum(one.width + 3 for one in kept) + 1 > room:
        last = max(kept, key=lambda one: one.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    return kept


def show_table(title: str, columns: Sequence[Column], where: Console | None = None) -> None:
    """Print a table; names of columns that found no room are told below it."""
    from rich.table import Table

    where = where or console()
    kept = fitting(columns, where.width)
    table = Table(title=title, title_justify="left", row_styles=["", "dim"])
    for one in kept:
        table.add_column(one.name, justify="left" if one.left else "right", overflow="fold")
    for row in zip(*(one.cells for one in kept)):
        table.add_row(*row)
    where.print(table)
    hidden = [one.name for one in columns if one not in kept]
    if hidden:
        where.print(f"no room for: {', '.join(hidden)} (wider by COLUMNS)")


def text(value: Any, form: str = "", missing: str = "") -> str:
    """A value in a cell."""
    return missing if value is None else format(value, form)
