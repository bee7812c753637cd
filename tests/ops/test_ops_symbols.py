"""Triplets and Seitz symbols: round trips over all 530 settings, agreement with gemmi and pymatgen, and errors."""

import gemmi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops_strategies import HEXAGONAL, any_op, crystal_op, dens, distinct, settings_530

from symjax.ops import BasisError, Op, OperationError, ParseError, as_op, exact, symbols
from symjax.ops.seitz import parse_seitz, seitz


def same(a, b, den=24):
    return bool(np.all(exact.equal(a, b, den)))


def test_triplets_round_trip_over_all_530_settings():
    for op in settings_530():
        assert same(symbols.parse_xyz(symbols.format_xyz(op)), op)


def test_seitz_symbols_round_trip_over_all_530_settings():
    for op in settings_530():
        orthogonal = np.array_equal(np.swapaxes(op.W, -1, -2) @ op.W, np.broadcast_to(np.eye(3), op.W.shape))
        texts = seitz(op)
        assert len(set(texts)) == len(op.W)
        assert same(parse_seitz(texts, "orthogonal" if orthogonal else "hexagonal"), op)


def test_triplets_agree_with_gemmi_in_both_directions():
    op = distinct()
    for text, W, w in zip(symbols.format_xyz(op), op.W, op.w):
        theirs = gemmi.Op(text)
        assert np.array_equal(np.array(theirs.rot) // theirs.DEN, W) and np.array_equal(theirs.tran, w)
        assert same(symbols.parse_xyz(theirs.triplet()), Op(W, w))


def test_triplets_agree_with_pymatgen():
    from pymatgen.core.operations import SymmOp

    op = distinct()
    for text, W, w in list(zip(symbols.format_xyz(op), op.W, op.w))[::7]:
        theirs = SymmOp.from_xyz_str(text)
        assert np.allclose(theirs.rotation_matrix, W) and np.allclose(theirs.translation_vector, w / 24)
        assert same(symbols.parse_xyz(theirs.as_xyz_str()), Op(W, w))


@given(any_op(), dens)
def test_any_unimodular_operation_round_trips_with_any_denominator(a, den):
    assert same(symbols.parse_xyz(symbols.format_xyz(a, den), den), a, den)


@given(crystal_op(), dens)
def test_seitz_symbols_identify_operations_in_any_basis(a, den):
    import re

    text = seitz(a, den)
    assert re.fullmatch(r"\{(m|-?[12346])[+-]?(_(\(.*\)|(-?\d){3}))?\|\S+ \S+ \S+\}", text)
    assert seitz(exact.invert(exact.invert(a, den), den), den) == text


@given(st.permutations(["x", "-y", "z+1/2"]))
def test_terms_in_any_order_case_and_spacing(rows):
    text = ",".join(rows)
    loose = " , ".join("1/2 + Z" if r == "z+1/2" else r.upper() for r in rows)
    assert same(symbols.parse_xyz(text), symbols.parse_xyz(loose))


def test_decimals_products_and_sequences():
    assert same(symbols.parse_xyz("x+0.333, y - 0.25, +z+.5"), symbols.parse_xyz("x+1/3,y+3/4,z+1/2"))
    assert symbols.parse_xyz("2*x+y,x+1y,z").W.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert symbols.parse_xyz(["x,y,z", "-x,-y,z"]).W.shape == (2, 3, 3)
    assert (
        symbols.format_xyz(Op(np.tile(np.eye(3, dtype=int), (2, 1, 1, 1)), np.zeros((2, 1, 3), int))) == [["x,y,z"]] * 2
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y", "2 expressions instead of 3 at the end, position 4"),
        ("x,y,z,w", "4 expressions instead of 3 at character ',', position 6"),
        ("x,q,z", "cannot read at character 'q', position 3"),
        ("x y,y,z", "missing [+] or - at character 'y', position 3"),
        ("x,,z", "empty expression at character ',', position 3"),
        ("", "1 expressions instead of 3"),
        ("x,y+,z", "cannot read at character ','"),
        ("x/2,y,z", "cannot read at character '/', position 2"),
        ("1/2x,y,z", "coefficient 1/2 of x is not an integer"),
        ("x,y,z+1/0", "division by zero at character '0', position 9"),
        ("x,y,z+1/7", "translation 1/7 is not a multiple of 1/24"),
        ("x,x,z", "determinant other than"),
        (None, "must be text such as 'x,y,z', got NoneType"),
    ],
)
def test_unreadable_triplets_name_the_character(text, words):
    with pytest.raises(ParseError, match=words):
        symbols.parse_xyz([text])


@pytest.mark.parametrize(
    ("xyz", "basis", "expected"),
    [
        ("x,y,z", "orthogonal", "{1|0 0 0}"),
        ("-x+1/2,-y,-z", "orthogonal", "{-1|1/2 0 0}"),
        ("-y+1/2,x,z+1/4", "orthogonal", "{4+_001|1/2 0 1/4}"),
        ("y,-x,z", "orthogonal", "{4-_001|0 0 0}"),
        ("y,-x,-z", "orthogonal", "{-4+_001|0 0 0}"),
        ("z,x,y", "orthogonal", "{3+_111|0 0 0}"),
        ("-z,-x,y", "orthogonal", "{3+_1-1-1|0 0 0}"),
        ("-y,-x,-z", "orthogonal", "{2_1-10|0 0 0}"),
        ("-z,-y,-x", "orthogonal", "{2_-101|0 0 0}"),
        ("x,-y,z+1/2", "orthogonal", "{m_010|0 0 1/2}"),
        ("y,x,z", "orthogonal", "{m_1-10|0 0 0}"),
        ("-y,x-y,z+1/3", "hexagonal", "{3+_001|0 0 1/3}"),
        ("x-y,x,z+1/6", "hexagonal", "{6+_001|0 0 1/6}"),
        ("x-y,-y,-z", "hexagonal", "{2_100|0 0 0}"),
        ("x,x-y,-z", "hexagonal", "{2_210|0 0 0}"),
        ("-x+y,y,z", "hexagonal", "{m_100|0 0 0}"),
    ],
)
def test_seitz_symbols_of_the_international_tables(xyz, basis, expected):
    op = symbols.parse_xyz(xyz)
    assert seitz(op) == expected
    assert same(parse_seitz(expected, basis), op)
    assert same(parse_seitz(expected.replace("|", " | "), basis), op)


def test_seitz_in_a_sheared_basis_with_many_digit_axes():
    P = np.array([[1, 12, 0], [0, 1, 0], [0, 0, 1]], dtype=np.int32)
    op = exact.change_basis(symbols.parse_xyz("-x,y,-z"), P)
    text = seitz(op)
    assert text == "{2_(12,-1,0)|0 0 0}"
    assert same(parse_seitz(text, P.astype(float)), op)
    assert same(parse_seitz("{3+_001|0}", HEXAGONAL), symbols.parse_xyz("-y,x-y,z"))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("{4_001|0 0 0}", ParseError, "needs a sense"),
        ("{2+_001|0 0 0}", ParseError, "has no sense"),
        ("{5+_001|0}", ParseError, "order '5' at position 2 does not exist"),
        ("{4+_001 0}", ParseError, "character ' ', position 8"),
        ("{2_0a1|0}", ParseError, "character '_', position 3"),
        ("{m|0}", ParseError, "needs an axis"),
        ("{1_001|0}", ParseError, "has no axis"),
        ("{2_000|0}", ParseError, "is zero"),
        ("{2_(1,0)|0}", ParseError, "not three integers"),
        ("{2_001|0 a 0}", ParseError, "'a' at position 10 is not a fraction"),
        ("{2_001|0 1/0 0}", ParseError, "not a fraction"),
        ("{2_001|0 1/2}", ParseError, "three components"),
        ("{2_001|0 0 1/7}", ParseError, "multiple of 1/24"),
        ("", ParseError, "the end, position 1"),
        (7, ParseError, "got int"),
        ("{3+_001|0}", BasisError, "not invariant under 3[+]_001"),
    ],
)
def test_unreadable_seitz_symbols_are_named(text, error, words):
    with pytest.raises(error, match=words):
        parse_seitz([text])


def test_bad_bases_and_operations_are_named():
    with pytest.raises(BasisError, match="'cubic'"):
        parse_seitz("{2_001|0}", "cubic")
    with pytest.raises(BasisError, match="regular"):
        parse_seitz("{2_001|0}", np.ones((3, 3)))
    with pytest.raises(OperationError, match=r"operation 1: rotation part .* infinite order"):
        seitz(as_op([np.eye(3, dtype=int), [[1, 1, 0], [0, 1, 0], [0, 0, 1]]], np.zeros((2, 3), int)))
    with pytest.raises(OperationError, match="den must be a positive integer, got 0"):
        symbols.format_xyz(exact.identity(), 0)
    with pytest.raises(OperationError, match="format_xyz: shapes"):
        symbols.format_xyz(Op(np.eye(2), np.zeros(3)))
