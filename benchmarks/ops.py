"""Speed of the algebra of operations against pymatgen, gemmi and spglib, in one run on the same machine.

Run: python -m benchmarks.ops [--quick] [--batch 1024] [--number 225] [--json FILE]

Each line is one job, in time per set (best of several repeats, after compilation). "x pymatgen" is pymatgen's time
divided by ours: above 1 we are quicker. The other libraries do one set at a time, from Python, as their users do.

Batches: "no. 225" repeats the operations of one type (Fm-3m by default: 192 operations, the largest there are);
"mixed" draws types uniformly from the 230. Sets are batched by bucket (16, 48 or 192 slots) as a data set is.
Every result is checked against the other libraries before it is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gemmi
import jax
import numpy as np
import spglib
from pymatgen.core.operations import SymmOp
from pymatgen.symmetry.groups import SpaceGroup

from benchmarks.timing import watched
from symjax.groups import (
    OpSet,
    close,
    close_by_order,
    compose_pairs,
    default_hall,
    identify_many,
    is_group,
    pad,
    setting_symbols,
    stabilizer,
    stack,
    standard_setting,
    unpack_pairs,
)
from symjax.groups.identify import _cache as identified
from symjax.ops import exact, geometry

SLOTS = 192
BUCKETS = (16, 48, SLOTS)
Row = dict[str, Any]


def best(run: Callable[[], Any], repeats: int = 5, seconds: float = 0.3) -> float:
    """Shortest wall time of one call; quick calls are repeated for about `seconds` in all."""
    start = time.perf_counter()
    run()
    once = time.perf_counter() - start
    inner = max(1, int(seconds / repeats / max(once, 1e-9)))
    times = []
    for _ in range(repeats if once < 2 else 1):
        start = time.perf_counter()
        for _ in range(inner):
            run()
        times.append((time.perf_counter() - start) / inner)
    return min(times)


def ready(run: Callable[[], Any]) -> Callable[[], Any]:
    """Waits for the device, so that the time is that of the work."""
    return lambda: jax.block_until_ready(run())


def gemmi_op(W: np.ndarray, w: np.ndarray) -> gemmi.Op:
    op = gemmi.Op()
    op.rot, op.tran = (W * gemmi.Op.DEN).tolist(), w.tolist()
    return op


def gemmi_ops(opset: OpSet) -> list[gemmi.Op]:
    return [gemmi_op(W, w) for W, w in zip(opset.W, opset.w, strict=True)]


def pymatgen_ops(opset: OpSet) -> list[SymmOp]:
    return [SymmOp.from_rotation_and_translation(W, w / opset.den) for W, w in zip(opset.W, opset.w, strict=True)]


def hall_generators(number: int) -> OpSet:
    """The generators that gemmi reads off the Hall symbol, its centring translations first."""
    group = gemmi.generators_from_hall(setting_symbols(default_hall(number))["hall_symbol"])
    ops = [gemmi.Op() for _ in group.cen_ops]
    for op, shift in zip(ops, group.cen_ops, strict=True):
        op.tran = shift
    ops = [op for op in ops + list(group.sym_ops) if op.triplet() != "x,y,z"] or [gemmi.Op()]
    W = np.array([op.rot for op in ops]) // gemmi.Op.DEN
    w = np.array([op.tran for op in ops]) % gemmi.Op.DEN
    return OpSet(W=W.astype(np.int32), w=w.astype(np.int32), mask=np.ones(len(W), bool))


def as_pymatgen_generators(number: int) -> Any:
    """What pymatgen's `SpaceGroup` holds before it closes its own generators: 4 x 4 matrices, and the order.

    Its constructor reads the common symbols from a list of finished operations, so its closing loop is called directly.
    """
    data = next(d for d in SpaceGroup.sg_encoding.values() if d["int_number"] == number)
    code = list(data["enc"])
    matrices = [np.eye(4)] + [np.diag([-1.0, -1, -1, 1])] * int(code.pop(0))
    for _ in range(int(code.pop(0))):
        matrix = np.eye(4)
        matrix[:3, :3] = SpaceGroup.gen_matrices[code.pop(0)]
        matrix[:3, 3] = [SpaceGroup.translations[code.pop(0)] for _ in range(3)]
        matrices.append(matrix)
    return SimpleNamespace(generators=matrices, order=data["order"])


def on_device(opset: OpSet) -> OpSet:
    return jax.tree.map(jax.device_put, opset)


def buckets(sets: list[OpSet]) -> list[OpSet]:
    """The sets on the device, one padded batch per bucket of slots."""
    batches, smallest = [], 0
    for slots in BUCKETS:
        inside = [s for s in sets if smallest < s.order <= slots]
        smallest = slots
        batches += [on_device(stack(inside, slots))] if inside else []
    return batches


def sample_of(sets: list[OpSet], most: int = 48) -> list[OpSet]:
    """Sets for the slower libraries: one when all are the same, else up to `most` of them."""
    distinct = len({s.W.tobytes() + s.w.tobytes() for s in sets})
    return [sets[i] for i in np.linspace(0, len(sets) - 1, min(most, distinct)).astype(int)]


def bench_closing(numbers: list[int], name: str) -> list[Row]:
    """Generators to all operations."""
    gens = on_device(stack([hall_generators(n) for n in numbers], 8))
    closed = close(gens, SLOTS, method="tables")
    assert not bool(closed.overflow.any())
    assert closed.order.tolist() == [standard_setting(n).order for n in numbers]
    for rows, group in close_by_order(gens, BUCKETS):
        assert group.order[: len(rows)].tolist() == [standard_setting(numbers[row]).order for row in rows]
    ours = best(ready(lambda: close_by_order(gens, BUCKETS))) / len(numbers)
    symbols = [setting_symbols(default_hall(n))["hall_symbol"] for n in numbers]
    parse = best(lambda: [gemmi.generators_from_hall(s) for s in symbols])

    def complete() -> None:
        for symbol in symbols:
            gemmi.generators_from_hall(symbol).add_missing_elements()

    theirs = (best(complete) - parse) / len(numbers)
    distinct = sorted(set(numbers))[:: max(1, len(set(numbers)) // 20)]

    # pymatgen's own closing loop on the same generators (its constructor reads most groups from a list instead)
    given = [as_pymatgen_generators(n) for n in distinct]

    def loop_alone() -> None:
        for stub in given:
            SpaceGroup._generate_full_symmetry_ops(stub)

    def as_property() -> None:  # what `SpaceGroup.symmetry_ops` does on first use
        for stub in given:
            _ = {SymmOp(matrix) for matrix in SpaceGroup._generate_full_symmetry_ops(stub)}

    alone, whole = (best(f, repeats=2) / len(given) for f in (loop_alone, as_property))
    return [
        {"job": f"closing generators, {name}", "ours": ours, "pymatgen": whole, "gemmi": theirs},
        {"job": f"closing generators, {name}, pymatgen's bare matrices", "ours": ours, "pymatgen": alone},
    ]


def bench_checking(numbers: list[int], name: str) -> Row:
    """Is every product a member?"""
    sets = [standard_setting(n) for n in numbers]
    batches = buckets(sets)
    assert all(bool(is_group(batch, method="tables").all()) for batch in batches)
    ours = best(ready(lambda: [is_group(batch, method="tables") for batch in batches])) / len(numbers)
    few = sample_of(sets)
    ops = [gemmi_ops(s) for s in few]

    def look_up() -> None:
        for members in ops:
            found = set(members)
            assert all((a * b).wrap() in found for a in members for b in members)

    theirs = best(look_up, repeats=2) / len(few)
    symm_ops = [pymatgen_ops(s) for s in few]

    def key(op: SymmOp) -> bytes:  # SymmOp has one hash for all: its own sets compare every pair and take 100 s here
        matrix = np.rint(op.affine_matrix * 24).astype(int)
        matrix[:3, 3] %= 24
        return matrix.tobytes()

    def symm_op_products() -> None:
        for members in symm_ops:
            found = {key(op) for op in members}
            assert all(key(a * b) in found for a in members for b in members)

    pymatgen = best(symm_op_products, repeats=1) / len(few)
    return {"job": f"checking closure, {name}", "ours": ours, "pymatgen": pymatgen, "gemmi": theirs}


def bench_pairs(numbers: list[int], name: str) -> Row:
    """All products of two members."""
    sets = [standard_setting(n) for n in numbers]
    batches = buckets(sets)
    first = sets[0]
    found = unpack_pairs(np.asarray(compose_pairs(pad(first, SLOTS)))[: first.order, : first.order])
    product = exact.compose(exact.Op(first.W[:, None], first.w[:, None]), exact.Op(first.W[None], first.w[None]))
    assert (found.W == product.W).all() and (found.w == product.w).all()
    ours = best(ready(lambda: [compose_pairs(batch) for batch in batches])) / len(numbers)
    few = sample_of(sets)
    ops, symm_ops = [gemmi_ops(s) for s in few], [pymatgen_ops(s) for s in few]
    theirs = best(lambda: [[(a * b).wrap() for a in m for b in m] for m in ops], repeats=2) / len(few)
    pymatgen = best(lambda: [[a * b for a in m for b in m] for m in symm_ops], repeats=1) / len(few)
    return {"job": f"composing all pairs, {name}", "ours": ours, "pymatgen": pymatgen, "gemmi": theirs}


def bench_kinds(numbers: list[int], name: str) -> list[Row]:
    """What each operation is: kind on the device, full Seitz description on the host."""
    sets = [standard_setting(n) for n in numbers]
    batches = buckets(sets)
    kinds = jax.jit(lambda s: geometry.kind(exact.Op(s.W, s.w)))
    ours = best(ready(lambda: [kinds(batch) for batch in batches])) / len(numbers)
    few = sample_of(sets)
    ops = [gemmi_ops(s) for s in few]
    theirs = best(lambda: [[(op.rot_type(), op.translated) for op in m] for m in ops]) / len(few)
    full = jax.jit(lambda s: geometry.geometry(exact.Op(s.W, s.w)))
    device = best(ready(lambda: [full(batch) for batch in batches]), repeats=3) / len(numbers)
    described = best(lambda: [geometry.describe(exact.Op(s.W, s.w)) for s in few], repeats=2) / len(few)
    triplets = best(lambda: [[op.triplet() for op in m] for m in ops]) / len(few)
    return [
        {"job": f"kinds, {name} (gemmi: rotation part only)", "ours": ours, "gemmi": theirs},
        {"job": f"axes, screws, glides, points, {name}", "ours": device},
        {"job": f"Seitz symbols as text, {name} (gemmi: triplets)", "ours": described, "gemmi": triplets},
    ]


def bench_stabilizers(number: int, num_points: int) -> list[Row]:
    """Site symmetry of many points under one group; time for all points."""
    opset = standard_setting(number)
    rng = np.random.default_rng(0)
    x = rng.random((num_points, 3))
    special = num_points // 2
    x[:special] = rng.integers(0, 8, (special, 3)) / 8
    count = jax.jit(lambda s, x: stabilizer(s, x).sum(-1))
    device = on_device(opset)
    points = jax.device_put(x.astype(np.float32))
    ours = best(ready(lambda: count(device, points)))
    symm_ops, ops = pymatgen_ops(opset), gemmi_ops(opset)

    def by_pymatgen() -> np.ndarray:
        total = np.zeros(num_points, int)
        for op in symm_ops:
            d = op.operate_multi(x) - x
            total += (np.abs(d - np.round(d)) <= 1e-3).all(-1)
        return total

    np.testing.assert_array_equal(by_pymatgen(), count(device, points))
    sample = x[:: max(1, num_points // 100)]

    def by_gemmi() -> None:
        for point in sample.tolist():
            sum(
                all(abs(d - round(d)) <= 1e-3 for d in (a - b for a, b in zip(op.apply_to_xyz(point), point)))
                for op in ops
            )

    few = x[:: max(1, num_points // 20)]

    def one_by_one() -> None:  # pymatgen's operations as they are used on single points
        for point in few:
            d = np.array([op.operate(point) for op in symm_ops]) - point
            (np.abs(d - np.round(d)) <= 1e-3).all(-1).sum()

    job = f"stabilizers of {num_points} points, no. {number} (time for all)"
    single = best(one_by_one, repeats=2) * num_points / len(few)
    return [
        {"job": job, "ours": ours, "pymatgen": single, "gemmi": best(by_gemmi, repeats=2) * num_points / len(sample)},
        {"job": f"{job}, pymatgen vectorised over points", "ours": ours, "pymatgen": best(by_pymatgen, repeats=2)},
    ]


def bench_identify(numbers: list[int], name: str) -> list[Row]:
    """Type of closed sets. gemmi only knows tabulated settings; spglib does not check closure, ours does."""
    sets = [standard_setting(n) for n in numbers]
    batch = stack(sets, SLOTS)

    def fresh() -> list:
        identified.clear()
        return identify_many(batch)

    assert [found.number for found in fresh()] == numbers
    ours, again = best(fresh, repeats=2) / len(numbers), best(lambda: identify_many(batch), repeats=2) / len(numbers)
    few = [sets[i] for i in np.linspace(0, len(sets) - 1, min(64, len(sets))).astype(int)]
    by_spglib = best(
        lambda: [spglib.get_spacegroup_type_from_symmetry(s.W, s.w / s.den) for s in few], repeats=2
    ) / len(few)
    groups = [gemmi.GroupOps(gemmi_ops(s)) for s in few]
    by_gemmi = best(lambda: [gemmi.find_spacegroup_by_ops(g) for g in groups], repeats=2) / len(few)
    return [
        {"job": f"type identification, {name}, each set new", "ours": ours, "spglib": by_spglib, "gemmi": by_gemmi},
        {
            "job": f"type identification, {name}, sets seen before",
            "ours": again,
            "spglib": by_spglib,
            "gemmi": by_gemmi,
        },
    ]


def show(rows: list[Row]) -> None:
    """A plain table: times per set, then ratios."""

    def number(seconds: float | None) -> str:
        if seconds is None:
            return "-"
        for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
            if seconds >= scale:
                return f"{seconds / scale:.3g} {unit}"
        return f"{seconds / 1e-9:.3g} ns"

    libraries = ("pymatgen", "gemmi", "spglib")
    header = ["job", "ours", *libraries, *(f"x {name}" for name in libraries)]
    lines = [header]
    for row in rows:
        ratios = [f"{row[k] / row['ours']:.3g}" if k in row else "-" for k in libraries]
        lines.append([row["job"], number(row["ours"]), *(number(row.get(k)) for k in libraries), *ratios])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        print(
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths))
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batches of 64 and 1,000 points: a check, not a figure")
    parser.add_argument("--batch", type=int, default=1024, help="sets per batch")
    parser.add_argument("--number", type=int, default=225, help="space-group number of the 'one group' lines")
    parser.add_argument("--json", help="also write the rows (seconds) to this file")
    args = parser.parse_args()
    batch, points = (64, 1000) if args.quick else (args.batch, 10_000)
    rng = np.random.default_rng(0)
    one, mixed = [args.number] * batch, rng.integers(1, 231, batch).tolist()
    load = os.getloadavg()[0]
    print(
        f"device {jax.devices()[0]}, {os.cpu_count()} CPU cores, load {load:.1f}, jax {jax.__version__}, batch {batch}"
    )
    rows: list[Row] = []
    for numbers, name in ((one, f"no. {args.number}"), (mixed, "mixed")):
        rows += [*bench_closing(numbers, name), bench_checking(numbers, name), bench_pairs(numbers, name)]
        rows += bench_kinds(numbers, name)
        rows += bench_identify(numbers, name)
    rows += bench_stabilizers(args.number, points)
    show(rows)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"batch": batch, "device": str(jax.devices()[0]), "load": load, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    watched(main)
