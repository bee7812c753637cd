"""Which crystals are drawn together: few padded shapes, so that few programs are compiled.

A shape is a bucket of padded sizes and a number of rows. Compiling a program for one costs as much as drawing many crystals, so a
plan is the choice of shapes in which padding and new programs together cost least; what is compiled already costs nothing again.
Random numbers belong to the crystal (`symjax.diffusion.rng`), so a plan decides how long drawing takes and not what is drawn.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import jax
import numpy as np

from symjax.data.buckets import assign_buckets
from symjax.errors import InputError

_SMALLEST = 8  # rows of the smallest padded batch
_PARTS = 4  # batches at most that one may be cut into for less padding: each is a call of the program

Shape = tuple[int, int]
"""(bucket, padded rows)."""


class Batch(NamedTuple):
    """Some crystals that are drawn together.

    Attributes:
        bucket: index of the padded size.
        rows: `(r,)` which crystals.
        size: padded number of rows, at least r.
    """

    bucket: int
    rows: np.ndarray
    size: int

    @property
    def padded(self) -> np.ndarray:
        """`(size,)` the rows, repeated to fill the batch."""
        return np.resize(self.rows, self.size)


def plan_batches(
    sizes: np.ndarray,
    buckets: Sequence[Sequence[int]],
    batch_size: int,
    *,
    work: Sequence[float],
    names: Sequence[str] = ("orbits",),
    shapes: set[Shape] | None = None,
) -> list[Batch]:
    """Batches of at most `batch_size` crystals, smaller buckets first, all batches of a bucket alike.

    Args:
        sizes: `(n, d)` sizes of the crystals.
        buckets: `(d,)` each, rising; any of them may be left out, and its crystals then go to the first larger one that holds them.
        batch_size: crystals of a full batch, taken up to a power of two.
        work: `(len(buckets),)` what a row costs in each, in units of what a new program costs.
        names: what the sizes count, for the message.
        shapes: what is compiled already; new ones are added, so that drawing a few crystals again compiles nothing unless it pays.

    Raises:
        InputError: a crystal is larger than the largest bucket.
    """
    sizes, batch_size = np.asarray(sizes), max(_SMALLEST, 1 << (batch_size - 1).bit_length())
    which = assign_buckets(sizes, buckets)
    if (which < 0).any():
        row = int(np.argmax(which < 0))
        what, most = (_listed(values, names) for values in (sizes[row], buckets[-1]))
        raise InputError(f"row {row}: {what} do not fit the largest bucket of these weights, {most}")
    known = set() if shapes is None else shapes
    kinds, kind, count = np.unique(sizes, axis=0, return_inverse=True, return_counts=True)
    best: tuple[float, np.ndarray, list[Shape]] = (np.inf, np.zeros(len(kinds), int), [])
    for used in _subsets(len(buckets)):
        place = assign_buckets(kinds, [buckets[b] for b in used])
        if (place < 0).any():
            continue
        rows = np.bincount(place, weights=count, minlength=len(used)).astype(int)
        chosen = [_shape(b, int(n), batch_size, work[b], known) for b, n in zip(used, rows, strict=True) if n]
        cost = sum(one[0] for one in chosen)
        if cost < best[0]:
            best = cost, np.asarray(used)[place], [one[1] for one in chosen]
    known |= set(best[2])
    bucket_of, plan = best[1][kind.ravel()], []
    for bucket, size in best[2]:
        rows = np.flatnonzero(bucket_of == bucket)
        plan += [Batch(bucket, rows[start : start + size], size) for start in range(0, len(rows), size)]
    return plan


def _subsets(num: int) -> list[tuple[int, ...]]:
    """Every choice of some of `num` buckets, most of them first."""
    return [used for size in range(num, 0, -1) for used in combinations(range(num), size)]


def _shape(bucket: int, num: int, batch_size: int, work: float, known: set[Shape]) -> tuple[float, Shape]:
    """The cost of `num` rows of a bucket in the shape in which they cost least, and that shape."""
    new = _batch_size(num, batch_size)
    cost = lambda size: work * size * -(-num // size)
    options = [(cost(size), (b, size)) for b, size in known if b == bucket]
    return min([*options, (cost(new) + 1.0, (bucket, new))], key=lambda one: (one[0], -one[1][1]))


def _batch_size(num: int, most: int) -> int:
    """Rows of every batch of `num` crystals, a power of two up to `most`: the one that pads least.

    Of several the smallest on a CPU, which a small batch fills and where the few that are drawn again run in the same shape;
    elsewhere the largest.
    """
    whole = min(most, max(_SMALLEST, 1 << (num - 1).bit_length()))
    sizes = [size for size in (whole >> n for n in range(_PARTS.bit_length())) if size >= _SMALLEST]
    sign = 1 if jax.default_backend() == "cpu" else -1
    return min(sizes, key=lambda size: (-(-num // size) * size, sign * size))


def _listed(values: Sequence[int] | np.ndarray, names: Sequence[str]) -> str:
    return " and ".join(f"{int(value)} {name}" for value, name in zip(values, names, strict=True))
