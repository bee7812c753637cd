"""Translationengleiche subgroups of all 230 groups: known counts, moyopy's enumeration, brute force, textbook chains."""

import itertools

import moyopy
import numpy as np
import pytest

from symjax.errors import NotAGroupError
from symjax.groups import OpSet, is_group, standard_setting
from symjax.groups.primitive import primitive_form
from symjax.groups.setting import rotation_products
from symjax.navigate.translationengleiche import (
    conjugacy_classes,
    maximal_t_subgroups,
    subgroup_masks,
    t_subgroups,
    worked_out,
)


@pytest.fixture(scope="module")
def maximal():
    return {number: maximal_t_subgroups(standard_setting(number)) for number in range(1, 231)}


def test_the_known_counts(maximal):
    """1,104 maximal subgroups in 874 conjugacy classes, over all groups."""
    assert sum(len(classes) for classes in maximal.values()) == 874
    assert sum(len(one.masks) for classes in maximal.values() for one in classes) == 1104


@pytest.mark.parametrize(("step", "number_of_subgroups"), [(6, 728), pytest.param(1, 4072, marks=pytest.mark.slow)])
def test_every_subgroup_is_moyopys(step, number_of_subgroups):
    """4,072 subgroups, as sets of operations and partitioned into the same conjugacy classes, for all 230 groups."""
    total = 0
    for number in range(230, 0, -step):
        form = primitive_form(standard_setting(number))
        product = rotation_products(form.W)
        masks = subgroup_masks(product)
        total += len(masks)
        found = moyopy.enumerate_translationengleiche_subgroups(form.W.tolist(), (form.w / form.den).tolist())
        theirs = {
            frozenset(sum(1 << i for i in member.subgroup.operation_indices) for member in one.conjugates)
            for one in found
        }
        assert {frozenset(one) for one in conjugacy_classes(product, masks)} == theirs, number
    assert total == number_of_subgroups


@pytest.mark.parametrize("number", [16, 75, 81, 143, 149, 168, 195])
def test_small_groups_by_brute_force(number):
    """Every subset that holds the identity is tried."""
    product = rotation_products(primitive_form(standard_setting(number)).W)
    size = len(product)
    closed = set()
    for chosen in itertools.product((False, True), repeat=size - 1):
        members = [0] + [i + 1 for i, live in enumerate(chosen) if live]
        if set(product[np.ix_(members, members)].ravel().tolist()) <= set(members):
            closed.add(sum(1 << g for g in members))
    assert closed == set(subgroup_masks(product))


def test_members_are_groups_that_keep_all_translations(maximal):
    for number, classes in maximal.items():
        ops = standard_setting(number)
        shifts = (np.asarray(ops.W) == np.eye(3)).all(axis=(1, 2))
        for one in classes:
            assert one.masks[:, shifts].all()
            assert (one.masks.sum(axis=1) * one.index == one.masks.shape[1]).all()
            assert one.is_normal == (len(one.masks) == 1)
            if number % 9 == 0:
                first = one.masks[0]
                assert bool(is_group(OpSet(W=ops.W[first], w=ops.w[first], mask=np.ones(first.sum(), bool))))


def test_perovskite_and_its_ferroelectrics(maximal):
    """BaTiO3: 99, 38 and 160 lie below 221 with indices 6, 12, 8, and none below another (International Tables A1)."""
    assert [(one.index, one.number, len(one.masks)) for one in maximal[221]] == [
        (2, 215, 1),
        (2, 207, 1),
        (2, 200, 1),
        (3, 123, 3),
        (4, 166, 4),
    ]
    below = t_subgroups(standard_setting(221))
    assert {(one.index, one.number) for one in below} >= {(6, 99), (12, 38), (8, 160)}
    for number in (99, 38, 160):
        inside = {one.number for one in t_subgroups(standard_setting(number))}
        assert not inside & {99, 38, 160}


def test_97_has_22_below_it(maximal):
    """I422 to F222, which pyxtal's table lacks: two of its twofold axes lie along the diagonals."""
    assert {(one.index, one.number) for one in maximal[97]} == {(2, 79), (2, 23), (2, 22)}


def test_enantiomorphs_are_kept_apart(maximal):
    """High to low quartz: P6_222 to P3_221 and P6_422 to P3_121, never across."""
    assert {(one.index, one.number) for one in maximal[180]} == {(2, 171), (2, 154), (2, 153), (3, 21)}
    assert {(one.index, one.number) for one in maximal[181]} == {(2, 172), (2, 152), (2, 151), (3, 21)}


def test_the_trivial_group_has_nothing_below():
    assert maximal_t_subgroups(standard_setting(1)) == t_subgroups(standard_setting(1)) == []


def test_padding_and_order_do_not_matter():
    ops = standard_setting(62)
    order = np.random.default_rng(0).permutation(8)
    W = np.concatenate([np.asarray(ops.W)[order], np.tile(np.eye(3, dtype=np.int32), (3, 1, 1))])
    w = np.concatenate([np.asarray(ops.w)[order], np.zeros((3, 3), np.int32)])
    found = maximal_t_subgroups(OpSet(W=W, w=w, mask=np.arange(11) < 8))
    plain = maximal_t_subgroups(ops)
    assert sorted((one.index, one.number) for one in found) == sorted((one.index, one.number) for one in plain)
    assert not any(one.masks[:, 8:].any() for one in found)


def test_a_set_that_is_no_group_is_refused():
    ops = standard_setting(62)
    with pytest.raises(NotAGroupError):
        maximal_t_subgroups(OpSet(W=ops.W[:7], w=ops.w[:7], mask=np.ones(7, bool)))


def same_classes(number):
    """The packaged table of one type against the algorithm that made it."""
    opset = standard_setting(number)
    fast, slow = t_subgroups(opset), worked_out(opset)
    assert [(a.index, a.number, a.symbol) for a in fast] == [(b.index, b.number, b.symbol) for b in slow]
    assert all((a.masks == b.masks).all() for a, b in zip(fast, slow, strict=True))


@pytest.mark.parametrize("number", [1, 14, 62, 99, 166, 194, 203])
def test_the_table_is_what_the_algorithm_makes(number):
    same_classes(number)
    opset = standard_setting(number)
    order = np.roll(np.arange(len(opset.W)), 1)  # not the packaged order: worked out
    moved = OpSet(W=opset.W[order], w=opset.w[order], mask=opset.mask, den=opset.den)
    quick = {mask.tobytes() for one in maximal_t_subgroups(opset) for mask in one.masks}
    assert quick == {np.roll(mask, -1).tobytes() for one in maximal_t_subgroups(moved) for mask in one.masks}


@pytest.mark.slow
def test_the_whole_table():
    for number in range(1, 231):
        same_classes(number)


def test_t_subgroups_of_a_standard_setting_are_quick():
    from time import perf_counter

    opset = standard_setting(225)
    t_subgroups(opset)
    times = []
    for _ in range(20):
        start = perf_counter()
        t_subgroups(opset)
        times.append(perf_counter() - start)
    assert min(times) < 1e-3
