"""What the model says about lower and higher symmetry of real crystals: exact probabilities of subgroups.

Run: python -m experiments.derivatives --data test.npz [--num 200] [--search 600] [--seed 0] [--weights DIR] [--json FILE]
         [--cache FILE | --no-cache]

What was found for a crystal is kept (in the cache of `symjax evaluate`): the same command goes on after a stop.

Three figures, each against the choice of a class of subgroups at random.

1. Parents: for `num` crystals drawn from the data, the share of the crystal's own group G among all that its atoms can be described
   by (G and every class of subgroups that the atoms can tell apart), by the measures of `symjax.models.symop.derive.derivatives`.
2. Distorted crystals: those of `search` crystals that nearly have more operations (0.3 angstrom, 3 %) are averaged over the
   likeliest larger group, and the model is asked which subgroup of that parent nature took. Classes of one kind (type, elements
   of the orbits, atoms) are taken together.
3. Cubic BaTiO3: its ten likeliest derivatives.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.data.dataset import load
from symjax.data.files import hash_file
from symjax.data.structure_types import dataset_from_types
from symjax.errors import SymjaxError
from symjax.evaluate.cache import Cache, content_key, default_path, stamp
from symjax.generate.progress import StageBar
from symjax.groups.identify import identify
from symjax.groups.sets import make_opset
from symjax.lattice import choose_frame
from symjax.models.symop.derive.derivatives import MEASURES, Candidate, Candidates, candidates, measured
from symjax.models.symop.derive.reductions import types_of
from symjax.models.symop.walk.supersets import near_operations
from symjax.models.symop.weights import SymopWeights, load_weights

TOLERANCE, STRAIN = 0.3, 0.03
VERSION = 1
"""Of what is kept of a crystal; raised when its meaning or the measures change."""


def perovskite() -> Crystal:
    """Cubic BaTiO3, a = 4.01 angstrom."""
    from symjax.data.standardize import standardize, to_crystal

    x = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return to_crystal(standardize(AtomicStructure(L=4.01 * np.eye(3), z=np.array([56, 22, 8, 8, 8]), x=x)))


def as_crystal(row: Candidate) -> Crystal:
    """The parent as the candidate describes it."""
    assert row.reduction is not None
    types, k, x = types_of([row.reduction])
    return dataset_from_types(types, k, x, properties={}, meta={}).crystal(0)


def by_measure(found: Candidates, measure: str) -> np.ndarray:
    """(r,) log-probability of every candidate that can be drawn, -inf for the others; two measures stand in every row."""
    by_walk = np.array([row.log_walk for row in found.rows])
    by_type = np.array([-np.inf if row.log_type is None else row.log_type for row in found.rows])
    values = measured(by_type, by_walk, measure).copy()
    values[[row.status != "open" for row in found.rows]] = -np.inf
    return values - np.logaddexp.reduce(values)


def of_each(
    name: str,
    measure: Callable[[SymopWeights, Crystal], dict[str, Any]],
    weights: SymopWeights,
    crystals: list[Crystal],
    cache: Cache,
) -> list[dict[str, Any]]:
    """What is measured on every crystal, with a bar; what the cache holds of these weights is not measured again."""
    version = stamp(f"{VERSION} of {hash_file(weights.folder / 'operations' / 'params.npz')}", ("numpy", "spglib"))
    rows = []
    with StageBar(len(crystals), True) as bar:
        for crystal in crystals:
            key = content_key(crystal.atoms(), operations=True)
            row = cache.get_many(f"derivatives {name}", version, [key]).get(key)
            if row is None:
                row = measure(weights, crystal)
                cache.put(f"derivatives {name}", version, key, row)
            rows.append(row)
            bar(name, 1)
    return rows


def own_share(weights: SymopWeights, crystal: Crystal) -> dict[str, Any]:
    """Probability of the crystal's own group by both measures, and by chance; or why there is none."""
    try:
        found = candidates(weights, crystal, keep_parent=True)
    except SymjaxError as error:  # too large, or P1 without subgroups
        return {"left out": str(error)}
    [own] = [i for i, row in enumerate(found.rows) if row.members is not None and row.members.all()]
    result: dict[str, Any] = {"chance": 1.0 / sum(row.status == "open" for row in found.rows)}
    for measure in MEASURES:
        log_p = by_measure(found, measure)
        result |= {measure: float(np.exp(log_p[own])), f"{measure}_first": float(log_p[own] == log_p.max())}
    return result


def nearest_parent(weights: SymopWeights, crystal: Crystal) -> Crystal | None:
    """The crystal averaged over the likeliest larger group that it nearly has, None where there is none."""
    if len(near_operations(crystal, choose_frame(crystal.W), tolerance=TOLERANCE, strain=STRAIN)[1]) <= len(crystal.W):
        return None  # nothing to enumerate
    try:
        found = candidates(weights, crystal, direction="above", tolerance=TOLERANCE, strain=STRAIN)
    except SymjaxError:
        return None
    return as_crystal(found.rows[0])


def kind_of(row: Candidate) -> tuple:
    """Type, elements of the orbits and number of atoms: what is compared with the real crystal."""
    assert row.reduction is not None
    return row.number, tuple(sorted(row.reduction.z.tolist())), row.reduction.num_atoms


def kinds(found: Candidates, log_p: np.ndarray) -> dict[tuple, tuple[float, int]]:
    """Probability and number of the classes of each kind."""
    result: dict[tuple, tuple[float, int]] = {}
    for row, value in zip(found.rows, log_p, strict=True):
        if row.status == "open":
            p, count = result.get(kind_of(row), (0.0, 0))
            result[kind_of(row)] = (p + float(np.exp(value)), count + 1)
    return result


def measure_parents(weights: SymopWeights, crystals: list[Crystal], cache: Cache) -> dict[str, Any]:
    """Figure 1."""
    every = of_each("parents", own_share, weights, crystals, cache)
    rows = [row for row in every if "left out" not in row]
    result: dict[str, Any] = {
        "crystals": len(rows),
        "left out": len(every) - len(rows),
        "chance": float(np.mean([r["chance"] for r in rows])),
    }
    for measure in MEASURES:
        share, first = (np.array([r[name] for r in rows]) for name in (measure, f"{measure}_first"))
        gain = np.log(np.maximum(share, 1e-300)) - np.log([r["chance"] for r in rows])
        result[measure] = {
            "mean": float(share.mean()),
            "median": float(np.median(share)),
            "likeliest": float(first.mean()),
            "mean_log_over_chance": float(gain.mean()),
        }
    return result


def taken(weights: SymopWeights, crystal: Crystal) -> dict[str, Any]:
    """Whether a crystal nearly has more operations, and what the model gives, below the larger group, to the one that it has.

    Of each measure: probability of the crystal's kind, share of the classes that are of it, and how many kinds are likelier.
    """
    parent = nearest_parent(weights, crystal)
    if parent is None:
        return {"near": False}
    try:
        found = candidates(weights, parent)
    except SymjaxError:
        return {"near": True}
    number = identify(make_opset(crystal.W, crystal.w, den=crystal.den)).number
    true = (number, tuple(sorted(crystal.z.tolist())), crystal.num_atoms)
    result: dict[str, Any] = {"near": True}
    for measure in MEASURES:
        by_kind = kinds(found, by_measure(found, measure))
        total = sum(count for _, count in by_kind.values())
        if true in by_kind:
            p, count = by_kind[true]
            result[measure] = [p, count / total, sum(other > p for other, _ in by_kind.values())]
    return result


def measure_distorted(weights: SymopWeights, crystals: list[Crystal], cache: Cache) -> dict[str, Any]:
    """Figure 2."""
    every = of_each("distorted", taken, weights, crystals, cache)
    near = sum(row["near"] for row in every)
    rows = {measure: [row[measure] for row in every if measure in row] for measure in MEASURES}
    result: dict[str, Any] = {"nearly have more operations": near, "of": len(crystals)}
    for measure, got in rows.items():
        if not got:
            continue
        share, chance, rank = (np.array(column) for column in zip(*got, strict=True))
        result[measure] = {
            "crystals": len(got),
            "mean_log_p": float(np.log(np.maximum(share, 1e-300)).mean()),
            "first": float((rank == 0).mean()),
            "among_three": float((rank < 3).mean()),
            "chance_mean_log_p": float(np.log(chance).mean()),
            "chance_first": float(chance.mean()),
        }
    return result


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="prepared data set")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--search", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="default: those in the package")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--cache", type=Path, help="file of what was found (default: the user's cache)")
    parser.add_argument("--no-cache", action="store_true", help="keep nothing on disk")
    args = parser.parse_args()
    weights, data, started = load_weights(args.weights), load(args.data), time.process_time()
    rows = np.random.default_rng(args.seed).permutation(len(data))[: max(args.num, args.search)]
    part = data.subset(rows)
    crystals = [part.crystal(i) for i in range(len(part))]
    with Cache(None if args.no_cache else args.cache or default_path()) as cache:
        figures: dict[str, Any] = {
            "parents": measure_parents(weights, crystals[: args.num], cache),
            "distorted": measure_distorted(weights, crystals[: args.search], cache),
        }
    found = candidates(weights, perovskite())
    figures["BaTiO3"] = {
        f"{row.symbol} ({row.number})": {
            "probability": round(float(np.exp(row.log_probability)), 4),
            "log_walk": row.log_walk,
        }
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
