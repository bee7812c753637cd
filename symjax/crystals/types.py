"""The two forms of a crystal on the host: orbits with stabilizers, and atoms written out.

Owns `Crystal` (operations, lattice, one representative an orbit) and `AtomicStructure` (every atom of a cell), and the ways from
the first to the second and from a centred cell to a primitive one. Conventions: column coordinates x' = W x + w / den in the
lattice basis, sets modulo the conventional cell's Z^3 (centring translations are members), lattice matrices with ROWS a, b, c in
angstrom. Everything is numpy in float64 or integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from symjax.crystals.cosets import coset_images
from symjax.errors import InputError
from symjax.groups.integer import as_rows, hermite
from symjax.lattice.reduction import reduced_basis
from symjax.ops.types import DEN

_SAME = 1e-3  # angstrom; copies of an atom by exact translations are equal to rounding


@dataclass(frozen=True)
class AtomicStructure:
    """A periodic arrangement of atoms, all of one cell written out; with the operations it was made from, where they are known.

    Attributes:
        L: (3, 3) lattice rows, angstrom.
        z: (a,) atomic numbers.
        x: (a, 3) fractional coordinates, in any cell (`wrapped` brings them into the first).
        orbit: (a,) orbit of each atom under the operations, the first atom of an orbit is its representative; each atom its own if
            not given.
        W: (n, 3, 3) rotation parts, (0, 3, 3) where none are known.
        w: (n, 3) translations in units of 1/den.
        den: denominator of w.
    """

    L: np.ndarray
    z: np.ndarray
    x: np.ndarray
    orbit: np.ndarray = None  # type: ignore[assignment]  # filled in below
    W: np.ndarray = field(default_factory=lambda: np.zeros((0, 3, 3), np.int64))
    w: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    den: int = DEN

    def __post_init__(self) -> None:
        """Bring to arrays and check the shapes.

        Raises:
            InputError: a shape that does not fit.
        """
        object.__setattr__(self, "z", np.asarray(self.z, np.int64).reshape(-1))
        num = len(self.z)
        object.__setattr__(self, "orbit", np.arange(num) if self.orbit is None else np.asarray(self.orbit, np.int64))
        for name, dtype in {"L": np.float64, "x": np.float64, "W": np.int64, "w": np.int64}.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        if self.L.shape != (3, 3):
            raise InputError(f"a lattice has shape (3, 3), got {self.L.shape}")
        if self.x.shape != (num, 3):
            raise InputError(f"{num} atoms need coordinates of shape ({num}, 3), got {self.x.shape}")
        if self.orbit.shape != (num,):
            raise InputError(f"{num} atoms need orbits of shape ({num},), got {self.orbit.shape}")
        if self.W.shape[1:] != (3, 3) or self.w.shape != (len(self.W), 3):
            raise InputError(f"operations have shapes (n, 3, 3) and (n, 3), got {self.W.shape} and {self.w.shape}")

    @property
    def volume(self) -> float:
        """Cell volume, cubic angstrom."""
        return float(abs(np.linalg.det(self.L)))

    @property
    def metric(self) -> np.ndarray:
        """(3, 3) metric tensor, square angstrom."""
        return self.L @ self.L.T

    @property
    def representatives(self) -> np.ndarray:
        """(m,) index of the first atom of each orbit."""
        return np.unique(self.orbit, return_index=True)[1]

    @property
    def counts(self) -> dict[int, int]:
        """Atomic number -> atoms in the cell."""
        values, counts = np.unique(self.z, return_counts=True)
        return {int(z): int(c) for z, c in zip(values, counts, strict=True)}

    @property
    def reduced(self) -> tuple[tuple[int, int], ...]:
        """The composition divided by its greatest common divisor, (atomic number, count) sorted by atomic number."""
        counts = self.counts
        divisor = int(np.gcd.reduce(list(counts.values()))) if counts else 1
        return tuple((z, c // divisor) for z, c in sorted(counts.items()))

    def wrapped(self) -> AtomicStructure:
        """The same atoms with coordinates in [0, 1), without operations."""
        return AtomicStructure(L=self.L, z=self.z, x=_wrap(self.x))

    def plain(self) -> AtomicStructure:
        """The same atoms without operations, each its own orbit."""
        return AtomicStructure(L=self.L, z=self.z, x=self.x)

    def primitive(self) -> AtomicStructure:
        """The same crystal in a right-handed primitive cell of its own centring translations, without operations.

        The translations are those of the set of operations, so nothing is searched for and nothing is rounded. A cell without
        centring, or without operations, comes back as it is.
        """
        shifts = self.w[(self.W == np.eye(3, dtype=np.int64)).all(axis=(1, 2))] % self.den
        if len(shifts) <= 1 or not np.isfinite(self.L).all():
            return self.plain()
        basis = hermite(as_rows(np.concatenate([shifts, self.den * np.eye(3, dtype=np.int64)]))) / self.den
        L = reduced_basis(basis @ self.L).T @ basis @ self.L
        x = _wrap(self.x @ self.L @ np.linalg.inv(L))
        difference = x[:, None] - x[None]
        difference -= np.round(difference)
        same = (np.linalg.norm(difference @ L, axis=-1) < _SAME) & (self.z[:, None] == self.z)
        first = same.argmax(axis=1) == np.arange(len(x))
        return AtomicStructure(L=L, z=self.z[first], x=x[first])


@dataclass(frozen=True)
class Crystal:
    """One crystal, unpadded: n operations, a lattice and m orbits.

    Attributes:
        W: (n, 3, 3) int rotation parts, closed set with its centring translations, identity first.
        w: (n, 3) int translations in units of 1/den.
        L: (3, 3) lattice rows, angstrom, compatible with every W.
        z: (m,) atomic number of each orbit.
        x: (m, 3) fractional representative of each orbit.
        stab: (m, n) bool, the operations that fix the representative modulo the lattice.
        den: denominator of w.
    """

    W: np.ndarray
    w: np.ndarray
    L: np.ndarray
    z: np.ndarray
    x: np.ndarray
    stab: np.ndarray
    den: int = DEN

    def __post_init__(self) -> None:
        """Bring to arrays and check the shapes.

        Raises:
            InputError: a shape that does not fit.
        """
        kinds = {"W": np.int64, "w": np.int64, "L": np.float64, "z": np.int64, "x": np.float64, "stab": bool}
        for name, dtype in kinds.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        n, m = len(self.W), len(self.z)
        shapes = {"W": (n, 3, 3), "w": (n, 3), "L": (3, 3), "z": (m,), "x": (m, 3), "stab": (m, n)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"crystal field {name!r} has shape {getattr(self, name).shape}, expected {shape}")

    @property
    def multiplicity(self) -> np.ndarray:
        """(m,) atoms of each orbit in the cell, |G| / |S|."""
        return len(self.W) // np.maximum(self.stab.sum(axis=1), 1)

    @property
    def num_atoms(self) -> int:
        """Atoms in the conventional cell."""
        return int(self.multiplicity.sum())

    def atoms(self, images: np.ndarray | None = None) -> AtomicStructure:
        """All atoms of the conventional cell, orbit by orbit, with the operations; coordinates in [0, 1).

        Args:
            images: (m, q) the operations that make the atoms of each orbit, -1 where there is none, if they are known (a
                `symjax.wyckoff.set_table.SetTable` lists them); found from the stabilizers otherwise.

        Raises:
            NotAGroupError: the set is not closed, or a stabilizer is no subgroup.
        """
        if images is None:
            images = coset_images(self.W, self.w, self.stab, self.den)
        slot, column = np.nonzero(np.asarray(images) >= 0)
        g = np.asarray(images)[slot, column]
        x = np.einsum("aij,aj->ai", self.W[g], self.x[slot]) + self.w[g] / self.den
        return AtomicStructure(L=self.L, z=self.z[slot], x=_wrap(x), orbit=slot, W=self.W, w=self.w, den=self.den)

    def primitive(self, images: np.ndarray | None = None) -> AtomicStructure:
        """The atoms of one primitive cell, see `AtomicStructure.primitive`; ``images`` as for `atoms`."""
        return self.atoms(images).primitive()


def _wrap(x: np.ndarray) -> np.ndarray:
    """Into [0, 1), also for -1e-20, whose remainder rounds to 1."""
    wrapped = x - np.floor(x)
    return np.where(wrapped >= 1.0, 0.0, wrapped)
