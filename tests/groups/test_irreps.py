"""Irreps from operations: orthogonality, sums of squares, real forms, names; spgrep's irreps at random k are the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.errors import InputError
from symjax.groups.irrep_names import named_k, parse_irrep, special_k
from symjax.groups.irreps import KVector, irreps_at
from symjax.groups.order_parameter import directions, parse_direction, real_irrep, real_irreps
from symjax.groups.primitive import primitive_form
from symjax.groups.tables import standard_setting

FEW = (2, 62, 91, 122, 166, 199, 205, 227, 230)


def check_star(irreps):
    """Sum of squares, orthogonality of small characters, a homomorphism modulo translations, arms times co-group = point group."""
    m = len(irreps.rows)
    chi = np.array([one.characters for one in irreps.small])
    assert sum(one.dim**2 for one in irreps.small) == m
    assert np.abs(chi @ chi.conj().T / m - np.eye(len(chi))).max() < 1e-6
    assert len(irreps.arm_row) * m == len(irreps.W)
    rng = np.random.default_rng(0)
    for i in range(len(irreps.small)):
        D = irreps.full(i)
        for a, b in rng.integers(len(irreps.W), size=(4, 2)):
            c = irreps.product[a, b]
            t = irreps.W[a] @ irreps.w[b] + irreps.w[a] - irreps.w[c]
            dim = irreps.small[i].dim
            phase = np.repeat([irreps.phase(arm, t, irreps.den) for arm in range(len(irreps.arm_row))], dim)
            assert np.abs(D[a] @ D[b] - phase[:, None] * D[c]).max() < 1e-9
        assert np.abs(D @ D.conj().transpose(0, 2, 1) - np.eye(D.shape[1])).max() < 1e-9


@pytest.mark.parametrize("number", FEW)
def test_special_k(number):
    for name, _ in special_k(number):
        named = named_k(number, name)
        check_star(named.irreps)
        assert len(set(named.labels)) == len(named.labels) == len(named.irreps.small)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 231))
def test_every_special_k_of_every_group(number):
    for name, k in special_k(number):
        named = named_k(number, name)
        check_star(named.irreps)
        assert named_k(number, k).name == name
        assert sum(one.dim / (1 if one.reality == 1 else 2) for one in real_irreps(named)) > 0


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 230), st.lists(st.integers(0, 11), min_size=3, max_size=3))
def test_any_k(number, k):
    check_star(irreps_at(standard_setting(number), KVector(np.array(k, np.int64), 12)))


def spgrep_characters(number, k):
    """Characters of spgrep and of ours at a k of the primitive basis, in the same order of operations."""
    spgrep = pytest.importorskip("spgrep")
    form = primitive_form(standard_setting(number))
    given = (form.W.astype(np.int32), form.w / form.den, np.array(k))
    try:
        theirs, rows = spgrep.get_spacegroup_irreps_from_primitive_symmetry(*given)
    except np.linalg.LinAlgError:  # its default way inverts a singular matrix in 37 of the 920 cases of the slow test
        theirs, rows = spgrep.get_spacegroup_irreps_from_primitive_symmetry(*given, method="random")
    theirs = np.array([np.trace(one, axis1=1, axis2=2) for one in theirs])
    inverse = np.linalg.inv(form.columns / form.source_den)
    irreps = irreps_at(standard_setting(number), KVector.of(np.array(k) @ inverse))
    back = np.linalg.inv(form.columns)
    at, phase = [], []
    for row in rows:
        W = np.rint(form.columns @ form.W[row] @ back).astype(int)
        mine = next(int(r) for r in irreps.rows if (irreps.W[r] == W).all())
        w = form.columns @ form.w[row]  # in units of 1/(den source_den)
        unit = form.den * form.source_den
        phase.append(irreps.phase(0, w * irreps.den - irreps.w[mine] * unit, unit * irreps.den))
        at.append(irreps.place[mine])
    ours = np.array([np.array(phase) * one.characters[at] for one in irreps.small])
    return theirs, ours


def check_spgrep(number, k):
    theirs, ours = spgrep_characters(number, k)
    assert theirs.shape == ours.shape
    gap = np.abs(theirs[:, None] - ours[None]).max(axis=2)
    assert (gap.min(axis=1) < 1e-5).all() and len(set(gap.argmin(axis=1).tolist())) == len(ours)


@pytest.mark.parametrize(("number", "k"), [(62, (0.5, 0.5, 0.5)), (199, (0.25, 0.25, 0.25)), (230, (0.5, 0.0, 0.0))])
def test_spgrep_agrees(number, k):
    check_spgrep(number, k)


@pytest.mark.slow
def test_spgrep_agrees_at_random_k():
    rng = np.random.default_rng(5)
    for number in range(1, 231):
        for den in (2, 3, 4, 6):
            check_spgrep(number, rng.integers(0, den, 3) / den)


def test_names_of_the_cubic_perovskite():
    """Oh at GM: GM4- is the vector, GM4+ the axial vector, GM3+ two-dimensional (Miller & Love's order)."""
    named, irrep = parse_irrep(221, "GM4-")
    real = real_irrep(named, irrep)
    for W, D in zip(named.irreps.W, real.matrices, strict=True):
        assert np.trace(W) == pytest.approx(np.trace(D))
    named, irrep = parse_irrep(221, "R4+")
    proper = np.rint(np.linalg.det(named.irreps.W))
    axial = named.irreps.small[irrep].characters.real
    assert np.allclose(axial, proper * np.trace(named.irreps.W, axis1=1, axis2=2))
    with pytest.raises(InputError, match="there is no"):
        parse_irrep(221, "R9+")
    with pytest.raises(InputError, match="named ones are GM"):
        parse_irrep(221, "Q1+")
    with pytest.raises(InputError, match="three fractions"):
        KVector.of((np.nan, 0, 0))


def test_a_k_without_a_name_says_so():
    named = named_k(221, KVector.of(("0", "0", "1/3")))
    assert not named.standard and named.name == "k(0,0,1/3)" and len(named.irreps.arm_row) == 6
    again, place = parse_irrep(221, "k(0,0,1/3)[2]")
    assert place == 1 and again.labels == named.labels


@pytest.mark.parametrize(("number", "reality"), [(198, {0, 1, -1}), (144, {0, 1}), (62, {0, 1, -1})])
def test_real_forms(number, reality):
    """Real matrices are orthogonal, represent the group, and double exactly where the indicator says so."""
    seen = set()
    for name, _ in special_k(number):
        for real in real_irreps(named_k(number, name)):
            irreps = real.named.irreps
            seen.add(real.reality)
            n = len(irreps.arm_row) * irreps.small[real.irrep].dim
            assert real.dim == n * (1 if real.reality == 1 else 2)
            M = real.matrices
            assert np.abs(M @ M.transpose(0, 2, 1) - np.eye(real.dim)).max() < 1e-9
            for a in range(len(M)):
                b = (a + 1) % len(M)
                c = irreps.product[a, b]
                t = irreps.W[a] @ irreps.w[b] + irreps.w[a] - irreps.w[c]
                assert np.abs(M[a] @ M[b] - real.translation(t, irreps.den) @ M[c]).max() < 1e-8
    assert seen <= reality and 1 in seen


def test_directions_of_octahedral_tilts():
    """Six classes for R4+, four for M3+ (Howard & Stokes, Acta Cryst. B54, 782, 1998), with the right numbers of domains."""
    real = real_irrep(*parse_irrep(221, "R4+"))
    assert [(one.text, one.count) for one in directions(real)] == [
        ("(a,0,0)", 3),
        ("(a,a,0)", 6),
        ("(a,a,a)", 4),
        ("(a,b,0)", 3),
        ("(a,a,b)", 6),
        ("(a,b,c)", 1),
    ]
    real = real_irrep(*parse_irrep(221, "M3+"))
    assert [one.text for one in directions(real)] == ["(a;0;0)", "(a;a;0)", "(a;a;a)", "(a;b;c)"]
    assert np.trace(parse_direction(real, "(a;-a;b)")) == pytest.approx(2)
    with pytest.raises(InputError, match="3 components"):
        parse_direction(real, "(a,a)")
    with pytest.raises(InputError, match="cannot be read"):
        parse_direction(real, "(a,%,0)")
