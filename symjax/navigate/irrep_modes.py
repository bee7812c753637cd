"""The displacement modes and strains of a crystal below a subgroup, irrep by irrep.

Owns `modes_of_irrep`, the `Modes` of the isotropy subgroup with everything of other irreps taken out, so that structures derived by
them move along that order parameter alone; and `IrrepModes`, all modes of a subgroup sorted by irreps, with the amplitudes that a
structure has of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symjax.crystals.types import Crystal
from symjax.errors import InputError
from symjax.groups.identify import identify
from symjax.groups.order_parameter import RealIrrep
from symjax.lattice.log import K_BASIS
from symjax.navigate.irreps import IrrepPart, irreps_of
from symjax.navigate.modes import Modes, ModeSpace, modes_of, realized_group
from symjax.navigate.relation import Relation
from symjax.navigate.splitcrystal import SplitCrystal, split_crystal
from symjax.navigate.symmetry_modes import IrrepAction, log_stretch, primitive_cell

_CLOSE = 1e-4


def modes_of_irrep(crystal: Crystal, irrep: RealIrrep, relation: Relation, *, along: np.ndarray | None = None) -> Modes:
    """Freedoms of a crystal along an isotropy subgroup that belong to one irrep.

    Args:
        crystal: the parent, with the operations of the standard setting of its type.
        irrep: of that type.
        relation: one of its isotropy subgroups, from `symjax.navigate.irreps.isotropy_relation`.
        along: (D,) the order parameter up to its size, kept by that subgroup; everything that the subgroup keeps where left out.

    Raises:
        InputError: the crystal has neither displacements nor strains of that irrep, or vectors of the irrep mean nothing because it
            is of complex or quaternionic type (its matrices commute with rotations of the vector).
    """
    if along is not None and irrep.reality != 1:
        raise InputError(
            f"{irrep.label} has no fixed directions: a turn of its order parameter can be taken up by a phase; give letters"
        )
    split = split_crystal(crystal, relation)
    modes, space = modes_of(split), ModeSpace(split)
    action = IrrepAction(crystal, primitive_cell(crystal), irrep.named.number)
    own = _projector(split, space, action, irrep)
    weight = None if along is None else _partner(space, irrep, along)
    if weight is not None:
        own = own @ space.mean(weight) @ own
    displacement = space.vectors(_basis(own))
    strain = np.zeros((0, 3, 3))
    if irrep.named.name == "GM" and len(modes.strain):
        a = space.strain_coordinates(modes.strain)
        own = a @ a.T @ action.strain_projector(irrep) @ a @ a.T
        if weight is not None:
            own = own @ space.strain_mean(weight) @ own
        strain = np.einsum("as,aij->sij", _basis(0.5 * (own + own.T)), K_BASIS)
    if not len(displacement) and not len(strain):
        raise InputError(
            f"this crystal has no displacements and no strains of {irrep.label} along that direction: its atoms lie on positions "
            "whose vectors hold no such irrep (`symjax subgroups FILE --irrep` lists what it has)"
        )
    found = replace(
        modes, displacement=displacement, strain=strain, num_primary=len(displacement), num_primary_strain=len(strain)
    )
    return replace(found, realized=realized_group(found))


@dataclass(frozen=True)
class IrrepModes:
    """A basis of all displacements that a subgroup H allows a crystal, each of one irrep and one orbit of the parent.

    Attributes:
        split: the parent in the setting of H.
        parts: (k,) the irrep of each mode.
        orbit: (k,) the parent's orbit.
        vector: (k, m, 3) displacements of the representatives, Cartesian in the parent's lattice; the squares over the atoms of a
            primitive cell of H add up to 1 (as in AMPLIMODES), the first largest component of a representative is positive.
        action: of the parent's group on strains.
        every: the irreps of which H keeps anything, the trivial one first where it keeps displacements or strains.
    """

    split: SplitCrystal
    parts: tuple[IrrepPart, ...]
    orbit: np.ndarray
    vector: np.ndarray
    action: IrrepAction
    every: tuple[IrrepPart, ...]

    def amplitudes(self, x: np.ndarray) -> np.ndarray:
        """(k,) of representatives (m, 3) in H's standard setting, modulo its cell; angstrom."""
        step = x - self.split.x
        return np.einsum("kmi,mi,m->k", self.vector, (step - np.rint(step)) @ self.split.L, self._weight)

    def strains(self, L: np.ndarray) -> list[tuple[IrrepPart, float]]:
        """Size of what a lattice (3, 3) in H's standard setting has of each irrep of strains."""
        stretch = log_stretch(self.split.L, L)
        return [
            (part, float(v))
            for part in self.every
            if part.irrep.named.name == "GM"
            for v in self.action.strain(part.irrep, stretch)
        ]

    @property
    def _weight(self) -> np.ndarray:
        """(m,) atoms of each orbit in a primitive cell of H."""
        pure = (np.asarray(self.split.relation.subgroup.W) == np.eye(3)).all(axis=(1, 2)).sum()
        return self.split.multiplicity / int(pure)


def all_modes(crystal: Crystal, relation: Relation) -> IrrepModes:
    """Every displacement mode of a crystal below a subgroup, uniform translations among them, irrep by irrep and orbit by orbit.

    Args:
        crystal: the parent, with the operations of the standard setting of its type.
        relation: of that type.

    Raises:
        InputError: the cell of the subgroup has too many k-vectors for their irreps to be worked out.
    """
    split = split_crystal(crystal, relation)
    space = ModeSpace(split)
    number = identify(relation.parent).number
    action = IrrepAction(crystal, primitive_cell(crystal), number)
    every = irreps_of(number, relation, trivial=True)
    parts, orbits, found = [], [], []
    pure = (np.asarray(relation.subgroup.W) == np.eye(3)).all(axis=(1, 2)).sum()
    for part in every:
        own = _projector(split, space, action, part.irrep, translations=True)
        for orbit in np.unique(split.parent_orbit):
            mine = np.concatenate(
                [np.arange(space.start[i], space.start[i + 1]) for i in np.flatnonzero(split.parent_orbit == orbit)]
            ).astype(int)
            columns = np.zeros((space.dim, 0))
            if len(mine):
                inner = _basis(own[np.ix_(mine, mine)])
                columns = np.zeros((space.dim, inner.shape[1]))
                columns[mine] = inner
            for vector in space.vectors(columns) * np.sqrt(int(pure)):
                largest = int(np.argmax(np.abs(vector) > np.abs(vector).max() - 1e-7))
                parts.append(part)
                orbits.append(int(orbit))
                found.append(vector * np.sign(vector.ravel()[largest]))
    vectors = np.array(found).reshape(-1, len(split.orbits), 3)
    return IrrepModes(split, tuple(parts), np.array(orbits, np.int64), vectors, action, tuple(every))


def _partner(space: ModeSpace, irrep: RealIrrep, along: np.ndarray) -> np.ndarray:
    """(n,) weights of the cosets whose sum projects on fields that belong to one vector of an irrep of real type.

    (D / |G|) sum_g (v D(g) v) g for a unit vector v (the orthogonality of matrix elements).
    """
    v = along / np.linalg.norm(along)
    matrices = irrep.operations(*space.operations())
    return irrep.dim / len(matrices) * np.einsum("i,gij,j->g", v, matrices, v)


def _projector(
    split: SplitCrystal, space: ModeSpace, action: IrrepAction, irrep: RealIrrep, *, translations: bool = False
) -> np.ndarray:
    """(dim, dim) projector on the irrep's part of Inv(H), uniform translations taken out unless asked for."""
    if not space.dim:
        return np.zeros((0, 0))
    cell, inner = action.cell, split.relation.subgroup
    P, p = split.relation.setting.matrix, split.relation.setting.origin
    back = np.linalg.inv(cell.basis / cell.unit)
    S = np.rint(back @ P)
    frame = split.L.T
    turn = frame @ np.asarray(inner.W) @ np.linalg.inv(frame)
    basis = space.vectors(np.eye(space.dim))  # (dim, m, 3)
    atoms: list[np.ndarray] = []
    cells: list[np.ndarray] = []
    fields: list[np.ndarray] = []
    first: list[int] = []
    for i, x in enumerate(split.x):
        places = (np.asarray(inner.W) @ x + np.asarray(inner.w) / inner.den) @ P.T + p
        y = places @ back.T
        gap = y[:, None] - cell.y[None]
        whole = np.rint(gap)
        j = (np.abs(gap - whole) < _CLOSE).all(axis=-1).argmax(axis=1)
        R = whole[np.arange(len(y)), j]
        classes = np.rint((R @ np.linalg.inv(S).T % 1.0) * 10_000).astype(int) % 10_000
        kept = np.sort(np.unique(np.column_stack([j, classes]), axis=0, return_index=True)[1])
        first.append(sum(len(a) for a in atoms))  # the identity comes first: the representative itself
        atoms.append(j[kept])
        cells.append(R[kept])
        fields.append(np.einsum("gab,rb->gar", turn[kept], basis[:, i]))
    atom, R, field = np.concatenate(atoms), np.concatenate(cells), np.concatenate(fields)
    order = np.argsort(atom, kind="stable")
    moved = action.project(irrep, field[order].reshape(-1, space.dim), R[order].astype(np.int64), S)
    place = np.argsort(order, kind="stable")[np.array(first)]
    out = space.coordinates(moved[place].transpose(2, 0, 1))
    out = 0.5 * (out + out.T)
    if translations:
        return out
    T = space.translations
    inside = np.eye(space.dim) - T @ T.T
    return inside @ out @ inside


def _basis(projector: np.ndarray) -> np.ndarray:
    """(dim, rank) orthonormal columns of a projector's range; pivoted, so that it is the same on every machine."""
    left, columns = projector.copy(), []
    for _ in range(round(float(np.trace(projector))) if len(projector) else 0):
        pivot = int(np.argmax(np.diag(left) > np.diag(left).max() - 1e-7))
        column = left[:, pivot] / np.linalg.norm(left[:, pivot])
        columns.append(column)
        left = left - np.outer(left @ column, column)
    return np.array(columns).reshape(len(columns), len(projector)).T
