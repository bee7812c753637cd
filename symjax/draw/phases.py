"""Pictures of phase diagrams: a line of hulls for two elements, a triangle for three. Drawn without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from symjax.draw.page import INK, pretty_formula
from symjax.errors import InputError

KNOWN, MADE = "#c8385a", "#4c78a8"
"""Reference red, generated blue, as in the published figure."""
LABEL_GAP = 0.05
"""Formulas of generated points nearer than this (sides of the triangle are 1 long) would cover each other."""


def draw_phase_diagram(data: dict[str, Any], path: Path | str) -> None:
    """Write the picture of what `symjax.evaluate.stability.phase_diagram` returned (PNG, SVG or PDF, by the ending of the name).

    Raises:
        InputError: a system of neither two nor three elements.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(data["elements"])
    if count not in (2, 3):
        raise InputError(f"a picture needs two or three elements, got {data['system']}; the numbers hold for any")
    figure = Figure(figsize=(6.4, 4.6 if count == 2 else 5.6), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.12, 0.13, 0.84, 0.74))
    (_line if count == 2 else _triangle)(axes, data)
    counts = data["counts"]
    figure.text(0.12, 0.955, data["system"], fontsize=13, color=INK, weight="bold", va="center")
    said = (
        f"known phases found: {counts['found_by_composition']} of {counts['known']} by composition, "
        f"{counts['found_by_structure']} by structure; {counts['in_system']} generated crystals"
    )
    figure.text(0.12, 0.905, said, fontsize=8.5, color=INK, va="center")
    figure.savefig(path, metadata={"Software": None} if str(path).endswith(".png") else None)


def _line(axes: Any, data: dict[str, Any]) -> None:
    """Formation energy against the fraction of the second element."""
    top = 0.05
    labelled: list[float] = []
    for side, color, marker, size, width in (("reference", KNOWN, "s", 8.0, 3.0), ("generated", MADE, "o", 5.0, 1.3)):
        points = data[side]
        stable = sorted(
            (p["fractions"][1], p["formation_energy"], p["formula"]) for p in points if p[f"on_{side}_hull"]
        )
        stable = _with_ends(stable, data)
        low = min((e for _, e, _ in stable), default=0.0)
        top = max(top, min(-low * 0.35, 0.5))
        axes.plot(
            [p["fractions"][1] for p in points],
            [p["formation_energy"] for p in points],
            marker,
            color=color,
            ms=3.5,
            alpha=0.35,
            mew=0,
            zorder=2,
        )
        axes.plot(
            [x for x, _, _ in stable],
            [e for _, e, _ in stable],
            "-",
            marker=marker,
            color=color,
            ms=size,
            lw=width,
            mec="white",
            mew=0.6,
            label=f"hull of {side} crystals",
            zorder=4 if side == "generated" else 3,
        )
        for x, energy, formula in sorted(stable, key=lambda row: row[1]):
            if 0 < x < 1 and all(
                abs(x - other) > 0.06 for other in labelled
            ):  # the lowest of neighbours carries the label
                labelled.append(x)
                axes.annotate(
                    pretty_formula(formula),
                    (x, energy),
                    xytext=(0, -12),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=INK,
                )
    for point in sorted(data["generated"], key=lambda p: p["formation_energy"]):  # the lowest of each composition
        x = point["fractions"][1]
        if 0 < x < 1 and all(abs(x - other) > 0.06 for other in labelled):
            labelled.append(x)
            place = {"xytext": (0, -12), "textcoords": "offset points", "ha": "center"}
            axes.annotate(
                pretty_formula(point["formula"]), (x, point["formation_energy"]), fontsize=8, color=MADE, **place
            )
    axes.axhline(0, color=INK, lw=0.6, zorder=1)
    low = min(
        [p["formation_energy"] for side in ("reference", "generated") for p in data[side] if p[f"on_{side}_hull"]],
        default=-0.1,
    )
    axes.set_ylim(min(low * 1.18, -0.05), top)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"atomic fraction of {data['elements'][1]} in {data['system']}", fontsize=9, color=INK)
    axes.set_ylabel("formation energy (eV/atom)", fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _with_ends(stable: list[tuple[float, float, str]], data: dict[str, Any]) -> list[tuple[float, float, str]]:
    """The hull with both elements, which are references of either side."""
    have = {x for x, _, _ in stable}
    ends = [(float(i), 0.0, data["elements"][i]) for i in (0, 1) if float(i) not in have]
    return sorted([*stable, *ends])


def _triangle(axes: Any, data: dict[str, Any]) -> None:
    """Compositions in a triangle; reference hull phases with their tie lines, generated crystals by distance to the
    reference hull.
    """
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    axes.plot(*np.vstack([corners, corners[:1]]).T, color=INK, lw=1.0, zorder=1)
    stable = [p for p in data["reference"] if p["on_reference_hull"]]
    for first, second in _ties(stable):
        ends = np.array([stable[first]["fractions"], stable[second]["fractions"]]) @ corners
        axes.plot(*ends.T, color=KNOWN, lw=0.9, alpha=0.6, zorder=2)
    made = sorted(data["generated"], key=lambda p: -p["e_hull"])
    if made:
        place = np.array([p["fractions"] for p in made]) @ corners
        shown = axes.scatter(
            place[:, 0],
            place[:, 1],
            c=[p["e_hull"] for p in made],
            cmap="viridis_r",
            vmin=0,
            vmax=0.2,
            s=26,
            edgecolors="white",
            linewidths=0.5,
            zorder=4,
        )
        bar = axes.figure.colorbar(shown, ax=axes, shrink=0.6, pad=0.02)
        bar.set_label("above the reference hull (eV/atom)", fontsize=8, color=INK)
        bar.ax.tick_params(labelsize=7, colors=INK)
        _name(axes, made, place, {point["formula"] for point in stable})
    for point in stable:
        x, y = np.array(point["fractions"]) @ corners
        axes.plot([x], [y], "s", ms=8, mfc="none", mec=KNOWN, mew=1.4, zorder=5)
        if max(point["fractions"]) < 1:
            axes.annotate(
                pretty_formula(point["formula"]),
                (x, y),
                xytext=(6, 4),
                textcoords="offset points",
                fontsize=8,
                color=INK,
            )
    for corner, name, shift in zip(corners, data["elements"], ((-0.05, -0.05), (0.05, -0.05), (0.0, 0.05))):
        axes.text(
            corner[0] + shift[0],
            corner[1] + shift[1],
            name,
            fontsize=11,
            color=INK,
            ha="center",
            va="center",
            weight="bold",
        )
    axes.set_xlim(-0.1, 1.1)
    axes.set_ylim(-0.1, 0.98)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _name(axes: Any, points: list[dict[str, Any]], place: np.ndarray, taken: set[str]) -> None:
    """Formulas beside points of a triangle, each once and the lowest first, where there is room for them."""
    used: list[np.ndarray] = []
    for index in sorted(range(len(points)), key=lambda i: points[i]["e_hull"]):
        formula = points[index]["formula"]
        if formula in taken or any(np.abs(place[index] - other).max() < LABEL_GAP for other in used):
            continue
        taken = taken | {formula}
        used.append(place[index])
        axes.annotate(
            pretty_formula(formula), place[index], xytext=(5, -9), textcoords="offset points", fontsize=7, color=MADE
        )


def _ties(stable: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Pairs of stable phases on a common lower facet of the hull."""
    from scipy.spatial import ConvexHull, QhullError

    points = np.array([[*p["fractions"][1:], p["formation_energy"]] for p in stable])
    if len(points) < 3:
        return set()
    if np.ptp(points[:, 2]) < 1e-9 or len(points) == 3:  # one facet
        return {(i, j) for i in range(3) for j in range(i + 1, 3)} if len(points) == 3 else set()
    try:
        hull = ConvexHull(points)
    except QhullError:
        return set()
    lower = hull.simplices[hull.equations[:, 2] < -1e-9]
    edges = [(face[i], face[j]) for face in lower for i, j in ((0, 1), (0, 2), (1, 2))]
    return {(int(min(pair)), int(max(pair))) for pair in edges}
