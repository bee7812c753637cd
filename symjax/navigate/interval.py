"""All groups between a space group and one of its subgroups, and the chains of maximal subgroups that lead down.

Owns `Interval`, `interval` and `chains`. How: G acts on the n = [G : H] left cosets of H; the groups K with H <= K <= G are exactly
the blocks of that action that hold the coset H itself (a block is the union of the cosets that K consists of). A coset g H is
named by one rotation part and one translation modulo the lattice of g H g^-1, so the action is integer arithmetic; the smallest
blocks come from union-find (Atkinson, Math. Comp. 29, 911, 1975) and the others are joins of them. Types are read off afterwards.

The normaliser N of H in G maps the groups between H and G onto each other by conjugation; chains that it maps onto each other are
given once, with their number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from symjax.errors import InputError
from symjax.groups.setting import Setting, make_setting
from symjax.groups.tables import enantiomorph
from symjax.navigate.action import Action
from symjax.navigate.relation import Relation
from symjax.ops import exact

MAX_GROUPS = 500
"""Groups of one interval beyond this number are refused."""
MAX_CHAINS = 2000
"""Chains of one interval beyond this number are refused."""


@dataclass(frozen=True)
class Node:
    """A group K between H and G.

    Attributes:
        setting: type of K and (P, p) from the parent's basis to its standard setting.
        t_index, k_index: of K in G; their product is [G : K].
        block: bit mask of the cosets of H that K consists of.
        num_equivalent: groups of the interval that the normaliser of H in G maps K onto, K among them.
        num_conjugates: conjugates of K in G.
    """

    setting: Setting
    t_index: int
    k_index: int
    block: int
    num_equivalent: int
    num_conjugates: int

    @property
    def index(self) -> int:
        """[G : K]."""
        return self.t_index * self.k_index


@dataclass(frozen=True)
class Step:
    """One maximal subgroup along a chain.

    Attributes:
        setting: type of the lower group and (P, p) from the standard setting of the upper one to its own.
        index: index in the upper group.
        kind: "t" (translationengleiche) or "k" (klassengleiche); a maximal subgroup is one or the other (Hermann).
        isomorphic: a klassengleiche step to the same type, or to its enantiomorph.
    """

    setting: Setting
    index: int
    kind: str
    isomorphic: bool

    @property
    def label(self) -> str:
        """As in a Baernighausen tree: t2, k2 or i3."""
        return f"{'i' if self.isomorphic else self.kind}{self.index}"


@dataclass(frozen=True)
class Chain:
    """A chain of maximal subgroups from G (first node) to H (last node), up to conjugation.

    Attributes:
        nodes: the groups, the largest first.
        steps: one for each node but the first.
        count: chains from G to the same H that the normaliser of H in G maps onto this one.
    """

    nodes: tuple[Node, ...]
    steps: tuple[Step, ...]
    count: int


@dataclass(frozen=True)
class Interval:
    """The groups between H and G, both included.

    Attributes:
        action: the action of G on the cosets of H.
        blocks: bit masks of all groups K, by size: H (the mask 1) first, G last.
        below: for each block the positions of the largest blocks strictly inside it: its maximal subgroups that hold H.
        moves: (s, b) the distinct permutations of the blocks under conjugation by the normaliser; the identity among them.
        lower: setting of H.
    """

    action: Action
    blocks: tuple[int, ...]
    below: tuple[tuple[int, ...], ...]
    moves: np.ndarray
    lower: Setting
    _nodes: dict[int, Node] = field(default_factory=dict, repr=False)
    _steps: dict[tuple[int, int], Step] = field(default_factory=dict, repr=False)

    def node(self, position: int) -> Node:
        """The group at a position of `blocks`; worked out once."""
        if position not in self._nodes:
            block = self.blocks[position]
            setting = self.lower if block == 1 else self.action.setting_of(block)
            t_index, k_index = self.action.indices_of(block)
            self._nodes[position] = Node(
                setting,
                t_index,
                k_index,
                block,
                len(set(self.moves[:, position].tolist())),
                self.action.conjugates_of(block),
            )
        return self._nodes[position]

    def nodes(self) -> list[Node]:
        """One group of each class under the normaliser of H, the largest first."""
        seen: set[int] = set()
        found = []
        for position in reversed(range(len(self.blocks))):
            if position not in seen:
                seen |= set(self.moves[:, position].tolist())
                found.append(self.node(position))
        return found

    def inner_types(self) -> set[int]:
        """Types of the groups strictly between H and G (of an enantiomorphic pair that conjugation exchanges, one)."""
        firsts = {int(self.moves[:, position].min()) for position in range(1, len(self.blocks) - 1)}
        return {self.action.number_of(self.blocks[position]) for position in firsts}

    def chains(self, limit: int = MAX_CHAINS) -> list[Chain]:
        """Every chain of maximal subgroups from G to H, one of each class.

        Raises:
            InputError: more than ``limit`` of them.
        """
        ways = [1]  # chains from each group down to H; conjugation puts at most len(moves) of them together
        for inner in self.below[1:]:
            ways.append(sum(ways[i] for i in inner))
        if ways[-1] > limit * len(self.moves):
            raise self._too_many(limit)
        found: list[tuple[tuple[int, ...], int]] = []
        for path, count in self._paths((len(self.blocks) - 1,), np.arange(len(self.moves))):
            found.append((path, count))
            if len(found) > limit:
                raise self._too_many(limit)
        return sorted((self._chain(path, count) for path, count in found), key=_chain_key)

    def _too_many(self, limit: int) -> InputError:
        return InputError(f"more than {limit} chains lead to the subgroup of index {self.action.num}: too many")

    def _paths(self, path: tuple[int, ...], keeps: np.ndarray) -> Iterator[tuple[tuple[int, ...], int]]:
        """Chains below the last of ``path``, one for each orbit under the moves ``keeps`` that leave the path as it is."""
        if path[-1] == 0:
            yield path, len(self.moves) // len(keeps)
            return
        left = set(self.below[path[-1]])
        for position in self.below[path[-1]]:
            if position in left:
                images = self.moves[keeps, position]
                left -= set(images.tolist())
                yield from self._paths((*path, position), keeps[images == position])

    def _chain(self, path: tuple[int, ...], count: int) -> Chain:
        steps = tuple(self._step(a, b) for a, b in itertools.pairwise(path))
        return Chain(tuple(self.node(position) for position in path), steps, count)

    def _step(self, upper: int, lower: int) -> Step:
        if (upper, lower) not in self._steps:
            self._steps[upper, lower] = step_between(self.node(upper), self.node(lower))
        return self._steps[upper, lower]


def interval_of(relation: Relation) -> Interval:
    """All groups between a subgroup H and G.

    Raises:
        InputError: H is not inside G, its index is larger than `action.MAX_COSETS`, or more than `MAX_GROUPS` groups lie between.
        NotAGroupError: the parent's set is not closed.
    """
    action = Action.of(relation.parent, relation.setting)
    blocks = tuple(sorted(_all_blocks(action), key=lambda block: (block.bit_count(), block)))
    position = {block: i for i, block in enumerate(blocks)}
    below = []
    for block in blocks:
        largest: list[int] = []
        for i in reversed(range(position[block])):
            if blocks[i] & block == blocks[i] and not any(blocks[i] & blocks[j] == blocks[i] for j in largest):
                largest.append(i)
        below.append(tuple(sorted(largest)))
    moves = {
        tuple(position[_image(block, move)] for block in blocks)
        for move in map(np.ndarray.tolist, action.conjugations())
    }
    return Interval(action, blocks, tuple(below), np.array(sorted(moves), np.int64), relation.setting)


def chains(relation: Relation, *, limit: int = MAX_CHAINS) -> list[Chain]:
    """Every chain of maximal subgroups from G to H, one of each class under conjugation; errors as its parts."""
    return interval_of(relation).chains(limit)


def step_between(upper: Node, lower: Node) -> Step:
    """The step from a group to a maximal subgroup of it, from standard setting to standard setting."""
    kind = "t" if upper.k_index == lower.k_index else "k"
    same = lower.setting.number in (upper.setting.number, enantiomorph(upper.setting.number))
    return Step(relative(upper.setting, lower.setting), lower.index // upper.index, kind, kind == "k" and same)


def relative(upper: Setting, lower: Setting) -> Setting:
    """The second setting as seen from the first: both lead from one basis, the result from the first's standard setting."""
    cofactors, det = exact.cofactors(upper.P), int(exact.determinant(upper.P))
    adjugate = cofactors.T * upper.P_den  # over det: the inverse of P
    unit = math.lcm(upper.p_den, lower.p_den)
    difference = lower.p * (unit // lower.p_den) - upper.p * (unit // upper.p_den)
    basis = (adjugate @ lower.P, det * lower.P_den)
    return make_setting(lower.number, lower.symbol, basis, (adjugate @ difference, det * unit))


def _chain_key(chain: Chain) -> tuple:
    return len(chain.nodes), [(-node.setting.number, node.index) for node in chain.nodes[1:]], chain.count


def _image(block: int, move: list[int]) -> int:
    return sum(1 << move[i] for i in range(block.bit_length()) if block >> i & 1)


def _all_blocks(action: Action) -> set[int]:
    """Every block that holds coset 0, the trivial one and the whole among them.

    Raises:
        InputError: there are more than `MAX_GROUPS`.
    """
    start = list(range(action.num))
    seen: set[int] = {0}
    smallest: dict[int, int] = {}  # block -> a coset in it that generates it with H
    partition = {1: start}
    own = action.lower_moves()
    for i in range(1, action.num):
        if i not in seen:
            seen |= set(own[:, i].tolist())  # K holds H, so it holds whole H-orbits of cosets
            block, labels = _join(action, start, i)
            partition[block] = labels
            smallest.setdefault(block, i)
    frontier = list(smallest)
    while frontier:
        block = frontier.pop()
        for other, i in smallest.items():
            if other & ~block:
                joined, labels = _join(action, partition[block], i)
                if joined not in partition:
                    partition[joined] = labels
                    frontier.append(joined)
        if len(partition) > MAX_GROUPS:
            raise InputError(f"more than {MAX_GROUPS} groups lie above the subgroup of index {action.num}: too many")
    return set(partition)


def _join(action: Action, labels: list[int], coset: int) -> tuple[int, list[int]]:
    """The smallest block that holds a block and one more coset, and the partition of the cosets into its images.

    Args:
        action: G on the cosets.
        labels: for each coset the first one of its class in the block's own partition, which the generators keep.
        coset: the one to add.
    """
    parent = list(labels)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    waiting = [(0, coset)]
    for i, j in waiting:  # grows while it is walked: what is equal stays equal under every generator
        a, b = root(i), root(j)
        if a != b:
            parent[max(a, b)] = min(a, b)
            waiting += [(move[i], move[j]) for move in action.generators]
    found = [root(i) for i in range(action.num)]
    return sum(1 << i for i, first in enumerate(found) if first == 0), found
