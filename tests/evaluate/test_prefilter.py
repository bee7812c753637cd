"""The pairs that are left out are ones that StructureMatcher does not match, and nothing else changes."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.evaluate import matching
from symjax.evaluate.matching import DEFAULT, LOOSE, unique_and_novel
from symjax.evaluate.prefilter import lattice_fits, may_match, reduced

DATA = Path(__file__).parents[3] / "shared" / "data" / "mp20" / "test.csv.gz"


def plain_flags(samples, reference):
    """Unique and novel by the matcher alone, every pair of equal formulas put to it, nothing prepared."""
    matcher = matching._matcher(DEFAULT)
    structures = [to_pymatgen(cell) for cell in samples]
    known = [to_pymatgen(cell) for cell in reference]

    def same(a, b):
        return a.composition.reduced_formula == b.composition.reduced_formula and matcher.fit(a, b)

    classes = []
    for i, structure in enumerate(structures):
        firsts = [j for j in range(i) if classes[j] == j]
        classes.append(next((j for j in firsts if same(structure, structures[j])), i))
    novel = [not any(same(structure, other) for other in known) for structure in structures]
    return [c == i for i, c in enumerate(classes)], novel


def polymorphs(seed=0):
    """Many crystals of one formula: five structure types, strained and shaken to both sides of the matcher's tolerances."""
    generator = np.random.default_rng(seed)
    bases = [
        ([[0, 2, 2], [2, 0, 2], [2, 2, 0]], [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 3]], [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        ([[0, 2, 2], [2, 0, 2], [2, 2, 0]], [11, 17], [[0, 0, 0], [0.25, 0.25, 0.25]]),
        (np.diag([3, 3, 5.2]), [11, 11, 17, 17], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0, 0.2], [0, 0.5, 0.8]]),
        (np.diag([3, 3.4, 4]), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.4]]),
    ]
    made = []
    for L, z, x in bases:
        for size in (0.01, 0.12, 0.3):
            strain = np.eye(3) + size * generator.normal(size=(3, 3))
            made.append(
                AtomicStructure(
                    np.array(L, float) @ strain, z, np.array(x) + size * 0.2 * generator.random((len(z), 3))
                )
            )
    return made


def test_same_answers():
    cells = polymorphs()
    found = unique_and_novel(cells, cells[::3], processes=1)
    unique, novel = plain_flags(cells, cells[::3])
    assert found.unique.tolist() == unique and found.novel.tolist() == novel
    assert 3 < sum(unique) < len(cells)  # both answers occur


def test_nothing_is_lost():
    """Whatever the filter leaves out, in either order and at both settings, the matcher does not match; and it leaves out many."""
    cells = [reduced(to_pymatgen(cell)) for cell in polymorphs(1)]
    left_out = 0
    for setting in (DEFAULT, LOOSE):
        matcher = matching._matcher(setting)
        for a, b in itertools.permutations(cells, 2):
            if not may_match(a, b, setting[0], setting[2]):
                left_out += 1
                assert not matcher.fit(a.structure, b.structure)
    assert left_out > 100


def test_lattices_are_judged_as_the_matcher_does():
    """The lattice rule is the existence of a mapping of pymatgen, also for bases that are not reduced."""
    from pymatgen.core import Lattice

    generator = np.random.default_rng(5)
    answers = []
    for i in range(18):
        L = generator.normal(size=(3, 3)) + 2 * np.eye(3)
        L /= np.abs(np.linalg.det(L)) ** (1 / 3)
        other = L @ (np.eye(3) + 0.02 * (i % 12) * generator.normal(size=(3, 3)))
        other /= np.abs(np.linalg.det(other)) ** (1 / 3)
        mappings = Lattice(L).find_all_mappings(Lattice(other), ltol=0.2, atol=5, skip_rotation_matrix=True)
        expected = any(abs(abs(np.linalg.det(scale)) - 1) <= 0.5 for _, _, scale in mappings)
        assert lattice_fits(L, other, 0.2, 5.0) == expected
        answers.append(expected)
    assert 3 < sum(answers) < 15


def test_minima():
    """The fcc lattice has three shortest vectors of equal length, and a long cell its own edges."""
    fcc = reduced(
        to_pymatgen(AtomicStructure(4.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2, [29], [[0, 0, 0]]))
    )
    np.testing.assert_allclose(fcc.minima, 2 ** (1 / 6) * np.ones(3))
    long = reduced(to_pymatgen(AtomicStructure(np.diag([2.0, 3.0, 9.0]), [29], [[0, 0, 0]])))
    np.testing.assert_allclose(long.minima, np.array([2, 3, 9]) / 54 ** (1 / 3))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the data beside the repository are not there")
def test_real_crystals():
    """Formulas with most crystals of MP-20's test set: the flags are those of the matcher on every pair."""
    from symjax.evaluate.sources import read_crystals

    cells = [cell for cell in read_crystals(str(DATA)).cells if cell is not None]
    groups = {}
    for cell in cells:
        groups.setdefault(cell.reduced, []).append(cell)
    chosen = [cell for group in sorted(groups.values(), key=len)[-12:] for cell in group if len(cell.z) <= 12]
    samples, reference = chosen[::2], chosen[1::2]
    found = unique_and_novel(samples, reference, processes=1)
    unique, novel = plain_flags(samples, reference)
    assert found.unique.tolist() == unique and found.novel.tolist() == novel
    assert len(samples) > 20 and not all(novel)
