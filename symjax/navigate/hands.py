"""Both hands of a class of chiral subgroups: an improper operation of the parent maps H onto its mirror image.

Owns `has_both_hands` and `other_hand`. Where H is of one of the 22 enantiomorphic types and the parent holds improper operations,
half of the conjugates of H are of the other type of the pair: they are one class under G, and each is of one hand.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from symjax.errors import InputError
from symjax.groups.sets import OpSet, members
from symjax.groups.setting import find_setting
from symjax.groups.tables import enantiomorph
from symjax.navigate.relation import Relation
from symjax.ops import exact


def has_both_hands(relation: Relation) -> bool:
    """Whether half of a class's conjugates are of the enantiomorphic type."""
    if enantiomorph(relation.number) == relation.number:
        return False
    return bool((exact.determinant(np.asarray(members(relation.parent).W, np.int64)) == -1).any())


def other_hand(relation: Relation) -> Relation:
    """The conjugate of a chiral subgroup by an improper operation of the parent, of the other type of its pair.

    Raises:
        InputError: the class has no other hand.
    """
    if not has_both_hands(relation):
        raise InputError(f"the conjugates of {relation.symbol} ({relation.number}) are all of one hand")
    group = members(relation.parent)
    g = int(np.flatnonzero(exact.determinant(np.asarray(group.W, np.int64)) == -1)[0])
    turn, shift = np.asarray(group.W[g], np.int64), np.asarray(group.w[g], np.int64)
    W, w, den = relation.operations()
    unit = math.lcm(den, group.den)
    moved = turn @ W @ exact.inverse_matrix(turn)
    step = shift * (unit // group.den)
    w = w @ turn.T * (unit // den) + step - moved @ step
    s = relation.setting
    cell = -(turn @ s.P)  # right-handed again: -1 changes no lattice
    det = int(exact.determinant(cell))
    adjugate = exact.cofactors(cell).T
    inner = adjugate @ moved @ cell // det
    inner_w = w @ adjugate.T * s.P_den
    own_den = unit * det
    opset = OpSet(W=inner.astype(np.int32), w=inner_w % own_den, mask=np.ones(len(inner), bool), den=own_den)
    setting = find_setting(opset, reference=(cell, s.P_den), numbers=(enantiomorph(relation.number),))
    return replace(relation, setting=setting)
