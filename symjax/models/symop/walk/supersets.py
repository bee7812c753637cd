"""Operations that a crystal nearly has, among those of the vocabulary in its own conventional cell.

What the walk may add when it starts from a crystal's own group. Supergroups that need another cell or other axes are not among
them; `symjax.navigate` finds those.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.groups.tables import vocabulary
from symjax.models.symop.derive.reductions import land
from symjax.ops.types import DEN

_PAIRS = 64  # origins tried along polar directions


def near_operations(crystal: Crystal, frame: int, *, tolerance: float, strain: float) -> tuple[Crystal, np.ndarray]:
    """Vocabulary operations that take the crystal's atoms near atoms of the same element and its lattice near itself.

    The origin is open: in twelfths where the crystal's own operations stay in the vocabulary, and freely along polar directions.
    The one with most operations is taken, the given one where it is among the best.

    Args:
        crystal: in a setting whose operations are in the vocabulary's frame `frame`.
        tolerance: how far an atom would move by averaging, angstrom: images land at most twice that from an atom.
        strain: how much an edge would change by averaging, as a share: images of the lattice differ at most by twice that.

    Returns:
        the crystal with its origin moved, and (n,) vocabulary indices.
    """
    vocab = vocabulary()
    block = np.arange(*vocab.block[frame])
    metric = crystal.L @ crystal.L.T
    W = vocab.W[block].astype(float)
    moved = np.swapaxes(W, -1, -2) @ metric @ W
    stretch = np.linalg.eigvals(np.linalg.solve(metric, moved)).real
    block = block[(np.abs(np.log(np.maximum(stretch, 1e-9))) / 2 <= 2 * strain).all(-1)]
    opset = vocab.opset(block)
    atoms = dataclasses.replace(crystal.atoms(), W=opset.W, w=opset.w, den=opset.den)
    best: tuple[int, float, np.ndarray, np.ndarray] | None = None
    shifts = _discrete(crystal, frame)
    polar = _polar(crystal, atoms)
    for origin in (shifts[:, None] + polar).reshape(-1, 3):
        image, distance = land(dataclasses.replace(atoms, x=atoms.x - origin))
        good = (distance.max(1) <= 2 * tolerance) & (np.sort(image, axis=1) == np.arange(len(atoms.z))).all(1)
        score = (int(good.sum()), -round(float(distance[good].max(initial=0.0)), 4))
        if best is None or score > best[:2]:
            best = (*score, origin, block[good])
    assert best is not None
    w = crystal.w + np.rint((crystal.W - np.eye(3)) @ best[2] * crystal.den).astype(
        np.int64
    )  # polar parts change nothing
    return dataclasses.replace(crystal, w=np.mod(w, crystal.den), x=crystal.x - best[2]), best[3]


def _discrete(crystal: Crystal, frame: int) -> np.ndarray:
    """(o, 3) origins in twelfths, none along polar directions, for which the crystal's own operations are in the vocabulary."""
    vocab = vocabulary()
    grid = np.stack(np.meshgrid(*[np.arange(12)] * 3, indexing="ij"), -1).reshape(-1, 3)
    grid = grid[(np.abs(grid @ crystal.W.mean(0).T) < 1e-9).all(1)]
    moved = crystal.w * (DEN // crystal.den) + 2 * np.einsum("nij,oj->oni", crystal.W - np.eye(3, dtype=np.int64), grid)
    known = vocab.lookup(np.broadcast_to(crystal.W, (*moved.shape, 3)), np.mod(moved, DEN), frame) < vocab.size
    return grid[known.all(1)] / 12.0


def _polar(crystal: Crystal, atoms: AtomicStructure) -> np.ndarray:
    """(o, 3) origins along the polar directions that an operation reversing them could have: midpoints of like atoms."""
    polar = crystal.W.mean(0)  # onto the vectors that every operation keeps
    if np.abs(polar).max() < 1e-9:
        return np.zeros((1, 3))
    rarest = min(atoms.counts, key=lambda e: atoms.counts[e])
    points = atoms.x[atoms.z == rarest]
    middle = (points[:, None] + points).reshape(-1, 3) / 2
    half = np.stack(np.meshgrid(*[(0.0, 0.5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    origins = np.mod((middle[:, None] + half).reshape(-1, 3) @ polar.T, 1.0)
    first = np.unique(np.round(origins, 6), axis=0, return_index=True)[1]
    return np.concatenate([np.zeros((1, 3)), origins[np.sort(first)][:_PAIRS]])
