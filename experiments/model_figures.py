"""Figures of SymmCD's and WyckoffTransformer's papers for several generators side by side, out of reports of `symjax evaluate`.

    python -m experiments.model_figures SymmCD=a/report.json symop=b/report.json --out figures

- symmcd-figure-4.png: share of each space group as a coloured segment, for the data and each generator;
- symmcd-figure-5.png: atoms in the primitive cell;
- wyckoff-figures-5-8.png: elements in a crystal;
- wyckoff-figures-6-9.png: occupied Wyckoff positions;
- wyckoff-figures-7-10.png: energy above the hull (reports made with `--metrics stability`; of all samples that have one, where the
  paper shows the novel ones).

Each picture states n of every row. The data are the reference of the first report; a report with another reference is refused,
since its rows would not compare. Figures 5 to 7 of WyckoffTransformer are of MP-20, 8 to 10 of its binaries and ternaries: which of
the two a picture is of is decided by the files that were evaluated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symjax.errors import InputError, SymjaxError

FIRST = (1, 225, 8, 2, 12, 139, 221, 194, 6)
"""Groups of the first segments of the paper's figure 4, in its order."""
NAMED = 30
"""Groups with a segment of their own; the rest share one."""
HISTOGRAMS = (
    ("atoms", "symmcd-figure-5.png", "atoms in the primitive cell"),
    ("species", "wyckoff-figures-5-8.png", "elements in a crystal"),
    ("sites", "wyckoff-figures-6-9.png", "occupied Wyckoff positions"),
)
ENERGY = ("energy above hull", "wyckoff-figures-7-10.png", "energy above the hull, eV/atom")
WINDOW = (-0.3, 0.7)
"""Energies that are shown, eV/atom; others are counted at its ends."""

Counts = Mapping[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what the reports hold; returns the exit code."""
    parser = argparse.ArgumentParser(prog="experiments.model_figures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("reports", nargs="+", metavar="NAME=report.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    args = parser.parse_args(argv)
    try:
        reports = read_reports(args.reports)
        args.out.mkdir(parents=True, exist_ok=True)
        for path in draw(reports, args.out):
            print(path)
    except (SymjaxError, OSError) as error:
        print(f"experiments.model_figures: {error}", file=sys.stderr)
        return 2
    return 0


def read_reports(items: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name -> report.

    Raises:
        InputError: an item without a name, a file that is no report, reports of different references.
    """
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        name, sign, path = item.partition("=")
        if not (name and sign and path):
            raise InputError(f"{item!r}: give NAME=report.json")
        if name in found:
            raise InputError(f"two reports are called {name!r}")
        try:
            report = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {error}") from None
        if not isinstance(report, dict) or not isinstance(report.get("distributions"), dict):
            raise InputError(f"{path}: no report.json of `symjax evaluate`")
        found[name] = report
    keys = {name: report.get("reference", {}).get("sha256") for name, report in found.items()}
    if len(set(keys.values())) > 1:
        raise InputError(
            f"the reports are against different references: {', '.join(keys)}; evaluate all against one file"
        )
    return found


def rows_of(reports: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Any]:
    """The reference's distribution and that of each report which has it, by name."""
    rows: dict[str, Any] = {}
    for name, report in reports.items():
        values = report["distributions"].get(key, {})
        if values.get("reference") and "data" not in rows:
            rows["data"] = values["reference"]
        if values.get("samples"):
            rows[name] = values["samples"]
    return rows


def draw(reports: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """The pictures for which the reports have numbers."""
    made = []
    groups = rows_of(reports, "space groups")
    if groups:
        made.append(draw_segments(groups, folder / "symmcd-figure-4.png"))
    for key, name, label in HISTOGRAMS:
        if rows := rows_of(reports, key):
            made.append(draw_bars(rows, label, folder / name))
    if rows := rows_of(reports, ENERGY[0]):
        made.append(draw_energies(rows, folder / ENERGY[1]))
    return made


def segments(rows: Mapping[str, Counts]) -> tuple[list[int], dict[str, list[float]]]:
    """Groups in the order of their segments, and each row's shares of them with the rest last.

    The paper's first groups come first, then those with the largest share in any row.
    """
    shares = {
        name: {int(number): count / sum(counts.values()) for number, count in counts.items()}
        for name, counts in rows.items()
    }
    largest = {
        number: max(row.get(number, 0.0) for row in shares.values()) for row in shares.values() for number in row
    }
    known = [number for number in FIRST if number in largest]
    others = sorted(set(largest) - set(known), key=lambda number: (-largest[number], number))
    order = (known + others)[:NAMED]
    made = {name: [row.get(number, 0.0) for number in order] for name, row in shares.items()}
    return order, {name: [*values, max(0.0, 1.0 - sum(values))] for name, values in made.items()}


def draw_segments(rows: Mapping[str, Counts], path: Path) -> Path:
    """One bar a row, cut into the shares of the space groups; segments of 2.5 % and more carry their symbol."""
    import matplotlib as mpl

    from symjax.groups.symbols import short_symbol

    order, made = segments(rows)
    figure, axes = _figure(11, 0.6 * len(made) + 1.2)
    colours = [mpl.colormaps["tab20"](i % 20) if i < 20 else mpl.colormaps["tab20b"](i % 20) for i in range(len(order))]
    for line, values in enumerate(made.values()):
        left = 0.0
        for i, value in enumerate(values):
            last = i == len(order)
            axes.barh(line, value, left=left, color="0.85" if last else colours[i], edgecolor="white", linewidth=0.4)
            if value >= 0.025:
                text = "others" if last else short_symbol(order[i])
                axes.text(
                    left + value / 2,
                    line,
                    text,
                    ha="center",
                    va="center",
                    fontsize=6,
                    rotation=90 if value < 0.05 else 0,
                )
            left += value
    axes.set_yticks(range(len(made)), [f"{name} (n = {sum(rows[name].values()):,.0f})" for name in made])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of crystals by space group (0.1 Å)")
    return _saved(figure, path)


def draw_bars(rows: Mapping[str, Counts], label: str, path: Path) -> Path:
    """Shares over whole numbers, one step line a row."""
    figure, axes = _figure(7, 3.6)
    most = max(int(value) for counts in rows.values() for value in counts)
    for name, counts in rows.items():
        total = sum(counts.values())
        heights = [counts.get(str(value), 0.0) / total for value in range(most + 1)]
        axes.stairs(
            heights,
            [value - 0.5 for value in range(most + 2)],
            label=f"{name} (n = {total:,.0f})",
            fill=name == "data",
            **({"color": "0.8"} if name == "data" else {"linewidth": 1.4}),
        )
    return _labelled(figure, axes, label, path)


def draw_energies(rows: Mapping[str, Sequence[float]], path: Path) -> Path:
    """Histograms of energies above the hull; what lies outside the window is in its end bins."""
    figure, axes = _figure(7, 3.6)
    width = 0.02
    edges = [WINDOW[0] + width * i for i in range(round((WINDOW[1] - WINDOW[0]) / width) + 1)]
    for name, values in rows.items():
        inside = [min(max(value, WINDOW[0]), WINDOW[1] - 1e-9) for value in values]
        weights = [1 / len(inside)] * len(inside)
        shown = "real, same pipeline" if name == "data" else name
        axes.hist(inside, bins=edges, weights=weights, histtype="step", label=f"{shown} (n = {len(values):,})")
    axes.axvline(0.0, color="0.6", linewidth=0.8)
    axes.axvline(0.08, color="0.6", linewidth=0.8, linestyle=":")
    return _labelled(figure, axes, ENERGY[2], path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _labelled(figure: Any, axes: Any, label: str, path: Path) -> Path:
    axes.set_xlabel(label)
    axes.set_ylabel("share of crystals")
    axes.legend(frameon=False, fontsize=8)
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
