"""Klassengleiche subgroups: moyopy's enumeration for all groups, brute force over all sections, textbook relations."""

import itertools

import moyopy
import numpy as np
import pytest

from symjax.errors import InputError, NotAGroupError
from symjax.groups import OpSet, is_group, standard_setting
from symjax.groups.integer import sublattices
from symjax.groups.primitive import primitive_form
from symjax.navigate.klassengleiche import invariant_lattices, k_subgroups, maximal_k_subgroups, own_basis


def theirs(form, index):
    """moyopy's classes: how many conjugates each has."""
    found = moyopy.enumerate_klassengleiche_subgroups_by_index(form.W.tolist(), (form.w / form.den).tolist(), index)
    assert all(one.representative.klassengleiche_index == index for one in found)
    return sorted(len(one.conjugates) for one in found)


SOME = (1, 2, 5, 12, 19, 36, 62, 70, 88, 99, 122, 139, 145, 148, 161, 166, 180, 194, 198, 205, 212)


@pytest.mark.parametrize("number", SOME)
def test_classes_are_moyopys(number):
    ops = standard_setting(number)
    for index in (2, 3, 4):
        assert sorted(len(one.translations) for one in k_subgroups(ops, index)) == theirs(primitive_form(ops), index), (
            index
        )


@pytest.mark.slow
def test_classes_are_moyopys_for_all_groups():
    for number in range(1, 231):
        ops = standard_setting(number)
        for index in (2, 3, 4):
            ours = sorted(len(one.translations) for one in k_subgroups(ops, index))
            assert ours == theirs(primitive_form(ops), index), (number, index)


def test_sublattices_are_counted_by_the_divisor_sum():
    """The number of sublattices of Z^3 of index n is the sum over a b c = n of a^2 b."""
    for index in range(1, 9):
        expected = sum(a * a * b for a, b, c in itertools.product(range(1, index + 1), repeat=3) if a * b * c == index)
        found = sublattices(index)
        assert len(found) == expected == len({B.tobytes() for B in found})
        assert all(round(np.linalg.det(B)) == index for B in found)


@pytest.mark.parametrize(("number", "index"), [(4, 2), (16, 2), (75, 2), (143, 3), (18, 4)])
def test_every_choice_of_translations_by_brute_force(number, index):
    """All sections are tried, not only those that generators give; as many close as there are subgroups."""
    ops = standard_setting(number)
    form = primitive_form(ops)
    total = 0
    for B in invariant_lattices(form.W, index):
        shifts = np.array(list(itertools.product(*(range(int(B[i, i])) for i in range(3)))))
        for choice in itertools.product(range(len(shifts)), repeat=len(form.W) - 1):
            w = form.w + form.den * shifts[[0, *choice]]
            total += bool(is_group(own_basis(form, B, w)))
    assert total == sum(len(one.translations) for one in k_subgroups(ops, index))


@pytest.mark.parametrize("number", [14, 62, 139, 166, 225, 230])
def test_representatives_are_groups_of_the_parent(number):
    """Closed in their own cell, with every rotation part of the parent and operations of the parent alone."""
    ops = standard_setting(number)
    form = primitive_form(ops)
    for index in (2, 3, 4):
        for one in k_subgroups(ops, index):
            assert round(np.linalg.det(one.columns)) == index == one.index
            for w in one.translations:
                assert ((w - form.w) % form.den == 0).all()
            inner = own_basis(form, one.columns, one.translations[0])
            assert bool(is_group(inner))
            assert len(np.asarray(inner.W)) == len(form.W)


def test_textbook_relations():
    """International Tables A1: fcc loses its centring, La2CuO4, cubic perovskite, and 145 in itself."""

    def types(number, index):
        return {one.number for one in maximal_k_subgroups(standard_setting(number), index)}

    assert types(225, 4) >= {221, 224}  # Fm-3m to Pm-3m and Pn-3m, loss of centring
    assert types(229, 2) >= {221, 222, 223, 224}
    assert types(221, 2) >= {225, 226}  # Pm-3m to Fm-3m and Fm-3c, doubled cell
    assert types(139, 2) >= {123, 126, 128, 129, 131, 134, 136, 137}  # I4/mmm loses its centring
    assert {(one.number, len(one.translations)) for one in k_subgroups(standard_setting(145), 3)} >= {
        (145, 1)
    }  # not in pyxtal
    assert types(2, 2) == {2}
    assert {one.number for one in k_subgroups(standard_setting(1), 8)} == {1}


def test_a_prime_index_is_maximal_and_a_square_need_not_be():
    for index in (2, 3):
        assert all(one.maximal for one in k_subgroups(standard_setting(62), index))
    fours = k_subgroups(standard_setting(2), 4)
    assert not any(
        one.maximal for one in fours
    )  # between any lattice and one of index 4 with -1 alone lies one of index 2
    assert any(one.maximal for one in k_subgroups(standard_setting(225), 4))


def test_wrong_input():
    ops = standard_setting(62)
    for index in (0, 1, 9):
        with pytest.raises(InputError, match="must be 2 to 8"):
            k_subgroups(ops, index)
    with pytest.raises(NotAGroupError):
        k_subgroups(OpSet(W=ops.W[:7], w=ops.w[:7], mask=np.ones(7, bool)), 2)
