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
    Rows,
    chi_squared,
    group_chi_squared,
    group_distance,
    group_shares,
    halves_floor,
    jensen_shannon,
    judged,
    kolmogorov_smirnov,
    permutation_divergence,
    permutation_test,
    pool,
    share_interval,
    share_test,
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
    """K categories drawn n and m times from one source: (K - 1) (1 / n + 1 / m)."""
    rng = np.random.default_rng(0)
    ours, theirs = (Rows(rng.integers(1, 101, num)) for num in (1000, 4000))
    found = permutation_test(group_chi_squared, ours, theirs)
    assert found.mean == pytest.approx(99 * (1 / 1000 + 1 / 4000), rel=0.1)
    assert found == permutation_test(group_chi_squared, ours, theirs)  # seeded
    assert found != permutation_test(group_chi_squared, ours, theirs, seed=1)


@pytest.mark.parametrize("num", [40, 160])
def test_the_null_is_what_other_real_crystals_score(num):
    """Mean and deviation are those of fresh draws from the same source; drawing from the reference itself gave two thirds."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(60, 0.3))

    def draw(size):
        return 1 + rng.choice(60, size, p=shares)

    fresh = [group_distance(draw(num), draw(num)) for _ in range(200)]
    found = permutation_test(group_distance, Rows(draw(num)), Rows(draw(num)))
    assert found.mean == pytest.approx(np.mean(fresh), rel=0.12)
    assert found.sd == pytest.approx(np.std(fresh), rel=0.5)


def test_rules_that_select_are_applied_to_both_sides_of_every_split():
    """Samples are filtered and read at another tolerance than the reference: alike sources still give no small p-values."""
    rng = np.random.default_rng(2)

    def side(num):
        wide = rng.integers(1, 8, num)
        tight = np.where(rng.random(num) < 0.4, 1, wide)  # at the tighter tolerance many are P1
        return Rows(wide, keep=wide != 3, known=tight)

    values = [permutation_test(group_distance, side(60), side(90), draws=39, seed=i).p for i in range(60)]
    assert np.mean(np.array(values) <= 0.2) == pytest.approx(0.2, abs=0.15)
    # filtered samples against unfiltered crystals, as if the rule belonged to the samples alone, are told apart
    ours, theirs = side(400), side(400)
    assert permutation_test(group_distance, Rows(ours.as_samples()), Rows(theirs.as_reference())).p == 1 / 200


def test_equal_crystals_count_once_in_every_split():
    rows = Rows(np.array([5, 5, 7, 7, 9]), keep=np.array([1, 1, 1, 1, 0], bool), classes=np.array([0, 0, 2, 3, 4]))
    assert rows.as_samples().tolist() == [5, 7, 7]
    assert rows.chosen(np.array([3, 1, 0])).tolist() == [3, 1]
    both = pool(rows, Rows(np.array([1]), classes=np.array([0])))
    assert both.keep.tolist() == [True, True, True, True, False, True] and both.known is None
    with pytest.raises(InputError, match="both sides"):
        pool(rows, Rows(np.array([1])))


def test_p_values_count_the_observed_split():
    drawn = np.array([0.0, 1.0, 2.0, np.nan])
    assert judged(2.0, drawn, "upper").p == 0.5 and judged(3.0, drawn, "upper").p == 0.25
    assert judged(0.0, drawn, "lower").p == 0.5 and judged(3.0, drawn, "both").p == 0.5
    assert np.isnan(judged(np.nan, drawn, "both").p) and np.isnan(judged(1.0, drawn[3:], "both").p)


def test_floors_of_disjoint_parts():
    """Unique values of half the reference at most, without drawing one twice."""
    found = halves_floor(lambda a, b: float(len(set(a) | set(b)) + len(a)), 10, 50, draws=3, seed=0)
    assert found == (15.0, 0.0, 5, 5)
    assert halves_floor(lambda a, b: 0.0, 1, 5, draws=3, seed=0) is None


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98, 0.995])
def test_intervals_of_shares_hold_them(share):
    """Wilson intervals hold the true share in 95 % of draws on average, also near 1, where the bootstrap's did in 40 to 66 %."""
    from scipy.stats import binom

    num = 200
    held = np.array([low <= share <= high for low, high in (share_interval(hits, num) for hits in range(num + 1))])
    assert 0.90 < binom.pmf(np.arange(num + 1), num, share)[held].sum() < 0.99


def test_interval_of_a_share_is_statsmodels():
    """Golden values of statsmodels 0.14, proportion_confint(method="wilson")."""
    assert share_interval(0, 0) is None
    assert share_interval(95, 100) == pytest.approx((0.88824, 0.97846), abs=1e-5)
    low, high = share_interval(50, 50)
    assert (low, high) == (pytest.approx(0.92865, abs=1e-5), 1.0)
    assert share_interval(0, 50)[0] == 0 and share_interval(0, 50)[1] == pytest.approx(1 - low)


def test_share_test_is_fishers():
    """3 of 10 against 90 of 100: the hypergeometric probabilities of all tables no likelier than the observed one."""
    from scipy.stats import hypergeom

    table = hypergeom.pmf(np.arange(11), 110, 93, 10)
    assert share_test(3, 10, 90, 100) == pytest.approx(table[table <= table[3] * (1 + 1e-7)].sum(), rel=1e-6)
    assert share_test(3, 10, 90, 100) == pytest.approx(5.607889e-05, rel=1e-4)
    assert share_test(9, 10, 90, 100) == 1.0
    assert np.isnan(share_test(0, 0, 5, 10))


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
        assert rules["icsd24"] == smact_validity(structure.composition, oxidation_states_set="icsd24")
        assert rules["strict"] == smact_validity(structure.composition, oxidation_states_set="smact14")
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
