"""Operations that an arrangement of atoms has, exactly or nearly, as pairs (W, permutation of the atoms); groups of them.

Owns `Arrangement`, `Motions` and what is done with them: near rotation parts of a lattice, near motions of the atoms, closure,
symmetrizing, division by pure translations. A motion maps atom i onto atom perm[i]: x[perm[i]] = W x[i] + w + shift[i] with integer
shifts. Products are (W1, perm1)(W2, perm2) = (W1 W2, perm1 o perm2), so no tolerance enters once the motions are found, and a set
of them is closed or not, exactly. The origin is the centroid of the atoms, for which w = -(sum of the shifts) / (number of atoms):
translations are exact rational numbers as well, and the same for an arrangement and its symmetrized image.

Averaging positions over a closed set gives the nearest arrangement (least squares) that has it exactly; lattices are averaged as
logarithms, which keeps the volume. The scheme is that of the search for pseudosymmetry (Capillas, Tasci, de la Flor, Orobengoa,
Perez-Mato, Aroyo, Z. Krist. 226, 186 (2011)), worked out on permutations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError, NotAGroupError
from symjax.groups.integer import as_rows, hermite
from symjax.groups.sets import OpSet

_ORDER = 12  # a multiple of every order (1, 2, 3, 4, 6) that an integer rotation part of finite order can have
_MAX_ROTATIONS = 48
_ROUNDS = 6  # of assigning atoms and correcting the translation; two are enough where atoms are far apart


@dataclass(frozen=True)
class Arrangement:
    """Atoms of one cell around their centroid.

    Attributes:
        L: (3, 3) lattice rows, angstrom, a reduced basis where near motions are looked for.
        z: (n,) atomic numbers.
        x: (n, 3) fractional coordinates, any representatives, with mean 0.
    """

    L: np.ndarray
    z: np.ndarray
    x: np.ndarray

    @cached_property
    def metric(self) -> np.ndarray:
        """(3, 3) metric tensor, square angstrom."""
        return self.L @ self.L.T

    def plain(self) -> AtomicStructure:
        """As a structure for files and other programs."""
        return AtomicStructure(L=self.L, z=self.z, x=np.mod(self.x, 1.0))


@dataclass(frozen=True)
class Motions:
    """m motions of an arrangement of n atoms, the identity first.

    Attributes:
        W: (m, 3, 3) int64 rotation parts.
        perm: (m, n) int64, atom i goes to atom perm[i].
        shift: (m, n, 3) int64 lattice vectors, shift[:, 0] = 0.
    """

    W: np.ndarray
    perm: np.ndarray
    shift: np.ndarray

    def __len__(self) -> int:
        """Number of motions."""
        return len(self.W)

    @property
    def w(self) -> np.ndarray:
        """(m, 3) int64 translations about the centroid, in units of 1/n, in [0, n)."""
        return np.mod(-self.shift.sum(axis=1), self.perm.shape[1])

    @cached_property
    def keys(self) -> list[bytes]:
        """What tells one motion from another."""
        rows = np.concatenate([self.W.reshape(len(self.W), 9), self.perm], axis=1).astype(np.int16)
        return [row.tobytes() for row in rows]

    @cached_property
    def index(self) -> dict[bytes, int]:
        """Row of each motion."""
        return {key: row for row, key in enumerate(self.keys)}

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> Motions:
        """Some of them (always as a set, also for one row)."""
        pick = np.atleast_1d(np.arange(len(self.W))[rows])
        return Motions(self.W[pick], self.perm[pick], self.shift[pick])

    def opset(self) -> OpSet:
        """The same as exact operations modulo the cell, about the centroid; the denominator is in lowest terms."""
        den = self.perm.shape[1]
        common = int(np.gcd.reduce(np.append(self.w.ravel(), den)))
        mask = np.ones(len(self.W), bool)
        return OpSet(W=self.W.astype(np.int32), w=(self.w // common).astype(np.int32), mask=mask, den=den // common)


def identity_motion(num_atoms: int) -> Motions:
    """The identity alone."""
    zero = np.zeros((1, num_atoms, 3), np.int64)
    return Motions(np.eye(3, dtype=np.int64)[None], np.arange(num_atoms)[None], zero)


def compose(left: Motions, right: Motions) -> Motions:
    """Every left motion after every right one, left index slow; exact."""
    W = np.einsum("aij,bjk->abik", left.W, right.W)
    perm = left.perm[:, right.perm]
    shift = np.einsum("aij,bnj->abni", left.W, right.shift) + left.shift[:, right.perm]
    shift = shift - shift[..., :1, :]  # the lattice vector of the motion as a whole says nothing
    n = perm.shape[-1]
    return Motions(W.reshape(-1, 3, 3), perm.reshape(-1, n), shift.reshape(-1, n, 3))


def joined(sets: Sequence[Motions]) -> Motions:
    """Several sets one after the other."""
    return Motions(*(np.concatenate([getattr(s, name) for s in sets]) for name in ("W", "perm", "shift")))


def reduced(L: np.ndarray) -> np.ndarray:
    """(3, 3) int64 P with P^T L a right-handed basis no vector of which gets shorter by adding others (Minkowski-reduced)."""
    rows = np.eye(3, dtype=np.int64)
    steps = np.array([(s, t) for s in (-1, 0, 1) for t in (-1, 0, 1)])
    for _ in range(1000):
        rows = rows[np.argsort(((rows @ L) ** 2).sum(axis=1), kind="stable")]
        done = True
        for i, j in ((1, 0), (2, 0), (2, 1)):
            a, b = rows[i] @ L, rows[j] @ L
            q = int(np.rint(a @ b / (b @ b)))
            if q and ((a - q * b) ** 2).sum() < (a @ a) * (1 - 1e-9):
                rows[i], done = rows[i] - q * rows[j], False
        options = rows[2] + steps @ rows[:2]
        lengths = ((options @ L) ** 2).sum(axis=1)
        if done and lengths.min() < lengths[4] * (1 - 1e-9):
            rows[2], done = options[lengths.argmin()], False
        if done:
            return (rows if np.linalg.det(rows @ L) > 0 else -rows).T.copy()
    raise InputError("the lattice cannot be reduced; its vectors must be finite and span a volume")


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


def near_motions(arrangement: Arrangement, rotations: np.ndarray, mismatch: float) -> Motions:
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
        for w in x[anchors] - moved[anchors[0]]:
            # The rarest species alone first: its atoms are far apart, and the others are best assigned from a good translation.
            first = _assignment(arrangement, moved, w, mismatch=mismatch, rows=anchors)
            if first is None or first[0].tobytes() in tried:
                continue
            tried.add(first[0].tobytes())
            fit = _assignment(arrangement, moved, first[2], mismatch=mismatch, rows=np.arange(len(z)))
            if fit is not None:
                one = Motions(W[None], fit[0][None], (fit[1] - fit[1][0])[None])
                found.setdefault(one.keys[0], one)
    return joined(list(found.values()))


def _assignment(
    arrangement: Arrangement, moved: np.ndarray, w: np.ndarray, *, mismatch: float, rows: np.ndarray
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


def closure(group: Motions, more: Motions, limit: int = 4096) -> Motions | None:
    """The group generated by a group and more motions, by cosets; None if it is no group of motions of a crystal.

    Args:
        group: closed.
        more: motions to add.
        limit: largest size.

    Returns:
        closed motions, those of ``group`` first; None if there are more than ``limit``, more than 48 rotation parts, or two motions
        that move the atoms alike but by other lattice vectors (the tolerance was too wide to tell neighbours apart).
    """
    steps = joined([generators(group), more])
    total, parts = group, [group]
    known = dict(zip(group.keys, group.shift, strict=True))
    seen_rotations = {W.tobytes() for W in group.W}
    representatives = [identity_motion(group.perm.shape[1])]
    for representative in representatives:  # grows while it is walked
        images = compose(representative, steps)
        for row, key in enumerate(images.keys):
            if key in known:
                if (known[key] != images.shift[row]).any():
                    return None
                continue
            coset = compose(group, images[row])
            for new, shift, W in zip(coset.keys, coset.shift, coset.W, strict=True):
                known[new] = shift
                seen_rotations.add(W.tobytes())
            parts.append(coset)
            representatives.append(images[row])
            if len(known) > limit or len(seen_rotations) > _MAX_ROTATIONS:
                return None
    total = joined(parts)
    return total if len(known) == len(total.W) else None


def generators(group: Motions) -> Motions:
    """A few motions that generate a group (the identity for the trivial one)."""
    n = group.perm.shape[1]
    chosen = [identity_motion(n)]
    reached = {chosen[0].keys[0]}
    for row, key in enumerate(group.keys):
        if key in reached:
            continue
        chosen.append(group[row])
        steps = joined(chosen)
        frontier = identity_motion(n)
        reached = set(frontier.keys)
        while len(frontier.W):
            images = compose(frontier, steps)
            first = {k: i for i, k in reversed(list(enumerate(images.keys))) if k not in reached}
            reached |= set(first)
            frontier = images[np.array(sorted(first.values()), int)]
        if len(reached) >= len(group.W):
            break
    return joined(chosen)


def is_closed(group: Motions) -> bool:
    """Whether every product is a member, with the same lattice vectors."""
    few = generators(group)
    images = compose(few, group)
    return all(
        key in group.index and (group.shift[group.index[key]] == shift).all()
        for key, shift in zip(images.keys, images.shift, strict=True)
    )


def symmetrize(arrangement: Arrangement, group: Motions) -> Arrangement:
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
    return Arrangement(L=symmetrized_lattice(arrangement.L, group.W), z=arrangement.z, x=x)


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


def divide(arrangement: Arrangement, group: Motions) -> tuple[Arrangement, Motions, np.ndarray, np.ndarray]:
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
    columns = coarse @ reduced(coarse.T @ arrangement.L)
    pure = (group.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
    first = group.perm[pure].min(axis=0)
    kept, atom = np.unique(first, return_inverse=True)
    inverse = np.linalg.inv(columns)
    y = arrangement.x[kept] @ inverse.T
    y = y - y.mean(axis=0)
    primitive = Arrangement(L=columns.T @ arrangement.L, z=arrangement.z[kept], x=y)
    W_all = np.rint(inverse @ group.W @ columns).astype(np.int64)
    rows = np.unique(W_all.reshape(-1, 9), axis=0, return_index=True)[1]
    rows = np.concatenate([[0], rows[rows != 0]])
    W, perm = W_all[rows], atom[group.perm[rows]][:, kept]
    delta = y[perm] - np.einsum("mij,nj->mni", W, y)
    shift = np.rint(delta - delta[:, :1]).astype(np.int64)
    return primitive, Motions(W, perm, shift), columns, atom


def exact_motions(arrangement: Arrangement, symprec: float = 1e-3) -> Motions:
    """The group of an arrangement in a reduced cell at a tight tolerance (angstrom), pure translations of the cell included.

    Where the motions found do not close (a tolerance on the edge), half the tolerance is tried.

    Raises:
        NotAGroupError: nothing closes.
    """
    longest = float(np.sqrt(np.diag(arrangement.metric)).max())
    for _ in range(30):
        found = near_motions(arrangement, near_rotations(arrangement.metric, symprec / longest), symprec)
        if is_closed(found):
            return found
        symprec /= 2
    raise NotAGroupError("no closed set of motions found at any tolerance")


def centred(structure: AtomicStructure) -> Arrangement:
    """A structure in a reduced right-handed basis, about the centroid of its atoms."""
    L = structure.L if np.linalg.det(structure.L) > 0 else -structure.L
    x = structure.x if np.linalg.det(structure.L) > 0 else -structure.x
    P = reduced(L)
    y = x @ np.linalg.inv(P).T
    return Arrangement(L=P.T @ L, z=structure.z, x=y - y.mean(axis=0))
