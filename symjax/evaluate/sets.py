"""How far sets of operations are from groups, and lattices from holding them: exact integers, independent of `symjax.groups`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.ops.types import DEN


def metric_defect(cell: AtomicStructure) -> float:
    """Largest entry of |W^T G W - G| over the operations, relative to the largest entry of the metric G."""
    metric = cell.L @ cell.L.T
    moved = np.einsum("gji,jk,gkl->gil", cell.W, metric, cell.W)
    return float(np.abs(moved - metric).max(initial=0.0) / np.abs(metric).max())


def stack(cells: Sequence[AtomicStructure]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The sets of some cells as padded arrays: W (n, m, 3, 3), w (n, m, 3), mask (n, m), and their denominator."""
    size, den = max(len(cell.W) for cell in cells), cells[0].den
    W = np.tile(np.eye(3, dtype=np.int64), (len(cells), size, 1, 1))
    w, mask = np.zeros((len(cells), size, 3), np.int64), np.zeros((len(cells), size), bool)
    for i, cell in enumerate(cells):
        if cell.den != den:
            raise InputError(f"sets with denominators {den} and {cell.den} cannot be put together")
        W[i, : len(cell.W)], w[i, : len(cell.W)], mask[i, : len(cell.W)] = cell.W, cell.w, True
    return W, w, mask, den


def set_defects(
    W: np.ndarray, w: np.ndarray, mask: np.ndarray, den: int = DEN
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far sets of operations are from groups, in exact integers; independent of `symjax.groups`.

    Args:
        W: (n, m, 3, 3) rotation parts.
        w: (n, m, 3) translations in units of 1/den.
        mask: (n, m) which entries are members.
        den: the denominator.

    Returns:
        (n,) share of ordered pairs whose product is missing, (n,) share of members whose inverse is missing, (n,) whether
        the identity is a member. An empty set misses everything.

    Raises:
        InputError: shapes that do not fit, or a rotation part with an entry beyond 8.
    """
    W, w, mask = np.asarray(W, np.int64), np.asarray(w, np.int64), np.asarray(mask, bool)
    if W.shape != (*mask.shape, 3, 3) or w.shape != (*mask.shape, 3):
        raise InputError(f"sets need W (n, m, 3, 3), w (n, m, 3), mask (n, m); got {W.shape}, {w.shape}, {mask.shape}")
    products, inverses, identities = np.ones(len(W)), np.ones(len(W)), np.zeros(len(W), bool)
    seen: dict[bytes, tuple[float, float, bool]] = {}
    for i in range(len(W)):
        live = mask[i]
        if live.any():
            key = W[i][live].tobytes() + w[i][live].tobytes()
            if key not in seen:
                seen[key] = _defects(W[i][live], w[i][live], den)
            products[i], inverses[i], identities[i] = seen[key]
    return products, inverses, identities


def is_closed(W: Any, w: Any, den: int = DEN) -> bool:
    """Whether the product of any two operations of one set (m, 3, 3), (m, 3) is among them."""
    W, w = np.asarray(W, np.int64), np.asarray(w, np.int64)
    return bool(len(W) > 0 and set_defects(W[None], w[None], np.ones((1, len(W)), bool), den)[0][0] == 0)


def _defects(W: np.ndarray, w: np.ndarray, den: int) -> tuple[float, float, bool]:
    members = _codes(W, w % den, den)
    if members.min() < 0:
        raise InputError("rotation parts with entries beyond 8 cannot be checked here; use symjax.groups")
    products = _codes(np.einsum("aij,bjk->abik", W, W), (np.einsum("aij,bj->abi", W, w) + w[:, None]) % den, den)
    identity = int(_codes(np.eye(3, dtype=np.int64), np.zeros(3, np.int64), den))
    missing = 1.0 - float(np.isin(products, members).mean())
    return missing, float((~(products == identity).any(axis=1)).mean()), bool((members == identity).any())


def _codes(W: np.ndarray, w: np.ndarray, den: int) -> np.ndarray:
    """One integer for each operation, -1 where a rotation part has an entry beyond 8 (then it is no member of any set)."""
    flat = W.reshape(*W.shape[:-2], 9)
    rotation = (flat + 8) @ (17 ** np.arange(9, dtype=np.int64))
    code = rotation * den**3 + w @ (den ** np.arange(3, dtype=np.int64))
    return np.where((np.abs(flat) <= 8).all(axis=-1), code, -1)
