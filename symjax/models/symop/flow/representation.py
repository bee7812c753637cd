"""Crystals as sets of affine operations in a reduced primitive basis: what the operation flow reads and writes.

Owns the Niggli cell (host, many lattices at once), the lattice coordinates k, the relabellings of a basis, the alphabet of rotation
parts, and the arrays of a data set. Columns A of the basis are scaled to unit volume and split A = U S (polar); S = exp(sum_i
k_i B_i) with five traceless symmetric B_i, so k does not know how the crystal stands. A set is taken modulo its own
translations: one operation (W, w) for each rotation part, W integral in the basis, w in 24ths; R = S W S^-1 is the rotation in
the frame U.

No table of groups, no setting, no frame and no number enters: the alphabet is every integer matrix with entries -1, 0, 1 and finite
order, and the basis comes from the lattice alone.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import DataError
from symjax.groups.primitive import primitive_form
from symjax.groups.sets import OpSet
from symjax.lattice import K_BASIS
from symjax.models.symop.species import MAX_ORBITS, canonical_slots
from symjax.ops import exact
from symjax.ops.types import DEN

Array = Any
ORDERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
"""Orders of the crystallographic point groups."""
SIZES = (8, 16, 48)
"""Padded sizes of sets: one compiled program each."""
_EPSILON = 1e-5  # two lengths of a unit-volume cell that differ less are equal
_ROUNDS = 400


def niggli(G: np.ndarray) -> np.ndarray:
    """Niggli cells of many lattices.

    Source: Krivy and Gruber, Acta Cryst. A32, 297 (1976); comparisons with a tolerance as in Grosse-Kunstleve et al., Acta Cryst.
    A60, 1 (2004).

    Args:
        G: (c, 3, 3) metrics, scaled to determinant one here.

    Returns:
        (c, 3, 3) int64 P of determinant 1: the reduced vectors as columns in the given basis.

    Raises:
        DataError: a lattice does not reduce (its metric is not positive definite).
    """
    G = G / np.cbrt(np.linalg.det(G))[:, None, None]
    P = np.broadcast_to(np.eye(3, dtype=np.int64), G.shape).copy()
    live = np.arange(len(G))
    for _ in range(_ROUNDS):
        step, changed = _niggli_step(np.swapaxes(P[live], 1, 2) @ G[live] @ P[live])
        live, step = live[changed], step[changed]
        if not len(live):
            return P
        P[live] = P[live] @ step
    raise DataError(f"lattice {int(live[0])} does not reduce; its vectors must be finite and span a volume")


def _niggli_step(G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first rule that applies to each metric, as a matrix (c, 3, 3) int64, and whether one does (c,)."""
    A, B, C = G[:, 0, 0], G[:, 1, 1], G[:, 2, 2]
    x, y, z = 2 * G[:, 1, 2], 2 * G[:, 0, 2], 2 * G[:, 0, 1]
    less, more, same = (
        lambda a, b: a < b - _EPSILON,
        lambda a, b: a > b + _EPSILON,
        lambda a, b: np.abs(a - b) <= _EPSILON,
    )
    c, total = len(G), x + y + z + A + B
    sign = np.sign(np.where(np.abs(np.stack([x, y, z], 1)) <= _EPSILON, 0.0, np.stack([x, y, z], 1))).astype(np.int64)
    steps = np.broadcast_to(np.eye(3, dtype=np.int64), (8, c, 3, 3)).copy()
    steps[0], steps[1] = -np.eye(3, dtype=np.int64)[[1, 0, 2]], -np.eye(3, dtype=np.int64)[[0, 2, 1]]
    flips = _sign_flips(sign)
    steps[2][:, range(3), range(3)] = flips
    steps[3, :, 1, 2], steps[4, :, 0, 2], steps[5, :, 0, 1] = (-np.where(v > 0, 1, -1) for v in (x, y, z))
    steps[6, :, 0, 2] = steps[6, :, 1, 2] = 1
    applies = np.stack(
        [
            more(A, B) | (same(A, B) & more(np.abs(x), np.abs(y))),
            more(B, C) | (same(B, C) & more(np.abs(y), np.abs(z))),
            (flips < 0).any(1),
            more(np.abs(x), B) | (same(x, B) & less(2 * y, z)) | (same(x, -B) & less(z, 0)),
            more(np.abs(y), A) | (same(y, A) & less(2 * x, z)) | (same(y, -A) & less(z, 0)),
            more(np.abs(z), A) | (same(z, A) & less(2 * x, y)) | (same(z, -A) & less(y, 0)),
            less(total, 0) | (same(total, 0) & more(2 * (A + y) + z, 0)),
            np.ones(c, bool),
        ]
    )
    first = applies.argmax(0)
    return steps[first, np.arange(c)], first < 7


def _sign_flips(sign: np.ndarray) -> np.ndarray:
    """(c, 3) signs of the vectors that make all angles acute, or none acute; their product is one."""
    acute = sign.prod(1) == 1
    flip = np.where(sign == 1, -1, 1)
    free = np.where((sign == 0).any(1), 2 - (sign == 0)[:, ::-1].argmax(1), -1)
    odd = (flip.prod(1) == -1) & (free >= 0)
    flip[np.flatnonzero(odd), free[odd]] *= -1
    return np.where(acute[:, None], sign, flip)


def lattice_coordinates(G: np.ndarray) -> np.ndarray:
    """(c, 5) k of metrics (c, 3, 3): components of log S = log(G) / 2 without the volume."""
    values, vectors = np.linalg.eigh(G)
    log = 0.5 * (vectors * np.log(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.einsum("cij,kij->ck", log, K_BASIS[:5])


@cache
def relabellings() -> tuple[np.ndarray, np.ndarray]:
    """The 24 proper signed permutations of basis vectors and how they act on k.

    Returns:
        Q (24, 3, 3) int32 of determinant 1, the identity first, and D (24, 5, 5) float64: with the basis A Q the coordinates of the
        lattice are D k, those of an operation (Q^T W Q, Q^T w). Improper ones would turn a type into its mirror image.
    """
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            Q = np.eye(3, dtype=np.int64)[list(order)] * np.array(signs)[:, None]
            if round(float(np.linalg.det(Q))) == 1:
                found.append(Q)
    Q = np.array(sorted(found, key=lambda q: -np.trace(q)))
    turned = np.swapaxes(Q, 1, 2)[:, None] @ K_BASIS[None, :5] @ Q[:, None]
    return Q.astype(np.int32), np.einsum("aij,qbij->qab", K_BASIS[:5], turned)


@cache
def proper_alphabet() -> np.ndarray:
    """(a, 3, 3) int32 every integer matrix with entries -1, 0, 1, determinant 1 and finite order, the identity first.

    In three dimensions the order is finite exactly if it is 1, 2, 3, 4 or 6. With their negatives: all rotation parts that occur in
    Niggli bases.
    """
    W = np.array(list(itertools.product((-1, 0, 1), repeat=9)), np.int64).reshape(-1, 3, 3)
    W = W[exact.determinant(W) == 1]
    one = np.eye(3, dtype=np.int64)
    power, finite = W, (W == one).all((1, 2))
    for order in range(2, 7):
        power = power @ W
        if order != 5:
            finite |= (power == one).all((1, 2))
    W = W[finite]
    return W[np.argsort(~(W == one).all((1, 2)), kind="stable")].astype(np.int32)


def reduced_sets(data: CrystalDataset) -> dict[str, np.ndarray]:
    """The set of each crystal in its Niggli basis.

    Returns:
        order (c,) operations modulo translations; k (c, 5); group (c,) int32 into W (g, 48, 3, 3) int8 and w (g, 48, 3) int8 in
        24ths, the distinct pairs of set and basis, padded with identities; z (c, MAX_ORBITS) atomic numbers, one for each orbit.

    Raises:
        DataError: a crystal with too many orbits, a rotation part with entries beyond one (no Niggli cell), translations not in
        24ths.
    """
    counts = data.num_orbits
    if len(counts) and counts.max() > MAX_ORBITS:
        row = int(np.argmax(counts))
        raise DataError(f"crystal {data.ids[row]} (row {data.row[row]}) has {counts[row]} orbits; at most {MAX_ORBITS}")
    L = data.lattices()
    primitive = np.tile(np.eye(3), (len(data), 1, 1))
    forms = {}
    for index in np.unique(data.set_index):
        forms[index] = primitive_form(data.sets.opset(int(index)))
        primitive[data.set_index == index] = forms[index].columns / forms[index].source_den
    metric = np.swapaxes(primitive, 1, 2) @ (L @ np.swapaxes(L, 1, 2)) @ primitive
    P = niggli(metric)
    metric = np.swapaxes(P, 1, 2) @ metric @ P
    keys = np.concatenate([data.set_index[:, None], P.reshape(-1, 9)], 1)
    distinct, group = np.unique(keys, axis=0, return_inverse=True)
    W, w, order = _reduced_groups(distinct, forms)
    slots = np.arange(MAX_ORBITS) < counts[:, None]
    at = np.where(slots, data.orbit_start[:-1, None] + np.arange(MAX_ORBITS), 0)
    z = np.where(slots, data.orbit_z[at], 0).astype(np.int32)
    group = group.reshape(-1).astype(np.int32)
    return {
        "order": order[group],
        "k": lattice_coordinates(metric).astype(np.float32),
        "group": group,
        "W": W,
        "w": w,
        "z": canonical_slots(z, np.zeros_like(z))[0],
    }


def _reduced_groups(distinct: np.ndarray, forms: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(W, w, order) of rows (set, basis matrix)."""
    W = np.broadcast_to(np.eye(3, dtype=np.int8), (len(distinct), 48, 3, 3)).copy()
    w, order = np.zeros((len(distinct), 48, 3), np.int8), np.zeros(len(distinct), np.int32)
    for i, row in enumerate(distinct):
        form, P = forms[row[0]], row[1:].reshape(3, 3)
        inverse = exact.inverse_matrix(P)
        turned, moved = inverse @ form.W @ P, form.w @ inverse.T * DEN
        if np.abs(turned).max() > 1 or (moved % form.den).any():
            raise DataError(f"set {int(row[0])}: its operations in the Niggli basis leave -1, 0, 1 or 24ths")
        order[i] = len(turned)
        W[i, : len(turned)], w[i, : len(turned)] = turned, moved // form.den % DEN
    return W, w, order


def opset_of(W: np.ndarray, w: np.ndarray) -> OpSet:
    """An `OpSet` of operations modulo the lattice, the identity first."""
    first = np.argsort(~(W == np.eye(3, dtype=W.dtype)).all((1, 2)), kind="stable")
    return OpSet(W=W[first].astype(np.int32), w=(w[first] % DEN).astype(np.int32), mask=np.ones(len(W), bool), den=DEN)
