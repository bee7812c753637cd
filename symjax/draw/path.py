"""The page that `symjax path` draws: all images, and what changes along the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from symjax.crystals.io.convert import as_structure
from symjax.draw.legend import ROW, draw_legend, elements_of, legend_rows
from symjax.draw.page import INK, pretty_formula, symbol_of
from symjax.draw.render import render


def draw(file: Path, crystals: list[Any], report: dict[str, Any], columns: int = 6) -> None:
    """All images on one page, with the shortest distance and the volume along the path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    images, path = report["images"], report["paths"][report["which"] - 1]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    elements, width = elements_of([as_structure(crystal) for crystal in crystals]), 2.15 * max(columns, 4)
    legend = ROW * legend_rows(elements, width)
    tall = 2.45 * rows + 2.3 + legend
    figure = Figure(figsize=(width, tall), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        rows + 1,
        columns,
        height_ratios=[2.45] * rows + [1.7],
        hspace=0.24,
        wspace=0.06,
        left=0.07,
        right=0.93,
        top=1 - (0.72 + legend) / tall,
        bottom=0.5 / tall,
    )
    heading = (
        f"{pretty_formula(report['formula'])}: {symbol_of(report['first']['number'])} to {symbol_of(report['second']['number'])} "
        f"through {symbol_of(path['number'])} ({path['number']}), {path['max_displacement']:.2f} Å, {path['max_strain']:.1f} %"
    )
    figure.text(0.05, 1 - 0.24 / tall, heading, fontsize=13, color=INK, va="center")
    draw_legend(figure, elements, 0.4)
    for at, (crystal, image) in enumerate(zip(crystals, images, strict=True)):
        axes = figure.add_subplot(grid[at // columns, at % columns])
        axes.imshow(render(as_structure(crystal)), interpolation="antialiased")
        axes.set_axis_off()
        axes.set_title(f"{image['s']:.2f}   {symbol_of(image['number'])}", fontsize=8.5, color=INK, pad=2)
    axes = figure.add_subplot(grid[rows, :])
    places = [image["s"] for image in images]
    for name, color, label, side in (
        ("shortest_distance", "#4c78a8", "shortest distance, Å", axes),
        ("volume_per_atom", "#c8385a", "volume per atom, Å³", axes.twinx()),
    ):
        side.plot(places, [image[name] for image in images], "o-", ms=3, lw=1.2, color=color)
        side.set_ylabel(label, fontsize=8.5, color=color)
        side.tick_params(labelsize=8, colors=INK)
        side.spines["top"].set_visible(False)
        values = [image[name] for image in images]
        if max(values) - min(values) < 0.02 * max(values):  # a flat curve drawn flat
            side.set_ylim(0.98 * min(values), 1.02 * max(values))
    axes.set_xlabel("along the path", fontsize=8.5, color=INK)
    figure.savefig(file, metadata={"Software": None})
