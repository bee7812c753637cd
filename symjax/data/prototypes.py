"""The embedded data set: the AFLOW prototypes that pymatgen carries, and crystals made from them by substitution.

Owns a source that needs no file: real crystals (288 entries), optionally enlarged by exchanging elements for chemically
similar ones. Everything is deterministic: the same number of substitutions gives the same crystals everywhere.

Substitution rule: an element may be replaced by one of its own group, or by one of the same block with a common
oxidation state of equal value, if the atomic radii differ by at most a quarter and the electronegativities by at most
0.6; different elements stay different; the volume is scaled by the ratio of the sums of cubed radii. The result is
plausible, not relaxed: it widens the chemistry of a small training set.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import numpy as np

from symjax.data.readers import SourceRow, iter_json_rows
from symjax.errors import DataError

MAX_Z = 83  # heavier elements are radioactive; prototypes keep theirs, substitutions bring no new ones
MAX_RADIUS_DIFFERENCE = 0.25
MAX_ELECTRONEGATIVITY_DIFFERENCE = 0.6
_TRIES = 40  # draws for each substitution wanted before a prototype counts as exhausted


def prototype_rows(substitutions: int = 0) -> list[SourceRow]:
    """One row per prototype, followed by its substituted variants.

    Args:
        substitutions: variants wanted for each prototype; fewer where no more distinct ones were found.

    Raises:
        DataError: a negative number, or pymatgen without the library.
    """
    if substitutions < 0:
        raise DataError(f"the number of substitutions must be at least 0, got {substitutions}")
    pairs = []
    seen: dict[str, int] = {}
    for entry in _library():
        structure, tags = entry["snl"].structure, entry["tags"]
        name = tags["aflow"]
        seen[name] = seen.get(name, 0) + 1
        name = name if seen[name] == 1 else f"{name}#{seen[name]}"  # a few labels name two minerals
        z = np.array([site.specie.Z for site in structure])
        pairs.append((name, _plain(structure.lattice.matrix, z, structure.frac_coords)))
        for mapping in substitution_mappings(name, tuple(sorted(set(z.tolist()))), substitutions):
            new = np.array([mapping[int(n)] for n in z])
            scale = (_radius_sum(new) / _radius_sum(z)) ** (1 / 3)
            label = "-".join(_element(mapping[n]).symbol for n in sorted(mapping))
            pairs.append((f"{name}:{label}", _plain(structure.lattice.matrix * scale, new, structure.frac_coords)))
    return iter_json_rows(iter(pairs))


def _library() -> list[dict[str, Any]]:
    """pymatgen's list of prototypes."""
    try:
        from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
    except ImportError as error:
        raise DataError(
            f"this pymatgen carries no AFLOW prototype library ({error}); use a data file as source"
        ) from error
    return AFLOW_PROTOTYPE_LIBRARY


def _plain(L: np.ndarray, z: np.ndarray, x: np.ndarray) -> dict[str, Any]:
    """JSON-ready structure; rounding removes the platform's last bits."""
    return {"L": np.round(L, 10).tolist(), "z": [int(n) for n in z], "x": np.round(x, 10).tolist()}


def substitution_mappings(name: str, elements: tuple[int, ...], count: int) -> list[dict[int, int]]:
    """Up to ``count`` distinct exchanges {old Z: new Z} of ``elements``, drawn from a generator seeded by ``name``."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    found: dict[tuple[int, ...], dict[int, int]] = {}
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        choice = tuple(int(rng.choice((z, *similar_elements(z)))) for z in elements)
        if len(set(choice)) == len(elements) and choice != elements:
            found.setdefault(choice, dict(zip(elements, choice, strict=True)))
    return list(found.values())


@cache
def similar_elements(z: int) -> tuple[int, ...]:
    """Atomic numbers that may stand in for ``z``, ascending (empty for noble gases and elements without a radius)."""
    old, size = _element(z), _radius(z)
    if old.is_noble_gas or size is None:
        return ()
    similar = []
    for number in range(1, MAX_Z + 1):
        new, radius = _element(number), _radius(number)
        if number == z or new.is_noble_gas or radius is None or new.symbol in ("H", "Tc", "Pm"):
            continue
        shared = set(old.common_oxidation_states) & set(new.common_oxidation_states)
        alike = old.group == new.group or (old.block == new.block and shared)
        close = abs(old.X - new.X) <= MAX_ELECTRONEGATIVITY_DIFFERENCE
        if alike and close and abs(radius / size - 1) <= MAX_RADIUS_DIFFERENCE:
            similar.append(number)
    return tuple(similar)


@cache
def _element(z: int) -> Any:
    """pymatgen's element of an atomic number."""
    from pymatgen.core import Element

    return Element.from_Z(z)


@cache
def _radius(z: int) -> float | None:
    """Atomic radius in angstrom, None where unknown."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No data available for")  # None says so
        radius = _element(z).atomic_radius
    return None if radius is None or not float(radius) > 0 else float(radius)


def _radius_sum(z: np.ndarray) -> float:
    """Sum of cubed radii; elements without one count as 1.5 angstrom (they are never exchanged, so this cancels mostly)."""
    return float(sum((_radius(int(n)) or 1.5) ** 3 for n in z))
