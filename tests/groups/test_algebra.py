"""Subgroups: containment, intersection, cosets, normality, conjugacy, smallest generating sets."""

from collections import Counter

import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from groups_helpers import as_tuples
from hypothesis import given, settings

from symjax.errors import InputError, NotAGroupError
from symjax.groups import (
    center,
    close,
    conjugacy_classes,
    conjugate,
    contains,
    generated_subgroup,
    group_table,
    intersection,
    is_group,
    is_normal,
    is_subgroup,
    is_subgroup_mask,
    left_cosets,
    minimal_generators,
    normalizer,
    pad,
    right_cosets,
    standard_setting,
    take,
    with_den,
)

SLOTS = 48  # one shape: compiled once
NUMBERS = [n for n in range(1, 231) if standard_setting(n).order <= SLOTS]
# smallest generating sets modulo Z^3, counted exhaustively elsewhere
GENERATOR_COUNTS = {0: 1, 1: 21, 2: 126, 3: 67, 4: 14, 5: 1}


@jax.jit
def table_and_subgroup(opset, generators):
    table = group_table(opset)
    mask = generated_subgroup(table, generators)
    return table, mask


@jax.jit
def facts(table, mask, g):
    return (
        is_subgroup_mask(table, mask),
        left_cosets(table, mask),
        right_cosets(table, mask),
        is_normal(table, mask),
        normalizer(table, mask),
        conjugate(table, mask, g),
        conjugacy_classes(table),
        center(table),
    )


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(NUMBERS), st.integers(0, 2**32 - 1))
def test_subgroup_facts_against_definitions(number, seed):
    rng = np.random.default_rng(seed)
    opset = pad(standard_setting(number), SLOTS)
    n = int(opset.order)
    generators, g = rng.integers(0, n, 2), int(rng.integers(0, n))
    table, mask = table_and_subgroup(opset, generators)
    found = [np.asarray(a) for a in facts(table, mask, g)]
    product, inverse = np.asarray(table.product), np.asarray(table.inverse)
    members = np.flatnonzero(np.asarray(mask))
    closed = close(pad(take(opset, generators), 2), SLOTS)
    assert as_tuples(take(opset, members)) == as_tuples(closed.opset)
    subgroup, left, right, normal, normalizes, moved, classes, central = found
    assert subgroup and n % len(members) == 0
    whole = range(n)
    coset = {a: frozenset(product[a, members].tolist()) for a in whole}
    assert all(left[a] == min(coset[a]) for a in whole) and (left[n:] == SLOTS).all()
    assert len(set(coset.values())) == n // len(members)
    assert all(right[a] == product[members, a].min() for a in whole)
    conj = {a: {int(product[product[a, h], inverse[a]]) for h in members} for a in whole}
    assert normalizes[:n].tolist() == [conj[a] == set(members.tolist()) for a in whole] and not normalizes[n:].any()
    assert bool(normal) == all(c == set(members.tolist()) for c in conj.values())
    assert set(np.flatnonzero(moved).tolist()) == conj[g]
    assert all(classes[a] == min(product[product[b, a], inverse[b]] for b in whole) for a in whole)
    assert central[:n].tolist() == [all(product[a, b] == product[b, a] for b in whole) for a in whole]


def test_cubic_group_has_ten_classes_and_known_subgroups():
    opset = standard_setting(221)
    table = group_table(opset)
    classes = np.asarray(conjugacy_classes(table))
    assert sorted(Counter(classes.tolist()).values()) == [1, 1, 3, 3, 6, 6, 6, 6, 8, 8]
    assert int(center(table).sum()) == 2
    proper = np.linalg.det(opset.W) > 0
    assert bool(is_normal(table, proper)) and bool(is_subgroup_mask(table, proper))
    assert not bool(is_subgroup_mask(table, ~proper))


def test_containment_and_intersection():
    cubic, ortho, hexagonal = (standard_setting(n) for n in (221, 47, 191))
    assert bool(is_subgroup(ortho, cubic)) and not bool(is_subgroup(cubic, ortho))
    assert not bool(is_subgroup(take(ortho, [0, 1, 2]), cubic)) and bool(contains(cubic, take(ortho, [0, 1, 2])))
    common = intersection(cubic, hexagonal)
    assert as_tuples(common) == as_tuples(cubic) & as_tuples(hexagonal)
    assert bool(is_group(common)) and common.mask[: int(common.order)].all()
    finer = with_den(ortho, 48)
    assert bool(is_subgroup(finer, cubic)) and as_tuples(intersection(cubic, finer)) == as_tuples(ortho)
    with pytest.raises(InputError, match="cannot be written"):
        with_den(ortho, 36)


def check_generators(number):
    opset = standard_setting(number)
    chosen = minimal_generators(opset)
    closed = close(pad(take(opset, chosen), 6))
    assert as_tuples(closed.opset) == as_tuples(opset), number
    return len(chosen)


@pytest.mark.slow
def test_smallest_generating_sets_of_some_groups():
    assert [check_generators(n) for n in (1, 2, 10, 47, 69, 225)] == [0, 1, 2, 3, 5, 2]
    with pytest.raises(NotAGroupError):
        minimal_generators(take(standard_setting(225), range(100)))


@pytest.mark.slow
def test_smallest_generating_sets_of_all_groups():
    counts = Counter(check_generators(n) for n in range(1, 231))
    assert dict(counts) == GENERATOR_COUNTS
