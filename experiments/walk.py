"""What the walk draws: types against data, sets that no table has, descriptions that were never trained on.

Run: python -m experiments.walk --train train.npz --data test.npz [--num 2000] [--seed 0] [--weights DIR] [--json FILE]

1. Types: Jensen-Shannon distance of the space-group types of `num` drawn sets to the data, beside what as many draws from
   the training data score (mean and standard deviation of 100), and the share of sets that are tabulated settings. The sets
   are drawn for elements that the model draws itself; sites are not drawn.
2. Non-tabulated sets: of the walk's mass on all subgroups of Pm-3m (modulo the primitive cube), the share on those that are
   no standard setting as they stand, and the share on those that are not even conjugate to one, for ten perovskites in their
   cubic description. Exact; conjugate sets share the mass of their class evenly.
3. Held-out descriptions (weights trained with `held_out`): mean mass of a class of sets that was left out of training over
   that of one that was not, among the non-tabulated classes inside Pm-3m and P6/mmm whose type was trained on.
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
from symjax.groups.tables import enantiomorph
from symjax.models.symop.demands import demands_of
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.sample import class_log_probabilities, draw_species, draw_walks
from symjax.models.symop.walk.states import states
from symjax.models.symop.weights import SymopWeights, load_weights

PEROVSKITES = ("BaTiO3", "SrTiO3", "CaTiO3", "PbTiO3", "KNbO3", "NaTaO3", "LaAlO3", "LaMnO3", "BiFeO3", "CsPbI3")
BATCH = 256
DRAWS = 100


def drawn_sets(weights: SymopWeights, num: int, seed: int) -> np.ndarray:
    """(num,) classes of sets of the free walk, for elements of the species prior."""
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
    table = states()
    types = hands(table.number[sets], seed)
    tabulated = table.tabulated()[sets]
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


def hands(numbers: np.ndarray, seed: int) -> np.ndarray:
    """Types of sets; of enantiomorphic pairs, which are one class, either with equal chance."""
    other = np.array([enantiomorph(int(n)) for n in numbers])
    return np.where(np.random.default_rng(seed).random(len(numbers)) < 0.5, other, numbers)


def inside_cube(weights: SymopWeights, types: np.ndarray) -> dict[str, Any]:
    """Figures 2 and 3."""
    options = options_from_config(weights.operations_config["model"]["operations"])
    net, table = OperationsNet(options), states()
    inside = {number: inside_of(number) for number in (221, 191)}
    tabulated = table.tabulated()
    z = np.zeros((len(PEROVSKITES), 20), np.int32)
    z[:, :3] = [perovskite_orbits(formula) for formula in PEROVSKITES]
    p = np.exp(class_log_probabilities(net, weights.operations, z))
    cube = inside[221]
    share = p[:, cube & ~tabulated].sum(1) / p[:, cube].sum(1)
    rows = np.flatnonzero(~(table.rows & ~setting_members(221)).any(1))
    own = np.array([bool((table.rows[i] == setting_members(int(table.row_number[i]))).all()) for i in rows])
    each = p[:, table.row_class[rows]] / np.bincount(table.row_class[rows])[table.row_class[rows]]
    as_they_stand = each[:, ~own].sum(1) / each.sum(1)
    either = (inside[221] | inside[191]) & ~tabulated & np.isin(table.number, types)
    held = either & (np.arange(len(table)) % options.held_out == 0) if options.held_out else np.zeros(len(table), bool)
    mean = p.mean(0)
    return {
        "subgroups": len(rows),
        "non-tabulated": int((~own).sum()),
        "share on them": {f: round(float(s), 4) for f, s in zip(PEROVSKITES, as_they_stand, strict=True)},
        "classes": int(cube.sum()),
        "classes without a standard setting": int((cube & ~tabulated).sum()),
        "share on these": {f: round(float(s), 4) for f, s in zip(PEROVSKITES, share, strict=True)},
        "held-out classes": int(held.sum()),
        "mass of a held-out class over a trained one": (
            float(mean[held].mean() / mean[either & ~held].mean()) if held.any() else None
        ),
    }


def inside_of(number: int) -> np.ndarray:
    """(c,) bool classes of the subgroups of a standard setting."""
    table = states()
    below = np.zeros(len(table), bool)
    below[table.row_class[~(table.rows & ~setting_members(number)).any(1)]] = True
    return below


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
        figures: dict[str, Any] = {
            "types": types_against(sets, data, train, args.seed),
            "Pm-3m": inside_cube(weights, train),
        }
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
