"""Contexts of the operations of a closed set: everything about them that conjugation leaves alone (host).

The context of an operation g in a set H is its own class with the multiset {class of (h, g h^-1) : h in H}. Operations of one
context are alike, so a set is read as a short list of contexts, each with its share of the operations.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from symjax.models.symop.walk.classes import operation_classes

NUM_PAIRS = 24
"""Most frequent pairs that are kept; ties are broken by the classes, so equal multisets are cut equally."""


@cache
def _hashes() -> np.ndarray:
    """Random numbers of the classes of pairs, then of single operations: their sum names a multiset (64 bits)."""
    classes = operation_classes()
    return np.random.default_rng(20).integers(0, 2**63, len(classes.pairs) + len(classes.operations), dtype=np.uint64)


def _names(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, n) classes of the pairs of the operations `rows (n,)`, and (n,) a name of each one's context."""
    classes, hashes = operation_classes(), _hashes()
    code = classes.of_pairs(rows, rows)
    return code, hashes[code].sum(1) + hashes[len(classes.pairs) + classes.single[rows]]


def set_key(members: np.ndarray) -> int:
    """A number that conjugate sets share, from the contexts of all operations of `members (v,)` bool.

    Sets of different keys are not conjugate; equal keys mean equal multisets of contexts.
    """
    name = _names(np.flatnonzero(members))[1]
    name = (name * np.uint64(0x9E3779B97F4A7C15)) ^ (name >> np.uint64(29))  # mixed, so that sums of sums do not cancel
    return int(name.sum())


def contexts_of_members(members: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Contexts of closed sets `(c, v)` bool; see `symjax.models.symop.walk.states.SetContexts`.

    Returns:
      own (c, t), pair (c, t, j), weight (c, t, j), share (c, t).
    """
    classes, found = operation_classes(), []
    for row in members:
        rows = np.flatnonzero(row)
        code, name = _names(rows)
        _, at, counts = np.unique(name, return_index=True, return_counts=True)
        order = np.lexsort((classes.single[rows[at]], -counts))
        at, counts = at[order], counts[order]
        found.append((classes.single[rows[at]], *_frequent(code[at]), counts / len(rows)))
    width = max(len(one[0]) for one in found)
    own, share = np.zeros((len(found), width), np.int16), np.zeros((len(found), width), np.float32)
    pair = np.zeros((len(found), width, NUM_PAIRS), np.int16)
    weight = np.zeros((len(found), width, NUM_PAIRS), np.float32)
    for i, (single, codes, shares, part) in enumerate(found):
        n = len(single)
        own[i, :n], pair[i, :n], weight[i, :n], share[i, :n] = single, codes, shares, part
    return own, pair, weight, share


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
