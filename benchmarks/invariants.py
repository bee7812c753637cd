"""Average minimum distances in milliseconds a crystal, beside the package `average-minimum-distance`; exact novelty in minutes.

    python -m benchmarks.invariants --data test.npz [--num 2000] [--train train.npz --samples 1000]

AMD (k = 100) of crystals in primitive cells, from arrays to arrays in both programs: ours in batches, with its programs compiled;
the package one crystal after another on --peer-num of them, where it is installed. Their results are compared. Milliseconds are of
the processor (one thread), since the clock of a busy machine says little; two cores take half, batches being independent.

With --train: uniqueness and novelty of --samples crystals of --data against all of --train, the pairs of equal formulas, how many
of them are put to StructureMatcher, and the time for all 10,000 samples at that rate. The same pairs without the filter are timed
on a tenth of the samples.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.evaluate import load
from benchmarks.timing import watched
from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.evaluate import invariants, matching, prefilter

Cells = list[AtomicStructure]
SAMPLES = 10_000


def cpu(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of the processor, on the clock, and the result."""
    processor, clock = time.process_time(), time.perf_counter()
    found = run()
    return time.process_time() - processor, time.perf_counter() - clock, found


def distances(cells: Cells, few: int) -> None:
    """Print milliseconds of AMD, ours and the package's."""
    invariants.amd(cells)
    ours = [cpu(lambda: invariants.amd(cells)) for _ in range(2)]
    best = min(ours, key=lambda item: item[0])
    print(
        f"AMD, k = {invariants.K}: {1e3 * best[0] / len(cells):.3f} ms of processor, "
        f"{1e3 * best[1] / len(cells):.3f} ms on the clock"
    )
    try:
        import amd
    except ImportError:
        print("  the package average-minimum-distance is not installed")
        return
    sets = [amd.PeriodicSet(cell.wrapped().x @ cell.L, cell.L) for cell in cells[:few]]
    amd.AMD(sets[0], invariants.K)
    taken, _, theirs = cpu(lambda: [amd.AMD(one, invariants.K) for one in sets])
    apart = np.abs(np.array(theirs) - best[2][:few]).max()
    print(
        f"  package: {1e3 * taken / len(sets):.3f} ms of processor ({len(sets)} crystals, largest difference {apart:.1e} Å)"
    )


def novelty(samples: Cells, train: Cells) -> None:
    """Print how many pairs there are, how many are put to the matcher, and the time."""
    formulas = Counter(cell.reduced for cell in train)
    pairs = sum(formulas[cell.reduced] for cell in samples)
    asked = 0
    answer = prefilter.may_match

    def counted(*args: Any) -> bool:
        nonlocal asked
        open_ = answer(*args)
        asked += open_
        return open_

    matching.may_match = counted  # type: ignore[attr-defined]
    taken, _, flags = cpu(lambda: matching.unique_and_novel(samples, train, processes=1))
    matching.may_match = answer  # type: ignore[attr-defined]
    print(
        f"novelty of {len(samples)} against {len(train)}: {pairs} pairs of equal formulas with train, {asked} put to the matcher "
        f"(those among samples included), {flags.novel.sum()} novel; {taken:.1f} s of processor, so "
        f"{taken / len(samples) * SAMPLES / 120:.1f} minutes for {SAMPLES} samples on two cores"
    )
    few = samples[: max(1, len(samples) // 10)]
    matcher = matching._matcher(matching.DEFAULT)

    def plain() -> list[bool]:
        found = []
        for cell in few:
            known = [other for other in train if other.reduced == cell.reduced]
            one = to_pymatgen(cell)
            found.append(not any(matcher.fit(one, to_pymatgen(other)) for other in known))
        return found

    slow, _, expected = cpu(plain)
    agree = int((np.array(expected) == flags.novel[: len(few)]).sum())
    print(
        f"  the matcher on every such pair: {slow / len(few) * 1e3:.0f} ms a sample against {taken / len(samples) * 1e3:.0f}; "
        f"{agree} of {len(few)} agree"
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="prepared .npz (default: AFLOW prototypes)")
    parser.add_argument("--num", type=int, default=2000, help="crystals for AMD (2000)")
    parser.add_argument("--peer-num", type=int, default=100, help="crystals for the package (100)")
    parser.add_argument("--train", help="prepared .npz for the novelty")
    parser.add_argument("--samples", type=int, default=1000, help="crystals of --data for the novelty (1000)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = load(args.data, max(args.num, args.samples if args.train else 0), args.seed)
    mean = np.mean([len(cell.z) for cell in cells[: args.num]])
    print(f"{min(args.num, len(cells))} crystals of {args.data or 'AFLOW prototypes'}, {mean:.1f} atoms on average")
    distances(cells[: args.num], args.peer_num)
    if args.train:
        novelty(cells[: args.samples], load(args.train, 10**9, args.seed))


if __name__ == "__main__":
    watched(main)
