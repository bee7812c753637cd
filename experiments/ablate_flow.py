"""What the four regularisers of the operation flow buy: trained from scratch with none, all, and each alone.

    python -m experiments.ablate_flow --train train.npz --reference val.npz --steps 600 --num 256

Trains on sets of at most 8 operations (one compiled program, the weights are its arguments; same seed and batches for all) and
prints, for sets drawn with tokens assigned to distinct elements and no vote ("assigned"): raw closed share, the same of the
rotations, snapped validity, the distance of types, and the values of the regularisers themselves on the last steps.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.operation_flow import figures, numbers_of, species_of
from symjax.configs.symop import get_config
from symjax.data.dataset import CrystalDataset
from symjax.errors import SymjaxError
from symjax.groups.primitive import primitive_form
from symjax.models.symop.flow.objective import REGULARISERS, flow_loss, loss_weights
from symjax.models.symop.flow.sample import FlowSampling, sample_operations
from symjax.models.symop.flow.task import FlowTask


def variants(weight: float) -> dict[str, dict[str, float]]:
    """Weights of the regularisers by name."""
    none = dict.fromkeys(REGULARISERS, 0.0)
    every = dict.fromkeys(REGULARISERS, weight)
    return {"none": none, "all": every} | {f"{name} alone": none | {name: weight} for name in REGULARISERS}


def train(task: FlowTask, steps: int, batch_size: int) -> Any:
    """A function from loss weights to trained parameters and the terms of the last hundred steps."""
    arrays = jax.tree.map(jnp.asarray, task.buckets()[0].arrays)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(2e-3, steps, 0.05)))

    @jax.jit
    def step(params: Any, state: Any, index: Any, key: Any, weights: Any) -> Any:
        batch = jax.tree.map(lambda a: a[index], arrays)
        objective = lambda values: flow_loss(task.net, values, batch, key, True, weights=weights)
        gradient, terms = jax.grad(objective, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, terms

    def run(weights: dict[str, float]) -> tuple[Any, dict[str, float]]:
        params = task.init(jax.random.key(0), jax.tree.map(lambda a: a[:2], arrays))
        state, rng, kept = optimizer.init(params), np.random.default_rng(0), []
        weights = {name: jnp.float32(value) for name, value in weights.items()}
        for i in range(steps):
            index = rng.integers(0, len(arrays["k"]), batch_size)
            params, state, terms = step(params, state, index, jax.random.key(i), weights)
            if i >= steps - 100:
                kept.append(terms)
        return params, {name: float(np.mean([term[name] for term in kept])) for name in kept[0]}

    return run


def main(argv: list[str] | None = None) -> int:
    """Print one line a variant; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(prog="experiments.ablate_flow", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--num", type=int, default=256)
    parser.add_argument("--weight", type=float, default=0.02)
    parser.add_argument("--batch-size", type=int, default=80)
    args = parser.parse_args(argv)
    try:
        data, reference = (small(CrystalDataset.load(path)) for path in (args.train, args.reference))
        config = get_config("small,part=flow")
        task = FlowTask(config, data)
        run, rng = train(task, args.steps, args.batch_size), np.random.default_rng(0)
        rows = rng.choice(len(data), args.num)
        orders = np.array([order_of(data)[row] for row in rows])
        for name, chosen in variants(args.weight).items():
            params, terms = run(loss_weights(task.options) | chosen)
            drawn = sample_operations(
                jax.device_get(params),
                {"model": {"flow": config.model.flow.to_dict()}},
                jax.random.key(0),
                species_of(data, rows),
                orders=orders.tolist(),
                sampling=FlowSampling(mode="assigned"),
            )
            found = figures(drawn, numbers_of(reference))
            line = [f"{key} {found[key]:.3f}" for key in ("raw closed", "raw rotations closed", "valid", "types")]
            line += [f"{key} {terms[key]:.4f}" for key in ("rotation", "translation", *REGULARISERS)]
            print(f"{name}: {', '.join(line)}", flush=True)
    except SymjaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def order_of(data: CrystalDataset) -> np.ndarray:
    """(c,) operations modulo translations of each crystal."""
    per = {int(i): len(primitive_form(data.sets.opset(int(i))).W) for i in np.unique(data.set_index)}
    return np.array([per[int(i)] for i in data.set_index])


def small(data: CrystalDataset) -> CrystalDataset:
    """Crystals with 2 to 8 operations."""
    order = order_of(data)
    return data.subset((order > 1) & (order <= 8))


if __name__ == "__main__":
    sys.exit(main())
