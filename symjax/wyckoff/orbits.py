"""Atoms of a cell to orbits of a closed set: the step from coordinates to (position, point on its flat) (host).

Owns `Orbits` and `assign_orbits`. Tolerances enter only when deciding which atom an image lands on; after that the orbit is
averaged over the operations, so that its point lies on the position's flat to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symjax.errors import SymjaxError
from symjax.groups.sets import OpSet, members
from symjax.wyckoff.positions import WyckoffPositions

_ON_FLAT = 1e-6  # averaged points are exact to rounding; distinct flats of special points are at least 1/48 apart


@dataclass(frozen=True)
class Orbits:
    """The m orbits of one cell, sorted by position, species and point.

    Attributes:
        position: (m,) int64 index into the positions of the set.
        species: (m,) as given.
        x: (m, 3) float64, x0 + basis @ u with u in [0, 1): on the representative flat.
        atom_orbit: (a,) int64 orbit of each atom.
        displacement: (m,) largest move of an atom of the orbit by the averaging, angstrom.
    """

    position: np.ndarray
    species: np.ndarray
    x: np.ndarray
    atom_orbit: np.ndarray
    displacement: np.ndarray


def assign_orbits(
    opset: OpSet, positions: WyckoffPositions, x: Any, *, species: Any, lattice: Any, tolerance: float = 0.1
) -> Orbits:
    """Splits the atoms of a cell into orbits of a closed set.

    Args:
        opset: one set in the cell's basis, members in the order that `positions` refers to.
        positions: its positions (`wyckoff_positions(opset)`).
        x: (a, 3) fractional coordinates of all atoms of the cell.
        species: (a,) integers; atoms of different species are never equivalent.
        lattice: (3, 3) rows a, b, c in angstrom; it should be compatible with the set.
        tolerance: an image lands on an atom that is nearer than this, angstrom.

    Raises:
        SymjaxError: an image of an atom lands on no atom of its species (the atom and the operation are named), or several
            atoms stand so close that they cannot be told apart at this tolerance.
    """
    inner = members(opset)
    x, species = np.asarray(x, float), np.asarray(species)
    lattice = np.asarray(lattice, float)
    if (
        x.ndim != 2
        or x.shape[1] != 3
        or species.shape != x.shape[:1]
        or lattice.shape != (3, 3)
        or not np.isfinite(x).all()
    ):
        raise SymjaxError(
            f"assign_orbits needs x (a, 3) finite, species (a,) and lattice (3, 3); got {x.shape}, {species.shape}, {lattice.shape}"
        )
    W, w = inner.W.astype(float), inner.w / inner.den
    atom_orbit = np.full(len(x), -1, np.int64)
    found: list[tuple[int, Any, np.ndarray, float]] = []
    for atom in range(len(x)):
        if atom_orbit[atom] >= 0:
            continue
        free = np.flatnonzero((atom_orbit < 0) & (species == species[atom]))
        hit, shift = _land(W, w, x, atom=atom, free=free, lattice=lattice, tolerance=tolerance)
        centre = x[atom] + np.linalg.solve(W, shift[..., None])[..., 0].mean(axis=0)
        images = W @ centre + w
        moved = x[hit] - images
        moved -= np.rint(moved)
        atom_orbit[hit] = len(found)
        position, point = place(positions, images, multiplicity=len(np.unique(hit)), name=f"atom {atom}")
        found.append((position, species[atom], point, float(np.linalg.norm(moved @ lattice, axis=-1).max())))
    order = sorted(range(len(found)), key=lambda i: (found[i][0], found[i][1], tuple(np.round(found[i][2], 6))))
    rank = np.argsort(np.array(order, np.int64))
    return Orbits(
        position=np.array([found[i][0] for i in order], np.int64),
        species=np.array([found[i][1] for i in order], species.dtype),
        x=np.array([found[i][2] for i in order]).reshape(-1, 3),
        atom_orbit=rank[atom_orbit] if len(x) else atom_orbit,
        displacement=np.array([found[i][3] for i in order]),
    )


def _land(
    W: np.ndarray, w: np.ndarray, x: np.ndarray, *, atom: int, free: np.ndarray, lattice: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the atom that each image of `atom` lands on, and (n, 3) how far that atom is from the image."""
    delta = x[free][None] - (W @ x[atom] + w)[:, None]
    delta -= np.rint(delta)
    distance = np.linalg.norm(delta @ lattice, axis=-1)
    nearest = distance.argmin(axis=1)
    ops = np.arange(len(W))
    worst = int(distance[ops, nearest].argmax())
    if distance[worst, nearest[worst]] > tolerance:
        raise SymjaxError(
            f"atom {atom} at {np.round(x[atom], 4).tolist()}: its image under operation {worst} is "
            f"{distance[worst, nearest[worst]]:.3f} angstrom from the nearest atom of its species (tolerance {tolerance})"
        )
    hit = free[nearest]
    counts = np.bincount(nearest, minlength=len(free))
    if len(set(counts[counts > 0].tolist())) > 1 or len(W) % len(np.unique(hit)):
        raise SymjaxError(
            f"atom {atom} at {np.round(x[atom], 4).tolist()}: its images fall on {len(np.unique(hit))} atoms unevenly, so atoms "
            f"stand closer than the tolerance of {tolerance} angstrom can tell apart"
        )
    return hit, delta[ops, nearest]


def place(
    positions: WyckoffPositions, images: np.ndarray, *, multiplicity: int, name: str = "a point"
) -> tuple[int, np.ndarray]:
    """Position and representative of the orbit of a point, exact to rounding.

    Args:
        positions: of a set of n operations.
        images: (n, 3) float64, the point's images under all of them.
        multiplicity: how many of them differ modulo the lattice.
        name: how an error calls the point.

    Raises:
        SymjaxError: no position of that multiplicity holds it.
    """
    for position in np.flatnonzero(positions.multiplicity == multiplicity):
        dof = int(positions.dof[position])
        offset = (images - positions.x0[position]) @ positions.annihilator[position, : 3 - dof].T
        on = np.flatnonzero((np.abs(offset - np.rint(offset)) < _ON_FLAT).all(axis=-1))
        if not len(on):
            continue
        inverse = np.linalg.inv(positions.completion[position])
        u = np.mod((images[on] - positions.x0[position]) @ inverse[:dof].T, 1.0)
        u[u > 1 - 1e-9] = 0.0
        first = u[np.lexsort(np.round(u, 9).T[::-1])[0]] if dof else np.zeros(0)
        return int(position), positions.x0[position] + positions.basis[position, :, :dof] @ first
    raise SymjaxError(
        f"{name}: no position of multiplicity {multiplicity} holds its orbit; atoms closer than the tolerance, or a set "
        "that is not closed"
    )
