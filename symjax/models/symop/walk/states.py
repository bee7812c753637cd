"""The states of the walk: conjugacy classes of closed sets of operations, and what one more operation makes of them (host, exact).

A crystal's operations have no axes and no origin of their own, so a state is a set of operations up to conjugation by the
frame's holohedry and every shift of the origin (`symjax.models.symop.walk.classes`). All closed sets inside the 230 standard
settings are packaged row by row (`descriptions.npz`, made by `scripts/make_descriptions.py`): 3,891 rows of 483 classes,
tabulated settings and others alike (R3m on the axes of a primitive cube is one). Adding an operation g to H and closing leads
to the class of <H, g>; H may be described by any of its rows for that, since what follows cannot depend on the description. So
no set is out of reach because of where its axes happen to lie.

No number, symbol or place in this list enters the network: it reads the operations of each class (`SetContexts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from symjax.generate.masks import setting_members
from symjax.groups.packaged import arrays
from symjax.groups.sets import OpSet
from symjax.groups.tables import enantiomorph, vocabulary
from symjax.models.symop.walk.classes import operation_classes
from symjax.models.symop.walk.contexts import contexts_of_members, set_key

Array = Any


class SetContexts(NamedTuple):
    """What the network reads of c sets, of at most t contexts of operations with at most j pairs each (numpy or jax).

    Attributes:
      own: (c, t) int16 class of the operation.
      pair: (c, t, j) int16 class of (h, g h^-1) for h in the set.
      weight: (c, t, j) float32 share of the h with that class.
      share: (c, t) float32 share of the set's operations that have the context; 0 on padding.
      log_order: (c,) float32 logarithm of the number of operations modulo the conventional cell.
    """

    own: Array
    pair: Array
    weight: Array
    share: Array
    log_order: Array


@dataclass(frozen=True)
class States:
    """c classes of closed sets by rising order; the first is the identity alone.

    Attributes:
      rows: (r, v) bool the packaged sets; row_class: (r,) class and row_number: (r,) space-group type of each.
      first: (c,) row that stands for each class.
      next: (c, e) int32 classes that one more operation leads to, padding -1.
      contexts: of the classes.
      operations: (k, 14) and pairs: (p, 28) what stands for the classes of operations and of their pairs
        (`symjax.models.symop.walk.classes`), and operation_class: (v,) class of each operation of the vocabulary.
    """

    rows: np.ndarray
    row_class: np.ndarray
    row_number: np.ndarray
    first: np.ndarray
    next: np.ndarray
    contexts: SetContexts
    operations: np.ndarray
    pairs: np.ndarray
    operation_class: np.ndarray

    def __len__(self) -> int:
        """Number of classes."""
        return len(self.first)

    @property
    def number(self) -> np.ndarray:
        """(c,) space-group type of each class; of an enantiomorphic pair, which is one class, one of the two."""
        return self.row_number[self.first]

    @cached_property
    def order(self) -> np.ndarray:
        """(c,) operations modulo the conventional cell."""
        return self.rows[self.first].sum(1)

    @cached_property
    def reach(self) -> np.ndarray:
        """(c, c) bool whether the walk can come from one class to another; every class reaches itself."""
        found = np.eye(len(self), dtype=bool)
        for state in range(len(self) - 1, -1, -1):  # orders rise along edges
            for after in self.next[state][self.next[state] >= 0]:
                found[state] |= found[after]
        return found

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {np.packbits(row).tobytes(): i for i, row in enumerate(self.rows)}

    @cached_property
    def _keys(self) -> dict[int, int]:
        return {set_key(self.rows[row]): state for state, row in enumerate(self.first)}

    def of(self, members: np.ndarray) -> int:
        """Class of a closed set `(v,)` bool; -1 where no set of any standard setting is conjugate to it."""
        if members.sum() == 1:
            return 0
        row = self._places.get(np.packbits(members).tobytes())
        return int(self.row_class[row]) if row is not None else self._keys.get(set_key(members), -1)

    def of_types(self, numbers: np.ndarray) -> np.ndarray:
        """(c,) bool classes of some types, of either hand."""
        both = {int(n) for n in numbers} | {enantiomorph(int(n)) for n in numbers}
        return np.isin(self.number, list(both))

    def tabulated(self) -> np.ndarray:
        """(c,) bool classes that hold a standard setting."""
        found = np.zeros(len(self), bool)
        for number in range(1, 231):
            found[self.of(setting_members(number))] = True
        return found


@cache
def states() -> States:
    """All classes, as packaged."""
    data, size = arrays("models/symop/walk/descriptions"), vocabulary().size
    rows = np.unpackbits(data["packed"], axis=-1)[:, :size].astype(bool)
    row_class, numbers = data["class"].astype(np.int64), data["number"].astype(np.int64)
    first = np.unique(row_class, return_index=True)[1]
    order = rows[first].sum(1)
    share = data["share"] / order[:, None]
    contexts = SetContexts(
        data["own"],
        data["pair"],
        np.float32(data["weight"] / order[:, None, None]),
        np.float32(share),
        np.float32(np.log(order)),
    )
    steps = data["next"].astype(np.int32)
    kinds = (
        data["operations"].astype(np.int64),
        data["pairs"].astype(np.int64),
        data["operation_class"].astype(np.int32),
    )
    return States(rows, row_class, numbers, first, steps, contexts, *kinds)


def packaged_classes(rows: np.ndarray, row_class: np.ndarray) -> dict[str, np.ndarray]:
    """What `states` reads beside the rows: steps, contexts (as counts of operations), and what stands for classes of operations."""
    first = np.unique(row_class, return_index=True)[1]
    order, classes = rows[first].sum(1), operation_classes()
    own, pair, weight, share = contexts_of_members(rows[first])
    return {
        "next": next_classes(rows, row_class),
        "own": own,
        "pair": pair,
        "weight": np.rint(weight * order[:, None, None]).astype(np.uint8),
        "share": np.rint(share * order[:, None]).astype(np.uint8),
        "operations": classes.operations.astype(np.int16),
        "pairs": classes.pairs.astype(np.int16),
        "operation_class": classes.single.astype(np.int16),
    }


def next_classes(rows: np.ndarray, row_class: np.ndarray) -> np.ndarray:
    """(c, e) classes that one more operation leads to, padded by -1, from all closed sets inside the standard settings.

    The closure of H and g is the smallest of the sets that hold both: sets inside one setting are closed under intersection.
    """
    size = rows.sum(1)
    packed = np.packbits(rows, axis=-1)
    found: list[set[int]] = [set() for _ in range(row_class.max() + 1)]
    for i in range(len(rows)):
        above = np.flatnonzero(((packed & packed[i]) == packed[i]).all(1))
        above = above[np.argsort(size[above], kind="stable")]
        held = rows[above]
        reached = held.any(0) & ~rows[i]
        smallest = above[held.argmax(0)]
        found[row_class[i]] |= set(row_class[smallest[reached]].tolist())
    width = max(len(one) for one in found)
    table = np.full((len(found), width), -1, np.int16)
    for state, after in enumerate(found):
        after.discard(state)
        table[state, : len(after)] = sorted(after)
    return table


def nested_sets(passed: np.ndarray) -> tuple[OpSet, ...]:
    """Sets of operations, each inside the next, of the classes `passed (steps,)` by a walk: one description of what it did.

    The last one is the set that stands for its class; the ones before are the first inside the next from which one operation leads
    there.
    """
    table, vocab = states(), vocabulary()
    classes = passed[np.append(True, passed[1:] != passed[:-1])]
    row = int(table.first[classes[-1]])
    rows = [row]
    for state in classes[-2::-1]:
        mine = np.flatnonzero(table.row_class == state)
        mine = mine[~(table.rows[mine] & ~table.rows[row]).any(1)]
        row = next(int(i) for i in mine if _leads(table, int(i), row))
        rows.append(row)
    return tuple(vocab.opset(np.flatnonzero(table.rows[i])) for i in reversed(rows))


def _leads(table: States, low: int, high: int) -> bool:
    """Whether one operation leads from one packaged set to another that holds it: no smaller ones between cover the difference."""
    inside = ~(table.rows & ~table.rows[high]).any(1) & ~(table.rows[low] & ~table.rows).any(1)
    inside[high] = False
    return bool((table.rows[high] & ~table.rows[inside].any(0)).any())
