"""Draw the curves of one or more training runs.

    python -m experiments.plot_curves runs/operations runs/geometry --out curves.png [--metric loss] [--metric nll]

One panel a metric; train as a line, validation as points.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from symjax.errors import InputError, SymjaxError
from symjax.train.metrics import METRICS, read


def draw(runs: Sequence[Path], metrics: Sequence[str], out: Path) -> None:
    """Write the picture.

    Raises:
        InputError: a run has no metrics, none of the metrics asked for, or the picture cannot be written.
    """
    rows = {}
    for run in runs:
        path = run / METRICS if run.is_dir() else run
        if not path.is_file():
            raise InputError(f"{run}: no {METRICS} there; give work folders of experiments.train")
        rows[run.stem if run.is_file() else run.name] = read(path)
    known = sorted({name for part in rows.values() for row in part for name in row} - {"step", "split", "seconds"})
    missing = [name for name in metrics if name not in known]
    if missing:
        raise InputError(f"no metric {', '.join(missing)} in these runs; there are {', '.join(known)}")

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(metrics), figsize=(5.5 * len(metrics), 3.6), squeeze=False)
    for panel, metric in zip(panels[0], metrics):
        for number, (name, part) in enumerate(rows.items()):
            for split, style in (
                ("train", {"lw": 1.0, "alpha": 0.7}),
                ("val", {"lw": 1.2, "marker": "o", "ms": 3, "ls": "--"}),
            ):
                points = [(r["step"], r[metric]) for r in part if r["split"] == split and r.get(metric) is not None]
                if points:
                    panel.plot(*zip(*points), color=f"C{number}", label=f"{name} {split}", **style)
        panel.set(xlabel="step", ylabel=metric)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.tight_layout()
    try:
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {out}: {error}") from error
    finally:
        pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="experiments.plot_curves", description="Draw curves of training runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="work folders, or metrics.jsonl files")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="picture to write (default curves.png)")
    parser.add_argument("--metric", action="append", help="metric to draw; may be repeated (default loss)")
    args = parser.parse_args(argv)
    try:
        draw(args.runs, args.metric or ["loss"], args.out)
    except SymjaxError as error:
        print(f"experiments.plot_curves: error: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
