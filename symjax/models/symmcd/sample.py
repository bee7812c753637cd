"""Reverse diffusion of SymmCD: predictor-corrector in one compiled scan; batches by number of orbits.

Each of T steps calls the network twice, as published: a Langevin step of the coordinates with the noise level kept, then one
ancestral step of everything. Fewer steps take a subsequence of 1 .. T: every update is written between two noise levels, so that
all steps give exactly the published ones. Two published faults are mended: the lattice's first step does not multiply the
prediction's error by 100 (`gaussian.ddpm_step`), and nothing of the trajectory is kept.

Where types, or types and sites, must meet a demand as a whole (elements that must occur, an exact formula), they are decided on
the way, at `DECIDE` of the time, from the network's distributions there, and held from then on: the others go on knowing them.
`CANDIDATES` ways are gone up to there, and the one that the demand changes least is kept: coordinates settle before types and
sites, and do not follow a change.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Container
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.diffusion import rng
from symjax.diffusion.guidance import allow_classes
from symjax.diffusion.process import Outputs, State, deal, prior
from symjax.diffusion.reverse import Corrector, Grid, Hold, StepKeys, reverse
from symjax.errors import InputError
from symjax.generate.batches import Batch, plan_batches
from symjax.models.symmcd.network import NUM_AXES, NUM_KINDS, NUM_TYPES
from symjax.models.symmcd.process import coefficients, standardised
from symjax.models.symmcd.task import SymmcdOptions, levels_of, nodes_of, predict, processes_of


@dataclasses.dataclass(frozen=True)
class SymmcdSampling:
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


_PROGRAM = (
    60_000  # padded orbits times steps that are drawn on a CPU core in the time in which a program is compiled, about
)
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
    """Clean classes that are kept: types `(b, m)` and sites `(b, m, 15)`, int32; None for sites that are not."""

    types: Array
    sites: Array | None

    def of(self, names: Container[str]) -> State:
        """Those of some variables."""
        return {name: value for name, value in self._asdict().items() if name in names and value is not None}


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


def steps_of(options: SymmcdOptions, sampler: SymmcdSampling) -> np.ndarray:
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
    sampler: SymmcdSampling,
    part: Part | None = None,
) -> Drawn:
    """Draw crystals of given space groups and numbers of orbits.

    Args:
        params: `{"net", "stats"}`.
        key: one for the batch, or `(b,)` one a crystal.
        number: `(b,)` int32 space groups.
        mask: `(b, m)` bool real orbits.
        allowed: `(94,)` 1.0 for the atom types that may be drawn, else 0.0.
        part: some of the steps; None for all.
    """
    stats, (b, m) = params["stats"], mask.shape
    marginal = stats["elements"] * allowed
    marginal = marginal / jnp.sum(marginal)
    variables = processes_of(options, stats, number, m, elements=marginal, corrector_step=sampler.corrector_step)
    steps = jnp.asarray(steps_of(options, sampler))
    grid = Grid(steps, levels_of(options).at(steps))

    def denoise(state: State, time: Array) -> Outputs:
        out = predict(params, options, nodes_of(stats, number, mask, **state), jnp.broadcast_to(time, (b,)))
        outputs = {"k": out.k, "x": out.x, "types": out.types}
        return outputs if out.sites is None else outputs | {"sites": jax.nn.log_softmax(out.sites, axis=-1)}

    # where the way begins: noise, or what an earlier part of it left
    start_key, loop_key = rng.split(key, 2)
    state = prior(variables, start_key)
    if part is not None:
        begin = part.begin._asdict() | {"k": standardised(stats, number, part.begin.k)}
        state = {name: jnp.where(part.first == 0, fresh, begin[name]) for name, fresh in state.items()}

    state, outputs = reverse(
        variables,
        denoise,
        grid,
        loop_key,
        state,
        # types that were not asked for, or occur in no training crystal, are no candidates
        guide=allow_classes({"types": marginal > 0}),
        corrector=Corrector(("x",), before=True) if sampler.corrector_step > 0 else None,
        hold=None if part is None else Hold(part.held.of(variables), part.hold),
        steps=None if part is None else (part.first, part.last),
        deal=_deal,
    )
    return Drawn(
        k=coefficients(stats, number, state["k"]),
        types=state["types"],
        sites=state.get("sites", jnp.zeros((b, m, NUM_AXES), jnp.int32)),
        site_log_prob=outputs.get("sites", jnp.zeros((b, m, NUM_AXES, NUM_KINDS))),
        x=jnp.mod(state["x"], 1.0),
        type_log_prob=jax.nn.log_softmax(outputs["types"], axis=-1),
    )


def _deal(key: Array) -> StepKeys:
    """Keys of a step in the order in which the seeds of the shipped weights have them."""
    correct, x, k, types, sites = rng.split(key, 5)
    return StepKeys(
        {"k": k, "x": x, "types": types, "sites": sites}, ({"x": correct},), deal(types, ("types", "sites"))
    )


def plan(
    num_orbits: np.ndarray,
    options: SymmcdOptions,
    batch_size: int,
    num_steps: int,
    shapes: set[tuple[int, int]] | None = None,
) -> list[Batch]:
    """Which crystals run together for so many steps (see `symjax.generate.batches`).

    Raises:
        InputError: a crystal has more orbits than the largest bucket.
    """
    return plan_batches(
        num_orbits[:, None],
        [(size,) for size in options.buckets],
        batch_size,
        work=[size * num_steps / _PROGRAM for size in options.buckets],
        names=(options.nodes_are,),
        shapes=shapes,
    )


def sample_all(
    params: dict,
    options: SymmcdOptions,
    key: Array,
    number: np.ndarray,
    num_orbits: np.ndarray,
    *,
    allowed: np.ndarray | None = None,
    sampler: SymmcdSampling,
    batch_size: int = 128,
    progress: Callable[[int], object] | None = None,
    decide: Decide | None = None,
    hold_sites: bool = True,
    shapes: set[tuple[int, int]] | None = None,
) -> tuple[Drawn, np.ndarray]:
    """Draw crystals batch by batch.

    Args:
        key: one for all, or `(c,)` one a crystal (`symjax.diffusion.rng`); what a crystal gets does not
            depend on what else is drawn.
        number: `(c,)` space groups; `num_orbits` `(c,)` orbits of each crystal.
        allowed: `(94,)` which atom types may be drawn; None for all.
        decide: chooses types and sites at `DECIDE` of the time; None leaves them to the diffusion.
        hold_sites: whether it chooses sites too; else its `Held` have None.
        progress: called with the number of crystals finished, after each batch.
        shapes: what is compiled already, kept from call to call.

    Returns:
        Host arrays padded to the largest number of orbits, and their mask `(c, m)`.

    Raises:
        InputError: a crystal has more orbits than the largest bucket.
    """
    keys = key if key.ndim else rng.row_keys(key, np.arange(len(number)))
    width = int(num_orbits.max())
    mask = np.arange(width) < num_orbits[:, None]
    whole = _empty(len(number), width)
    types = jnp.ones(NUM_TYPES) if allowed is None else jnp.asarray(allowed, jnp.float32)
    for batch in plan(num_orbits, options, batch_size, len(steps_of(options, sampler)) - 1, shapes):
        slots, rows, padded = options.buckets[batch.bucket], batch.rows, batch.padded
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
        own = keys[padded]
        times = steps_of(options, sampler)
        drawn = run(own) if decide is None else _decided(run, own, decide, rows, times, hold_sites=hold_sites)
        host = jax.device_get(drawn._replace(type_log_prob=None))
        whole.k[rows] = host.k[: len(rows)]
        for name in ("types", "sites", "site_log_prob", "x"):
            getattr(whole, name)[rows, : min(slots, width)] = getattr(host, name)[: len(rows), :width]
        if progress is not None:
            progress(len(rows))
    return whole._replace(type_log_prob=None), mask


def _empty(num: int, width: int) -> Drawn:
    """Zeros for so many crystals and orbits, on the host."""
    f32 = np.float32
    return Drawn(
        k=np.zeros((num, 6), f32),
        types=np.zeros((num, width), np.int32),
        sites=np.zeros((num, width, NUM_AXES), np.int32),
        site_log_prob=np.zeros((num, width, NUM_AXES, NUM_KINDS), f32),
        x=np.zeros((num, width, 3), f32),
        type_log_prob=np.zeros((num, width, NUM_TYPES), f32),
    )


def _decided(
    run: functools.partial[Drawn], key: Array, decide: Decide, rows: np.ndarray, times: np.ndarray, *, hold_sites: bool
) -> Drawn:
    """The first part of the way, the decision, and the rest with its classes held."""
    at, real = jnp.asarray, np.asarray(run.keywords["mask"])[: len(rows)]
    nothing = _empty(*run.keywords["mask"].shape)
    # several ways up to the decision
    middle = int(np.clip(np.searchsorted(-times, -DECIDE * times[0]), 0, len(times) - 2))
    first = Part(at(0), at(middle), at(False), nothing, Held(nothing.types, nothing.sites if hold_sites else None))
    keys = [rng.fold_in(key, i) for i in range(CANDIDATES)]
    halves = [jax.tree.map(lambda a: np.asarray(a)[: len(rows)], run(one, part=first)) for one in keys]
    # of each crystal the way that its decision changes least
    chosen = [decide(rows, half, real) for half in halves]
    best = np.argmin([lost for _, lost in chosen], axis=0)
    again = np.resize(np.arange(len(rows)), len(nothing.k))  # padding, as in the batch
    take = lambda *values: at(np.stack(values)[best, np.arange(len(rows))][again])
    held = jax.tree.map(take, *(held for held, _ in chosen))
    return run(key, part=Part(at(middle), at(len(times) - 1), at(True), jax.tree.map(take, *halves), held))
