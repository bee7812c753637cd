"""Paths between phases: textbook transitions, images that keep the common subgroup, what cannot be done."""

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from scrambled import scrambled
from textbook import GROUP, crystal, structure

from symjax.crystals.io import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.errors import DataError, InputError
from symjax.navigate.correspondence import correspondences
from symjax.navigate.interval import chains
from symjax.navigate.pseudosymmetry import centred
from symjax.navigate.relation import verify
from symjax.navigate.transition import common_sizes, find_transitions, phase_of, supercell

# A, B, common subgroup, indices in A and in B, largest displacement (angstrom) and strain below
TEXTBOOK = [
    ("Fe fcc", "Fe bcc", 139, 3, 3, 1e-6, 0.23),
    ("Ti bcc", "Ti hcp", 63, 12, 3, 0.45, 0.12),  # Burgers
    ("BaTiO3 tetragonal", "BaTiO3 rhombohedral", 8, 4, 3, 0.15, 0.01),
    ("BaTiO3 orthorhombic", "BaTiO3 rhombohedral", 8, 2, 3, 0.10, 0.01),
    ("BaTiO3 tetragonal", "BaTiO3 orthorhombic", 6, 4, 2, 0.15, 0.01),
    ("BaTiO3 cubic", "BaTiO3 tetragonal", 99, 6, 1, 0.12, 0.01),
    ("BaTiO3 cubic", "BaTiO3 orthorhombic", 38, 12, 1, 0.14, 0.01),
    ("BaTiO3 cubic", "BaTiO3 rhombohedral", 160, 8, 1, 0.14, 0.01),
    ("PbTiO3 cubic", "PbTiO3", 99, 6, 1, 0.35, 0.05),
    ("NiTi B2", "NiTi B19'", 11, 24, 1, 0.40, 0.12),
    ("quartz alpha 154", "quartz beta 180", 154, 1, 2, 0.45, 0.02),
    ("quartz alpha 152", "quartz beta 181", 152, 1, 2, 0.45, 0.02),
    ("SrTiO3 cubic", "SrTiO3", 140, 6, 1, 0.08, 0.01),
    ("CaTiO3 cubic", "CaTiO3", 62, 24, 1, 0.45, 0.03),
    ("La2CuO4 tetragonal", "La2CuO4", 64, 4, 1, 0.25, 0.01),
    ("BiVO4", "BiVO4 tetragonal", 15, 1, 2, 0.12, 0.02),
    ("cristobalite 92", "cristobalite 227", 92, 1, 12, 0.70, 0.04),
]


def phases(first, second):
    return phase_of(structure(first), 1e-3), phase_of(structure(second), 1e-3)


def detected(atoms, symprec):
    return spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=symprec).number


@pytest.mark.parametrize("row", TEXTBOOK, ids=[f"{r[0]} to {r[1]}" for r in TEXTBOOK])
def test_textbook_paths(row):
    """The cheapest path has the common subgroup of the literature; every image between has exactly it, the ends more."""
    first, second, number, index_first, index_second, displacement, strain = row
    A, B = phases(first, second)
    paths = find_transitions(A, B, num=1)
    best = paths[0]
    assert best.number == number
    assert np.prod(best.indices_first) == index_first and np.prod(best.indices_second) == index_second
    assert best.max_displacement <= displacement and best.max_strain <= strain and best.broken == 0
    assert len(paths) == 1
    for s in (0.15, 0.5, 0.8):
        assert best.detected(s).number == number
        crystal_at = best.crystal(s)
        assert detected(crystal_at.atoms(), 1e-4) == number
    for s, name in ((0.0, first), (1.0, second)):
        atoms = best.crystal(s).atoms()
        assert detected(atoms, 1e-3) == GROUP[name]
    for relation, phase, (t, k) in zip(
        best.relations(A, B), (A, B), (best.indices_first, best.indices_second), strict=True
    ):
        verify(relation)
        assert (relation.number, relation.t_index, relation.k_index) == (number, t, k)
        for chain in chains(relation):
            assert chain.nodes[0].setting.number == phase.number and chain.nodes[-1].setting.number == number


@pytest.mark.parametrize("row", TEXTBOOK[::3], ids=[f"{r[0]} to {r[1]}" for r in TEXTBOOK[::3]])
def test_ends_are_the_given_structures(row):
    """pymatgen's matcher finds both ends to be what was given (nothing scaled, tight tolerances)."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(ltol=0.005, stol=0.005, angle_tol=0.2, scale=False)
    best = find_transitions(*phases(*row[:2]), num=1)[0]
    for s, name in ((0.0, row[0]), (1.0, row[1])):
        assert matcher.fit(to_pymatgen(best.crystal(s)), to_pymatgen(structure(name)))


def test_bain_strain_is_the_known_one():
    """fcc to bcc: a shrinks by a_bcc / a_fcc along one axis and grows by sqrt(2) times that along the others; no atom moves."""
    paths = find_transitions(*phases("Fe fcc", "Fe bcc"), max_cell=2, num=4)
    assert [p.cost for p in paths] == sorted(p.cost for p in paths) and len(paths) > 1
    best = paths[0]
    ratio = 2.9044 / 3.6468
    expected = np.log([ratio, np.sqrt(2) * ratio, np.sqrt(2) * ratio])
    np.testing.assert_allclose(best.strain, expected, atol=1e-9)
    assert best.max_displacement < 1e-9 and best.cells == (1, 1)
    ratios = [best.crystal(s).L for s in (0.0, 1.0)]
    lengths = [np.linalg.norm(L, axis=1) for L in ratios]
    np.testing.assert_allclose(
        [lengths[0][2] / lengths[0][0], lengths[1][2] / lengths[1][0]], [np.sqrt(2), 1.0], atol=1e-9
    )


def test_volume_and_displacement_along_the_way():
    """The logarithm of the volume and the positions go straight from one end to the other."""
    best = find_transitions(*phases("NiTi B2", "NiTi B19'"))[0]
    logs = [np.log(abs(np.linalg.det(best.image(s).L))) for s in (0.0, 0.25, 0.5, 1.0)]
    np.testing.assert_allclose(np.diff(logs) / (logs[3] - logs[0]), [0.25, 0.25, 0.5], atol=1e-9)
    whole = best.image(1.0).x - best.image(0.0).x
    np.testing.assert_allclose(best.image(0.3).x - best.image(0.0).x, 0.3 * whole, atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.norm(whole @ best.image(0.5).L, axis=1), np.linalg.norm(best.displacement, axis=1), atol=1e-9
    )


def test_identical_structures_have_a_path_of_length_zero():
    for name in ("quartz alpha 154", "NiTi B19'", "BaTiO3 cubic"):
        A = phase_of(structure(name), 1e-3)
        best = find_transitions(A, phase_of(scrambled(structure(name), 3), 1e-3), max_cell=1)[0]
        assert best.number == GROUP[name] and best.indices_first == best.indices_second == (1, 1)
        assert best.cost < 1e-6


def test_switching_the_polarization_passes_the_paraelectric_phase():
    """Up to down in P4mm: the common subgroup is P4mm itself and the image halfway is centrosymmetric."""
    up = structure("BaTiO3 tetragonal")
    down = AtomicStructure(L=up.L, z=up.z, x=-up.x)
    paths = find_transitions(phase_of(up, 1e-3), phase_of(down, 1e-3), max_cell=1, max_strain=0.001)
    assert paths[0].cost < 1e-6  # turned upside down it is the same crystal
    switch = next(p for p in paths if p.number == 99 and p.max_displacement > 0.1)
    assert switch.detected(0.5).number == 123 and switch.detected(0.4).number == 99


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), pair=st.sampled_from([TEXTBOOK[2], TEXTBOOK[9], TEXTBOOK[10], TEXTBOOK[12]]))
def test_cost_does_not_depend_on_how_the_phases_are_given(seed, pair):
    A, B = phases(*pair[:2])
    plain = find_transitions(A, B, num=1, max_cell=2)[0]
    C, D = phase_of(scrambled(structure(pair[0]), seed), 1e-3), phase_of(scrambled(structure(pair[1]), seed + 1), 1e-3)
    other = find_transitions(C, D, num=1, max_cell=2)[0]
    back = find_transitions(D, C, num=1, max_cell=2)[0]
    assert plain.number == other.number == back.number
    assert other.cost == pytest.approx(plain.cost, abs=1e-6)
    np.testing.assert_allclose(other.strain, plain.strain, atol=1e-6)
    np.testing.assert_allclose(np.sort(-back.strain), plain.strain, atol=1e-6)
    assert back.rms_displacement == pytest.approx(plain.rms_displacement, rel=1e-6, abs=1e-9)


def test_a_supercell_given_as_input_changes_nothing():
    cell, _ = supercell(centred(structure("BaTiO3 cubic")), np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]]))
    A = phase_of(cell, 1e-3)
    assert A.number == 221 and len(A.cell.z) == 5
    assert find_transitions(A, phase_of(structure("BaTiO3 tetragonal"), 1e-3), num=1)[0].number == 99


def test_correspondences_are_distinct_and_exact():
    """fcc to bcc, one atom: the Bain correspondence and nothing else below a strain of 23 percent."""
    A, B = phases("Fe fcc", "Fe bcc")
    found = correspondences(A.cell.L, B.cell.L, (1, 1), 0.23, W_A=A.motions.W, W_B=B.motions.W)
    assert len(found) == 1
    for size in (2, 3):
        many = correspondences(A.cell.L, B.cell.L, (size, size), 0.25, W_A=A.motions.W, W_B=B.motions.W)
        for c in many:
            assert round(np.linalg.det(c.S)) == round(np.linalg.det(c.V)) == size
            metrics = [M.T @ L @ L.T @ M for M, L in ((c.S, A.cell.L), (c.V, B.cell.L))]
            values = np.linalg.eigvals(np.linalg.inv(metrics[0]) @ metrics[1]).real
            np.testing.assert_allclose(np.sort(0.5 * np.log(values)), np.sort(c.strain), atol=1e-8)


def test_different_compositions_are_refused():
    A, B = phases("Fe fcc", "NiTi B2")
    with pytest.raises(DataError, match=r"first\.cif is Fe and second\.cif is TiNi"):
        find_transitions(A, B, names=("first.cif", "second.cif"))


def test_cells_that_would_be_too_large_are_refused_with_the_limit_that_would_do():
    A, B = phases("CaTiO3 cubic", "CaTiO3")
    with pytest.raises(DataError, match="raise the limit to 4"):
        common_sizes(A, B, 3)
    assert common_sizes(A, B, 8) == [(4, 1), (8, 2)]


def test_a_strain_bound_that_nothing_meets_is_said():
    with pytest.raises(DataError, match="raise the strain"):
        find_transitions(*phases("Fe fcc", "Fe bcc"), max_strain=0.02, max_cell=1)


def test_a_tolerance_that_cannot_be_meant():
    with pytest.raises(InputError):
        phase_of(structure("Fe fcc"), -1.0)


def test_common_subgroup_below_both_in_crystals_of_the_package():
    """Images come in the standard setting: the crystal's own operations are the common subgroup's, orbits whole."""
    best = find_transitions(*phases("BaTiO3 tetragonal", "BaTiO3 rhombohedral"), num=1)[0]
    made = best.crystal(0.5)
    assert made.num_atoms == 10  # Cm is centred
    assert crystal("BaTiO3 cubic").num_atoms == 5
    assert sorted(set(made.z.tolist())) == [8, 22, 56]
