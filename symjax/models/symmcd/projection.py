"""From sampled representatives to crystals: the nearest site symmetry of the group, the nearest point that has it, the whole orbit.

Owns `ProjectionTables` (static, one row a space group), `project` (jit, vmap) and `replicate`. Source: seed 001 (SymmCD), section
4.3 and appendix D.

How: a site symmetry is one of the distinct S of the group's Wyckoff positions; the one with the largest summed log-probability is
taken (with the logarithm of a one-hot sample this is the nearest by Hamming distance). Every copy of every position with that S is
a flat {t + P (x - t)}; over all copies and the 27 nearest lattice shifts the nearest point to the sampled one is taken. The orbit
is made by the operations of the GENERAL position, so it does not matter which copy the point lies on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct

from symjax.crystals.types import CrystalBatch

Array = Any  # numpy or jax array


@flax.struct.dataclass
class ProjectionTables:
    """Flats of the space groups asked for, stacked and padded (r rows, p positions, f flats of all positions).

    Attributes:
        row: (231,) int32 row of each space-group number, -1 where it was not asked for.
        site: (r, p, 15) int8 site-symmetry classes of each position; pos_mask: (r, p) bool.
        dof: (r, p) int32 free coordinates.
        multiplicity: (r, p) int32.
        flat_pos: (r, f) int32 position of each flat; -1 where padded.
        point: (r, f, 3) a point t of each flat.
        projector: (r, f, 3, 3) fractional projector onto its directions (orthogonal in the reference frame of the group).
    """

    row: Array
    site: Array
    pos_mask: Array
    dof: Array
    multiplicity: Array
    flat_pos: Array
    point: Array
    projector: Array


class Projected(NamedTuple):
    """Result for (..., m) orbits.

    Attributes:
        pos: (..., m) int32 position (index into the group's `wyckoff_positions`), -1 where padded.
        x: (..., m, 3) the projected representative, in [0, 1).
        moved: (..., m) distance it was moved, angstrom.
        site_cost: (..., m) log-probability lost against the best class of each direction alone.
    """

    pos: Array
    x: Array
    moved: Array
    site_cost: Array


def projection_tables(numbers: Any) -> ProjectionTables:
    """Tables of these space groups (host; kept per process)."""
    raise NotImplementedError


def project(
    tables: ProjectionTables, number: Array, L: Array, x: Array, *, site_log_prob: Array, mask: Array, distinct: bool = True
) -> Projected:
    """Nearest valid site symmetries and points.

    Args:
        tables: of all groups that occur.
        number: (b,) space-group numbers.
        L: (b, 3, 3) lattice rows.
        x: (b, m, 3) sampled fractional coordinates.
        site_log_prob: (b, m, 15, 13) log-probabilities of the classes (of the last network call; or of a one-hot sample).
        mask: (b, m).
        distinct: two orbits never share a position without free coordinates: the later one takes its next best.
    """
    raise NotImplementedError


def replicate(number: Any, L: Any, z: Any, projected: Projected, *, mask: Any) -> CrystalBatch:
    """The crystals (host): the standard setting's operations, lattice, orbits with their stabilizers."""
    raise NotImplementedError
