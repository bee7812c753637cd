"""A crystal's atoms under a subgroup or supergroup of its operations: split orbits, freed parameters, structure type.

The crystal stays what it is; only the set that describes it changes. In the standard setting of H its atoms are orbits of H, with a
start geometry that still has every operation of the parent. Which subgroups the atoms can tell apart is isotropy theory (Stokes and
Hatch, Isotropy Subgroups of the 230 Crystallographic Space Groups, 1988): H is attainable if a generic H-symmetric displacement
and strain of the atoms has no operation of the parent beyond H, that is, if every larger subgroup leaves fewer parameters free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.data.structure_types import StructureTypes
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.groups.setting import Setting, find_setting
from symjax.groups.tables import standard_setting, vocabulary
from symjax.lattice import log_from_metric, project_metric
from symjax.models.symop.species import element_rank
from symjax.models.symop.walk.set_lattice import SetLattice
from symjax.wyckoff.orbits import assign_orbits
from symjax.wyckoff.positions import WyckoffPositions, wyckoff_positions
from symjax.wyckoff.set_table import SetTable, build_set_table

_SAME = 1e-3  # angstrom; atoms of an exact crystal land on each other to rounding


@dataclass(frozen=True)
class CellAtoms:
    """All atoms of a crystal's cell and where n operations take them.

    Attributes:
        operations: (n,) vocabulary indices; in an enlarged cell, whose operations have none, rows.
        atoms: the a atoms, with the n operations.
        image: (n, a) int, the atom that each operation takes each atom to.
    """

    operations: np.ndarray
    atoms: AtomicStructure
    image: np.ndarray


@dataclass(frozen=True)
class Reduction:
    """A crystal described by a closed set, in that set's standard setting.

    Attributes:
        setting: type and way (P, p) from the crystal's basis.
        k: (6,) log-lattice coefficients in the standard set's frame.
        z, pos, x: (m,), (m,), (m, 3) orbits in the canonical order of `symop`: element, position of the standard set and point
            on its flat.
        displacement: largest move of an atom by averaging over the set, angstrom (0 for a subgroup).
    """

    setting: Setting
    k: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    x: np.ndarray
    displacement: float

    @property
    def num_atoms(self) -> int:
        """Atoms of the conventional cell."""
        return int(np.asarray(standard(self.setting.number).table.pos_mult)[0, self.pos].sum())


@dataclass(frozen=True)
class _Standard:
    """A standard set with its positions, once in full and once as a table of one row."""

    opset: OpSet
    positions: WyckoffPositions
    table: SetTable


@cache
def standard(number: int) -> _Standard:
    """Standard setting of a type with its positions (cached)."""
    opset = standard_setting(number)
    return _Standard(opset, wyckoff_positions(opset), build_set_table([opset]))


def cell_atoms(crystal: Crystal, operations: np.ndarray, *, tolerance: float = _SAME) -> CellAtoms:
    """All atoms of a crystal and their images under operations given by vocabulary indices.

    Args:
        tolerance: an image is an atom of the same element nearer than this, angstrom.

    Raises:
        InputError: an operation takes an atom to where none is, or two atoms to one.
    """
    opset = vocabulary().opset(operations)
    atoms = replace(crystal.atoms(), W=opset.W, w=opset.w, den=opset.den)
    image, distance = land(atoms)
    if distance.max() > tolerance or (np.sort(image, axis=1) != np.arange(len(atoms.z))).any():
        row = int(distance.max(1).argmax())
        raise InputError(
            f"the crystal does not have operation {row} of its set: an atom lands {distance.max():.3f} angstrom from the next"
        )
    return CellAtoms(operations, atoms, image)


def land(atoms: AtomicStructure) -> tuple[np.ndarray, np.ndarray]:
    """(n, a) the atom of the same element nearest to each atom's image under each operation, and how far it is, angstrom."""
    moved = np.einsum("nij,aj->nai", atoms.W, atoms.x) + atoms.w[:, None] / atoms.den
    delta = moved[:, :, None] - atoms.x
    delta -= np.rint(delta)
    distance = np.where(atoms.z[:, None] == atoms.z, np.linalg.norm(delta @ atoms.L, axis=-1), np.inf)
    return distance.argmin(-1), distance.min(-1)


def free_parameters(cell: CellAtoms, members: np.ndarray) -> np.ndarray:
    """`(s,)` strains and displacements (rigid shifts of all atoms left out) that sets `members (s, n)` bool leave free.

    The number of times the identity representation occurs: the mean over H of the character, which is
    (atoms left in place - 1) tr W for the displacements and (tr(W)^2 + tr(W^2)) / 2 for the strains.
    """
    W = cell.atoms.W
    trace = np.trace(W, axis1=-2, axis2=-1)
    square = np.einsum("nij,nji->n", W, W)
    fixed = (cell.image == np.arange(len(cell.atoms.z))).sum(1)
    character = (fixed - 1) * trace + (trace**2 + square) // 2
    return members.astype(np.int64) @ character // members.sum(1)


def attainable(lattice: SetLattice, free: np.ndarray) -> np.ndarray:
    """`(s,)` whether a generic geometry of each set has exactly its operations and no more of the group above."""
    larger = lattice.target
    least = np.where(larger >= 0, free[np.maximum(larger, 0)], -1).max(1)
    return least < free


def split_species(cell: CellAtoms, members: np.ndarray) -> np.ndarray:
    """(m,) atomic numbers, one for each orbit of the set `members (n,)` bool."""
    lowest = cell.image[members].min(0)
    return cell.atoms.z[np.unique(lowest)]


def reduce(cell: CellAtoms, members: np.ndarray, *, tolerance: float = _SAME) -> Reduction:
    """The crystal by the set `members (n,)` bool, in its standard setting.

    Args:
        tolerance: atoms are averaged over the set if its operations take them to others nearer than this, angstrom.

    Raises:
        SymjaxError: the atoms do not form whole orbits at this tolerance.
    """
    atoms = cell.atoms
    inner = OpSet(W=atoms.W[members], w=atoms.w[members], mask=np.ones(int(members.sum()), bool), den=atoms.den)
    metric = project_metric(inner.W, None, atoms.L @ atoms.L.T)
    setting = find_setting(inner, metric=metric)
    P, target = setting.matrix, standard(setting.number)
    x, index = fill(atoms.x, P, setting.origin)
    frame = int(target.table.frame[0])
    k = log_from_metric(P.T @ metric @ P, frame)
    k = np.asarray(target.table.k_projector[0]) @ k  # removes rounding only
    orbits = assign_orbits(
        target.opset, target.positions, x, species=atoms.z[index], lattice=P.T @ atoms.L, tolerance=tolerance
    )
    order = np.lexsort((orbits.position, element_rank()[orbits.species]))
    return Reduction(
        setting=setting,
        k=k,
        z=orbits.species[order].astype(np.int32),
        pos=orbits.position[order].astype(np.int32),
        x=orbits.x[order],
        displacement=float(orbits.displacement.max(initial=0.0)),
    )


def fill(x: np.ndarray, P: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of the new cell: (b, 3) coordinates and (b,) which atom of the old cell each one is a copy of."""
    inverse = np.linalg.inv(P)
    reach = np.ceil(np.abs(P).sum(1)).astype(int) + 1
    cells = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), -1).reshape(-1, 3)
    shifts = np.unique(np.mod(np.rint(cells @ inverse.T * 27720).astype(np.int64), 27720), axis=0) / 27720.0
    moved = np.mod((x - p) @ inverse.T, 1.0)[:, None, :] + shifts  # one copy for each translation of the old cell
    flat, index = np.mod(moved.reshape(-1, 3), 1.0), np.repeat(np.arange(len(x)), len(shifts))
    delta = flat[:, None] - flat[None]
    delta -= np.rint(delta)
    same = (np.abs(delta) < 1e-6).all(-1)  # old atoms that a smaller cell no longer tells apart
    first = same.argmax(1) == np.arange(len(flat))
    return flat[first], index[first]


def types_of(reductions: list[Reduction]) -> tuple[StructureTypes, np.ndarray, np.ndarray]:
    """Structure types with start geometry `k (b, 6)` and `x (b, m, 3)`."""
    from symjax.wyckoff.set_table import concatenate

    numbers = sorted({r.setting.number for r in reductions})
    sets = concatenate([standard(n).table for n in numbers])
    width = max(len(r.z) for r in reductions)
    z, pos = (np.zeros((len(reductions), width), np.int32) for _ in range(2))
    x = np.zeros((len(reductions), width, 3))
    for i, r in enumerate(reductions):
        z[i, : len(r.z)], pos[i, : len(r.z)], x[i, : len(r.z)] = r.z, r.pos, r.x
    index = np.array([numbers.index(r.setting.number) for r in reductions], np.int32)
    return StructureTypes(sets, index, z, pos), np.stack([r.k for r in reductions]), x
