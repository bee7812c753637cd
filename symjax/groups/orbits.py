"""Points under a set of operations: stabilizer, orbit, multiplicity.

Points are either exact (integers in units of 1/den) or fractional floats compared with a tolerance. Everything is
modulo Z^3 of the cell of the set, jit-able, and batched: leading axes of points are kept.

Conventions: a stabilizer is a mask (..., n) over the operations with W x + w - x integral. Differences are compared as
d - round(d), which is right at the wrap (-1e-9 against 1 - 1e-9); wrapped coordinates are only for output.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from symjax._later import jnp
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.ops import exact

Array = Any

DEFAULT_TOL = 1e-3


class Orbit(NamedTuple):
    """Images of points under every operation.

    Attributes:
      points: (..., n, 3) images W x + w, wrapped to [0, 1) (or to [0, den) for exact points).
      label: (..., n) int32 the first operation that gives the same point modulo Z^3; n for padding.
      mask: (..., n) bool, the operations that give a point first: their images are the orbit, each point once.
    """

    points: Array
    label: Array
    mask: Array


def _check_points(opset: OpSet, x: Array, *, exact_points: bool) -> None:
    kind = "integer" if exact_points else "floating"
    dtype = np.dtype(getattr(x, "dtype", None) or np.asarray(x).dtype)
    if np.ndim(opset.mask) != 1:
        raise InputError(f"points take one set of operations (vmap over batches), got a mask of {np.shape(opset.mask)}")
    if np.shape(x)[-1:] != (3,):
        raise InputError(f"points must have shape (..., 3), got {np.shape(x)}")
    if np.issubdtype(dtype, np.integer) != exact_points:
        raise InputError(f"points must have a {kind} dtype here, got {dtype}")


def _shift(opset: OpSet, x: Array) -> Array:
    """(..., n, 3) displacements W x + w - x of float points."""
    xp = exact.namespace(opset.W, x)
    x = xp.asarray(x)
    images = exact.apply(exact.Op(opset.W, opset.w), x[..., None, :], opset.den)
    return images - x[..., None, :]


def _short(d: Array, tol: float, lattice: Array | None) -> Array:
    """Whether displacements (..., 3) are lattice vectors within the tolerance."""
    xp = exact.namespace(d, lattice)
    d = d - xp.round(d)
    if lattice is None:
        return (abs(d) <= tol).all(-1)
    return ((d @ lattice) ** 2).sum(-1) <= tol**2


def stabilizer(opset: OpSet, x: Array, *, tol: float = DEFAULT_TOL, lattice: Array | None = None) -> Array:
    """Operations that fix points: (..., n) bool.

    Args:
      opset: one set of n operations.
      x: (..., 3) floating fractional coordinates.
      tol: largest deviation, per fractional coordinate, or in angstrom when a lattice is given. A tolerance can catch
        a set that is no group; snap the point first (`fixed_point`) where that matters.
      lattice: (3, 3) rows a, b, c in angstrom.

    Raises:
      InputError: shapes that do not fit, or integer points (see `stabilizer_exact`).
    """
    _check_points(opset, x, exact_points=False)
    return _short(_shift(opset, x), tol, lattice) & opset.mask


def stabilizer_exact(opset: OpSet, x: Array, den: int) -> Array:
    """Operations that fix rational points exactly: (..., n) bool.

    Args:
      opset: one set of n operations.
      x: (..., 3) integers in units of 1/den, any representative modulo Z^3.
      den: denominator of x, any positive integer.
    """
    _check_points(opset, x, exact_points=True)
    xp = exact.namespace(opset.W, x)
    common = math.lcm(opset.den, den)
    x, w = xp.asarray(x) * (common // den), opset.w * (common // opset.den)
    moved = exact.matvec(opset.W, x[..., None, :]) + w - x[..., None, :]
    return (moved % common == 0).all(-1) & opset.mask


def multiplicity(opset: OpSet, stabilizer_mask: Array) -> Array:
    """(...) int32 number of points of the orbit in the cell: order of the group / order of the stabilizer (..., n)."""
    xp = exact.namespace(opset.mask, stabilizer_mask)
    return (opset.mask.sum() // xp.maximum(stabilizer_mask.sum(-1), 1)).astype(xp.int32)


def fixed_point(opset: OpSet, stabilizer_mask: Array, x: Array) -> Array:
    """Points moved onto the subspace that their stabilizers fix: the mean of their images nearest to them.

    Args:
      opset: one set of n operations.
      stabilizer_mask: (..., n) bool, a group.
      x: (..., 3) floating fractional coordinates near that subspace.

    Returns:
      (..., 3), not wrapped.
    """
    xp = exact.namespace(opset.W, x)
    d = _shift(opset, x)
    d = d - xp.round(d)
    weight = xp.asarray(stabilizer_mask).astype(d.dtype)
    total = xp.maximum(weight.sum(-1, keepdims=True), 1)
    return x + (weight[..., None] * d).sum(-2) / total


def wrap(x: Array) -> Array:
    """Coordinates brought to [0, 1), also where rounding would give 1 (tiny negative numbers)."""
    xp = exact.namespace(x)
    inside = x - xp.floor(x)
    return xp.where(inside >= 1, xp.zeros_like(inside), inside)


def orbit(opset: OpSet, x: Array, *, tol: float = DEFAULT_TOL, lattice: Array | None = None) -> Orbit:
    """All images of points and which of them are different; arguments as in `stabilizer`."""
    _check_points(opset, x, exact_points=False)
    points = exact.apply(exact.Op(opset.W, opset.w), exact.namespace(x).asarray(x)[..., None, :], opset.den)
    same = _short(points[..., :, None, :] - points[..., None, :, :], tol, lattice)
    return _orbit(opset, wrap(points), same)


def orbit_exact(opset: OpSet, x: Array, den: int) -> Orbit:
    """As `orbit` for exact points (..., 3) in units of 1/den; the images are in units of 1/lcm(den, opset.den)."""
    _check_points(opset, x, exact_points=True)
    common = math.lcm(opset.den, den)
    x = exact.namespace(opset.W, x).asarray(x) * (common // den)
    points = (exact.matvec(opset.W, x[..., None, :]) + opset.w * (common // opset.den)) % common
    same = (points[..., :, None, :] == points[..., None, :, :]).all(-1)
    return _orbit(opset, points, same)


def _orbit(opset: OpSet, points: Array, same: Array) -> Orbit:
    xp = exact.namespace(points, opset.mask)
    n = opset.mask.shape[-1]
    label = xp.argmax(same & xp.asarray(opset.mask), -1)
    label = xp.where(opset.mask, label, n).astype(xp.int32)
    return Orbit(points=points, label=label, mask=label == xp.arange(n))


def orbit_points(opset: OpSet, x: Array, *, tol: float = DEFAULT_TOL, lattice: Array | None = None) -> np.ndarray:
    """(multiplicity, 3) the different points of one point's orbit, wrapped (host)."""
    found = orbit(opset, jnp.asarray(x) if not isinstance(x, np.ndarray) else x, tol=tol, lattice=lattice)
    return np.asarray(found.points)[np.asarray(found.mask)]
