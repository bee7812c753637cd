"""Cells, distances, compositions, symmetry and matching on crystals whose answers are known by hand."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate.composition import is_valid_composition, plain_formula
from symjax.evaluate.distances import shortest
from symjax.evaluate.matching import match_distances, unique_and_novel
from symjax.evaluate.sets import is_closed
from symjax.evaluate.symmetry import detected_number, find_symmetry
from symjax.groups import standard_setting

FACE = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rock_salt(a=5.64, numbers=(11, 17), group=225):
    """Rock salt with the 192 operations of Fm-3m (or another group's) in its cell."""
    ops = standard_setting(group)
    frac = np.concatenate([FACE, (FACE + 0.5) % 1])
    return AtomicStructure(
        L=a * np.eye(3),
        z=np.repeat(numbers, 4),
        x=frac,
        orbit=np.repeat([0, 1], 4),
        W=np.asarray(ops.W, np.int64),
        w=np.asarray(ops.w, np.int64),
    )


def test_primitive_of_a_face_centred_cell():
    small = rock_salt().primitive()
    assert sorted(small.z) == [11, 17]
    assert small.volume == pytest.approx(5.64**3 / 4)
    assert detected_number(small) == 225


def test_reduced_composition():
    assert rock_salt().reduced == ((11, 1), (17, 1))


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="coordinates of shape"):
        AtomicStructure(np.eye(3), [1, 1], np.zeros((2, 2)))


def test_shortest_distance_of_rock_salt():
    near = shortest(rock_salt())
    assert near.distance == pytest.approx(2.82)
    assert near.between == pytest.approx(2.82)
    assert near.ratio == pytest.approx(min(2.82 / (1.66 + 1.02), 5.64 / np.sqrt(2) / (2 * 1.66)))


def test_self_images_count():
    """One atom in a squeezed cell: the published rule sees nothing wrong, the exact one does."""
    near = shortest(AtomicStructure(np.diag([0.4, 5, 5]), [6], [[0, 0, 0]]))
    assert near.distance == pytest.approx(0.4)
    assert near.between == np.inf


def test_no_volume_is_no_crystal():
    assert shortest(AtomicStructure(np.zeros((3, 3)), [6], [[0, 0, 0]])).distance == 0


@given(st.integers(0, 10**6))
def test_distances_do_not_depend_on_the_basis(seed):
    """A crystal in a badly skewed basis of the same lattice has the same shortest distances."""
    generator = np.random.default_rng(seed)
    lattice = generator.normal(size=(3, 3)) + 3 * np.eye(3)
    frac, numbers = generator.random((3, 3)), generator.integers(1, 80, 3)
    basis = np.eye(3, dtype=int)
    for _ in range(4):
        i, j = generator.permutation(3)[:2]
        basis[i] += generator.integers(-2, 3) * basis[j]
    plain = shortest(AtomicStructure(lattice, numbers, frac))
    skewed = shortest(AtomicStructure(basis @ lattice, numbers, frac @ np.linalg.inv(basis)))
    assert skewed.distance == pytest.approx(plain.distance, rel=1e-9)
    assert skewed.ratio == pytest.approx(plain.ratio, rel=1e-9)


@pytest.mark.parametrize("rule", ["cdvae", "strict", "icsd24"])
@pytest.mark.parametrize(
    ("counts", "valid"),
    [
        (((11, 1), (17, 1)), True),  # NaCl
        (((11, 4), (17, 4)), True),  # the same, not reduced
        (((11, 3), (17, 1)), False),  # Na3Cl
        (((8, 3), (22, 1), (38, 1)), True),  # SrTiO3
        (((12, 1), (13, 2)), True),  # metals
        (((14, 1),), True),  # one element
        (((9, 1), (17, 1)), True),  # ClF: chlorine has positive states
        (((3, 1), (9, 3)), False),  # LiF3
    ],
)
def test_known_compositions(counts, valid, rule):
    assert is_valid_composition(counts, rule) is valid


@pytest.mark.parametrize(
    ("counts", "cdvae"),
    [
        (
            ((11, 1), (52, 2), (61, 1)),
            False,
        ),  # NaPmTe2: sodium and promethium, of equal sign, are looked at before any other pair with it
        (((8, 3), (61, 2)), True),  # Pm2O3: charges are opposite
        (((8, 3), (21, 1), (61, 1)), True),  # ScPmO3: oxygen meets promethium first
        (((9, 2), (54, 1)), True),  # XeF2: xenon has a value
    ],
)
def test_unknown_electronegativities(counts, cdvae):
    """Golden values of smact 2.5.5 as CDVAE's script calls it; from 2.6 on any unknown value fails."""
    assert is_valid_composition(counts, "cdvae") is cdvae
    known = all(z != 61 for z, _ in counts)
    assert is_valid_composition(counts, "strict") is known
    with pytest.raises(InputError, match="rule"):
        is_valid_composition(counts, "other")


def test_states_of_the_icsd_are_not_filtered():
    """Au2O: gold(I) is in the ICSD list, which smact 4 filters by default to the states on which three sources agree."""
    from smact import Element

    states = Element("Au").oxidation_states_icsd24
    assert 1 in states and 2 in states
    assert is_valid_composition(((8, 1), (79, 1)), "icsd24") == (2 in states)


@pytest.mark.parametrize(
    ("formula", "plain"),
    [("Lu(GaGe)2", "LuGa2Ge2"), ("NaCl", "NaCl"), ("Ce11Al", "AlCe11"), ("O2", "O2"), ("Fe", "Fe")],
)
def test_formulas_for_file_names(formula, plain):
    assert sorted(re.findall("[A-Z][a-z]?[0-9]*", plain_formula(formula))) == sorted(
        re.findall("[A-Z][a-z]?[0-9]*", plain)
    )


def test_generated_operations_are_found_again():
    found = find_symmetry(rock_salt(), 0.01)
    assert (found.number, found.contains, found.missing) == (225, True, 0)


def test_operations_that_the_atoms_do_not_have_are_missed():
    cell = rock_salt()
    moved = cell.x.copy()
    moved[0] += [0.02, 0.013, 0.007]
    broken = AtomicStructure(L=cell.L, z=cell.z, x=moved, orbit=cell.orbit, W=cell.W, w=cell.w)
    found = find_symmetry(broken, 0.01)
    assert not found.contains
    assert found.missing == 191


def test_an_origin_that_is_off_is_noticed():
    """The same group about another origin is another set of operations."""
    cell = rock_salt()
    shifted = AtomicStructure(L=cell.L, z=cell.z, x=(cell.x + [0.1, 0, 0]) % 1, orbit=cell.orbit, W=cell.W, w=cell.w)
    found = find_symmetry(shifted, 0.01)
    assert found.number == 225
    assert not found.contains


def test_atoms_on_top_of_each_other_are_no_group():
    assert detected_number(AtomicStructure(np.eye(3) * 3, [6, 6], [[0, 0, 0], [0, 0, 0]])) == 0


@pytest.mark.parametrize("number", [1, 14, 62, 166, 194, 225, 230])
def test_closure_check_agrees_with_the_tables(number):
    ops = standard_setting(number)
    W, w = np.asarray(ops.W), np.asarray(ops.w)
    assert is_closed(W, w)
    if len(W) > 2:
        assert not is_closed(W[:-1], w[:-1])
        other = w.copy()
        other[-1] = (other[-1] + [3, 0, 0]) % 24
        assert not is_closed(W, other)


def test_matching():
    """The same crystal in another cell, size and origin is the same; another structure type is not."""
    salt = rock_salt()
    caesium = AtomicStructure(4.1 * np.eye(3), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])
    small = rock_salt(6.0).primitive()
    distances = match_distances([small, caesium], [salt, salt])
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(distances[1])
    other = rock_salt(numbers=(19, 17))
    assert np.isnan(match_distances([other], [salt])[0])


def test_unique_and_novel():
    salt, caesium = rock_salt(), AtomicStructure(4.1 * np.eye(3), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])
    nothing = AtomicStructure(np.zeros((3, 3)), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])
    flags = unique_and_novel([salt, salt.primitive(), caesium, caesium, rock_salt(numbers=(19, 17)), nothing], [salt])
    assert flags.unique.tolist() == [True, False, True, False, True, False]
    assert flags.novel.tolist() == [False, False, True, True, True, False]
    assert flags.both.tolist() == [False, False, True, False, True, False]


def test_an_element_without_a_radius_is_named():
    with pytest.raises(InputError, match="element 110"):
        shortest(AtomicStructure(4.0 * np.eye(3), [110], [[0, 0, 0]]))
