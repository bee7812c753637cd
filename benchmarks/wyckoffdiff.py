"""WyckoffDiff: a reverse step against plain PyTorch of the same network, and seconds for 16 Li-O crystals as CIF files.

    python -m benchmarks.wyckoffdiff                                    # shipped weights
    python -m benchmarks.wyckoffdiff --size paper --crystals 0          # the published sizes, untrained: a reverse step only
    python -m benchmarks.wyckoffdiff --weights runs/wyckoffdiff/weights --json speed.json

All in one run, after one call each that is not timed (compilation). The peer does as the public code: all edges in a list, features
of both ends concatenated for every edge, posteriors by matrices of the kernel. Their logits are compared first. The published
figures for 16 Li-O crystals are 34 s for protostructures and 26 s for PyXtal, on a V100 (WyckoffDiff-Adaptor, table 1).

Threads: set OMP_NUM_THREADS=1 and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false for one core each.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import best_of, watched
from symjax.configs.wyckoffdiff import FREQUENT, SIZES, get_config
from symjax.diffusion import schedules
from symjax.models.wyckoffdiff.occupations import NUM_ELEMENTS, Occupations, nodes
from symjax.models.wyckoffdiff.process import marginals
from symjax.models.wyckoffdiff.sample import Asked, reverse_scan
from symjax.models.wyckoffdiff.task import WyckoffdiffOptions, options_from_config, predict


def load(folder: str | None, size: str | None) -> tuple[dict[str, Any], WyckoffdiffOptions]:
    """Weights, or untrained ones of a size."""
    if size is None:
        from symjax.models.wyckoffdiff.weights import load_weights

        weights = load_weights(folder)
        return jax.tree.map(jnp.asarray, weights.params), weights.options
    from symjax.models.wyckoffdiff.network import init_params

    options = options_from_config(get_config(size).model.wyckoffdiff)
    counts = options.network.max_count + 1
    stats = {"fixed": np.full(101, 1 / 101), "free": np.full(counts, 1 / counts)}
    return {"net": init_params(options.network, jax.random.key(0)), "stats": stats}, options


def one_step(params: dict[str, Any], options: WyckoffdiffOptions, num: int, repeats: int) -> dict[str, float]:
    """Seconds of a reverse step of both, for crystals of the frequent groups; their logits are compared first."""
    import torch

    from benchmarks.wyckoffdiff_torch import PlainNet, graph_of, matrices, step

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    number, table, rng = np.resize(FREQUENT, num), nodes(), np.random.default_rng(0)
    most = table.sizes[number].max(axis=0)
    sizes = next(size for size in options.buckets if size[0] >= most[0] and size[1] >= most[1])
    fixed = rng.integers(0, 101, (num, sizes[0])) * (rng.random((num, sizes[0])) < 0.3)
    free = rng.integers(1, options.network.max_count + 1, (num, sizes[1], NUM_ELEMENTS)) * (
        rng.random((num, sizes[1], NUM_ELEMENTS)) < 0.01
    )
    state = jax.tree.map(lambda a: jnp.asarray(a, jnp.int32), Occupations(number, fixed, free))

    # the peer's nodes: real ones only
    graph = graph_of(number)
    real = [np.arange(size) < table.sizes[number][:, [i]] for i, size in enumerate(sizes)]
    net, at = PlainNet(options.network, jax.device_get(params["net"])), 500 * options.network.num_steps // 1000
    shown = (torch.from_numpy(fixed[real[0]].astype(np.int64)), torch.from_numpy(free[real[1]].astype(np.int64)))
    order = np.concatenate([real[0], real[1]], axis=1)
    assert order.sum() == len(graph.fixed)
    ours = jax.jit(lambda s: predict(params, options, s, jnp.full(num, at)))(state)
    with torch.no_grad():
        theirs = net.logits(graph, *shown, at)
    for mine, other, mask in zip(ours, theirs, real, strict=True):
        worst = np.abs(np.asarray(mine)[mask] - other.numpy()).max()
        assert worst < 2e-3 * max(1.0, float(np.abs(other.numpy()).max())), worst

    abar = schedules.cosine_shares(options.network.num_steps)
    kernels = [matrices(abar, np.asarray(m, float), at) for m in marginals(options.kernel, params["stats"])]

    @torch.no_grad()
    def peer() -> None:
        for values, index, matrix in zip(net.logits(graph, *shown, at), shown, kernels, strict=True):
            step(values, index, *matrix)

    steps = 4  # a scan of several, so that its start does not count
    counts = options.network.max_count + 1
    asked = Asked(jnp.ones((1, 101), bool), jnp.ones((1, NUM_ELEMENTS, counts), bool), {}, jnp.float32(1.0))
    keys = jax.random.split(jax.random.key(0), num)

    def scan(n: int) -> Callable[[], Any]:
        time_ = jnp.asarray(np.linspace(at, at // 2, n + 1).astype(np.int32))
        run = lambda: reverse_scan(params, keys, state.number, asked, time_, options=options, sizes=sizes, guided=False)
        return lambda: jax.block_until_ready(run())

    short, long, torch_seconds = (taken.cpu for taken in best_of(repeats, scan(1), scan(1 + steps), peer))
    return {"step_ms": (long - short) / steps * 1e3, "torch_step_ms": torch_seconds * 1e3}


def crystals(folder: str | None, num: int, realise: str) -> dict[str, float]:
    """Seconds for Li-O crystals as CIF files by the command's own functions, the second time: protostructures, and in all."""
    from symjax.cli.generate_files import describe, write
    from symjax.cli.main import build_parser
    from symjax.generate.request import Request
    from symjax.systems import generate

    request = Request(elements=("Li", "O"))
    found: dict[str, float] = {}
    for _ in range(2):
        start = time.perf_counter()
        made = generate("wyckoffdiff", num, weights=folder, request=request, realise="none")
        found["protostructures_s"] = time.perf_counter() - start
        start = time.perf_counter()
        made = generate("wyckoffdiff", num, weights=folder, request=request, realise=realise)
        with tempfile.TemporaryDirectory() as place:
            command = ["generate", "--num", str(num), "--out", place, "--model", "wyckoffdiff", "--no-picture"]
            args = build_parser().parse_args(command)
            write(Path(place), describe(made.dataset, args), args, {})
        found["crystals_s"] = time.perf_counter() - start
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="folder (default: the shipped weights)")
    parser.add_argument("--size", choices=SIZES, help="untrained network of this size instead")
    parser.add_argument("--batch", type=int, default=16, help="crystals of a reverse step (default 16)")
    parser.add_argument("--crystals", type=int, default=16, help="Li-O crystals to be written; 0 for none (default 16)")
    parser.add_argument("--realise", default="pyxtal", choices=("pyxtal", "diffusion"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", help="file to write")
    args = parser.parse_args()
    params, options = load(args.weights, args.size)
    found = one_step(params, options, args.batch, args.repeats)
    if args.crystals and args.size is None:
        found |= crystals(args.weights, args.crystals, args.realise)
    found["times_quicker"] = found["torch_step_ms"] / found["step_ms"]
    for name, value in found.items():
        print(f"{name:20s} {value:10.2f}")
    if args.json:
        Path(args.json).write_text(json.dumps(found | {"cores": os.cpu_count(), "batch": args.batch}, indent=1) + "\n")


if __name__ == "__main__":
    watched(main)
