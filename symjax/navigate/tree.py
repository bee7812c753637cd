"""What a group loses and a crystal gains in each of its subgroups, as plain JSON values and as text.

Owns `describe_group`, `describe_subgroup`, `describe_paths`, `maximal_tree` and the words for them. Freedoms are counted for the
crystal in its parent arrangement: freed = those of H minus those of G, displacements without the uniform translations that a
polar H allows; "order parameter" are the freed modes that no group between H and G keeps (`symjax.navigate.modes`).

Ferroelastic means here that H leaves more strains free than G (a spontaneous strain; Aizu, J. Phys. Soc. Jpn. 27, 387, 1969).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.types import Crystal
from symjax.elements import symbol as element
from symjax.errors import InputError
from symjax.groups.irrep_names import characters_text
from symjax.groups.properties import GroupProperties, properties
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import enantiomorph, standard_setting, wyckoff_letters
from symjax.navigate.hands import has_both_hands
from symjax.navigate.interval import Chain, chains
from symjax.navigate.modes import modes_of
from symjax.navigate.notation import basis_text, coordinate_text, fractions_of, free_text, origin_text
from symjax.navigate.relation import Relation, maximal_relations
from symjax.navigate.splitcrystal import SplitCrystal, split_crystal
from symjax.navigate.splitting import standard_positions
from symjax.wyckoff.site_symbols import oriented_symbols

if TYPE_CHECKING:
    from symjax.navigate.irreps import IrrepPart

_PARAMETERS = {
    "triclinic": ("a", "b", "c", "alpha", "beta", "gamma"),
    "monoclinic": ("a", "b", "c", "beta"),
    "orthorhombic": ("a", "b", "c"),
    "tetragonal": ("a", "c"),
    "trigonal": ("a", "c"),
    "hexagonal": ("a", "c"),
    "cubic": ("a",),
}
"""Independent parameters of the cell in the standard settings (unique axis b, hexagonal axes)."""
MAX_TREE = 2000
"""Subgroups of a tree of several levels beyond this number are refused."""


@cache
def facts(number: int) -> GroupProperties:
    """Properties of a type, from the operations of its standard setting (cached per process)."""
    return properties(standard_setting(number))


def describe_group(number: int, crystal: Crystal | None = None) -> dict[str, Any]:
    """A parent: its type, properties and, of a crystal, the orbits and free parameters."""
    known = facts(number)
    about: dict[str, Any] = {
        "number": number,
        "symbol": short_symbol(number),
        "point_group": known.point_group,
        "crystal_system": known.crystal_system,
        "polar": known.polar,
        "chiral": known.sohncke,
        "centrosymmetric": known.centrosymmetric,
        "free_lattice": known.num_free_lattice,
        "lattice_parameters": list(_PARAMETERS[known.crystal_system]),
    }
    if crystal is not None:
        own = whole_relation(crystal_opset(crystal), number)
        about["orbits"] = _orbits(split_crystal(crystal, own), number)
        about["free_coordinates"] = sum(orbit["free"] for orbit in about["orbits"])
    return about


def crystal_opset(crystal: Crystal) -> OpSet:
    """The operations of a crystal as a set."""
    return OpSet(
        W=crystal.W.astype(np.int32), w=crystal.w.astype(np.int32), mask=np.ones(len(crystal.W), bool), den=crystal.den
    )


def whole_relation(parent: OpSet, number: int) -> Relation:
    """A group in its standard setting as a subgroup of itself."""
    one, zero = np.eye(3, dtype=np.int64), np.zeros(3, np.int64)
    return Relation(parent, Setting(number, short_symbol(number), one, 1, zero, 1), 1, 1, 1, False)


def describe_subgroup(number: int, relation: Relation, crystal: Crystal | None = None) -> dict[str, Any]:
    """One subgroup of a parent in its standard setting.

    Args:
        number: type of the parent.
        relation: parent and subgroup.
        crystal: with the operations of the parent; None for the relation of the groups alone.

    Returns:
        JSON values; P and p as exact fractions, `orbits` what each orbit of the parent splits into.
    """
    above, below = facts(number), facts(relation.number)
    P, p = fractions_of(relation.setting)
    about: dict[str, Any] = {
        "number": relation.number,
        "symbol": relation.symbol,
        "index": relation.index,
        "t_index": relation.t_index,
        "k_index": relation.k_index,
        "kind": relation.kind,
        "kind_in_words": kind_in_words(relation),
        "maximal": relation.maximal,
        **_conjugates(relation),
        "basis": basis_text(relation.setting),
        "origin": origin_text(relation.setting),
        "P": P,
        "p": p,
        "point_group": below.point_group,
        "crystal_system": below.crystal_system,
        "polar": below.polar,
        "chiral": below.sohncke,
        "centrosymmetric": below.centrosymmetric,
        "ferroelastic": below.num_free_lattice > above.num_free_lattice,
        "polar_directions": _directions(relation, below),
        "changes": changes(above, below),
        "free_lattice": below.num_free_lattice,
        "freed_lattice": below.num_free_lattice - above.num_free_lattice,
        "lattice_parameters": list(_PARAMETERS[below.crystal_system]),
    }
    if crystal is not None:
        split = split_crystal(crystal, relation)
        modes = modes_of(split)
        about["orbits"] = _splitting(split, number)
        about |= {
            "free_coordinates": modes.num_coordinates,
            "freed_displacements": len(modes.displacement),
            "order_parameter_displacements": modes.num_primary,
            "order_parameter_strains": modes.num_primary_strain,
            "uniform_translations": modes.num_translations,
            "realized": None
            if modes.realized is None
            else {"number": modes.realized.number, "symbol": modes.realized.symbol},
        }
    return about


def _conjugates(relation: Relation) -> dict[str, Any]:
    """How many conjugates there are; of a chiral subgroup of an achiral group, how many of either hand."""
    if not has_both_hands(relation):
        return {"conjugates": relation.num_conjugates, "other_hand": None}
    other = enantiomorph(relation.number)
    half = relation.num_conjugates // 2
    return {
        "conjugates": half,
        "other_hand": {"number": other, "symbol": short_symbol(other), "conjugates": relation.num_conjugates - half},
    }


def kind_in_words(relation: Relation) -> str:
    """Translationengleiche, or what a klassengleiche subgroup gives up, or both steps of a general one."""
    if relation.kind == "general":
        return f"general (t{relation.t_index}, then k{relation.k_index})"
    if relation.kind == "t":
        return "translationengleiche"
    how = "isomorphic" if relation.isomorphic else "loss of centring" if relation.decentred else "enlarged cell"
    return f"klassengleiche, {how}"


def changes(above: GroupProperties, below: GroupProperties) -> list[str]:
    """Words for what a subgroup is that its parent is not."""
    found = []
    if below.polar and not above.polar:
        found.append("polar")
    elif len(below.polar_directions) > len(above.polar_directions):
        found.append("more polar directions")
    if below.sohncke and not above.sohncke:
        found.append("chiral")
    if below.num_free_lattice > above.num_free_lattice:
        found.append("ferroelastic")
    if above.centrosymmetric and not below.centrosymmetric:
        found.append("not centrosymmetric")
    return found


def _directions(relation: Relation, below: GroupProperties) -> list[list[int]]:
    """Polar directions of the subgroup as integer vectors of the parent's basis."""
    found = []
    for row in below.polar_directions:
        vector = relation.setting.P @ row
        vector = vector // max(int(np.gcd.reduce(vector)), 1)
        found.append([int(v) for v in vector])
    return found


def _orbits(split: SplitCrystal, number: int) -> list[dict[str, Any]]:
    """Orbits of a split crystal in the standard setting of a type."""
    letters, positions, oriented = wyckoff_letters(number), standard_positions(number), oriented_symbols(number)
    return [
        {
            "element": element(int(z)),
            "letter": f"{o.multiplicity}{letters[o.position]}",
            "multiplicity": o.multiplicity,
            "site_symmetry": oriented[o.position],
            "free": o.dof,
            "free_coordinates": free_text(np.rint(positions.basis[o.position][:, : o.dof])),
            "x": [float(v) for v in x],
            "coordinates": coordinate_text(x),
        }
        for z, o, x in zip(split.z, split.orbits, split.x, strict=True)
    ]


def orbit_rows(split: SplitCrystal) -> tuple[tuple[str, str, str, str], ...]:
    """Element, Wyckoff letter, site symmetry and coordinates of each orbit of a split crystal, as texts."""
    return tuple(
        (one["element"], one["letter"], one["site_symmetry"], one["coordinates"])
        for one in _orbits(split, split.relation.number)
    )


def _splitting(split: SplitCrystal, number: int) -> list[dict[str, Any]]:
    """Each orbit of the parent with the orbits it splits into."""
    letters, positions = wyckoff_letters(number), split.splitter.parent
    pieces = _orbits(split, split.relation.number)
    found = []
    for i, position in enumerate(split.parent_position.tolist()):
        mine = [piece for piece, origin in zip(pieces, split.parent_orbit, strict=True) if origin == i]
        found.append(
            {
                "element": mine[0]["element"],
                "letter": f"{int(positions.multiplicity[position])}{letters[position]}",
                "free": int(positions.dof[position]),
                "into": mine,
            }
        )
    return found


def describe_irreps(number: int, relation: Relation) -> dict[str, Any]:
    """The irreps by which a group goes over into a subgroup.

    Returns:
        `primary`: sets of irreps (mostly of one) whose order parameters leave the subgroup and no more, each with `irrep`, `k`,
        `direction`, whether the label is `standard`; `irreps_refused` instead where there are too many k-vectors.
    """
    from symjax.navigate.irreps import irreps_of, primary_irreps

    try:
        sets = primary_irreps(relation, irreps_of(number, relation))
        return {"primary": [[describe_part(part) for part in chosen] for chosen in sets]}
    except InputError as error:
        return {"primary": [], "irreps_refused": str(error)}


def describe_part(part: IrrepPart) -> dict[str, Any]:
    """One irrep that a subgroup keeps something of."""
    named = part.irrep.named
    return {
        "irrep": part.irrep.label,
        "standard": named.standard,
        "k": named.irreps.k.text,
        "dimension": part.irrep.dim,
        "direction": part.plain,
        "direction_here": part.text,
    } | ({} if named.standard else {"characters": characters_text(named, part.irrep.irrep)})


def describe_paths(number: int, relation: Relation, crystal: Crystal | None = None) -> dict[str, Any]:
    """Every chain of maximal subgroups from a parent in its standard setting to a subgroup.

    Returns:
        `paths`: for each chain `count` (chains that conjugation makes equal to it) and `steps`, each with its change of basis from
        the group above and what becomes free in it; `maximal`, whether the only path is one step. Where the index is too large, or
        there are too many groups in between or chains, `paths_refused` says so instead.
    """
    try:
        found = chains(relation)
    except InputError as error:
        return {"maximal": False, "paths_refused": str(error)}
    maximal = len(found) == 1 and len(found[0].steps) == 1
    return {"maximal": maximal, "paths": [_path(number, chain, relation.parent, crystal) for chain in found]}


def _path(number: int, chain: Chain, parent: OpSet, crystal: Crystal | None) -> dict[str, Any]:
    steps = []
    above, freed_above = number, 0
    for node, step in zip(chain.nodes[1:], chain.steps, strict=True):
        P, p = fractions_of(step.setting)
        upper, lower = facts(above), facts(node.setting.number)
        one: dict[str, Any] = {
            "number": node.setting.number,
            "symbol": node.setting.symbol,
            "label": step.label,
            "kind": step.kind,
            "index": step.index,
            "index_in_parent": node.index,
            "conjugates": node.num_conjugates,
            "basis": basis_text(step.setting),
            "origin": origin_text(step.setting),
            "P": P,
            "p": p,
            "changes": changes(upper, lower),
            "freed_lattice": lower.num_free_lattice - upper.num_free_lattice,
        }
        if crystal is not None:
            relation = Relation(parent, node.setting, node.t_index, node.k_index, node.num_conjugates)
            freed = freed_displacements(split_crystal(crystal, relation), number)
            one["order_parameter_displacements"] = freed - freed_above
            one["order_parameter_strains"] = one["freed_lattice"]
            freed_above = freed
        above = node.setting.number
        steps.append(one)
    return {"count": chain.count, "steps": steps}


def freed_displacements(split: SplitCrystal, number: int) -> int:
    """Displacement modes that a crystal gains in a subgroup, uniform translations taken out.

    In a chain of maximal subgroups the modes that a step frees are all its order parameter: nothing lies between.
    """
    own = sum(int(split.splitter.parent.dof[p]) for p in split.parent_position)
    gained = sum(o.dof for o in split.orbits) - own
    return gained - len(facts(split.relation.number).polar_directions) + len(facts(number).polar_directions)


@dataclass(frozen=True)
class Branch:
    """A subgroup of a tree: its relation to the group above it, what is said of it, and its own subgroups."""

    relation: Relation
    about: dict[str, Any]
    below: tuple[Branch, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The description, with `children` where there is a next level."""
        return self.about | ({"children": [one.as_json() for one in self.below]} if self.below else {})


def maximal_tree(
    number: int, crystal: Crystal | None = None, *, max_index: int = 2, depth: int = 1
) -> tuple[Branch, ...]:
    """Maximal subgroups of a parent in its standard setting, and theirs, to a depth.

    Args:
        number: type of the parent.
        crystal: with the operations of its standard setting; None for groups alone.
        max_index: klassengleiche ones up to this index (1: none); translationengleiche ones of any.
        depth: levels.

    Raises:
        InputError: an index out of range, or a tree of more than `MAX_TREE` subgroups.
    """
    parent = standard_setting(number) if crystal is None else crystal_opset(crystal)
    left = [MAX_TREE]

    def level(number: int, parent: OpSet, crystal: Crystal | None, depth: int) -> tuple[Branch, ...]:
        relations = sort_relations(maximal_relations(parent, max_index))
        left[0] -= len(relations)
        if left[0] < 0:
            raise InputError(f"the tree has more than {MAX_TREE} subgroups; ask for less depth or a smaller index")
        found = []
        for relation in relations:
            inner = None if crystal is None or depth < 2 else split_crystal(crystal, relation).crystal()
            below = level(relation.number, relation.subgroup, inner, depth - 1) if depth > 1 else ()
            found.append(Branch(relation, describe_subgroup(number, relation, crystal), below))
        return tuple(found)

    return level(number, parent, crystal, depth)


def sort_relations(relations: Sequence[Relation]) -> list[Relation]:
    """Translationengleiche first, then by index; the higher type first among equals."""
    return sorted(
        relations, key=lambda one: (one.k_index > 1, one.index, one.k_index, -one.number, one.setting.p.tolist())
    )
