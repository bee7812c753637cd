"""What the group-consistency losses buy: the membership head of the walk, trained with and without each of them.

    python -m experiments.ablate_consistency --train train.npz --val val.npz

Trains the network of the walk alone (both heads, small size) for each set of loss weights, same seed and batches, and
prints on held-out crystals, for the raw head thresholded at one half:
- closed: share of predicted sets that are groups, from the bare identity and from a random set of a chain;
- exact: share that are the crystal's own group;
- operations predicted per operation of the group (1 is right);
- the bound of the walk (nats per crystal) and the head's binary cross-entropy (nats per state).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from symjax.configs.symop import get_config
from symjax.data.dataset import CrystalDataset
from symjax.errors import SymjaxError
from symjax.groups.tables import vocabulary
from symjax.models.symop import task as operations
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import close_members, pair_classes
from symjax.train.interface import weighted_sum
from symjax.wyckoff.set_table import merge_sets

TERMS = ("closure", "inverse", "identity", "lattice")


def variants(weight: float) -> dict[str, dict[str, float]]:
    """Loss weights by name: none, all, and all but one each."""
    none = dict.fromkeys(TERMS, 0.0)
    every = dict.fromkeys(TERMS, weight)
    return {"none": none, "all": every} | {f"all but {name}": every | {name: 0.0} for name in TERMS}


def make_step(net: walk.WalkNet, optimizer: Any, options: operations.OperationsOptions) -> Any:
    """A compiled step: (params, optimizer state, ema, constants, batch, key, weights) to the first three."""

    def loss(params: Any, constants: Any, batch: dict, key: Any, weights: dict) -> Any:
        slots, drop, rows = jax.random.split(key, 3)
        state = operations.draw_slots(batch, constants.bank, slots)
        members, target, frame = state["members"], state["target"], state["frame"]
        out = net.apply(
            params, constants.ops, constants.pair, members, frame, batch["z"], train=True, rngs={"dropout": drop}
        )
        allowed = walk.candidate_mask(constants.ops.frame, members, frame)
        total = jnp.mean(walk.frame_nll(out, frame) + state["chain_length"] * walk.step_nll(out, members, target))
        bce = jnp.mean(jnp.sum(allowed, -1) * walk.membership_bce(out, target, allowed))
        terms = operations.consistency(
            walk.member_probability(out, members),
            constants,
            frame=frame,
            allowed=allowed,
            k=batch["k"],
            key=rows,
            options=options,
        )
        return total + operations.MEMBERSHIP_UNIT * bce + weighted_sum(terms, weights)

    @jax.jit
    def step(params: Any, opt: Any, ema: Any, constants: Any, batch: dict, key: Any, weights: dict) -> tuple:
        grads = jax.grad(loss)(params, constants, batch, key, weights)
        updates, opt = optimizer.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        return params, opt, optax.incremental_update(params, ema, 0.01)

    return step


def evaluate(net: walk.WalkNet, params: Any, constants: Any, arrays: dict, *, batch_size: int, seed: int) -> dict:
    """Figures of one trained network on held-out crystals; see the module docstring."""
    vocab = vocabulary()

    @jax.jit
    def predict(params: Any, constants: Any, members: Any, frame: Any, z: Any, target: Any) -> tuple:
        out = net.apply(params, constants.ops, constants.pair, members, frame, z)
        allowed = walk.candidate_mask(constants.ops.frame, members, frame)
        bce = jnp.sum(allowed, -1) * walk.membership_bce(out, target, allowed)
        chosen = walk.member_probability(out, members) > 0.5
        return chosen, walk.frame_nll(out, frame), walk.step_nll(out, members, target), bce

    figures: dict[str, list] = {
        name: [] for name in ("closed_e", "exact_e", "size_e", "closed", "exact", "nats", "bce")
    }
    num = len(arrays["num"]) // batch_size * batch_size
    for first in range(0, num, batch_size):
        batch = {name: jnp.asarray(values[first : first + batch_size]) for name, values in arrays.items()}
        state = operations.draw_slots(batch, constants.bank, jax.random.key(seed + first))
        frame, target = state["frame"], state["target"]
        bare = jnp.zeros_like(state["members"]).at[jnp.arange(batch_size), jnp.asarray(vocab.identity)[frame]].set(1.0)
        for members, tail in ((bare, "_e"), (state["members"], "")):
            chosen, frame_nll, step_nll, bce = map(
                np.asarray, predict(params, constants, members, frame, batch["z"], target)
            )
            goal = np.asarray(target) > 0.5
            for row, want in zip(chosen, goal, strict=True):
                closed = close_members(row, vocab)
                figures["closed" + tail].append(closed is not None and closed.sum() == row.sum())
                figures["exact" + tail].append(np.array_equal(row, want))
            if tail:
                figures["size_e"] += (chosen.sum(-1) / goal.sum(-1)).tolist()
            else:
                figures["nats"] += (frame_nll + np.asarray(state["chain_length"]) * step_nll).tolist()
                figures["bce"] += bce.tolist()
    return {name: round(float(np.mean(values)), 4) for name, values in figures.items()}


def main() -> int:
    """Run every variant and print one table row each; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", required=True, help="prepared data set")
    parser.add_argument("--val", required=True, help="held-out data set")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--weight", type=float, default=1.0, help="weight of each consistency loss that is on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        train, val = CrystalDataset.load(args.train), CrystalDataset.load(args.val)
        run(args, train, val)
    except SymjaxError as error:
        print(f"experiments.ablate_consistency: error: {error}", file=sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace, train: CrystalDataset, val: CrystalDataset) -> None:
    """Train and evaluate every variant."""
    sets, where = merge_sets(train.sets, val.sets)
    arrays, held = operations.crystal_arrays(train), operations.crystal_arrays(val)
    held["set"] = where[held["set"]].astype(np.int32)
    used = np.unique(np.concatenate([arrays["set"], held["set"]]))
    constants = jax.tree.map(jnp.asarray, operations.make_constants(sets, chains=32, seed=args.seed, use=used))
    options = operations.options_from_config(get_config("small").model.operations)
    net = walk.WalkNet(options.walk_dim, options.walk_layers, options.walk_heads, pair_classes().num, 0.2)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 2e-3, args.steps // 10, args.steps, 2e-5)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.03))
    step = make_step(net, optimizer, options)
    example = jnp.zeros((args.batch, vocabulary().size)).at[:, 0].set(1.0)
    start = jax.jit(net.init)(
        jax.random.key(args.seed),
        constants.ops,
        constants.pair,
        example,
        jnp.zeros(args.batch, jnp.int32),
        jnp.asarray(arrays["z"][: args.batch]),
    )
    for name, weights in variants(args.weight).items():
        began, rng = time.time(), np.random.default_rng(args.seed)
        params, ema, opt = start, start, optimizer.init(start)
        for i in range(args.steps):
            rows = rng.integers(0, len(arrays["num"]), args.batch)
            batch = {key: values[rows] for key, values in arrays.items()}
            key = jax.random.fold_in(jax.random.key(args.seed), i)
            params, opt, ema = step(params, opt, ema, constants, batch, key, weights)
        result = evaluate(net, ema, constants, held, batch_size=args.batch, seed=args.seed)
        print(json.dumps({"losses": name, **result, "seconds": round(time.time() - began)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
