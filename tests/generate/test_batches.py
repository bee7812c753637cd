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


def cost(plan, work, known=()):
    """Rows at their work, and one for each shape that is new."""
    new = {(part.bucket, part.size) for part in plan} - set(known)
    return sum(part.size * work[part.bucket] for part in plan) + len(new)


def work_of(buckets, unit):
    return [unit * bucket[-1] for bucket in buckets]


@settings(deadline=None, max_examples=60)
@given(
    num=st.integers(1, 300),
    seed=st.integers(0, 2**16),
    batch=st.sampled_from([1, 3, 16, 64]),
    unit=st.sampled_from([0.0, 1e-5, 1e-3, 1.0]),
    pairs=st.booleans(),
)
def test_everybody_is_in_one_batch_that_holds_them(num, seed, batch, unit, pairs):
    buckets = PAIRS if pairs else SINGLE
    sizes, work = sizes_of(num, seed)[:, : len(buckets[0])], work_of(buckets, unit)
    plan = plan_batches(sizes, buckets, batch, work=work)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.rows for part in plan])), np.arange(num))
    for part in plan:
        assert (sizes[part.rows] <= buckets[part.bucket]).all()
        assert len(part.rows) <= part.size <= max(batch, 8) and set(part.padded) == set(part.rows)
        assert part.size >= 8 and part.size & (part.size - 1) == 0
    used = [part.bucket for part in plan]
    assert used == sorted(used)
    for bucket in set(used):
        here = [part for part in plan if part.bucket == bucket]
        count, size = sum(len(part.rows) for part in here), here[0].size
        assert all(part.size == size for part in here) and len(here) == -(-count // size)
        assert sum(part.size for part in here) < 1.25 * count + 8  # the rest is padding


@settings(deadline=None, max_examples=40)
@given(num=st.integers(1, 300), seed=st.integers(0, 2**16), unit=st.sampled_from([1e-5, 1e-4, 1e-3, 1e-2]))
def test_no_other_choice_of_buckets_costs_less(num, seed, unit):
    """Against each set of buckets that holds all, crystals in the first that fits, in whole batches."""
    sizes, work = sizes_of(num, seed), work_of(PAIRS, unit)
    mine = cost(plan_batches(sizes, PAIRS, 64, work=work), work)
    for bits in range(1, 2 ** len(PAIRS)):
        used = [b for b in range(len(PAIRS)) if bits >> b & 1]
        place = assign_buckets(sizes, [PAIRS[b] for b in used])
        if (place >= 0).all():
            rows = np.bincount(place, minlength=len(used))
            size = min(64, max(8, 1 << (num - 1).bit_length()))
            other = sum(work[b] * size * -(-n // size) + 1 for b, n in zip(used, rows, strict=True) if n)
            assert mine <= other + 1e-9


def test_one_program_for_few_and_more_where_it_pays():
    sizes = sizes_of(300, 0)
    dear, cheap = work_of(PAIRS, 1e-7), work_of(PAIRS, 1.0)
    assert {part.bucket for part in plan_batches(sizes, PAIRS, 64, work=dear)} == {3}
    assert {part.bucket for part in plan_batches(sizes, PAIRS, 64, work=cheap)} == set(assign_buckets(sizes, PAIRS))


def test_what_fits_nowhere_is_named():
    np.testing.assert_array_equal(assign_buckets([[4, 24], [4, 25], [21, 30]], PAIRS), [0, 1, -1])
    with pytest.raises(InputError, match=r"row 1: 4 orbits and 300 atoms .* 20 orbits and 200 atoms"):
        plan_batches(np.array([[4, 20], [4, 300]]), PAIRS, 8, work=work_of(PAIRS, 1.0), names=("orbits", "atoms"))


@settings(deadline=None, max_examples=40)
@given(num=st.integers(1, 200), seed=st.integers(0, 2**16), batch=st.sampled_from([16, 64]))
def test_drawing_some_again_needs_no_new_shape(num, seed, batch):
    """Whatever part is drawn again, unless a program of its own costs less than the padding."""
    sizes, shapes, work = sizes_of(num, seed), set(), work_of(PAIRS, 1e-4)
    first = plan_batches(sizes, PAIRS, batch, work=work, shapes=shapes)
    assert shapes == {(part.bucket, part.size) for part in first}
    rows = np.random.default_rng(seed).permutation(num)[: max(1, num // 5)]
    known = shapes.copy()
    again = plan_batches(sizes[rows], PAIRS, batch, work=work, shapes=shapes)
    assert shapes == known | {(part.bucket, part.size) for part in again}
    largest = max(known)
    in_largest = work[largest[0]] * largest[1] * -(-len(rows) // largest[1])
    assert cost(again, work, known) <= in_largest + 1e-9
    if in_largest < 1:  # less than any program
        assert shapes == known
