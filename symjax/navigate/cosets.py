"""The operations of a group G modulo the conventional cell of a subgroup H: the finite set on which a relation is worked out.

Owns `Cosets` and `cosets_of`. With Z_H the lattice of H's conventional cell (columns of P in the parent's basis), every operation
of G is the product of a translation of Z_H and one of finitely many representatives, because Z_H is a sublattice of G's
translations. The cosets Z_H g are what acts on atoms modulo H's cell; products from the right move them among each other also where
Z_H is not normal in G. A group between H and G is a union of them.

All is in a primitive basis of G (columns C in the parent's basis, same origin): x_parent = C y, x_H = M^-1 (y - q) with
M = C^-1 P integral and q = C^-1 p. Coordinates and translations are integers in units of 1/unit. Source: coset decomposition,
International Tables for Crystallography A1, chapter 1.2; conventions of `symjax.navigate.relation`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.errors import SymjaxError
from symjax.groups.integer import as_rows, hermite
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, rotation_products
from symjax.groups.tables import standard_setting
from symjax.ops import exact

_STABILIZER_BOUND = 48  # positions without freedom have denominators that divide 48 den (symjax.wyckoff.positions)


@dataclass(frozen=True)
class Cosets:
    """The cosets Z_H g of G, numbered rotation part by rotation part, and the members of H in it.

    Attributes:
        form: G modulo its translations, in the primitive basis.
        product: (m, m) row of the product of rotation parts of `form`.
        unit: common denominator of all coordinates and translations.
        C: (3, 3) int64 in units of 1/C_den, the primitive basis as columns in the parent's basis.
        C_den: its denominator.
        M: (3, 3) int64, H's conventional basis as columns in the primitive basis; det M > 0.
        q: (3,) int64 in units of 1/unit, H's origin in the primitive basis.
        lower: (3, 3) int64, row Hermite form of M^T: the same lattice by rows, upper triangular.
        row: (n,) row of each representative's rotation part in `form`.
        w: (n, 3) int64 translations of the representatives in units of 1/unit.
        H_row: (h,) rows of H's operations, in the order of the standard setting of its type.
        H_w: (h, 3) int64 their translations (those very operations, not reduced), units of 1/unit.
    """

    form: PrimitiveForm
    product: np.ndarray
    unit: int
    C: np.ndarray
    C_den: int
    M: np.ndarray
    q: np.ndarray
    lower: np.ndarray
    row: np.ndarray
    w: np.ndarray
    H_row: np.ndarray
    H_w: np.ndarray

    def __len__(self) -> int:
        """Number of cosets: order of the point group of G times the primitive cells of G in H's conventional cell."""
        return len(self.row)

    @property
    def W(self) -> np.ndarray:
        """(n, 3, 3) int64 rotation parts of the representatives, primitive basis."""
        return self.form.W[self.row]

    @property
    def volume(self) -> int:
        """Primitive cells of G in one conventional cell of H."""
        return int(np.prod(np.diag(self.lower)))

    @cached_property
    def adjugate(self) -> np.ndarray:
        """(3, 3) int64 with M^-1 = adjugate / volume."""
        return exact.cofactors(self.M).T

    @cached_property
    def H(self) -> np.ndarray:
        """(h,) coset of each of H's operations."""
        return self.index_of(self.H_row, self.H_w)

    @cached_property
    def identity(self) -> int:
        """The coset of the identity."""
        return int(self.index_of(np.zeros(1, np.int64), np.zeros((1, 3), np.int64))[0])

    def reduce(self, y: np.ndarray) -> np.ndarray:
        """Coordinates or translations (..., 3) modulo Z_H: the representative in the box of `lower`."""
        out = np.array(y, np.int64)
        for i in range(3):
            edge = self.lower[i] * self.unit
            out -= (out[..., i] // edge[i])[..., None] * edge
        return out

    def index_of(self, row: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Cosets (k,) of operations given by rows (k,) of rotation parts and translations (k, 3) in units of 1/unit.

        Raises:
            SymjaxError: one of them is not in G.
        """
        shift = w - self.form.w[row] * (self.unit // self.form.den)
        if (shift % self.unit).any():
            raise SymjaxError("a translation part is not one of the group's: the relation does not hold")
        k = self.reduce(shift) // self.unit
        d = np.diag(self.lower)
        return row * self.volume + (k[..., 0] * d[1] + k[..., 1]) * d[2] + k[..., 2]

    def times(self, row: int, w: np.ndarray) -> np.ndarray:
        """(n,) coset of (representative)(operation), the operation given by its row and translation acting first."""
        return self.index_of(self.product[self.row, row], self.w + exact.matvec(self.W, np.asarray(w)))

    @cached_property
    def H_moves(self) -> list[np.ndarray]:
        """Right products (n,) with translations of Z_H and operations that generate H."""
        moves = [self.times(0, self.M[:, i] * self.unit) for i in range(3)]
        inside = self.spread(np.array([self.identity]), moves)
        for h, coset in enumerate(self.H):
            if not inside[coset]:
                moves.append(self.times(self.H_row[h], self.H_w[h]))
                inside = self.spread(np.array([self.identity]), moves)
        if int(inside.sum()) != len(self.H):
            raise SymjaxError("the subgroup's operations do not close within the group: the relation does not hold")
        return moves

    def spread(self, start: np.ndarray, moves: list[np.ndarray]) -> np.ndarray:
        """(n,) bool, what right products reach from some cosets."""
        inside = np.zeros(len(self), bool)
        inside[start] = True
        frontier = np.asarray(start)
        while len(frontier):
            reached = np.unique(np.concatenate([move[frontier] for move in moves]))
            frontier = reached[~inside[reached]]
            inside[frontier] = True
        return inside

    def closure(self, elements: np.ndarray) -> np.ndarray:
        """(n,) bool, the group that H and some representatives generate."""
        moves = self.H_moves + [self.times(self.row[e], self.w[e]) for e in np.asarray(elements, np.int64).ravel()]
        return self.spread(np.array([self.identity]), moves)

    def members(self, W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
        """(n,) bool, the group that H and operations in the PARENT's coordinates generate.

        Args:
            W: (k, 3, 3) integers.
            w: (k, 3) integers in units of 1/den.
            den: their denominator.

        Raises:
            SymjaxError: an operation is not in G.
        """
        row, shift = self._from_parent(np.asarray(W, np.int64), np.asarray(w, np.int64), den)
        return self.spread(np.array([self.identity]), self.H_moves + [self.times(r, s) for r, s in zip(row, shift)])

    def _from_parent(self, W: np.ndarray, w: np.ndarray, den: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and translations, in the primitive basis, of operations in the parent's basis."""
        adjugate, det = exact.cofactors(self.C).T, int(exact.determinant(self.C))
        row = np.array([self.form.index.get((adjugate @ one @ self.C // det).tobytes(), -1) for one in W], np.int64)
        shift = w @ adjugate.T * (self.C_den * self.unit)
        if (row < 0).any() or (shift % (det * den)).any():
            raise SymjaxError("an operation is not a member of the group")
        return row, shift // (det * den)

    def to_parent(self, row: int, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """W (3, 3), w (3,) and its denominator, in the parent's basis, of an operation in the primitive basis."""
        adjugate, det = exact.cofactors(self.C).T, int(exact.determinant(self.C))
        return self.C @ self.form.W[row] @ adjugate // det, self.C @ w, self.C_den * self.unit


def cosets_of(parent: OpSet, setting: Setting) -> Cosets:
    """The cosets of a group modulo the conventional cell of a subgroup.

    Args:
        parent: G, one closed set.
        setting: type of H, and (P, p) from the parent's basis to the standard setting of H.

    Raises:
        SymjaxError: H's lattice or one of its operations is not in G.
    """
    form = primitive_form(parent)
    C, C_den = np.array(form.columns, np.int64), form.source_den
    adjugate, det = exact.cofactors(C).T, int(exact.determinant(C))
    P, p = np.asarray(setting.P, np.int64), np.asarray(setting.p, np.int64)
    M = _divided(adjugate @ P * C_den, det * setting.P_den, "the subgroup's lattice is not one of the group's")
    volume = int(exact.determinant(M))
    if volume < 1:
        raise SymjaxError(f"the basis of the subgroup is not right-handed: det P has the sign of {volume}")
    standard = standard_setting(setting.number)
    q_den = det * setting.p_den
    unit = math.lcm(_STABILIZER_BOUND * parent.den, form.den, standard.den, q_den // math.gcd(q_den, C_den))
    q = _divided(adjugate @ p * C_den * unit, q_den, "the origin has no common denominator")
    inverse = exact.cofactors(M).T
    rotations = M @ np.asarray(standard.W, np.int64) @ inverse
    rotations = _divided(rotations, volume, "a rotation part of the subgroup is not integral in the group's basis")
    H_w = np.asarray(standard.w, np.int64) @ M.T * (unit // standard.den) + (q - rotations @ q)
    H_row = np.array([form.index.get(np.ascontiguousarray(W).tobytes(), -1) for W in rotations], np.int64)
    if (H_row < 0).any():
        raise SymjaxError("a rotation part of the subgroup is not one of the group's")
    lower = hermite(as_rows(M.T))
    d = [int(v) for v in np.diag(lower)]
    shifts = np.stack(np.meshgrid(*(np.arange(v) for v in d), indexing="ij"), -1).reshape(-1, 3)
    m = len(form.W)
    w = (form.w * (unit // form.den))[:, None] + shifts[None] * unit
    return Cosets(
        form=form,
        product=rotation_products(form.W),
        unit=unit,
        C=C,
        C_den=C_den,
        M=M,
        q=q,
        lower=lower,
        row=np.repeat(np.arange(m), volume),
        w=w.reshape(-1, 3),
        H_row=H_row,
        H_w=H_w,
    )


def _divided(values: np.ndarray, divisor: int, message: str) -> np.ndarray:
    """Exact integer division.

    Raises:
        SymjaxError: it leaves a rest.
    """
    if (values % divisor).any():
        raise SymjaxError(message)
    return values // divisor
