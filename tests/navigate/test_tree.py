"""Descriptions of subgroups of real crystals, the graph of a tree and its drawings."""

import itertools
import json
import re

import numpy as np
import pytest
from textbook import crystal

from symjax.draw.tree import arranged, dot_text, draw
from symjax.groups import standard_setting
from symjax.groups.setting import make_setting
from symjax.navigate.graph import composed, graph_below, graph_to
from symjax.navigate.interval import relative
from symjax.navigate.modes import modes_of
from symjax.navigate.notation import basis_text, coordinate_text, free_text, mathtext, origin_text
from symjax.navigate.relation import Relation, maximal_relations, relations_to, verify
from symjax.navigate.splitcrystal import split_crystal
from symjax.navigate.tree import (
    crystal_opset,
    describe_group,
    describe_paths,
    describe_subgroup,
    freed_displacements,
    kind_in_words,
    maximal_tree,
)


def described(name, number, to, max_k=1, pick=0):
    parent = crystal(name)
    relation = relations_to(crystal_opset(parent), to, max_k=max_k)[pick]
    return describe_subgroup(number, relation, parent)


def test_barium_titanate_to_tetragonal():
    """P4mm: polar along c, one strain beside the cell's volume, three modes of Ti and O against Ba (one translation taken out)."""
    about = described("BaTiO3 cubic", 221, 99)
    assert (about["index"], about["kind"], about["conjugates"], about["basis"], about["origin"]) == (
        6,
        "t",
        3,
        "a,b,c",
        "0,0,0",
    )
    assert about["changes"] == ["polar", "ferroelastic", "not centrosymmetric"] and about["polar_directions"] == [
        [0, 0, 1]
    ]
    assert (about["free_lattice"], about["freed_lattice"]) == (2, 1)
    assert (about["free_coordinates"], about["freed_displacements"], about["uniform_translations"]) == (4, 3, 1)
    assert about["order_parameter_displacements"] == 3 and about["order_parameter_strains"] == 0
    split = {orbit["element"]: [(one["letter"], one["free"]) for one in orbit["into"]] for orbit in about["orbits"]}
    assert split == {"Ba": [("1a", 1)], "Ti": [("1b", 1)], "O": [("1b", 1), ("2c", 1)]}
    assert about["orbits"][2]["into"][1]["free_coordinates"] == "z" and about["lattice_parameters"] == ["a", "c"]
    assert about["realized"] is None


@pytest.mark.parametrize(
    ("name", "number", "to", "max_k", "words"),
    [
        ("BaTiO3 cubic", 221, 38, 1, ["polar", "ferroelastic", "not centrosymmetric"]),
        ("BaTiO3 cubic", 221, 160, 1, ["polar", "ferroelastic", "not centrosymmetric"]),
        ("PbTiO3 cubic", 221, 99, 1, ["polar", "ferroelastic", "not centrosymmetric"]),
        ("SrTiO3 cubic", 221, 140, 2, ["ferroelastic"]),
        ("CaTiO3 cubic", 221, 62, 4, ["ferroelastic"]),
        ("quartz beta 180", 180, 154, 1, []),
        ("quartz beta 181", 181, 152, 1, []),
        ("La2CuO4 tetragonal", 139, 64, 2, ["ferroelastic"]),
        ("NiTi B2", 221, 11, 2, ["ferroelastic"]),
        ("Fe fcc", 225, 139, 1, ["ferroelastic"]),
        ("cristobalite 227", 227, 92, 2, ["chiral", "ferroelastic", "not centrosymmetric"]),
        ("BiVO4 tetragonal", 88, 15, 1, ["ferroelastic"]),
    ],
)
def test_textbook_transitions(name, number, to, max_k, words):
    """What each transition changes; atoms are conserved; counts of freed modes two ways; every path ends at the subgroup."""
    parent = crystal(name)
    for relation in relations_to(crystal_opset(parent), to, max_k=max_k):
        about = describe_subgroup(number, relation, parent)
        assert about["changes"] == words
        ratio = relation.k_index * len(primitive(to)) / len(primitive(number))
        for orbit in about["orbits"]:
            atoms = int(re.match(r"\d+", orbit["letter"])[0])
            assert sum(one["multiplicity"] for one in orbit["into"]) == pytest.approx(atoms * ratio)
        split = split_crystal(parent, relation)
        assert freed_displacements(split, number) == len(modes_of(split).displacement) == about["freed_displacements"]
        paths = describe_paths(number, relation, parent)["paths"]
        for path in paths:
            assert path["steps"][-1]["number"] == to and path["steps"][-1]["index_in_parent"] == relation.index
            assert sum(step["order_parameter_displacements"] for step in path["steps"]) == about["freed_displacements"]
            assert sum(step["freed_lattice"] for step in path["steps"]) == about["freed_lattice"]
        json.dumps([about, paths])


def primitive(number):
    """Centring translations of a standard setting."""
    opset = standard_setting(number)
    return opset.w[(opset.W == np.eye(3)).all(axis=(1, 2))]


def test_order_parameter_of_strontium_titanate():
    """The rotation of the octahedra is one mode of I4/mcm, in the class whose origin is at titanium, or at strontium."""
    parent = crystal("SrTiO3 cubic")
    by_class = [describe_subgroup(221, one, parent) for one in relations_to(crystal_opset(parent), 140, max_k=2)]
    assert sorted(about["order_parameter_displacements"] for about in by_class if about["realized"] is None) == [1, 1]
    assert {about["realized"]["number"] for about in by_class if about["realized"] is not None} == {123}


def test_words_for_kinds():
    """Loss of centring, enlarged cell, isomorphic: types of Immm and of Pm-3m from International Tables A1."""
    words = {}
    for relation in maximal_relations(standard_setting(71), 3):
        words.setdefault(kind_in_words(relation), set()).add(relation.number)
    assert words["klassengleiche, loss of centring"] == {47, 48, 58, 59}
    assert words["klassengleiche, isomorphic"] == {71} and words["translationengleiche"] == {23, 12, 44}
    cubic = {kind_in_words(one) for one in maximal_relations(standard_setting(221), 2)}
    assert cubic == {"translationengleiche", "klassengleiche, enlarged cell"}


def test_parent_described():
    about = describe_group(221, crystal("BaTiO3 cubic"))
    assert [(o["element"], o["letter"], o["site_symmetry"]) for o in about["orbits"]] == [
        ("Ba", "1a", "m-3m"),
        ("Ti", "1b", "m-3m"),
        ("O", "3c", "4/mm.m"),
    ]
    assert about["free_coordinates"] == 0 and about["free_lattice"] == 1 and about["centrosymmetric"]


def test_depth():
    """The second level holds the maximal subgroups of each of the first."""
    branches = maximal_tree(99, max_index=1, depth=2)
    assert {branch.relation.number for branch in branches} == {75, 25, 35}
    for branch in branches:
        own = {one.number for one in maximal_relations(standard_setting(branch.relation.number), 1)}
        assert {one.relation.number for one in branch.below} == own
        assert [child["number"] for child in branch.as_json()["children"]] == [
            one.relation.number for one in branch.below
        ]


def test_notation():
    s = make_setting(1, "P1", (np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 4]]), 2), (np.array([0, 1, -3]), 4))
    assert basis_text(s) == "1/2a-1/2b,1/2a+1/2b,2c" and origin_text(s) == "0,1/4,-3/4"
    assert coordinate_text(np.array([1 / 3, -1e-9, 0.23456])) == "1/3,0,0.2346"
    assert coordinate_text(np.array([0.99999999, -0.25, 1 / 24])) == "0,3/4,1/24"
    assert free_text(np.zeros((3, 0))) == "" and free_text(np.eye(3)) == "x,y,z"
    assert free_text(np.array([[1], [2], [0]])) == "x,2x" and free_text(np.array([[0, 1], [0, -1], [1, 0]])) == "x,-x,z"
    assert mathtext("P-4_2m") == r"$P\bar{4}_2m$"


def test_composed_and_relative_are_inverse():
    upper = relations_to(standard_setting(221), 160, max_k=1)[0].setting
    lower = relations_to(standard_setting(160), 8, max_k=1)[0].setting
    whole = composed(upper, lower)
    assert np.allclose(whole.matrix, upper.matrix @ lower.matrix)
    again = relative(upper, whole)
    assert (again.P * lower.P_den == lower.P * again.P_den).all() and (
        again.p * lower.p_den == lower.p * again.p_den
    ).all()


@pytest.fixture(scope="module")
def phases():
    """The graph of the three phases of BaTiO3."""
    parent = crystal("BaTiO3 cubic")
    opset = crystal_opset(parent)
    return graph_to(221, [relations_to(opset, n, max_k=1)[0] for n in (99, 160, 38)], parent)


def test_graph_of_several_targets(phases):
    """Conjugates are chosen so that P4mm and Amm2 hang on the same P4/mmm; every edge is an inclusion."""
    names = sorted(vertex.setting.number for vertex in phases.vertices)
    assert names == [38, 65, 99, 123, 160, 166, 215, 221]
    assert {vertex.setting.number for vertex in phases.vertices if vertex.target} == {38, 99, 160}
    check_edges(phases)


def check_edges(graph):
    for edge in graph.edges:
        above, below = graph.vertices[edge.upper].setting, graph.vertices[edge.lower].setting
        t, k = (edge.step.index, 1) if edge.step.kind == "t" else (1, edge.step.index)
        verify(Relation(standard_setting(above.number), edge.step.setting, t, k, 1))
        again = composed(above, edge.step.setting)
        assert np.allclose(again.matrix, below.matrix) and np.allclose(again.origin, below.origin)


def test_graph_of_levels():
    """Groups that two branches share are one vertex: both 47 under 123 and 200 are the same group."""
    branches = maximal_tree(221, max_index=1, depth=2)
    graph = graph_below(221, branches)
    check_edges(graph)
    assert len([v for v in graph.vertices if v.setting.number == 47]) == 1
    assert len([v for v in graph.vertices if v.setting.number == 195]) == 1  # under 215, 207 and 200
    assert sum(1 for edge in graph.edges if graph.vertices[edge.lower].setting.number == 195) == 3


def test_dot(phases):
    text = dot_text(phases)
    assert text.startswith("digraph") and text.count("->") == len(phases.edges) == 8
    assert 'label="P4mm (99)\\nBa 1a 4mm 0,0,0' in text and 't4\\na-b,b-c,a+b+c"' in text


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_drawn(phases, tmp_path, kind):
    draw(tmp_path / f"tree.{kind}", phases, title="BaTiO$_3$", kind=kind)
    data = (tmp_path / f"tree.{kind}").read_bytes()
    assert data.startswith(b"\x89PNG" if kind == "png" else b"<?xml") and len(data) > 10_000


def test_nothing_overlaps(phases):
    """Boxes of a layer, labels of a layer, and edges that pass a layer keep apart; each label stands over its own box."""
    pnma = graph_to(221, relations_to(standard_setting(221), 62, max_k=4))
    wide = graph_below(221, maximal_tree(221, max_index=2))
    for graph in (phases, pnma, wide):
        boxes, labels = arranged(graph)
        for layer in {box.layer for box in boxes}:
            spans = sorted((box.x - box.width / 2, box.x + box.width / 2) for box in boxes if box.layer == layer)
            assert all(b[0] >= a[1] for a, b in itertools.pairwise(spans))
            texts = sorted(span for at, span, _ in labels if at == layer)
            assert all(b[0] >= a[1] for a, b in itertools.pairwise(texts))
        for _, (left, right), box in labels:
            assert box.x - box.width / 2 <= left + 1e-6 and right <= box.x + box.width / 2 + 1e-6
