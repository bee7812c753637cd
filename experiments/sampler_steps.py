"""Quality of drawn lattices and coordinates against the number of diffusion steps, operations, species and sites given.

  python -m experiments.sampler_steps --val val.npz --num 300

Prints a row per sampler, beside the truth and beside uniformly random coordinates in the regressed lattice. Nothing is
redrawn and nothing is filtered. Columns: shares of crystals with no two atoms under 0.5 angstrom, under 0.6 and under 0.8
of the sum of covalent radii; median relative volume error; StructureMatcher match rate (ltol 0.3, stol 0.5, angle 10),
also by number of free coordinates (0 / 1-4 / more); seconds per 100 crystals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from symjax.errors import InputError, SymjaxError

SAMPLERS = (  # steps, eta, corrector steps
    (10, 0.0, 0),
    (20, 0.0, 0),
    (50, 0.0, 0),
    (20, 1.0, 0),
    (50, 1.0, 0),
    (100, 1.0, 0),
    (50, 1.0, 1),
    (100, 1.0, 1),
    (200, 1.0, 1),
)


def main(argv: list[str] | None = None) -> int:
    """Run the comparison; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(prog="experiments.sampler_steps", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--val", required=True, metavar="NPZ", help="prepared data with the true crystals")
    parser.add_argument("--num", type=int, default=300, help="first so many crystals")
    parser.add_argument("--weights", metavar="DIR", help="folder with `geometry/` (default: the shipped weights)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", type=int, nargs="*", metavar="I", help="rows of the list of samplers to run (default: all)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows here too")
    args = parser.parse_args(argv)
    try:
        rows = compare(args)
    except SymjaxError as error:
        print(f"experiments.sampler_steps: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows; each is printed when it is done."""
    import jax

    from symjax.data.dataset import CrystalDataset
    from symjax.data.structure_types import dataset_from_types, types_from_dataset
    from symjax.models.symop.geometry.network import options_from_config
    from symjax.models.symop.geometry.sample import GeometrySampling, sample_geometry
    from symjax.train.weights import load_params, shipped_weights

    val = CrystalDataset.load(args.val)
    if args.num < 1:
        raise InputError(f"--num must be at least 1, got {args.num}")
    val = val.subset(np.arange(min(args.num, len(val))))
    params, config = load_params((Path(args.weights) if args.weights else shipped_weights("symop")) / "geometry")
    options = options_from_config(config["model"]["geometry"])
    types, x = types_from_dataset(val)
    key = jax.random.key(args.seed)
    rows = [score("truth", val, val, 0.0)]
    k, u = random_geometry(params, types, np.random.default_rng(args.seed))
    rows.append(score("random in regressed lattice", dataset_from_types(types, k, u, properties={}, meta={}), val, 0.0))
    chosen = SAMPLERS if args.only is None else tuple(SAMPLERS[i] for i in args.only)
    for steps, eta, corrector in chosen:
        sampler = GeometrySampling(num_steps=steps, eta=eta, num_corrector=corrector)
        start = time.perf_counter()
        k, x = sample_geometry(params, options, key, types, sampler=sampler)
        seconds = (time.perf_counter() - start) * 100 / len(val)
        drawn = dataset_from_types(types, k, x, properties={}, meta={})
        rows.append(score(f"{steps} steps, eta {eta:.0f}, {corrector} corrector", drawn, val, seconds))
    return rows


def random_geometry(params: dict, types: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The regressed volume in an undistorted reference cell, and uniformly random free coordinates."""
    from symjax.models.symop.geometry.inputs import build_inputs
    from symjax.models.symop.geometry.network import mean_coefficients

    inputs = build_inputs(types, int(types.num_atoms().max()))
    k = np.asarray(mean_coefficients(params["stats"], inputs), float)
    u = rng.random(types.z.shape + (3,))
    return k, np.asarray(inputs.x0) + np.einsum("bmij,bmj->bmi", np.asarray(inputs.basis), u)


def score(name: str, drawn: Any, truth: Any, seconds: float) -> dict[str, Any]:
    """One row, printed."""
    from symjax.evaluate.distances import shortest
    from symjax.evaluate.matching import match_distances

    cells, real = drawn.all_atoms(), truth.all_atoms()
    near = [shortest(cell) for cell in cells]
    matched = np.isfinite(match_distances(cells, real))
    free = np.asarray(truth.sets.pos_dof)[truth.orbit_set, truth.orbit_pos]
    freedom = np.add.reduceat(free, truth.orbit_start[:-1])
    volume = np.median([abs(a.volume / b.volume - 1.0) for a, b in zip(cells, real, strict=True)])
    strata = [matched[(freedom >= low) & (freedom <= high)] for low, high in ((0, 0), (1, 4), (5, 10**6))]
    row: dict[str, Any] = {
        "sampler": name,
        "n": len(cells),
        "over 0.5 A": float(np.mean([s.distance > 0.5 for s in near])),
        "over 0.6 radii": float(np.mean([s.ratio > 0.6 for s in near])),
        "over 0.8 radii": float(np.mean([s.ratio > 0.8 for s in near])),
        "median volume error": float(volume),
        "match": float(matched.mean()),
        "match by freedom": [float(part.mean()) if len(part) else None for part in strata],
        "seconds per 100": seconds,
    }
    cells_text = " / ".join("-" if value is None else f"{value:.2f}" for value in row["match by freedom"])
    print(
        f"{name:<32} n {row['n']:>4}  >0.5A {row['over 0.5 A']:.3f}  >0.6r {row['over 0.6 radii']:.3f}  "
        f">0.8r {row['over 0.8 radii']:.3f}  volume {row['median volume error']:.3f}  match {row['match']:.3f} ({cells_text})  "
        f"{seconds:.1f} s/100",
        flush=True,
    )
    return row


if __name__ == "__main__":
    sys.exit(main())
