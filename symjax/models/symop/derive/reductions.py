"""A crystal's atoms under a subgroup or supergroup of its operations: split orbits, freed parameters, structure type.

The crystal stays what it is; only the set that describes it changes. In the standard setting of H its atoms are orbits of H, with a
start geometry that still has every operation of the parent. Which subgroups the atoms can tell apart is isotropy theory (Stokes and
Hatch, Isotropy Subgroups of the 230 Crystallographic Space Groups, 1988): H is attainable if a generic H-symmetric displacement
and strain of the atoms has no operation of the parent beyond H, that is, if every larger subgroup leaves fewer parameters free.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.crystals.expand import coset_images
from symjax.crystals.types import Crystal
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
        operations: (n,) vocabulary indices; W: (n, 3, 3) and w: (n, 3) in 24ths.
        L: (3, 3) lattice rows, angstrom; z: (a,) atomic numbers; x: (a, 3) fractional.
        image: (n, a) int, the atom that each operation takes each atom to.
    """

    operations: np.ndarray
    W: np.ndarray
    w: np.ndarray
    L: np.ndarray
    z: np.ndarray
    x: np.ndarray
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
    x, species = unit_cell(crystal)
    opset = vocabulary().opset(operations)
    image, distance = land(x, species, opset=opset, L=crystal.L)
    if distance.max() > tolerance or (np.sort(image, axis=1) != np.arange(len(x))).any():
        row = int(distance.max(1).argmax())
        raise InputError(
            f"the crystal does not have operation {row} of its set: an atom lands {distance.max():.3f} angstrom from the next"
        )
    return CellAtoms(operations, opset.W.astype(np.int64), opset.w.astype(np.int64), crystal.L, species, x, image)


def unit_cell(crystal: Crystal) -> tuple[np.ndarray, np.ndarray]:
    """(a, 3) fractional coordinates and (a,) atomic numbers of all atoms of the cell, orbit by orbit."""
    images = coset_images(crystal.W, crystal.w, crystal.stab, crystal.den)
    parts, z = [], []
    for orbit, rows in enumerate(images):
        rows = rows[rows >= 0]
        parts.append(crystal.W[rows] @ crystal.x[orbit] + crystal.w[rows] / crystal.den)
        z += [int(crystal.z[orbit])] * len(rows)
    return np.concatenate(parts), np.array(z)


def land(x: np.ndarray, z: np.ndarray, *, opset: OpSet, L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, a) the atom of the same element nearest to each atom's image under each operation, and how far it is, angstrom."""
    moved = np.einsum("nij,aj->nai", opset.W, x) + opset.w[:, None] / opset.den
    delta = moved[:, :, None] - x
    delta -= np.rint(delta)
    distance = np.where(z[:, None] == z, np.linalg.norm(delta @ L, axis=-1), np.inf)
    return distance.argmin(-1), distance.min(-1)


def free_parameters(atoms: CellAtoms, members: np.ndarray) -> np.ndarray:
    """`(s,)` strains and displacements (rigid shifts of all atoms left out) that sets `members (s, n)` bool leave free.

    The number of times the identity representation occurs: the mean over H of the character, which is
    (atoms left in place - 1) tr W for the displacements and (tr(W)^2 + tr(W^2)) / 2 for the strains.
    """
    trace = np.trace(atoms.W, axis1=-2, axis2=-1)
    square = np.einsum("nij,nji->n", atoms.W, atoms.W)
    fixed = (atoms.image == np.arange(len(atoms.z))).sum(1)
    character = (fixed - 1) * trace + (trace**2 + square) // 2
    return members.astype(np.int64) @ character // members.sum(1)


def attainable(lattice: SetLattice, free: np.ndarray) -> np.ndarray:
    """`(s,)` whether a generic geometry of each set has exactly its operations and no more of the group above."""
    larger = lattice.target
    least = np.where(larger >= 0, free[np.maximum(larger, 0)], -1).max(1)
    return least < free


def split_species(atoms: CellAtoms, members: np.ndarray) -> np.ndarray:
    """(m,) atomic numbers, one for each orbit of the set `members (n,)` bool."""
    lowest = atoms.image[members].min(0)
    return atoms.z[np.unique(lowest)]


def reduce(atoms: CellAtoms, members: np.ndarray, *, tolerance: float = _SAME) -> Reduction:
    """The crystal by the set `members (n,)` bool, in its standard setting.

    Args:
        tolerance: atoms are averaged over the set if its operations take them to others nearer than this, angstrom.

    Raises:
        SymjaxError: the atoms do not form whole orbits at this tolerance.
    """
    inner = OpSet(W=atoms.W[members], w=atoms.w[members], mask=np.ones(int(members.sum()), bool), den=24)
    metric = project_metric(inner.W, None, atoms.L @ atoms.L.T)
    setting = find_setting(inner, metric=metric)
    P, target = setting.matrix, standard(setting.number)
    x, index = _fill(atoms.x, P, setting.origin)
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


def _fill(x: np.ndarray, P: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    from symjax.models.symop.walk.set_store import concatenate

    numbers = sorted({r.setting.number for r in reductions})
    sets = concatenate([standard(n).table for n in numbers])
    width = max(len(r.z) for r in reductions)
    z, pos = (np.zeros((len(reductions), width), np.int32) for _ in range(2))
    x = np.zeros((len(reductions), width, 3))
    for i, r in enumerate(reductions):
        z[i, : len(r.z)], pos[i, : len(r.z)], x[i, : len(r.z)] = r.z, r.pos, r.x
    index = np.array([numbers.index(r.setting.number) for r in reductions], np.int32)
    return StructureTypes(sets, index, z, pos), np.stack([r.k for r in reductions]), x
