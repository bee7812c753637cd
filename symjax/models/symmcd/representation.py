"""Crystals as SymmCD sees them: space group, six log-lattice coefficients, one atom of each orbit with its site symmetry.

Owns `Representation`, `represent` (from a prepared data set), the lattice coefficients with the mask of their crystal family, and
the distributions counted on training data (`Counts`). Source: seed 001 (SymmCD), sections 3 and 4, appendices B and C.

Conventions. Lattice: L = expm(sum_i k_i B_i) is symmetric, rows a, b, c in angstrom, with B_1..B_6 = xy, xz, yz, diag(1,-1,0),
diag(1,1,-2), I (not normalised); k comes from the metric (polar part, half the logarithm of L L^T), which is exact in every
crystal family. This is `symjax.lattice.log` in frame 0 for all families, each coefficient divided by the norm of its B. Orbits:
the atom nearest to (1/2, 1/2, 1/2) stands for its orbit, crystals with one orbit included. Site symmetry: 15 directions, one of
13 classes each (`symjax.groups.oriented`), of the FIRST point of the Wyckoff position as the International Tables list it, not of
the atom chosen: so it belongs to the orbit.
"""

from __future__ import annotations

from typing import Any

import flax.struct
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.groups.tables import NUM_TYPES

Array = Any  # numpy or jax array

NUM_ELEMENTS = 94
"""Atom classes: atomic number 1 to 94, class Z - 1."""
NUM_FEATURES = 7 + 15 * 26
"""Lattice letters P I F A B C R, then 15 directions x 26 kinds of elements."""


@flax.struct.dataclass
class Representation:
    """c crystals of at most m orbits, padded at the end.

    Attributes:
        number: (c,) int32 space group, 1 to 230.
        k: (c, 6) float64 lattice coefficients (those that the family fixes have its values to rounding).
        z: (c, m) int32 atomic numbers, 0 where padded.
        x: (c, m, 3) float64 fractional coordinates in [0, 1) of the atom nearest to the centre of the cell.
        site: (c, m, 15) int8 site-symmetry class of each direction (`symjax.groups.oriented.SITE_CLASSES`), 0 where padded.
        pos: (c, m) int16 index into `wyckoff_positions(standard_setting(number))`, -1 where padded (not seen by the model).
        mask: (c, m) bool.
    """

    number: Array
    k: Array
    z: Array
    x: Array
    site: Array
    pos: Array
    mask: Array

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.number)

    @property
    def num_orbits(self) -> Array:
        """(c,) orbits of each crystal."""
        return self.mask.sum(axis=-1)

    def take(self, indices: Any, num_orbits: int | None = None) -> Representation:
        """The crystals at `indices`, cut or padded to `num_orbits` slots (default: as many as there are).

        Raises:
            InputError: a crystal has more orbits than slots.
        """
        raise NotImplementedError


@flax.struct.dataclass
class Counts:
    """What sampling draws from, counted on training crystals.

    Attributes:
        group: (231,) float64 p(G), row = space-group number, row 0 empty.
        orbits: (231, M + 1) float64 p(M | G), column = number of orbits; a row of zeros where the group does not occur.
        elements: (94,) float64 marginal of atom classes over orbits.
        site: (231, 15, 13) float64 marginals of site-symmetry classes by space group and direction; uniform rows where a group
            does not occur.
    """

    group: Array
    orbits: Array
    elements: Array
    site: Array


def represent(data: CrystalDataset, *, num_orbits: int | None = None) -> Representation:
    """Padded arrays of a prepared data set (host, numpy).

    Args:
        data: crystals in the standard settings.
        num_orbits: slots; default the largest count.

    Raises:
        InputError: a crystal has more orbits than slots, an element beyond 94, or operations that are no standard setting
            (site symmetries would then refer to other directions).
    """
    raise NotImplementedError


def count(data: Representation) -> Counts:
    """The distributions of training crystals: p(G), p(M | G), marginals of elements and of site symmetries."""
    raise NotImplementedError


def group_features() -> np.ndarray:
    """(231, 397) float32 binary features of the space groups, row = number, row 0 zero."""
    raise NotImplementedError


def lattice_masks() -> tuple[np.ndarray, np.ndarray]:
    """(231, 6) float64 mask and (231, 6) float64 constant by space group: k -> mask * k + constant is what the family allows."""
    raise NotImplementedError


def k_from_lattice(L: Any) -> Array:
    """Six coefficients (..., 6) of lattices (..., 3, 3) with rows a, b, c in angstrom, in any orientation (polar, exact)."""
    raise NotImplementedError


def lattice_from_k(k: Any) -> Array:
    """Symmetric lattices (..., 3, 3), rows a, b, c in angstrom, of coefficients (..., 6). numpy or jax, differentiable."""
    raise NotImplementedError


def check_request(counts: Counts, number: int | None, num_orbits: int | None, max_orbits: int) -> None:
    """Refuse a request that sampling cannot serve.

    Raises:
        InputError: a number that is no space group, a group without training data, fewer than one orbit or more than the model's
            slots.
    """
    if number is not None and not 1 <= number <= NUM_TYPES:
        raise InputError(f"a space-group number is an integer from 1 to {NUM_TYPES}, got {number!r}")
    raise NotImplementedError
