"""Reverse diffusion of SymmCD: predictor-corrector in one compiled scan; batches by number of orbits.

Each of T steps calls the network twice, as published: a Langevin step of the coordinates with the noise level kept, then one
ancestral step of everything. Fewer steps take a subsequence of 1 .. T: every update is written between two noise levels, so that
all steps give exactly the published ones. Two published faults are mended: the lattice's first step does not multiply the
prediction's error by 100 (`gaussian.ddpm_step`), and nothing of the trajectory is kept.

Where types and sites must meet a demand as a whole (an exact formula), they are decided on the way, at `DECIDE` of the time, from
the network's distributions there, and held from then on: lattice and coordinates go on knowing them. `CANDIDATES` ways are gone
up to there, and the one that the demand changes least is kept: coordinates settle before types and sites, and do not follow a
change.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import discrete, gaussian
from symjax.errors import InputError
from symjax.models.symmcd.network import NUM_AXES, NUM_KINDS, NUM_TYPES
from symjax.models.symmcd.task import SymmcdOptions, bucket_of, levels_of, nodes_of, predict


@dataclasses.dataclass(frozen=True)
class SamplerOptions:
    """How the reverse process runs.

    Attributes:
        num_steps: steps of noise removed one after the other; None for all that the model was trained with.
        corrector_step: size of the Langevin step at the smallest noise; it grows with the noise's variance. 0 for no corrector.
    """

    num_steps: int | None = None
    corrector_step: float = 1e-5

    def __post_init__(self) -> None:
        if (self.num_steps is not None and self.num_steps < 1) or self.corrector_step < 0:
            raise InputError(f"sampler: num_steps >= 1 and corrector_step >= 0 are needed, got {self}")


DECIDE = 0.4
"""Share of T at which types and sites are decided, where something decides them."""
CANDIDATES = 4
"""Ways that are gone up to a decision."""


class Drawn(NamedTuple):
    """Raw samples, before any projection.

    Attributes:
        k: `(b, 6)` lattice coefficients, those that the family fixes at their values.
        types: `(b, m)` int32 classes of atom types.
        sites: `(b, m, 15)` int32 sampled classes of site symmetries.
        site_log_prob: `(b, m, 15, 13)` log-probabilities of the last network call.
        x: `(b, m, 3)` fractional coordinates in [0, 1).
        type_log_prob: `(b, m, 94)` of the last network call, -inf for types that may not be drawn; None where it was not kept.
    """

    k: Array
    types: Array
    sites: Array
    site_log_prob: Array
    x: Array
    type_log_prob: Array | None = None


class Held(NamedTuple):
    """Clean classes that are kept: types `(b, m)` and sites `(b, m, 15)`, int32."""

    types: Array
    sites: Array


class Part(NamedTuple):
    """Some of the steps; all of it is data, so that one program serves every part of the way.

    Attributes:
        first: index into `steps_of`; last: the one after the last step.
        hold: whether `held` is kept; the network sees it with the noise of each step.
        begin: what the steps before gave (not read where `first` is 0).
        held: classes to keep.
    """

    first: Array
    last: Array
    hold: Array
    begin: Drawn
    held: Held


Decide = Callable[[np.ndarray, Drawn, np.ndarray], tuple[Held, np.ndarray]]
"""`(rows, draws so far, mask (b, m)) -> classes to hold, log-probability lost (b,)`, on the host; `rows` are the crystals of the
batch, padding left out."""


class _State(NamedTuple):
    k: Array
    types: Array
    sites: Array
    x: Array


def steps_of(options: SymmcdOptions, sampler: SamplerOptions) -> np.ndarray:
    """`(n + 1,)` int32 falling steps of noise, from T to 0.

    Raises:
        InputError: more steps than the model was trained with.
    """
    total = options.num_steps
    num = total if sampler.num_steps is None else sampler.num_steps
    if num > total:
        raise InputError(f"{num} diffusion steps: these weights were trained with {total}; ask for 1 to {total}")
    return np.round(np.linspace(total, 0, num + 1)).astype(np.int32)


@functools.partial(jax.jit, static_argnames=("options", "sampler"))
def reverse_diffusion(
    params: dict,
    key: Array,
    number: Array,
    mask: Array,
    *,
    allowed: Array,
    options: SymmcdOptions,
    sampler: SamplerOptions,
    part: Part | None = None,
) -> Drawn:
    """Draw crystals of given space groups and numbers of orbits.

    Args:
        params: `{"net", "stats"}`.
        number: `(b,)` int32 space groups.
        mask: `(b, m)` bool real orbits.
        allowed: `(94,)` 1.0 for the atom types that may be drawn, else 0.0.
        part: some of the steps; None for all.
    """
    stats = params["stats"]
    levels = [jnp.asarray(table) for table in levels_of(options)]
    times = jnp.asarray(steps_of(options, sampler))
    b, m = mask.shape
    marginal = stats["elements"] * allowed
    marginal = marginal / jnp.sum(marginal)
    site_marginal = jnp.broadcast_to(stats["site"][number][:, None], (b, m, NUM_AXES, NUM_KINDS))
    free = stats["k_free"][number]
    start_key, loop_key = jax.random.split(key)
    k_key, x_key, type_key, site_key = jax.random.split(start_key, 4)
    constant = stats["k_constant"][number]
    state = _State(
        k=free * jax.random.normal(k_key, (b, 6)),
        types=discrete.draw(type_key, jnp.broadcast_to(marginal, (b, m, NUM_TYPES))),
        sites=discrete.draw(site_key, site_marginal),
        x=jax.random.uniform(x_key, (b, m, 3)),
    )

    def hold(state: _State, held: Held, abar: Array, key: Array) -> _State:
        type_key, site_key = jax.random.split(key)
        state = state._replace(types=discrete.perturb(type_key, held.types, abar, marginal))
        return (
            state
            if options.unit_cell
            else state._replace(sites=discrete.perturb(site_key, held.sites, abar, site_marginal))
        )

    if part is not None:
        begin = part.begin
        k = free * (begin.k - constant - stats["k_shift"]) / stats["k_scale"]
        given = _State(k=k, types=begin.types, sites=begin.sites, x=begin.x)
        state = jax.tree.map(lambda fresh, old: jnp.where(part.first == 0, fresh, old), state, given)
        held_now = hold(state, part.held, levels[0][times[part.first]], jax.random.fold_in(loop_key, len(times)))
        state = jax.tree.map(lambda kept, old: jnp.where(part.hold, kept, old), held_now, state)

    def step(carry: tuple[_State, Array, Array], i: Array) -> tuple[tuple[_State, Array, Array], None]:
        state = carry[0]
        t, to = times[i], times[i + 1]
        (abar, sigma, scale), (abar_to, sigma_to, _) = ([table[n] for table in levels] for n in (t, to))
        keys = jax.random.split(jax.random.fold_in(loop_key, i), 5)
        # the last step only takes noise away
        some = jnp.where(to > 0, 1.0, 0.0)

        def call(state: _State):  # type: ignore[no-untyped-def]
            nodes = nodes_of(stats, number, mask, **state._asdict())
            return predict(params, options, nodes, jnp.broadcast_to(t, (b,)))

        if sampler.corrector_step > 0:
            size = sampler.corrector_step * (sigma / options.sigma_min) ** 2
            fresh = some * jax.random.normal(keys[0], state.x.shape)
            moved = state.x - size * scale * call(state).x + jnp.sqrt(2.0 * size) * fresh
            state = state._replace(x=jnp.mod(moved, 1.0))
        out = call(state)
        drop = sigma**2 - sigma_to**2
        fresh = some * jax.random.normal(keys[1], state.x.shape)
        x = state.x - drop * scale * out.x + sigma_to / sigma * jnp.sqrt(drop) * fresh
        noise = free * some * jax.random.normal(keys[2], state.k.shape)
        k = free * gaussian.ddpm_step(state.k, out.k, noise, abar=abar, abar_to=abar_to)
        # types that were not asked for, or occur in no training crystal, are no candidates
        logits = jnp.where(marginal > 0, out.types, -jnp.inf)
        clean, type_log_prob = jax.nn.softmax(logits, axis=-1), jax.nn.log_softmax(logits, axis=-1)
        types = discrete.posterior(clean, state.types, abar=abar, abar_to=abar_to, marginal=marginal)
        sites, log_prob = state.sites, jnp.zeros((b, m, NUM_AXES, NUM_KINDS))
        if out.sites is not None:
            log_prob = jax.nn.log_softmax(out.sites, axis=-1)
            earlier = discrete.posterior(jnp.exp(log_prob), sites, abar=abar, abar_to=abar_to, marginal=site_marginal)
            sites = discrete.draw(keys[4], earlier)
        new = _State(k=k, types=discrete.draw(keys[3], types), sites=sites, x=jnp.mod(x, 1.0))
        if part is not None:
            kept = functools.partial(hold, held=part.held, abar=abar_to, key=keys[3])
            new = jax.lax.cond(part.hold, kept, lambda state: state, new)
        return (new, log_prob, type_log_prob), None

    start = (state, jnp.zeros((b, m, NUM_AXES, NUM_KINDS)), jnp.zeros((b, m, NUM_TYPES)))
    if part is None:
        (state, log_prob, type_log_prob), _ = jax.lax.scan(step, start, jnp.arange(len(times) - 1))
    else:
        state, log_prob, type_log_prob = jax.lax.fori_loop(
            part.first, part.last, lambda i, carry: step(carry, i)[0], start
        )
    k = free * (state.k * stats["k_scale"] + stats["k_shift"]) + constant
    return Drawn(k, state.types, state.sites, log_prob, jnp.mod(state.x, 1.0), type_log_prob)


def plan_batches(
    num_orbits: np.ndarray, buckets: tuple[int, ...], batch_size: int
) -> list[tuple[int, np.ndarray, int]]:
    """Which crystals run together: `(padded orbits, rows, padded batch)`.

    Batches are padded to powers of two, and a bucket with few crystals joins the next larger one, so that few programs are
    compiled.

    Raises:
        InputError: a crystal has more orbits than the largest bucket.
    """
    which = bucket_of(num_orbits, buckets)
    if (which == len(buckets)).any():
        raise InputError(f"{int(num_orbits.max())} orbits: these weights hold 1 to {buckets[-1]}")
    plan = []
    waiting = np.zeros(0, np.int64)
    last = int(which.max(initial=0))
    for bucket in range(last + 1):
        rows = np.concatenate([waiting, np.flatnonzero(which == bucket)])
        if bucket < last and len(rows) < max(8, batch_size // 8):
            waiting = rows
            continue
        waiting = rows[:0]
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            plan.append((buckets[bucket], part, min(batch_size, max(8, 1 << (len(part) - 1).bit_length()))))
    return plan


def sample_all(
    params: dict,
    options: SymmcdOptions,
    key: Array,
    number: np.ndarray,
    num_orbits: np.ndarray,
    *,
    allowed: np.ndarray | None = None,
    sampler: SamplerOptions,
    batch_size: int = 128,
    progress: Callable[[int], object] | None = None,
    decide: Decide | None = None,
) -> tuple[Drawn, np.ndarray]:
    """Draw crystals batch by batch.

    Args:
        number: `(c,)` space groups; `num_orbits` `(c,)` orbits of each crystal.
        allowed: `(94,)` which atom types may be drawn; None for all.
        decide: chooses types and sites at `DECIDE` of the time; None leaves them to the diffusion.
        progress: called with the number of crystals finished, after each batch.

    Returns:
        Host arrays padded to the largest number of orbits, and their mask `(c, m)`.

    Raises:
        InputError: a crystal has more orbits than the largest bucket.
    """
    width = int(num_orbits.max())
    mask = np.arange(width) < num_orbits[:, None]
    num = len(number)
    whole = {
        "k": np.zeros((num, 6), np.float32),
        "types": np.zeros((num, width), np.int32),
        "sites": np.zeros((num, width, NUM_AXES), np.int32),
        "site_log_prob": np.zeros((num, width, NUM_AXES, NUM_KINDS), np.float32),
        "x": np.zeros((num, width, 3), np.float32),
    }
    types = jnp.ones(NUM_TYPES) if allowed is None else jnp.asarray(allowed, jnp.float32)
    for index, (slots, rows, size) in enumerate(plan_batches(num_orbits, options.buckets, batch_size)):
        padded = np.resize(rows, size)
        real = np.arange(slots) < num_orbits[padded][:, None]
        run = functools.partial(
            reverse_diffusion,
            params,
            number=jnp.asarray(number[padded], jnp.int32),
            mask=jnp.asarray(real),
            allowed=types,
            options=options,
            sampler=sampler,
        )
        own = jax.random.fold_in(key, index)
        drawn = run(own) if decide is None else _decided(run, own, decide, rows, steps_of(options, sampler))
        for name, values in jax.device_get(drawn._replace(type_log_prob=None))._asdict().items():
            if values is None:
                continue
            part = values[: len(rows)]
            if name == "k":
                whole[name][rows] = part
            else:
                whole[name][rows, : min(slots, width)] = part[:, :width]
        if progress is not None:
            progress(len(rows))
    return Drawn(**whole), mask


def _decided(run: functools.partial[Drawn], key: Array, decide: Decide, rows: np.ndarray, times: np.ndarray) -> Drawn:
    """The first part of the way, the decision, and the rest with its classes held."""
    mask, at = np.asarray(run.keywords["mask"]), jnp.asarray
    middle = int(np.clip(np.searchsorted(-times, -DECIDE * times[0]), 0, len(times) - 2))
    (b, m), real = mask.shape, mask[: len(rows)]
    nothing = Drawn(
        jnp.zeros((b, 6)),
        jnp.zeros((b, m), jnp.int32),
        jnp.zeros((b, m, NUM_AXES), jnp.int32),
        jnp.zeros((b, m, NUM_AXES, NUM_KINDS)),
        jnp.zeros((b, m, 3)),
        jnp.zeros((b, m, NUM_TYPES)),
    )
    first = Part(at(0), at(middle), at(False), nothing, Held(nothing.types, nothing.sites))
    keys = [jax.random.fold_in(key, i) for i in range(CANDIDATES)]
    halves = [jax.tree.map(lambda a: np.asarray(a)[: len(rows)], run(one, part=first)) for one in keys]
    chosen = [decide(rows, half, real) for half in halves]
    best = np.argmin([lost for _, lost in chosen], axis=0)
    again = np.resize(np.arange(len(rows)), b)
    take = lambda *values: at(np.stack(values)[best, np.arange(len(rows))][again])
    held = jax.tree.map(take, *(held for held, _ in chosen))
    return run(key, part=Part(at(middle), at(len(times) - 1), at(True), jax.tree.map(take, *halves), held))
