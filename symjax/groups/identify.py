"""Space-group type and setting of any closed set of operations, in any basis and origin.

Owns `identify` (exact sets), `identify_many` (batches, each distinct set once) and `identify_motions` (real translations).
spglib names the type; what it must be given is made here: it neither checks closure (a non-group still gets a name most of
the time) nor survives sheared bases without a compatible lattice. So the set is checked exactly, divided by its translations,
moved to a reduced basis of its own invariant metric (integers throughout), and handed over with that metric.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from symjax.errors import InputError, NotAGroupError, SymjaxError
from symjax.groups.primitive import PrimitiveForm, primitive_form, solve_origin
from symjax.groups.sets import OpSet, members
from symjax.groups.spglib_notice import without_notice
from symjax.groups.tables import (
    NUM_SETTINGS,
    default_hall,
    hall_setting,
    hall_to_number,
    setting_symbols,
    tabulated_hall,
)
from symjax.lattice.reduction import reduce_metric
from symjax.ops import exact

_CACHE_SIZE = 4096
_SAFE_ENTRY = 10_000  # products of three matrices of such entries, summed over 48, stay far below 2^63
_cache: OrderedDict[bytes, Identified] = OrderedDict()


@dataclass(frozen=True)
class Identified:
    """A type and, where the basis is that of a tabulated setting, the setting.

    Attributes:
        number: space-group number, 1 to 230.
        hall_number: 1 to 530: the setting that has these operations (in table order the first; three pairs of settings of
            type 68 are equal as sets), after the origin shift if need be; the standard setting of the type when `setting`
            is "other".
        symbol: short international symbol of the type.
        hall_symbol: Hall symbol of hall_number.
        point_group: symbol of the point group.
        setting: "same" (the set is that of hall_number), "origin" (the same after moving the origin), "other" (another basis).
        origin_shift: (3,) float64 p in the given basis: with the origin at p the set is that of hall_number; None for "other".
    """

    number: int
    hall_number: int
    symbol: str
    hall_symbol: str
    point_group: str
    setting: str
    origin_shift: tuple[float, float, float] | None


def identify(opset: OpSet, *, name: str = "the set of operations") -> Identified:
    """Type and setting of one set.

    Args:
        opset: one set in any basis, any denominator, centring translations included; order and padding do not matter.
        name: how an error calls it.

    Raises:
        NotAGroupError: the set does not close; names the first failing pair. Nothing is guessed for such a set.
        SymjaxError: a batch, an empty set, or a closed set that spglib cannot name (none is known).
    """
    inner = members(opset)
    key = _key(inner)
    found = _cache.get(key)
    if found is None:
        hall = tabulated_hall(inner)  # a group, and its type known
        if hall:
            found = _identified(hall_to_number(hall), hall, "same", (0.0, 0.0, 0.0))
        else:
            form = primitive_form(inner, name=name)
            found = _setting(_type_number(form, name), form, inner)
        _cache[key] = found
        if len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    return found


def identify_many(opsets: OpSet) -> list[Identified]:
    """`identify` for a batch (b, n); each distinct set is worked out once.

    Raises:
        NotAGroupError: naming the row and the pair that fails.
    """
    W, w, mask = (np.asarray(a) for a in (opsets.W, opsets.w, opsets.mask))
    if mask.ndim != 2:
        raise InputError(f"identify_many takes a batch of sets (b, n), got a mask of shape {mask.shape}")
    return [identify(OpSet(W=W[i], w=w[i], mask=mask[i], den=opsets.den), name=f"set {i}") for i in range(len(mask))]


def _key(inner: OpSet) -> bytes:
    """Bytes that name a set whatever its order; the denominator is brought to lowest terms."""
    common = int(np.gcd.reduce(np.append(inner.w.ravel(), inner.den)))
    rows = np.concatenate([inner.W.reshape(-1, 9), inner.w % inner.den // common], axis=-1).astype(np.int32)
    return np.int64(inner.den // common).tobytes() + rows[np.lexsort(rows.T)].tobytes()


def _type_number(form: PrimitiveForm, name: str) -> int:
    """Space-group number of a primitive form."""
    P, G = compact_basis(form.W)
    inverse = exact.inverse_matrix(P)
    W = inverse @ form.W @ P
    w = (form.w @ inverse.T % form.den) / form.den
    return _ask_spglib(W, w, G, name)


def _ask_spglib(W: np.ndarray, w: np.ndarray, G: np.ndarray, name: str) -> int:
    """spglib's answer for one operation per rotation part, in a compact primitive basis with a compatible metric."""
    import spglib

    metric = G / np.linalg.det(G) ** (1 / 3)
    with without_notice():
        try:
            found = spglib.get_spacegroup_type_from_symmetry(
                W.astype(np.intc), w, lattice=np.linalg.cholesky(metric), symprec=1e-5
            )
        except Exception as error:  # its errors share no public base class in all versions
            raise SymjaxError(
                f"{name}: spglib could not name the closed set of {len(W)} operations ({error})"
            ) from error
    if found is None:
        raise SymjaxError(f"{name}: spglib could not name the closed set of {len(W)} operations")
    return int(found.number)


def compact_basis(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A unimodular P (columns) in which an invariant metric is reduced, and that metric (float64), of a point group.

    The sum over W of W^T W is an integral invariant metric; it is reduced exactly. Starting again from the new basis gives a
    metric that is close to isotropic whatever basis the set came in.
    """
    wide = np.abs(W).max() > _SAFE_ENTRY  # Python integers where int64 might overflow
    current, total = W.astype(object if wide else np.int64), np.eye(3, dtype=object)
    G = (np.swapaxes(current, 1, 2) @ current).sum(axis=0)
    for _ in range(8):
        P = reduce_metric(G)
        if (np.abs(P).sum(axis=0) == 1).all():
            break
        total = total @ P
        current = _inverse(P) @ current.astype(object) @ P
        current = current.astype(np.int64) if np.abs(current).max() < _SAFE_ENTRY else current
        G = (np.swapaxes(current, 1, 2) @ current).sum(axis=0)
    P = reduce_metric(G)
    if exact.determinant(P.astype(np.int64)) < 0:
        P = -P
    total = total @ P
    if round(float(np.linalg.det(total.astype(float)))) < 0:
        total = -total
    return total.astype(np.int64), (P.T @ G @ P).astype(float)


def _inverse(P: np.ndarray) -> np.ndarray:
    """Inverse of a unimodular matrix of Python integers."""
    cofactors = np.array(
        [
            [
                P[(i + 1) % 3][(j + 1) % 3] * P[(i + 2) % 3][(j + 2) % 3]
                - P[(i + 1) % 3][(j + 2) % 3] * P[(i + 2) % 3][(j + 1) % 3]
                for j in range(3)
            ]
            for i in range(3)
        ],
        dtype=object,
    )
    return cofactors.T * int((P[0] * cofactors[0]).sum())  # the determinant is its own inverse


def _setting(number: int, form: PrimitiveForm, inner: OpSet) -> Identified:
    """Finds the tabulated setting of a set of known type, up to an origin shift."""
    key = _key(inner)
    for hall in _halls(number):
        if _table(hall)[0] == key:
            return _identified(number, hall, "same", (0.0, 0.0, 0.0))
    for hall in _halls(number):
        shift = _origin_of(_table(hall)[1], form)
        if shift is not None:
            return _identified(number, hall, "origin", shift)
    return _identified(number, default_hall(number), "other", None)


@cache
def _halls(number: int) -> tuple[int, ...]:
    """Hall numbers of a type."""
    return tuple(hall for hall in range(1, NUM_SETTINGS + 1) if hall_to_number(hall) == number)


@cache
def _table(hall: int) -> tuple[bytes, PrimitiveForm]:
    """Key and primitive form of a tabulated setting."""
    opset = hall_setting(hall)
    return _key(opset), primitive_form(opset)


def _origin_of(table: PrimitiveForm, form: PrimitiveForm) -> tuple[float, float, float] | None:
    """Origin shift that turns a set into a tabulated setting of the same lattice, or None."""
    scale, table_scale = form.source_den, table.source_den
    if len(table.W) != len(form.W) or (table.columns * scale != form.columns * table_scale).any():
        return None
    rows = [table.index.get(W.tobytes(), -1) for W in form.W]
    if min(rows) < 0:
        return None
    den = int(np.lcm(form.den, table.den))
    difference = table.w[rows] * (den // table.den) - form.w * (den // form.den)
    solved = solve_origin(form.W, difference, den)
    if solved is None:
        return None
    p, unit = solved
    shift = form.columns @ p / (unit * scale) % 1.0
    return tuple(float(v) for v in shift)  # type: ignore[return-value]


def _identified(number: int, hall: int, setting: str, shift: tuple[float, float, float] | None) -> Identified:
    names = setting_symbols(hall)
    return Identified(
        number=number,
        hall_number=hall,
        symbol=setting_symbols(default_hall(number))["international"],
        hall_symbol=names["hall_symbol"],
        point_group=names["point_group"],
        setting=setting,
        origin_shift=shift,
    )


def identify_motions(W: Any, t: Any, *, tolerance: float = 1e-4, name: str = "the set of operations") -> int:
    """Space-group number of a set with real translations, as after a real origin shift.

    Args:
        W: (n, 3, 3) integers in the lattice basis.
        t: (n, 3) real translations in that basis, any representatives modulo 1.
        tolerance: how far a product may miss a member, per coordinate.

    Raises:
        NotAGroupError: the set does not close within the tolerance; names the first failing pair.
        SymjaxError: wrong shapes, or spglib cannot name the set.
    """
    snapped = _to_grid(np.asarray(W), np.asarray(t, float), tolerance, name)
    return identify(snapped, name=name).number


def _to_grid(W: np.ndarray, t: np.ndarray, tolerance: float, name: str) -> OpSet:
    """The exact set that is a real origin shift away from a closed real one.

    With the origin at p = mean over h of t_h (the centroid of the orbit of 0) the translation of g becomes
    t_g + W_g p - p = mean over h of (t_g + W_g t_h - t_gh), a mean of n lattice vectors: a multiple of 1/n.
    """
    if W.ndim != 3 or W.shape[1:] != (3, 3) or t.shape != (len(W), 3):
        raise SymjaxError(f"{name}: W (n, 3, 3) and t (n, 3) are needed, got {W.shape} and {t.shape}")
    if (W != np.rint(W)).any() or not np.isfinite(t).all():
        raise SymjaxError(f"{name}: rotation parts must be integers and translations finite")
    W = np.rint(W).astype(np.int64)
    _check_motions(W, t, tolerance, name)
    p = t.mean(axis=0)
    moved = t + np.einsum("nij,j->ni", W, p) - p
    den = len(W)
    grid = np.rint(moved * den)
    if np.abs(moved * den - grid).max() > 0.25:
        raise NotAGroupError(
            f"{name}: no origin brings the translations to multiples of 1/{den}; the set does not close"
        )
    mask = np.ones(len(W), bool)
    return OpSet(W=W.astype(np.int32), w=(grid % den).astype(np.int32), mask=mask, den=den)


def _check_motions(W: np.ndarray, t: np.ndarray, tolerance: float, name: str) -> None:
    """Raises unless all products are members within the tolerance."""
    products = exact.matmul(W[:, None], W[None])
    moved = exact.matvec(W[:, None].astype(float), t[None]) + t[:, None]
    for i in range(len(W)):
        same = (products[i][:, None] == W[None]).all(axis=(-1, -2))
        gap = moved[i][:, None] - t[None]
        near = (np.abs(gap - np.rint(gap)) <= tolerance).all(axis=-1)
        hits = (same & near).sum(axis=-1)
        if (hits != 1).any():
            j = int(np.flatnonzero(hits != 1)[0])
            raise NotAGroupError(
                f"{name} is not a group: operation {i} after operation {j} is {'no' if not hits[j] else 'more than one'} member "
                f"within {tolerance}"
            )
