"""Crystals as (operations, lattice, orbits with stabilizers): the padded batch of models, and one crystal on the host.

Owns `CrystalBatch`, `Crystal` and `AtomicStructure`. Conventions: column coordinates x' = W x + w / den in the lattice
basis, sets modulo the conventional cell's Z^3 (centring translations are members), lattice matrices with ROWS a, b, c
in angstrom. Padding stands at the end: identity operations, z = 0, masks False.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.struct
import numpy as np

from symjax.errors import InputError

Array = Any  # numpy or jax array
DEN = 24


@flax.struct.dataclass
class CrystalBatch:
    """b crystals padded to n operations and m orbits; translations in 1/24.

    Attributes:
        W: (b, n, 3, 3) int32 rotation parts.
        w: (b, n, 3) int32 translations in units of 1/24.
        op_mask: (b, n) bool.
        L: (b, 3, 3) lattice rows, angstrom.
        z: (b, m) int32 atomic numbers, 0 where padded.
        x: (b, m, 3) fractional coordinates of the orbit representatives.
        stab: (b, m, n) bool, which operations fix the representative (modulo the lattice).
        orbit_mask: (b, m) bool.
    """

    W: Array
    w: Array
    op_mask: Array
    L: Array
    z: Array
    x: Array
    stab: Array
    orbit_mask: Array


@dataclass(frozen=True)
class AtomicStructure:
    """A plain periodic arrangement of atoms, no symmetry known.

    Attributes:
        L: (3, 3) lattice rows, angstrom, right-handed.
        z: (a,) atomic numbers.
        x: (a, 3) fractional coordinates.
    """

    L: np.ndarray
    z: np.ndarray
    x: np.ndarray

    def __post_init__(self) -> None:
        """Bring to arrays and check the shapes."""
        object.__setattr__(self, "L", np.asarray(self.L, np.float64))
        object.__setattr__(self, "z", np.asarray(self.z, np.int64).reshape(-1))
        object.__setattr__(self, "x", np.asarray(self.x, np.float64))
        if self.L.shape != (3, 3):
            raise InputError(f"a lattice has shape (3, 3), got {self.L.shape}")
        if self.x.shape != (len(self.z), 3):
            raise InputError(f"{len(self.z)} atoms need coordinates of shape ({len(self.z)}, 3), got {self.x.shape}")

    @property
    def volume(self) -> float:
        """Cell volume, cubic angstrom."""
        return float(abs(np.linalg.det(self.L)))


@dataclass(frozen=True)
class Crystal:
    """One crystal on the host, unpadded: n operations and m orbits.

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
        """Bring to arrays and check the shapes."""
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


def stack_crystals(crystals: list[Crystal], num_ops: int | None = None, num_orbits: int | None = None) -> CrystalBatch:
    """Pad crystals of one denominator (24) into a batch of numpy arrays.

    Raises:
        InputError: none given, another denominator, or one is larger than the size asked for.
    """
    if not crystals:
        raise InputError("cannot stack an empty list of crystals")
    ops = max(len(c.W) for c in crystals) if num_ops is None else num_ops
    orbits = max(len(c.z) for c in crystals) if num_orbits is None else num_orbits
    b = len(crystals)
    W = np.broadcast_to(np.eye(3, dtype=np.int32), (b, ops, 3, 3)).copy()
    w, op_mask = np.zeros((b, ops, 3), np.int32), np.zeros((b, ops), bool)
    z, x = np.zeros((b, orbits), np.int32), np.zeros((b, orbits, 3))
    stab, orbit_mask = np.zeros((b, orbits, ops), bool), np.zeros((b, orbits), bool)
    for i, crystal in enumerate(crystals):
        n, m = len(crystal.W), len(crystal.z)
        if crystal.den != DEN:
            raise InputError(f"crystal {i}: batches hold translations in 1/{DEN}, this one has den={crystal.den}")
        if n > ops or m > orbits:
            raise InputError(
                f"crystal {i} has {n} operations and {m} orbits, more than the bucket of {ops} and {orbits}"
            )
        W[i, :n], w[i, :n], op_mask[i, :n] = crystal.W, crystal.w, True
        z[i, :m], x[i, :m], stab[i, :m, :n], orbit_mask[i, :m] = crystal.z, crystal.x, crystal.stab, True
    L = np.stack([c.L for c in crystals])
    return CrystalBatch(W=W, w=w, op_mask=op_mask, L=L, z=z, x=x, stab=stab, orbit_mask=orbit_mask)


def unstack_crystals(batch: CrystalBatch) -> list[Crystal]:
    """The crystals of a batch without padding, as host arrays in float64."""
    fields = {name: np.asarray(getattr(batch, name)) for name in CrystalBatch.__dataclass_fields__}
    crystals = []
    for i in range(fields["W"].shape[0]):
        ops, orbits = fields["op_mask"][i], fields["orbit_mask"][i]
        crystals.append(
            Crystal(
                W=fields["W"][i][ops],
                w=fields["w"][i][ops],
                L=fields["L"][i],
                z=fields["z"][i][orbits],
                x=fields["x"][i][orbits],
                stab=fields["stab"][i][orbits][:, ops],
            )
        )
    return crystals
