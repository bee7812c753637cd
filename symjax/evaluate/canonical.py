"""One form of a crystal, whatever file it came from: orientation, order of atoms and rounding that no format decides.

spglib's answer for noisy atoms depends on the order in which they are listed, and formats list them in orders of their own. So
every crystal that is judged is first brought here, and its content hash is of this form.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symjax.crystals.types import AtomicStructure

DECIMALS = 8
"""Decimals kept of cell lengths (angstrom), angles (degrees) and fractional coordinates: those of pymatgen's CIF text."""
_GRID = 10_000
_OFFSET = 0.37  # keeps simple fractions away from the edges of the grid by which atoms are ordered


def canonical(cell: AtomicStructure) -> AtomicStructure:
    """The same crystal in its own basis: right-handed, a along x and b in the xy plane, atoms by element and place.

    Lengths, angles and coordinates are rounded to `DECIMALS`, so a crystal with eight decimals is bit for bit the same from CIF,
    POSCAR, JSON and a prepared file; extended XYZ lists Cartesian places, which may differ in the last decimal after rounding. A
    left-handed basis is inverted with its coordinates, which keeps the crystal (its six cell parameters alone would mirror it).
    Another basis or origin of the crystal stays another. A cell without volume is returned as it is.
    """
    turn = -1 if np.linalg.det(cell.L) < 0 else 1
    basis = _standard(turn * cell.L)
    if basis is None or not np.isfinite(cell.x).all():
        return cell
    x = np.round(np.round(turn * cell.x % 1.0, DECIMALS) % 1.0, DECIMALS) + 0.0
    place = np.floor(x * _GRID + _OFFSET).astype(np.int64) % _GRID
    order = np.lexsort((*x.T[::-1], *place.T[::-1], cell.z))
    return replace(cell, L=basis, x=x[order], z=cell.z[order], orbit=cell.orbit[order], w=(turn * cell.w) % cell.den)


def _standard(basis: np.ndarray) -> np.ndarray | None:
    """(3, 3) rows of a right-handed basis in the standard orientation from its rounded parameters; None without volume."""
    lengths = np.linalg.norm(basis, axis=1)
    if not (np.isfinite(basis).all() and lengths.min(initial=np.inf) > 0):
        return None
    cosines = [basis[i] @ basis[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    a, b, c = np.round(lengths, DECIMALS)
    alpha, beta, gamma = np.radians(np.round(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))), DECIMALS))
    if min(a, b, c) <= 0 or np.sin(gamma) <= 0:
        return None
    cx, cy = c * np.cos(beta), c * (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    rest = c**2 - cx**2 - cy**2
    if not rest > 0:
        return None
    rows = np.array([[a, 0.0, 0.0], [b * np.cos(gamma), b * np.sin(gamma), 0.0], [cx, cy, np.sqrt(rest)]])
    return np.where(np.abs(rows) < 1e-14 * rows.max(), 0.0, rows)
