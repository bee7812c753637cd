"""The reference check: figures on real crystals against computations written out here with other programs, to 1e-6.

Slow, and only where the data lie beside the repository. Crystals of MP-20's test file as samples (slightly shaken and a few
spoiled, so that validity is not all or nothing) against others of it.
"""

import csv
import gzip
from collections import Counter
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.evaluate.run import Options, evaluate
from symjax.evaluate.sources import from_cells, read_crystals

DATA = Path(__file__).parents[3] / "shared" / "data" / "mp20" / "test.csv.gz"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the data beside the repository are not there"),
]
NUM = 30


def spoiled(cells, seed=0):
    """Crystals shaken by 0.02 angstrom; of every ninth two atoms are put together."""
    generator = np.random.default_rng(seed)
    made = []
    for i, cell in enumerate(cells):
        x = cell.x + 0.02 * generator.normal(size=cell.x.shape) @ np.linalg.inv(cell.L)
        if i % 9 == 0 and len(x) > 1:
            x[1] = x[0] + np.array([0.1, 0, 0]) @ np.linalg.inv(cell.L)
        made.append(AtomicStructure(cell.L, cell.z, x))
    return made


def some_rows(folder, num):
    """A file of random rows of the data, so that not all of them are parsed."""
    with gzip.open(DATA, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[i] for i in np.random.default_rng(1).permutation(len(rows))[:num])
    return str(path)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    path = some_rows(tmp_path_factory.mktemp("rows"), 8 * NUM)
    cells = [cell for cell in read_crystals(path, processes=1).cells if cell is not None and len(cell.z) <= 10]
    order = np.arange(len(cells))
    samples = from_cells(spoiled([cells[i] for i in order[:NUM]]))
    reference = from_cells([cells[i] for i in order[NUM : 3 * NUM]])
    train = from_cells([cells[i] for i in order[: NUM // 3]])
    options = Options(metrics="symmcd,wyckoff_transformer,invariants,lemat", processes=1, draws=3)
    structures = [[to_pymatgen(cell) for cell in part.cells] for part in (samples, reference, train)]
    return evaluate(samples, reference, train, options), structures


def valid(structure):
    """CDVAE's rule on pymatgen's own distance matrix, with SymmCD's limit on edges."""
    away = structure.distance_matrix + 99 * np.eye(len(structure))
    return away.min() >= 0.5 and structure.volume >= 0.1 and max(structure.lattice.abc) <= 40


def numbers(structures, symprec=0.1):
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    found = []
    for structure in structures:
        try:
            found.append(SpacegroupAnalyzer(structure, symprec, 5).get_space_group_number())
        except Exception:
            found.append(1)
    return found


def jensen_shannon(a, b):
    """Root of the divergence, natural logarithm, from two lists."""
    p, q = ({k: v / len(side) for k, v in Counter(side).items()} for side in (a, b))
    total = 0.0
    for key in set(p) | set(q):
        x, y = p.get(key, 0.0), q.get(key, 0.0)
        m = (x + y) / 2
        total += (x * log(x / m) if x else 0.0) / 2 + (y * log(y / m) if y else 0.0) / 2
    return sqrt(total)


def test_validity_and_distances(sides):
    """Shares and Wasserstein distances of SymmCD's table 2 by pymatgen and scipy."""
    from scipy.stats import wasserstein_distance

    found, (samples, reference, _) = sides
    structural = np.array([valid(structure) for structure in samples])
    composition = found.study.samples.composition_valid()  # smact's rules have their own tests
    assert found["symmcd.structural_validity"].value == pytest.approx(structural.mean(), abs=1e-12)
    assert 0 < structural.mean() < 1
    both = structural & composition
    density, real = ([float(s.density) for s in side] for side in (samples, reference))
    expected = wasserstein_distance(np.array(density)[both], real)
    assert found["symmcd.wasserstein_density"].value == pytest.approx(expected, abs=1e-6)
    species, known = ([len(s.composition.elements) for s in side] for side in (samples, reference))
    expected = wasserstein_distance(np.array(species)[both], known)
    assert found["symmcd.wasserstein_elements"].value == pytest.approx(expected, abs=1e-9)


def test_space_groups(sides):
    """d_sg by the paper's words and by the public code's rule, with pymatgen's analyzer on the canonical order of atoms."""
    from symjax.evaluate.canonical import canonical

    found, _ = sides
    study = found.study
    cells = [[to_pymatgen(canonical(cell)) for cell in part.cells] for part in (study.samples, study.reference)]
    wide = [numbers(side) for side in cells]
    assert found["symmcd.d_sg_all"].value == pytest.approx(jensen_shannon(*wide), abs=1e-9)
    kept = [number for number, ok in zip(wide[0], study.samples.valid) if ok]
    tight = numbers(cells[1], 0.01)
    merged = [[min(number, 229) for number in side] for side in (kept, tight)]
    assert found["symmcd.d_sg"].value == pytest.approx(jensen_shannon(*merged), abs=1e-9)


def test_novelty_by_the_matcher(sides):
    """Unique and novel shares by StructureMatcher on every pair of equal formulas."""
    from pymatgen.core.structure_matcher import StructureMatcher

    found, (samples, _, train) = sides
    matcher = StructureMatcher()

    def same(a, b):
        return a.composition.reduced_formula == b.composition.reduced_formula and matcher.fit(a, b)

    firsts = []
    unique = []
    for structure in samples:
        unique.append(not any(same(structure, other) for other in firsts))
        firsts += [structure] * unique[-1]
    novel = [not any(same(structure, other) for other in train) for structure in samples]
    assert found["lemat.unique"].value == pytest.approx(np.mean(unique), abs=1e-12)
    assert found["lemat.novel"].value == pytest.approx(np.mean(novel), abs=1e-12)
    assert 0 < np.mean(novel) < 1


def test_statistics_of_table_1(sides):
    """KS lines by scipy, chi-squared written out, on the rows that WyckoffTransformer's table is over."""
    from scipy.stats import ks_2samp

    found, _ = sides
    study = found.study
    chosen = study.matched_genes.both & (study.samples.number > 0)
    for key, name in (("ks_sites", "sites"), ("ks_elements", "species"), ("ks_dof", "freedom")):
        ours, theirs = getattr(study.samples, name)[chosen], getattr(study.reference, name)[study.reference.number > 0]
        expected = ks_2samp(ours, theirs).statistic
        assert found[f"wyckoff_transformer.{key}"].value == pytest.approx(expected, abs=1e-9)
    share = Counter(study.reference.number.tolist())
    total = sum(share.values())
    ours = Counter(number for number in study.samples.number[chosen].tolist() if number in share)
    kept = sum(ours.values())
    expected = sum((ours[n] / kept - share[n] / total) ** 2 / (share[n] / total) for n in share)
    assert found["wyckoff_transformer.chi2_groups"].value == pytest.approx(expected, abs=1e-9)


def test_distance_to_train(sides):
    """Continuous novelty from pymatgen's own neighbour lists."""
    found, (samples, _, train) = sides

    def amd(structure, k=100):
        rows = []
        for site in structure:
            away = sorted(n.nn_distance for n in structure.get_neighbors(site, 16.0))
            rows.append(away[:k])
        return np.mean(rows, axis=0)

    few = samples[:12]
    known = np.array([amd(structure) for structure in train])
    expected = [np.abs(known - amd(structure)).max(axis=1).min() for structure in few]
    from symjax.evaluate import invariants

    study = found.study
    ours = invariants.nearest(invariants.amd(study.samples.cells[:12]), invariants.amd(study.train.cells))
    np.testing.assert_allclose(ours, expected, atol=1e-5)
