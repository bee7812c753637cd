"""From a plain structure to (standard set of operations, compatible lattice, orbits on their flats).

Owns the step in which tolerances are decided. spglib finds the space-group type of a structure at a tolerance and the
change of basis to the standard setting (unique axis b, origin choice 2, hexagonal axes); everything after that is exact
for the set of operations: the metric is projected on the set's invariant metrics, atoms are assigned to orbits,
averaged over the operations that map them on each other, and projected on the representative flat of their position. If
the atoms do not form whole orbits at the tolerance asked for, smaller ones are tried and the last resort is the
identity alone; the one that worked is recorded.

Change of basis as spglib gives it: x_standard = T x + p, basis_standard = basis T^-1 (columns).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product

import numpy as np

from symjax.crystals.io.search import search_symmetry
from symjax.crystals.types import AtomicStructure, Crystal
from symjax.errors import DataError
from symjax.groups.sets import OpSet
from symjax.groups.spglib_notice import without_notice
from symjax.wyckoff.set_table import SetTable

FALLBACK_SYMPREC = (1e-2, 1e-3)
_ALL_PAIRS = 1000  # atoms up to which all distances are worked out at once


@dataclass(frozen=True)
class Standardized:
    """One crystal in the standard setting of its space group.

    Attributes:
        number: space-group number (bookkeeping: which standard set).
        k: (6,) log-lattice coefficients in the set's frame.
        z, pos, x: (m,) atomic numbers, (m,) positions, (m, 3) representatives on the positions' flats.
        symprec: the tolerance that worked, angstrom; 0.0 for the last resort (identity alone).
        transform: (3, 3) T and origin: (3,) p of x_standard = T x + p, from the input cell.
    """

    number: int
    k: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    x: np.ndarray
    symprec: float
    transform: np.ndarray
    origin: np.ndarray


@cache
def standard_set(number: int) -> tuple[OpSet, SetTable]:
    """The standard set of a type with its positions, as an unpadded table of one set (cached per process)."""
    from symjax.groups.tables import standard_setting
    from symjax.wyckoff.set_table import build_set_table

    opset = standard_setting(number)
    return opset, build_set_table([opset])


def standardize(structure: AtomicStructure, symprec: float = 0.1, angle_tolerance: float = 5.0) -> Standardized:
    """Bring a structure to the standard setting of the group found at ``symprec`` (angstrom) and ``angle_tolerance`` (degrees).

    Raises:
        DataError: spglib finds nothing and the structure cannot be kept with the identity alone either.
    """
    structure = right_handed(structure)
    tolerances = [symprec] + [t for t in FALLBACK_SYMPREC if t < symprec]
    for tolerance in tolerances:
        found = _find(structure, tolerance, angle_tolerance)
        if found is None:
            continue
        number, transform, origin = found
        result = _build(structure, number, transform=transform, origin=origin, tolerance=tolerance)
        if result is not None and _keeps_structure(result, structure):
            return result
    transform = _reducing_transform(structure)
    result = _build(structure, 1, transform=transform, origin=np.zeros(3), tolerance=0.0)
    if result is None:
        raise DataError("the atoms do not form whole orbits under any tolerance, not even under the identity alone")
    return result


def _keeps_structure(result: Standardized, structure: AtomicStructure) -> bool:
    """Whether a result with fewer atoms in its primitive cell than the input is still the same structure.

    At a loose tolerance spglib can merge a distorted superstructure into its smaller average cell (seven atoms of an element
    into one). The transformation is known, so each atom of the input is carried by it to the standard cell: it must meet an
    atom of its element within twice the tolerance, each atom of the primitive cell must be met equally often, and averaging
    the lattice must not move the input's edges by more than the tolerance. Where no cell was reduced nothing is to be decided.
    """
    opset, table = standard_set(result.number)
    pure = opset.w[(opset.W == np.eye(3, dtype=int)).all(axis=(1, 2))] / opset.den
    cell = to_crystal(result).atoms(table.pos_images[0, result.pos])
    copies, rest = divmod(len(structure.z) * len(pure), len(cell.z))
    if copies == 1 and not rest:
        return True
    if rest or copies == 0:
        return False
    moved = structure.x @ result.transform.T + result.origin
    met, distance = _nearest(moved, structure.z, cell)
    edges, tolerance = _edges_moved(structure.L, result.transform.T @ cell.L), max(result.symprec, 1e-3)
    if distance.max() > 2 * tolerance or edges > tolerance:
        return False
    translated = (cell.x[:, None, :] + pure).reshape(-1, 3)
    same, _ = _nearest(translated, np.repeat(cell.z, len(pure)), cell)
    primitive = same.reshape(len(cell.z), len(pure)).min(axis=1)  # one name for all translates of an atom
    counts = np.bincount(primitive[met], minlength=len(cell.z))
    return bool((counts[np.unique(primitive)] == copies).all())


def _edges_moved(L: np.ndarray, other: np.ndarray) -> float:
    """Largest distance, angstrom, between the ends of two cells' edges (rows), the other cell turned to fit best."""
    left, _, right = np.linalg.svd(other.T @ L)
    return float(np.linalg.norm(other @ left @ right - L, axis=1).max())


def _nearest(x: np.ndarray, z: np.ndarray, cell: AtomicStructure) -> tuple[np.ndarray, np.ndarray]:
    """(a,) atom of the cell of the same element nearest to each point and (a,) its distance in angstrom (infinite: none)."""
    met, distance = np.zeros(len(z), np.int64), np.full(len(z), np.inf)
    for element in np.unique(z):
        mine, theirs = np.flatnonzero(z == element), np.flatnonzero(cell.z == element)
        if not len(theirs):
            continue
        for rows in np.array_split(mine, -(-len(mine) * len(theirs) // 500_000)):
            delta = x[rows, None, :] - cell.x[theirs][None]
            delta -= np.rint(delta)
            lengths = np.linalg.norm(delta @ cell.L, axis=-1)
            met[rows], distance[rows] = theirs[lengths.argmin(axis=1)], lengths.min(axis=1)
    return met, distance


def to_crystal(result: Standardized) -> Crystal:
    """The standardized crystal with its operations, lattice and stabilizers."""
    from symjax.lattice import lattice_from_log

    opset, table = standard_set(result.number)
    return Crystal(
        W=opset.W,
        w=opset.w,
        L=lattice_from_log(result.k, int(table.frame[0])),
        z=result.z,
        x=result.x,
        stab=table.pos_stab[0, result.pos],
        den=opset.den,
    )


def right_handed(structure: AtomicStructure) -> AtomicStructure:
    """The same arrangement with a right-handed basis (reversing all three axes keeps the crystal as it is)."""
    if np.linalg.det(structure.L) >= 0:
        return structure
    return AtomicStructure(L=-structure.L, z=structure.z, x=-structure.x)


def _find(structure: AtomicStructure, symprec: float, angle: float) -> tuple[int, np.ndarray, np.ndarray] | None:
    """(number, T, p) of the standard setting, or None when spglib gives up or contradicts itself."""
    from symjax.groups.tables import default_hall

    first = search_symmetry(structure, symprec, angle)
    if first is None:
        return None
    number = int(first.number)
    hall = int(default_hall(number))
    second = first if int(first.hall_number) == hall else search_symmetry(structure, symprec, angle, hall)
    if second is None or int(second.number) != number or int(second.hall_number) != hall:
        return None
    return number, np.asarray(second.transformation_matrix, float), np.asarray(second.origin_shift, float)


def _reducing_transform(structure: AtomicStructure) -> np.ndarray:
    """T of the Niggli-reduced cell (integer, determinant 1), for structures kept with the identity alone."""
    import spglib

    with without_notice():
        try:
            reduced = spglib.niggli_reduce(structure.L)
        except Exception:  # its errors share no public base class in all versions
            reduced = None
    if reduced is None:
        return np.eye(3)
    transform = np.rint(np.linalg.inv(reduced.T) @ structure.L.T)
    return transform if round(np.linalg.det(transform)) == 1 else np.eye(3)


def _build(
    structure: AtomicStructure, number: int, *, transform: np.ndarray, origin: np.ndarray, tolerance: float
) -> Standardized | None:
    """Move to the standard cell and describe by orbits; None when the atoms do not form whole orbits."""
    from symjax.lattice import lattice_from_log, log_from_metric, project_metric

    opset, table = standard_set(number)
    columns = structure.L.T @ np.linalg.inv(transform)
    atoms = _fill_cell(structure, transform, origin, columns, max(2 * tolerance, 1e-3))
    if atoms is None:
        return None
    z, x = atoms
    frame = int(table.frame[0])
    k = log_from_metric(project_metric(opset.W, None, columns.T @ columns), frame)
    k = np.asarray(table.k_projector[0], float) @ k  # removes rounding only
    cartesian = lattice_from_log(k, frame).T
    orbits = _orbits(table, z, x, cartesian=cartesian, tolerance=max(4 * tolerance, 1e-3))
    if orbits is None:
        return None
    orbit_z, orbit_pos, orbit_x = orbits
    return Standardized(
        number=number, k=k, z=orbit_z, pos=orbit_pos, x=orbit_x, symprec=tolerance, transform=transform, origin=origin
    )


def _fill_cell(
    structure: AtomicStructure, transform: np.ndarray, origin: np.ndarray, columns: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """All atoms of the standard cell, (a,) and (a, 3) in [0, 1); copies of one atom in a supercell are merged."""
    ratio = 1.0 / np.linalg.det(transform)  # standard cells per input cell's volume
    expected = len(structure.z) * ratio
    if abs(expected - round(expected)) > 1e-3 or expected < 0.5:
        return None
    shifts = _input_translations(np.ascontiguousarray(transform, float).tobytes())
    base = structure.x @ transform.T + origin
    x = np.mod((base[:, None, :] + shifts[None]).reshape(-1, 3), 1.0)
    z = np.repeat(structure.z, len(shifts))
    keep = np.ones(len(z), bool)
    for i in _crowded(z, x, columns, tolerance):
        if keep[i]:  # the first atom of each cluster wins; averaging over the group follows later
            later = i + 1 + np.flatnonzero(keep[i + 1 :] & (z[i + 1 :] == z[i]))
            keep[later[_distances(x[later] - x[i], columns) <= tolerance]] = False
    return (z[keep], x[keep]) if keep.sum() == round(expected) else None


@lru_cache(maxsize=4096)
def _input_translations(transform: bytes) -> np.ndarray:
    """Translations of the input cell that are none of the standard one, as fractions of the latter; zero first."""
    T = np.frombuffer(transform).reshape(3, 3)
    inverse = np.linalg.inv(T)
    low = np.floor(np.minimum(inverse, 0).sum(axis=1) - 1).astype(int)
    high = np.ceil(np.maximum(inverse, 0).sum(axis=1) + 1).astype(int)
    shifts = np.array(list(product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))), float)
    return _unique_points(shifts @ T.T)


def _distances(delta: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(...) lengths of differences (..., 3) of fractional coordinates, each brought near to zero."""
    return np.linalg.norm((delta - np.rint(delta)) @ columns.T, axis=-1)


def _crowded(z: np.ndarray, x: np.ndarray, columns: np.ndarray, tolerance: float) -> np.ndarray:
    """Atoms that may have another one of their species after them within the tolerance."""
    if len(z) > _ALL_PAIRS:
        return np.arange(len(z))
    near = (_distances(x[:, None] - x, columns) <= tolerance) & (z[:, None] == z)
    return np.flatnonzero(np.triu(near, 1).any(axis=1))


def _unique_points(points: np.ndarray) -> np.ndarray:
    """Distinct points modulo 1 of a list of rational lattice points, exact on a fine integer grid."""
    grid = np.rint(points * 27720).astype(np.int64) % 27720  # divisible by 1..12: any sublattice index met in practice
    return np.unique(grid, axis=0) / 27720.0  # sorted: the zero shift comes first


def _orbits(
    table: SetTable, z: np.ndarray, x: np.ndarray, *, cartesian: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Split atoms into orbits: (m,) species, (m,) positions, (m, 3) symmetrized representatives; None when they do not split."""
    W, w = table.W[0].astype(float), table.w[0] / 24.0
    free = np.ones(len(z), bool)
    found: list[tuple[int, int, np.ndarray]] = []
    while free.any():
        atom = int(np.flatnonzero(free)[0])
        members = _images_hit(W, w, x, z, atom=atom, free=free, cartesian=cartesian, tolerance=tolerance)
        if members is None:
            return None
        position = _symmetrize(table, x, members, cartesian, tolerance)
        if position is None:
            return None
        free[np.unique(members)] = False
        found.append((int(z[atom]), *position))
    found.sort(key=lambda orbit: (orbit[1], orbit[0], tuple(np.round(orbit[2], 6))))
    return (
        np.array([o[0] for o in found], np.int64),
        np.array([o[1] for o in found], np.int64),
        np.array([o[2] for o in found]),
    )


def _images_hit(
    W: np.ndarray,
    w: np.ndarray,
    x: np.ndarray,
    z: np.ndarray,
    *,
    atom: int,
    free: np.ndarray,
    cartesian: np.ndarray,
    tolerance: float,
) -> np.ndarray | None:
    """(n,) the free atom of the same species nearest to each image of ``atom``; None when an image hits nothing."""
    candidates = np.flatnonzero(free & (z == z[atom]))
    images = W @ x[atom] + w
    delta = images[:, None, :] - x[candidates][None]
    delta -= np.rint(delta)
    distance = np.linalg.norm(delta @ cartesian.T, axis=-1)
    if distance.min(axis=1).max() > tolerance:
        return None
    return candidates[distance.argmin(axis=1)]


def _symmetrize(
    table: SetTable, x: np.ndarray, members: np.ndarray, cartesian: np.ndarray, tolerance: float
) -> tuple[int, np.ndarray] | None:
    """(position, representative on its flat) of the orbit of atoms ``x[members[g]] ~ g x``; None when no position fits."""
    W, w = table.W[0].astype(float), table.w[0] / 24.0
    atoms = np.unique(members)
    best: tuple[float, int, np.ndarray] | None = None
    for position in np.flatnonzero(table.pos_mask[0] & (table.pos_mult[0] == len(atoms))).tolist():
        points = nearest_on_flat(
            table.pos_x0[0, position], table.pos_basis[0, position], int(table.pos_dof[0, position]), x[atoms]
        )
        offsets = np.linalg.norm((points - x[atoms]) @ cartesian.T, axis=1)
        for offset, point in zip(offsets.tolist(), points, strict=True):
            if best is None or offset < best[0] - 1e-9:
                best = (offset, position, point)
    if best is None or best[0] > tolerance:
        return None
    _, position, point = best
    images = W @ point + w
    delta = x[atoms][None] - images[:, None, :]
    delta -= np.rint(delta)
    nearest = np.linalg.norm(delta @ cartesian.T, axis=-1)
    hit = nearest.argmin(axis=1)
    if nearest.min(axis=1).max() > 2 * tolerance or len(np.unique(hit)) != len(atoms):
        return None
    shift = delta[np.arange(len(W)), hit]
    mean = np.einsum("nij,nj->i", _inverses(table.W[0].tobytes()), shift) / len(W)  # pulled back to the representative
    dof = int(table.pos_dof[0, position])
    x0, basis = table.pos_x0[0, position], table.pos_basis[0, position]
    return position, wrap_on_flat(x0, basis, dof, nearest_on_flat(x0, basis, dof, point + mean))


@lru_cache(maxsize=256)
def _inverses(W: bytes) -> np.ndarray:
    """(n, 3, 3) inverses of int32 rotation parts."""
    return np.rint(np.linalg.inv(np.frombuffer(W, np.int32).reshape(-1, 3, 3)))


def nearest_on_flat(x0: np.ndarray, basis: np.ndarray, dof: int, y: np.ndarray) -> np.ndarray:
    """The points of (x0 + basis R^dof) + Z^3 close to ``y`` (..., 3): nearest for points nearly on it, which is asked here."""
    if dof == 3:
        return y.copy()
    if dof == 0:
        return x0 + np.rint(y - x0)
    unimodular, inverse, along = _flat_maps(tuple(map(tuple, np.rint(basis[:, :dof]).astype(int).tolist())))
    shift = np.rint((y - x0) @ inverse[dof:].T) @ unimodular[:, dof:].T
    return x0 + shift + (y - x0 - shift) @ along.T


@cache
def _flat_maps(columns: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a flat's directions: a unimodular completion, its inverse (of integers), and the projector on them."""
    unimodular, directions = _completion(columns), np.array(columns, float)
    return unimodular, np.rint(np.linalg.inv(unimodular)), directions @ np.linalg.pinv(directions)


def wrap_on_flat(x0: np.ndarray, basis: np.ndarray, dof: int, point: np.ndarray) -> np.ndarray:
    """Bring a point of (flat + Z^3) to the representative flat itself, its parameters u wrapped to [0, 1)."""
    if dof == 0:
        return x0.copy()
    if dof == 3:
        u = np.linalg.solve(basis, point - x0)
    else:
        unimodular = _completion(tuple(map(tuple, np.rint(basis[:, :dof]).astype(int).tolist())))
        u = np.linalg.solve(unimodular, point - x0)[:dof]
    u = np.mod(u, 1.0)
    u[u > 1 - 1e-12] = 0.0
    return x0 + basis[:, :dof] @ u


@cache
def _completion(columns: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Integer matrix of determinant +-1 whose first columns are the given primitive ones (small entries; searched)."""
    basis = np.array(columns)
    dof = basis.shape[1]
    units = [np.array(v) for v in product((-1, 0, 1), repeat=3) if any(v)]
    units.sort(key=lambda v: (np.abs(v).sum(), tuple(-v)))
    for rest in product(units, repeat=3 - dof):
        matrix = np.column_stack([basis, *rest])
        if abs(round(np.linalg.det(matrix))) == 1:
            return matrix.astype(float)
    raise DataError(f"no unimodular completion of {basis.tolist()}: the columns are not primitive")
