"""Plots over the chemical elements: the periodic table of ratios, and bars of the most frequent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from symjax.elements import GROUP, NUM_ELEMENTS, PERIOD, SYMBOLS, atomic_number
from symjax.evaluate.report.canvas import (
    COLORS,
    FAINT,
    GRID,
    INK,
    WIDE,
    encode,
    legend_above,
    new_figure,
    text_color,
    tidy,
)
from symjax.evaluate.report.reading import ROLES, Report, number, write_number

SHOWN = 30
"""Elements that get bars."""
LARGEST = 3.0
"""Binary logarithm of a ratio at which the colours end: eight times as frequent, or an eighth."""
HALF_CRYSTAL = 0.5
"""Crystals that the smaller side is given of every element before dividing; the other side is given the same share."""


def weights_of(report: Report) -> dict[str, np.ndarray]:
    """For each set of crystals the weight of each element, (104,) by atomic number; empty where there is none."""
    found = (report.get("distributions") or {}).get("elements")
    sides: dict[str, np.ndarray] = {}
    for role in ROLES:
        counts = found.get(role) if isinstance(found, Mapping) else None
        weights = np.zeros(NUM_ELEMENTS)
        for key, value in counts.items() if isinstance(counts, Mapping) else ():
            z = int(key) if str(key).isdigit() else atomic_number(str(key)) or 0
            if 0 < z < NUM_ELEMENTS and math.isfinite(number(value)):
                weights[z] += max(number(value), 0.0)
        if weights.sum() > 0:
            sides[role] = weights
    return sides


def log_ratios(samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(104,) binary logarithm of share in the samples over share in the reference; NaN for elements in neither.

    Both sides get one pseudo-weight in proportion to their number, half a crystal on the smaller side (`HALF_CRYSTAL`): an element
    that few crystals could not have shown has a pale colour, and one absent from the samples is never over-represented.
    """
    least = HALF_CRYSTAL / min(samples.sum(), reference.sum())
    first, second = samples / samples.sum() + least, reference / reference.sum() + least
    return np.where((samples > 0) | (reference > 0), np.log2(first / second), np.nan)


def table(report: Report, kind: str = "svg") -> bytes | None:
    """Periodic table coloured by how much more or less frequent each element is in the samples than in the reference."""
    sides = weights_of(report)
    if not {"samples", "reference"} <= set(sides):
        return None
    return encode(lambda: _table(sides["samples"], sides["reference"]), kind)


def _place(z: int) -> tuple[float, float]:
    """(column, row) of an element; lanthanides and actinides stand in two rows of their own below."""
    if 57 <= z <= 71 or 89 <= z <= 103:
        return 3.0 + z - (57 if z <= 71 else 89), 8.3 if z <= 71 else 9.3
    return float(GROUP[z]), float(PERIOD[z])


def _table(samples: np.ndarray, reference: np.ndarray) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    ratios = log_ratios(samples, reference)
    colors = ScalarMappable(Normalize(-LARGEST, LARGEST), "PuOr_r")
    figure = new_figure(WIDE, 5.9)
    axes = figure.add_subplot()
    shares = [100 * side / side.sum() for side in (samples, reference)]
    for z in range(1, NUM_ELEMENTS):
        x, y = _place(z)
        seen = bool(np.isfinite(ratios[z]))
        fill = colors.to_rgba(ratios[z]) if seen else "none"
        axes.add_patch(Rectangle((x, y), 0.94, 0.94, facecolor=fill, edgecolor=GRID, lw=0.6))
        ink = text_color(fill) if seen else FAINT
        middle = y + (0.34 if seen else 0.47)
        axes.text(
            x + 0.47,
            middle,
            SYMBOLS[z],
            ha="center",
            va="center",
            fontsize=10.5,
            color=ink,
            weight="bold" if seen else "normal",
        )
        if seen:
            said = f"{_percent(shares[0][z])} | {_percent(shares[1][z])}"
            axes.text(x + 0.47, y + 0.73, said, ha="center", va="center", fontsize=6.1, color=ink)
    axes.text(3.47, 6.47, "57\N{EN DASH}71", ha="center", va="center", fontsize=7.5, color=FAINT)
    axes.text(3.47, 7.47, "89\N{EN DASH}103", ha="center", va="center", fontsize=7.5, color=FAINT)
    axes.text(
        7.9,
        1.5,
        "below each symbol: share in the samples | in the reference, %",
        fontsize=8.5,
        color=INK,
        ha="center",
        va="center",
    )
    axes.set_xlim(0.9, 19.1)
    axes.set_ylim(10.4, 0.9)
    axes.set_aspect("equal")
    axes.set_axis_off()
    bar = figure.colorbar(colors, ax=axes, shrink=0.72, aspect=26, pad=0.01, ticks=range(-3, 4))
    bar.ax.set_yticklabels(
        ["\N{LESS-THAN OR EQUAL TO} 1/8", "1/4", "1/2", "1", "2", "4", "\N{GREATER-THAN OR EQUAL TO} 8"]
    )
    bar.set_label("share in samples / share in reference")
    bar.outline.set_visible(False)
    return figure


def _percent(value: float) -> str:
    return f"{value:.1f}" if value >= 0.05 else "0" if value == 0 else "<.1"


def bars(report: Report, kind: str = "svg") -> bytes | None:
    """Shares of the most frequent elements, in order of the reference (of the samples without one)."""
    sides = weights_of(report)
    if not sides:
        return None
    return encode(lambda: _bars(sides), kind)


def _bars(sides: Mapping[str, np.ndarray]) -> Any:
    shares = {role: 100 * side / side.sum() for role, side in sides.items()}
    top = np.max([shares[role] for role in shares if role != "train" or len(shares) == 1], axis=0)
    chosen = [int(z) for z in np.argsort(-top, kind="stable")[:SHOWN] if top[z] > 0]
    order = shares.get("reference", next(iter(shares.values())))
    chosen.sort(key=lambda z: (-order[z], z))
    figure = new_figure(WIDE, 3.3)
    axes = figure.add_subplot()
    width = 0.82 / len(shares)
    for index, (role, share) in enumerate(shares.items()):
        place = np.arange(len(chosen)) + (index - (len(shares) - 1) / 2) * width
        said = f"{role} (n = {write_number(round(float(sides[role].sum())))})"
        axes.bar(place, share[chosen], width=width, color=COLORS[role], label=said)
    axes.set_xticks(range(len(chosen)), [SYMBOLS[z] for z in chosen])
    axes.set_xlim(-0.6, len(chosen) - 0.4)
    tidy(axes, "element", "share of atoms, mean over crystals (%)")
    axes.tick_params(axis="x", length=0, colors=INK)
    legend_above(axes, 3)
    return figure
