"""The likeliest way to place an exact formula on given numbers of orbits: a small integer programme, solved to the end.

Positions of equal site symmetry (`SiteClasses`) have equal multiplicities and are one to a model that draws site symmetries, so
all is about these classes. Which numbers of orbits can hold a formula at all is counted in `symjax.wyckoff.occupancy`. Host.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.wyckoff.occupancy import NO_LIMIT, FormulaFitter, multiples
from symjax.wyckoff.types import positions_of_type


class SiteClasses(NamedTuple):
    """Positions of a group by their site symmetry.

    Attributes:
        site: (k, 15) int8 classes by direction.
        multiplicity: (k,) atoms of one orbit.
        capacity: (k,) orbits that have room: the number of positions, or `NO_LIMIT` with free coordinates.
    """

    site: np.ndarray
    multiplicity: np.ndarray
    capacity: np.ndarray

    def fitter(self) -> FormulaFitter:
        """Counts which numbers of orbits can hold a formula."""
        return FormulaFitter(self.multiplicity.tolist(), self.capacity.tolist())


ATOMS = SiteClasses(np.zeros((1, 15), np.int8), np.ones(1, np.int64), np.full(1, NO_LIMIT))
"""Of a cell without symmetry: every orbit is an atom."""


@cache
def site_classes(number: int) -> SiteClasses:
    """Classes of a space group, in the order of its positions."""
    positions = positions_of_type(number)
    _, first, inverse = np.unique(positions.site, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(first)
    capacity = np.bincount(inverse)
    capacity[inverse[positions.dof > 0]] = NO_LIMIT
    first = first[order]
    return SiteClasses(positions.site[first], positions.multiplicity[first].astype(np.int64), capacity[order])


class Placed(NamedTuple):
    """Placement of one crystal: per orbit (m,) the index of its element and of its class; `lost` against the best of each alone."""

    element: np.ndarray
    site_class: np.ndarray
    lost: float


def place(
    classes: SiteClasses,
    counts: tuple[int, ...],
    type_scores: np.ndarray,
    site_scores: np.ndarray,
    *,
    max_atoms: int,
    units: Sequence[int] | None = None,
) -> Placed:
    """The placement with the largest summed score that has exactly the formula, up to a common factor.

    Args:
        classes: of the space group, k of them.
        counts: of the e elements of the formula, without a common factor.
        type_scores: (m, e) log-probability of each element on each orbit, finite.
        site_scores: (m, k) log-probability of each class on each orbit, finite.
        max_atoms: of the cell.
        units: allowed multiples of the formula; None for all that fit.

    Raises:
        InputError: no placement has the formula (see `FormulaFitter.possible_orbits`).
        SymjaxError: the search was given up.
    """
    m, k = len(type_scores), len(classes.multiplicity)
    scores = (type_scores[:, :, None] + site_scores[:, None, :]).astype(np.float64)
    tried = [_solved(classes, counts, scores, many) for many in _runs(multiples(counts, max_atoms, units))]
    found = [chosen for chosen in tried if chosen is not None]
    if not found:
        raise InputError(f"the formula cannot be placed on {m} orbits of this group in at most {max_atoms} atoms")
    flat = scores.reshape(m, -1)
    reached = [np.take_along_axis(flat, chosen[:, None], axis=1).sum() for chosen in found]
    chosen = found[int(np.argmax(reached))]
    return Placed(chosen // k, chosen % k, float(flat.max(axis=1).sum() - max(reached)))


def _runs(many: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive integers."""
    cuts = [i for i in range(1, len(many)) if many[i] != many[i - 1] + 1]
    return [(many[a], many[b - 1]) for a, b in zip([0, *cuts], [*cuts, len(many)], strict=True) if many]


def _solved(
    classes: SiteClasses, counts: tuple[int, ...], scores: np.ndarray, many: tuple[int, int]
) -> np.ndarray | None:
    """Element and class (m,) of each orbit, as element * k + class, of the best placement; None where there is none.

    Args:
        classes: k of them.
        counts: of the e elements.
        scores: (m, e, k).
        many: least and largest multiple of the formula.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    m, e, k = scores.shape
    orbit, element, kind = (index.ravel() for index in np.indices((m, e, k)))
    size = classes.multiplicity[kind]
    limited = np.flatnonzero(classes.capacity < NO_LIMIT)
    which = np.full(k, -1)
    which[limited] = np.arange(len(limited))
    # rows: each orbit once, atoms of each element a multiple of its count, room of each limited class; last column: the multiple
    columns = np.arange(m * e * k)
    inside = which[kind] >= 0
    rows = np.concatenate([orbit, m + element, m + e + which[kind][inside], m + np.arange(e)])
    cols = np.concatenate([columns, columns, columns[inside], np.full(e, m * e * k)])
    values = np.concatenate([np.ones(len(orbit)), size, np.ones(int(inside.sum())), -np.asarray(counts, float)])
    matrix = csr_array((values, (rows, cols)), shape=(m + e + len(limited), m * e * k + 1))
    low = np.concatenate([np.ones(m), np.zeros(e), np.zeros(len(limited))])
    high = np.concatenate([np.ones(m), np.zeros(e), classes.capacity[limited]])
    fits = size <= many[1] * np.asarray(counts)[element]
    bounds = Bounds(np.append(np.zeros(m * e * k), many[0]), np.append(fits.astype(float), many[1]))
    solved = milp(
        np.append(-scores.ravel(), 0.0),
        integrality=np.ones(m * e * k + 1),
        bounds=bounds,
        constraints=LinearConstraint(matrix, low, high),
        options={"mip_rel_gap": 0.0, "node_limit": 100_000},
    )
    if solved.status == 2:
        return None
    if solved.x is None:
        raise SymjaxError(f"the search for a placement of the formula on {m} orbits was given up: {solved.message}")
    chosen: np.ndarray = solved.x[:-1].reshape(m, e * k).argmax(axis=1)
    return chosen
