"""Table 4 of SymmCD: what a training step costs on the asymmetric unit and on the unit cell, side by side in one run.

    python -m experiments.symmcd_speed --data train.npz                          # small network, one CPU core: a minute or two
    python -m experiments.symmcd_speed --data train.npz --size paper --batch 512 # published sizes: an accelerator
    python -m experiments.symmcd_speed --data train.npz --size paper --no-time   # memory alone: compiles, runs nothing

A step is that of the training loop (noise, losses, gradient, clipping, Adam, running average) on a batch of random crystals: each
padded to its bucket, buckets together in one program, the loss the average over the whole batch. Memory is what the compiled
program says it needs at its peak (temporaries, and the state with the batch); it is compiled for this machine's kind of device, and
the largest batch is the one that fits in --limit by a straight line through two batch sizes. An epoch is 27,136 crystals, as in the
paper. Times are the smallest of --repeats steps, the two representations in turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from typing import Any

import jax
import numpy as np

from symjax.configs.symmcd import SIZES, get_config
from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError, SymjaxError
from symjax.models.symmcd.task import SymmcdTask
from symjax.train.step import init_state, make_optimizer, make_step

from . import measured
from .published.render import Cell, Line
from .published.symmcd import EFFICIENCY

EPOCH = 27_136
GB = 1e9
ATOMS = ("orbits", "cell")
TITLES = {"orbits": "asymmetric unit", "cell": "conventional cell"}


class WholeBatch:
    """A task whose batch is a tuple, one part of the crystals a bucket; its loss is the mean over all crystals of the batch."""

    name = "symmcd"

    def __init__(self, task: SymmcdTask):
        self.task = task
        self.parts = task.buckets()

    def batch(self, num: int, seed: int) -> tuple[Any, ...]:
        """Crystals of each bucket in the proportions of the data, `num` in all."""
        counts = proportional(np.array([part.weight for part in self.parts]), num)
        rng = np.random.default_rng(seed)
        drawn = []
        for part, count in zip(self.parts, counts, strict=True):
            rows = rng.integers(0, len(part.arrays.number), count)
            if count:
                drawn.append(jax.tree.map(lambda a, rows=rows: a[rows], part.arrays))
        return tuple(drawn)

    def init(self, key: jax.Array, batch: tuple[Any, ...]) -> dict:
        """Parameters."""
        return self.task.init(key, batch[0])

    def loss(self, params: dict, batch: tuple[Any, ...], key: jax.Array, train: bool) -> tuple[jax.Array, dict]:
        """Mean over the crystals of all parts."""
        sizes = np.array([len(part.number) for part in batch])
        losses = [self.task.loss(params, part, jax.random.fold_in(key, i), train)[0] for i, part in enumerate(batch)]
        return sum(share * loss for share, loss in zip(sizes / sizes.sum(), losses, strict=True)), {}


def proportional(shares: np.ndarray, num: int) -> np.ndarray:
    """Whole numbers that add up to `num` in the given shares (largest remainders)."""
    exact = shares / shares.sum() * num
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact)[: num - counts.sum()]] += 1
    return counts


@dataclasses.dataclass
class Setup:
    """One representation with everything that is compiled for it."""

    task: WholeBatch
    train: Any
    pairs: float  # per crystal, of the padded batches
    waste: float  # padded pairs over real pairs, less one
    programs: dict[int, Any] = dataclasses.field(default_factory=dict)

    def compiled(self, num: int) -> Any:
        """The program `(state, batch) -> (state, metrics)` for batches of `num` crystals; made from shapes, nothing runs."""
        if num in self.programs:
            return self.programs[num]
        batch = jax.eval_shape(lambda: jax.tree.map(jax.numpy.asarray, self.task.batch(num, 0)))
        optimizer = make_optimizer(self.train)
        state = jax.eval_shape(lambda b: init_state(self.task, optimizer, 0, b), batch)  # type: ignore[arg-type]
        step = make_step(self.task, optimizer, self.train)  # type: ignore[arg-type]
        self.programs[num] = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
        return self.programs[num]

    def memory(self, num: int) -> float:
        """Bytes at the peak of a step."""
        found = self.compiled(num).memory_analysis()
        return float(found.temp_size_in_bytes + found.argument_size_in_bytes + found.generated_code_size_in_bytes)


def set_up(data: CrystalDataset, size: str, atoms: str) -> Setup:
    """Task of one representation, and the cost of its padding."""
    config = get_config(f"{size},atoms={atoms}")
    task = SymmcdTask(config, data, None)
    padded = sum(part.weight * part.arrays.mask.shape[1] ** 2 for part in task.buckets())
    real = sum(part.weight * np.mean(part.arrays.mask.sum(1).astype(float) ** 2) for part in task.buckets())
    return Setup(WholeBatch(task), config.train, padded, padded / real - 1.0)


def step_times(setups: dict[str, Setup], num: int, repeats: int) -> dict[str, float]:
    """Seconds of a step of `num` crystals."""
    ready = {}
    for name, setup in setups.items():
        program = setup.compiled(num)
        batch = jax.tree.map(jax.numpy.asarray, setup.task.batch(num, 1))
        optimizer = make_optimizer(setup.train)
        state = jax.jit(lambda b, s=setup, o=optimizer: init_state(s.task, o, 0, b))(batch)
        state, metrics = program(state, batch)
        if not np.isfinite(metrics["loss"]):
            raise SymjaxError(f"the loss of the {TITLES[name]} is {metrics['loss']} in the first step")
        ready[name] = [program, state, batch]
    best = dict.fromkeys(setups, np.inf)
    for _ in range(repeats):
        for name, case in ready.items():
            began = time.perf_counter()
            case[1], metrics = case[0](case[1], case[2])
            jax.block_until_ready(metrics)
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def measure(data: CrystalDataset, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Figures of both representations."""
    setups = {name: set_up(data, args.size, name) for name in ATOMS}
    out: dict[str, dict[str, float]] = {name: {"pairs": s.pairs, "waste": s.waste} for name, s in setups.items()}
    for name, setup in setups.items():
        if not args.no_memory:
            other = args.batch if args.batch != 512 else 256
            full = setup.memory(512)
            slope = (full - setup.memory(other)) / (512 - other)
            out[name] |= {"memory": full / GB, "max_batch": max(0.0, 512 + (args.limit * GB - full) / slope)}
            print(f"  {TITLES[name]}: {full / GB:.2f} GB at batch 512, {slope / 1e6:.2f} MB a crystal", file=sys.stderr)
    if not args.no_time:
        for name, seconds in step_times(setups, args.batch, args.repeats).items():
            out[name] |= {"step": seconds, "rate": args.batch / seconds, "epoch": EPOCH / args.batch * seconds}
    return out


def show(found: dict[str, dict[str, float]], args: argparse.Namespace, machine: str) -> None:
    """The published rows and ours."""
    width = 44
    names = [
        ("max_batch", "largest batch", ".0f"),
        ("memory", "GB at 512", ".2f"),
        ("epoch", "epoch, s", ".1f"),
        ("rate", "crystals/s", ".1f"),
        ("pairs", "pairs/crystal", ".1f"),
    ]
    print(f"{EFFICIENCY.title} ({EFFICIENCY.paper})")
    print(" " * width + "".join(f"{title:>15}" for _, title, _ in names))
    for row in EFFICIENCY.rows:
        values = [f"{v:g}" if isinstance(v := row.values.get(key), int | float) else "-" for key, _, _ in names]
        print(f"{row.system + ' (reported)':<{width}}" + "".join(f"{value:>15}" for value in values))
    for name in ATOMS:
        values = [f"{found[name][key]:{form}}" if key in found[name] else "-" for key, _, form in names]
        print(f"{TITLES[name] + ' (measured)':<{width}}" + "".join(f"{value:>15}" for value in values))
    for key, title, _ in names:
        if key in found["cell"]:
            ratio = found["cell"][key] / found["orbits"][key]
            print(f"{title}: unit cell / asymmetric unit = {ratio:.3g}")
    for name in ATOMS:
        print(f"padding of the {TITLES[name]}: {100 * found[name]['waste']:.1f} % more pairs than there are")
    print(f"measured: size {args.size}, batch {args.batch} for times, largest batch in {args.limit:g} GB, {machine}")
    print(f"reported: {EFFICIENCY.rows[0].note}")


def lines_of(found: dict[str, dict[str, float]], args: argparse.Namespace, machine: str, num: int) -> list[Line]:
    """The measured rows of the published table."""
    source = f"{os.path.basename(args.data)} (n {num}); hardware: {machine}"
    note = f"size {args.size}; memory and largest batch (in {args.limit:g} GB) from the compiled program; an epoch is {EPOCH:,} "
    note += f"crystals, timed on batches of {args.batch}"
    return [
        Line(
            f"SymmCD ({args.size}), {TITLES[name]}",
            "measured",
            None,
            {c.key: Cell(found[name][c.key]) for c in EFFICIENCY.columns if c.key in found[name]},
            source,
            "",
            note,
        )
        for name in ATOMS
    ]


def main(argv: list[str] | None = None) -> int:
    """Run it; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(
        prog="experiments.symmcd_speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="prepared data set that the crystals are drawn from")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--batch", type=int, default=64, help="crystals of a timed step (64)")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each representation (3)")
    parser.add_argument("--limit", type=float, default=40.0, help="memory of the device for the largest batch, GB (40)")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--no-time", action="store_true", help="memory only, which runs nothing")
    parser.add_argument(
        "--json", metavar="FILE", help="also write them there, for `experiments.tables symmcd-4 --report`"
    )
    args = parser.parse_args(argv)
    try:
        if min(args.batch, args.repeats) < 1 or args.limit <= 0:
            raise InputError("--batch and --repeats must be at least 1, --limit positive")
        data = CrystalDataset.load(args.data)
        found = measure(data, args)
        machine = f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        if args.json:
            more = {"size": args.size, "batch": args.batch, "machine": machine, "figures": found}
            measured.write(args.json, EFFICIENCY.key, lines_of(found, args, machine, len(data)), **more)
    except SymjaxError as error:
        print(f"experiments.symmcd_speed: error: {error}", file=sys.stderr)
        return 2
    show(found, args, machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
