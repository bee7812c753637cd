"""`symjax supergroups FILE`: operations that a distorted structure nearly has, their supergroups, the symmetrized parents."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.cli.output import add_overwrite
from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.crystals.types import AtomicStructure
    from symjax.navigate.amplitudes import Decomposition
    from symjax.navigate.supergroups import Search, Supergroup

EPILOG = """\
examples:
  symjax supergroups CaTiO3.cif --tolerance 0.5
  symjax supergroups NiTi.cif --tolerance 0.4 --strain-tolerance 12 --out parents"""
MODES_SHOWN = 12


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `supergroups`."""
    parser = subparsers.add_parser(
        "supergroups",
        help="parents of a distorted structure, with displacement, strain and mode amplitudes",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Find the operations that a structure nearly has, the supergroups they generate together with its own, and for "
        "each the nearest structure that has them exactly. Displacements are those of the atoms from that parent about the common "
        "centroid; strains are principal logarithmic strains of its lattice.",
    )
    parser.add_argument("file", type=Path, help="CIF, POSCAR, .vasp or .extxyz, plain or .gz")
    parser.add_argument("--tolerance", type=float, default=0.2, metavar="A", help="largest displacement, Å (0.2)")
    parser.add_argument(
        "--strain-tolerance", type=float, default=5.0, metavar="PERCENT", help="largest strain, percent (5)"
    )
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="of the structure's own group, Å (0.01; where nothing but translations is left there, as after a relaxation "
        "without symmetry, the tolerance at which the group jumps, up to 0.05)",
    )
    parser.add_argument("--minimal", action="store_true", help="only minimal supergroups")
    parser.add_argument(
        "--num", type=int, default=30, metavar="N", help="how many to list: the highest and the nearest (30)"
    )
    parser.add_argument(
        "--max-groups", type=int, default=200, metavar="N", help="groups that the walk up looks at (200)"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="write the symmetrized parents (CIF, standard setting) and index.json there"
    )
    parser.add_argument(
        "--setting", metavar="SYMBOL", help="of the parents of its type in --out: Pbnm, ... (the standard one)"
    )
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Search, write, and show what was found; returns the exit code."""
    from symjax.cli.output import check_folder, read_noted, show_then_write
    from symjax.cli.parent import tolerance_for
    from symjax.crystals.io import check_structure
    from symjax.errors import DataError
    from symjax.groups.symbols import parse_setting

    _check(args)
    hall = None if args.setting is None else parse_setting(args.setting)
    folder = None if args.out is None else check_folder(args.out, overwrite=args.overwrite)
    structure = read_noted(args.file)
    try:
        check_structure(structure)
    except DataError as error:
        raise DataError(f"{args.file}: {error}") from error
    chosen_tolerance = tolerance_for(structure, args.symprec)
    args.symprec, ladder = chosen_tolerance.symprec, chosen_tolerance.ladder
    for text in chosen_tolerance.warnings(str(args.file), "the supergroups are those of that"):
        print(f"symjax: warning: {text}", file=sys.stderr)
    search = _search(args, structure)
    if not search.complete:
        print(
            f"symjax: warning: the walk stopped after {args.max_groups} groups (--max-groups): the highest groups and the minimal "
            "ones were looked at first, others may be missing",
            file=sys.stderr,
        )
    chosen = choose(search, args.num, minimal=args.minimal)
    report = report_of(args, structure, search, chosen, ladder)
    for at, entry in enumerate(report["supergroups"] if folder is not None else []):
        entry["file"] = f"{at:02d}-{report['formula']}-{entry['number']}.cif"
    show_then_write(
        lambda: print(json.dumps(report)) if args.json else show(args, report),
        lambda: None if folder is None else write(folder, search, chosen, report, hall=hall),
    )
    if folder is not None and not args.json:
        print(f"{len(report['supergroups'])} parents written to {folder}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot be meant."""
    if not 0 < args.strain_tolerance <= 30:
        raise InputError(f"--strain-tolerance must be above 0 and at most 30 percent, got {args.strain_tolerance:g}")
    for name, value in (("--num", args.num), ("--max-groups", args.max_groups)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if args.setting is not None and args.out is None:
        raise InputError("--setting is that of the parents written; give --out as well")


def choose(search: Search, num: int, *, minimal: bool = False) -> list[Supergroup]:
    """At most ``num`` supergroups, in order: where there are more, the highest ones and then the least displaced minimal ones."""
    found = [g for g in search.supergroups if g.minimal or not minimal]
    if len(found) <= num:
        return found
    highest = sorted(found, key=lambda g: (-g.index, g.rms_displacement))[: (num + 1) // 2]
    kept = {id(g) for g in highest}
    rest = sorted((g for g in found if id(g) not in kept), key=lambda g: (not g.minimal, g.rms_displacement))
    kept |= {id(g) for g in rest[: num - len(highest)]}
    return [g for g in found if id(g) in kept]


def _search(args: argparse.Namespace, structure: AtomicStructure) -> Search:
    from tqdm import tqdm

    from symjax.navigate.supergroups import find_supergroups

    with tqdm(desc="groups looked at", unit="group", disable=args.quiet or args.json or None, file=sys.stderr) as bar:

        def progress(done: int, known: int) -> None:
            bar.total = known
            bar.update(done - bar.n)

        return find_supergroups(
            structure,
            tolerance=args.tolerance,
            strain_tolerance=args.strain_tolerance / 100,
            symprec=args.symprec,
            max_groups=args.max_groups,
            progress=progress,
        )


def report_of(
    args: argparse.Namespace,
    structure: AtomicStructure,
    search: Search,
    chosen: list[Supergroup],
    ladder: dict[float, int],
) -> dict[str, Any]:
    """Everything found, as JSON values; lengths in angstrom, strains in percent."""
    from symjax.cli.parent import formula_text, parent_of
    from symjax.navigate.notation import CONVENTION

    return {
        "file": str(args.file),
        "formula": formula_text(structure.z),
        **parent_of(structure, args.symprec).transformation,
        "convention": CONVENTION,
        "group": {"number": search.number, "symbol": search.symbol, "symprec": args.symprec},
        "symmetry_ladder": {f"{tolerance:g}": number for tolerance, number in ladder.items()},
        "atoms_in_primitive_cell": len(search.cell.z),
        "tolerance": args.tolerance,
        "strain_tolerance": args.strain_tolerance,
        "complete": search.complete,
        "found": len(search.supergroups),
        "supergroups": [_entry(search, found) for found in chosen],
    }


def _entry(search: Search, found: Supergroup) -> dict[str, Any]:
    """One supergroup as JSON values."""
    from symjax.cli.parent import plain_origin
    from symjax.elements import symbol
    from symjax.navigate.amplitudes import decompose
    from symjax.navigate.notation import way_texts

    modes = decompose(search, found)
    setting = modes.relation.setting
    upper, (C, o) = search.setting_of(found), search.way
    P = C @ found.columns @ upper.matrix
    p = plain_origin(o + C @ (found.origin + found.columns @ upper.origin), P)
    return {
        **way_texts(P, p, "file_to_parent"),
        # of this relation: where the group has a normalizer, another search of the file may end in another equivalent setting
        **way_texts(P @ setting.matrix, p + P @ setting.origin),
        "number": found.number,
        "symbol": found.symbol,
        "found_in_atoms": _detected(modes.parent),
        "index": found.index,
        "t_index": found.t_index,
        "k_index": found.k_index,
        "minimal": found.minimal,
        "equivalent": found.num_equivalent,
        "chain": list(found.chain),
        "max_displacement": _round(found.max_displacement),
        "rms_displacement": _round(found.rms_displacement),
        "max_strain": _round(100 * found.max_strain),
        "principal_strains": [_round(100 * v) for v in found.strain],
        "basis": [[_round(v) for v in row] for row in setting.matrix],
        "origin": [_round(v) for v in setting.origin],
        "near_operations": _near(search, found),
        "modes": {
            "amplitude": _round(found.amplitude),
            "amplitude_by_element": {symbol(z): _round(a) for z, a in found.amplitude_of(search.cell.z).items()},
            "displacements": [_round(a) for a in modes.displacement],
            "strains": [_round(100 * a) for a in modes.strain],
            "of_the_order_parameter": [modes.modes.num_primary, modes.modes.num_primary_strain],
            "rest": _round(modes.rest),
            "orbits": _orbits(modes),
            "vectors": _vectors(modes),
            "shares": _shares(modes),
        },
    }


def _orbits(modes: Decomposition) -> list[dict[str, Any]]:
    """The parent's atoms in the standard setting of the structure's own group, one of each orbit of that."""
    from symjax.elements import symbol

    split = modes.modes.split
    return [
        {"element": symbol(int(z)), "multiplicity": int(n), "position": [_round(v) for v in x]}
        for z, n, x in zip(split.z, split.multiplicity, split.x, strict=True)
    ]


def _vectors(modes: Decomposition) -> list[list[list[float]]]:
    """For each displacement mode the step of each orbit's atom in fractions of that cell, at an amplitude of one angstrom."""
    import numpy as np

    steps = modes.modes.displacement @ np.linalg.inv(modes.modes.split.L)
    return [[[_round(v) for v in step] for step in mode] for mode in steps]


def _shares(modes: Decomposition) -> list[dict[str, float]]:
    """For each displacement mode the part of its square that each element has."""
    from symjax.elements import symbol

    split = modes.modes.split
    square = (modes.modes.displacement**2).sum(axis=-1) * split.multiplicity
    return [
        {symbol(int(z)): _round(row[split.z == z].sum()) for z in dict.fromkeys(split.z.tolist())} for row in square
    ]


def _near(search: Search, found: Supergroup) -> list[dict[str, Any]]:
    """Operations of the parent that the structure has only nearly, in the parent's standard setting."""
    import numpy as np

    from symjax.navigate.amplitudes import near_operations
    from symjax.ops import DEN, Op
    from symjax.ops.geometry import describe
    from symjax.ops.seitz import seitz
    from symjax.ops.symbols import format_xyz

    near = near_operations(search, found)
    W = np.array([one.W for one in near], np.int32).reshape(-1, 3, 3)
    w = np.array([np.rint(DEN * one.w) for one in near], np.int32).reshape(-1, 3)
    pure = (W == np.eye(3, dtype=np.int32)).all(axis=(1, 2))
    operations = Op(W, np.mod(w, DEN))
    rows = zip(near, pure, format_xyz(operations), seitz(operations), describe(operations), strict=True)
    return [
        {
            "xyz": "" if translation else xyz,
            "seitz": "" if translation else name,
            "meaning": "translation " + ", ".join(f"{v:.4g}" for v in one.w) if translation else str(meaning),
            "mismatch": _round(one.mismatch),
        }
        for one, translation, xyz, name, meaning in rows
    ]


def _detected(parent: Any) -> int:
    """Space-group number that spglib finds in the atoms of a parent at 1e-4 angstrom."""
    from symjax.crystals.io import as_structure
    from symjax.evaluate.symmetry import detected_number

    return detected_number(as_structure(parent), 1e-4, -1.0)


def write(
    folder: Path, search: Search, chosen: list[Supergroup], report: dict[str, Any], *, hall: int | None = None
) -> None:
    """The parents as CIF, those of the type of a setting (Hall number) in that, and the index, into a folder."""
    from symjax import __version__
    from symjax.cli.output import INDEX, cif_text, file_setting_entry, staged_folder, write_json
    from symjax.groups.symbols import setting_name
    from symjax.groups.tables import hall_to_number
    from symjax.navigate.amplitudes import parent_and_relation

    number = None if hall is None else hall_to_number(hall)
    if hall is not None and number not in [found.number for found in chosen]:
        listed = ", ".join(f"{found.symbol} ({found.number})" for found in chosen)
        raise InputError(f"--setting: {setting_name(hall)} is none of the supergroups found: {listed or 'none'}")
    with staged_folder(folder) as stage:
        for found, entry in zip(chosen, report["supergroups"], strict=True):
            parent, _ = parent_and_relation(search, found)
            own = hall if found.number == number else None
            if own is not None:
                entry["file_setting"] = file_setting_entry(own)
            (stage / entry["file"]).write_text(
                cif_text(parent, found.number, name=entry["file"].removesuffix(".cif"), hall=own), encoding="utf-8"
            )
        files = sorted([*(entry["file"] for entry in report["supergroups"]), INDEX])
        write_json(stage / INDEX, {"program": "symjax supergroups", "version": __version__, "files": files, **report})


def show(args: argparse.Namespace, report: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 132, highlight=False)
    group = report["group"]
    head = f"{args.file}: {report['formula']}, {group['symbol']} ({group['number']}) at {group['symprec']:g} angstrom"
    if not report["supergroups"]:
        console.print(
            f"{head}\nno supergroup within {args.tolerance:g} angstrom and a strain of {args.strain_tolerance:g} percent; "
            "raise --tolerance or --strain-tolerance",
            markup=False,
        )
        return
    table = Table(title=head, title_justify="left", row_styles=["", "dim"])
    for name in (
        "supergroup",
        "index",
        "t",
        "k",
        "minimal",
        "largest",
        "rms",
        "strain",
        "modes",
        "amplitude by element",
        "nearly has",
    ):
        table.add_column(name, justify="right" if name in ("index", "t", "k", "largest", "rms", "strain") else "left")
    for entry in report["supergroups"]:
        modes = entry["modes"]
        times = f" x{entry['equivalent']}" if entry["equivalent"] > 1 else ""
        table.add_row(
            f"{entry['symbol']} ({entry['number']}){times}",
            str(entry["index"]),
            str(entry["t_index"]),
            str(entry["k_index"]),
            "yes" if entry["minimal"] else "",
            f"{entry['max_displacement']:.4f} Å",
            f"{entry['rms_displacement']:.4f} Å",
            f"{entry['max_strain']:.2f} %",
            f"{len(modes['displacements'])} + {len(modes['strains'])}",
            ", ".join(f"{e} {a:.3f}" for e, a in modes["amplitude_by_element"].items() if a > 5e-4) or "none",
            _summary(entry),
        )
    console.print(table)
    console.print(
        "largest, rms: displacement from the parent; strain: largest principal logarithmic strain; modes: displacements + strains "
        "freed from the parent; amplitude: angstrom, in the primitive cell of the structure; nearly has: an operation of the "
        "parent and by how much the atoms miss it"
    )
    _show_ways(console, report)
    if report["found"] > len(report["supergroups"]):
        console.print(
            f"{len(report['supergroups'])} of {report['found']} supergroups found are shown (--num, --minimal)"
        )
    _show_modes(console, report["supergroups"][-1], report)
    wrong = [e for e in report["supergroups"] if e["found_in_atoms"] != e["number"]]
    for entry in wrong:
        console.print(f"spglib finds {entry['found_in_atoms']} in the parent of {entry['symbol']} ({entry['number']})")


def _show_ways(console: Any, report: dict[str, Any]) -> None:
    """Where the standard settings lie in the file's axes."""
    own = report["group"]["symbol"]
    ways = [f"standard setting of {own} in the file's axes: [{report['file_to_standard']}]"]
    ways += [f"of {entry['symbol']}: [{entry['file_to_parent']}]" for entry in report["supergroups"]]
    console.print("; ".join(ways), markup=False)
    console.print(report["convention"], markup=False)


def _show_modes(console: Any, entry: dict[str, Any], report: dict[str, Any]) -> None:
    """Amplitudes of the modes that lead down from the highest parent."""
    from rich.table import Table

    modes = entry["modes"]
    table = Table(
        title=f"modes of the structure over {entry['symbol']} ({entry['number']}), in the conventional cell of "
        f"{report['group']['symbol']}",
        title_justify="left",
    )
    for name in ("mode", "amplitude", "kept by no group between", "share of elements"):
        table.add_column(name, justify="right" if name == "amplitude" else "left")
    rows = list(zip(modes["displacements"], modes["shares"], strict=True))
    shown = sorted(sorted(range(len(rows)), key=lambda at: -abs(rows[at][0]))[:MODES_SHOWN])
    for at in shown:
        amplitude, shares = rows[at]
        table.add_row(
            f"displacement {at + 1}",
            f"{abs(amplitude):.4f} Å",
            "yes" if at < modes["of_the_order_parameter"][0] else "",
            ", ".join(f"{e} {100 * v:.0f} %" for e, v in shares.items() if v > 5e-3),
        )
    for at, amplitude in enumerate(modes["strains"]):
        primary = "yes" if at < modes["of_the_order_parameter"][1] else ""
        table.add_row(f"strain {at + 1}", f"{abs(amplitude):.3f} %", primary, "")
    console.print(table)
    if len(rows) > len(shown):
        console.print(f"... and {len(rows) - len(shown)} displacements of smaller amplitude (--json)")


def _summary(entry: dict[str, Any]) -> str:
    """A few words on the operations that a supergroup adds: one of them, and how many more."""
    near = entry["near_operations"]
    order = [
        text
        for start in ("inversion", "mirror", "translation", "")
        for text in near
        if text["meaning"].startswith(start)
    ]
    if not order:
        return ""
    first = order[0]
    return f"{first['meaning']}: {first['mismatch']:.3f} Å" + (f"; {len(near) - 1} more" if len(near) > 1 else "")


def _round(value: float) -> float:
    return round(float(value), 6) + 0.0
