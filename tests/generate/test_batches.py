"""Batch plans: nobody is lost, everybody fits, few shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.data.buckets import assign_buckets
from symjax.errors import InputError
from symjax.generate.batches import plan_batches

PAIRS = ((4, 24), (4, 96), (10, 120), (20, 200))
SINGLE = tuple((size,) for size in (2, 3, 4, 5, 6, 8, 10, 13, 20))


def sizes_of(num, seed):
    """Orbits and atoms of crystals, most of them small."""
    rng = np.random.default_rng(seed)
    orbits = 1 + (rng.random(num) ** 3 * 20).astype(int)
    return np.stack([orbits, np.maximum(orbits, 1 + (rng.random(num) ** 3 * 190).astype(int))], axis=1)


@settings(deadline=None, max_examples=60)
@given(
    num=st.integers(1, 300),
    seed=st.integers(0, 2**16),
    batch=st.sampled_from([1, 3, 16, 64]),
    few=st.integers(0, 20),
    whole=st.booleans(),
    pairs=st.booleans(),
)
def test_everybody_is_in_one_batch_that_holds_them(num, seed, batch, few, whole, pairs):
    buckets = PAIRS if pairs else SINGLE
    sizes = sizes_of(num, seed)[:, : len(buckets[0])]
    plan = plan_batches(sizes, buckets, batch, few=few, whole=whole)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.rows for part in plan])), np.arange(num))
    for part in plan:
        assert (sizes[part.rows] <= buckets[part.bucket]).all()
        assert len(part.rows) <= part.size <= max(batch, 8) and set(part.padded) == set(part.rows)
        assert part.size >= 8 and part.size & (part.size - 1) == 0
    used = [part.bucket for part in plan]
    assert used == sorted(used)
    if not pairs:  # nested buckets: all but the largest that is used hold enough
        assert all(sum(len(p.rows) for p in plan if p.bucket == b) >= few for b in set(used) - {max(used)})


def test_what_fits_nowhere_is_named():
    np.testing.assert_array_equal(assign_buckets([[4, 24], [4, 25], [21, 30]], PAIRS), [0, 1, -1])
    with pytest.raises(InputError, match=r"row 1: 4 orbits and 300 atoms .* 20 orbits and 200 atoms"):
        plan_batches(np.array([[4, 20], [4, 300]]), PAIRS, 8, few=2, names=("orbits", "atoms"))


@settings(deadline=None, max_examples=40)
@given(num=st.integers(1, 200), seed=st.integers(0, 2**16), batch=st.sampled_from([16, 64]))
def test_drawing_some_again_needs_no_new_shape(num, seed, batch):
    """Whatever part is drawn again: shapes are those of the first plan, unless all are sixteen times too large."""
    sizes, shapes = sizes_of(num, seed), set()
    first = plan_batches(sizes, PAIRS, batch, few=batch // 2, shapes=shapes, much=16)
    assert shapes == {(part.bucket, part.size) for part in first}
    rows = np.random.default_rng(seed).permutation(num)[: max(1, num // 5)]
    again = plan_batches(sizes[rows], PAIRS, batch, few=batch // 2, shapes=shapes.copy(), much=16)
    for part in again:
        assert (sizes[rows][part.rows] <= PAIRS[part.bucket]).all() and len(part.rows) <= part.size
        own = PAIRS[assign_buckets(sizes[rows][part.rows].max(0)[None], PAIRS)[0]][-1] * 8
        assert (part.bucket, part.size) in shapes or all(
            PAIRS[b][-1] * n > 16 * own for b, n in shapes if n >= len(part.rows)
        )
