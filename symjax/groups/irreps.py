"""Irreducible representations of a space group at one k-vector, worked out from its operations (host, float64, deterministic).

Owns `KVector`, `SmallIrrep`, `Irreps` and `irreps_at`. Conventions: x' = W x + w, k = (k1, k2, k3) in the basis dual to that of the
operations, so that k.t is a dot product; a translation t is represented by exp(-2 pi i k.t), and {W|w} takes k to k W^-1.

How: the little co-group of k has the factor system omega(a, b) = exp(-2 pi i k.t), {a}{b} = {1|t}{ab} for one chosen operation of
each rotation part. Its projective regular representation M(a) e_b = omega(a, b) e_ab commutes with the right translations R(c) e_b
= omega(b, c) e_bc; a Hermitian combination of those with generic coefficients has one eigenspace for each row of each irrep (an
irrep of dimension d comes d times, d eigenspaces of dimension d). Equal characters are given once; sum d^2 must be the order of the
co-group. Source: Bradley & Cracknell, The Mathematical Theory of Symmetry in Solids (1972), chapter 3; Neto, Acta Cryst. A29, 464
(1973); Shinohara, Togo, Watanabe, spgrep, J. Open Source Softw. 8, 5269 (2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.groups.primitive import primitive_form
from symjax.groups.sets import OpSet, members
from symjax.groups.setting import rotation_products
from symjax.ops import exact
from symjax.ops.geometry import axis_data

_SAME = 1e-7
MAX_DENOMINATOR = 48
"""Components of k are fractions with denominators up to this."""


@dataclass(frozen=True)
class KVector:
    """A rational k-vector in the basis dual to that of the operations.

    Attributes:
        k: (3,) int64 in units of 1/den.
        den: its denominator.
    """

    k: np.ndarray
    den: int

    @classmethod
    def of(cls, values: object) -> KVector:
        """From three numbers or texts such as ``1/2``.

        Raises:
            InputError: they are no fractions of a denominator up to `MAX_DENOMINATOR`.
        """
        try:
            parts = [Fraction(str(v)) if isinstance(v, str) else Fraction(float(v)) for v in values]  # type: ignore[attr-defined]
        except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise InputError(f"a k-vector has three fractions such as 1/2, got {values!r}") from error
        near = [v.limit_denominator(MAX_DENOMINATOR) for v in parts]
        if len(near) != 3 or any(abs(a - b) > Fraction(1, 100000) for a, b in zip(near, parts)):
            raise InputError(
                f"a k-vector has three fractions with denominators up to {MAX_DENOMINATOR}, got {values!r}"
            )
        den = int(np.lcm.reduce([v.denominator for v in near]))
        return cls(np.array([int(v * den) for v in near], np.int64), den)

    @property
    def value(self) -> np.ndarray:
        """(3,) float64."""
        return self.k / self.den

    @property
    def text(self) -> str:
        """Such as ``(1/2,0,1/2)``."""
        return "(" + ",".join(str(Fraction(int(v), self.den)) for v in self.k) + ")"


@dataclass(frozen=True)
class SmallIrrep:
    """An irrep of the little group, by its matrices.

    Attributes:
        matrices: (m, d, d) complex128 unitary, of the chosen operation of each rotation part of the little co-group.
        characters: (m,) complex128 traces.
    """

    matrices: np.ndarray

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.matrices.shape[1]

    @property
    def characters(self) -> np.ndarray:
        """(m,) traces, rounding removed."""
        chi = np.trace(self.matrices, axis1=1, axis2=2)
        return np.round(chi, 9) + 0.0


@dataclass(frozen=True)
class Irreps:
    """The irreps of one group on the star of one k-vector.

    Attributes:
        k: the first arm.
        W, w, den: (n, 3, 3) and (n, 3) one operation for each rotation part of the whole group (w in units of 1/den), as given.
        rows: (m,) those of the little co-group of k.
        arm_row: (s,) for each arm of the star an operation g_i with k_i = k g_i^-1; the identity for the first.
        small: small irreps by dimension, then characters.
    """

    k: KVector
    W: np.ndarray
    w: np.ndarray
    den: int
    lattice: np.ndarray
    lattice_den: int
    rows: np.ndarray
    arm_row: np.ndarray
    small: tuple[SmallIrrep, ...]

    @cached_property
    def product(self) -> np.ndarray:
        """(n, n) rows of products of rotation parts."""
        return rotation_products(self.W)

    @cached_property
    def inverse(self) -> np.ndarray:
        """(n,) row of each inverse."""
        return np.argmax(self.product == 0, axis=1)

    @cached_property
    def arms(self) -> np.ndarray:
        """(s, 3) int64 in units of 1/k.den."""
        return self.k_moved[self.arm_row]

    @property
    def star(self) -> tuple[str, ...]:
        """The arms as texts such as ``(1/2,0,1/2)``."""
        return tuple(KVector(arm, self.k.den).text for arm in self.arms)

    @cached_property
    def k_moved(self) -> np.ndarray:
        """(n, 3) int64 k W^-1 for every rotation part, in units of 1/k.den."""
        return self.k.k @ exact.inverse_matrix(self.W)

    @cached_property
    def place(self) -> dict[int, int]:
        """Place of a row of the group among `rows`."""
        return {int(r): i for i, r in enumerate(self.rows)}

    def phase(self, arm: int, t: np.ndarray, den: int) -> complex:
        """exp(-2 pi i k.t) of one arm; t (..., 3) integers in units of 1/den."""
        unit = self.k.den * den
        return np.exp(-2j * np.pi * (np.asarray(t) @ self.arms[arm] % unit) / unit)

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each row of the group and each arm j: arm i = target, place among `rows` and phase of h = g_i^-1 g g_j."""
        n, s = len(self.W), len(self.arm_row)
        target, place = np.zeros((n, s), np.int64), np.zeros((n, s), np.int64)
        phase = np.zeros((n, s), complex)
        where = {int(self.product[g, r]): i for i, g in enumerate(self.arm_row) for r in self.rows}
        W, w = self.W, self.w
        for g in range(n):
            for j, gj in enumerate(self.arm_row):
                both = int(self.product[g, gj])
                i = where[both]
                gi = self.arm_row[i]
                h = int(self.product[self.inverse[gi], both])
                back = W[self.inverse[gi]]
                t = back @ (W[g] @ w[gj] + w[g] - w[gi]) - w[h]  # {h|t + w_h} = g_i^-1 g g_j
                target[g, j], place[g, j], phase[g, j] = i, self.place[h], self.phase(0, t, self.den)
        return target, place, phase

    def full(self, irrep: int) -> np.ndarray:
        """(n, s d, s d) complex unitary matrices of the full irrep for each chosen operation, arms in order."""
        small = self.small[irrep].matrices
        d, s, n = small.shape[1], len(self.arm_row), len(self.W)
        target, place, phase = self._blocks
        out = np.zeros((n, s, d, s, d), complex)
        for j in range(s):
            out[np.arange(n), target[:, j], :, j, :] = phase[:, j, None, None] * small[place[:, j]]
        return out.reshape(n, s * d, s * d)

    def arm_characters(self, irrep: int, arm: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (m,) of the group that keep an arm, and the characters (m,) of the small irrep there."""
        chi = self.small[irrep].characters
        target, place, phase = self._blocks
        rows = np.flatnonzero(target[:, arm] == arm)
        return rows, phase[rows, arm] * chi[place[rows, arm]]

    @cached_property
    def minus_in_star(self) -> bool:
        """Whether -k is equivalent to an arm."""
        return any(self.equivalent(-self.k.k, arm) for arm in self.arms)

    def equivalent(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether two k-vectors (units of 1/k.den) differ by a reciprocal lattice vector."""
        return not (((a - b) @ self.lattice) % (self.k.den * self.lattice_den)).any()

    def reality(self, irrep: int) -> int:
        """1 where the full irrep can be made real, 0 where it is not equivalent to its conjugate, -1 where it is but is not real.

        The indicator of Frobenius and Schur; Herring's criterion (Phys. Rev. 52, 361, 1937): the mean over the operations g that
        take k to -k of the character of g^2.
        """
        small = self.small[irrep].characters
        total = 0.0 + 0.0j
        for g in range(len(self.W)):
            if self.equivalent(self.k_moved[g], -self.k.k):
                square = int(self.product[g, g])
                t = self.W[g] @ self.w[g] + self.w[g] - self.w[square]
                total += self.phase(0, t, self.den) * small[self.place[square]]
        return round(total.real / len(self.rows))

    def conjugate(self, irrep: int) -> int | None:
        """The irrep of the same star that is equivalent to the complex conjugate; None where -k is not in the star."""
        if not self.minus_in_star:
            return None
        arm = next(i for i, k in enumerate(self.arms) if self.equivalent(k, -self.k.k))
        for other in range(len(self.small)):
            rows, chi = self.arm_characters(other, arm)
            mine, own = self.arm_characters(irrep, 0)
            if (rows == mine).all() and np.abs(chi - own.conj()).max() < 1e-6:
                return other
        raise SymjaxError("an irrep has no conjugate in its star")


def irreps_at(opset: OpSet, k: KVector) -> Irreps:
    """All irreps of a group on the star of a k-vector.

    Args:
        opset: one closed set in any basis, lattice translations of the cell included.
        k: in the basis dual to that of the set.

    Raises:
        NotAGroupError: the set does not close.
    """
    form = primitive_form(opset)
    inner = members(opset)
    W_all, w_all = np.asarray(inner.W, np.int64), np.asarray(inner.w, np.int64)
    first = np.sort(np.unique(W_all.reshape(-1, 9), axis=0, return_index=True)[1])
    identity = [i for i in first if (W_all[i] == np.eye(3, dtype=np.int64)).all()]
    first = np.array([identity[0], *(i for i in first if i != identity[0])])
    W, w = W_all[first], w_all[first] % inner.den
    w[0] = 0
    lattice, unit = form.columns, form.source_den
    moved = k.k @ exact.inverse_matrix(W)
    rows = np.flatnonzero((((moved - k.k) @ lattice) % (k.den * unit) == 0).all(axis=1))
    product = rotation_products(W)
    reached, arm_row = set(rows.tolist()), [0]
    for g in _arm_order(W):
        if g not in reached:
            arm_row.append(int(g))
            reached |= {int(product[g, r]) for r in rows}
    small = _small_irreps(W[rows], w[rows], inner.den, k)
    return Irreps(k, W, w, inner.den, lattice, unit, rows, np.array(arm_row), tuple(small))


def _arm_order(W: np.ndarray) -> list[int]:
    """Rows in the order in which they are tried as the way to an arm and as the phase of a basis vector: threefold ones first."""
    orders = np.abs(np.asarray(axis_data(W)[0]))
    proper = exact.determinant(W) == 1
    positive = (W < 0).sum(axis=(1, 2))
    return sorted(range(len(W)), key=lambda i: (not proper[i], orders[i] != 3, int(positive[i]), int(orders[i]), i))


def _small_irreps(W: np.ndarray, w: np.ndarray, den: int, k: KVector) -> list[SmallIrrep]:
    """Irreps of the little group from the projective regular representation of its co-group."""
    m = len(W)
    product = rotation_products(W)
    moved = np.einsum("aij,bj->abi", W, w) + w[:, None] - w[product]
    unit = k.den * den
    omega = np.exp(-2j * np.pi * ((moved @ k.k) % unit) / unit)
    # Right translations by c, R[c] e_b = omega(b, c) e_bc, mixed with generic coefficients.
    angle = np.arange(1, m + 1) * np.sqrt(np.array([2, 3, 5, 7, 11, 13, 17, 19])[np.arange(m) % 8])
    coefficient = np.cos(angle) + 1j * np.sin(1.7 * angle)
    H = np.zeros((m, m), complex)
    for c in range(m):
        H[product[:, c], np.arange(m)] += coefficient[c] * omega[:, c]
    values, vectors = np.linalg.eigh(H + H.conj().T)
    edges = np.flatnonzero(np.diff(values) > 1e-6 * max(np.abs(values).max(), 1.0)) + 1
    spaces = np.split(np.arange(m), edges)
    found: list[SmallIrrep] = []
    for space in spaces:
        V = vectors[:, space]
        # M(a) e_b = omega(a, b) e_ab on the eigenspace
        moved_V = np.zeros((m, m, V.shape[1]), complex)
        for a in range(m):
            moved_V[a, product[a]] = omega[a][:, None] * V
        matrices = V.conj().T @ moved_V
        chi = np.trace(matrices, axis1=1, axis2=2)
        if all(np.abs(chi - other.characters).max() > 1e-5 for other in found):
            found.append(SmallIrrep(_plain_basis(matrices, W)))
    total = sum(one.dim**2 for one in found)
    if total != m:
        raise SymjaxError(f"the small irreps at k = {k.text} have sum of squares {total}, not {m}")
    return sorted(found, key=lambda one: (one.dim, *_character_key(one.characters)))


def _character_key(chi: np.ndarray) -> tuple[float, ...]:
    """What irreps of one dimension are sorted by: greater characters first, row by row."""
    rounded = np.round(chi, 5) + 0.0
    return tuple(v for c in rounded for v in (-c.real, -c.imag))


def _plain_basis(D: np.ndarray, W: np.ndarray) -> np.ndarray:
    """An equivalent irrep in a basis in which many operations are diagonal or permute the basis.

    Joint eigenvectors of commuting operations (axes along the cell's first) fix the basis but for phases; the first operation that
    takes basis vector 1 to basis vector j makes the phase of that one.
    """
    d = D.shape[1]
    if d == 1:
        return np.round(D, 12) + 0.0
    order = _diagonal_order(W)
    for start in range(len(order)):
        U = _joint_eigenvectors(D, [*order[start:], *order[:start]])
        if U is not None:
            break
    else:
        return D
    D = U.conj().T @ D @ U
    phases = np.ones(d, complex)
    for j in range(1, d):
        for a in _arm_order(W):
            if abs(D[a, j, 0]) > 0.2:
                phases[j] = D[a, j, 0] / abs(D[a, j, 0])
                break
    D = phases.conj()[None, :, None] * D * phases[None, None, :]
    D = np.where(np.abs(D.real) < 1e-11, 0, D.real) + 1j * np.where(np.abs(D.imag) < 1e-11, 0, D.imag)
    return D


def _diagonal_order(W: np.ndarray) -> list[int]:
    """Operations by which a basis is told: of order two with axes along the cell's, a first, then others."""
    size, axis = (np.asarray(v) for v in axis_data(W)[:2])
    size = np.abs(size)
    diagonal = (np.abs(W).sum(axis=(1, 2)) == 3) & (np.abs(np.trace(W, axis1=1, axis2=2)) < 4)
    straight = np.array([np.count_nonzero(w - np.diag(np.diag(w))) == 0 for w in W]) & diagonal
    first = [int(np.flatnonzero(v)[0]) if v.any() else 3 for v in axis]
    proper = exact.determinant(W) == 1
    key = [(size[i] != 2, not straight[i], not proper[i], int(size[i]), first[i], i) for i in range(len(W))]
    return sorted(range(1, len(W)), key=lambda i: key[i])


def _joint_eigenvectors(D: np.ndarray, order: list[int]) -> np.ndarray | None:
    """(d, d) unitary of joint eigenvectors of operations taken greedily; None where they do not tell all vectors apart."""
    d = D.shape[1]
    spaces = [np.eye(d, dtype=complex)]
    for a in order:
        refined: list[np.ndarray] = []
        for V in spaces:
            small = V.conj().T @ D[a] @ V
            if V.shape[1] == 1:
                if abs(abs(small[0, 0]) - 1) > 1e-6:
                    refined = []
                    break
                refined.append(V)
                continue
            if np.abs(small @ small.conj().T - np.eye(len(small))).max() > 1e-6:
                refined = []  # the operation leaves the space: it does not commute with those before
                break
            refined += _eigenspaces(small, V)
        if refined:
            spaces = refined
        if all(V.shape[1] == 1 for V in spaces):
            return np.concatenate(spaces, axis=1)
    return None


def _eigenspaces(small: np.ndarray, V: np.ndarray) -> list[np.ndarray]:
    """Eigenspaces of a unitary matrix of finite order inside the space V, real parts of eigenvalues descending."""
    tau = np.exp(2j * np.pi * np.arange(96) / 96)
    found, own = [], np.linalg.eigvals(small)
    for value in sorted(tau, key=lambda z: (-round(z.real, 9), -round(z.imag, 9))):
        count = int((np.abs(own - value) < 1e-6).sum())
        if count:
            _, s, Vh = np.linalg.svd(small - value * np.eye(len(small)))
            found.append(V @ Vh.conj().T[:, len(s) - count :])
    if sum(v.shape[1] for v in found) != V.shape[1]:
        return [V]
    return found
