"""Fingerprints of a crystal's structure (CrystalNN, 61 numbers) and composition (Magpie, 132 numbers), as coverage uses them.

The structure fingerprint is the mean over all atoms of matminer's ``CrystalNNFingerprint.from_preset("ops")`` with its defaults,
as in the evaluation scripts of CDVAE, DiffCSP and SymmCD. Neighbours and their weights are pymatgen's; one atom of each symmetry
orbit is worked out, and order parameters are worked out for all pairs of neighbours at once (`symjax.evaluate.crystalnn`). Two
things in the definition hang on rounding, so that matminer gives different numbers for equivalent atoms and for other cells of one
crystal:

- "body-centered cubic CN_8" is a sum over ordered pairs of neighbours and changes sign where a pair makes a right angle. Where
  neighbours tie in weight it depends on the order in which they are listed (up to about 1e-3, on 3 % of real crystals). It is
  worked out for every atom where that matters, so that the result is matminer's for the cell as given.
- Weights are rounded to three decimals. Where one is half-way, equivalent atoms may fall on either side, and the mean over atoms
  differs from the value of the first by up to about 1e-3 (one real crystal of 2,500). That one is left as it is.
"""

from __future__ import annotations

import math
import warnings
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.io.search import search_symmetry
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.crystalnn import Angles, angles, bcc_norm, bcc_terms, order_parameter

if TYPE_CHECKING:
    from pymatgen.core import Structure

VERSION = 1
"""Raised whenever a fingerprint of any crystal changes by more than rounding."""
NUM_STRUCTURE, NUM_COMPOSITION = 61, 132
EQUIVALENT = 1e-6
"""Tolerance in angstrom of the symmetry search: atoms equivalent to this have equal fingerprints to 1e-7 (1e-5 A: 2e-5)."""
MAX_POINTS = 100_000
"""Atoms in the Voronoi constructions of one crystal, summed over distinct sites: some 10 s. Known crystals need a twentieth."""

_BCC_NUMBER = 8


def structure_fingerprint(cell: AtomicStructure) -> np.ndarray:
    """CrystalNN fingerprint: (61,) float64, mean over all atoms of the cell.

    Independent of cell, origin, basis and order of atoms, up to rounding and to the order-dependent number named above.

    Raises:
        InputError: the lattice has no volume, the crystal would need more than `MAX_POINTS`, or CrystalNN fails for an atom
            (an element without a radius, say); the message gives the reason.

    Source: Zimmermann and Jain, RSC Advances 10 (2020) 6063, as used in the coverage metric of CDVAE (arXiv 2110.06197).
    """
    if not (np.isfinite(cell.L).all() and np.isfinite(cell.x).all() and len(cell.z) and cell.volume > 0):
        raise InputError("a fingerprint needs atoms, finite numbers and a lattice with volume")
    structure = _structure(cell)
    orbits = _orbits(cell)
    firsts, counts = np.unique(orbits, return_index=True, return_counts=True)[1:]
    check_size(structure, firsts)
    rows = []
    for first, count in zip(firsts, counts):
        row, mixed = _site(structure, int(first))
        if mixed and count > 1:
            others = [_bcc(structure, int(i)) for i in np.flatnonzero(orbits == orbits[first])[1:]]
            row[_bcc_column()] = (row[_bcc_column()] + sum(others)) / count
        rows.append(row)
    result = np.average(rows, axis=0, weights=counts)
    if not np.isfinite(result).all():
        raise InputError("the CrystalNN fingerprint of this crystal is not finite")
    return result


@lru_cache(maxsize=65536)
def _composition(reduced: tuple[tuple[int, int], ...]) -> tuple[float, ...]:
    from pymatgen.core import Composition, Element

    try:
        formula = Composition({Element.from_Z(int(z)): int(count) for z, count in reduced})
    except ValueError as error:
        raise InputError(f"no composition: {error}") from None
    if not formula:
        raise InputError("a composition needs at least one element")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No (Pauling electronegativity|data available) for")  # NaN, which is counted
        return tuple(float(value) for value in _magpie().featurize(formula))


def composition_fingerprint(reduced: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Magpie statistics of a composition: (132,) float64, raw; NaN where an element's data are missing (nothing is imputed).

    22 element properties times minimum, maximum, range, mean, average deviation, mode, weighted by atomic fractions.

    Args:
        reduced: (atomic number, atoms) pairs, as `Cell.reduced` gives them.

    Raises:
        InputError: no element, or an atomic number that is not one.

    Source: Ward et al., npj Computational Materials 2 (2016) 16028; matminer's preset "magpie" without imputation, which is what
    the versions of matminer did with which coverage was published.
    """
    return np.array(_composition(tuple(reduced)))


def fingerprint_stage(cell: AtomicStructure) -> dict[str, Any]:
    """Both fingerprints as JSON values, ``{"structure": [61], "composition": [132, None where missing]}``, or ``{"error": why}``.

    A crystal without a structure fingerprint has neither, as in CDVAE: it counts as failed in every figure made of them.
    """
    try:
        structure, composition = structure_fingerprint(cell), composition_fingerprint(cell.reduced)
    except InputError as error:
        return {"error": str(error)}
    return {
        "structure": structure.tolist(),
        "composition": [None if math.isnan(value) else value for value in composition.tolist()],
    }


def structure_names() -> list[str]:
    """The 61 labels, matminer's."""
    return list(_crystal_nn().feature_labels())


def composition_names() -> list[str]:
    """The 132 labels, matminer's."""
    return list(_magpie().feature_labels())


@cache
def _crystal_nn() -> Any:
    from matminer.featurizers.site import CrystalNNFingerprint

    return CrystalNNFingerprint.from_preset("ops")


@cache
def _magpie() -> Any:
    from matminer.featurizers.composition import ElementProperty

    return ElementProperty.from_preset("magpie", impute_nan=False)


@cache
def _bcc_column() -> int:
    return structure_names().index("body-centered cubic CN_8")


def _structure(cell: AtomicStructure) -> Structure:
    try:
        return to_pymatgen(cell)
    except (ValueError, ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise InputError(f"no structure: {type(error).__name__}: {error}") from None


def _orbits(cell: AtomicStructure) -> np.ndarray:
    """(n,) orbit of each atom under the symmetry of the atoms themselves, found to `EQUIVALENT`; each its own if that fails."""
    found = search_symmetry(cell, EQUIVALENT)  # the symmetry only saves time here
    return np.arange(len(cell.z)) if found is None else np.asarray(found.crystallographic_orbits)


@cache
def _parameters() -> dict[int, list[tuple[str, dict[Any, float], Any]]]:
    """Coordination number -> (kind, parameters, pymatgen's object) of its numbers; kind "wt" for the weight itself."""
    found: dict[int, list[tuple[str, dict[Any, float], Any]]] = {}
    for number, items in sorted(_crystal_nn().ops.items()):
        found[number] = []
        for item in items:
            kind = "wt" if item == "wt" else item.get_type(0)
            values = None if item == "wt" else item.get_parameters(0)
            found[number].append((kind, {key: float(value) for key, value in (values or {}).items()}, item))
    return found


def _site(structure: Structure, index: int) -> tuple[np.ndarray, bool]:
    """(61,) numbers of one atom, and whether the bcc one depends on the order of neighbours of equal weight."""
    data = _neighbours(structure, index)
    values: list[float] = []
    for number, items in _parameters().items():
        weight = data.cn_weights.get(number, 0)
        around = _around(structure, index, data, number) if weight and len(items) > 1 else None
        for item in items:
            plain = item[0] == "wt" or around is None
            values.append(weight if plain else weight * _value(item, structure, index, data, around))
    weight = data.cn_weights.get(_BCC_NUMBER, 0)
    return np.array(values, float), bool(weight) and _order_matters(structure, index, data, weight)


def _bcc(structure: Structure, index: int) -> float:
    """The bcc number alone of one atom."""
    data = _neighbours(structure, index)
    weight = data.cn_weights.get(_BCC_NUMBER, 0)
    if not weight:
        return 0.0
    item = next(item for item in _parameters()[_BCC_NUMBER] if item[0] == "bcc")
    return float(weight * _value(item, structure, index, data, _around(structure, index, data, _BCC_NUMBER)))


def _neighbours(structure: Structure, index: int) -> Any:
    """pymatgen's weights and neighbours for each coordination number."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # CDVAE gives no oxidation states either, and its radii are the same
        warnings.filterwarnings(
            "ignore", "No oxidation states specified|CrystalNN: cannot locate an appropriate radius"
        )
        try:
            return _crystal_nn().cnn.get_nn_data(structure, index)
        except Exception as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            if isinstance(error, TypeError) and "NoneType" in why:
                why = "neither a covalent nor an atomic radius is known for it or for a neighbour"
            raise InputError(f"CrystalNN failed for atom {index} ({structure[index].specie.symbol}): {why}") from None


def _around(structure: Structure, index: int, data: Any, number: int) -> tuple[int, np.ndarray, Angles]:
    """Coordination number, distances and angles of the neighbours that it counts."""
    away = np.array([entry["site"].coords for entry in data.cn_nninfo[number]]) - structure[index].coords
    return number, np.linalg.norm(away, axis=1), angles(away)


def _value(item: tuple[str, dict[Any, float], Any], structure: Structure, index: int, data: Any, around: Any) -> float:
    """One order parameter of one atom; 0 where it is not defined. pymatgen decides where rounding would."""
    number, distances, found = around
    value = order_parameter(item[0], item[1], found, distances)
    if value is not None:
        return value
    sites = [structure[index]] + [entry["site"] for entry in data.cn_nninfo[number]]
    try:
        return item[2].get_order_parameters(sites, 0, indices_neighs=list(range(1, len(sites))))[0] or 0.0
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"order parameter failed for atom {index} with {number} neighbours: {error}") from None


def _order_matters(structure: Structure, index: int, data: Any, weight: float) -> bool:
    """Whether rounding, or exchanging neighbours of equal weight, changes the bcc order parameter.

    It is a sum of terms t(j, k) over pairs with j before k in the list. Those with k near the pole opposite to j are
    symmetric; the others put j at the pole and k on the prime meridian, are not symmetric, and change sign at a right angle.
    """
    found = _around(structure, index, data, _BCC_NUMBER)[2]
    terms = bcc_terms(next(item[1] for item in _parameters()[_BCC_NUMBER] if item[0] == "bcc"), found)
    rounded = np.array([entry["weight"] for entry in data.cn_nninfo[_BCC_NUMBER]])
    swapped = np.where(rounded[:, None] == rounded, np.abs(terms - terms.T), 0.0)
    flipped = np.where(np.abs(found.theta - np.pi / 2) < 1e-6, np.abs(terms), 0.0)
    return bool(max(swapped.max(), flipped.max()) * weight / bcc_norm(_BCC_NUMBER) > 1e-9)


def check_size(structure: Structure, sites: np.ndarray) -> None:
    """Refuse crystals whose Voronoi constructions would take minutes.

    pymatgen takes all atoms within 7 angstrom and doubles that, up to the longest diagonal of the cell, until the Voronoi cell is
    closed. Very dense cells, and long ones with a wide gap, then need millions of atoms.
    """
    lattice = structure.lattice
    start = float(_crystal_nn().cnn.search_cutoff)
    signs = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    largest = float(np.linalg.norm(signs @ lattice.matrix, axis=1).max()) + 0.011
    per_volume = len(structure) / lattice.volume * 4 / 3 * np.pi
    if len(sites) * per_volume * max(start, largest) ** 3 <= MAX_POINTS:
        return
    left = float(MAX_POINTS)
    for index in sites:
        cutoff = start
        while True:
            left -= per_volume * cutoff**3
            if left < 0:
                raise InputError(
                    f"too dense, or too long and empty, for CrystalNN: {len(structure)} atoms in {lattice.volume:.4g} A^3 with a "
                    f"diagonal of {largest:.4g} A would need more than {MAX_POINTS} atoms in its Voronoi constructions"
                )
            if cutoff >= largest or _closed(structure, int(index), cutoff):
                break
            cutoff = min(2 * cutoff, largest)


def _closed(structure: Structure, index: int, cutoff: float) -> bool:
    """Whether the Voronoi cell of an atom among those within ``cutoff`` is closed: the atom is inside their convex hull."""
    from scipy.spatial import ConvexHull, QhullError

    centre = structure[index].coords
    points = structure.lattice.get_points_in_sphere(structure.frac_coords, centre, cutoff, zip_results=False)[0]
    try:
        hull = ConvexHull(structure.lattice.get_cartesian_coords(np.reshape(points, (-1, 3))) - centre)
    except (QhullError, ValueError):  # all in a plane, or fewer than four
        return False
    return bool((hull.equations[:, -1] < -1e-6).all())
