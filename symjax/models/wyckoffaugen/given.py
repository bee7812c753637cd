"""What a request leaves for the next atom: masks over letters and elements, row by row (host).

Given sites (a request's, or those of an incomplete crystal) take their place in the order of letters and elements: until the next
given site comes, only sites before it may be drawn, so nothing is out of the order that the model was trained in and every given
site finds its place. An exact formula is met by counting (`symjax.wyckoff.occupancy.FormulaFitter`).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from symjax.errors import InputError
from symjax.models.wyckoffaugen.representation import NUM_Z
from symjax.models.wyckoffaugen.tables import tables
from symjax.wyckoff.occupancy import ANY, FormulaFitter, Need, multiples

NO_LIMIT = 10**6


@dataclasses.dataclass(frozen=True)
class GivenSite:
    """A site that every crystal has: letter and element, and shape and point where they are given too."""

    letter: int
    z: int
    shape: int = -1
    x: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Ask:
    """What is asked of the atoms of every crystal.

    Attributes:
        formula: atomic number -> count, or None.
        orbits: number of sites, or None.
        sites: given ones, by letter and atomic number.
        max_sites, max_atoms: what the model holds.
    """

    formula: dict[int, int] | None
    orbits: int | None
    sites: tuple[GivenSite, ...]
    max_sites: int
    max_atoms: int

    @property
    def asks(self) -> bool:
        """Whether there is anything but the model."""
        return self.formula is not None or self.orbits is not None or bool(self.sites)


def pending(ask: Ask, letter: np.ndarray, z: np.ndarray) -> list[GivenSite]:
    """Given sites that are not there yet: each stands for one drawn site of its letter and element."""
    left, there = [], list(zip(letter.tolist(), z.tolist(), strict=True))
    for site in ask.sites:
        if (site.letter, site.z) in there:
            there.remove((site.letter, site.z))
        else:
            left.append(site)
    return left


def open_next(
    ask: Ask, number: int, elements: np.ndarray, letter: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Which elements may come on which letters next, and whether the crystal may end here.

    Args:
        ask: what is asked for.
        number: space group.
        elements: (101,) composition space.
        letter, z: (k,) the sites that are there.

    Returns:
        (27, 101) bool and a bool.
    """
    own = tables()
    row = own.row[number]
    allowed = np.ones((27, NUM_Z), bool)
    left = pending(ask, letter, z)
    room_sites = (ask.max_sites if ask.orbits is None else ask.orbits) - len(letter)
    room_atoms = ask.max_atoms - int(own.primitive[row[letter]].sum())
    if left:
        first = left[0]
        slot, element = np.arange(27)[:, None], np.arange(NUM_Z)
        allowed &= (slot < first.letter) | ((slot == first.letter) & (element <= first.z))
        for site in left:  # a fixed position is kept for the site that is given there
            if own.dim[row[site.letter]] == 0:
                allowed[site.letter] &= element == site.z
        rest = sum(int(own.primitive[row[site.letter]]) for site in left)
        fits = own.primitive[row] <= room_atoms - rest
        others = fits[:, None] & allowed
        own_place = (slot == first.letter) & (element == first.z)
        allowed = others | own_place
        if room_sites <= len(left):
            allowed &= own_place
    unused = {int(e) for e in np.flatnonzero(elements > 0)} - set(z.tolist())
    unused -= {site.z for site in left}
    if room_sites <= len(left) + len(unused) and unused:
        tight = np.zeros(NUM_Z, bool)
        tight[list(unused)] = True
        own_place = np.zeros_like(allowed)
        if left:
            own_place[left[0].letter, left[0].z] = True
        allowed &= tight | own_place
    end = not left and (ask.orbits is None or room_sites == 0)
    if room_sites <= 0:
        allowed[:] = False
    if ask.formula is not None:
        sites, complete = _counted(ask, number, letter, z)
        allowed &= sites
        end = end and complete
    return allowed, end


def _counted(ask: Ask, number: int, letter: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, bool]:
    """Sites from which the exact formula can still be met by sites that come later in the order.

    After a site on some letter the letters before it are closed, so each letter is asked with those closed.
    """
    own, formula = tables(), ask.formula or {}
    row = own.row[number]
    real = np.flatnonzero(own.mask[number])
    used = np.bincount(letter, minlength=27)[real]
    capacity = np.where(own.dim[row][real] == 0, 1, NO_LIMIT)
    orbits = (1, ask.max_sites) if ask.orbits is None else (ask.orbits, ask.orbits)
    allowed, end = np.zeros((27, NUM_Z), bool), False
    for one in range(int(letter.max(initial=0)), len(real)):
        fitter = FormulaFitter(own.multiplicity[row][real], np.where(real < one, used, capacity))
        limit = conventional_limit(number, ask.max_atoms)
        found = fitter.open_sites(z, letter, formula, max_atoms=limit, orbits=orbits)
        for row_of, element in enumerate(formula):
            fits = bool(found.sites[row_of, one])
            allowed[one, element] = fits and _smaller_fit(fitter, formula, letter, z, one, element, limit)
        end = found.end
    return allowed, end


def _smaller_fit(
    fitter: FormulaFitter,
    formula: dict[int, int],
    letter: np.ndarray,
    z: np.ndarray,
    one: int,
    element: int,
    limit: int,
) -> bool:
    """Whether what is missing of smaller atomic numbers, closed to a letter once `element` is on it, fits on later letters."""
    size = fitter.multiplicity
    placed = {e: sum(size[p] for p, e_p in zip(letter.tolist(), z.tolist(), strict=True) if e_p == e) for e in formula}
    placed[element] += size[one]
    used = {p: int((letter == p).sum()) for p in set(letter.tolist())}
    room = fitter.left(used, one + 1)
    for n in multiples(tuple(formula.values()), limit):
        missing = {e: n * count - placed[e] for e, count in formula.items()}
        needs = [Need(ANY, left) for e, left in missing.items() if e < element and left > 0]
        if min(missing.values()) >= 0 and (not needs or fitter.fits(needs, room)):
            return True
    return False


def conventional_limit(number: int, max_atoms: int) -> int:
    """Atoms of the conventional cell whose primitive cell holds `max_atoms`."""
    own = tables()
    row = own.row[number, 0]
    return max_atoms * int(own.multiplicity[row] // own.primitive[row])


def check_sites(number: int, sites: tuple[GivenSite, ...], max_sites: int, max_atoms: int) -> None:
    """Refuse given sites that the model cannot hold, or that leave a group no room.

    Raises:
        InputError: too many sites or atoms, or a fixed position twice.
    """
    own = tables()
    atoms = sum(int(own.primitive[own.row[number, site.letter]]) for site in sites)
    if len(sites) > max_sites or atoms > max_atoms:
        raise InputError(
            f"the given sites are {len(sites)} with {atoms} atoms in the primitive cell; these weights hold at most "
            f"{max_sites} sites and "
            f"{max_atoms} atoms"
        )
    fixed = [site.letter for site in sites if own.dim[own.row[number, site.letter]] == 0]
    if len(set(fixed)) < len(fixed):
        raise InputError(f"two given sites are on the same fixed position of space group {number}: it holds one atom")
