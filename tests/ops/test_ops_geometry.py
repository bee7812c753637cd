"""Geometry: the whole vocabulary against brute force and gemmi, textbook cases, arbitrary bases, and words for people."""

from collections import Counter
from fractions import Fraction

import gemmi
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops_strategies import crystal_op, distinct, settings_530, unimodular

from symjax.ops import Op, OperationError, as_op, exact, geometry, symbols
from symjax.ops.geometry import Kind


def test_rotation_types_agree_with_gemmi_for_the_whole_vocabulary():
    op = distinct()
    expected = [gemmi.Op(text).rot_type() for text in symbols.format_xyz(op)]
    assert geometry.rotation_type(op.W).tolist() == expected and len(expected) == 882


def test_counts_of_the_64_rotation_parts():
    W = np.unique(distinct().W.reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    counts = {1: 1, 2: 13, 3: 10, 4: 6, 6: 2}  # rotation type -> how many of the 32 proper ones
    assert Counter(geometry.rotation_type(W).tolist()) == counts | {-n: c for n, c in counts.items()}


def test_kinds_agree_with_a_search_over_lattice_translates():
    op = distinct()
    n = geometry.rotation_type(op.W)
    box = geometry._box(2) * 24
    W = np.broadcast_to(op.W[:, None], (len(op.W), len(box), 3, 3))
    intrinsic, _ = geometry.split_translation(Op(W, op.w[:, None] - box))
    pure = np.any(np.all(intrinsic == 0, axis=-1), axis=-1)
    names = {
        (True, True): Kind.ROTATION,
        (True, False): Kind.SCREW,
        (False, True): Kind.MIRROR,
        (False, False): Kind.GLIDE,
    }
    expected = [
        (Kind.IDENTITY if p else Kind.TRANSLATION)
        if k == 1
        else Kind.INVERSION
        if k == -1
        else Kind.ROTOINVERSION
        if k < -2
        else names[(k > 0, bool(p))]
        for k, p in zip(n.tolist(), pure)
    ]
    assert geometry.kind(op).tolist() == expected
    assert Counter(expected)[Kind.SCREW] == 222 and Counter(expected)[Kind.GLIDE] == 150


def test_geometry_is_consistent_for_the_whole_vocabulary():
    op = distinct()
    g = geometry.geometry(op)
    assert np.array_equal(g.intrinsic + g.location, 12 * g.representative)
    assert np.all((g.representative - op.w) % 24 == 0)
    # the point is fixed by the location part, and the axis by the proper part
    assert np.array_equal(exact.matvec(op.W, g.point) + 12 * g.location, g.point)
    R = op.W * exact.determinant(op.W)[:, None, None]
    assert np.array_equal(exact.matvec(R, g.axis), g.axis)
    assert np.array_equal(exact.matvec(op.W, g.intrinsic), g.intrinsic)
    assert np.array_equal(np.any(g.axis != 0, axis=-1), np.abs(g.rotation) > 1)
    assert np.all(g.intrinsic[np.isin(g.kind, [Kind.ROTATION, Kind.MIRROR, Kind.INVERSION, Kind.ROTOINVERSION])] == 0)
    assert np.all(np.any(g.intrinsic != 0, axis=-1)[np.isin(g.kind, [Kind.SCREW, Kind.GLIDE, Kind.TRANSLATION])])
    assert np.all(g.kind[g.pitch > 0] == Kind.SCREW)
    # three-folds of body-centred cubic settings: no Z^3 translate is a rotation, but one by their own cube is
    odd = (g.kind == Kind.SCREW) & (g.pitch == 0)
    assert (
        odd.sum() == 14
        and np.all(g.rotation[odd] == 3)
        and np.all(exact.order(exact.take(op, np.flatnonzero(odd))) == 6)
    )


def test_the_inverse_has_the_same_element_and_the_opposite_sense():
    op = distinct()
    g, inverse = geometry.geometry(op), geometry.geometry(exact.invert(op))
    assert np.array_equal(g.axis, inverse.axis) and np.array_equal(g.sense, -inverse.sense)
    assert np.array_equal(g.kind, inverse.kind) and np.array_equal(g.pitch, inverse.pitch)


@pytest.mark.parametrize(
    ("number", "symbol"),
    [
        (76, "4_1"),
        (77, "4_2"),
        (78, "4_3"),
        (144, "3_1"),
        (145, "3_2"),
        (169, "6_1"),
        (170, "6_5"),
        (171, "6_2"),
        (172, "6_4"),
        (173, "6_3"),
        (75, "4"),
        (143, "3"),
        (168, "6"),
        (81, "-4"),
        (174, "-6"),
    ],
)
def test_enantiomorphic_screws_are_told_apart(number, symbol):
    import spglib

    hall = next(h for h in range(1, 531) if spglib.get_spacegroup_type(h).number == number)
    fold = abs(int(symbol.split("_")[0]))
    found = {d.symbol for d in geometry.describe(settings_530()[hall - 1]) if abs(d.order) == fold}
    assert found == {symbol}


def vector(*values):
    return tuple(Fraction(v) for v in values)


@pytest.mark.parametrize(
    ("xyz", "symbol", "sense", "axis", "intrinsic", "point"),
    [
        ("x,y,z", "1", "", None, vector(0, 0, 0), None),
        ("x+1/2,y,z+1/2", "t", "", None, vector("1/2", 0, "1/2"), None),
        ("-x,-y,-z+1/2", "-1", "", None, vector(0, 0, 0), vector(0, 0, "1/4")),
        ("-x+1/2,-y,z+1/2", "2_1", "", (0, 0, 1), vector(0, 0, "1/2"), vector("1/4", 0, 0)),
        ("x+1/2,-y+1/2,z", "a", "", (0, 1, 0), vector("1/2", 0, 0), vector(0, "1/4", 0)),
        ("-y,-x,z+1/2", "c", "", (1, 1, 0), vector(0, 0, "1/2"), vector(0, 0, 0)),
        ("x,-y,z", "m", "", (0, 1, 0), vector(0, 0, 0), vector(0, 0, 0)),
        ("x+1/2,y+1/2,-z", "n", "", (0, 0, 1), vector("1/2", "1/2", 0), vector(0, 0, 0)),
        ("x+1/4,y+1/4,-z+1/4", "d", "", (0, 0, 1), vector("1/4", "1/4", 0), vector(0, 0, "1/8")),
        ("y,x,-z", "2", "", (1, 1, 0), vector(0, 0, 0), vector(0, 0, 0)),
        ("-z,y,-x", "m", "", (1, 0, 1), vector(0, 0, 0), vector(0, 0, 0)),
        ("y,-x,-z", "-4", "+", (0, 0, 1), vector(0, 0, 0), vector(0, 0, 0)),
        ("z,x,y", "3", "+", (1, 1, 1), vector(0, 0, 0), vector(0, 0, 0)),
        ("-y+1/2,x,z+3/4", "4_3", "+", (0, 0, 1), vector(0, 0, "3/4"), vector("1/4", "1/4", 0)),
    ],
)
def test_textbook_cases(xyz, symbol, sense, axis, intrinsic, point):
    d = geometry.describe(symbols.parse_xyz(xyz))
    assert (d.symbol, d.sense, d.axis, d.intrinsic, d.point) == (symbol, sense, axis, intrinsic, point)
    assert d.xyz == xyz and d.symbol in str(d)


def test_a_screw_along_a_face_diagonal_is_decided_modulo_the_lattice():
    # y,x,-z with w = (1/2,1/2,0): w - (1,0,0) is a pure rotation, so modulo Z^3 this is no screw
    assert geometry.kind(symbols.parse_xyz("y+1/2,x+1/2,-z")) == Kind.ROTATION
    quarter = geometry.geometry(symbols.parse_xyz("y+1/4,x+1/4,-z"))
    assert quarter.kind == Kind.SCREW and quarter.pitch == 1
    assert (
        geometry.kind(symbols.parse_xyz("-y,-x,z"))
        == geometry.kind(symbols.parse_xyz("-y+3/8,-x+3/8,z"))
        == Kind.MIRROR
    )


@given(crystal_op(), unimodular(), st.lists(st.integers(0, 23), min_size=3, max_size=3))
def test_kind_rotation_and_pitch_do_not_depend_on_basis_and_origin(a, P, p):
    P = P * np.int32(round(np.linalg.det(P)))  # right-handed
    moved = exact.change_basis(a, P, np.array(p, dtype=np.int32))
    before, after = geometry.geometry(a), geometry.geometry(moved)
    assert after.kind == before.kind and after.rotation == before.rotation
    axis = P @ after.axis
    flip = 1 if np.array_equal(axis, before.axis) else -1
    assert np.array_equal(axis * flip, before.axis)  # the same line
    assert after.sense == before.sense * flip
    assert after.pitch == before.pitch
    assert np.array_equal(exact.matvec(moved.W, after.point) + 12 * after.location, after.point)


@given(crystal_op(), st.lists(st.integers(-2000, 2000), min_size=3, max_size=3))
def test_the_intrinsic_part_does_not_see_the_origin(a, p):
    p = np.array(p, dtype=np.int32)
    shifted = Op(a.W, a.w + a.W @ p - p)
    assert np.array_equal(geometry.split_translation(a)[0], geometry.split_translation(shifted)[0])


def test_jit_and_vmap_agree_with_numpy():
    op = distinct()
    host = geometry.geometry(op)
    device = jax.jit(jax.vmap(lambda W, w: geometry.geometry(Op(W, w))))(jnp.asarray(op.W), jnp.asarray(op.w))
    for name, a, b in zip(host._fields, host, device):
        assert np.array_equal(a, b) and a.dtype == b.dtype == np.int32, name


def test_infinite_order_is_none_and_named():
    shear = as_op([[1, 1, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
    g = geometry.geometry(shear)
    assert g.kind == Kind.NONE and g.rotation == 0 and not g.axis.any()
    with pytest.raises(OperationError, match=r"operation 0 \(x\+y,y,z\) has infinite order"):
        geometry.describe(shear)


def test_batches_of_descriptions_keep_their_shape():
    op = exact.take(distinct(), np.arange(6))
    nested = geometry.describe(Op(op.W.reshape(2, 3, 3, 3), op.w.reshape(2, 3, 3)))
    assert [len(row) for row in nested] == [3, 3] and nested[1][0] == geometry.describe(op)[3]


def test_what_is_kept_by_operation_is_the_same_again():
    """Asked for twice, in another order and with another denominator; an error names the place among those given now."""
    op = symbols.parse_xyz(["x,y,z", "-y+1/2,x,z+1/4", "-x,-y,-z", "x,-y,z+1/2"])
    once = geometry.describe(op)
    assert geometry.describe(Op(op.W[::-1], op.w[::-1])) == once[::-1] == geometry.describe(op)[::-1]
    halves = geometry.describe(Op(op.W, op.w // 2), 12)
    assert [str(one) for one in halves] == [str(one) for one in once]
    with pytest.raises(OperationError, match="operation 2 "):
        geometry.describe(Op(np.array([*op.W[:2], [[1, 1, 0], [0, 1, 0], [0, 0, 1]]]), np.zeros((3, 3), int)))
