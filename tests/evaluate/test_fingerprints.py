"""Fingerprints against matminer, their invariance, and crystals for which there is none."""

import json
import warnings

import numpy as np
import pytest

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.evaluate import fingerprints
from symjax.evaluate.crystalnn import angles, order_parameter
from symjax.evaluate.fingerprints import (
    composition_fingerprint,
    composition_names,
    fingerprint_stage,
    structure_fingerprint,
    structure_names,
)
from symjax.testing import shared_data

FACE = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = "body-centered cubic CN_8"


def rock_salt():
    return AtomicStructure(5.64 * np.eye(3), [11] * 4 + [17] * 4, np.concatenate([FACE, FACE + 0.5]))


def distorted():
    """Eight atoms of three elements with no symmetry."""
    generator = np.random.default_rng(3)
    lattice = np.array([[4.9, 0, 0], [0.4, 5.3, 0], [-0.7, 0.3, 5.8]])
    grid = np.stack(np.meshgrid([0, 0.5], [0, 0.5], [0, 0.5]), -1).reshape(-1, 3)
    return AtomicStructure(lattice, [22, 8, 8, 56, 8, 22, 56, 8], grid + generator.normal(0, 0.02, grid.shape))


def every_atom(cell):
    """(n, 61) matminer as it is."""
    from matminer.featurizers.site import CrystalNNFingerprint

    featurizer, structure = CrystalNNFingerprint.from_preset("ops"), to_pymatgen(cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([featurizer.featurize(structure, index) for index in range(len(structure))])


def apart(a, b):
    """Largest difference, and the same without the number that depends on the order of neighbours."""
    difference = np.abs(np.asarray(a) - np.asarray(b))
    return difference.max(), np.delete(difference, structure_names().index(BCC)).max()


@pytest.mark.parametrize("name", ["rock_salt", "distorted"])
def test_matminer_on_made_crystals(name):
    cell = globals()[name]()
    np.testing.assert_allclose(structure_fingerprint(cell), every_atom(cell).mean(axis=0), atol=1e-9)


class Place:
    """The one thing of a site that pymatgen's order parameters look at."""

    def __init__(self, coords):
        self.coords = np.asarray(coords, float)


def arrangement(name, number, generator):
    """(number, 3) vectors: anywhere, at cube corners, edges and faces exactly, or nearly so."""
    if name == "anywhere":
        return generator.normal(size=(number, 3))
    grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), -1).reshape(-1, 3)
    grid = grid[np.abs(grid).sum(axis=1) > 0]
    chosen = grid[generator.permutation(26)[:number]]
    return chosen if name == "cubic" else chosen + generator.normal(0, 0.05, chosen.shape)


@pytest.mark.parametrize("name", ["anywhere", "cubic", "nearly cubic"])
def test_order_parameters_are_pymatgens(name):
    """Every kind at every coordination number; those left to pymatgen are left because an angle sits on a jump."""
    generator = np.random.default_rng(2)
    met, left = set(), set()
    for number, items in fingerprints._parameters().items():
        for _ in range(6 if number < 13 else 0):
            away = arrangement(name, number, generator)
            found, sites = angles(away), [Place([0, 0, 0])] + [Place(vector) for vector in away]
            for kind, parameters, reference in items[1:]:
                value = order_parameter(kind, parameters, found, np.linalg.norm(away, axis=1))
                if value is None:
                    left.add(kind)
                    continue
                expected = reference.get_order_parameters(sites, 0, indices_neighs=list(range(1, number + 1)))[0] or 0.0
                assert value == pytest.approx(expected, abs=1e-10), (kind, number)
                met.add(kind)
    kinds = {kind for items in fingerprints._parameters().values() for kind, _, _ in items} - {"wt"}
    jumps = {"bcc", "see_saw_rect", "tri_bipyr", "pent_bipyr", "hex_bipyr", "oct_max", "sq_plan_max"}
    assert met | left == kinds
    assert left <= jumps and (left if name == "cubic" else not left)


def test_weights_half_way_between_roundings():
    """A Chevrel phase (Er Mo6 S8) in which a weight is 0.8835: six equivalent atoms, three roundings up and three down."""
    edges = [[6.495298165196388, 0, 0.05458249218086238], [0.05412575413553074, 6.495072644516212, 0.05458249218086238]]
    mo, s = np.array([0.776918, 0.580279, 0.439909]), np.array([0.248164, 0.632338, 0.872009])
    turned = [np.roll(x, k) for x in (mo, 1 - mo, s, 1 - s) for k in range(3)]
    cell = AtomicStructure(
        [*edges, [0, 0, 6.49552686]],
        [68, 16, 16] + [42] * 6 + [16] * 6,
        [[0, 0, 0], *[[x] * 3 for x in (0.762956, 0.237044)], *turned],
    )
    rows = every_atom(cell)
    assert 1e-4 < np.ptp(rows[9:], axis=0).max() < 2e-3
    assert np.ptp(rows[3:9], axis=0).max() < 1e-6
    assert apart(structure_fingerprint(cell), rows.mean(axis=0))[0] < 5e-4


@pytest.mark.parametrize("formula", ["Al8 Cu4", "U8 Co8", "Zn3 Ag6"])
def test_matminer_where_the_order_of_neighbours_matters(prototype_dataset, formula):
    """Atoms of one orbit differ in one number, by pymatgen's order of neighbours alone; the mean over atoms is still met."""
    cells = (prototype_dataset.atoms(index) for index in range(len(prototype_dataset)))
    cell = next(cell for cell in cells if to_pymatgen(cell).formula == formula)
    rows = every_atom(cell)
    orbits = [rows[cell.orbit == orbit] for orbit in np.unique(cell.orbit)]
    every, others = np.max([apart(rows.max(axis=0), rows.min(axis=0)) for rows in orbits], axis=0)
    assert every > 1e-5 and others < 1e-9
    assert apart(structure_fingerprint(cell), rows.mean(axis=0))[0] < 1e-9


def test_values_of_rock_salt():
    """Both atoms are octahedral: weight of six neighbours near 1, and the octahedral number equal to it."""
    numbers = dict(zip(structure_names(), structure_fingerprint(rock_salt())))
    assert numbers["wt CN_6"] == pytest.approx(numbers["octahedral CN_6"], rel=1e-6)
    assert numbers["wt CN_6"] > 0.95
    assert sum(value for name, value in numbers.items() if name.startswith("wt")) <= 1 + 1e-9


def test_one_atom_of_each_orbit(monkeypatch):
    """Speed rests on it: eight atoms of two kinds are two Voronoi constructions."""
    asked = []
    real = fingerprints._neighbours
    monkeypatch.setattr(
        fingerprints, "_neighbours", lambda structure, index: asked.append(index) or real(structure, index)
    )
    structure_fingerprint(rock_salt())
    assert len(asked) == 2
    structure_fingerprint(distorted())
    assert len(asked) == 2 + 8


def test_operations_of_the_cell_do_not_matter():
    """The cache knows crystals by their atoms alone; wrong orbits must not change a number."""
    cell = distorted()
    lying = AtomicStructure(L=cell.L, z=cell.z, x=cell.x, orbit=np.zeros(8, np.int64), W=cell.W, w=cell.w)
    assert np.array_equal(structure_fingerprint(lying), structure_fingerprint(cell))


def changed(cell, how):
    generator = np.random.default_rng(1)
    if how == "order":
        order = generator.permutation(len(cell.z))
        return AtomicStructure(cell.L, cell.z[order], cell.x[order])
    if how == "origin":
        return AtomicStructure(cell.L, cell.z, cell.x + [0.213, 0.671, 0.337])
    if how == "turned":
        turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        return AtomicStructure(cell.L @ turn, cell.z, cell.x)
    if how == "basis":
        basis = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]])
        return AtomicStructure(basis @ cell.L, cell.z, cell.x @ np.linalg.inv(basis))
    doubled = np.concatenate([cell.x * [1, 1, 0.5], cell.x * [1, 1, 0.5] + [0, 0, 0.5]])
    return AtomicStructure(cell.L * [[1], [1], [2]], np.tile(cell.z, 2), doubled)


@pytest.mark.parametrize("how", ["order", "origin", "turned", "basis", "supercell"])
@pytest.mark.parametrize("name", ["rock_salt", "distorted"])
def test_same_crystal_same_fingerprint(name, how):
    cell = globals()[name]()
    every, others = apart(structure_fingerprint(changed(cell, how)), structure_fingerprint(cell))
    assert others < 1e-6
    assert every < 2e-3


def test_small_and_sparse_crystals():
    assert structure_fingerprint(AtomicStructure(3.35 * np.eye(3), [84], [[0, 0, 0]])).sum() > 1
    assert not structure_fingerprint(
        AtomicStructure(30 * np.eye(3), [10], [[0, 0, 0]])
    ).any()  # beyond every distance cutoff
    numbers = dict(
        zip(
            structure_names(),
            structure_fingerprint(AtomicStructure(20 * np.eye(3), [1, 1], [[0, 0, 0], [0.037, 0, 0]])),
        )
    )
    assert numbers["wt CN_1"] == pytest.approx(1) and numbers["sgl_bd CN_1"] == pytest.approx(1)
    assert np.isfinite(structure_fingerprint(AtomicStructure(np.diag([3, 3, 40.0]), [29], [[0, 0, 0]]))).all()


CLOUD = np.random.default_rng(0).random((20, 3))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (AtomicStructure(4 * np.eye(3), [100], [[0, 0, 0]]), "radius"),
        (AtomicStructure(4 * np.eye(3), [0], [[0, 0, 0]]), "no structure"),
        (AtomicStructure(np.zeros((3, 3)), [11], [[0, 0, 0]]), "volume"),
        (AtomicStructure(np.full((3, 3), np.nan), [11], [[0, 0, 0]]), "finite"),
        (AtomicStructure(np.eye(3), [], np.zeros((0, 3))), "atoms"),
        (AtomicStructure(0.5 * np.eye(3), [6] * 20, CLOUD), "dense"),
        (AtomicStructure(np.diag([2, 2, 300.0]), [6] * 20, CLOUD * [1, 1, 0.05]), "empty"),
    ],
)
def test_failures_have_a_reason(cell, reason):
    assert reason in fingerprint_stage(cell)["error"]
    with pytest.raises(InputError, match=reason):
        structure_fingerprint(cell)


def test_stage_is_json():
    row = fingerprint_stage(AtomicStructure(3 * np.eye(3), [2], [[0, 0, 0]]))
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert len(row["structure"]) == fingerprints.NUM_STRUCTURE == len(structure_names())
    assert len(row["composition"]) == fingerprints.NUM_COMPOSITION == len(composition_names())
    assert sum(value is None for value in row["composition"]) == 12  # elemental helium: missing, not imputed


def test_magpie_by_hand():
    numbers = dict(zip(composition_names(), composition_fingerprint(((8, 3), (13, 2)))))
    mean = (3 * 8 + 2 * 13) / 5
    assert numbers["MagpieData minimum Number"] == 8 and numbers["MagpieData maximum Number"] == 13
    assert numbers["MagpieData range Number"] == 5 and numbers["MagpieData mode Number"] == 8
    assert numbers["MagpieData mean Number"] == pytest.approx(mean)
    assert numbers["MagpieData avg_dev Number"] == pytest.approx((3 * (mean - 8) + 2 * (13 - mean)) / 5)


def test_magpie_is_matminers():
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition

    expected = ElementProperty.from_preset("magpie", impute_nan=False).featurize(Composition("BaTiO3"))
    np.testing.assert_allclose(composition_fingerprint(((8, 3), (22, 1), (56, 1))), expected, atol=1e-9)
    np.testing.assert_allclose(composition_fingerprint(((8, 6), (22, 2), (56, 2))), expected, atol=1e-9)


@pytest.mark.parametrize("reduced", [(), ((0, 1),), ((150, 1),)])
def test_no_composition(reduced):
    with pytest.raises(InputError, match="composition"):
        composition_fingerprint(reduced)


@pytest.mark.slow
def test_matminer_on_real_crystals():
    """100 crystals of the test set as read from its file, every atom; all within rounding."""
    source = shared_data("mp20_open/test.csv.gz")
    if source is None:
        pytest.skip("needs the shared data set mp20_open")
    from symjax.evaluate.sources import read_crystals

    cells = [cell for cell in read_crystals(source, processes=1).cells if cell is not None]
    chosen = np.random.default_rng(0).permutation(len(cells))[:100]
    worst = [np.abs(structure_fingerprint(cells[i]) - every_atom(cells[i]).mean(axis=0)).max() for i in chosen]
    assert max(worst) < 1e-6
