"""What all plots share: colours, empty axes, and how a drawing becomes bytes.

Drawings are made without pyplot and under matplotlib's own defaults, whatever style the user has set, so that equal data give
equal bytes. Colours are those of Okabe and Ito, which remain apart for colour-blind readers. Backgrounds are transparent and
ink has one colour, so the dark form of an SVG is the light one with the inks exchanged.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from symjax.errors import InputError

COLORS = {"samples": "#0072b2", "reference": "#e08e0b", "train": "#6f7780"}
"""One colour for each set of crystals, the same in every plot."""
INK, FAINT, GRID = "#22262e", "#5b6370", "#d5d9df"
ACCENT = "#b5306a"
PAPER = "#fefeff"
"""Behind notes that lie over a grid; the page's own colour, all but one shade."""
ON_LIGHT, ON_DARK = "#1c1f26", "#fdfdfe"
"""Text on coloured cells; these do not change with the page."""
DARK = {
    PAPER: "#14171c",
    INK: "#e6e8ec",
    FAINT: "#a7aeba",
    GRID: "#3b414c",
    ACCENT: "#f07fb0",
    COLORS["samples"]: "#4aa8e0",
    COLORS["train"]: "#98a1ac",
    "#4c78a8": "#6c9bd0",
    "#8d99ae": "#a3aec2",
}
"""Colours of the light page and what replaces them on the dark one."""
WIDE, HALF = 11.4, 5.6
"""Widths in inches of a plot over the page and over half of it."""


class Picture(NamedTuple):
    """A drawn plot.

    Attributes:
        key: name, fit for a file name.
        title: heading.
        alt: what is to be seen, for readers who cannot see it.
        wide: whether it takes the page's whole width.
        light: SVG for a light page.
        dark: the same for a dark one.
    """

    key: str
    title: str
    alt: str
    wide: bool
    light: bytes
    dark: bytes


@contextmanager
def defaults() -> Iterator[None]:
    """matplotlib's own settings and fixed identifiers, for as long as the block lasts."""
    import matplotlib

    backend = {"backend", "backend_fallback", "interactive", "toolbar", "webagg.port", "webagg.address"}
    settings = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in backend}
    settings |= {
        "svg.hashsalt": "symjax",
        "svg.fonttype": "path",
        "font.size": 9.0,
        "mathtext.default": "regular",
        "axes.unicode_minus": True,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "axes.edgecolor": FAINT,
        "legend.frameon": False,
    }
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty figure without a background, inches; its own canvas, no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Any, xlabel: str, ylabel: str, *, grid: str = "y") -> None:
    """Labels, a light grid behind the data, and no box."""
    axes.set_xlabel(xlabel, parse_math=False)
    axes.set_ylabel(ylabel, parse_math=False)
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=3)


def legend_above(axes: Any, columns: int, fontsize: float = 8.5) -> None:
    """A legend over the axes, where it covers nothing."""
    legend = axes.legend(
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        handlelength=1.3,
        columnspacing=1.4,
        fontsize=fontsize,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def encode(draw: Callable[[], Any], kind: str = "svg") -> bytes:
    """Bytes of the figure that ``draw`` makes.

    Args:
        draw: returns a matplotlib figure; called under `defaults`.
        kind: ``svg`` or ``png``; a PNG is 200 dots an inch on white.

    Raises:
        InputError: another kind.
    """
    if kind not in ("svg", "png"):
        raise InputError(f"a plot can be made as svg or png, not {kind!r}")
    with defaults():
        figure = draw()
        out = io.BytesIO()
        if kind == "svg":
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(out, format="svg", metadata=nothing, transparent=True)
        else:
            figure.patch.set_alpha(1.0)
            figure.savefig(out, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return _shorten(out.getvalue()) if kind == "svg" else out.getvalue()


_LONG = re.compile(rb"scale\([^)]*\)|(-?\d+\.\d{2})\d+")


def _shorten(svg: bytes) -> bytes:
    """The same drawing in fewer bytes: coordinates to a hundredth of a point, no comments, no indentation."""
    svg = re.sub(rb"<!--.*?-->", b"", svg, flags=re.DOTALL)
    # Scales of glyphs keep their decimals: they multiply coordinates in the thousands.
    svg = _LONG.sub(lambda match: match[1].rstrip(b"0").rstrip(b".") if match[1] else match[0], svg)
    return re.sub(rb"\s*\n\s*", b" ", re.sub(rb">\s+<", b"><", svg))


def darken(svg: bytes) -> bytes:
    """The SVG for a dark page: inks and the darker colours exchanged."""
    text = svg.decode("utf-8")
    for light, dark in DARK.items():
        text = text.replace(light, dark)
    return text.encode("utf-8")


def text_color(rgb: Any) -> str:
    """Dark or light ink, whichever can be read on a colour (r, g, b in [0, 1])."""
    red, green, blue = (float(part) for part in rgb[:3])
    return ON_LIGHT if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else ON_DARK
