"""Closure checks, defects, the Cayley table, packed products and the message for people."""

import dataclasses

import jax
import numpy as np
import pytest
from groups_helpers import as_tuples, conjugated, random_basis
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.errors import InputError, NotAGroupError
from symjax.groups import (
    OpSet,
    cayley_table,
    check_group,
    compose_pairs,
    defects,
    hall_setting,
    is_group,
    make_opset,
    pad,
    stack,
    standard_setting,
    take,
    unpack_pairs,
)
from symjax.ops import exact

SLOTS = 48  # one shape for most tests: compiled once
SMALL = [h for h in range(1, 531) if hall_setting(h).order <= SLOTS]


def brute_closure_count(opset):
    """Ordered pairs whose product is no member, in Python integers."""
    inner = take(opset, np.flatnonzero(np.asarray(opset.mask)))
    members = as_tuples(inner)
    count = 0
    for i in range(len(inner.mask)):
        W = inner.W[i].astype(int) @ inner.W.astype(int)
        w = (inner.w @ inner.W[i].T + inner.w[i]) % inner.den
        count += sum((tuple(a.ravel().tolist()), tuple(b.tolist())) not in members for a, b in zip(W, w, strict=True))
    return count


@pytest.fixture(scope="module")
def all_settings():
    return stack([hall_setting(h) for h in range(1, 531)], 192)


@pytest.fixture(scope="module")
def broken_settings(all_settings):
    """One operation of each setting shifted by half a cell along a; groups remain groups in 20 cases."""
    rng = np.random.default_rng(0)
    w = all_settings.w.copy()
    for row, order in enumerate(all_settings.order):
        w[row, rng.integers(0, order), 0] += 12
    return all_settings.replace(w=w % 24)


@pytest.mark.slow
def test_all_settings_are_groups(all_settings):
    for method in ("tables", "any"):
        assert is_group(all_settings, method=method).all()


def test_broken_settings_are_told_apart(broken_settings):
    by_tables, by_any = (np.asarray(is_group(broken_settings, method=m)) for m in ("tables", "any"))
    np.testing.assert_array_equal(by_tables, by_any)
    truth = []
    for row in range(530):
        one = jax.tree.map(lambda a, row=row: np.asarray(a)[row], broken_settings)
        large = one.mask.sum() > 24  # slow to count here; `test_defects_of_large_sets` has some
        truth.append(by_tables[row] if large else brute_closure_count(one) == 0)
    np.testing.assert_array_equal(by_tables, truth)
    assert by_tables.sum() < 25


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SMALL), st.integers(0, 2**32 - 1), st.sampled_from(["shift", "drop", "repeat", "turn", "none"]))
def test_defects_and_is_group_agree_with_brute_force(hall, seed, change):
    rng = np.random.default_rng(seed)
    opset = conjugated(hall_setting(hall), random_basis(rng, 2), rng.integers(0, 24, 3))
    n, at = opset.order, int(rng.integers(0, opset.order))
    W, w, keep = opset.W.copy(), opset.w.copy(), np.arange(opset.order)
    if change == "shift":
        w[at] = (w[at] + rng.integers(0, 24, 3)) % 24
    elif change == "drop" and n > 1:
        keep = np.delete(keep, at)
    elif change == "repeat":
        keep = np.append(keep[: SLOTS - 1], at)
    elif change == "turn":
        W[at] = -W[at]
    case = pad(take(make_opset(W, w), keep), SLOTS)
    found = defects(case)
    assert int(found.closure) == brute_closure_count(case)
    assert int(found.duplicate) == int(case.mask.sum()) - len(as_tuples(case))
    identity = ((1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 0))
    assert bool(found.identity) == (identity not in as_tuples(case))
    closed = not (int(found.closure) or int(found.duplicate) or int(found.identity))
    assert bool(is_group(case, method="any")) == closed
    if change == "none":
        assert closed and int(found.inverse) == 0 and found.first_pair.tolist() == [-1, -1]
    if int(found.closure):
        i, j = found.first_pair.tolist()
        a, b = (exact.Op(case.W[k], case.w[k]) for k in (i, j))
        product = exact.compose(a, b)
        assert (tuple(product.W.ravel().tolist()), tuple(product.w.tolist())) not in as_tuples(case)


@pytest.mark.slow
def test_defects_of_large_sets():
    opset = hall_setting(523)
    dropped = pad(take(opset, np.delete(np.arange(192), 100)), 192)
    found = defects(dropped)
    # g h = the missing x for 192 pairs, minus those with g or h = x: (x, 1) and (1, x)
    assert int(found.closure) == 190 and int(found.inverse) in (0, 1) and not bool(is_group(dropped, method="tables"))
    assert int(defects(opset).closure) == 0


def test_cayley_table_is_the_table_of_products():
    for hall in (57, 361, 462, 523):
        opset = hall_setting(hall)
        table = np.asarray(cayley_table(pad(opset, 192)))[: opset.order, : opset.order]
        product = exact.compose(
            exact.Op(opset.W[:, None], opset.w[:, None]), exact.Op(opset.W[None], opset.w[None]), opset.den
        )
        np.testing.assert_array_equal(opset.W[table], product.W)
        np.testing.assert_array_equal(opset.w[table], product.w)


@pytest.mark.parametrize("den", [24, 1, 36, 42])
def test_packed_products(den):
    rng = np.random.default_rng(den)
    for hall in (523, 488, 90):
        setting = hall_setting(hall)
        opset = OpSet(W=setting.W, w=rng.integers(0, den, setting.w.shape).astype(np.int32), mask=setting.mask, den=den)
        found = unpack_pairs(np.asarray(compose_pairs(pad(opset, 192)))[: len(opset.W), : len(opset.W)], den)
        a, b = exact.Op(opset.W[:, None], opset.w[:, None]), exact.Op(opset.W[None], opset.w[None])
        product = exact.compose(a, b, den)
        np.testing.assert_array_equal(found.W, product.W)
        np.testing.assert_array_equal(found.w, product.w)
    padded = compose_pairs(pad(standard_setting(2), 4))
    assert (np.asarray(padded) >= 0).sum() == 4
    skew = make_opset(random_basis(np.random.default_rng(0), 9)[None], [[0, 0, 0]])
    assert (np.asarray(compose_pairs(skew)) == -1).all()
    with pytest.raises(InputError, match="denominator up to 42"):
        compose_pairs(setting.replace(den=48))


def test_message_names_the_failing_pair():
    opset = standard_setting(14)  # P2_1/c: x,y,z; -x,y+1/2,-z+1/2; -x,-y,-z; x,-y+1/2,z+1/2
    check_group(opset)
    broken = dataclasses.replace(opset, w=opset.w + 6 * (np.arange(4)[:, None] == 1))
    with pytest.raises(
        NotAGroupError, match=r"POSCAR is not a group: operation . .* after operation .* gives .* no member"
    ):
        check_group(broken, name="POSCAR")
    with pytest.raises(NotAGroupError, match="repeats an earlier one"):
        check_group(take(opset, [0, 1, 2, 3, 3]))
    with pytest.raises(NotAGroupError, match=r"identity .* missing"):
        check_group(take(opset, [1, 2, 3]))


def test_padding_and_order_change_nothing(all_settings):
    rng = np.random.default_rng(3)
    shuffled = jax.tree.map(np.copy, all_settings)
    for row in range(530):
        order = rng.permutation(192)
        for name in ("W", "w", "mask"):
            getattr(shuffled, name)[row] = getattr(shuffled, name)[row][order]
    shuffled.W[~shuffled.mask] = 5  # garbage in the padding
    assert is_group(shuffled, method="any").all()
    assert is_group(shuffled, method="tables").all()
    opset = hall_setting(SMALL[-1])
    reordered = take(pad(opset, SLOTS), rng.permutation(SLOTS))
    assert int(defects(reordered).closure) == 0 and int(defects(reordered).inverse) == 0
