"""Crystals ranked by WyckoffAUGen's likelihood, and how real and generated ones compare.

    python -m experiments.wyckoffaugen_likelihood --weights DIR --data test.npz --num 200
    python -m experiments.wyckoffaugen_likelihood --weights DIR --data test.npz --generated crystals/crystals.npz

Prints the terms of the log-likelihood in nats, the most and least likely crystals, and quantiles of the log-likelihood per site of
both sets: a calibrated model gives its own crystals the same quantiles as real ones.
"""

from __future__ import annotations

import argparse

import numpy as np

from symjax.data.dataset import CrystalDataset, load
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


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", metavar="DIR", help="default: those in the package")
    parser.add_argument("--data", required=True, help="prepared real crystals")
    parser.add_argument("--generated", help="crystals.npz of `symjax generate`")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--orders", type=int, default=1)
    args = parser.parse_args()
    weights = load_weights(args.weights)
    for name, path in (("real", args.data), ("generated", args.generated)):
        if path is None:
            continue
        data, found = scored(weights, path, args.num, args.orders)
        print(
            f"{name}: {len(data)} crystals of {path}, {found.value.mean():.2f} nats in the mean (bound {found.bound.mean():.2f})"
        )
        print("  terms: " + ", ".join(f"{term} {values.mean():.2f}" for term, values in found.terms.items()))
        per_site = found.value / data.num_orbits
        shown = ", ".join(f"{q:g}: {v:.2f}" for q, v in zip(QUANTILES, np.quantile(per_site, QUANTILES), strict=True))
        print(f"  quantiles of nats per site: {shown}")
        order = np.argsort(found.value)
        for word, rows in (("most likely", order[::-1][:5]), ("least likely", order[:5])):
            print(f"  {word}: " + ", ".join(f"{data.formula[i]} ({found.value[i]:.1f})" for i in rows))


if __name__ == "__main__":
    main()
