"""Sampling of structure types: species, then the walk, then sites, in batches of one compiled shape.

Every state of the walk is a class of closed sets, so what is drawn is a group whatever the weights. Sites are drawn in the standard
setting of its type. Samples that a constraint or a size limit leaves no way out are drawn again from the start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.elements import NUM_ELEMENTS
from symjax.errors import InputError, SymjaxError
from symjax.generate.masks import setting_members
from symjax.generate.request import Request
from symjax.models.symop.demands import Demands, demands_of
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.sites.balance import balance_rows
from symjax.models.symop.sites.network import MASKED, SiteTable, operation_inputs, site_table, slot_state
from symjax.models.symop.species import MAX_ORBITS, STOP, element_rank
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import MAX_OPS
from symjax.models.symop.walk.states import states
from symjax.wyckoff.set_table import SetTable, pad_table, table_of_members
from symjax.wyckoff.types import MAX_POSITIONS

Array = Any
MAX_STEPS = 12  # of the walk; orders double at least, and the largest is 192
SPECIES_BLOCK = 16  # species whose walks are summed exactly together
SITE_DRAWS = 4  # of the same elements and operations, where a demand on whole structure types is not met
SET_BLOCK = 32  # tables of sets are padded to a multiple, so that few shapes are compiled


@dataclasses.dataclass(frozen=True)
class StructureTypeSamples:
    """b sampled structure types (numpy).

    Attributes:
      sets: the distinct sets met.
      set_index: (b,) int32 into `sets`.
      z: (b, m) int32 atomic numbers in canonical order, 0 padding.
      pos: (b, m) int32 position of the set, 0 padding.
      orbit_mask: (b, m) bool.
      log_operations: (b,) exact log-probability (nats) of the operations (the class of conjugate sets that was drawn) given the
        species; that of the walk without constraints. None where no walk drew them.
      passed: (b, steps) the classes that each walk passed (`symjax.models.symop.walk.states`); `sets` has the standard setting of
        the last one's type. None where no walk drew them.
      rejected: structure types beside these that were not accepted.
    """

    sets: SetTable
    set_index: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    orbit_mask: np.ndarray
    log_operations: np.ndarray | None
    passed: np.ndarray | None
    rejected: int = 0


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]  # species (b, m), types (b,) and (b,) bool which rows have failed
DrawOperations = Callable[[Sequence[Array], np.ndarray, Demands], tuple[np.ndarray, np.ndarray, np.ndarray | None]]
"""two keys, species z (b, m), demands -> types (b,) of sets of operations, (b,) True where none was found that meets the demands,
and the classes (b, steps) that a walk passed (None: no walk). `draw_types_by_walk` with its weights bound is one."""


@partial(jax.jit, static_argnames=("net", "num"))
def _draw_species(
    net: OperationsNet, params: Any, key: Array, limits: tuple[Array, Array, Array, Array, Array], num: int
) -> Array:
    """`(num, MAX_ORBITS)` atomic numbers.

    Limits are the elements that the weights know, those allowed, needed orbits of each element, least and most orbits.
    """
    known, allowed, needed, least, most = limits
    rank = jnp.asarray(element_rank())

    def step(carry: tuple, key: Array) -> tuple:
        z, count, done = carry
        logits = net.apply(params, z, count, method="species_logits")
        logits = jnp.where(known, logits, 2 * MASKED)
        # what must still come, in the canonical order; room is kept for it
        lacking = jnp.maximum(needed[None, :] - jnp.sum(nn.one_hot(z, NUM_ELEMENTS), 1), 0)
        missing = lacking > 0
        first = jnp.min(jnp.where(missing, rank[None, :], NUM_ELEMENTS), -1, keepdims=True)
        slots_left = (most - count)[:, None] - jnp.sum(lacking, -1, keepdims=True)
        fits = missing | (slots_left > 0)
        ok = allowed[None, :] & (rank[None, :] <= first) & fits & (count < most)[:, None]
        ok = ok.at[:, STOP].set(~jnp.any(missing, -1) & (count >= least))
        drawn = jax.random.categorical(key, jnp.where(ok, logits, 2 * MASKED))
        # With elements given, the chance of a forbidden one goes to moving on (the next needed element, then STOP):
        # renormalising instead would repeat what is allowed and make far too many orbits.
        free_draw = jax.random.categorical(jax.random.fold_in(key, 1), logits)
        move_on = jnp.where(jnp.any(missing, -1), jnp.argmax(missing & (rank[None, :] == first), -1), STOP)
        allows = lambda choice: jnp.take_along_axis(ok, choice[:, None], 1)[:, 0]
        asked = jnp.where(allows(free_draw), free_draw, jnp.where(allows(move_on), move_on, drawn))
        drawn = jnp.where(jnp.any(needed > 0) | ~jnp.all(allowed[1:]), asked, drawn)
        drawn = jnp.where(done | ~jnp.any(ok, -1), STOP, drawn)
        z = jnp.where((jnp.arange(MAX_ORBITS) == count[:, None]) & (drawn != STOP)[:, None], drawn[:, None], z)
        return (z, count + (drawn != STOP), done | (drawn == STOP)), None

    start = (jnp.zeros((num, MAX_ORBITS), jnp.int32), jnp.zeros(num, jnp.int32), jnp.zeros(num, bool))
    return jax.lax.scan(step, start, jax.random.split(key, MAX_ORBITS))[0][0]


def draw_species(net: OperationsNet, params: Any, key: Array, demands: Demands, num: int) -> np.ndarray:
    """`(num, MAX_ORBITS)` atomic numbers of the orbits in canonical order, 0 padding."""
    given = (demands.known, demands.allowed, demands.needed, demands.min_orbits, demands.max_orbits)
    limits = tuple(jnp.asarray(a) for a in given)
    return np.asarray(_draw_species(net, params, key, limits, num))


@partial(jax.jit, static_argnames=("net",))
def _draw_walks(
    net: OperationsNet, params: Any, key: Array, walks: tuple[Array, Array], inputs: walk.WalkInputs, targets: tuple
) -> tuple[Array, Array, Array]:
    """Walks to their end: `(b,)` where they ended, `(b,)` True where they got stuck, `(MAX_STEPS + 1, b)` classes passed.

    walks: start (), z (b, m). targets: (c,) bool classes where a walk may stop, and (c,) bool whence one of them can be reached.
    """
    start, z = walks
    may_end, leads = targets

    def step(carry: tuple, key: Array) -> tuple:
        state, done, failed = carry
        out = net.apply(params, inputs, state, z, method="walk_output")
        after = inputs.next[state]
        ok = (after >= 0) & leads[after]
        logits = jnp.where(ok, out.next, 2 * MASKED)
        logits = jnp.concatenate([logits, jnp.where(may_end[state], out.stop, 2 * MASKED)[:, None]], -1)
        drawn = jax.random.categorical(key, logits)
        stuck = ~done & ~may_end[state] & ~jnp.any(ok, -1)
        ends = drawn == after.shape[1]
        moved = jnp.take_along_axis(after, jnp.minimum(drawn, after.shape[1] - 1)[:, None], 1)[:, 0]
        state = jnp.where(done | ends | stuck, state, moved)
        return (state, done | ends | stuck, failed | stuck), state

    first = jnp.full(len(z), start, jnp.int32)
    carry = (first, jnp.zeros(len(z), bool), jnp.zeros(len(z), bool))
    (state, _, failed), passed = jax.lax.scan(step, carry, jax.random.split(key, MAX_STEPS))
    return state, failed, jnp.concatenate([first[None], passed])


@partial(jax.jit, static_argnames=("net",))
def _walk_logs(net: OperationsNet, params: Any, inputs: walk.WalkInputs, state: Array, z: Array) -> tuple[Array, Array]:
    return walk.log_steps(net.apply(params, inputs, state, z, method="walk_output"))


def class_log_probabilities(net: OperationsNet, params: Any, z: np.ndarray) -> np.ndarray:
    """`(b, c)` float64 exact log-probability of ending at each class of closed sets, for species `z (b, m)`; they sum to one.

    Sums over all ways that the walk can take (`symjax.models.symop.walk.network.reach_all`).
    """
    step, stop = step_log_probabilities(net, params, z)
    return walk.reach_all(step, stop, states().next)


def step_log_probabilities(net: OperationsNet, params: Any, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(b, c, e)` log-probabilities of the next class from each class, and `(b, c)` of stopping there (float64)."""
    inputs, num = jax.tree.map(jnp.asarray, walk.walk_inputs()), len(states())
    unique, inverse = np.unique(np.sort(z, 1), axis=0, return_inverse=True)
    padded = pad_rows(unique, 1 if len(unique) == 1 else SPECIES_BLOCK)
    block = min(len(padded), SPECIES_BLOCK)
    every = np.tile(np.arange(num, dtype=np.int32), block)
    steps, stops = [], []
    for first in range(0, len(padded), block):
        rows = np.repeat(padded[first : first + block], num, axis=0)
        step, stop = (np.asarray(one, np.float64) for one in _walk_logs(net, params, inputs, every, rows))
        steps.append(step.reshape(block, num, -1))
        stops.append(stop.reshape(block, num))
    step, stop = np.concatenate(steps), np.concatenate(stops)
    return step[inverse.ravel()], stop[inverse.ravel()]


@partial(jax.jit, static_argnames=("net",))
def _encode(net: OperationsNet, params: Any, ops: Any, table: SiteTable) -> tuple[Array, Array]:
    return net.apply(params, ops, table, method="encode_positions")


def encode_sites(net: OperationsNet, params: Any, table: SiteTable) -> tuple[Array, Array]:
    """Embeddings of the positions of every set of a table, and of the sets, as `site_logits` takes them."""
    return _encode(net, params, jax.tree.map(jnp.asarray, operation_inputs()), table)


@partial(jax.jit, static_argnames=("net",))
def site_logits(net: OperationsNet, params: Any, encoded: tuple, table: SiteTable, slot: dict) -> Array:
    """`(b, p)` logits of the positions for one slot of b crystals; `slot` holds set, z, pos, step and balance."""
    state = slot_state(table, slot["set"], z=slot["z"], pos=slot["pos"], step=slot["step"])
    return net.apply(
        params,
        encoded[0][slot["set"]],
        encoded[1][slot["set"]],
        state=state,
        z=slot["z"],
        step=slot["step"],
        balance=slot["balance"],
        train=False,
        method="slot_logits",
    )


def draw_walks(
    net: OperationsNet, params: Any, key: Array, z: np.ndarray, demands: Demands
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walks for species `z (b, m)`.

    Returns:
      `(b,)` classes of the final sets (`symjax.models.symop.walk.states`), `(b,)` True where a walk got stuck, and
      `(b, steps)` the classes that were passed.
    """
    inputs = jax.tree.map(jnp.asarray, walk.walk_inputs())
    leads = (states().reach & demands.targets).any(1)
    targets = (jnp.asarray(demands.targets), jnp.asarray(leads))
    found = _draw_walks(net, params, key, (jnp.int32(demands.start), jnp.asarray(z)), inputs, targets)
    final, failed, passed = (np.asarray(one) for one in found)
    return final, failed | ~demands.targets[final], passed.T


def draw_types_by_walk(
    net: OperationsNet, params: Any, keys: Sequence[Array], z: np.ndarray, demands: Demands
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Types of the sets that walks end at (a `DrawOperations` with `net` and `params` bound)."""
    final, failed, passed = draw_walks(net, params, keys[0], z, demands)
    numbers = demands.hand(states().number[final], seed=int(jax.random.randint(keys[1], (), 0, 2**31 - 1)))
    return numbers, failed, passed


def draw_sites(
    net: OperationsNet,
    params: Any,
    key: Array,
    z: np.ndarray,
    *,
    sets: SetTable,
    set_index: np.ndarray,
    demands: Demands,
    max_atoms: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions `(b, m)` for species `z (b, m)`, and `(b,)` True where a limit left none."""
    sets = pad_table(sets, max(MAX_OPS, sets.mask.shape[1]), max(MAX_POSITIONS, sets.pos_mask.shape[1]))
    table, full = site_table(sets), np.asarray(sets.pos_mult)
    padded = jax.tree.map(lambda a: jnp.asarray(pad_rows(a, SET_BLOCK)), table)
    encoded = encode_sites(net, params, padded)
    num, width = z.shape
    pos, failed = np.zeros((num, width), np.int32), np.zeros(num, bool)
    count = (z > 0).sum(1)
    for step in range(int(count.max(initial=0))):
        atoms = table.mult[set_index[:, None], pos] * (z > 0) * (np.arange(width) < step)
        steps = np.minimum(step, count - 1)
        slot = {
            "set": set_index,
            "z": z,
            "pos": pos,
            "step": steps.astype(np.int32),
            "balance": balance_rows(z, atoms, steps).astype(np.float32),
        }
        logits = np.array(site_logits(net, params, encoded, padded, slot))
        placed = (full[set_index[:, None], pos] * (np.arange(width) < step)).sum(1)
        later = np.maximum(count - 1 - step, 0)  # every later orbit holds one atom at least
        logits[placed[:, None] + full[set_index] + later[:, None] > max_atoms] = MASKED
        if demands.masks_sites:
            logits[~demands.site_mask(sets, set_index, z=z, pos=pos, step=step)] = MASKED
        active = step < count
        failed |= active & (logits.max(-1) <= MASKED / 2)
        gumbel = np.asarray(jax.random.gumbel(jax.random.fold_in(key, step), logits.shape))
        pos[:, step] = np.where(active, np.argmax(logits + gumbel, -1), 0)
    return pos, failed


def pad_rows(array: np.ndarray, block: int) -> np.ndarray:
    """Rows repeated at the end up to a multiple of `block`, so that few shapes are compiled."""
    extra = -len(array) % block
    return np.concatenate([array, np.repeat(array[-1:], extra, 0)])


def sample_structure_types(
    params: Any,
    config: Any,
    key: Array,
    num: int,
    *,
    request: Request | None = None,
    known: np.ndarray | None = None,
    max_orbits: int = MAX_ORBITS,
    max_atoms: int = MAX_OPS,
    batch_size: int = 256,
    max_rounds: int = 200,
    operations: DrawOperations | None = None,
    accept: Callable[[StructureTypes], np.ndarray] | None = None,
    progress: Callable[[int], object] | None = None,
) -> StructureTypeSamples:
    """Draw elements, operations and positions.

    Args:
      params: of `OperationsNet`.
      config: the configuration they were trained with (`model.operations` is read).
      key: random key; equal keys give equal samples.
      num: how many.
      request: what is asked for.
      known: (NUM_ELEMENTS,) bool elements of the training data, which alone are drawn; None for all.
      max_orbits: orbits per crystal, at most `MAX_ORBITS`.
      max_atoms: atoms of the conventional cell.
      batch_size: crystals per compiled step.
      max_rounds: batches drawn before giving up on a request; what was found by then is returned.
      operations: how sets of operations are drawn; the walk where left out.
      accept: structure types -> (n,) bool which may be returned; None for all.
      progress: called with the number finished since the last call.

    Raises:
      InputError: the request cannot be met.
      SymjaxError: nothing that meets it was found in `max_rounds` batches.
    """
    if num < 1:
        raise InputError(f"number of structure types must be at least 1, got {num}")
    net = OperationsNet(options_from_config(config["model"]["operations"]))
    demands = demands_of(request or Request(), max_orbits=min(max_orbits, MAX_ORBITS), max_atoms=max_atoms)
    if known is not None:
        demands = dataclasses.replace(demands, known=np.append(True, known[1:]))  # STOP stands where no element does
    by_walk, operations = operations is None, operations or partial(draw_types_by_walk, net, params)
    parts: list[tuple[np.ndarray, ...]] = []
    found = rejected = 0
    for round_index in range(max_rounds):
        keys = _round_keys(key, round_index)
        z = draw_species(net, params, keys[0], demands, batch_size)
        numbers, failed, passed = operations((keys[1], keys[4]), z, demands)
        types, good = _typed(net, params, (keys[2], keys[3]), z, numbers, failed, demands)
        if accept is None:
            good = good[: num - found]
        else:
            again = cache(partial(_typed_again, net, params, (keys[2], keys[3]), (z, numbers, failed), demands))
            types, good, refused = _accepted(accept, again, types, good, num - found)
            rejected += refused
        parts.append((types.z[good], types.pos[good], numbers[good], *([] if passed is None else [passed[good]])))
        found += len(good)
        if progress is not None:
            progress(len(good))
        if found == num:
            break
    if not found:
        raise SymjaxError(
            f"no structure that meets the request ({demands.text}) was found in {max_rounds} batches of {batch_size} with at most "
            f"{demands.max_orbits} orbits and {max_atoms} atoms in the cell"
            + (f" ({rejected} had other symmetry or charge than was asked for)" if rejected else "")
            + "; ask for less"
        )
    z, pos, numbers, *walks = (np.concatenate(p) for p in zip(*parts, strict=True))
    passed = walks[0] if by_walk else None
    log_p = None if passed is None else class_log_probabilities(net, params, z)[np.arange(len(z)), passed[:, -1]]
    unique, index = np.unique(numbers, return_inverse=True)
    return StructureTypeSamples(
        sets=table_of_members(np.stack([setting_members(int(n)) for n in unique])),
        set_index=index.ravel().astype(np.int32),
        z=z.astype(np.int32),
        pos=pos,
        orbit_mask=z > 0,
        log_operations=log_p,
        passed=passed,
        rejected=rejected,
    )


@jax.jit
def _round_keys(key: Array, round_index: int) -> list[Array]:
    """Five keys of one batch."""
    parts = jax.random.split(jax.random.fold_in(key, round_index), 5)
    return [parts[i] for i in range(5)]


def _typed(
    net: OperationsNet,
    params: Any,
    keys: Sequence[Array],
    z: np.ndarray,
    numbers: np.ndarray,
    failed: np.ndarray,
    demands: Demands,
) -> tuple[StructureTypes, np.ndarray]:
    """Sites for one batch of species `z (b, m)` and types `numbers (b,)`, of which some have failed.

    Returns:
      structure types in the standard settings of the types, and the rows that are whole.
    """
    unique, index = np.unique(numbers, return_inverse=True)
    sets = table_of_members(np.stack([setting_members(int(n)) for n in unique]))
    index = index.ravel().astype(np.int32)
    z = demands.adjust_species(z, sets, index, seed=int(jax.random.randint(keys[1], (), 0, 2**31 - 1)))
    failed = failed | ((z > 0).sum(1) < demands.min_orbits)
    z[failed, 0] = np.where(z[failed, 0] == 0, 1, z[failed, 0])  # any element: the row is thrown away
    pos, stuck = draw_sites(
        net, params, keys[0], z, sets=sets, set_index=index, demands=demands, max_atoms=demands.max_atoms
    )
    return StructureTypes(sets, index, z, pos), np.nonzero(~(failed | stuck))[0]


def _typed_again(
    net: OperationsNet, params: Any, keys: Sequence[Array], drawn: Drawn, demands: Demands, attempt: int
) -> tuple[StructureTypes, np.ndarray]:
    """`_typed` of the same elements and operations, with other sites."""
    z, numbers, failed = drawn
    return _typed(net, params, [jax.random.fold_in(key, attempt) for key in keys], z, numbers, failed, demands)


def _accepted(
    accept: Callable[[StructureTypes], np.ndarray],
    again: Callable[[int], tuple[StructureTypes, np.ndarray]],
    types: StructureTypes,
    rows: np.ndarray,
    num: int,
) -> tuple[StructureTypes, np.ndarray, int]:
    """The first `num` of some rows that are accepted, and how many draws were not on the way.

    Sites of a row that is not accepted are drawn again first, so that elements and operations that are hard to meet the demand
    with do not become rare.

    Args:
        again: number of an attempt -> structure types of the same elements and operations, and the rows that are whole.
    """
    z, pos = np.array(types.z), np.array(types.pos)
    kept: list[int] = []
    refused = 0
    for start in range(0, len(rows), max(num, 1)):
        if len(kept) >= num:
            break
        part = rows[start : start + num]
        good = np.array(accept(types.take(part)), bool)
        for attempt in range(1, SITE_DRAWS):
            if good.all():
                break
            refused += int((~good).sum())
            other, whole = again(attempt)
            open_rows = np.flatnonzero(~good & np.isin(part, whole))
            if not len(open_rows):
                continue
            met = open_rows[np.array(accept(other.take(part[open_rows])), bool)]
            z[part[met]], pos[part[met]], good[met] = other.z[part[met]], other.pos[part[met]], True
        refused += int((~good).sum())
        kept += part[good].tolist()
    return StructureTypes(types.sets, types.set_index, z, pos), np.array(kept[:num], int), refused
