"""One atom of each orbit, with the site symmetry of its position: what models on asymmetric units read (host, numpy).

Owns `centre_operations`, `move` and `orbit_site_symmetries`.

The atom nearest to (1/2, 1/2, 1/2) stands for its orbit, by plain (not periodic) distance in fractional coordinates in [0, 1), as
in the public code of SymmCD (Levy et al., arXiv 2502.03638). Ties go to the smallest coordinates; SymmCD breaks them by a random
shift of the centre, drawn once a process.
"""

from __future__ import annotations

import numpy as np

from symjax.groups.packaged import check_number
from symjax.ops.types import DEN
from symjax.wyckoff.set_table import SetTable
from symjax.wyckoff.types import type_positions

_TIE = 1e-6  # squared distances nearer than this are equal
_CHUNK = 4096


def centre_operations(sets: SetTable, orbit_set: np.ndarray, orbit_pos: np.ndarray, orbit_x: np.ndarray) -> np.ndarray:
    """(o,) uint8 operation of the orbit's set that takes its representative to the atom nearest to the centre of the cell.

    Args:
        sets: the sets of operations.
        orbit_set, orbit_pos: (o,) set and position of each orbit.
        orbit_x: (o, 3) representatives.
    """
    out = np.zeros(len(orbit_set), np.uint8)
    for index in np.unique(orbit_set):
        rows = np.flatnonzero(orbit_set == index)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            ops = np.asarray(sets.pos_images[index])[orbit_pos[part]]
            ops = ops[:, : int((ops >= 0).sum(axis=1).max())]
            x = move(sets, np.full(len(part), index), np.maximum(ops, 0), orbit_x[part])
            distance = np.where(ops >= 0, ((x - 0.5) ** 2).sum(axis=-1), np.inf)
            near = distance <= distance.min(axis=1, keepdims=True) + _TIE
            code = np.where(near, np.rint(x * 1e4) @ np.array([1e10, 1e5, 1.0]), np.inf)
            out[part] = ops[np.arange(len(part)), code.argmin(axis=1)]
    return out


def move(sets: SetTable, index: np.ndarray, ops: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Images in [0, 1) of points (o, 3) under operations (o,) or (o, n) of their sets (o,): (o, 3) or (o, n, 3)."""
    shape = (-1,) + (1,) * (ops.ndim - 1)
    W, w = np.asarray(sets.W)[index.reshape(shape), ops], np.asarray(sets.w)[index.reshape(shape), ops] / DEN
    points = x.reshape(*shape, 3)
    moved = np.mod((W * points[..., None, :]).sum(axis=-1) + w, 1.0)
    return np.where(moved > 1 - 1e-9, 0.0, moved)


def orbit_site_symmetries(numbers: np.ndarray, orbit_pos: np.ndarray) -> np.ndarray:
    """(o, 15) int8 site-symmetry classes of orbits, by space-group number (o,) and position (o,); see `symjax.wyckoff.oriented`.

    Raises:
        InputError: no space-group number.
    """
    if len(numbers):
        check_number(numbers.min()), check_number(numbers.max())
    return type_positions().site[numbers, orbit_pos]
