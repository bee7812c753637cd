"""From listed sites to all atoms of the cell: the orbit of each site under a set of operations, special positions included.

Owns `expand_sites`. A site's stabilizer is found with a tolerance in angstrom and the site is moved onto the points that its
stabilizer fixes, so that a coordinate such as 0.333 gives the atoms of 1/3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symjax.crystals.io.report import Note, UnusableCrystal

SITE_TOLERANCE = 0.05
"""Angstrom. An operation that moves a site by less is taken to fix it; atoms so close could not both be there."""
MOVED = 0.01  # angstrom; a site moved further onto its special position is noted
EQUIVALENT = 0.01  # angstrom; a site so near to an image of an earlier one of its element is that image
_SAME = 1e-3  # angstrom; images of a site on its special position coincide better than that


def expand_sites(
    W: np.ndarray,
    w: np.ndarray,
    L: np.ndarray,
    z: np.ndarray,
    x: np.ndarray,
    names: Sequence[str],
    *,
    overlapping: bool = False,
) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """All atoms of the cell.

    Args:
        W: (n, 3, 3) rotation parts of a closed set. w: (n, 3) translations as fractions of the cell.
        L: (3, 3) lattice rows, angstrom.
        z: (m,) atomic numbers. x: (m, 3) fractional coordinates of the sites.
        names: what messages call the sites.
        overlapping: let listed atoms lie in one place where the identity is the only operation: bad crystals are to be measured.

    Returns:
        (a,) atomic numbers, (a, 3) coordinates in [0, 1), and notes on sites that were moved or left out.

    Raises:
        UnusableCrystal: two sites in one place, or a site near several special positions at once.
    """
    if len(W) == 1:
        if not overlapping:
            _check_listed(L, z, x, names)
        return np.asarray(z, np.int64), wrapped(x), []
    notes: list[Note] = []
    numbers: list[int] = []
    orbits: list[np.ndarray] = []
    kept: list[int] = []
    for i in range(len(z)):
        moved, orbit = _orbit(W, w, L, x[i], names[i])
        if moved > MOVED:
            notes.append(
                Note("special position", f"{names[i]} was moved by {moved:.3f} angstrom onto its special position")
            )
        known, gap = _listed_before(orbit, L, orbits)
        if known >= 0 and (gap < _SAME or (gap < EQUIVALENT and z[i] == z[kept[known]])):
            _check_coincidence(names[i], names[kept[known]], z[i], z[kept[known]], x[i] - x[kept[known]], L)
            notes.append(Note("equivalent sites", f"{names[i]} is an image of {names[kept[known]]} and was left out"))
            continue
        kept.append(i)
        orbits.append(orbit)
        numbers += [int(z[i])] * len(orbit)
    return np.array(numbers, np.int64), wrapped(np.concatenate(orbits)), notes


def wrapped(x: np.ndarray) -> np.ndarray:
    """Into [0, 1)."""
    x = x - np.floor(x)
    return np.where(x >= 1.0, 0.0, x)


def _orbit(W: np.ndarray, w: np.ndarray, L: np.ndarray, x: np.ndarray, name: str) -> tuple[float, np.ndarray]:
    """How far the site was moved onto its special position (angstrom), and (k, 3) its distinct images there."""
    tolerance = SITE_TOLERANCE
    while tolerance > _SAME / 4:
        place = x
        for _ in range(10):
            delta, distance = _shifts(W, w, L, place)
            fixing = distance < tolerance
            place = place + delta[fixing].mean(axis=0)
        _, distance = _shifts(W, w, L, place)
        if distance[fixing].max() < _SAME / 10 and ((distance < _SAME) == fixing).all():
            images = np.einsum("nij,j->ni", W, place) + w
            first = _first_images(images, L)
            if len(first) * int(fixing.sum()) == len(W):
                return float(np.linalg.norm((place - x) @ L)), images[first]
        tolerance /= 3
    raise UnusableCrystal(
        "overlap", f"{name} lies near several special positions at once; its images cannot be told apart"
    )


def _shifts(W: np.ndarray, w: np.ndarray, L: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) what each operation adds to a point, modulo the lattice, and (n,) its length in angstrom."""
    delta = np.einsum("nij,j->ni", W, x) + w - x
    delta -= np.rint(delta)
    return delta, np.linalg.norm(delta @ L, axis=1)


def _first_images(images: np.ndarray, L: np.ndarray) -> np.ndarray:
    """Indices of the first of each group of coinciding images."""
    delta = images[:, None, :] - images[None]
    delta -= np.rint(delta)
    same = np.linalg.norm(delta @ L, axis=-1) < _SAME
    return np.flatnonzero(same.argmax(axis=1) == np.arange(len(images)))


def _listed_before(orbit: np.ndarray, L: np.ndarray, orbits: list[np.ndarray]) -> tuple[int, float]:
    """Index of the earlier orbit that comes nearest to this one's first point and the distance, angstrom; -1 for the first."""
    if not orbits:
        return -1, np.inf
    delta = np.concatenate(orbits) - orbit[0]
    delta -= np.rint(delta)
    distance = np.linalg.norm(delta @ L, axis=1)
    nearest = int(distance.argmin())
    ends = np.cumsum([len(one) for one in orbits])
    return int(np.searchsorted(ends, nearest, side="right")), float(distance[nearest])


def _check_listed(L: np.ndarray, z: np.ndarray, x: np.ndarray, names: Sequence[str]) -> None:
    """Refuse sites in one place where every atom is listed."""
    for rows in np.array_split(np.arange(len(z)), -(-(len(z) ** 2) // 1_000_000)):
        delta = x[rows, None, :] - x[None]
        delta -= np.rint(delta)
        distance = np.linalg.norm(delta @ L, axis=-1)
        near = (distance < _SAME) | ((distance < EQUIVALENT) & (z[rows, None] == z[None]))
        for i, j in np.argwhere(near & (rows[:, None] > np.arange(len(z))[None])):
            _check_coincidence(names[rows[i]], names[j], z[rows[i]], z[j], delta[i, j], L)


def _check_coincidence(name: str, other: str, z: int, other_z: int, delta: np.ndarray, L: np.ndarray) -> None:
    """Refuse two sites of different elements in one place, and one site listed twice."""
    if z != other_z:
        raise UnusableCrystal("overlap", f"overlapping atoms: {other} and {name} are different elements in one place")
    delta = delta - np.rint(delta)
    if np.linalg.norm(delta @ L) < EQUIVALENT:
        raise UnusableCrystal("overlap", f"overlapping atoms: {other} and {name} are listed at the same place")
