"""Crystals as SymmCD sees them: space group, six log-lattice coefficients, one atom of each orbit with its site symmetry.

Owns `Representation`, `represent` (from a prepared data set), the lattice coefficients with the mask of their crystal family, and
the distributions counted on training data (`Counts`). Source: SymmCD (Levy et al., arXiv 2502.03638), sections 3 and 4,
appendices B and C.

Conventions. Lattice: L = expm(sum_i k_i B_i) is symmetric, rows a, b, c in angstrom, with B_1..B_6 = xy, xz, yz, diag(1,-1,0),
diag(1,1,-2), I (not normalised); k comes from the metric (polar part, half the logarithm of L L^T), which is exact in every
crystal family. This is `symjax.lattice.log` in frame 0 for all families, each coefficient divided by the norm of its B. Orbits:
the atom nearest to (1/2, 1/2, 1/2) stands for its orbit, crystals with one orbit included. Site symmetry: 15 directions, one of
13 classes each (`symjax.wyckoff.oriented`), of the FIRST point of the Wyckoff position as the International Tables list it, not of
the atom chosen: so it belongs to the orbit.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import flax.struct
import numpy as np

from symjax.data import derived
from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.groups.tables import NUM_TYPES
from symjax.lattice import lattice_from_log, log_from_lattice
from symjax.wyckoff import oriented
from symjax.wyckoff.oriented import SITE_CLASSES
from symjax.wyckoff.representatives import centre_operations, move, orbit_site_symmetries, set_numbers

Array = Any  # numpy or jax array

NUM_ELEMENTS = 94
"""Atom classes: atomic number 1 to 94, class Z - 1."""
NUM_FEATURES = 7 + 15 * 26
"""Lattice letters P I F A B C R, then 15 directions x 26 kinds of elements."""
B_NORMS = np.sqrt([2.0, 2.0, 2.0, 2.0, 6.0, 3.0])
"""Frobenius norms of the six basis matrices: k here times these is `symjax.lattice.log`'s k in frame 0."""
HEXAGONAL_K1 = -np.log(3.0) / 4
"""k of xy in every lattice with a = b and gamma = 120 degrees."""


@flax.struct.dataclass
class Representation:
    """c crystals of at most m orbits, padded at the end.

    Attributes:
        number: (c,) int32 space group, 1 to 230.
        k: (c, 6) float64 lattice coefficients (those that the family fixes have its values to rounding).
        z: (c, m) int32 atomic numbers, 0 where padded.
        x: (c, m, 3) float64 fractional coordinates in [0, 1) of the atom nearest to the centre of the cell.
        site: (c, m, 15) int8 site-symmetry class of each direction (`symjax.wyckoff.oriented.SITE_CLASSES`), 0 where padded.
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
        part = Representation(**{f.name: np.asarray(getattr(self, f.name))[np.asarray(indices)] for f in fields(self)})
        have = part.mask.shape[1]
        if num_orbits is None or num_orbits == have:
            return part
        _check_slots(part.num_orbits, num_orbits)
        fill = {"z": 0, "x": 0, "site": 0, "pos": -1, "mask": False}
        changed = {}
        for name, value in fill.items():
            values = getattr(part, name)[:, :num_orbits]
            widths = [(0, max(num_orbits - have, 0) if axis == 1 else 0) for axis in range(values.ndim)]
            changed[name] = np.pad(values, widths, constant_values=value)
        return part.replace(**changed)  # type: ignore[attr-defined]


def _check_slots(counts: np.ndarray, slots: int) -> None:
    if len(counts) and counts.max() > slots:
        worst = int(np.argmax(counts))
        raise InputError(f"crystal {worst} has {int(counts[worst])} orbits, more than the {slots} slots asked for")


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


def _centre(data: CrystalDataset) -> np.ndarray:
    return centre_operations(data.sets, data.orbit_set, data.orbit_pos, data.orbit_x)


def _sites(data: CrystalDataset) -> np.ndarray:
    return orbit_site_symmetries(set_numbers(data.sets)[data.orbit_set], data.orbit_pos)


# Arrays that `symjax.data.derived.keep` can store in a data file, to be made once and not at each start of training.
CENTRE, SITE = "centre_op", "site"
derived.register(CENTRE, _centre)
derived.register(SITE, _sites)


def represent(data: CrystalDataset, *, num_orbits: int | None = None) -> Representation:
    """Padded arrays of a prepared data set (host, numpy).

    Args:
        data: crystals in the standard settings. `CENTRE` is used where the data keep it, else it is made here.
        num_orbits: slots; default the largest count.

    Raises:
        InputError: a crystal has more orbits than slots, an element beyond 94, or operations that are no standard setting
            (site symmetries would then refer to other directions), or kept site symmetries that refer to another setting.
    """
    numbers = set_numbers(data.sets)[data.set_index]
    orbit_numbers = np.repeat(numbers, data.num_orbits)
    if len(data) and not numbers.all():
        row = int(np.argmin(numbers != 0))
        raise InputError(
            f"crystal {data.ids[row]!r} (row {data.row[row]}): its operations are no standard setting, to which the directions of "
            "site symmetries refer; prepare the data with `symjax data prepare`"
        )
    if len(data.orbit_z) and not 1 <= data.orbit_z.min() <= data.orbit_z.max() <= NUM_ELEMENTS:
        row = int(data.orbit_crystal[np.argmax((data.orbit_z < 1) | (data.orbit_z > NUM_ELEMENTS))])
        raise InputError(
            f"crystal {data.ids[row]!r} has an element outside 1 to {NUM_ELEMENTS}: leave it out with subset()"
        )
    slots = int(data.num_orbits.max(initial=1)) if num_orbits is None else num_orbits
    _check_slots(data.num_orbits, slots)
    ops = derived.values(data, CENTRE)
    site = orbit_site_symmetries(orbit_numbers, data.orbit_pos)
    _check_kept(data, site)
    crystal = data.orbit_crystal
    at = (crystal, np.arange(len(crystal)) - data.orbit_start[crystal])
    num = len(data)
    out = Representation(
        number=numbers.astype(np.int32),
        k=k_from_lattice(data.lattices()),
        z=np.zeros((num, slots), np.int32),
        x=np.zeros((num, slots, 3)),
        site=np.zeros((num, slots, 15), np.int8),
        pos=np.full((num, slots), -1, np.int16),
        mask=np.zeros((num, slots), bool),
    )
    out.z[at], out.pos[at], out.mask[at] = data.orbit_z, data.orbit_pos, True
    out.x[at], out.site[at] = move(data.sets, data.orbit_set, np.asarray(ops, np.int64), data.orbit_x), site
    return out


def _check_kept(data: CrystalDataset, site: np.ndarray) -> None:
    """Refuse site symmetries kept at preparation that are not those of the positions in this version's settings.

    Raises:
        InputError: another shape, or another class in some direction.
    """
    kept = data.derived.get(SITE)
    if kept is None or (np.shape(kept) == site.shape and np.array_equal(kept, site)):
        return
    if np.shape(kept) != site.shape:
        raise InputError(f"kept site symmetries have shape {np.shape(kept)}, not {site.shape}; prepare the data again")
    orbit = int(np.argmax((np.asarray(kept) != site).any(axis=1)))
    raise InputError(
        f"crystal {data.ids[data.orbit_crystal[orbit]]!r}: its kept site symmetries are of another setting or order of "
        "directions than this version's; prepare the data again with `symjax data prepare`"
    )


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
