"""WyckoffAUGen: seconds for 500 crystals, compilation apart, and crystals per second.

    python -m benchmarks.wyckoffaugen --weights runs/wyckoffaugen/weights
    python -m benchmarks.wyckoffaugen --weights runs/wyckoffaugen/weights --num 500 --repeats 3 --json speed.json

A first call compiles the three programs and is timed by itself; the others draw crystals of other seeds. What is timed is
`AugenSampler.draw`: group, elements, cell, all atoms, representatives and shortest distances; no file is written. Published: 2 s
for 500 on an A40.

Threads: set OMP_NUM_THREADS=1 and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false for one core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.timing import watched
from symjax.generate.request import Request
from symjax.generate.system import Settings
from symjax.models.wyckoffaugen.draw import AugenSampler
from symjax.models.wyckoffaugen.weights import load_weights


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", metavar="DIR", help="default: those in the package")
    parser.add_argument("--num", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    weights, rows = load_weights(args.weights), np.arange(args.num)
    seconds = []
    for seed in range(args.repeats + 1):
        start = time.perf_counter()
        drawn = AugenSampler(weights, Request(), args.num, Settings(seed=seed)).draw(rows, 0)
        seconds.append(time.perf_counter() - start)
    good = sum(not reason for reason in drawn.reason)
    best = min(seconds[1:])
    device = jax.devices()[0].device_kind
    print(
        f"{args.num} crystals on {device}: first call {seconds[0]:.1f} s, then {best:.2f} s, {args.num / best:.0f} a second"
    )
    print(f"{good} of the last {args.num} came to a crystal")
    if args.json:
        args.json.write_text(json.dumps({"num": args.num, "seconds": seconds, "device": device}) + "\n")


if __name__ == "__main__":
    watched(main)
