"""Basis changes of any determinant, lattice points of supercells, and floats snapped to exact operations."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ops_strategies import HEXAGONAL, crystal_op, distinct, frame_of, settings_530, unimodular, vectors

from symjax.ops import BasisError, Op, OperationError, SnapError, basis, euclidean, exact, symbols

integral = st.lists(st.integers(-3, 3), min_size=9, max_size=9).map(lambda v: np.array(v).reshape(3, 3))
TO_PRIMITIVE_F = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


@given(crystal_op(), unimodular(), vectors)
def test_unimodular_changes_agree_with_the_jitable_function(a, P, p):
    moved, den = basis.change_basis_rational(a, P, p)
    assert den == 24 and np.all(exact.equal(moved, exact.change_basis(a, P, p)))


@given(crystal_op(), st.integers(2, 5), vectors)
def test_isotropic_supercells_and_back(a, times, p):
    P = times * np.eye(3, dtype=int)
    moved, den = basis.change_basis_rational(a, P, p)
    assert den % 24 == 0 and np.array_equal(moved.W, a.W)
    # one representative modulo the old lattice comes back, exactly
    back_p = [Fraction(-int(x) * den, 24 * times) for x in p]
    back_P = [[Fraction(int(i == j), times) for j in range(3)] for i in range(3)]
    back, den_back = basis.change_basis_rational(moved, back_P, back_p, den)
    assert np.all(exact.equal(basis.scale_den(back, den_back, 24), a))


@given(crystal_op(), integral, vectors)
def test_any_integral_basis_gives_a_conjugate_or_a_named_error(a, P, p):
    assume(abs(round(np.linalg.det(P))) > 1)
    inverse = np.linalg.inv(P)
    try:
        moved, den = basis.change_basis_rational(a, P, p)
    except BasisError as error:
        assert "operation 0" in str(error)
        W = inverse @ a.W @ P
        assert np.abs(W - np.round(W)).max() > 1e-6
        return
    assert np.allclose(moved.W, inverse @ a.W @ P)
    difference = moved.w / den - inverse @ (a.w + a.W @ p - p) / 24
    assert np.allclose(difference, np.round(difference), atol=1e-6)


def test_the_primitive_cell_of_a_face_centred_group_keeps_one_operation_per_rotation():
    op = settings_530()[522]
    moved, den = basis.change_basis_rational(op, TO_PRIMITIVE_F)
    assert den == 24 and len(np.unique(exact.hash_ops(moved), axis=0)) == 48
    again, den = basis.change_basis_rational(moved, np.linalg.inv(TO_PRIMITIVE_F))
    centring, den_c = basis.lattice_translations(np.linalg.inv(TO_PRIMITIVE_F))
    assert len(centring) == den_c == 4 and den == 24
    everything = Op(np.repeat(again.W, 4, axis=0), (again.w[:, None] + centring[None] * (24 // 4)).reshape(-1, 3))
    assert set(map(tuple, exact.hash_ops(everything))) == set(map(tuple, exact.hash_ops(op)))


def test_the_denominator_grows_only_when_it_must():
    screw = symbols.parse_xyz("-x,-y,z+1/2")
    assert basis.change_basis_rational(screw, np.diag([1, 1, 2]))[1] == 24
    moved, den = basis.change_basis_rational(symbols.parse_xyz("x,y,z+1/24"), np.diag([1, 1, 5]))
    assert den == 120 and moved.w.tolist() == [0, 0, 1]
    with pytest.raises(BasisError, match="denominator 120, more than max_den=100"):
        basis.change_basis_rational(symbols.parse_xyz("x,y,z+1/24"), np.diag([1, 1, 5]), max_den=100)


def test_a_lattice_that_is_not_invariant_names_the_operation():
    cubic = symbols.parse_xyz(["x,y,z", "-x,-y,z", "z,x,y"])
    with pytest.raises(BasisError, match=r"operation 2 \(z,x,y\) is not integral .*determinant 2.*1 of 3"):
        basis.change_basis_rational(cubic, np.diag([2, 1, 1]))


@pytest.mark.parametrize(
    ("P", "p", "words"),
    [
        (np.ones((3, 3)), None, "singular"),
        (np.eye(2), None, r"shape \(3, 3\), got \(2, 2\)"),
        (np.eye(3) * np.sqrt(2), None, "not a fraction"),
        (np.full((3, 3), np.nan), None, "not a finite number"),
        ([["a", 0, 0], [0, 1, 0], [0, 0, 1]], None, "not a finite number"),
        (np.eye(3), [0, 0], r"shape \(3,\), got \(2,\)"),
    ],
)
def test_bad_bases_are_named(P, p, words):
    with pytest.raises(BasisError, match=words):
        basis.change_basis_rational(exact.identity(), P, p)


@given(integral)
def test_lattice_translations_are_a_group_of_the_right_size(P):
    det = abs(round(np.linalg.det(P)))
    assume(det > 0)
    points, den = basis.lattice_translations(P)
    assert len(points) == den == det and not points[0].any() and len(np.unique(points, axis=0)) == det
    old = points @ P.T  # in units of 1/den of the old lattice: must be lattice points
    assert np.all(old % den == 0)


def test_lattice_translations_of_a_fractional_basis_are_refused():
    with pytest.raises(BasisError, match="must be integral"):
        basis.lattice_translations(TO_PRIMITIVE_F)


def test_scaling_the_denominator():
    op = distinct()
    assert np.all(exact.equal(basis.scale_den(basis.scale_den(op, 24, 120), 120, 24), op))
    with pytest.raises(OperationError, match=r"operation 0 \(x,y,z\+1/24\): its translation is not a multiple of 1/12"):
        basis.scale_den(symbols.parse_xyz("x,y,z+1/24"), 24, 12)


def test_snapping_removes_noise_from_the_whole_vocabulary_in_both_layers():
    op, rng = distinct(), np.random.default_rng(0)
    W = op.W + rng.uniform(-0.009, 0.009, op.W.shape)
    w = op.w / 24 + rng.uniform(-0.009, 0.009, op.w.shape) + rng.integers(-3, 4, op.w.shape)
    assert np.all(exact.equal(basis.snap(W, w), op))
    for frame in (np.eye(3), HEXAGONAL):
        some = exact.take(op, np.flatnonzero([np.array_equal(frame_of(W), frame) for W in op.W]))
        moved = euclidean.from_exact(some, 4.2 * frame, dtype=np.float32)
        assert np.all(exact.equal(basis.snap_motion(moved, 4.2 * frame), some))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda W, w: W.__setitem__((3, 1, 2), W[3, 1, 2] + 0.3), r"operation 3: rotation part entry \(1, 2\) is"),
        (
            lambda W, w: w.__setitem__((2, 1), 0.02),
            r"operation 2: translation part entry \(1,\) is 0.02.*multiple of 1/24",
        ),
        (lambda W, w: w.__setitem__((0, 0), np.nan), "operation 0: translation part"),
        (lambda W, w: W.__setitem__((1, 0, 0), np.inf), "operation 1: rotation part"),
    ],
)
def test_what_cannot_be_snapped_is_named(change, words):
    op = exact.take(settings_530()[15], np.arange(4))
    W, w = op.W.astype(float), op.w / 24
    change(W, w)
    with pytest.raises(SnapError, match=words):
        basis.snap(W, w)


def test_snap_refuses_a_tolerance_that_could_choose_the_wrong_multiple():
    with pytest.raises(SnapError, match="tol must lie in"):
        basis.snap(np.eye(3), np.zeros(3), tol=0.03)
    with pytest.raises(OperationError, match="determinant 0"):
        basis.snap(np.ones((3, 3)), np.zeros(3))
    with pytest.raises(BasisError, match="regular"):
        basis.snap_motion(euclidean.identity(), np.ones((3, 3)))
