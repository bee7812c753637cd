"""A crystal described in the standard setting of its operations: the same atoms, other axes and origin."""

from __future__ import annotations

import numpy as np

from symjax.crystals.types import Crystal
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, find_setting
from symjax.groups.tables import standard_setting
from symjax.wyckoff.orbits import place
from symjax.wyckoff.positions import wyckoff_positions

_SAME = 1e-6  # fractional; images of a representative on its flat are equal to rounding


def standard_crystal(crystal: Crystal) -> tuple[Crystal, Setting]:
    """A crystal in the standard setting of its type, and the way there.

    Args:
        crystal: operations in any setting, closed; representatives on the flats of their stabilizers to rounding.

    Returns:
        the crystal, with representatives on the representative flats of the standard positions, in the same Cartesian frame; and
        (P, p): x' = P^-1 (x - p), rows of the lattice P^T L.

    Raises:
        NotAGroupError: the set does not close.
        SymjaxError: a representative is on no position (its stabilizer is not what its atoms have).
    """
    mask = np.ones(len(crystal.W), bool)
    opset = OpSet(W=crystal.W.astype(np.int32), w=crystal.w.astype(np.int32), mask=mask, den=crystal.den)
    setting = find_setting(opset, metric=crystal.L @ crystal.L.T)
    standard = standard_setting(setting.number)
    positions = wyckoff_positions(standard)
    W, w = np.asarray(standard.W), np.asarray(standard.w)
    found, points = [], []
    for orbit, x in enumerate(
        crystal.x @ np.linalg.inv(setting.matrix).T - np.linalg.solve(setting.matrix, setting.origin)
    ):
        images = W @ x + w / standard.den
        apart = images[:, None] - images[None]
        same = (np.abs(apart - np.rint(apart)) < _SAME).all(axis=-1)
        multiplicity = int((same.argmax(axis=1) == np.arange(len(W))).sum())
        position, point = place(positions, images, multiplicity=multiplicity, name=f"orbit {orbit}")
        found.append(position)
        points.append(point)
    moved = Crystal(
        W=W,
        w=w,
        L=setting.matrix.T @ crystal.L,
        z=crystal.z,
        x=np.array(points).reshape(-1, 3),
        stab=positions.stab[found],
        den=standard.den,
    )
    return moved, setting
