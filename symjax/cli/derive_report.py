"""What `symjax derive` writes and shows: CIF files, index.json, table.csv, the picture, and the tables on screen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal

if TYPE_CHECKING:
    from symjax.cli.derive_classes import Class
    from symjax.cli.parent import Parent
    from symjax.navigate.derive import Derived
    from symjax.navigate.irrep_modes import IrrepModes

TOLERANCES = (1e-3, 1e-5)
"""Tolerances at which a structure's group must be found again, angstrom."""
LOOSE = (0.01, 0.1)
"""Tolerances at which the group after relaxation is told, angstrom."""
ROWS_ON_SCREEN = 40


PICTURE, TABLE = "structures.png", "table.csv"


class Described(NamedTuple):
    """What is known of the structures before anything is written.

    Attributes:
        report: the index as it is written, entries in the order of the screen.
        cells: atoms of the structures in that order.
        texts: name -> text of each CIF file.
    """

    report: dict[str, Any]
    cells: list[AtomicStructure]
    texts: dict[str, str]


def describe(
    parent: Parent,
    classes: list[Class],
    sets: list[tuple[Class, Derived]],
    *,
    relaxed: list[dict[str, Any]] | None,
    args: argparse.Namespace,
    hall: int | None = None,
) -> Described:
    """Index, atoms and CIF texts of all structures, in a setting (Hall number) if asked."""
    from symjax import __version__
    from symjax.cli.output import INDEX, file_setting_entry
    from symjax.crystals.setting import crystal_in_setting_of
    from symjax.navigate.notation import CONVENTION

    own = parent.crystal.atoms()
    texts = {"parent.cif": _cif("parent.cif", parent.crystal, parent.number)}
    entries: list[dict[str, Any]] = []
    cells: list[AtomicStructure] = []
    by_class = {one.number: derived for one, derived in sets}
    reference = relaxed[0]["energy_final"] if relaxed else None
    outcomes = iter(relaxed[1:] if relaxed else [])
    for one, derived in sets:
        modes = _modes_of(parent, one)
        for place, crystal in enumerate(derived.crystals):
            cell = (crystal if hall is None else crystal_in_setting_of(crystal, hall)).atoms()
            entry = _entry(len(entries), one, derived, place=place, cell=cell)
            text = _cif(entry["file"], crystal, one.relation.number, hall)
            texts[entry["file"]] = (
                text if modes is None else f"{text.rstrip()}\n\n{_iso_items(parent, modes, crystal, hall)}"
            )
            if relaxed:
                after = next(outcomes)
                entry |= _relaxed_entry(
                    texts, entry, crystal, crystal.atoms(), outcome=after, reference=reference, hall=hall
                )
            entries.append(entry)
            cells.append(cell)
    order = sorted(range(len(entries)), key=lambda i: _rank(entries[i]))
    entries, cells = [entries[i] for i in order], [cells[i] for i in order]
    index = {
        "program": "symjax derive",
        "version": __version__,
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
            if name not in ("command", "debug", "quiet", "out", "json")
        },
        "parent": _parent_entry(parent, own, relaxed) | parent.transformation,
        "convention": CONVENTION,
        "target": {"number": classes[0].relation.number, "symbol": classes[0].relation.symbol},
        "file_setting": None if hall is None else file_setting_entry(hall),
        "classes": [_class_entry(one, by_class.get(one.number), hall) for one in classes],
        "collisions": _collisions(sets),
        "files": sorted([*texts, TABLE, INDEX, *([] if args.no_picture else [PICTURE])]),
        "structures": entries,
    }
    return Described(index, cells, texts)


def _modes_of(parent: Parent, one: Class) -> IrrepModes | None:
    """The modes of a class by irreps; None where its cell has too many k-vectors for that."""
    from symjax.errors import InputError
    from symjax.navigate.irrep_modes import all_modes

    try:
        return all_modes(parent.crystal, one.relation)
    except InputError:
        return None


def _iso_items(parent: Parent, modes: IrrepModes, crystal: Crystal, hall: int | None) -> str:
    """The `_iso_` items of a derived structure, in a setting if asked."""
    from symjax.cli.modes_cif import iso_items, mode_name, strain_name
    from symjax.crystals.setting import crystal_in_setting_of, setting_change
    from symjax.navigate.tree import describe_group

    frame = np.linalg.inv(modes.split.L)
    strains = [(strain_name(parent.symbol, part), value) for part, value in modes.strains(crystal.L)]
    amplitudes = modes.amplitudes(crystal.x)
    if hall is not None:
        crystal, frame = crystal_in_setting_of(crystal, hall), frame @ setting_change(hall).matrix.T
    places = [(orbit["element"], orbit["letter"]) for orbit in describe_group(parent.number, parent.crystal)["orbits"]]
    rows = zip(modes.parts, modes.orbit, modes.vector, amplitudes, strict=True)
    named = [
        (mode_name(parent.symbol, part, *places[orbit]), vector @ frame, float(a)) for part, orbit, vector, a in rows
    ]
    return iso_items(crystal, named, strains)


def write(stage: Path, parent: Parent, found: Described) -> None:
    """Write all files into ``stage``."""
    from symjax.cli.output import INDEX, write_json
    from symjax.draw.derived import draw

    entries = found.report["structures"]
    for name, text in found.texts.items():
        (stage / name).write_text(text, encoding="utf-8")
    if PICTURE in found.report["files"]:
        formula, own = found.report["parent"]["formula"], parent.crystal.atoms()
        draw(stage / PICTURE, own, found.cells, formula=formula, number=parent.number, entries=entries)
    _write_csv(stage / TABLE, entries)
    write_json(stage / INDEX, found.report)


def _cif(name: str, crystal: Crystal, number: int, hall: int | None = None) -> str:
    from symjax.cli.output import cif_text

    return cif_text(crystal, number, name=name.removesuffix(".cif"), hall=hall)


def _parent_entry(parent: Parent, cell: AtomicStructure, relaxed: list[dict[str, Any]] | None) -> dict[str, Any]:
    from symjax.evaluate.composition import formula_of

    entry = {
        "file": "parent.cif",
        "formula": formula_of(tuple(cell.counts.items())),
        "group": {"number": parent.number, "symbol": parent.symbol},
        "num_atoms": len(cell.z),
        "symmetry_ladder": {f"{t:g}": n for t, n in parent.ladder.items()},
    }
    if relaxed:
        entry |= {"energy_relaxed": relaxed[0]["energy_final"]} | {
            name: relaxed[0][name] for name in ("converged", "reason")
        }
    return entry


def _class_entry(one: Class, derived: Derived | None, hall: int | None) -> dict[str, Any]:
    """Facts of one class of subgroups; basis and origin lead to the setting of the files."""
    from symjax.crystals.setting import way_to_setting
    from symjax.navigate.notation import change_text, fraction_texts

    relation, modes = one.relation, one.modes
    P, p = relation.setting.matrix, relation.setting.origin
    if hall is not None:
        P, p = way_to_setting(hall, P, p)
    return {
        "class": one.number,
        "index": relation.index,
        "kind": relation.kind,
        "t_index": relation.t_index,
        "k_index": relation.k_index,
        "conjugates": relation.num_conjugates,
        "basis": [fraction_texts(row) for row in P],
        "origin": fraction_texts(p),
        "basis_text": change_text(P, p).partition(";")[0],
        "free_lattice": modes.num_lattice,
        "free_coordinates": modes.num_coordinates,
        "freed_strains": len(modes.strain),
        "freed_modes": len(modes.displacement),
        "primary_strains": modes.num_primary_strain,
        "primary_modes": modes.num_primary,
        "translations": modes.num_translations,
        "structures": len(derived.crystals) if derived else 0,
        "collided": derived.skipped if derived else 0,
        "problem": one.problem or None,
        "number": relation.number,
        "symbol": relation.symbol,
        "direction": one.direction or None,
    }


def _collisions(sets: list[tuple[Class, Derived]]) -> dict[str, Any]:
    skipped = sum(derived.skipped for _, derived in sets)
    closest = min((derived.closest for _, derived in sets), default=np.inf)
    return {
        "skipped": skipped,
        "min_distance": round(sets[0][1].min_distance, 6),
        "closest": round(closest, 6) if np.isfinite(closest) else None,
    }


def _entry(index: int, one: Class, derived: Derived, *, place: int, cell: AtomicStructure) -> dict[str, Any]:
    from symjax.evaluate.composition import formula_of, plain_formula
    from symjax.evaluate.symmetry import detected_number
    from symjax.lattice import lattice_parameters

    formula = formula_of(tuple(cell.counts.items()))
    found = {f"{t:g}": detected_number(cell, t, -1.0) for t in TOLERANCES}
    parameters = lattice_parameters(cell.L)
    return {
        "file": f"{index:05d}-{plain_formula(formula)}.cif",
        "formula": formula,
        "class": one.number,
        "group": {"number": one.relation.number, "symbol": one.relation.symbol},
        "group_found": found,
        "as_asked": set(found.values()) == {one.relation.number},
        "num_atoms": len(cell.z),
        "amplitude": round(float(derived.amplitude[place]), 8),
        "strain": round(float(derived.strain[place]), 8),
        "shortest_distance": round(float(derived.shortest[place]), 6),
        "lengths": np.round(parameters[:3], 6).tolist(),
        "angles": np.round(parameters[3:], 6).tolist(),
        "volume": round(cell.volume, 6),
    }


def _relaxed_entry(
    texts: dict[str, str],
    entry: dict[str, Any],
    crystal: Crystal,
    cell: AtomicStructure,
    *,
    outcome: dict[str, Any],
    reference: float | None,
    hall: int | None,
) -> dict[str, Any]:
    """What relaxation made of a structure; the text of the relaxed structure joins the others."""
    from symjax.evaluate.stability import relaxed_cell
    from symjax.evaluate.symmetry import detected_number

    after, energy = relaxed_cell(cell, outcome), outcome["energy_final"]
    out: dict[str, Any] = {
        "energy": outcome["energy_initial"],
        "energy_relaxed": energy,
        "converged": outcome["converged"],
        "reason": outcome["reason"],
        "energy_against_parent": None if energy is None or reference is None else 1000 * (energy - reference),
        "group_relaxed": None,
        "file_relaxed": None,
    }
    if after is not None:
        out["group_relaxed"] = {f"{t:g}": detected_number(after, t, -1.0) for t in LOOSE}
        out["file_relaxed"] = entry["file"].removesuffix(".cif") + "-relaxed.cif"
        moved = Crystal(
            W=crystal.W,
            w=crystal.w,
            L=after.L,
            z=crystal.z,
            x=after.x[cell.representatives],
            stab=crystal.stab,
            den=crystal.den,
        )
        texts[out["file_relaxed"]] = _cif(out["file_relaxed"], moved, entry["group"]["number"], hall)
    return out


def _rank(entry: dict[str, Any]) -> tuple:
    """Lowest energy first; without energies by class and roomiest first."""
    energy = entry.get("energy_relaxed")
    return (energy is None, energy or 0.0, entry["class"], -entry["shortest_distance"], entry["file"])


def _write_csv(path: Path, entries: list[dict[str, Any]]) -> None:
    """The structures as a table, in the order of the screen."""
    import csv

    names = [
        "file",
        "formula",
        "class",
        "number",
        "symbol",
        "as_asked",
        "num_atoms",
        "amplitude_angstrom",
        "strain_percent",
        "shortest_angstrom",
        "a",
        "b",
        "c",
        "alpha",
        "beta",
        "gamma",
        "volume",
        "energy_relaxed_eV_per_atom",
        "against_parent_meV_per_atom",
        "group_relaxed_0.01",
        "group_relaxed_0.1",
        "converged",
        "reason",
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for e in entries:
            after = e.get("group_relaxed") or {}
            writer.writerow(
                [
                    e["file"],
                    e["formula"],
                    e["class"],
                    e["group"]["number"],
                    e["group"]["symbol"],
                    e["as_asked"],
                    e["num_atoms"],
                    e["amplitude"],
                    e["strain"],
                    e["shortest_distance"],
                    *e["lengths"],
                    *e["angles"],
                    e["volume"],
                    e.get("energy_relaxed"),
                    e.get("energy_against_parent"),
                    after.get("0.01"),
                    after.get("0.1"),
                    e.get("converged"),
                    e.get("reason"),
                ]
            )


def show(index: dict[str, Any], folder: Path) -> None:
    """Print the classes, the structures and a summary."""
    from rich.console import Console

    from symjax.navigate.notation import IDENTITY

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    parent, target = index["parent"], index["target"]
    console.print(_class_table(index))
    if parent["file_to_standard"] != IDENTITY:
        group = parent["group"]["symbol"]
        console.print(
            f"standard setting of {group} in the axes of the file: [{parent['file_to_standard']}]", markup=False
        )
    console.print(index["convention"], markup=False)
    entries = index["structures"]
    console.print(_structure_table(entries[:ROWS_ON_SCREEN], relaxed="energy_relaxed" in parent))
    if len(entries) > ROWS_ON_SCREEN:
        console.print(f"... and {len(entries) - ROWS_ON_SCREEN} more, all in {folder / 'table.csv'}")
    good = sum(e["as_asked"] for e in entries)
    hit = index["collisions"]
    several = len({one["number"] for one in index["classes"]}) > 1
    asked = "the group of their class" if several else f"{target['symbol']} ({target['number']})"
    console.print(
        f"{good} of {len(entries)} structures have exactly {asked} at "
        f"{' and '.join(f'{t:g}' for t in TOLERANCES)} angstrom (spglib)"
    )
    again = index["options"]["num"] - len(entries) - hit["skipped"]
    if again:
        console.print(f"{again} left out: the same structure was drawn before")
    near = f", the closest {hit['closest']:.2f} angstrom apart" if hit["skipped"] else ""
    console.print(f"{hit['skipped']} left out: atoms nearer than {hit['min_distance']:.2f} angstrom{near}")
    if "energy_relaxed" in parent and parent["energy_relaxed"] is None:
        console.print(f"the parent has no relaxed energy to compare with: {parent['reason']}")


def _class_table(index: dict[str, Any]) -> Any:
    from rich.table import Table

    parent, groups = index["parent"], (index["parent"]["group"], index["target"])
    title = f"{parent['formula']}: " + " to ".join(f"{g['symbol']} ({g['number']})" for g in groups)
    by_irrep = any(one["direction"] for one in index["classes"])
    if by_irrep:
        title = f"{parent['formula']}: {groups[0]['symbol']} ({groups[0]['number']}), {index['options']['irrep']}"
    table = Table(title=title, title_justify="left")
    for name in ("class", "index", "kind", "basis", "origin", "strains", "modes", "primary", "structures", "remark"):
        table.add_column(name, justify="left" if name in ("kind", "basis", "origin", "remark") else "right")
    for one in index["classes"]:
        basis = one["basis_text"]
        remark = "" if one["problem"] is None else one["problem"].split(": ")[-1]
        if by_irrep:
            remark = f"{one['direction']}: {one['symbol']} ({one['number']}) {remark}".strip()
        table.add_row(
            str(one["class"]),
            str(one["index"]),
            one["kind"],
            basis,
            ",".join(one["origin"]),
            str(one["freed_strains"]),
            str(one["freed_modes"]),
            f"{one['primary_strains']} + {one['primary_modes']}",
            str(one["structures"]),
            remark,
        )
    return table


def _structure_table(entries: list[dict[str, Any]], *, relaxed: bool) -> Any:
    from rich.table import Table

    table = Table(row_styles=["", "dim"])
    names = ["file", "class", "atoms", "group found", "moved, Å", "strain, %", "shortest, Å"]
    names += ["meV/atom to parent", "group relaxed", "remark"] if relaxed else ["cell, Å"]
    for name in names:
        table.add_column(
            name, justify="left" if name in ("file", "cell, Å", "remark") else "right", no_wrap=name == "file"
        )
    for e in entries:
        row = [
            e["file"],
            str(e["class"]),
            str(e["num_atoms"]),
            "/".join(map(str, dict.fromkeys(e["group_found"].values()))),
            f"{e['amplitude']:.3f}",
            f"{e['strain']:.3f}",
            f"{e['shortest_distance']:.2f}",
        ]
        if relaxed:
            energy = e["energy_against_parent"]
            after = e["group_relaxed"] or {}
            groups = "/".join(map(str, dict.fromkeys(after.values())))
            row += ["-" if energy is None else f"{energy:+.2f}", groups, e["reason"] or ""]
        else:
            row.append(" ".join(f"{v:.3f}" for v in e["lengths"]))
        table.add_row(*row)
    return table
