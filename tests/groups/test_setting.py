"""The way into the standard setting: exact for every table, for sheared and shifted bases, with the right hand."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from symjax.errors import NotAGroupError
from symjax.groups import OpSet, hall_setting, hall_to_number, make_opset, standard_setting
from symjax.groups.setting import Setting, find_setting
from symjax.ops import exact
from symjax.ops.basis import change_basis_rational
from symjax.ops.types import Op


def fits(opset: OpSet, found: Setting) -> bool:
    """Whether the standard setting, brought back into the basis of the set, is the set: every operation, and as many of them."""
    table, det = standard_setting(found.number), int(exact.determinant(found.P))
    W = found.P @ table.W.astype(int) @ exact.cofactors(found.P).T
    if det <= 0 or (W % det).any():
        return False
    W //= det
    den = int(np.lcm.reduce([table.den * found.P_den, found.p_den, opset.den]))
    p = found.p * (den // found.p_den)
    w = table.w @ found.P.T * (den // (table.den * found.P_den)) + p - W @ p
    ours = {tuple(r) for r in np.concatenate([W.reshape(-1, 9), w % den], -1).tolist()}
    theirs = np.concatenate([opset.W.reshape(-1, 9), opset.w.astype(int) * (den // opset.den)], -1)
    same_size = len(table.W) * found.P_den**3 == len(opset.W) * det  # operations for each volume
    return same_size and ours <= {tuple(r) for r in theirs.tolist()}


@pytest.mark.parametrize("first", [1, 75, 143, 195])
def test_a_standard_setting_is_its_own(first):
    for number in range(first, min(first + 75, 231)):
        found = find_setting(standard_setting(number))
        assert found.number == number
        assert (found.P == found.P_den * np.eye(3)).all() and not found.p.any(), (number, found)


@pytest.mark.parametrize("hall", range(1, 531, 11))
def test_every_tabulated_setting_is_brought_to_the_standard_one(hall):
    found = find_setting(hall_setting(hall))
    assert found.number == hall_to_number(hall)
    assert fits(hall_setting(hall), found)


unimodular = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-2, 2)), max_size=5)


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 230), shears=unimodular, shift=st.tuples(*[st.integers(0, 23)] * 3))
def test_sheared_and_shifted_sets_come_back(number, shears, shift):
    P = np.eye(3, dtype=int)
    for i, j, k in shears:
        if i != j:
            P[:, i] += k * P[:, j]
    opset = standard_setting(number)
    moved, den = change_basis_rational(Op(opset.W, opset.w), P, np.array(shift), opset.den)
    given_set = make_opset(moved.W, moved.w, den=den)
    found = find_setting(given_set)
    assert found.number == number  # a right-handed basis: of an enantiomorphic pair the same
    assert exact.determinant(found.P) == found.P_den**3
    assert fits(given_set, found)


def test_the_crystal_decides_between_monoclinic_cells():
    """Of all cells of one set the shortest with an obtuse angle is taken, by the metric given."""
    opset = standard_setting(14)
    for beta in (70.0, 100.0, 128.0):
        c = np.array([5 * np.cos(np.radians(beta)), 0, 5 * np.sin(np.radians(beta))])
        L = np.array([[4.0, 0, 0], [0, 6.0, 0], c])
        found = find_setting(opset, metric=L @ L.T)
        new = found.matrix.T @ L
        assert new[0] @ new[2] <= 1e-9
        assert np.linalg.norm(new[0]) + np.linalg.norm(new[2]) <= 9 + 1e-9
        assert fits(opset, found)


def test_a_set_that_does_not_close_is_refused():
    opset = standard_setting(62)
    with pytest.raises(NotAGroupError, match="not a group"):
        find_setting(OpSet(W=opset.W[:7], w=opset.w[:7], mask=opset.mask[:7], den=opset.den))
