"""A request as masks: groups by their operations, elements by the data, given orbits by the tables; what cannot be met is said."""

import numpy as np
import pytest

from symjax.elements import ATOMIC_NUMBERS, NUM_ELEMENTS
from symjax.errors import InputError
from symjax.generate.masks import masks_of, matching_groups, setting_members
from symjax.generate.request import Request
from symjax.generate.sites import position_indices
from symjax.groups.kinds import OPERATION_KINDS, operation_kinds
from symjax.groups.tables import standard_setting, wyckoff_letters

CUBIC = range(195, 231)


def test_kinds_of_operations():
    assert operation_kinds(standard_setting(2)) == {"inversion"}
    assert operation_kinds(standard_setting(19)) == {"screw-2"}
    assert operation_kinds(standard_setting(7)) == {"glide"}
    assert {"rotation-6", "mirror", "inversion", "rotoinversion-6"} <= operation_kinds(standard_setting(191))
    assert set().union(*(operation_kinds(standard_setting(n)) for n in range(1, 231))) == set(OPERATION_KINDS)


@pytest.mark.parametrize(
    ("demand", "count"),
    [
        ({"polar": True}, 68),
        ({"polar": False}, 162),
        ({"chiral": True}, 65),
        ({"chiral": False}, 165),
        ({"centrosymmetric": True}, 92),
        ({"centrosymmetric": False}, 138),
        ({"crystal_system": "cubic"}, 36),
        ({"point_group": "m-3m"}, 10),
        ({"point_group": "-4m2"}, 12),  # -42m by either name
        ({"groups": (14,)}, 1),
        ({"groups": (2, 14, 225)}, 3),
        ({"require": ("inversion",)}, 92),
    ],
)
def test_groups_are_the_textbook_numbers(demand, count):
    masks = masks_of(Request(**demand))
    assert masks.groups.shape == (231,) and masks.groups.sum() == count == len(masks.group_numbers())


def test_demands_hold_together():
    assert matching_groups(Request()) is None and masks_of(Request(orbits=2)).groups is None
    both = matching_groups(Request(crystal_system="cubic", forbid=("mirror",), chiral=True))
    assert set(both) <= set(CUBIC) and 198 in both and 221 not in both
    assert matching_groups(Request(groups=(2, 225), crystal_system="cubic")) == [225]


def test_above_and_below_a_set():
    below = matching_groups(Request(below=standard_setting(221)))
    assert all(len(standard_setting(n).W) <= 48 for n in below) and len(below) > 5
    above = matching_groups(Request(above=standard_setting(16)))
    assert 16 in above and all(setting_members(n)[setting_members(16)].all() for n in above)


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        ({"point_group": "5m"}, "5m"),
        ({"crystal_system": "quasi"}, "quasi"),
        ({"require": ("rotation-5",)}, "rotation-5"),
        ({"forbid": ("wobble",)}, "wobble"),
        ({"polar": True, "centrosymmetric": True}, "no space group meets all of: centrosymmetric True; polar True"),
        ({"groups": (225,), "centrosymmetric": False}, "no space group"),
    ],
)
def test_wrong_demands_are_named(demand, words):
    with pytest.raises(InputError, match=words):
        masks_of(Request(**demand))


def test_elements():
    masks = masks_of(Request(allow=("Na", "Cl"), include=("Na",)))
    assert np.flatnonzero(masks.allowed).tolist() == [11, 17] and np.flatnonzero(masks.required).tolist() == [11]
    masks = masks_of(Request(formula={"Na": 2, "Cl": 2}))
    assert masks.formula == {11: 1, 17: 1} and masks.required.sum() == masks.allowed.sum() == 2
    assert not masks_of(Request()).allowed[0]


def test_what_the_weights_do_not_know_is_refused():
    """By name where it was named; what was not named is left out."""
    known = np.zeros(NUM_ELEMENTS, bool)
    known[[ATOMIC_NUMBERS[name] for name in ("Na", "Cl", "O")]] = True
    assert np.flatnonzero(masks_of(Request(include=("Na",))).known_elements(known)).tolist() == [8, 11, 17]
    for asked in ({"elements": ("Na", "At")}, {"allow": ("Na", "At")}, {"include": ("At",)}, {"formula": {"At": 1}}):
        with pytest.raises(InputError, match="element At: in no crystal"):
            masks_of(Request(**asked)).known_elements(known)
    groups = np.zeros(231, bool)
    groups[[2, 14, 225]] = True
    assert masks_of(Request(polar=False)).group_numbers(groups).tolist() == [2, 14, 225]
    for asked, words in (
        ({"groups": (225, 3)}, "space group 3 has no crystal.*3 groups have, the nearest numbers are 2, 14, 225"),
        ({"polar": True}, "none of the 68 space groups asked for has a crystal"),
    ):
        with pytest.raises(InputError, match=words):
            masks_of(Request(**asked)).group_numbers(groups)


def test_given_orbits_name_positions():
    letters = wyckoff_letters(225)
    assert position_indices((("Na", "4a"), ("Cl", "b")), 225).tolist() == [letters.index("a"), letters.index("b")]
    free = position_indices((("O", "24e"), ("F", "e")), 225)  # a free coordinate: holds many
    assert free[0] == free[1] == letters.index("e")
    for sites, words in (
        ((("Na", "4z"),), "space group 225 has the positions 4a 4b 8c"),
        ((("Na", "8a"),), "position a of space group 225 has 4 points, so it is 4a"),
        ((("Na", "4"),), "has the positions"),
        ((("Na", "4a"), ("Cl", "a")), "position 4a of space group 225 has no free coordinate.*but Na, Cl are given"),
    ):
        with pytest.raises(InputError, match=words):
            position_indices(sites, 225)
