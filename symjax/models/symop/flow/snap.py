"""From a generated set to an exact group, in integers (host).

A generated set is kept as it stands if it closes. If not, its rotation parts are replaced by the group of the same order, generated
by some of them, that holds most of them; translations are mended by majority (each is voted for by all products that give it),
and if that is no cocycle, spread from generators; the choice nearest to what was generated wins. No table of groups is read.
What cannot be mended is said to be none.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from symjax.groups.sets import OpSet
from symjax.models.symop.flow.representation import opset_of
from symjax.ops.types import DEN

_TRIES, _GROUPS = 60, 6
_CODE = 7 ** np.arange(9, dtype=np.int64)
_MAX_ORDER = 48


@dataclass(frozen=True)
class Snapped:
    """An exact set and how it came about.

    Attributes:
        opset: closed, in the primitive basis, translations in 24ths; None where no group was found.
        raw: whether the generated set closed as it stood.
        rotations: whether its rotation parts did.
        kept: share of the generated operations that are in the result.
    """

    opset: OpSet | None
    raw: bool
    rotations: bool
    kept: float


def snap(W: np.ndarray, w: np.ndarray, *, extra: np.ndarray | None = None) -> Snapped:
    """The exact group of a generated set.

    Args:
        W: (n, 3, 3) integers.
        w: (n, 3) integers in 24ths.
        extra: (c, 3, 3) integers, further rotation parts that may be needed (near-isometries of the lattice).
    """
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64) % DEN
    index = _distinct(W)
    table = _products(W) if len(index) == len(W) else None
    closed = table is not None
    if table is not None and is_cocycle(W, w, table):
        return Snapped(opset_of(W, w), True, True, 1.0)
    told = {_key(one): move for one, move in zip(W, w, strict=True)}
    for group in [W] * closed + _groups(W, extra)[:_GROUPS]:
        table = _products(group)
        assert table is not None
        known = np.array([_key(g) in told for g in group])
        start = np.array([told.get(_key(g), np.zeros(3, np.int64)) for g in group])
        moved = mend_translations(group, start, known, table)
        if moved is not None:
            result = {(_key(g), tuple(t)) for g, t in zip(group, moved.tolist(), strict=True)}
            kept = np.mean([(_key(g), tuple(t)) in result for g, t in zip(W, w.tolist(), strict=True)])
            return Snapped(opset_of(group, moved), False, closed, float(kept))
    return Snapped(None, False, closed, 0.0)


def _key(W: np.ndarray) -> int:
    return int((W.reshape(9) * _CODE).sum())


def _keys(W: np.ndarray) -> np.ndarray:
    return (W.reshape(*W.shape[:-2], 9) * _CODE).sum(-1)


def _distinct(W: np.ndarray) -> dict[int, int]:
    return {int(key): i for i, key in enumerate(_keys(W))}


def _products(W: np.ndarray) -> np.ndarray | None:
    """(n, n) row of W_i W_j, or None if one is missing or a rotation part stands twice."""
    index = _distinct(W)
    if len(index) < len(W):
        return None
    keys = _keys(np.einsum("aij,bjk->abik", W, W))
    order = np.argsort(_keys(W))
    at = np.searchsorted(_keys(W)[order], keys).clip(max=len(W) - 1)
    found = order[at]
    return found if (_keys(W)[found] == keys).all() else None


def rotations_close(W: np.ndarray) -> bool:
    """Whether rotation parts (n, 3, 3) are distinct and hold all their products."""
    return _products(np.asarray(W, np.int64)) is not None


def is_cocycle(W: np.ndarray, w: np.ndarray, table: np.ndarray) -> bool:
    """Whether translations (n, 3) in 24ths fit the products `table (n, n)` of rotation parts modulo the lattice."""
    moved = w[:, None] + np.einsum("aij,bj->abi", W, w)
    return bool(((moved - w[table]) % DEN == 0).all())


def _groups(W: np.ndarray, extra: np.ndarray | None) -> list[np.ndarray]:
    """Groups near n rotation parts, those of order n that hold most of them first, then smaller ones."""
    distinct = np.array(list({_key(g): g for g in W}.values()))
    pool = distinct if extra is None else np.concatenate([distinct, np.asarray(extra, np.int64)])
    have, n = set(_keys(distinct).tolist()), len(W)
    rng = np.random.default_rng(n)  # the same set is mended in the same way
    found: dict[frozenset, tuple[float, np.ndarray]] = {}
    for attempt in range(_TRIES + len(distinct)):
        if attempt < len(distinct):
            chosen = distinct[attempt : attempt + 1]
        else:
            some = distinct if attempt % 4 else pool
            chosen = some[rng.choice(len(some), min(len(some), 2 + attempt % 2), replace=False)]
        group = generated(chosen)
        if group is None or len(group) > n:
            continue
        name = frozenset(group)
        if name not in found:
            held = len(have & group.keys())
            found[name] = (
                held - 0.5 * (len(group) - held) - (0 if len(group) == n else 0.5 * n),
                np.array(list(group.values())),
            )
    return [group for _, group in sorted(found.values(), key=lambda one: -one[0])]


def voted_group(W: np.ndarray, mass: np.ndarray, order: int) -> np.ndarray | None:
    """The group of an order that gathers most votes.

    Args:
        W: (c, 3, 3) candidates.
        mass: (c,) votes for each, 1 for a member that all agree on.
        order: of the group.

    Returns:
        (order, 3, 3), or None if no one to three candidates were found to generate such a group.
    """
    W = np.asarray(W, np.int64)
    votes = dict(zip(_keys(W).tolist(), np.asarray(mass, float).tolist(), strict=True))
    rng = np.random.default_rng(order)
    share = np.maximum(np.asarray(mass, float), 1e-6) ** 2
    share /= share.sum()
    top = np.argsort(-share)
    best: tuple[float, np.ndarray] | None = None
    for attempt in range(_TRIES):
        size = 1 + attempt % 3
        chosen = top[attempt // 3 : attempt // 3 + size] if attempt < 12 else rng.choice(len(W), size, p=share)
        group = _generated(W[np.unique(chosen)].astype(np.int8).tobytes())
        if group is None or len(group) != order:
            continue
        if max(np.abs(g).max() for g in group.values()) > 1:
            continue  # no isometry of any lattice in its Niggli basis, whatever its generators nearly are
        score = sum(votes.get(key, 0.0) for key in group)
        if best is None or score > best[0]:
            best = score, np.array(list(group.values()))
            if score > order - 0.3:
                break
    return None if best is None else best[1]


@lru_cache(maxsize=65536)
def _generated(generators: bytes) -> dict[int, np.ndarray] | None:
    """`generated` of rotation parts given as bytes (many sets share them)."""
    return generated(np.frombuffer(generators, np.int8).reshape(-1, 3, 3).astype(np.int64))


def generated(W: np.ndarray) -> dict[int, np.ndarray] | None:
    """The group that rotation parts (m, 3, 3) generate, by key; None if it has more than 48 elements."""
    one = np.eye(3, dtype=np.int64)
    group, new = {_key(one): one}, [one]
    while new:
        products = np.einsum("aij,bjk->abik", np.array(new), W).reshape(-1, 3, 3)
        if np.abs(products).max() > 3:
            return None
        new = []
        for key, g in zip(_keys(products).tolist(), products, strict=True):
            if key not in group:
                group[key] = g
                new.append(g)
        if len(group) > _MAX_ORDER:
            return None
    return group


def mended_cocycle(W: np.ndarray, w: np.ndarray) -> np.ndarray | None:
    """Translations (n, 3) in 24ths near to w that fit all products of W; None if W does not close or none was found."""
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64) % DEN
    table = _products(W)
    if table is None or is_cocycle(W, w, table):
        return None if table is None else w
    return mend_translations(W, w, np.ones(len(W), bool), table)


def mend_translations(W: np.ndarray, w: np.ndarray, known: np.ndarray, table: np.ndarray) -> np.ndarray | None:
    """A cocycle (n, 3) in 24ths near to translations w of which the known ones count; None if none was found.

    Args:
        W: (n, 3, 3) a group.
        w: (n, 3).
        known: (n,) bool.
        table: (n, n) its products.
    """
    options = []
    u = np.where(known[:, None], np.exp(2j * np.pi * w / DEN), 0)
    for _ in range(6):
        u = _vote(u, W, table)
        rounded = np.rint(np.angle(u) * DEN / (2 * np.pi)).astype(np.int64) % DEN
        if is_cocycle(W, rounded, table):
            options.append(rounded)
            break
    rng = np.random.default_rng(len(W))
    for grid in (1, 2, 3, 4, 6, 12):
        if options:
            break
        near = np.rint(w / grid).astype(np.int64) * grid % DEN
        for rows in _generating_choices(table, known, rng):
            spread = _spread(W, near, table, rows)
            if spread is not None and is_cocycle(W, spread, table):
                options.append(spread)
    if not options:
        return None

    def cost(one: np.ndarray) -> float:
        off = np.abs((one - w + DEN // 2) % DEN - DEN // 2)
        return float((off * known[:, None]).sum())

    return min(options, key=cost)


def _vote(u: np.ndarray, W: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Phases (n, 3) as the mean of what all products say, brought to size one (zero where nothing was said)."""
    power = np.where(W[:, None] == 0, 1, np.where(W[:, None] > 0, u[None, :, None], np.conj(u)[None, :, None]))
    said = u[:, None] * power.prod(-1)  # (i, j, 3) of W_i W_j
    total = np.zeros_like(u)
    np.add.at(total, table, said)
    size = np.abs(total)
    return np.where(size > 1e-9, total / np.maximum(size, 1e-9), 0)


def _generating_choices(table: np.ndarray, known: np.ndarray, rng: np.random.Generator, tries: int = 40) -> list[tuple]:
    """Random choices of one to three known rows."""
    rows = np.flatnonzero(known)
    found = []
    for size in (1, 2, 3):
        every = list(itertools.combinations(rows.tolist(), size)) if len(rows) <= 8 else None
        if every is None:
            every = [tuple(rng.choice(rows, size, replace=False).tolist()) for _ in range(tries)]
        found += every
    return found


def _spread(W: np.ndarray, w: np.ndarray, table: np.ndarray, rows: tuple) -> np.ndarray | None:
    """Translations (n, 3) of all products of some rows, or None if they do not generate everything."""
    identity = int(np.flatnonzero((W == np.eye(3, dtype=W.dtype)).all((1, 2)))[0])
    out = np.full_like(w, -1)
    out[identity] = 0
    reached = [identity]
    for at in reached:
        for g in rows:
            new = int(table[g, at])
            if out[new, 0] < 0:
                out[new] = (w[g] + W[g] @ out[at]) % DEN
                reached.append(new)
    return out if len(reached) == len(W) else None
