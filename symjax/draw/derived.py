"""The page that `symjax derive` draws: the parent and the first structures, each with what was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symjax.crystals.types import AtomicStructure
from symjax.draw.legend import ROW, draw_legend, elements_of, legend_rows
from symjax.draw.page import INK, pretty_formula, symbol_of
from symjax.draw.render import render

_PICTURED = 17


def draw(
    path: Path,
    parent: AtomicStructure,
    cells: Sequence[AtomicStructure],
    *,
    formula: str,
    number: int,
    entries: list[dict[str, Any]],
) -> None:
    """Write the page as a PNG.

    Args:
        path: file to write.
        parent: the crystal that structures were derived from.
        cells: the structures.
        formula: of the parent.
        number: space group of the parent.
        entries: of the structures in the index of the command.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = min(len(cells), _PICTURED) + 1
    columns = min(shown, 6)
    rows = -(-shown // columns)
    elements, width = elements_of([parent]), 2.15 * max(columns, 3)
    legend = ROW * legend_rows(elements, width)
    tall = 2.55 * rows + 0.5 + legend
    figure = Figure(figsize=(width, tall), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        rows, columns, hspace=0.3, wspace=0.06, left=0.03, right=0.97, top=1 - (0.9 + legend) / tall, bottom=0.02
    )
    heading = f"{pretty_formula(formula)}: {symbol_of(number)} ({number})"
    if entries:
        made = entries[0]["group"]["number"]
        heading += f" → {symbol_of(made)} ({made}), {len(entries)} structures"
    figure.text(0.03, 1 - 0.24 / tall, heading, fontsize=13, color=INK, va="center", weight="bold")
    draw_legend(figure, elements, 0.4)
    captions = [f"parent\n{symbol_of(number)}"] + [_caption(e) for e in entries[: shown - 1]]
    for place, (cell, text) in enumerate(zip([parent, *cells], captions, strict=False)):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        axes.imshow(render(cell), interpolation="antialiased")
        axes.set_axis_off()
        axes.set_title(text, fontsize=8, color=INK, pad=2, linespacing=1.25)
    figure.savefig(path, metadata={"Software": None})


def _caption(entry: dict[str, Any]) -> str:
    energy = entry.get("energy_against_parent")
    first = f"{entry['file'].split('-')[0]}, class {entry['class']}"
    if energy is not None:
        return f"{first}\n{energy:+.1f} meV/atom relaxed"
    return f"{first}\n{entry['amplitude']:.2f} Å, {entry['strain']:.2f} %"
