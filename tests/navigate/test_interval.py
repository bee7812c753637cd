"""Groups between a group and a subgroup, and chains: against brute force, enumerations of maximal subgroups, and the textbook."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.errors import InputError
from symjax.groups import primitive_form, standard_setting
from symjax.groups.setting import make_setting, rotation_products
from symjax.navigate.action import Action
from symjax.navigate.interval import chains, interval_of
from symjax.navigate.klassengleiche import maximal_k_subgroups
from symjax.navigate.relation import Relation, k_relations, relations_to, t_relations, verify
from symjax.navigate.translationengleiche import maximal_t_subgroups, subgroup_masks

# Parent, subgroup, largest cell, index, and one known chain of types: the transitions of BaTiO3, SrTiO3, CaTiO3, La2CuO4, NiTi, the
# Bain path, cristobalite, BiVO4 and quartz (Baernighausen trees in International Tables A1 and in Mueller 2013).
TEXTBOOK = [
    (221, 99, 1, 6, (123, 99)),
    (221, 38, 1, 12, (123, 65, 38)),
    (221, 160, 1, 8, (166, 160)),
    (221, 160, 1, 8, (215, 160)),
    (221, 140, 2, 6, (123, 140)),
    (221, 140, 2, 6, (226, 140)),
    (221, 62, 4, 24, (123, 127, 55, 62)),
    (221, 62, 4, 24, (123, 65, 74, 62)),
    (139, 64, 2, 4, (69, 64)),
    (221, 11, 2, 24, (123, 129, 59, 11)),
    (225, 139, 1, 3, (139,)),
    (227, 92, 2, 12, (210, 98, 92)),
    (227, 92, 2, 12, (141, 98, 92)),
    (88, 15, 1, 2, (15,)),
    (180, 154, 1, 2, (154,)),
    (181, 152, 1, 2, (152,)),
]


@cache
def relations(parent, number, max_k):
    return relations_to(standard_setting(parent), number, max_k=max_k)


def types(chain):
    return tuple(node.setting.number for node in chain.nodes[1:])


@pytest.mark.parametrize(("parent", "number", "max_k", "index", "path"), TEXTBOOK)
def test_textbook_chains(parent, number, max_k, index, path):
    found = [one for one in relations(parent, number, max_k) if one.index == index]
    assert found
    assert any(path in {types(chain) for chain in chains(one)} for one in found)


def test_phases_of_barium_titanate_are_siblings():
    """Each is a subgroup of the cubic parent, and none is one of another in the same cell (nor at the ratio of their indices)."""
    cubic = standard_setting(221)
    index = {n: relations_to(cubic, n, max_k=1)[0].index for n in (99, 38, 160)}
    assert index == {99: 6, 38: 12, 160: 8}
    for upper in index:
        for lower in set(index) - {upper}:
            found = relations_to(standard_setting(upper), lower, max_k=2)
            assert not [one for one in found if one.k_index == 1 or one.index == index[lower] / index[upper]]


def test_hands_of_quartz_stay_apart():
    for parent, own, other in ((180, 154, 152), (181, 152, 154)):
        assert len(relations_to(standard_setting(parent), own, max_k=1)) == 1
        assert relations_to(standard_setting(parent), other, max_k=1) == []


@pytest.mark.parametrize(
    ("parent", "number", "max_k"), [(221, 62, 4), (221, 140, 2), (227, 92, 2), (221, 11, 2), (180, 152, 2)]
)
def test_every_step_is_a_maximal_subgroup(parent, number, max_k):
    """Type, index and setting of each step, against the enumerations and by its operations; the steps compose to the relation."""
    known = {}
    for relation in relations(parent, number, max_k):
        for chain in chains(relation):
            assert chain.nodes[0].index == 1 and chain.nodes[-1].index == relation.index
            P, p, above = np.eye(3), np.zeros(3), parent
            for node, step in zip(chain.nodes[1:], chain.steps, strict=True):
                key = above, step.kind, step.index
                if key not in known:
                    upper = standard_setting(above)
                    one = maximal_t_subgroups(upper) if step.kind == "t" else maximal_k_subgroups(upper, step.index)
                    known[key] = {(sub.number, sub.index) for sub in one}
                assert (step.setting.number, step.index) in known[key]
                t, k = (step.index, 1) if step.kind == "t" else (1, step.index)
                verify(Relation(standard_setting(above), step.setting, t, k, 1))
                verify(Relation(relation.parent, node.setting, node.t_index, node.k_index, 1))
                p, P, above = p + P @ step.setting.origin, P @ step.setting.matrix, node.setting.number
            assert np.allclose(P, relation.setting.matrix) and np.allclose(p, relation.setting.origin)


def test_klassengleiche_steps_are_named_as_in_the_tables():
    """180 to 181 doubles c: isomorphic, being of the enantiomorphic type; 180 to 178 is not."""
    relation = relations(180, 152, 2)[0]
    labels = {(types(chain)[0], chain.steps[0].label) for chain in chains(relation)}
    assert labels == {(181, "i2"), (178, "k2"), (154, "t2")}


@pytest.mark.parametrize("number", [221, 191, 62, 227])
def test_intervals_of_translationengleiche_subgroups_by_masks(number):
    """Groups between H and G are the subgroups of the point group that hold H's."""
    opset = standard_setting(number)
    form = primitive_form(opset)
    masks = subgroup_masks(rotation_products(form.W))
    for relation in t_relations(opset, maximal=False):
        between = interval_of(relation)
        own = sum(1 << int(row) for row in between.action.rows)
        assert len(between.blocks) == sum(1 for mask in masks if mask & own == own)


def brute_force(relation):
    """Number of groups between H and G, by closing explicit operations modulo a lattice that every conjugate of H has."""
    form = primitive_form(relation.parent)
    action = Action.of(relation.parent, relation.setting)
    inverse = np.linalg.inv(action.lattice.T)
    period = next(
        n for n in range(1, 100) if np.abs(n * inverse - np.rint(n * inverse)).max() < 1e-9
    )  # of all T' >= n Z^3
    shifts = np.array(list(np.ndindex(period, period, period)))
    row, n = np.repeat(np.arange(len(form.W)), len(shifts)), np.tile(shifts, (len(form.W), 1))
    product = rotation_products(form.W)

    def place(row, n):
        n = n % period
        return row * len(shifts) + (n[..., 0] * period + n[..., 1]) * period + n[..., 2]

    w = form.w[row] + form.den * n
    target = product[row[:, None], row[None]]
    moved = w[:, None] + np.einsum("aij,bj->abi", form.W[row], w) - form.w[target]
    assert not (moved % form.den).any()
    table = place(target, moved // form.den)

    def closure(start):
        inside = np.zeros(len(table), bool)
        inside[start] = True
        while True:
            reached = inside.copy()
            reached[np.unique(table[np.ix_(inside, inside)])] = True
            if (reached == inside).all():
                return inside
            inside = reached

    lower = np.concatenate([place(action.rows, action.shifts), place(np.zeros(3, int), action.lattice)])
    H = closure(lower)
    assert H.sum() * relation.index == len(table)
    found, frontier = {H.tobytes()}, [H]
    while frontier:
        group = frontier.pop()
        tried = group.copy()
        while not tried.all():
            e = int(np.argmin(tried))
            tried[table[e, group]] = True  # the whole coset generates the same group
            bigger = closure(np.append(np.flatnonzero(group), e))
            if bigger.tobytes() not in found:
                found.add(bigger.tobytes())
                frontier.append(bigger)
    return len(found)


@pytest.mark.parametrize(
    ("parent", "number", "index"), [(65, 62, 4), (123, 62, 8), (65, 14, 4), (166, 2, 12), (75, 76, 4)]
)
def test_intervals_by_brute_force(parent, number, index):
    checked = 0
    for relation in relations_to(standard_setting(parent), number, max_k=4):
        if relation.index == index and checked < 3:
            assert len(interval_of(relation).blocks) == brute_force(relation)
            checked += 1
    assert checked


SOME = [2, 14, 36, 62, 88, 99, 122, 139, 155, 167, 186, 194, 205, 216, 225]


@settings(max_examples=15)
@given(st.sampled_from(SOME), st.sampled_from([0, 2, 3]), st.randoms(use_true_random=False))
def test_invariants(number, k, random):
    """Conjugates by the normaliser; chains counted with their orbits; indices multiply; H at one end, G at the other."""
    opset = standard_setting(number)
    every = t_relations(opset, maximal=False) if k == 0 else k_relations(opset, k, maximal=False)
    if not every:
        return
    relation = random.choice(every)
    between = interval_of(relation)
    assert between.node(0).num_conjugates == relation.num_conjugates
    top = between.node(len(between.blocks) - 1)
    assert (top.setting.number, top.index, top.num_conjugates) == (number, 1, 1)
    assert (top.setting.matrix == np.eye(3)).all() and not top.setting.p.any()
    found = between.chains()
    ways = [1]
    for inner in between.below[1:]:
        ways.append(sum(ways[i] for i in inner))
    assert sum(chain.count for chain in found) == ways[-1]
    for chain in found:
        assert math.prod(step.index for step in chain.steps) == relation.index
    assert (len(between.blocks) == 2) == (
        relation.maximal if relation.maximal is not None else len(between.blocks) == 2
    )


def test_keys_name_groups():
    """Equal for one group seen from two subgroups, different for conjugates."""
    cubic = standard_setting(221)
    by_type = {}
    for number in (99, 123):
        between = interval_of(relations_to(cubic, number, max_k=1)[0])
        for i, block in enumerate(between.blocks):
            by_type.setdefault(between.node(i).setting.number, set()).add(between.action.key_of(block))
    assert len(by_type[123]) == 1 and len(by_type[221]) == 1
    action = Action.of(cubic, relations_to(cubic, 123, max_k=1)[0].setting)
    assert len({action.key_of(1, coset) for coset in range(3)}) == 3


def test_refused():
    cubic = standard_setting(221)
    relation = relations_to(cubic, 99, max_k=1)[0]
    s = relation.setting
    moved = make_setting(s.number, s.symbol, (s.P, s.P_den), (np.array([1, 0, 0]), 3))
    with pytest.raises(InputError, match="not a subgroup"):
        interval_of(replace(relation, setting=moved))
    with pytest.raises(InputError, match="index 3072"):
        big = make_setting(1, "P1", (4 * np.eye(3, dtype=np.int64), 1), (np.zeros(3, np.int64), 1))
        interval_of(Relation(cubic, big, 48, 64, 1))
    with pytest.raises(InputError, match="chains"):
        chains(relations(221, 62, 4)[0], limit=3)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 231, 23))
def test_every_group(first):
    """All 230: maximal exactly if nothing lies between, conjugates by the normaliser, G itself in its own setting at the top."""
    for number in range(first, min(first + 23, 231)):
        opset = standard_setting(number)
        maximal = {(one.number, one.index) for one in t_relations(opset)}
        for relation in [*t_relations(opset, maximal=False), *k_relations(opset, 2), *k_relations(opset, 3)]:
            between = interval_of(relation)
            assert between.action.conjugates_of(1) == relation.num_conjugates, number
            if relation.maximal is not None:
                assert (len(between.blocks) == 2) == relation.maximal, number
            elif len(between.blocks) == 2:
                assert (relation.number, relation.index) in maximal, number
        top = between.node(len(between.blocks) - 1).setting
        assert top.number == number and (top.matrix == np.eye(3)).all() and not top.p.any()
