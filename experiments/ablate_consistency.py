"""What each group-consistency loss buys: the raw membership head, thresholded, with and without each term.

  python -m experiments.ablate_consistency --train train.npz --val val.npz --steps 400

Trains the discrete half of symop (size small) once per row, all else equal, and reads the head at random sets of random subgroup
chains of the validation crystals: share of thresholded sets (probability above 1/2, with the members of H) that are closed, that
equal the true set, their mean size, and the bounds of the walk and of all stages on the validation set (nats). The walk itself
always gives groups; the head is a prediction of the whole set at once and need not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from symjax.errors import SymjaxError

TERMS = ("closure", "inverse", "identity", "lattice")


def main(argv: list[str] | None = None) -> int:
    """Run the ablation; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(prog="experiments.ablate_consistency", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", required=True, metavar="NPZ")
    parser.add_argument("--val", required=True, metavar="NPZ")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--weight", type=float, default=1.0, help="weight of a term that is on (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="*", default=["none", *TERMS, "all"], choices=["none", *TERMS, "all"])
    parser.add_argument("--json", metavar="FILE", help="write the rows here too")
    args = parser.parse_args(argv)
    try:
        rows = [run(name, args) for name in args.rows]
    except SymjaxError as error:
        print(f"experiments.ablate_consistency: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def run(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train and read one row, and print it."""
    from configs.symop import get_config
    from symjax.data.dataset import CrystalDataset
    from symjax.models.symop.operations import OperationsTask
    from symjax.train.loop import Trainer
    from symjax.train.weights import load_params

    config = get_config("small,part=operations")
    config.train.steps = args.steps
    config.train.batch_size = 128
    config.train.seed = args.seed
    config.train.eval_every = 0
    config.train.checkpoint_every = 0
    for term in TERMS:
        config.model.operations[term] = args.weight if name in (term, "all") else 0.0
    task = OperationsTask(config, CrystalDataset.load(args.train), CrystalDataset.load(args.val))
    with tempfile.TemporaryDirectory() as folder:
        Trainer(task, config, folder).run()
        params, _ = load_params(Path(folder) / "weights")
        metrics = json.loads((Path(folder) / "weights" / "metrics.json").read_text())["metrics"]
    row = {"terms": name, "steps": args.steps, **read_head(task, params, args.seed)}
    row |= {"walk": metrics["val/walk"], "nll": metrics["val/nll"]}
    print(
        f"{name:<9} closed {row['closed']:.3f}  equal to the true set {row['equal']:.3f}  mean size {row['size']:.1f} "
        f"(true {row['true size']:.1f})  walk {row['walk']:.3f}  all stages {row['nll']:.3f}  n {row['n']}",
        flush=True,
    )
    return row


def read_head(task: Any, params: Any, seed: int) -> dict[str, Any]:
    """Figures of the thresholded head on the validation crystals."""
    import jax
    import jax.numpy as jnp

    from symjax.groups.indexed import is_closed_mask, vocabulary_table
    from symjax.models.symop import walk
    from symjax.models.symop.operations import draw_slots

    constants = task.device_constants
    table = jax.tree.map(jnp.asarray, vocabulary_table())
    bucket = task.validation()[0]
    batch_size, total = bucket.batch_size, len(bucket.arrays["num"])

    @jax.jit
    def predict(params: Any, batch: Any, key: Any) -> tuple[Any, Any]:
        state = draw_slots(batch, constants.bank, key)
        out = task.net.apply(
            params, constants.ops, constants.pair, state["members"], state["frame"], batch["z"], method="walk_output"
        )
        return walk.member_probability(out, state["members"]) > 0.5, state["target"] > 0.5

    closed, equal, size, true = [], [], [], []
    for start in range(0, total - batch_size + 1, batch_size):
        batch = jax.tree.map(lambda a, s=start: jnp.asarray(a[s : s + batch_size]), bucket.arrays)
        chosen, target = predict(params, batch, jax.random.fold_in(jax.random.key(seed), start))
        closed.append(np.asarray(is_closed_mask(table, chosen)))
        equal.append(np.asarray((chosen == target).all(-1)))
        size.append(np.asarray(chosen.sum(-1)))
        true.append(np.asarray(target.sum(-1)))
    flat = [np.concatenate(part) for part in (closed, equal, size, true)]
    return {
        "closed": float(flat[0].mean()), "equal": float(flat[1].mean()), "size": float(flat[2].mean()),
        "true size": float(flat[3].mean()), "n": len(flat[0]),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
