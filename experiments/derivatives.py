"""What the model says about lower and higher symmetry of real crystals: exact probabilities of subgroups.

Run: python -m experiments.derivatives --data test.npz [--num 200] [--seed 0] [--weights DIR] [--json FILE]

Three figures, each against the choice of a class of subgroups at random.

1. Parents: for `num` crystals drawn from the data, the share of the crystal's own group G among all that its atoms can be described
   by (G and every class of subgroups that the atoms can tell apart), by both measures of `symjax.models.symop.derivatives`.
2. Distorted crystals: those that nearly have more operations (0.3 angstrom, 3 %) are averaged over the likeliest larger group, and
   the model is asked which subgroup of that parent nature took: log-probability and rank of the true one.
3. Cubic BaTiO3: its ten likeliest derivatives.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal, unstack_crystals
from symjax.data.dataset import load
from symjax.errors import SymjaxError
from symjax.models.symop.derivatives import Candidate, Candidates, candidates
from symjax.models.symop.reductions import types_of
from symjax.models.symop.structure_types import dataset_from_types
from symjax.models.symop.weights import SymopWeights, load_weights

TOLERANCE, STRAIN = 0.3, 0.03
MEASURES = ("type", "walk")


def perovskite() -> Crystal:
    """Cubic BaTiO3, a = 4.01 angstrom."""
    from symjax.data.standardize import standardize, to_crystal

    x = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return to_crystal(standardize(AtomicStructure(L=4.01 * np.eye(3), z=np.array([56, 22, 8, 8, 8]), x=x)))


def as_crystal(row: Candidate) -> Crystal:
    """The parent as the candidate describes it."""
    assert row.reduction is not None
    types, k, x = types_of([row.reduction])
    return unstack_crystals(dataset_from_types(types, k, x, properties={}, meta={}).batch([0]))[0]


def by_measure(found: Candidates, measure: str) -> np.ndarray:
    """(r,) log-probability of every candidate that can be drawn, -inf for the others; both measures stand in every row."""
    values = np.array([row.log_walk if measure == "walk" else (row.log_type or -np.inf) for row in found.rows])
    values[[row.status != "open" for row in found.rows]] = -np.inf
    return values - np.logaddexp.reduce(values)


def own_share(weights: SymopWeights, crystal: Crystal) -> dict[str, float]:
    """Probability of the crystal's own group by both measures, and by chance."""
    found = candidates(weights, crystal, keep_parent=True)
    [own] = [i for i, row in enumerate(found.rows) if row.members.all()]
    result: dict[str, float] = {"chance": 1.0 / sum(row.status == "open" for row in found.rows)}
    for measure in MEASURES:
        log_p = by_measure(found, measure)
        result |= {measure: float(np.exp(log_p[own])), f"{measure}_first": float(log_p[own] == log_p.max())}
    return result


def nearest_parent(weights: SymopWeights, crystal: Crystal) -> Crystal | None:
    """The crystal averaged over the likeliest larger group that it nearly has, None where there is none."""
    try:
        found = candidates(weights, crystal, direction="above", tolerance=TOLERANCE, strain=STRAIN)
    except SymjaxError:
        return None
    return as_crystal(found.rows[0])


def true_row(found: Candidates, crystal: Crystal, number: int) -> int | None:
    """The class of subgroups that describes the parent as the real crystal is described: type, orbits' elements, atoms alike."""
    z, counts = np.sort(crystal.z), np.sort(crystal.multiplicity)
    same = [
        i
        for i, row in enumerate(found.rows)
        if row.number == number and row.status == "open" and row.reduction is not None
        and np.array_equal(np.sort(row.reduction.z), z) and row.reduction.num_atoms == int(counts.sum())
    ]  # fmt: skip
    return same[0] if same else None


def measure_parents(weights: SymopWeights, crystals: list[Crystal]) -> dict[str, Any]:
    """Figure 1."""
    rows, skipped = [], 0
    for crystal in crystals:
        try:
            rows.append(own_share(weights, crystal))
        except SymjaxError:
            skipped += 1  # too large, or P1 without subgroups
    result: dict[str, Any] = {"crystals": len(rows), "left out": skipped, "chance": float(np.mean([r["chance"] for r in rows]))}
    for measure in MEASURES:
        share, first = (np.array([r[name] for r in rows]) for name in (measure, f"{measure}_first"))
        gain = np.log(np.maximum(share, 1e-300)) - np.log([r["chance"] for r in rows])
        result[measure] = {
            "mean": float(share.mean()), "median": float(np.median(share)), "likeliest": float(first.mean()),
            "mean_log_over_chance": float(gain.mean()),
        }  # fmt: skip
    return result


def measure_distorted(weights: SymopWeights, crystals: list[Crystal], numbers: list[int]) -> dict[str, Any]:
    """Figure 2."""
    rows: dict[str, list[tuple[float, int, int]]] = {measure: [] for measure in MEASURES}
    near = 0
    for crystal, number in zip(crystals, numbers, strict=True):
        parent = nearest_parent(weights, crystal)
        if parent is None:
            continue
        near += 1
        try:
            found = candidates(weights, parent)
        except SymjaxError:
            continue
        at = true_row(found, crystal, number)
        for measure in MEASURES if at is not None else ():
            log_p = by_measure(found, measure)
            rows[measure].append((float(log_p[at]), int((log_p > log_p[at]).sum()), int(np.isfinite(log_p).sum())))
    result: dict[str, Any] = {"nearly have more operations": near, "of": len(crystals)}
    for measure, got in rows.items():
        log_p, rank, count = (np.array(column) for column in zip(*got, strict=True)) if got else (np.zeros(0),) * 3
        result[measure] = {
            "crystals": len(got), "mean_log_p": float(log_p.mean()), "chance_log_p": float(-np.log(count).mean()),
            "first": float((rank == 0).mean()), "among_three": float((rank < 3).mean()), "chance_first": float((1 / count).mean()),
        }  # fmt: skip
    return result


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="default: those in the package")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    from symjax.evaluate.symmetry import group_numbers

    weights, data, started = load_weights(args.weights), load(args.data), time.process_time()
    rows = np.random.default_rng(args.seed).choice(len(data), min(args.num, len(data)), replace=False)
    part = data.subset(np.sort(rows))
    crystals = [unstack_crystals(part.batch([i]))[0] for i in range(len(part))]
    figures: dict[str, Any] = {
        "parents": measure_parents(weights, crystals),
        "distorted": measure_distorted(weights, crystals, [int(n) for n in group_numbers(part)]),
    }
    found = candidates(weights, perovskite())
    figures["BaTiO3"] = {
        f"{row.symbol} ({row.number})": {"probability": round(float(np.exp(row.log_probability)), 4), "log_walk": row.log_walk}
        for row in found.rows[:10]
    }
    figures["cpu_seconds"] = round(time.process_time() - started, 1)
    text = json.dumps(figures, indent=1)
    print(text)
    if args.json:
        with open(args.json, "w") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
