"""Exact formulas on positions: every count against trying everything, and the best placement too."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.errors import InputError
from symjax.wyckoff.occupancy import ANY, NO_LIMIT, FormulaFitter, Need
from symjax.wyckoff.placement import ATOMS, SiteClasses, place, site_classes

MAX_ATOMS, MAX_ORBITS = 14, 4


def fillings(fitter, counts, units=None):
    """Every multiset of (element, position) of the smallest cells that has the formula, one by one."""
    pairs = list(itertools.product(range(len(counts)), range(len(fitter.multiplicity))))
    found = []
    for size in range(1, MAX_ORBITS + 1):
        for chosen in itertools.combinations_with_replacement(pairs, size):
            if any(n > fitter.capacity[p] for p, n in Counter(p for _, p in chosen).items()):
                continue
            atoms = [sum(fitter.multiplicity[p] for e, p in chosen if e == i) for i in range(len(counts))]
            n = atoms[0] // counts[0]
            if n and sum(atoms) <= MAX_ATOMS and all(a == n * c for a, c in zip(atoms, counts, strict=True)):
                found += [chosen] if units is None or n in units else []
    return found


def orbits_of(filling, elements):
    return tuple(sum(e == i for e, _ in filling) for i in range(elements))


@settings(max_examples=60, deadline=None)
@given(
    positions=st.lists(st.tuples(st.sampled_from((1, 2, 3, 4, 6)), st.integers(0, 1)), min_size=1, max_size=4),
    counts=st.sampled_from([(1,), (1, 1), (1, 2), (3, 2), (1, 4), (1, 1, 3)]),
    units=st.sampled_from([None, None, (2,), (1, 3)]),
    seed=st.integers(0, 10**6),
)
def test_counts_agree_with_trying_everything(positions, counts, units, seed):
    rng = np.random.default_rng(seed)
    multiplicity, dof = (np.array(column) for column in zip(*sorted(positions), strict=True))
    fitter, elements = FormulaFitter.of_positions(multiplicity, dof), len(counts)
    limits = {"max_atoms": MAX_ATOMS, "units": units}
    every = fillings(fitter, counts, units)
    vectors = {orbits_of(filling, elements) for filling in every}
    possible = fitter.possible_orbits(counts, max_orbits=MAX_ORBITS, **limits)
    assert set(np.flatnonzero(possible)) == {sum(vector) for vector in vectors}
    assert fitter.has_room(counts, max_orbits=MAX_ORBITS, **limits) == bool(every)

    drawn = tuple(rng.integers(0, 4, elements).tolist())
    chosen = fitter.choose_orbits(counts, drawn, max_orbits=MAX_ORBITS, rng=rng, **limits)
    assert (chosen is None) == (not vectors)
    if chosen is None:
        return
    assert chosen in vectors

    def distance(orbits):
        return sum(abs(o - max(d, 1)) for o, d in zip(orbits, drawn, strict=True))

    assert distance(chosen) == min(map(distance, vectors))
    many = [n for n in range(1, MAX_ATOMS // sum(counts) + 1) if units is None or n in units]
    target = np.maximum(drawn, 1)
    assert distance(fitter._nearest(counts, target, MAX_ORBITS, tuple(many), rng)) == distance(chosen)

    # in canonical order, with these numbers of orbits: the next position of every filling, and no other
    formula = {i + 1: c for i, c in enumerate(counts)}
    ordered = [sorted(filling) for filling in every if orbits_of(filling, elements) == chosen]
    path = ordered[rng.integers(len(ordered))]
    z = np.array([e + 1 for e, _ in path] + [0])
    step = int(rng.integers(len(path)))
    pos = np.array([p for _, p in path[:step]], int)
    found = fitter.open_positions(z, pos, formula, **limits)
    assert set(np.flatnonzero(found)) == {f[step][1] for f in ordered if f[:step] == path[:step]}

    # in any order, with any number of sites to follow
    placed = [path[i] for i in rng.permutation(len(path))[:step]]
    z, pos = (np.array([pair[i] for pair in placed], int) for i in (0, 1))
    least = int(rng.integers(1, MAX_ORBITS))
    found = fitter.open_sites(z + 1, pos, formula, orbits=(least, MAX_ORBITS), **limits)
    after = [Counter(f) - Counter(placed) for f in every if len(f) >= least and not Counter(placed) - Counter(f)]
    assert set(zip(*(a.tolist() for a in np.nonzero(found.sites)), strict=True)) == {pair for f in after for pair in f}
    assert found.end == any(not f for f in after)


def test_many_orbits_of_one_element():
    """LiO9 needs ten atoms in P1, nine of them oxygen; five and six elements where nothing near was drawn."""
    general = FormulaFitter.of_type(1)
    assert general.fits([Need(1, 1), Need(9, 9)]) and not general.fits([Need(1, 1), Need(8, 9)])
    assert general.fits([Need(ANY, 1), Need(ANY, 9)])
    for counts in ((1, 9), (1, 17), (1, 1, 1, 1, 9), (7, 1, 1, 1, 1, 1)):
        drawn = (1,) * len(counts)
        limits = {"max_orbits": 20, "max_atoms": 96, "rng": np.random.default_rng(0)}
        assert general.choose_orbits(counts, drawn, **limits) == counts
        assert min(FormulaFitter.of_type(47).choose_orbits(counts, drawn, **limits)) > 0
    assert not general.has_room((1, 21), max_atoms=96, max_orbits=20)
    assert general.has_room((1, 21), max_atoms=96)


@pytest.mark.parametrize("number", [2, 62, 166, 225])
def test_sites_drawn_in_any_order_end_at_the_formula(number):
    """As WyckoffTransformer draws: no number of sites is known, and every step leaves a way to the end."""
    fitter, rng, formula = FormulaFitter.of_type(number), np.random.default_rng(number), {38: 1, 22: 1, 8: 3}
    for _ in range(3):
        z, pos, end = [], [], False
        while True:
            sites, end = fitter.open_sites(z, pos, formula, max_atoms=160, orbits=(1, 12))
            if end and (rng.random() < 0.5 or not sites.any()):
                break
            assert sites.any()
            e, p = np.argwhere(sites)[rng.integers(sites.sum())]
            z, pos = [*z, list(formula)[e]], [*pos, int(p)]
        atoms = Counter()
        for element, p in zip(z, pos, strict=True):
            atoms[element] += int(fitter.multiplicity[p])
        assert atoms[38] == atoms[22] == atoms[8] // 3 and len(pos) <= 12


def test_classes_of_known_groups():
    """Pm-3m: a and b alike, c and d alike with one S each where pyxtal lists them; P-1: eight inversions and the rest."""
    cubic = site_classes(221)
    assert sum(cubic.capacity[cubic.capacity < NO_LIMIT]) == 4
    assert sorted(cubic.multiplicity[cubic.capacity < NO_LIMIT])[:1] == [1]
    triclinic = site_classes(2)
    assert triclinic.multiplicity.tolist() in ([1, 2], [2, 1])
    assert dict(zip(triclinic.multiplicity.tolist(), triclinic.capacity.tolist(), strict=True)) == {1: 8, 2: NO_LIMIT}


def best_score(classes, counts, type_scores, site_scores, max_atoms):
    """Largest summed score over all assignments; -inf where there is none."""
    m, e = type_scores.shape
    best = -np.inf
    choices = list(itertools.product(range(e), range(len(classes.capacity))))
    for assigned in itertools.product(choices, repeat=m):
        used = Counter(kind for _, kind in assigned)
        if any(number > classes.capacity[kind] for kind, number in used.items()):
            continue
        atoms = [sum(int(classes.multiplicity[kind]) for element, kind in assigned if element == i) for i in range(e)]
        units = atoms[0] // counts[0]
        if units < 1 or sum(atoms) > max_atoms or any(a != units * c for a, c in zip(atoms, counts, strict=True)):
            continue
        best = max(best, sum(type_scores[i, el] + site_scores[i, kind] for i, (el, kind) in enumerate(assigned)))
    return best


@settings(max_examples=15, deadline=None)
@given(
    number=st.sampled_from([2, 47, 123, 221, 225]),
    counts=st.sampled_from([(1, 1), (1, 2), (1, 3)]),
    m=st.integers(2, 3),
    seed=st.integers(0, 10**6),
)
def test_the_best_placement_is_that_of_brute_force(number, counts, m, seed):
    rng = np.random.default_rng(seed)
    whole = site_classes(number)
    keep = np.sort(rng.permutation(len(whole.capacity))[:5])
    classes = SiteClasses(*(values[keep] for values in whole))
    type_scores, site_scores = -rng.exponential(3, (m, 2)), -rng.exponential(5, (m, len(keep)))
    best = best_score(classes, counts, type_scores, site_scores, 24)
    possible = classes.fitter().possible_orbits(counts, max_orbits=m, max_atoms=24)
    if not np.isfinite(best):
        assert not possible[m]
        with pytest.raises(InputError, match="cannot be placed"):
            place(classes, counts, type_scores, site_scores, max_atoms=24)
        return
    assert possible[m]
    found = place(classes, counts, type_scores, site_scores, max_atoms=24)
    score = type_scores[np.arange(m), found.element].sum() + site_scores[np.arange(m), found.site_class].sum()
    assert score == pytest.approx(best, abs=1e-9)
    assert found.lost == pytest.approx((type_scores.max(1) + site_scores.max(1)).sum() - best, abs=1e-9)


def test_atoms_have_no_positions_to_fill():
    possible = ATOMS.fitter().possible_orbits((1, 2), max_orbits=10, max_atoms=10)
    assert np.flatnonzero(possible).tolist() == [3, 6, 9]
    placed = place(ATOMS, (1, 2), np.zeros((6, 2)), np.zeros((6, 1)), max_atoms=9, units=(2, 9))
    assert np.bincount(placed.element).tolist() == [2, 4]
    with pytest.raises(InputError, match="cannot be placed"):
        place(ATOMS, (1, 2), np.zeros((6, 2)), np.zeros((6, 1)), max_atoms=9, units=(1, 3))
