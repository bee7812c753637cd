"""Crystals as SymmCD sees them: space group, six log-lattice coefficients, one atom of each orbit with its site symmetry.

Owns `Representation`, `represent` (from a prepared data set), the lattice coefficients with the mask of their crystal family, and
the distributions counted on training data (`Counts`). Source: SymmCD (Levy et al., arXiv 2502.03638), sections 3 and 4,
appendices B and C.

Conventions. Lattice: L = expm(sum_i k_i B_i) is symmetric, rows a, b, c in angstrom, with B_1..B_6 = xy, xz, yz, diag(1,-1,0),
diag(1,1,-2), I (not normalised); k comes from the metric (polar part, half the logarithm of L L^T), which is exact in every
crystal family. This is `symjax.lattice.log` in frame 0 for all families, each coefficient divided by the norm of its B. Orbits and
site symmetries: see `symjax.data.asymmetric_units`. Atom classes: atomic number 1 to 94, class Z - 1.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import flax.struct
import numpy as np

from symjax._later import pytree
from symjax.data.asymmetric_units import NUM_ELEMENTS, AsymmetricUnits, asymmetric_units
from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.groups.tables import NUM_TYPES
from symjax.lattice import lattice_from_log, log_from_lattice
from symjax.wyckoff import oriented
from symjax.wyckoff.oriented import SITE_CLASSES

Array = Any  # numpy or jax array

NUM_FEATURES = 7 + 15 * 26
"""Lattice letters P I F A B C R, then 15 directions x 26 kinds of elements."""
B_NORMS = np.sqrt([2.0, 2.0, 2.0, 2.0, 6.0, 3.0])
"""Frobenius norms of the six basis matrices: k here times these is `symjax.lattice.log`'s k in frame 0."""
HEXAGONAL_K1 = -np.log(3.0) / 4
"""k of xy in every lattice with a = b and gamma = 120 degrees."""


@pytree
class Representation(AsymmetricUnits):
    """c crystals of at most m orbits, padded at the end.

    Attributes:
        k: (c, 6) float64 lattice coefficients (those that the family fixes have its values to rounding).
    """

    k: Array


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

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat name -> numpy array, for files of weights."""
        return {f.name: np.asarray(getattr(self, f.name), np.float64) for f in fields(self)}


def represent(data: CrystalDataset, *, num_orbits: int | None = None) -> Representation:
    """Padded arrays of a prepared data set (host, numpy).

    Raises:
        InputError: see `asymmetric_units`.
    """
    units = asymmetric_units(data, num_orbits=num_orbits)
    return Representation(**{f.name: getattr(units, f.name) for f in fields(units)}, k=k_from_lattice(data.lattices()))


def count(data: Representation) -> Counts:
    """The distributions of training crystals: p(G), p(M | G), marginals of elements and of site symmetries.

    Raises:
        InputError: no crystals.
    """
    if not len(data):
        raise InputError("no crystals to count: p(G) and the marginals need training data")
    mask, orbits = np.asarray(data.mask, bool), np.asarray(data.num_orbits)
    rows = np.broadcast_to(np.asarray(data.number)[:, None], mask.shape)[mask]
    group = np.bincount(data.number, minlength=NUM_TYPES + 1).astype(float)
    by_orbits = np.zeros((NUM_TYPES + 1, int(orbits.max()) + 1))
    np.add.at(by_orbits, (data.number, orbits), 1.0)
    elements = np.bincount(np.asarray(data.z)[mask] - 1, minlength=NUM_ELEMENTS).astype(float)
    site = np.zeros((NUM_TYPES + 1, 15, len(SITE_CLASSES)))
    np.add.at(site, (rows[:, None], np.arange(15), np.asarray(data.site, np.int64)[mask]), 1.0)
    site[group == 0] = 1.0
    return Counts(
        group=group / group.sum(),
        orbits=by_orbits / np.maximum(by_orbits.sum(axis=1, keepdims=True), 1.0),
        elements=elements / elements.sum(),
        site=site / site.sum(axis=-1, keepdims=True),
    )


def group_features() -> np.ndarray:
    """(231, 397) float32 binary features of the space groups, row = number, row 0 zero (`symjax.wyckoff.oriented`)."""
    return oriented.group_features()


def lattice_masks() -> tuple[np.ndarray, np.ndarray]:
    """(231, 6) float64 mask and (231, 6) float64 constant by space group: k -> mask * k + constant is what the family allows.

    Free coefficients: triclinic all, monoclinic (unique axis b) xz and the diagonal, orthorhombic the diagonal, tetragonal,
    trigonal and hexagonal the last two (in hexagonal axes xy is fixed at -ln(3)/4), cubic the last. Row 0 is zero.
    Source: SymmCD (Levy et al., arXiv 2502.03638), appendix B.
    """
    mask, constant = np.zeros((NUM_TYPES + 1, 6)), np.zeros((NUM_TYPES + 1, 6))
    for first, last, free in (
        (1, 2, (0, 1, 2, 3, 4, 5)),
        (3, 15, (1, 3, 4, 5)),
        (16, 74, (3, 4, 5)),
        (75, 194, (4, 5)),
        (195, 230, (5,)),
    ):
        mask[first : last + 1, list(free)] = 1.0
    constant[143:195, 0] = HEXAGONAL_K1
    return mask, constant


def k_from_lattice(L: Any) -> Array:
    """Six coefficients (..., 6) of lattices (..., 3, 3) with rows a, b, c in angstrom, in any orientation.

    From the metric, so exact in every family: the published code takes the logarithm of the non-symmetric matrix that starts with c
    along z, and monoclinic and triclinic cells come back wrong (median 0.5 angstrom).

    Raises:
        SymjaxError: (host arrays only) a lattice is singular or not finite.
    """
    return log_from_lattice(L, _frame(L)) / B_NORMS


def lattice_from_k(k: Any) -> Array:
    """Symmetric lattices (..., 3, 3), rows a, b, c in angstrom, of coefficients (..., 6). numpy or jax, differentiable."""
    return lattice_from_log(k * B_NORMS, np.zeros(np.shape(k)[:-1], np.int32))


def _frame(L: Any) -> np.ndarray:
    """The orthonormal frame for each lattice."""
    return np.zeros(np.shape(L)[:-2], np.int32)


def check_request(counts: Counts, number: int | None, num_orbits: int | None, max_orbits: int) -> None:
    """Refuse a request that sampling cannot serve.

    Args:
        counts: of the training data of the weights.
        number: the space group asked for.
        num_orbits: the number of orbits asked for.
        max_orbits: orbit slots of the model.

    Raises:
        InputError: a number that is no space group, a group without training data, fewer than one orbit or more than the model's
            slots.
    """
    if number is not None:
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number <= NUM_TYPES:
            raise InputError(f"a space-group number is an integer from 1 to {NUM_TYPES}, got {number!r}")
        known = np.flatnonzero(np.asarray(counts.group) > 0)
        if number not in known:
            near = sorted(known.tolist(), key=lambda n: (abs(n - number), n))[:5]
            raise InputError(
                f"space group {number} has no crystal in the training data of these weights, so its site symmetries were never "
                f"learned; {len(known)} groups have, the nearest numbers are {', '.join(map(str, sorted(near)))}"
            )
    if num_orbits is not None and not 1 <= num_orbits <= max_orbits:
        raise InputError(f"a crystal of this model has 1 to {max_orbits} orbits, got {num_orbits}")
