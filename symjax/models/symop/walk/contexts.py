"""What the walk's network reads of a closed set: the contexts of its operations (host).

The context of an operation g in view of a set H is its own class with the multiset {class of (h, g h^-1) : h in H}:
everything that the network may know of g, and the same for conjugate (g, H). The 800 operations fall into some hundred
contexts, so a set is read as a short list of contexts, each with the number of candidates that share it; probabilities
within a context are equal by symmetry. The multiset is kept as its most frequent pairs with their shares, at most
`NUM_PAIRS`; ties are broken by the classes, so equal multisets are cut equally.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np

from symjax.groups.tables import vocabulary
from symjax.models.symop.walk.classes import operation_classes

Array = Any
NUM_CONTEXTS = 208  # contexts a set can have; 187 is the most met
NUM_PAIRS = 12
_CACHE_SIZE = 8192


class Contexts(NamedTuple):
    """s sets as the network reads them, t contexts each.

    Attributes:
      own: (s, t) int16 class of the operation.
      pair: (s, t, j) int16 class of (h, g h^-1).
      weight: (s, t, j) float32 share of the members with that pair; 0 on padding.
      candidates: (s, t) float32 number of operations outside H that have the context; 0 on padding.
      members: (s, t) float32 share of H's operations that have it.
      log_order: (s,) float32 logarithm of the number of operations.
    """

    own: Array
    pair: Array
    weight: Array
    candidates: Array
    members: Array
    log_order: Array


@cache
def _hashes() -> np.ndarray:
    """Random numbers of the classes of pairs, then of single operations: their sum names a multiset (64 bits)."""
    classes = operation_classes()
    return np.random.default_rng(20).integers(0, 2**63, len(classes.pair_features) + classes.num, dtype=np.uint64)


def _one(members: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Contexts of one set `(v,)` bool, and `(v,)` int16 context of each operation (-1: neither member nor candidate)."""
    vocab, classes, hashes = vocabulary(), operation_classes(), _hashes()
    num = len(classes.pair_features)
    own = np.zeros(NUM_CONTEXTS, np.int16)
    pair = np.zeros((NUM_CONTEXTS, NUM_PAIRS), np.int16)
    weight = np.zeros((NUM_CONTEXTS, NUM_PAIRS), np.float32)
    counts, inside = np.zeros(NUM_CONTEXTS, np.float32), np.zeros(NUM_CONTEXTS, np.float32)
    where = np.full(vocab.size, -1, np.int16)
    used = 0
    order = 1
    for first, last in vocab.block:
        rows = np.flatnonzero(members[first:last]) + first
        if not len(rows):
            continue  # a frame that the set has excluded
        order = len(rows)
        code = classes.pairs(np.arange(first, last), rows)
        single = classes.single[first:last]
        name = hashes[code].sum(1) + hashes[num + single] + members[first:last].astype(np.uint64)
        _, at, back = np.unique(name, return_index=True, return_inverse=True)
        assert used + len(at) <= NUM_CONTEXTS, "more contexts than a set has room for"
        slots = slice(used, used + len(at))
        own[slots] = single[at]
        pair[slots], weight[slots] = _frequent(code[at])
        back = back.ravel()
        is_member = members[first:last]
        inside[slots] = np.bincount(back[is_member], minlength=len(at)) / order
        identity = vocab.identity[vocab.frame[first]] - first
        candidate = ~is_member
        candidate[identity] = False
        counts[slots] = np.bincount(back[candidate], minlength=len(at))
        where[first:last] = back + used
        used += len(at)
    inside /= max(inside.sum(), 1.0)  # the identity alone stands in both frames
    return (own, pair, weight, counts, inside, np.float32(np.log(order))), where


def _frequent(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(t, j)` most frequent codes of the rows of `code (t, n)` and their shares."""
    num, n = code.shape
    ordered = np.sort(code, 1)
    start = np.concatenate([np.ones((num, 1), bool), ordered[:, 1:] != ordered[:, :-1]], 1)
    row, column = np.nonzero(start)
    edge = np.append(row * n + column, num * n)
    size = np.diff(edge)
    rank = np.lexsort((ordered[row, column], -size, row))
    row, value, size = row[rank], ordered[row, column][rank], size[rank]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < NUM_PAIRS
    pair, weight = np.zeros((num, NUM_PAIRS), np.int16), np.zeros((num, NUM_PAIRS), np.float32)
    pair[row[kept], place[kept]], weight[row[kept], place[kept]] = value[kept], size[kept] / n
    return pair, weight


_known: OrderedDict[bytes, tuple[tuple[np.ndarray, ...], np.ndarray]] = OrderedDict()


def contexts_of(members: np.ndarray) -> tuple[Contexts, np.ndarray]:
    """Contexts of closed sets.

    Args:
      members: (s, v) bool; both identities where a set is the identity alone and no frame is settled.

    Returns:
      the contexts of s sets, and (s, v) int16 context of each operation; -1 in a frame that the set has excluded.
    """
    found = []
    for row in np.asarray(members, bool):
        key = np.packbits(row).tobytes()
        if key not in _known:
            _known[key] = _one(row)
            if len(_known) > _CACHE_SIZE:
                _known.popitem(last=False)
        found.append(_known[key])
    return Contexts(*(np.stack(part) for part in zip(*(one for one, _ in found), strict=True))), np.stack(
        [where for _, where in found]
    )


def take(contexts: Contexts, rows: Array) -> Contexts:
    """The contexts of some of the sets."""
    return jax.tree.map(lambda leaf: leaf[rows], contexts)


def set_key(members: np.ndarray) -> int:
    """A number that conjugate sets share, from the contexts of all members of `members (v,)` bool.

    Sets of different keys are not conjugate; equal keys mean equal multisets of contexts.
    """
    classes, hashes = operation_classes(), _hashes()
    rows = np.flatnonzero(members)
    code = classes.pairs(rows, rows)
    name = hashes[code].sum(1) + hashes[len(classes.pair_features) + classes.single[rows]]
    name = (name * np.uint64(0x9E3779B97F4A7C15)) ^ (name >> np.uint64(29))  # mixed, so that sums of sums do not cancel
    return int(name.sum())
