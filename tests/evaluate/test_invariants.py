"""Average minimum distances and pointwise distance distributions, against brute force, known lattices and their own theorems."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from symjax.crystals.types import AtomicStructure
from symjax.evaluate import invariants
from symjax.evaluate.invariants import amd, earth_movers, nearest, nearest_pdd, pdd, spread
from symjax.evaluate.run import Options, evaluate
from symjax.evaluate.sources import from_cells

K = 60


def brute(cell, k=K, reach=9):
    """Sorted distances to everything within a large box of cells."""
    shifts = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3))) @ cell.L
    places = (cell.x - np.floor(cell.x)) @ cell.L
    return np.array(
        [np.sort(np.linalg.norm(places - one + shifts[:, None], axis=-1).ravel())[1 : k + 1] for one in places]
    )


def crystals(num=7, seed=3):
    """Skewed, flat and cubic cells of one to six atoms, some outside the first cell."""
    generator = np.random.default_rng(seed)
    made = []
    for i in range(num):
        L = 4 * np.eye(3) + generator.normal(size=(3, 3)) + np.diag([0, 0, 6.0 * (i == 2)])
        made.append(AtomicStructure(L, np.arange(1 + i % 6) + 3, 3 * generator.normal(size=(1 + i % 6, 3))))
    return made


CELLS = crystals()


def test_against_brute_force():
    """Every distance of every atom, one program for many crystals; the mean of the rows is the AMD. Others come back empty."""
    nothing = AtomicStructure(np.zeros((3, 3)), [3], [[0, 0, 0]])
    found = pdd([None, *CELLS, nothing], K)
    assert found[0] is None and found[-1] is None
    for cell, rows in zip(CELLS, found[1:-1]):
        np.testing.assert_allclose(rows, brute(cell), atol=1e-5)
    means = amd([None, *CELLS, nothing], K)
    assert np.isnan(means[[0, -1]]).all()
    np.testing.assert_allclose(means[1:-1], [brute(cell).mean(axis=0) for cell in CELLS], atol=1e-5)
    programs = invariants._distances._cache_size()
    pdd([CELLS[1], *CELLS], K)
    assert invariants._distances._cache_size() <= programs + 1  # a batch of another size at most


def test_known_lattice():
    """Shells of the simple cubic lattice: 6, 12, 8, 6, 24, 24 neighbours at the roots of 1, 2, 3, 4, 5, 6."""
    shells = np.repeat(np.sqrt([1, 2, 3, 4, 5, 6]), [6, 12, 8, 6, 24, 24])
    cube = AtomicStructure(2 * np.eye(3), [84], [[0.3, 0.1, 0.9]])
    np.testing.assert_allclose(amd([cube], 80)[0], 2 * shells, atol=1e-5)


@pytest.mark.parametrize("place", [3, 5])
def test_cell_and_origin_do_not_matter(place):
    """Another basis, a supercell, a shift and another order of atoms change nothing."""
    cell = CELLS[place]
    basis = np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]])
    skewed = AtomicStructure(basis @ cell.L, cell.z, (cell.x + [0.3, 0.2, 0.7])[::-1] @ np.linalg.inv(basis))
    double = AtomicStructure(
        np.diag([2, 1, 1]) @ cell.L, np.tile(cell.z, 2), np.concatenate([cell.x, cell.x + [1, 0, 0]]) / [2, 1, 1]
    )
    base = amd([cell, skewed, double], K)
    np.testing.assert_allclose(base, base[[0, 0, 0]], atol=1e-5)


def test_moved_atoms():
    """Atoms that move by at most e change each entry by at most 2 e, and the earth mover's distance by no more."""
    cell, step = CELLS[5], 0.05
    moves = np.random.default_rng(0).normal(size=cell.x.shape)
    moves *= step / np.linalg.norm(moves, axis=1, keepdims=True)
    rows = pdd([cell, AtomicStructure(cell.L, cell.z, cell.x + moves @ np.linalg.inv(cell.L))], K)
    assert earth_movers(rows[0], rows[1]) <= 2 * step + 1e-5
    assert np.abs(rows[0] - rows[1]).max() <= 2 * step + 1e-5


def test_earth_movers_distance():
    """Equal to the linear programme, for few rows and for numbers without a small common multiple; at least the AMDs' distance."""
    generator = np.random.default_rng(1)
    for num, other in ((3, 4), (17, 19)):
        a, b = np.sort(generator.random((num, 8))), np.sort(generator.random((other, 8)))
        cost = np.abs(a[:, None] - b[None]).max(axis=-1)
        flows = np.zeros((num + other, num * other))
        for i, j in itertools.product(range(num), range(other)):
            flows[i, i * other + j] = flows[num + j, i * other + j] = 1
        weights = np.concatenate([np.full(num, 1 / num), np.full(other, 1 / other)])
        best = linprog(cost.ravel(), A_eq=flows, b_eq=weights).fun
        assert earth_movers(a, b) == pytest.approx(best, abs=1e-9)
        assert earth_movers(a, b) >= np.abs(a.mean(axis=0) - b.mean(axis=0)).max() - 1e-9
    assert earth_movers(a, np.concatenate([a, a])) == pytest.approx(0, abs=1e-9)


def test_nearest_is_the_nearest():
    """The search that leaves out what is too far gives what looking at all gives."""
    generator = np.random.default_rng(2)
    ours, theirs = np.sort(generator.random((20, 6))), np.sort(generator.random((400, 6)))
    theirs[7] = np.nan
    every = np.abs(ours[:, None] - theirs[None]).max(axis=-1)
    np.testing.assert_allclose(nearest(ours, theirs), np.nanmin(every, axis=1), atol=1e-6)
    assert np.isnan(nearest(ours, theirs[7:8])).all()
    np.testing.assert_allclose(spread(ours), np.abs(ours[:, None] - ours).max(axis=-1))
    rows = pdd(CELLS, K)
    for sample in rows[:2]:
        others = rows[2:]
        known = np.array([other.mean(axis=0) for other in others])
        assert nearest_pdd(sample, others, known) == min(earth_movers(sample, other) for other in others)


def test_against_the_package():
    """The distances of `average-minimum-distance`, where it is installed."""
    package = pytest.importorskip("amd")
    for cell, rows in zip(CELLS, pdd(CELLS, K)):
        periodic = package.PeriodicSet(cell.wrapped().x @ cell.L, cell.L)
        theirs = package.PDD(periodic, K, collapse=False)[:, 1:]
        np.testing.assert_allclose(rows[np.lexsort(rows.T[::-1])], theirs, atol=2e-5)
        np.testing.assert_allclose(rows.mean(axis=0), package.AMD(periodic, K), atol=1e-5)


def test_figures():
    """Training crystals are at distance 0 of train; crystals twice as large are far; diversity is that of the set."""
    large = [AtomicStructure(2 * cell.L, cell.z, cell.x) for cell in CELLS]
    options = Options(metrics="invariants", processes=1, draws=39)
    same = evaluate(from_cells(CELLS[:4]), from_cells(CELLS), from_cells(CELLS), options)
    assert same["invariants.novelty"].value == pytest.approx(0, abs=1e-5)
    assert same["invariants.novelty_pdd"].value == pytest.approx(0, abs=1e-5)
    far = evaluate(from_cells(large), from_cells(CELLS), from_cells(CELLS), options)
    assert far["invariants.novelty"].value > 1 and far["invariants.novelty"].p < 0.1
    assert far["invariants.novelty_pdd"].value >= far["invariants.novelty"].value - 1e-5
    expected = spread(amd(large))
    assert far["invariants.diversity"].value == pytest.approx(expected.sum() / (len(large) * (len(large) - 1)))
