"""From orbits to atoms: coset representatives from stabilizers, and the images of every representative.

Owns `coset_images` (exact, host), `expand_crystal` (host) and `expand_positions` (numpy or jax, jit-able). An orbit of
G with stabilizer S is {g x : one g of each left coset of S}; which g is exact integer algebra and depends on (G, S)
only, so it is computed once on the host (or read from a `symjax.wyckoff.set_table.SetTable`) and never from coordinates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.crystals.types import DEN, AtomicStructure, Crystal, CrystalBatch
from symjax.errors import InputError, NotAGroupError

Array = Any  # numpy or jax array


def coset_images(W: np.ndarray, w: np.ndarray, stab: np.ndarray, den: int = DEN) -> np.ndarray:
    """Operations that make the distinct atoms of each orbit: the first operation of every left coset of its stabilizer.

    Args:
        W: (n, 3, 3) and w: (n, 3), a closed set in units of 1/den, unpadded.
        stab: (m, n) bool.
        den: denominator of w.

    Returns:
        (m, n) int32: operation indices, |G|/|S| of them ascending, then -1.

    Raises:
        NotAGroupError: a product leaves the set, or the cosets do not tile it (a "stabilizer" that is no subgroup).
    """
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64)
    n = len(W)
    keys = {row.tobytes(): i for i, row in enumerate(_rows(W, w, den))}
    images = np.full((len(stab), n), -1, np.int32)
    for orbit, members in enumerate(np.asarray(stab, bool)):
        fixed = np.flatnonzero(members)
        free, found = np.ones(n, bool), []
        while free.any():
            g = int(np.argmax(free))
            rows = _rows(W[g] @ W[fixed], w[fixed] @ W[g].T + w[g], den)
            coset = [keys.get(row.tobytes(), -1) for row in rows]
            if min(coset, default=-1) < 0 or not free[coset].all() or not free[g]:
                raise NotAGroupError(
                    f"orbit {orbit}: the coset of operation {g} leaves the set or overlaps another one"
                )
            if g not in coset:
                raise NotAGroupError(f"orbit {orbit}: its stabilizer does not hold the identity")
            free[coset] = False
            found.append(g)
        images[orbit, : len(found)] = found
    return images


def _rows(W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
    """(n, 12) int64 rows that are equal exactly for equal operations modulo the lattice."""
    return np.ascontiguousarray(np.concatenate([W.reshape(-1, 9), np.mod(w, den).reshape(-1, 3)], axis=1))


def batch_images(batch: CrystalBatch) -> np.ndarray:
    """Coset images (b, m, n) int32 of a whole batch (host), -1 where padded; what `expand_positions` reads."""
    W, w, stab = np.asarray(batch.W), np.asarray(batch.w), np.asarray(batch.stab)
    op_mask, orbit_mask = np.asarray(batch.op_mask), np.asarray(batch.orbit_mask)
    images = np.full(stab.shape, -1, np.int32)
    cache: dict[bytes, np.ndarray] = {}
    for i in range(len(W)):
        n, m = int(op_mask[i].sum()), int(orbit_mask[i].sum())
        for a in range(m):
            key = W[i, :n].tobytes() + w[i, :n].tobytes() + stab[i, a, :n].tobytes()
            if key not in cache:
                cache[key] = coset_images(W[i, :n], w[i, :n], stab[i, a : a + 1, :n])[0]
            images[i, a, :n] = cache[key]
    return images


def expand_positions(W: Array, w: Array, x: Array, images: Array, *, den: int = DEN) -> tuple[Array, Array]:
    """Fractional positions of all atoms of all orbits; numpy or jax arrays, jit-able, any leading batch shape.

    Args:
        W: (..., n, 3, 3) and w: (..., n, 3) in units of 1/den.
        x: (..., m, 3) representatives.
        images: (..., m, q) operation indices, -1 where there is no atom.
        den: denominator of w.

    Returns:
        positions (..., m, q, 3) in [0, 1), 0 where there is no atom; mask (..., m, q).
    """
    xp = np if all(isinstance(a, np.ndarray) for a in (W, w, x, images)) else _jnp()
    mask = images >= 0
    index = xp.where(mask, images, 0)
    lead = tuple(range(index.ndim - 2))
    batch = tuple(xp.arange(index.shape[i]).reshape([-1 if j == i else 1 for j in range(index.ndim)]) for i in lead)
    rotation, shift = W[(*batch, index)].astype(x.dtype), w[(*batch, index)].astype(x.dtype) / den
    moved = xp.einsum("...qij,...j->...qi", rotation, x) + shift
    moved = moved - xp.floor(moved)
    moved = xp.where(moved >= 1, 0.0, moved)  # x - floor(x) rounds up to 1 for tiny negative x
    return xp.where(mask[..., None], moved, 0.0), mask


def _jnp() -> Any:
    """jax.numpy, imported on use."""
    import jax.numpy as jnp

    return jnp


def expand_crystal(crystal: Crystal, images: np.ndarray | None = None) -> AtomicStructure:
    """All atoms of the conventional cell, orbit by orbit.

    Args:
        crystal: what to expand.
        images: (m, q) coset images if known; computed from the stabilizers otherwise.
    """
    if images is None:
        images = coset_images(crystal.W, crystal.w, crystal.stab, crystal.den)
    positions, mask = expand_positions(crystal.W, crystal.w, crystal.x, np.asarray(images), den=crystal.den)
    z = np.broadcast_to(crystal.z[:, None], mask.shape)
    return AtomicStructure(L=crystal.L, z=z[mask], x=positions[mask])


def primitive_structure(crystal: Crystal, images: np.ndarray | None = None) -> AtomicStructure:
    """The atoms of one primitive cell: the centring translations of the set are made lattice vectors.

    The primitive basis is made of three short centring or unit vectors that span the lattice.
    """
    full = expand_crystal(crystal, images)
    pure = crystal.w[(crystal.W == np.eye(3, dtype=int)).all(axis=(1, 2))] / crystal.den
    if len(pure) == 1:
        return full
    basis = _primitive_basis(pure)
    x = np.linalg.solve(basis, full.x.T).T
    x -= np.floor(x + 1e-9)
    keep: list[int] = []
    for i in range(len(x)):
        same = [j for j in keep if full.z[j] == full.z[i]]
        delta = x[same] - x[i]
        if not same or np.abs(delta - np.rint(delta)).max(axis=1).min() > 1e-6:
            keep.append(i)
    if len(keep) * len(pure) != len(full.z):
        raise InputError(f"{len(full.z)} atoms do not divide into {len(pure)} primitive cells")
    return AtomicStructure(L=basis.T @ crystal.L, z=full.z[keep], x=x[keep])


def _primitive_basis(pure: np.ndarray) -> np.ndarray:
    """Columns of a right-handed primitive basis: the first three short vectors whose determinant is 1 / number of centrings."""
    from itertools import combinations, product

    vectors = np.array([v + s for v in pure for s in product((-1, 0), repeat=3)] + [*np.eye(3)])
    vectors = vectors[np.abs(vectors).sum(axis=1) > 1e-9]
    order = np.lexsort((*vectors.T, (vectors**2).sum(axis=1).round(9)))
    for triple in combinations(vectors[order], 3):
        det = np.linalg.det(np.column_stack(triple))
        if abs(abs(det) - 1 / len(pure)) < 1e-6:
            basis = np.column_stack(triple)
            return basis if det > 0 else -basis
    raise NotAGroupError(f"{len(pure)} centring translations do not span a lattice of that index")
