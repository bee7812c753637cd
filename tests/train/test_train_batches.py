"""The plan of batches: a function of seed and step, fair to examples and to bucket weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symjax.errors import SymjaxError
from symjax.train.batches import BatchPlan, evaluation_indices


def plan(sizes=(50, 7), weights=(0.7, 0.3), batch=(8, 8), per=5, seed=0):
    return BatchPlan(sizes, weights, batch, steps_per_dispatch=per, seed=seed)


@given(seed=st.integers(0, 2**31 - 1), step=st.integers(0, 3000), size=st.integers(1, 60), batch=st.integers(1, 90))
def test_a_step_does_not_depend_on_how_it_is_reached(seed, step, size, batch):
    fresh, used = (plan((size, 7), batch=(batch, 3), seed=seed) for _ in range(2))
    for earlier in range(0, step, max(1, step // 5)):
        used.indices(earlier, used.steps_left(earlier))
    assert fresh.bucket(step) == used.bucket(step)
    start = step - step % 5
    whole = used.indices(start, 5)
    np.testing.assert_array_equal(fresh.indices(step, fresh.steps_left(step)), whole[step - start :])
    assert whole.shape == (5, (batch, 3)[fresh.bucket(step)]) and whole.dtype == np.int32


@given(size=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 1000))
def test_every_pass_sees_each_example_once(size, batch, seed):
    p = plan((size,), (1.0,), (batch,), seed=seed)
    stream = np.concatenate([p.indices(s, 5).ravel() for s in range(0, 100, 5)])
    for first in range(0, len(stream) - size + 1, size):
        assert sorted(stream[first : first + size]) == list(range(size))


def test_buckets_come_with_their_weights():
    p = plan(weights=(3.0, 1.0))
    drawn = np.bincount([p.bucket(5 * i) for i in range(4000)], minlength=2) / 4000
    np.testing.assert_allclose(drawn, [0.75, 0.25], atol=0.03)
    never = plan(weights=(1.0, 0.0))
    assert {never.bucket(5 * i) for i in range(3000)} == {0}
    assert {p.bucket(s) for s in range(10, 15)} == {p.bucket(10)}


def test_orders_differ_between_passes_and_seeds():
    p = plan((50,), (1.0,), (50,))
    first, second = p.indices(0, 2)
    assert (first != second).any()
    assert (first != plan((50,), (1.0,), (50,), seed=1).indices(0, 1)[0]).any()


@pytest.mark.parametrize(
    "sizes, weights", [((), ()), ((0,), (1.0,)), ((5,), (0.0,)), ((5,), (-1.0,)), ((5,), (np.nan,))]
)
def test_data_that_cannot_be_batched(sizes, weights):
    with pytest.raises(SymjaxError, match="bucket"):
        plan(sizes, weights, (4,) * max(len(sizes), 1))


@given(size=st.integers(1, 100), batch=st.integers(1, 30), limit=st.integers(0, 5))
def test_validation_covers_everything(size, batch, limit):
    rows = evaluation_indices(size, batch, limit)
    assert rows.shape[1] == batch and rows.shape[0] <= -(-size // batch)
    if limit:
        assert rows.shape[0] <= limit
    else:
        assert set(rows.ravel()) == set(range(size)) and rows.size < size + batch
