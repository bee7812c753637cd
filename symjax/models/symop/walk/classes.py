r"""What stays the same when a set of operations is described by other axes or another origin: classes of operations (host, exact).

An operation (W, w) of a reference frame is conjugated by the symmetry group N of the frame's lattice together with every
shift of the origin: h (W, w) h^-1. What is invariant is W up to conjugation by the holohedry and, together with it, the
intrinsic (screw or glide) part of w modulo lattice translations; the location part can be shifted away. So an operation is
reduced to (W, T), with T = sum_{k<m} W^k (w + n) for the lattice vectors n that make it shortest (m the order of W; T/m is
the intrinsic translation, International Tables for Crystallography A, chapter 1.2), and its class is the smallest of all (h
W h^-1, h T) over the holohedry.

A pair (h, g) of operations is described by h and the quotient q = g h^-1, reduced and taken to the smallest image
*together*, so that the orientation of one towards the other stays (a glide along a two-fold axis or across it). Conjugating
both leaves it alone. `symjax.models.symop.walk.network` reads operations through these classes only: its logits are
therefore equivariant under N, with any weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.groups.tables import vocabulary
from symjax.lattice import FRAMES
from symjax.ops.types import DEN

_HARMONICS = (1, 2, 3, 4, 6)  # resolve intrinsic translations in 1/2, 1/3, 1/4 and 1/6
_SPAN = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), -1).reshape(-1, 3) * DEN
_LARGEST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class OperationClasses:
    """Classes of the v operations of the vocabulary and of their pairs.

    Attributes:
      single: (v,) int32 class of each operation.
      reduced: (v,) int32 its (W, T), and quotient: (v, v) int32 that of `g h^-1` at [g, h]; -1 for pairs of different frames.
      joint: (r, r) int32 class of the pair of (W, T) of h and of g h^-1; -1 where none occurs.
      operations: (c, 14) int64 what stands for each single class: frame, W, T and order; pairs: (p, 28) the same of h and g h^-1.
    """

    single: np.ndarray
    reduced: np.ndarray
    quotient: np.ndarray
    joint: np.ndarray
    operations: np.ndarray
    pairs: np.ndarray

    def of_pairs(self, rows: np.ndarray, members: np.ndarray) -> np.ndarray:
        """`(g, h)` joint classes of operations `rows (g,)` in view of `members (h,)`, of one frame."""
        return self.joint[self.reduced[members][None], self.quotient[rows[:, None], members[None]]]


@cache
def holohedry(frame: int) -> np.ndarray:
    """(48 or 24, 3, 3) int64: every integer matrix that is an isometry of a reference frame's lattice."""
    entries = np.stack(np.meshgrid(*[(-1, 0, 1)] * 9, indexing="ij"), -1).reshape(-1, 3, 3)
    metric = _metric(frame)
    kept = (np.swapaxes(entries, 1, 2) @ metric @ entries == metric).all((1, 2))
    return entries[kept].astype(np.int64)


def _metric(frame: int) -> np.ndarray:
    return np.rint(2 * FRAMES[frame].T @ FRAMES[frame]).astype(np.int64)


def _reduced(W: np.ndarray, w: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct reduced operations and the place of each operation among them.

    Args:
      W: (n, 3, 3) integers; w: (n, 3) integers in 24ths.
      frame: 0 or 1.

    Returns:
      (m, 14) int64 frame, W (9), the smallest of the shortest T (3), order; and (n,) rows.
    """
    W, w = W.astype(np.int64), np.mod(w, DEN).astype(np.int64)
    matrices, which = np.unique(W.reshape(-1, 9), axis=0, return_inverse=True)
    matrices, which = matrices.reshape(-1, 3, 3), which.ravel()
    total, order = np.zeros_like(matrices), np.zeros(len(matrices), np.int64)
    power = np.broadcast_to(np.eye(3, dtype=np.int64), matrices.shape)
    for i in range(1, 7):  # sum over the cyclic group of W
        total = total + np.where((order == 0)[:, None, None], power, 0)
        power = power @ matrices
        order = np.where((order == 0) & (power == np.eye(3)).all((-2, -1)), i, order)
    short = np.einsum("nij,nj->ni", total[which], w)
    code = which * 4096**3 + (short + 2048) @ np.array([4096**2, 4096, 1])
    _, index, back = np.unique(code, return_index=True, return_inverse=True)
    images = _shortest(matrices[which[index]], total[which[index]], short[index], frame)
    rows = np.concatenate(
        [np.full((len(index), 1), frame), matrices[which[index]].reshape(-1, 9), images, order[which[index], None]], 1
    )
    rows, again = np.unique(rows, axis=0, return_inverse=True)
    return rows, again.ravel()[back.ravel()]


def _code(T: np.ndarray) -> np.ndarray:
    """Integers that order vectors (..., 3) lexicographically."""
    return (T + 1024) @ np.array([2048**2, 2048, 1])


def _decode(code: np.ndarray) -> np.ndarray:
    return np.stack([code // 2048**2, code // 2048 % 2048, code % 2048], -1) - 1024


def _shortest(W: np.ndarray, total: np.ndarray, T: np.ndarray, frame: int) -> np.ndarray:
    """`(n, 3)` the first of the shortest T modulo lattice translations."""
    del W
    every = T[:, None] + np.einsum("nij,sj->nsi", total, _SPAN)
    length = np.einsum("nsi,ij,nsj->ns", every, _metric(frame), every)
    return _decode(np.where(length > length.min(1, keepdims=True), _LARGEST, _code(every)).min(1))


def _images(rows: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Each reduced operation under the whole holohedry: `(m, h)` integers that order its images, and `(m, h, 13)` W, T, order."""
    H = holohedry(frame)
    inverse = np.rint(np.linalg.inv(H)).astype(np.int64)
    W = rows[:, 1:10].reshape(-1, 3, 3)
    turned = np.einsum("hij,njk,hkl->nhil", H, W, inverse)
    total, order = np.zeros_like(turned), rows[:, 13]
    power = np.broadcast_to(np.eye(3, dtype=np.int64), turned.shape)
    for i in range(6):
        total = total + np.where((i < order)[:, None, None, None], power, 0)
        power = power @ turned
    T = np.einsum("hij,nj->nhi", H, rows[:, 10:13])
    flat = _shortest(W, total.reshape(-1, 3, 3), T.reshape(-1, 3), frame)
    whole = np.concatenate([turned.reshape(len(rows), len(H), 9), flat.reshape(len(rows), len(H), 3)], -1)
    distinct, rank = np.unique(whole.reshape(-1, 12), axis=0, return_inverse=True)
    del distinct
    return rank.reshape(len(rows), len(H)), whole


def features_of(classes: np.ndarray) -> np.ndarray:
    """`(c, f)` float32 features of `(c, 14)` reduced operations, as the network reads them."""
    frame, W, T, order = classes[:, :1], classes[:, 1:10], classes[:, 10:13], classes[:, 13:]
    intrinsic = T / order / DEN
    angle = 2 * np.pi * intrinsic[..., None] * _HARMONICS
    metric = FRAMES.transpose(0, 2, 1) @ FRAMES
    length = np.sqrt(np.einsum("ni,nij,nj->n", intrinsic, metric[frame[:, 0]], intrinsic))
    waves = [f(angle).reshape(len(classes), -1) for f in (np.cos, np.sin)]
    det = np.rint(np.linalg.det(W.reshape(-1, 3, 3)))
    kinds = np.eye(8)[(W[:, 0] + W[:, 4] + W[:, 8] + 3).astype(int)]
    columns = [frame, 1 - frame, W, *waves, length[:, None], det[:, None], kinds]
    return np.concatenate(columns, 1).astype(np.float32)


@cache
def operation_classes() -> OperationClasses:
    """Classes of the vocabulary's operations and of all pairs of them (built once per process, about a second)."""
    vocab = vocabulary()
    v = vocab.size
    reduced, quotient = np.zeros(v, np.int32), np.full((v, v), -1, np.int32)
    tables, singles, joints, single = [], [], [], np.zeros(v, np.int32)
    blocks = []
    for frame, (first, last) in enumerate(vocab.block):
        W, w = vocab.W[first:last].astype(np.int64), vocab.w[first:last].astype(np.int64)
        inverse = np.rint(np.linalg.inv(W)).astype(np.int64)
        rotations = np.einsum("gij,hjk->ghik", W, inverse)
        shift = w[:, None, :] - np.einsum("ghij,hj->ghi", rotations, w)  # w_g - W_g W_h^-1 w_h
        rows, where = _reduced(rotations.reshape(-1, 3, 3), shift.reshape(-1, 3), frame)
        where = where.reshape(last - first, last - first)
        own = where[:, vocab.identity[frame] - first]  # g e^-1 = g
        rank, whole = _images(rows, frame)
        # classes of single operations: the smallest image; of pairs: the smallest pair of images
        chosen = rank.argmin(1)
        least = np.concatenate([rows[:, :1], whole[np.arange(len(rows)), chosen], rows[:, 13:]], 1)
        label = np.unique(least, axis=0, return_inverse=True)[1].ravel()
        table, both = _joint(rows, rank, whole, np.stack([own[None].repeat(len(own), 0), where], -1).reshape(-1, 2))
        blocks.append((first, last, own, where, label, table))
        singles.append(np.unique(least, axis=0))
        joints.append(both)
        tables.append(len(rows))
    size = sum(tables)
    joint = np.full((size, size), -1, np.int32)
    at = classes = pairs = 0
    for (first, last, own, where, label, table), count, one, two in zip(blocks, tables, singles, joints, strict=True):
        reduced[first:last], quotient[first:last, first:last] = own + at, where + at
        single[first:last] = label[own] + classes
        joint[at : at + count, at : at + count] = np.where(table >= 0, table + pairs, -1)
        at, classes, pairs = at + count, classes + len(one), pairs + len(two)
    return OperationClasses(single, reduced, quotient, joint, np.concatenate(singles), np.concatenate(joints))


def _joint(rows: np.ndarray, rank: np.ndarray, whole: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the pairs (h, quotient) that occur, `(n, 2)` rows of reduced operations.

    Returns:
      (m, m) class or -1, and (p, 28) what stands for each class.
    """
    met = np.unique(pairs, axis=0)
    together = rank[met[:, 0]] * (int(rank.max()) + 1) + rank[met[:, 1]]
    at = together.argmin(1)
    smallest, index, label = np.unique(together.min(1), return_index=True, return_inverse=True)
    table = np.full((len(rows), len(rows)), -1, np.int32)
    table[met[:, 0], met[:, 1]] = label.ravel()
    both = []
    for column in (0, 1):
        row = met[index, column]
        image = np.concatenate([rows[row, :1], whole[row, at[index]], rows[row, 13:]], 1)
        both.append(image)
    assert len(smallest) == len(both[0])
    return table, np.concatenate(both, 1)
