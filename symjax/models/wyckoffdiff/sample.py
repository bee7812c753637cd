"""Sampling WyckoffDiff: one compiled reverse scan for all groups of a padded size; what ties a whole crystal is drawn on the way.

Groups, elements, conditions, guidance and noise levels are data, so one program serves every group and request; keys are one a
crystal, so batch and padding change nothing. Fewer steps take a subsequence of T - 1 .. 0. The end is index 0, as published, with a
share of 2e-5 of noise. Guidance: one call of the network on a doubled batch, `u + factor (c - u)` of the logits; elements that may
not occur are taken away from the logits afterwards, which is MatterGen's masking of the conditional half for every factor above 0.

A demand on the whole crystal (an exact formula, a number of orbits, elements that must occur) is met by `sample_together`: at each
of fewer noise levels the clean occupation is drawn as a whole from the network's probabilities given the demand
(`symjax.models.wyckoffdiff.joint`), and every variable then makes its own exact step towards it. The last of these draws is the
crystal. Sources: WyckoffDiff (Ekström Kelvinius et al., arXiv 2502.06485), its public code; MatterGen (Zeni et al., arXiv
2312.03687).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import discrete, rng
from symjax.diffusion.guidance import allow_classes, combine
from symjax.diffusion.process import Outputs, State, lead, prior
from symjax.diffusion.reverse import Grid, reverse
from symjax.errors import InputError
from symjax.generate.batches import plan_batches
from symjax.models.wyckoffdiff.joint import Demand, Positions, draw_together
from symjax.models.wyckoffdiff.network import node_masks
from symjax.models.wyckoffdiff.occupations import NUM_ELEMENTS, Occupations, Orbits, nodes, orbits_from
from symjax.models.wyckoffdiff.process import levels_at, processes
from symjax.models.wyckoffdiff.task import WyckoffdiffOptions, predict
from symjax.nn.conditions import Condition, Conditions, absent
from symjax.wyckoff.types import type_positions

_PROGRAM = 80_000  # padded positions times steps that are drawn on a CPU core in the time in which a program is compiled, about
STEPS = 200
"""Reverse steps where none are asked for; all that the weights were trained with if these are fewer."""
DECISIONS = 32
"""Draws of whole occupations on the way to one that meets a demand."""


@flax.struct.dataclass
class Asked:
    """What is asked of every crystal of a batch, as data.

    Attributes:
        fixed: `(f or 1, 101)` bool classes that positions without freedom may have.
        free: `(r or 1, 100, max_count + 1)` bool numbers of orbits that others may hold.
        conditions: name -> value of one crystal, `(101,)` or `()`; empty for none.
        guidance: () float32 factor; 1 is the condition without guidance.
    """

    fixed: Array
    free: Array
    conditions: dict[str, Array]
    guidance: Array


def steps_of(options: WyckoffdiffOptions, num: int | None) -> np.ndarray:
    """`(n + 1,)` int32 falling indices of noise, from T - 1 to 0.

    Raises:
        InputError: more steps than the weights were trained with.
    """
    most = options.network.num_steps - 1
    num = min(STEPS, most) if num is None else num
    if not 1 <= num <= most:
        raise InputError(f"{num} reverse steps: these weights were trained with {most}; ask for 1 to {most}")
    return np.round(np.linspace(most, 0, num + 1)).astype(np.int32)


def _ask(
    params: dict, options: WyckoffdiffOptions, number: Array, asked: Asked, *, guided: bool
) -> Callable[[State, Array], Outputs]:
    """The network on a state, guided, without what may not occur."""
    b = number.shape[0]
    given: Conditions = {
        name: Condition(jnp.broadcast_to(value, (b, *value.shape)), jnp.ones(b, bool))
        for name, value in asked.conditions.items()
    }
    allow = allow_classes({"fixed": asked.fixed, "free": asked.free})
    assert allow is not None

    def logits(state: Occupations, time: Array, conditions: Conditions) -> Outputs:
        return predict(params, options, state, jnp.broadcast_to(time, state.number.shape), conditions)._asdict()

    def ask(state: State, time: Array) -> Outputs:
        occupied = Occupations(number, state["fixed"], state["free"])
        if guided:
            twice = lambda a, b: jnp.concatenate([a, b])
            both = logits(jax.tree.map(twice, occupied, occupied), time, jax.tree.map(twice, given, absent(given)))
            first, second = ({name: part[half] for name, part in both.items()} for half in (slice(b), slice(b, None)))
            outputs = combine(first, second, asked.guidance)
        else:
            outputs = logits(occupied, time, given)
        return allow(outputs, state, time)

    return ask


def _real(number: Array, state: State) -> Occupations:
    """Occupations without what the padding holds."""
    fixed, free = node_masks(number, (state["fixed"].shape[1], state["free"].shape[1]))
    return Occupations(number, jnp.where(fixed, state["fixed"], 0), jnp.where(free[..., None], state["free"], 0))


@functools.partial(jax.jit, static_argnames=("options", "sizes", "guided"))
def reverse_scan(
    params: dict,
    key: Array,
    number: Array,
    asked: Asked,
    time: Array,
    *,
    options: WyckoffdiffOptions,
    sizes: tuple[int, int],
    guided: bool,
) -> Occupations:
    """Draw occupations of given space groups.

    Args:
        params: `{"net", "stats"}`.
        key: `(b,)` one a crystal.
        number: `(b,)` int32 space groups.
        asked: what is asked of them.
        time: `(n + 1,)` int32 falling indices of noise.
        options: of the weights.
        sizes: padded numbers of positions.
        guided: whether a factor other than 1 is used (two halves of a doubled batch).
    """
    variables = processes(options.kernel, params["stats"], number.shape[0], sizes)
    level = levels_at(options.network.num_steps, time)
    start_key, loop_key = rng.split(key, 2)
    ask = _ask(params, options, number, asked, guided=guided)
    state = reverse(
        variables, ask, Grid(time, {"fixed": level, "free": level}), loop_key, prior(variables, start_key)
    ).state
    return _real(number, state)


@functools.partial(jax.jit, static_argnames=("options", "sizes"))
def first_state(
    params: dict, key: Array, number: Array, *, options: WyckoffdiffOptions, sizes: tuple[int, int]
) -> State:
    """Noise at the last index of the schedule."""
    return prior(processes(options.kernel, params["stats"], number.shape[0], sizes), key)


@functools.partial(jax.jit, static_argnames=("options", "guided"))
def clean_probabilities(
    params: dict, state: State, number: Array, asked: Asked, time: Array, *, options: WyckoffdiffOptions, guided: bool
) -> State:
    """Probabilities of the clean classes; what an absorbing kernel shows is certain."""
    outputs = _ask(params, options, number, asked, guided=guided)(state, time)
    found = {name: jax.nn.softmax(values, axis=-1) for name, values in outputs.items()}
    if options.kernel == "zeros":
        for name, p in found.items():
            shown = jax.nn.one_hot(state[name], p.shape[-1])
            found[name] = jnp.where((state[name] > 0)[..., None], shown, p)
    return found


@functools.partial(jax.jit, static_argnames=("options", "sizes"))
def towards(
    params: dict,
    key: Array,
    state: State,
    clean: State,
    now: Array,
    after: Array,
    *,
    options: WyckoffdiffOptions,
    sizes: tuple[int, int],
) -> State:
    """The state at the index `after`, given that at `now` and the clean occupation: every variable by its exact posterior."""
    variables = processes(options.kernel, params["stats"], state["fixed"].shape[0], sizes)
    levels = [levels_at(options.network.num_steps, index) for index in (now, after)]
    keys = dict(zip(variables, rng.split(key, len(variables)), strict=True))
    out = {}
    for name, process in variables.items():
        certain = jax.nn.one_hot(clean[name], process.marginal.shape[-1])
        abar, abar_to = (lead(level, state[name]) for level in levels)
        known = discrete.posterior(certain, state[name], abar=abar, abar_to=abar_to, marginal=process.marginal)
        out[name] = process.draw(keys[name], known)
    return out


@dataclasses.dataclass(frozen=True)
class Plan:
    """How crystals are drawn.

    Attributes:
        asked: what may sit where, conditions and guidance.
        demand: what must hold for each crystal as a whole, in atomic numbers less one; None for nothing.
        elements: `(100,)` bool those that a demand may use.
        num_steps: reverse steps; None for the default.
        batch_size: crystals at a time.
        shapes: padded shapes that are compiled already, kept from call to call.
    """

    asked: Asked
    demand: Demand | None
    elements: np.ndarray
    num_steps: int | None
    batch_size: int
    shapes: set[tuple[int, int]] = dataclasses.field(default_factory=set)

    @property
    def guided(self) -> bool:
        """Whether guidance needs both halves."""
        return bool(self.asked.conditions) and float(self.asked.guidance) != 1.0


def sample(
    params: dict,
    options: WyckoffdiffOptions,
    key: Array,
    number: np.ndarray,
    plan: Plan,
    *,
    progress: Callable[[int], object] | None = None,
) -> tuple[Orbits, np.ndarray]:
    """Draw a protostructure for each space group of a list.

    Args:
        params: `{"net", "stats"}`.
        options: of the weights.
        key: `(c,)` one a crystal; what a crystal gets does not depend on what else is drawn.
        number: `(c,)` space groups, positions of which fit a bucket.
        plan: how.
        progress: called with the number of crystals finished, after each batch.

    Returns:
        Orbits, and (c,) bool which rows are draws: others could not meet the demand (their rows are empty).

    Raises:
        InputError: a group has more positions than the largest bucket, or more steps are asked for than there are.
    """
    time = steps_of(options, plan.num_steps)
    sizes = nodes().sizes[number]
    fixed = np.zeros((len(number), int(sizes[:, 0].max(initial=1))), np.int32)
    free = np.zeros((len(number), int(sizes[:, 1].max(initial=1)), NUM_ELEMENTS), np.int32)
    done = np.ones(len(number), bool)
    names = ("positions without freedom", "positions with freedom")
    batches = plan_batches(
        sizes,
        options.buckets,
        plan.batch_size,
        work=[sum(slots) * len(time) / _PROGRAM for slots in options.buckets],
        names=names,
        shapes=plan.shapes,
    )
    for batch in batches:
        slots, rows, padded = options.buckets[batch.bucket], batch.rows, batch.padded
        own, groups = key[padded], jnp.asarray(number[padded], jnp.int32)
        asked = dataclasses.replace(
            plan.asked, fixed=_cut(plan.asked.fixed, slots[0]), free=_cut(plan.asked.free, slots[1])
        )
        if plan.demand is None:
            drawn = reverse_scan(
                params, own, groups, asked, jnp.asarray(time), options=options, sizes=slots, guided=plan.guided
            )
        else:
            drawn, met = sample_together(params, options, own, groups, asked, slots, plan, len(rows))
            done[rows] = met[: len(rows)]
        for whole, part in ((fixed, drawn.fixed), (free, drawn.free)):
            width = min(whole.shape[1], part.shape[1])
            whole[rows, :width] = np.asarray(part)[: len(rows), :width]
        if progress is not None:
            progress(len(rows))
    return orbits_from(Occupations(number.astype(np.int32), fixed, free)), done


def _cut(table: Array, width: int) -> Array:
    """What is asked of so many positions: the same of all, or each its own, nothing of the padding."""
    if table.shape[0] == 1:
        return table
    rest = jnp.ones((max(0, width - table.shape[0]), *table.shape[1:]), bool)
    return jnp.concatenate([table[:width], rest])


def sample_together(
    params: dict,
    options: WyckoffdiffOptions,
    key: Array,
    number: Array,
    asked: Asked,
    sizes: tuple[int, int],
    plan: Plan,
    real: int,
) -> tuple[Occupations, np.ndarray]:
    """Draw occupations that meet a demand each; rows of nothing where it cannot be met, and which are met (b,).

    Arguments as `reverse_scan`; rows from `real` on are padding, of which nothing is drawn.
    """
    assert plan.demand is not None
    time = steps_of(options, min(DECISIONS, options.network.num_steps - 1))
    step_keys = rng.split(key, len(time) + 1)
    state = first_state(params, step_keys[-1], number, options=options, sizes=sizes)
    numbers, met = np.asarray(number), np.arange(len(number)) < real
    # random numbers of the host, of each crystal's own key
    generators = [np.random.default_rng(np.asarray(words)) for words in jax.random.key_data(step_keys[-2])]
    clean: State = {}
    for i in range(len(time) - 1):
        found = clean_probabilities(
            params, state, number, asked, jnp.asarray(time[i]), options=options, guided=plan.guided
        )
        clean = _whole(jax.device_get(found), numbers, plan, generators, met)
        if i + 2 < len(time):
            now, after = (jnp.asarray(time[i + j]) for j in (0, 1))
            state = towards(params, step_keys[i], state, clean, now, after, options=options, sizes=sizes)
    return Occupations(numbers, clean["fixed"], clean["free"]), met


def _whole(found: dict[str, Any], number: np.ndarray, plan: Plan, generators: list, met: np.ndarray) -> State:
    """Whole occupations given the demand, one a row; marks rows that cannot meet it."""
    assert plan.demand is not None
    fixed = np.zeros(found["fixed"].shape[:2], np.int32)
    free = np.zeros(found["free"].shape[:3], np.int32)
    known, table, elements = type_positions(), nodes(), np.flatnonzero(plan.elements)
    for row, group in enumerate(number.tolist()):
        if not met[row]:
            continue
        own = [of[group][of[group] >= 0] for of in (table.fixed, table.free)]
        f, r = len(own[0]), len(own[1])
        drawn = draw_together(
            found["fixed"][row, :f][:, [0, *(elements + 1)]],
            found["free"][row, :r][:, elements],
            Positions(*(known.multiplicity[group, positions] for positions in own)),
            plan.demand,
            generators[row],
        )
        if drawn is None:
            met[row] = False
            continue
        fixed[row, :f] = np.array([0, *(elements + 1)])[drawn.fixed]
        free[row, :r, elements] = drawn.free.T
    return {"fixed": jnp.asarray(fixed), "free": jnp.asarray(free)}
