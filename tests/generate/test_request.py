"""What can be asked for: parts that contradict each other or cannot be meant are refused in words; reading them from text."""

import dataclasses

import pytest

from symjax.errors import InputError
from symjax.generate.request import Request, parse_elements, parse_formula, parse_sites, parse_space_groups


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"formula": {}}, "positive whole number"),
        ({"formula": {"Na": 0}}, "positive whole number"),
        ({"formula": {"Na": 1.5}}, "positive whole number"),
        ({"formula": {"Na": True}}, "positive whole number"),
        ({"formula": {"Na": 10_001}}, "at most 10000"),
        ({"formula": {"Xx": 1}}, "unknown element 'Xx'"),
        ({"elements": ("Li", "Xx")}, "unknown element 'Xx'"),
        ({"include": ("Xx",)}, "unknown element 'Xx'"),
        ({"groups": (1,), "sites": (("Xx", "1a"),)}, "unknown element 'Xx'"),
        ({"formula": {"Na": 1, "Cl": 1}, "elements": ("Na", "O")}, "contradict"),
        ({"formula": {"Na": 1, "Cl": 1}, "allow": ("Na",)}, "Cl may not occur"),
        ({"formula": {"Na": 1, "Cl": 1}, "include": ("O",)}, "O is asked for, but only Na, Cl"),
        ({"elements": ("Na",), "allow": ("Na", "Cl")}, "either"),
        ({"allow": ("Na",), "include": ("Cl",)}, "Cl is asked for, but only Na"),
        ({"elements": ("Na",), "groups": (225,), "sites": (("Cl", "4a"),)}, "Cl is asked for, but only Na"),
        ({"groups": (225, 231)}, "space group 231 is not one of 1 to 230"),
        ({"groups": (0,)}, "space group 0"),
        ({"orbits": 0}, "at least 1"),
        ({"orbits": 2, "elements": ("Na", "Cl", "O")}, r"2 orbit\(s\) cannot hold 3 elements"),
        ({"sites": (("Na", "4a"),)}, "one space group"),
        ({"groups": (225, 221), "sites": (("Na", "4a"),)}, "one space group"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked, words):
    with pytest.raises(InputError, match=words):
        Request(**asked)


def test_requests_are_values():
    first = Request(formula={"Na": 2, "Cl": 4})
    assert first.formula == {"Na": 1, "Cl": 2} and first.elements == ("Na", "Cl") and first.formula_text == "NaCl2"
    assert first == Request(formula={"Na": 1, "Cl": 2}) and dataclasses.replace(first, orbits=3).orbits == 3
    assert Request(include=("O",), groups=(225,), sites=(("Na", "4a"),)).required == ("O", "Na")
    assert not Request(orbits=2, allow=("Na",)).asks_operations
    for part in ({"groups": (2,)}, {"polar": False}, {"require": ("mirror",)}, {"point_group": "m-3m"}):
        assert Request(**part).asks_operations, part


def test_requests_in_words():
    """Messages repeat what was asked for as it is written."""
    asked = Request(formula={"Sr": 1, "Ti": 1, "O": 3}, groups=(2, 14), polar=False, orbits=4)
    assert asked.describe() == "formula SrTiO3; space group 2, 14; polar False; orbits 4"
    given = Request(groups=(225,), sites=(("Na", "4a"),), include=("Cl",), require=("mirror", "glide"))
    assert given.describe() == "elements among them Cl; space group 225; require mirror, glide; given orbits Na:4a"
    assert Request().describe() == "nothing"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("SrTiO3", {"Sr": 1, "Ti": 1, "O": 3}),
        ("Ca3(PO4)2", {"Ca": 3, "P": 2, "O": 8}),
        ("OH2O", {"O": 2, "H": 2}),
        ("Fe(Fe(CN)2)3", {"Fe": 4, "C": 6, "N": 6}),
    ],
)
def test_formulas(text, counts):
    assert parse_formula(text) == counts


@pytest.mark.parametrize("text", ["", "Sr(Ti", "NaCl2(", "na", "Na0", "Na)", "(2Na)", "Na1234567", "Na-Cl"])
def test_formulas_that_cannot_be_read(text):
    with pytest.raises(InputError, match="formula"):
        parse_formula(text)


def test_every_space_group_by_symbol_and_number():
    from symjax.groups.symbols import short_symbol

    for number in range(1, 231):
        assert parse_space_groups(short_symbol(number)) == (number,)
    for text in ("P21/c", "14", "P2_1/c", " 14 "):
        assert parse_space_groups(text) == (14,)
    assert parse_space_groups("2, Fm-3m,225,P2_1/c") == (2, 225, 14)
    for text in ("231", "-1", "Fm-9m", "2,,3", ""):
        with pytest.raises(InputError, match="space group"):
            parse_space_groups(text)


def test_lists_of_elements_and_orbits():
    assert parse_elements("Li, O,Li") == ("Li", "O")
    assert parse_sites("Na:4a, Cl : b") == (("Na", "4a"), ("Cl", "b"))
    for text in ("Na:", ":4a", "Na:4a,,Cl:b", "", "Na4a"):
        with pytest.raises(InputError, match="cannot read"):
            parse_sites(text)
    for text in ("", " , "):
        with pytest.raises(InputError, match="commas"):
            parse_elements(text)
