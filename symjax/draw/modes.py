"""Amplitudes of a distortion as bars, an irrep each, parted by the orbits that move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_COLOURS = ("#1f4e9c", "#b35c00", "#1b7f3b", "#8a2d7d", "#5c5c5c", "#c0392b")


def draw(path: Path, report: dict[str, Any]) -> None:
    """Write the bars of a report of `symjax modes` (PNG, SVG or PDF by the name).

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    from symjax.errors import InputError
    from symjax.navigate.notation import mathtext

    shown = [one for one in report["irreps"] if one["modes"]]
    orbits = list(dict.fromkeys(f"{m['element']} {m['position']}" for one in shown for m in one["modes"]))
    figure = Figure(figsize=(max(4.0, 1.1 * len(shown) + 1.5), 3.4), layout="constrained")
    axes = figure.subplots()
    for at, one in enumerate(shown):
        low = 0.0
        for i, orbit in enumerate(orbits):
            square = sum(m["amplitude"] ** 2 for m in one["modes"] if f"{m['element']} {m['position']}" == orbit)
            # stacked by squares, so that the whole bar is the amplitude of the irrep
            height = one["amplitude"] * square / max(one["amplitude"] ** 2, 1e-30)
            axes.bar(
                at, height, bottom=low, color=_COLOURS[i % len(_COLOURS)], label=orbit if at == 0 else None, width=0.7
            )
            low += height
    for i, orbit in enumerate(orbits):
        axes.plot([], [], "s", color=_COLOURS[i % len(_COLOURS)], label=orbit)
    handles = {t: h for h, t in zip(*axes.get_legend_handles_labels(), strict=True)}
    axes.legend(list(handles.values()), list(handles), frameon=False, title="share of")
    axes.set_xticks(range(len(shown)), [f"{one['irrep']}\n{one['direction']}" for one in shown], fontsize=8)
    axes.set_ylabel("amplitude A, Å")
    high, low_group = report["high"], report["low"]
    axes.set_title(f"{high['formula']}: {mathtext(high['symbol'])} to {mathtext(low_group['symbol'])}", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({error})") from error
