"""Crystals ranked by WyckoffAUGen's likelihood, and how real and generated ones compare.

    python -m experiments.wyckoffaugen_likelihood --weights DIR --data test.npz --num 200
    python -m experiments.wyckoffaugen_likelihood --data test.npz --generated crystals/crystals.npz --plot calibration.png

Prints the terms of the log-likelihood in nats, the most and least likely crystals, and quantiles of the log-likelihood per site of
both sets: a calibrated model gives its own crystals the same quantiles as real ones (`--plot` draws one against the other).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from symjax.data.dataset import CrystalDataset, load
from symjax.errors import InputError, SymjaxError
from symjax.models.wyckoffaugen.likelihood import LogLikelihood, log_likelihood
from symjax.models.wyckoffaugen.representation import fits
from symjax.models.wyckoffaugen.weights import AugenWeights, load_weights

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def scored(weights: AugenWeights, path: str, num: int, orders: int) -> tuple[CrystalDataset, LogLikelihood]:
    """The first crystals of a file that the model can hold, and their likelihoods."""
    data, options = load(path), weights.options.network
    fit = np.flatnonzero(fits(data, options.max_sites, options.max_atoms))
    part = data.subset(fit[:num])
    return part, log_likelihood(weights, part, orders=orders)


def plot(path: Path, real: np.ndarray, generated: np.ndarray) -> None:
    """Quantiles of nats per site of generated crystals against those of real ones; on the diagonal both are alike."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    levels = np.linspace(0.02, 0.98, 49)
    x, y = np.quantile(real, levels), np.quantile(generated, levels)
    figure = Figure(figsize=(4.6, 4.4), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color="#8d99ae", linewidth=1, label="calibrated")
    axes.plot(x, y, color="#4c78a8", marker="o", markersize=3, linewidth=1, label="2 % to 98 %")
    axes.set(
        xlabel=f"log-likelihood per site of {len(real)} real crystals (nats)",
        ylabel=f"the same of {len(generated)} generated ones",
    )
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})


def main() -> int:
    """Score and print; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", metavar="DIR", help="default: those in the package")
    parser.add_argument("--data", required=True, help="prepared real crystals")
    parser.add_argument("--generated", help="crystals.npz of `symjax generate`")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--orders", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="quantiles of both sets against each other, as a picture")
    args = parser.parse_args()
    try:
        if args.plot and not args.generated:
            raise InputError("--plot compares real and generated crystals: give --generated as well")
        compare(args)
    except SymjaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def compare(args: argparse.Namespace) -> None:
    """Score both sets, print and plot."""
    weights, every = load_weights(args.weights), []
    for name, path in (("real", args.data), ("generated", args.generated)):
        if path is None:
            continue
        data, found = scored(weights, path, args.num, args.orders)
        print(
            f"{name}: {len(data)} crystals of {path}, {found.value.mean():.2f} nats in the mean (bound {found.bound.mean():.2f})"
        )
        print("  terms: " + ", ".join(f"{term} {values.mean():.2f}" for term, values in found.terms.items()))
        per_site = found.value / data.num_orbits
        every.append(per_site)
        shown = ", ".join(f"{q:g}: {v:.2f}" for q, v in zip(QUANTILES, np.quantile(per_site, QUANTILES), strict=True))
        print(f"  quantiles of nats per site: {shown}")
        order = np.argsort(found.value)
        for word, rows in (("most likely", order[::-1][:5]), ("least likely", order[:5])):
            print(f"  {word}: " + ", ".join(f"{data.formula[i]} ({found.value[i]:.1f})" for i in rows))
    if args.plot:
        plot(args.plot, *every)


if __name__ == "__main__":
    sys.exit(main())
