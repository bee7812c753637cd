"""Sampling of structure types: species, then the walk, then sites, in batches of one compiled shape.

Every set is built by closing inside the vocabulary, so it is a group whatever the weights. An operation whose closure
leaves the vocabulary or exceeds 192 operations is rejected and another one drawn. Samples that a constraint or a size
limit leaves no way out are drawn again from the start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.structure_types import StructureTypes
from symjax.elements import NUM_ELEMENTS
from symjax.errors import InputError, SymjaxError
from symjax.generate.request import Request
from symjax.groups.indexed import close_mask, vocabulary_table
from symjax.groups.tables import vocabulary
from symjax.models.symop.demands import Demands, demands_of
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.sites.balance import balance_rows
from symjax.models.symop.sites.network import MASKED, SiteTable, site_table, slot_state
from symjax.models.symop.species import MAX_ORBITS, STOP, element_rank
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import MAX_OPS, build_chain_bank, pair_classes
from symjax.wyckoff.set_table import SetTable, pad_table, table_of_members
from symjax.wyckoff.types import MAX_POSITIONS

Array = Any
MAX_STEPS = 64  # of the walk, rejected draws included; chains of the known groups have at most six sets
SET_BLOCK = 32  # tables of sets are padded to a multiple, so that few shapes are compiled
TARGETS, STATES = 16, 64  # smallest padded numbers of sets a walk may end at, and of sets met on chains


@dataclasses.dataclass(frozen=True)
class StructureTypeSamples:
    """b sampled structure types (numpy).

    Attributes:
      sets: the distinct sets met.
      set_index: (b,) int32 into `sets`.
      z: (b, m) int32 atomic numbers in canonical order, 0 padding.
      pos: (b, m) int32 position of the set, 0 padding.
      orbit_mask: (b, m) bool.
      log_bound: (b,) lower bound (nats) of the log-probability of frame and operations given the species, that of the
        model without constraints.
      rejected: structure types beside these that were not accepted.
    """

    sets: SetTable
    set_index: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    orbit_mask: np.ndarray
    log_bound: np.ndarray
    rejected: int = 0


@partial(jax.jit, static_argnames=("net", "num"))
def _draw_species(
    net: OperationsNet, params: Any, key: Array, limits: tuple[Array, Array, Array, Array], num: int
) -> Array:
    """`(num, MAX_ORBITS)` atomic numbers; limits are (allowed, needed orbits of each element, least and most orbits)."""
    allowed, needed, least, most = limits
    rank = jnp.asarray(element_rank())

    def step(carry: tuple, key: Array) -> tuple:
        z, count, done = carry
        logits = net.apply(params, z, count, method="species_logits")
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


@partial(jax.jit, static_argnames=("net",))
def _draw_frame(net: OperationsNet, params: Any, key: Array, z: Array, constants: tuple, allowed: Array) -> Array:
    """`(b,)` frames; allowed (2,) bool."""
    ops, pair, identity = constants
    members = jnp.zeros((len(z), len(ops.frame))).at[:, identity[0]].set(1.0)
    out = net.apply(params, ops, pair, members, jnp.zeros(len(z), jnp.int32), z, method="walk_output")
    return jax.random.categorical(key, jnp.where(allowed, out.frame, MASKED))


@partial(jax.jit, static_argnames=("net",))
def _walk_step(
    net: OperationsNet, params: Any, key: Array, state: tuple, z: Array, constants: tuple, targets: Array
) -> tuple:
    """One draw for every walk that goes on.

    state: members (b, v) bool, banned (b, v) bool, frame (b,), done (b,), failed (b,). targets: (t, v) bool sets that
    constrain the walk (t = 0 for none): it stays below one of them and stops only at one.
    """
    ops, pair, table = constants
    members, banned, frame, done, failed = state
    # what the network says about each operation, and which may be added to this set at all
    out = net.apply(params, ops, pair, members.astype(jnp.float32), frame, z, method="walk_output")
    allowed = walk.candidate_mask(ops.frame, members, frame) & ~banned
    may_stop = jnp.ones(len(z), bool)
    # with targets: stay below one of them, stop only at one
    if targets.shape[0]:
        goal = targets.astype(jnp.float32)
        inside = members.astype(jnp.float32) @ goal.T
        size = jnp.sum(members, -1)
        below = inside >= size[:, None] - 0.5  # targets that hold the whole of H
        allowed = allowed & ((below.astype(jnp.float32) @ goal) > 0.5)
        may_stop = jnp.any(below & (jnp.sum(goal, -1)[None, :] == size[:, None]), -1)
    # one draw: an operation, or the stop
    logits = jnp.where(allowed, out.candidate, 2 * MASKED)
    logits = jnp.concatenate([logits, jnp.where(may_stop, out.stop, 2 * MASKED)[:, None]], -1)
    drawn = jax.random.categorical(key, logits)
    stuck = ~done & ~may_stop & ~jnp.any(allowed, -1)
    stop = drawn == len(ops.frame)
    grows = ~done & ~stop & ~stuck
    # close the set; an operation whose closure is no set of the vocabulary is banned until the walk has grown by another
    closed, outside = close_mask(table, members, jnp.where(grows, drawn, table.size))
    bad = grows & (outside | (jnp.sum(closed, -1) > MAX_OPS))
    good = grows & ~bad
    banned = (banned | (bad[:, None] & (jnp.arange(members.shape[1]) == drawn[:, None]))) & ~good[:, None]
    members = jnp.where(good[:, None], closed, members)
    return members, banned, frame, done | stop | stuck, failed | stuck


@partial(jax.jit, static_argnames=("net",))
def _encode(net: OperationsNet, params: Any, ops: Any, table: SiteTable) -> tuple[Array, Array]:
    return net.apply(params, ops, table, method="encode_positions")


def encode_sites(net: OperationsNet, params: Any, table: SiteTable) -> tuple[Array, Array]:
    """Embeddings of the positions of every set of a table, and of the sets, as `site_logits` takes them."""
    return _encode(net, params, walk_constants()[0], table)


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


def walk_constants() -> tuple:
    """Operations, pair classes and product table as the compiled steps take them."""
    ops = jax.tree.map(jnp.asarray, walk.operation_inputs())
    return ops, jnp.asarray(pair_classes().pair), jax.tree.map(jnp.asarray, vocabulary_table())


def draw_walks(
    net: OperationsNet, params: Any, key: Array, z: np.ndarray, demands: Demands
) -> tuple[np.ndarray, np.ndarray]:
    """Final sets `(b, v)` bool for species `z (b, m)`, and `(b,)` True where the walk got stuck."""
    ops, pair, table = walk_constants()
    targets = jnp.asarray(_padded(demands.targets, TARGETS))
    key, first = jax.random.split(key)
    z = jnp.asarray(z)
    frame = _draw_frame(net, params, first, z, (ops, pair, table.identity), jnp.asarray(demands.frames))
    members = jnp.asarray(demands.start)[frame]
    state = (members, jnp.zeros_like(members), frame, jnp.zeros(len(z), bool), jnp.zeros(len(z), bool))
    for i in range(MAX_STEPS):
        state = _walk_step(net, params, jax.random.fold_in(key, i), state, z, (ops, pair, table), targets)
        if bool(jnp.all(state[3])):
            break
    # a walk that has not stopped by now still stands on a group; without constraints it is kept
    unfinished = ~np.asarray(state[3]) if demands.targets.shape[0] else np.zeros(len(z), bool)
    return np.asarray(state[0]), np.asarray(state[4]) | unfinished


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


def _padded(array: np.ndarray, smallest: int) -> np.ndarray:
    """Rows repeated at the end up to `smallest`, or 4 or 16 times as many, so that few shapes are compiled; none stay none."""
    size = smallest
    while size < len(array):
        size *= 4
    return pad_rows(array, size) if len(array) else array


def pad_rows(array: np.ndarray, block: int) -> np.ndarray:
    """Rows repeated at the end up to a multiple of `block`, so that few shapes are compiled."""
    extra = -len(array) % block
    return np.concatenate([array, np.repeat(array[-1:], extra, 0)])


def log_bounds(
    net: OperationsNet,
    params: Any,
    members: np.ndarray,
    z: np.ndarray,
    *,
    chains: int = 4,
    batch: int = 256,
    seed: int = 0,
) -> np.ndarray:
    """`(b,)` lower bounds (nats, in expectation) of log p(frame, G | species).

    The mean over `chains` random chains H_0 < ... < G of the sum of the terms that training averages (Jensen): the bound that
    training maximises. The log of a mean over chains of exp(sum) would not be a bound, because each term is already averaged
    over the operations that could be added. `symjax.models.symop.walk.exact` gives the exact value, at more cost.
    """
    unique, inverse = np.unique(members, axis=0, return_inverse=True)
    indices = np.full((len(unique), MAX_OPS), vocabulary().size, np.int64)
    for i, row in enumerate(unique):
        found = np.nonzero(row)[0]
        indices[i, : len(found)] = found
    bank = build_chain_bank(indices, num_chains=chains, seed=seed)
    inverse = inverse.ravel()
    chain, length = bank.chain[inverse], bank.length[inverse]  # (b, c, k), (b, c)
    which = np.nonzero(np.arange(chain.shape[-1]) < length[..., None])
    state, final = chain[which], chain[which[0], which[1], -1]
    nll = np.zeros(len(state))
    frame_nll = np.zeros(len(z))
    constants = walk_constants()[:2]
    packed = jnp.asarray(_padded(bank.packed, STATES))
    for first in range(0, len(state), batch):
        rows = np.arange(first, min(first + batch, len(state)))
        rows = np.concatenate([rows, np.repeat(rows[-1:], batch - len(rows))])
        crystal = which[0][rows]
        got = _bound_terms(
            net, params, constants, (packed, state[rows], final[rows]), (bank.frame[inverse[crystal]], z[crystal])
        )
        nll[rows], frame_nll[crystal] = np.asarray(got[0]), np.asarray(got[1])
    total = np.zeros(length.shape)
    np.add.at(total, which[:2], nll)
    return -frame_nll - total.mean(-1)


@partial(jax.jit, static_argnames=("net",))
def _bound_terms(net: OperationsNet, params: Any, constants: tuple, states: tuple, crystals: tuple) -> tuple:
    packed, state, final = states
    frame, z = crystals
    ops, pair = constants
    members, target = (walk.unpack(packed, rows, len(ops.frame)) for rows in (state, final))
    out = net.apply(params, ops, pair, members, frame, z, method="walk_output")
    return walk.step_nll(out, members, target), walk.frame_nll(out, frame)


def sample_structure_types(
    params: Any,
    config: Any,
    key: Array,
    num: int,
    *,
    request: Request | None = None,
    max_orbits: int = MAX_ORBITS,
    max_atoms: int = MAX_OPS,
    batch_size: int = 256,
    max_rounds: int = 200,
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
      max_orbits: orbits per crystal, at most `MAX_ORBITS`.
      max_atoms: atoms of the conventional cell.
      batch_size: crystals per compiled step.
      max_rounds: batches drawn before giving up on a request; what was found by then is returned.
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
    limits = tuple(jnp.asarray(a) for a in (demands.allowed, demands.needed, demands.min_orbits, demands.max_orbits))
    parts: list[tuple[np.ndarray, ...]] = []
    found = rejected = 0
    for round_index in range(max_rounds):
        keys = jax.random.split(jax.random.fold_in(key, round_index), 4)
        z = np.asarray(_draw_species(net, params, keys[0], limits, batch_size))
        types, members, good = _typed(net, params, keys[1:], z, demands)
        if accept is None:
            good = good[: num - found]
        else:
            good, refused = _accepted(accept, types, good, num - found)
            rejected += refused
        parts.append((types.z[good], types.pos[good], members[good]))
        found += len(good)
        if progress is not None:
            progress(len(good))
        if found == num:
            break
    if not found:
        raise SymjaxError(
            f"no structure that meets the request ({demands.text}) was found in {max_rounds} batches of {batch_size} with at most "
            f"{demands.max_orbits} orbits and {max_atoms} atoms in the cell"
            + (f" ({rejected} had sites that force another symmetry)" if rejected else "")
            + "; ask for less"
        )
    z, pos, members = (np.concatenate(p) for p in zip(*parts, strict=True))
    unique, index = np.unique(members, axis=0, return_inverse=True)
    return StructureTypeSamples(
        sets=table_of_members(unique),
        set_index=index.ravel().astype(np.int32),
        z=z.astype(np.int32),
        pos=pos,
        orbit_mask=z > 0,
        log_bound=log_bounds(net, params, members, z),
        rejected=rejected,
    )


def _typed(
    net: OperationsNet, params: Any, keys: Array, z: np.ndarray, demands: Demands
) -> tuple[StructureTypes, np.ndarray, np.ndarray]:
    """Sets and sites for one batch of species `z (b, m)`: structure types, members (b, v), and the rows that are whole."""
    members, failed = draw_walks(net, params, keys[0], z, demands)
    unique, index = np.unique(members, axis=0, return_inverse=True)
    sets, index = table_of_members(unique), index.ravel().astype(np.int32)
    z = demands.adjust_species(z, sets, index, seed=int(jax.random.randint(keys[2], (), 0, 2**31 - 1)))
    failed |= (z > 0).sum(1) < demands.min_orbits
    z[failed, 0] = np.where(z[failed, 0] == 0, 1, z[failed, 0])  # any element: the row is thrown away
    pos, stuck = draw_sites(
        net, params, keys[1], z, sets=sets, set_index=index, demands=demands, max_atoms=demands.max_atoms
    )
    return StructureTypes(sets, index, z, pos), members, np.nonzero(~(failed | stuck))[0]


def _accepted(
    accept: Callable[[StructureTypes], np.ndarray], types: StructureTypes, rows: np.ndarray, num: int
) -> tuple[np.ndarray, int]:
    """The first `num` of some rows that are accepted, and how many were not on the way."""
    kept: list[int] = []
    refused = 0
    for start in range(0, len(rows), max(num, 1)):
        part = rows[start : start + num]
        for row, good in zip(part.tolist(), accept(types.take(part)), strict=True):
            if len(kept) == num:
                return np.array(kept, int), refused
            if good:
                kept.append(row)
            else:
                refused += 1
    return np.array(kept, int), refused
