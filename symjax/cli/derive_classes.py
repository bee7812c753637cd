"""The classes of subgroups that `symjax derive` goes through, and the structures drawn for them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symjax.errors import InputError

if TYPE_CHECKING:
    from symjax.cli.parent import Parent
    from symjax.navigate.derive import Derived
    from symjax.navigate.modes import Modes
    from symjax.navigate.relation import Relation

LARGEST_TRIED = (1, 2, 3, 4)
"""Cells that are tried in turn where the user gives no limit."""


@dataclass(frozen=True)
class Class:
    """One class of subgroups of the type asked for.

    Attributes:
        number: its place in the list, from 1.
        relation: the subgroup.
        modes: what becomes free.
        problem: why the crystal's atoms cannot have that group and no more; empty where they can.
        direction: irrep and direction, such as ``R4+ (a,a,0)``, where the class was asked for by an irrep.
    """

    number: int
    relation: Relation
    modes: Modes
    problem: str
    direction: str = ""


def irrep_classes(parent: Parent, args: argparse.Namespace) -> list[Class]:
    """The isotropy subgroups of --irrep along --direction (all directions where it is left out), with its freedoms alone.

    Raises:
        InputError: no such irrep or direction, or a crystal without displacements and strains of that irrep.
    """
    from symjax.groups.irrep_names import parse_irrep
    from symjax.groups.order_parameter import Direction, directions, parse_direction, real_irrep
    from symjax.navigate.derive import require_realized
    from symjax.navigate.irrep_modes import modes_of_irrep
    from symjax.navigate.irreps import isotropy_relation

    irrep = real_irrep(*parse_irrep(parent.number, args.irrep))
    if args.direction is None:
        asked = directions(irrep)
    else:
        asked = [Direction(irrep, parse_direction(irrep, args.direction), 0)]
    found = []
    for i, one in enumerate(asked, 1):
        relation = isotropy_relation(parent.number, [(irrep, one.generic)], count=one.count)
        kept = irrep.fixed_by(*relation.operations(), relation.setting.P, relation.setting.P_den)
        along = None
        if args.direction is not None and not any(c.isalpha() for c in args.direction):
            along = one.generic  # numbers: that very vector, whatever else its isotropy subgroup keeps
        elif args.direction is not None and round(float(kept.trace())) != one.dim:
            full = Direction(irrep, kept, 0)
            raise InputError(
                f"--direction {args.direction}: what {relation.symbol} ({relation.number}) keeps of {irrep.label} is {full.text}; "
                "give that, or a direction of more symmetry"
            )
        modes, problem = modes_of_irrep(parent.crystal, irrep, relation, along=along), ""
        try:
            require_realized(modes, displacement=args.amplitude > 0, strain=args.strain > 0)
        except InputError as error:
            problem = str(error)
        found.append(Class(i, relation, modes, problem, f"{irrep.label} {one.text}"))
    if args.relation is not None:
        if not 1 <= args.relation <= len(found):
            raise InputError(f"--relation {args.relation}: there are directions 1 to {len(found)}")
        found = found[args.relation - 1 : args.relation]
    if all(one.problem for one in found):
        raise InputError(f"{args.file}: {found[0].problem}")
    return found


def find_classes(parent: Parent, number: int, args: argparse.Namespace) -> list[Class]:
    """The classes of subgroups of a type and what they set free; those not asked for by --relation are left out.

    Without --max-cell they are those in the smallest cell in which these atoms can have the type.

    Raises:
        InputError: the type is no subgroup (names the nearest that are), there is no such class, or none can be realised.
    """
    from symjax.lattice import metric
    from symjax.navigate.relation import relations_to

    found: list[Class] = []
    for max_cell in LARGEST_TRIED if args.max_cell is None else (args.max_cell,):
        relations = relations_to(parent.opset, number, max_k=max_cell, metric=metric(parent.crystal.L))
        found = _judged(parent, relations, args)
        if not all(one.problem for one in found):
            break
    if not relations:
        raise InputError(_no_subgroup(parent, number, max_cell))
    if args.relation is not None:
        if not 1 <= args.relation <= len(found):
            raise InputError(f"--relation {args.relation}: there are classes 1 to {len(found)} of that type")
        found = found[args.relation - 1 : args.relation]
    if all(one.problem for one in found):
        more = f" (and so for all {len(found)} classes)" if len(found) > 1 else ""
        raise InputError(f"{args.file}: {found[0].problem}{more}")
    return found


def _judged(parent: Parent, relations: list[Relation], args: argparse.Namespace) -> list[Class]:
    """Every class with what it sets free, and why the atoms cannot have it if so."""
    from symjax.navigate.derive import require_realized
    from symjax.navigate.modes import modes_of
    from symjax.navigate.splitcrystal import split_crystal

    found = []
    for i, relation in enumerate(relations, 1):
        modes, problem = modes_of(split_crystal(parent.crystal, relation)), ""
        try:
            require_realized(modes, displacement=args.amplitude > 0, strain=args.strain > 0)
        except InputError as error:
            problem = str(error)
        found.append(Class(i, relation, modes, problem))
    return found


def _no_subgroup(parent: Parent, number: int, max_cell: int) -> str:
    from symjax.groups.symbols import short_symbol
    from symjax.navigate.selection import nearest

    near = ", ".join(
        f"{short_symbol(n)} ({n}, index {i})" for n, i in nearest(parent.opset, number, max_k=min(max_cell, 2))
    )
    cells = "cells of the same size" if max_cell == 1 else f"primitive cells up to {max_cell} times as large"
    return (
        f"{short_symbol(number)} ({number}) is no subgroup of {parent.symbol} ({parent.number}) with {cells}; "
        f"the nearest that are: {near}"
    )


def draw(parent: Parent, classes: list[Class], args: argparse.Namespace) -> list[tuple[Class, Derived]]:
    """The structures, spread evenly over the classes that can be realised, the smallest indices first."""
    import jax

    from symjax.navigate.derive import MIN_SHARE, collect, derive_batch, make_plan, shortest_distance

    limit = MIN_SHARE * shortest_distance(parent.crystal) if args.min_distance is None else args.min_distance
    usable = [one for one in classes if not one.problem]
    share, rest = divmod(args.num, len(usable))
    found = []
    for place, one in enumerate(usable):
        count = share + (place < rest)
        if count:
            key = jax.random.fold_in(jax.random.key(args.seed), one.number)
            batch = derive_batch(make_plan(one.modes), key, count, args.amplitude, args.strain)
            found.append((one, distinct(collect(one.modes, batch, limit))))
    return found


def distinct(derived: Derived) -> Derived:
    """Without structures drawn again: with one mode and at most one strain there are no more than four."""
    from dataclasses import replace

    import numpy as np

    rows = [np.round(np.concatenate([c.x.ravel(), c.L.ravel()]), 8) for c in derived.crystals]
    if not rows:
        return derived
    keep = np.sort(np.unique(np.array(rows), axis=0, return_index=True)[1])
    return replace(
        derived,
        crystals=[derived.crystals[i] for i in keep],
        amplitude=derived.amplitude[keep],
        strain=derived.strain[keep],
        shortest=derived.shortest[keep],
    )
