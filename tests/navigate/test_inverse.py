"""Minimal supergroups: the inverse of "maximal subgroup", beside pyxtal's table."""

import numpy as np
import pytest

from symjax.errors import InputError
from symjax.groups import identify
from symjax.navigate.inverse import minimal_supergroups
from symjax.navigate.relation import verify

LACKING = {22: {97}}
"""Translationengleiche supergroups that pyxtal's table lacks: F222 is I422's subgroup of index 2 by its operations (verified here)."""


def compare_with_pyxtal(number: int) -> None:
    """Types of minimal supergroups of either kind; pyxtal's klassengleiche ones of a small index are all in its table."""
    from pyxtal.symmetry import Group

    found = minimal_supergroups(number, max_index=4)
    for one in found:
        verify(one)
        assert one.number == number and one.maximal
    types = {(identify(one.parent).number, one.kind) for one in found}
    table = Group(number)
    theirs = set(map(int, table.get_min_supergroup("t")["supergroup"]))
    assert {n for n, kind in types if kind == "t"} - LACKING.get(number, set()) == theirs
    k_table = set(map(int, table.get_min_supergroup("k")["supergroup"]))
    assert {n for n, kind in types if kind == "k"} - {number} == k_table - {number}


@pytest.mark.parametrize("number", [22, 99, 221])
def test_types_are_those_of_the_table(number):
    compare_with_pyxtal(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 231))
def test_types_of_all_groups_are_those_of_the_table(number):
    compare_with_pyxtal(number)


def test_the_embedding_brings_the_supergroup_into_the_setting_of_the_subgroup():
    """P^-1 maps the supergroup's lattice to a finer or equal one: det P = z_H / z_G times the index of the lattice."""
    for one in minimal_supergroups(99, max_index=2):
        assert np.linalg.det(one.setting.matrix) > 0
        assert one.index == one.k_index * one.t_index


@pytest.mark.parametrize("max_index", [0, 9])
def test_an_index_out_of_range_is_refused(max_index):
    with pytest.raises(InputError, match="1 to 8"):
        minimal_supergroups(99, max_index=max_index)
