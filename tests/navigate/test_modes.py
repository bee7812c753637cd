"""Freed strains and modes: counted by characters and by other libraries' Wyckoff positions, and textbook transitions."""

import itertools
from functools import cache

import numpy as np
import pytest
import spglib
from pyxtal.symmetry import Group
from textbook import crystal

from symjax.errors import InputError
from symjax.groups.sets import OpSet
from symjax.lattice import compatibility_defect, metric
from symjax.navigate.interval import interval_of
from symjax.navigate.modes import ModeSpace, minimal_overgroups, modes_of, realized_group
from symjax.navigate.relation import k_relations, relations_to, t_relations
from symjax.navigate.splitcrystal import split_crystal

LATTICE = {
    "triclinic": 6,
    "monoclinic": 4,
    "orthorhombic": 3,
    "tetragonal": 2,
    "hexagonal": 2,
    "trigonal": 2,
    "cubic": 1,
}


def group(c):
    return OpSet(W=c.W.astype(np.int32), w=c.w.astype(np.int32), mask=np.ones(len(c.W), bool), den=c.den)


def relations(c, number, **options):
    return relations_to(group(c), number, metric=metric(c.L), **options)


@cache
def some_relations(name):
    """Translationengleiche, klassengleiche and general ones; not all."""
    c = crystal(name)
    found = t_relations(group(c), maximal=False, metric=metric(c.L))[::3]
    return found + k_relations(group(c), 2, maximal=False, metric=metric(c.L))[:4] + relations(c, 2, max_k=2)[:2]


def character(x, W, w, R):
    """Dimension of the displacement fields of atoms x (a, 3) that operations (W, w), Cartesian R, keep: the mean of the traces."""
    total = 0.0
    for Wi, wi, Ri in zip(W, w, R):
        delta = x @ Wi.T + wi - x
        fixed = (np.abs(delta - np.rint(delta)) < 1e-5).all(1).sum()
        total += fixed * np.trace(Ri)
    return round(total / len(W))


NAMES = ("BaTiO3 cubic", "La2CuO4 tetragonal", "quartz beta 180")


@pytest.mark.parametrize("name", NAMES)
def test_dimensions_are_those_of_characters(name):
    """Free coordinates by counting fixed atoms and traces, free lattice parameters by the same: no position is looked at."""
    c = crystal(name)
    for relation in some_relations(name):
        split = split_crystal(c, relation)
        modes = modes_of(split)
        inner = relation.subgroup
        P, p = relation.setting.matrix, relation.setting.origin
        reach = int(np.ceil(np.abs(P).sum())) + 1
        shifts = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
        atoms = c.atoms()
        x = np.linalg.solve(P, (atoms.x[:, None] + shifts[None] - p).reshape(-1, 3).T).T
        x = x[((x > -1e-6) & (x < 1 - 1e-6)).all(1)]
        assert len(x) == split.multiplicity.sum()
        frame = split.L.T
        R = frame @ inner.W @ np.linalg.inv(frame)
        assert character(x, inner.W, inner.w / inner.den, R) == modes.num_coordinates
        own = c.L.T @ c.W @ np.linalg.inv(c.L.T)
        assert character(atoms.x, c.W, c.w / c.den, own) == modes.parent_coordinates
        traces = np.trace(R, axis1=1, axis2=2)
        squares = np.trace(R @ R, axis1=1, axis2=2)
        assert round(float((traces**2 + squares).mean() / 2)) == modes.num_lattice
        polar = round(float(traces.mean())) - round(float(np.trace(own, axis1=1, axis2=2).mean()))
        assert modes.num_translations == polar
        assert len(modes.displacement) == modes.num_coordinates - modes.parent_coordinates - polar
        assert len(modes.strain) == modes.num_lattice - modes.parent_lattice


@pytest.mark.parametrize("name", ("BaTiO3 cubic", "La2CuO4 tetragonal"))
def test_modes_are_orthonormal_kept_by_the_subgroup_and_lost_by_the_parent(name):
    c = crystal(name)
    for relation in some_relations(name):
        split = split_crystal(c, relation)
        modes = modes_of(split)
        d = modes.displacement * np.sqrt(split.multiplicity)[:, None]
        assert np.allclose(np.einsum("kmi,lmi->kl", d, d), np.eye(len(d)), atol=1e-9)
        assert np.allclose(np.einsum("sij,tij->st", modes.strain, modes.strain), np.eye(len(modes.strain)), atol=1e-9)
        # no part of them is a uniform translation that H keeps, none is kept by G
        assert np.abs((d * np.sqrt(split.multiplicity)[:, None]).sum(1) @ polar_axes(split)).max(initial=0.0) < 1e-9
        space = ModeSpace(split)
        a, whole = space.coordinates(modes.displacement), np.ones(len(space.cosets), bool)
        assert np.abs(space.projector(whole) @ a).max(initial=0.0) < 1e-9
        assert np.allclose(space.vectors(a), modes.displacement, atol=1e-12)
        # site symmetry keeps each: a displaced representative stays on its flat
        moved = split.x + np.einsum("mi,ij->mj", modes.displacement.sum(0), np.linalg.inv(split.L)) * 0.01
        inner, positions = relation.subgroup, split.splitter.child
        for x, i in zip(moved, split.position):
            delta = inner.W @ x + inner.w / inner.den - x
            assert ((np.abs(delta - np.rint(delta)) < 1e-9).all(-1) == positions.stab[i]).all() or not positions.dof[i]
        # strains keep the lattice of H compatible
        for e in modes.strain:
            L = split.L @ (np.eye(3) + 0.01 * e)
            assert compatibility_defect(inner.W, None, metric(L)) < 1e-12


def polar_axes(split):
    frame = split.L.T
    mean = (frame @ split.relation.subgroup.W @ np.linalg.inv(frame)).mean(axis=0)
    values, vectors = np.linalg.eigh(0.5 * (mean + mean.T))
    return vectors[:, values > 0.5]


TEXTBOOK = {
    # parent, subgroup, index: strains (primary), displacement modes (primary), translations
    ("BaTiO3 cubic", 99, 6): (1, 0, 3, 3, 1),
    ("BaTiO3 cubic", 160, 8): (1, 0, 3, 3, 1),
    ("BaTiO3 cubic", 38, 12): (2, 0, 4, 4, 1),
    ("BaTiO3 cubic", 123, 3): (1, 1, 0, 0, 0),
    ("NiTi B2", 11, 24): (3, 0, 4, 0, 0),
}


@pytest.mark.parametrize("case", TEXTBOOK, ids=str)
def test_textbook_counts(case):
    """Gamma-point order parameters of perovskites: T1u three times (and T2u once along [011]); B2 to B19'."""
    name, number, index = case
    c = crystal(name)
    found = [r for r in relations(c, number, max_k=2) if r.index == index]
    counts = []
    for relation in found:
        m = modes_of(split_crystal(c, relation))
        counts.append((len(m.strain), m.num_primary_strain, len(m.displacement), m.num_primary, m.num_translations))
    assert TEXTBOOK[case] in counts, counts


def test_octahedral_rotation_has_one_mode():
    """SrTiO3, 221 to 140: one displacement mode (R4+), which is the order parameter; the strain follows."""
    c = crystal("SrTiO3 cubic")
    found = [r for r in relations(c, 140, max_k=2) if r.index == 6]
    counts = {
        (len(m.displacement), m.num_primary, len(m.strain)) for m in (modes_of(split_crystal(c, r)) for r in found)
    }
    assert (1, 1, 1) in counts


@pytest.mark.parametrize("name, number", [("BaTiO3 cubic", 99), ("BaTiO3 cubic", 140), ("La2CuO4 tetragonal", 64)])
def test_primary_modes_from_given_groups_are_those_found(name, number):
    """The groups between, enumerated as blocks of an action, give the same primary modes as those found by closure."""
    c = crystal(name)
    for relation in relations(c, number, max_k=2)[:3]:
        split = split_crystal(c, relation)
        nodes = interval_of(relation).nodes()
        inner = [n.setting for n in nodes if 1 < n.index < relation.index]
        given, found = modes_of(split, inner), modes_of(split)
        assert (given.num_primary, given.num_primary_strain) == (found.num_primary, found.num_primary_strain)
        sizes = {relation.index // n.index for n in nodes if n.index < relation.index}
        space = ModeSpace(split)
        assert {int(K.sum()) // len(space.cosets.H) for K in minimal_overgroups(space)} <= sizes


def test_atoms_on_special_positions_keep_more():
    """CsCl-type atoms know no difference between Pm-3m and P-43m; the group they do have is named."""
    c = crystal("NiTi B2")
    relation = next(r for r in relations(c, 215, max_k=1))
    modes = modes_of(split_crystal(c, relation))
    assert modes.realized is not None and (modes.realized.number, modes.realized.index) == (221, 2)
    tetragonal = modes_of(split_crystal(crystal("BaTiO3 cubic"), relations(crystal("BaTiO3 cubic"), 99, max_k=1)[0]))
    assert tetragonal.realized is None
    without = realized_group(tetragonal, displacement=False)
    assert without is not None and (without.number, without.index) == (123, 2)


def test_free_parameters_are_those_of_the_subgroups_positions():
    """Independent count: letters that spglib finds in a distorted structure, and pyxtal's freedoms of them."""
    c = crystal("La2CuO4 tetragonal")
    rng = np.random.default_rng(0)
    for relation in relations(c, 64, max_k=2) + relations(c, 12, max_k=1) + relations(c, 107, max_k=1):
        split = split_crystal(c, relation)
        modes = modes_of(split)
        if modes.realized is not None:
            continue
        shift = np.einsum("k,kmi->mi", rng.uniform(0.3, 1.0, len(modes.displacement)), modes.displacement)
        strain = np.einsum("s,sij->ij", rng.uniform(0.3, 1.0, len(modes.strain)), modes.strain)
        atoms = split.crystal(
            L=split.L @ (np.eye(3) + 0.01 * strain), x=split.x + 0.05 * shift @ np.linalg.inv(split.L)
        ).atoms()
        found = spglib.get_symmetry_dataset((atoms.L, atoms.x, atoms.z), symprec=1e-4)
        assert found.number == relation.number
        table = Group(relation.number)
        letters = {int(atom): letter for atom, letter in zip(found.crystallographic_orbits, found.wyckoffs)}
        free = sum(table[letter_index(table, letter)].get_dof() for letter in letters.values())
        assert free == modes.num_coordinates
        assert LATTICE[table.lattice_type] == modes.num_lattice


def letter_index(table, letter):
    return next(i for i, position in enumerate(table) if position.letter == letter)


def test_a_crystal_of_another_group_is_refused():
    c = crystal("BaTiO3 cubic")
    relation = relations(crystal("La2CuO4 tetragonal"), 64, max_k=2)[0]
    with pytest.raises(InputError, match="operations in the cell"):
        split_crystal(c, relation)
