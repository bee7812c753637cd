"""The pictures of the WyckoffAUGen paper, made with weights of this project.

    python -m experiments.wyckoffaugen_figures --out figures --train train.npz

- figure-2.png: in-filling. Crystals drawn from a space group, from a composition space, and from an incomplete crystal, each
  with the log probability of what was drawn given what was given;
- figure-3.png: the asymmetric unit of a group and the shapes that it cuts out of each Wyckoff position;
- figure-4.png: the first crystals drawn with nothing given, none left out but those with atoms closer than 0.5 angstrom;
- figure-5.png: the first of them that are unique and equal to no training crystal (needs --train).

Source: Chang et al., Crystal generative modeling with explicit autoregressive conditional likelihoods and nontrivial space group
stabilizers, figures 2 to 5. Which crystals the paper shows is not known, so these are the first ones of the seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.errors import InputError, SymjaxError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

COLUMNS = 6
PARTIAL = """data_incomplete
_cell_length_a 3.95
_cell_length_b 3.95
_cell_length_c 3.95
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
_space_group_IT_number 221
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ti1 Ti 0 0 0
"""
"""An incomplete crystal: titanium in a cubic cell of 3.95 angstrom, everything else open."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="experiments.wyckoffaugen_figures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--weights", help="WyckoffAUGen weights (default: those in the package)")
    parser.add_argument("--train", help="prepared training crystals, for figure 5")
    parser.add_argument("--group", type=int, default=192, help="space group of figure 3 (default 192)")
    parser.add_argument("--complete", help="incomplete crystal of figure 2, a CIF (default: Ti in cubic SrTiO3's cell)")
    parser.add_argument("--num", type=int, default=3 * COLUMNS, help="crystals of figures 4 and 5")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def draw(num: int, args: argparse.Namespace, request: Any = None, **options: Any) -> CrystalDataset:
    """Crystals of a request."""
    from symjax.generate.system import Settings
    from symjax.systems import generate

    settings = Settings(seed=args.seed, options=options)
    made = generate(
        "wyckoffaugen", num, weights=args.weights, request=request, settings=settings, min_ratio=1e-3, max_draws=1
    )
    assert made.dataset is not None
    return made.dataset


def grid(path: Path, rows: Sequence[tuple[str, CrystalDataset]], *, columns: int = COLUMNS) -> None:
    """Rows of crystals, each under its heading; formula, group and log probability over each crystal."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from symjax.draw.page import INK, pretty_formula, symbol_of
    from symjax.draw.render import render
    from symjax.evaluate.describe import describe_all

    tall = 2.75 * len(rows) + 0.3
    figure = Figure(figsize=(2.15 * columns, tall), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    places = figure.add_gridspec(
        len(rows), columns, left=0.02, right=0.98, top=1 - 0.95 / tall, bottom=0.02, hspace=0.45
    )
    for i, (heading, crystals) in enumerate(rows):
        for j, (cell, about) in zip(range(columns), describe_all(crystals), strict=False):
            axes = figure.add_subplot(places[i, j])
            axes.imshow(render(cell), interpolation="antialiased")
            axes.set_axis_off()
            text = f"{pretty_formula(about['formula'])}\n{symbol_of(int(about['group']['number']))}"
            if "log_prob" in crystals.properties:
                text += f"  log p {crystals.properties['log_prob'][j]:.1f}"
            axes.set_title(text, fontsize=8, color=INK, pad=2, linespacing=1.25)
            if j == 0 and heading:
                axes.text(0, 1.38, heading, transform=axes.transAxes, fontsize=10, color=INK, weight="bold")
    figure.savefig(path, metadata={"Software": None})


def infilling(args: argparse.Namespace) -> None:
    """Figure 2."""
    from symjax.generate.request import Request

    partial = args.complete
    if partial is None:
        partial = args.out / "incomplete.cif"
        partial.write_text(PARTIAL, encoding="utf-8")
    grid(
        args.out / "figure-2.png",
        [
            ("space group 225 given", draw(COLUMNS, args, Request(groups=(225,)))),
            ("composition space Li-O given", draw(COLUMNS, args, Request(elements=("Li", "O")))),
            (f"incomplete crystal given ({Path(partial).name})", draw(COLUMNS, args, complete=str(partial))),
        ],
    )


def unit(path: Path, number: int) -> None:
    """Figure 3: the unit's edges and, in a colour for each dimension, points, segments and polygons cut out of it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection
    from scipy.spatial import ConvexHull

    from symjax.draw.page import INK, symbol_of
    from symjax.groups.tables import wyckoff_letters
    from symjax.wyckoff.asymmetric import asymmetric_unit, shapes

    one, every, letters = asymmetric_unit(number), shapes(), wyckoff_letters(number)
    figure = Figure(figsize=(7.5, 6.5), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot(projection="3d")
    corners = one.vertices / 24
    hull = ConvexHull(corners)
    axes.add_collection3d(Poly3DCollection([corners[s] for s in hull.simplices], facecolor="#8d99ae", alpha=0.10))
    colours = ("#c8385a", "#4c78a8", "#54a5a0")
    told: set[int] = set()
    for row in np.flatnonzero((every.number == number) & (every.dim < 3)):
        dim, vertices = int(every.dim[row]), every.vertices[row, : every.count[row]]
        label = None if dim in told else ("points", "segments", "polygons")[dim]
        told.add(dim)
        if dim == 2:
            axes.add_collection3d(Poly3DCollection([vertices], facecolor=colours[2], alpha=0.35, label=label))
        else:
            style = {"marker": "o", "linestyle": ""} if dim == 0 else {"linewidth": 2.5}
            axes.plot(*vertices.T, color=colours[dim], label=label, **style)
        axes.text(*vertices.mean(axis=0), letters[int(every.pos[row])], color=INK, fontsize=10)
    axes.set(
        xlabel="x", ylabel="y", zlabel="z", title=f"{symbol_of(number)} ({number}): asymmetric unit and Wyckoff shapes"
    )
    axes.legend(loc="upper left")
    low, high = corners.min(axis=0), corners.max(axis=0)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    figure.savefig(path, metadata={"Software": None})


def random_and_new(args: argparse.Namespace) -> str:
    """Figures 4 and 5, and how many of the crystals drawn are unique and new."""
    rows = lambda data: [("", data.subset(range(i, min(i + COLUMNS, len(data))))) for i in range(0, len(data), COLUMNS)]
    drawn = draw(args.num if args.train is None else 6 * args.num, args)
    grid(args.out / "figure-4.png", rows(drawn.subset(range(min(args.num, len(drawn))))))
    if args.train is None:
        return "figure 5 needs --train"
    from symjax.data.dataset import load
    from symjax.evaluate.matching import unique_and_novel

    found = unique_and_novel(drawn.all_atoms(), load(args.train).all_atoms())
    new = np.flatnonzero(found.both)
    if not len(new):
        raise SymjaxError(f"none of {len(drawn)} crystals is unique and new: there is nothing to draw as figure 5")
    grid(args.out / "figure-5.png", rows(drawn.subset(new[: args.num])))
    return f"{len(new)} of {len(drawn)} crystals are unique and new"


def main(argv: Sequence[str] | None = None) -> int:
    """Draw all of them; exit code 2 on wrong input."""
    args = parse(argv)
    try:
        if args.num < 1:
            raise InputError(f"--num must be at least 1, got {args.num}")
        args.out.mkdir(parents=True, exist_ok=True)
        unit(args.out / "figure-3.png", args.group)
        infilling(args)
        print(random_and_new(args))
    except SymjaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
