"""A crystal described in the standard setting of its operations: the same atoms, other axes and origin."""

from __future__ import annotations

import re

import numpy as np

from symjax.crystals.types import Crystal
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, find_setting
from symjax.groups.symbols import setting_name, short_symbol
from symjax.groups.tables import default_hall, hall_setting, hall_to_number, standard_setting
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


def setting_change(hall: int) -> Setting:
    """The way from a tabulated setting (Hall number) to the standard setting of its type: x_standard = P^-1 (x - p)."""
    number = hall_to_number(hall)
    if hall == default_hall(number):
        one = np.eye(3, dtype=np.int64)
        return Setting(number, short_symbol(number), one, 1, np.zeros(3, np.int64), 1)
    return find_setting(hall_setting(hall), numbers=(number,))


def way_to_setting(hall: int, P: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, p) into a tabulated setting from (P, p) into the standard setting of its type."""
    change = setting_change(hall)
    P = P @ np.linalg.inv(change.matrix)
    return P, p - P @ change.origin


def operations_to_standard(hall: int, W: np.ndarray, w: np.ndarray, den: int) -> tuple[np.ndarray, np.ndarray]:
    """Operations (n, 3, 3), (n, 3) in units of 1/den, written in a tabulated setting, as the standard setting has them."""
    change = setting_change(hall)
    back = np.linalg.inv(change.matrix)
    moved = (np.asarray(w) / den + np.asarray(W) @ change.origin - change.origin) @ back.T
    return np.rint(back @ W @ change.matrix).astype(np.int64), np.rint(moved * den).astype(np.int64) % den


def oriented_in_setting(symbol: str, hall: int) -> str:
    """An oriented site symmetry of the standard setting, such as ``.m.``, in another tabulated one: its axes change places."""
    parts, axes = re.findall(r"2/m|-?\d|m|\.", symbol), np.abs(setting_change(hall).matrix)
    if len(parts) != 3 or "".join(parts) != symbol or set(axes.ravel()) != {0.0, 1.0}:
        return symbol
    return "".join(parts[int(row.argmax())] for row in axes)


def crystal_in_setting_of(crystal: Crystal, hall: int) -> Crystal:
    """A crystal of the standard setting in another tabulated one of its type.

    Args:
        crystal: in the standard setting.
        hall: Hall number, 1 to 530.

    Raises:
        InputError: the setting is one of another type.
    """
    own = find_setting(
        OpSet(
            W=crystal.W.astype(np.int32),
            w=crystal.w.astype(np.int32),
            mask=np.ones(len(crystal.W), bool),
            den=crystal.den,
        )
    )
    if hall_to_number(hall) != own.number:
        raise InputError(
            f"{setting_name(hall)} is a setting of {short_symbol(hall_to_number(hall))} ({hall_to_number(hall)}); the crystal has "
            f"{own.symbol} ({own.number})"
        )
    change, opset = setting_change(hall), hall_setting(hall)
    W, w = np.asarray(opset.W), np.asarray(opset.w)
    x = crystal.x @ change.matrix.T + change.origin
    images = np.einsum("gij,mj->mgi", W, x) + w / opset.den
    gap = images - x[:, None]
    stab = (np.abs(gap - np.rint(gap)) < _SAME).all(axis=-1)
    return Crystal(
        W=W,
        w=w,
        L=np.linalg.inv(change.matrix).T @ crystal.L,
        z=crystal.z,
        x=x - np.floor(x + 1e-9),
        stab=stab,
        den=opset.den,
    )
