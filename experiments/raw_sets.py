"""Raw predicted sets of operations of the flagship, for `symjax evaluate --operations`.

  python -m experiments.raw_sets --data test.npz --num 1000 --out raw.npz
  symjax evaluate crystals --reference test.npz --metrics operations --operations raw.npz

What the membership head says of every operation at once, before any is added: from the species of real crystals (or of
generated ones: `--data crystals/crystals.npz`), with H the identity, those with a probability over one half. No product is
formed and nothing is closed, so these sets need not be groups; the walk's sets always are. How far off they are is what the
consistency losses act on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symjax.errors import InputError, SymjaxError

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.models.symop.weights import SymopWeights

BATCH = 128


def raw_sets(weights: SymopWeights, data: CrystalDataset, *, threshold: float = 0.5) -> dict[str, np.ndarray]:
    """Predicted sets of the crystals of a data set, from their species and their reference frame alone.

    Args:
        weights: from `load_weights`.
        data: n crystals.
        threshold: probability over which an operation is taken.

    Returns:
        ``W`` (n, m, 3, 3), ``w`` (n, m, 3) in units of 1/24, ``mask`` (n, m), m the size of the largest set.
    """
    import jax
    import jax.numpy as jnp

    from symjax.groups.tables import vocabulary
    from symjax.models.symop.network import OperationsNet, options_from_config
    from symjax.models.symop.task import crystal_arrays
    from symjax.models.symop.walk.chains import pair_classes
    from symjax.models.symop.walk.network import member_probability, operation_inputs

    vocab, arrays = vocabulary(), crystal_arrays(data)
    net = OperationsNet(options_from_config(weights.operations_config["model"]["operations"]))
    ops, pair = jax.tree.map(jnp.asarray, operation_inputs()), jnp.asarray(pair_classes().pair)

    @jax.jit
    def predict(z: jax.Array, frame: jax.Array) -> jax.Array:
        bare = jnp.zeros((len(z), vocab.size)).at[jnp.arange(len(z)), jnp.asarray(vocab.identity)[frame]].set(1.0)
        out = net.apply(weights.operations, ops, pair, bare, frame, z, method="walk_output")
        return member_probability(out, bare) > threshold

    frames = np.asarray(data.sets.frame)[data.set_index].astype(np.int32)
    rows = []
    for start in range(0, len(data), BATCH):
        take = np.minimum(np.arange(start, start + BATCH), len(data) - 1)  # one shape, one compilation
        rows.append(np.asarray(predict(jnp.asarray(arrays["z"][take]), jnp.asarray(frames[take]))))
    chosen = np.concatenate(rows)[: len(data)]
    size = int(chosen.sum(axis=1).max())
    order = np.argsort(~chosen, axis=1, kind="stable")[:, :size]
    return {"W": vocab.W[order], "w": vocab.w[order], "mask": np.take_along_axis(chosen, order, axis=1)}


def main(argv: list[str] | None = None) -> int:
    """Write the sets; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(prog="experiments.raw_sets", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, help="prepared crystals whose species are given to the model")
    parser.add_argument("--num", type=int, help="only so many of them, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="weights (default: those in the package)")
    parser.add_argument("--out", type=Path, required=True, help=".npz to write")
    args = parser.parse_args(argv)
    try:
        return run(args)
    except SymjaxError as error:
        print(f"experiments.raw_sets: error: {error}", file=sys.stderr)
        return 2


def run(args: argparse.Namespace) -> int:
    """Read, predict, write."""
    from symjax.data.dataset import load
    from symjax.data.files import save_arrays
    from symjax.models.symop.weights import load_weights

    data = load(args.data)
    if args.num is not None:
        if not 1 <= args.num <= len(data):
            raise InputError(f"--num must be 1 to {len(data)} (the crystals of {args.data}), got {args.num}")
        data = data.subset(np.sort(np.random.default_rng(args.seed).permutation(len(data))[: args.num]))
    sets = raw_sets(load_weights(args.weights), data)
    save_arrays(args.out, sets)
    print(f"{args.out}: {len(sets['mask'])} sets, {sets['mask'].sum(axis=1).mean():.1f} operations on average")
    return 0


if __name__ == "__main__":
    sys.exit(main())
