"""Shared pieces of the group tests: random bases, the slow obvious closure, hypothesis strategies."""

import numpy as np
from hypothesis import strategies as st

from symjax.groups import OpSet, hall_setting
from symjax.ops import exact

halls = st.integers(1, 530)


def random_basis(rng, shears=4):
    """Integer matrix of determinant 1."""
    P = np.eye(3, dtype=np.int32)
    for _ in range(shears):
        i, j = rng.permutation(3)[:2]
        step = np.eye(3, dtype=np.int32)
        step[i, j] = rng.choice([-1, 1])
        P = P @ step
    return P.astype(np.int32)


def conjugated(opset, P, p):
    """The same set in another basis (unimodular) and origin."""
    moved = exact.change_basis(exact.Op(opset.W, opset.w), P, np.asarray(p, np.int32), opset.den)
    return OpSet(W=moved.W.astype(np.int32), w=moved.w.astype(np.int32), mask=opset.mask, den=opset.den)


def as_tuples(opset):
    """The members as hashable exact values."""
    mask = np.asarray(opset.mask)
    W, w = np.asarray(opset.W)[mask], np.asarray(opset.w)[mask]
    return {(tuple(a.ravel().tolist()), tuple(b.tolist())) for a, b in zip(W, w, strict=True)}


def slow_closure(opset, limit=2000):
    """Products added until nothing is new, with Python integers; None beyond the limit."""
    den = opset.den

    def times(a, b):
        W, V = np.array(a[0]).reshape(3, 3), np.array(b[0]).reshape(3, 3)
        w = (W @ np.array(b[1]) + np.array(a[1])) % den
        return tuple((W @ V).ravel().tolist()), tuple(w.tolist())

    generators = sorted(as_tuples(opset))
    found = {((1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 0))}
    frontier = set(found)
    while frontier:
        frontier = {times(g, a) for g in generators for a in frontier} - found
        found |= frontier
        if len(found) > limit:
            return None
    return found


@st.composite
def settings_in_any_basis(draw):
    """(set, hall): a Hall setting in a random unimodular basis and at a random origin on the grid of 24ths."""
    hall = draw(halls)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return conjugated(hall_setting(hall), random_basis(rng), rng.integers(0, 24, 3)), hall
