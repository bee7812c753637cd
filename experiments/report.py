"""Print every figure of generated crystals against real ones.

  python -m experiments.report --num 2000 --train train.npz --val val.npz --test test.npz --json report.json
  python -m experiments.report --samples crystals --train train.npz --test test.npz

The first form draws the samples from the shipped weights (or `--weights DIR`) and also measures the match rate on `--val`;
the second reads a folder written by `symjax generate` (its crystals.npz) or any prepared data file. The data files are those
of `symjax data prepare`. Nothing is filtered: every figure is over all crystals that were drawn.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.errors import InputError, SymjaxError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.evaluate.figures import Figure


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="experiments.report", description=(__doc__ or "").split("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--samples", metavar="PATH", help="a folder of `symjax generate`, or a prepared .npz")
    source.add_argument("--num", type=int, help="draw this many crystals now")
    parser.add_argument("--weights", metavar="DIR", help="weights to draw with (default: those in the package)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="diffusion steps (default: the model's own)")
    parser.add_argument(
        "--train", required=True, metavar="NPZ", help="prepared training data: novelty and the yardstick"
    )
    parser.add_argument(
        "--test", required=True, metavar="NPZ", help="prepared test data: what distributions are compared with"
    )
    parser.add_argument(
        "--val", metavar="NPZ", help="prepared validation data: match rate with operations, species, sites given"
    )
    parser.add_argument("--val-num", type=int, help="use only the first so many crystals of --val")
    parser.add_argument("--json", metavar="FILE", help="write the figures and distributions here too")
    parser.add_argument("--processes", type=int, help="worker processes (default: one a core)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the report; exit code 2 on wrong input."""
    args = parse(argv)
    try:
        return report(args)
    except SymjaxError as error:
        print(f"experiments.report: error: {error}", file=sys.stderr)
        return 2


def report(args: argparse.Namespace) -> int:
    """Draw or read the samples, measure, print, write."""
    from symjax.data.dataset import CrystalDataset
    from symjax.evaluate.figures import as_json, crystal_figures

    train, test = CrystalDataset.load(args.train), CrystalDataset.load(args.test)
    samples = draw(args) if args.num is not None else read(args.samples)
    progress = sys.stderr.isatty()
    figures, distributions = crystal_figures(samples, test, train, processes=args.processes, progress=progress)
    if "log_bound" in samples.properties:
        figures.append(_walk_bound(samples))
    if args.val:
        figures += match(args, CrystalDataset.load(args.val), progress)
    show(figures, distributions)
    if args.json:
        text = json.dumps(as_json(figures, distributions), indent=1, sort_keys=True)
        Path(args.json).write_text(text + "\n")
    return 0


def read(path: str) -> CrystalDataset:
    """Samples from a folder of `symjax generate` or a prepared data file."""
    from symjax.data.dataset import CrystalDataset

    place = Path(path)
    place = place / "crystals.npz" if place.is_dir() else place
    if not place.exists():
        raise InputError(f"{place}: no such file; give a folder of `symjax generate` or a prepared .npz")
    return CrystalDataset.load(place)


def draw(args: argparse.Namespace) -> CrystalDataset:
    """Draw samples with the flagship model, unfiltered."""
    from symjax.evaluate.samples import draw_samples

    return draw_samples(args.num, seed=args.seed, weights=args.weights, steps=args.steps, progress=True)


def match(args: argparse.Namespace, val: CrystalDataset, progress: bool) -> list[Figure]:
    """Match rate on real crystals whose operations, species and sites are given."""
    from symjax.evaluate.cells import cells_of
    from symjax.evaluate.figures import match_figures
    from symjax.evaluate.samples import draw_geometry

    part = val.subset(range(min(args.val_num or len(val), len(val))))
    predicted = draw_geometry(part, seed=args.seed, weights=args.weights, steps=args.steps, progress=True)
    free = part.sets.pos_dof[part.orbit_set, part.orbit_pos]
    freedom = [int(free[part.orbit_start[i] : part.orbit_start[i + 1]].sum()) for i in range(len(part))]
    return match_figures(cells_of(predicted), cells_of(part), freedom, processes=args.processes, progress=progress)


def show(figures: list[Figure], distributions: dict[str, Any]) -> None:
    """Print the figures and the distributions as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(title="figures", title_justify="left")
    for name, side in (
        ("figure", "left"),
        ("value", "right"),
        ("n", "right"),
        ("reference", "right"),
        ("aim", "right"),
        ("definition", "left"),
    ):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for figure in figures:
        table.add_row(
            figure.name,
            _number(figure.value),
            str(figure.num),
            _number(figure.reference),
            figure.aim,
            figure.definition,
        )
    console.print(table)
    for title in ("crystal systems", "orbits", "atoms in the primitive cell"):
        found = distributions[title]
        keys = sorted(
            {*found["samples"], *found["test"]}, key=lambda key: (not key.isdigit(), int(key) if key.isdigit() else key)
        )
        rows = Table(title=f"{title}, per cent", title_justify="left")
        rows.add_column("")
        for key in keys:
            rows.add_column(key, justify="right")
        for name in ("samples", "test"):
            total = sum(found[name].values())
            rows.add_row(name, *[f"{100 * found[name].get(key, 0) / total:.1f}" for key in keys])
        console.print(rows)


def _walk_bound(samples: CrystalDataset) -> Figure:
    from symjax.evaluate.figures import Figure

    values = samples.properties["log_bound"]
    return Figure(
        "walk log-likelihood", float(values.mean()), len(values), "mean log-likelihood of the walk that was taken, nats"
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else (f"{value:.4f}" if abs(value) < 10 and value != int(value) else f"{value:g}")


if __name__ == "__main__":
    sys.exit(main())
