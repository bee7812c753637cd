"""`symjax modes HIGH LOW`: a distorted structure over its parent, irrep by irrep: amplitudes, directions, isotropy subgroups."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from symjax.cli.parent import Parent
    from symjax.navigate.symmetry_modes import IrrepAmplitude, ModeAnalysis

EPILOG = """\
A is the root of the sum of the squared displacements over a primitive cell of LOW, in the lattice of HIGH and about the common
centroid (the convention of AMPLIMODES, and A_s of ISODISTORT); A_p is the same over a primitive cell of HIGH (ISODISTORT). A mode
counts as positive where its first largest component is. Labels of irreps are those of Cracknell, Davies, Miller & Love for the
standard setting and the origin printed: with another origin a tilt of SrTiO3 is R5-, not R4+.

examples:
  symjax modes BaTiO3.cif BaTiO3-tetragonal.cif
  symjax modes LaMnO3-cubic.cif LaMnO3.cif --png modes.png --json"""
SHOWN = 1e-4


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `modes`."""
    parser = subparsers.add_parser(
        "modes",
        help="symmetry modes of a distorted structure over its parent, by irreps",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Find which cell and atoms of the parent a distorted structure comes from and decompose its displacements and "
        "strain into irreps of the parent's group.",
    )
    parser.add_argument(
        "high", type=Path, metavar="HIGH", help="the parent: CIF, POSCAR, .vasp or .extxyz, plain or .gz"
    )
    parser.add_argument("low", type=Path, metavar="LOW", help="the distorted structure")
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="of both groups, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    parser.add_argument(
        "--max-cell", type=int, default=16, metavar="K", help="primitive cells of HIGH in one of LOW, at most (16)"
    )
    parser.add_argument(
        "--max-strain", type=float, default=15.0, metavar="PERCENT", help="largest strain, percent (15)"
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the amplitudes as bars")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write LOW as CIF with its mode amplitudes (_iso_ items)"
    )
    parser.add_argument(
        "--setting", metavar="SYMBOL", help="of the file written by --out: Pbnm, ... (the standard one)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Decompose and show; returns the exit code."""
    from symjax.cli.output import read_noted, setting_of, show_then_write
    from symjax.cli.parent import low_phase, read_parent
    from symjax.errors import InputError
    from symjax.navigate.symmetry_modes import analyse, way_from_low

    if not 1 <= args.max_cell <= 64 or not 0 < args.max_strain <= 60:
        raise InputError("--max-cell must be 1 to 64 and --max-strain above 0 and at most 60 percent")
    parent = read_parent(args.high, args.symprec)
    parent.warn()
    low = read_noted(args.low)
    phase = low_phase(args.low, low, args.symprec)
    found = analyse(
        parent.crystal,
        phase,
        max_cell=args.max_cell,
        max_strain=args.max_strain / 100,
        names=(str(args.high), str(args.low)),
    )
    hall = setting_of(args.setting, {found.relation.number})
    report = report_of(args, parent, found, way_from_low(found, phase, low))

    def written() -> None:
        if args.out is not None:
            _write_cif(args.out, found, report, hall)
        if args.png is not None:
            from symjax.draw.modes import draw

            draw(args.png, report)

    show_then_write(lambda: print(json.dumps(report)) if args.json else show(report), written)
    return 0


def report_of(
    args: argparse.Namespace, parent: Parent, found: ModeAnalysis, way: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Everything found, as JSON values; lengths in angstrom, strains in percent. ``way``: from LOW's axes to the standard ones."""
    from symjax.cli.parent import formula_text
    from symjax.navigate.irreps import primary_irreps
    from symjax.navigate.notation import CONVENTION, basis_text, fractions_of, origin_text, way_texts
    from symjax.navigate.tree import describe_group

    setting = found.relation.setting
    P, p = fractions_of(setting)
    group = describe_group(parent.number, found.parent)
    parts = [one.part for one in found.irreps if one.modes and not one.part.trivial]
    sets = primary_irreps(found.relation, parts)
    return {
        "program": "symjax modes",
        "high": {"file": str(args.high), "formula": formula_text(found.parent.atoms().z), **group}
        | parent.transformation,
        "low": {"file": str(args.low), "number": found.relation.number, "symbol": found.relation.symbol}
        | way_texts(*way),
        "index": found.relation.index,
        "basis": basis_text(setting),
        "origin": origin_text(setting),
        "P": P,
        "p": p,
        "convention": CONVENTION,
        "primitive_cells": found.cells,
        "amplitude": _round(found.total),
        "amplitude_parent_normalised": _round(found.parent_normalised(found.total)),
        "irreps": [_irrep(one, found, group["orbits"]) for one in found.irreps],
        "primary": [[part.irrep.label for part in chosen] for chosen in sets],
        "atoms": _atoms(found),
    }


def _irrep(one: IrrepAmplitude, found: ModeAnalysis, orbits: list[dict[str, Any]]) -> dict[str, Any]:
    """One irrep as JSON values."""
    import numpy as np

    from symjax.groups.irrep_names import characters_text

    part = one.part
    named = part.irrep.named
    return {
        "irrep": part.irrep.label,
        "label_is_standard": named.standard,
        "k": named.name,
        "k_vector": named.irreps.k.text,
        "star": list(named.irreps.star),
        "arms": part.irrep.arms,
        "dimension": part.irrep.dim,
        "direction": part.plain,
        "direction_here": part.text,
        "free_components": part.dim,
        "isotropy_subgroup": {
            "number": part.relation.number,
            "symbol": part.relation.symbol,
            "index": part.relation.index,
        },
        "characters": None if named.standard else characters_text(named, part.irrep.irrep),
        "amplitude": _round(one.amplitude),
        "amplitude_parent_normalised": _round(found.parent_normalised(one.amplitude)),
        "max_displacement": _round(float(np.linalg.norm(one.field, axis=1).max())),
        "strain": [_round(100 * v) for v in one.strain],
        "modes": [
            {
                "element": orbits[mode.orbit]["element"],
                "position": orbits[mode.orbit]["letter"],
                "amplitude": _round(mode.amplitude),
            }
            for mode in one.modes
        ],
    }


def _atoms(found: ModeAnalysis) -> list[dict[str, Any]]:
    """Where each atom of the common cell comes from, and how far it goes."""
    import numpy as np

    from symjax.elements import symbol

    steps = found.displacement @ np.linalg.inv(found.parent.L)
    return [
        {
            "element": symbol(int(z)),
            "orbit": int(orbit),
            "high": [_round(v) for v in x],
            "displacement": [_round(v) for v in step],
        }
        for z, orbit, x, step in zip(found.z, found.atoms, found.places, steps, strict=True)
    ]


def _write_cif(path: Path, found: ModeAnalysis, report: dict[str, Any], hall: int | None) -> None:
    """LOW, in its standard setting or --setting, with the amplitudes under the names that ISODISTORT's files use."""
    import numpy as np

    from symjax.cli.modes_cif import iso_items, mode_name, strain_name
    from symjax.cli.output import cif_text
    from symjax.crystals.setting import crystal_in_setting_of, setting_change
    from symjax.errors import InputError
    from symjax.groups.tables import default_hall

    way, number = found.transition, found.relation.number
    crystal, linear = way.crystal(1.0), np.linalg.inv(way.setting.matrix)  # linear: common cell to file
    text = cif_text(crystal, number, name=path.stem, hall=hall)
    if hall not in (None, default_hall(number)):
        assert hall is not None
        crystal, linear = crystal_in_setting_of(crystal, hall), setting_change(hall).matrix @ linear
    kept = np.unique(way.motions.perm.min(axis=0))  # the representatives, see `crystal_in_setting`
    frame, symbol = np.linalg.inv(way.first.L) @ linear.T, report["high"]["symbol"]
    places = [(orbit["element"], orbit["letter"]) for orbit in report["high"]["orbits"]]
    modes = [
        (mode_name(symbol, one.part, *places[mode.orbit]), mode.vector[kept] @ frame, mode.amplitude)
        for one in found.irreps
        for mode in one.modes
    ]
    strains = [(strain_name(symbol, one.part), float(value)) for one in found.irreps for value in one.strain]
    text = text.rstrip("\n") + "\n\n" + iso_items(crystal, modes, strains)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def show(report: dict[str, Any]) -> None:
    """Print the tables."""
    from rich.console import Console
    from rich.table import Table

    from symjax.navigate.notation import IDENTITY

    console = Console(width=None if sys.stdout.isatty() else 132, highlight=False, markup=False)
    high, low = report["high"], report["low"]
    console.print(
        f"{high['formula']}: {high['file']}, {high['symbol']} ({high['number']}), to {low['file']}, {low['symbol']} "
        f"({low['number']}), index {report['index']}, [{report['basis']}; {report['origin']}]"
    )
    places = "; ".join(f"{o['element']} {o['letter']} ({o['coordinates']})" for o in high["orbits"])
    console.print(f"origin of the labels: {places}")
    for end in (high, low):
        if end["file_to_standard"] != IDENTITY:
            console.print(
                f"standard setting of {end['symbol']} in the axes of {end['file']}: [{end['file_to_standard']}]"
            )
    table = Table()
    for name in (
        "irrep",
        "k",
        "direction",
        "isotropy subgroup",
        "A, Å",
        "A_p, Å",
        "largest, Å",
        "strain, %",
        "modes: signed A, Å",
    ):
        table.add_column(name, justify="right" if "," in name and "modes" not in name else "left")
    for one in report["irreps"]:
        group = one["isotropy_subgroup"]
        if one["amplitude"] < SHOWN and not any(abs(v) > 1e-3 for v in one["strain"]):
            continue
        table.add_row(
            one["irrep"],
            one["k_vector"],
            one["direction"],
            f"{group['symbol']} ({group['number']})",
            f"{one['amplitude']:.5f}" if one["modes"] else "",
            f"{one['amplitude_parent_normalised']:.5f}" if one["modes"] else "",
            f"{one['max_displacement']:.4f}" if one["modes"] else "",
            " ".join(f"{v:.3f}" for v in one["strain"]),
            ", ".join(f"{m['element']} {m['position']} {m['amplitude']:+.5f}" for m in one["modes"]),
        )
    console.print(table)
    console.print(
        f"all displacements: A {report['amplitude']:.5f} Å, A_p {report['amplitude_parent_normalised']:.5f} Å; primary: "
        + (" or ".join(" + ".join(chosen) for chosen in report["primary"][:6]) or "none (strain alone)")
    )
    for one in report["irreps"]:
        if not one["label_is_standard"]:
            console.print(f"{one['irrep']} is no standard label; {one['characters']}")
    console.print(report["convention"])


def _round(value: float) -> float:
    return round(float(value), 6) + 0.0
