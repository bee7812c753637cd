"""Draw crystals with the flagship model and print every figure that README quotes.

  python -m experiments.report --num 2000 --train train.npz --val val.npz --test test.npz --out report

Draws from the shipped weights (or `--weights DIR`), raw: nothing is redrawn or filtered. The samples are judged by the
mechanism of `symjax evaluate`, and `--val` adds the match rate on real crystals whose operations, species and sites are given.
The data files are those of `symjax data prepare`.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.errors import SymjaxError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.evaluate.figure import Figure
    from symjax.evaluate.run import Evaluation

AIMS = {
    "symop.closed": "1.0",
    "symop.lattice_compatible": "1.0",
    "symop.contains_0.01": "1.0",
    "symop.js_groups": "0.17",
    "symop.distance_0.5": "0.995",
    "symop.ratio_0.6": "0.92",
    "symmcd.composition_validity": "0.80",
    "prediction.match": "0.50",
}
"""What the flagship was built to reach; figures without an aim are for the reader."""
METRICS = "symmcd,wyckoff_transformer,operations,lemat"


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="experiments.report", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--num", type=int, required=True, help="draw so many crystals")
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
    parser.add_argument("--metrics", default=METRICS, help=f"families of `symjax evaluate` ({METRICS})")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write samples.npz, report.json and report.html there")
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
    """Draw the samples, measure, print, write."""
    from symjax.data.dataset import CrystalDataset
    from symjax.evaluate.report import show, write_report

    from .samples import draw_samples

    val = CrystalDataset.load(args.val) if args.val else None
    samples = draw_samples(args.num, seed=args.seed, weights=args.weights, steps=args.steps, progress=True)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        samples.save(args.out / "samples.npz")
    found = judge(samples, args)
    extra = [_walk_bound(samples)] if "log_operations" in samples.properties else []
    if val is not None:
        extra += match(args, val)
    add_figures(found.report, extra)
    show(found.report)
    show_aims(found.report["figures"])
    if args.out is not None:
        write_report(args.out, found)
    return 0


def judge(samples: CrystalDataset, args: argparse.Namespace) -> Evaluation:
    """All figures that need nothing but the samples and the references."""
    from symjax.evaluate.run import Options, evaluate
    from symjax.evaluate.sources import from_dataset, read_crystals

    options = Options(metrics=args.metrics, seed=args.seed, processes=args.processes, progress=sys.stderr.isatty())
    source = f"symop, {args.weights or 'shipped weights'}, seed {args.seed}"
    return evaluate(from_dataset(samples, source), read_crystals(args.test), read_crystals(args.train), options)


def match(args: argparse.Namespace, val: CrystalDataset) -> list[Figure]:
    """Match rate on real crystals whose operations, species and sites are given."""
    from symjax.evaluate.metrics.prediction import match_figures

    from .samples import draw_geometry

    part = val.subset(range(min(args.val_num or len(val), len(val))))
    predicted = draw_geometry(part, seed=args.seed, weights=args.weights, steps=args.steps, progress=True)
    free = part.sets.pos_dof[part.orbit_set, part.orbit_pos]
    freedom = [int(free[part.orbit_start[i] : part.orbit_start[i + 1]].sum()) for i in range(len(part))]
    return match_figures(
        predicted.all_atoms(), part.all_atoms(), freedom, processes=args.processes, progress=sys.stderr.isatty()
    )


def add_figures(report: dict[str, Any], figures: list[Figure]) -> None:
    """Add figures of the model itself, under families of their own, to a report."""
    titles = {"prediction": "Structure prediction (operations, species and sites given)", "walk": "The walk"}
    report["figures"] += [figure.as_json() for figure in figures]
    for key in dict.fromkeys(figure.key.split(".")[0] for figure in figures):
        report["families"].append({"key": key, "title": titles[key]})


def show_aims(figures: list[dict[str, Any]]) -> None:
    """Print the figures that have an aim beside it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="aims of the flagship", title_justify="left")
    for name, side in (("figure", "left"), ("value", "right"), ("n", "right"), ("aim", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for figure in figures:
        if figure["key"] in AIMS:
            value = math.nan if figure["value"] is None else figure["value"]
            table.add_row(figure["name"], f"{value:.4f}", str(figure["num"]), AIMS[figure["key"]])
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _walk_bound(samples: CrystalDataset) -> Figure:
    from symjax.evaluate.figure import Figure

    values = samples.properties["log_operations"]
    said = "mean log-likelihood of the walk that was taken"
    return Figure("walk.log_operations", "walk log-likelihood", float(values.mean()), len(values), said, unit="nats")


if __name__ == "__main__":
    sys.exit(main())
