"""Which colour is which element, beside pictures of crystals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symjax.crystals.types import AtomicStructure
from symjax.elements import SYMBOLS

INK = "#22262e"
STEP, ROW = 0.52, 0.26
"""Inches for one element, and for a row of them."""


def elements_of(cells: Iterable[AtomicStructure]) -> list[int]:
    """Atomic numbers that occur, rising."""
    return sorted({int(z) for cell in cells for z in cell.z})


def legend_rows(elements: list[int], width: float) -> int:
    """Rows that a legend of so many elements takes in a picture of `width` inches; 0 without any."""
    return -(-len(elements) // max(int(0.93 * width / STEP), 1))


def draw_legend(figure: Any, elements: list[int], top: float) -> None:
    """A dot and a symbol for each element, as `symjax.draw.render` colours atoms.

    Args:
        figure: of matplotlib.
        elements: atomic numbers.
        top: where the legend begins, inches from the upper edge.
    """
    from ase.data.colors import jmol_colors

    width, tall = figure.get_size_inches()
    each = max(int(0.93 * width / STEP), 1)
    rows = legend_rows(elements, width)
    axes = figure.add_axes((0.05, 1 - (top + rows * ROW) / tall, 0.93, max(rows * ROW, 1e-3) / tall))
    axes.set_xlim(0, 0.93 * width)
    axes.set_ylim(-rows * ROW, 0)
    axes.set_axis_off()
    for index, number in enumerate(elements):
        x, y = STEP * (index % each), -ROW * (index // each + 0.5)
        axes.plot([x + 0.08], [y], "o", ms=8, mfc=jmol_colors[number], mec=INK, mew=0.5)
        axes.text(x + 0.18, y, SYMBOLS[number], fontsize=8.5, color=INK, va="center")
