"""The two reference frames in which rotation parts are orthogonal matrices.

Owns the frames' basis columns and the step from integer W (lattice basis) to orthogonal R = A W A^-1. Frame 0 is
orthonormal, frame 1 hexagonal (a = b, gamma = 120 degrees). The frame is bookkeeping, not the crystal's lattice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.errors import SymjaxError
from symjax.ops.types import HEXAGONAL, namespace

Array = Any  # numpy or jax array

FRAMES = np.array([np.eye(3), HEXAGONAL])
FRAMES_INVERSE = np.linalg.inv(FRAMES)
FRAMES.setflags(write=False)
FRAMES_INVERSE.setflags(write=False)

_METRICS = np.array([2 * np.eye(3), [[2, -1, 0], [-1, 2, 0], [0, 0, 2]]]).astype(np.int64)  # 2 A^T A is integral


def to_float(values: Any, xp: Any) -> Array:
    """Float array of the namespace: float64 for numpy, jax's own floating type (float32 unless x64 is on) for jax."""
    values = xp.asarray(values)
    if xp is np:
        return values.astype(np.float64, copy=False)
    return values if xp.issubdtype(values.dtype, xp.floating) else values.astype(float)


def frame_rotations(W: Any, frame: Any) -> Array:
    """Rotation parts as matrices of the frame, R = A W A^-1.

    Args:
        W: (..., n, 3, 3) integers in the lattice basis.
        frame: (...) 0 or 1, one per set.

    Returns:
        (..., n, 3, 3) floats; orthogonal for every standard setting in its frame.
    """
    xp = namespace(W, frame)
    frame = xp.asarray(frame)
    W = to_float(W, xp)
    A = xp.asarray(FRAMES, dtype=W.dtype)[frame][..., None, :, :]
    inverse = xp.asarray(FRAMES_INVERSE, dtype=W.dtype)[frame][..., None, :, :]
    return A @ W @ inverse


def choose_frame(W: Any, mask: Any = None) -> int:
    """Frame in which all rotation parts of one set are orthogonal: 0 if they are so as they stand, else 1. Host, exact.

    Args:
        W: (n, 3, 3) integers.
        mask: (n,) bool members; all when left out.

    Raises:
        SymjaxError: neither frame serves (a sheared or primitive basis); names the first offending operation.
    """
    W = np.asarray(W, np.int64)
    mask = np.ones(len(W), bool) if mask is None else np.asarray(mask, bool)
    fits = (np.swapaxes(W, -1, -2)[None] @ _METRICS[:, None] @ W[None] == _METRICS[:, None]).all(axis=(-1, -2)) | ~mask
    for frame in (0, 1):
        if fits[frame].all():
            return frame
    worst = [int(np.flatnonzero(~f)[0]) for f in fits]
    raise SymjaxError(
        f"no reference frame makes all rotation parts orthogonal: operation {worst[0]} {W[worst[0]].tolist()} is not orthogonal "
        f"in the orthonormal frame, operation {worst[1]} {W[worst[1]].tolist()} not in the hexagonal one; bring the set to a "
        "conventional setting first"
    )
