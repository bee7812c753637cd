"""Minimal supergroups of a type: the inverse of the relation "maximal subgroup".

A group has infinitely many supergroups of every kind of embedding (its lattice may be special in many ways), so they are listed
as tables do (International Tables for Crystallography A1, chapter 2.1.6): every type G with H as a maximal subgroup, and the
embedding of H into the standard setting of G. Nothing is stored; the subgroups of the candidates are worked out.
"""

from __future__ import annotations

from functools import cache

from symjax.errors import InputError
from symjax.groups.primitive import primitive_form
from symjax.groups.properties import point_group
from symjax.groups.tables import standard_setting
from symjax.navigate.klassengleiche import MAX_INDEX
from symjax.navigate.relation import Relation, is_prime_power, k_relations, t_relations
from symjax.navigate.translationengleiche import t_subgroups


def minimal_supergroups(number: int, *, max_index: int = 4) -> list[Relation]:
    """Every way in which a type is a maximal subgroup of another one, up to conjugation in the supergroup.

    Args:
        number: space-group number of H.
        max_index: klassengleiche supergroups are looked for up to this index; translationengleiche ones whatever theirs.

    Returns:
        relations G -> H, each with `parent` the standard setting of its G; P^-1 brings G into the setting of H.

    Raises:
        InputError: no such number, or an index out of range.
    """
    if not 1 <= max_index <= MAX_INDEX:
        raise InputError(f"the largest index must be 1 to {MAX_INDEX}, got {max_index}")
    own = _crystal_class(number)
    found = []
    for parent in range(1, 231):
        crystal_class = _crystal_class(parent)
        if crystal_class == own:
            for index in range(2, max_index + 1):
                if is_prime_power(index):
                    found += k_relations(standard_setting(parent), index, number=number)
        elif own in _classes_below(crystal_class):
            found += t_relations(standard_setting(parent), number=number)
    return sorted(found, key=lambda one: (one.kind == "k", one.index))


@cache
def _crystal_class(number: int) -> str:
    """Geometric crystal class of a type."""
    return point_group(primitive_form(standard_setting(number)).W)[0]


@cache
def _classes_below(crystal_class: str) -> frozenset[str]:
    """Crystal classes of the subgroups of a point group, by one symmorphic type of each."""
    number = next(n for n in range(1, 231) if _crystal_class(n) == crystal_class)
    return frozenset(_crystal_class(one.number) for one in t_subgroups(standard_setting(number)))
