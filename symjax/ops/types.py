"""The two representations of affine operations, and the choice between numpy and JAX.

Owns the named tuples `Op` (exact) and `Motion` (euclidean) that every other folder uses. Both hold one operation or an
array of them: all leading axes are batch axes. Functions of `symjax.ops` return numpy arrays when every input is a
numpy array (or Python number), so that host code pays no dispatch cost, and JAX arrays otherwise.

Conventions (International Tables, column vectors): x' = W x + w and (W2, w2)(W1, w1) = (W2 W1, W2 w1 + w2).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from symjax._later import is_array, is_tracer, jnp

Array: TypeAlias = Any  # np.ndarray or jax.Array; the two have no common static type
Den: TypeAlias = Any  # int, or an integer array (...,) with one denominator per operation

DEN = 24
"""Default denominator of translations: holds every table translation, origin shift and fixed Wyckoff coordinate."""

HEXAGONAL = np.array([[1.0, -0.5, 0.0], [0.0, np.sqrt(3.0) / 2, 0.0], [0.0, 0.0, 1.0]])
"""Columns a, b, c of the hexagonal reference basis: a = b = c = 1, gamma = 120 degrees."""
HEXAGONAL.setflags(write=False)


class Op(NamedTuple):
    """Exact operations in a lattice basis.

    Attributes:
        W: (..., 3, 3) int32 rotation parts, determinant +1 or -1.
        w: (..., 3) int32 translation parts in units of 1/den of the basis vectors.
    """

    W: Array
    w: Array


class Motion(NamedTuple):
    """Operations with real entries: Cartesian (R orthogonal, t in angstrom) or in any other basis.

    Attributes:
        R: (..., 3, 3) floating linear parts.
        t: (..., 3) floating translation parts.
    """

    R: Array
    t: Array


def namespace(*arrays: Any) -> ModuleType:
    """`jax.numpy` when any of the arrays is a JAX array or tracer, else `numpy`."""
    return jnp if any(is_array(array) for array in arrays) else np


def is_concrete(*arrays: Any) -> bool:
    """Whether the values can be looked at now (False inside jit, vmap and grad)."""
    return not any(is_tracer(array) for array in arrays)


def per_axis(den: Den) -> Any:
    """A denominator that broadcasts against (..., 3): per-operation arrays get a trailing axis."""
    return den if np.ndim(den) == 0 else den[..., None]
