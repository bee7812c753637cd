"""What becomes free when a crystal keeps only a subgroup: strains and displacement modes, and which of them are primary.

Owns `Modes`, `modes_of`, `Realized` and the projectors behind them (`ModeSpace`).

A displacement field of the atoms that H keeps is fixed by one vector for each orbit of H; those fields are a space Inv(H) with the
metric sum over the atoms of H's conventional cell of |d|^2 (Cartesian, without masses). For a group K between H and G the mean
over the cosets e of K of R_e^-1 f(e x) is the orthogonal projector on Inv(K); its trace counts. The freed modes are Inv(H) without
Inv(G) and without the uniform translations that H keeps, which are no change of structure. Primary modes (those of the order
parameter) are what is left of them without the sum of Inv(K) over all groups K strictly between H and G. The same for strains,
symmetric tensors in the Frobenius metric. Lengths in angstrom, vectors and tensors in the Cartesian frame of the parent's lattice
rows. Source: isotropy subgroups, Stokes & Hatch 1988; symmetry modes, Perez-Mato, Orobengoa & Aroyo, Acta Cryst. A66, 558, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.errors import InputError
from symjax.groups.identify import identify
from symjax.groups.integer import as_rows, hermite
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting
from symjax.groups.symbols import short_symbol
from symjax.lattice.log import K_BASIS
from symjax.navigate.relation import Relation
from symjax.navigate.splitcrystal import SplitCrystal
from symjax.ops import exact

_SMALL = 1e-7


@dataclass(frozen=True)
class Modes:
    """Freedoms that a crystal gains along a relation.

    Attributes:
        split: the crystal's orbits.
        strain: (s, 3, 3) symmetric strains, orthonormal (Frobenius); those of the order parameter first.
        displacement: (k, m, 3) displacements of the orbits' representatives in angstrom, orthonormal under the sum over the atoms
            of H's conventional cell; those of the order parameter first.
        num_primary_strain: strains that no group between H and G keeps.
        num_primary: displacement modes that no group between H and G keeps.
        num_translations: uniform translations taken out (polar directions of H that G has not).
        num_lattice: free lattice parameters of H.
        num_coordinates: free coordinates of H's orbits (uniform translations among them).
        parent_lattice, parent_coordinates: the same of the parent.
        between: groups minimal over H, as masks (b, n) over the cosets; G itself alone if H is maximal.
        realized: None if the crystal's atoms can have H and no more; else what they have.
    """

    split: SplitCrystal
    strain: np.ndarray
    displacement: np.ndarray
    num_primary_strain: int
    num_primary: int
    num_translations: int
    num_lattice: int
    num_coordinates: int
    parent_lattice: int
    parent_coordinates: int
    between: np.ndarray
    realized: Realized | None


@dataclass(frozen=True)
class Realized:
    """The group that every H-invariant strain and displacement of a crystal keeps, where it is larger than H.

    Attributes:
        number, symbol: its type.
        index: [R : H].
        mask: (n,) bool over the cosets.
    """

    number: int
    symbol: str
    index: int
    mask: np.ndarray


class ModeSpace:
    """Inv(H) of one crystal with the projectors on Inv(K); the way to `Modes`.

    Coordinates a: for orbit i the displacement of its representative is U_i a_i / sqrt(multiplicity_i), U_i orthonormal columns.
    """

    def __init__(self, split: SplitCrystal):
        self.split = split
        self.cosets = split.splitter.cosets
        child, cells = split.splitter.child, split.L.T  # columns: H's basis in Cartesian
        self.U = [np.linalg.qr(cells @ child.basis[o.position][:, : o.dof])[0] for o in split.orbits]
        self.scale = np.sqrt(split.multiplicity.astype(float))
        self.start = np.concatenate([[0], np.cumsum([o.dof for o in split.orbits])]).astype(int)
        C = self.cosets.C / self.cosets.C_den
        frame = split.lattice.T @ C
        self.R = frame @ self.cosets.form.W @ np.linalg.inv(frame)

    @property
    def dim(self) -> int:
        """Dimension of Inv(H)."""
        return int(self.start[-1])

    @cached_property
    def _targets(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """For each position of the parent in use: e x_i = h x_j for orbit i and coset e; j (k, n) and the row of e^-1 h (k, n)."""
        s = self.cosets
        inverse = np.argmax(s.product == 0, axis=1)
        out = {}
        for p in np.unique(self.split.parent_position):
            one = self.split.splitter.split(int(p))
            orbit, row = [], []
            for o in one.orbits:
                moved = s.index_of(s.product[s.row, s.row[o.element]], s.w + exact.matvec(s.W, o.shift))
                image = one.image_of[moved]
                orbit.append(one.orbit_of[image])
                row.append(s.product[inverse[s.row], s.H_row[one.op_of[image]]])
            out[int(p)] = np.array(orbit), np.array(row)
        return out

    def projector(self, mask: np.ndarray) -> np.ndarray:
        """(dim, dim) orthogonal projector of Inv(H) on Inv(K), K the cosets of the mask (n,)."""
        return self.mean(mask / mask.sum())

    def mean(self, weight: np.ndarray) -> np.ndarray:
        """(dim, dim) sum over the cosets of weight (n,) times their action, projected on Inv(H); symmetric part."""
        count = len(self.U)
        U = np.zeros((count, 3, 3))
        for i, columns in enumerate(self.U):
            U[i, :, : columns.shape[1]] = columns
        out = np.zeros((count, 3, count, 3))
        blocks: dict[int, np.ndarray] = {}
        for g, p in enumerate(self.split.parent_position.tolist()):
            if p not in blocks:
                blocks[p] = self._block(p, weight)
            mine = np.flatnonzero(self.split.parent_orbit == g)
            ratio = self.scale[mine][:, None] / self.scale[mine]
            piece = np.einsum(
                "iab,ijac,jcd->ibjd", U[mine], blocks[p] * ratio[:, :, None, None], U[mine], optimize=True
            )
            out[mine[:, None, None, None], np.arange(3)[:, None, None], mine[:, None], np.arange(3)] = piece
        live = np.concatenate([3 * i + np.arange(columns.shape[1]) for i, columns in enumerate(self.U)]).astype(int)
        full = out.reshape(3 * count, 3 * count)[np.ix_(live, live)]
        return 0.5 * (full + full.T)

    def _block(self, position: int, weight: np.ndarray) -> np.ndarray:
        """(k, k, 3, 3) weighted sum over the cosets of R_e^-1 R_h, by orbit and the orbit that it is sent to."""
        orbit, row = self._targets[position]
        k, m = len(orbit), len(self.R)
        count, live = np.zeros((k, k, m)), weight != 0
        np.add.at(count, (np.arange(k)[:, None], orbit[:, live], row[:, live]), weight[live])
        return np.einsum("ijr,rab->ijab", count, self.R)

    def operations(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Of each coset one operation in the parent's conventional basis: (n, 3, 3), and (n, 3) in units of the last."""
        s = self.cosets
        C = s.C / s.C_den
        W = np.rint(C @ s.form.W @ np.linalg.inv(C)).astype(np.int64)[s.row]
        return W, s.w @ s.C.T, s.unit * s.C_den

    def strain_projector(self, mask: np.ndarray) -> np.ndarray:
        """(6, 6) orthogonal projector of symmetric tensors (coefficients of `K_BASIS`) on those that the rotation parts keep."""
        return self.strain_mean(mask / mask.sum())

    def strain_mean(self, weight: np.ndarray) -> np.ndarray:
        """(6, 6) sum over the cosets of weight (n,) times their action on symmetric tensors; symmetric part."""
        by_row = np.bincount(self.cosets.row, weights=weight, minlength=len(self.R))
        out = np.einsum("g,aij,gik,bkl,gjl->ab", by_row, K_BASIS, self.R, K_BASIS, self.R, optimize=True)
        return 0.5 * (out + out.T)

    @cached_property
    def translations(self) -> np.ndarray:
        """(dim, t) orthonormal columns: the uniform translations that H keeps."""
        rows = np.unique(self.cosets.H_row)
        mean = self.R[rows].mean(axis=0)  # projector on the directions that every rotation part of H keeps
        values, vectors = np.linalg.eigh(0.5 * (mean + mean.T))
        t = vectors[:, values > 0.5]
        if not t.shape[1] or not self.dim:
            return np.zeros((self.dim, 0))
        stacked = np.concatenate([s * U.T @ t for s, U in zip(self.scale, self.U)])
        return np.linalg.qr(stacked)[0]

    def vectors(self, a: np.ndarray) -> np.ndarray:
        """Displacements (k, m, 3) in angstrom of the representatives for columns a (dim, k)."""
        pieces = [self.U[i] @ a[self.start[i] : self.start[i + 1]] / self.scale[i] for i in range(len(self.U))]
        return np.array(pieces).reshape(len(pieces), 3, -1).transpose(2, 0, 1)

    def coordinates(self, displacement: np.ndarray) -> np.ndarray:
        """Columns a (dim, k) of displacements (k, m, 3): the inverse of `vectors`."""
        pieces = [s * (displacement[:, i] @ U) for i, (s, U) in enumerate(zip(self.scale, self.U))]
        return np.concatenate(pieces, axis=1).T

    @staticmethod
    def strain_coordinates(strain: np.ndarray) -> np.ndarray:
        """Columns (6, s) of symmetric tensors (s, 3, 3) in `K_BASIS`."""
        return np.einsum("aij,sij->as", K_BASIS, strain)

    def fixes(self, displacement: np.ndarray, strain: np.ndarray) -> np.ndarray:
        """(n,) bool, the cosets e such that all of e H keeps every displacement field (k, m, 3) and every strain (s, 3, 3)."""
        s = self.cosets
        good = (np.abs(np.einsum("rij,sjk,rlk->rsil", self.R, strain, self.R) - strain) < 1e-6).all(axis=(1, 2, 3))[
            s.row
        ]
        for g, p in enumerate(self.split.parent_position.tolist()):
            orbit, row = self._targets[p]
            f = displacement[:, self.split.parent_orbit == g]
            for i in range(len(orbit)):
                image = np.einsum("nab,knb->kna", self.R[row[i]], f[:, orbit[i]])
                good &= (np.abs(image - f[:, i, None]) < 1e-6).all(axis=(0, 2))
        bad = np.flatnonzero(~good)
        # an orbit of right products with H that holds one bad coset is bad as a whole
        return ~s.spread(bad, s.H_moves) if len(bad) else good


def minimal_overgroups(space: ModeSpace) -> np.ndarray:
    """(b, n) bool, the groups K with H < K <= G that hold no smaller one, as sets of cosets."""
    s = space.cosets
    done = np.zeros(len(s), bool)
    done[s.H] = True
    found: dict[bytes, np.ndarray] = {}
    for e in range(len(s)):
        if not done[e]:
            left = s.index_of(s.product[s.H_row, s.row[e]], s.H_w + exact.matvec(s.form.W[s.H_row], s.w[e]))
            done |= s.spread(left, s.H_moves)  # the double coset H e H generates the same group with H
            K = s.closure(np.array([e]))
            found[K.tobytes()] = K
    every = sorted(found.values(), key=lambda K: int(K.sum()))
    kept: list[np.ndarray] = []
    for K in every:
        if not any((small <= K).all() for small in kept):
            kept.append(K)
    return np.array(kept, bool).reshape(-1, len(s))


def modes_of(split: SplitCrystal, between: Sequence[Setting] | None = None) -> Modes:
    """Freed strains and displacement modes of a crystal along a relation.

    Args:
        split: from `symjax.navigate.splitcrystal.split_crystal`.
        between: settings (parent basis -> standard) of groups strictly between H and G that primary modes are told from; all groups
            between when left out, which is worked out from the operations.

    Raises:
        InputError: a group of `between` does not lie between H and G.
    """
    space = ModeSpace(split)
    minimal = minimal_overgroups(space)
    whole = np.ones(len(space.cosets), bool)
    overgroups = list(minimal) if between is None else [*(_cosets_between(space, one) for one in between), whole]
    H = np.zeros(len(space.cosets), bool)
    H[space.cosets.H] = True
    T = space.translations
    inside = np.eye(space.dim) - T @ T.T
    freed = (
        inside - inside @ space.projector(whole) @ inside
    )  # projectors that commute: K maps translations on translations
    primary = inside - _span([inside @ space.projector(K) @ inside for K in overgroups], space.dim)
    strain_H, strain_G = space.strain_projector(H), space.strain_projector(whole)
    primary_strain = strain_H - _span([space.strain_projector(K) for K in overgroups], 6)
    first, second = _basis(primary), _basis(freed - primary)
    first_strain, second_strain = _basis(primary_strain), _basis(strain_H - strain_G - primary_strain)
    displacement = space.vectors(np.concatenate([first, second], axis=1))
    strain = np.einsum("as,aij->sij", np.concatenate([first_strain, second_strain], axis=1), K_BASIS)
    parent = split.splitter.parent
    kept = space.vectors(_basis(inside))
    return Modes(
        split=split,
        strain=strain,
        displacement=displacement,
        num_primary_strain=first_strain.shape[1],
        num_primary=first.shape[1],
        num_translations=T.shape[1] - _rank(T.T @ space.projector(whole) @ T),
        num_lattice=_rank(strain_H),
        num_coordinates=space.dim,
        parent_lattice=_rank(strain_G),
        parent_coordinates=int(parent.dof[split.parent_position].sum()),
        between=minimal,
        realized=_realized(space, space.fixes(kept, np.einsum("as,aij->sij", _basis(strain_H), K_BASIS))),
    )


def realized_group(modes: Modes, *, displacement: bool = True, strain: bool = True) -> Realized | None:
    """What group the crystal has when only displacements, or only strains, are used; None where it is H."""
    space = ModeSpace(modes.split)
    d = modes.displacement if displacement else modes.displacement[:0]
    s = modes.strain if strain else modes.strain[:0]
    return _realized(space, space.fixes(d, s))


def _cosets_between(space: ModeSpace, setting: Setting) -> np.ndarray:
    """A group given by its setting, as cosets."""
    relation = Relation(space.split.relation.parent, setting, 1, 1, 1)
    W, w, den = relation.operations()
    eye = np.broadcast_to(np.eye(3, dtype=np.int64), (3, 3, 3))
    cells = setting.P.T * den // setting.P_den
    mask = space.cosets.members(np.concatenate([W, eye]), np.concatenate([w, cells]), den)
    size = len(np.unique(space.cosets.row[mask]))
    if size % len(np.unique(space.cosets.H_row)):
        raise InputError(f"{setting.symbol} does not lie between the subgroup and the parent")
    return mask


def _span(projectors: list[np.ndarray], dim: int) -> np.ndarray:
    """Projector on the sum of the ranges."""
    if not projectors or not dim:
        return np.zeros((dim, dim))
    values, vectors = np.linalg.eigh(sum(projectors))
    kept = vectors[:, values > 1e-6]
    return kept @ kept.T


def _rank(projector: np.ndarray) -> int:
    return round(float(np.trace(projector)))


def _basis(projector: np.ndarray) -> np.ndarray:
    """(dim, rank) orthonormal columns of a projector's range; pivoted: the same on every machine, and with many zeros."""
    left, columns = projector.copy(), []
    for _ in range(_rank(projector)):
        pivot = int(np.argmax(np.diag(left) > np.diag(left).max() - _SMALL))
        column = left[:, pivot] / np.sqrt(left[pivot, pivot])
        columns.append(column / np.linalg.norm(column))
        left = left - np.outer(columns[-1], columns[-1])
    return np.array(columns).reshape(len(columns), len(projector)).T


def _realized(space: ModeSpace, mask: np.ndarray) -> Realized | None:
    """Type of a group given by its cosets, None if it is H."""
    s = space.cosets
    if int(mask.sum()) == len(s.H):
        return None
    pure = np.flatnonzero(mask & (s.row == 0))
    N = hermite(
        as_rows(np.concatenate([s.w[pure] // s.unit, s.lower]))
    ).T  # its translations, columns, in the primitive basis
    adjugate, det = exact.cofactors(N).T, int(exact.determinant(N))
    first = np.array([np.flatnonzero(mask & (s.row == r))[0] for r in np.unique(s.row[mask])])
    W = adjugate @ s.W[first] @ N // det
    w = s.w[first] @ adjugate.T % (s.unit * det)
    found = identify(OpSet(W=W.astype(np.int32), w=w, mask=np.ones(len(W), bool), den=s.unit * det))
    return Realized(found.number, short_symbol(found.number), int(mask.sum()) // len(s.H), mask)
