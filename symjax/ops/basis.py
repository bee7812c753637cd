"""Bases of any determinant, lattice points of a supercell, and floats snapped to exact operations. Host only (numpy).

A basis change with |det P| other than 1 may need a larger denominator (supercells) and may be impossible for an
operation (the new lattice is not invariant under it); both depend on values, so these functions cannot be jitted. The
jit-able unimodular case is `symjax.ops.exact.change_basis`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from symjax.ops import exact
from symjax.ops.checks import BasisError, OperationError, SnapError, as_op, check_den, check_shapes
from symjax.ops.symbols import format_xyz
from symjax.ops.types import DEN, Motion, Op

MAX_DEN = 1290
"""Largest denominator whose hashes are free of collisions."""


def as_rational(array: Any, *, what: str, max_denominator: int = 200, tol: float = 1e-6) -> tuple[np.ndarray, int]:
    """Integers, Fractions or floats as int64 numerators over one common denominator.

    Raises:
        BasisError: a value that is not finite, or a float not within tol of a fraction with a small denominator.
    """
    flat, shape = np.asarray(array, dtype=object).ravel(), np.shape(array)
    fractions = []
    for value in flat:
        try:
            fraction = Fraction(value) if isinstance(value, Fraction) else Fraction(float(value))
        except (TypeError, ValueError, OverflowError) as error:
            raise BasisError(f"{what}: {value!r} is not a finite number") from error
        small = fraction.limit_denominator(max_denominator)
        if abs(float(fraction - small)) > tol:
            raise BasisError(f"{what}: {value!r} is not a fraction with a denominator up to {max_denominator}")
        fractions.append(small)
    common = math.lcm(1, *(f.denominator for f in fractions))
    return np.array([int(f * common) for f in fractions], dtype=np.int64).reshape(shape), common


def _check_basis(P: Any, what: str) -> tuple[np.ndarray, int, int]:
    """Numerators, common denominator and determinant of the numerators of a basis change."""
    if np.shape(P) != (3, 3):
        raise BasisError(f"{what} must have shape (3, 3), got {np.shape(P)}")
    numerators, common = as_rational(P, what=what)
    det = int(exact.determinant(numerators))
    if det == 0:
        raise BasisError(f"{what} is singular: {np.asarray(P).tolist()}")
    return numerators, common, det


def name_op(op: Op, index: int, den: int) -> str:
    """'operation 3 (-x,y+1/2,-z)' for messages; op has one batch axis."""
    return f"operation {index} ({format_xyz(Op(op.W[index], op.w[index]), den)})"


def change_basis_rational(op: Op, P: Any, p: Any = None, den: int = DEN, *, max_den: int = MAX_DEN) -> tuple[Op, int]:
    """Conjugation by a basis change of any determinant and any rational origin shift.

    W' = P^-1 W P, w' = P^-1 (w + (W - I) p), reduced modulo the NEW lattice. The number of operations stays the same:
    going to a supercell, also add `lattice_translations(P)`; going to a smaller cell, drop the duplicates.

    Args:
        op: (..., 3, 3) and (..., 3) exact operations.
        P: (3, 3) integers, Fractions or floats near fractions; columns are the new basis vectors.
        p: (3,) new origin in old coordinates in units of 1/den (integers, Fractions or floats); None for no shift.
        den: denominator of op.w.
        max_den: largest denominator allowed for the result.

    Returns:
        The operations in the new basis, and their denominator: den, or the smallest multiple of it that holds them.

    Raises:
        BasisError: P singular or not (3, 3); an operation that is not integral in the new basis (named: the new lattice
            is not invariant under it); a denominator beyond max_den.
    """
    check_den(den)
    op = as_op(op.W, op.w)
    batch = op.W.shape[:-2]
    flat = Op(op.W.reshape(-1, 3, 3), op.w.reshape(-1, 3))
    W, w = flat.W.astype(np.int64), flat.w.astype(np.int64)
    basis, basis_den, det = _check_basis(P, "change of basis P")
    shift, shift_den = as_rational(np.zeros(3, int) if p is None else p, what="origin shift p")
    if shift.shape != (3,):
        raise BasisError(f"origin shift p must have shape (3,), got {shift.shape}")
    adjugate = exact.cofactors(basis).T * (1 if det > 0 else -1)
    size = abs(det)
    conjugated = exact.matmul(adjugate, exact.matmul(W, basis))
    bad = np.any(conjugated % size != 0, axis=(-1, -2))
    if bad.any():
        which = name_op(flat, int(np.flatnonzero(bad)[0]), den)
        raise BasisError(
            f"{which} is not integral in the new basis (determinant {Fraction(det, basis_den**3)}): "
            f"the new lattice is not invariant under it ({int(bad.sum())} of {len(bad)} operations)"
        )
    moved = w * shift_den + exact.matvec(W, shift) - shift
    numerator = basis_den * exact.matvec(adjugate, moved)
    denominator = size * shift_den * den
    needed = np.unique(denominator // np.gcd(numerator, denominator))
    new_den = math.lcm(den, *(int(d) for d in needed))
    if new_den > max_den:
        raise BasisError(f"change of basis: translations need the denominator {new_den}, more than max_den={max_den}")
    new_w = (numerator * new_den // denominator) % new_den
    W_new = (conjugated // size).astype(np.int32).reshape(*batch, 3, 3)
    return Op(W_new, new_w.astype(np.int32).reshape(*batch, 3)), new_den


def lattice_translations(P: Any) -> tuple[np.ndarray, int]:
    """Translations of the old lattice Z^3 inside the cell of an integral new basis P, in the new basis.

    Returns:
        (|det P|, 3) int32 in units of 1/den, the zero translation first, and den = |det P|.

    Raises:
        BasisError: P singular, not (3, 3) or not integral.
    """
    basis, basis_den, det = _check_basis(P, "supercell basis P")
    if basis_den != 1:
        raise BasisError(f"supercell basis P must be integral, got {np.asarray(P).tolist()}")
    size = abs(det)
    generators = (exact.cofactors(basis).T * (1 if det > 0 else -1)).T % size  # rows: images of the old basis vectors
    found = np.zeros((1, 3), dtype=np.int64)
    for generator in generators:
        multiples = (np.arange(size)[:, None] * generator) % size
        found = np.unique((found[:, None] + multiples[None]).reshape(-1, 3) % size, axis=0)
    return found.astype(np.int32), size


def scale_den(op: Op, den: int, new_den: int) -> Op:
    """The same operations with another denominator.

    Raises:
        OperationError: a translation that is no multiple of 1/new_den (the operation is named).
    """
    check_den(den)
    check_den(new_den)
    w = np.asarray(op.w).astype(np.int64) * new_den
    bad = np.any(w % den != 0, axis=-1).reshape(-1)
    if bad.any():
        flat = Op(np.asarray(op.W).reshape(-1, 3, 3), np.asarray(op.w).reshape(-1, 3))
        which = name_op(flat, int(np.flatnonzero(bad)[0]), den)
        raise OperationError(f"{which}: its translation is not a multiple of 1/{new_den}")
    return Op(op.W, (w // den).astype(np.int32))


def snap(W: Any, w: Any, den: int = DEN, *, tol: float = 0.01) -> Op:
    """Floating operations in the lattice basis to exact ones.

    Args:
        W: (..., 3, 3) rotation parts near integers.
        w: (..., 3) fractional translations near multiples of 1/den.
        den: denominator of the result.
        tol: largest distance of an entry of W from an integer and of w from a multiple of 1/den. Below 1/(2 den).

    Raises:
        SnapError: naming the first operation and entry that is further off than tol, or not finite.
        OperationError: wrong shapes, or a snapped rotation part that is not unimodular.
    """
    check_den(den)
    W, w = np.asarray(W, dtype=np.float64), np.asarray(w, dtype=np.float64)
    check_shapes(W, w)
    if not 0 < tol < 0.5 / den:
        raise SnapError(f"snap: tol must lie in (0, {0.5 / den:.4g}) for den {den}, got {tol}")
    for name, values, units in (("rotation part", W, 1), ("translation part", w, den)):
        rank = 2 if units == 1 else 1
        finite = np.where(np.isfinite(values), values, 0.0)
        off = np.where(np.isfinite(values), np.abs(finite - np.round(finite * units) / units), np.inf)
        if np.any(off > tol):
            at = tuple(int(i) for i in np.argwhere(off > tol)[0])
            which = at[:-rank]
            place = f"operation {which[0] if len(which) == 1 else which}" if which else "operation"
            grid = "an integer" if units == 1 else f"a multiple of 1/{den}"
            raise SnapError(
                f"{place}: {name} entry {at[-rank:]} is {values[at]:.6g}, {off[at]:.2g} from {grid} (tolerance {tol})"
            )
    return exact.reduce(as_op(np.round(W).astype(np.int64), np.round(w * den).astype(np.int64)), den)


def snap_motion(m: Motion, basis: Any, den: int = DEN, *, tol: float = 0.01) -> Op:
    """Cartesian motions to exact operations of the lattice with columns `basis` (3, 3); errors as in `snap`."""
    A = np.asarray(basis, dtype=np.float64)
    if A.shape != (3, 3) or not np.all(np.isfinite(A)) or abs(np.linalg.det(A)) < 1e-9 * np.abs(A).max() ** 3:
        raise BasisError(f"snap_motion: basis must be a regular (3, 3) matrix, got {A.tolist()}")
    inverse = np.linalg.inv(A)
    R, t = np.asarray(m.R, dtype=np.float64), np.asarray(m.t, dtype=np.float64)
    check_shapes(R, t)
    return snap(inverse @ R @ A, t @ inverse.T, den, tol=tol)
