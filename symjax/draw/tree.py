"""Drawing Baernighausen trees: Graphviz text, and SVG or PNG by matplotlib with a layout of its own.

Owns `dot_text` and `draw`. Scheme of International Tables A1, chapter 1.6: boxes with the symbol and, for each orbit, element,
Wyckoff letter, site symmetry and coordinates; arrows with kind and index (t3, k2, i3) and what changes of basis and origin.

The layout is layered (Sugiyama, Tagawa & Toda 1981): a group stands below everything above it, edges that skip a layer go through
a gap of it, the order within layers comes from barycentres, places from least squares with minimal distances. Labels stand right
above the box that their edge leads to, each over a stretch of the box of its own, so nothing overlaps. Lengths are points.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from symjax.navigate.graph import Edge, Graph, Vertex
from symjax.navigate.notation import basis_text, mathtext, origin_text

_HEAD, _TEXT, _LABEL = 13.0, 8.0, 8.0  # font sizes
_PAD, _GAP, _LINE = 6.0, 16.0, 1.35
_ROWS = 12
"""Orbits written into a box; of more the rest is counted."""
_WIDEST = 16
"""Groups side by side in the last layer; more go into further rows."""
_COLOURS = {"t": "#1f4e9c", "k": "#1b7f3b", "i": "#b35c00"}
_MEANING = {"t": "t: translationengleiche", "k": "k: klassengleiche", "i": "i: isomorphic"}


def dot_text(graph: Graph) -> str:
    """The tree for Graphviz."""
    lines = [
        "digraph subgroups {",
        '  node [shape=box, fontname="Helvetica"];',
        '  edge [fontname="Helvetica", fontsize=10];',
    ]
    for i, vertex in enumerate(graph.vertices):
        rows = [f"{vertex.setting.symbol} ({vertex.setting.number})", *(" ".join(row) for row in vertex.rows)]
        style = ", penwidth=2" if vertex.target else ""
        lines.append(f'  g{i} [label="{_escaped(rows)}"{style}];')
    for edge in graph.edges:
        text = _escaped([edge.step.label, *_change_lines(edge)])
        lines.append(f'  g{edge.upper} -> g{edge.lower} [label="{text}"];')
    return "\n".join([*lines, "}"]) + "\n"


def _escaped(rows: list[str]) -> str:
    return "\\n".join(row.replace("\\", "\\\\").replace('"', '\\"') for row in rows)


def _change_lines(edge: Edge) -> list[str]:
    """Basis and origin where they change."""
    basis, origin = basis_text(edge.step.setting), origin_text(edge.step.setting)
    return ([basis] if basis != "a,b,c" else []) + ([origin] if origin != "0,0,0" else [])


@dataclass
class _Box:
    """A vertex, or a gap that a long edge passes through (`vertex` None), on its layer."""

    layer: int
    vertex: Vertex | None
    width: float
    height: float
    x: float = 0.0
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    ports: dict[int, float] = field(default_factory=dict)  # edge -> offset of its label from the middle of the box


@cache
def _extent(text: str, size: float, bold: bool = False) -> float:
    """Width of a text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    return float(
        TextPath((0, 0), text, prop=FontProperties(size=size, weight="bold" if bold else "normal")).get_extents().width
    )


def _label_lines(edge: Edge) -> list[str]:
    return [edge.step.label, *_change_lines(edge)]


def _label_width(edge: Edge) -> float:
    return max(_extent(line, _LABEL, bold=i == 0) for i, line in enumerate(_label_lines(edge))) + 10.0


def _table(vertex: Vertex) -> tuple[list[tuple[str, ...]], list[float]]:
    """Rows of a box and the widths of their columns."""
    rows: list[tuple[str, ...]] = list(vertex.rows)
    if len(rows) > _ROWS:
        rows = [*rows[: _ROWS - 1], (f"and {len(vertex.rows) - _ROWS + 1} more", "", "", "")]
    whole = [row for row in rows if row[1]]
    widths = [max((_extent(row[c], _TEXT) for row in whole), default=0.0) + 7.0 for c in range(4)]
    return rows, widths


def _size(vertex: Vertex) -> tuple[float, float]:
    rows, widths = _table(vertex)
    head = _extent(mathtext(vertex.setting.symbol), _HEAD) + _extent(f" {vertex.setting.number}", _TEXT) + 8.0
    width = max(head, sum(widths) if rows else 0.0) + 2 * _PAD
    return width, _HEAD * _LINE + len(rows) * _TEXT * _LINE + 1.6 * _PAD


def _layers(graph: Graph) -> list[int]:
    """Layer of each vertex: length of the longest way from the root; one too long at the end is broken up."""
    layer = [0] * len(graph.vertices)
    for _ in graph.vertices:
        for edge in graph.edges:
            layer[edge.lower] = max(layer[edge.lower], layer[edge.upper] + 1)
    deepest = [i for i, at in enumerate(layer) if at == max(layer)]
    rows = -(-len(deepest) // _WIDEST)
    for k, i in enumerate(deepest):  # a long last layer goes into several rows
        layer[i] += k % rows
    return layer


def _boxes(graph: Graph) -> tuple[list[_Box], list[list[int]], list[list[int]]]:
    """Boxes (vertices first, then gaps), the boxes of each layer, and for each edge the boxes it runs through."""
    layer = _layers(graph)
    boxes = [_Box(at, vertex, *_size(vertex)) for at, vertex in zip(layer, graph.vertices, strict=True)]
    routes = []
    for i, edge in enumerate(graph.edges):
        route = [edge.upper]
        for between in range(layer[edge.upper] + 1, layer[edge.lower]):
            boxes.append(_Box(between, None, 6.0, 0.0))
            route.append(len(boxes) - 1)
        route.append(edge.lower)
        for a, b in itertools.pairwise(route):
            boxes[a].below.append(b)
            boxes[b].above.append(a)
        boxes[edge.lower].ports[i] = 0.0
        routes.append(route)
    for box in boxes:
        if box.ports:
            needed = sum(_label_width(graph.edges[i]) for i in box.ports) + 8.0 * (len(box.ports) - 1)
            box.width = max(box.width, needed)
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for i, box in enumerate(boxes):
        rows[box.layer].append(i)
    return boxes, rows, routes


def _arrange(boxes: list[_Box], rows: list[list[int]]) -> None:
    """Order within the layers and places of the boxes."""
    for sweep in range(24):
        down = sweep % 2 == 0
        for row in rows[1:] if down else rows[-2::-1]:
            neighbours = [boxes[i].above if down else boxes[i].below for i in row]
            place = {i: k for other in rows for k, i in enumerate(other)}
            key = {
                i: float(np.mean([place[j] for j in near])) if near else float(place[i])
                for i, near in zip(row, neighbours, strict=True)
            }
            row.sort(key=lambda i: key[i])
    for row in rows:
        for i, x in zip(row, _spread([0.0] * len(row), [boxes[i].width for i in row]), strict=True):
            boxes[i].x = x
    for sweep in range(60):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = []
            for i in row:
                near = boxes[i].above + boxes[i].below
                wanted.append(float(np.mean([boxes[j].x for j in near])) if near else boxes[i].x)
            for i, x in zip(row, _spread(wanted, [boxes[i].width for i in row]), strict=True):
                boxes[i].x = x


def _spread(wanted: list[float], widths: list[float]) -> list[float]:
    """Places nearest to the wanted ones (least squares) at which boxes in this order do not touch (pool adjacent violators)."""
    offset = np.concatenate([[0.0], np.cumsum([(a + b) / 2 + _GAP for a, b in itertools.pairwise(widths)])])
    pools: list[list[float]] = []  # mean and size
    for value in np.array(wanted) - offset[: len(wanted)]:
        pools.append([float(value), 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [[(a * m + b * n) / (m + n), m + n]]
    flat = [mean for mean, size in pools for _ in range(int(size))]
    return [float(a + b) for a, b in zip(flat, offset, strict=False)]


def _set_ports(graph: Graph, boxes: list[_Box], routes: list[list[int]]) -> None:
    """Labels over their box from left to right in the order in which the edges come in."""
    for box in boxes:
        order = sorted(box.ports, key=lambda i: boxes[routes[i][-2]].x)
        widths = [_label_width(graph.edges[i]) for i in order]
        total = sum(widths) + 8.0 * (len(widths) - 1)
        left = -total / 2
        for i, width in zip(order, widths, strict=True):
            box.ports[i] = left + width / 2
            left += width + 8.0


def arranged(graph: Graph) -> tuple[list[_Box], list[tuple[int, tuple[float, float], _Box]]]:
    """Where everything goes: boxes (gaps of long edges among them), and of each label its layer, left and right end and box."""
    boxes, _, routes = _placed(graph)
    labels = []
    for i, edge in enumerate(graph.edges):
        box, half = boxes[routes[i][-1]], _label_width(edge) / 2
        labels.append((box.layer, (box.x + box.ports[i] - half, box.x + box.ports[i] + half), box))
    return boxes, labels


def _placed(graph: Graph) -> tuple[list[_Box], list[list[int]], list[list[int]]]:
    boxes, rows, routes = _boxes(graph)
    _arrange(boxes, rows)
    _set_ports(graph, boxes, routes)
    return boxes, rows, routes


def draw(path: Path, graph: Graph, *, title: str = "", kind: str = "png") -> None:
    """Draw a tree into a file.

    Args:
        path: file to write.
        graph: the tree.
        title: a line above it.
        kind: "png" or "svg".

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes, rows, routes = _placed(graph)
    left = min(box.x - box.width / 2 for box in boxes) - 20.0
    right = max(max(box.x + box.width / 2 for box in boxes) + 20.0, left + max(_extent(title, 12.0) + 40.0, 300.0))
    top, strips = _heights(graph, boxes, rows)
    bottom = top[-1] - max(boxes[i].height for i in rows[-1]) - 34.0
    figure = Figure(figsize=((right - left) / 72, -bottom / 72 + 0.55), dpi=min(150.0, 16000 / ((right - left) / 72)))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, 0.55 * 72)
    axes.set_axis_off()
    _draw_edges(axes, graph, boxes, routes, (top, strips))
    for box in boxes:
        if box.vertex is not None:
            _draw_box(axes, box, top[box.layer])
    axes.text(left + 14, 18, title, fontsize=12, va="bottom", ha="left")
    used = [name for name in "tki" if any(edge.step.label[0] == name for edge in graph.edges)]
    x = left + 14
    for name in used:
        axes.text(x, bottom + 10, _MEANING[name], fontsize=_LABEL, color=_COLOURS[name])
        x += _extent(_MEANING[name], _LABEL) + 14
    figure.savefig(path, format=kind, facecolor="white")


def _heights(graph: Graph, boxes: list[_Box], rows: list[list[int]]) -> tuple[list[float], list[float]]:
    """Top of the boxes of each layer (downwards negative), and the height of the labels above them."""
    strips = []
    for row in rows:
        lines = [len(_label_lines(graph.edges[i])) for b in row for i in boxes[b].ports]
        strips.append(max(lines, default=0) * _LABEL * _LINE + 14.0)
    top = [0.0]
    for upper, strip in zip(rows, strips[1:], strict=False):
        sideways = max(abs(boxes[i].x - boxes[j].x) for i in upper for j in boxes[i].below)
        corridor = 22.0 + min(0.15 * sideways, 90.0)
        top.append(top[-1] - max(boxes[i].height for i in upper) - corridor - strip)
    return top, strips


def _draw_edges(
    axes: Any, graph: Graph, boxes: list[_Box], routes: list[list[int]], heights: tuple[list[float], list[float]]
) -> None:
    top, strips = heights
    for i, (edge, route) in enumerate(zip(graph.edges, routes, strict=True)):
        colour = _COLOURS[edge.step.label[0]]
        start = boxes[route[0]]
        xs, ys = [start.x], [top[start.layer] - start.height]
        for b in route[1:-1]:
            gap = boxes[b]
            deep = max(other.height for other in boxes if other.layer == gap.layer)
            xs += [gap.x, gap.x]
            ys += [top[gap.layer] + strips[gap.layer], top[gap.layer] - deep]
        end = boxes[route[-1]]
        x, lines = end.x + end.ports[i], _label_lines(edge)
        high = top[end.layer] + len(lines) * _LABEL * _LINE + 13.0
        xs += [x, x]
        ys += [top[end.layer] + strips[end.layer], high]
        axes.plot(xs, ys, color=colour, linewidth=1.0, solid_joinstyle="round", zorder=1)
        for k, line in enumerate(lines):
            y = high - 2.0 - (k + 0.8) * _LABEL * _LINE
            axes.text(
                x,
                y,
                line,
                fontsize=_LABEL,
                ha="center",
                va="baseline",
                color=colour,
                weight="bold" if k == 0 else "normal",
            )
        arrow = {
            "arrowstyle": "-|>",
            "color": colour,
            "linewidth": 1.0,
            "shrinkA": 0.0,
            "shrinkB": 0.0,
            "mutation_scale": 8.0,
        }
        axes.annotate("", xy=(x, top[end.layer]), xytext=(x, top[end.layer] + 9.0), arrowprops=arrow)


def _draw_box(axes: Any, box: _Box, top: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    vertex = box.vertex
    assert vertex is not None
    low, left = top - box.height, box.x - box.width / 2
    root = vertex.index == 1
    face = "#eef1f6" if root else "#fff4d6" if vertex.target else "white"
    axes.add_patch(
        FancyBboxPatch(
            (left, low),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor=face,
            edgecolor="#333333",
            linewidth=1.6 if vertex.target or root else 0.9,
            zorder=2,
        )
    )
    y = top - _PAD - 0.8 * _HEAD
    head, number = mathtext(vertex.setting.symbol), f" {vertex.setting.number}"
    width = _extent(head, _HEAD)
    start = box.x - (width + _extent(number, _TEXT) + 4.0) / 2
    axes.text(start, y, head, fontsize=_HEAD, va="baseline", zorder=3)
    axes.text(start + width + 5.0, y, number.strip(), fontsize=_TEXT, va="baseline", color="#555555", zorder=3)
    rows, widths = _table(vertex)
    left = box.x - sum(widths) / 2
    if rows:
        axes.plot(
            [box.x - box.width / 2, box.x + box.width / 2], [y - 5.0, y - 5.0], color="#999999", linewidth=0.5, zorder=3
        )
    for k, row in enumerate(rows):
        at = left
        for text, wide in zip(row, widths, strict=True):
            axes.text(at + 3.0, y - 6.0 - (k + 0.85) * _TEXT * _LINE, text, fontsize=_TEXT, va="baseline", zorder=3)
            at += wide
