"""Keeping a crystal's operations while it relaxes.

Conventions: an operation acts on a column of fractions, ``x' = W x + t``; lattice rows are a, b, c, so its Cartesian
rotation is ``R = L^T W L^-T``. Forces and displacements are rows. A force field of the crystal's own symmetry obeys
``f[g(i)] = R_g f[i]``, a stress ``s = R^T s R``; the projections are the means over the group of what the two sides would
be. A strain that commutes with every R leaves every R as it is, so one projector serves a whole relaxation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from symjax.crystals.io.search import search_symmetry
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError


class Operations(NamedTuple):
    """(g, 3, 3) integer rotation parts and (g, 3) translations in fractions of the cell, the cell's centring translations
    among them.
    """

    W: np.ndarray
    t: np.ndarray


class Projector(NamedTuple):
    """Projections on what the operations of a crystal allow.

    Attributes:
        R: (g, 3, 3) Cartesian rotations.
        image: (g, n) atom that operation g sends atom i to.
    """

    R: np.ndarray
    image: np.ndarray

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Forces or displacements (n, 3) of the atoms: for atom i the mean over g of ``R_g^-1 f[g(i)]``."""
        return np.einsum("gia,gab->ib", rows[self.image], self.R) / len(self.R)

    def tensor(self, stress: np.ndarray) -> np.ndarray:
        """A stress or strain (3, 3): the mean over g of ``R_g^T s R_g``."""
        return np.einsum("gji,jk,gkl->il", self.R, stress, self.R) / len(self.R)


class Reduced(NamedTuple):
    """A crystal in a smaller cell.

    Attributes:
        cell: the smaller cell.
        atom: (n,) atom of the smaller cell that atom i of the large one is a translate of.
        basis: (3, 3) column fractions of the large cell to those of the small one, ``x_small = basis @ x_large``.
    """

    cell: AtomicStructure
    atom: np.ndarray
    basis: np.ndarray


def operations_of(cell: AtomicStructure, symprec: float = 0.01) -> Operations:
    """The crystal's own operations if it has any, else those spglib finds at ``symprec`` angstrom (the identity where it
    finds none).
    """
    if len(cell.W):
        return Operations(np.asarray(cell.W, np.int64), np.asarray(cell.w, np.float64) / cell.den)
    return found_operations(cell, symprec)[0]


def found_operations(cell: AtomicStructure, symprec: float = 0.01) -> tuple[Operations, int]:
    """Operations that spglib finds in the atoms, in the basis of the cell as it is, and the space-group number (0: search
    failed).
    """
    found = search_symmetry(cell, symprec)
    if found is None:
        return Operations(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3))), 0
    return Operations(np.asarray(found.rotations, np.int64), np.asarray(found.translations, np.float64)), int(
        found.number
    )


def projector_of(cell: AtomicStructure, operations: Operations, *, tolerance: float = 0.1) -> Projector:
    """The projector of a crystal.

    Args:
        cell: a crystal that has the operations, see `symmetrized`.
        operations: a group modulo the lattice of the cell.
        tolerance: angstrom within which an atom must lie where an operation sends another.

    Raises:
        InputError: an operation sends an atom to a place where no atom of its element is.
    """
    return Projector(_cartesian(cell.L, operations.W), _images(cell, operations, tolerance)[0])


def symmetrized(cell: AtomicStructure, operations: Operations, *, tolerance: float = 0.1) -> AtomicStructure:
    """The crystal averaged over operations that it has only approximately, so that they hold to rounding.

    The metric becomes the mean of ``W^T G W``; the lattice keeps its orientation (a symmetric strain); an atom goes to
    the mean of what the operations make of its images. Operations of the cell are kept as they are.

    Raises:
        InputError: as `projector_of`.
    """
    frac = np.asarray(cell.x, np.float64)
    for _ in range(2):  # the second pass removes what translations rounded by the search left over
        _, miss = _images(replace(cell, x=frac), operations, tolerance)
        inverse = np.linalg.inv(operations.W.astype(np.float64))
        frac = frac + np.einsum("gab,gib->ia", inverse, miss) / len(inverse)
    metric = cell.L @ cell.L.T
    mean = np.einsum("gji,jk,gkl->il", operations.W, metric, operations.W) / len(operations.W)
    inner = np.linalg.inv(cell.L)
    values, vectors = np.linalg.eigh(inner @ mean @ inner.T)
    lattice = cell.L @ (vectors * np.sqrt(values)) @ vectors.T
    return replace(cell, L=lattice, x=frac)


def reduced(cell: AtomicStructure) -> Reduced:
    """The crystal in a primitive cell of its own centring translations; the same cell where it has none or they do not
    hold.
    """
    same = Reduced(cell, np.arange(len(cell.z)), np.eye(3))
    if not len(cell.W):
        return same
    small = cell.primitive()
    if len(small.z) == len(cell.z):
        return same
    basis = np.linalg.solve(small.L.T, cell.L.T)
    shift = (cell.x @ basis.T)[:, None] - small.x[None]
    shift -= np.round(shift)
    near = np.linalg.norm(shift @ small.L, axis=-1)
    near[cell.z[:, None] != small.z[None]] = np.inf
    atom = near.argmin(axis=1)
    ratio = cell.volume / small.volume
    counts = np.bincount(atom, minlength=len(small.z))
    if near.min(axis=1).max() > 1e-3 or not np.allclose(counts, ratio, atol=1e-3):
        return same
    return Reduced(small, atom, basis)


def reduced_operations(operations: Operations, basis: np.ndarray) -> Operations:
    """Operations in the basis of the smaller cell (see `Reduced.basis`), each once modulo its lattice."""
    inverse = np.linalg.inv(basis)
    W = np.round(basis @ operations.W @ inverse).astype(np.int64)
    t = operations.t @ basis.T
    t = t - np.floor(t + 1e-9)
    _, first = np.unique(np.concatenate([W.reshape(-1, 9), np.round(t * 1e4) % 1e4], axis=1), axis=0, return_index=True)
    first = np.sort(first)
    return Operations(W[first], t[first])


def enlarged(
    cell: AtomicStructure, small: Reduced, lattice: np.ndarray, frac: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lattice and coordinates of the large cell after the small one became ``lattice``, ``frac`` (not wrapped on the
    way).

    Atoms of the large cell move as the atom of the small one that they are translates of.
    """
    if small.cell is cell:
        return lattice, frac
    moved = (frac - small.cell.x)[small.atom]
    return small.basis.T @ lattice, cell.x + moved @ np.linalg.inv(small.basis).T


def defect(cell: AtomicStructure, operations: Operations) -> float:
    """Angstrom by which the worst atom misses where an operation sends another, lattice included (1 % of a 10 angstrom
    edge is 0.1).
    """
    _, miss = _images(cell, operations, np.inf)
    metric = cell.L @ cell.L.T
    bent = np.abs(np.einsum("gji,jk,gkl->gil", operations.W, metric, operations.W) - metric).max()
    return float(max(np.linalg.norm(miss @ cell.L, axis=-1).max(), bent / (2 * np.sqrt(np.trace(metric) / 3))))


def _cartesian(lattice: np.ndarray, W: np.ndarray) -> np.ndarray:
    return lattice.T @ W @ np.linalg.inv(lattice.T)


def _images(cell: AtomicStructure, operations: Operations, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """(g, n) nearest atom of the same element where operation g sends atom i, and (g, n, 3) fractions by which it is
    missed.
    """
    sent = np.einsum("gab,ib->gia", operations.W, cell.x) + operations.t[:, None]
    images, misses = [], []
    other = cell.z[:, None] != cell.z[None]
    for number, points in enumerate(sent):
        shift = cell.x[None] - points[:, None]
        shift -= np.round(shift)
        distance = np.linalg.norm(shift @ cell.L, axis=-1)
        distance[other] = np.inf
        image = distance.argmin(axis=1)
        worst = float(distance[np.arange(len(image)), image].max())
        if worst > tolerance or len(np.unique(image)) != len(image):
            raise InputError(
                f"operation {number} (W = {operations.W[number].tolist()}) does not map the crystal on itself: an atom is "
                f"{worst:.3g} angstrom off (tolerance {tolerance:g}) or two go to one place"
            )
        images.append(image)
        misses.append(shift[np.arange(len(image)), image])
    return np.array(images), np.array(misses)
