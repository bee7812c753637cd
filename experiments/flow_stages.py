"""Which stage of the operation flow is wrong: sets from a true lattice, and what the rotation network expects at early times.

    python -m experiments.flow_stages --train train.npz --data val.npz --orders 6 12 16 --num 512

For crystals of each order, with their own elements and number of operations:
- types of sets drawn as always, and of sets whose second stage starts from the true lattice (`LATTICE_END` of the way), each as the
  Jensen-Shannon distance to all crystals of that order in the data, beside that of as many training crystals;
- for 6 operations and lattices with 24 isometries (hexagonal): the mean number of twofold axes and mirrors a set that lie along and
  across the shortest vectors of the plane, in the data and as the network expects them at times 0 to 0.5 of the true path.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.operation_flow import floor, numbers_of
from symjax.data.dataset import CrystalDataset
from symjax.diffusion import rng
from symjax.errors import SymjaxError
from symjax.evaluate.statistics import group_shares, jensen_shannon
from symjax.groups.identify import identify
from symjax.models.symop.flow import process as p
from symjax.models.symop.flow import sample as s
from symjax.models.symop.flow.network import FlowNet, options_from_config
from symjax.models.symop.flow.representation import ORDERS, SIZES, reduced_sets
from symjax.models.symop.flow.snap import snap
from symjax.models.symop.flow.weights import load_flow

TIMES = (0.0, 0.1, 0.2, 0.5)
KINDS = ("2 along", "m along", "2 across", "m across")


class Flow:
    """Network, parameters and sampling."""

    def __init__(self, folder: str | None):
        self.params, config = load_flow(folder)
        self.net = FlowNet(options_from_config(config["model"]["flow"]))
        self.sampling = s.FlowSampling()

    @partial(jax.jit, static_argnames=("self", "n"))
    def begin(self, params: Any, noise: s.FlowNoise, z: Any, order: Any, k1: Any, n: int) -> dict:
        """The second stage from a true lattice, as `symjax.models.symop.flow.sample._begin` does it from a drawn one."""
        label, mask = p.canonical_label(noise.k), jnp.arange(n) < jnp.asarray(ORDERS)[order][:, None]
        cond = self.net.apply(params, z, order, method="condition")
        k0 = p.relabel_lattice(noise.k, label)
        k1 = p.relabel_lattice(k1, p.nearest_label(k0, k1))
        k = (1 - p.LATTICE_END) * k0 + p.LATTICE_END * k1
        state = k, p.relabel_matrices(noise.R, label)
        return s.flow_rotations(self.net, params, state, cond, mask, self.sampling)[0]

    def sets(self, noise: s.FlowNoise, z: np.ndarray, order: np.ndarray, k1: np.ndarray | None, n: int) -> s.FlowSets:
        """Sets of one padded size, from a drawn (None) or a given lattice."""
        if k1 is None:
            return jax.device_get(s.flow(self.net, self.params, noise, z, order, sampling=self.sampling))
        found = self.begin(self.params, noise, z, order, jnp.asarray(k1), n)
        orders = np.asarray(ORDERS)[order]
        state = found["k"], found["R"], jnp.asarray(s.agree(jax.device_get(found), orders))
        (k, W, *rest), _ = s._go_on(self.net, self.params, noise, z, order, state, self.sampling)
        shift, w, phase, estimate = rest
        w = jnp.asarray(s.agree_translations(np.asarray(W), np.asarray(w), orders))
        (W, w, k), _ = s._finish(
            self.net, self.params, noise, z, order, (k, W, shift, w, phase, estimate), self.sampling
        )
        return jax.device_get(s.FlowSets(W, w, k, W))


def types(flow: Flow, arrays: dict[str, np.ndarray], rows: np.ndarray, n: int, *, given: bool) -> np.ndarray:
    """(r,) space-group numbers of sets for some crystals of order n, 0 where no group was found."""
    size = SIZES[int(np.searchsorted(SIZES, n))]
    block, keys = s.BLOCK[size], rng.row_keys(jax.random.key(0), np.arange(len(rows)))
    out, order = np.zeros(len(rows), int), np.full(block, ORDERS.index(n))
    for start in range(0, len(rows), block):
        index = (start + np.arange(block)) % len(rows)
        here = rows[index]
        noise, k1 = s.draw_noise(keys[index], size), arrays["k"][here] if given else None
        found = flow.sets(noise, arrays["z"][here], order, k1, size)
        for row in range(min(block, len(rows) - start)):
            one = snap(found.W[row, :n], found.w[row, :n], extra=found.extra[row]).opset
            out[start + row] = 0 if one is None else identify(one).number
    return out


def kinds_of(W: np.ndarray, k: np.ndarray) -> np.ndarray:
    """(b, c) index into `KINDS` of the twofold axes and mirrors of hexagonal lattices k (b, 5) with axis or normal in the plane."""
    S, inverse = (np.asarray(x) for x in p.stretch(jnp.asarray(k)))
    R, sign = S[:, None] @ W @ inverse[:, None], np.rint(np.linalg.det(W))
    proper, out = R * sign[..., None, None], np.full(W.shape[:2], -1)
    trace = np.rint(np.trace(proper, axis1=2, axis2=3))
    vectors = np.array(list(np.ndindex(3, 3, 3)), float) - 1
    for i, own in enumerate(vectors[(vectors != 0).any(1)] @ S[i] for i in range(len(k))):
        three = np.flatnonzero((trace[i] == 0) & (np.abs(np.swapaxes(R[i], 1, 2) @ R[i] - np.eye(3)).max((1, 2)) < 0.1))
        axis = np.linalg.svd(proper[i, three[0]] - np.eye(3))[2][-1]
        length = np.linalg.norm(own, axis=1)
        flat = np.abs(own @ axis) < 0.1 * length
        short = own[flat & (length < 1.1 * length[flat].min())]
        short /= np.linalg.norm(short, axis=1, keepdims=True)
        for j in np.flatnonzero(trace[i] == -1):
            u, sizes, _ = np.linalg.svd(proper[i, j] + np.eye(3))
            if abs(sizes[0] - 2) < 0.2 and abs(u[:, 0] @ axis) < 0.1:
                along = np.abs(short @ u[:, 0]).max() > 0.98
                out[i, j] = 2 * (not along) + (sign[i, j] < 0)
    return out


def expected(flow: Flow, arrays: dict[str, np.ndarray], rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Mean number a set of each of `KINDS`: of the data, then as expected at some times of the true path."""
    n, size = 6, SIZES[int(np.searchsorted(SIZES, 6))]
    keys, order = rng.row_keys(jax.random.key(0), np.arange(len(rows))), np.full(len(rows), ORDERS.index(n))
    noise, mask = s.draw_noise(keys, size), jnp.broadcast_to(jnp.arange(size) < n, (len(rows), size))
    label = p.canonical_label(noise.k)
    k0, R0 = p.relabel_lattice(noise.k, label), p.relabel_matrices(noise.R, label)
    which = p.nearest_label(k0, arrays["k"][rows])
    k1 = p.relabel_lattice(arrays["k"][rows], which)
    W = jnp.rint(p.relabel_matrices(arrays["W"][arrays["group"][rows], :size], which)).astype(jnp.int32)
    true = kinds_of(np.asarray(W), np.asarray(k1))[:, :n]
    yield "data", np.array([(true == kind).sum() for kind in range(4)]) / len(rows)
    R1 = p.rotations(W, k1)
    score = jnp.where(mask[:, None, :], jnp.einsum("bijk,bljk->bil", R0, R1), -100.0)
    R1 = jnp.take_along_axis(R1, p.greedy_assignment(score, mask)[..., None, None], 1)
    cond = flow.net.apply(flow.params, arrays["z"][rows], order, method="condition")
    estimate = jax.jit(partial(flow.net.apply, method="rotation_estimate"))
    for time in TIMES:
        end = p.LATTICE_END + (1 - p.LATTICE_END) * time
        state = (1 - time) * R0 + time * R1, (1 - end) * k0 + end * k1
        out = estimate(flow.params, *state, jnp.full(len(rows), time), cond, mask)
        held = np.asarray(jnp.sum(out["p"] * mask[..., None], 1))
        kinds = kinds_of(np.asarray(out["W"]), np.asarray(k1))
        yield f"time {time}", np.array([held[kinds == kind].sum() for kind in range(4)]) / len(rows)


def main(argv: list[str] | None = None) -> int:
    """Print the figures; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(prog="experiments.flow_stages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", required=True, help="prepared training data, for the floor")
    parser.add_argument("--data", required=True, help="prepared data whose crystals are asked about")
    parser.add_argument("--orders", type=int, nargs="*", default=[6, 8, 12, 16], choices=[n for n in ORDERS if n > 1])
    parser.add_argument("--num", type=int, default=512, help="crystals of each order")
    parser.add_argument("--weights", help="folder of weights (default: those in the package)")
    args = parser.parse_args(argv)
    try:
        flow, train, data = Flow(args.weights), CrystalDataset.load(args.train), CrystalDataset.load(args.data)
    except SymjaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    arrays, numbers, known = reduced_sets(data), numbers_of(data), numbers_of(train)
    order = reduced_sets(train)["order"]
    shuffled = np.random.default_rng(0).permutation
    for n in args.orders:
        every = np.flatnonzero(arrays["order"] == n)
        rows = shuffled(every)[: args.num]
        far = {}
        for name, given in (("drawn lattice", False), ("true lattice", True)):
            found = types(flow, arrays, rows, n, given=given)
            far[name] = jensen_shannon(group_shares(found[found > 0]), group_shares(numbers[every]))
        far["training crystals"] = floor(known[order == n], numbers[every], len(rows), 0)
        print(
            f"{n} operations, {len(rows)} crystals:", {key: round(value, 3) for key, value in far.items()}, flush=True
        )
    rows = np.flatnonzero(arrays["order"] == 6)
    isometries = (np.asarray(p.candidates(jnp.asarray(arrays["k"][rows]))[2]) < 1e-2).sum(1)
    rows = shuffled(rows[isometries == 24])[: args.num]
    print(f"{len(rows)} crystals with 6 operations and a hexagonal lattice, a set: {', '.join(KINDS)}")
    for name, counts in expected(flow, arrays, rows):
        print(f"  {name}: {', '.join(f'{count:.3f}' for count in counts)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
