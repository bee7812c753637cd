"""The operation flow measured: raw and snapped validity, types, lattices, equivariance.

    python -m experiments.operation_flow --train train.npz --reference test.npz --num 2000

Draws sets for the species of random training crystals and prints, for sets as generated (raw) and after snapping (exact):
- closed: share that are groups as they stand, before anything is snapped, in each of the modes asked for: "free" (each token by
  itself), "assigned" (to distinct elements from time 0.7 on), "voted" (to elements of one closed set, that with most votes);
- valid: share from which an exact group came, and how often it has the order asked for;
- types: Jensen-Shannon distance of space-group types to the reference, and the same for as many training crystals (floor);
- lattice: how far the predicted metric is from its average over the group;
- translations alone: over true lattices and rotations of reference crystals of order 8, the distance of types to the true ones and
  how often the type is the true one;
- equivariance on these weights: other conjugates of the noise in, the conjugated sets out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import SymjaxError
from symjax.evaluate.statistics import group_shares, jensen_shannon

RESAMPLES = 20


def species_of(data: CrystalDataset, rows: np.ndarray) -> np.ndarray:
    """(c, MAX_ORBITS) elements of the orbits of some crystals in canonical order, 0 as padding."""
    from symjax.models.symop.species import MAX_ORBITS, canonical_slots

    z = np.zeros((len(rows), MAX_ORBITS), np.int32)
    for i, row in enumerate(rows):
        found = data.orbit_z[data.orbit_start[row] : data.orbit_start[row + 1]]
        z[i, : len(found)] = found
    return canonical_slots(z, np.zeros_like(z))[0]


def numbers_of(data: CrystalDataset) -> np.ndarray:
    """(c,) space-group numbers of a data set."""
    from symjax.wyckoff.set_table import standard_numbers

    return standard_numbers(data.sets)[data.set_index]


def floor(train: np.ndarray, reference: np.ndarray, num: int, seed: int) -> float:
    """Mean distance of `num` random training crystals to the reference."""
    generator, wanted = np.random.default_rng(seed), group_shares(reference)
    return float(
        np.mean([jensen_shannon(group_shares(generator.choice(train, num)), wanted) for _ in range(RESAMPLES)])
    )


def lattice_defect(k: np.ndarray, W: np.ndarray) -> float:
    """|G - mean W^T G W| / |G| of the predicted metric, with k (5,) and a group W (n, 3, 3)."""
    from symjax.lattice import K_BASIS

    values, vectors = np.linalg.eigh(np.einsum("i,ijk->jk", k, K_BASIS[:5]))
    G = (vectors * np.exp(2 * values)) @ vectors.T
    return float(np.linalg.norm((np.swapaxes(W, 1, 2) @ G @ W).mean(0) - G) / np.linalg.norm(G))


def figures(drawn: list, reference: np.ndarray) -> dict[str, Any]:
    """All figures of drawn sets."""
    from symjax.groups.identify import identify

    valid = [one for one in drawn if one.opset is not None]
    numbers = np.array([identify(one.opset).number for one in valid])
    defects = [lattice_defect(one.k, np.asarray(one.opset.W)) for one in valid]
    order = np.array([len(one.W) for one in drawn])
    raw = np.array([one.raw for one in drawn])
    return {
        "raw closed": float(raw.mean()),
        "raw rotations closed": float(np.mean([one.rotations for one in drawn])),
        "valid": len(valid) / len(drawn),
        "right order": float(np.mean([len(one.opset.W) == len(one.W) for one in valid])),
        "kept": float(np.mean([one.kept for one in drawn])),
        "types": jensen_shannon(group_shares(numbers), group_shares(reference)),
        "distinct types": len(set(numbers.tolist())),
        "metric off, median and 90 %": [float(np.percentile(defects, q)) for q in (50, 90)],
        "raw closed by order": {int(n): round(float(raw[order == n].mean()), 3) for n in np.unique(order)},
        "numbers": numbers,
    }


def equivariance(params: Any, config: Any, z: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    """How often conjugated noise gives the conjugated set, and how often that is another set, for sets of 5 to 8 operations."""
    import jax
    import jax.numpy as jnp

    from symjax.diffusion import rng
    from symjax.models.symop.flow import process as p
    from symjax.models.symop.flow import sample as s
    from symjax.models.symop.flow.network import FlowNet, options_from_config
    from symjax.models.symop.flow.representation import ORDERS

    net, b, n = FlowNet(options_from_config(config["model"]["flow"])), s.BLOCK[8], 8
    z, order = z[np.arange(b) % len(z)], np.full(b, ORDERS.index(n))
    noise = s.draw_noise(rng.row_keys(jax.random.key(seed + 1), np.arange(b)), n)
    generator = np.random.default_rng(seed)
    plain = s.flow(net, params, noise, z, order)

    def same(a: tuple, c: tuple) -> np.ndarray:
        rows = [np.concatenate([np.asarray(W).reshape(b, n, 9), np.asarray(w)], -1) for W, w in (a, c)]
        return np.array([{tuple(x) for x in one} == {tuple(x) for x in two} for one, two in zip(*rows, strict=True)])

    def shares(found: tuple, expected: tuple, before: tuple) -> tuple[float, float]:
        return float(same(found, expected).mean()), float(1 - same(expected, before).mean())

    here, out = (plain.W, plain.w), {}
    label = generator.integers(1, 24, b)
    turned = s.FlowNoise(
        p.relabel_lattice(noise.k, label), p.relabel_matrices(noise.R, label), p.relabel_phases(noise.z, label)
    )
    other = s.flow(net, params, turned, z, order)
    W = np.rint(p.relabel_matrices(plain.W, label)).astype(int)
    out["relabelling of the basis"] = shares((other.W, other.w), (W, p.relabel_translations(plain.w, label)), here)
    A = generator.normal(size=(b, 3, 3)) * 0.3 + np.eye(3)
    A *= np.sign(np.linalg.det(A))[:, None, None] / np.cbrt(np.abs(np.linalg.det(A)))[:, None, None]
    V = np.linalg.qr(generator.normal(size=(b, 3, 3)))[0]
    V *= np.linalg.det(V)[:, None, None]
    R = generator.normal(size=(b, n, 3, 3)) * p.SIGMA_R
    space = []
    for turn in (np.broadcast_to(np.eye(3), V.shape), V):
        back = np.swapaxes(turn, 1, 2)[:, None]
        start, U = s.from_ambient(turn @ A, turn[:, None] @ R @ back, np.asarray(noise.z))
        space.append(s.in_space(s.flow(net, params, start, z, order), U)[1])
    expected = V[:, None] @ space[0] @ np.swapaxes(V, 1, 2)[:, None]
    close = lambda a, c: float((np.abs(a - c).max((1, 2, 3)) < 1e-2).mean())
    out["rotation of space"] = close(space[1], expected), 1 - close(expected, space[0])
    cond = net.apply(params, z, order, method="condition")
    mask, shift = jnp.ones((b, n), bool), jnp.asarray(generator.integers(0, 24, (b, 3)))
    turn = p.phases(p.shifted(plain.W, jnp.zeros_like(plain.w), shift))
    run = jax.jit(lambda x: s.flow_translations(net, params, x, plain.W, plain.k, cond, mask, s.FlowSampling()))
    w, moved = run(noise.z), run(noise.z * turn)
    expected_w = p.shifted(plain.W, w, shift)
    out["shift of the origin"] = shares((plain.W, moved), (plain.W, expected_w), (plain.W, w))
    return out


def translations_alone(params: Any, config: Any, reference: CrystalDataset, seed: int) -> dict[str, float]:
    """The third stage over true lattices and rotations: distance of types to the true ones, the same of as many other crystals, and
    the share of right types, for at most 640 crystals with 8 operations.
    """
    import jax
    import jax.numpy as jnp

    from symjax.diffusion import rng
    from symjax.groups.identify import identify
    from symjax.models.symop.flow import sample as s
    from symjax.models.symop.flow.network import FlowNet, options_from_config
    from symjax.models.symop.flow.objective import label
    from symjax.models.symop.flow.representation import ORDERS, reduced_sets
    from symjax.models.symop.flow.snap import snap

    n, arrays, generator = 8, reduced_sets(reference), np.random.default_rng(seed)
    every = np.flatnonzero(arrays["order"] == n)
    rows = generator.permutation(every)[:640]
    net, group = FlowNet(options_from_config(config["model"]["flow"])), arrays["group"][rows]
    given = arrays["k"][rows], arrays["W"][group, :n].astype(np.int32), arrays["w"][group, :n].astype(np.int32)
    _, k, W, _ = jax.jit(label)(*map(jnp.asarray, given), jax.random.key(seed))
    cond = net.apply(params, arrays["z"][rows], np.full(len(rows), ORDERS.index(n)), method="condition")
    z = s.draw_noise(rng.row_keys(jax.random.key(seed), np.arange(len(rows))), n).z
    mask, sampling = jnp.ones((len(rows), n), bool), s.FlowSampling()
    w = np.asarray(jax.jit(lambda z: s.flow_translations(net, params, z, W, k, cond, mask, sampling))(z))
    made = [snap(a, b, extra=a).opset for a, b in zip(np.asarray(W), w, strict=True)]
    found = np.array([0 if one is None else identify(one).number for one in made])
    numbers = numbers_of(reference)
    return {
        "crystals": len(rows),
        "types": jensen_shannon(group_shares(found[found > 0]), group_shares(numbers[rows])),
        "floor": floor(numbers[every], numbers[rows], len(rows), seed),
        "right": float((found == numbers[rows]).mean()),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the figures; exit code 2 on wrong input."""
    parser = argparse.ArgumentParser(prog="experiments.operation_flow", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--train", required=True, help="prepared training data: species and the floor")
    parser.add_argument("--reference", required=True, help="prepared data whose types are compared with")
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="folder of weights (default: those in the package)")
    parser.add_argument(
        "--modes", nargs="+", default=["voted"], choices=("voted", "assigned", "free"), help="of FlowSampling"
    )
    parser.add_argument("--steps", type=int, nargs=3, default=(16, 20, 24), help="of lattice, rotations, translations")
    parser.add_argument("--out", type=Path, help="figures as JSON")
    args = parser.parse_args(argv)
    try:
        found = measure(args)
    except SymjaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Draw, print and return."""
    import jax

    from symjax.models.symop.flow.sample import FlowSampling, sample_operations
    from symjax.models.symop.flow.weights import load_flow

    train, reference = CrystalDataset.load(args.train), CrystalDataset.load(args.reference)
    params, config = load_flow(args.weights)
    z = species_of(train, np.random.default_rng(args.seed).choice(len(train), args.num))
    out: dict[str, Any] = {"num": args.num, "seed": args.seed}
    for name in args.modes:
        lattice, rotation, translation = args.steps
        sampling = FlowSampling(lattice, rotation, translation, mode=name)
        start = time.process_time()
        drawn = sample_operations(params, config, jax.random.key(args.seed), z, sampling=sampling)
        out[name] = figures(drawn, numbers_of(reference)) | {"CPU seconds": round(time.process_time() - start, 1)}
        orders = np.array([len(one.W) for one in drawn])
        numbers = out[name].pop("numbers")
        print(f"{name}:")
        for key, value in out[name].items():
            print(f"  {key}: {value if not isinstance(value, float) else round(value, 4)}")
        out[name]["by order"] = by_order(orders, drawn, numbers, train, reference)
        print("  types by order (flow, floor):", out[name]["by order"])
    out["translations alone"] = translations_alone(params, config, reference, args.seed)
    print("translations alone:", {key: round(value, 3) for key, value in out["translations alone"].items()})
    out["equivariance"] = equivariance(params, config, z, args.seed)
    print("equivariance (share of sets that are the conjugated ones; share that another conjugate changes):")
    for key, value in out["equivariance"].items():
        print(f"  {key}: {value[0]:.3f}; {value[1]:.3f}")
    out["floor"] = floor(numbers_of(train), numbers_of(reference), args.num, args.seed)
    print(f"types of as many training crystals: {out['floor']:.4f}")
    return out


def by_order(
    orders: np.ndarray, drawn: list, numbers: np.ndarray, train: CrystalDataset, reference: CrystalDataset
) -> dict[int, tuple]:
    """For each order: share of the samples, of the reference, distance of types within it, and that of training crystals."""
    from symjax.groups.primitive import primitive_form

    def order_of(data: CrystalDataset) -> np.ndarray:
        per = {int(i): len(primitive_form(data.sets.opset(int(i))).W) for i in np.unique(data.set_index)}
        return np.array([per[int(i)] for i in data.set_index])

    kept = np.array([one.opset is not None for one in drawn])
    exact = np.array([0 if one.opset is None else len(one.opset.W) for one in drawn])[kept]
    want, have = order_of(reference), order_of(train)
    found = {}
    for n in np.unique(want):
        mine, theirs = numbers[exact == n], numbers_of(reference)[want == n]
        if len(mine):
            near = jensen_shannon(group_shares(mine), group_shares(theirs))
            found[int(n)] = (
                round(float((exact == n).mean()), 3),
                round(float((want == n).mean()), 3),
                round(near, 3),
                round(floor(numbers_of(train)[have == n], theirs, len(mine), 0), 3),
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
