"""Coverage, diversity and moment discrepancy against literal computations and hand-made cases."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from symjax.errors import InputError
from symjax.evaluate import coverage as module
from symjax.evaluate.coverage import (
    CUTOFFS,
    central_moment_discrepancy,
    coverage,
    diversity,
    own_scaler,
    published_scaler,
    standardise,
)
from symjax.testing import shared_data


def clouds(num_gen=70, num_ref=90, seed=0):
    generator = np.random.default_rng(seed)
    shape = [(num_gen, 5), (num_gen, 7), (num_ref, 5), (num_ref, 7)]
    return [generator.normal(0, scale, size) for size, scale in zip(shape, [0.25, 4, 0.25, 4])]


def test_coverage_against_a_literal_computation():
    sg, cg, sr, cr = clouds()
    found = coverage(sg, cg, sr, cr, num_generated=75)
    s, c = cdist(sg, sr), cdist(cg, cr)
    near = [(s[i].min() <= 0.4, c[i].min() <= 10, ((s[i] <= 0.4) & (c[i] <= 10)).any()) for i in range(70)]
    back = [(s[:, j].min() <= 0.4, c[:, j].min() <= 10, ((s[:, j] <= 0.4) & (c[:, j] <= 10)).any()) for j in range(90)]
    assert found.precision == pytest.approx(sum(a and b for a, b, _ in near) / 75)
    assert found.recall == pytest.approx(sum(a and b for a, b, _ in back) / 90)
    assert found.precision_structure == pytest.approx(sum(a for a, _, _ in near) / 75)
    assert found.recall_composition == pytest.approx(sum(b for _, b, _ in back) / 90)
    assert found.precision_composition == pytest.approx(sum(b for _, b, _ in near) / 75)
    assert found.recall_structure == pytest.approx(sum(a for a, _, _ in back) / 90)
    assert found.precision_joint == pytest.approx(sum(both for _, _, both in near) / 75)
    assert found.recall_joint == pytest.approx(sum(both for _, _, both in back) / 90)
    assert found.amsd_precision == pytest.approx(s.min(axis=1).mean()) and found.amsd_recall == pytest.approx(
        s.min(axis=0).mean()
    )
    assert found.amcd_precision == pytest.approx(c.min(axis=1).mean()) and found.amcd_recall == pytest.approx(
        c.min(axis=0).mean()
    )
    assert (
        0 < found.precision_joint < found.precision < 1 and 0 < found.recall_joint < found.recall < 1
    )  # the case can fail
    assert (found.num_generated, found.num_reference) == (75, 90)
    assert found.covered_generated.sum() == round(75 * found.precision)
    assert found.covered_reference.sum() == round(90 * found.recall)


def test_blocks_do_not_matter(monkeypatch):
    sg, cg, sr, cr = clouds()
    whole = coverage(sg, cg, sr, cr, num_generated=70), diversity(sg)
    monkeypatch.setattr(module, "_BLOCK", 16)
    assert coverage(sg, cg, sr, cr, num_generated=70) == whole[0]
    assert diversity(sg) == pytest.approx(whole[1], rel=1e-12)


def test_a_set_covers_itself():
    _, _, s, c = clouds()
    found = coverage(s, c, s, c, num_generated=90, structure_cutoff=0.0, composition_cutoff=0.0)
    assert found.recall == found.precision == found.recall_joint == found.precision_joint == 1.0
    assert found.amsd_recall == found.amcd_precision == 0.0


def test_failed_crystals_lower_precision_alone():
    _, _, s, c = clouds()
    found = coverage(s, c, s, c, num_generated=180)
    assert found.precision == 0.5 and found.recall == 1.0
    assert coverage(s, c, s, c, num_generated=90, num_reference=120).recall == 0.75


def test_partners_may_differ_unless_joint():
    """Structure near one reference crystal, composition near another: covered by the published rule, not jointly."""
    found = coverage([[0.0]], [[0.0]], [[0.0], [9.0]], [[99.0], [0.0]], num_generated=1)
    assert (found.precision, found.precision_joint) == (1.0, 0.0)
    assert (found.recall, found.recall_joint) == (0.0, 0.0)
    assert (found.recall_structure, found.recall_composition) == (0.5, 0.5)


def test_a_distance_equal_to_the_cutoff_passes():
    assert (
        coverage(
            [[0.5]], [[4.0]], [[0.0]], [[0.0]], num_generated=1, structure_cutoff=0.5, composition_cutoff=4
        ).precision
        == 1
    )
    assert (
        coverage(
            [[0.5]], [[4.0]], [[0.0]], [[0.0]], num_generated=1, structure_cutoff=0.5, composition_cutoff=3
        ).precision
        == 0
    )


def test_more_samples_never_cover_less():
    sg, cg, sr, cr = clouds()
    few, many = (coverage(sg[:n], cg[:n], sr, cr, num_generated=n) for n in (20, 70))
    assert few.recall < many.recall
    assert (many.covered_reference >= few.covered_reference).all()


def test_nothing_generated():
    _, _, s, c = clouds()
    found = coverage(np.zeros((0, 5)), np.zeros((0, 7)), s, c, num_generated=10)
    assert found.recall == found.precision == 0.0 and np.isnan(found.amsd_recall) and np.isnan(found.amsd_precision)
    assert np.isnan(coverage(np.zeros((0, 5)), np.zeros((0, 7)), s, c, num_generated=0).precision)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_generated": 5}, "5 generated"),
        ({"num_reference": 5}, "5 reference"),
        ({"structure_gen": np.zeros((70, 4))}, "do not fit"),
        ({"composition_gen": np.zeros((69, 7))}, "same crystals"),
        ({"composition_ref": np.full((90, 7), np.nan)}, "finite"),
        ({"structure_ref": np.zeros((0, 5)), "composition_ref": np.zeros((0, 7))}, "do not fit"),
    ],
)
def test_wrong_input_is_refused(change, message):
    names = ["structure_gen", "composition_gen", "structure_ref", "composition_ref"]
    given = dict(zip(names, clouds())) | {"num_generated": 70} | change
    with pytest.raises(InputError, match=message):
        coverage(*[given.pop(name) for name in names], **given)


def test_cutoffs_of_the_families():
    assert CUTOFFS == {"mp20": (0.4, 10.0), "carbon": (0.2, 4.0), "perovskite": (0.2, 4.0)}


def test_published_scaler_is_consistent():
    """22 properties times (minimum, maximum, range, mean, deviation, mode): ranges are differences, means lie between."""
    means, sds = published_scaler()
    assert means.shape == sds.shape == (132,) and (sds > 0).all()
    low, high, span, mean, _, mode = means.reshape(22, 6).T
    np.testing.assert_allclose(high - low, span, atol=1e-9)
    assert ((low < mean) & (mean < high) & (low < mode) & (mode < high)).all()
    means[:] = 0
    assert published_scaler()[0].all()


def test_published_scaler_fits_the_order_of_the_features():
    """Compositions drawn from many elements have means and deviations like those published, property by property."""
    from symjax.evaluate.fingerprints import composition_fingerprint

    generator = np.random.default_rng(0)
    elements = [
        3,
        6,
        7,
        8,
        8,
        9,
        11,
        12,
        13,
        14,
        15,
        16,
        17,
        20,
        22,
        26,
        28,
        29,
        30,
        34,
        38,
        40,
        47,
        49,
        51,
        56,
        57,
        65,
        79,
        82,
    ]
    drawn = [sorted(generator.choice(elements, 3, replace=False)) for _ in range(150)]
    rows = np.array(
        [composition_fingerprint(tuple((int(z), int(generator.integers(1, 4))) for z in set(zs))) for zs in drawn]
    )
    scaled = standardise(rows)
    assert np.abs(scaled.mean(axis=0)).max() < 1.5
    assert np.median(np.abs(scaled.mean(axis=0))) < 0.4
    assert 0.5 < np.median(scaled.std(axis=0)) < 1.6


def test_standardise():
    rows = np.array([[1.0, 2.0, 7.0], [3.0, np.nan, 7.0], [5.0, 6.0, 7.0]])
    means, sds = own_scaler(rows)
    np.testing.assert_allclose(means, [3, 4, 7])
    np.testing.assert_allclose(sds, [np.sqrt(8 / 3), 2, 0])
    np.testing.assert_allclose(standardise(rows, means, sds)[:, 1:], [[-1, 0], [0, 0], [1, 0]])
    for wrong in [{"means": means}, {"sds": sds}, {"means": means[:2], "sds": sds[:2]}, {}]:
        with pytest.raises(InputError):
            standardise(rows, **wrong)
    with pytest.raises(InputError):
        own_scaler(np.zeros((0, 3)))


def test_diversity_is_the_mean_of_all_pairs():
    rows = np.random.default_rng(0).normal(size=(1100, 6))
    assert diversity(rows) == pytest.approx(pdist(rows).mean(), rel=1e-12)
    assert diversity(np.array([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(5.0)
    assert np.isnan(diversity(rows[:1]))
    with pytest.raises(InputError):
        diversity(np.array([[0.0], [np.nan]]))


def test_moment_discrepancy_by_hand():
    """Coin 0 or 1 against always 1/2: equal means; even central moments 4^-j against 0; their sum is (1 - 4^-25) / 3."""
    coin, half = np.array([[0.0], [1.0]]), np.array([[0.5]])
    assert central_moment_discrepancy(coin, half) == pytest.approx((1 - 0.25**25) / 3, rel=1e-12)
    assert central_moment_discrepancy(coin, half, moments=1) == 0.0
    assert central_moment_discrepancy(coin, half, moments=3) == pytest.approx(0.25)
    assert central_moment_discrepancy(coin, half, moments=4, bounds=(-1, 1)) == pytest.approx(0.25 / 4 + 0.0625 / 16)
    assert central_moment_discrepancy(coin, coin + 0.3) == pytest.approx(0.3)


def test_moment_discrepancy_of_sets():
    generator = np.random.default_rng(0)
    x, y = generator.random((300, 4)), generator.random((400, 4))
    literal = np.linalg.norm(x.mean(axis=0) - y.mean(axis=0))
    for k in range(2, 51):
        moments = [((s - s.mean(axis=0)) ** k).mean(axis=0) for s in (x, y)]
        literal += np.linalg.norm(moments[0] - moments[1])
    assert central_moment_discrepancy(x, y) == pytest.approx(literal, rel=1e-10)
    assert central_moment_discrepancy(x, x) == 0.0
    assert central_moment_discrepancy(x, y) == pytest.approx(central_moment_discrepancy(y, x), rel=1e-12)
    assert central_moment_discrepancy(x, np.concatenate([x, x])) == pytest.approx(0.0, abs=1e-12)
    assert central_moment_discrepancy(x, x**2) > 3 * central_moment_discrepancy(x, y)


@pytest.mark.parametrize(
    "change", [{"bounds": (1, 1)}, {"moments": 0}, {"y": np.zeros((3, 2))}, {"y": np.full((3, 1), np.inf)}]
)
def test_moment_discrepancy_refuses(change):
    given = {"x": np.zeros((2, 1)), "y": np.ones((2, 1))} | change
    with pytest.raises(InputError):
        central_moment_discrepancy(**given)


@pytest.mark.slow
def test_real_crystals_have_the_published_scale():
    """Two times 200 real crystals: coverage as noted for real data at such sizes, diversities and CMD as in published tables."""
    source = shared_data("mp20_open/test.csv.gz")
    if source is None:
        pytest.skip("needs the shared data set mp20_open")
    from symjax.evaluate.fingerprints import composition_fingerprint, structure_fingerprint
    from symjax.evaluate.sources import read_crystals

    cells = [cell for cell in read_crystals(source).cells if cell is not None]
    chosen = [cells[i] for i in np.random.default_rng(0).permutation(len(cells))[:400]]
    structure = np.array([structure_fingerprint(cell) for cell in chosen])
    composition = standardise(np.array([composition_fingerprint(cell.reduced) for cell in chosen]))
    found = coverage(structure[:200], composition[:200], structure[200:], composition[200:], num_generated=200)
    assert 0.7 < found.recall < 0.95 and 0.7 < found.precision < 0.95
    assert found.recall_joint < 0.75
    assert 0.9 < diversity(structure) < 1.1
    assert 14.5 < diversity(composition) < 16.5
    assert 0.1 < central_moment_discrepancy(structure[:200], structure[200:]) < 0.4
