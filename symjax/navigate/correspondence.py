"""Lattice correspondences between two phases: which supercell of one goes over into which supercell of the other.

Owns `Correspondence` and `correspondences`. A common cell holds m_A primitive cells of A and m_B of B; its basis vectors are the
columns of S in A's primitive basis and of V in B's. For every sublattice of A (up to A's point group) all bases V whose metric is
within a strain bound are enumerated; those that A's and B's point groups map onto each other are given once. Both bases are
right-handed, so no correspondence turns the lattice inside out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symjax.groups.integer import sublattices
from symjax.lattice.reduction import reduced_basis
from symjax.navigate.pseudosymmetry import log_strain

_KEPT = 4000
"""Bases of one pair of supercells that are looked at for equivalence, least strained first."""


@dataclass(frozen=True)
class Correspondence:
    """A supercell of A that goes over into a supercell of B.

    Attributes:
        S: (3, 3) int64 columns in A's primitive basis, det = number of its primitive cells.
        V: (3, 3) int64 columns in B's primitive basis.
        strain: (3,) principal logarithmic strains from A's lattice to B's, ascending.
    """

    S: np.ndarray
    V: np.ndarray
    strain: np.ndarray


def correspondences(
    L_A: np.ndarray, L_B: np.ndarray, sizes: tuple[int, int], max_strain: float, *, W_A: np.ndarray, W_B: np.ndarray
) -> list[Correspondence]:
    """All correspondences of one pair of supercell sizes, least strained first (root mean square of the strains).

    Args:
        L_A, L_B: (3, 3) lattice rows of the primitive cells, right-handed.
        sizes: primitive cells of A and of B in the common cell.
        max_strain: bound of each principal logarithmic strain.
        W_A, W_B: (m, 3, 3) int64 rotation parts of the groups in those primitive bases.
    """
    found = []
    for B in _distinct_sublattices(sizes[0], W_A):
        S = B @ reduced_basis(B.T @ L_A)
        bases, strains = _bases(S.T @ L_A, L_B, sizes[1], max_strain)
        order = np.argsort(np.round((strains**2).sum(axis=1), 9), kind="stable")[:_KEPT]
        keep = _stabilizer(S, W_A)
        known: set[bytes] = set()
        for row in order:
            V = bases[row]
            if _canonical(V, W_B) in known:
                continue
            known |= {_canonical(V @ U, W_B) for U in keep}
            found.append(Correspondence(S, V, strains[row]))
    return sorted(found, key=lambda c: round(float((c.strain**2).sum()), 9))


def _distinct_sublattices(index: int, W: np.ndarray) -> list[np.ndarray]:
    """Column bases of the sublattices of an index, one of each class under the point group."""
    if index == 1:
        return [np.eye(3, dtype=np.int64)]
    found, known = [], set()
    proper = W[np.rint(np.linalg.det(W)) == 1]
    for B in sublattices(index):
        if _lattice_key(B) not in known:
            known |= {_lattice_key(g @ B) for g in proper}
            found.append(B)
    return found


def _lattice_key(B: np.ndarray) -> tuple[int, ...]:
    """What names the lattice of integer columns."""
    from symjax.groups.integer import as_rows, hermite

    return tuple(hermite(as_rows(B.T)).ravel().tolist())


def _stabilizer(S: np.ndarray, W: np.ndarray) -> np.ndarray:
    """(k, 3, 3) int64 proper rotation parts that keep the lattice of S, in the basis S."""
    inner = np.linalg.inv(S) @ W @ S
    whole = (np.abs(inner - np.rint(inner)) < 1e-6).all(axis=(1, 2)) & (np.rint(np.linalg.det(W)) == 1)
    return np.rint(inner[whole]).astype(np.int64)


def _canonical(V: np.ndarray, W: np.ndarray) -> bytes:
    """The same for all V that proper rotations of B map onto each other."""
    proper = W[np.rint(np.linalg.det(W)) == 1]
    rows = (proper @ V).reshape(len(proper), 9)
    return rows[np.lexsort(rows.T[::-1])[0]].astype(np.int32).tobytes()


def _bases(L_S: np.ndarray, L_B: np.ndarray, det: int, bound: float) -> tuple[np.ndarray, np.ndarray]:
    """(k, 3, 3) columns V in the primitive basis L_B with the metric of L_S within the bound, and their strains (k, 3)."""
    low, high = np.exp(-2 * bound) * (1 - 1e-9), np.exp(2 * bound) * (1 + 1e-9)
    target, metric = L_S @ L_S.T, L_B @ L_B.T
    reach = np.sqrt(high * np.diag(target).max() * np.diag(np.linalg.inv(metric))).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), -1).reshape(-1, 3)
    square = np.einsum("ki,ij,kj->k", grid, metric, grid)
    near = [grid[(square >= low * target[i, i]) & (square <= high * target[i, i])] for i in range(3)]

    def fits(i: int, j: int) -> np.ndarray:
        """Pairs whose sum and difference are of the right length, too."""
        inner = near[i] @ metric @ near[j].T
        norms = [np.einsum("ki,ij,kj->k", near[k], metric, near[k]) for k in (i, j)]
        ends = norms[0][:, None] + norms[1][None]
        good = np.ones(inner.shape, bool)
        for sign in (1, -1):
            length = target[i, i] + target[j, j] + 2 * sign * target[i, j]
            good &= (ends + 2 * sign * inner >= low * length) & (ends + 2 * sign * inner <= high * length)
        return good

    pairs = {(i, j): fits(i, j) for i, j in ((0, 1), (0, 2), (1, 2))}
    bases, strains = [np.zeros((0, 3, 3), np.int64)], [np.zeros((0, 3))]
    for first, vector in enumerate(near[0]):
        second, third = np.flatnonzero(pairs[0, 1][first]), np.flatnonzero(pairs[0, 2][first])
        at = np.argwhere(pairs[1, 2][np.ix_(second, third)])
        if not len(at):
            continue
        a, b = near[1][second[at[:, 0]]], near[2][third[at[:, 1]]]
        V = np.stack([np.broadcast_to(vector, a.shape), a, b], axis=-1)
        V = V[np.rint(np.linalg.det(V)) == det]
        strain = log_strain(target, np.einsum("kji,jl,klm->kim", V, metric, V))
        good = (np.abs(strain) <= bound + 1e-12).all(axis=1)
        bases.append(V[good])
        strains.append(strain[good])
    return np.concatenate(bases), np.concatenate(strains)
