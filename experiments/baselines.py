"""Crystals that take no model: known crystals with other elements, or atoms at random; what a generator must beat.

    python -m experiments.baselines substitution --train train.npz --num 1000 --out substituted.json
    python -m experiments.baselines random --train train.npz --num 1000 --out random.json
    symjax evaluate substituted.json --reference test.npz --train train.npz

substitution: a training crystal, of which one or more elements are exchanged for others that share an oxidation state (those of
which the ICSD has ten or more instances) and are at most 15 % larger or smaller, drawn by how often they occur in the file; the
cell is scaled by the covalent radii (`symjax.data.substitution`). Given a formula (`--formula Li2O`) the parents are crystals of as
many elements in the same amounts, drawn at random, and its elements take the places that fit best; `symjax csp` prints the baseline
of structure prediction, which takes the parents that fit best.

random: the cell of a training crystal and as many atoms, at places drawn uniformly, of elements drawn by how often they occur.

Crystal i of a seed is the same whatever --num is. Wrong input exits with code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.data.substitution import Parents, Reduced, exchanged, occurrences, partners
from symjax.elements import ATOMIC_NUMBERS, symbol
from symjax.errors import InputError, SymjaxError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset


def substituted(data: CrystalDataset, counts: dict[int, int], seed: int, index: int) -> tuple[AtomicStructure, str]:
    """Crystal ``index`` of a seed, and the name of its parent."""
    rng = np.random.default_rng([seed, index])
    while True:
        row = int(rng.integers(len(data)))
        cell = data.atoms(row)
        old = sorted(cell.counts)
        chosen = [z for z in old if rng.random() < 0.5] or [int(rng.choice(old))]
        places: dict[int, int] = {}
        for z in chosen:
            near, weights = partners(z, counts)
            taken = set(old) | set(places.values())
            free = [i for i, other in enumerate(near) if other not in taken]
            if free:
                places[z] = near[int(rng.choice(free, p=weights[free] / weights[free].sum()))]
        if places:
            return exchanged(cell, places), str(data.ids[row])


def parents_of(parents: Parents, formula: str) -> tuple[Reduced, list[int]]:
    """A formula, and the crystals that have elements in the same amounts.

    Raises:
        InputError: no formula, or the file has no such crystal.
    """
    from symjax.generate.request import Request, parse_formula

    request = Request(formula=parse_formula(formula))
    wanted = tuple(sorted((ATOMIC_NUMBERS[name], n) for name, n in (request.formula or {}).items()))
    rows = parents.alike(wanted)
    if not rows:
        raise InputError(f"no crystal of the training data has elements in the amounts of {formula}")
    return wanted, rows


def predicted(
    parents: Parents, wanted: Reduced, rows: Sequence[int], seed: int, index: int
) -> tuple[AtomicStructure, str]:
    """Crystal ``index`` of a seed with a given formula, from one of the ``rows`` drawn at random, and the parent's name."""
    row = rows[int(np.random.default_rng([seed, index]).integers(len(rows)))]
    return parents.placed(row, wanted), str(parents.data.ids[row])


def scattered(data: CrystalDataset, counts: dict[int, int], seed: int, index: int) -> tuple[AtomicStructure, str]:
    """Crystal ``index`` of a seed with atoms at random in the cell of a training crystal, and the name of that."""
    rng = np.random.default_rng([seed, index])
    row = int(rng.integers(len(data)))
    cell = data.atoms(row)
    kinds = sorted(counts)
    share = np.array([counts[z] for z in kinds], float)
    drawn = rng.choice(kinds, size=len(cell.counts), replace=False, p=share / share.sum())
    places = dict(zip(sorted(cell.counts), (int(z) for z in drawn)))
    z = np.array([places[int(number)] for number in cell.z])
    return AtomicStructure(cell.L, z, rng.random(cell.x.shape)), str(data.ids[row])


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="experiments.baselines", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=("substitution", "random"))
    parser.add_argument("--train", required=True, metavar="NPZ", help="prepared training crystals")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formula", help="substitution into crystals of this formula's amounts")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="JSON", help="file of the crystals, for `symjax evaluate`"
    )
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> None:
    """Write the crystals.

    Raises:
        InputError: a number under one, or a formula where none can be given.
    """
    from symjax.data.dataset import load
    from symjax.data.files import write_text

    if args.num < 1:
        raise InputError(f"--num must be at least 1, got {args.num}")
    if args.formula and args.kind != "substitution":
        raise InputError("--formula goes with substitution only")
    data = load(args.train)
    counts = occurrences(data)
    if args.formula:
        parents = Parents(data)
        wanted, rows = parents_of(parents, args.formula)
    entries: list[dict[str, Any]] = []
    for index in range(args.num):
        if args.formula:
            cell, parent = predicted(parents, wanted, rows, args.seed, index)
        else:
            make = substituted if args.kind == "substitution" else scattered
            cell, parent = make(data, counts, args.seed, index)
        plain = {"L": cell.L.tolist(), "z": cell.z.tolist(), "x": cell.x.tolist()}
        entries.append({"id": f"{args.kind}-{index}-of-{parent}", "structure": plain})
    write_text(args.out, json.dumps(entries) + "\n")
    elements = Counter(symbol(int(z)) for entry in entries for z in set(entry["structure"]["z"]))
    print(
        f"{args.out}: {args.num} crystals of {len(elements)} elements from {len(data)} training crystals, seed {args.seed}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Make the crystals; exit code 2 on wrong input."""
    try:
        run(parse(argv))
    except SymjaxError as error:
        print(f"experiments.baselines: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
