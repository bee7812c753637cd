"""From sampled representatives to crystals: nearest site symmetry of the group, nearest point that has it, whole orbit.

Owns `ProjectionTables` (static, one row a space group), `project` (jax, jit-able) and `replicate` (host). Source: SymmCD
(Levy et al., arXiv 2502.03638), section 4.3 and appendix D.

How: a site symmetry is one of the distinct S of the group's Wyckoff positions; the one with the largest summed log-probability is
taken (`hamming_log_prob` of a sample makes that the nearest by Hamming distance, as published). Every copy of every position with
that S is a flat t + span; over all copies and the 27 lattice shifts about it, the nearest point in the crystal's metric is taken.
The orbit is made by the operations of the GENERAL position. The published code applies a position's own operations to a point that
may lie on another copy than its first, which misreads a third of the sites with one free coordinate and 40 % of those with two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from symjax.crystals.types import Crystal
from symjax.errors import InputError
from symjax.groups.integer import as_rows, hermite, kernel
from symjax.groups.tables import NUM_TYPES, standard_setting
from symjax.ops import exact
from symjax.ops.types import DEN
from symjax.wyckoff.positions import WyckoffPositions
from symjax.wyckoff.set_table import SetTable, build_set_table
from symjax.wyckoff.types import type_positions

Array = Any  # numpy or jax array

NUM_CLASSES = 13
MERGE_DISTANCE = 0.01
"""Atoms nearer than this, angstrom, coincide: such a crystal is refused."""
_UNIT = 48 * DEN  # denominators of fixed points divide it
_TIE = 1e-4  # log-probabilities this near are equal
_SHIFTS = np.array(list(itertools.product((0, 1, -1), repeat=3)))


@flax.struct.dataclass
class ProjectionTables:
    """Flats of the space groups asked for, stacked and padded (r rows, p positions, f flats of all positions).

    Attributes:
        row: (231,) int32 row of each space-group number, -1 where it was not asked for.
        site: (r, p, 15) int8 site-symmetry classes of each position, in the order of `wyckoff_positions`.
        pos_mask: (r, p) bool.
        dof: (r, p) int32 free coordinates.
        flat_pos: (r, f) int32 position of each flat, -1 where padded.
        flat_op: (r, f) int32 operation of the standard setting that takes the position's representative flat to this one.
        point: (r, f, 3) float64 a point t of each flat.
        vector: (r, f, 3) float64 integers: direction of a line, normal (covector) of a plane, else 0.
    """

    row: Array
    site: Array
    pos_mask: Array
    dof: Array
    flat_pos: Array
    flat_op: Array
    point: Array
    vector: Array


class Projected(NamedTuple):
    """Result for (..., m) orbits.

    Attributes:
        pos: (..., m) int32 position (index into the group's `wyckoff_positions`), -1 where padded.
        flat: (..., m) int32 flat of the group's row of the tables.
        x: (..., m, 3) the projected representative, in [0, 1).
        moved: (..., m) distance it was moved, angstrom.
        site_cost: (..., m) log-probability lost against the best class of each direction alone (number of differing directions
            with `hamming_log_prob`).
    """

    pos: Array
    flat: Array
    x: Array
    moved: Array
    site_cost: Array


@dataclass(frozen=True)
class Replicated:
    """Crystals of one batch; None where there is none, with the reason.

    Attributes:
        crystals: standard setting's operations, lattice, orbits on the representative flats with their stabilizers.
        reasons: "" for a crystal, else why there is none.
    """

    crystals: list[Crystal | None]
    reasons: list[str]

    @property
    def failures(self) -> dict[str, int]:
        """Reason -> how often."""
        found = [reason for reason in self.reasons if reason]
        return {reason: found.count(reason) for reason in sorted(set(found))}


@cache
def _group(number: int) -> SetTable:
    """Operations and positions of a standard setting as a table of one set."""
    return build_set_table([standard_setting(number)])


@cache
def _coordinates(number: int) -> np.ndarray:
    """(p, 3, 3) inverse of each position's completed basis: the first dof of C^-1 (x - x0) are the coordinates on its flat."""
    t = _group(number)
    positions = WyckoffPositions(
        stab=t.pos_stab[0],
        x0=t.pos_x0[0],
        basis=t.pos_basis[0],
        dof=t.pos_dof[0],
        multiplicity=t.pos_mult[0],
        images=t.pos_images[0],
    )
    return np.linalg.inv(positions.completion)


@cache
def _flats(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """flat_pos, flat_op (f,), point, vector (f, 3) of one group: every distinct copy of every position, exactly."""
    table = _group(number)
    W, w = np.asarray(table.W[0], np.int64), np.asarray(table.w[0], np.int64) * (_UNIT // DEN)
    rows = []
    for p in range(table.pos_mask.shape[1]):
        dof = int(table.pos_dof[0, p])
        x0 = np.rint(table.pos_x0[0, p] * _UNIT).astype(np.int64)
        directions = np.rint(table.pos_basis[0, p, :, :dof].T).astype(np.int64)
        seen = set()
        for g in table.pos_images[0, p, : table.pos_mult[0, p]].tolist():
            turned = as_rows(hermite(as_rows(directions @ W[g].T))) if dof else ()
            Q, point = kernel(turned) if dof else np.eye(3, dtype=np.int64), (W[g] @ x0 + w[g]) % _UNIT
            key = (turned, tuple((Q @ point % _UNIT).tolist()))
            if key not in seen:
                seen.add(key)
                vector = np.array(turned[0]) if dof == 1 else Q[0] if dof == 2 else np.zeros(3, np.int64)
                rows.append((p, g, point / _UNIT, vector))
    pos, op, point, vector = zip(*rows, strict=True)
    return np.array(pos, np.int32), np.array(op, np.int32), np.array(point), np.array(vector, float)


def projection_tables(numbers: Iterable[int]) -> ProjectionTables:
    """Tables of these space groups (host; a group costs about 20 ms the first time).

    Rows, positions and flats are padded to powers of two, so that other groups seldom need another program.

    Raises:
        InputError: no numbers, or one that is no space group.
    """
    wanted = sorted({int(n) for n in numbers})
    if not wanted or not 1 <= wanted[0] <= wanted[-1] <= NUM_TYPES:
        raise InputError(f"projection tables need space-group numbers from 1 to {NUM_TYPES}, got {wanted[:5]}")
    flats, known = [_flats(n) for n in wanted], type_positions()
    power = lambda n: 1 << (int(n) - 1).bit_length()
    r, f = power(len(wanted)), power(max(len(one[0]) for one in flats))
    p = min(power(known.mask[wanted].sum(axis=1).max()), known.mask.shape[1])
    padded = np.resize(wanted, r)  # rows beyond the wanted ones are never looked up
    out = ProjectionTables(
        row=np.full(NUM_TYPES + 1, -1, np.int32),
        site=known.site[padded, :p],
        pos_mask=known.mask[padded, :p],
        dof=known.dof[padded, :p],
        flat_pos=np.full((r, f), -1, np.int32),
        flat_op=np.zeros((r, f), np.int32),
        point=np.zeros((r, f, 3)),
        vector=np.zeros((r, f, 3)),
    )
    for i, (number, (pos, op, point, vector)) in enumerate(zip(wanted, flats, strict=True)):
        out.row[number] = i
        out.flat_pos[i, : len(pos)], out.flat_op[i, : len(pos)] = pos, op
        out.point[i, : len(pos)], out.vector[i, : len(pos)] = point, vector
    return out


def hamming_log_prob(site: Array) -> Array:
    """Scores (..., 15, 13) of sampled classes (..., 15): 0 for the class itself, -1 for any other (the published match)."""
    return (jnp.arange(NUM_CLASSES) == jnp.asarray(site)[..., None]).astype(float) - 1.0


def nearest_point(
    tables: ProjectionTables, number: Array, L: Array, x: Array, *, allowed: Array
) -> tuple[Array, Array, Array]:
    """The nearest point to x on the flats of the positions allowed, in the metric of L.

    Args:
        tables: of all groups that occur.
        number: () space-group number.
        L: (3, 3) lattice rows; the identity for distances in fractional coordinates.
        x: (3,) fractional coordinates.
        allowed: (p,) bool positions.

    Returns:
        flat () int32, the point (3,) not wrapped, and its distance () from x (or a lattice image of it), angstrom.
    """
    row = jnp.asarray(tables.row)[number]
    pos, t, v = (jnp.asarray(a)[row] for a in (tables.flat_pos, tables.point, tables.vector))
    t, v, L = t.astype(x.dtype), v.astype(x.dtype), L.astype(x.dtype)
    dof = jnp.asarray(tables.dof)[row][pos]
    G = L @ L.T
    base = x - t
    # (f, 27, 3) from the point of each shifted flat to x
    delta = (base - jnp.round(base))[:, None, :] - jnp.asarray(_SHIFTS, x.dtype)
    off = _off_flat(delta, dof[:, None], v[:, None, :], G)
    square = jnp.sum(off * (off @ G), axis=-1)
    square = jnp.where(((pos >= 0) & allowed[pos])[:, None], square, jnp.inf)
    best = jnp.argmin(square.ravel())
    flat = best // len(_SHIFTS)
    return flat.astype(jnp.int32), x - off.reshape(-1, 3)[best], jnp.sqrt(jnp.maximum(square.ravel()[best], 0.0))


def _off_flat(delta: Array, dof: Array, v: Array, G: Array) -> Array:
    """The part (..., 3) of vectors delta (..., 3) that is orthogonal to a flat by the metric G; numpy or jax.

    dof (...) 0 to 3; v (..., 3) direction of a line (dof 1) or covector of a plane (dof 2).
    """
    xp = np if isinstance(delta, np.ndarray) else jnp
    is_line, is_plane = (dof == 1)[..., None], (dof == 2)[..., None]
    raised = v @ xp.linalg.inv(G)  # normal vector of the plane
    lowered = v @ G
    safe = lambda a: xp.where(a == 0, 1.0, a)
    along = v * (xp.sum(delta * lowered, axis=-1) / safe(xp.sum(v * lowered, axis=-1)))[..., None]
    across = raised * (xp.sum(delta * v, axis=-1) / safe(xp.sum(v * raised, axis=-1)))[..., None]
    return xp.where(is_line, delta - along, xp.where(is_plane, across, xp.where((dof == 3)[..., None], 0.0, delta)))


def project(
    tables: ProjectionTables,
    number: Array,
    L: Array,
    x: Array,
    *,
    site_log_prob: Array,
    mask: Array,
    distinct: bool = True,
) -> Projected:
    """Nearest valid site symmetries and points; jit-able, static in the shapes and `distinct`.

    Args:
        tables: of all groups that occur.
        number: (b,) space-group numbers.
        L: (b, 3, 3) lattice rows, angstrom.
        x: (b, m, 3) sampled fractional coordinates.
        site_log_prob: (b, m, 15, 13) log-probabilities of the classes, or `hamming_log_prob` of a sample.
        mask: (b, m).
        distinct: two orbits never share a position without free coordinates: the later one takes its next best. False is as
            published.
    """

    def one_crystal(number: Array, L: Array, x: Array, scores: Array, mask: Array) -> Projected:
        row = jnp.asarray(tables.row)[number]
        site, valid = jnp.asarray(tables.site)[row].astype(jnp.int32), jnp.asarray(tables.pos_mask)[row]
        fixed = jnp.asarray(tables.dof)[row] == 0
        flat_pos = jnp.asarray(tables.flat_pos)[row]

        def one_orbit(used: Array, orbit: tuple[Array, Array, Array]) -> tuple[Array, Projected]:
            x, scores, real = orbit
            total = jnp.take_along_axis(scores[None], site[..., None], axis=-1)[..., 0].sum(axis=-1)  # (p,)
            total = jnp.where(valid & ~(used & distinct), total, -jnp.inf)
            allowed = (total >= total.max() - _TIE) & jnp.isfinite(total)
            flat, point, moved = nearest_point(tables, number, L, x, allowed=allowed)
            pos = flat_pos[flat]
            used = used | ((jnp.arange(len(fixed)) == pos) & fixed & real)
            wrapped = point - jnp.floor(point)
            wrapped = jnp.where(wrapped >= 1.0, 0.0, wrapped)  # a tiny negative number plus one
            cost = scores.max(axis=-1).sum() - total.max()
            keep = lambda a, empty: jnp.where(real, a, empty)
            return used, Projected(keep(pos, -1), keep(flat, -1), keep(wrapped, 0.0), keep(moved, 0.0), keep(cost, 0.0))

        return jax.lax.scan(one_orbit, jnp.zeros(len(fixed), bool), (x, scores, mask))[1]

    as_float = lambda a: jnp.asarray(a, jnp.result_type(float))
    return jax.vmap(one_crystal)(
        jnp.asarray(number), as_float(L), as_float(x), as_float(site_log_prob), jnp.asarray(mask)
    )


def replicate(number: Any, L: Any, z: Any, projected: Projected, *, mask: Any) -> Replicated:
    """The crystals of a batch (host, float64): every orbit exactly on its position.

    Args:
        number: (b,) space-group numbers.
        L: (b, 3, 3) lattice rows, angstrom, compatible with the groups (masked coefficients).
        z: (b, m) atomic numbers.
        projected: of `project`, (b, m).
        mask: (b, m).

    A crystal is refused, with the reason, when its lattice or coordinates are not finite or two atoms coincide (an orbit that fell
    onto a more special position, or two orbits on one).
    """
    number, L, z, mask = np.asarray(number), np.asarray(L, float), np.asarray(z), np.asarray(mask, bool)
    flat, x = np.asarray(projected.flat), np.asarray(projected.x, float)
    crystals: list[Crystal | None] = []
    reasons = []
    for i in range(len(number)):
        reason = _refuse(L[i], x[i][mask[i]])
        crystal = None if reason else _crystal(int(number[i]), L[i], z[i][mask[i]], flat[i][mask[i]], x[i][mask[i]])
        reason = reason or ("coinciding atoms" if _coincide(crystal) else "")
        crystals.append(None if reason else crystal)
        reasons.append(reason)
    return Replicated(crystals, reasons)


def _refuse(L: np.ndarray, x: np.ndarray) -> str:
    """Why there is no crystal to make, or nothing."""
    if not len(x):
        return "no orbits"
    if not np.isfinite(L).all() or not np.isfinite(x).all():
        return "not finite"
    return "" if np.linalg.det(L) > 1e-3 else "a cell without volume"


def _crystal(number: int, L: np.ndarray, z: np.ndarray, flat: np.ndarray, x: np.ndarray) -> Crystal:
    """One crystal; points are moved back to the representative flat by the operation of their copy, and lie on it exactly."""
    table = _group(number)
    pos, op = (a[flat] for a in _flats(number)[:2])
    W, w = np.asarray(table.W[0], np.int64)[op], np.asarray(table.w[0])[op] / DEN
    back = (exact.inverse_matrix(W) * (x - w)[:, None, :]).sum(axis=-1)
    x0 = table.pos_x0[0, pos]
    u = np.mod((_coordinates(number)[pos] * (back - x0)[:, None, :]).sum(axis=-1), 1.0)
    u[u > 1 - 1e-12] = 0.0
    u[np.arange(3) >= table.pos_dof[0, pos][:, None]] = 0.0  # off the flat: integers to rounding
    points = np.mod(x0 + (table.pos_basis[0, pos] * u[:, None, :]).sum(axis=-1), 1.0)
    return Crystal(W=table.W[0], w=table.w[0], L=L, z=z, x=points, stab=table.pos_stab[0, pos], den=DEN)


def _coincide(crystal: Crystal | None) -> bool:
    """Whether two atoms of the cell are nearer than `MERGE_DISTANCE`."""
    if crystal is None:
        return False
    images = crystal.x @ np.swapaxes(crystal.W, 1, 2).astype(float) + (crystal.w / crystal.den)[:, None, :]  # (n, m, 3)
    delta = images[:, :, None, :] - crystal.x[None, None]
    delta -= np.rint(delta)
    near = np.linalg.norm(delta @ crystal.L, axis=-1) < MERGE_DISTANCE  # (n, m, m)
    own = np.eye(len(crystal.z), dtype=bool)[None] & crystal.stab.T[:, :, None]
    return bool((near & ~own).any())
