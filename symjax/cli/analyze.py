"""`symjax analyze FILE`: operations, closure, group, orbits and lattice freedom of a crystal, as tables or JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

OPERATIONS_SHOWN = 24


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `analyze`."""
    parser = subparsers.add_parser(
        "analyze",
        help="operations, closure, group, orbits and lattice freedom of a crystal",
        description="The crystal is brought to the standard setting of the group found at the tolerance, or to --setting; all else "
        "is worked out from its operations.",
    )
    parser.add_argument("file", type=Path, help="CIF, POSCAR, .vasp or .extxyz, plain or .gz")
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="tolerance of the symmetry search, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    parser.add_argument(
        "--angle-tolerance",
        type=float,
        default=-1.0,
        metavar="DEGREES",
        help="of the lattice's angles, degrees (-1: judged as lengths, by --symprec)",
    )
    parser.add_argument(
        "--setting",
        metavar="SYMBOL",
        help="tell everything in this setting of the group: Pbnm, R-3m:R, a Hall symbol (the standard one)",
    )
    parser.add_argument(
        "--all", action="store_true", help=f"show all operations, not only the first {OPERATIONS_SHOWN}"
    )
    parser.add_argument(
        "--equivalent",
        action="store_true",
        help="also all equivalent Wyckoff representations: the letters under every choice of origin and axes",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse a file whose reading left notes: assumed symmetry, missing hydrogens, ...",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Analyze a file and print what was found; returns the exit code."""
    import sys

    import numpy as np

    from symjax.cli.parent import formula_text, plain_origin, tolerance_for
    from symjax.crystals.io import UnusableCrystal, check_structure, read_file
    from symjax.data.analysis import analyze_structure
    from symjax.data.equivalents import equivalent_representations
    from symjax.errors import DataError
    from symjax.groups.symbols import parse_setting
    from symjax.navigate.notation import CONVENTION, way_texts

    reading = read_file(args.file)
    structure = reading.structure
    if args.strict and reading.notes:
        raise DataError(f"{args.file}: {'; '.join(note.text for note in reading.notes)} (--strict)")
    try:
        check_structure(structure)
        chosen = tolerance_for(structure, args.symprec)
        for text in chosen.warnings(str(args.file), "it is analyzed"):
            print(f"symjax: warning: {text}", file=sys.stderr)
        args.symprec = chosen.symprec
        setting = None if args.setting is None else parse_setting(args.setting)
        report = analyze_structure(structure, args.symprec, args.angle_tolerance, setting=setting)
        report["formula"] = formula_text(structure.z)
        P = np.linalg.inv(report["transformation"])
        report |= way_texts(P, plain_origin(-P @ report["origin_shift"], P), "file_to_setting")
        report["convention"] = CONVENTION
        report["stated_symmetry"] = reading.symmetry or None
        report["notes"] = [note._asdict() for note in reading.notes]
        report["symmetry_ladder"] = {f"{tolerance:g}": n for tolerance, n in chosen.ladder.items()}
        if args.equivalent:
            found = equivalent_representations(structure, args.symprec, args.angle_tolerance)
            report["equivalent"] = [one.to_dict() for one in found]
    except UnusableCrystal as error:
        raise DataError(f"{args.file}: {error}") from error
    if args.json:
        print(json.dumps({"file": str(args.file)} | report))
    else:
        show(args.file, report, None if args.all else OPERATIONS_SHOWN)
        if args.equivalent:
            _show_equivalent(report["equivalent"])
    return 0


def _show_equivalent(found: list[dict[str, Any]]) -> None:
    """One line for each representation."""
    print(f"equivalent Wyckoff representations: {len(found)}")
    for one in found:
        print(f"  {one['word']}{'   (of the mirror image)' if one['mirrored'] else ''}")


def show(file: Path, report: dict[str, Any], limit: int | None) -> None:
    """Print the report as tables."""
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from symjax.navigate.notation import coordinate_text

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    facts = Table(title=f"{file}: {report['formula']}", title_justify="left", show_header=False)
    for name, value in _facts(report).items():
        facts.add_row(name, Text(value))
    console.print(facts)
    orbits = Table(title="orbits", title_justify="left")
    for name in ("element", "Wyckoff", "site symmetry", "free", "position", "representative"):
        orbits.add_column(name)
    for orbit in report["orbits"]:
        orbits.add_row(
            orbit["element"],
            f"{orbit['multiplicity']}{orbit['letter']}",
            orbit["site_symmetry"],
            str(orbit["free_coordinates"]),
            orbit["position"],
            coordinate_text(orbit["representative"], 5),
        )
    console.print(orbits)
    operations = Table(title="operations", title_justify="left")
    for name in ("#", "x, y, z", "Seitz", "meaning"):
        operations.add_column(name)
    shown = report["operations"][:limit]
    for i, row in enumerate(shown):
        operations.add_row(str(i), row["xyz"], row["seitz"], row["meaning"])
    console.print(operations, markup=False)
    console.print(report["convention"], markup=False)
    if len(shown) < len(report["operations"]):
        console.print(f"... and {len(report['operations']) - len(shown)} more (--all, --json)")


def _facts(report: dict[str, Any]) -> dict[str, str]:
    """The upper table; facts without words are left out."""
    from symjax.cli.parent import ladder_text

    group, found, lattice, closure = (report[name] for name in ("group", "properties", "lattice", "closure"))
    traits = [name for name in ("centrosymmetric", "chiral", "polar", "symmorphic") if found[name]]
    closed = (
        "a group: every product, inverse and the identity are members"
        if closure["is_group"]
        else f"NOT a group: {closure['defects']}"
    )
    used = (
        "the identity alone"
        if report["symprec"] == 0
        else f"{report['symprec']:g} angstrom"
        + (f", {report['angle_tolerance']:g} degrees" if report["angle_tolerance"] >= 0 else "")
    )
    ladder = {float(tolerance): number for tolerance, number in report.get("symmetry_ladder", {}).items()}
    lengths = ", ".join(f"{v:.4f}" for v in lattice["lengths"])
    angles = ", ".join(f"{v:.3f}" for v in lattice["angles"])
    facts = {
        "group": f"{group['setting']} ({group['number']}), Hall {group['hall_symbol']}",
        "stated in the file": report.get("stated_symmetry") or "",
        "found at": used,
        "at other tolerances": ladder_text(ladder) if len(set(ladder.values())) > 1 else "",
        "operations": f"{found['order']} in the cell, {len(found['centring'])} of them translations",
        "closure": closed,
        "point group": f"{found['point_group']}, {found['crystal_system']}",
        "properties": ", ".join(traits) or "none of centrosymmetric, chiral, polar, symmorphic",
        "cell": f"{lengths} angstrom; {angles} degrees; {lattice['volume']:.3f} cubic angstrom",
        "lattice freedom": f"{lattice['free_parameters']} of 6 parameters",
        "in the file's axes": f"[{report['file_to_setting']}]",
        "from the file's cell": _transformation(report["transformation"], report["origin_shift"]),
        "atoms": f"{report['atoms_in_cell']} in the cell, {report['atoms_in_primitive_cell']} in the primitive cell",
        **{f"note: {note['kind']}": note["text"] for note in report.get("notes", ())},
    }
    return {name: text for name, text in facts.items() if text}


def _transformation(T: list[list[float]], p: list[float]) -> str:
    """``x' = x - y + 1/4, ...``: from coordinates in the file's cell to those of the standard cell."""
    from symjax.navigate.notation import fraction_texts

    rows = []
    for row, shift in zip(T, p, strict=True):
        terms = [(value, name) for value, name in zip(row, "xyz", strict=True) if abs(value) > 1e-9]
        text = " ".join(
            f"{'-' if v < 0 else '+'} {'' if abs(abs(v) - 1) < 1e-9 else f'{fraction_texts([abs(v)])[0]} '}{name}"
            for v, name in terms
        )
        if abs(shift) > 1e-6:
            text += f" {'-' if shift < 0 else '+'} {fraction_texts([abs(shift)])[0]}"
        rows.append(text.removeprefix("+ "))
    return ", ".join(rows)
