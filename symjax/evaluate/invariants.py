"""Average minimum distances and pointwise distance distributions: continuous invariants of the places of atoms.

Row i of the PDD of a crystal holds the distances of atom i to its k nearest others in the infinite crystal, in order; the AMD is
the mean of its rows. Both depend on no choice of cell or origin, and an atom that moves by e changes them by at most 2 e. They are
blind to elements. AMDs are compared by the largest difference of two entries, PDDs by the earth mover's distance of their rows
with that same distance between rows; the first is never larger than the second.

Exact: of the points of the infinite crystal those within a radius are looked at, and a row counts only where its k-th distance is
so short that none outside could be nearer; others are made again with a larger radius.

Source: Widdowson et al., MATCH 87 (2022) 529, arXiv 2009.02488 (AMD); Widdowson and Kurlin, NeurIPS 2022, arXiv 2108.04798 (PDD).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from symjax.crystals.types import AtomicStructure

K = 100
"""Neighbours of an atom, as in the papers."""
ATOMS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128)
"""Numbers of atoms that programs are compiled for; larger ones are rounded up to the next 128."""
VECTORS = (32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Numbers of lattice vectors that programs are compiled for; larger ones are rounded up to the next 512."""
MAX_DISTANCES = 1 << 20
"""Distances worked out at once in a full batch; small batches may need more."""
BATCHES = (32, 4)
"""Crystals worked out at once: as many as fit, and the rest in small batches."""
MAX_ONE = 1 << 26
"""Distances of one crystal beyond which it is left out: real ones need a thousandth."""
_MARGIN = 1e-3  # angstrom; float32 coordinates are right to 1e-6
_FAR = 1e6


class _Points(NamedTuple):
    """Crystals side by side: c lattices, and the coordinates of all atoms with the first and the number of each crystal."""

    L: np.ndarray
    x: np.ndarray
    start: np.ndarray
    num: np.ndarray


class _Vectors(NamedTuple):
    """Lattice vectors of c crystals side by side, each crystal's from the shortest to the longest."""

    all: np.ndarray
    start: np.ndarray
    num: np.ndarray


def amd(cells: Sequence[AtomicStructure | None], k: int = K) -> np.ndarray:
    """(c, k) average minimum distances, angstrom; NaN where `pdd` gives None.

    Args:
        cells: c crystals.
        k: neighbours.
    """
    found = np.full((len(cells), k), np.nan)
    for rows, num, distances in _pieces(cells, k):
        live = np.arange(distances.shape[1]) < num[:, None]
        found[rows] = (distances * live[..., None]).sum(axis=1) / num[:, None]
    return found


def pdd(cells: Sequence[AtomicStructure | None], k: int = K) -> list[np.ndarray | None]:
    """(a, k) distances of each atom to its k nearest others, angstrom, to 1e-5; rows have equal weights and the atoms' order.

    None for rows that are no crystal, cells without volume, and crystals that need more than `MAX_ONE` distances.

    Args:
        cells: crystals, in any cell; short vectors make it quick.
        k: neighbours.
    """
    found: list[np.ndarray | None] = [None] * len(cells)
    for rows, num, distances in _pieces(cells, k):
        for row, many, made in zip(rows, num, distances):
            found[row] = made[:many]
    return found


def _pieces(cells: Sequence[AtomicStructure | None], k: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Places of some crystals, their numbers of atoms and their padded distances, until all have been made."""
    todo = np.array([i for i, cell in enumerate(cells) if cell is not None and len(cell.z)], np.int64)
    live = [cell for cell in cells if cell is not None and len(cell.z)]
    if not live:
        return
    L, num = np.array([cell.L for cell in live]), np.array([len(cell.z) for cell in live])
    points = _Points(L, np.concatenate([cell.x for cell in live]), np.cumsum(num) - num, num)
    sums = np.add.reduceat(points.x.sum(axis=1), points.start)
    sound = np.isfinite(L).all(axis=(1, 2)) & np.isfinite(sums)
    volume = np.abs(np.linalg.det(np.where(sound[:, None, None], L, 0.0)))
    left = np.flatnonzero(sound & (volume > 0.1))
    half = _half_diagonal(L)
    # A quarter more points than a ball of mean density needs, and most of the way from the middle of the cell to a corner.
    with np.errstate(all="ignore"):
        radius = (3 * volume * 1.25 * (k + 1) / (4 * np.pi * num)) ** (1 / 3) + 0.75 * half
        while len(left):
            # Cells of all lattice vectors of a radius lie in a ball larger by the half diagonal.
            many = num[left] ** 2 * 4 / 3 * np.pi * (radius[left] + half[left]) ** 3 / volume[left]
            left = left[many < MAX_ONE]
            again = []
            vectors = lattice_vectors(L[left], radius[left])
            for rows, sizes in _batches(num[left], vectors.num):
                distances, farthest = _run(points, vectors, (left[rows], rows), (*sizes, k))
                sure = farthest + _MARGIN <= radius[left[rows]]
                yield todo[left[rows[sure]]], num[left[rows[sure]]], distances[sure]
                again.append(left[rows[~sure]])
            left = np.concatenate(again) if again else left[:0]
            radius[left] *= 1.25


def lattice_vectors(L: np.ndarray, radius: np.ndarray) -> _Vectors:
    """Of each lattice all vectors no longer than a radius, the zero vector first and the longest last.

    Args:
        L: (c, 3, 3) rows, angstrom.
        radius: (c,) angstrom.
    """
    # A vector with coefficient m on axis i is at least |m| / |b_i| long, b_i being the reciprocal vector.
    reach = np.floor(radius[:, None] * np.linalg.norm(np.linalg.inv(L), axis=1) + 1e-9).astype(np.int64)
    rows, found = [np.zeros(0, np.int64)], [np.zeros((0, 3))]
    for box in np.unique(reach, axis=0):
        axes = [np.arange(-n, n + 1) for n in box]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
        alike = np.flatnonzero((reach == box).all(axis=1))
        for part in np.split(alike, range(64, len(alike), 64)):
            points = grid @ L[part]
            squares = (points**2).sum(axis=-1)
            crystal, place = np.nonzero(squares <= radius[part, None] ** 2)
            order = np.lexsort((squares[crystal, place], crystal))
            rows.append(part[crystal[order]])
            found.append(points[crystal[order], place[order]])
    crystal = np.concatenate(rows)
    order = np.argsort(crystal, kind="stable")
    num = np.bincount(crystal, minlength=len(L))
    return _Vectors(np.concatenate(found)[order], np.cumsum(num) - num, num)


def nearest(samples: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) distance of each AMD to the nearest of others: the largest difference of two entries. NaN where there is none.

    Args:
        samples: (n, k).
        known: (m, k); rows that are NaN are left out.
    """
    known = known[np.isfinite(known).all(axis=1)]
    found = np.full(len(samples), np.nan)
    if len(known):
        # First by one entry: a difference of two AMDs is at least that of their last entries, so far ones need no look.
        order = np.argsort(known[:, -1])
        known = known[order].astype(np.float32)
        for i in np.flatnonzero(np.isfinite(samples).all(axis=1)):
            found[i] = _nearest_one(samples[i].astype(np.float32), known)
    return found


def _nearest_one(sample: np.ndarray, known: np.ndarray) -> float:
    best, step = np.inf, 64
    middle = int(np.searchsorted(known[:, -1], sample[-1]))
    low, high = middle, middle
    while low > 0 or high < len(known):
        below, above = max(0, low - step), min(len(known), high + step)
        near = np.concatenate([known[below:low], known[high:above]])
        best = min(best, float(np.abs(near - sample).max(axis=1).min()))
        low = below if below == 0 or sample[-1] - known[below, -1] <= best else 0
        high = above if above == len(known) or known[above - 1, -1] - sample[-1] <= best else len(known)
    return best


def spread(values: np.ndarray) -> np.ndarray:
    """(n, n) distances of AMDs to each other, angstrom."""
    return np.array([np.abs(values - row).max(axis=1) for row in values]).reshape(len(values), len(values))


def earth_movers(a: np.ndarray, b: np.ndarray) -> float:
    """Earth mover's distance of two PDDs, the largest difference of two entries being the distance of rows; angstrom.

    Args:
        a: (n, k) rows of equal weight.
        b: (m, k) the same.
    """
    from scipy.optimize import linear_sum_assignment, linprog

    cost = np.abs(a[:, None] - b[None]).max(axis=-1)
    num, other = cost.shape
    total = int(np.lcm(num, other))
    if total <= 256:  # rows repeated to equal numbers: then the best flow is an assignment (Birkhoff)
        cost = np.repeat(np.repeat(cost, total // num, axis=0), total // other, axis=1)
        rows, columns = linear_sum_assignment(cost)
        return float(cost[rows, columns].mean())
    sums = np.concatenate([np.kron(np.eye(num), np.ones(other)), np.kron(np.ones(num), np.eye(other))])
    weights = np.concatenate([np.full(num, 1 / num), np.full(other, 1 / other)])
    return float(linprog(cost.ravel(), A_eq=sums, b_eq=weights, method="highs").fun)


def nearest_pdd(
    sample: np.ndarray, known: Sequence[np.ndarray | None], known_amd: np.ndarray, most: float = np.inf
) -> float:
    """Earth mover's distance of a PDD to the nearest of others, exactly: those are left out whose AMD is farther than the best.

    Args:
        sample: (n, k) rows.
        known: PDDs.
        known_amd: (m, k) their AMDs.
        most: a distance that is known not to be exceeded.
    """
    bounds = np.abs(known_amd - sample.mean(axis=0)).max(axis=1)
    best = most
    for place in np.argsort(bounds):
        if not bounds[place] < best:
            break
        other = known[place]
        if other is not None:
            best = min(best, earth_movers(sample, other))
    return best


def _half_diagonal(L: np.ndarray) -> np.ndarray:
    """(c,) half of the longest diagonal of each cell."""
    signs = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)], float)
    longest: np.ndarray = np.linalg.norm(signs @ L, axis=-1).max(axis=1) / 2
    return longest


def _bucket(value: int, sizes: tuple[int, ...]) -> int:
    return next((size for size in sizes if size >= value), -(-value // sizes[-1]) * sizes[-1])


def _batches(num: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[int, int, int]]]:
    """Rows with the sizes of their program: crystals, atoms, lattice vectors."""
    sizes = np.array([(_bucket(int(a), ATOMS), _bucket(int(v), VECTORS)) for a, v in zip(num, counts)]).reshape(-1, 2)
    for atoms, vectors in np.unique(sizes, axis=0):
        rows = np.flatnonzero((sizes == (atoms, vectors)).all(axis=1))
        for many in BATCHES:
            if many == BATCHES[-1] or many * atoms**2 * vectors <= MAX_DISTANCES:
                whole = len(rows) if many == BATCHES[-1] else len(rows) // many * many
                for part in np.split(rows[:whole], range(many, whole, many)):
                    if len(part):
                        yield part, (many, int(atoms), int(vectors))
                rows = rows[whole:]


def _run(
    points: _Points, vectors: _Vectors, rows: tuple[np.ndarray, np.ndarray], sizes: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(b, a, k) distances of a batch, and (b,) the radius up to which lattice vectors had to be given; infinite: too few points.

    Args:
        points: crystals.
        vectors: lattice vectors.
        rows: places of the batch in the one and in the other.
        sizes: of the program: crystals, atoms, lattice vectors, neighbours.
    """
    many, atoms, length, k = sizes
    fill = np.zeros(many - len(rows[0]), np.int64)
    place, other = (np.concatenate([each, fill]) for each in rows)
    atom, vector = np.arange(atoms), np.arange(length)
    mask = (atom < points.num[place, None]) & (np.arange(many) < len(rows[0]))[:, None]
    x = points.x[np.minimum(points.start[place, None] + atom, len(points.x) - 1)]
    listed = (vector < vectors.num[other, None])[..., None]
    steps = np.where(listed, vectors.all[np.minimum(vectors.start[other, None] + vector, len(vectors.all) - 1)], _FAR)
    made, farthest = _distances(
        jnp.asarray(points.L[place], jnp.float32),
        jnp.asarray(np.where(mask[..., None], x - np.floor(x), 0.0), jnp.float32),
        jnp.asarray(mask),
        jnp.asarray(steps, jnp.float32),
        k=min(k, atoms * length),
    )
    distances = np.asarray(made, float)[: len(rows[0])]
    if distances.shape[-1] < k:
        return np.zeros((*distances.shape[:2], k)), np.full(len(distances), np.inf)
    return distances, np.asarray(farthest, float)[: len(distances)]


@partial(jax.jit, static_argnames="k")
def _distances(L: jax.Array, x: jax.Array, mask: jax.Array, steps: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(partial(distances_of_one, k=k))(L, x, mask, steps)


def distances_of_one(
    L: jax.Array, x: jax.Array, mask: jax.Array, steps: jax.Array, *, k: int
) -> tuple[jax.Array, jax.Array]:
    """Of one padded crystal: (a, k) sorted distances, and the radius within which lattice vectors had to be given.

    A point outside is x_j - x_i + t with t longer than the radius, so at least the radius less |x_j - x_i| away.

    Args:
        L: (3, 3) rows, angstrom.
        x: (a, 3) fractional coordinates.
        mask: (a,) which atoms are real.
        steps: (v, 3) lattice vectors, the zero vector first and short ones before long ones; padded with far ones.
        k: neighbours.
    """
    num = len(x)
    apart = x[None] - x[:, None]
    parts = jnp.moveaxis((apart - jnp.round(apart)) @ L, -1, 0)
    # The atom itself and padding lie far off. Coordinates one by one, so that the processor works on whole vectors; near lattice
    # vectors first, so that the search for the smallest is nearly done when far ones come.
    first = jnp.arange(len(steps)) == 0
    nothing = (jnp.eye(num, dtype=bool)[:, None] & first[:, None]) | ~mask
    squares = sum((parts[i][:, None] + steps[:, i, None]) ** 2 for i in range(3))
    found = jnp.sqrt(-jax.lax.top_k(-jnp.where(nothing, _FAR**2, squares).reshape(num, -1), k)[0])
    away = jnp.sqrt((parts**2).sum(axis=0)).max(axis=1, where=mask, initial=0.0)
    return found, (found[:, -1] + away).max(where=mask, initial=0.0)
