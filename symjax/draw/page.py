"""One page of pictures: generated crystals in a grid, and the space groups that appeared.

The page is drawn without a display. Space-group symbols and numbers are those read off the operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.draw.legend import ROW, draw_legend, elements_of, legend_rows
from symjax.draw.render import render
from symjax.groups.symbols import CRYSTAL_SYSTEMS, short_symbol

SYSTEM_COLORS = dict(
    zip(CRYSTAL_SYSTEMS, ("#8d99ae", "#4c78a8", "#54a5a0", "#7cb342", "#e6b422", "#ef7f3b", "#c8385a"), strict=True)
)
"""A colour for each crystal system."""

INK = "#22262e"
CELL, DPI = 2.15, 110  # inches of a crystal's picture, pixels an inch


def draw_page(
    cells: Sequence[AtomicStructure],
    titles: Sequence[str],
    groups: Sequence[int],
    path: Path | str,
    *,
    all_groups: Sequence[int] | None = None,
    columns: int = 6,
    rows: int = 3,
    heading: str = "",
) -> None:
    """Write the page as a PNG.

    Args:
        cells: crystals; the first ``rows * columns`` are drawn.
        titles: a reduced formula for each.
        groups: the space-group number of each.
        path: file to write.
        all_groups: numbers for the histogram; None for ``groups``.
        columns: crystals in a row.
        rows: rows of crystals.
        heading: text over the page.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = min(len(cells), rows * columns)
    columns = max(min(columns, shown), 1)
    rows = -(-shown // columns)
    elements, width = elements_of(cells[:shown]), CELL * max(columns, 4)
    legend = ROW * legend_rows(elements, width)
    tall = 2.45 * rows + 2.6 + legend
    figure = Figure(figsize=(width, tall), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        rows + 1,
        columns,
        height_ratios=[2.45] * rows + [2.0],
        hspace=0.24,
        wspace=0.06,
        left=0.05,
        right=0.98,
        top=1 - (0.72 + legend) / tall,
        bottom=0.55 / tall,
    )
    if heading:
        figure.text(0.05, 1 - 0.24 / tall, heading, fontsize=13, color=INK, va="center", weight="bold")
    draw_legend(figure, elements, 0.4)
    for index in range(shown):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        axes.imshow(render(cells[index], size=round(CELL * DPI)), interpolation="antialiased")
        axes.set_axis_off()
        axes.set_title(
            f"{pretty_formula(titles[index])}\n{symbol_of(groups[index])}  ({groups[index]})",
            fontsize=8.5,
            color=INK,
            pad=2,
            linespacing=1.25,
        )
    _draw_histogram(figure.add_subplot(grid[rows, :]), list(groups if all_groups is None else all_groups))
    figure.savefig(path, metadata={"Software": None})


def _draw_histogram(axes: Any, found: list[int]) -> None:
    """Bars over the space-group number, coloured by crystal system; the most frequent ones carry their symbol."""
    from matplotlib.patches import Patch

    counts, handles = Counter(number for number in found if number > 0), []
    for name, numbers in CRYSTAL_SYSTEMS.items():
        color = SYSTEM_COLORS[name]
        axes.axvspan(numbers.start - 0.5, numbers.stop - 0.5, color=color, alpha=0.07, lw=0)
        inside = [number for number in counts if number in numbers]
        share = 100 * sum(counts[number] for number in inside) / max(sum(counts.values()), 1)
        axes.bar(inside, [counts[number] for number in inside], width=1.3, color=color)
        handles.append(Patch(color=color, label=f"{name} {share:.0f} %"))  # bars that are not there have no colour
    top = max(counts.values(), default=1)
    placed: list[int] = []
    for number, count in counts.most_common(12):
        if all(abs(number - other) > 7 for other in placed):
            placed.append(number)
            axes.annotate(
                symbol_of(number),
                (number, count),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                color=INK,
            )
    axes.set_xlim(0, 231)
    axes.set_ylim(0, top * 1.25)
    axes.set_xticks([1, 25, 50, 75, 100, 125, 150, 175, 200, 225])
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("space-group number, read off the operations", fontsize=8.5, color=INK)
    axes.set_ylabel("crystals", fontsize=8.5, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(
        handles=handles,
        ncols=7,
        fontsize=7.5,
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.98),
        handlelength=1.0,
        columnspacing=1.2,
    )


def pretty_formula(formula: str) -> str:
    """A formula with its numbers as subscripts (matplotlib's mathtext)."""
    out, digits = "", ""
    for letter in formula + " ":
        if letter.isdigit() or (letter == "." and digits):
            digits += letter
            continue
        if digits:
            out += f"$_{{{digits}}}$"
            digits = ""
        out += letter
    return out.strip()


def symbol_of(number: int) -> str:
    """The international symbol of a space-group number, with bars and subscripts (matplotlib's mathtext)."""
    if not 1 <= number <= 230:
        return "?"
    return _mathtext(short_symbol(number))


def _mathtext(symbol: str) -> str:
    out, index = "", 0
    while index < len(symbol):
        letter = symbol[index]
        if letter == "-" and index + 1 < len(symbol):
            out += rf"\bar{{{symbol[index + 1]}}}"
            index += 2
        elif letter == "_" and index + 1 < len(symbol):
            out += f"_{symbol[index + 1]}"
            index += 2
        else:
            out += letter if not letter.isalpha() else rf"{letter}"
            index += 1
    return f"${out}$"


def grid_order(groups: Sequence[int], quality: Sequence[float], limit: int) -> np.ndarray:
    """Indices of at most ``limit`` crystals to show: one of each space group first, the roomiest of each.

    Args:
        groups: (n,) space-group numbers.
        quality: (n,) larger is shown first within a group.
        limit: how many.
    """
    order = np.argsort(-np.asarray(quality), kind="stable")
    seen: Counter[int] = Counter()
    rank = {}
    for index in order:
        rank[int(index)] = seen[groups[index]]
        seen[groups[index]] += 1
    chosen = sorted(rank, key=lambda i: (rank[i], -quality[i], i))[:limit]
    return np.array(sorted(chosen, key=lambda i: (groups[i], i)), int)
