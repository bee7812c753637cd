"""Parents of distorted structures: textbook cases, and structures made from a parent by a known displacement."""

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from scrambled import scrambled
from textbook import GROUP, crystal, structure

from symjax.crystals.types import AtomicStructure
from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.navigate.amplitudes import decompose, near_operations
from symjax.navigate.interval import interval_of
from symjax.navigate.modes import modes_of
from symjax.navigate.pseudosymmetry import centred
from symjax.navigate.relation import Relation, relations_to, verify
from symjax.navigate.splitcrystal import split_crystal
from symjax.navigate.supergroups import find_supergroups
from symjax.navigate.transition import supercell


@cache
def below(name, number, max_k):
    """Subgroup relations of one type below a textbook parent (worked out once: the enumeration is the slow part)."""
    parent = crystal(name)
    opset = OpSet(W=parent.W, w=parent.w, mask=np.ones(len(parent.W), bool), den=parent.den)
    return opset, relations_to(opset, number, max_k=max_k)


# structure, tolerance (angstrom), strain tolerance, parent, t index, k index
TEXTBOOK = [
    ("BaTiO3 tetragonal", 0.2, 0.05, 221, 6, 1),
    ("BaTiO3 orthorhombic", 0.2, 0.05, 221, 12, 1),
    ("BaTiO3 rhombohedral", 0.2, 0.05, 221, 8, 1),
    ("PbTiO3", 0.4, 0.05, 221, 6, 1),
    ("SrTiO3", 0.2, 0.05, 221, 3, 2),
    ("CaTiO3", 0.5, 0.05, 221, 6, 4),
    ("quartz alpha 154", 0.5, 0.05, 180, 2, 1),
    ("quartz alpha 152", 0.5, 0.05, 181, 2, 1),
    ("La2CuO4", 0.3, 0.05, 139, 2, 2),
    ("BiVO4", 0.2, 0.05, 88, 2, 1),
    ("cristobalite 92", 0.8, 0.05, 227, 6, 2),
    ("NiTi B19'", 0.4, 0.12, 221, 12, 2),
]


@pytest.mark.parametrize(
    ("name", "tolerance", "strain", "number", "t", "k"), TEXTBOOK, ids=[row[0] for row in TEXTBOOK]
)
def test_textbook_parents(name, tolerance, strain, number, t, k):
    """The parent is found with its indices; each relation holds exactly; spglib finds every parent's group in its atoms."""
    search = find_supergroups(structure(name), tolerance=tolerance, strain_tolerance=strain)
    assert search.complete
    hits = [g for g in search.supergroups if (g.number, g.t_index, g.k_index) == (number, t, k)]
    assert len(hits) == 1
    assert all(g.index <= t * k for g in search.supergroups), "the aristotype is the largest group"
    for found in search.supergroups:
        modes = decompose(search, found)
        verify(modes.relation)
        assert (modes.relation.number, modes.relation.index) == (search.number, found.index)
        atoms = modes.parent.atoms()
        assert spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=1e-5).number == found.number
        assert found.max_displacement <= tolerance and found.max_strain <= strain
        assert modes.rest < 1e-3, "the published coordinates are symmetric, so the modes carry all of the displacement"


def test_hands_are_kept_apart():
    for hand, right, wrong in ((154, 180, 181), (152, 181, 180)):
        numbers = {g.number for g in find_supergroups(structure(f"quartz alpha {hand}"), tolerance=0.6).supergroups}
        assert right in numbers and wrong not in numbers


def test_minimal_supergroups_of_the_orthorhombic_perovskite():
    """Pnma perovskites: one octahedral tilt less, or none of one kind, by centring or halving the cell (index 2 each)."""
    search = find_supergroups(structure("CaTiO3"), tolerance=0.5)
    minimal = {(g.number, g.t_index, g.k_index) for g in search.supergroups if g.minimal}
    assert minimal == {(74, 1, 2), (55, 1, 2), (63, 1, 2)}
    for found in search.supergroups:
        assert found.minimal == (found.chain[:-1] == (62,))


def test_tetragonal_strain_and_displacement_are_those_of_the_cell():
    """P4mm BaTiO3: the strain from the cube of equal volume is (2/3) ln(c/a), titanium moves against the centroid."""
    search = find_supergroups(structure("BaTiO3 tetragonal"))
    cubic = next(g for g in search.supergroups if g.number == 221)
    ratio = np.log(4.0352 / 3.9910)
    np.testing.assert_allclose(np.sort(cubic.strain), np.array([-1, -1, 2]) * ratio / 3, atol=1e-9)
    z = np.array([0.0, 0.5224 - 0.5, -0.0244, 0.4895 - 0.5, 0.4895 - 0.5])  # Ba, Ti, O1, O2, O2 against the parent
    expected = np.abs(z - z.mean()) * (4.0352 * 3.9910**2) ** (1 / 3)
    np.testing.assert_allclose(np.sort(np.linalg.norm(cubic.displacement, axis=1)), np.sort(expected), atol=1e-9)
    assert cubic.amplitude == pytest.approx(np.sqrt((expected**2).sum()))


def test_octahedral_tilt_comes_back():
    """I4/mcm SrTiO3: four of the six oxygens of a doubled cell move by (1/4 - x) sqrt(2) a, nothing else does."""
    search = find_supergroups(structure("SrTiO3"))
    cubic = next(g for g in search.supergroups if g.number == 221)
    step = (0.25 - 0.2410) * np.sqrt(2) * 5.507
    assert cubic.max_displacement == pytest.approx(step, rel=2e-3)  # the cube's edge differs a little from a / sqrt(2)
    by_element = cubic.amplitude_of(search.cell.z)
    assert by_element[8] == pytest.approx(cubic.amplitude) and by_element[22] < 1e-9 and by_element[38] < 1e-9
    modes = decompose(search, cubic)
    assert len(modes.displacement) == modes.modes.num_primary == 1
    assert abs(modes.displacement[0]) == pytest.approx(np.sqrt(8) * cubic.max_displacement, rel=1e-6)


# parent, subgroup type, largest cell factor, displacement (angstrom)
ROUND_TRIPS = [
    ("BaTiO3 cubic", 99, 1, 0.08),
    ("BaTiO3 cubic", 38, 1, 0.08),
    ("BaTiO3 cubic", 160, 1, 0.08),
    ("SrTiO3 cubic", 140, 2, 0.08),
    ("CaTiO3 cubic", 62, 4, 0.08),
    ("quartz beta 180", 154, 1, 0.08),
    ("La2CuO4 tetragonal", 64, 2, 0.08),
    ("BiVO4 tetragonal", 15, 1, 0.08),
    ("cristobalite 227", 92, 2, 0.08),
    ("NiTi B2", 11, 2, 0.08),
    ("Fe fcc", 139, 1, 0.0),
]


@pytest.mark.parametrize(
    ("name", "number", "max_k", "size"), ROUND_TRIPS, ids=[f"{r[0]} to {r[1]}" for r in ROUND_TRIPS]
)
def test_parent_and_modes_come_back(name, number, max_k, size):
    """A parent displaced along random modes of a subgroup and strained: the same parent, amplitudes and strains are found."""
    parent = crystal(name)
    rng, tried = np.random.default_rng(number), 0
    for relation in below(name, number, max_k)[1][:2]:
        split = split_crystal(parent, relation)
        modes = modes_of(split)
        if modes.realized is not None:  # these atoms cannot have exactly this group along this relation
            continue
        tried += 1
        amplitude = rng.normal(size=len(modes.displacement))
        moved = np.einsum("k,kmi->mi", amplitude, modes.displacement)
        scale = size / max(np.linalg.norm(moved, axis=1).max(), 1e-9)
        amplitude, moved = amplitude * scale, moved * scale
        strain = rng.uniform(0.005, 0.01, len(modes.strain)) * rng.choice([-1, 1], len(modes.strain))
        tensor = np.einsum("s,sij->ij", strain, modes.strain)
        values, vectors = np.linalg.eigh(tensor)
        L = split.L @ ((vectors * np.exp(values)) @ vectors.T)
        made = split.crystal(L=L, x=split.x + moved @ np.linalg.inv(split.L)).atoms()
        search = find_supergroups(scrambled(made, number), tolerance=0.2, strain_tolerance=0.04, symprec=1e-4)
        assert search.number == number
        wanted = (GROUP[name], relation.t_index, relation.k_index)
        back = [g for g in search.supergroups if (g.number, g.t_index, g.k_index) == wanted]
        assert back, "the parent is among the supergroups"
        found = min((decompose(search, g) for g in back), key=lambda d: d.rest)
        # Free coordinates of the parent itself take up nothing: modes are orthogonal to them.
        assert np.linalg.norm(found.displacement) == pytest.approx(np.linalg.norm(amplitude), rel=0.03, abs=1e-6)
        assert np.linalg.norm(found.strain) == pytest.approx(np.linalg.norm(strain), rel=0.1, abs=1e-6)
        assert found.rest < 1e-6
    assert tried


def test_displacement_is_exact_where_nothing_is_strained():
    """Without strain the amplitude comes back to rounding."""
    parent = crystal("CaTiO3 cubic")
    relation = next(r for r in below("CaTiO3 cubic", 62, 4)[1] if modes_fit(parent, r))
    split = split_crystal(parent, relation)
    modes = modes_of(split)
    amplitude = 0.1 * np.random.default_rng(0).normal(size=len(modes.displacement))
    moved = np.einsum("k,kmi->mi", amplitude, modes.displacement)
    made = split.crystal(x=split.x + moved @ np.linalg.inv(split.L)).atoms()
    search = find_supergroups(scrambled(made, 5), tolerance=0.3, symprec=1e-4)
    found = next(g for g in search.supergroups if g.number == 221 and g.k_index == 4)
    assert np.linalg.norm(decompose(search, found).displacement) == pytest.approx(np.linalg.norm(amplitude), rel=1e-9)
    assert found.max_strain < 1e-9


def modes_fit(parent, relation):
    return modes_of(split_crystal(parent, relation)).realized is None


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(["SrTiO3", "quartz alpha 154", "BiVO4", "BaTiO3 rhombohedral"]))
def test_figures_do_not_depend_on_how_the_structure_is_given(seed, name):
    def figures(given):
        search = find_supergroups(given, tolerance=0.5)
        return [
            (g.number, g.index, g.minimal, round(g.rms_displacement, 5), round(g.max_strain, 5))
            for g in search.supergroups
        ]

    assert figures(structure(name)) == figures(scrambled(structure(name), seed))


def test_a_supercell_given_as_input_changes_nothing():
    def figures(given):
        search = find_supergroups(given)
        return search.number, [(g.number, g.index, round(g.max_displacement, 6)) for g in search.supergroups]

    cell, _ = supercell(centred(structure("SrTiO3")), np.diag([2, 1, 2]))
    assert figures(AtomicStructure(L=cell.L, z=cell.z, x=cell.x)) == figures(structure("SrTiO3"))


def test_a_smaller_tolerance_finds_a_part():
    names = [
        {
            (g.number, round(g.rms_displacement, 6))
            for g in find_supergroups(structure("CaTiO3"), tolerance=t).supergroups
        }
        for t in (0.2, 0.35, 0.4, 0.5)
    ]
    assert names[0] == set() and all(a <= b for a, b in itertools.pairwise(names)) and len(names[3]) > len(names[2]) > 1


def test_near_operations_miss_by_at_most_twice_the_displacement():
    search = find_supergroups(structure("CaTiO3"), tolerance=0.5)
    for found in search.supergroups:
        near = near_operations(search, found)
        assert len(near) == len(found.motions) - len(search.motions) + found.k_index - 1
        for one in near:
            assert 1e-3 < one.mismatch <= 2 * found.max_displacement + 1e-9
    inversion = [n for n in near_operations(*_tetragonal()) if (n.W == -np.eye(3)).all()]
    assert len(inversion) == 1


def _tetragonal():
    search = find_supergroups(structure("BaTiO3 tetragonal"))
    return search, next(g for g in search.supergroups if g.number == 221)


@pytest.mark.parametrize("sizes", [(2, 1, 1), pytest.param((2, 2, 2), marks=pytest.mark.slow)])
def test_a_rattled_supercell_without_symmetry_finds_its_parent(sizes):
    """No symmetry left (of eight cells: 384 operations over the identity); the walk goes up first, so a short one is enough."""
    cell, _ = supercell(centred(structure("BaTiO3 cubic")), np.diag(sizes))
    noise = np.random.default_rng(0).normal(size=cell.x.shape) * 0.02
    rattled = AtomicStructure(L=cell.L, z=cell.z, x=cell.x + noise @ np.linalg.inv(cell.L))
    search = find_supergroups(rattled, max_groups=12)
    k = int(np.prod(sizes))
    assert search.number == 1 and not search.complete
    found = next(g for g in search.supergroups if g.index == 48 * k)
    assert (found.number, found.k_index) == (221, k)
    assert found.rms_displacement == pytest.approx(0.02 * np.sqrt(3), rel=0.2)


def test_a_structure_that_is_its_own_parent():
    search = find_supergroups(structure("BaTiO3 cubic"))
    assert (search.number, search.supergroups) == (221, [])


def test_tolerances_that_cannot_be_meant():
    given = structure("BaTiO3 tetragonal")
    for options in (
        {"tolerance": -1.0},
        {"tolerance": float("nan")},
        {"tolerance": 1e-4},
        {"strain_tolerance": 0.6},
        {"symprec": 0.0},
    ):
        with pytest.raises(InputError):
            find_supergroups(given, **options)


COMPLETE = [
    ("BaTiO3 cubic", 160, 1),
    ("SrTiO3 cubic", 140, 2),
    ("La2CuO4 tetragonal", 64, 2),
    ("cristobalite 227", 92, 2),
    ("NiTi B2", 11, 2),
]
COMPLETE += [
    pytest.param("CaTiO3 cubic", 62, 4, marks=pytest.mark.slow),
    pytest.param("BaTiO3 cubic", 1, 1, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "number", "max_k"), COMPLETE)
def test_every_group_between_is_found(name, number, max_k):
    """The walk up finds exactly the groups that the exact enumeration downwards puts between H and the parent.

    Left out are those that the parent's atoms cannot have without having more (perovskites have no P-43m, for one).
    """
    parent = crystal(name)
    opset, relations = below(name, number, max_k)
    relation = next(r for r in relations if modes_fit(parent, r))
    groups = interval_of(relation)
    expected = Counter()
    for at in range(1, len(groups.blocks)):
        node = groups.node(at)
        between = Relation(opset, node.setting, node.t_index, node.k_index, node.num_conjugates)
        if node.index == 1 or modes_fit(parent, between):
            expected[node.setting.number] += 1
    split = split_crystal(parent, relation)
    modes = modes_of(split)
    rng = np.random.default_rng(0)
    moved = np.einsum("k,kmi->mi", rng.normal(size=len(modes.displacement)), modes.displacement)
    moved *= 0.05 / max(np.linalg.norm(moved, axis=1).max(), 1e-9)
    strain = np.einsum("s,sij->ij", 0.004 * rng.normal(size=len(modes.strain)), modes.strain)
    made = split.crystal(L=split.L @ (np.eye(3) + strain), x=split.x + moved @ np.linalg.inv(split.L))
    search = find_supergroups(made.atoms(), tolerance=0.3, strain_tolerance=0.05, symprec=1e-4)
    found = Counter()
    for one in search.supergroups:
        found[one.number] += one.num_equivalent
    assert search.complete and found == expected
