"""What a measured structure is made of: its parent and the amplitudes of the modes and strains that lead down from it.

Owns `Decomposition` and `decompose`, which write the displacements and strain that `symjax.navigate.supergroups` measured in the
orthonormal modes of `symjax.navigate.modes`, the inverse of deriving a structure along them (mode analysis as in Perez-Mato,
Orobengoa, Aroyo, Acta Cryst. A 66, 558 (2010), with modes told apart by groups instead of irreducible representations); and
`near_operations`, how far each operation of a parent is from being one of the structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symjax.crystals.types import Crystal
from symjax.errors import DataError
from symjax.navigate.modes import Modes, modes_of
from symjax.navigate.placing import crystal_in_setting, relation_below
from symjax.navigate.relation import Relation
from symjax.navigate.splitcrystal import split_crystal
from symjax.navigate.supergroups import Search, Supergroup

_NEAR = 1e-3  # angstrom: atoms of the symmetrized parent are found again in its own orbits


@dataclass(frozen=True)
class Decomposition:
    """A structure as parent, displacement modes and strains.

    Attributes:
        parent: the symmetrized parent in the standard setting of G.
        relation: G and H, (P, p) from the parent's standard setting to H's.
        modes: freedoms from G to H; those of the order parameter first.
        displacement: (k,) amplitude of each displacement mode, angstrom in the conventional cell of H's standard setting.
        strain: (s,) amplitude of each strain mode, logarithmic.
        rest: length of what no mode carries, angstrom in that cell: how far the given atoms miss H themselves.
    """

    parent: Crystal
    relation: Relation
    modes: Modes
    displacement: np.ndarray
    strain: np.ndarray
    rest: float

    @property
    def primary(self) -> float:
        """Amplitude of the order-parameter displacements, those that no group between keeps; angstrom."""
        return float(np.linalg.norm(self.displacement[: self.modes.num_primary]))


def parent_and_relation(search: Search, found: Supergroup) -> tuple[Crystal, Relation]:
    """The symmetrized parent in its standard setting, and the structure's group below it."""
    upper = search.setting_of(found)
    return crystal_in_setting(found.cell, found.motions, upper), relation_below(
        upper, search.motions, found.columns, found.origin
    )


def decompose(search: Search, found: Supergroup) -> Decomposition:
    """Amplitudes of one parent's modes in the structure it was found from.

    Args:
        search: from `find_supergroups`.
        found: one of its supergroups.

    Raises:
        DataError: an atom of the parent is not found again in its orbits (it is not symmetric).
    """
    upper = search.setting_of(found)
    parent, relation = parent_and_relation(search, found)
    split = split_crystal(parent, relation)
    modes = modes_of(split)
    # Coordinates of H's cell about the centroid -> G's primitive -> G's standard -> H's standard setting.
    lower = relation.setting
    linear = np.linalg.inv(found.columns @ upper.matrix @ lower.matrix)
    shift = found.origin + found.columns @ (upper.origin + upper.matrix @ lower.origin)
    symmetrized = np.linalg.inv(found.columns).T @ found.cell.L
    u = found.displacement @ np.linalg.inv(symmetrized)
    places = (search.cell.x - u - shift) @ linear.T
    moved = (u @ linear.T) @ split.L
    opset = relation.subgroup
    pure = (np.asarray(opset.W) == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    centring = np.asarray(opset.w)[pure] / opset.den
    at = []
    for x in split.x:
        gap = places[:, None] + centring[None] - x
        gap -= np.rint(gap)
        length = np.linalg.norm(gap @ split.L, axis=-1).min(axis=1)
        if length.min() > _NEAR:
            raise DataError(f"the parent has no atom within {_NEAR} angstrom of {np.round(x, 5).tolist()}")
        at.append(int(length.argmin()))
    weight = split.multiplicity[None, :, None]
    amplitudes = (
        (modes.displacement * moved[at][None] * weight).sum(axis=(1, 2)) if len(modes.displacement) else np.zeros(0)
    )
    total = float((moved**2).sum()) * len(centring)
    strain = _log_stretch(split.L, lower.matrix.T @ upper.matrix.T @ found.columns.T @ search.cell.L)
    rest = float(np.sqrt(max(total - float((amplitudes**2).sum()), 0.0)))
    return Decomposition(parent, relation, modes, amplitudes, np.einsum("sij,ij->s", modes.strain, strain), rest)


@dataclass(frozen=True)
class NearOperation:
    """An operation of a parent that the structure has only nearly.

    Attributes:
        W: (3, 3) int64, in the parent's standard setting.
        w: (3,) float64 translation there, one that fits the structure best; not reduced modulo the cell.
        mismatch: largest distance between an atom's image and the atom there, angstrom, about the common centroid.
    """

    W: np.ndarray
    w: np.ndarray
    mismatch: float


def near_operations(search: Search, found: Supergroup) -> list[NearOperation]:
    """For each rotation part that the structure lacks the operation of the parent that fits it best, then lost translations.

    Operations of the parent map the structure's displacement field u on itself only nearly: the image of atom i misses the atom at
    its place by |u_gi - R u_i|.
    """
    upper = search.setting_of(found)
    back = np.linalg.inv(upper.matrix)
    B = np.rint(np.linalg.inv(found.columns)).astype(np.int64)
    symmetrized = np.linalg.inv(found.columns).T @ found.cell.L
    u, w = found.displacement, found.motions.w / len(found.cell.z)
    x = search.cell.x - u @ np.linalg.inv(symmetrized)
    y = (x - found.origin) @ B.T
    own = {np.rint(B @ W @ found.columns).astype(np.int64).tobytes() for W in search.motions.W}
    steps = _representatives(B)
    lacking: list[NearOperation] = []
    lost: list[NearOperation] = []
    for row, W in enumerate(found.motions.W):
        if W.tobytes() in own and row:
            continue
        gaps = [_mismatch(B, y, u, motion=(W, w[row] + step), L=found.cell.L) for step in steps]
        for at in range(1, len(steps)) if row == 0 else [int(np.argmin(gaps))]:
            shift = back @ (w[row] + steps[at] + W @ upper.origin - upper.origin)
            one = NearOperation(
                np.rint(back @ W @ upper.matrix).astype(np.int64), np.round(shift, 9) + 0.0, float(gaps[at])
            )
            (lacking if row else lost).append(one)
    return [*lacking, *lost]


def _representatives(B: np.ndarray) -> np.ndarray:
    """(k, 3) integer vectors, one of each class modulo the lattice of B's columns: zero first, short positive ones preferred."""
    k = abs(int(round(np.linalg.det(B))))
    box = np.stack(np.meshgrid(*[np.arange(-k + 1, k)] * 3, indexing="ij"), -1).reshape(-1, 3)
    box = box[np.lexsort(((box < 0).sum(axis=1), (box**2).sum(axis=1)))]
    classes = np.mod(np.rint(box @ (np.linalg.inv(B) * k).T).astype(np.int64), k)
    return box[np.sort(np.unique(classes, axis=0, return_index=True)[1])]


def _mismatch(
    B: np.ndarray, y: np.ndarray, u: np.ndarray, *, motion: tuple[np.ndarray, np.ndarray], L: np.ndarray
) -> float:
    """How far a motion of the parent (primitive basis) is from mapping atoms y + u of the cell B on themselves."""
    W, w = motion
    inverse = np.linalg.inv(B)
    turn = L.T @ W @ np.linalg.inv(L.T)
    k = abs(int(round(np.linalg.det(B))))
    # Cells of H are told apart by where the motion puts them modulo the lattice of H.
    box = np.stack(np.meshgrid(*[np.arange(k)] * 3, indexing="ij"), -1).reshape(-1, 3)
    classes = np.mod(np.rint(box @ (inverse @ W @ B).T * k).astype(np.int64), k)
    cells = box[np.unique(classes, axis=0, return_index=True)[1]]
    images = (y[None] + cells[:, None] @ B.T) @ W.T + w
    gap = (images[:, :, None] - y[None, None]) @ inverse.T
    there = np.abs(gap - np.rint(gap)).max(axis=-1).argmin(axis=-1)
    return float(np.linalg.norm(u[there] - (u @ turn.T)[None], axis=-1).max())


def _log_stretch(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(3, 3) logarithm of the stretch from one lattice (rows) to the metric of another, in the frame of the first."""
    back = np.linalg.inv(first.T)
    values, vectors = np.linalg.eigh(back.T @ (second @ second.T) @ back)
    return 0.5 * (vectors * np.log(values)) @ vectors.T
