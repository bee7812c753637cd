"""Conditions of a crystal, such as chemical system or energy above hull: batch fields that may be unknown, and their dropout.

`conditions_of` makes them from columns of the data (missing labels become unknown), `drop` hides some in a training step, and
`absent` hides all of them, for the unconditional half of classifier-free guidance. A network must treat an unknown condition as
absent; it reads `known` for that, the value of an unknown one is 0. Dropout that is independent for each condition is what
MatterGen's code does (Zeni et al., arXiv 2312.03687); its text drops all together.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.errors import DataError


class Condition(NamedTuple):
    """One condition of b crystals.

    Attributes:
        value: `(b, ...)` float32 or int32, 0 where unknown.
        known: `(b,)` bool.
    """

    value: Array
    known: Array


Conditions = dict[str, Condition]


def conditions_of(columns: Mapping[str, np.ndarray]) -> Conditions:
    """Conditions from columns of the data (numpy).

    Args:
        columns: name -> `(b, ...)`; a row of floats is unknown where any number is not finite, of integers where any is negative.

    Raises:
        DataError: a column has no known value at all: nothing would ever be conditioned on.
    """
    made = {}
    for name, column in columns.items():
        column = np.asarray(column)
        whole = column.dtype.kind in "iub"
        good = column >= 0 if whole else np.isfinite(column)
        known = good.reshape(len(column), -1).all(axis=1)
        if not known.any():
            raise DataError(f"condition {name!r} has no value for any of {len(column)} crystals")
        value = np.where(known.reshape(-1, *[1] * (column.ndim - 1)), column, 0)
        made[name] = Condition(value.astype(np.int32 if whole else np.float32), known)
    return made


def drop(conditions: Conditions, key: Array, rate: float, *, together: bool = False) -> Conditions:
    """Conditions of a training step: each is made unknown with probability `rate`, crystal by crystal.

    Args:
        conditions: of the batch.
        key: of the step; each condition draws from its name, so that one more leaves the others as they were.
        rate: probability.
        together: one draw hides all conditions of a crystal; else each has its own.
    """

    def one(name: str, condition: Condition) -> Condition:
        own = key if together else jax.random.fold_in(key, zlib.crc32(name.encode()))
        kept = jax.random.uniform(own, condition.known.shape) >= rate
        return _hidden(condition, condition.known & kept)

    return {name: one(name, condition) for name, condition in conditions.items()}


def absent(conditions: Conditions) -> Conditions:
    """The same conditions, unknown for every crystal."""
    return {name: _hidden(c, jnp.zeros_like(c.known)) for name, c in conditions.items()}


def _hidden(condition: Condition, known: Array) -> Condition:
    """The condition with another mask; a hidden value is 0, so that no network can read it."""
    wide = known.reshape(known.shape + (1,) * (condition.value.ndim - known.ndim))
    return Condition(jnp.where(wide, condition.value, 0), known)
