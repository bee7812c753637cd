"""Crystals per second of each metric, and the ratio to the plain sequential public way to the same result, in one run.

Run: python -m benchmarks.evaluate [--data test.npz] [--num 200] [--peer-num 60] [--json FILE]

"one core" is this package in one process, "all cores" with its workers (their start included); the peer runs one crystal after
another in one process, as its users write it, on the first --peer-num of the same crystals, and its results are compared with
ours before anything is printed. "ratio" is one core against the peer, like with like. --whole adds the wall time of the whole
command on 1,000 crystals against the rest of --data, cold cache, as a user would run it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import watched
from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.evaluate import stages
from symjax.evaluate.cache import Cache
from symjax.evaluate.sources import from_cells

Row = dict[str, Any]


def load(path: str | None, num: int, seed: int) -> list[AtomicStructure]:
    """Crystals in their primitive cells without operations, as a reader of CIF files would have them."""
    if path is None:
        from symjax.data.prototypes import prototype_rows
        from symjax.data.rows import parse_row

        cells = [s for s in map(parse_row, prototype_rows()) if len(s.z) <= 20]
    else:
        from symjax.data.dataset import load as load_data

        cells = [cell.primitive() for cell in load_data(path).all_atoms()]
    order = np.random.default_rng(seed).permutation(len(cells))[:num]
    return [AtomicStructure(cells[i].L, cells[i].z, cells[i].x) for i in order]


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of one call, and its result."""
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found


def stage_row(
    name: str,
    stage: stages.Stage,
    cells: list[AtomicStructure],
    peer: Callable[[list[AtomicStructure]], list[Any]],
    read: Any,
    few: int,
) -> Row:
    """One stage, against a peer that gives what `read` takes from our result."""
    crystals = from_cells(cells)
    stage.function(cells[0])  # imports and tables
    one, found = timed(lambda: stages.run_stages([(crystals, [stage])], Cache(), processes=1))
    every, _ = timed(lambda: stages.run_stages([(crystals, [stage])], Cache()))
    peer(cells[:1])
    theirs, expected = timed(lambda: peer(cells[:few]))
    ours = [read(row) for row in found[0][stage.name][:few]]
    agree = sum(a is not None and b is not None and np.allclose(a, b, atol=1e-5) for a, b in zip(ours, expected))
    return row_of(name, len(cells) / one, len(cells) / every, few / theirs, f"{agree} of {few} agree")


def row_of(name: str, one: float, every: float, peer: float, note: str) -> Row:
    """A line of the table; speeds in crystals per second."""
    return {"metric": name, "one": one, "all": every, "peer": peer, "ratio": one / peer, "note": note}


def cdvae_distances(cells: list[AtomicStructure]) -> list[Any]:
    """Smallest off-diagonal entry of pymatgen's distance matrix (CDVAE's structural validity)."""
    return [np.min(to_pymatgen(c).distance_matrix + 99 * np.eye(len(c.z))) for c in cells]


def smact_rules(cells: list[AtomicStructure]) -> list[Any]:
    """smact_validity, a crystal at a time."""
    from smact.screening import smact_validity

    return [float(smact_validity(to_pymatgen(c).composition)) for c in cells]


def analyzer(cells: list[AtomicStructure]) -> list[Any]:
    """Number and letters by pymatgen's SpacegroupAnalyzer at both tolerances (SymmCD, WyckoffTransformer)."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    found = []
    for cell in cells:
        structure = to_pymatgen(cell)
        wide = SpacegroupAnalyzer(structure, symprec=0.1, angle_tolerance=5)
        wide.get_symmetrized_structure()
        tight = SpacegroupAnalyzer(structure, symprec=0.01, angle_tolerance=5)
        found.append([wide.get_space_group_number(), tight.get_space_group_number()])
    return found


def matminer_fingerprints(cells: list[AtomicStructure]) -> list[Any]:
    """CrystalNN of every site, mean, and Magpie, as CDVAE's evaluation does."""
    from matminer.featurizers.composition.composite import ElementProperty
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint

    sites, composition = (
        CrystalNNFingerprint.from_preset("ops"),
        ElementProperty.from_preset("magpie", impute_nan=False),
    )
    found = []
    for cell in cells:
        structure = to_pymatgen(cell)
        composition.featurize(structure.composition)
        found.append(np.mean([sites.featurize(structure, i) for i in range(len(structure))], axis=0))
    return found


def novelty_row(cells: list[AtomicStructure], few: int) -> Row:
    """Novelty of half of the crystals, slightly shaken, against all: the matcher within equal formulas, and everybody's loop."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from symjax.evaluate.matching import unique_and_novel

    generator = np.random.default_rng(0)
    half = len(cells) // 2
    samples = [AtomicStructure(c.L, c.z, c.x + 0.002 * generator.normal(size=c.x.shape)) for c in cells[:half]]
    one, flags = timed(lambda: unique_and_novel(samples, cells, processes=1))
    every, _ = timed(lambda: unique_and_novel(samples, cells))
    few = min(few, half)
    matcher = StructureMatcher()

    def loop() -> list[bool]:
        known = [to_pymatgen(cell) for cell in cells]
        return [not any(matcher.fit(to_pymatgen(sample), other) for other in known) for sample in samples[:few]]

    theirs, expected = timed(loop)
    agree = int((np.array(expected) == flags.novel[:few]).sum())
    return row_of(f"novelty against {len(cells)}", half / one, half / every, few / theirs, f"{agree} of {few} agree")


def statistics_row(cells: list[AtomicStructure]) -> Row:
    """All distances and shares of the tables with their tests once the stages are there; no peer makes those."""
    from symjax.evaluate.run import Options, evaluate

    crystals, cache = from_cells(cells), Cache()
    options = Options(metrics="symmcd,wyckoff_transformer,wyckoffaugen", processes=1)
    evaluate(crystals, crystals, None, options, cache)
    one, _ = timed(lambda: evaluate(crystals, crystals, None, options, cache))
    empty = {"all": None, "peer": None, "ratio": None, "note": ""}
    return {"metric": "figures with floors, stages cached", "one": len(cells) / one} | empty


def whole(path: str, metrics: str) -> dict[str, Any]:
    """The command on 1,000 random crystals of a file against its rest, cold cache, all cores."""
    from symjax.evaluate.run import Options, evaluate
    from symjax.evaluate.sources import read_crystals

    start = time.perf_counter()
    data = read_crystals(path)
    order = np.random.default_rng(0).permutation(len(data))
    evaluate(data.take(order[:1000]), data.take(order[1000:]), None, Options(metrics=metrics), Cache())
    return {"metrics": metrics, "samples": 1000, "reference": len(data) - 1000, "seconds": time.perf_counter() - start}


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(f"{'metric':<38}{'one core':>10}{'all cores':>11}{'peer':>9}{'ratio':>8}  (crystals/s)")
    for row in rows:
        cells = [f"{row[k]:.4g}" if row[k] is not None else "-" for k in ("one", "all", "peer", "ratio")]
        print(f"{row['metric']:<38}{cells[0]:>10}{cells[1]:>11}{cells[2]:>9}{cells[3]:>8}  {row['note']}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="prepared .npz (default: AFLOW prototypes)")
    parser.add_argument("--num", type=int, default=200, help="crystals (200)")
    parser.add_argument("--peer-num", type=int, default=60, help="crystals for the peer (60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--whole", action="store_true", help="also the whole command; needs --data with more than 1,000 crystals"
    )
    parser.add_argument("--coverage", action="store_true", help="with --whole: coverage too (minutes)")
    parser.add_argument("--json", help="also write the rows to this file")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = load(args.data, args.num, args.seed)
    few = min(args.peer_num, len(cells))
    atoms = np.mean([len(cell.z) for cell in cells])
    print(
        f"{len(cells)} crystals of {args.data or 'AFLOW prototypes'}, {atoms:.1f} atoms on average, {os.cpu_count()} CPU cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    rows = [
        stage_row("validity, density", stages.GEOMETRY, cells, cdvae_distances, lambda r: r["between"] or 99.0, few),
        stage_row(
            "composition, three rules", stages.COMPOSITION, cells, smact_rules, lambda r: float(r["icsd24"]), few
        ),
        stage_row(
            "groups and orbits", stages.SYMMETRY, cells, analyzer, lambda r: [r["number"], r["number_tight"]], few
        ),
        stage_row(
            "fingerprints", stages.fingerprint(), cells, matminer_fingerprints, lambda r: r.get("structure"), few
        ),
        novelty_row(cells, few),
        statistics_row(cells),
    ]
    show(rows)
    totals = []
    if args.whole and args.data:
        for metrics in ["-coverage"] + (["coverage"] if args.coverage else []):
            totals.append(whole(args.data, metrics))
            print(
                f"{totals[-1]['samples']} against {totals[-1]['reference']}, --metrics={metrics}: {totals[-1]['seconds']:.0f} s"
            )
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"rows": rows, "whole": totals, "cores": os.cpu_count()}, file, indent=1)


if __name__ == "__main__":
    watched(main)
