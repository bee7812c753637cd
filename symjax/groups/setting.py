"""The way from any basis and origin into the standard setting of a space group, exactly (host).

Owns `Setting` and `find_setting`. How: the type is known (`identify`), so an isomorphism sigma from the point group of the table
onto that of the set exists for which integer matrices X intertwine them, W_sigma(g) X = X W_g. For each assignment of the table's
generators the X form a lattice (integer kernel) of dimension 1, 2, 3, 5 or 9; those of determinant 1 with small entries in reduced
bases are tried, nicest cell first, until the origin can be solved too (Smith normal form). Nothing is looked up but the operations
of the standard setting.

Conventions: new basis vectors are the COLUMNS of P in the old basis, p is the new origin in old coordinates,
x_new = P^-1 (x_old - p) (International Tables for Crystallography A, chapter 1.5). Bases are right-handed, so enantiomorphs stay
apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.errors import InputError, NotAGroupError, SymjaxError
from symjax.groups.identify import compact_basis, identify
from symjax.groups.integer import as_rows, kernel
from symjax.groups.primitive import PrimitiveForm, origin_solutions, primitive_form, rows_among
from symjax.groups.sets import OpSet
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import standard_setting
from symjax.lattice.reduction import reduce_metric
from symjax.ops import exact

_BOX = {1: 1, 2: 3, 3: 3, 5: 2}
"""Largest coefficient of an intertwiner by the dimension of their lattice; doubled until a setting is found. The dimension is 9 for
triclinic sets, where every cell will do: those of the reduced vectors are tried."""
_TIES = 256
"""Settings with equally good cells whose origins are compared."""


@dataclass(frozen=True)
class Setting:
    """A type and the change of basis and origin from a given basis to its standard setting.

    Attributes:
        number: space-group number.
        symbol: short international symbol.
        P: (3, 3) int64 in units of 1/P_den: the standard basis vectors as columns in the given basis; det P > 0.
        P_den: denominator of P.
        p: (3,) int64 in units of 1/p_den: the standard origin in given coordinates.
        p_den: denominator of p.
    """

    number: int
    symbol: str
    P: np.ndarray
    P_den: int
    p: np.ndarray
    p_den: int

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64 P."""
        return self.P / self.P_den

    @property
    def origin(self) -> np.ndarray:
        """(3,) float64 p."""
        return self.p / self.p_den


def make_setting(number: int, symbol: str, basis: tuple[np.ndarray, int], origin: tuple[np.ndarray, int]) -> Setting:
    """A setting with its fractions in lowest terms."""
    (P, P_den), (p, p_den) = basis, origin
    a, b = int(np.gcd.reduce(np.append(P.ravel(), P_den))), int(np.gcd.reduce(np.append(p, p_den)))
    return Setting(number, symbol, P // a, P_den // a, p // b, p_den // b)


def find_setting(
    opset: OpSet,
    *,
    metric: np.ndarray | None = None,
    reference: tuple[np.ndarray, int] | None = None,
    numbers: Sequence[int] | None = None,
) -> Setting:
    """Type of a set and the way into its standard setting.

    Args:
        opset: one closed set in any basis and origin, any denominator, centring translations included.
        metric: (3, 3) metric of the reference basis by which cells are judged (short edges, in a monoclinic cell an obtuse
            angle); an invariant one of the set where left out.
        reference: basis vectors of the set as columns (3, 3) int64 over a denominator in another basis with the same origin,
            in which (P, p) shall be given and be simple; the set's own where left out.
        numbers: types to try, in this order; spglib names the type where left out (`symjax.groups.identify.identify`).

    Returns:
        the setting; transformed by it the set is `standard_setting(number)`, operation by operation.

    Raises:
        InputError: the metric is none.
        NotAGroupError: the set does not close.
        SymjaxError: no setting was found (none is known).
    """
    if metric is not None:
        metric = np.asarray(metric, float)
        good = metric.shape == (3, 3) and bool(np.isfinite(metric).all())
        if not good or np.linalg.eigvalsh(0.5 * (metric + metric.T)).min() <= 0:
            raise InputError(f"a metric is a positive definite (3, 3) matrix of finite numbers, got {metric.tolist()}")
    named = (identify(opset).number,) if numbers is None else tuple(numbers)
    form = primitive_form(opset)
    for number in named:
        setting = _setting_of_type(form, number, metric, reference)
        if setting is not None:
            return setting
    raise SymjaxError(
        f"no way into the standard setting of {' or '.join(map(short_symbol, named))} was found for the set"
    )


def _setting_of_type(
    form: PrimitiveForm, number: int, metric: np.ndarray | None, reference: tuple[np.ndarray, int] | None
) -> Setting | None:
    """The way into the standard setting of one type; None where there is none."""
    table = _table(number)
    if len(form.W) != len(table.W):
        return None
    to_compact, own_metric = compact_basis(form.W)
    if metric is not None and number <= 2:
        to_compact = _reduced_cell(form.columns, reference, metric)
    W = exact.inverse_matrix(to_compact) @ form.W @ to_compact
    w = form.w @ exact.inverse_matrix(to_compact).T
    columns, unit = form.columns @ to_compact, form.source_den  # the reduced primitive basis in units of 1/unit
    if reference is not None:
        columns, unit = reference[0] @ columns, unit * reference[1]
    if metric is None:
        back = np.linalg.inv(columns / unit)
        metric = back.T @ own_metric @ back
    for doubling in range(3):
        best: tuple | None = None
        for tried, (key, X, rows) in enumerate(_candidates(W, table, (columns, unit), metric, 2**doubling)):
            if best is not None and (key[:2] != best[0][:2] or tried > _TIES):
                break
            for point, point_unit in _origins(w, form.den, table, X, rows):
                p, cost = near_zero(columns @ point, columns * point_unit, unit * point_unit)
                if best is None or (*key, *cost) < best[0]:
                    best = ((*key, *cost), columns @ X @ table.inverse, p, unit * point_unit)
        if best is not None:
            basis, origin = (best[1], unit * table.inverse_den), (best[2], best[3])
            return make_setting(number, short_symbol(number), basis, origin)
    return None


@dataclass(frozen=True)
class _Table:
    """The standard setting in a reduced primitive basis.

    Attributes:
        W, w, den: one operation for each rotation part; w in units of 1/den.
        generators: rows that generate all.
        words: every other row as (row, generator, earlier row).
        product: (m, m) rows of products.
        kinds: (m, 2) determinant and trace.
        inverse, inverse_den: (3, 3) integers: conventional vectors as columns in the reduced basis.
    """

    W: np.ndarray
    w: np.ndarray
    den: int
    generators: tuple[int, ...]
    words: tuple[tuple[int, int, int], ...]
    product: np.ndarray
    kinds: np.ndarray
    inverse: np.ndarray
    inverse_den: int


@cache
def _table(number: int) -> _Table:
    """The table of one type."""
    form = primitive_form(standard_setting(number))
    to_compact, _ = compact_basis(form.W)
    inverse = exact.inverse_matrix(to_compact)
    W = inverse @ form.W @ to_compact
    columns = form.columns @ to_compact  # in units of 1/source_den of the conventional cell
    det = int(exact.determinant(columns))
    product = rotation_products(W)
    generators, words = generating_rows(product)
    return _Table(
        W,
        form.w @ inverse.T % form.den,
        form.den,
        generators,
        words,
        product,
        _kinds(W),
        exact.cofactors(columns).T * form.source_den,
        det,
    )


def rotation_products(W: np.ndarray) -> np.ndarray:
    """(m, m) row of the product "row after column" of a point group (m, 3, 3)."""
    rows = rows_among(W, exact.matmul(W[:, None], W[None]).reshape(-1, 3, 3))
    if rows is None:
        raise NotAGroupError("the rotation parts do not close")
    return rows.reshape(len(W), len(W))


def generating_rows(product: np.ndarray) -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    """Few rows that generate a finite group (row 0 its identity), and every other row as a product.

    Returns:
        generators, and (row, generator, earlier row) in an order in which each earlier row is known. A generator itself comes as
        (row, row, 0).
    """
    size = len(product)
    for count in range(4):
        for chosen in itertools.combinations(range(1, size), count):
            reached, words = [0], {}
            for row in reached:  # grows while it is walked
                for g in chosen:
                    new = int(product[g, row])
                    if new not in words and new != 0:
                        reached.append(new)
                        words[new] = (g, row)
            if len(reached) == size:
                return chosen, tuple((new, g, row) for new, (g, row) in words.items())
    raise AssertionError("every crystallographic point group has three generators")


def _kinds(W: np.ndarray) -> np.ndarray:
    return np.stack([exact.determinant(W), np.trace(W, axis1=1, axis2=2)], axis=-1)


def _isomorphisms(product: np.ndarray, kinds: np.ndarray, table: _Table) -> Iterator[np.ndarray]:
    """(m,) rows of the set for the rows of the table: every isomorphism that keeps determinants and traces."""
    options = [np.flatnonzero((kinds == table.kinds[g]).all(axis=1)) for g in table.generators]
    for images in itertools.product(*options):
        sigma = np.zeros(len(product), np.int64)
        image_of = dict(zip(table.generators, images, strict=True))
        for new, g, row in table.words:
            sigma[new] = product[image_of[g], sigma[row]]
        one_to_one = len(set(sigma.tolist())) == len(sigma) and (kinds[sigma] == table.kinds).all()
        if one_to_one and (product[np.ix_(sigma, sigma)] == sigma[table.product]).all():
            yield sigma


def _intertwiners(W: np.ndarray, table: _Table, sigma: np.ndarray, factor: int) -> np.ndarray:
    """(k, 3, 3) int64 X of determinant 1 with W[sigma(g)] X = X W_table[g], coefficients in a box."""
    one, gens = np.eye(3, dtype=np.int64), list(table.generators)
    # rows (i, j) of W X - X W_table over the entries (k, l) of X
    rows = W[sigma[gens]][:, :, None, :, None] * one[:, None, :]
    rows = (rows - one[:, None, :, None] * table.W[gens].swapaxes(1, 2)[:, None, :, None, :]).reshape(-1, 9)
    basis = kernel(as_rows(rows)) if gens else np.eye(9, dtype=np.int64)
    dim = len(basis)
    if dim == 9:
        X = np.array(
            [
                np.eye(3, dtype=np.int64)[list(order)] * signs
                for order in itertools.permutations(range(3))
                for signs in itertools.product((1, -1), repeat=3)
            ]
        )
    elif dim in _BOX:
        X = (_box(dim, _BOX[dim] * factor) @ basis).reshape(-1, 3, 3)
    else:
        return np.zeros((0, 3, 3), np.int64)
    return X[exact.determinant(X) == 1]


def _reduced_cell(columns: np.ndarray, reference: tuple[np.ndarray, int] | None, metric: np.ndarray) -> np.ndarray:
    """Unimodular (3, 3) int64 that makes the cell of a triclinic lattice compact by a metric of the reference basis."""
    columns = columns if reference is None else reference[0] @ columns
    G = columns.T @ metric @ columns
    P = reduce_metric(np.rint(G / np.trace(G) * 1e9).astype(np.int64)).astype(np.int64)
    return P * int(exact.determinant(P))


@cache
def _box(dim: int, bound: int) -> np.ndarray:
    """(k, dim) all integer vectors with entries up to the bound."""
    axes = [np.arange(-bound, bound + 1)] * dim
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dim)


def _candidates(
    W: np.ndarray, table: _Table, columns: tuple[np.ndarray, int], metric: np.ndarray, factor: int
) -> list[tuple[tuple, np.ndarray, np.ndarray]]:
    """(cost, X, sigma) of every intertwiner, the nicest conventional cell first."""
    product, kinds = rotation_products(W), _kinds(W)
    found = []
    for sigma in _isomorphisms(product, kinds, table):
        X = _intertwiners(W, table, sigma, factor)
        P = columns[0] @ X @ table.inverse / (columns[1] * table.inverse_den)
        found += [(key, x, sigma) for key, x in zip(cell_costs(P, metric), X, strict=True)]
    return sorted(found, key=lambda one: one[0])


def cell_costs(P: np.ndarray, metric: np.ndarray) -> list[tuple]:
    """What makes a cell (k, 3, 3) less welcome: long edges, an acute monoclinic angle, many and negative entries.

    Lengths are compared to six digits of the shortest cell's so that rounding does not decide.
    """
    G = np.swapaxes(P, 1, 2) @ metric @ P
    scale = np.cbrt(abs(np.linalg.det(metric)))
    length = np.round(np.trace(G, axis1=1, axis2=2) / scale, 6)
    acute = np.round(np.maximum(G[:, 0, 1], 0) + np.maximum(G[:, 0, 2], 0) + np.maximum(G[:, 1, 2], 0), 6) / scale
    size, negative = np.abs(P).sum(axis=(1, 2)), (P < -1e-9).sum(axis=(1, 2))
    last = (P[:, :, 2] < -1e-9).sum(axis=1)  # of a threefold axis a+b+c rather than a-b+c
    diagonal = -np.abs(np.diagonal(P, axis1=1, axis2=2)).sum(axis=1)
    order = -np.round(P.reshape(-1, 9), 6)
    return [
        (float(a), float(np.round(b, 6)), float(np.round(c, 6)), int(d), int(e), float(np.round(f, 6)), tuple(g))
        for a, b, c, d, e, f, g in zip(length, acute, size, negative, last, diagonal, order.tolist(), strict=True)
    ]


def _origins(w: np.ndarray, den: int, table: _Table, X: np.ndarray, sigma: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Origins in the reduced basis of the set, as (3,) integers and their unit, for one intertwiner; none if it does not fit."""
    gens = list(table.generators)
    inverse = exact.inverse_matrix(X)
    common = math.lcm(den, table.den)
    moved = w[sigma[gens]] @ inverse.T * (common // den)
    difference = table.w[gens] * (common // table.den) - moved
    solved = origin_solutions(table.W[gens], difference, common)
    if solved is None:
        return []
    points, unit = solved
    return [(X @ q, unit) for q in points]


def near_zero(p: np.ndarray, lattice: np.ndarray, unit: int) -> tuple[np.ndarray, tuple]:
    """The origin moved by lattice vectors (columns) to a simple place, all in units of 1/unit, and how simple that is."""
    steps = _box(3, 1) @ lattice.T
    near = p + steps
    q = near / unit
    size, negative = np.round(np.abs(q).sum(axis=1), 6), (q < -1e-9).sum(axis=1)
    nonzero = (np.abs(q) > 1e-9).sum(axis=1)
    row = np.lexsort((*np.round(q, 6).T, negative, size, nonzero))[0]
    return near[row], (int(nonzero[row]), float(size[row]), int(negative[row]), tuple(np.round(q[row], 6)))
