"""Motions of an arrangement of atoms as pairs (W, permutation of the atoms), and groups of them.

Owns `Arrangement`, `Motions` and their algebra: products, generators, closure. A motion maps atom i onto atom perm[i]: x[perm[i]] =
W x[i] + w + shift[i] with integer shifts. Products are (W1, perm1)(W2, perm2) = (W1 W2, perm1 o perm2), so no tolerance enters once
motions are found, and a set of them is closed or not, exactly. The origin is the centroid of the atoms, for which w = -(sum of the
shifts) / (number of atoms): translations are exact rational numbers, and the same for an arrangement and its symmetrized image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.groups.sets import OpSet

_MAX_ROTATIONS = 48


class Distortion:
    """How far one arrangement is from another: figures of `displacement` (n, 3), angstrom, and `strain` (3,), logarithmic."""

    displacement: np.ndarray
    strain: np.ndarray

    @property
    def max_displacement(self) -> float:
        """Of any atom, angstrom."""
        return float(np.linalg.norm(self.displacement, axis=1).max())

    @property
    def rms_displacement(self) -> float:
        """Root mean square over the atoms, angstrom."""
        return float(np.sqrt((self.displacement**2).sum(axis=1).mean()))

    @property
    def max_strain(self) -> float:
        """Largest principal logarithmic strain, absolute."""
        return float(np.abs(self.strain).max())


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
