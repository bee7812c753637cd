"""The symmetry of generated crystals, from their atoms alone: what chosen sites force, and what a geometry comes near to.

A request asks for the symmetry of the crystal, not of the set of operations that made it. A crystal has its set by construction,
but its atoms may have more: sites without freedom can force more operations (rock salt on F432 is Fm-3m), and free parameters can
come to lie near values that have more. Both are groups of motions of the atoms, found by `symjax.navigate.pseudosymmetry` without
tables: the first in a geometry of random free parameters, the second in the drawn one, within `NEAR` angstrom.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.data.structure_types import StructureTypes, atoms_of
from symjax.groups.identify import identify
from symjax.navigate.motions import is_closed
from symjax.navigate.pseudosymmetry import centred, near_motions, near_rotations

NEAR = 0.03
"""Distance (angstrom) between an atom and the image that should fall on it, within which a crystal is taken to have an operation:
three times the tolerance at which searches are usually made."""
_EXACT = 1e-4  # angstrom, in a geometry of random parameters
_STRETCH = 0.07  # standard deviation of the random strains
_VOLUME = 20.0  # cubic angstrom an atom


def group_of_atoms(structure: AtomicStructure, tolerance: float) -> int:
    """Space-group number of a crystal's own motions within a tolerance (angstrom); 0 where they do not close.

    Half the tolerance is tried where motions at the edge of it do not close.

    Args:
        structure: any cell; centring translations that its operations name are divided out first.
        tolerance: largest distance between an atom and the image that falls on it.
    """
    arrangement = centred(structure.primitive())
    longest = float(np.sqrt(np.diag(arrangement.metric)).max())
    for limit in (tolerance, tolerance / 2):
        found = near_motions(arrangement, near_rotations(arrangement.metric, limit / longest), limit)
        if is_closed(found):
            return identify(found.opset()).number
    return 0


def forced_groups(types: StructureTypes, known: dict[tuple, int] | None = None) -> np.ndarray:
    """(b,) space-group number that each structure type has whatever its free parameters are.

    It is that of a crystal with random free parameters: such a one has no operation that is not forced, with probability one.

    Args:
        types: `b` structure types.
        known: what was found before, of any table of sets; added to.
    """
    known = {} if known is None else known
    return np.array([_forced(types, row, known) for row in range(len(types.z))], int)


def _forced(types: StructureTypes, row: int, known: dict[tuple, int]) -> int:
    real, index = types.z[row] > 0, int(types.set_index[row])
    orbits = zip(types.pos[row][real].tolist(), types.z[row][real].tolist(), strict=True)
    own = np.asarray(types.sets.mask)[index]
    operations = np.concatenate(
        [np.asarray(types.sets.W)[index][own].reshape(-1, 9), np.asarray(types.sets.w)[index][own]], 1
    )
    key = (operations.astype(np.int16).tobytes(), tuple(sorted(orbits)))
    if key not in known:
        known[key] = group_of_atoms(random_geometry(types, row, np.random.default_rng(0)), _EXACT)
    return known[key]


def random_geometry(types: StructureTypes, row: int, rng: np.random.Generator) -> AtomicStructure:
    """A crystal of one structure type with random free parameters, of ordinary volume."""
    sets, index = types.sets, int(types.set_index[row])
    k = np.asarray(sets.k_projector)[index] @ (_STRETCH * rng.standard_normal(6))
    size = np.log(_VOLUME * max(int(types.num_atoms()[row]), 1)) / np.sqrt(3.0)
    k = k + np.asarray(sets.k_projector)[index] @ np.array([0, 0, 0, 0, 0, size])
    x0, basis = np.asarray(sets.pos_x0)[index, types.pos[row]], np.asarray(sets.pos_basis)[index, types.pos[row]]
    x = x0 + np.einsum("mij,mj->mi", basis, rng.random((len(x0), 3)))
    return atoms_of(types, row, k, x)


def near_groups(types: StructureTypes, k: np.ndarray, x: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """(n,) space-group number of some crystals within `NEAR` angstrom.

    Args:
        types: `b` structure types.
        k: (b, 6) log-lattice coefficients and x: (b, m, 3) representatives.
        rows: which of them.
    """
    return np.array([group_of_atoms(atoms_of(types, row, k[row], x[row]), NEAR) for row in rows], int)
