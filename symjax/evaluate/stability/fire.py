"""FIRE, the fast inertial relaxation engine, as a pure function of its state.

Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with the constants and the order of operations of ASE's ``FIRE``
(masses 1, step of the whole vector capped), so that a relaxation at fixed cell follows ASE's trajectory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Fire(NamedTuple):
    """Constants; the defaults are ASE's."""

    dt: float = 0.1
    max_step: float = 0.2
    dt_max: float = 1.0
    wait: int = 5
    grow: float = 1.1
    shrink: float = 0.5
    mix: float = 0.1
    mix_decay: float = 0.99


class FireState(NamedTuple):
    """Everything the next step depends on.

    Attributes:
        velocity: (m, 3), or None before the first step.
        dt: current time step.
        mix: current share of the force direction in the velocity.
        downhill: steps since the last uphill one.
    """

    velocity: np.ndarray | None
    dt: float
    mix: float
    downhill: int


def start(constants: Fire) -> FireState:
    """The state before the first step."""
    return FireState(None, constants.dt, constants.mix, 0)


def step(state: FireState, force: np.ndarray, constants: Fire) -> tuple[FireState, np.ndarray]:
    """One step.

    Args:
        state: from `start` or the last step.
        force: (m, 3) minus the gradient.
        constants: those of `start`.

    Returns:
        the next state and the displacement (m, 3), no longer than ``max_step`` as one vector.
    """
    dt, mix, downhill = state.dt, state.mix, state.downhill
    if state.velocity is None:
        velocity = np.zeros_like(force)
    else:
        velocity = state.velocity
        if float(np.vdot(force, velocity)) > 0:
            along = force / np.sqrt(np.vdot(force, force)) * np.sqrt(np.vdot(velocity, velocity))
            velocity = (1 - mix) * velocity + mix * along
            if downhill > constants.wait:
                dt, mix = min(dt * constants.grow, constants.dt_max), mix * constants.mix_decay
            downhill += 1
        else:
            velocity, mix, dt, downhill = np.zeros_like(force), constants.mix, dt * constants.shrink, 0
    velocity = velocity + dt * force
    move = dt * velocity
    length = float(np.sqrt(np.vdot(move, move)))
    if length > constants.max_step:
        move = move * (constants.max_step / length)
    return FireState(velocity, dt, mix, downhill), move
