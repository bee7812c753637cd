"""The closed sets between two sets of operations: every state that a walk of symop can pass when it is kept between them.

A state is a closed set S with start <= S <= allowed, modulo the conventional cell's Z^3. Below a group G the allowed operations are
those of G and the states are its subgroups (translationengleiche ones and those that lose centring translations); above a group
they are its supersets among some operations of the vocabulary. Conjugate subgroups are states of their own, since a parent has
axes, and are marked as one class; the walk gives them equal probability. Host, exact, no compilation.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.errors import InputError
from symjax.groups.tables import vocabulary

INSIDE, OUTSIDE = -1, -2


@dataclass(frozen=True)
class SetLattice:
    """s closed sets of n allowed operations.

    Attributes:
        operations: (n,) vocabulary indices of the allowed operations.
        members: (s, n) bool, by rising size; the first is the start.
        target: (s, n) int32, set reached by adding an operation and closing; `INSIDE` for its members, `OUTSIDE` where the closure
            needs an operation that is not allowed.
        label: (s,) int64, the first set of each one's conjugacy class in the group of all allowed operations.
    """

    operations: np.ndarray
    members: np.ndarray
    target: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        """Number of sets."""
        return len(self.members)

    @property
    def classes(self) -> np.ndarray:
        """(c,) the first set of each conjugacy class."""
        return np.unique(self.label)

    def total(self, log_values: np.ndarray) -> np.ndarray:
        """(c,) logs of the sums over the classes of exp of `log_values (s,)`."""
        result = np.full(len(self), -np.inf)
        np.logaddexp.at(result, self.label, log_values)
        return result[self.classes]

    def of(self, members: np.ndarray) -> int:
        """Place of a closed set (n,) bool.

        Raises:
            InputError: it is none of them.
        """
        found = np.flatnonzero((self.members == members).all(1))
        if not len(found):
            raise InputError("the set is not one of the closed sets between the two bounds")
        return int(found[0])


def lattice_below(indices: np.ndarray) -> SetLattice:
    """All subgroups of a group, as sets modulo the conventional cell.

    Args:
        indices: (n,) vocabulary indices of a closed set.

    Raises:
        InputError: the set is not closed.
    """
    return _below(tuple(sorted(int(i) for i in indices)))


@cache
def _below(indices: tuple[int, ...]) -> SetLattice:
    operations = np.array(indices)
    product, inverse = _local_table(operations)
    n = len(operations)
    if (product[:n, :n] == n).any():
        raise InputError("the upper bound of a walk must be a group: a product of its operations is not among them")
    return subgroups(operations, product, inverse)


def subgroups(operations: np.ndarray, product: np.ndarray, inverse: np.ndarray) -> SetLattice:
    """All subgroups of a finite group.

    Args:
        operations: (n,) what the n elements are called.
        product: (n + 1, n + 1) rows of products, n beyond the last element; inverse: (n,) rows.
    """
    n = len(operations)
    start = np.zeros(n, bool)
    start[_identity(product)] = True
    members, target = _enumerate(product, inverse, start)
    # conjugation by c: y is in c S c^-1 exactly if c^-1 y c is in S
    conjugation = product[product[inverse][:, :n], np.arange(n)[:, None]]
    place = {row.tobytes(): i for i, row in enumerate(members)}
    label = [min(place[image.tobytes()] for image in row[conjugation]) for row in members]
    return SetLattice(operations, members, target, np.array(label, np.int64))


def lattice_above(start: np.ndarray, allowed: np.ndarray) -> SetLattice:
    """All closed sets that hold `start` and lie inside `allowed`, each one a class of its own.

    Args:
        start: vocabulary indices of a closed set.
        allowed: vocabulary indices; those of `start` are added, operations whose inverse is not allowed are dropped.

    Raises:
        InputError: `start` is not closed.
    """
    vocab = vocabulary()
    inside = {int(i) for i in allowed} | {int(i) for i in start}
    operations = np.array(sorted(i for i in inside if int(vocab.inverse[i]) in inside))
    product, inverse = _local_table(operations)
    members = np.isin(operations, start)
    rows = np.flatnonzero(members)
    reached = product[np.ix_(rows, rows)]
    if (reached == len(operations)).any() or not members[reached].all():
        raise InputError("the lower bound of a walk must be a group: a product of its operations is not among them")
    found, target = _enumerate(product, inverse, members)
    return SetLattice(operations, found, target, np.arange(len(found)))


def _local_table(operations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products `(n + 1, n + 1)` and inverses `(n,)` among n operations, n where the result is none of them."""
    vocab = vocabulary()
    n = len(operations)
    place = np.full(vocab.size + 1, n, np.int32)
    place[operations] = np.arange(n)
    product = np.full((n + 1, n + 1), n, np.int32)
    product[:n, :n] = place[vocab.product[np.ix_(operations, operations)]]
    return product, place[vocab.inverse[operations]]


def _identity(product: np.ndarray) -> int:
    n = len(product) - 1
    return int(np.flatnonzero((product[:n, :n] == np.arange(n)).all(1))[0])


def _enumerate(product: np.ndarray, inverse: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`members (s, n)` and `target (s, n)`: breadth first by size, each set with every operation added and closed."""
    known: dict[bytes, int] = {}
    members: list[np.ndarray] = []
    generators: list[tuple[int, ...]] = []
    queue: list[tuple[int, int]] = []

    def place(found: np.ndarray, made_by: tuple[int, ...]) -> int:
        key = found.tobytes()
        if key not in known:
            known[key] = len(members)
            heapq.heappush(queue, (int(found.sum()), len(members)))
            members.append(found)
            generators.append(made_by)
        return known[key]

    place(start, tuple(np.flatnonzero(start)) if start.sum() > 1 else ())
    target: dict[int, np.ndarray] = {}
    while queue:
        state = heapq.heappop(queue)[1]
        here = members[state]
        row = np.where(here, INSIDE, OUTSIDE).astype(np.int32)
        cosets = _double_cosets(here, product)
        closed, leaves = _close_each(here, np.array([c[0] for c in cosets], int), generators[state], product, inverse)
        for coset, found, out in zip(cosets, closed, leaves, strict=True):
            if not out:
                row[coset] = place(found, (*generators[state], int(coset[0])))
        target[state] = row
    order = sorted(range(len(members)), key=lambda i: (int(members[i].sum()), i))
    rank = np.argsort(np.array(order)).astype(np.int32)
    moved = np.stack([target[i] for i in order])
    moved = np.where(moved >= 0, rank[np.maximum(moved, 0)], moved).astype(np.int32)
    return np.stack([members[i] for i in order]), moved


def _double_cosets(members: np.ndarray, product: np.ndarray) -> list[np.ndarray]:
    """Operations outside S by their double coset S g S: all of one give the same closed set when added."""
    rows, left = np.flatnonzero(members), ~members
    cosets = []
    for g in np.flatnonzero(left):
        if left[g]:
            both = product[np.ix_(product[rows, g], rows)]
            inside = np.unique(both[both < len(members)])
            inside = inside[left[inside]]
            left[inside] = False
            cosets.append(np.concatenate([[g], inside[inside != g]]))
    return cosets


def _close_each(
    members: np.ndarray, added: np.ndarray, generators: tuple[int, ...], product: np.ndarray, inverse: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Closures `(c, n)` of S with each of c operations, and `(c,)` True where one leaves the allowed operations.

    Finite groups: products with generators from the right are enough. y is in S k exactly if y k^-1 is in S.
    """
    n = len(members)
    sets = np.concatenate([np.repeat(members[None], len(added), 0), np.zeros((len(added), 1), bool)], 1)
    sets[np.arange(len(added)), added] = True
    leaves = np.zeros(len(added), bool)
    steps = [(product[:n, inverse[k]], product[:n, k] == n) for k in generators]
    own, own_out = product[:n, inverse[added]].T, (product[:n, added] == n).T
    while len(added):
        before = sets.sum()
        for back, out in steps:
            leaves |= (sets[:, :n] & out).any(1)
            sets[:, :n] |= sets[:, back]
        leaves |= (sets[:, :n] & own_out).any(1)
        sets[:, :n] |= np.take_along_axis(sets, own, 1)
        if sets.sum() == before:
            break
    return sets[:, :n], leaves
