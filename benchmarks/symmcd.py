"""SymmCD's training step and sampling: crystals per second, FLOPs, share of the matrix-product rate; PyTorch as the peer.

    python -m benchmarks.symmcd                                        # small network, 64 crystals of 5 orbits
    python -m benchmarks.symmcd --size paper --repeats 2               # published sizes
    python -m benchmarks.symmcd --data train.npz --sample-steps 20     # sampling and padding with the orbits of real crystals

All in one run: the rate of a plain matrix product; one training step (forward, backward, clipping, Adam; ours draws its noise too)
here and in PyTorch, in turn, on the same shapes with the same parameters, after their outputs have been compared; sampling. The
peer is the layer stack as published: every message multiplies the whole concatenation of receiver, sender, lattice and Fourier
features. FLOPs count matrix products, two a multiply-add, backward twice the forward. Sampling runs --sample-steps of the 1,000
steps (two network calls each) and is scaled to all of them. Threads: set OMP_NUM_THREADS=1 and
XLA_FLAGS=--xla_cpu_multi_thread_eigen=false for one core each, as CI does.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import best_of, watched
from configs.symmcd import SIZES, get_config
from symjax.data.buckets import assign_buckets
from symjax.models.symmcd.network import NUM_AXES, NUM_GROUP_FEATURES, NUM_KINDS, NUM_TYPES, NetworkOptions, Nodes
from symjax.models.symmcd.representation import Representation, count, represent
from symjax.models.symmcd.sample import SymmcdSampling, plan, sample_all
from symjax.models.symmcd.task import (
    Examples,
    SymmcdOptions,
    diffusion_loss,
    examples_of,
    fit_statistics,
    nodes_of,
    options_from_config,
    predict,
)
from symjax.train.step import init_state, make_optimizer, make_step


def forward_flops(o: NetworkOptions, nodes: float, pairs: float, crystals: float, *, split: bool) -> float:
    """FLOPs of the matrix products of one network call; `split` is the first product of every message by blocks, as here."""
    fourier, w = 6 * o.num_frequencies, o.width
    layer_pair = 2 * w * ((fourier if split else 2 * w + 6 + fourier) + w)
    layer_node = 2 * w * (3 * w + (2 * w if split else 0))
    sites = NUM_AXES * (NUM_KINDS * o.kind_dim + o.kind_dim * o.latent) if o.site_symmetry else 0
    inside = w * (NUM_TYPES + w + fourier + (o.latent if o.site_symmetry else 0)) + sites
    heads = w * (3 + NUM_TYPES)
    if o.site_symmetry:
        heads += (NUM_AXES + NUM_KINDS) * o.head_dim * w + NUM_AXES * NUM_KINDS * o.head_dim
    group = o.group_hidden * (NUM_GROUP_FEATURES + o.group_hidden + o.latent) + w * (o.time_dim + o.latent + 6)
    layer_crystal = 2 * 6 * w if split else 0
    return (
        o.num_layers * (pairs * layer_pair + nodes * layer_node + crystals * layer_crystal)
        + 2 * nodes * (inside + heads)
        + 2 * crystals * group
    )


def matrix_rate(size: int, repeats: int) -> float:
    """FLOP/s of a float32 product of square matrices."""
    a = jnp.asarray(np.random.default_rng(0).normal(size=(size, size)), jnp.float32)
    product = jax.jit(jnp.matmul)
    return 2.0 * size**3 / best_of(max(repeats, 5), lambda: jax.block_until_ready(product(a, a)))[0].wall


def random_crystals(num: int, orbits: int, seed: int = 0) -> Representation:
    """Crystals of `orbits` orbits each: any group, lattice, elements, points and site symmetries."""
    rng = np.random.default_rng(seed)
    shape = (num, orbits)
    return Representation(
        number=rng.integers(1, 231, num).astype(np.int32),
        k=rng.normal(size=(num, 6)),
        z=rng.integers(1, 95, shape),
        x=rng.random((*shape, 3)),
        site=rng.integers(0, NUM_KINDS, (*shape, NUM_AXES)).astype(np.int8),
        pos=np.zeros(shape, np.int16),
        mask=np.ones(shape, bool),
    )


class FixedTask:
    """One batch, for the training step."""

    name = "symmcd"

    def __init__(self, options: SymmcdOptions, data: Representation):
        self.options = options
        self.stats = {name: jnp.asarray(v) for name, v in fit_statistics(data, count(data), True).items()}
        self.examples = jax.tree.map(jnp.asarray, examples_of(data))

    def inputs(self, e: Examples) -> Nodes:
        """The examples as the network's input, without noise."""
        return nodes_of(self.stats, e.number, e.mask, k=e.k, types=e.types, sites=e.sites, x=e.x)

    def init(self, key: jax.Array, batch: Examples) -> dict:
        """Parameters."""
        from symjax.models.symmcd.network import SymmcdNet

        net = SymmcdNet(self.options.network).init(key, self.inputs(batch), jnp.ones(batch.number.shape))
        return {"net": net, "stats": self.stats}

    def loss(self, params: dict, batch: Examples, key: jax.Array, train: bool) -> tuple[jax.Array, dict]:
        """See `diffusion_loss`."""
        del train
        return diffusion_loss(params, self.options, batch, key)


def training(config: Any, args: argparse.Namespace, rate: float) -> list[dict[str, Any]]:
    """Rows of the training step: ours, and the peer's."""
    options = options_from_config(config.model.symmcd)
    b, m = args.batch, args.orbits
    task = FixedTask(options, random_crystals(b, m))
    optimizer = make_optimizer(config.train)
    state = jax.jit(lambda e: init_state(task, optimizer, 0, e))(task.examples)  # type: ignore[arg-type]
    start = jax.tree.map(jnp.copy, state.params)  # the state is donated
    step = jax.jit(make_step(task, optimizer, config.train), donate_argnums=0)  # type: ignore[arg-type]
    box = [state]

    def ours() -> None:
        box[0], metrics = step(box[0], task.examples)
        jax.block_until_ready(metrics)

    calls: list[tuple[str, bool, Callable[[], None]]] = [("symjax", True, ours)]
    if not args.no_torch:
        t = jnp.asarray(np.random.default_rng(1).integers(1, options.num_steps + 1, b), jnp.float32)
        nodes = task.inputs(task.examples)
        expected = jax.jit(lambda p: predict(p, options, nodes, t))(start)
        calls.append(("PyTorch, plain stack", False, torch_step(options, config.train, start, nodes, t, expected)))
    rows = []
    for (name, split, _), (seconds, _) in zip(
        calls, best_of(args.repeats, *(call for _, _, call in calls)), strict=True
    ):
        flops = 3.0 * forward_flops(options.network, b * m, b * m * m, b, split=split)
        rows.append(
            {"name": name, "seconds": seconds, "rate": b / seconds, "flops": flops, "share": flops / seconds / rate}
        )
    return rows


def torch_step(
    options: SymmcdOptions, train: Any, params: dict, nodes: Nodes, t: jax.Array, expected: Any
) -> Callable[[], None]:
    """The peer's training step, after its outputs have been compared with ours.

    Raises:
        AssertionError: they differ.
    """
    import torch
    from torch.nn import functional as F

    from benchmarks.symmcd_torch import PlainStack

    net = PlainStack(options.network, jax.device_get(params["net"]["params"]))
    inputs = [torch.from_numpy(np.array(values)) for values in nodes]
    inputs[2:4] = [values.long() for values in inputs[2:4]]
    time_of = torch.from_numpy(np.array(t))
    with torch.no_grad():
        for ours, theirs in zip(expected, net(*inputs, time_of), strict=True):
            error = float(np.abs(np.asarray(ours) - theirs.numpy()).max())
            assert error < 1e-3, f"the peer's outputs differ by {error}"
    optimizer = torch.optim.Adam(net.parameters(), lr=float(train.learning_rate))
    targets = [torch.randn(values.shape) for values in (inputs[1], inputs[4])]

    def step() -> None:
        optimizer.zero_grad()
        k, x, types, sites = net(*inputs, time_of)
        loss = options.weight_k * F.mse_loss(k, targets[0]) + options.weight_x * F.mse_loss(x, targets[1])
        loss = loss + options.weight_types * F.cross_entropy(types.flatten(0, -2), inputs[2].flatten())
        loss = loss + options.weight_sites * F.cross_entropy(sites.flatten(0, -2), inputs[3].flatten())
        loss.backward()
        if train.clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), float(train.clip))
        optimizer.step()

    return step


def real_orbits(path: str | None) -> Representation:
    """Crystals that padding and sampling are measured with: of a prepared data set, or pymatgen's prototypes."""
    from symjax.data.dataset import load
    from symjax.data.prepare import assemble, treat_rows
    from symjax.data.prototypes import prototype_rows
    from symjax.data.rows import RowOptions

    data = (
        load(path)
        if path
        else assemble(treat_rows(prototype_rows(), RowOptions(), workers=1), RowOptions(), source="p").dataset
    )
    fits = data.num_orbits <= 20
    fits[data.orbit_crystal[data.orbit_z > NUM_TYPES]] = False
    return represent(data.subset(np.flatnonzero(fits)))


def padding_waste(options: SymmcdOptions, orbits: np.ndarray) -> float:
    """FLOPs that training spends on padding, over those of the real orbits and pairs."""
    padded = np.asarray(options.buckets)[assign_buckets(orbits[:, None], [(size,) for size in options.buckets])]
    return call_flops(options, padded) / call_flops(options, orbits) - 1.0


def call_flops(options: SymmcdOptions, orbits: np.ndarray) -> float:
    """FLOPs of a network call of crystals with so many orbits each."""
    m = orbits.astype(float)
    return forward_flops(options.network, m.sum(), (m**2).sum(), len(m), split=True)


def sampling(config: Any, args: argparse.Namespace, rate: float) -> dict[str, Any]:
    """Reverse diffusion of crystals with the orbits of real ones, scaled to all steps; and what padding costs."""
    options = options_from_config(config.model.symmcd)
    data = real_orbits(args.data)
    chosen = data.take(np.random.default_rng(0).integers(0, len(data), args.samples))
    task = FixedTask(options, data.take(np.arange(len(data))))
    few = jax.tree.map(lambda a: a[:1], task.examples)
    params = jax.jit(lambda e: task.init(jax.random.key(0), e))(few)
    number, orbits = np.asarray(chosen.number), np.asarray(chosen.num_orbits)
    sampler = SymmcdSampling(num_steps=args.sample_steps)

    def call() -> None:
        sample_all(params, options, jax.random.key(1), number, orbits, sampler=sampler, batch_size=args.sample_batch)

    seconds = best_of(1, call)[0].wall / args.sample_steps * options.num_steps
    batches = plan(orbits, options, args.sample_batch, options.num_steps)
    made = call_flops(
        options, np.concatenate([np.full(batch.size, options.buckets[batch.bucket]) for batch in batches])
    )
    flops = 2.0 * options.num_steps * made
    return {
        "name": f"sampling {args.samples}",
        "seconds": seconds,
        "rate": args.samples / seconds,
        "flops": flops,
        "share": flops / seconds / rate,
        "waste_sampling": made / call_flops(options, orbits) - 1.0,
        "waste_training": padding_waste(options, np.asarray(data.num_orbits)),
        "batches": len(batches),
    }


def show(rows: list[dict[str, Any]], rate: float, args: argparse.Namespace) -> None:
    """Print the table."""
    print(f"{'':<38}{'seconds':>10}{'crystals/s':>12}{'GFLOP':>12}{'of matrix rate':>16}")
    for row in rows:
        cost = f"{row['flops'] / 1e9:>12.4g}{100 * row['share']:>14.0f} %"
        print(f"{row['name']:<38}{row['seconds']:>10.4g}{row['rate']:>12.4g}{cost}")
    if len(rows) > 1 and rows[1]["name"].startswith("PyTorch"):
        print(f"training step: {rows[1]['seconds'] / rows[0]['seconds']:.2f} times PyTorch's plain stack")
    if "waste_training" in (last := rows[-1]):
        waste = [f"{100 * last[key]:.1f} %" for key in ("waste_training", "waste_sampling")]
        print(
            f"padding adds {waste[0]} to the FLOPs of training and {waste[1]} to those of sampling ({last['batches']} batches)"
        )
    print(
        f"matrix product: {rate / 1e9:.1f} GFLOP/s; size {args.size}, {args.batch} crystals of {args.orbits} orbits; sampling: "
        f"{args.sample_steps} steps run, scaled to all; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--batch", type=int, default=64, help="crystals of a training step (64)")
    parser.add_argument("--orbits", type=int, default=5, help="orbits of each (5)")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps (5)")
    parser.add_argument("--data", help="prepared .npz for sampling and padding (default: AFLOW prototypes)")
    parser.add_argument("--samples", type=int, default=500, help="crystals drawn (500); 0 for no sampling")
    parser.add_argument("--sample-steps", type=int, default=10, help="diffusion steps run, scaled to all (10)")
    parser.add_argument("--sample-batch", type=int, default=128, help="crystals of a sampling batch (128)")
    parser.add_argument("--no-torch", action="store_true", help="leave the peer out")
    parser.add_argument("--json", help="also write the rows to this file")
    args = parser.parse_args()
    config = get_config(args.size)
    rate = matrix_rate(1024, args.repeats)
    rows = training(config, args, rate)
    show(rows, rate, args)
    if args.samples:
        rows.append(sampling(config, args, rate))
        print()
        show(rows, rate, args)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(
                {"rows": rows, "matrix_rate": rate, "options": vars(args), "cores": os.cpu_count()}, file, indent=1
            )


if __name__ == "__main__":
    watched(main)
