"""A parent crystal in the setting of a subgroup, nothing moved yet.

Owns `SplitCrystal` and `split_crystal`: each orbit of the parent in the pieces that H keeps, every piece on the flat of its
position in H's standard setting. Coordinates x_H = P^-1 (x - p), lattice rows P^T L, in the parent's Cartesian frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symjax.crystals.types import Crystal
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.navigate.relation import Relation
from symjax.navigate.splitting import SplitOrbit, Splitter, standard_positions
from symjax.wyckoff.positions import WyckoffPositions

_ON_FLAT = 1e-5


@dataclass(frozen=True)
class SplitCrystal:
    """A parent crystal's orbits under a subgroup H, nothing moved yet; m orbits in the order of the parent's.

    Attributes:
        relation: G and H.
        splitter: splits G's positions.
        lattice: (3, 3) the parent's lattice rows, angstrom.
        parent_position: (g,) position of each orbit of the parent.
        parent_orbit: (m,) orbit of the parent that each orbit of H comes from.
        orbits: m of them.
        z: (m,) atomic numbers.
        x: (m, 3) representatives in H's standard setting, each on the flat of its position.
    """

    relation: Relation
    splitter: Splitter
    lattice: np.ndarray
    parent_position: np.ndarray
    parent_orbit: np.ndarray
    orbits: tuple[SplitOrbit, ...]
    z: np.ndarray
    x: np.ndarray

    @property
    def L(self) -> np.ndarray:
        """(3, 3) lattice rows of H's conventional cell, angstrom, in the parent's Cartesian frame."""
        return self.relation.setting.matrix.T @ self.lattice

    @property
    def multiplicity(self) -> np.ndarray:
        """(m,) atoms of each orbit in H's conventional cell."""
        return np.array([o.multiplicity for o in self.orbits], np.int64)

    @property
    def position(self) -> np.ndarray:
        """(m,) positions in H's standard setting."""
        return np.array([o.position for o in self.orbits], np.int64)

    def crystal(self, L: np.ndarray | None = None, x: np.ndarray | None = None) -> Crystal:
        """The crystal in H's standard setting, with another lattice (3, 3) or representatives (m, 3) if given."""
        inner = self.relation.subgroup
        positions = standard_positions(self.relation.number)
        return Crystal(
            W=inner.W,
            w=inner.w,
            L=self.L if L is None else L,
            z=self.z,
            x=self.x if x is None else x,
            stab=positions.stab[self.position],
            den=inner.den,
        )


def split_crystal(crystal: Crystal, relation: Relation, splitter: Splitter | None = None) -> SplitCrystal:
    """A parent crystal in the setting of a subgroup.

    Args:
        crystal: with the operations of `relation.parent`.
        relation: G and H.
        splitter: of that relation, if there is one already.

    Raises:
        InputError: the crystal is not one of the relation's parent.
    """
    parent = relation.parent
    if len(crystal.W) != int(np.asarray(parent.mask).sum()):
        order = int(np.asarray(parent.mask).sum())
        raise InputError(
            f"the relation is one of a group with {order} operations in the cell, the crystal has {len(crystal.W)}"
        )
    splitter = Splitter(relation) if splitter is None else splitter
    positions = splitter.parent
    places = [_place(positions, parent, x, multiplicity=int(n)) for x, n in zip(crystal.x, crystal.multiplicity)]
    orbits: list[SplitOrbit] = []
    origin, points = [], []
    for i, (position, x) in enumerate(places):
        for o in splitter.split(position).orbits:
            orbits.append(o)
            origin.append(i)
            points.append(o.A @ x + o.c)
    return SplitCrystal(
        relation=relation,
        splitter=splitter,
        lattice=crystal.L,
        parent_position=np.array([p for p, _ in places], np.int64),
        parent_orbit=np.array(origin, np.int64),
        orbits=tuple(orbits),
        z=crystal.z[origin],
        x=np.array(points).reshape(-1, 3),
    )


def _place(positions: WyckoffPositions, parent: OpSet, x: np.ndarray, *, multiplicity: int) -> tuple[int, np.ndarray]:
    """Position of an orbit and the image of its representative on the position's own flat, exactly on it."""
    live = np.asarray(parent.mask, bool)
    images = np.asarray(parent.W)[live] @ x + np.asarray(parent.w)[live] / parent.den
    for p in np.flatnonzero(positions.multiplicity == multiplicity):
        dof = int(positions.dof[p])
        offset = (images - positions.x0[p]) @ positions.annihilator[p, : 3 - dof].T
        on = np.flatnonzero((np.abs(offset - np.rint(offset)) < _ON_FLAT).all(axis=-1))
        if len(on):
            u = np.linalg.inv(positions.completion[p])[:dof] @ (images[on[0]] - positions.x0[p])
            return int(p), positions.x0[p] + positions.basis[p][:, :dof] @ u
    raise InputError(
        f"an atom at {np.round(x, 5).tolist()} lies on no position of multiplicity {multiplicity} of the parent group"
    )
