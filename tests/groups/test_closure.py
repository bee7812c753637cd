"""Closing generators: all settings, any basis, any denominator, overflow; against the obvious slow closure and gemmi."""

import gemmi
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from groups_helpers import as_tuples, conjugated, random_basis, settings_in_any_basis, slow_closure
from hypothesis import given, settings

from symjax.errors import InputError
from symjax.groups import canonicalize, close, close_by_order, hall_setting, make_opset, pad, same_set, stack, take
from symjax.ops import exact


def pick(batch, i):
    return jax.tree.map(lambda a: np.asarray(a)[i], batch)


@pytest.fixture(scope="module")
def generator_batch():
    """Six random members of each of the 530 settings."""
    rng = np.random.default_rng(1)
    sets = [hall_setting(h) for h in range(1, 531)]
    return stack([take(s, rng.integers(0, s.order, 6)) for s in sets], 6)


def test_both_methods_give_the_slow_closure_in_canonical_order(generator_batch):
    by_tables, by_any = (close(generator_batch, method=m) for m in ("tables", "any"))
    for a, b in zip(jax.tree.leaves(by_tables), jax.tree.leaves(by_any), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not by_tables.overflow.any()
    for i in range(0, 530, 5):
        found = pick(by_tables.opset, i)
        assert as_tuples(found) == slow_closure(pick(generator_batch, i)), f"Hall {i + 1}"
        ordered = canonicalize(found)
        np.testing.assert_array_equal(ordered.W, found.W)
        np.testing.assert_array_equal(ordered.w, found.w)


def test_buckets_hold_the_same_groups(generator_batch):
    """Every row once, in the smallest bucket that it fits; behind them empty sets."""
    some = jax.tree.map(lambda a: a[::5], generator_batch)
    whole, seen = close(some, method="tables"), []
    for rows, opset in close_by_order(some):
        size = opset.mask.shape[-1]
        assert not np.asarray(opset.mask)[len(rows) :].any()
        for at, row in enumerate(rows.tolist()):
            order = int(whole.order[row])
            assert order <= size and not any(order <= other < size for other in (16, 48, 192))
            for a, b in zip(jax.tree.leaves(pick(opset, at)), jax.tree.leaves(pick(whole.opset, row)), strict=True):
                np.testing.assert_array_equal(a[:order], b[:order])
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(whole.order)))
    with pytest.raises(InputError, match="one batch axis"):
        close_by_order(pick(some, 0))


@pytest.mark.slow
def test_closed_sets_stay_as_they_are():
    sets = stack([hall_setting(h) for h in range(1, 531)], 192)
    closed = close(sets)
    np.testing.assert_array_equal(closed.order, sets.order)
    for a, b in zip(jax.tree.leaves(closed.opset), jax.tree.leaves(sets), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_same_group_as_gemmi():
    """gemmi looks at rotation parts only, so it needs the centring translations among the generators."""
    rng = np.random.default_rng(4)
    for hall in range(1, 531, 3):
        setting = hall_setting(hall)
        centring = np.flatnonzero((setting.W == np.eye(3)).all((1, 2)))
        gens = pad(take(setting, np.concatenate([centring, rng.integers(0, setting.order, 4)])), 8)
        ops = [gemmi.Op() for _ in range(int(gens.order))]
        for op, W, w in zip(ops, gens.W, gens.w, strict=False):
            op.rot, op.tran = (W * gemmi.Op.DEN).tolist(), w.tolist()
        group = gemmi.GroupOps(ops)
        group.add_missing_elements()
        theirs = {(tuple((np.array(op.rot) // gemmi.Op.DEN).ravel().tolist()), tuple(op.wrap().tran)) for op in group}
        assert as_tuples(pick(close(gens).opset, ...)) == theirs, f"Hall {hall}"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(settings_in_any_basis(), st.integers(0, 2**32 - 1))
def test_any_basis_and_origin(case, seed):
    opset, hall = case
    rng = np.random.default_rng(seed)
    gens = pad(take(opset, rng.integers(0, opset.order, 5)), 6)
    closed = close(gens)
    assert as_tuples(pick(closed.opset, ...)) == slow_closure(gens), f"Hall {hall}"


def test_conjugation_commutes_with_closing():
    rng = np.random.default_rng(5)
    for hall in rng.integers(1, 531, 12):
        setting = hall_setting(int(hall))
        gens = pad(take(setting, rng.integers(0, setting.order, 5)), 6)
        P, p = random_basis(rng), rng.integers(0, 24, 3)
        before = pick(close(gens).opset, ...)
        after = pick(close(conjugated(gens, P, p)).opset, ...)
        assert same_set(conjugated(before, P, p), after)


@pytest.mark.slow
def test_overflow_is_flagged_and_gives_no_set():
    setting = hall_setting(523)  # Fm-3m
    closed = close(setting, 96, method="tables")
    assert closed.overflow and int(closed.order) == 192 and not closed.opset.mask.any()
    small = close(make_opset(np.eye(3, dtype=int)[None], [[1, 0, 0]]), 16, method="tables")
    assert small.overflow and int(small.order) == 24
    shear = make_opset([[[1, 1, 0], [0, 1, 0], [0, 0, 1]]], [[0, 0, 0]])
    hidden = make_opset([[[1, 3, 0], [0, 1, 0], [0, 0, 1]]], [[0, 0, 0]])  # the identity modulo 3
    mixed = make_opset([[[0, -1, 0], [1, 0, 0], [0, 0, 1]], [[1, -1, 0], [1, 0, 0], [0, 0, 1]]], np.zeros((2, 3), int))
    for infinite in (pad(s, 6) for s in (shear, hidden, mixed)):
        for method in ("auto", "any", "tables"):
            closed = close(infinite, method=method)
            assert closed.overflow and int(closed.order) == 0 and not closed.opset.mask.any()


def test_no_generators_give_the_trivial_group():
    closed = close(pad(take(hall_setting(1), []), 6))
    assert int(closed.order) == 1 and not closed.overflow and closed.opset.mask.sum() == 1


SLOW = [pytest.param(*one, marks=pytest.mark.slow) for one in ((1, 1), (512, 128))]


@pytest.mark.parametrize(("den", "step"), [(5, 1), (36, 9), *SLOW])
def test_other_denominators(den, step):
    rng = np.random.default_rng(den)
    gens = make_opset(hall_setting(521).W[[1, 30]], step * rng.integers(0, den // step, (2, 3)), den=den, num_ops=6)
    closed = close(gens, 192, method="tables")
    expected = slow_closure(gens, 20000)
    assert int(closed.order) == len(expected)
    assert bool(closed.overflow) == (len(expected) > 192)
    if not closed.overflow:
        assert as_tuples(pick(closed.opset, ...)) == expected


def test_jit_and_vmap_agree(generator_batch):
    few = jax.tree.map(lambda a: a[40:44], generator_batch)
    plain = jax.tree.map(lambda a: a[40:44], close(generator_batch, 192, method="tables"))
    traced = jax.jit(lambda s: close(s, 192))(few)  # values unknown: the general method
    mapped = jax.vmap(lambda s: close(s, 192, method="tables"))(few)
    for other in (traced, mapped):
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_padding_changes_nothing(generator_batch):
    holes = np.random.default_rng(3).random(generator_batch.mask.shape) < 0.4
    identity = jax.tree.map(np.copy, generator_batch)
    identity.W[holes], identity.w[holes] = np.eye(3), 0
    garbage = jax.tree.map(np.copy, generator_batch).replace(mask=~holes)
    garbage.W[holes], garbage.w[holes] = 7, 99
    for a, b in zip(
        jax.tree.leaves(close(identity, method="tables")), jax.tree.leaves(close(garbage, method="tables")), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_no_recompilation_between_batches_of_one_shape():
    from symjax.groups.closure import _expand, _list, _plan

    rng = np.random.default_rng(2)
    before = None
    for _ in range(3):
        sets = [hall_setting(int(h)) for h in rng.integers(1, 531, 8)]
        close(stack([take(s, rng.integers(0, s.order, 3)) for s in sets], 6), 192, method="tables")
        size = [f._cache_size() for f in (_plan, _list, _expand)]
        assert before is None or size == before
        before = size


def test_bad_shapes_and_denominators_are_errors():
    setting = hall_setting(3)
    with pytest.raises(InputError, match="needs W"):
        close(setting.replace(w=setting.w[:, :2]))
    with pytest.raises(InputError, match="denominator"):
        close(setting.replace(den=1000))
    with pytest.raises(InputError, match="method"):
        close(setting, method="fast")
    with pytest.raises(InputError, match="integers"):
        make_opset(np.eye(3)[None], [[0.5, 0, 0]])
    with pytest.raises(InputError, match="does not fit"):
        pad(hall_setting(523), 100)


def test_order_of_result_is_that_of_ops_exact(generator_batch):
    closed = close(generator_batch)
    op = exact.Op(closed.opset.W, closed.opset.w)
    order = exact.canonical_order(op, closed.opset.mask)
    np.testing.assert_array_equal(order, np.broadcast_to(np.arange(192), order.shape))
