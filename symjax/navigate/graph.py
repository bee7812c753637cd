"""A Baernighausen tree as a graph: groups as vertices, relations to maximal subgroups as edges.

Owns `Graph`, `graph_to` and `graph_below`. A vertex is one group (not a class), given by its way from the root's basis, so that
every edge is a true inclusion and any two routes to a vertex give the same coordinates. Where several subgroups are drawn
together, each is replaced by that conjugate under the root that shares most groups with what is there already.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from symjax.crystals.types import Crystal
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, make_setting
from symjax.groups.tables import standard_setting
from symjax.navigate.action import Action
from symjax.navigate.interval import Step, interval_of, relative
from symjax.navigate.relation import Relation
from symjax.navigate.splitcrystal import split_crystal
from symjax.navigate.tree import Branch, crystal_opset, orbit_rows, whole_relation


@dataclass(frozen=True)
class Vertex:
    """One group of a tree.

    Attributes:
        setting: type and (P, p) from the root's standard setting.
        index: in the root.
        target: whether it was asked for.
        rows: for each orbit of the crystal element, Wyckoff letter, site symmetry and coordinates, as texts.
    """

    setting: Setting
    index: int
    target: bool = False
    rows: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True)
class Edge:
    """The lower vertex is a maximal subgroup of the upper one; both are positions in `Graph.vertices`."""

    upper: int
    lower: int
    step: Step


@dataclass
class Graph:
    """A tree of subgroups; vertex 0 is the root."""

    number: int
    vertices: list[Vertex]
    edges: list[Edge]
    _known: dict[bytes, int] = field(default_factory=dict, repr=False)

    def connect(self, upper: int, lower: int, step: Step) -> None:
        """Add an edge unless it is there."""
        if not any(edge.upper == upper and edge.lower == lower for edge in self.edges):
            self.edges.append(Edge(upper, lower, step))


def graph_to(number: int, relations: Sequence[Relation], crystal: Crystal | None = None) -> Graph:
    """Every chain from a root in its standard setting to some of its subgroups.

    Args:
        number: type of the root.
        relations: of the root.
        crystal: with the root's operations; None for groups alone.

    Raises:
        InputError: an index too large, or too many chains.
    """
    graph, parent = _root(number, crystal)
    for relation in relations:
        chosen = _aligned(graph, relation)
        between = interval_of(chosen)
        for chain in between.chains():
            places = []
            for node in chain.nodes:
                key = between.action.key_of(node.block)
                own = Relation(parent, node.setting, node.t_index, node.k_index, node.num_conjugates)
                places.append(_vertex(graph, key, own, crystal, target=node.block == 1))
            for (upper, lower), step in zip(itertools.pairwise(places), chain.steps, strict=True):
                above, below = graph.vertices[upper], graph.vertices[lower]
                graph.connect(upper, lower, replace(step, setting=relative(above.setting, below.setting)))
    return graph


def graph_below(number: int, branches: Sequence[Branch], crystal: Crystal | None = None) -> Graph:
    """The graph of a tree of maximal subgroups (`tree.maximal_tree`) of a root in its standard setting."""
    graph, parent = _root(number, crystal)

    waiting: list[tuple[int, Relation, Branch]] = [(0, whole_relation(parent, number), branch) for branch in branches]
    for (
        upper,
        above,
        branch,
    ) in waiting:  # level after level, so that the groups of one are there when those below are placed
        one, setting = branch.relation, graph.vertices[upper].setting
        own = Relation(
            parent, composed(setting, one.setting), above.t_index * one.t_index, above.k_index * one.k_index, 1
        )
        key, own = _found_below(graph, parent, setting, own)
        new = key not in graph._known
        lower = _vertex(graph, key, own, crystal, target=False)
        step = relative(setting, graph.vertices[lower].setting)
        graph.connect(upper, lower, Step(step, one.index, "t" if one.k_index == 1 else "k", one.isomorphic))
        if new:
            waiting += [(lower, own, inner) for inner in branch.below]
    return graph


def composed(upper: Setting, lower: Setting) -> Setting:
    """Two changes one after the other: `lower` leads from the standard setting of `upper` to its own."""
    unit = upper.P_den * lower.p_den
    common = math.lcm(unit, upper.p_den)
    p = upper.P @ lower.p * (common // unit) + upper.p * (common // upper.p_den)
    return make_setting(lower.number, lower.symbol, (upper.P @ lower.P, upper.P_den * lower.P_den), (p, common))


def _root(number: int, crystal: Crystal | None) -> tuple[Graph, OpSet]:
    parent = standard_setting(number) if crystal is None else crystal_opset(crystal)
    own = whole_relation(parent, number)
    graph = Graph(number, [], [])
    _vertex(graph, Action.of(parent, own.setting).key_of(1), own, crystal, target=False)
    return graph, parent


def _vertex(graph: Graph, key: bytes, own: Relation, crystal: Crystal | None, *, target: bool) -> int:
    """The place of a group, added if it is new."""
    if key not in graph._known:
        rows = () if crystal is None else orbit_rows(split_crystal(crystal, own))
        graph._known[key] = len(graph.vertices)
        graph.vertices.append(Vertex(own.setting, own.index, target, rows))
    place = graph._known[key]
    if target and not graph.vertices[place].target:
        graph.vertices[place] = replace(graph.vertices[place], target=True)
    return place


def _aligned(graph: Graph, relation: Relation) -> Relation:
    """The conjugate of a subgroup whose groups above are most of all in the graph already."""
    if len(graph.vertices) == 1:
        return relation
    between = interval_of(relation)
    blocks = {node.block for chain in between.chains() for node in chain.nodes[1:]}
    action = between.action
    proper = np.flatnonzero(action.proper())
    shared = [sum(action.key_of(block, int(coset)) in graph._known for block in blocks) for coset in proper]
    best = int(proper[int(np.argmax(shared))])
    return relation if best == 0 else replace(relation, setting=action.conjugate_setting(best))


def _found_below(graph: Graph, parent: OpSet, upper: Setting, own: Relation) -> tuple[bytes, Relation]:
    """A conjugate of a subgroup under the group above it, and its name: one the graph has, else one inside most groups of it."""
    try:
        action = Action.of(parent, own.setting)
    except InputError:  # the index in the root is beyond what the action takes: not merged with anything
        return f"{len(graph.vertices)}".encode(), own
    inside = action.block_of(Action.of(parent, upper))
    proper = action.proper()
    cosets = [coset for coset in range(action.num) if inside >> coset & 1 and proper[coset]]
    for coset in cosets:
        if (key := action.key_of(1, coset)) in graph._known:
            return key, own
    held = np.zeros(action.num, int)
    for vertex in graph.vertices:
        if 1 < vertex.index < own.index and own.index % vertex.index == 0:
            held += action.inside(Action.of(parent, vertex.setting))
    best = max(cosets, key=lambda coset: held[coset])  # the first of equals: the simplest setting
    chosen = own if held[best] == held[0] else replace(own, setting=action.conjugate_setting(best))
    return action.key_of(1, 0 if chosen is own else best), chosen
