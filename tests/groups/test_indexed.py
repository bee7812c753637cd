"""Closure on the product table: walks up the subgroup lattice."""

import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from symjax.errors import InputError
from symjax.groups import (
    close_indices,
    close_mask,
    generate_indices,
    is_closed_mask,
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


@pytest.mark.slow
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
