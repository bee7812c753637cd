"""Speed of group-subgroup navigation against moyopy and pyxtal, in one run on the same machine, with the results compared.

Run: python -m benchmarks.navigation [--quick] [--groups 47,225] [--num 10000] [--cpu] [--json FILE]

Three parts. (a) Translationengleiche subgroups of all 230 groups; moyopy (Rust) enumerates sets and conjugacy classes, without
types and settings; pyxtal reads a table. (b) Klassengleiche subgroups of index 2, 3 and 4 of some groups, P mmm (the slowest)
among them. (c) Splitting all Wyckoff positions under maximal t-subgroups, and deriving structures along one relation; pyxtal does
one at a time. Wall times of one process in one run: the first line as it comes (nothing cached), the others the best of three where
they take less than a second. "x moyopy" is moyopy's time over ours: above 1 we are quicker. What "differs" is decided in the tests,
by the operations. `--cpu` measures processor time of the process instead, for a machine that has other work to do.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import watched

Row = dict[str, Any]
_clock = time.perf_counter
GROUPS = (1, 2, 16, 47, 62, 123, 139, 166, 194, 221, 225, 227)
SPLIT_GROUPS = (62, 136, 139, 166, 194, 216, 221, 227)
CRYSTALS = {  # parent, subgroup: one atom of each orbit in the standard setting, cell lengths
    "CaTiO3, Pnma to P2_1/c": (
        62,
        14,
        (5.44, 7.64, 5.38),
        {20: [(0.036, 0.25, 0.993)], 22: [(0.0, 0.0, 0.5)], 8: [(0.484, 0.25, 0.071), (0.289, 0.037, 0.711)]},
    ),
    "TiO2, P4_2/mnm to Pnnm": (136, 58, (4.594, 4.594, 2.959), {22: [(0.0, 0.0, 0.0)], 8: [(0.305, 0.305, 0.0)]}),
}


def libraries() -> tuple[Any, Any, Any]:
    """moyopy, pyxtal's `Group` and its `wyckoff_split`; a clear message where they are missing."""
    try:
        moyopy = importlib.import_module("moyopy")
        symmetry = importlib.import_module("pyxtal.symmetry")
        split = importlib.import_module("pyxtal.wyckoff_split")
    except ImportError as error:
        raise SystemExit(
            f"benchmarks/navigation.py compares with moyopy and pyxtal, and {error.name} is not installed; both come with the "
            "tests: pip install -c constraints.txt -e '.[test]'"
        ) from error
    return moyopy, symmetry.Group, split.wyckoff_split


def once(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and its result."""
    start = _clock()
    result = run()
    return _clock() - start, result


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """The same, the best of three calls where they are short."""
    seconds, result = once(run)
    if seconds < 1:
        seconds = min(seconds, once(run)[0], once(run)[0])
    return seconds, result


def bench_t(numbers: list[int], moyopy: Any, Group: Any) -> list[Row]:
    """Part (a)."""
    from symjax.groups import standard_setting
    from symjax.groups.primitive import primitive_form
    from symjax.groups.setting import rotation_products
    from symjax.navigate.relation import t_relations
    from symjax.navigate.translationengleiche import conjugacy_classes, subgroup_masks, t_subgroups

    parents = {n: standard_setting(n) for n in numbers}
    first = {n: once(lambda n=n: t_subgroups(parents[n]))[0] for n in numbers}  # type: ignore[misc]  # nothing is kept yet
    again, _ = timed(lambda: [t_subgroups(parents[n]) for n in numbers])
    each = {n: once(lambda n=n: t_relations(parents[n])) for n in numbers}  # type: ignore[misc]
    slowest = max(numbers, key=lambda n: each[n][0])
    classes = sum(len(found) for _, found in each.values())
    subgroups = sum(one.num_conjugates for _, found in each.values() for one in found)
    total = sum(seconds for seconds, _ in each.values())

    forms = {n: primitive_form(parents[n]) for n in numbers}

    def enumerate_ours() -> dict[int, set]:
        found = {}
        for n, form in forms.items():
            product = rotation_products(form.W)
            found[n] = {frozenset(one) for one in conjugacy_classes(product, subgroup_masks(product))}
        return found

    inputs = {n: (form.W.tolist(), (form.w / form.den).tolist()) for n, form in forms.items()}
    ours, mine = timed(enumerate_ours)
    rust, raw = timed(
        lambda: {n: moyopy.enumerate_translationengleiche_subgroups(*given) for n, given in inputs.items()}
    )
    theirs = {
        n: {frozenset(sum(1 << i for i in m.subgroup.operation_indices) for m in c.conjugates) for c in one}
        for n, one in raw.items()
    }
    table, tables = timed(lambda: {n: Group._get_max_t_subgroup(n) for n in numbers})
    lacking = []
    for n in numbers:
        known = set(zip(tables[n]["subgroup"], tables[n]["index"], strict=True))
        lacking += [f"{n} to {one.number}" for one in each[n][1] if (one.number, one.index) not in known]
    sets = sum(len(c) for found in mine.values() for c in found)
    return [
        {
            "job": f"(a) maximal t-subgroups, settings, classes: {len(numbers)} groups",
            "ours": total,
            "pyxtal": table,
            "note": f"{subgroups} subgroups in {classes} classes; slowest no. {slowest}: {each[slowest][0]:.2f} s; "
            f"pyxtal's table lacks: {', '.join(lacking) or 'none'}",
        },
        {
            "job": "    all t-subgroups and classes, no types, no settings",
            "ours": ours,
            "moyopy": rust,
            "note": f"{sets} subgroups; " + _verdict(sum(mine[n] != theirs[n] for n in numbers)),
        },
        {
            "job": "    all t-subgroups with types and classes of one standard setting (packaged)",
            "ours": again / len(numbers),
            "moyopy": rust / len(numbers),
            "note": f"first call in a process: {1e3 * float(np.median(list(first.values()))):.2g} ms (median), "
            f"{1e3 * max(first.values()):.2g} ms (no. {max(first, key=lambda n: first[n])}); moyopy's without types",
        },
    ]


def bench_k(numbers: list[int], moyopy: Any, indices: tuple[int, ...] = (2, 3, 4)) -> list[Row]:
    """Part (b)."""
    from symjax.groups import standard_setting
    from symjax.groups.primitive import primitive_form
    from symjax.navigate.klassengleiche import k_subgroups
    from symjax.navigate.relation import k_relations

    rows: list[Row] = []
    for n in numbers:
        parent, form = standard_setting(n), primitive_form(standard_setting(n))
        given = (form.W.tolist(), (form.w / form.den).tolist())
        full, relations = timed(lambda: [one for i in indices for one in k_relations(parent, i, maximal=False)])  # noqa: B023
        bare, _ = timed(lambda: [k_subgroups(parent, i) for i in indices])  # noqa: B023
        rust, found = timed(
            lambda: [c for i in indices for c in moyopy.enumerate_klassengleiche_subgroups_by_index(*given, i)]  # noqa: B023
        )
        same = sorted(one.num_conjugates for one in relations) == sorted(len(c.conjugates) for c in found)
        rows += [
            {
                "job": f"(b) k-subgroups of index {indices[0]} to {indices[-1]} with settings, no. {n}",
                "ours": full,
                "moyopy": rust,
                "note": f"{sum(one.num_conjugates for one in relations)} subgroups in {len(relations)} classes, "
                f"{sum(bool(one.maximal) for one in relations)} of them maximal; types and classes alone {bare:.2f} s; "
                + _verdict(0 if same else 1),
            }
        ]
    return rows


def signature(parts: list[tuple[int, int, list[tuple[int, int]]]]) -> tuple:
    """A splitting as something to compare: (multiplicity, freedom) of each position with those it splits into."""
    return tuple(sorted((m, d, tuple(sorted(children))) for m, d, children in parts))


def bench_split(numbers: list[int], Group: Any, wyckoff_split: Any) -> list[Row]:
    """Part (c), splitting: every position of every maximal t-subgroup of some groups."""
    from symjax.groups import standard_setting
    from symjax.navigate.relation import t_relations
    from symjax.navigate.splitting import Splitter, standard_positions

    relations = {n: t_relations(standard_setting(n)) for n in numbers}
    for n in numbers:  # positions of all groups once, as pyxtal has them in its tables
        for number in {n, *(one.number for one in relations[n])}:
            standard_positions(number)
    ours, mine = timed(lambda: {n: [(one, Splitter(one).split_all()) for one in relations[n]] for n in numbers})
    groups = {n: Group(n) for n in numbers}

    def pyxtals() -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for n, group in groups.items():
            every = list(range(len(group.Wyckoff_positions)))
            count = len(group.get_max_t_subgroup()["subgroup"])
            found[n] = [wyckoff_split(G=n, idx=i, wp1=every, group_type="t") for i in range(count)]
        return found

    theirs_time, theirs = timed(pyxtals)
    differs = 0
    for n in numbers:
        positions = standard_positions(n)
        size, freedom = positions.multiplicity.tolist(), positions.dof.tolist()
        known = {
            (
                one.number,
                signature(
                    [
                        (size[s.position], freedom[s.position], [(o.multiplicity, o.dof) for o in s.orbits])
                        for s in splits
                    ]
                ),
            )
            for one, splits in mine[n]
        }
        for split in theirs[n]:
            parts = [
                (wp.multiplicity, wp.get_dof(), [(child.multiplicity, child.get_dof()) for child in children])
                for wp, children in zip(split.wp1_lists, split.wp2_lists, strict=True)
            ]
            differs += split.error or (split.H.number, signature(parts)) not in known
    count = sum(len(theirs[n]) for n in numbers)
    classes = sum(len(mine[n]) for n in numbers)
    # pyxtal's tables hold several conjugates of some classes: compare per relation
    return [
        {
            "job": "(c) splitting all positions, per relation",
            "ours": ours / classes,
            "pyxtal": theirs_time / count,
            "note": f"{classes} classes of {len(numbers)} groups, pyxtal's {count} entries; " + _verdict(differs),
        }
    ]


def bench_derive(num: int, repeats: int) -> list[Row]:
    """Part (c), structures along one relation."""
    import jax

    from symjax.cli.parent import LENGTH_RULE, parent_of
    from symjax.crystals.io import to_pymatgen
    from symjax.crystals.types import AtomicStructure
    from symjax.evaluate.symmetry import detected_number
    from symjax.navigate.derive import collect, derive_batch, make_plan
    from symjax.navigate.modes import modes_of
    from symjax.navigate.relation import t_relations
    from symjax.navigate.splitcrystal import split_crystal

    pyxtal = importlib.import_module("pyxtal").pyxtal
    rows: list[Row] = []
    for name, (number, target, lengths, sites) in CRYSTALS.items():
        z, x = atoms_of(number, sites)
        crystal = parent_of(AtomicStructure(L=np.diag(lengths), z=z, x=x)).crystal
        relation = next(one for one in t_relations(_opset(crystal)) if one.number == target)
        prepare, plan_modes = once(lambda: modes_of(split_crystal(crystal, relation)))  # noqa: B023
        plan = make_plan(plan_modes)
        first, _ = once(lambda: derive_batch(plan, jax.random.key(0), num, 0.1, 1.0))  # noqa: B023
        ours, batch = timed(lambda: derive_batch(plan, jax.random.key(1), num, 0.1, 1.0))  # noqa: B023
        part = jax.tree.map(lambda a: a[:20], batch)
        found = [one.atoms() for one in collect(plan_modes, part, 0.5).crystals]
        exactly = sum(detected_number(c, 1e-3, LENGTH_RULE) == target for c in found)
        theirs = pyxtal()
        theirs.from_seed(to_pymatgen(crystal.atoms()))
        table = theirs.group.get_max_t_subgroup()["subgroup"]
        index = [table.index(target)]

        def one_of_theirs(theirs: Any = theirs, index: list[int] = index) -> Any:
            return theirs.subgroup(eps=0.1, idx=index, group_type="t")

        made = one_of_theirs()
        seconds, _ = timed(lambda: [one_of_theirs() for _ in range(repeats)])
        right = len(made) == 1 and made[0].group.number == target
        rows.append(
            {
                "job": f"    deriving, per structure: {name}",
                "ours": ours / num,
                "pyxtal": seconds / repeats,
                "note": f"{num} structures in {ours:.2f} s under jit (first call {first:.1f} s, "
                f"splitting and modes {prepare:.2f} s); "
                f"{exactly} of {len(found)} looked at have exactly no. {target} (spglib); pyxtal's "
                + ("has" if right else "differs: has not")
                + " that group",
            }
        )
    return rows


def atoms_of(number: int, sites: dict[int, list[tuple[float, float, float]]]) -> tuple[np.ndarray, np.ndarray]:
    """All atoms of a conventional cell from one of each orbit: (a,) atomic numbers and (a, 3) coordinates."""
    from symjax.groups import standard_setting

    group = standard_setting(number)
    z: list[int] = []
    x: list[np.ndarray] = []
    for element, points in sites.items():
        for point in points:
            images = np.mod(group.W @ np.array(point) + group.w / group.den, 1.0)
            _, first = np.unique(np.round(images, 6) % 1.0, axis=0, return_index=True)
            z += [element] * len(first)
            x += list(images[first])
    return np.array(z), np.array(x)


def _opset(crystal: Any) -> Any:
    from symjax.groups.sets import make_opset

    return make_opset(crystal.W, crystal.w, den=crystal.den)


def _verdict(differences: int) -> str:
    return "results agree" if not differences else f"differs in {differences}"


def show(rows: list[Row]) -> None:
    """A plain table: seconds, then ratios, then notes."""

    def number(seconds: float | None) -> str:
        if seconds is None:
            return "-"
        for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
            if seconds >= scale:
                return f"{seconds / scale:.3g} {unit}"
        return f"{seconds / 1e-9:.3g} ns"

    names = ("moyopy", "pyxtal")
    lines = [["job", "ours", *names, *(f"x {name}" for name in names)]]
    for row in rows:
        ratios = [f"{row[name] / row['ours']:.3g}" if name in row else "-" for name in names]
        lines.append([row["job"], number(row["ours"]), *(number(row.get(name)) for name in names), *ratios])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line, row in zip(lines, [{}, *rows], strict=True):
        print(
            "  ".join(t.ljust(w) if i == 0 else t.rjust(w) for i, (t, w) in enumerate(zip(line, widths, strict=True)))
        )
        if "note" in row:
            print(f"      {row['note']}")


def main(argv: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few groups, few structures: a check, not a figure")
    parser.add_argument("--groups", help=f"numbers of part (b), with commas (default {','.join(map(str, GROUPS))})")
    parser.add_argument("--num", type=int, default=10_000, help="structures per relation (default 10,000)")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall time")
    parser.add_argument("--json", help="also write the rows (seconds) to this file")
    args = parser.parse_args(argv)
    global _clock
    _clock = time.process_time if args.cpu else time.perf_counter
    moyopy, Group, wyckoff_split = libraries()
    warnings.simplefilter("ignore")
    load = os.getloadavg()[0]
    kind = "processor" if args.cpu else "wall"
    print(f"{os.cpu_count()} CPU cores, load {load:.1f}, {kind} time, moyopy {moyopy.__version__}")
    if args.quick:
        every, groups, splits, num, repeats = [3, 62, 97, 166, 221], [3, 62, 221], [136], 100, 3
    else:
        every, groups, splits, num, repeats = list(range(1, 231)), list(GROUPS), list(SPLIT_GROUPS), args.num, 30
    groups = [int(n) for n in args.groups.split(",")] if args.groups else groups
    rows = bench_t(every, moyopy, Group)
    rows += bench_k(groups, moyopy)
    rows += bench_split(splits, Group, wyckoff_split)
    rows += bench_derive(num, repeats)
    show(rows)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"load": load, "rows": rows}, file, indent=1)
    return rows


if __name__ == "__main__":
    watched(main)
