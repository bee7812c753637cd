"""Crystals as WyckoffAUGen reads them: one atom of each orbit on a shape of the asymmetric unit, by letter (host, numpy).

Coordinates of a shape: u along a segment, triangle coordinates of a polygon (`symjax.models.wyckoffaugen.polygons`), fractional
coordinates of an interior. Atoms of the primitive cell are a list of (site, operation), so that graphs need no search.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple, Self

import flax.struct
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import InputError
from symjax.lattice import lattice_parameters
from symjax.lattice.reduction import reduced_basis
from symjax.models.wyckoffaugen.polygons import from_polygon
from symjax.models.wyckoffaugen.tables import tables
from symjax.wyckoff.asymmetric import into_unit, polygon_coordinates, shapes
from symjax.wyckoff.set_table import standard_numbers

Array = Any  # numpy or jax array

NUM_Z = 101
"""Atomic numbers 1 to 100 are known."""
LENGTHS, ANGLES = (2.0, 133.0), (60.0, 135.0)
"""Ranges of cell parameters, angstrom and degrees."""


@flax.struct.dataclass
class Crystals:
    """c crystals of at most n sites and p atoms in the primitive cell; sites by letter, then atomic number.

    Attributes:
        number: (c,) int32 space group.
        cell: (c, 6) float32 a, b, c (angstrom), alpha, beta, gamma (degrees) of the conventional cell.
        reduced: (c, 3, 3) float32 rows: a reduced basis of the primitive lattice, in fractional coordinates of that cell.
        letter, z: (c, n) int32 letter and atomic number; 0 as padding.
        shape: (c, n) int32 row of `symjax.wyckoff.shapes`.
        slot: (c, n) int32 which of the position's shapes that is.
        x: (c, n, 3) float32 fractional coordinates, on the shape.
        y: (c, n, 3) float32 coordinates of the shape.
        log_det: (c, n) float32 log-determinant of a polygon's map there; 0 for others.
        mask: (c, n) bool sites.
        image_site, image_op: (c, p) int32 site and operation of each atom of the primitive cell; image_mask: (c, p) bool.
    """

    number: Array
    cell: Array
    reduced: Array
    letter: Array
    z: Array
    shape: Array
    slot: Array
    x: Array
    y: Array
    log_det: Array
    mask: Array
    image_site: Array
    image_op: Array
    image_mask: Array

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.number)

    def take(self, rows: Any, num_sites: int | None = None, num_images: int | None = None) -> Self:
        """Some rows, cut to fewer sites and images."""
        out = {f.name: np.asarray(getattr(self, f.name))[rows] for f in fields(self)}
        for names, size in (
            (("letter", "z", "shape", "slot", "x", "y", "log_det", "mask"), num_sites),
            (("image_site", "image_op", "image_mask"), num_images),
        ):
            for name in names:
                out[name] = out[name][:, :size]
        return type(self)(**out)


def fits(data: CrystalDataset, max_sites: int, max_atoms: int) -> np.ndarray:
    """(c,) bool crystals that the model can hold: size, elements, cell within the ranges.

    Raises:
        InputError: operations of some crystal are no standard setting.
    """
    numbers = space_groups(data)
    own, num = tables(), len(data)
    row = own.row[numbers[data.orbit_crystal], own.letter[numbers[data.orbit_crystal], data.orbit_pos]]
    atoms = np.bincount(data.orbit_crystal, weights=own.primitive[row], minlength=num)
    heavy = np.zeros(num, bool)
    heavy[data.orbit_crystal[data.orbit_z >= NUM_Z]] = True
    cell = lattice_parameters(data.lattices())
    low, high = np.repeat([LENGTHS[0], ANGLES[0]], 3), np.repeat([LENGTHS[1], ANGLES[1]], 3)
    inside = ((cell >= low - 1e-6) & (cell <= high + 1e-6)).all(axis=1)
    return (data.num_orbits <= max_sites) & (atoms <= max_atoms) & ~heavy & inside


def space_groups(data: CrystalDataset) -> np.ndarray:
    """(c,) space groups of crystals in standard settings.

    Raises:
        InputError: operations of some crystal are none.
    """
    numbers = standard_numbers(data.sets)[data.set_index]
    if len(data) and not numbers.all():
        row = int(np.argmin(numbers != 0))
        raise InputError(
            f"crystal {data.ids[row]!r} (row {data.row[row]}): its operations are no standard setting, in which "
            f"asymmetric units are "
            "given; prepare the data with `symjax data prepare`"
        )
    return numbers


def crystals(data: CrystalDataset, max_sites: int, max_atoms: int) -> Crystals:
    """Padded arrays of crystals that fit (`fits`).

    Raises:
        InputError: operations are no standard setting.
        SymjaxError: a site is not on its position.
    """
    sites = Sites(space_groups(data), data.lattices(), data.orbit_crystal, data.orbit_pos, data.orbit_z, data.orbit_x)
    return from_sites(sites, max_sites, max_atoms)


class Sites(NamedTuple):
    """c crystals with o sites in all, site after site.

    Attributes:
        number: (c,) space groups; L: (c, 3, 3) rows a, b, c of conventional cells, angstrom.
        crystal: (o,) the crystal of each site, rising.
        pos, z: (o,) position, as `wyckoff_positions` counts them, and atomic number.
        x: (o, 3) any atom of the site.
    """

    number: np.ndarray
    L: np.ndarray
    crystal: np.ndarray
    pos: np.ndarray
    z: np.ndarray
    x: np.ndarray


def from_sites(sites: Sites, max_sites: int, max_atoms: int) -> Crystals:
    """Padded arrays; errors as `crystals`."""
    own, num, crystal = tables(), len(sites.number), sites.crystal
    of = sites.number[crystal]
    letter = own.letter[of, sites.pos]
    shape, x = np.zeros(len(crystal), np.int32), np.zeros((len(crystal), 3))
    for number in np.unique(of):
        rows = np.flatnonzero(of == number)
        shape[rows], x[rows], _ = into_unit(int(number), sites.pos[rows], sites.x[rows], tolerance=1e-4)
    y, log_det = shape_coordinates(shape, x)
    order = np.lexsort([sites.z, letter, crystal])
    start = np.concatenate([[0], np.cumsum(np.bincount(crystal, minlength=num))])
    at = (crystal, np.arange(len(crystal)) - start[crystal])
    place = lambda values, kind: _padded(values[order], at, (num, max_sites), kind)
    out_shape = place(shape, np.int32)
    mask = place(np.ones(len(crystal), bool), bool)
    images = image_lists(out_shape, mask, max_atoms)
    slot = (own.shape[own.row[of, letter]] == shape[:, None]).argmax(axis=1)
    reduced = [reduced_primitive(int(number), L) for number, L in zip(sites.number, sites.L, strict=True)]
    return Crystals(
        number=sites.number.astype(np.int32),
        cell=lattice_parameters(sites.L).astype(np.float32),
        reduced=np.array(reduced, np.float32).reshape(-1, 3, 3),
        letter=place(letter, np.int32),
        z=place(sites.z.astype(np.int32), np.int32),
        shape=out_shape,
        slot=place(slot, np.int32),
        x=place(x, np.float32),
        y=place(y, np.float32),
        log_det=place(log_det, np.float32),
        mask=mask,
        image_site=images[0],
        image_op=images[1],
        image_mask=images[2],
    )


def _padded(values: np.ndarray, at: Any, shape: tuple[int, int], kind: type) -> np.ndarray:
    out = np.zeros((*shape, *values.shape[1:]), kind)
    out[at] = values
    return out


def shape_coordinates(shape: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 3) coordinates of points x (k, 3) on shapes (k,), padded by 0, and (k,) log-determinants of the polygons' maps."""
    cut = shapes()
    y, log_det = np.zeros((len(shape), 3)), np.zeros(len(shape))
    for row in np.unique(shape):
        rows, vertices = np.flatnonzero(shape == row), cut.vertices[row, : cut.count[row]]
        if cut.dim[row] == 1:
            edge = vertices[1] - vertices[0]
            y[rows, 0] = np.clip((x[rows] - vertices[0]) @ edge / (edge @ edge), 0, 1)
        elif cut.dim[row] == 2:
            y[rows, :2] = polygon_coordinates(vertices, x[rows])
        elif cut.dim[row] == 3:
            y[rows] = x[rows]
    plane = np.flatnonzero(cut.dim[shape] == 2)
    if len(plane):
        y[plane, :2], log_det[plane] = from_polygon(cut.polygon[shape[plane]], y[plane, :2])
    return y, log_det


def image_lists(shape: np.ndarray, mask: np.ndarray, max_atoms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(c, p) site, operation and mask of the atoms of the primitive cell, site after site."""
    own = tables()
    ops = np.where(mask[..., None], own.image[shape], -1)
    crystal, site, column = np.nonzero(ops >= 0)
    start = np.concatenate([[0], np.cumsum(np.bincount(crystal, minlength=len(mask)))])
    place = np.arange(len(crystal)) - start[crystal]
    keep = place < max_atoms
    at = (crystal[keep], place[keep])
    out = [np.zeros((len(mask), max_atoms), kind) for kind in (np.int32, np.int32, bool)]
    out[0][at], out[1][at], out[2][at] = site[keep], ops[crystal, site, column][keep], True
    return out[0], out[1], out[2]


def reduced_primitive(number: int, L: np.ndarray) -> np.ndarray:
    """(3, 3) rows: a reduced basis of the primitive lattice, in fractional coordinates of the conventional cell L."""
    basis = tables().primitive_basis[number]
    return reduced_basis(basis @ L).T @ basis
