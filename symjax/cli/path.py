"""`symjax path A B`: a path between two phases through a common subgroup, with interpolated images that keep it."""

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
    from symjax.navigate.transition import Phase, Transition

EPILOG = """\
examples:
  symjax path fcc.cif bcc.cif
  symjax path BaTiO3-P4mm.cif BaTiO3-R3m.cif --images 7 --out path"""
CHAINS_SHOWN = 6


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `path`."""
    parser = subparsers.add_parser(
        "path",
        help="a path between two phases through a common subgroup",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Find which cells of two phases go over into each other, which atom becomes which, and the operations that "
        "both phases share under that mapping; interpolate with those operations kept. Sorted by cost = sqrt(rms displacement^2 + "
        "(strain * d)^2) in angstrom, strain the root of the summed squares of the principal logarithmic strains and d the cube "
        "root of the volume per atom.",
    )
    parser.add_argument("first", type=Path, metavar="A", help="CIF, POSCAR, .vasp or .extxyz, plain or .gz")
    parser.add_argument("second", type=Path, metavar="B", help="the other phase")
    parser.add_argument("--images", type=int, default=9, metavar="N", help="images between the two ends (9)")
    parser.add_argument(
        "--max-cell",
        type=int,
        default=4,
        metavar="N",
        help="primitive cells of either phase in the common cell, at most (4)",
    )
    parser.add_argument(
        "--max-strain", type=float, default=30.0, metavar="PERCENT", help="largest principal strain, percent (30)"
    )
    parser.add_argument("--num", type=int, default=5, metavar="N", help="how many paths to list (5)")
    parser.add_argument(
        "--which", type=int, default=1, metavar="K", help="the path in that list to interpolate (1, the cheapest)"
    )
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="of both phases' groups, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    parser.add_argument("--out", metavar="DIR", help="write the images (CIF), index.json and path.png there")
    parser.add_argument("--setting", metavar="SYMBOL", help="of the images: Pbnm, ... (the standard one)")
    parser.add_argument("--no-picture", action="store_true", help="write no path.png")
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Search, interpolate, write, and show; returns the exit code."""
    from symjax.cli.output import check_folder, read_noted, setting_of, show_then_write
    from symjax.cli.parent import low_phase

    _check(args)
    folder = None if args.out is None else check_folder(args.out, overwrite=args.overwrite)
    files = [read_noted(path) for path in (args.first, args.second)]
    A, B = (low_phase(path, file, args.symprec) for path, file in zip((args.first, args.second), files, strict=True))
    paths, tried = _search(args, A, B)
    if args.which > len(paths):
        raise InputError(f"--which {args.which}: only {len(paths)} paths were found")
    chosen = paths[args.which - 1]
    hall = setting_of(args.setting, {chosen.number})
    images = images_of(chosen, args.images)
    report = report_of(args, (A, B), files, paths, images) | {"correspondences": tried}
    for at, image in enumerate(images if folder is not None else []):
        image["file"] = f"{at:03d}-{report['formula']}.cif"
    show_then_write(
        lambda: print(json.dumps(report)) if args.json else show(args, report),
        lambda: None if folder is None else write(folder, chosen, report, picture=not args.no_picture, hall=hall),
    )
    if folder is not None and not args.json:
        print(f"{len(images)} images written to {folder}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse numbers that cannot be meant."""
    for name, value, low, high in (
        ("--images", args.images, 1, 1000),
        ("--max-cell", args.max_cell, 1, 16),
        ("--num", args.num, 1, 100),
        ("--which", args.which, 1, args.num),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} must be {low} to {high}, got {value}")
    if not 0 < args.max_strain <= 60:
        raise InputError(f"--max-strain must be above 0 and at most 60 percent, got {args.max_strain:g}")


def _search(args: argparse.Namespace, A: Phase, B: Phase) -> tuple[list[Transition], dict[str, int]]:
    """The paths, and how many lattice correspondences were tried of those within the bounds."""
    from tqdm import tqdm

    from symjax.navigate.transition import find_transitions

    with tqdm(desc="lattice correspondences", disable=args.quiet or args.json or None, file=sys.stderr) as bar:
        counts = {"tried": 0, "known": 0}

        def progress(done: int, known: int) -> None:
            counts.update(tried=done, known=known)
            bar.total = known
            bar.update(done - bar.n)

        paths = find_transitions(
            A,
            B,
            max_cell=args.max_cell,
            max_strain=args.max_strain / 100,
            num=args.num,
            names=(str(args.first), str(args.second)),
            progress=progress,
        )
    return paths, counts


def images_of(path: Transition, num: int) -> list[dict[str, Any]]:
    """What the images are, both ends included: s, group found, shortest distance, volume."""
    import numpy as np

    from symjax.evaluate.distances import shortest

    found = []
    for s in np.linspace(0, 1, num + 2):
        image, group = path.image(float(s)), path.detected(float(s))
        near = shortest(image)
        found.append(
            {
                "s": _round(float(s)),
                "number": group.number,
                "symbol": group.symbol,
                "higher": group.number != path.number,
                "shortest_distance": _round(near.distance),
                "shortest_over_covalent_radii": _round(near.ratio),
                "volume_per_atom": _round(abs(float(np.linalg.det(image.L))) / len(image.z)),
            }
        )
    return found


def report_of(
    args: argparse.Namespace,
    phases: tuple[Phase, Phase],
    files: list[AtomicStructure],
    paths: list[Transition],
    images: list[dict[str, Any]],
) -> dict[str, Any]:
    """Everything found, as JSON values; lengths in angstrom, strains in percent."""
    from symjax.cli.parent import formula_text, parent_of, tolerance_for
    from symjax.navigate.notation import CONVENTION
    from symjax.navigate.placing import way_from_file

    A, B = phases
    ends = [
        {
            "file": str(path),
            "number": phase.number,
            "symbol": phase.symbol,
            "atoms_in_primitive_cell": len(phase.cell.z),
        }
        | parent_of(file, tolerance_for(file, args.symprec).symprec).transformation
        for path, phase, file in zip((args.first, args.second), phases, files, strict=True)
    ]
    cells = [way_from_file(file, phase.cell) for phase, file in zip(phases, files, strict=True)]
    return {
        "formula": formula_text(A.cell.z),
        "convention": CONVENTION,
        "first": ends[0],
        "second": ends[1],
        "symprec": args.symprec,
        "max_cell": args.max_cell,
        "max_strain": args.max_strain,
        "paths": [_entry(path, A, B, cells, detailed=at == args.which - 1) for at, path in enumerate(paths)],
        "which": args.which,
        "images": images,
    }


def _entry(path: Transition, A: Phase, B: Phase, cells: list[Any], *, detailed: bool) -> dict[str, Any]:
    """One path as JSON values; ``cells``: the primitive cell of each end in the axes of its file."""
    import numpy as np

    from symjax.cli.parent import plain_origin
    from symjax.navigate.notation import way_texts
    from symjax.navigate.transition import standard_of

    relations = path.relations(A, B)
    entry: dict[str, Any] = {
        "number": path.number,
        "symbol": path.symbol,
        "cost": _round(path.cost),
        "max_displacement": _round(path.max_displacement),
        "rms_displacement": _round(path.rms_displacement),
        "max_strain": _round(100 * path.max_strain),
        "principal_strains": [_round(100 * v) for v in path.strain],
        "primitive_cells": list(path.cells),
        "common_cell_in_first": path.S.tolist(),
        "common_cell_in_second": path.V.tolist(),
        "given_up": path.broken,
    }
    for name, phase, relation, (t, k), (P, p), (C, o) in zip(
        ("in_first", "in_second"),
        (A, B),
        relations,
        (path.indices_first, path.indices_second),
        path.ways(A, B),
        cells,
        strict=True,
    ):
        own = standard_of(phase)  # another search of the file may end in another equivalent setting
        back = np.linalg.inv(own.matrix)
        to_images, to_own = C @ P, C @ own.matrix
        first = plain_origin(o + C @ own.origin, to_own)
        second = plain_origin(o + C @ p, to_images)
        entry[name] = {
            "index": t * k,
            "t_index": t,
            "k_index": k,
            **way_texts(to_own, first),
            **way_texts(to_images, second, "file_to_images"),
            "basis": [[_round(v) for v in row] for row in back @ P],
            "origin": [_round(v) for v in np.linalg.solve(to_own, second - first)],
        }
        if detailed:
            entry[name]["chains"] = _chains(relation)
    if detailed:
        entry["atoms"] = _mapping(path)
    return entry


def _chains(relation: Any) -> list[dict[str, Any]] | None:
    """Chains of maximal subgroups from the group of one end to the common one; None where there are too many."""
    from symjax.navigate.interval import chains

    try:
        found = chains(relation)
    except InputError:  # an index too large for the enumeration: the path stands without it
        return None
    return [
        {
            "groups": [f"{node.setting.symbol} ({node.setting.number})" for node in chain.nodes],
            "steps": [step.label for step in chain.steps],
            "count": chain.count,
        }
        for chain in found
    ]


def _mapping(path: Transition) -> list[dict[str, Any]]:
    """Where each orbit of the common subgroup goes, in its standard setting."""
    import numpy as np

    from symjax.elements import symbol

    ends = [path.crystal(s) for s in (0.0, 1.0)]
    kept = np.unique(path.motions.perm.min(axis=0))
    lengths = np.linalg.norm(path.displacement[kept], axis=1)
    rows = []
    for z, n, first, last, length in zip(ends[0].z, ends[0].multiplicity, ends[0].x, ends[1].x, lengths, strict=True):
        step = last - first
        rows.append(
            {
                "element": symbol(int(z)),
                "multiplicity": int(n),
                "first": [_round(v) for v in first],
                "second": [_round(v) for v in first + step - np.rint(step)],
                "displacement": _round(float(length)),
            }
        )
    return rows


def write(folder: Path, path: Transition, report: dict[str, Any], *, picture: bool, hall: int | None = None) -> None:
    """The images as CIF in the common subgroup's standard setting, or another, the index and the picture, into a folder."""
    from symjax import __version__
    from symjax.cli.output import INDEX, cif_text, file_setting_entry, staged_folder, write_json
    from symjax.draw import path as path_picture

    if hall is not None:
        report = report | {"file_setting": file_setting_entry(hall)}

    with staged_folder(folder) as stage:
        crystals = [path.crystal(image["s"]) for image in report["images"]]
        for crystal, image in zip(crystals, report["images"], strict=True):
            text = cif_text(crystal, path.number, name=image["file"].removesuffix(".cif"), hall=hall)
            (stage / image["file"]).write_text(text, encoding="utf-8")
        if picture:
            path_picture.draw(stage / "path.png", crystals, report)
        files = sorted({file.name for file in stage.iterdir()} | {INDEX})
        write_json(stage / INDEX, {"program": "symjax path", "version": __version__, "files": files, **report})


def show(args: argparse.Namespace, report: dict[str, Any]) -> None:
    """Print the tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    first, second = report["first"], report["second"]
    table = Table(
        title=f"{report['formula']}: {first['symbol']} ({first['number']}) to {second['symbol']} ({second['number']})",
        title_justify="left",
        row_styles=["", "dim"],
    )
    for name in (
        "#",
        "common subgroup",
        "index in A",
        "index in B",
        "cells",
        "largest",
        "rms",
        "strain",
        "cost",
        "given up",
    ):
        table.add_column(name, justify="left" if name == "common subgroup" else "right")
    for at, entry in enumerate(report["paths"], start=1):
        table.add_row(
            str(at),
            f"{entry['symbol']} ({entry['number']})",
            *(_index(entry[name]) for name in ("in_first", "in_second")),
            "{} : {}".format(*entry["primitive_cells"]),
            f"{entry['max_displacement']:.4f} Å",
            f"{entry['rms_displacement']:.4f} Å",
            f"{entry['max_strain']:.2f} %",
            f"{entry['cost']:.4f} Å",
            str(entry["given_up"] or ""),
        )
    console.print(table)
    console.print(
        "index: t * k; cells: primitive cells of A and B in the common cell; largest, rms: displacement about the common centroid, "
        "in the lattice halfway;\nstrain: largest principal logarithmic strain; given up: shared operations that the displacements "
        "break because some atoms have two ways of equal length"
    )
    chosen = report["paths"][report["which"] - 1]
    _show_mapping(console, report, chosen)
    for end, name in ((first, "in_first"), (second, "in_second")):
        _show_chains(console, f"{end['symbol']} ({end['number']})", chosen[name]["chains"])
    for end, name in ((first, "in_first"), (second, "in_second")):
        console.print(
            f"in the axes of {end['file']}: {end['symbol']} [{end['file_to_standard']}], the images in {chosen['symbol']} "
            f"[{chosen[name]['file_to_images']}]",
            markup=False,
        )
    console.print(report["convention"], markup=False)
    higher = [image for image in report["images"][1:-1] if image["higher"]]
    if higher:
        texts = ", ".join(f"{image['symbol']} ({image['number']}) at {image['s']:g}" for image in higher)
        console.print(f"images with more symmetry than the common subgroup: {texts}")
    else:
        console.print(
            f"each of the {len(report['images']) - 2} images between has exactly {chosen['symbol']} ({chosen['number']})"
        )
    nearest = min(report["images"], key=lambda image: image["shortest_distance"])
    console.print(f"shortest distance along the path: {nearest['shortest_distance']:.3f} Å at {nearest['s']:g}")


def _index(entry: dict[str, Any]) -> str:
    return f"{entry['index']} = {entry['t_index']} * {entry['k_index']}"


def _show_mapping(console: Any, report: dict[str, Any], chosen: dict[str, Any]) -> None:
    """Which atom becomes which."""
    from rich.table import Table

    table = Table(
        title=f"atoms of path {report['which']} in the standard setting of {chosen['symbol']}", title_justify="left"
    )
    for name in ("element", "multiplicity", "in A", "in B", "moves"):
        table.add_column(name, justify="right" if name in ("multiplicity", "moves") else "left")
    for row in chosen["atoms"]:
        places = (", ".join(f"{v:.5f}" for v in row[name]) for name in ("first", "second"))
        table.add_row(row["element"], str(row["multiplicity"]), *places, f"{row['displacement']:.4f} Å")
    console.print(table)


def _show_chains(console: Any, name: str, chains: list[dict[str, Any]] | None) -> None:
    """Chains of maximal subgroups down from one end."""
    if chains is None:
        console.print(f"from {name}: too many chains of maximal subgroups to list")
        return
    if all(not chain["steps"] for chain in chains):
        return
    for chain in chains[:CHAINS_SHOWN]:
        text = chain["groups"][0]
        for step, group in zip(chain["steps"], chain["groups"][1:], strict=True):
            text += f" -{step}-> {group}"
        console.print(text)
    if len(chains) > CHAINS_SHOWN:
        console.print(f"... and {len(chains) - CHAINS_SHOWN} more chains from {name} (--json)")


def _round(value: float) -> float:
    return round(float(value), 6) + 0.0
