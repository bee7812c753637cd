"""Translationengleiche subgroups: those that keep every translation and give up rotation parts.

They are the subgroups of the factor group G/T of a space group by its translations, which has one operation for each of at most 48
rotation parts. A subset of rotation parts is a bit mask here, so that a group's whole lattice of subgroups (at most 98 of them) is
found by joining cyclic ones. Those of the 230 standard settings are packaged, made by this very module. Source: operations of the
set alone; Hermann's theorem for the meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from symjax.groups.identify import identify
from symjax.groups.packaged import arrays
from symjax.groups.primitive import PrimitiveForm, primitive_form
from symjax.groups.sets import OpSet
from symjax.groups.setting import rotation_products
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import standard_number, standard_setting


@dataclass(frozen=True)
class TSubgroup:
    """A conjugacy class of translationengleiche subgroups H of a space group G.

    Attributes:
        index: [G : H], the factor by which the point group shrinks.
        number: space-group number of H.
        symbol: short international symbol of that type.
        masks: (c, n) bool, the c conjugates as members of the set that was given (in its order, padding False); conjugation by
            operations of G maps them onto each other. The first is the representative.
    """

    index: int
    number: int
    symbol: str
    masks: np.ndarray

    @property
    def is_normal(self) -> bool:
        """Whether H is normal in G: it is its only conjugate."""
        return len(self.masks) == 1


def t_subgroups(opset: OpSet) -> list[TSubgroup]:
    """All proper translationengleiche subgroups, one entry for each conjugacy class.

    Args:
        opset: one closed set of n operations in any basis, translations of the lattice included; padding is allowed.

    Returns:
        classes by index, then type, then members.

    Raises:
        NotAGroupError: the set is not closed.
    """
    found = _tabulated(opset)
    return worked_out(opset) if found is None else list(found)


def worked_out(opset: OpSet) -> list[TSubgroup]:
    """`t_subgroups` without the table of standard settings."""
    return _named(opset, lambda every: every)


def _tabulated(opset: OpSet) -> tuple[TSubgroup, ...] | None:
    """The classes of a set that is a standard setting, operation by operation and in its order; None for any other."""
    number = standard_number(opset)
    return None if number is None else _from_table(number)


@cache
def _from_table(number: int) -> tuple[TSubgroup, ...]:
    """The classes of one standard setting, from navigate/t_subgroups.npz (scripts/make_t_subgroups.py)."""
    opset, table = standard_setting(number), arrays("navigate/t_subgroups")
    row = np.array(rows_of_parts(opset, primitive_form(opset)), np.uint64)
    found = []
    for at in range(int(table["start"][number]), int(table["start"][number + 1])):
        bits = table["bits"][int(table["first"][at]) : int(table["first"][at + 1])]
        masks = (bits[:, None] >> row[None] & np.uint64(1)).astype(bool)
        masks.setflags(write=False)
        found.append(
            TSubgroup(int(table["index"][at]), int(table["number"][at]), short_symbol(int(table["number"][at])), masks)
        )
    return tuple(found)


def maximal_t_subgroups(opset: OpSet) -> list[TSubgroup]:
    """The maximal ones: no subgroup lies between them and the whole group. Arguments and order as `t_subgroups`."""
    found = _tabulated(opset)
    if found is None:
        return _named(opset, _maximal)
    every = [mask for one in found for mask in one.masks]
    return [one for one in found if not any(m.sum() > one.masks[0].sum() and (m >= one.masks[0]).all() for m in every)]


def subgroup_masks(product: np.ndarray) -> list[int]:
    """Every subgroup of a finite group as a bit mask over its members, the trivial one and the whole among them.

    Args:
        product: (m, m) product table; member 0 is the identity.

    Joins of cyclic subgroups give all: a subgroup is the join of those of its members, added one by one.
    """
    cyclic = {_closure(product, 1 << g) for g in range(len(product))}
    found, frontier = set(cyclic), list(cyclic)
    while frontier:
        mask = frontier.pop()
        for other in cyclic:
            if other & ~mask:
                joined = _closure(product, mask | other)
                if joined not in found:
                    found.add(joined)
                    frontier.append(joined)
    return sorted(found)


def conjugacy_classes(product: np.ndarray, masks: list[int]) -> list[tuple[int, ...]]:
    """Subgroups (bit masks) put together that conjugation by members of the group maps onto each other."""
    size = len(product)
    inverse = np.argmax(product == 0, axis=1)
    moves = [[int(product[product[g, h], inverse[g]]) for h in range(size)] for g in range(size)]
    left, classes = set(masks), []
    for mask in masks:
        if mask in left:
            members = [h for h in range(size) if mask >> h & 1]
            orbit = {sum(1 << move[h] for h in members) for move in moves}
            classes.append(tuple(sorted(orbit)))
            left -= orbit
    return classes


def _closure(product: np.ndarray, mask: int) -> int:
    """The subgroup generated by the members of a bit mask (finite: products alone are enough)."""
    members = [0] + [g for g in range(1, len(product)) if mask >> g & 1]
    inside = np.zeros(len(product), bool)
    inside[members] = True
    while True:
        rows = np.flatnonzero(inside)
        reached = np.zeros_like(inside)
        reached[product[np.ix_(rows, rows)].ravel()] = True
        if reached.sum() == len(rows):
            return sum(1 << int(g) for g in rows)
        inside = reached


def _maximal(masks: list[int]) -> list[int]:
    """Those that lie in no other; the whole group is left out before."""
    return [mask for mask in masks if not any(mask != other and mask & other == mask for other in masks)]


def _named(opset: OpSet, choose: Callable[[list[int]], list[int]]) -> list[TSubgroup]:
    """Classes of the chosen subgroups with their types."""
    form = primitive_form(opset)
    product = rotation_products(form.W)
    whole = (1 << len(product)) - 1
    masks = [mask for mask in subgroup_masks(product) if mask != whole]
    kept = choose(masks)
    row = rows_of_parts(opset, form)
    found = []
    for conjugates in conjugacy_classes(product, kept):
        members = np.array([[r >= 0 and bool(mask >> r & 1) for r in row] for mask in conjugates], bool)
        first = members[0]
        inner = OpSet(
            W=np.asarray(opset.W)[first], w=np.asarray(opset.w)[first], mask=np.ones(first.sum(), bool), den=opset.den
        )
        named = identify(inner)
        found.append(TSubgroup(len(product) // conjugates[0].bit_count(), named.number, named.symbol, members))
    return sorted(found, key=lambda one: (one.index, -one.number, one.masks[0].tobytes()))


def rows_of_parts(opset: OpSet, form: PrimitiveForm) -> list[int]:
    """Row of each operation's rotation part in the primitive form, -1 for padding.

    The form keeps its rotation parts in the primitive basis; the change of basis is that of its columns.
    """
    columns = form.columns / form.source_den
    inverse = np.linalg.inv(columns)
    mask = np.asarray(opset.mask, bool)
    small = np.rint(inverse @ np.asarray(opset.W, float) @ columns).astype(np.int64)
    return [form.index[np.ascontiguousarray(W).tobytes()] if live else -1 for W, live in zip(small, mask)]
