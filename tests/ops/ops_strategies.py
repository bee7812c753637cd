"""Operations for the tests: every operation of the 530 settings, and hypothesis strategies of random ones."""

import functools

import numpy as np
import spglib
from hypothesis import strategies as st

from symjax.ops import Op, as_op, exact

HEXAGONAL = np.array([[1.0, -0.5, 0.0], [0.0, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.0]])


@functools.cache
def settings_530() -> list[Op]:
    """The operations of each Hall setting, from spglib's database."""
    sets = [spglib.get_symmetry_from_database(hall) for hall in range(1, 531)]
    return [as_op(s["rotations"], np.rint(s["translations"] * 24).astype(int)) for s in sets]


@functools.cache
def distinct() -> Op:
    """The 882 distinct operations of all settings."""
    everything = Op(np.concatenate([o.W for o in settings_530()]), np.concatenate([o.w for o in settings_530()]))
    _, first = np.unique(exact.code(everything), return_index=True)
    return exact.take(everything, first)


def frame_of(W: np.ndarray) -> np.ndarray:
    """Columns of the reference frame in which a tabulated rotation part is orthogonal."""
    return np.eye(3) if np.array_equal(W.T @ W, np.eye(3)) else HEXAGONAL


dens = st.sampled_from([1, 2, 6, 12, 24, 36, 48])
small = st.integers(-3, 3)


@st.composite
def unimodular(draw, shears: int = 4):
    """Integer matrices of determinant +1 or -1: products of elementary shears, perhaps with a reflection."""
    P = np.eye(3, dtype=np.int32)
    for _ in range(draw(st.integers(0, shears))):
        i, j = draw(st.sampled_from([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]))
        E = np.eye(3, dtype=np.int32)
        E[i, j] = draw(st.integers(-2, 2))
        P = P @ E
    return P * np.int32(draw(st.sampled_from([1, -1])))


vectors = st.lists(st.integers(-60, 60), min_size=3, max_size=3).map(lambda v: np.array(v, dtype=np.int32))


@st.composite
def any_op(draw):
    """A unimodular rotation part (mostly of infinite order) with any translation."""
    return as_op(draw(unimodular()), draw(vectors))


@st.composite
def crystal_op(draw):
    """A tabulated rotation part in a random basis with any translation: always of finite order."""
    W = distinct().W[draw(st.integers(0, len(distinct().W) - 1))]
    return exact.change_basis(as_op(W, draw(vectors)), draw(unimodular()), draw(vectors))


@st.composite
def table_op(draw):
    """One of the 882 operations as tabulated."""
    i = draw(st.integers(0, len(distinct().W) - 1))
    return Op(distinct().W[i], distinct().w[i])
