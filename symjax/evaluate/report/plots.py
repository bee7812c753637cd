"""The plots of a report: each is a function of the plain report dict that gives SVG or PNG bytes, or None without its data.

Distributions are drawn as shares, so sets of different numbers can be compared; how many crystals each is over stands in
its legend. Where an axis ends before the data do, the share beyond it is written on the plot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from symjax.draw.page import SYSTEM_COLORS, symbol_of
from symjax.evaluate.report import elements, grids
from symjax.evaluate.report.canvas import (
    ACCENT,
    COLORS,
    FAINT,
    HALF,
    INK,
    PAPER,
    WIDE,
    Picture,
    darken,
    encode,
    legend_above,
    new_figure,
    tidy,
)
from symjax.evaluate.report.reading import ROLES, Report, clean, number, write_number
from symjax.groups.symbols import CRYSTAL_SYSTEMS, crystal_system

LABEL_WIDTH = 22
"""Width of a group's label in units of the axis."""
LABELLED = 12
"""Groups that carry their symbol: those whose shares differ most."""
LABEL_ROOM = 62
"""Characters of labels that fit under half a page."""
TAIL = 0.01
"""Share of the values that may lie beyond either end of an axis."""
BINS = (12, 48)
"""Fewest and most bins; between them twice the root of the number of values, so that few crystals give no comb."""
HULL_MARKS = (0.0, 0.08)
"""Energies above the hull, eV/atom, at which the share below is written; 0.08 is WyckoffTransformer's bound for S.U.N."""


def shares_of(report: Report, name: str) -> dict[str, dict[str, float]]:
    """Of a distribution over categories: for each set of crystals, category -> weight; empty where there is none."""
    found = (report.get("distributions") or {}).get(name)
    if not isinstance(found, Mapping) or found.get("kind") != "counts":
        return {}
    sides: dict[str, dict[str, float]] = {}
    for role in ROLES:
        counts = found.get(role)
        live = {str(k): number(v) for k, v in counts.items() if number(v) > 0} if isinstance(counts, Mapping) else {}
        if live and np.isfinite(list(live.values())).all():
            sides[role] = live
    return sides


def values_of(report: Report, name: str) -> dict[str, np.ndarray]:
    """Of a distribution of values: for each set of crystals, those that are finite; empty where there are none."""
    found = (report.get("distributions") or {}).get(name)
    if not isinstance(found, Mapping) or found.get("kind") != "values":
        return {}
    sides = {}
    for role in ROLES:
        values = np.array([number(value) for value in found.get(role) or []], float)
        values = values[np.isfinite(values)]
        if values.size:
            sides[role] = values
    return sides


def _whole(key: Any, low: int = 0, high: int = 10**9) -> int | None:
    """A category that is a whole number within bounds, None for any other."""
    value = number(key)
    return int(value) if np.isfinite(value) and value == int(value) and low <= value <= high else None


def _label(report: Report, name: str, *, unit: bool = True) -> str:
    found = report["distributions"][name]
    label, said = clean(found.get("xlabel") or name), clean(found.get("unit") or "")
    return f"{label} ({said})" if said and unit else label


def space_groups(report: Report, kind: str = "svg") -> bytes | None:
    """Mirrored bars over the space-group number: samples above, reference below, coloured by crystal system."""
    sides = {}
    for role, counts in shares_of(report, "space groups").items():
        share = np.zeros(231)
        for key, weight in counts.items():
            group = _whole(key, high=230)
            if group is not None:
                share[max(group, 1)] += weight  # a failed search counts as number 1, as in the published tables
        if role != "train" and share.sum() > 0:
            sides[role] = 100 * share / share.sum()
    if not sides:
        return None
    up, down = (sides.get(role, np.zeros(231)) for role in ("samples", "reference"))
    return encode(lambda: _mirrored(up, down, _label(report, "space groups"), sides), kind)


def _mirrored(up: np.ndarray, down: np.ndarray, xlabel: str, sides: Mapping[str, np.ndarray]) -> Any:
    figure = new_figure(WIDE, 4.6)
    axes = figure.add_subplot()
    top = 1.22 * max(up.max(), down.max(), 1e-9)
    for name, numbers in CRYSTAL_SYSTEMS.items():
        color, inside = SYSTEM_COLORS[name], np.array(numbers)
        axes.axvspan(numbers.start - 0.5, numbers.stop - 0.5, color=color, alpha=0.09, lw=0)
        said = f"{name} {up[inside].sum():.0f} | {down[inside].sum():.0f} %"
        for side, sign, alpha in ((up, 1, 1.0), (down, -1, 0.72)):
            live = inside[side[inside] > 0]
            axes.bar(live, sign * side[live], width=1.0, color=color, alpha=alpha)
        axes.fill_between([], [], color=color, label=said)
    axes.axhline(0, color=INK, lw=0.9)
    for group in _apart(up - down):
        above = up[group] >= down[group]
        side, sign = (up, 1) if above else (down, -1)
        # Over every bar that the label is as wide as, so that it covers none.
        middle = _label_place(group)
        place = side[max(middle - LABEL_WIDTH // 2, 0) : middle + LABEL_WIDTH // 2 + 1].max()
        if place > side[group] + 0.03 * top:
            axes.plot([group, group], [sign * side[group], sign * place], color=FAINT, lw=0.6)
        text = f"{symbol_of(group)} ({group})\n{up[group]:.1f} | {down[group]:.1f} %"
        axes.annotate(
            text,
            (middle, sign * place),
            xytext=(0, 3 * sign),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=7.5,
            color=INK,
            linespacing=1.2,
        )
    axes.set_xlim(-3, 234)
    axes.set_ylim(-top, top)
    axes.set_xticks([1, 16, 75, 143, 168, 195, 230])
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    tidy(axes, xlabel, "share of crystals (%)")
    for role, y in (("samples", 0.75), ("reference", 0.25)):  # beside the axes, where no label of a bar can be
        said = role if role in sides else f"{role}: none"
        style = {"rotation": 270, "va": "center", "ha": "left", "fontsize": 11, "weight": "bold"}
        axes.text(1.006, y, said, transform=axes.transAxes, color=COLORS[role], **style)
    legend_above(axes, 7, fontsize=7.8)
    return figure


def _label_place(group: int) -> int:
    """Where the middle of a group's label is: over its bar, but no label reaches over the ends of the axis."""
    return min(max(group, LABEL_WIDTH // 2 - 1), 232 - LABEL_WIDTH // 2)


def _apart(difference: np.ndarray) -> list[int]:
    """At most `LABELLED` numbers with the largest differences; labels on the same side of the axis do not touch."""
    placed: list[int] = []
    for group in np.argsort(-np.abs(difference), kind="stable"):
        beside = [other for other in placed if (difference[other] >= 0) == (difference[group] >= 0)]
        if difference[group] != 0 and all(
            abs(_label_place(int(group)) - _label_place(other)) >= LABEL_WIDTH for other in beside
        ):
            placed.append(int(group))
    return placed[:LABELLED]


def crystal_systems(report: Report, kind: str = "svg") -> bytes | None:
    """Bars of the seven crystal systems, one for each set of crystals; from the space groups where there is no own entry."""
    sides = shares_of(report, "crystal systems") or {
        role: _by_system(counts) for role, counts in shares_of(report, "space groups").items()
    }
    names = list(CRYSTAL_SYSTEMS)
    if not any(counts.get(name) for counts in sides.values() for name in names):
        return None
    return encode(lambda: _grouped(sides, names, "crystal system", names), kind)


def _by_system(counts: Mapping[str, float]) -> dict[str, float]:
    systems: dict[str, float] = {}
    for key, weight in counts.items():
        group = _whole(key, high=230)
        if group is not None:
            name = crystal_system(max(group, 1))
            systems[name] = systems.get(name, 0.0) + weight
    return systems


def _grouped(sides: Mapping[str, Mapping[str, float]], keys: list[str], xlabel: str, labels: list[str]) -> Any:
    """Bars side by side, shares of each set's total."""
    figure = new_figure(HALF, 3.2)
    axes = figure.add_subplot()
    width = 0.82 / len(sides)
    for index, (role, counts) in enumerate(sides.items()):
        total = sum(counts.values())
        heights = [100 * counts.get(key, 0.0) / total for key in keys]
        place = np.arange(len(keys)) + (index - (len(sides) - 1) / 2) * width
        axes.bar(place, heights, width=width, color=COLORS[role], label=f"{role} (n = {write_number(round(total))})")
    named = labels == keys
    # The last label always stands: it may carry the plus sign of a tail.
    step = 1 if named else -(-sum(len(label) + 1 for label in labels) // LABEL_ROOM)
    ticks = np.arange(len(keys))[::-1][::step][::-1]
    axes.set_xticks(ticks, [labels[i] for i in ticks])
    axes.tick_params(axis="x", rotation=28 if named else 0)
    axes.set_xlim(-0.6, len(keys) - 0.4)
    tidy(axes, xlabel, "share of crystals (%)")
    legend_above(axes, 3)
    return figure


def integers(report: Report, name: str, kind: str = "svg") -> bytes | None:
    """Bars over whole numbers (orbits, atoms, free coordinates); the long tail is one bar, marked with a plus sign."""
    found: dict[str, Mapping[Any, float]] = {role: Counter(data) for role, data in values_of(report, name).items()}
    found |= shares_of(report, name)
    sides: dict[str, dict[int, float]] = {}
    for role, counts in found.items():
        live = {value: weight for key, weight in counts.items() if (value := _whole(key)) is not None}
        if live:
            sides[role] = live
    if not sides:
        return None
    low = min(min(counts) for counts in sides.values())
    high = max(_quantile(counts, 1 - TAIL) for counts in sides.values())
    clipped = any(max(counts) > high for counts in sides.values())
    # One bar for each number while they can be told apart, else for ranges of equal length.
    step = max(-(-(high - low + 1) // 30), 1)
    starts = list(range(low, high + 1, step))
    labels = [str(start) if step == 1 else f"{start}{chr(0x2013)}{start + step - 1}" for start in starts]
    if clipped:
        labels[-1] = f"{starts[-1]}+"
    binned = {role: _bin(counts, low, step, len(starts)) for role, counts in sides.items()}
    keys = [str(index) for index in range(len(starts))]
    return encode(lambda: _grouped(binned, keys, _label(report, name), labels), kind)


def _quantile(counts: Mapping[int, float], share: float) -> int:
    total, below = sum(counts.values()), 0.0
    for value in sorted(counts):
        below += counts[value]
        if below >= share * total:
            return value
    return max(counts)


def _bin(counts: Mapping[int, float], low: int, step: int, bins: int) -> dict[str, float]:
    out: dict[str, float] = {}
    for value, weight in counts.items():
        key = str(min((value - low) // step, bins - 1))
        out[key] = out.get(key, 0.0) + weight
    return out


def values(report: Report, name: str, kind: str = "svg", marks: tuple[float, ...] = ()) -> bytes | None:
    """Histogram of a quantity: the reference filled, the samples as a line, medians in the legend.

    Args:
        report: the report dict.
        name: which distribution.
        kind: ``svg`` or ``png``.
        marks: values at which a line is drawn and the shares at or below are written.
    """
    sides = values_of(report, name)
    if not sides:
        return None
    return encode(lambda: _histogram(sides, _label(report, name), marks), kind)


def _histogram(sides: Mapping[str, np.ndarray], xlabel: str, marks: tuple[float, ...]) -> Any:
    low, high = _range(sides, marks)
    fewest = min(data.size for data in sides.values())
    edges = np.linspace(low, high, int(np.clip(2 * np.sqrt(fewest), *BINS)) + 1)
    figure = new_figure(HALF, 3.2)
    axes = figure.add_subplot()
    notes: list[str] = []
    tallest = 0.0
    for role in [role for role in ROLES if role in sides]:
        data = sides[role]
        heights = 100 * np.histogram(data, edges)[0] / data.size
        said = f"{role} (n = {write_number(data.size)}, median {write_number(np.median(data), 3)})"
        if role == "reference":
            axes.stairs(heights, edges, fill=True, color=COLORS[role], alpha=0.42, label=said, zorder=1.5)
        axes.stairs(
            heights,
            edges,
            color=COLORS[role],
            lw=1.7 if role == "samples" else 0.9,
            label=None if role == "reference" else said,
            zorder=2.5 if role == "samples" else 2,
        )
        tallest = max(tallest, float(heights.max()))
        outside = float(np.mean((data < low) | (data > high)))
        if outside > 0:
            notes.append(f"beyond the axis: {role} {100 * outside:.2g} %")
    for place in reversed(marks):
        under = [f"{role} {100 * float(np.mean(sides[role] <= place)):.0f} %" for role in ROLES if role in sides]
        axes.axvline(place, color=ACCENT, lw=1.0, ls=(0, (4, 3)))
        notes.insert(0, f"at or below {place:g}: {', '.join(under)}")
    if notes:
        axes.text(
            0.995,
            0.98,
            "\n".join(notes),
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=7.5,
            color=FAINT,
            linespacing=1.3,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 2},
        )
    axes.set_xlim(low, high)
    # Room for the notes, so that they stand over the data and not in them.
    axes.set_ylim(0, tallest * (1.08 + 0.075 * len(notes)) or 1.0)
    tidy(axes, xlabel, "share of crystals in a bin (%)")
    legend_above(axes, 1)
    return figure


def _range(sides: Mapping[str, np.ndarray], marks: tuple[float, ...]) -> tuple[float, float]:
    """Ends of the axis: all but `TAIL` of each side's values at either end, unless that gains nothing."""
    low = min(float(np.quantile(data, TAIL)) for data in sides.values())
    high = max(float(np.quantile(data, 1 - TAIL)) for data in sides.values())
    # A few samples gone astray (lattices blown up) must not squeeze all others into one bar.
    anchor = sides.get("reference", next(iter(sides.values())))
    spread, middle = float(np.quantile(anchor, 1 - TAIL) - np.quantile(anchor, TAIL)), float(np.median(anchor))
    if spread > 0:
        low, high = max(low, middle - 6 * spread), min(high, middle + 6 * spread)
    low, high = min(low, *marks) if marks else low, max(high, *marks) if marks else high
    least, most = min(float(data.min()) for data in sides.values()), max(float(data.max()) for data in sides.values())
    room = 0.04 * max(high - low, 1e-6 * max(abs(high), 1.0))
    # What lies just beyond is taken in rather than cut.
    low, high = max(low - 2 * room, min(low, least)), min(high + 2 * room, max(high, most))
    return low - room, high + room


Draw = Callable[..., bytes | None]
_SIDE = "Shares of the samples beside those of the reference"
PLOTS: tuple[tuple[str, str, str, bool, Draw], ...] = (
    (
        "floors",
        "Distances against their floors",
        "Each distance divided by the mean that real data score against themselves at the same number.",
        True,
        grids.floors,
    ),
    (
        "space-groups",
        "Space groups",
        "Mirrored bars over the space-group number, samples above and reference below; the "
        "groups that differ most carry their symbol and both shares.",
        True,
        space_groups,
    ),
    (
        "element-table",
        "Elements: samples against reference",
        "Periodic table; each element coloured by the binary logarithm "
        "of its share in the samples over that in the reference.",
        True,
        elements.table,
    ),
    (
        "element-bars",
        "Elements: the most frequent",
        "Bars of the elements with the largest shares.",
        True,
        elements.bars,
    ),
    ("crystal-systems", "Crystal systems", f"{_SIDE}, by crystal system.", False, crystal_systems),
    ("sites", "Orbits", f"{_SIDE}, by the number of orbits.", False, partial(integers, name="sites")),
    ("atoms", "Atoms", f"{_SIDE}, by the number of atoms.", False, partial(integers, name="atoms")),
    (
        "free-coordinates",
        "Free coordinates",
        f"{_SIDE}, by the number of free coordinates.",
        False,
        partial(integers, name="free coordinates"),
    ),
    ("density", "Density", "Histograms of the density.", False, partial(values, name="density")),
    (
        "minimum-distance",
        "Minimum distance",
        "Histograms of the shortest distance between two atoms.",
        False,
        partial(values, name="minimum distance"),
    ),
    ("volume", "Volume per atom", "Histograms of the volume per atom.", False, partial(values, name="volume per atom")),
    (
        "hull",
        "Energy above hull",
        "Histograms of the energy above the hull; dashed lines give the shares at or below.",
        False,
        partial(values, name="energy above hull", marks=HULL_MARKS),
    ),
    (
        "ladder",
        "Generated group found again",
        "Share of crystals in which the group found in the atoms contains and equals "
        "the generated one, over the tolerance.",
        False,
        grids.ladder,
    ),
    (
        "heat-map",
        "Requested space group and crystal system found",
        "Heat map: a column for each requested space group, a row for each crystal system found.",
        True,
        grids.heat_map,
    ),
)
"""(key, title, what is to be seen, whether wide, function) of every plot, in the order of the page."""


def draw_all(report: Report) -> list[Picture]:
    """Every plot for which the report has data, as SVG for light and dark pages."""
    pictures = []
    for key, title, alt, wide, draw in PLOTS:
        light = draw(report)
        if light is not None:
            pictures.append(Picture(key, title, alt, wide, light, darken(light)))
    return pictures


__all__ = ["PLOTS", "crystal_systems", "draw_all", "integers", "space_groups", "values"]
