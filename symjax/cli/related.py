"""`symjax related A B`: whether two structures are related by group and subgroup, through which transformation, atom by atom."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from symjax.cli.parent import Parent
    from symjax.crystals.types import AtomicStructure
    from symjax.navigate.symmetry_modes import ModeAnalysis

EPILOG = """\
--substitute Zr=Ti lets Zr of either file count as Ti, so that crystals of one structure type can be compared; repeatable.

examples:
  symjax related SrTiO3.cif SrTiO3-tetragonal.cif
  symjax related SrTiO3.cif CaZrO3.cif --substitute Ca=Sr --substitute Zr=Ti"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `related`."""
    parser = subparsers.add_parser(
        "related",
        help="are two structures related by group and subgroup; transformation and atom map",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Look for a mapping of cells and atoms by which the group of one structure is a subgroup of the other's; where "
        "there is none, for the subgroup that both share.",
    )
    parser.add_argument("first", type=Path, metavar="A", help="CIF, POSCAR, .vasp or .extxyz, plain or .gz")
    parser.add_argument("second", type=Path, metavar="B")
    parser.add_argument(
        "--substitute",
        action="append",
        default=[],
        metavar="X=Y",
        help="element X counts as Y in both files (repeatable)",
    )
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="of both groups, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    parser.add_argument("--max-cell", type=int, default=8, metavar="K", help="primitive cells in the common cell (8)")
    parser.add_argument(
        "--max-strain", type=float, default=15.0, metavar="PERCENT", help="largest strain, percent (15)"
    )
    parser.add_argument(
        "--max-displacement",
        type=float,
        default=1.5,
        metavar="A",
        help="of any atom, for structures that are related (1.5)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Compare and show; returns 0 where they are related, 1 where not."""
    from symjax.cli.output import read_noted
    from symjax.cli.parent import parent_of
    from symjax.errors import InputError

    if not 1 <= args.max_cell <= 64 or not 0 < args.max_strain <= 60 or not args.max_displacement > 0:
        raise InputError(
            "--max-cell must be 1 to 64, --max-strain above 0 and at most 60 percent, --max-displacement positive"
        )
    table = _substitutions(args.substitute)
    files = [read_noted(path) for path in (args.first, args.second)]
    plain = [_substituted(file, table) for file in files]
    ends = [
        parent_of(file, args.symprec, name=str(path))
        for file, path in zip(plain, (args.first, args.second), strict=True)
    ]
    for end in ends:
        end.warn()
    report = report_of(args, ends, plain, files)
    if args.json:
        print(json.dumps(report))
    else:
        show(report)
    return 0 if report["related"] else 1


def _substitutions(texts: list[str]) -> dict[int, int]:
    """Atomic number -> the one that it counts as.

    Raises:
        InputError: no such element, or not of the form X=Y.
    """
    from symjax.elements import atomic_number
    from symjax.errors import InputError

    found = {}
    for text in texts:
        left, _, right = text.partition("=")
        if not left or not right:
            raise InputError(f"--substitute {text}: must be of the form Zr=Ti")
        numbers = [atomic_number(name.strip()) for name in (left, right)]
        if numbers[0] is None or numbers[1] is None:
            raise InputError(f"--substitute {text}: {left if numbers[0] is None else right} is no element")
        found[numbers[0]] = numbers[1]
    return found


def _substituted(structure: AtomicStructure, table: dict[int, int]) -> AtomicStructure:
    import numpy as np

    return replace(structure, z=np.array([table.get(int(z), int(z)) for z in structure.z]))


def report_of(
    args: argparse.Namespace, ends: list[Parent], plain: list[AtomicStructure], files: list[AtomicStructure]
) -> dict[str, Any]:
    """What was found, as JSON values."""
    from symjax.cli.parent import formula_text, tolerance_for
    from symjax.errors import DataError
    from symjax.navigate.notation import CONVENTION, basis_text, fractions_of, origin_text, way_texts
    from symjax.navigate.symmetry_modes import analyse, way_from_low
    from symjax.navigate.transition import find_transitions, phase_of

    paths = (args.first, args.second)
    report: dict[str, Any] = {
        "program": "symjax related",
        "structures": [
            {"file": str(path), "formula": formula_text(file.z), "number": end.number, "symbol": end.symbol}
            | end.transformation
            for path, file, end in zip(paths, files, ends, strict=True)
        ],
        "substituted": list(args.substitute),
        "convention": CONVENTION,
    }
    phases = [phase_of(one, tolerance_for(one, args.symprec).symprec) for one in plain]
    order = sorted((0, 1), key=lambda i: (-len(phases[i].motions) / len(phases[i].cell.z), i))
    why = []
    for high, low in ((order[0], order[1]), (order[1], order[0])):
        try:
            found = analyse(
                ends[high].crystal,
                phases[low],
                max_cell=args.max_cell,
                max_strain=args.max_strain / 100,
                names=(str(paths[high]), str(paths[low])),
            )
        except DataError as error:
            why.append(str(error))
            continue
        if found.transition.max_displacement > args.max_displacement:
            why.append(
                f"the best mapping moves an atom by {found.transition.max_displacement:.2f} angstrom (--max-displacement)"
            )
            continue
        P, p = fractions_of(found.relation.setting)
        way = way_from_low(found, phases[low], plain[low])  # to the very setting that the relation leads to
        report["structures"][low] |= way_texts(*way)
        return report | {
            "related": True,
            "supergroup": high,
            "index": found.relation.index,
            "t_index": found.relation.t_index,
            "k_index": found.relation.k_index,
            "basis": basis_text(found.relation.setting),
            "origin": origin_text(found.relation.setting),
            "P": P,
            "p": p,
            "max_displacement": round(found.transition.max_displacement, 6),
            "max_strain": round(100 * found.transition.max_strain, 6),
            "irreps": [
                {"irrep": one.part.irrep.label, "direction": one.part.plain, "amplitude": round(one.amplitude, 6)}
                for one in found.irreps
                if one.amplitude > 1e-4 or len(one.strain)
            ],
            "atoms": atom_map(found, ends[high], way, (plain[high], plain[low]), files=(files[high], files[low])),
        }
    report |= {"related": False, "why": why}
    try:
        shared = find_transitions(
            phases[0], phases[1], max_cell=args.max_cell, max_strain=args.max_strain / 100, num=1, max_tried=100
        )
    except DataError:  # said above: compositions, sizes or strains
        shared = []
    if shared:
        one = shared[0]
        report["shared_subgroup"] = {
            "number": one.number,
            "symbol": one.symbol,
            "index": [t * k for t, k in (one.indices_first, one.indices_second)],
            "max_displacement": round(one.max_displacement, 6),
            "max_strain": round(100 * one.max_strain, 6),
        }
    return report


def atom_map(
    found: ModeAnalysis,
    high: Parent,
    way: tuple[np.ndarray, np.ndarray],
    plain: tuple[AtomicStructure, AtomicStructure],
    *,
    files: tuple[AtomicStructure, AtomicStructure],
) -> list[dict[str, Any]]:
    """For each atom of the common cell the atoms of both files, numbered from 0 in the files' order, with their places there.

    ``way`` leads from the axes of the lower file to the standard setting of the relation (`way_from_low`).
    """
    import numpy as np

    from symjax.elements import symbol

    places = found.places @ high.P.T + high.p
    first = _atoms_at(plain[0], places, found.z)
    setting, (P, p) = found.relation.setting, way
    moved = found.places + found.displacement @ np.linalg.inv(found.parent.L)
    second = _atoms_at(plain[1], (moved - setting.origin) @ np.linalg.inv(setting.matrix).T @ P.T + p, found.z)
    lengths = np.linalg.norm(found.displacement, axis=1)
    rows = []
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        row = {
            name: {
                "atom": int(at),
                "element": symbol(int(file.z[at])),
                "x": [round(float(v), 6) + 0.0 for v in file.x[at] % 1.0],
            }
            for name, at, file in (("high", a, files[0]), ("low", b, files[1]))
        }
        rows.append(row | {"displacement": round(float(lengths[i]), 6)})
    return rows


def _atoms_at(structure: AtomicStructure, x: Any, z: Any) -> Any:
    """The nearest atom of its element to each place."""
    import numpy as np

    gap = structure.x[None] - np.asarray(x)[:, None]
    gap -= np.rint(gap)
    length = np.linalg.norm(gap @ structure.L, axis=-1)
    return np.where(structure.z[None] == np.asarray(z)[:, None], length, np.inf).argmin(axis=1)


def show(report: dict[str, Any]) -> None:
    """Print the answer."""
    from rich.console import Console
    from rich.table import Table

    from symjax.navigate.notation import coordinate_text

    console = Console(width=None if sys.stdout.isatty() else 132, highlight=False, markup=False)
    for one in report["structures"]:
        change = "" if one["file_to_standard"] == "a,b,c; 0,0,0" else f", standard setting [{one['file_to_standard']}]"
        console.print(f"{one['file']}: {one['formula']}, {one['symbol']} ({one['number']}){change}")
    if report["substituted"]:
        console.print(f"with {', '.join(report['substituted'])}")
    if not report["related"]:
        console.print(
            "not related by group and subgroup:\n" + "\n".join(f"- {text}" for text in dict.fromkeys(report["why"]))
        )
        shared = report.get("shared_subgroup")
        if shared:
            indices = " and ".join(map(str, shared["index"]))
            console.print(
                f"closest mapping: both hold {shared['symbol']} ({shared['number']}), index {indices}; "
                f"displacement {shared['max_displacement']:.3f} Å, strain {shared['max_strain']:.2f} % (symjax path)"
            )
        return
    high, low = (report["structures"][i] for i in (report["supergroup"], 1 - report["supergroup"]))
    if report["index"] == 1:
        console.print(f"the same structure type: {high['symbol']} ({high['number']}), index 1")
    else:
        console.print(
            f"{low['symbol']} ({low['number']}) of {low['file']} is a subgroup of {high['symbol']} ({high['number']}) of "
            f"{high['file']}: index {report['index']} (t{report['t_index']}, k{report['k_index']})"
        )
    console.print(f"[{report['basis']}; {report['origin']}] from the standard setting of the one to that of the other")
    console.print(f"largest displacement {report['max_displacement']:.4f} Å, strain {report['max_strain']:.2f} %")
    moved = [
        f"{one['irrep']} {one['direction']} {one['amplitude']:.4f} Å"
        for one in report["irreps"]
        if one["amplitude"] > 1e-4
    ]
    if moved:
        console.print(f"irreps (amplitude over a primitive cell of {low['file']}): {', '.join(moved)}")
    table = Table()
    for name in (
        f"atom of {Path(high['file']).name}",
        "x, y, z",
        f"atom of {Path(low['file']).name}",
        "x, y, z",
        "moves, Å",
    ):
        table.add_column(name, justify="right" if name == "moves, Å" else "left")
    for row in report["atoms"]:
        cells = [
            text
            for end in ("high", "low")
            for text in (f"{row[end]['element']} {row[end]['atom']}", coordinate_text(row[end]["x"], 5))
        ]
        table.add_row(*cells, f"{row['displacement']:.4f}")
    console.print(table)
    console.print("atoms are numbered from 0 in the order of each file (after its operations)")
    console.print(report["convention"])
