"""Random subgroup chains to train the walk on (host)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import jax
import numpy as np

from symjax.errors import DataError
from symjax.groups.tables import vocabulary
from symjax.models.symop.walk.states import States, states

MAX_OPS = 192
"""Operations of the largest set, modulo its conventional cell."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ChainBank:
    """Random subgroup chains {e} = H_0 < ... < H_n = G for s target sets.

    Attributes:
      chain: (s, c, k) int32 classes of the sets; the target fills the slots past the end.
      length: (s, c) int32 number of sets in the chain, target included.
      missing: (s, c, k, e) uint8 operations of G outside H_k by the class that they lead to (columns of `States.next`).
    """

    chain: np.ndarray
    length: np.ndarray
    missing: np.ndarray


def build_chain_bank(targets: np.ndarray, *, num_chains: int, seed: int = 0) -> ChainBank:
    """Draw chains by adding uniformly random missing operations and closing.

    Args:
      targets: (s,) rows of `States.rows`.
      num_chains: chains per target.
      seed: of the host generator.
    """
    table = states()
    drawn: list[list[list[tuple[int, np.ndarray]]]] = []
    for target in targets.tolist():
        inside = _Inside(table, target)
        name = zlib.crc32(np.packbits(table.rows[target]).tobytes())
        rng = np.random.default_rng([seed, name])  # one a set: others change nothing
        drawn.append([inside.chain(rng) for _ in range(num_chains)])
    length = np.array([[len(c) for c in group] for group in drawn], np.int32).reshape(len(targets), num_chains)
    width = int(length.max(initial=1))
    chain = np.zeros((*length.shape, width), np.int32)
    missing = np.zeros((*length.shape, width, table.next.shape[1]), np.uint8)
    for s, group in enumerate(drawn):
        for c, steps in enumerate(group):
            chain[s, c] = steps[-1][0]
            for k, (state, counts) in enumerate(steps):
                chain[s, c, k], missing[s, c, k] = state, counts
    return ChainBank(chain, length, missing)


class _Inside:
    """The subgroups of one packaged set, and where each of its operations leads from each of them."""

    def __init__(self, table: States, target: int):
        self.table, self.target = table, target
        goal = table.rows[target]
        self.sets = np.flatnonzero(~(table.rows & ~goal).any(1))
        self.sets = self.sets[np.argsort(table.rows[self.sets].sum(1), kind="stable")]
        self.known: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def steps(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Operations that are missing, the row that each leads to, and their numbers by next class."""
        if row not in self.known:
            table, here = self.table, self.table.rows[row]
            above = self.sets[~(here & ~table.rows[self.sets]).any(1)]
            held = table.rows[above]
            left = np.flatnonzero(table.rows[self.target] & ~here)
            to = above[held[:, left].argmax(0)]  # the smallest set that holds both
            after = table.next[table.row_class[row]]
            counts = (table.row_class[to][:, None] == np.where(after >= 0, after, -2)).sum(0)
            assert counts.sum() == len(left)
            self.known[row] = (left, to, counts.astype(np.uint8))
        return self.known[row]

    def chain(self, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
        """Classes and counts along one chain."""
        row = int(self.sets[0])
        found = []
        while True:
            left, to, counts = self.steps(row)
            found.append((int(self.table.row_class[row]), counts))
            if not len(left):
                return found
            row = int(to[rng.integers(len(left))])


def rows_of_sets(vocab_indices: np.ndarray) -> np.ndarray:
    """(s,) packaged rows of sets given as vocabulary indices (s, n), padded by v.

    Raises:
      DataError: a set lies inside no standard setting.
    """
    table, size = states(), vocabulary().size
    place = {np.packbits(row).tobytes(): i for i, row in enumerate(table.rows)}
    found = []
    for i, indices in enumerate(vocab_indices):
        members = np.zeros(size, bool)
        members[indices[indices < size]] = True
        row = place.get(np.packbits(members).tobytes())
        if row is None:
            raise DataError(f"set {i} of the data is no closed set of a standard setting; prepare the data again")
        found.append(row)
    return np.array(found)
