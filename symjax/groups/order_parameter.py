"""Physically irreducible representations as real matrices, and the directions in them that subgroups keep.

Owns `RealIrrep`, `real_irrep`, `Direction` and `directions`. Distortions are real, so a full irrep D (all arms of the star) is used
in its real form: D itself in a real basis where it has one, otherwise D and its conjugate together, 2 n real components. A subgroup
H keeps the subspace Fix(H) of vectors that all of H leaves as they are; its isotropy group is everything that does. Subspaces are
written as order-parameter directions such as ``(a,a,0)``: components of one arm with commas, arms with semicolons.

Isotropy subgroups are the stabilizers of the subspaces that intersections of Fix(g) make, one class under G each. Source: Stokes &
Hatch, Isotropy Subgroups of the 230 Crystallographic Space Groups (1988). Bases of irreps are free, so a direction is one in the
basis used here (threefold operations permute it, operations with axes along the cell's are diagonal); dimensions, subgroups and
amplitudes do not depend on it.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.groups.integer import as_rows, hermite
from symjax.groups.irrep_names import NamedK
from symjax.ops import exact

_CLOSE = 1e-6
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
MAX_IMAGE = 20_000
"""Elements of the finite image of a group in an irrep; more are refused."""


@dataclass(frozen=True)
class RealIrrep:
    """A physically irreducible representation.

    Attributes:
        named: the k-vector.
        irrep: the small irrep in `named.irreps`.
        label: its name; of a pair both, such as ``GM2GM3``; ``c.c.`` stands for a conjugate at -k outside the star.
        reality: 1 real, 0 complex, -1 quaternionic (`Irreps.reality`); the last two are doubled.
        embed: (n, D) complex128, real components to those of the complex irrep (real-linear).
        matrices: (m, D, D) orthogonal, of the chosen operation of each rotation part (`Irreps.W`, `Irreps.w`).
    """

    named: NamedK
    irrep: int
    label: str
    reality: int
    embed: np.ndarray
    matrices: np.ndarray

    @property
    def dim(self) -> int:
        """Real dimension D."""
        return self.matrices.shape[1]

    @property
    def arms(self) -> int:
        """Arms of the star."""
        return len(self.named.irreps.arm_row)

    @cached_property
    def _back(self) -> np.ndarray:
        """(D, 2 n) from real and imaginary parts of the complex components to the real ones."""
        return np.linalg.pinv(np.concatenate([self.embed.real, self.embed.imag]))

    def translation(self, t: np.ndarray, den: int = 1) -> np.ndarray:
        """(..., D, D) matrices of translations (..., 3) in units of 1/den."""
        irreps = self.named.irreps
        small = irreps.small[self.irrep].dim
        phases = np.stack([irreps.phase(arm, t, den) for arm in range(self.arms)], axis=-1).repeat(small, axis=-1)
        moved = phases[..., :, None] * self.embed
        return self._back @ np.concatenate([moved.real, moved.imag], axis=-2)

    def operations(self, W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
        """(h, D, D) matrices of any operations of the group, (h, 3, 3) and (h, 3) in units of 1/den.

        Raises:
            SymjaxError: no operation of the group has one of the rotation parts.
        """
        irreps = self.named.irreps
        same = (np.asarray(W)[:, None] == irreps.W[None]).all(axis=(2, 3))
        if not same.any(axis=1).all():
            raise SymjaxError("an operation is none of the group's")
        rows = same.argmax(axis=1)
        unit = int(np.lcm(den, irreps.den))
        t = np.asarray(w, np.int64) * (unit // den) - irreps.w[rows] * (unit // irreps.den)
        return self.translation(t, unit) @ self.matrices[rows]

    @cached_property
    def steps(self) -> np.ndarray:
        """(q, 3) int64 lattice translations in the primitive basis, one of each class that the irrep tells apart, zero first."""
        arms, den = self._primitive_arms
        period = [int(den // np.gcd.reduce(np.append(arms[:, i], den))) for i in range(3)]
        if int(np.prod(period)) > 100_000:
            raise InputError(f"{self.label}: the star of k tells {int(np.prod(period))} translations apart; too many")
        box = np.array(list(itertools.product(*(range(v) for v in period))), np.int64)
        _, first = np.unique(box @ arms.T % den, axis=0, return_index=True)
        return box[np.sort(first)]

    @cached_property
    def kernel_lattice(self) -> np.ndarray:
        """(3, 3) int64 columns in the primitive basis: the translations that the irrep represents by 1."""
        arms, den = self._primitive_arms
        period = [int(den // np.gcd.reduce(np.append(arms[:, i], den))) for i in range(3)]
        box = np.array(list(itertools.product(*(range(v) for v in period))), np.int64)
        inside = box[(box @ arms.T % den == 0).all(axis=1)]
        return hermite(as_rows(np.concatenate([inside, np.diag(period)]))).T.copy()

    @property
    def _primitive_arms(self) -> tuple[np.ndarray, int]:
        """(s, 3) int64 and their denominator: k.t = arms.y / den for the lattice translation y in the primitive basis."""
        irreps = self.named.irreps
        den = irreps.k.den * irreps.lattice_den
        arms = irreps.arms @ irreps.lattice % den
        common = int(np.gcd.reduce(np.append(arms.ravel(), den)))
        return arms // common, den // common

    @cached_property
    def image(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All elements: matrices (N, D, D), row of the rotation part (N,), lattice translation (N, 3) in the primitive basis.

        Raises:
            InputError: there are more than `MAX_IMAGE`.
        """
        irreps = self.named.irreps
        n, q = len(irreps.W), len(self.steps)
        if n * q > MAX_IMAGE or n * q * self.dim**2 > 2e7:
            raise InputError(f"{self.label}: {n * q} operations of dimension {self.dim} are too many to be listed")
        shift = self.translation(self.steps @ irreps.lattice.T, irreps.lattice_den)
        matrices = np.einsum("qij,njk->qnik", shift, self.matrices).reshape(-1, self.dim, self.dim)
        return matrices, np.tile(np.arange(n), q), np.repeat(self.steps, n, axis=0)

    def fixed_by(self, W: np.ndarray, w: np.ndarray, den: int, cell: np.ndarray, cell_den: int) -> np.ndarray:
        """(D, D) projector on what a subgroup keeps.

        Args:
            W, w, den: its operations modulo a cell, (h, 3, 3) and (h, 3) in units of 1/den.
            cell: (3, 3) int64 columns of that cell in units of 1/cell_den.
        """
        projector = np.eye(self.dim)
        for column in np.asarray(cell).T:
            moved = self.translation(column, cell_den)
            projector = projector @ _fixed(moved)
        if not np.abs(projector).max() > _CLOSE:
            return np.zeros((self.dim, self.dim))
        mean = self.operations(W, w, den).mean(axis=0)
        out = projector @ mean @ projector
        return 0.5 * (out + out.T)


def real_irrep(named: NamedK, irrep: int) -> RealIrrep:
    """The physically irreducible representation that an irrep belongs to."""
    irreps = named.irreps
    D = irreps.full(irrep)
    n = D.shape[1]
    reality = irreps.reality(irrep)
    label = named.labels[irrep]
    if reality == 1:
        embed = _real_basis(irreps, irrep, D)
        matrices = np.einsum("ia,mij,jb->mab", embed.conj(), D, embed)
        if np.abs(matrices.imag).max() > 1e-6:
            raise SymjaxError(f"{label} has no real basis")
        matrices = matrices.real
    else:
        embed = np.zeros((n, 2 * n), complex)
        embed[np.arange(n), 2 * np.arange(n)], embed[np.arange(n), 2 * np.arange(n) + 1] = 1, 1j
        matrices = np.zeros((len(D), n, 2, n, 2))
        matrices[:, :, 0, :, 0] = matrices[:, :, 1, :, 1] = D.real
        matrices[:, :, 0, :, 1], matrices[:, :, 1, :, 0] = -D.imag, D.imag
        matrices = matrices.reshape(len(D), 2 * n, 2 * n)
        other = irreps.conjugate(irrep) if reality == 0 else irrep
        label = label + ("c.c." if other is None else named.labels[other])
    matrices = np.where(np.abs(matrices) < 1e-11, 0.0, matrices)
    return RealIrrep(named, irrep, label, reality, embed, matrices)


def real_irreps(named: NamedK) -> list[RealIrrep]:
    """Every physically irreducible representation of a star once, in the order of their labels."""
    found, passed = [], set()
    for i in sorted(range(len(named.labels)), key=lambda i: _label_key(named.labels[i])):
        if i not in passed:
            passed.add(i)
            if named.irreps.reality(i) == 0:
                other = named.irreps.conjugate(i)
                passed |= set() if other is None else {other}
            found.append(real_irrep(named, i))
    return found


def _label_key(label: str) -> tuple:
    match = re.search(r"(\d+)([+-]?)(?:\])?$", label)
    return (int(match.group(1)), match.group(2)) if match else (0, label)


def _real_basis(irreps: object, irrep: int, D: np.ndarray) -> np.ndarray:
    """(n, n) columns: a basis of the vectors that U K leaves as they are, U D* U^-1 = D and K complex conjugation."""
    n = D.shape[1]
    small = n // len(irreps.arm_row)  # type: ignore[attr-defined]
    arms = irreps.arms  # type: ignore[attr-defined]
    pair = np.array([[irreps.equivalent(-a, b) for b in arms] for a in arms])  # type: ignore[attr-defined]
    allowed = np.kron(pair, np.ones((small, small)))
    phase = np.exp(1j * np.sqrt(np.arange(1, n * n + 1)).reshape(n, n))
    for X in (np.kron(pair, np.eye(small)).astype(complex), np.ones((n, n), complex), phase):
        U = np.einsum("mij,jk,mlk->il", D, X * allowed, D) / len(D) * allowed
        size = np.sqrt(np.abs(np.trace(U @ U.conj().T)) / n)
        if size > 1e-3:
            break
    U = U / size
    first = np.unravel_index(np.flatnonzero(np.abs(U) > 1e-6)[0], U.shape)
    U = U * abs(U[first]) / U[first]
    columns: list[np.ndarray] = []
    for unit in (1.0, 1j):
        for i in range(n):
            c = np.zeros(n, complex)
            c[i] = unit
            v = 0.5 * (c + U @ c.conj())
            for done in columns:
                v = v - np.real(done.conj() @ v) * done
            length = np.linalg.norm(v)
            if length > 1e-4 and len(columns) < n:
                columns.append(v / length)
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Direction:
    """A subspace of an irrep that an isotropy subgroup keeps, one of a class.

    Attributes:
        irrep: the representation.
        projector: (D, D) on the subspace.
        count: subspaces of the class: conjugates of the isotropy subgroup.
    """

    irrep: RealIrrep
    projector: np.ndarray
    count: int

    @property
    def dim(self) -> int:
        """Free components."""
        return round(float(np.trace(self.projector)))

    @property
    def text(self) -> str:
        """Such as ``(a,a,0)``."""
        return direction_text(self.irrep, self.projector)

    @property
    def generic(self) -> np.ndarray:
        """(D,) a vector of the subspace with no more symmetry than all of them have."""
        rows = reduced_rows(self.projector)
        weights = 1 / np.sqrt(np.array([1, 3, 7, 13, 29, 61, 89, 131, 181, 241, 307, 379])[np.arange(len(rows)) % 12])
        vector = weights @ rows
        return vector / np.linalg.norm(vector)


def reduced_rows(projector: np.ndarray) -> np.ndarray:
    """(f, D) rows that span a projector's range in reduced row echelon form: the same for the same subspace."""
    A, top = np.array(projector, float), 0
    rank = round(float(np.trace(projector)))
    for column in range(A.shape[1]):
        if top == rank:
            break
        pivot = top + int(np.argmax(np.abs(A[top:, column])))
        if abs(A[pivot, column]) < 1e-4:
            continue
        A[[top, pivot]] = A[[pivot, top]]
        A[top] /= A[top, column]
        others = [i for i in range(len(A)) if i != top]
        A[others] -= np.outer(A[others, column], A[top])
        top += 1
    return np.where(np.abs(A[:rank]) < 1e-6, 0.0, A[:rank])


def direction_text(irrep: RealIrrep, projector: np.ndarray) -> str:
    """A subspace as ``(a,a,0)``, arms parted by semicolons."""
    rows = reduced_rows(projector)
    parts = []
    for column in rows.T:
        text = ""
        for value, letter in zip(column, _LETTERS):
            if value:
                size = "" if abs(abs(value) - 1) < 1e-6 else f"{abs(value):.3f}".rstrip("0").rstrip(".")
                text += f"{'-' if value < 0 else '+'}{size}{letter}"
        parts.append(text.removeprefix("+") or "0")
    each = len(parts) // irrep.arms
    return "(" + ";".join(",".join(parts[i : i + each]) for i in range(0, len(parts), each)) + ")"


def parse_direction(irrep: RealIrrep, text: str) -> np.ndarray:
    """(D, D) projector on the subspace that a text such as ``(a,-a,0)`` or ``(1,0.5,0)`` spans.

    Raises:
        InputError: it cannot be read, or has another number of components.
    """
    parts = [p.strip() for p in re.split(r"[,;]", text.strip().strip("()[]"))]
    if len(parts) != irrep.dim:
        raise InputError(
            f"{irrep.label} has {irrep.dim} components ({irrep.arms} arms of {irrep.dim // irrep.arms}), got {text!r}"
        )
    columns: dict[str, np.ndarray] = {}
    for i, part in enumerate(parts):
        rest = part.replace(" ", "")
        while rest:
            match = re.match(r"([+-]?)(\d*\.?\d*)\*?([a-z]?)", rest)
            if match is None or not match.group(0) or match.group(0) in "+-":
                raise InputError(f"component {part!r} of the direction {text!r} cannot be read")
            value = float(match.group(2) or 1) * (-1 if match.group(1) == "-" else 1)
            columns.setdefault(match.group(3), np.zeros(irrep.dim))[i] += value
            rest = rest[match.end() :]
    span = [v for v in columns.values() if np.abs(v).max() > 0]
    if not span:
        raise InputError(f"the direction {text!r} is zero")
    Q = np.linalg.svd(np.array(span).T, full_matrices=False)
    keep = Q[0][:, Q[1] > 1e-9]
    return keep @ keep.T


def _fixed(M: np.ndarray) -> np.ndarray:
    """(..., D, D) projectors on what orthogonal matrices, or means of projectors, leave as it is."""
    values, vectors = np.linalg.eigh(0.5 * (M + np.swapaxes(M, -1, -2)))
    kept = vectors * (values > 1 - 1e-5)[..., None, :]
    return kept @ np.swapaxes(kept, -1, -2)


def _key(P: np.ndarray) -> bytes:
    return (np.rint(P * 1e4) + 0.0).astype(np.int32).tobytes()


def directions(irrep: RealIrrep) -> list[Direction]:
    """One direction of every class of isotropy subgroups: few free components first.

    Raises:
        InputError: the image of the group is too large to be listed.
    """
    R = irrep.image[0]
    R = R[np.unique(np.rint(R * 1e4).astype(np.int32).reshape(len(R), -1), axis=0, return_index=True)[1]]
    every = _distinct(_fixed(R))
    known: set[bytes] = set()
    found: list[Direction] = []
    queue = [np.eye(irrep.dim)]
    while queue:
        space = queue.pop()
        if _key(space) in known or np.trace(space) < 0.5:
            continue
        images = _distinct(R @ space @ np.swapaxes(R, -1, -2))
        known |= {_key(one) for one in images}
        best = min(images, key=_simplicity)
        found.append(Direction(irrep, best, len(images)))
        meets = _distinct(_fixed(0.5 * (every + space)))
        queue += [one for one in meets if _key(one) not in known]
    return sorted(found, key=lambda one: (one.dim, _simplicity(one.projector)))


def _distinct(P: np.ndarray) -> np.ndarray:
    rounded = (np.rint(P * 1e4) + 0.0).astype(np.int32).reshape(len(P), -1)
    return P[np.sort(np.unique(rounded, axis=0, return_index=True)[1])]


def _simplicity(P: np.ndarray) -> tuple:
    """What makes a subspace look simple: few terms, no factors, no signs, letters to the left."""
    rows = reduced_rows(P)
    return (
        int((rows != 0).sum()),
        round(float(np.abs(np.abs(rows[rows != 0]) - 1).sum()), 4),
        int((rows < 0).sum()),
        tuple(np.round(-np.abs(rows), 4).ravel().tolist()),
    )


def simplest_image(irrep: RealIrrep, projector: np.ndarray) -> tuple[np.ndarray, int]:
    """The simplest of the images of a subspace under the group, and how many there are."""
    R = irrep.image[0]
    images = _distinct(R @ projector @ np.swapaxes(R, -1, -2))
    return min(images, key=_simplicity), len(images)


def stabilizer(pairs: list[tuple[RealIrrep, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The isotropy subgroup of one or several order parameters together.

    Args:
        pairs: representations of one group with a vector (D,) in each.

    Returns:
        rows (h,) of rotation parts in `Irreps.W`, lattice translations (h, 3) in the primitive basis to be added to `Irreps.w`, and
        (3, 3) int64 columns of the subgroup's lattice there.

    Raises:
        InputError: too many operations to go through.
    """
    lattice = pairs[0][0].kernel_lattice
    for irrep, _ in pairs[1:]:
        lattice = _common_lattice(lattice, irrep.kernel_lattice)
    volume = int(round(abs(np.linalg.det(lattice))))
    irreps = pairs[0][0].named.irreps
    if volume * len(irreps.W) > MAX_IMAGE:
        raise InputError(f"{volume * len(irreps.W)} operations have to be gone through; the k-vectors are too fine")
    lower = hermite(as_rows(lattice.T))
    box = np.array(list(itertools.product(*(range(int(v)) for v in np.diag(lower)))), np.int64)
    keep = np.ones((len(box), len(irreps.W)), bool)
    for irrep, v in pairs:
        turned = irrep.matrices @ v
        shift = irrep.translation(box @ irreps.lattice.T, irreps.lattice_den)
        moved = np.einsum("qij,nj->qni", shift, turned)
        keep &= np.abs(moved - v).max(axis=-1) < 1e-5 * max(np.abs(v).max(), 1e-12)
    q, rows = np.nonzero(keep)
    pure = box[q[rows == 0]]
    own = hermite(as_rows(np.concatenate([pure, lower]))).T.copy()
    order = np.unique(rows, return_index=True)[1]
    return rows[order], box[q[order]], own


def _common_lattice(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """(3, 3) columns of the intersection of two sublattices of Z^3 (columns): the dual of the sum of the duals."""
    dets = [int(round(abs(float(np.linalg.det(M))))) for M in (A, B)]
    unit = int(np.lcm(dets[0], dets[1]))
    duals = [exact.cofactors(M) * (unit // int(exact.determinant(M))) for M in (A, B)]  # columns of unit M^-T
    summed = hermite(as_rows(np.concatenate([d.T for d in duals])))
    det = int(exact.determinant(summed))
    out = exact.cofactors(summed) * unit  # det unit summed^-T, whose quotient is integral
    return hermite(as_rows(out // det)).T.copy()
