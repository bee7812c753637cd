"""A subgroup with the way into its standard setting: what every part of navigation passes around.

Owns `Relation` and the enumerations that give them. Conventions: x' = W x + w; a change of basis and origin (P, p) has the new
basis vectors as COLUMNS of P in the old basis and the new origin p in old coordinates, so that x_new = P^-1 (x_old - p)
(International Tables for Crystallography A, chapter 1.5). All exact: integers over a denominator.

A conjugacy class is given by one member: the one whose (P, p) is simplest, as in tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from symjax.errors import InputError, SymjaxError
from symjax.groups.identify import compact_basis, identify
from symjax.groups.integer import as_rows, hermite
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.properties import point_group
from symjax.groups.sets import OpSet, members, take
from symjax.groups.setting import Setting, cell_costs, find_setting, make_setting, near_zero
from symjax.groups.tables import enantiomorph, standard_setting
from symjax.navigate.klassengleiche import MAX_INDEX, MAX_TARGET_INDEX, KSubgroup, k_subgroups, own_basis
from symjax.navigate.translationengleiche import maximal_t_subgroups, t_subgroups
from symjax.ops import exact


@dataclass(frozen=True)
class Relation:
    """A conjugacy class of subgroups H of a space group G, by one member H.

    Attributes:
        parent: operations of G in the basis they were given in, modulo Z^3 of that basis (centring translations are members).
        setting: type of H, and (P, p) from the parent's basis to the standard setting of H.
        t_index: factor by which the point group shrinks.
        k_index: factor by which the primitive cell grows.
        num_conjugates: subgroups of G in the class.
        maximal: whether no group lies between H and G; None where it was not asked.
    """

    parent: OpSet
    setting: Setting
    t_index: int
    k_index: int
    num_conjugates: int
    maximal: bool | None = None

    @property
    def number(self) -> int:
        """Space-group number of H."""
        return self.setting.number

    @property
    def symbol(self) -> str:
        """Short international symbol of H."""
        return self.setting.symbol

    @property
    def index(self) -> int:
        """[G : H]."""
        return self.t_index * self.k_index

    @property
    def kind(self) -> str:
        """One of "t" (translationengleiche), "k" (klassengleiche), "general" (Hermann: a t step, then a k step)."""
        if self.k_index == 1:
            return "t"
        return "k" if self.t_index == 1 else "general"

    @cached_property
    def isomorphic(self) -> bool:
        """Whether H is klassengleiche of the parent's own affine type (an enantiomorph counts)."""
        return self.kind == "k" and self.number in (number := identify(self.parent).number, enantiomorph(number))

    @cached_property
    def decentred(self) -> bool:
        """Whether H is klassengleiche and keeps the parent's conventional cell, having lost centring translations."""
        if self.kind != "k":
            return False
        lattice = primitive_form(self.subgroup)
        columns = self.setting.P @ lattice.columns  # of H in units of 1 / (P_den * source_den)
        unit = self.setting.P_den * lattice.source_den
        det = int(exact.determinant(columns))
        return bool((exact.cofactors(columns).T * unit % det == 0).all())

    @property
    def subgroup(self) -> OpSet:
        """H in its own standard setting."""
        return standard_setting(self.number)

    def operations(self) -> tuple[np.ndarray, np.ndarray, int]:
        """H modulo the conventional cell of its standard setting, in the parent's coordinates.

        Returns:
            W (n, 3, 3) int64, w (n, 3) int64 in units of 1/den (not reduced: reducing modulo the parent's cell would lose the
            difference between H and larger groups), and den.

        Raises:
            SymjaxError: an operation that is not integral there (then H is no subgroup).
        """
        s, inner = self.setting, self.subgroup
        W_in, w_in = np.asarray(inner.W, np.int64), np.asarray(inner.w, np.int64)
        det = int(exact.determinant(s.P))
        W = s.P @ W_in @ exact.cofactors(s.P).T
        if (W % det).any():
            raise SymjaxError(f"{s.symbol} ({s.number}) has operations that are not integral in the parent's basis")
        W //= det
        den = math.lcm(s.P_den * inner.den, s.p_den)
        p = s.p * (den // s.p_den)
        w = w_in @ s.P.T * (den // (s.P_den * inner.den)) + p - W @ p
        return W, w, den


@cache
def _standard_form(number: int) -> PrimitiveForm:
    return primitive_form(standard_setting(number))


def verify(relation: Relation) -> None:
    """Check a relation exactly: every operation of H is one of G, H's lattice is a sublattice, and the indices are right.

    Raises:
        SymjaxError: what does not hold.
    """
    parent = primitive_form(relation.parent)
    own = _standard_form(relation.number)
    s = relation.setting
    if int(exact.determinant(s.P)) <= 0:
        raise SymjaxError(f"{s.symbol}: the basis change is left-handed or singular")
    W, w, den = relation.operations()
    whole = members(relation.parent)
    unit = math.lcm(den, whole.den)
    given = np.concatenate([whole.W.reshape(-1, 9), whole.w.astype(np.int64) * (unit // whole.den)], -1)
    rows = np.concatenate([W.reshape(-1, 9), w * (unit // den) % unit], -1)
    if not {tuple(r) for r in rows.tolist()} <= {tuple(r) for r in given.tolist()}:
        raise SymjaxError(f"{s.symbol}: an operation is none of the parent's")
    lattice = s.P @ own.columns  # H's primitive basis in units of 1 / (P_den source_den)
    ratio = (
        int(exact.determinant(lattice)) * parent.source_den**3,
        int(exact.determinant(parent.columns)) * (s.P_den * own.source_den) ** 3,
    )
    if ratio[0] != ratio[1] * relation.k_index:
        raise SymjaxError(f"{s.symbol}: the lattice has index {ratio[0]} / {ratio[1]}, not {relation.k_index}")
    if len(parent.W) != len(own.W) * relation.t_index:
        raise SymjaxError(
            f"{s.symbol}: the point groups have orders {len(parent.W)} and {len(own.W)}, not 1 / {relation.t_index}"
        )


def t_relations(
    parent: OpSet, *, maximal: bool = True, metric: np.ndarray | None = None, number: int | None = None
) -> list[Relation]:
    """Translationengleiche subgroups, one relation for each conjugacy class.

    Args:
        parent: one closed set in any basis.
        maximal: only the maximal ones.
        metric: (3, 3) metric of that basis by which cells are chosen (see `find_setting`); an invariant one where left out.
        number: only subgroups of this type, where given.

    Raises:
        NotAGroupError: the set is not closed.
    """
    metric = _metric(parent, metric)
    found = []
    for one in (maximal_t_subgroups if maximal else t_subgroups)(parent):
        if number not in (None, one.number):
            continue
        setting = find_setting(take(parent, np.flatnonzero(one.masks[0])), metric=metric, numbers=(one.number,))
        setting = _simplest(setting, parent, metric)
        found.append(Relation(parent, setting, one.index, 1, len(one.masks), True if maximal else None))
    return found


def k_relations(
    parent: OpSet, index: int, *, maximal: bool = True, metric: np.ndarray | None = None, number: int | None = None
) -> list[Relation]:
    """Klassengleiche subgroups of one index, one relation for each conjugacy class. Arguments as `t_relations`.

    Raises:
        InputError: an index below 2 or above `klassengleiche.MAX_INDEX`.
    """
    metric = _metric(parent, metric)
    form = primitive_form(parent)
    return [
        Relation(parent, _k_setting(one, form, parent, metric), 1, index, len(one.translations), one.maximal)
        for one in k_subgroups(parent, index, number=number)
        if one.maximal or not maximal
    ]


def maximal_relations(parent: OpSet, max_index: int, *, metric: np.ndarray | None = None) -> list[Relation]:
    """All maximal subgroups: translationengleiche of any index, klassengleiche of index 2 to `max_index`."""
    found = t_relations(parent, metric=metric)
    for index in range(2, max_index + 1):
        if is_prime_power(index):
            found += k_relations(parent, index, metric=metric)
    return found


def relations_to(
    parent: OpSet, number: int | None, *, max_k: int = 4, metric: np.ndarray | None = None
) -> list[Relation]:
    """Every conjugacy class of subgroups of one type (None: of any) whose primitive cell is at most `max_k` times the parent's.

    Raises:
        InputError: no such number, or max_k out of range.
    """
    wanted = None if number is None else point_group(_standard_form(number).W)[0]
    found = _relations(parent, metric, max_k=max_k, number=number, wanted=wanted)
    return sorted(found, key=lambda one: (one.index, one.k_index))


def relations_up_to(parent: OpSet, index: int, *, metric: np.ndarray | None = None) -> Iterator[Relation]:
    """Every conjugacy class of proper subgroups, maximal or not, of an index up to `index`.

    Raises:
        InputError: an index out of range.
    """
    yield from _relations(parent, metric, max_k=index, max_index=index)


def _relations(
    parent: OpSet,
    metric: np.ndarray | None,
    *,
    max_k: int,
    max_index: int | None = None,
    number: int | None = None,
    wanted: str | None = None,
) -> Iterator[Relation]:
    """Conjugacy classes of subgroups by Hermann's theorem: each is klassengleiche in one translationengleiche subgroup M of G.

    Classes of M that conjugation by G merges are given once, with the number of their conjugates under G (of either hand).
    """
    largest = MAX_INDEX if number is None else MAX_TARGET_INDEX
    if not 1 <= max_k <= largest:
        raise InputError(f"the largest cell must be 1 to {largest} times the parent's, got {max_k}")
    metric = _metric(parent, metric)
    whole = primitive_form(parent)
    steps = [(1, members(parent), 1)]
    steps += [(one.index, take(parent, np.flatnonzero(one.masks[0])), len(one.masks)) for one in t_subgroups(parent)]
    for t_index, middle, conjugates in steps:
        form = primitive_form(middle)
        if wanted is not None and point_group(form.W)[0] != wanted:
            continue
        if t_index > 1 and (max_index is None or t_index <= max_index):
            setting = find_setting(middle, metric=metric)
            if number in (None, setting.number):
                yield Relation(parent, _simplest(setting, parent, metric), t_index, 1, conjugates)
        for k_index in range(2, (max_k if max_index is None else max_index // t_index) + 1):
            seen: set[bytes] = set()
            for one in k_subgroups(middle, k_index, number=number):
                # a class of G itself is complete; one of a smaller M may be merged with others by the rest of G
                orbit = _orbit_keys(one, form, whole) if t_index > 1 else set()
                if not seen & orbit:
                    seen |= orbit
                    count = len(orbit) or len(one.translations)
                    yield Relation(parent, _k_setting(one, form, parent, metric), t_index, k_index, count)


def conjugate(relation: Relation, W: np.ndarray, w: np.ndarray) -> Relation:
    """The conjugate subgroup g H g^-1 by an operation g of G, in the parent's basis.

    Args:
        relation: any relation.
        W: (3, 3) integers.
        w: (3,) integers in units of 1/parent.den.

    Raises:
        InputError: g reverses handedness: the image has another setting, and may be of the enantiomorphic type.
    """
    W = np.asarray(W, np.int64)
    if int(exact.determinant(W)) != 1:
        raise InputError("conjugation of a relation needs a proper operation; work on its operations instead")
    return replace(relation, setting=_moved(relation.setting, W, np.asarray(w, np.int64), relation.parent.den))


def _moved(s: Setting, W: np.ndarray, w: np.ndarray, den: int) -> Setting:
    unit = math.lcm(s.p_den, den)
    p = W @ s.p * (unit // s.p_den) + w * (unit // den)
    return make_setting(s.number, s.symbol, (W @ s.P, s.P_den), (p, unit))


def _metric(parent: OpSet, metric: np.ndarray | None) -> np.ndarray:
    """An invariant metric of the parent in its basis, near to isotropic in a reduced one."""
    if metric is not None:
        return np.asarray(metric, float)
    form = primitive_form(parent)
    P, G = compact_basis(form.W)
    back = np.linalg.inv(form.columns @ P / form.source_den)
    return back.T @ G @ back


def is_prime_power(index: int) -> bool:
    """The index of a maximal subgroup of a space group is one (a k-subgroup's lattice quotient is elementary abelian)."""
    prime = next(p for p in range(2, index + 1) if index % p == 0)
    while index % prime == 0:
        index //= prime
    return index == 1


def _k_setting(one: KSubgroup, form: PrimitiveForm, parent: OpSet, metric: np.ndarray) -> Setting:
    """The simplest setting of a klassengleiche subgroup of the set with primitive form `form`, in the parent's basis."""
    opset = own_basis(form, one.columns, one.translations[0])
    setting = find_setting(opset, metric=metric, reference=(form.columns @ one.columns, form.source_den))
    return _simplest(setting, parent, metric)


def _simplest(setting: Setting, parent: OpSet, metric: np.ndarray) -> Setting:
    """Of all conjugates by proper operations of the parent the one with the simplest cell, then the simplest origin."""
    inner = members(parent)
    proper = exact.determinant(inner.W) == 1
    W, w = inner.W[proper].astype(np.int64), inner.w[proper].astype(np.int64)
    costs = cell_costs(W @ setting.matrix, metric)
    least = min(cost for cost in costs)
    form = primitive_form(parent)
    best: tuple | None = None
    for g in (i for i, cost in enumerate(costs) if cost == least):
        moved = _moved(setting, W[g], w[g], parent.den)
        unit = math.lcm(moved.p_den, form.source_den)
        p, cost = near_zero(
            moved.p * (unit // moved.p_den), form.columns * (unit // form.source_den), unit
        )  # conjugation by lattice translations of G
        if best is None or cost < best[0]:
            best = (cost, make_setting(moved.number, moved.symbol, (moved.P, moved.P_den), (p, unit)))
    assert best is not None
    return best[1]


def _orbit_keys(one: KSubgroup, form: PrimitiveForm, whole: PrimitiveForm) -> set[bytes]:
    """Names of the conjugates of a subgroup under the whole group, exact, all in the whole group's primitive basis.

    `form` is the translationengleiche group in between; it has the same lattice, hence the same primitive basis.
    """
    if (form.columns != whole.columns).any() or form.source_den != whole.source_den:
        raise AssertionError("translationengleiche subgroups share the primitive basis")
    unit = math.lcm(form.den, whole.den, one.den)
    w_own = one.translations[0] * (unit // one.den)
    shifts = _coset_shifts(one.columns) * unit
    keys = set()
    for W_g, w_g in zip(whole.W, whole.w * (unit // whole.den), strict=True):
        inverse = exact.inverse_matrix(W_g)
        W = W_g @ form.W @ inverse
        lattice = hermite(as_rows((W_g @ one.columns).T)).T
        order = np.lexsort(W.reshape(-1, 9).T)
        for n in shifts:
            origin = w_g + W_g @ n
            w = origin + w_own @ W_g.T - W @ origin
            reduced = _modulo(w[order], lattice * unit)
            keys.add(lattice.tobytes() + W[order].tobytes() + reduced.tobytes())
    return keys


def _coset_shifts(B: np.ndarray) -> np.ndarray:
    """(|det B|, 3) integer vectors, one of each class modulo the lattice of an upper triangular B."""
    axes = [np.arange(B[i, i]) for i in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def _modulo(vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Integer vectors (k, 3) reduced modulo a lattice whose basis columns are lower triangular with positive diagonal."""
    out = vectors.copy()
    for i in range(3):
        out -= (out[:, i] // columns[i, i])[:, None] * columns[:, i]
    return out
