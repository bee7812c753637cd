"""Geometry of exact operations: what each one does to space.

The array functions are vectorised, jit-able and exact (integers). `describe` makes objects for people.

Conventions: `axis` is the primitive direction [uvw] of the rotation axis, or of the NORMAL for mirrors and glides, with
the sign of the International Tables ([1-10], [01-1], [-101]; three non-zero indices with a positive product). `sense` is
+ when the proper part turns counter-clockwise about it in a right-handed basis. Translation part w = intrinsic +
location (intrinsic: screw or glide vector, (1/k) sum_i W^i w).

The intrinsic part is not a function of an operation modulo the lattice: w + (1, 0, 0) may have another one. So `kind`
asks whether ANY lattice translate is a pure rotation or mirror (International Tables A, sections 1.2 and 1.5).
With S = sum_i R^i = u h^T (u the axis, R the proper part), a rotation of order n has h.w in gcd(h) Z, and a reflection
is a mirror when w x u is integral.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from symjax.ops import exact
from symjax.ops.checks import OperationError, as_op, check_den
from symjax.ops.kept import Kept
from symjax.ops.symbols import format_xyz
from symjax.ops.types import DEN, Array, Op, namespace

PART_FACTOR = 12
"""Intrinsic and location parts are integers in units of 1/(12 den): divisible by every order."""
POINT_FACTOR = 144
"""Points are integers in units of 1/(144 den)."""


class Kind(enum.IntEnum):
    """What an operation modulo Z^3 is."""

    IDENTITY = 0
    TRANSLATION = 1
    INVERSION = 2
    ROTATION = 3
    SCREW = 4
    ROTOINVERSION = 5
    MIRROR = 6
    GLIDE = 7
    NONE = 8
    """Infinite order: an isometry of no lattice."""


class Geometry(NamedTuple):
    """Geometry of (...) operations, integers.

    Attributes:
        rotation: (...) signed order: 1, 2, 3, 4, 6, -1, -2 (reflection), -3, -4, -6; 0 for infinite order.
        kind: (...) values of `Kind`.
        axis: (..., 3) primitive direction, 0 for order 1.
        sense: (...) +1 or -1 for |rotation| > 2, else 0.
        pitch: (...) k of a screw n_k, 0 for everything else. Counted in the lattice that Z^3 and the operation's own
            n-th power generate (every group with the operation has it). 0 also for a SCREW that is a pure rotation
            modulo that finer lattice: 14 three-fold operations of body-centred cubic settings.
        intrinsic: (..., 3) in units of 1/(12 den), of the canonical representative modulo the lattice.
        location: (..., 3) in units of 1/(12 den), of the same representative.
        point: (..., 3) a point of the element of that representative, in units of 1/(144 den).
        representative: (..., 3) its translation part in units of 1/den (not reduced).
    """

    rotation: Array
    kind: Array
    axis: Array
    sense: Array
    pitch: Array
    intrinsic: Array
    location: Array
    point: Array
    representative: Array


def rotation_type(W: Array) -> Array:
    """Signed order (...) int32 of rotation parts: n for proper, -n for n-fold rotoinversions, 0 for infinite order."""
    det = exact.determinant(W)
    return (det * exact.rotation_order(W * det[..., None, None])).astype(W.dtype)


def axis_data(W: Array) -> tuple[Array, Array, Array]:
    """Signed order n (...), axis u (..., 3) and covector h (..., 3) with sum_{i<|n|} (det W)^i W^i = u h^T.

    u and h are 0 for orders 1 and infinite; u is primitive with the sign convention of the module.
    """
    xp = namespace(W)
    det = exact.determinant(W)
    R = W * det[..., None, None]
    n = exact.rotation_order(R)
    total, term = xp.zeros_like(R), xp.broadcast_to(xp.eye(3, dtype=R.dtype), R.shape)
    for i in range(max(exact.ORDERS)):
        total = total + xp.where((i < n)[..., None, None], term, 0)
        term = exact.matmul(term, R)
    filled = xp.any(total != 0, axis=-2)  # which columns are non-zero
    first = xp.argmax(filled, axis=-1)
    u = xp.take_along_axis(total, first[..., None, None], axis=-1)[..., 0]
    u = u // xp.maximum(xp.gcd(xp.gcd(u[..., 0], u[..., 1]), u[..., 2]), 1)[..., None]
    u = xp.where((n > 1)[..., None], u * _axis_sign(u)[..., None], 0).astype(xp.int32)
    square = xp.maximum(xp.sum(u * u, axis=-1, dtype=u.dtype), 1)
    h = xp.sum(total * u[..., :, None], axis=-2, dtype=u.dtype) // square[..., None]
    return (det * n).astype(xp.int32), u, h.astype(xp.int32)


def _axis_sign(u: Array) -> Array:
    """+1 or -1 that brings a direction to the sign of the International Tables."""
    xp = namespace(u)
    following = xp.roll(u, -1, axis=-1)
    count = xp.sum(u != 0, axis=-1)
    three = u[..., 0] * u[..., 1] * u[..., 2]
    total = xp.sum(xp.sign(u), axis=-1)
    # two indices of opposite sign: [1-10], [01-1], [-101], so the one whose cyclic successor is non-zero is positive
    mixed = xp.sum(xp.where((u != 0) & (following != 0), xp.sign(u), 0), axis=-1)
    sign = xp.where(count == 3, xp.sign(three), xp.where(total != 0, xp.sign(total), mixed))
    return xp.where(sign < 0, -1, 1)


def sense(W: Array, u: Array) -> Array:
    """Sense of rotation (...) about the axis u (..., 3): sign of det(u, x, R x); 0 for orders up to 2."""
    xp = namespace(W, u)
    R = W * exact.determinant(W)[..., None, None]
    total = xp.zeros(W.shape[:-2], dtype=xp.int32)
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):  # x = e_i: u . (e_i x R e_i), never of the wrong sign
        total = total + u[..., k] * R[..., j, i] - u[..., j] * R[..., k, i]
    return xp.sign(total).astype(xp.int32)


def split_translation(op: Op) -> tuple[Array, Array]:
    """Intrinsic and location parts (..., 3) of operations as given (not modulo the lattice), in units of 1/(12 den).

    Raises nothing; both are 0 and 12 w for rotation parts of infinite order.
    """
    k = exact.rotation_order(op.W)
    factor = PART_FACTOR // namespace(k).maximum(k, 1)
    intrinsic = exact.orbit_sum(op, k) * factor[..., None]
    return intrinsic, PART_FACTOR * op.w - intrinsic


def fixed_point(W: Array, location: Array) -> Array:
    """A point (..., 3) with W x + location = x, in 1/12 of the units of `location`: the centroid of the orbit of 0.

    Args:
        W: (..., 3, 3) rotation parts of finite order.
        location: (..., 3) location parts (sum_i W^i location = 0).
    """
    xp = namespace(W, location)
    k = exact.rotation_order(W)
    position, total, step = xp.zeros_like(location), xp.zeros_like(location), location
    for i in range(max(exact.ORDERS)):
        total = total + xp.where((i < k)[..., None], position, 0)
        position = position + step
        step = exact.matvec(W, step)
    return total * (PART_FACTOR // xp.maximum(k, 1))[..., None]


def _screw(n: Array, turn: Array, h: Array, w: Array, den: int) -> tuple[Array, Array]:
    """Pitch k and screw component n s in units of 1/den, reduced modulo the projected lattice, for proper rotations."""
    xp = namespace(n, h, w)
    sigma = xp.sum(h * w, axis=-1, dtype=w.dtype)
    g = xp.maximum(xp.gcd(xp.gcd(h[..., 0], h[..., 1]), h[..., 2]), 1) * den
    component = sigma % g
    # n s is a lattice translation of any group with this operation, so the pitch counts in the lattice it generates
    along = xp.gcd(xp.asarray(den, dtype=sigma.dtype), component)
    period = xp.gcd(g, n * component)
    k = (component % period) // along
    return xp.where(turn < 0, -k % (period // along), k), component


def kind(op: Op, den: int = DEN) -> Array:
    """Values of `Kind` (...) int32, modulo the lattice Z^3."""
    n, u, h = axis_data(op.W)
    return _kind(n, u, h, op.w, den)


def _kind(n: Array, u: Array, h: Array, w: Array, den: int) -> Array:
    xp = namespace(n, u, h, w)
    g = xp.maximum(xp.gcd(xp.gcd(h[..., 0], h[..., 1]), h[..., 2]), 1) * den
    pure_rotation = xp.sum(h * w, axis=-1, dtype=w.dtype) % g == 0
    pure_mirror = xp.all(_cross(w, u) % den == 0, axis=-1)
    result = xp.full(n.shape, int(Kind.ROTOINVERSION), dtype=xp.int32)
    result = xp.where(n == 1, xp.where(xp.all(w % den == 0, axis=-1), Kind.IDENTITY, Kind.TRANSLATION), result)
    result = xp.where(n > 1, xp.where(pure_rotation, Kind.ROTATION, Kind.SCREW), result)
    result = xp.where(n == -1, Kind.INVERSION, result)
    result = xp.where(n == -2, xp.where(pure_mirror, Kind.MIRROR, Kind.GLIDE), result)
    return xp.where(n == 0, Kind.NONE, result).astype(xp.int32)


def _cross(a: Array, b: Array) -> Array:
    """Integer cross products (..., 3); numpy's own is slow for many small vectors."""
    xp = namespace(a, b)
    roll = lambda v, k: xp.roll(v, -k, axis=-1)
    return roll(a, 1) * roll(b, 2) - roll(a, 2) * roll(b, 1)


def _box(radius: int) -> np.ndarray:
    """Lattice translations with entries up to radius, shortest first (zero leads)."""
    box = list(itertools.product(range(-radius, radius + 1), repeat=3))
    return np.array(sorted(box, key=lambda t: (sum(x * x for x in t), [-x for x in t])), dtype=np.int32)


def _representative(op: Op, n: Array, u: Array, component: Array, den: int, radius: int) -> Array:
    """Translation parts (..., 3) congruent to op.w whose intrinsic part is canonical.

    Screws: the component in [0, period) along the axis; glides and mirrors: the shortest vector in coordinates, first
    non-zero index positive. Other operations are left as they are. Searched over translates with entries up to radius.
    """
    xp = namespace(op.W, op.w)
    shifts = xp.asarray(_box(radius) * den)
    candidates = Op(op.W[..., None, :, :], op.w[..., None, :] - shifts)
    intrinsic, _ = split_translation(Op(xp.broadcast_to(candidates.W, (*candidates.w.shape, 3)), candidates.w))
    order = xp.maximum(xp.abs(n), 1)
    target = u * (component * (PART_FACTOR // order))[..., None]
    target = xp.where((n > 1)[..., None], target, 0)
    off = intrinsic - target[..., None, :]
    lead = xp.where(off[..., 0] != 0, off[..., 0], xp.where(off[..., 1] != 0, off[..., 1], off[..., 2]))
    score = 2 * xp.sum(xp.abs(off), axis=-1, dtype=off.dtype) + (lead < 0)
    score = xp.where(((n > 1) | (n == -2))[..., None], score, xp.arange(len(shifts), dtype=off.dtype))
    best = xp.argmin(score, axis=-1)
    return xp.take_along_axis(candidates.w, best[..., None, None], axis=-2)[..., 0, :]


def geometry(op: Op, den: int = DEN, *, radius: int = 1) -> Geometry:
    """The whole geometry of (...) operations modulo Z^3; jit-able with static den and radius.

    Args:
        op: (...) operations of equal batch axes, in a right-handed basis.
        den: denominator of op.w.
        radius: lattice translates with entries up to it are searched for the canonical representative. 1 serves every
            tabulated setting; strongly sheared bases need more. `kind` and `pitch` are exact for any radius.
    """
    xp = namespace(op.W, op.w)
    n, u, h = axis_data(op.W)
    turn = sense(op.W, u)
    w = op.w % den
    pitch, component = _screw(n, turn, h, w, den)
    w = _representative(Op(op.W, w), n, u, component, den, radius)
    intrinsic, location = split_translation(Op(op.W, w))
    point = xp.where((n != 0)[..., None], fixed_point(op.W, location), 0)
    pitch = xp.where(n > 1, pitch, 0).astype(xp.int32)
    return Geometry(n, _kind(n, u, h, w, den), u, turn, pitch, intrinsic, location, point, w)


@dataclasses.dataclass(frozen=True)
class Description:
    """One operation for people; vectors are fractions of the basis vectors.

    Attributes:
        kind: what it does (modulo the lattice).
        symbol: '1', '-1', '2', '4_1', '-6', 'm', 'a', 'b', 'c', 'n', 'd', 'g' (other glide) or 't' (translation).
        order: signed order of the rotation part.
        axis: direction of the axis, normal of the plane, or None.
        sense: '+', '-' or ''.
        intrinsic: screw, glide or translation vector.
        location: the rest of the translation part.
        point: a point of the geometric element, None for translations and the identity.
        xyz: the triplet.
    """

    kind: Kind
    symbol: str
    order: int
    axis: tuple[int, int, int] | None
    sense: str
    intrinsic: tuple[Fraction, Fraction, Fraction]
    location: tuple[Fraction, Fraction, Fraction]
    point: tuple[Fraction, Fraction, Fraction] | None
    xyz: str

    def __str__(self) -> str:
        """One line: '4_1+ screw along [001] through (1/4, 1/4, 0), vector (0, 0, 1/4)'."""
        show = lambda v: "(" + ", ".join(str(x) for x in v) + ")"
        text = f"{self.symbol}{self.sense} {self.kind.name.lower()}"
        if self.axis is not None:
            text += f" {'normal to' if self.order == -2 else 'along'} [{','.join(map(str, self.axis))}]"
        if self.point is not None:
            text += f" through {show(self.point)}"
        return text + (f", vector {show(self.intrinsic)}" if any(self.intrinsic) else "")


def glide_letter(vector: tuple[Fraction, Fraction, Fraction]) -> str:
    """'a', 'b', 'c', 'n', 'd' for a glide vector in basis coordinates, 'g' for any other."""
    sizes = [abs(x) for x in vector]
    filled = [i for i, x in enumerate(sizes) if x]
    if all(sizes[i] == Fraction(1, 2) for i in filled) and filled:
        return "abc"[filled[0]] if len(filled) == 1 else "n"
    if len(filled) > 1 and all(sizes[i] == Fraction(1, 4) for i in filled):
        return "d"
    return "g"


def describe(op: Op, den: int = DEN, *, radius: int = 1) -> Any:
    """Descriptions of operations for people; host only.

    Returns:
        A `Description` for one operation, else nested lists with the batch shape.

    Raises:
        OperationError: wrong shape, dtype, determinant or den.
    """
    check_den(den)
    op = as_op(op.W, op.w)
    if op.W.ndim > 3:
        return [describe(Op(W, w), den, radius=radius) for W, w in zip(op.W, op.w)]
    flat = Op(op.W.reshape(-1, 3, 3), op.w.reshape(-1, 3))
    result = _DESCRIBED.of(flat, (den, radius), lambda some: _described(some, den, radius))
    return result[0] if op.W.ndim == 2 else result


_DESCRIBED = Kept()


def _described(op: Op, den: int, radius: int) -> list[Description]:
    """Descriptions of operations (n,)."""
    found = geometry(op, den, radius=radius)
    if np.any(found.kind == Kind.NONE):
        bad = int(np.flatnonzero(found.kind == Kind.NONE)[0])
        text = format_xyz(Op(op.W[bad], op.w[bad]), den)
        raise OperationError(f"operation {bad} ({text}) has infinite order: no lattice is invariant under it")
    return [_describe_one(Geometry(*(field[i] for field in found)), op, i, den) for i in range(len(op.W))]


def _describe_one(g: Geometry, op: Op, index: int, den: int) -> Description:
    fractions = lambda v, units: (
        Fraction(int(v[0]), units * den),
        Fraction(int(v[1]), units * den),
        Fraction(int(v[2]), units * den),
    )
    what, order, intrinsic = Kind(int(g.kind)), int(g.rotation), fractions(g.intrinsic, PART_FACTOR)
    k = int(g.pitch)
    symbol = {Kind.TRANSLATION: "t", Kind.MIRROR: "m", Kind.SCREW: f"{order}_{k}" if k else str(order)}.get(
        what, str(order)
    )
    if what == Kind.GLIDE:
        symbol = glide_letter(intrinsic)
    place = None if what in (Kind.IDENTITY, Kind.TRANSLATION) else fractions(g.point, POINT_FACTOR)
    return Description(
        kind=what,
        symbol=symbol,
        order=order,
        axis=(int(g.axis[0]), int(g.axis[1]), int(g.axis[2])) if abs(order) > 1 else None,
        sense={1: "+", -1: "-"}.get(int(g.sense), ""),
        intrinsic=intrinsic,
        location=fractions(g.location, PART_FACTOR),
        point=place,
        xyz=str(format_xyz(Op(op.W[index], op.w[index]), den)),
    )
