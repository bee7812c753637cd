"""Stabilizers, orbits and multiplicities, exact and with a tolerance; against pyxtal's Wyckoff tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pyxtal.symmetry import Group

from symjax.errors import InputError
from symjax.groups import (
    check_group,
    fixed_point,
    multiplicity,
    orbit,
    orbit_exact,
    orbit_points,
    pad,
    stabilizer,
    stabilizer_exact,
    standard_setting,
    take,
)
from symjax.groups.orbits import wrap

U = np.array([0.1371, 0.3719, 0.7193])


@pytest.mark.parametrize("number", [2, 14, 62, 139, 166, 194, 205, 217, 225, 227, 230])
def test_multiplicities_of_pyxtal_positions(number):
    opset = standard_setting(number)
    for position in Group(number).Wyckoff_positions:
        x = np.asarray(position.ops[0].operate(U), float)
        mask = stabilizer(opset, x, tol=1e-6)
        assert int(multiplicity(opset, mask)) == position.multiplicity
        points = orbit_points(opset, x, tol=1e-6)
        assert points.shape == (position.multiplicity, 3) and (points >= 0).all() and (points < 1).all()
        theirs = np.array([op.operate(U) for op in position.ops])
        gap = points[:, None] - theirs[None]
        assert (np.abs(gap - np.round(gap)).max(-1) < 1e-6).any(0).all()
        check_group(take(opset, np.flatnonzero(mask)))


def test_exact_points_agree_with_floats():
    rng = np.random.default_rng(0)
    for number in (15, 88, 167, 194, 227):
        opset = pad(standard_setting(number), 192)
        for den in (2, 8, 24, 36):
            x = rng.integers(-den, 2 * den, (20, 3))
            x[:10] //= 6
            expected = stabilizer_exact(opset, x, den)
            np.testing.assert_array_equal(stabilizer(opset, x / den, tol=1e-6), expected)
            exact_orbit, float_orbit = orbit_exact(opset, x, den), orbit(opset, x / den, tol=1e-6)
            np.testing.assert_array_equal(exact_orbit.label, float_orbit.label)
            np.testing.assert_array_equal(exact_orbit.mask.sum(-1), multiplicity(opset, expected))
            np.testing.assert_array_equal(expected[..., opset.order :], False)


def test_orbit_counts_and_labels_follow_the_stabilizer():
    opset = standard_setting(227)
    x = np.array([0.125, 0.125, 0.125])
    found = orbit(opset, x)
    assert found.mask.sum() == 8 == int(multiplicity(opset, stabilizer(opset, x)))
    assert (np.bincount(found.label, minlength=192)[found.mask] == 24).all()


def test_the_wrap_is_no_edge():
    opset = standard_setting(2)
    for eps in (-1e-9, 1e-9, 1 - 1e-9, -0.5 + 1e-9):
        assert stabilizer(opset, np.full(3, eps)).all()
    np.testing.assert_array_equal(wrap(np.array([-1e-20, 1.0, -0.25])), [0.0, 0.0, 0.75])
    assert float(wrap(jnp.float32(-1e-9))) == 0.0


def test_tolerance_in_angstrom():
    opset = standard_setting(2)
    lattice = np.diag([3.0, 4.0, 30.0])
    x = np.array([0.0, 0.0, 0.002])
    assert stabilizer(opset, x, tol=0.01).all()
    assert stabilizer(opset, x, tol=0.01, lattice=lattice).sum() == 1  # 2 x 0.002 x 30 = 0.12 angstrom apart
    assert stabilizer(opset, x, tol=0.13, lattice=lattice).sum() == 2


def test_fixed_point_lies_on_the_subspace():
    opset = standard_setting(225)
    x = np.array([0.2501, 0.2499, 0.2502])
    mask = stabilizer(opset, x, tol=2e-3)
    snapped = fixed_point(opset, mask, x)
    np.testing.assert_allclose(snapped, 0.25, atol=2e-4)
    np.testing.assert_array_equal(stabilizer(opset, snapped, tol=1e-12), mask)


def test_jit_and_batches_agree():
    opset = pad(standard_setting(166), 48)
    x = np.random.default_rng(0).integers(0, 6, (4, 5, 3)) / 6
    plain = stabilizer(opset, x)
    device = jax.tree.map(jnp.asarray, opset)
    jitted = jax.jit(lambda s, x: stabilizer(s, x, tol=1e-3))(device, jnp.asarray(x, jnp.float32))
    np.testing.assert_array_equal(plain, jitted)
    assert plain.shape == (4, 5, 48)
    np.testing.assert_array_equal(jax.jit(lambda s, x: orbit(s, x).mask)(device, x), orbit(opset, x).mask)


def test_wrong_points_are_errors():
    opset = standard_setting(2)
    with pytest.raises(InputError, match="floating"):
        stabilizer(opset, np.array([0, 0, 0]))
    with pytest.raises(InputError, match="integer"):
        stabilizer_exact(opset, np.zeros(3), 2)
    with pytest.raises(InputError, match="shape"):
        stabilizer(opset, np.zeros(2))
