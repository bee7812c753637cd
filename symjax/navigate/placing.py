"""From motions of an arrangement to the standard setting: crystals with their orbits, and subgroups seen from their supergroup.

Owns `crystal_in_setting`, `relation_below`, `way_from_file` and `nearest_origin`. Motions are exact about the centroid of the atoms
(`navigate.pseudosymmetry`), so the way into the standard setting (`symjax.groups.setting`) is exact too; only coordinates and
lattices are real.
"""

from __future__ import annotations

import math

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.errors import InputError, SymjaxError
from symjax.groups.primitive import origin_solutions
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, find_setting, make_setting
from symjax.groups.tables import standard_setting
from symjax.navigate.motions import Motions
from symjax.navigate.relation import Relation

_TOUCH = 1e-4  # angstrom: a symmetrized atom this close to its image is on the site; such atoms are exact to rounding


def crystal_in_setting(
    arrangement: AtomicStructure, motions: Motions, setting: Setting, *, origin: np.ndarray | None = None
) -> Crystal:
    """A symmetric arrangement as a crystal in the standard setting of its group.

    Args:
        arrangement: has the motions exactly; the basis may be any, the origin is the centroid.
        motions: closed; translations of the arrangement's cell are among them where the cell is not primitive.
        setting: of `motions.opset()`.
        origin: (3,) another origin in the arrangement's basis, which differs from the setting's along polar directions only.

    Raises:
        InputError: the orbits do not add up to the atoms of the cell (the arrangement does not have the motions).
    """
    opset = standard_setting(setting.number)
    W, w = np.asarray(opset.W, np.int64), np.asarray(opset.w) / opset.den
    L = setting.matrix.T @ arrangement.L
    places = (arrangement.x - (setting.origin if origin is None else origin)) @ np.linalg.inv(setting.matrix).T
    kept = np.unique(motions.perm.min(axis=0))
    z, x, stab = [], [], []
    for atom in kept:
        place = places[atom] - np.floor(places[atom])
        images = W @ place + w
        gap = images - place
        whole = np.rint(gap)
        fixed = np.linalg.norm((gap - whole) @ L, axis=1) < _TOUCH
        place = (images - whole)[fixed].mean(axis=0)  # removes rounding from special positions
        z.append(int(arrangement.z[atom]))
        x.append(place - np.floor(place + 1e-12))
        stab.append(fixed)
    crystal = Crystal(W=W, w=opset.w, L=L, z=np.array(z), x=np.array(x), stab=np.array(stab), den=opset.den)
    expected = len(arrangement.z) * abs(np.linalg.det(setting.matrix))
    if abs(crystal.num_atoms - expected) > 1e-3:
        raise InputError(
            f"the orbits under {setting.symbol} ({setting.number}) make {crystal.num_atoms} atoms in its cell, not {expected:.4g}"
        )
    return crystal


def relation_below(
    upper: Setting, lower: Motions, columns: np.ndarray, origin: np.ndarray, *, metric: np.ndarray | None = None
) -> Relation:
    """A group H below G as a relation: H in the standard setting of G, with the way into its own standard setting.

    Args:
        upper: of G, from a primitive basis of G.
        lower: H in a cell of its own, about the centroid of the atoms there.
        columns: (3, 3) that primitive basis of G as columns in the basis of H's cell, and
        origin: (3,) its origin there (a rational point: both origins are centroids of atoms).
        metric: of the standard basis of G, by which cells of H are judged.

    Returns:
        the relation; `num_conjugates` is 0 (not asked).
    """
    num_atoms = lower.perm.shape[1]
    inner = np.rint(np.linalg.inv(columns)).astype(np.int64)  # H's cell in the primitive basis of G
    k = abs(int(round(np.linalg.det(inner))))
    unit = math.lcm(num_atoms * k, k * upper.p_den)
    place = np.rint((origin + np.rint(columns * k) / k @ upper.origin) * unit).astype(
        np.int64
    )  # of G's origin in H's cell
    own = lower.opset()
    den = math.lcm(unit, own.den)
    W = np.asarray(own.W, np.int64)
    w = np.asarray(own.w, np.int64) * (den // own.den) + (W @ place - place) * (den // unit)
    moved = OpSet(W=own.W, w=np.mod(w, den).astype(np.int64), mask=own.mask, den=den)
    adjugate = np.rint(np.linalg.inv(upper.P) * np.linalg.det(upper.P)).astype(np.int64)
    basis = adjugate @ inner * upper.P_den  # H's cell in the standard basis of G, in units of 1 / det P
    setting = find_setting(moved, metric=metric, reference=(basis, int(round(np.linalg.det(upper.P)))))
    standard = standard_setting(upper.number)
    W_upper = {g.tobytes() for g in np.asarray(standard.W, np.int64)}
    translations = int((W == np.eye(3, dtype=np.int64)).all(axis=(1, 2)).sum())
    rotations = len(W) // translations
    return Relation(
        parent=standard, setting=setting, t_index=len(W_upper) // rotations, k_index=k // translations, num_conjugates=0
    )


def way_from_file(structure: AtomicStructure, cell: AtomicStructure) -> tuple[np.ndarray, np.ndarray]:
    """The cell that a search works in, in the axes of the structure that it was made from.

    Args:
        structure: as read.
        cell: the same atoms, averaged or not, in a primitive cell with any origin, not turned.

    Returns:
        C (3, 3) columns, rational, and o (3,): x_structure = C y + o. Of equivalent origins the one nearest to zero.

    Raises:
        SymjaxError: the atoms are not the same.
    """
    size = max(len(structure.z), 1)
    C = np.rint((cell.L @ np.linalg.inv(structure.L)).T * size) / size
    inverse = np.linalg.inv(C)
    first = int(np.argmin([(cell.z == z).sum() for z in cell.z]))
    best: tuple | None = None
    for j in np.flatnonzero(structure.z == cell.z[first]):
        origin = structure.x[j] - C @ cell.x[first]
        gap = ((structure.x - origin) @ inverse.T)[:, None] - cell.x
        gap -= np.rint(gap)
        length = np.linalg.norm(gap @ cell.L, axis=-1)
        length[structure.z[:, None] != cell.z] = np.inf
        miss = gap[np.arange(size), length.argmin(axis=1)]
        origin = origin + C @ miss.mean(axis=0)  # that of all atoms, not of one
        origin -= np.rint(origin - 1e-9)
        found = (round(float(length.min(axis=1).max()), 3), round(float(np.abs(origin).sum()), 6), tuple(origin))
        if best is None or found < best:
            best = found
    if best is None or best[0] > 1.0:
        raise SymjaxError("the atoms of the cell are not those of the structure")
    return C, np.array(best[2])


def nearest_origin(setting: Setting, C: np.ndarray, o: np.ndarray) -> Setting:
    """Of the origins that a standard setting leaves open the one that is simplest in other axes.

    A type does not change when its origin is moved by a translation of its normalizer, (W - I) n in Z^3 for every rotation part;
    along polar directions the origin stays where it is.

    Args:
        setting: from a cell to the standard setting.
        C, o: (3, 3) and (3,) the cell in other axes, x = C y + o.
    """
    opset = standard_setting(setting.number)
    W, pure = np.asarray(opset.W, np.int64), (np.asarray(opset.W) == np.eye(3)).all(axis=(1, 2))
    solved = origin_solutions(np.unique(W, axis=0), np.zeros((len(np.unique(W, axis=0)), 3), np.int64), 1)
    points, unit = (np.zeros((1, 3), np.int64), 1) if solved is None else solved
    steps = [(n, unit) for n in points] + [(t, opset.den) for t in np.asarray(opset.w, np.int64)[pure]]
    best: tuple | None = None
    for n, den in steps:
        scale = math.lcm(setting.p_den, setting.P_den * den)
        p = setting.p * (scale // setting.p_den) + setting.P @ n * (scale // (setting.P_den * den))
        place = o + C @ (p / scale)
        gap = np.abs(place - np.rint(place))
        cost = (int((gap > 1e-3).sum()), round(float(gap.sum()), 3))
        if best is None or cost < best[0]:
            best = (cost, p, scale)
    assert best is not None
    return make_setting(setting.number, setting.symbol, (setting.P, setting.P_den), (best[1], best[2]))
