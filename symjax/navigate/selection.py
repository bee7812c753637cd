"""Choosing subgroups by what they must be, must not hold and must keep, in terms of operations.

Owns `Selection`, `kept_operations`, `select`, `largest` and `nearest`. Kinds of operations, polar and chiral are properties of the
subgroup as a set. Operations to keep are those of the parent as they are written (translations in [0, 1) of its basis); a
conjugacy class is chosen if some conjugate H' = g H g^-1 holds them all, and that conjugate is the one given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from symjax.errors import InputError
from symjax.groups.kinds import OPERATION_KINDS, operation_kinds, simplest_kinds
from symjax.groups.properties import point_group, properties
from symjax.groups.sets import OpSet, members
from symjax.groups.symbols import short_symbol
from symjax.groups.tables import standard_frame, standard_setting
from symjax.navigate.action import Action
from symjax.navigate.interval import interval_of
from symjax.navigate.klassengleiche import k_subgroups
from symjax.navigate.relation import Relation
from symjax.navigate.translationengleiche import t_subgroups
from symjax.ops import symbols
from symjax.ops.seitz import parse_seitz
from symjax.ops.types import Op


@dataclass(frozen=True)
class Selection:
    """What is asked of a subgroup; all that is given must hold together.

    Attributes:
        number: its type.
        polar: some direction is left unchanged by all of its rotation parts.
        chiral: only proper rotation parts (a Sohncke type).
        remove: names of `OPERATION_KINDS` of which it holds none (`simplest_kinds`: a mirror is one also where centring adds
            glides).
        keep: operations of the parent, in the parent's basis and denominator, that it holds; None for none.
        keep_names: how they are called in words, where not as they are written in that basis.
    """

    number: int | None = None
    polar: bool = False
    chiral: bool = False
    remove: tuple[str, ...] = ()
    keep: Op | None = None
    keep_names: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return self == Selection()

    @property
    def by_operations(self) -> bool:
        """Whether anything but the type is asked."""
        return self != Selection(number=self.number)

    def describe(self) -> str:
        """The demands in words."""
        parts = [_named(self.number)] if self.number is not None else []
        parts += [name for name, wanted in (("polar", self.polar), ("chiral", self.chiral)) if wanted]
        parts += [f"without any {name}" for name in self.remove]
        if self.keep is not None:
            parts.append(f"with {' and '.join(self.keep_names or symbols.format_xyz(self.keep))}")
        return ", ".join(parts) or "any"


def kept_operations(parent: OpSet, texts: Sequence[str], *, number: int) -> Op | None:
    """Operations to keep, read from triplets such as ``-x,-y,-z`` or Seitz symbols such as ``{m_001|0 0 1/2}``.

    Args:
        parent: the parent group in its standard setting.
        texts: one operation each.
        number: the parent's type; it tells the basis of Seitz symbols.

    Returns:
        the operations (k,) in the denominator of the parent, None where there are no texts.

    Raises:
        InputError: an operation that cannot be read, or that is not in the parent; the message names it.
    """
    if not texts:
        return None
    basis = "hexagonal" if standard_frame(number) else "orthogonal"
    found = [
        parse_seitz(text, basis, parent.den) if "{" in text else symbols.parse_xyz(text, parent.den) for text in texts
    ]
    group = members(parent)
    own = {_key(W, w, parent.den) for W, w in zip(group.W, group.w, strict=True)}
    for text, op in zip(texts, found, strict=True):
        if _key(op.W, op.w, parent.den) not in own:
            same = [w for W, w in zip(group.W, group.w, strict=True) if (W == op.W).all()]
            hint = f"; with that rotation part it has {_several(op.W, same, parent.den)}" if same else ""
            raise InputError(f"operation {text!r} is not in the parent group {_named(number)}{hint}")
    return Op(np.array([op.W for op in found]), np.array([op.w for op in found]))


def check_selection(parent: OpSet, selection: Selection) -> None:
    """Refuse what no subgroup can meet.

    Raises:
        InputError: an unknown kind of operation, one that the parent does not have, or kept operations of a kind to remove.
    """
    kinds = simplest_kinds(members(parent))
    for name in selection.remove:
        if name not in OPERATION_KINDS:
            raise InputError(f"unknown kind of operation {name!r}; one of {', '.join(OPERATION_KINDS)}")
        if name not in kinds:
            has = ", ".join(one for one in OPERATION_KINDS if one in kinds) or "none at all but translations"
            raise InputError(f"the parent has no {name} to remove; the kinds it has: {has}")
    if selection.keep is not None:
        mask = np.ones(len(selection.keep.W), bool)
        for i in range(len(mask)):
            one = OpSet(W=selection.keep.W[i : i + 1], w=selection.keep.w[i : i + 1], mask=mask[:1], den=parent.den)
            lost = operation_kinds(one) & set(selection.remove)
            if lost:
                text = symbols.format_xyz(Op(one.W[0], one.w[0]), parent.den)
                raise InputError(f"the kept operation {text} is a kind of operation to remove ({', '.join(lost)})")


def select(relations: Sequence[Relation], selection: Selection) -> list[Relation]:
    """The relations that meet a selection, each as the conjugate that does.

    Args:
        relations: of one parent.
        selection: what is asked; `check_selection` tells earlier whether it can be met.
    """
    found = []
    for relation in relations:
        if selection.number in (None, relation.number) and _fits(relation.number, selection):
            met = relation if selection.keep is None else holding(relation, selection.keep)
            if met is not None and selection.number in (None, met.number):
                found.append(met)
    return found


def _fits(number: int, selection: Selection) -> bool:
    """Whether the type as such meets the demands on kinds."""
    polar, chiral, kinds = _facts(number)
    return (polar or not selection.polar) and (chiral or not selection.chiral) and not kinds & set(selection.remove)


@cache
def _facts(number: int) -> tuple[bool, bool, frozenset[str]]:
    """Polar, chiral, kinds of operations of a type."""
    known = properties(standard_setting(number))
    return known.polar, known.sohncke, simplest_kinds(standard_setting(number))


def holding(relation: Relation, keep: Op) -> Relation | None:
    """The conjugate of a subgroup under its parent that holds some operations of the parent; None if there is none.

    An operation k lies in g H g^-1 exactly if it leaves the coset g H where it is.

    Args:
        relation: one conjugate H.
        keep: operations (k,) in the basis and denominator of the parent.
    """
    action = Action.of(relation.parent, relation.setting)
    fixed = np.ones(action.num, bool)
    for W, w in zip(keep.W, keep.w, strict=True):
        fixed &= action.left(action.element(W, w, relation.parent.den)) == np.arange(action.num)
    if not fixed.any():
        return None
    if fixed[0]:
        return relation
    places = np.flatnonzero(fixed)
    place = int(places[np.argmax(action.proper()[places])])  # a conjugation that keeps the type of H where there is one
    return replace(relation, setting=action.conjugate_setting(place))


def largest(relations: Sequence[Relation], selection: Selection) -> list[Relation]:
    """Those selected relations between which and the parent no other group meets the selection.

    Args:
        relations: as `select` gave them.
        selection: the same selection.
    """
    found = []
    for relation in relations:
        inner = interval_of(relation).inner_types()  # what holds H holds the kept operations
        if not any(selection.number in (None, number) and _fits(number, selection) for number in inner):
            found.append(relation)
    return found


def nearest(parent: OpSet, number: int, *, max_k: int = 2, limit: int = 6) -> list[tuple[int, int]]:
    """Types near to one that is no subgroup: of its crystal class if there are any, else of its system, else the largest.

    Args:
        parent: the group.
        number: the type asked for.
        max_k: how many times larger cells may be.
        limit: how many to name.

    Returns:
        (number, index) of subgroups of the parent, smallest index first, each type once.
    """
    wanted = point_group(np.asarray(standard_setting(number).W)[_distinct(number)])
    every = t_subgroups(parent)
    classes = [(one.index, one.number, members_of(parent, one.masks[0])) for one in every]
    classes.append((1, 0, members(parent)))
    for same in (lambda c: c == wanted, lambda c: c[1] == wanted[1], lambda c: True):
        found: dict[int, int] = {}
        for t_index, own, middle in classes:
            if not same(_class_of(middle)):
                continue
            if own:
                found[own] = min(t_index, found.get(own, t_index))
            for k in range(2, max_k + 1):
                for one in k_subgroups(middle, k):
                    found[one.number] = min(t_index * k, found.get(one.number, t_index * k))
        if found:
            return sorted(found.items(), key=lambda item: (item[1], -item[0]))[:limit]
    return []


def members_of(parent: OpSet, mask: np.ndarray) -> OpSet:
    """The members of a set that a mask (n,) names."""
    return members(OpSet(W=parent.W, w=parent.w, mask=np.asarray(mask, bool), den=parent.den))


def _class_of(opset: OpSet) -> tuple[str, str]:
    """(point group, crystal system) of a set."""
    rotations = np.unique(np.asarray(opset.W).reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    return point_group(rotations)


def _distinct(number: int) -> np.ndarray:
    """Rows of a standard setting with distinct rotation parts."""
    return np.unique(np.asarray(standard_setting(number).W).reshape(-1, 9), axis=0, return_index=True)[1]


def _key(W: np.ndarray, w: np.ndarray, den: int) -> tuple:
    return (*np.asarray(W).ravel().tolist(), *(np.asarray(w) % den).tolist())


def _several(W: np.ndarray, translations: list[np.ndarray], den: int) -> str:
    texts = [str(symbols.format_xyz(Op(W, w), den)) for w in translations]
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _named(number: int) -> str:
    return f"{short_symbol(number)} ({number})"
