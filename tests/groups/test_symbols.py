"""Symbols of space groups: those of pymatgen and of spglib's database, in every spelling."""

import pytest

from symjax.errors import InputError
from symjax.groups.properties import properties
from symjax.groups.setting_names import _table
from symjax.groups.symbols import (
    CRYSTAL_SYSTEMS,
    crystal_class,
    crystal_system,
    parse_point_group,
    parse_setting,
    parse_space_group,
    setting_name,
    short_symbol,
)
from symjax.groups.tables import NUM_SETTINGS, hall_to_number, standard_setting

ALL = range(1, 231)


def test_short_symbols_are_pymatgens():
    """All 230; pymatgen writes monoclinic ones with both empty directions (P12/m1)."""
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    theirs = [sg_symbol_from_int_number(number) for number in ALL]
    assert [short_symbol(n) for n in ALL] == [
        s[0] + s[2:-1] if 3 <= n <= 15 else s for n, s in zip(ALL, theirs, strict=True)
    ]
    assert [parse_space_group(symbol) for symbol in theirs] == list(ALL)


def test_symbols_of_all_settings_mean_one_type():
    """Full symbols of the 530 settings, with and without spaces, and every name that spglib gives them."""
    import spglib

    for hall in range(1, 531):
        found = spglib.get_spacegroup_type(hall)
        for name in (found.international_full, found.international_full.replace(" ", ""), found.international_short):
            assert parse_space_group(name) == found.number, name
        for name in found.international.split("="):
            assert parse_space_group(name) == found.number, name


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (" 14 ", 14),
        ("P21/c", 14),
        ("P 1 21/n 1", 14),
        ("P2(1)/n", 14),
        ("P2₁/c", 14),
        ("I2/a", 15),
        ("Pbnm", 62),
        ("Cmca", 64),
        ("Abm2", 39),
        ("I 4_1/a m d :1", 141),
        ("R -3 m H", 166),
        ("R-3m:R", 166),
        ("$P6_3/mmc$", 194),
        ("Pa3", 205),
        ("Pa3\u0305", 205),
        ("Fm3m", 225),
        ("F m -3 m", 225),
        (r"Fm\bar{3}m", 225),
        ("fm\u22123m", 225),
        ("Ia3d", 230),
    ],
)
def test_spellings(text, number):
    assert parse_space_group(text) == number


@pytest.mark.parametrize("text", ["0", "231", "-1", "", "Fm-4m", "P2_1/q", "R3x"])
def test_what_is_no_space_group(text):
    with pytest.raises(InputError, match=r"not one of 1 to 230|is unknown"):
        parse_space_group(text)


def test_systems_and_classes_are_those_of_the_operations():
    assert [number for numbers in CRYSTAL_SYSTEMS.values() for number in numbers] == list(ALL)
    for number in range(1, 231, 3):
        found = properties(standard_setting(number))
        assert (crystal_system(number), parse_point_group(crystal_class(number))) == (
            found.crystal_system,
            found.point_group,
        )
    assert parse_point_group("m3m") == "m-3m"
    with pytest.raises(InputError, match="unknown point group '5m'"):
        parse_point_group("5m")


@pytest.mark.parametrize(
    ("text", "hall"),
    [
        ("Pbnm", 294),
        ("Cmca", 304),
        ("I2/a", 92),
        ("P 1 21/n 1", 82),
        ("P2_1/n", 82),
        ("R-3c:R", 461),
        ("Fd-3m:1", 525),
        ("Fd-3m", 526),
        ("F 4d 2 3 -1d", 525),
        ("-P 2ybc", 81),
        ("62", 292),
        ("P 1 1 2_1/b", 86),
        # Names of 1983 of all six settings of the groups with an e glide: International Tables A (1983), table 4.3.1
        ("Bmab", 309),
        ("Abma", 306),
        ("Bbcm", 308),
        ("Cmmb", 317),
        ("Bma2", 192),
        # what databases put behind
        ("F d -3 m Z", 526),
        ("F d -3 m S", 525),
        ("R-3mR", 459),
        ("R -3 m H", 458),
        # origin choice 2 goes before 1, as in the standard settings
        ("Pnmm", 281),
        ("Pnmm:1", 280),
        ("62:cab", 294),
        ("227:1", 525),
        ("-P 2ac 2yb", 292),  # other generators of -P 2ac 2n
    ],
)
def test_settings_by_name(text, hall):
    assert parse_setting(text) == hall
    assert parse_space_group(text) == hall_to_number(hall)


def test_every_setting_has_a_name_that_is_read_again():
    halls = list(range(1, NUM_SETTINGS + 1))
    assert [parse_setting(setting_name(hall)) for hall in halls] == halls
    with pytest.raises(InputError, match="choices: 1, 2"):
        parse_setting("Fd-3m:R")
    assert parse_space_group("F4/mmm") == 139
    with pytest.raises(InputError, match=r"I4/mmm \(139\) in a larger cell"):
        parse_setting("F4/mmm")


def test_no_name_is_shared_by_two_types():
    assert all(len({setting.number for setting in settings}) == 1 for settings in _table().values())
