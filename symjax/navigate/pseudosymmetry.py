"""Operations that an arrangement of atoms has, exactly or nearly; the nearest arrangement that has them exactly.

Owns the search for near rotation parts of a lattice and near motions of the atoms, symmetrizing, and division by pure translations.
What a motion is, and how motions are multiplied, is `symjax.navigate.motions`: permutations of the atoms, about their centroid.

Averaging positions over a closed set gives the nearest arrangement (least squares) that has it exactly; lattices are averaged as
logarithms, which keeps the volume. The scheme is that of the search for pseudosymmetry (Capillas, Tasci, de la Flor, Orobengoa,
Perez-Mato, Aroyo, Z. Krist. 226, 186 (2011)), worked out on permutations.
"""

from __future__ import annotations

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import NotAGroupError
from symjax.groups.integer import as_rows, hermite
from symjax.lattice.reduction import reduced_basis
from symjax.navigate.motions import Motions, identity_motion, is_closed, joined

_ORDER = 12  # a multiple of every order (1, 2, 3, 4, 6) that an integer rotation part of finite order can have
_ROUNDS = 6  # of assigning atoms and correcting the translation; two are enough where atoms are far apart


def log_strain(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(..., 3) principal logarithmic strains ln(stretch) from one metric to another (..., 3, 3)."""
    factor = np.linalg.inv(np.linalg.cholesky(first))
    return 0.5 * np.log(np.maximum(np.linalg.eigvalsh(factor @ second @ np.swapaxes(factor, -1, -2)), 1e-300))


def near_rotations(metric: np.ndarray, mismatch: float) -> np.ndarray:
    """(m, 3, 3) int64 matrices of finite order that nearly keep the metric of a reduced basis, the identity first.

    Args:
        metric: (3, 3), of a Minkowski-reduced basis.
        mismatch: largest principal logarithmic strain between the metric and its image.
    """
    grid = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    square = np.einsum("ki,ij,kj->k", grid, metric, grid)
    low, high = np.exp(-2 * mismatch) * (1 - 1e-9), np.exp(2 * mismatch) * (1 + 1e-9)
    near = [grid[(square >= low * metric[i, i]) & (square <= high * metric[i, i])] for i in range(3)]
    shape = tuple(len(v) for v in near)
    at = np.stack(np.meshgrid(*[np.arange(s) for s in shape], indexing="ij"), -1).reshape(-1, 3)
    W = np.stack([near[i][at[:, i]] for i in range(3)], axis=-1)
    W = W[np.abs(np.rint(np.linalg.det(W))) == 1]
    image = np.einsum("mji,jk,mkl->mil", W, metric, W)
    W = W[np.abs(log_strain(metric, image)).max(axis=-1) <= mismatch + 1e-12]
    power = np.broadcast_to(np.eye(3, dtype=np.int64), W.shape)
    for _ in range(_ORDER):
        power = np.clip(power @ W, -(10**6), 10**6)
    W = W[(power == np.eye(3, dtype=np.int64)).all(axis=(1, 2))]
    return W[np.argsort(~(W == np.eye(3, dtype=np.int64)).all(axis=(1, 2)), kind="stable")]


def left_cosets(rotations: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(k, 3, 3) one of the rotation parts for each class W P under a point group P (m, 3, 3), the first of each."""
    passed: set[bytes] = set()
    kept = []
    for W in rotations:
        if W.tobytes() not in passed:
            passed |= {image.tobytes() for image in np.ascontiguousarray(W @ group)}
            kept.append(W)
    return np.array(kept, np.int64).reshape(-1, 3, 3)


def near_motions(arrangement: AtomicStructure, rotations: np.ndarray, mismatch: float) -> Motions:
    """All motions with a given rotation part that bring every atom within ``mismatch`` (angstrom) of one of its species.

    For each rotation part and each image of one atom of the rarest species the others follow; the translation is the best one
    (least squares) and atoms are assigned one to one.
    """
    z, x = arrangement.z, arrangement.x
    counts = np.bincount(z)
    rare = z == min(set(z.tolist()), key=lambda s: (counts[s], s))
    anchors = np.flatnonzero(rare)
    found: dict[bytes, Motions] = {}
    for W in rotations:
        moved = x @ W.T
        tried: set[bytes] = set()
        guesses = x[anchors] - moved[anchors[0]]
        gap = x[anchors][None, None] - (moved[anchors][None] + guesses[:, None])[:, :, None]
        gap = (((gap - np.rint(gap)) @ arrangement.L) ** 2).sum(axis=-1)
        for w in guesses[gap.min(axis=-1).max(axis=-1) <= (2 * mismatch) ** 2]:
            # The rarest species alone first: its atoms are far apart, and the others are best assigned from a good translation.
            first = _assignment(arrangement, moved, w, mismatch=mismatch, rows=anchors)
            if first is None or first[0].tobytes() in tried:
                continue
            tried.add(first[0].tobytes())
            fit = _assignment(arrangement, moved, first[2], mismatch=mismatch, rows=np.arange(len(z)))
            if fit is not None:
                one = Motions(W[None], fit[0][None], (fit[1] - fit[1][0])[None])
                found.setdefault(one.keys[0], one)
    return joined([identity_motion(len(z))[[]], *found.values()])


def _assignment(
    arrangement: AtomicStructure, moved: np.ndarray, w: np.ndarray, *, mismatch: float, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(perm, shift, w) of some atoms from moved atoms W x and a guess w of the translation; None where they do not fit."""
    x, L, z = arrangement.x[rows], arrangement.L, arrangement.z[rows]
    alike = z[:, None] == z[None]
    at = np.arange(len(rows))
    before = None
    for attempt in range(_ROUNDS):
        delta = x[None] - (moved[rows] + w)[:, None]
        whole = np.rint(delta)
        rest = (delta - whole) @ L
        gap = np.where(alike, np.sqrt((rest**2).sum(axis=-1)), np.inf)
        if gap.min(axis=1).max() > (2 * mismatch if attempt == 0 else 1.5 * mismatch):
            return None
        perm = gap.argmin(axis=1)
        if len(np.unique(perm)) < len(perm):
            from scipy.optimize import linear_sum_assignment

            perm = linear_sum_assignment(np.where(alike, gap**2, 1e9))[1]
        offset = rest[at, perm].mean(axis=0)
        w = w + np.linalg.solve(L.T, offset)
        if before is not None and (perm == before).all():
            break
        before = perm
    if np.linalg.norm(rest[at, perm] - offset, axis=1).max() > mismatch:
        return None
    return perm, whole[at, perm].astype(np.int64), w


def symmetrize(arrangement: AtomicStructure, group: Motions) -> AtomicStructure:
    """The nearest arrangement that has a closed set of motions exactly: positions averaged, lattice averaged as logarithms.

    The centroid stays where it is, which is the best rigid origin; the volume stays; the lattice is stretched without rotation.

    Raises:
        NotAGroupError: the motions do not fit together (the average does not have them).
    """
    n = len(arrangement.z)
    w = -group.shift.sum(axis=1) / n
    images = arrangement.x[group.perm] - w[:, None] - group.shift
    x = np.linalg.solve(group.W[:, None], images[..., None])[..., 0].mean(axis=0)
    miss = x[group.perm] - np.einsum("mij,nj->mni", group.W, x) - w[:, None] - group.shift
    if np.abs(miss).max() > 1e-8:
        raise NotAGroupError(
            f"the motions do not fit together: the average misses them by {np.abs(miss).max():.2g} of the cell"
        )
    return AtomicStructure(L=symmetrized_lattice(arrangement.L, group.W), z=arrangement.z, x=x)


def symmetrized_lattice(L: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Rows of the lattice nearest to L (3, 3) that a closed set W (m, 3, 3) keeps; volume kept, stretched without rotation.

    The logarithm of the metric is averaged in a frame in which all W are orthogonal.
    """
    metric = L @ L.T
    frame = np.linalg.cholesky(np.einsum("mji,jk,mkl->il", W, metric, W) / len(W)).T  # frame^T frame is invariant
    inverse = np.linalg.inv(frame)
    R = frame @ W @ inverse
    values, vectors = np.linalg.eigh(inverse.T @ metric @ inverse)
    mean = np.einsum("mji,jk,mkl->il", R, (vectors * np.log(values)) @ vectors.T, R) / len(W)
    values, vectors = np.linalg.eigh(0.5 * (mean + mean.T))
    target = frame.T @ (vectors * np.exp(values)) @ vectors.T @ frame
    columns = L.T
    back = np.linalg.inv(columns)
    values, vectors = np.linalg.eigh(back.T @ target @ back)
    stretch = (vectors * np.sqrt(values)) @ vectors.T
    return (stretch @ columns).T


def translation_lattice(group: Motions) -> np.ndarray:
    """(3, 3) int64 columns, in units of 1/n of the cell: a basis of the pure translations of a group, cell vectors included."""
    n = group.perm.shape[1]
    pure = (group.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    return hermite(as_rows(np.concatenate([group.w[pure], n * np.eye(3, dtype=np.int64)]))).T.copy()


def divide(arrangement: AtomicStructure, group: Motions) -> tuple[AtomicStructure, Motions, np.ndarray, np.ndarray]:
    """A symmetric arrangement and its group modulo all pure translations, in a reduced primitive basis.

    Args:
        arrangement: has the group exactly (see `symmetrize`).
        group: closed.

    Returns:
        the primitive arrangement, its motions (one for each rotation part), columns (3, 3) of its basis in the old one, and (n,)
        the new atom that each old atom is an image of.
    """
    n = len(arrangement.z)
    coarse = translation_lattice(group) / n
    columns = coarse @ reduced_basis(coarse.T @ arrangement.L)
    pure = (group.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    first = group.perm[pure].min(axis=0)
    kept, atom = np.unique(first, return_inverse=True)
    inverse = np.linalg.inv(columns)
    y = arrangement.x[kept] @ inverse.T
    y = y - y.mean(axis=0)
    primitive = AtomicStructure(L=columns.T @ arrangement.L, z=arrangement.z[kept], x=y)
    W_all = np.rint(inverse @ group.W @ columns).astype(np.int64)
    rows = np.unique(W_all.reshape(-1, 9), axis=0, return_index=True)[1]
    rows = np.concatenate([[0], rows[rows != 0]])
    W, perm = W_all[rows], atom[group.perm[rows]][:, kept]
    delta = y[perm] - np.einsum("mij,nj->mni", W, y)
    shift = np.rint(delta - delta[:, :1]).astype(np.int64)
    return primitive, Motions(W, perm, shift), columns, atom


def exact_motions(arrangement: AtomicStructure, symprec: float = 1e-3, *, translations: bool = False) -> Motions:
    """The group of an arrangement in a reduced cell at a tight tolerance (angstrom), pure translations of the cell included.

    Where the motions found do not close (a tolerance on the edge), half the tolerance is tried. With ``translations`` only pure
    translations are looked for, which is much quicker in a supercell.

    Raises:
        NotAGroupError: nothing closes.
    """
    longest = float(np.sqrt(np.diag(arrangement.metric)).max())
    one = np.eye(3, dtype=np.int64)[None]
    for _ in range(30):
        rotations = one if translations else near_rotations(arrangement.metric, symprec / longest)
        found = near_motions(arrangement, rotations, symprec)
        if is_closed(found):
            return found
        symprec /= 2
    raise NotAGroupError("no closed set of motions found at any tolerance")


def has_more(arrangement: AtomicStructure, group: Motions, symprec: float) -> bool:
    """Whether an arrangement in a primitive cell of a group has more motions than that group, within ``symprec`` (angstrom)."""
    longest = float(np.sqrt(np.diag(arrangement.metric)).max())
    rotations = left_cosets(near_rotations(arrangement.metric, symprec / longest), group.W)
    counts = [len(near_motions(arrangement, W[None], symprec)) for W in rotations]
    return counts[0] > 1 or any(counts[1:])


def centred(structure: AtomicStructure) -> AtomicStructure:
    """A structure in a reduced right-handed basis, about the centroid of its atoms."""
    L = structure.L if np.linalg.det(structure.L) > 0 else -structure.L
    x = structure.x if np.linalg.det(structure.L) > 0 else -structure.x
    P = reduced_basis(L)
    y = x @ np.linalg.inv(P).T
    return AtomicStructure(L=P.T @ L, z=structure.z, x=y - y.mean(axis=0))
