"""Splitting of Wyckoff positions: conservation laws on every position under every maximal subgroup, and other libraries' tables."""

import numpy as np
import pytest

from symjax.errors import InputError, SymjaxError
from symjax.groups.tables import standard_setting
from symjax.navigate.relation import Relation, conjugate, k_relations, relations_to, t_relations
from symjax.navigate.splitting import Splitter, parent_positions, split_coordinates, split_orbits, standard_positions

POINT = np.array([0.1379, 0.2711, 0.4127])
FAST = (1, 5, 15, 36, 43, 62, 70, 88, 97, 122, 139, 142, 148, 155, 166, 176, 194, 205, 214, 220, 221, 225, 227, 230)


def periodic(delta):
    return np.abs(delta - np.rint(delta))


def check(relation):
    """Everything that must hold of one relation, by coordinates of a random point in floating point; returns the positions checked."""
    splitter = Splitter(relation)
    parent, child, inner = splitter.parent, splitter.child, relation.subgroup
    P, p = relation.setting.matrix, relation.setting.origin
    volume = np.linalg.det(P)
    W, w, den = relation.operations()
    S_G = len(np.asarray(relation.parent.W)) // parent.multiplicity
    for one in splitter.split_all():
        x = parent.x0[one.position] + parent.basis[one.position] @ POINT
        atoms = sum(o.multiplicity for o in one.orbits)
        assert abs(atoms - one.multiplicity * volume) < 1e-9
        # sum over the orbits of |S_G| / |S_H| = [G : H]
        assert abs(sum(S_G[one.position] / o.site_order for o in one.orbits) - relation.index) < 1e-9
        own = split_coordinates(one, x)
        for o, z in zip(one.orbits, own):
            assert o.multiplicity * o.site_order == len(inner.W) == len(W)
            assert o.multiplicity == child.multiplicity[o.position] and o.dof == child.dof[o.position]
            assert S_G[one.position] % o.site_order == 0 and o.gained == o.dof - one.dof >= 0
            # the operation that gives the representative is one of G
            assert operation_of(relation.parent, o)
            moved = o.W @ x + o.w / o.den
            assert np.allclose(np.linalg.solve(P, moved - p), z, atol=1e-9)
            # on the flat of its position, at the free coordinates said
            assert np.allclose(child.x0[o.position] + child.basis[o.position] @ (o.v0 + o.V @ POINT), z, atol=1e-9)
            # the operations of H that fix it, in H's basis and in the parent's, are its site symmetry and no more
            fixed = (periodic(inner.W @ z + inner.w / inner.den - z) < 1e-7).all(-1)
            assert (fixed == child.stab[o.position]).all()
            there = (periodic((W @ moved + w / den - moved) @ np.linalg.inv(P).T) < 1e-7).all(-1)
            assert int(there.sum()) == o.site_order
        # the images of the representatives under H are different atoms, and all of them atoms of the parent: as many as there must be
        images = [child.images[o.position, : o.multiplicity] for o in one.orbits]
        places = np.concatenate([inner.W[i] @ z + inner.w[i] / inner.den for i, z in zip(images, own)])
        apart = periodic(places[:, None] - places[None]).max(-1) + np.eye(atoms)
        assert apart.min() > 1e-5
        there = np.asarray(relation.parent.W) @ x + np.asarray(relation.parent.w) / relation.parent.den
        assert periodic((places @ P.T + p)[:, None] - there[None]).max(-1).min(axis=1).max() < 1e-7
    return len(parent)


def operation_of(parent, orbit):
    w = orbit.w / orbit.den
    same = (np.asarray(parent.W) == orbit.W).all(axis=(1, 2))
    return bool((periodic(np.asarray(parent.w)[same] / parent.den - w) < 1e-9).all(-1).any())


@pytest.mark.parametrize("number", FAST)
def test_every_position_under_maximal_t_subgroups(number):
    for relation in t_relations(standard_setting(number)):
        check(relation)


@pytest.mark.slow
def test_all_positions_of_all_groups_under_all_maximal_t_subgroups(capsys):
    positions = relations = pairs = 0
    for number in range(1, 231):
        positions += len(parent_positions(standard_setting(number)))
        for relation in t_relations(standard_setting(number)):
            pairs += check(relation)
            relations += 1
    with capsys.disabled():
        print(f"\n{positions} positions, {relations} classes of maximal t-subgroups, {pairs} splittings: all conserved")
    assert (positions, relations) == (1731, 874)
