"""The reverse half of a joint diffusion: one loop for every model, with guidance, correctors and held values.

From a state at the first of n + 1 falling noise levels, n steps take the noise away. In each the network is asked once, its
output may be guided, and every variable makes its own reverse step; Langevin correctors ask again. The loop is one compiled scan:
everything but the names, the numbers of steps and the callables is data.

Random numbers: the caller splits its key into one for the start (`process.prior` or `process.perturb`) and one for the loop. Step
i then splits `fold_in(key, i)` into a key for each variable in order, for each correction, for each held variable. A model whose
published seeds were made with another order gives its own `deal`; that costs it a function of a few lines and keeps the loop plain.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array

from symjax.diffusion import rng
from symjax.diffusion.process import CorrectedProcess, Levels, Outputs, Processes, State
from symjax.diffusion.process import deal as _deal

Denoiser = Callable[[State, Array], Outputs]
"""`(state, time) -> outputs`: the network on noisy values; `time` is the grid's, shape ()."""
Guide = Callable[[Outputs, State, Array], Outputs]
"""`(outputs, state, time) -> outputs`, after each call of the network; see `symjax.diffusion.guidance`."""


class Grid(NamedTuple):
    """The n + 1 noise levels between which n steps are taken, noisiest first.

    Attributes:
        time: `(n + 1,)` what the network is told.
        levels: by name; leaves `(n + 1,)`.
    """

    time: Array
    levels: Levels

    def at(self, index: Array) -> Levels:
        """Levels at an index."""
        return jax.tree.map(lambda table: table[index], self.levels)


class Corrector(NamedTuple):
    """Langevin steps beside the predictor's.

    Attributes:
        names: variables that they move; their processes have a `correct`.
        num: steps, each with a call of the network.
        before: at the old level, before the predictor (DiffCSP, SymmCD), or at the new one after it (Song et al. 2021).
    """

    names: tuple[str, ...]
    num: int = 1
    before: bool = False


class Hold(NamedTuple):
    """Known clean values that are kept; the network sees them with the noise of each level (inpainting).

    Attributes:
        values: clean values of some variables.
        where: bool, broadcasting against each of them; False leaves a variable to the diffusion.
    """

    values: State
    where: Any = True


class StepKeys(NamedTuple):
    """Keys of one step: of the predictor by name, of each correction by name, of the held values by name."""

    reverse: Mapping[str, Array]
    correct: tuple[Mapping[str, Array], ...]
    hold: Mapping[str, Array]


class Reversed(NamedTuple):
    """The state at the last level, and the (guided) output of the last predictor step; zeros where no step was taken."""

    state: State
    outputs: Outputs


Deal = Callable[[Array], StepKeys]
"""A step's key, `fold_in(key, i)`, to the keys that it uses."""


def reverse(
    processes: Processes,
    denoise: Denoiser,
    grid: Grid,
    key: Array,
    state: State,
    *,
    guide: Guide | None = None,
    corrector: Corrector | None = None,
    hold: Hold | None = None,
    steps: tuple[Array, Array] | None = None,
    deal: Deal | None = None,
) -> Reversed:
    """Take noise away, step by step; to be called under `jit`.

    Args:
        processes: by the names of the variables.
        denoise: the network.
        grid: noise levels.
        key: of the loop; consumed.
        state: noisy values at the first level: `process.prior`, `process.perturb` of something known, or what an earlier part left.
        guide: changes the network's output.
        corrector: Langevin steps; None for none.
        hold: known values.
        steps: first index into the grid, and the one after the last step, as data, so that one program serves every part of the
            way; None for the whole grid.
        deal: the keys of a step, where the default would change published seeds.
    """
    deal = deal or _default_deal(processes, corrector, hold)

    @jax.jit  # traced once, for the shapes below and for every place in a step; inlined by the compiler
    def ask(state: State, time: Array) -> Outputs:
        outputs = denoise(state, time)
        return outputs if guide is None else guide(outputs, state, time)

    def step(carry: tuple[State, Outputs], i: Array) -> tuple[tuple[State, Outputs], None]:
        state, _ = carry
        now, after = grid.at(i), grid.at(i + 1)
        keys = deal(rng.fold_in(key, i))
        if corrector is not None and corrector.before:
            state = _corrected(processes, corrector, keys, partial(ask, time=grid.time[i]), state, now, after)
        outputs = ask(state, grid.time[i])
        state = {
            name: process.reverse(keys.reverse[name], state[name], outputs[name], now=now[name], after=after[name])
            for name, process in processes.items()
        }
        if corrector is not None and not corrector.before:
            state = _corrected(processes, corrector, keys, partial(ask, time=grid.time[i + 1]), state, after, after)
        if hold is not None:
            state = _held(processes, hold, keys.hold, state, after)
        return (state, outputs), None

    if hold is not None:
        # no step has this index, so its numbers are used nowhere else
        own = _deal(rng.fold_in(key, len(grid.time)), hold.values)
        state = _held(processes, hold, own, state, grid.at(jnp.asarray(0 if steps is None else steps[0])))
    nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(ask, state, grid.time[0]))
    if steps is None:
        carry, _ = jax.lax.scan(step, (state, nothing), jnp.arange(len(grid.time) - 1))
    else:
        carry = jax.lax.fori_loop(steps[0], steps[1], lambda i, carry: step(carry, i)[0], (state, nothing))
    return Reversed(*carry)


def _corrected(
    processes: Processes,
    corrector: Corrector,
    keys: StepKeys,
    ask: Callable[[State], Outputs],
    state: State,
    now: Levels,
    after: Levels,
) -> State:
    """The state after the Langevin steps at the level `now`."""
    for own in keys.correct:
        outputs = ask(state)
        for name in corrector.names:
            process, level = cast(CorrectedProcess, processes[name]), {"now": now[name], "after": after[name]}
            state = state | {name: process.correct(own[name], state[name], outputs[name], **level)}
    return state


def _held(processes: Processes, hold: Hold, keys: Mapping[str, Array], state: State, levels: Levels) -> State:
    """The state with the known values, made as noisy as the level says."""
    known = {}
    for name, value in hold.values.items():
        noisy, _ = processes[name].perturb(keys[name], value, levels[name])
        known[name] = jnp.where(hold.where, noisy, state[name])
    return state | known


def _default_deal(processes: Processes, corrector: Corrector | None, hold: Hold | None) -> Deal:
    """Keys in order: each variable, each correction of each variable that has one, each held variable."""
    names, num = tuple(processes), 0 if corrector is None else corrector.num
    corrected, held = () if corrector is None else corrector.names, () if hold is None else tuple(hold.values)

    def dealt(key: Array) -> StepKeys:
        keys = iter(rng.split(key, len(names) + num * len(corrected) + len(held)))
        return StepKeys(
            {name: next(keys) for name in names},
            tuple({name: next(keys) for name in corrected} for _ in range(num)),
            {name: next(keys) for name in held},
        )

    return dealt
