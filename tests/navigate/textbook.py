"""Published crystal structures of textbook phase transitions, for the tests of navigation.

`structure(name)` gives all atoms of the conventional cell, `crystal(name)` the same with its operations in the standard setting,
`GROUP[name]` its space-group number. Lattice parameters (angstrom, degrees) and coordinates are as published (rounded where the
source gives more digits than matter); each entry names its source.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure, Crystal
from symjax.elements import atomic_number
from symjax.groups import standard_setting
from symjax.lattice import lattice_from_parameters

Site = tuple[str, float, float, float]


class Entry(NamedTuple):
    """Number of the group, cell parameters, one atom of each orbit; operations where the setting is not the standard one."""

    number: int
    cell: tuple[float, float, float, float, float, float]
    sites: tuple[Site, ...]
    operations: tuple[tuple[list[list[int]], list[float]], ...] | None = None


def _cubic(a: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, a, 90.0, 90.0, 90.0)


def _tetragonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, c, 90.0, 90.0, 90.0)


def _hexagonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, c, 90.0, 90.0, 120.0)


_ONE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
_TWO_Z = [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]
_MINUS = [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]
_MIRROR_Z = [[1, 0, 0], [0, 1, 0], [0, 0, -1]]
_I112_B = tuple(
    (W, [x + s, y + s, z + s])
    for s in (0.0, 0.5)
    for W, (x, y, z) in ((_ONE, (0, 0, 0)), (_TWO_Z, (0, 0.5, 0)), (_MINUS, (0, 0, 0)), (_MIRROR_Z, (0, 0.5, 0)))
)
_RHOMBOHEDRAL = tuple(  # R3m in rhombohedral axes: all permutations of the three coordinates
    (np.eye(3, dtype=int)[list(order)].tolist(), [0.0, 0.0, 0.0])
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0))
)

_QUARTZ = ("Si", 0.4697, 0.0, 2 / 3), ("O", 0.4135, 0.2669, 0.1191 + 2 / 3)


def _mirrored(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    return tuple((element, -x, -y, -z) for element, x, y, z in sites)


ENTRIES: dict[str, Entry] = {
    # BaTiO3: Kwei, Lawson, Billinge, Cheong, J. Phys. Chem. 97, 2368 (1993); rhombohedral: Hewat, Ferroelectrics 6, 215 (1974)
    "BaTiO3 cubic": Entry(221, _cubic(4.006), (("Ba", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0))),
    "BaTiO3 tetragonal": Entry(
        99,
        _tetragonal(3.9910, 4.0352),
        (("Ba", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5224), ("O", 0.5, 0.5, -0.0244), ("O", 0.5, 0, 0.4895)),
    ),
    "BaTiO3 orthorhombic": Entry(
        38,
        (3.9841, 5.6741, 5.6916, 90.0, 90.0, 90.0),
        (("Ba", 0, 0, 0), ("Ti", 0.5, 0, 0.5170), ("O", 0, 0, 0.4890), ("O", 0.5, 0.2561, 0.2343)),
    ),
    "BaTiO3 rhombohedral": Entry(
        160,
        (4.001, 4.001, 4.001, 89.87, 89.87, 89.87),
        (("Ba", 0, 0, 0), ("Ti", 0.487, 0.487, 0.487), ("O", 0.511, 0.511, 0.018)),
        _RHOMBOHEDRAL,
    ),
    # Shirane, Pepinsky, Frazer, Acta Cryst. 9, 131 (1956); Nelmes, Kuhs, Solid State Commun. 54, 721 (1985)
    "PbTiO3": Entry(
        99,
        _tetragonal(3.902, 4.156),
        (("Pb", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5377), ("O", 0.5, 0.5, 0.1118), ("O", 0.5, 0, 0.6174)),
    ),
    "PbTiO3 cubic": Entry(221, _cubic(3.97), (("Pb", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0))),
    # Jauch, Palmer, Phys. Rev. B 60, 2961 (1999)
    "SrTiO3": Entry(
        140,
        _tetragonal(5.507, 7.796),
        (("Sr", 0, 0.5, 0.25), ("Ti", 0, 0, 0), ("O", 0, 0, 0.25), ("O", 0.2410, 0.7410, 0)),
    ),
    "SrTiO3 cubic": Entry(221, _cubic(3.905), (("Sr", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0))),
    # Sasaki, Prewitt, Bass, Schulze, Acta Cryst. C 43, 1668 (1987), from Pbnm to Pnma
    "CaTiO3": Entry(
        62,
        (5.4423, 7.6401, 5.3796, 90.0, 90.0, 90.0),
        (
            ("Ca", 0.03602, 0.25, -0.00676),
            ("Ti", 0.5, 0, 0),
            ("O", 0.4838, 0.25, 0.0714),
            ("O", 0.2888, 0.0371, 0.7108),
        ),
    ),
    "CaTiO3 cubic": Entry(221, _cubic(3.897), (("Ca", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0))),
    # Levien, Prewitt, Weidner, Am. Mineral. 65, 920 (1980); high quartz: Wright, Lehmann, J. Solid State Chem. 36, 371 (1981)
    "quartz alpha 154": Entry(154, _hexagonal(4.9160, 5.4054), _QUARTZ),
    "quartz alpha 152": Entry(152, _hexagonal(4.9160, 5.4054), _mirrored(_QUARTZ)),
    "quartz beta 180": Entry(180, _hexagonal(4.9977, 5.4601), (("Si", 0.5, 0, 0), ("O", 0.2072, 0.4144, 0.5))),
    "quartz beta 181": Entry(181, _hexagonal(4.9977, 5.4601), (("Si", 0.5, 0, 0), ("O", -0.2072, -0.4144, 0.5))),
    # Radaelli et al., Phys. Rev. B 49, 4163 (1994), from Bmab to Cmce; tetragonal after Jorgensen et al., PRL 58, 1024 (1987)
    "La2CuO4": Entry(
        64,
        (5.3346, 13.1172, 5.4148, 90.0, 90.0, 90.0),
        (("La", 0, 0.3616, 0.0083), ("Cu", 0, 0, 0), ("O", 0.25, -0.0084, 0.75), ("O", 0, 0.1837, -0.0404)),
    ),
    "La2CuO4 tetragonal": Entry(
        139, _tetragonal(3.807, 13.20), (("La", 0, 0, 0.3607), ("Cu", 0, 0, 0), ("O", 0, 0.5, 0), ("O", 0, 0, 0.1828))
    ),
    # Kudoh, Tokonami, Miyazaki, Otsuka, Acta Metall. 33, 2049 (1985)
    "NiTi B19'": Entry(
        11, (2.898, 4.108, 4.646, 90.0, 97.78, 90.0), (("Ni", 0.0372, 0.25, 0.6752), ("Ti", 0.4176, 0.25, 0.2164))
    ),
    "NiTi B2": Entry(221, _cubic(3.015), (("Ni", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5))),
    # Basinski, Hume-Rothery, Sutton, Proc. R. Soc. A 229, 459 (1955): both at the transition, about 1185 K
    "Fe bcc": Entry(229, _cubic(2.9044), (("Fe", 0, 0, 0),)),
    "Fe fcc": Entry(225, _cubic(3.6468), (("Fe", 0, 0, 0),)),
    # Pawar, Deshpande, Acta Cryst. A 24, 316 (1968); Eppelsheimer, Penman, Physica 16, 792 (1950), at 900 degrees
    "Ti hcp": Entry(194, _hexagonal(2.9506, 4.6788), (("Ti", 1 / 3, 2 / 3, 0.25),)),
    "Ti bcc": Entry(229, _cubic(3.3065), (("Ti", 0, 0, 0),)),
    # Downs, Palmer, Am. Mineral. 79, 9 (1994); high cristobalite idealized (straight Si-O-Si): Wyckoff, Z. Krist. 62, 189 (1925)
    "cristobalite 92": Entry(
        92, _tetragonal(4.9717, 6.9223), (("Si", 0.3003, 0.3003, 0), ("O", 0.2392, 0.1044, 0.1787))
    ),
    "cristobalite 227": Entry(227, _cubic(7.16), (("Si", 0.125, 0.125, 0.125), ("O", 0, 0, 0))),
    # Sleight, Chen, Ferretti, Cox, Mater. Res. Bull. 14, 1571 (1979); fergusonite type in I112/b, scheelite type in I4_1/a
    "BiVO4": Entry(
        15,
        (5.1935, 5.0898, 11.6972, 90.0, 90.0, 90.387),
        (("Bi", 0, 0.25, 0.6335), ("V", 0, 0.25, 0.130), ("O", 0.1465, 0.5077, 0.2082), ("O", 0.2606, 0.3810, 0.4493)),
        _I112_B,
    ),
    "BiVO4 tetragonal": Entry(
        88, _tetragonal(5.147, 11.7216), (("Bi", 0, 0.25, 0.625), ("V", 0, 0.25, 0.125), ("O", 0.1386, -0.0009, 0.2035))
    ),
}

GROUP = {name: entry.number for name, entry in ENTRIES.items()}


@cache
def structure(name: str) -> AtomicStructure:
    """All atoms of the conventional cell as published."""
    entry = ENTRIES[name]
    if entry.operations is None:
        opset = standard_setting(entry.number)
        W, w = np.asarray(opset.W, float), np.asarray(opset.w) / opset.den
    else:
        W = np.array([W for W, _ in entry.operations], float)
        w = np.array([w for _, w in entry.operations])
    numbers, places = [], []
    for element, *x in entry.sites:
        images = np.mod(W @ np.array(x, float) + w, 1.0)
        kept: list[np.ndarray] = []
        for image in images:
            gaps = [image - other for other in kept]
            if not any(np.abs(gap - np.rint(gap)).max() < 1e-4 for gap in gaps):
                kept.append(image)
        numbers += [atomic_number(element)] * len(kept)
        places += kept
    return AtomicStructure(
        L=np.asarray(lattice_from_parameters(np.array(entry.cell))), z=np.array(numbers), x=np.array(places)
    )


@cache
def crystal(name: str) -> Crystal:
    """The same with its operations, in the standard setting of its group."""
    from symjax.data.standardize import standardize, to_crystal

    return to_crystal(standardize(structure(name), 1e-3))
