"""Exact crystals keep their group in whatever cell, orientation and origin they are given."""

import itertools

import numpy as np
import pytest

from symjax.crystals import AtomicStructure
from symjax.crystals.io import read_cif
from symjax.data.prototypes import prototype_rows
from symjax.data.rows import parse_row, reduced_formula
from symjax.data.standardize import standardize, to_crystal
from symjax.testing import shared_data
from tests.crystals.test_cif_symmetry import cif

CELLS = [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 1), (1, 2, 2), (2, 1, 2), (2, 2, 2)]


def summary(structure, tolerance):
    """Group, composition, volume per atom."""
    result = standardize(structure, tolerance)
    crystal = to_crystal(result)
    assert result.symprec == tolerance
    return (
        result.number,
        reduced_formula(np.repeat(crystal.z, crystal.multiplicity)),
        pytest.approx(abs(np.linalg.det(crystal.L)) / crystal.num_atoms, rel=1e-6),
    )


def supercell(structure, m):
    shifts = np.array(list(itertools.product(*map(range, m))), float)
    x = (structure.x[:, None] + shifts).reshape(-1, 3) / m
    return AtomicStructure(L=np.diag(m) @ structure.L, z=np.repeat(structure.z, len(shifts)), x=x)


def scrambled(structure, rng):
    """Another basis of the same lattice, turned, from another origin, atoms in another order."""
    P = np.eye(3)
    for _ in range(rng.integers(3)):
        i, j = rng.permutation(3)[:2]
        P[i] += rng.choice([-1, 1]) * P[j]
    Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(structure.z))
    x = np.mod((structure.x + rng.uniform(size=3)) @ np.linalg.inv(P).T, 1.0)
    return AtomicStructure(L=P.T @ structure.L @ (Q if np.linalg.det(Q) > 0 else -Q), z=structure.z[order], x=x[order])


def check(structures, count, seed, tolerances=(0.1, 0.01)):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        base = structures[rng.integers(len(structures))]
        tolerance = float(rng.choice(tolerances))
        exact = to_crystal(standardize(base, tolerance)).atoms()  # the conventional cell, symmetry exact
        start = exact if rng.integers(2) and len(exact.z) <= 40 else base
        cell = supercell(start, CELLS[rng.integers(len(CELLS))])
        assert summary(scrambled(cell, rng), tolerance) == summary(base, tolerance)


@pytest.mark.parametrize("count", [30, pytest.param(1500, marks=pytest.mark.slow)])
def test_prototypes_in_scrambled_supercells(count):
    check([s for s in map(parse_row, prototype_rows()) if len(s.z) <= 40], count, seed=count)


@pytest.mark.slow
def test_real_crystals_in_scrambled_supercells():
    """Made exact at 0.01 angstrom first; a looser search may find nearly symmetric ones, which are another matter."""
    from symjax.data.readers import read_source

    path = shared_data("mp20/val.csv.gz")
    if path is None:
        pytest.skip("needs the shared data set mp20")
    cells = [to_crystal(standardize(parse_row(row), 0.01)).atoms() for row in read_source(path)[:600]]
    check([cell for cell in cells if len(cell.z) <= 40], 600, seed=1, tolerances=(0.01, 0.001))


@pytest.mark.parametrize("tolerance", [0.1, 0.01])
def test_tilted_perovskite_in_the_doubled_cell(tolerance):
    """SrTiO3 a0a0c- in 2 x 2 x 2 cells of the cubic parent is I4/mcm: 20 of its 40 atoms, four orbits."""
    z, x = [], []
    for place in itertools.product(range(2), repeat=3):
        s = 0.047 * (-1) ** sum(place)
        z += [22, 38, 8, 8, 8]
        x += [np.add(place, t) / 2 for t in ((0, 0, 0), (0.5,) * 3, (0.5, s / 2, 0), (-s / 2, 0.5, 0), (0, 0, 0.5))]
    result = standardize(AtomicStructure(L=7.8 * np.eye(3), z=z, x=x), tolerance)
    assert (result.number, result.symprec) == (140, tolerance)
    assert sorted(zip(result.z.tolist(), to_crystal(result).multiplicity.tolist(), strict=True)) == [
        (8, 4),
        (8, 8),
        (22, 4),
        (38, 4),
    ]


FLUORIDES = {  # metric parameters, symbol, sites; as in TiF3 and VF4, where a search for the primitive cell by atoms alone fails
    "TiF3": ("5.52 5.52 13.6 90 90 120", "R -3 c:H", "Ti 0 0 0; F 0.577 0 0.25"),
    "VF4": ("5.38 5.17 7.94 90 99.4 90", "P 1 21/c 1", "V 0 0 0; F 0.242 0.287 0.118; F 0.283 -0.243 0.147"),
}


@pytest.mark.parametrize("name", FLUORIDES)
def test_fluorides_in_every_supercell(name):
    """Primitive cells, turned and moved, 2 x 1 x 1 to 2 x 2 x 2, come back as they are, never as P1."""
    cell, symbol, sites = FLUORIDES[name]
    crystal = to_crystal(standardize(read_cif(cif(cell, sites, symbol=symbol)).structure, 0.01))
    base, rng = crystal.primitive(), np.random.default_rng(0)
    want = summary(base, 0.1)
    assert want[:2] == {"TiF3": (167, "F3 Ti1"), "VF4": (14, "F4 V1")}[name]
    for m in CELLS:
        assert summary(scrambled(supercell(base, m), rng), 0.1) == want, m
