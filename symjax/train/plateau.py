"""A learning rate that falls when the validation loss does not: a factor in the optimizer's state, moved between dispatches.

The rule is that of PyTorch's ReduceLROnPlateau (relative threshold 1e-4, no cooldown), so that recipes written with it can be run.
The state travels with the optimizer's, so a resumed run goes on as the unbroken one would have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

THRESHOLD = 1e-4


class PlateauState(NamedTuple):
    """What the rule remembers, scalars.

    Attributes:
        scale: float32 factor of the learning rate.
        best: float32 lowest loss so far.
        stale: int32 validations since one was better than that.
    """

    scale: Array
    best: Array
    stale: Array


def scale_by_plateau() -> optax.GradientTransformation:
    """Multiplies updates by the factor that `observe` moves."""

    def init(params: Any) -> PlateauState:
        del params
        return PlateauState(jnp.ones(()), jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))

    def update(updates: Any, state: PlateauState, params: Any = None) -> tuple[Any, PlateauState]:
        del params
        return jax.tree.map(lambda u: u * state.scale, updates), state

    return optax.GradientTransformation(init, update)


def factor_of(opt_state: Any) -> float:
    """The factor of the rate in an optimizer's state; 1 where there is none."""
    found = [s for s in jax.tree.leaves(opt_state, is_leaf=_is_plateau) if _is_plateau(s)]
    return float(found[0].scale) if found else 1.0


def _is_plateau(node: Any) -> bool:
    return isinstance(node, PlateauState)


def observe(opt_state: Any, loss: float, *, factor: float, patience: int) -> Any:
    """The optimizer's state after a validation; unchanged if it has no `scale_by_plateau`.

    Args:
        opt_state: of a chain.
        loss: of the validation.
        factor: what the rate is multiplied by.
        patience: this many validations in a row may fail to be better; one more lowers the rate.
    """

    def moved(state: Any) -> Any:
        if not isinstance(state, PlateauState):
            return state
        better = loss < state.best * (1 - jnp.sign(state.best) * THRESHOLD)
        stale = jnp.where(better | ~jnp.isfinite(state.best), 0, state.stale + 1)
        falls = stale > patience
        best = jnp.where(stale == 0, loss, state.best)
        return PlateauState(state.scale * jnp.where(falls, factor, 1.0), best, jnp.where(falls, 0, stale))

    return jax.tree.map(moved, opt_state, is_leaf=lambda leaf: isinstance(leaf, PlateauState))
