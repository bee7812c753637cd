"""Crystals that take no model: known crystals with other elements, or atoms at random; what a generator must beat.

    python -m experiments.baselines substitution --train train.npz --num 1000 --out substituted.json
    python -m experiments.baselines random --train train.npz --num 1000 --out random.json
    symjax evaluate substituted.json --reference test.npz --train train.npz

substitution: a training crystal, of which one or more elements are exchanged for others that share an oxidation state (those of
which the ICSD has ten or more instances) and are at most 15 % larger or smaller, drawn by how often they occur in the file; the
cell is scaled by the covalent radii. Given a formula (`--formula Li2O`) the parents are crystals of as many elements in the same
amounts, and its elements take the places that fit best, which is the baseline of structure prediction.

random: the cell of a training crystal and as many atoms, at places drawn uniformly, of elements drawn by how often they occur.

Crystal i of a seed is the same whatever --num is. Wrong input exits with code 2.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.elements import COVALENT_RADII, symbol
from symjax.errors import InputError, SymjaxError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

SIZE = 0.15
"""Largest relative difference of covalent radii of elements that are exchanged."""


@cache
def states(z: int) -> frozenset[int]:
    """Oxidation states of an element with ten or more instances in the ICSD, the common ones where there are none."""
    from pymatgen.core import Element

    element = Element.from_Z(z)
    return frozenset(element.icsd_oxidation_states or element.common_oxidation_states)


def partners(z: int, counts: dict[int, int]) -> tuple[list[int], np.ndarray]:
    """Elements that may take the place of one, and how often each is drawn; both empty where none may."""
    near = [
        other
        for other in sorted(counts)
        if other != z and states(other) & states(z) and abs(COVALENT_RADII[other] / COVALENT_RADII[z] - 1) <= SIZE
    ]
    weights = np.array([counts[other] for other in near], float)
    return near, weights / weights.sum() if near else weights


def exchanged(cell: AtomicStructure, places: dict[int, int]) -> AtomicStructure:
    """A crystal with elements exchanged, its cell scaled so that the volume of its atoms keeps its share."""
    z = np.array([places.get(int(number), int(number)) for number in cell.z])
    scale = np.cbrt((COVALENT_RADII[z] ** 3).sum() / (COVALENT_RADII[cell.z] ** 3).sum())
    return AtomicStructure(scale * cell.L, z, cell.x)


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


def alike(data: CrystalDataset, formula: str) -> tuple[dict[int, int], list[int]]:
    """Atomic number -> atoms of a reduced formula, and the crystals that have elements in the same amounts.

    Raises:
        InputError: no formula, or the file has no such crystal.
    """
    from pymatgen.core import Composition

    try:
        wanted = {element.Z: round(amount) for element, amount in Composition(formula).reduced_composition.items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"--formula {formula!r} is no formula ({error})") from error
    amounts = sorted(wanted.values())
    rows = [i for i, cell in enumerate(data.all_atoms()) if sorted(count for _, count in cell.reduced) == amounts]
    if not rows:
        raise InputError(f"no crystal of the training data has elements in the amounts of {formula}")
    return wanted, rows


def predicted(
    data: CrystalDataset, wanted: dict[int, int], rows: Sequence[int], seed: int, index: int
) -> tuple[AtomicStructure, str]:
    """Crystal ``index`` of a seed with a given formula, from one of the ``rows`` (both of `alike`), and the parent's name."""
    row = rows[int(np.random.default_rng([seed, index]).integers(len(rows)))]
    cell = data.atoms(row)
    have = dict(cell.reduced)
    best: tuple[float, dict[int, int]] | None = None
    for order in itertools.permutations(wanted):
        places = dict(zip(have, order))
        if all(have[old] == wanted[new] for old, new in places.items()):
            cost = sum(
                abs(COVALENT_RADII[new] / COVALENT_RADII[old] - 1) + (not states(new) & states(old))
                for old, new in places.items()
            )
            if best is None or cost < best[0]:
                best = float(cost), places
    assert best is not None  # the amounts are equal
    return exchanged(cell, best[1]), str(data.ids[row])


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


def occurrences(data: CrystalDataset) -> dict[int, int]:
    """Atomic number -> crystals that have the element."""
    start = np.asarray(data.orbit_start)
    return dict(Counter(int(z) for i in range(len(data)) for z in np.unique(data.orbit_z[start[i] : start[i + 1]])))


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
    wanted, rows = alike(data, args.formula) if args.formula else ({}, [])
    entries: list[dict[str, Any]] = []
    for index in range(args.num):
        if args.formula:
            cell, parent = predicted(data, wanted, rows, args.seed, index)
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
