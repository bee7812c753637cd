"""Table 5 of SymmCD: formation energy per atom from the full multigraph or the asymmetric unit, with and without site symmetries.

  python -m experiments.formation_energy --train train.npz --val val.npz --test test.npz --workdir runs/energies
  python -m experiments.formation_energy --train train.npz --test test.npz --workdir runs/energies --steps 12000 --seeds 0 1

Trains the four variants of `configs/formation_energy.py` (same network, steps, batch size and seed) and prints the published table
with the measured rows below: mean absolute errors in eV/atom on the test crystals. Each variant has a folder in the work folder; a
broken run is taken up where it was. The network is SchNet, the published one DimeNet++: what compares is the order of the four.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symjax.configs.formation_energy import GRAPHS, SITES, SIZES, get_config
from symjax.data.dataset import CrystalDataset
from symjax.data.files import hash_file
from symjax.errors import InputError, SymjaxError
from symjax.train.config import apply

from . import measured
from .published import TABLES
from .published.render import Cell, Line, render

TABLE = "symmcd-5"
COLUMNS = {"multigraph": "multigraph", "asymmetric": "asymmetric"}
"""Graphs of the configuration -> columns of the table."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="experiments.formation_energy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", required=True, metavar="NPZ", help="prepared training data")
    parser.add_argument("--val", metavar="NPZ", help="prepared validation data")
    parser.add_argument("--test", required=True, metavar="NPZ", help="prepared test data")
    parser.add_argument("--workdir", required=True, metavar="DIR", help="a folder for each variant is made in it")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--steps", type=int, help="optimizer steps of each variant (default: of the size)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="one training for each")
    parser.add_argument(
        "--json", metavar="FILE", help="write rows and runs there, for `experiments.tables symmcd-5 --report`"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, print the table; exit code 2 on wrong input."""
    args = parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        runs = compare(args)
        about = f"trained on {Path(args.train).name}, tested on {Path(args.test).name}"
        if args.json:
            measured.write(args.json, TABLE, lines_of(runs, about), runs=runs)
    except (SymjaxError, OSError) as error:
        print(f"experiments.formation_energy: error: {error}", file=sys.stderr)
        return 2
    print(table_text(runs, about))
    return 0


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every variant with every seed; one line on stderr when each is done.

    Raises:
        InputError: a number of steps or seeds that cannot be.
        DataError: data without formation energies, or that no bucket holds.
    """
    from symjax.models.regression.task import targets_of

    if args.steps is not None and args.steps < 1:
        raise InputError(f"--steps must be at least 1, got {args.steps}")
    if min(args.seeds) < 0 or len(set(args.seeds)) < len(args.seeds):
        raise InputError(f"--seeds must be different and not negative, got {args.seeds}")
    files = {role: getattr(args, role) for role in ("train", "val", "test")}
    data = {role: CrystalDataset.load(path) if path else None for role, path in files.items()}
    hashes = {role: hash_file(path) for role, path in files.items() if path and role != "test"}
    name = get_config().model.regression.property
    values = {role: targets_of(part, name, role) for role, part in data.items() if part is not None}
    runs = []
    for seed in args.seeds:
        for graph in GRAPHS:
            for sites in SITES:
                config = get_config(f"{args.size},graph={graph},sites={sites}")
                steps = {} if args.steps is None else {"train.steps": args.steps}
                apply(config, {"train.seed": seed, "data.train": args.train, "data.val": args.val or "", **steps})
                workdir = Path(args.workdir) / f"{graph}-{sites}-{seed}"
                run = train_one(config, data, values, workdir=workdir, data_hash=hashes)
                runs.append({"graph": graph, "sites": sites, "seed": seed, "size": args.size} | run)
                told = f"test {run['test_mae']:.4f} eV/atom" + (
                    "" if run["seconds"] is None else f", {run['seconds']:.0f} s"
                )
                print(f"{graph}, {sites} site symmetries, seed {seed}: {told}", file=sys.stderr)
    return runs


def train_one(
    config: Any, data: dict[str, Any], values: dict[str, np.ndarray], *, workdir: Path, data_hash: dict[str, str]
) -> dict[str, Any]:
    """Train one variant and measure it on the test crystals: figures by name."""
    import jax

    from symjax.models.regression.task import RegressionTask, predict_dataset
    from symjax.train.config import validate
    from symjax.train.loop import Trainer

    validate(config)
    start, fresh = time.perf_counter(), not workdir.exists()
    task = RegressionTask(config, data["train"], data["val"])
    result = Trainer(task, config, workdir, data_hash=data_hash).run()
    seconds = time.perf_counter() - start
    if not result.finished:
        raise InputError(f"stopped at step {result.step}; the same command goes on from there")
    params = jax.device_get(result.state.ema)
    wrong = np.abs(predict_dataset(params, config, data["test"]) - values["test"])
    seen = np.isfinite(wrong)
    if not seen.any():
        raise InputError("no test crystal fits the buckets of the configuration")
    wrong = wrong[seen]
    graphs = [bucket.arrays[0] for bucket in task.buckets()]
    num = sum(len(g.z) for g in graphs)
    return {
        "test_mae": float(wrong.mean()),
        "test_error": float(wrong.std() / np.sqrt(len(wrong))),
        "test_num": len(wrong),
        "test_left_out": int((~seen).sum()),
        "val_mae": result.metrics.get("val/mae"),
        "mean_mae": float(np.abs(values["test"][seen] - np.nanmean(values["train"])).mean()),
        "train_num": num,
        "steps": result.step,
        "batch_size": int(config.train.batch_size),
        "parameters": int(sum(np.size(p) for p in jax.tree.leaves(params["net"]))),
        "edges": float(sum(int((g.weight > 0).sum()) for g in graphs) / num),
        "seconds": seconds if fresh else None,  # of a run that was taken up again nothing is known
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
    }


def table_text(runs: Sequence[dict[str, Any]], data: str) -> str:
    """The published table with the measured rows below it."""
    table = TABLES[TABLE]
    lines = []
    for row in table.rows:
        cells = {key: Cell(value) for key, value in row.values.items()}
        lines.append(Line(row.system, row.kind, row.n, cells, row.source, row.provenance, row.note))
    told = [
        "SchNet on graphs of orbits (symjax.models.regression) instead of DimeNet++; multigraph by distance instead of CrystalNN's "
        "bonds; asymmetric unit as published: all pairs of representatives, no periodic images, plain mean",
        f"predicting the mean of the training set: {runs[0]['mean_mae']:.4f} eV/atom",
    ]
    return render(table, lines + lines_of(runs, data), told, "text")


def lines_of(runs: Sequence[dict[str, Any]], data: str) -> list[Line]:
    """The measured rows: without and with site symmetries."""
    lines = []
    first, seeds = runs[0], ", ".join(str(seed) for seed in sorted({run["seed"] for run in runs}))
    source = f"SchNet ({first['size']}), {data} (n {first['train_num']} in training), {first['steps']} steps of "
    source += f"{first['batch_size']}, seeds {seeds}, {first['device']}"
    for sites in ("without", "with"):
        cells, parts = {}, []
        for graph, key in COLUMNS.items():
            own = [run for run in runs if (run["graph"], run["sites"]) == (graph, sites)]
            maes = np.array([run["test_mae"] for run in own])
            cells[key] = Cell(float(maes.mean()), sd=float(maes.std(ddof=1)) if len(own) > 1 else None)
            parts.append(_about(graph, own))
        name = f"{sites} site symmetry, SchNet"
        lines.append(Line(name, "measured", first["test_num"], cells, source, "", "; ".join(parts)))
    return lines


def _about(graph: str, runs: Sequence[dict[str, Any]]) -> str:
    """What a reader must know about the trainings behind one cell."""
    mean = lambda name: float(np.mean([run[name] for run in runs]))
    val = "" if runs[0]["val_mae"] is None else f", validation {mean('val_mae'):.4f}"
    error = f"standard error over test crystals {mean('test_error'):.4f}{val}"
    took = "" if any(run["seconds"] is None for run in runs) else f", {mean('seconds'):.0f} s of training"
    return f"{graph}: {error}, {mean('edges'):.0f} edges a crystal{took}"


if __name__ == "__main__":
    sys.exit(main())
