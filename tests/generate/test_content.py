"""Content of the cell: neutral compositions, known ones and against enumeration; numbers of atoms; as demands of the loop."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symjax.data.structure_types import StructureTypes
from symjax.elements import ATOMIC_NUMBERS, COMMON_STATES, IS_METAL
from symjax.errors import InputError
from symjax.generate.content import can_be_neutral, of_size, units_asked
from symjax.generate.loop import CHARGED, generate
from symjax.generate.request import Request, parse_formula
from symjax.models.symop.sample import _accepted
from tests.generate.test_loop import SALT, Made, elements


def counts(text):
    return tuple(sorted((ATOMIC_NUMBERS[name], n) for name, n in parse_formula(text).items()))


@pytest.mark.parametrize("text", ["NaCl", "SrTiO3", "Fe3O4", "Al2MgO4", "Ni3Al", "Si", "Li2O", "CaTiO3", "Na2Cl2"])
def test_neutral(text):
    assert can_be_neutral(counts(text))


@pytest.mark.parametrize("text", ["NaCl2", "Li3O4", "CaO3", "NeO", "AlO", "Na3Cl2"])
def test_not_neutral(text):
    assert not can_be_neutral(counts(text))


@given(
    st.dictionaries(st.sampled_from([3, 8, 9, 13, 16, 22, 25, 26, 29, 50]), st.integers(1, 5), min_size=2, max_size=3)
)
def test_as_by_enumeration_of_every_atom(formula):
    """Each atom has a state of its own, those of one element at most two, neighbours."""
    row = tuple(sorted(formula.items()))
    factor = np.gcd.reduce([n for _, n in row])

    def sums(z, n):
        states = sorted(COMMON_STATES[z])
        place = {state: i for i, state in enumerate(states)}
        for each in itertools.combinations_with_replacement(states, n):
            if place[max(each)] - place[min(each)] <= 1:
                yield sum(each)

    by_hand = any(sum(one) == 0 for one in itertools.product(*(set(sums(z, n // factor)) for z, n in row)))
    assert can_be_neutral(row) == (by_hand or all(IS_METAL[z] for z, _ in row))


def test_others_are_drawn_again_and_counted():
    """One element alone passes; helium with oxygen, which row 1 is from the second draw on, does not."""
    nan = float("nan")
    found = generate(Made([[nan, nan], [0.9, 0.9]]), None, 2, request=Request(neutral=True))
    assert elements(found.dataset) == [1] and found.missing == 1
    assert found.failed[CHARGED] > 1


def test_a_formula_that_cannot_be_neutral_is_refused():
    with pytest.raises(InputError, match="NaCl2 cannot be neutral"):
        generate(Made([[0.9]]), None, 1, request=Request(formula={"Na": 1, "Cl": 2}, neutral=True))


def test_numbers_of_atoms():
    """Rock salt: two atoms in the primitive cell, eight and four units in the conventional one."""
    types = StructureTypes(SALT, np.zeros(1, int), np.array([[11, 17]]), np.array([[0, 1]]))
    salt = {11: 1, 17: 1}
    for atoms, units, good in (
        (2, None, True),
        (8, None, False),
        (None, 4, True),
        (None, 1, False),
        (2, 4, True),
        (2, 1, False),
    ):
        assert of_size(types, atoms=atoms, units=units, formula=salt).tolist() == [good]
    assert units_asked(2, None, (1, 1), 4) == (4,) and units_asked(2, 4, (1, 1), 4) == (4,)
    assert (
        units_asked(3, None, (1, 1), 1) == ()
        and units_asked(2, 1, (1, 1), 4) == ()
        and units_asked(None, None, (1,), 1) is None
    )


def test_sizes_that_cannot_be_meant():
    with pytest.raises(InputError, match="needs a formula"):
        Request(units=2)
    with pytest.raises(InputError, match="atoms in the primitive cell must be at least 1"):
        Request(atoms=0)


def test_sites_are_drawn_again_before_elements_are_given_up():
    """Row 1 is met by its third choice of sites, row 2 never, row 3 was not whole then; counts are of draws."""
    types = StructureTypes(SALT, np.zeros(4, int), np.full((4, 1), 11), np.zeros((4, 1), int))
    asked = []

    def again(attempt):
        asked.append(attempt)
        pos = np.array([[9], [attempt], [0], [2]])
        return dataclasses.replace(types, pos=pos), np.array([0, 1, 2])

    accept = lambda some: some.pos[:, 0] >= 2
    start = dataclasses.replace(types, pos=np.array([[2], [0], [0], [0]]))
    found, good, refused = _accepted(accept, again, start, np.arange(4), 4)
    assert good.tolist() == [0, 1] and found.pos[:2, 0].tolist() == [2, 2]
    assert asked == [1, 2, 3] and refused == 3 + 3 + 2 + 2
