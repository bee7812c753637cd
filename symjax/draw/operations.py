"""The picture of how a crystal comes about: operations appear step by step, then lattice and atoms (PNG, and a GIF).

After Wang, Zhu and Hippalgaonkar (Generative symmetry in crystal modelling), figure 1. A set of operations is drawn as the
images of one general point with an arrow, seen along c of the cell in whose axes it was drawn: filled where the hand is kept, open
where it is turned over; what the last step added is in colour. The group under each panel is read off the operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.draw.legend import ROW, draw_legend, elements_of, legend_rows
from symjax.draw.page import INK, pretty_formula, symbol_of
from symjax.draw.render import render
from symjax.groups.sets import OpSet
from symjax.lattice import FRAMES, choose_frame
from symjax.ops import Op
from symjax.ops.seitz import seitz

POINT, TIP = np.array([0.11, 0.06, 0.13]), np.array([0.19, 0.12, 0.13])
NEW, OLD = "#c8442f", "#3c5a78"
COLUMNS = 8
_FRAMES_A_SECOND = 1


def draw_history(
    path: Path, history: Sequence[OpSet], numbers: Sequence[int], cell: AtomicStructure, number: int, formula: str
) -> None:
    """Write `path` (PNG) and the same name with `.gif`.

    Args:
        path: of the PNG.
        history: sets of operations, each inside the next.
        numbers: their space-group types.
        cell: the crystal that was made.
        number: its space group.
        formula: of the crystal.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = len(history) + 2
    columns = min(panels, COLUMNS)
    rows = -(-panels // columns)
    elements, width = elements_of([cell]), 2.4 * columns
    legend = ROW * legend_rows(elements, width)
    tall = 2.8 * rows + 0.4 + legend
    figure = Figure(figsize=(width, tall), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{pretty_formula(formula)}: operations, then lattice and atoms", color=INK, fontsize=12, x=0.02, ha="left"
    )
    draw_legend(figure, elements, 0.4)
    for i in range(panels):
        _panel(figure.add_subplot(rows, columns, i + 1), i, history, numbers, cell, number)
    figure.subplots_adjust(left=0.02, right=0.98, top=1 - (0.9 + legend) / tall, bottom=0.02, hspace=0.35, wspace=0.1)
    figure.savefig(path, metadata={"Software": None})

    moving = Figure(figsize=(3.6, 4.0), dpi=100, facecolor="white")
    FigureCanvasAgg(moving)
    axes = moving.add_subplot()

    def frame(i: int) -> list[Any]:
        axes.clear()
        _panel(axes, i, history, numbers, cell, number)
        return []

    FuncAnimation(moving, frame, frames=panels).save(
        path.with_suffix(".gif"), writer=PillowWriter(fps=_FRAMES_A_SECOND)
    )


def _panel(
    axes: Any, i: int, history: Sequence[OpSet], numbers: Sequence[int], cell: AtomicStructure, number: int
) -> None:
    """One step: a set of operations, then the empty lattice, then the crystal."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    if i >= len(history):
        bare = AtomicStructure(L=cell.L, z=cell.z[:0], x=cell.x[:0])
        axes.imshow(render(cell if i > len(history) else bare), interpolation="antialiased")
        found = f"atoms\n{symbol_of(number)} ({number})" if i > len(history) else "lattice"
        axes.set_title(found, fontsize=8.5, color=INK)
        return
    before = set() if i == 0 else {_key(op) for op in _rows(history[i - 1])}
    _draw_set(axes, history[i], before)
    added = [op for op in _rows(history[i]) if _key(op) not in before]
    text = "identity" if i == 0 else f"+ {seitz(added[0])}"
    if len(added) > 1:
        text += f" and {len(added) - 1} by closing"
    axes.set_title(
        f"{text}\n{symbol_of(numbers[i])} ({numbers[i]}), {len(_rows(history[i]))} operations", fontsize=8.5, color=INK
    )


def _rows(opset: OpSet) -> list[Op]:
    """Members, as single operations."""
    mask = np.asarray(opset.mask)
    return [Op(W, w) for W, w in zip(np.asarray(opset.W)[mask], np.asarray(opset.w)[mask], strict=True)]


def _key(op: Op) -> bytes:
    return np.append(op.W, op.w).astype(np.int64).tobytes()


def _draw_set(axes: Any, opset: OpSet, before: set[bytes]) -> None:
    """Images of the point with its arrow, along c."""
    A = FRAMES[choose_frame(opset.W, opset.mask)]
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]]) @ A.T
    axes.plot(corners[:, 0], corners[:, 1], color="#9aa5b1", lw=0.8)
    for op in _rows(opset):
        new = _key(op) not in before
        start = op.W @ POINT + op.w / opset.den
        shift = -np.floor(start)
        tip = (op.W @ TIP + op.w / opset.den + shift) @ A.T
        start = (start + shift) @ A.T
        color = NEW if new else OLD
        proper = np.linalg.det(op.W) > 0
        axes.annotate(
            "",
            tip[:2],
            start[:2],
            arrowprops={"arrowstyle": "-|>", "color": color, "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
        )
        size = 10 + 26 * (start[2] % 1.0)  # higher points are larger
        axes.scatter(*start[:2], s=size, facecolor=color if proper else "white", edgecolor=color, lw=0.9, zorder=3)
