"""Host side of the walk: classes of operation pairs, closure inside the vocabulary, random subgroup chains.

Everything here is numpy over the vocabulary of `symjax.groups.tables`; a set is a boolean row over its v operations.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np

from symjax.errors import DataError
from symjax.groups.tables import OperationVocabulary, vocabulary
from symjax.lattice import FRAMES
from symjax.ops.types import DEN

MAX_OPS = 192


@dataclass(frozen=True)
class PairClasses:
    """Invariant classes of operations: rotation kind and shortest intrinsic (screw, glide) translation.

    Attributes:
      single: (v,) int32 class of each operation of the vocabulary.
      pair: (v, v) int32 class of `g h^-1` at [g, h]; `num` - 1 for pairs of different frames.
      num: number of classes.
    """

    single: np.ndarray
    pair: np.ndarray
    num: int


def _invariants(W: np.ndarray, w: np.ndarray, A: np.ndarray) -> np.ndarray:
    """`(n, 3)` int64 (determinant, trace, 1000 x length of the shortest intrinsic translation modulo the lattice)."""
    W = W.astype(np.int64)
    det, trace = np.rint(np.linalg.det(W)).astype(np.int64), np.trace(W, axis1=-2, axis2=-1)
    power, total, order = W.copy(), np.zeros(W.shape), np.zeros(len(W), np.int64)
    for i in range(1, 7):  # mean over the cyclic group, the identity counted when the power reaches it
        total += np.where((order == 0)[:, None, None], power, 0)
        order = np.where((order == 0) & (power == np.eye(3)).all((-2, -1)), i, order)
        power = power @ W
    projector = total / order[:, None, None]
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    vectors = np.einsum("ij,njk,nsk->nsi", A, projector, w[:, None, :] / DEN + shifts)
    length = np.linalg.norm(vectors, axis=-1).min(-1)
    return np.stack([det, trace, np.rint(1000 * length).astype(np.int64)], -1)


@cache
def pair_classes() -> PairClasses:
    """Classes of all operations and of all quotients `g h^-1` (built once per process, about a second)."""
    vocab = vocabulary()
    v = vocab.size
    every, where = [], []
    for frame, (first, last) in enumerate(vocab.block):
        W, w = vocab.W[first:last].astype(np.int64), vocab.w[first:last].astype(np.int64)
        inverse = np.rint(np.linalg.inv(W)).astype(np.int64)
        rotations = np.einsum("gij,hjk->ghik", W, inverse)
        shift = np.mod(w[:, None, :] - np.einsum("ghij,hj->ghi", rotations, w), DEN)  # w_g - W_g W_h^-1 w_h
        code = np.concatenate([rotations.reshape(-1, 9) + 2, shift.reshape(-1, 3)], -1) @ (
            np.array([DEN**3 * 5**i for i in range(9)] + [1, DEN, DEN**2])
        )
        _, index, back = np.unique(code, return_index=True, return_inverse=True)
        every.append(_invariants(rotations.reshape(-1, 3, 3)[index], shift.reshape(-1, 3)[index], FRAMES[frame]))
        where.append(back.reshape(last - first, last - first))
    classes, label = np.unique(np.concatenate(every), axis=0, return_inverse=True)
    label = label.ravel()
    pair = np.full((v, v), len(classes), np.int32)
    offset = 0
    for (first, last), back, part in zip(vocab.block, where, every, strict=True):
        pair[first:last, first:last] = label[offset : offset + len(part)][back]
        offset += len(part)
    single = pair[np.arange(v), vocab.identity[vocab.frame]]  # g e^-1 = g
    return PairClasses(single=single.astype(np.int32), pair=pair, num=len(classes) + 1)


def close_members(members: np.ndarray, vocab: OperationVocabulary) -> np.ndarray | None:
    """The closure of a set inside the vocabulary.

    Args:
      members: (v,) bool.
      vocab: the vocabulary.

    Returns:
      (v,) bool, or None if the closure leaves the vocabulary or has more than 192 operations.
    """
    index = np.nonzero(members)[0]
    while True:
        reached = np.zeros(vocab.size + 1, bool)
        reached[vocab.product[np.ix_(index, index)]] = True
        reached[index] = True
        if reached[vocab.size] or reached.sum() > MAX_OPS:
            return None
        if reached.sum() == len(index):
            return reached[:-1]
        index = np.nonzero(reached)[0]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ChainBank:
    """Random subgroup chains {e} = H_0 < ... < H_n = G for s target sets.

    Attributes:
      packed: (u, v / 8) uint8 the distinct sets met, bits as `numpy.packbits`.
      chain: (s, c, k) int32 rows of `packed`; the target fills the slots past the end.
      length: (s, c) int32 number of sets in the chain, target included.
      frame: (s,) int32.
    """

    packed: np.ndarray
    chain: np.ndarray
    length: np.ndarray
    frame: np.ndarray


def build_chain_bank(indices: np.ndarray, *, num_chains: int, seed: int = 0) -> ChainBank:
    """Draw chains by adding uniformly random missing operations and closing.

    Args:
      indices: (s, n) vocabulary indices of each target's operations (v = padding).
      num_chains: chains per target.
      seed: of the host generator.

    Raises:
      DataError: a target is empty or not closed.
    """
    vocab = vocabulary()
    rows: list[np.ndarray] = []
    known: dict[bytes, int] = {}
    steps: dict[tuple[int, int], int] = {}

    def intern(members: np.ndarray) -> int:
        key = np.packbits(members).tobytes()
        if key not in known:
            known[key] = len(rows)
            rows.append(members)
        return known[key]

    chains: list[list[list[int]]] = []
    frames = np.zeros(len(indices), np.int32)
    for s, row in enumerate(indices):
        target = np.zeros(vocab.size, bool)
        target[row[row < vocab.size]] = True
        closed = close_members(target, vocab) if target.any() else None
        if closed is None or closed.sum() != target.sum():
            raise DataError(f"set {s} of the data is not a closed set of vocabulary operations; prepare the data again")
        frames[s] = vocab.frame[np.argmax(target)]
        start = np.zeros(vocab.size, bool)
        start[vocab.identity[frames[s]]] = True
        end, first = intern(target), intern(start)
        rng = np.random.default_rng(
            [seed, zlib.crc32(np.packbits(target).tobytes())]
        )  # one a set: others change nothing
        chains.append([])
        for _ in range(num_chains):
            chain = [first]
            while chain[-1] != end:
                g = int(rng.choice(np.nonzero(target & ~rows[chain[-1]])[0]))
                if (chain[-1], g) not in steps:
                    grown = rows[chain[-1]].copy()
                    grown[g] = True
                    found = close_members(grown, vocab)
                    assert found is not None  # it lies inside the closed target
                    steps[chain[-1], g] = intern(found)
                chain.append(steps[chain[-1], g])
            chains[-1].append(chain)
    length = np.array([[len(c) for c in group] for group in chains], np.int32).reshape(len(indices), num_chains)
    width = int(length.max(initial=1))
    table = np.array([[c + [c[-1]] * (width - len(c)) for c in group] for group in chains], np.int32)
    return ChainBank(packed=np.packbits(np.stack(rows), axis=-1), chain=table, length=length, frame=frames)
