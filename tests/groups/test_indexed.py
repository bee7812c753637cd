"""Closure on the product table (walks up the subgroup lattice) and the differentiable defects."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from symjax.errors import InputError
from symjax.groups import (
    close_indices,
    close_mask,
    closure_defect,
    generate_indices,
    identity_defect,
    inverse_defect,
    is_closed_mask,
    lattice_defect,
    standard_frame,
    standard_setting,
    table_of,
    to_indices,
    to_mask,
    vocabulary,
    vocabulary_table,
)

BATCH = 64


@pytest.fixture(scope="module")
def vocab():
    return vocabulary()


@pytest.fixture(scope="module")
def groups(vocab):
    return [vocab.indices(standard_setting(n), standard_frame(n)) for n in range(1, 231)]


def slow_generate(product, generators):
    """Closed set of indices, None when it leaves the table."""
    found = set(generators)
    while True:
        rows = np.array(sorted(found))
        bigger = found | set(product[np.ix_(rows, rows)].ravel().tolist())
        if len(product) - 1 in bigger:
            return None
        if bigger == found:
            return found
        found = bigger


def test_walks_end_at_the_group_through_groups(vocab, groups):
    rng = np.random.default_rng(0)
    goal = rng.integers(0, 230, BATCH)
    members = np.full((BATCH, 192), vocab.size)
    for _ in range(12):
        left = [np.setdiff1d(groups[g], m) for g, m in zip(goal, members, strict=True)]
        new = np.array([rng.choice(options) if len(options) else vocab.size for options in left])
        result = close_indices(vocabulary_table(), members, new)
        assert not result.outside.any() and not result.overflow.any()
        grown = np.asarray(result.members)
        for row in range(BATCH):
            inside = grown[row][grown[row] < vocab.size]
            assert set(inside) <= set(groups[goal[row]]) and len(inside) == result.count[row]
            assert (np.diff(inside) > 0).all() and (grown[row][len(inside) :] == vocab.size).all()
            if new[row] < vocab.size:
                assert new[row] in inside and set(members[row]) - {vocab.size} < set(inside)
        assert is_closed_mask(vocabulary_table(), to_mask(grown, vocab.size)).all()
        members = grown
    for row in range(BATCH):
        assert set(members[row]) - {vocab.size} == set(groups[goal[row]])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_additions_against_slow_closure(seed):
    vocab, rng = vocabulary(), np.random.default_rng(seed)
    first, second = rng.integers(0, 800, (2, BATCH))
    same = vocab.frame[first] == vocab.frame[second]
    start = close_indices(vocabulary_table(), np.full((BATCH, 192), 800), first)
    result = close_indices(vocabulary_table(), start.members, second)
    for row in range(BATCH):
        expected = slow_generate(
            vocab.product, set(np.asarray(start.members[row]).tolist()) - {800} | {int(second[row])}
        )
        assert bool(result.outside[row]) == (expected is None)
        found = set(np.asarray(result.members[row]).tolist()) - {800}
        assert found == (expected or set())
        assert same[row] or expected is None
    masks, outside = generate_indices(vocabulary_table(), np.stack([second, first, np.full(BATCH, 800)], -1))
    np.testing.assert_array_equal(outside, result.outside)
    ok = ~np.asarray(outside)
    np.testing.assert_array_equal(np.asarray(to_indices(masks))[ok], np.asarray(result.members)[ok])


def test_overflow_keeps_no_set(vocab, groups):
    start = close_indices(vocabulary_table(), np.full((2, 8), 800), np.array([int(groups[224][50]), 0]))
    assert not start.overflow.any()
    table = table_of(vocab)
    big = generate_indices(table, groups[224][None, :])[0]
    small = close_indices(table, to_indices(big, 192)[:, :192], np.array([800]))
    assert int(small.count[0]) == 192 and not small.overflow[0]
    capped = close_indices(table, np.full((1, 3), 800), np.array([int(np.argmax(_orders(vocab) > 3))]))
    assert capped.overflow[0] and (np.asarray(capped.members) == 800).all() and capped.count[0] > 3


def _orders(vocab):
    power, order = np.arange(800), np.ones(800, int)
    for k in range(2, 25):
        power = vocab.product[power, np.arange(800)]
        done = (power == vocab.identity[vocab.frame]) & (order == 1)
        order = np.where(done & (np.arange(800) != vocab.identity[vocab.frame]), k, order)
    return order


def test_frame_tables_are_blocks_of_the_whole(vocab):
    for frame, (first, last) in enumerate(vocab.block):
        table = table_of(vocab, frame)
        block = vocab.product[first:last, first:last].astype(int)
        expected = np.where(block == 800, last - first, block - first)
        np.testing.assert_array_equal(table.product[:-1, :-1], expected)
        assert table.identity.tolist() == [0] and table.size == last - first
        mask, outside = close_mask(table, jnp.zeros((1, table.size), bool).at[0, 0].set(True), jnp.array([1]))
        assert not outside[0] and mask[0, 0] and mask[0, 1]
    with pytest.raises(InputError, match="frame"):
        table_of(vocab, 2)


def soft_by_definition(p, product):
    padded = np.append(p, 0.0)
    return (p[:, None] * p[None] * (1 - padded[product[:-1, :-1].astype(int)])).mean()


def test_defects_vanish_exactly_for_groups(vocab, groups):
    table = vocabulary_table()
    for number in (1, 14, 166, 194, 225):
        frame = standard_frame(number)
        p = np.asarray(to_mask(groups[number - 1][None], 800), np.float32)
        assert float(closure_defect(p, table)[0]) == 0 and float(inverse_defect(p, table)[0]) == 0
        assert float(identity_defect(p, table, np.array([frame]))[0]) == 0
        if len(groups[number - 1]) > 1:
            p[0, groups[number - 1][-1]] = 0
            assert float(closure_defect(p, table)[0] + inverse_defect(p, table)[0]) > 0 or p.sum() == 1


def test_soft_closure_equals_its_definition_and_gradient(vocab):
    table = table_of(vocab, 1)
    p = np.random.default_rng(0).random((3, 106))
    with jax.enable_x64(True):
        value = closure_defect(p, table)
        np.testing.assert_allclose(value, [soft_by_definition(row, table.product) for row in p], rtol=1e-10)
        grad = np.asarray(jax.grad(lambda p: closure_defect(p, table).sum())(jnp.asarray(p)))
        for i in (0, 5, 60):
            step = np.zeros_like(p)
            step[:, i] = 1e-6
            up, down = (closure_defect(p + s * step, table).sum() for s in (1, -1))
            np.testing.assert_allclose(grad[:, i].sum(), (up - down) / 2e-6, rtol=1e-5)


def test_sampled_rows_are_unbiased(vocab):
    table = table_of(vocab, 1)
    p = jnp.asarray(np.random.default_rng(1).random((2, 106)) ** 4, jnp.float32)
    exact_value, exact_grad = jax.value_and_grad(lambda p: closure_defect(p, table).sum())(p)
    keys = jax.random.split(jax.random.key(0), 400)
    sampled = jax.vmap(jax.value_and_grad(lambda p, k: closure_defect(p, table, key=k, num_rows=8).sum()), (None, 0))
    values, grads = jax.jit(sampled)(p, keys)
    error = values.std() / np.sqrt(len(keys))
    assert abs(values.mean() - exact_value) < 4 * error and error < 0.05 * exact_value
    grad_error = grads.std(0) / np.sqrt(len(keys))
    assert (jnp.abs(grads.mean(0) - exact_grad) < 5 * grad_error + 1e-7).all()
    with pytest.raises(InputError, match="key"):
        closure_defect(p, table, num_rows=8)
    with pytest.raises(InputError, match="one entry per operation"):
        closure_defect(p, vocabulary_table())


def test_candidates_and_weights(vocab):
    table = table_of(vocab, 1)
    p = np.zeros((1, 106), np.float32)
    p[0, [0, 3]] = 1  # the identity and one operation that is not its own inverse
    i = int(np.argmax(table.inverse[:-1] != np.arange(106)))
    p[0, 3], p[0, i] = 0, 1
    assert float(inverse_defect(p, table, weighted=True)[0]) == 0.5
    assert float(closure_defect(p, table, weighted=True)[0]) == 0.25  # i i is missing, of four pairs
    assert float(closure_defect(p, table, candidates=p > 0)[0]) == 0.25
    np.testing.assert_allclose(closure_defect(p, table)[0], 1 / 106**2, rtol=1e-6)


def test_lattice_defect(vocab):
    cubic = np.zeros((2, 800), np.float32)
    cubic[:, vocab.indices(standard_setting(221), 0)] = 1
    metric = np.stack([np.eye(3), np.diag([1.0, 1.0, 4.0])]).astype(np.float32)
    value = np.asarray(lattice_defect(cubic, vocab.W, metric))
    assert value[0] == 0 and value[1] > 0.1
    ortho = np.zeros((1, 800), np.float32)
    ortho[:, vocab.indices(standard_setting(47), 0)] = 1
    assert float(lattice_defect(ortho, vocab.W, metric[1:])[0]) == 0
    grad = jax.grad(lambda m: lattice_defect(cubic, vocab.W, m).sum())(jnp.asarray(metric))
    assert np.isfinite(grad).all() and np.abs(grad[1]).max() > 0
    with pytest.raises(InputError, match="lattice_defect needs"):
        lattice_defect(cubic, vocab.W[:5], metric)
