"""Statistics against scipy and hand counts; quantities of crystals against pymatgen, smact and spglib called directly."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from symjax.crystals.io.convert import to_pymatgen
from symjax.data.prototypes import prototype_rows
from symjax.data.rows import parse_row
from symjax.errors import InputError
from symjax.evaluate import words
from symjax.evaluate.stages import composition, geometry, symmetry
from symjax.evaluate.statistics import (
    chi_squared,
    floor,
    group_distance,
    group_shares,
    interval,
    jensen_shannon,
    kolmogorov_smirnov,
    permutation_divergence,
    share_interval,
    wasserstein,
    weight_distance,
)

counts = st.lists(st.integers(0, 50), min_size=3, max_size=12).filter(lambda values: sum(values) > 0)
numbers = st.lists(st.integers(0, 9), min_size=1, max_size=40)


@given(st.data())
def test_jensen_shannon_is_scipys(data):
    p = np.array(data.draw(counts), float)
    q = np.array(
        data.draw(st.lists(st.integers(0, 50), min_size=len(p), max_size=len(p)).filter(lambda v: sum(v) > 0)), float
    )
    p, q = p / p.sum(), q / q.sum()
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q), abs=1e-7)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))
    assert weight_distance(p[None] * 3, q[None] * 5) == pytest.approx(jensen_shannon(p, q))


@given(numbers, numbers)
def test_ks_and_wasserstein_are_scipys(a, b):
    assert kolmogorov_smirnov(np.array(a), np.array(b)) == pytest.approx(ks_2samp(a, b).statistic)
    assert wasserstein(np.array(a), np.array(b)) == pytest.approx(wasserstein_distance(a, b))


def test_chi_squared_by_hand():
    """Categories absent from the target are dropped, then shares are taken again."""
    assert chi_squared(np.array([2, 2, 9]), np.array([1, 3, 0])) == pytest.approx(0.25**2 / 0.25 + 0.25**2 / 0.75)
    assert chi_squared(np.array([5, 5]), np.array([50, 50])) == 0
    assert np.isnan(chi_squared(np.array([0, 4]), np.array([4, 0])))


def test_group_shares():
    assert group_shares(np.array([0, 1, 225, 225]))[[0, 224]].tolist() == [0.5, 0.5]  # a failed search counts as P1
    assert group_shares(np.array([229, 230]), bins=229)[228] == 1  # the published histogram puts both into one bin
    assert group_distance(np.array([229]), np.array([230])) == pytest.approx(np.sqrt(np.log(2)))
    assert group_distance(np.array([229]), np.array([230]), bins=229) == 0
    for bad in ([], [231], [-1]):
        with pytest.raises(InputError):
            group_shares(np.array(bad))


def test_chi_squared_floor_is_what_theory_says():
    """(K - 1) / n for K categories."""
    from symjax.evaluate.statistics import group_chi_squared

    reference = np.repeat(np.arange(1, 101), 50)
    found = floor(group_chi_squared, reference, 1000)
    assert found.mean == pytest.approx(99 / 1000, rel=0.1)
    assert found.num == 1000


def test_floor_of_the_group_distance_falls_with_n():
    reference = np.repeat(np.arange(1, 101), 100)
    few, many = (floor(group_distance, reference, num, draws=20).mean for num in (100, 10_000))
    assert 0 < many < few / 5
    assert floor(group_distance, reference, 100) == floor(group_distance, reference, 100)  # seeded


def test_intervals_cover():
    """95 % intervals of a known share hold it about as often."""
    generator = np.random.default_rng(0)
    drawn = [int(generator.binomial(200, 0.3)) for _ in range(300)]
    held = [low <= 0.3 <= high for low, high in (share_interval(hits, 200, draws=400) for hits in drawn)]
    assert 0.9 < np.mean(held) < 0.99
    assert share_interval(0, 0) is None
    rows = generator.normal(size=300)
    low, high = interval(wasserstein, rows + 1, rows)
    assert low < 1 < high


def test_permutation_divergence():
    """A model that gives every order the same likelihood scores zero; a shift of the own order is found."""
    orders = np.tile([[-3.0], [-5.0]], (1, 4))
    assert permutation_divergence(np.array([-3.0, -5.0]), orders) == (0.0, 0.0)
    assert permutation_divergence(np.array([-2.0, -4.0]), orders)[0] == pytest.approx(1.0)
    noisy = orders + np.array([-1.0, 1.0, -1.0, 1.0])
    assert permutation_divergence(np.array([-3.0, -5.0]), noisy) == pytest.approx((0.0, np.sqrt(4 / 3)))
    for own, many in (([1.0], [[1.0]]), ([1.0, 2.0], [[1.0, 2.0]]), ([], np.zeros((0, 3))), ([np.inf], [[1.0, 2.0]])):
        with pytest.raises(InputError):
            permutation_divergence(np.array(own), np.array(many))


@pytest.fixture(scope="module")
def real():
    """Every ninth AFLOW prototype, as given."""
    return [parse_row(row) for row in prototype_rows()[::9]]


def test_quantities_are_those_of_the_libraries(real):
    """Density, distances, groups, orbits and composition rules by pymatgen, spglib and smact themselves."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
    from smact.screening import smact_validity

    for cell in real:
        structure, found, where = to_pymatgen(cell), geometry(cell), symmetry(cell)
        assert found["density"] == pytest.approx(float(structure.density), rel=1e-7)
        if len(structure) > 1:
            distances = structure.distance_matrix + 99 * np.eye(len(structure))
            assert found["between"] == pytest.approx(distances.min(), abs=1e-6)
        else:
            assert found["between"] is None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analyzer = SpacegroupAnalyzer(structure, symprec=0.1, angle_tolerance=5)
            assert where["number"] == analyzer.get_space_group_number()
            assert where["number_tight"] == SpacegroupAnalyzer(structure).get_space_group_number()
            symmetrized = analyzer.get_symmetrized_structure()
            assert where["primitive_atoms"] == len(analyzer.find_primitive())
        assert sorted(letter for _, letter in where["orbits"]) == sorted(
            text[-1] for text in symmetrized.wyckoff_symbols
        )
        rules = composition(cell)
        assert rules["icsd24"] == smact_validity(structure.composition)
        assert [tuple(pair) for pair in rules["reduced"]] == list(cell.reduced)


def test_free_coordinates_are_pyxtals(real):
    """Degrees of freedom of a structure by pyxtal's own symmetry search."""
    from pyxtal import pyxtal

    tried = 0
    for cell in real[:12]:
        crystal = pyxtal()
        try:
            crystal.from_seed(to_pymatgen(cell), tol=0.1)
        except Exception:  # pyxtal cannot read every structure
            continue
        where = symmetry(cell)
        assert crystal.group.number == where["number"]
        ours = words.freedoms(where["number"], where["orbits"])
        assert sorted(ours) == sorted(int(site.wp.get_dof()) for site in crystal.atom_sites)
        tried += 1
    assert tried >= 8


def test_one_crystal_has_one_word_whatever_the_origin():
    """Rock salt with either element at the origin: letters a and b change places, the canonical word does not."""
    first = words.gene(225, [(11, "a"), (17, "b")])
    assert first == words.gene(225, [(11, "b"), (17, "a")])
    assert words.gene(225, [(11, "a"), (17, "c")]) != first
    assert words.template(225, [(11, "b"), (17, "c")]) == words.template(225, [(11, "a"), (17, "c")])
    assert words.template(225, [(11, "b")], canonical=False) != words.template(225, [(11, "a")], canonical=False)
    assert words.template(47, [(1, "A"), (2, "z")])[1:] != words.template(47, [(1, "z"), (2, "z")])[1:]
    assert words.template(0, []) == (0,)
    with pytest.raises(InputError, match="no Wyckoff position"):
        words.freedoms(1, [(6, "b")])


@pytest.mark.parametrize("number", [1, 2, 47, 62, 139, 166, 194, 225, 227, 230])
def test_relabellings_are_a_group_that_keeps_positions(number):
    """The identity is there, products are there, and a letter goes to one of equal multiplicity and freedom."""
    maps, table = words.relabellings(number), words.positions(number)
    listed = {tuple(sorted(move.items())) for move in maps}
    assert all(set(move) == set(move.values()) == set(table) for move in maps)
    assert tuple(sorted((letter, letter) for letter in table)) in listed
    for first in maps[:6]:
        assert all(table[a] == table[b] for a, b in first.items())
        for second in maps[:6]:
            assert tuple(sorted((a, second[b]) for a, b in first.items())) in listed
