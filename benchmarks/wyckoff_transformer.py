"""WyckoffTransformer: representations drawn per second, unmasked and masked; plain PyTorch of the same network as the peer.

    python -m benchmarks.wyckoff_transformer                                  # shipped weights
    python -m benchmarks.wyckoff_transformer --weights runs/wt/weights --num 10000 --decode --json speed.json

All in one run, in turn, after one call each that is not timed (compilation): sampling here, without masks as published and with
them, and the peer's, on the same space groups with the same parameters, after their logits have been compared. The peer does as
the public code: all 63 passes for all rows. --decode adds decoding to both of ours. Fewer rows may be given to the peer
(--torch-num); its seconds are per representation either way. The public code itself needs 3.9 to 4.6 s on one core for 1,100
attempts, about 4 ms each (public repository SymmetryAdvantage/WyckoffTransformer, measured on another machine); its network is
timed here, its overhead is not.

Threads: set OMP_NUM_THREADS=1 and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false for one core each.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.timing import best_of, watched
from symjax.models.wyckoff_transformer.network import Context, NetworkOptions, WyckoffNet
from symjax.models.wyckoff_transformer.sample import NUM_SLOTS, sample
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary

PUBLISHED_MS = 4.0  # per attempted representation on one core, public code, see above


def load(folder: str | None) -> tuple[dict[str, Any], NetworkOptions, Vocabulary, np.ndarray, str]:
    """Parameters, sizes, tokens, frequencies of the space groups, and what the weights are."""
    from symjax.models.wyckoff_transformer.weights import load_weights

    weights = load_weights(folder)
    return (
        weights.params,
        weights.options.network,
        weights.vocabulary,
        weights.group_counts,
        Path(folder or "shipped").name,
    )


def compare(params: dict[str, Any], options: NetworkOptions, names: Vocabulary, peer: Any, number: np.ndarray) -> float:
    """Largest difference of logits between the networks, all heads, contexts of five random sites.

    Raises:
        AssertionError: over 1e-3.
    """
    import torch

    rng = np.random.default_rng(0)
    sites = np.stack([rng.integers(0, size, (len(number), 6)) for size in names.names], axis=-1)
    worst = 0.0
    for head in range(3):
        sites[:, -1, head:] = names.mask[head:]
        element, site, enum = (sites[:, :-1, f] for f in range(3))
        context = Context(
            names.start_features()[number], element, site, enum, np.ones(element.shape, bool), sites[:, -1]
        )
        ours = WyckoffNet(options).apply({"params": params["params"]}, context, head=head)
        theirs = peer.logits(torch.from_numpy(number.astype(np.int64)), torch.from_numpy(sites), head).numpy()
        worst = max(worst, float(np.abs(np.asarray(ours) - theirs).max()))
        sites[:, -1, head] = rng.integers(0, names.names[head], len(number))
    assert worst < 1e-3, f"the peer's logits differ by {worst}"
    return worst


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All rows of the benchmark."""
    params, options, names, groups, what = load(args.weights)
    number = np.random.default_rng(0).choice(231, args.num, p=groups / groups.sum()).astype(np.int32)
    found: dict[str, Any] = {}

    def ours(label: str, masked: bool) -> None:
        drawn = sample(params, options, jax.random.key(1), number, vocabulary=names, masked=masked)
        found[label] = {"sites": float(np.asarray(drawn.tokens.mask).sum() / len(number))}
        if args.decode:
            found[label]["valid"] = float(drawn.decode().valid.mean())

    labels = ["unmasked", "masked"]
    calls: list[Callable[[], Any]] = [lambda: ours("unmasked", False), lambda: ours("masked", True)]
    counts = [args.num, args.num]
    difference = None
    if not args.no_torch:
        from benchmarks.wyckoff_transformer_torch import PlainNet

        peer = PlainNet(options, jax.device_get(params["params"]), names.start_features())
        difference = compare(params, options, names, peer, number[:64])
        few = number[: args.torch_num]
        labels.append("PyTorch, plain, unmasked")
        calls.append(lambda: peer.sample(few, NUM_SLOTS))
        counts.append(len(few))
    rows = [
        {"name": label, "num": count, "seconds": wall, "cpu": cpu, "ms": 1e3 * wall / count, "rate": count / wall}
        | found.get(label, {})
        for label, count, (wall, cpu) in zip(labels, counts, best_of(args.repeats, *calls), strict=True)
    ]
    return {
        "rows": rows,
        "weights": what,
        "parameters": sum(p.size for p in jax.tree.leaves(params["params"])),
        "difference_of_logits": difference,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{'':<28}{'number':>8}{'wall s':>9}{'CPU s':>9}{'ms each':>9}{'per s':>9}{'sites':>8}{'valid':>8}")
    for row in result["rows"]:
        more = f"{row['sites']:>8.2f}" if "sites" in row else f"{'':>8}"
        more += f"{100 * row['valid']:>6.1f} %" if "valid" in row else ""
        print(
            f"{row['name']:<28}{row['num']:>8}{row['seconds']:>9.2f}{row['cpu']:>9.2f}{row['ms']:>9.3f}{row['rate']:>9.0f}{more}"
        )
    rows = result["rows"]
    if len(rows) > 2:
        wall, cpu = rows[2]["ms"] / rows[0]["ms"], rows[2]["cpu"] / rows[2]["num"] / (rows[0]["cpu"] / rows[0]["num"])
        print(
            f"unmasked, per representation: plain PyTorch takes {wall:.1f} times the wall and {cpu:.1f} times the CPU seconds"
        )
    each = 1e3 * rows[0]["cpu"] / rows[0]["num"]
    print(f"unmasked: {each:.2f} CPU ms each; the public code: {PUBLISHED_MS:.0f} ms on one core of another machine")
    print(
        f"{result['parameters']} parameters, {result['weights']}; {result['cores']} cores, load {result['load']:.1f}"
        + (
            ""
            if result["difference_of_logits"] is None
            else f"; logits differ by {result['difference_of_logits']:.1e} at most"
        )
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="folder of weights (default: the shipped ones)")
    parser.add_argument("--num", type=int, default=10_000, help="representations (10,000)")
    parser.add_argument("--torch-num", type=int, default=1_000, help="representations of the peer (1,000)")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls (3)")
    parser.add_argument("--decode", action="store_true", help="decode as well, and print the formal validity")
    parser.add_argument("--no-torch", action="store_true", help="leave the peer out")
    parser.add_argument("--json", help="also write the result to this file")
    args = parser.parse_args()
    result = measure(args)
    show(result)
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    watched(main)
