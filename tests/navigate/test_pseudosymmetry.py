"""Motions of atoms: found, multiplied, closed, averaged over."""

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from scrambled import scrambled
from textbook import ENTRIES, GROUP, structure

from symjax.crystals.types import AtomicStructure
from symjax.errors import NotAGroupError
from symjax.groups.axioms import is_group
from symjax.groups.identify import identify
from symjax.lattice.reduction import reduced_basis
from symjax.navigate.motions import closure, compose, generators, is_closed
from symjax.navigate.pseudosymmetry import (
    centred,
    divide,
    exact_motions,
    has_more,
    left_cosets,
    near_motions,
    near_rotations,
    symmetrize,
    symmetrized_lattice,
)


def rattled(name, size, seed=0):
    """A textbook structure with every atom moved by about ``size`` angstrom and the cell strained by a hundredth of it."""
    rng = np.random.default_rng(seed)
    at = centred(structure(name))
    strain = rng.normal(size=(3, 3)) * size / 100
    L = at.L @ (np.eye(3) + strain + strain.T)
    x = at.x + rng.normal(size=at.x.shape) * size @ np.linalg.inv(L)
    return AtomicStructure(L=L, z=at.z, x=x - x.mean(axis=0))


@pytest.mark.parametrize("name", ENTRIES)
def test_groups_of_textbook_structures(name):
    """The exact motions are the group that the literature and spglib give."""
    at = centred(structure(name))
    group = exact_motions(at, 1e-3)
    assert bool(is_group(group.opset()))
    assert identify(group.opset()).number == GROUP[name]
    plain = at.wrapped()
    assert spglib.get_symmetry_dataset((plain.L, plain.x, plain.z), symprec=1e-3).number == GROUP[name]
    primitive, motions, columns, atom = divide(symmetrize(at, group), group)
    assert len({W.tobytes() for W in motions.W}) == len(motions) == len({W.tobytes() for W in group.W})
    assert abs(np.linalg.det(columns)) * len(group) == pytest.approx(len(motions))
    assert (primitive.z[atom] == at.z).all()
    assert not has_more(primitive, motions, 1e-4)


@settings(max_examples=25)
@given(
    name=st.sampled_from(["SrTiO3", "quartz alpha 154", "BiVO4", "Fe fcc", "NiTi B19'", "La2CuO4"]),
    seed=st.integers(0, 10**6),
)
def test_the_group_does_not_depend_on_how_the_crystal_is_given(name, seed):
    at = centred(scrambled(structure(name), seed))
    assert identify(exact_motions(at, 1e-3).opset()).number == GROUP[name]


def test_reduced_bases_are_right_handed_and_short():
    rng = np.random.default_rng(0)
    for _ in range(50):
        L = rng.normal(size=(3, 3))
        P = reduced_basis(L)
        rows = P.T @ L
        assert round(abs(np.linalg.det(P))) == 1 and np.linalg.det(rows) > 0
        steps = np.array([(s, t) for s in (-1, 0, 1) for t in (-1, 0, 1)])
        assert (((rows[2] + steps @ rows[:2]) ** 2).sum(axis=1) >= (rows[2] ** 2).sum() * (1 - 1e-8)).all()


def test_rotations_of_a_strained_lattice():
    """A tetragonal lattice has 16 rotation parts, 48 nearly if its axes differ little; all of finite order, the identity first."""
    metric = np.diag([4.0, 4.0, 4.04]) ** 2
    assert len(near_rotations(metric, 1e-4)) == 16
    near = near_rotations(metric, 0.02)
    assert len(near) == 48 and (near[0] == np.eye(3)).all()
    assert (
        len(near_rotations(metric, 0.5 * np.log(4.04 / 4.0))) == 16
    )  # the mismatch of a permutation of axes is ln(c / a)
    assert len(near_rotations(metric, 1.01 * np.log(4.04 / 4.0))) == 48
    hexagonal = np.array([[9.0, -4.5, 0], [-4.5, 9.0, 0], [0, 0, 25.0]])
    assert len(near_rotations(hexagonal, 1e-6)) == 24


def test_products_are_those_of_the_motions():
    """Composing pairs agrees with composing the maps they stand for."""
    at = centred(structure("CaTiO3"))
    group = exact_motions(at, 1e-3)
    at = symmetrize(at, group)
    both = compose(group, group)
    n = len(at.z)
    w = group.w / n
    rows = [(a, b) for a in range(len(group)) for b in range(len(group))]
    for row, (a, b) in enumerate(rows):
        W, shift = both.W[row], both.shift[row]
        assert (W == group.W[a] @ group.W[b]).all()
        delta = at.x[both.perm[row]] - at.x @ W.T - (w[a] + group.W[a] @ w[b])
        assert np.abs(delta - np.rint(delta)).max() < 1e-9
        assert np.abs((delta - delta[0]) - (shift - shift[0])).max() < 1e-9


def test_a_set_with_an_operation_missing_is_not_closed():
    group = exact_motions(centred(structure("quartz alpha 154")), 1e-3)
    assert is_closed(group)
    for row in range(1, len(group)):
        assert not is_closed(group[[i for i in range(len(group)) if i != row]])


def test_closure_of_generators_is_the_group():
    group = exact_motions(centred(structure("Fe fcc")), 1e-3)
    few = generators(group)
    assert len(few) < 8
    grown = closure(group[0], few)
    assert grown is not None and set(grown.keys) == set(group.keys)
    assert closure(group[0], few, limit=len(group) - 1) is None


def test_classes_of_rotation_parts():
    whole = near_rotations(np.eye(3), 1e-6)
    half = whole[np.linalg.det(whole) > 0]
    kept = left_cosets(whole, half)
    assert len(whole) == 48 and len(kept) == 2 and (kept[0] == np.eye(3)).all()


@pytest.mark.parametrize(
    "name", ["BaTiO3 cubic", "quartz beta 180", "La2CuO4 tetragonal", "cristobalite 227", "NiTi B2"]
)
def test_symmetrizing_gives_the_group_back(name):
    """A rattled crystal averaged over the motions it nearly has: exactly the group, the volume kept, nothing moved twice."""
    at = rattled(name, 0.02)
    near = near_motions(at, near_rotations(at.metric, 0.05), 0.3)
    assert is_closed(near)
    exact = symmetrize(at, near)
    plain = exact.wrapped()
    assert spglib.get_symmetry_dataset((plain.L, plain.x, plain.z), symprec=1e-6).number == GROUP[name]
    assert abs(np.linalg.det(exact.L)) == pytest.approx(abs(np.linalg.det(at.L)), rel=1e-12)
    again = symmetrize(exact, near)
    np.testing.assert_allclose(again.x, exact.x, atol=1e-12)
    np.testing.assert_allclose(again.L, exact.L, atol=1e-10)


def test_the_symmetrized_arrangement_is_the_nearest():
    """No other symmetric arrangement (any values of the free parameter) is nearer in the symmetric metric."""
    at = rattled("quartz beta 180", 0.05)
    near = near_motions(at, near_rotations(at.metric, 0.05), 0.5)
    exact = symmetrize(at, near)

    def length(x):
        u = x - at.x
        return float((((u - u.mean(axis=0)) @ exact.L) ** 2).sum())

    best = length(exact.x)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = AtomicStructure(L=exact.L, z=at.z, x=exact.x + 0.01 * rng.normal(size=at.x.shape))
        other = symmetrize(AtomicStructure(other.L, other.z, other.x - other.x.mean(axis=0)), near)
        assert length(other.x) > best


def test_a_symmetrized_lattice_is_invariant_and_not_turned():
    rng = np.random.default_rng(1)
    L = 4 * np.eye(3) + 0.1 * rng.normal(size=(3, 3))
    W = near_rotations(np.eye(3), 1e-9)
    new = symmetrized_lattice(L, W)
    np.testing.assert_allclose(new @ new.T, np.linalg.det(L) ** (2 / 3) * np.eye(3), atol=1e-10)
    stretch = new.T @ np.linalg.inv(L.T)
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-10)


def test_motions_that_do_not_fit_together_are_refused():
    at = rattled("BaTiO3 cubic", 0.02)
    near = near_motions(at, near_rotations(at.metric, 0.05), 0.3)
    broken = near[[0, *range(2, len(near))]]
    with pytest.raises(NotAGroupError):
        symmetrize(at, broken)


def test_left_handed_input_keeps_its_hand():
    given = structure("quartz alpha 154")
    mirrored = AtomicStructure(L=given.L * [1, 1, -1], z=given.z, x=given.x)
    assert identify(exact_motions(centred(mirrored), 1e-3).opset()).number == 152
