"""Protostructures of WyckoffDiff judged by their labels, and given coordinates by PyXtal and by symop's diffusion side by side.

    python -m experiments.protostructures --num 1000 --train train.npz                       # validity, uniqueness, novelty
    python -m experiments.protostructures --frequent 64 --elements Li,O --condition e_above_hull=0 --realise --out study
    symjax evaluate study/pyxtal.npz --metrics stability,adaptor --hull hull.npz --system Li-O --out report   # figures 2 and 3
    python -m experiments.protostructures --num 64 --condition chemical_system=Li-O        # how often the system is hit
    python -m experiments.protostructures --label A2BC4_cF56_227_c_b_e:Al-Mg-O --num 16 --realise --out spinel

Validity: draws that are something (an orbit at least, the elements asked for, no more orbits and atoms than training data have).
Uniqueness and novelty: distinct labels, and labels that no training crystal has, over valid draws; also of prototypes, which have
no elements. --frequent N draws N in each of the 20 most frequent groups of MP-20, without doubles of a label, as in figure 2 of
WyckoffDiff-Adaptor (arXiv 2601.08115). --realise tries each distinct protostructure by both realisers (PyXtal: up to 100 attempts)
and prints how many got coordinates, kept their label, and have room (no atoms closer than 0.6 of the sum of covalent radii); they
go to OUT/pyxtal.npz and OUT/diffusion.npz with the group that was asked for, ready for `symjax evaluate`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.configs.wyckoffdiff import FREQUENT
from symjax.errors import InputError, SymjaxError
from symjax.evaluate.statistics import share_interval
from symjax.generate.request import Request, parse_elements
from symjax.wyckoff.labels import parse_label, prototype_label

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.data.structure_types import StructureTypes

CLOSE = 0.6
"""Of the sum of covalent radii."""


def draw(args: argparse.Namespace) -> tuple[list[StructureTypes], int]:
    """Structure types, one entry a group that was asked for, and the number of draws in all."""
    from symjax.models.wyckoffdiff.system import conditions
    from symjax.systems import generate, system

    if args.label:
        return [of_label(args.label, args.num)], args.num
    options: dict[str, Any] = {} if args.condition is None else {"condition": conditions(args.condition)}
    if args.guidance is not None:
        options["guidance"] = args.guidance
    elements = parse_elements(args.elements) if args.elements else ()
    weights, found, attempts = system("wyckoffdiff").load(args.weights), [], 0
    for group in FREQUENT if args.frequent else (0,):
        made = generate(
            "wyckoffdiff",
            args.frequent or args.num,
            weights=weights,
            request=Request(elements=elements, groups=(group,) if group else ()),
            realise="none",
            seed=args.seed,
            batch_size=args.batch,
            options=options,
        )
        found.append(made.types)
        attempts += made.attempts
    return found, attempts


def system_hit(found: list[StructureTypes], condition: str | None) -> None:
    """Print how many have exactly the elements of the chemical system that was conditioned on, where one was."""
    from symjax.elements import symbol
    from symjax.models.wyckoffdiff.system import conditions

    system = conditions(condition).get("chemical_system") if condition else None
    if system is None:
        return
    asked = set(system.split("-"))
    hits = [{symbol(int(z)) for z in row[row > 0]} == asked for types in found for row in types.z]
    if interval := share_interval(sum(hits), len(hits)):
        low, high = interval
        print(
            f"chemical system {system}: {sum(hits)} of {len(hits)} ({np.mean(hits):.3f}, 95 % {low:.3f} to {high:.3f})"
        )


def of_label(text: str, num: int) -> StructureTypes:
    """So many structure types of one label."""
    from symjax.data.structure_types import StructureTypes
    from symjax.groups.tables import standard_setting
    from symjax.wyckoff.set_table import build_set_table

    sites = parse_label(text)
    rows = [np.tile(values, (num, 1)).astype(np.int32) for values in (sites.z, sites.pos)]
    return StructureTypes(build_set_table([standard_setting(sites.number)]), np.zeros(num, int), *rows)


def labels_and_prototypes(types: StructureTypes) -> tuple[list[str], list[str]]:
    """Of each structure type."""
    from symjax.models.wyckoffdiff.occupations import from_structure_types
    from symjax.models.wyckoffdiff.realise import labels_of

    orbits = from_structure_types(types)
    rows = zip(orbits.number.tolist(), orbits.z, orbits.pos, strict=True)
    return list(labels_of(types)), [prototype_label(number, z, pos) for number, z, pos in rows]


def known_labels(path: str) -> tuple[set[str], set[str]]:
    """Of the crystals of a prepared data set in standard settings."""
    from symjax.data.dataset import load
    from symjax.data.structure_types import types_from_dataset
    from symjax.models.wyckoffdiff.occupations import usable

    data = load(path)
    found = labels_and_prototypes(types_from_dataset(data.subset(np.flatnonzero(usable(data))))[0])
    return set(found[0]), set(found[1])


def judge(found: list[StructureTypes], attempts: int, train: str | None) -> list[np.ndarray]:
    """Print what labels say; rows of each group that are the first with their label."""
    known = known_labels(train) if train else None
    both, first, seen = [labels_and_prototypes(types) for types in found], [], set()
    for labels, _ in both:
        rows = []
        for row, text in enumerate(labels):
            if text not in seen:
                rows.append(row)
                seen.add(text)
        first.append(np.array(rows, int))
    total = sum(len(labels) for labels, _ in both)
    print(f"{total} valid of {attempts} draws ({total / attempts:.3f})")
    for i, name in enumerate(("labels", "prototypes")):
        every = [text for one in both for text in one[i]]
        line = f"{name}: {len(set(every))} distinct ({len(set(every)) / total:.3f})"
        if known is not None:
            new = sum(text not in known[i] for text in every)
            line += f", {new} new ({new / total:.3f})"
        print(line)
    return first


def realise(types: StructureTypes, requested: np.ndarray, args: argparse.Namespace) -> None:
    """Both realisers on the same protostructures: print, and write data sets."""
    import jax

    from symjax.generate.pyxtal import Pyxtal
    from symjax.generate.system import Realiser
    from symjax.models.symop.geometry.realise import Diffusion
    from symjax.models.symop.weights import load_geometry
    from symjax.models.wyckoffdiff.realise import ATTEMPTS, labelled

    realisers: dict[str, Realiser] = {
        "pyxtal": Pyxtal(attempts=ATTEMPTS, seconds=args.seconds),
        "diffusion": Diffusion(load_geometry(), batch_size=args.batch),
    }
    for name, realiser in realisers.items():
        found = labelled(realiser, types, jax.random.key(args.seed))
        made = np.array([bool(text) for text in found.got])
        ratio, total = found.realised.properties["min_ratio"], len(made)
        apart = made & (ratio >= CLOSE)
        print(
            f"{name}: {made.sum()} of {total} got coordinates, {found.kept.sum()} kept their label, {apart.sum()} have room"
        )
        for asked, got in zip(found.asked, found.got, strict=True):
            if got and got != asked and args.verbose:
                print(f"  {asked} became {got}")
        if args.out:
            kept = np.flatnonzero(found.kept)
            if len(kept):
                dataset(types, kept, found.realised, requested, name).save(Path(args.out) / f"{name}.npz")


def dataset(types: StructureTypes, rows: np.ndarray, realised: Any, requested: np.ndarray, name: str) -> CrystalDataset:
    """Crystals with the group that was asked for."""
    from symjax.data.structure_types import dataset_from_types

    properties = {
        "requested_space_group": requested[rows].astype(float),
        "min_ratio": realised.properties["min_ratio"][rows],
    }
    meta = {"model": "wyckoffdiff", "realiser": name}
    return dataset_from_types(types.take(rows), realised.k[rows], realised.x[rows], properties=properties, meta=meta)


def joined(found: list[StructureTypes], first: list[np.ndarray]) -> tuple[StructureTypes, np.ndarray]:
    """Some rows of all groups together, and the space group of each."""
    from symjax.data.structure_types import StructureTypes
    from symjax.wyckoff.set_table import concatenate, standard_numbers

    sets = concatenate([types.sets for types in found])
    offsets = np.cumsum([0] + [len(types.sets) for types in found[:-1]])
    width = max(types.z.shape[1] for types in found)
    parts = [types.take(rows, width) for types, rows in zip(found, first, strict=True)]
    index = np.concatenate([part.set_index + offset for part, offset in zip(parts, offsets, strict=True)])
    whole = StructureTypes(sets, index, np.concatenate([p.z for p in parts]), np.concatenate([p.pos for p in parts]))
    return whole, standard_numbers(sets)[index]


def main(argv: list[str] | None = None) -> int:
    """Run; wrong input exits with code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=100, help="protostructures (default 100)")
    parser.add_argument("--frequent", type=int, default=0, metavar="N", help="N in each of the 20 most frequent groups")
    parser.add_argument("--label", help="one protostructure instead of drawn ones")
    parser.add_argument("--elements", help="exactly these, as Li,O")
    parser.add_argument("--condition", help="as of symjax generate")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--weights", help="folder (default: the shipped weights)")
    parser.add_argument("--train", help="prepared data set, for novelty")
    parser.add_argument("--realise", action="store_true", help="give coordinates by both realisers")
    parser.add_argument("--seconds", type=float, default=20.0, help="of PyXtal for each (default 20)")
    parser.add_argument("--out", help="folder for the crystals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--verbose", action="store_true", help="print labels that were not kept")
    args = parser.parse_args(argv)
    try:
        if args.num < 1 or args.frequent < 0:
            raise InputError("numbers of protostructures must be positive")
        found, attempts = draw(args)
        first = judge(found, attempts, args.train)
        system_hit(found, args.condition)
        if args.label:
            first = [np.arange(args.num)]
        if args.realise:
            if args.out:
                Path(args.out).mkdir(parents=True, exist_ok=True)
            realise(*joined(found, first), args)
    except SymjaxError as error:
        print(f"experiments.protostructures: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
