"""`symjax subgroups FILE`: the subgroups of a crystal's group, what each gives up and sets free, and the paths to a target."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.cli.parent import Parent
    from symjax.crystals.types import Crystal
    from symjax.groups.order_parameter import Direction, RealIrrep
    from symjax.groups.sets import OpSet
    from symjax.navigate.relation import Relation
    from symjax.navigate.selection import Selection
    from symjax.navigate.tree import Branch

EPILOG = """\
KIND is one of: inversion, mirror, glide, rotation-2, rotation-3, rotation-4, rotation-6, screw-2, screw-3, screw-4, screw-6,
rotoinversion-3, rotoinversion-4, rotoinversion-6; a mirror counts as one also where centring adds glides to it. OP is an operation
of the parent in its standard setting, or that of --setting or --group, as a triplet (--keep=-x,-y,-z) or a Seitz symbol
({m_001|0 0 1/2}); for --remove also by its number in `symjax analyze --all` or as an element with its place ("m 1/2,y,z",
"2 x,0,1/4").

Without a selection the maximal subgroups are listed. With --polar, --chiral, --remove or --keep: the largest subgroups that meet
it (--all: all of them), in cells up to --max-cell (default 1). With --to: every class of subgroups of that type in cells up to
--max-cell (default: the smallest cell that has any, up to 4), each with all chains of maximal subgroups that lead to it.

examples:
  symjax subgroups BaTiO3.cif
  symjax subgroups BaTiO3.cif --to P4mm
  symjax subgroups BaTiO3.cif --irrep GM4-
  symjax subgroups BaTiO3.cif --polar --keep "x,-y,z" --png polar.png
  symjax subgroups BaTiO3.cif --remove=-x,-y,-z
  symjax subgroups BaTiO3.cif --remove "m 0,y,z"
  symjax subgroups LaMnO3.cif --setting Pbnm --remove "m x,y,1/4"
  symjax subgroups --group Fm-3m --max-index 4 --json"""
DEFAULT_MAX_CELL = 4
MAX_WITH_IRREPS = 200
"""Classes in one listing for which irreps are worked out; of more they are asked for one by one (--to, --irrep)."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand `subgroups`."""
    parser = subparsers.add_parser(
        "subgroups",
        help="subgroups of a crystal's group: types, settings, splittings, freed modes, paths",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The crystal is brought to the standard setting of its group; all subgroups are worked out from operations.",
    )
    parser.add_argument("file", nargs="?", type=Path, help="CIF, POSCAR, .vasp or .extxyz, plain or .gz")
    parser.add_argument(
        "--group", metavar="N", help="a space group by number or symbol instead of a file: relations only"
    )
    parser.add_argument(
        "--symprec",
        type=float,
        metavar="A",
        help="tolerance of the symmetry search, Å (0.01; where that leaves P1, that at which the group jumps)",
    )
    parser.add_argument(
        "--setting",
        metavar="SYMBOL",
        help="the parent in this setting of its type: its orbits and operations, and the axes that subgroups are given in besides "
        "the standard ones",
    )
    parser.add_argument(
        "--max-index",
        type=int,
        default=2,
        metavar="K",
        help="maximal klassengleiche subgroups up to this index, 1 to 8 (2)",
    )
    parser.add_argument("--depth", type=int, default=1, metavar="N", help="levels of maximal subgroups (1)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    chosen = parser.add_argument_group("what is asked for", "all that is given must hold together")
    chosen.add_argument(
        "--to",
        metavar="N",
        help="paths to this type, by number or symbol: 99, P4mm; by that of another setting (Pbnm) bases to that one too",
    )
    chosen.add_argument(
        "--max-cell", type=int, metavar="K", help="primitive cells up to K times the parent's, 1 to 8; to 27 with --to"
    )
    chosen.add_argument(
        "--irrep",
        action="append",
        metavar="IRREP",
        help="isotropy subgroups of this irrep: R4+, GM4-, or of any k: '(0,0,1/3)[1]'; with a direction, 'R4+ (a,a,0)', that one "
        "subgroup; repeated with directions, that of their sum",
    )
    chosen.add_argument("--polar", action="store_true", help="with a direction that all operations keep")
    chosen.add_argument("--chiral", action="store_true", help="rotations and screws only")
    chosen.add_argument(
        "--remove",
        "--forbid",
        action="append",
        default=[],
        metavar="KIND or OP",
        help="without any operation of a kind, or without one operation (repeatable)",
    )
    chosen.add_argument(
        "--keep", "--require", action="append", default=[], metavar="OP", help="with this operation (repeatable)"
    )
    chosen.add_argument("--all", action="store_true", help="not only the maximal, or the largest selected, ones")
    drawn = parser.add_argument_group("drawings of the tree")
    drawn.add_argument("--dot", type=Path, metavar="FILE", help="Graphviz text")
    drawn.add_argument("--svg", type=Path, metavar="FILE")
    drawn.add_argument("--png", type=Path, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Find the subgroups, print them, draw them; returns the exit code."""
    from symjax.cli.output import show_then_write
    from symjax.cli.parent import formula_text
    from symjax.cli.subgroups_text import show
    from symjax.navigate.notation import CONVENTION
    from symjax.navigate.tree import describe_group

    _check(args)
    number, parent, hall, given = _parent(args)
    crystal = None if parent is None else parent.crystal
    kinds, removed = _split_removed(args.remove)
    args.remove = kinds
    selection = _selection(args, number, hall)
    if removed and not (selection.empty and args.irrep is None):
        raise InputError("--remove with an operation stands alone; with other demands give kinds of operations")
    if args.depth > 1 and not selection.empty:
        raise InputError("--depth goes with the tree of maximal subgroups; a selection or --to has its paths instead")
    report: dict[str, Any] = {"program": "symjax subgroups", "file": None if args.file is None else str(args.file)}
    if parent is not None:
        report |= {
            "formula": formula_text(parent.crystal.atoms().z),
            "symmetry_ladder": {f"{t:g}": n for t, n in parent.ladder.items()},
        }
        report["warnings"] = parent.warnings
    report |= {"convention": CONVENTION} | given
    report["parent"] = describe_group(number, crystal)
    if crystal is not None:
        _orbits_in(report["parent"], crystal, hall)
    report["asked"] = {
        "selection": selection.describe(),
        "max_index": args.max_index,
        "depth": args.depth,
        "all": args.all,
    }
    relations: list[Relation] = []
    branches: tuple[Branch, ...] | None = None
    if removed:
        _removed(number, crystal, removed, report, hall)
    elif args.irrep is not None:
        relations = _isotropy(args, number, crystal, selection, report)
    elif selection.empty and not args.all:
        branches = _maximal(args, number, crystal, report)
    else:
        relations = _selected(args, number, crystal, selection, report)
        _describe_selected(args, number, crystal, relations, report)
    _from_given(report)
    if args.to is not None:
        _in_target(report, args.to)

    def written() -> None:
        from symjax.navigate.graph import graph_to

        if relations:
            _draw(args, report, graph_to(number, relations, crystal))
        elif branches is not None:
            _draw(args, report, graph_of_branches(number, branches, crystal))

    show_then_write(
        lambda: print(json.dumps(report)) if args.json else show(report),
        written if args.dot or args.svg or args.png else lambda: None,
    )
    return 0


def graph_of_branches(number: int, branches: tuple[Branch, ...], crystal: Crystal | None) -> Any:
    """The graph of a tree of maximal subgroups."""
    from symjax.navigate.graph import graph_below

    return graph_below(number, branches, crystal)


def _parent(args: argparse.Namespace) -> tuple[int, Parent | None, int, dict[str, Any]]:
    """Type of the parent; from a file, the crystal; the setting it is told in (Hall number); the ways to the standard one."""
    from symjax.cli.output import setting_of
    from symjax.cli.parent import read_parent
    from symjax.groups.symbols import parse_setting
    from symjax.groups.tables import default_hall, hall_to_number

    if args.group is not None:
        hall = parse_setting(args.group)
        return hall_to_number(hall), None, hall, _setting_entry(hall)
    parent = read_parent(args.file, args.symprec)
    parent.warn()
    asked = setting_of(args.setting, {parent.number})
    if asked is None:
        return parent.number, parent, default_hall(parent.number), parent.transformation
    return parent.number, parent, asked, parent.transformation | _setting_entry(asked)


def _setting_entry(hall: int) -> dict[str, Any]:
    """A setting and the way from it to the standard one, as JSON values."""
    from symjax.crystals.setting import setting_change
    from symjax.groups.symbols import setting_name
    from symjax.groups.tables import setting_symbols
    from symjax.navigate.notation import way_texts

    change = setting_change(hall)
    about = {"name": setting_name(hall), "hall_number": hall, "hall_symbol": setting_symbols(hall)["hall_symbol"]}
    return {"setting": about} | way_texts(change.matrix, change.origin, "setting_to_standard")


def _orbits_in(about: dict[str, Any], crystal: Crystal, hall: int) -> None:
    """Tell the parent's orbits in a setting."""
    from symjax.crystals.setting import crystal_in_setting_of, oriented_in_setting
    from symjax.groups.tables import default_hall
    from symjax.navigate.notation import coordinate_text

    if hall == default_hall(about["number"]):
        return
    moved = crystal_in_setting_of(crystal, hall)
    for orbit, x, multiplicity in zip(about["orbits"], moved.x, moved.multiplicity.tolist(), strict=True):
        orbit |= {
            "letter": f"{multiplicity}{orbit['letter'][-1]}",
            "multiplicity": multiplicity,
            "site_symmetry": oriented_in_setting(orbit["site_symmetry"], hall),
            "x": x.tolist(),
            "coordinates": coordinate_text(x),
        }
        del orbit["free_coordinates"]  # those of the standard setting


def _from_given(report: dict[str, Any]) -> None:
    """Add to every subgroup its basis and origin in the axes that were given, where those are not the standard ones."""
    import numpy as np

    from symjax.navigate.notation import IDENTITY, change_text, numbers_of

    for name in ("file", "setting"):
        way = f"{name}_to_standard"
        if report.get(way, IDENTITY) == IDENTITY:
            continue
        P, p = numbers_of(report[f"{way}_P"]), numbers_of(report[f"{way}_p"])
        for about in report["subgroups"]:
            own_P, own_p = numbers_of(about["P"]), numbers_of(about["p"])
            about[f"from_{name}"] = change_text(P @ own_P, np.asarray(p + P @ own_p))


def _in_target(report: dict[str, Any], text: str) -> None:
    """Add to every subgroup its basis and origin in the setting that --to names, where that is not the standard one."""
    from symjax.crystals.setting import way_to_setting
    from symjax.groups.symbols import parse_setting, setting_name
    from symjax.groups.tables import default_hall
    from symjax.navigate.notation import change_text, numbers_of

    hall = parse_setting(text)
    for about in report["subgroups"]:
        if hall != default_hall(about["number"]):
            way = way_to_setting(hall, numbers_of(about["P"]), numbers_of(about["p"]))
            about["in_setting"] = {"name": setting_name(hall), "change": change_text(*way)}


def _opset(number: int, crystal: Crystal | None) -> OpSet:
    from symjax.groups.tables import standard_setting
    from symjax.navigate.tree import crystal_opset

    return standard_setting(number) if crystal is None else crystal_opset(crystal)


def _selection(args: argparse.Namespace, number: int, hall: int) -> Selection:
    """What is asked of the subgroups; refused at once where nothing can meet it."""
    from symjax.crystals.setting import operations_to_standard
    from symjax.groups.symbols import parse_space_group
    from symjax.groups.tables import hall_setting, standard_setting
    from symjax.navigate.selection import Selection, check_selection, kept_operations
    from symjax.ops.symbols import format_xyz
    from symjax.ops.types import Op

    opset, given = standard_setting(number), hall_setting(hall)
    keep = kept_operations(given, args.keep, number=number)
    selection = Selection(
        number=None if args.to is None else parse_space_group(args.to),
        polar=args.polar,
        chiral=args.chiral,
        remove=tuple(args.remove),
        keep=None if keep is None else Op(*operations_to_standard(hall, keep.W, keep.w, given.den)),
        keep_names=() if keep is None else tuple(map(str, format_xyz(keep, given.den))),
    )
    check_selection(opset, selection)
    return selection


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant before anything is read."""
    from symjax.navigate.klassengleiche import MAX_INDEX, MAX_TARGET_INDEX

    if (args.file is None) == (args.group is None):
        raise InputError("give either a structure file or --group, such as --group 221")
    target = MAX_INDEX if args.to is None else MAX_TARGET_INDEX
    for name, value, largest in (("--max-index", args.max_index, MAX_INDEX), ("--max-cell", args.max_cell, target)):
        if value is not None and not 1 <= value <= largest:
            more = "" if largest > MAX_INDEX else f" ({MAX_TARGET_INDEX} with --to; any with --irrep)"
            raise InputError(
                f"{name} {value}: subgroups are worked out for cells of 1 to {largest} times the parent's{more}"
            )
    if args.depth < 1:
        raise InputError(f"--depth {args.depth}: at least one level")
    for path in (args.dot, args.svg, args.png):
        if path is not None:
            _check_writable(path)


def _check_writable(path: Path) -> None:
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise InputError(f"{path}: cannot be written; the folder must exist and the name must be that of a file")


def _maximal(
    args: argparse.Namespace, number: int, crystal: Crystal | None, report: dict[str, Any]
) -> tuple[Branch, ...]:
    from symjax.navigate.tree import describe_irreps, maximal_tree

    branches = maximal_tree(number, crystal, max_index=args.max_index, depth=args.depth)
    for branch in branches:
        branch.about.update(describe_irreps(number, branch.relation))
    report["subgroups"] = [branch.as_json() for branch in branches]
    return branches


def _split_removed(texts: list[str]) -> tuple[list[str], list[str]]:
    """Kinds of operations, and operations, of --remove."""
    from symjax.groups.kinds import OPERATION_KINDS

    operations = [t for t in texts if t not in OPERATION_KINDS and not t.replace("-", "").isalpha()]
    return [t for t in texts if t not in operations], operations


def _removed(number: int, crystal: Crystal | None, texts: list[str], report: dict[str, Any], hall: int) -> None:
    """The largest subgroups without some operations, which are given in a setting."""
    import numpy as np

    from symjax.crystals.setting import operations_to_standard
    from symjax.groups.tables import hall_setting
    from symjax.navigate.removal import read_operation, without_operations
    from symjax.navigate.tree import describe_irreps, describe_subgroup
    from symjax.ops.symbols import format_xyz
    from symjax.ops.types import Op

    opset, given = _opset(number, crystal), hall_setting(hall)
    told = [read_operation(given, text, number=number) for text in texts]
    names = [str(format_xyz(Op(given.W[row], given.w[row]), given.den)) for row in told]
    W, w = operations_to_standard(hall, given.W[told], given.w[told], given.den)
    same = (opset.W == W[:, None]).all(axis=(2, 3)) & (opset.w == w[:, None]).all(axis=2)
    rows = np.argmax(same, axis=1).tolist()
    report["asked"]["selection"] = f"without {' and '.join(names)} (translations stay)"
    report["asked"]["max_cell"] = 1
    report["subgroups"] = [
        describe_subgroup(number, relation, crystal) | describe_irreps(number, relation)
        for relation in without_operations(opset, rows)
    ]


def _isotropy(
    args: argparse.Namespace, number: int, crystal: Crystal | None, selection: Selection, report: dict[str, Any]
) -> list[Relation]:
    """The isotropy subgroups of one irrep, or the one of a sum of directions, that meet the selection."""
    from symjax.groups.order_parameter import directions
    from symjax.groups.symbols import short_symbol
    from symjax.navigate.irreps import IrrepPart, isotropy_relation, isotropy_subgroups
    from symjax.navigate.selection import select
    from symjax.navigate.tree import describe_part, describe_subgroup

    asked = [_order_parameter(number, text) for text in args.irrep]
    irreps = [irrep for irrep, _ in asked]
    if len(asked) == 1 and asked[0][1] is None:
        rows = [(relation, [one]) for one, relation in isotropy_subgroups(number, irreps[0])]
    else:
        for irrep, direction in asked:
            if direction is None:
                some = ", ".join(f"'{irrep.label} {one.text}'" for one in directions(irrep)[:3])
                raise InputError(f"--irrep {irrep.label}: in a sum each has a direction, such as {some}")
        chosen = [direction for _, direction in asked if direction is not None]
        rows = [(isotropy_relation(number, [(one.irrep, one.generic) for one in chosen]), chosen)]
    report["asked"]["irrep"] = [
        {
            "irrep": irrep.label,
            "k": irrep.named.text,
            "star": list(irrep.named.irreps.star),
            "arms": irrep.arms,
            "dimension": irrep.dim,
            "standard": irrep.named.standard,
        }
        for irrep in irreps
    ]
    report["subgroups"], relations = [], []
    for relation, kept in rows:
        if select([relation], selection):
            parts = [IrrepPart(one.irrep, one.projector) for one in kept]
            about = describe_subgroup(number, relation, crystal)
            texts = [describe_part(part) | {"direction": part.text} for part in parts]  # as asked for, not the simplest
            report["subgroups"].append(about | {"primary": [texts]})
            relations.append(relation)
    if not relations:
        raise InputError(
            f"no isotropy subgroup of {' + '.join(args.irrep)} of {short_symbol(number)} is {selection.describe()}"
        )
    return relations


def _order_parameter(number: int, text: str) -> tuple[RealIrrep, Direction | None]:
    """An irrep, and its direction where the text has one, such as ``R4+ (a,a,0)``."""
    import re

    from symjax.groups.irrep_names import parse_irrep
    from symjax.groups.order_parameter import Direction, parse_direction, real_irrep

    found = re.fullmatch(r"(.*\S)\s*(\([^()]*\))", text.strip())
    if found is None or found.group(1).strip().lower() == "k":
        return real_irrep(*parse_irrep(number, text)), None
    irrep = real_irrep(*parse_irrep(number, found.group(1)))
    return irrep, Direction(irrep, parse_direction(irrep, found.group(2)), 0)


def _selected(
    args: argparse.Namespace, number: int, crystal: Crystal | None, selection: Selection, report: dict[str, Any]
) -> list[Relation]:
    """The subgroups that meet the selection.

    Raises:
        InputError: there are none; the message names the nearest that there are.
    """
    from symjax.navigate.hands import has_both_hands, other_hand
    from symjax.navigate.relation import relations_to
    from symjax.navigate.selection import largest, select
    from symjax.navigate.tree import sort_relations

    opset, any_of_type = _opset(number, crystal), False
    found: list[Relation] = []
    for max_cell in _cells_tried(args):
        relations = relations_to(opset, selection.number, max_k=max_cell)
        any_of_type |= bool(relations)
        found = select(relations, selection)
        if found:
            break
    report["asked"]["max_cell"] = max_cell
    if found and selection.by_operations and selection.number is None and not args.all:
        found = largest(found, selection)
    if selection.number is None:  # both hands of chiral subgroups; a type asked for is of one hand
        found = [each for one in found for each in ((one, other_hand(one)) if has_both_hands(one) else (one,))]
    if not found:
        raise InputError(_none_found(opset, number, selection, max_cell, any_of_type))
    return sort_relations(found)


def _cells_tried(args: argparse.Namespace) -> tuple[int, ...]:
    """Limits on the cell, one after the other until something is found."""
    if args.max_cell is not None:
        return (args.max_cell,)
    return tuple(range(1, DEFAULT_MAX_CELL + 1)) if args.to is not None else (1,)


def _none_found(opset: OpSet, number: int, selection: Selection, max_cell: int, any_of_type: bool) -> str:
    from symjax.groups.symbols import short_symbol
    from symjax.navigate.selection import nearest
    from symjax.navigate.tree import facts

    name = f"{short_symbol(number)} ({number})"
    cells = f"cells up to {max_cell} times its own"
    if selection.number is None or any_of_type:
        return f"{name} has no subgroup that is {selection.describe()} in {cells}"
    wanted = facts(selection.number).point_group
    near = nearest(opset, selection.number)
    listed = ", ".join(f"{short_symbol(n)} ({n}, index {index})" for n, index in near)
    same = bool(near) and facts(near[0][0]).point_group == wanted
    why = f"of its crystal class {wanted}" if same else f"(none has its crystal class {wanted})"
    hint = "; larger cells: --max-cell" if same and max_cell < 27 else ""
    return (
        f"{short_symbol(selection.number)} ({selection.number}) is not a subgroup of {name} in {cells}{hint}. "
        f"The nearest subgroups {why}: {listed or 'none'}"
    )


def _describe_selected(
    args: argparse.Namespace, number: int, crystal: Crystal | None, relations: list[Relation], report: dict[str, Any]
) -> None:
    """Every chosen subgroup with its paths."""
    from symjax.navigate.tree import describe_irreps, describe_paths, describe_subgroup

    report["subgroups"] = []
    for relation in relations:
        about = describe_subgroup(number, relation, crystal)
        if len(relations) <= MAX_WITH_IRREPS:
            about |= describe_irreps(number, relation)
        if not args.all or args.to is not None:
            about |= describe_paths(number, relation, crystal)
        report["subgroups"].append(about)


def _draw(args: argparse.Namespace, report: dict[str, Any], graph: Any) -> None:
    import re

    from symjax.draw.tree import dot_text, draw
    from symjax.navigate.notation import mathtext

    formula = re.sub(r"(\d+)", r"$_{\1}$", report["formula"]) + ": " if report.get("formula") else ""
    title = f"{formula}subgroups of {mathtext(report['parent']['symbol'])}"
    if args.dot:
        args.dot.write_text(dot_text(graph))
    for path in (args.svg, args.png):
        if path is not None:
            draw(path, graph, title=title, kind="svg" if path is args.svg else "png")
