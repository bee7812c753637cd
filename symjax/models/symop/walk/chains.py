"""Host side of the walk: closure inside the vocabulary, and random subgroup chains to train on.

Everything here is numpy over the vocabulary of `symjax.groups.tables`; a set is a boolean row over its v operations. The
start of a walk, the identity alone, stands as both frames' identities, since no frame is settled yet.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import jax
import numpy as np

from symjax.errors import DataError
from symjax.groups.tables import OperationVocabulary, vocabulary
from symjax.models.symop.walk.contexts import NUM_CONTEXTS, Contexts, contexts_of

MAX_OPS = 192


def start_set() -> np.ndarray:
    """(v,) bool the identity alone, no frame settled."""
    vocab = vocabulary()
    row = np.zeros(vocab.size, bool)
    row[vocab.identity] = True
    return row


def opened(members: np.ndarray) -> np.ndarray:
    """(s, v) bool sets of which those that are one frame's identity alone hold both: as the walk knows them."""
    vocab = vocabulary()
    result = np.array(members, bool)
    alone = (result.sum(-1) == 1) & result[:, vocab.identity].any(-1)
    result[alone] = start_set()
    return result


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
      contexts: of these u sets.
      chain: (s, c, k) int32 rows of `packed`; the target fills the slots past the end.
      length: (s, c) int32 number of sets in the chain, target included.
      missing: (s, c, k, t) uint8 operations of G outside H_k in each context of H_k.
    """

    packed: np.ndarray
    contexts: Contexts
    chain: np.ndarray
    length: np.ndarray
    missing: np.ndarray


def build_chain_bank(targets: np.ndarray, *, num_chains: int, seed: int = 0) -> ChainBank:
    """Draw chains by adding uniformly random missing operations and closing.

    Args:
      targets: (s, v) bool the target sets.
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
    first, targets = intern(start_set()), opened(targets)
    for s, target in enumerate(targets):
        frame = vocab.frame[np.argmax(target)] if target.any() else 0
        whole = target & (vocab.frame == frame)
        closed = close_members(whole, vocab) if target.any() else None
        if closed is None or closed.sum() != whole.sum():
            raise DataError(f"set {s} of the data is not a closed set of vocabulary operations; prepare the data again")
        end = intern(target)
        rng = np.random.default_rng(
            [seed, zlib.crc32(np.packbits(target).tobytes())]
        )  # one a set: others change nothing
        chains.append([])
        for _ in range(num_chains):
            chain = [first]
            while chain[-1] != end:
                g = int(rng.choice(np.nonzero(target & ~rows[chain[-1]])[0]))
                if (chain[-1], g) not in steps:
                    grown = rows[chain[-1]] & (vocab.frame == frame)
                    grown[g] = True
                    found = close_members(grown, vocab)
                    assert found is not None  # it lies inside the closed target
                    steps[chain[-1], g] = intern(found)
                chain.append(steps[chain[-1], g])
            chains[-1].append(chain)
    length = np.array([[len(c) for c in group] for group in chains], np.int32).reshape(len(targets), num_chains)
    width = int(length.max(initial=1))
    table = np.array([[c + [c[-1]] * (width - len(c)) for c in group] for group in chains], np.int32)
    contexts, where = contexts_of(np.stack(rows))
    packed = np.packbits(np.stack(rows), axis=-1)
    return ChainBank(packed, contexts, table, length, _missing(np.stack(rows), where, table))


def _missing(rows: np.ndarray, where: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """See `ChainBank.missing`; each pair of a state and a target is counted once."""
    goal = np.broadcast_to(chain[..., -1:], chain.shape)
    pairs, back = np.unique(np.stack([chain.ravel(), goal.ravel()], -1), axis=0, return_inverse=True)
    counts = np.zeros((len(pairs), NUM_CONTEXTS), np.uint8)
    for i, (state, target) in enumerate(pairs):
        outside = where[state][rows[target] & ~rows[state]]
        counts[i] = np.bincount(outside, minlength=NUM_CONTEXTS)
    return counts[back.ravel()].reshape(*chain.shape, NUM_CONTEXTS)
