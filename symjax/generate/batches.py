"""Which crystals are drawn together: few padded shapes, so that few programs are compiled.

Compiling a program costs more than padding a few crystals. So crystals are sorted into buckets of padded sizes, a bucket with few
of them joins the next larger one, batches are padded to powers of two, and what is compiled already is used again. Random numbers
belong to the crystal (`symjax.diffusion.rng`), so a plan decides how long drawing takes and not what is drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from symjax.data.buckets import assign_buckets
from symjax.errors import InputError

_SMALLEST = 8  # rows of the smallest padded batch


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
    few: int,
    whole: bool = True,
    names: Sequence[str] = ("orbits",),
    shapes: set[tuple[int, int]] | None = None,
    much: int = 4,
    cheap: int = 0,
) -> list[Batch]:
    """Batches of at most `batch_size` crystals, smaller buckets first.

    Args:
        sizes: `(n, d)` sizes of the crystals.
        buckets: `(d,)` each, rising.
        batch_size: crystals of a full batch, taken up to a power of two.
        few: a bucket with fewer crystals joins the larger ones, each crystal the first that holds it, where any of them is used.
        whole: what is left after full batches is padded to a full one, which is compiled already; otherwise to a power of two.
        names: what the sizes count, for the message.
        shapes: (bucket, padded rows) that are compiled already; these are taken where they hold a batch and are not much larger
            than its own, and new ones are added. So drawing a few crystals again compiles nothing.
        much: so many times the work of its own shape a batch may cost in one that is compiled already.
        cheap: work (rows times the last size of a bucket) that never matters beside compiling.

    Raises:
        InputError: a crystal is larger than the largest bucket.
    """
    sizes, batch_size = np.asarray(sizes), max(_SMALLEST, 1 << (batch_size - 1).bit_length())
    which = assign_buckets(sizes, buckets)
    if (which < 0).any():
        row = int(np.argmax(which < 0))
        what, most = (_listed(values, names) for values in (sizes[row], buckets[-1]))
        raise InputError(f"row {row}: {what} do not fit the largest bucket of these weights, {most}")
    for bucket in range(len(buckets) - 1):
        rows = np.flatnonzero(which == bucket)
        if len(rows) < few and (which > bucket).any():
            larger = assign_buckets(sizes[rows], buckets[bucket + 1 :])
            which[rows] = np.where(larger >= 0, larger + bucket + 1, bucket)
    plan = []
    for bucket in range(len(buckets)):
        rows = np.flatnonzero(which == bucket)
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            power = min(batch_size, max(_SMALLEST, 1 << (len(part) - 1).bit_length()))
            own = bucket, batch_size if whole and len(rows) >= batch_size else power
            if shapes is not None:
                own = _known(own, len(part), buckets, shapes, much, cheap)
            plan.append(Batch(own[0], part, own[1]))
    return plan


def _known(
    own: tuple[int, int],
    num: int,
    buckets: Sequence[Sequence[int]],
    shapes: set[tuple[int, int]],
    much: int,
    cheap: int,
) -> tuple[int, int]:
    """The least of the shapes that hold so many crystals of a shape's bucket, or the shape itself, which is then known."""
    work = lambda shape: buckets[shape[0]][-1] * shape[1]
    most = max(much * work(own), cheap)
    large_enough = [one for one in shapes if one[0] >= own[0] and one[1] >= num and work(one) <= most]
    chosen = min(large_enough, key=lambda one: (work(one), one), default=own)
    shapes.add(chosen)
    return chosen


def _listed(values: Sequence[int] | np.ndarray, names: Sequence[str]) -> str:
    return " and ".join(f"{int(value)} {name}" for value, name in zip(values, names, strict=True))
