"""What the walk draws: types against data, sets that no table has, descriptions that were never trained on.

Run: python -m experiments.walk --train train.npz --data test.npz [--num 2000] [--seed 0] [--weights DIR] [--json FILE]

1. Types: Jensen-Shannon distance of the space-group types of `num` drawn sets to the data, beside what as many draws from
   the training data score (mean and standard deviation of 100), and the share of sets that are tabulated settings. The sets
   are drawn for elements that the model draws itself; sites are not drawn.
2. Non-tabulated sets: of the walk's mass on all subgroups of Pm-3m (modulo the primitive cube), the share on those that are
   the standard setting of no type, for ten perovskites in their cubic description. Exact (dynamic programming over the
   closed sets).
3. Held-out descriptions (weights trained with `held_out`): mean mass of a conjugacy class that was left out of training
   over that of one that was not, among the non-tabulated subsets of Pm-3m whose type was trained on in another description.
4. Conjugates: the largest difference of log-probabilities between conjugate sets; zero by construction, in exact arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from symjax.data.dataset import load
from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import SymjaxError
from symjax.evaluate.statistics import group_distance
from symjax.generate.masks import setting_members
from symjax.generate.request import Request
from symjax.groups.tables import vocabulary
from symjax.models.symop.demands import demands_of
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.sample import draw_species, draw_walks
from symjax.models.symop.walk.contexts import set_key
from symjax.models.symop.walk.descriptions import type_of
from symjax.models.symop.walk.exact import walk_distribution
from symjax.models.symop.walk.set_lattice import lattice_below
from symjax.models.symop.weights import SymopWeights, load_weights

PEROVSKITES = ("BaTiO3", "SrTiO3", "CaTiO3", "PbTiO3", "KNbO3", "NaTaO3", "LaAlO3", "LaMnO3", "BiFeO3", "CsPbI3")
BATCH = 256
DRAWS = 100


def drawn_sets(weights: SymopWeights, num: int, seed: int) -> np.ndarray:
    """(num, v) bool sets of the free walk, for elements of the species prior."""
    net = OperationsNet(options_from_config(weights.operations_config["model"]["operations"]))
    demands = demands_of(Request(), max_orbits=20, max_atoms=192)
    found = []
    for i in range(-(-num // BATCH)):
        first, second = jax.random.split(jax.random.fold_in(jax.random.key(seed), i))
        z = draw_species(net, weights.operations, first, demands, BATCH)
        found.append(draw_walks(net, weights.operations, second, z, demands)[0])
        print(f"{min((i + 1) * BATCH, num)} of {num} sets", file=sys.stderr, flush=True)
    return np.concatenate(found)[:num]


def types_against(sets: np.ndarray, data: np.ndarray, train: np.ndarray, seed: int) -> dict[str, float]:
    """Figure 1."""
    types = np.array([type_of(row) for row in sets])
    tabulated = np.array([bool((row == setting_members(int(n))).all()) for row, n in zip(sets, types, strict=True)])
    rng = np.random.default_rng(seed)
    own = [group_distance(rng.choice(train, len(types)), data) for _ in range(DRAWS)]
    return {
        "sets": len(types),
        "distance": group_distance(types, data),
        "training data": float(np.mean(own)),
        "training data sd": float(np.std(own)),
        "tabulated": float(tabulated[types > 1].mean()),
        "types": len(set(types.tolist())),
        "types not in training": float((~np.isin(types, train)).mean()),
    }


def perovskite_orbits(formula: str) -> np.ndarray:
    """(3,) atomic numbers of the orbits of ABX3 in Pm-3m."""
    names: list[str] = []
    for letter in formula.rstrip("3"):
        if letter.isupper():
            names.append(letter)
        else:
            names[-1] += letter
    return np.array([ATOMIC_NUMBERS[name] for name in names])


def inside_cube(weights: SymopWeights, types: np.ndarray) -> dict[str, Any]:
    """Figures 2 to 4."""
    options = options_from_config(weights.operations_config["model"]["operations"])
    net, size = OperationsNet(options), vocabulary().size
    lattice = lattice_below(np.flatnonzero(setting_members(221)))
    rows = np.zeros((len(lattice), size), bool)
    rows[:, lattice.operations] = lattice.members
    numbers = np.array([type_of(row) for row in rows])
    standard = np.array([(row == setting_members(int(n))).all() for row, n in zip(rows, numbers, strict=True)])
    standard |= rows.sum(1) == 1
    keys = np.array([set_key(row) for row in rows])
    like_standard = np.isin(keys, [set_key(setting_members(int(n))) for n in set(numbers.tolist())])
    known = ~like_standard & np.isin(numbers, types)
    held = known & (keys % options.held_out == 0) if options.held_out else np.zeros(len(rows), bool)
    mass = []
    spread = 0.0
    for formula in PEROVSKITES:
        free = walk_distribution(net, weights.operations, lattice, perovskite_orbits(formula)).free
        mass.append(np.exp(free - np.logaddexp.reduce(free)))
        for key in set(keys.tolist()):
            spread = max(spread, float(np.ptp(free[keys == key])))
    share = np.array([p[~standard].sum() for p in mass])
    mean = np.mean(mass, 0)

    def of_class(chosen: np.ndarray) -> float:
        return float(mean[chosen].sum() / max(len(set(keys[chosen].tolist())), 1))

    return {
        "subgroups": len(rows),
        "non-tabulated": int((~standard).sum()),
        "share on them": {f: round(float(s), 4) for f, s in zip(PEROVSKITES, share, strict=True)},
        "smallest share": float(share.min()),
        "held-out classes": len(set(keys[held].tolist())),
        "mass of a held-out class over a trained one": of_class(held) / of_class(known & ~held) if held.any() else None,
        "largest difference between conjugates, nats": spread,
    }


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="prepared training data")
    parser.add_argument("--data", required=True, help="prepared data to compare with")
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="default: those in the package")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args(argv)
    started = time.process_time()
    try:
        weights = load_weights(args.weights)
        train, data = (group_numbers(path) for path in (args.train, args.data))
        sets = drawn_sets(weights, args.num, args.seed)
        figures = {"types": types_against(sets, data, train, args.seed), "Pm-3m": inside_cube(weights, train)}
    except SymjaxError as error:
        print(f"experiments.walk: {error}", file=sys.stderr)
        return 2
    figures["cpu_seconds"] = round(time.process_time() - started, 1)
    text = json.dumps(figures, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")
    return 0


def group_numbers(path: str) -> np.ndarray:
    """(n,) types of a prepared data set, from its operations."""
    from symjax.wyckoff.set_table import standard_numbers

    data = load(path)
    return standard_numbers(data.sets)[data.set_index]


if __name__ == "__main__":
    sys.exit(main())
