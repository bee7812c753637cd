"""Wyckoff positions of any closed set of operations, from the operations alone.

Owns `WyckoffPositions` and `wyckoff_positions` (atoms are assigned in `symjax.wyckoff.orbits`). No table, no label, any
basis and origin; letters are a convention and do not come out of this.

For standard settings the result is packaged (it is asked for by almost everything); for all others it is worked out.

How: the points fixed by one operation (W, w) solve (W - I) x = -w modulo Z^3, that is finitely many points, lines or planes
of the torus (Smith normal form, exact integers). Intersections of planes give lines, intersections of lines and planes give
points, and every set of points with one stabilizer is such a flat. Each flat keeps its pointwise stabilizer; flats that
operations map on each other are one position. A flat is {x : Q x = c modulo Z^(3-dof)} with Q the primitive integer matrix
that annihilates its directions, so c modulo 1 names it and everything is compared exactly.

Units: coordinates are integers modulo N = 48 den inside; 48 suffices because a stabilizer has at most 48 elements and the
denominators of fixed points divide its order times den (cohomology of a finite group is killed by its order).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import numpy as np

from symjax.errors import NotAGroupError, SymjaxError
from symjax.groups.integer import Rows, as_rows, hermite, kernel, right_inverse, smith, solve_torus
from symjax.groups.packaged import arrays, rows_of
from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_number, standard_setting
from symjax.ops.types import DEN

_STABILIZER_BOUND = 48


@dataclass(frozen=True)
class WyckoffPositions:
    """The positions of one closed set of n operations; points are ``x0 + basis @ u``.

    Sorted by multiplicity, then dof, then x0 and basis; the general position is last.

    Attributes:
        stab: (p, n) bool, the operations that fix every point of the representative flat (modulo Z^3); op order of the set.
        x0: (p, 3) float64 in [0, 1).
        basis: (p, 3, 3) float64 holding integers: the first dof COLUMNS are a primitive basis of the integer vectors along
            the flat, the others 0. So u modulo 1 names the points of the flat once each.
        dof: (p,) int32 free parameters, 0 to 3.
        multiplicity: (p,) int32, n / |stabilizer|.
        images: (p, n) int32: the first `multiplicity` entries are the lowest operation index of each coset of the stabilizer,
            ascending (so entry 0 is the identity of a canonically ordered set), the rest -1. ``W[images] x + w[images]``
            are the atoms of an orbit, each once.
    """

    stab: np.ndarray
    x0: np.ndarray
    basis: np.ndarray
    dof: np.ndarray
    multiplicity: np.ndarray
    images: np.ndarray

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.dof)

    @cached_property
    def annihilator(self) -> np.ndarray:
        """(p, 3, 3) float64: the first 3 - dof ROWS Q annihilate the flat's directions; x lies on it iff Q (x - x0) is integral."""
        out = np.zeros((len(self), 3, 3))
        for p, dof in enumerate(self.dof):
            out[p, : 3 - dof] = _annihilator(as_rows(np.rint(self.basis[p, :, :dof].T).astype(np.int64)))
        return out

    @cached_property
    def completion(self) -> np.ndarray:
        """(p, 3, 3) float64 of determinant +-1: the basis columns, then integer columns X with Q X = I."""
        out = self.basis.copy()
        for p, dof in enumerate(self.dof):
            if dof < 3:
                rows = as_rows(self.annihilator[p, : 3 - dof].astype(np.int64))
                out[p, :, dof:] = right_inverse(rows)
        return out


def _annihilator(directions: Rows) -> np.ndarray:
    """Primitive rows (3 - f, 3), Hermite form, of the integer covectors that vanish on f directions given by rows."""
    return kernel(directions) if directions else np.eye(3, dtype=np.int64)


@dataclass(frozen=True)
class _Flats:
    """Flats of one dimension that share their directions: Q (3 - f, 3) and keys c (m, 3 - f) in units of 1/N."""

    directions: np.ndarray
    Q: np.ndarray
    c: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """(m, 3) one point of each flat in units of 1/N (not reduced)."""
        return self.c @ right_inverse(as_rows(self.Q)).T


class _Collector:
    """Collects flats by direction; duplicates are dropped when read."""

    def __init__(self, modulus: int):
        self.modulus = modulus
        self.keys: list[dict[Rows, list[np.ndarray]]] = [{}, {}, {}, {}]

    def add(self, directions: np.ndarray, points: np.ndarray) -> None:
        """Adds flats through points (m, 3) along directions (f, 3)."""
        if not len(points):
            return
        rows = as_rows(directions)
        c = points @ _annihilator(rows).T % self.modulus
        self.keys[len(directions)].setdefault(rows, []).append(c)

    def flats(self, dof: int) -> list[_Flats]:
        """The distinct flats of one dimension, by direction in a fixed order."""
        out = []
        for rows in sorted(self.keys[dof]):
            c = np.unique(np.concatenate(self.keys[dof][rows]), axis=0)
            directions = np.array(rows, np.int64).reshape(dof, 3)
            out.append(_Flats(directions, _annihilator(rows), c))
        return out


def _intersect(collector: _Collector, first: list[_Flats], second: list[_Flats]) -> None:
    """Adds the intersections of flats of different direction."""
    modulus = collector.modulus
    for a in first:
        for b in second:
            if a.Q.shape == b.Q.shape and (a.Q == b.Q).all():
                continue  # parallel: equal or disjoint
            rows = as_rows(np.concatenate([a.Q, b.Q]))
            if int((smith(rows)[1] != 0).sum()) == max(len(a.Q), len(b.Q)):
                continue  # a line parallel to a plane: inside it or disjoint
            m, k = len(a.c), len(b.c)
            c = np.concatenate([np.repeat(a.c, k, axis=0), np.tile(b.c, (m, 1))], axis=-1)
            directions, points, _ = solve_torus(rows, c, modulus)
            collector.add(directions, points)


def _all_flats(W: np.ndarray, w: np.ndarray, modulus: int) -> list[list[_Flats]]:
    """Every flat that is a component of the fixed points of some subset, by dimension 0 to 3."""
    collector = _Collector(modulus)
    rotations, which = np.unique(W.reshape(-1, 9), axis=0, return_inverse=True)
    for index, flat in enumerate(rotations):
        A = flat.reshape(3, 3) - np.eye(3, dtype=np.int64)
        if not A.any():
            continue
        directions, points, _ = solve_torus(as_rows(A), -w[which.ravel() == index], modulus)
        collector.add(directions, points)
    planes = collector.flats(2)
    for i, plane in enumerate(planes):
        _intersect(collector, [plane], planes[i + 1 :])
    lines = collector.flats(1)
    for i, line in enumerate(lines):
        _intersect(collector, [line], lines[i + 1 :])
    _intersect(collector, lines, planes)
    collector.add(np.eye(3, dtype=np.int64), np.zeros((1, 3), np.int64))
    return [collector.flats(dof) for dof in range(4)]


def _stabilizers(flats: _Flats, W: np.ndarray, w: np.ndarray, modulus: int) -> np.ndarray:
    """(m, n) bool: operations that fix every point of each flat."""
    keep = (
        ((W @ flats.directions.T - flats.directions.T) == 0).all(axis=(1, 2))
        if len(flats.directions)
        else np.ones(len(W), bool)
    )
    points = flats.points
    out = np.zeros((len(points), len(W)), bool)
    ops = np.flatnonzero(keep)
    moved = np.einsum("nij,mj->mni", W[ops] - np.eye(3, dtype=np.int64), points) + w[ops]
    out[:, ops] = (moved % modulus == 0).all(-1)
    return out


def _orbits_of_flats(group: list[_Flats], W: np.ndarray, w: np.ndarray, modulus: int) -> list[list[tuple[int, int]]]:
    """Classes of flats of one dimension under the operations, as (direction, key) indices."""
    dof = len(group[0].directions)
    by_direction = {as_rows(f.directions): i for i, f in enumerate(group)}
    index = [{tuple(c): j for j, c in enumerate(f.c.tolist())} for f in group]
    rotations, which = np.unique(W.reshape(-1, 9), axis=0, return_inverse=True)
    ops_of = [np.flatnonzero(which.ravel() == r) for r in range(len(rotations))]
    seen: set[tuple[int, int]] = set()
    classes = []
    for i, flats in enumerate(group):
        targets = []
        for r, rotation in enumerate(rotations):
            turned = as_rows(flats.directions @ rotation.reshape(3, 3).T)
            target = by_direction[as_rows(hermite(turned))] if dof else 0
            targets.append((target, rotation.reshape(3, 3), w[ops_of[r]]))
        for j, point in enumerate(flats.points):
            if (i, j) in seen:
                continue
            orbit: set[tuple[int, int]] = set()
            for target, rotation, shifts in targets:
                c = (rotation @ point + shifts) @ group[target].Q.T % modulus
                orbit.update((target, index[target][tuple(key)]) for key in c.tolist())
            seen |= orbit
            classes.append(sorted(orbit))
    return classes


def _nice_point(flats: _Flats, c: np.ndarray, modulus: int) -> tuple[Fraction, ...]:
    """A point of the flat in [0, 1)^3 with as many zero coordinates as possible, then the smallest."""
    start = [Fraction(int(v), modulus) for v in right_inverse(as_rows(flats.Q)) @ c]
    d = flats.directions
    candidates = [start]
    if len(d) == 1:
        for i in np.flatnonzero(d[0]):
            for m in range(abs(int(d[0, i]))):
                u = (m - start[i]) / int(d[0, i])
                candidates.append([s + u * int(v) for s, v in zip(start, d[0], strict=True)])
    elif len(d) == 2:
        normal, value = flats.Q[0], Fraction(int(c[0]), modulus)
        for i in np.flatnonzero(normal):
            for m in range(abs(int(normal[i]))):
                point = [Fraction(0)] * 3
                point[i] = (value + m) / int(normal[i])
                candidates.append(point)
    elif len(d) == 3:
        candidates = [[Fraction(0)] * 3]  # the whole cell
    reduced = [tuple(v % 1 for v in point) for point in candidates]
    return min(reduced, key=lambda p: (sum(v != 0 for v in p), sum(p), p))


def _basis_cost(directions: np.ndarray) -> tuple[int, int]:
    """Standard-looking directions first: few and small entries, few minus signs."""
    return int(np.abs(directions).sum()), int((directions < 0).sum())


def _coset_representatives(W: np.ndarray, w: np.ndarray, flats: _Flats, point: np.ndarray, modulus: int) -> np.ndarray:
    """Lowest operation index of each coset of the stabilizer: operations that move the flat's points alike."""
    moved = (W @ point + w) % modulus
    turned = (W @ flats.directions.T).reshape(len(W), -1)
    _, first = np.unique(np.concatenate([moved, turned], axis=-1), axis=0, return_index=True)
    return np.sort(first)


@cache
def _from_table(number: int) -> WyckoffPositions:
    """The positions of one standard setting, from wyckoff/positions.npz (scripts/make_positions.py).

    The file has a point and the directions of each position; which operations fix it and how it is moved follow here.
    """
    opset, table, rows = standard_setting(number), arrays("wyckoff/positions"), rows_of("wyckoff/positions", number)
    W, w, modulus = opset.W.astype(np.int64), opset.w.astype(np.int64), 2 * DEN
    x0, basis, dof = table["x0"][rows].astype(np.int64), table["basis"][rows].astype(np.int64), table["dof"][rows]
    moved = (np.einsum("nij,pj->pni", W, x0) + 2 * w) % modulus
    turned = np.einsum("nij,pjk->pnik", W, basis)
    stab = (moved == x0[:, None]).all(-1) & (turned == basis[:, None]).all((-1, -2))
    images = np.full(stab.shape, -1, np.int32)
    keys = np.concatenate([moved, turned.reshape(*stab.shape, 9)], -1)
    for i, key in enumerate(keys):
        first = np.sort(np.unique(key, axis=0, return_index=True)[1])
        images[i, : len(first)] = first
    out = WyckoffPositions(
        stab=stab,
        x0=x0 / modulus,
        basis=basis.astype(float),
        dof=dof.astype(np.int32),
        multiplicity=(len(W) // stab.sum(1)).astype(np.int32),
        images=images,
    )
    for array in (out.stab, out.x0, out.basis, out.dof, out.multiplicity, out.images):
        array.setflags(write=False)
    return out


def wyckoff_positions(opset: OpSet) -> WyckoffPositions:
    """Wyckoff positions of one closed set in any basis and origin (host, exact, deterministic).

    Args:
        opset: one set (n operations, any denominator). Padding is dropped; indices refer to the members in their order.

    Raises:
        SymjaxError: a batch was given, or the set does not close (found as a broken coset count or an image that is no flat).
    """
    mask = np.asarray(opset.mask)
    if mask.ndim != 1:
        raise SymjaxError(f"wyckoff_positions takes one set, got a batch of shape {mask.shape[:-1]}")
    number = standard_number(opset)
    return worked_out(opset) if number is None else _from_table(number)


def worked_out(opset: OpSet) -> WyckoffPositions:
    """`wyckoff_positions` without the table of standard settings."""
    mask = np.asarray(opset.mask)
    W = np.asarray(opset.W)[mask].astype(np.int64)
    scale = _STABILIZER_BOUND
    modulus = scale * opset.den
    w = np.asarray(opset.w)[mask].astype(np.int64) * scale
    rows: list[tuple[Any, ...]] = []
    try:
        for group in _all_flats(W, w, modulus):
            if group:
                rows += _positions_of_dimension(group, W, w, modulus)
    except (KeyError, ArithmeticError) as error:
        message = f"the set of {len(W)} operations is not closed: the image of a fixed flat is not one ({error})"
        raise NotAGroupError(message) from error
    rows.sort(key=lambda row: row[0])
    n, p = len(W), len(rows)
    out = WyckoffPositions(
        stab=np.zeros((p, n), bool),
        x0=np.zeros((p, 3)),
        basis=np.zeros((p, 3, 3)),
        dof=np.zeros(p, np.int32),
        multiplicity=np.zeros(p, np.int32),
        images=np.full((p, n), -1, np.int32),
    )
    for i, ((multiplicity, dof, *_), stab, x0, directions, images) in enumerate(rows):
        out.stab[i], out.x0[i], out.dof[i], out.multiplicity[i] = stab, x0, dof, multiplicity
        out.basis[i, :, :dof] = directions.T
        out.images[i, :multiplicity] = images
    return out


def _positions_of_dimension(group: list[_Flats], W: np.ndarray, w: np.ndarray, modulus: int) -> list[tuple[Any, ...]]:
    """Rows (sort key, stabilizer, x0, directions, images), one per class of flats of one dimension."""
    rows = []
    points = [f.points for f in group]
    for members in _orbits_of_flats(group, W, w, modulus):
        best = min(_basis_cost(group[i].directions) for i, _ in members)
        nice = [(i, j) for i, j in members if _basis_cost(group[i].directions) == best]
        ranked = [(_nice_point(group[i], group[i].c[j], modulus), as_rows(-group[i].directions), i, j) for i, j in nice]
        x0, _, i, j = min(ranked, key=lambda r: (sum(v != 0 for v in r[0]), sum(r[0]), r[0], r[1]))
        flats = _Flats(group[i].directions, group[i].Q, group[i].c[j : j + 1])
        stab = _stabilizers(flats, W, w, modulus)[0]
        images = _coset_representatives(W, w, flats, points[i][j], modulus)
        if len(images) * int(stab.sum()) != len(W):
            raise NotAGroupError(
                f"the set of {len(W)} operations is not closed: a point with {int(stab.sum())} stabilizing operations has "
                f"{len(images)} images"
            )
        dof = len(flats.directions)
        key = (len(images), dof, x0, as_rows(-flats.directions))
        rows.append((key, stab, np.array([float(v) for v in x0]), flats.directions, images))
    return rows
