"""Crystals by one atom of each orbit, with the site symmetry of its position: padded arrays of a prepared data set (host, numpy).

Owns `AsymmetricUnits`, `asymmetric_units`, and the derived arrays (`symjax.data.derived`) that it can keep in a data file.

Conventions. The atom nearest to (1/2, 1/2, 1/2) stands for its orbit, crystals with one orbit included. Site symmetry: 15
directions, one of 13 classes each (`symjax.wyckoff.oriented`), of the FIRST point of the Wyckoff position as the International
Tables list it, not of the atom chosen: so it belongs to the orbit. Source: SymmCD (Levy et al., arXiv 2502.03638), section 4.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Self

import numpy as np

from symjax._later import pytree
from symjax.data import derived
from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.wyckoff.representatives import centre_operations, move, orbit_site_symmetries
from symjax.wyckoff.set_table import standard_numbers

Array = Any  # numpy or jax array

NUM_ELEMENTS = 94
"""Atomic numbers 1 to 94, hydrogen to plutonium, are represented: those of MP-20."""


@pytree
class AsymmetricUnits:
    """c crystals of at most m orbits, padded at the end.

    Attributes:
        number: (c,) int32 space group, 1 to 230.
        z: (c, m) int32 atomic numbers, 0 where padded.
        x: (c, m, 3) float64 fractional coordinates in [0, 1) of the atom nearest to the centre of the cell.
        site: (c, m, 15) int8 site-symmetry class of each direction (`symjax.wyckoff.oriented.SITE_CLASSES`), 0 where padded.
        pos: (c, m) int16 index into `wyckoff_positions(standard_setting(number))`, -1 where padded (not seen by the model).
        mask: (c, m) bool.
    """

    number: Array
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

    def take(self, indices: Any, num_orbits: int | None = None) -> Self:
        """The crystals at `indices`, cut or padded to `num_orbits` slots (default: as many as there are).

        Raises:
            InputError: a crystal has more orbits than slots.
        """
        part = type(self)(**{f.name: np.asarray(getattr(self, f.name))[np.asarray(indices)] for f in fields(self)})
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
        return replace(part, **changed)


def _check_slots(counts: np.ndarray, slots: int) -> None:
    if len(counts) and counts.max() > slots:
        worst = int(np.argmax(counts))
        raise InputError(f"crystal {worst} has {int(counts[worst])} orbits, more than the {slots} slots asked for")


def _centre(data: CrystalDataset) -> np.ndarray:
    return centre_operations(data.sets, data.orbit_set, data.orbit_pos, data.orbit_x)


def _sites(data: CrystalDataset) -> np.ndarray:
    return orbit_site_symmetries(standard_numbers(data.sets)[data.orbit_set], data.orbit_pos)


# Arrays that `symjax.data.derived.keep` can store in a data file, to be made once and not at each start of training.
CENTRE, SITE = "centre_op", "site"
derived.register(CENTRE, _centre)
derived.register(SITE, _sites)


def asymmetric_units(data: CrystalDataset, *, num_orbits: int | None = None) -> AsymmetricUnits:
    """Padded arrays of a prepared data set (host, numpy).

    Args:
        data: crystals in the standard settings. `CENTRE` is used where the data keep it, else it is made here.
        num_orbits: slots; default the largest count.

    Raises:
        InputError: a crystal has more orbits than slots, an element beyond 94, or operations that are no standard setting
            (site symmetries would then refer to other directions), or kept site symmetries that refer to another setting.
    """
    numbers = standard_numbers(data.sets)[data.set_index]
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
    out = AsymmetricUnits(
        number=numbers.astype(np.int32),
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
