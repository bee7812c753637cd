"""What a diffusion process is, and the forward half of a joint diffusion of several variables.

A model diffuses named variables together, each by a process of its own: `{"k": GaussianProcess, "u": WrappedProcess}`. A process
holds the arrays its variable needs (a projector, a torus, a marginal) and knows four things: where it ends (`prior`), how data
are made noisy and what the network learns from that (`perturb`), and how a prediction takes noise away (`reverse`); some can also
be moved at one noise level (`correct`). A *level* says how much noise there is, in the terms of its process (`sigma`; `(alpha,
sigma)`; the kept share `abar`): a pytree whose leaves are scalars, or `(b,)` with one noise level a crystal. Schedules, which make
levels of times, belong to the model, so no process knows what a time is.

States, targets and outputs are dicts of arrays by the names of the variables; every state has the crystals on its leading axis.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from symjax.diffusion import rng

State = dict[str, Array]
"""Noisy (or clean) values by name."""
Outputs = dict[str, Array]
"""What the network says, by name; entries beyond the variables may carry what a caller wants to see."""
Levels = dict[str, Any]
"""Noise levels by name."""


class Process(Protocol):
    """One variable's noise, forwards and backwards. Implementations are frozen dataclasses of arrays and numbers."""

    def prior(self, key: Array) -> Array:
        """A draw from where the process ends."""
        ...

    def perturb(self, key: Array, clean: Array, level: Any) -> tuple[Array, Array]:
        """A draw from the marginal at a level given clean values, and what the network is to say about it."""
        ...

    def reverse(self, key: Array, state: Array, output: Array, *, now: Any, after: Any) -> Array:
        """A draw at the level `after` (less noise) from the state at `now` and the network's output there."""
        ...


class CorrectedProcess(Process, Protocol):
    """A process that Langevin steps can also move at one level."""

    def correct(self, key: Array, state: Array, output: Array, *, now: Any, after: Any) -> Array:
        """A step that keeps the marginal at `now`; `after` is the level that the predictor goes to (`now` if it has gone)."""
        ...


Processes = Mapping[str, Process]


def lead(level: Any, like: Array) -> Any:
    """A level whose leaves, of shape `()` or `(b,)`, broadcast against an array with the crystals in front."""
    return jax.tree.map(lambda a: jnp.reshape(a, jnp.shape(a) + (1,) * (like.ndim - jnp.ndim(a))), level)


def deal(key: Array, names: Any) -> dict[str, Array]:
    """One key for each name, in their order."""
    names = list(names)
    return dict(zip(names, rng.split(key, len(names)), strict=True))


def prior(processes: Processes, key: Array) -> State:
    """Noise: where a reverse process starts from nothing."""
    keys = deal(key, processes)
    return {name: process.prior(keys[name]) for name, process in processes.items()}


def perturb(processes: Processes, keys: Mapping[str, Array], clean: State, levels: Levels) -> tuple[State, State]:
    """Noisy values and targets of a loss; the first of them is also a start from something known (SDEdit).

    Args:
        keys: one for each name, such as from `deal`.
        clean: values of all processes' variables.
        levels: of the processes; leaves `()` or `(b,)`.
    """
    both = {name: process.perturb(keys[name], clean[name], levels[name]) for name, process in processes.items()}
    return {name: noisy for name, (noisy, _) in both.items()}, {name: target for name, (_, target) in both.items()}
