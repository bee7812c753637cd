"""Minimal supergroups: the inverse of "maximal subgroup", beside pyxtal's table."""

import numpy as np
import pytest

from symjax.errors import InputError
from symjax.groups import identify
from symjax.navigate.inverse import minimal_supergroups
from symjax.navigate.relation import verify

LACKING = {22: {97}}
"""Translationengleiche supergroups that pyxtal's table lacks: its operations say that F222 is one of I422."""


def types_of_supergroups(number: int, kind: str) -> set[tuple[int, int]]:
    """(number, index) of the minimal supergroups of a kind, every relation verified."""
    found = minimal_supergroups(number, max_index=4)
    for one in found:
        verify(one)
        assert one.number == number and one.maximal
    return {(identify(one.parent).number, one.index) for one in found if one.kind == kind}


def check_t(number: int) -> None:
    from pyxtal.symmetry import Group

    theirs = set(map(int, Group(number).get_min_supergroup("t")["supergroup"]))
    assert {n for n, _ in types_of_supergroups(number, "t")} - LACKING.get(number, set()) == theirs


@pytest.mark.parametrize("number", [22, 221])
def test_translationengleiche_types_are_those_of_the_table(number):
    check_t(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 231))
def test_translationengleiche_types_of_all_groups_are_those_of_the_table(number):
    check_t(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [99, 145, 221])
def test_klassengleiche_types_are_the_inverse_of_the_subgroup_table(number):
    """pyxtal has no table of klassengleiche supergroups for these; its subgroups of every group of the class give one."""
    from pyxtal.symmetry import Group

    theirs = set()
    for parent in {99: range(99, 111), 145: range(143, 147), 221: range(221, 231)}[number]:
        below = Group(parent).get_max_k_subgroup()
        theirs |= {
            (parent, int(i)) for n, i in zip(below["subgroup"], below["index"], strict=True) if n == number and i <= 4
        }
    assert (
        types_of_supergroups(number, "k") - ({(145, 3)} if number == 145 else set()) == theirs
    )  # 145 to 145 is lacking there


def test_the_embedding_brings_the_supergroup_into_the_setting_of_the_subgroup():
    """P^-1 maps the supergroup's lattice to a finer or equal one: det P = z_H / z_G times the index of the lattice."""
    for one in minimal_supergroups(99, max_index=2):
        assert np.linalg.det(one.setting.matrix) > 0
        assert one.index == one.k_index * one.t_index


@pytest.mark.parametrize("max_index", [0, 9])
def test_an_index_out_of_range_is_refused(max_index):
    with pytest.raises(InputError, match="1 to 8"):
        minimal_supergroups(99, max_index=max_index)
