"""Asymmetric units and shapes: published counts, tiling by exact arithmetic, and each position covered once."""

import numpy as np
import pytest

from symjax.errors import InputError, SymjaxError
from symjax.groups.tables import standard_setting
from symjax.wyckoff.asymmetric import (
    POLYGONS,
    SHIFTS,
    asymmetric_unit,
    into_unit,
    polygon_coordinates,
    shapes,
    type_wyckoff,
)
from symjax.wyckoff.types import type_positions

# zero-dim positions; one-dim positions and segments; two-dim positions and polygons; half-spaces; vertices, counted with cctbx
GOLDEN = {
    1: (0, 0, 0, 0, 0, 6, 8),
    47: (8, 12, 12, 6, 6, 6, 8),
    70: (4, 3, 7, 0, 0, 6, 8),
    99: (0, 3, 3, 3, 3, 5, 6),
    141: (4, 3, 6, 1, 4, 6, 8),
    166: (4, 3, 5, 1, 3, 5, 6),
    188: (6, 4, 7, 1, 1, 7, 10),
    194: (5, 4, 7, 2, 4, 5, 6),
    216: (4, 3, 6, 1, 4, 4, 4),
    225: (4, 5, 6, 2, 4, 4, 4),
    227: (4, 3, 6, 1, 4, 5, 6),
    230: (4, 3, 6, 0, 0, 9, 9),
}


def test_counts_are_those_of_the_exact_units():
    table, types = shapes(), type_positions()
    assert len(table) == 2039 and (table.row[:, :, 0] >= 0).sum() == 1731
    assert [int((table.dim == dim).sum()) for dim in range(4)] == [616, 948, 245, 230]
    polygons = table.polygon[table.dim == 2]
    assert np.bincount(polygons).tolist() == [45, 187, 6, 2, 5]
    assert ((table.row >= 0).any(axis=2) == types.mask).all()
    faces = [asymmetric_unit(number).num_faces for number in range(1, 231)]
    assert np.bincount(faces)[4:].tolist() == [17, 43, 145, 23, 1, 1]


@pytest.mark.parametrize("number", sorted(GOLDEN))
def test_counts_of_single_groups(number):
    table, unit = shapes(), asymmetric_unit(number)
    own = table.number == number
    positions = [len(np.unique(table.pos[own & (table.dim == dim)])) for dim in range(3)]
    rows = [int((own & (table.dim == dim)).sum()) for dim in range(3)]
    found = (positions[0], positions[1], rows[1], positions[2], rows[2], unit.num_faces, len(unit.vertices))
    assert found == GOLDEN[number] and positions[0] == rows[0]


def images_inside(number, points, den):
    """(k,) images in the unit over how often each is met: 1 where the unit holds one point of every orbit."""
    opset, unit = standard_setting(number), asymmetric_unit(number)
    W, w = opset.W.astype(np.int64), opset.w.astype(np.int64) * (den // opset.den)
    images = np.mod(np.einsum("gij,kj->kgi", W, points) + w, den)
    inside = unit.contains(images[:, :, None] + SHIFTS * den, den).sum(axis=(1, 2))
    fixed = (images == np.mod(points, den)[:, None]).all(axis=-1).sum(axis=1)
    return inside / fixed


def test_each_orbit_has_one_point_in_the_unit():
    """General points, and points of the grid of 1/24, where corners, edges and faces of all units are, in all groups."""
    rng = np.random.default_rng(0)
    for number in range(1, 231):
        general = images_inside(number, rng.integers(0, 24 * 9973, (4, 3)), 24 * 9973)
        special = images_inside(number, rng.integers(0, 24, (24, 3)), 24)
        assert (general == 1).all() and (special == 1).all(), number


@pytest.mark.parametrize("groups", [range(3, 231, 12), pytest.param(range(1, 231), marks=pytest.mark.slow)])
def test_each_position_is_covered_once(groups):
    """A random exact point of every position: one image in the unit, on one shape of that position and of no other."""
    rng, table, prime = np.random.default_rng(1), shapes(), 997
    for number in groups:
        positions, opset, unit = type_wyckoff(number), standard_setting(number), asymmetric_unit(number)
        den = 24 * prime
        free = rng.integers(1, den, (len(positions), 3))
        x = np.rint(positions.x0 * den).astype(np.int64) + np.einsum(
            "pij,pj->pi", positions.basis.astype(np.int64), free
        )
        rows, point, off = into_unit(number, np.arange(len(positions)), x / den)
        assert off.max() < 1e-9 and (table.pos[rows] == np.arange(len(positions))).all()
        exact = np.rint(point * den).astype(np.int64)
        # special points of a position are more special positions; those land on the boundary of its shapes
        images = np.mod(np.einsum("gij,pj->pgi", opset.W.astype(np.int64), x) + opset.w * prime, den)
        generic = (images == np.mod(x, den)[:, None]).all(axis=-1).sum(axis=1) * positions.multiplicity == len(opset.W)
        assert generic.mean() > 0.9 and unit.contains(exact, den)[generic].all(), number


@pytest.mark.parametrize("number", [47, 141, 188, 227])
def test_shapes_are_disjoint(number):
    """Points inside a shape, taken anywhere, are led back to the same shape and place."""
    rng, table = np.random.default_rng(2), shapes()
    opset = standard_setting(number)
    for row in np.flatnonzero((table.number == number) & (table.dim > 0)):
        weights = rng.dirichlet(np.full(table.count[row], 2.0))
        point = weights @ table.vertices[row, : table.count[row]]
        g = rng.integers(len(opset.W))
        moved = opset.W[g] @ point + opset.w[g] / opset.den
        rows, back, _ = into_unit(number, table.pos[row : row + 1], moved[None])
        assert rows[0] == row and np.allclose(back[0], point)


def test_polygons_stand_in_the_order_of_their_class():
    table = shapes()
    for row in np.flatnonzero(table.dim == 2):
        vertices = table.vertices[row, : table.count[row]]
        assert np.allclose(polygon_coordinates(vertices, vertices), POLYGONS[table.polygon[row]])


def test_bad_input():
    with pytest.raises(InputError):
        asymmetric_unit(231)
    with pytest.raises(SymjaxError, match="on no shape"):
        into_unit(225, np.array([0]), np.array([[0.1, 0.2, 0.3]]))
