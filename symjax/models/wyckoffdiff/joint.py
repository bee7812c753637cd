"""Drawing a clean occupation as a whole: independent classes, given what must hold for all of them together.

The network gives every variable its own distribution. An exact formula, a number of orbits or elements that must occur tie the
variables, so they are drawn from the product of those distributions given the demand, exactly, by dynamic programming (host,
float64). Positions without freedom share the elements, so their sums are kept together; elements on the other positions do not see
each other, so each has a table of its own, and both are joined at the end. Then everything is drawn on the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_LEAST = 1e-12  # of what is allowed, so that what can be met is met however little the network thinks of it


class Demand(NamedTuple):
    """What must hold for all variables of a crystal together.

    Attributes:
        formula: amount of each element, a multiple of which must be there (then there are no other elements); () for any.
        required: indices of elements that must occur.
        orbits: number of orbits in all; None for any.
        max_atoms: of the cell, for a formula.
    """

    formula: tuple[int, ...] = ()
    required: tuple[int, ...] = ()
    orbits: int | None = None
    max_atoms: int = 192


class Positions(NamedTuple):
    """Multiplicities of the positions without (f,), and with (r,), free coordinates."""

    fixed: np.ndarray
    free: np.ndarray


class Drawn(NamedTuple):
    """Classes: (f,) 0 empty or 1 + index of the element, and (r, e) orbits of each element."""

    fixed: np.ndarray
    free: np.ndarray


def draw_together(
    fixed: np.ndarray, free: np.ndarray, positions: Positions, demand: Demand, rng: np.random.Generator
) -> Drawn | None:
    """One draw of all variables given the demand; None where nothing can meet it.

    Args:
        fixed: (f, 1 + e) probabilities, column 0 empty; a zero forbids.
        free: (r, e, counts) probabilities; a zero forbids.
        positions: multiplicities.
        demand: what must hold.
        rng: random numbers.
    """
    fixed, free = (
        np.where(p > 0, np.maximum(p, _LEAST), 0.0) for p in (np.asarray(fixed, float), np.asarray(free, float))
    )
    special = tuple(range(free.shape[1])) if demand.formula else demand.required
    others, most = [e for e in range(free.shape[1]) if e not in special], demand.orbits or 0
    sizes = positions.free if demand.formula else None
    limits = [demand.max_atoms // sum(demand.formula) * n for n in demand.formula] or [1] * len(special)

    # forwards: everything that leads to the end, and its weight
    layers = _fixed_layers(fixed, positions.fixed, special, demand)
    tables = [_element_tables(free[:, e], sizes, limit, most) for e, limit in zip(special, limits, strict=True)]
    tied = [] if demand.orbits is None else [_element_tables(free[:, e], None, 0, most) for e in others]
    background = _background([table[-1][0] for table in tied], most)
    ends, weights = [], []
    for state, weight in layers[-1].items():
        rest = 0 if demand.orbits is None else demand.orbits - state[0]
        for amounts in _amounts(state, demand):
            rows = [table[-1][list(allowed)].sum(axis=0) for table, allowed in zip(tables, amounts, strict=True)]
            suffixes = _suffixes(rows, background[-1], most)
            if (total := weight * suffixes[0][rest]) > 0:
                ends.append((state, amounts, suffixes, rest))
                weights.append(total)
    if not ends:
        return None

    # backwards: an end, then what led to it
    state, amounts, suffixes, rest = ends[_pick(np.array(weights), rng)]
    drawn = np.zeros(free.shape[:2], np.int64)
    for i, (e, allowed) in enumerate(zip(special, amounts, strict=True)):
        joint = tables[i][-1][list(allowed)] * _left(suffixes[i + 1], rest)
        row, orbits = (int(index) for index in np.unravel_index(_pick(joint.ravel(), rng), joint.shape))
        drawn[:, e] = _draw_counts(free[:, e], sizes, tables[i], allowed[row], orbits, rng)
        rest -= orbits
    for i in reversed(range(len(tied))):
        orbits = _pick(tied[i][-1][0] * _left(background[i], rest), rng)
        drawn[:, others[i]] = _draw_counts(free[:, others[i]], None, tied[i], 0, orbits, rng)
        rest -= orbits
    if not tied:
        for e in others:
            drawn[:, e] = [_pick(p, rng) for p in free[:, e]]
    return Drawn(_draw_fixed(fixed, positions.fixed, special, demand, layers, state, rng), drawn)


def _pick(weights: np.ndarray, rng: np.random.Generator) -> int:
    edges = np.cumsum(weights)
    return int(np.searchsorted(edges, rng.random() * edges[-1], side="right").clip(0, len(edges) - 1))


State = tuple[int, tuple[int, ...]]
"""Orbits so far (0 where they do not matter), and what there is of each special element: atoms, or whether it occurs."""
_EMPTY, _OTHER = -1, -2


class _Move(NamedTuple):
    """What a position without freedom can hold.

    Attributes:
        probability: of it.
        orbits: 1 where something sits there and orbits matter.
        what: index of the special element, `_EMPTY` or `_OTHER`.
        amount: of that element.
    """

    probability: float
    orbits: int
    what: int
    amount: int


def _moves(row: np.ndarray, size: int, special: Sequence[int], demand: Demand) -> list[_Move]:
    one = 1 if demand.orbits is not None else 0
    found = [_Move(float(row[0]), 0, _EMPTY, 0), _Move(float(np.delete(row[1:], list(special)).sum()), one, _OTHER, 0)]
    found += [_Move(float(row[1 + e]), one, i, size if demand.formula else 1) for i, e in enumerate(special)]
    return [move for move in found if move.probability > 0]


def _after(state: State, move: _Move, demand: Demand) -> State | None:
    """The state after a move; None beyond what the demand can hold."""
    orbits, amounts = state[0] + move.orbits, state[1]
    if demand.orbits is not None and orbits > demand.orbits:
        return None
    if (i := move.what) >= 0:
        amount = amounts[i] + move.amount
        if demand.formula and amount > demand.max_atoms // sum(demand.formula) * demand.formula[i]:
            return None
        amounts = (*amounts[:i], amount if demand.formula else 1, *amounts[i + 1 :])
    return orbits, amounts


def _fixed_layers(
    fixed: np.ndarray, sizes: np.ndarray, special: Sequence[int], demand: Demand
) -> list[dict[State, float]]:
    """Weight of every state before the first, second, ... position without freedom, and after the last."""
    layers: list[dict[State, float]] = [{(0, (0,) * len(special)): 1.0}]
    for row, size in zip(fixed, sizes, strict=True):
        following: dict[State, float] = {}
        for state, weight in layers[-1].items():
            for move in _moves(row, int(size), special, demand):
                if (after := _after(state, move, demand)) is not None:
                    following[after] = following.get(after, 0.0) + weight * move[0]
        layers.append(following)
    return layers


def _draw_fixed(
    fixed: np.ndarray,
    sizes: np.ndarray,
    special: Sequence[int],
    demand: Demand,
    layers: list[dict[State, float]],
    state: State,
    rng: np.random.Generator,
) -> np.ndarray:
    """Classes of the positions without freedom, backwards from a last state."""
    out = np.zeros(len(fixed), np.int64)
    for j in reversed(range(len(fixed))):
        moves = _moves(fixed[j], int(sizes[j]), special, demand)
        ways = [(before, move) for before in layers[j] for move in moves if _after(before, move, demand) == state]
        state, move = ways[_pick(np.array([layers[j][before] * move.probability for before, move in ways]), rng)]
        if move.what >= 0:
            out[j] = 1 + special[move.what]
        elif move.what == _OTHER:
            row = np.array(fixed[j])
            row[[0, *(1 + e for e in special)]] = 0.0
            out[j] = _pick(row, rng)
    return out


def _amounts(state: State, demand: Demand) -> list[tuple[tuple[int, ...], ...]]:
    """For each way to meet the demand from a state, the rows of each special element's table that are allowed."""
    if not demand.formula:
        return [tuple((0, 1) if there else (1,) for there in state[1])]
    most = demand.max_atoms // sum(demand.formula)
    left = [
        tuple(n * count - have for count, have in zip(demand.formula, state[1], strict=True))
        for n in range(1, most + 1)
    ]
    return [tuple((amount,) for amount in amounts) for amounts in left if min(amounts) >= 0]


def _element_tables(free: np.ndarray, sizes: np.ndarray | None, limit: int, orbits: int) -> list[np.ndarray]:
    """Weights (limit + 1, orbits + 1) of amounts and orbits of an element, before each position with freedom and after the last.

    Args:
        free: (r, counts) probabilities.
        sizes: (r,) multiplicities; None where the amount is only whether the element occurs.
        limit: largest amount; 0 where it does not matter.
        orbits: largest number; 0 where it does not matter.
    """
    table = np.zeros((limit + 1, orbits + 1))
    table[0, 0] = 1.0
    tables = [table]
    for j in range(len(free)):
        following = np.zeros_like(table)
        for count, probability in enumerate(free[j]):
            step = count if orbits else 0
            if probability > 0 and step <= orbits:
                _shift(
                    following, tables[-1], probability, _amount(count, sizes, j, limit), step, saturate=sizes is None
                )
        tables.append(following)
    return tables


def _amount(count: int, sizes: np.ndarray | None, j: int, limit: int) -> int:
    """What so many orbits on a position add to the amount."""
    return int(count * sizes[j]) if sizes is not None else min(count, 1) * min(limit, 1)


def _shift(into: np.ndarray, table: np.ndarray, factor: float, amount: int, orbits: int, *, saturate: bool) -> None:
    rows, columns = table.shape[0] - amount, table.shape[1] - orbits
    if rows <= 0 or columns <= 0:
        return
    into[amount:, orbits:] += factor * table[:rows, :columns]
    if saturate and amount:
        into[-1:, orbits:] += factor * table[rows:, :columns].sum(axis=0, keepdims=True)


def _draw_counts(
    free: np.ndarray,
    sizes: np.ndarray | None,
    tables: list[np.ndarray],
    amount: int,
    orbits: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(r,) orbits of an element on each position, backwards from an amount and a number of orbits."""
    limit, most = tables[0].shape[0] - 1, tables[0].shape[1] - 1
    out = np.zeros(len(free), np.int64)
    for j in reversed(range(len(free))):
        ways, weights = [], []
        for count, probability in enumerate(free[j]):
            added, step = _amount(count, sizes, j, limit), count if most else 0
            saturating = sizes is None and added and amount == limit
            for before in {amount - added, amount} if saturating else {amount - added}:
                if before >= 0 and orbits >= step and probability > 0:
                    ways.append((count, before, orbits - step))
                    weights.append(probability * tables[j][before, orbits - step])
        out[j], amount, orbits = ways[_pick(np.array(weights), rng)]
    return out


def _background(rows: list[np.ndarray], most: int) -> list[np.ndarray]:
    """Weights of numbers of orbits of the first 0, 1, ... of some elements together."""
    one = np.zeros(most + 1)
    one[0] = 1.0
    found = [one]
    for row in rows:
        found.append(np.convolve(found[-1], row)[: most + 1])
    return found


def _suffixes(rows: list[np.ndarray], last: np.ndarray, most: int) -> list[np.ndarray]:
    """The same of all, all but the first, ... of some elements, together with what comes last."""
    found = [last]
    for row in reversed(rows):
        found.append(np.convolve(row, found[-1])[: most + 1])
    return found[::-1]


def _left(polynomial: np.ndarray, rest: int) -> np.ndarray:
    """Weight of what is left to others when an element takes 0, 1, ... orbits of `rest`."""
    return np.array([polynomial[rest - taken] if taken <= rest else 0.0 for taken in range(len(polynomial))])
