"""An incomplete crystal: a file whose space group, cell and sites are given, brought to asymmetric units to be filled (host).

The group is the one that the file states, not one found from its atoms: an incomplete crystal may look more symmetric than it is.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from symjax.crystals.distances import shortest_images
from symjax.crystals.types import AtomicStructure
from symjax.elements import SYMBOLS
from symjax.errors import DataError, InputError
from symjax.groups.sets import OpSet
from symjax.groups.setting import find_setting
from symjax.groups.tables import standard_setting
from symjax.lattice import lattice_from_parameters, lattice_parameters
from symjax.models.wyckoffaugen.given import GivenSite, check_sites
from symjax.models.wyckoffaugen.lattice import FREE, HIGH, LOW
from symjax.models.wyckoffaugen.representation import NUM_Z
from symjax.models.wyckoffaugen.tables import tables
from symjax.wyckoff.asymmetric import into_unit, type_wyckoff
from symjax.wyckoff.orbits import place

SNAP = 0.05
"""A site this near (angstrom) to a special position is taken to be on it."""
CLOSE = 0.5
"""Atoms nearer than this (angstrom) lie on top of each other."""
_STRAIN = 0.02  # relative change of a cell that is put down to rounding


@dataclasses.dataclass(frozen=True)
class Incomplete:
    """What is given.

    Attributes:
        number: space group.
        cell: (6,) conventional cell in the standard setting.
        sites: given sites, on shapes of the asymmetric unit.
    """

    number: int
    cell: np.ndarray
    sites: tuple[GivenSite, ...]


def read_incomplete(path: str | Path, max_sites: int, max_atoms: int) -> Incomplete:
    """Read an incomplete crystal.

    Args:
        path: a CIF that states its operations.
        max_sites, max_atoms: what the model holds.

    Raises:
        InputError: no such file, no operations in it, or its cell or sites contradict its group, lie on top of each other, or are
        more
            than the model holds.
    """
    structure, opset = _read(path)
    setting = find_setting(opset, metric=structure.metric)
    number, L = setting.number, setting.matrix.T @ structure.L
    cell = _cell(path, number, L)
    own = lattice_from_parameters(cell)
    reps = _representatives(structure, opset)
    x = structure.x[reps] @ np.linalg.inv(setting.matrix).T - np.linalg.solve(setting.matrix, setting.origin)
    z = structure.z[reps]
    if (heavy := z >= NUM_Z).any():
        raise InputError(f"{path}: {SYMBOLS[int(z[heavy][0])]} is an element that the model does not know")
    pos, points = (
        zip(*(_site(path, number, own, x[i], int(z[i])) for i in range(len(z))), strict=True) if len(z) else ((), ())
    )
    _check_apart(path, number, own, z, np.array(points).reshape(-1, 3))
    shape, image, _ = into_unit(number, np.array(pos, int), np.array(points).reshape(-1, 3), tolerance=1e-4)
    letters = tables().letter[number, np.array(pos, int)]
    sites = [GivenSite(int(letters[i]), int(z[i]), int(shape[i]), image[i].astype(np.float32)) for i in range(len(z))]
    sites.sort(key=lambda site: (site.letter, site.z))
    check_sites(number, tuple(sites), max_sites, max_atoms)
    return Incomplete(number, cell, tuple(sites))


def _read(path: str | Path) -> tuple[AtomicStructure, OpSet]:
    """All atoms of a CIF, and the operations that it states."""
    from symjax.crystals.io.cif_read import read_cif_block, split_cif
    from symjax.crystals.io.symmetry import decide

    what = "an incomplete crystal is a CIF with its space group, cell and sites"
    try:
        blocks = split_cif(Path(path).read_text(encoding="utf-8", errors="replace"))
        block = next((one for one in blocks if one.has_atoms), None)
        if block is None:
            raise InputError(f"{path} lists no sites: {what}")
        structure = read_cif_block(block).structure
        known = {tag: values for tag, values in block.values.items() if values and values[0] not in ("?", ".", "")}
        return structure, decide(known, structure.metric, lambda _: (False, True)).opset
    except OSError as error:
        raise InputError(f"{path}: no such file, or it cannot be read ({error.strerror})") from error
    except DataError as error:
        raise InputError(f"{path}: {error}; {what}") from error


def _representatives(structure: AtomicStructure, opset: OpSet) -> np.ndarray:
    """First atom of each orbit under the operations."""
    W, w, left, found = opset.W.astype(float), opset.w / opset.den, np.ones(len(structure.z), bool), []
    for atom in range(len(structure.z)):
        if left[atom]:
            found.append(atom)
            apart = structure.x[:, None] - (W @ structure.x[atom] + w)
            near = np.linalg.norm((apart - np.rint(apart)) @ structure.L, axis=-1).min(axis=1) < SNAP
            left &= ~(near & (structure.z == structure.z[atom]))
    return np.array(found, int)


def _cell(path: str | Path, number: int, L: np.ndarray) -> np.ndarray:
    """Parameters of a cell that its group allows and the model holds."""
    cell = lattice_parameters(L)
    family = int(tables().family[number])
    fixed = cell.copy()
    free = FREE[family]
    if not free[1]:
        fixed[1] = fixed[0]
    if not free[2]:
        fixed[2] = fixed[0]
    angles = np.array([90.0, 90.0, 120.0 if family == 4 else 90.0])
    fixed[3:] = np.where(free[3:], fixed[3:], angles)
    if (np.abs(fixed - cell) > _STRAIN * cell).any():
        raise InputError(
            f"{path}: the cell {', '.join(f'{v:.4g}' for v in cell)} contradicts its space group {number}, which asks for "
            f"{', '.join(f'{v:.4g}' for v in fixed)}"
        )
    if (fixed < LOW).any() or (fixed > HIGH).any():
        raise InputError(
            f"{path}: the cell {', '.join(f'{v:.4g}' for v in cell)} is outside what the model knows (lengths "
            f"{LOW[0]:g} to {HIGH[0]:g} "
            f"angstrom, angles {LOW[3]:g} to {HIGH[3]:g} degrees)"
        )
    return fixed


def _site(path: str | Path, number: int, L: np.ndarray, x: np.ndarray, z: int) -> tuple[int, np.ndarray]:
    """Position and a point on it of one site, moved onto a special position that it is near to."""
    opset, positions = standard_setting(number), type_wyckoff(number)
    W, w = opset.W.astype(float), opset.w / opset.den
    images = W @ x + w
    apart = images - x
    fixing = np.linalg.norm((apart - np.rint(apart)) @ L, axis=1) < SNAP
    x = (images - np.rint(apart))[fixing].mean(axis=0)
    images = W @ x + w
    apart = images[:, None] - images[None]
    same = (np.abs(apart - np.rint(apart)) < 1e-6).all(axis=-1)
    multiplicity = int((same.argmax(axis=1) == np.arange(len(W))).sum())
    if multiplicity * int(fixing.sum()) != len(W):
        raise InputError(
            f"{path}: the site of {SYMBOLS[z]} at {np.round(x, 4).tolist()} contradicts space group {number}: its "
            f"images are closer than "
            f"{SNAP} angstrom and no special position holds it"
        )
    return place(positions, images, multiplicity=multiplicity, name=f"the site of {SYMBOLS[z]}")


def _check_apart(path: str | Path, number: int, L: np.ndarray, z: np.ndarray, x: np.ndarray) -> None:
    """Refuse sites whose atoms lie on top of each other."""
    if not len(x):
        return
    opset = standard_setting(number)
    atoms, owner = [], []
    for site, point in enumerate(x):
        images = np.mod(opset.W @ point + opset.w / opset.den, 1.0)
        _, first = np.unique(np.mod(np.rint(images * 1e5), 1e5), axis=0, return_index=True)
        atoms.append(images[first])
        owner += [site] * len(first)
    every, own = np.concatenate(atoms), np.array(owner)
    first = np.unique(own, return_index=True)[1]
    found = shortest_images(L, every, first, np.full((len(first), len(every)), CLOSE))
    if found.min() < CLOSE:
        i, j = np.unravel_index(int(found.argmin()), found.shape)
        one, other = SYMBOLS[int(z[i])], SYMBOLS[int(z[own[j]])]
        raise InputError(
            f"{path}: sites of {one} and {other} lie on top of each other ({found.min():.2f} angstrom apart in space "
            f"group {number})"
        )
