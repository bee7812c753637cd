"""Which examples step i trains on: a pure function of (seed, i), so a resumed run sees what the unbroken one would have.

Steps are grouped in dispatches of a fixed length. A dispatch uses one bucket, drawn with the buckets' weights. Within a
bucket the examples come in passes over the whole bucket, each in a fresh random order; batches may straddle two passes, so no
example is left out. All on the host with numpy: every process of a multi-host run computes the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symjax.errors import SymjaxError

_CHOICE, _ORDER = 1, 2  # purposes of the random streams


class BatchPlan:
    """Bucket and example indices of every step.

    Args:
        sizes: number of examples of each bucket.
        weights: share of dispatches of each bucket; normalised here.
        batch_sizes: examples per step of each bucket.
        steps_per_dispatch: steps between two choices of a bucket.
        seed: of the whole plan.

    Raises:
        SymjaxError: no bucket, an empty bucket, or weights that are no probabilities.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        batch_sizes: Sequence[int],
        *,
        steps_per_dispatch: int,
        seed: int,
    ):
        if not sizes or min(sizes) < 1 or min(batch_sizes) < 1:
            raise SymjaxError(
                f"training data: buckets of {list(sizes)} examples; at least one is needed and none may be empty"
            )
        share = np.asarray(weights, np.float64)
        if not np.all(np.isfinite(share)) or share.min() < 0 or share.sum() <= 0:
            raise SymjaxError(f"bucket weights {share.tolist()}: must be finite, not negative, and not all 0")
        self.sizes, self.batch_sizes = tuple(sizes), tuple(batch_sizes)
        self.steps_per_dispatch, self.seed = steps_per_dispatch, seed
        self._edges = np.cumsum(share / share.sum())
        self._edges[np.flatnonzero(share)[-1] :] = (
            1.0  # rounding must not leave a gap below 1, nor pick a bucket of weight 0
        )
        self._chosen = np.zeros(0, np.int32)
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def _choices(self, num: int) -> np.ndarray:
        """Buckets of the first `num` dispatches (a prefix of one stream)."""
        if num > len(self._chosen):
            stream = np.random.default_rng([self.seed, _CHOICE]).random(max(1024, 2 * num))
            self._chosen = np.searchsorted(self._edges, stream, side="right").astype(np.int32)
        return self._chosen[:num]

    def bucket(self, step: int) -> int:
        """Bucket of a step."""
        dispatch = step // self.steps_per_dispatch
        return int(self._choices(dispatch + 1)[dispatch])

    def steps_left(self, step: int) -> int:
        """Steps from `step` to the end of its dispatch."""
        return self.steps_per_dispatch - step % self.steps_per_dispatch

    def indices(self, step: int, num: int) -> np.ndarray:
        """Example indices `(num, batch)` int32 of `num` steps from `step` on, all within one dispatch."""
        dispatch, offset = divmod(step, self.steps_per_dispatch)
        bucket = self.bucket(step)
        before = int(np.count_nonzero(self._choices(dispatch) == bucket))  # earlier dispatches of this bucket
        batch = self.batch_sizes[bucket]
        start = (before * self.steps_per_dispatch + offset) * batch
        return self._stream(bucket, start, num * batch).reshape(num, batch)

    def _stream(self, bucket: int, start: int, num: int) -> np.ndarray:
        size = self.sizes[bucket]
        parts = []
        while num > 0:
            epoch, at = divmod(start, size)
            part = self._order(bucket, epoch)[at : at + num]
            parts.append(part)
            start += len(part)
            num -= len(part)
        return np.concatenate(parts)

    def _order(self, bucket: int, epoch: int) -> np.ndarray:
        if (bucket, epoch) not in self._orders:
            if len(self._orders) > 4 * len(self.sizes):
                self._orders.clear()
            rng = np.random.default_rng([self.seed, _ORDER, bucket, epoch])
            self._orders[bucket, epoch] = rng.permutation(self.sizes[bucket]).astype(np.int32)
        return self._orders[bucket, epoch]


def evaluation_indices(size: int, batch: int, limit: int) -> np.ndarray:
    """Indices `(batches, batch)` that cover a held-out bucket in order; the last batch is filled up from the start.

    Args:
        size: examples in the bucket.
        batch: examples per batch.
        limit: most batches; 0 = all.
    """
    num = -(-size // batch)
    num = min(num, limit) if limit else num
    return (np.arange(num * batch, dtype=np.int32) % size).reshape(num, batch)
