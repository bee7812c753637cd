"""Plots of tables: requested group against relaxed crystal system, the ladder of tolerances, and distances over their floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symjax.draw.page import symbol_of
from symjax.evaluate.report.canvas import (
    ACCENT,
    COLORS,
    FAINT,
    GRID,
    HALF,
    INK,
    WIDE,
    encode,
    legend_above,
    new_figure,
    text_color,
    tidy,
)
from symjax.evaluate.report.reading import (
    FLOOR_WIDTH,
    LEVEL,
    Report,
    Row,
    clean,
    figures_of,
    floor_of,
    like_real,
    number,
    write_number,
)

MARKS = (0.01, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 10000)
MAX_ROWS = 40
"""Requested groups drawn: those asked for most often."""


def heat_map(report: Report, kind: str = "svg") -> bytes | None:
    """Requested space group against the crystal system found, shares of each requested group.

    Source: WyckoffDiff-Adaptor, the heat map of requested space groups.
    """
    found = report.get("heat_map")
    if not isinstance(found, Mapping):
        return None
    rows, columns = list(found.get("rows") or []), [clean(name) for name in found.get("columns") or []]
    try:
        counts = np.asarray(found.get("counts") or [], float)
    except (TypeError, ValueError):
        return None
    if counts.ndim != 2 or counts.shape != (len(rows), len(columns)) or not np.nansum(counts) > 0:
        return None
    return encode(lambda: _heat_map(found, rows, columns, np.nan_to_num(counts)), kind)


def _heat_map(found: Mapping[str, Any], rows: list[Any], columns: list[str], counts: np.ndarray) -> Any:
    """Requested groups from left to right: there may be forty of them, and seven systems."""
    from matplotlib import colormaps

    total = counts.sum(axis=1)
    keep = np.sort(np.argsort(-total, kind="stable")[:MAX_ROWS])
    keep = keep[total[keep] > 0]
    share = (counts[keep] / total[keep, None]).T
    preserved = [number(value) for value in found.get("preserved") or []]
    figure = new_figure(WIDE, 3.7)
    axes = figure.add_subplot()
    colors = colormaps["Blues"]
    shown = np.ma.masked_equal(share, 0.0)  # empty cells have the page's colour
    axes.pcolormesh(
        np.arange(len(keep) + 1),
        np.arange(len(columns) + 1),
        shown,
        cmap=colors,
        vmin=0,
        vmax=1,
        edgecolors=GRID,
        linewidth=0.6,
    )
    for i, j in np.argwhere(share > 0):
        axes.text(
            j + 0.5,
            i + 0.5,
            f"{counts[keep[j], i]:.0f}",
            ha="center",
            va="center",
            fontsize=7.5,
            color=text_color(colors(share[i, j])),
        )
    for place, index in enumerate(keep):
        kept = preserved[index] if index < len(preserved) else np.nan
        if np.isfinite(kept):
            axes.text(place + 0.5, -0.25, f"{100 * kept:.0f}", ha="center", fontsize=7.5, color=INK)
    axes.set_xticks(
        np.arange(len(keep)) + 0.5,
        [_group_label(rows[index]) for index in keep],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
        fontsize=8,
    )
    axes.set_yticks(np.arange(len(columns)) + 0.5, columns, parse_math=False)
    axes.set_xlim(0, max(len(keep), 12))
    axes.invert_yaxis()
    overall = number(found.get("overall"))
    said = f" (overall {100 * overall:.0f} %)" if np.isfinite(overall) else ""
    when = clean(found.get("when") or "after relaxation")
    tidy(axes, "requested space group", f"crystal system\n{when}", grid="")
    axes.set_title(
        f"numbers: crystals; colour: share of the column; over it: share that kept the system, %{said}",
        fontsize=8.5,
        color=INK,
        loc="left",
        pad=17,
    )
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    return figure


def _group_label(value: Any) -> str:
    group = number(value)
    if group == int(group if np.isfinite(group) else 0) and 1 <= group <= 230:
        return f"{symbol_of(int(group))} ({int(group)})"
    return clean(value).replace("$", "")


def ladder(report: Report, kind: str = "svg") -> bytes | None:
    """Shares of crystals whose detected group contains, and equals, the generated one, over the search tolerance."""
    found = report.get("ladder")
    if not isinstance(found, Mapping):
        return None
    tolerances = _floats(found.get("tolerances"))
    lines = {name: _floats(found.get(name)) for name in ("contains", "equals")}
    lines = {n: v for n, v in lines.items() if v.size == tolerances.size and np.isfinite(v).any()}
    if not lines or not (tolerances > 0).all():
        return None
    return encode(lambda: _ladder(tolerances, lines), kind)


def _ladder(tolerances: np.ndarray, lines: Mapping[str, np.ndarray]) -> Any:
    figure = new_figure(HALF, 3.2)
    axes = figure.add_subplot()
    style = {"contains": (COLORS["samples"], "o", "-"), "equals": (COLORS["reference"], "s", "--")}
    for name, shares in lines.items():
        color, marker, dash = style[name]
        axes.plot(
            tolerances,
            100 * shares,
            color=color,
            marker=marker,
            ls=dash,
            ms=5,
            lw=1.6,
            clip_on=False,
            label=f"found group {name} the generated one",
        )
    axes.set_xscale("log")
    axes.set_xticks(tolerances, [f"{value:g}" for value in tolerances])
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    tidy(axes, "search tolerance (Å)", "share of crystals (%)")
    legend_above(axes, 1)
    return figure


def floors(report: Report, kind: str = "svg") -> bytes | None:
    """Distances divided by the mean of their floor: 1 is what one common source of samples and reference gives."""
    rows = [row for row in figures_of(report) if row.get("better") == "lower" and _ratio(row) is not None]
    return encode(lambda: _floors(rows), kind) if rows else None


def _ratio(row: Row) -> float | None:
    floor, value = floor_of(row), number(row.get("value"))
    return value / floor[0] if floor is not None and floor[0] > 0 and np.isfinite(value) and value > 0 else None


def _floors(rows: Sequence[Row]) -> Any:
    figure = new_figure(WIDE, 1.1 + 0.27 * len(rows))
    axes = figure.add_subplot()
    ratios = [_ratio(row) or 1.0 for row in rows]
    left = min(1.0, *ratios) / 1.6  # the axis is logarithmic: what reaches zero ends here
    ends = [1.0]
    for place, (row, ratio) in enumerate(zip(rows, ratios)):
        mean, sd, _ = floor_of(row) or (1.0, 0.0, 0)
        low, high = max(1 - FLOOR_WIDTH * sd / mean, left), 1 + FLOOR_WIDTH * sd / mean
        ends += [ratio, high]
        axes.barh(
            place,
            high - low,
            left=low,
            height=0.62,
            color=COLORS["reference"],
            alpha=0.42,
            label=_once(place, f"floor \N{PLUS-MINUS SIGN} {FLOOR_WIDTH:g} sd"),
        )
        color, marker = (COLORS["samples"], "o") if like_real(row) else (ACCENT, "D")
        axes.plot([ratio], [place], marker, color=color, ms=6)
        axes.annotate(
            f"{write_number(ratio, 3)}\N{MULTIPLICATION SIGN}",
            (max(ratio, high), place),
            xytext=(7, 0),
            color=INK,
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color=FAINT, lw=1)
    axes.plot([], [], "o", color=COLORS["samples"], label=f"like real data (p > {LEVEL:g})")
    axes.plot([], [], "D", color=ACCENT, label="told apart")
    axes.set_xscale("log")
    right = 1.5 * max(ends)
    marks = [mark for mark in MARKS if left <= mark <= right]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.set_xlim(left, right)
    axes.set_yticks(range(len(rows)), _names(rows), parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    tidy(axes, "value / mean of its floor (samples and reference drawn from one source)", "", grid="x")
    axes.tick_params(axis="y", length=0, colors=INK)
    legend_above(axes, 4)
    return figure


def _names(rows: Sequence[Row]) -> list[str]:
    """Names of figures; those that several families share carry the family."""
    names = [clean(row.get("name") or row.get("key")) for row in rows]
    family = [clean(row.get("family") or str(row.get("key", "")).split(".")[0]) for row in rows]
    return [f"{name} ({said})" if names.count(name) > 1 else name for name, said in zip(names, family)]


def _once(place: int, label: str) -> str | None:
    """A legend entry for the first row only."""
    return label if place == 0 else None


def _floats(values: Any) -> np.ndarray:
    return np.array([number(value) for value in values or []], float)
