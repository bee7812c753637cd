"""Sampling of structure types: species, then the walk, then sites, in batches of one compiled shape.

Every set is built by closing inside the vocabulary, so it is a group whatever the weights. Sets are drawn in any axes;
sites are drawn in the standard setting of the type that the set has (`symjax.models.symop.walk.descriptions.type_of`). An
operation whose closure leaves the vocabulary or exceeds 192 operations is rejected and another one drawn. Samples that a
constraint or a size limit leaves no way out are drawn again from the start.
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
from symjax.generate.masks import setting_members
from symjax.generate.request import Request
from symjax.groups.indexed import ProductTable, close_mask, vocabulary_table
from symjax.groups.tables import vocabulary
from symjax.models.symop.demands import Demands, demands_of
from symjax.models.symop.network import OperationsNet, options_from_config
from symjax.models.symop.sites.balance import balance_rows
from symjax.models.symop.sites.network import MASKED, SiteTable, operation_inputs, site_table, slot_state
from symjax.models.symop.species import MAX_ORBITS, STOP, element_rank
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import MAX_OPS, build_chain_bank
from symjax.models.symop.walk.contexts import Contexts, contexts_of, take
from symjax.models.symop.walk.descriptions import type_of
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
      log_bound: (b,) lower bound (nats) of the log-probability of the operations, as they were drawn, given the species; that of
        the model without constraints.
      drawn: (b, v) bool the operations as they were drawn, in their own axes; `sets` has the standard setting of their type.
      rejected: structure types beside these that were not accepted.
    """

    sets: SetTable
    set_index: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    orbit_mask: np.ndarray
    log_bound: np.ndarray
    drawn: np.ndarray
    rejected: int = 0

    @property
    def tabulated(self) -> np.ndarray:
        """(b,) bool whether the operations were drawn as the standard setting of their type."""
        return np.array([(row == setting_members(type_of(row))).all() for row in self.drawn])


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


def draw_species(net: OperationsNet, params: Any, key: Array, demands: Demands, num: int) -> np.ndarray:
    """`(num, MAX_ORBITS)` atomic numbers of the orbits in canonical order, 0 padding."""
    limits = tuple(jnp.asarray(a) for a in (demands.allowed, demands.needed, demands.min_orbits, demands.max_orbits))
    return np.asarray(_draw_species(net, params, key, limits, num))


@partial(jax.jit, static_argnames=("net",))
def _score(
    net: OperationsNet, params: Any, features: tuple[Array, Array], contexts: Contexts, rows: Array, z: Array
) -> tuple[Array, Array, Array]:
    """`(b, t)` logits of one operation of each context, `(b,)` of the stop, and log of the sum over all operations and the stop."""
    mine = take(contexts, rows)
    out = net.apply(params, features, mine, z, method="walk_output")
    return out.candidate, out.stop, walk.log_normaliser(out, mine)


def score_states(
    net: OperationsNet, params: Any, states: np.ndarray, rows: np.ndarray, z: np.ndarray
) -> tuple[Array, Array, Array, np.ndarray]:
    """What the network says of b walks that stand on some of s sets.

    Args:
      net, params: the discrete half.
      states: (s, v) bool closed sets (`symjax.models.symop.walk.chains.opened`).
      rows: (b,) which of them; z: (b, m) atomic numbers.

    Returns:
      (b, v) logits of adding each operation, (b,) of the stop, (b,) log of their sum, and (b, v) bool what may be added.
    """
    contexts, where = contexts_of(states)
    padded = Contexts(*(_padded(leaf, STATES) for leaf in contexts))
    candidate, stop, norm = _score(net, params, walk.class_features(), padded, jnp.asarray(rows), jnp.asarray(z))
    where = where[rows]
    may = (where >= 0) & ~states[rows]
    may[:, vocabulary().identity] = False
    return jnp.take_along_axis(candidate, jnp.asarray(np.maximum(where, 0), jnp.int32), 1), stop, norm, may


@jax.jit
def _walk_step(key: Array, scores: tuple, state: tuple, table: ProductTable, targets: Array) -> tuple:
    """One draw for every walk that goes on.

    scores: candidate (b, v), stop (b,), may (b, v) bool. state: members (b, v) bool, banned (b, v) bool, done (b,), failed (b,).
    targets: (t, v) bool sets that constrain the walk (t = 0 for none): it stays below one of them and stops only at one.
    """
    candidate, stop, may = scores
    members, banned, done, failed = state
    allowed = may & ~banned
    may_stop = jnp.ones(len(stop), bool)
    # with targets: stay below one of them, stop only at one (the identity alone stands in both frames)
    if targets.shape[0]:
        goal = targets.astype(jnp.float32)
        inside = members.astype(jnp.float32) @ goal.T
        size = jnp.sum(members, -1) - jnp.all(members[:, table.identity], -1)
        below = inside >= size[:, None] - 0.5  # targets that hold the whole of H
        allowed = allowed & ((below.astype(jnp.float32) @ goal) > 0.5)
        may_stop = jnp.any(below & (jnp.sum(goal, -1)[None, :] == size[:, None]), -1)
    # one draw: an operation, or the stop
    logits = jnp.where(allowed, candidate, 2 * MASKED)
    logits = jnp.concatenate([logits, jnp.where(may_stop, stop, 2 * MASKED)[:, None]], -1)
    drawn = jax.random.categorical(key, logits)
    stuck = ~done & ~may_stop & ~jnp.any(allowed, -1)
    ends = drawn == table.size
    grows = ~done & ~ends & ~stuck
    # close the set; an operation whose closure is no set of the vocabulary is banned until the walk has grown by another
    settled = walk.settle(members, drawn, table.identity)
    closed, outside = close_mask(table, settled, jnp.where(grows, drawn, table.size))
    bad = grows & (outside | (jnp.sum(closed, -1) > MAX_OPS))
    good = grows & ~bad
    banned = (banned | (bad[:, None] & (jnp.arange(members.shape[1]) == drawn[:, None]))) & ~good[:, None]
    members = jnp.where(good[:, None], closed, members)
    return members, banned, done | ends | stuck, failed | stuck


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
) -> tuple[np.ndarray, np.ndarray]:
    """Final sets `(b, v)` bool for species `z (b, m)`, and `(b,)` True where the walk got stuck."""
    table = jax.tree.map(jnp.asarray, vocabulary_table())
    targets = jnp.asarray(_padded(demands.targets, TARGETS))
    members = np.broadcast_to(demands.start, (len(z), len(demands.start)))
    state = (jnp.asarray(members), jnp.zeros(members.shape, bool), jnp.zeros(len(z), bool), jnp.zeros(len(z), bool))
    for i in range(MAX_STEPS):
        states, rows = np.unique(np.asarray(state[0]), axis=0, return_inverse=True)
        candidate, stop, _, may = score_states(net, params, states, rows.ravel(), z)
        state = _walk_step(jax.random.fold_in(key, i), (candidate, stop, jnp.asarray(may)), state, table, targets)
        if bool(jnp.all(state[2])):
            break
    # a walk that has not stopped by now still stands on a group; without constraints it is kept
    unfinished = ~np.asarray(state[2]) if demands.targets.shape[0] else np.zeros(len(z), bool)
    return np.asarray(state[0]), np.asarray(state[3]) | unfinished


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
    """`(b,)` lower bounds (nats, in expectation) of log p(G | species) of sets in their own axes.

    The mean over `chains` random chains H_0 < ... < G of the sum of the terms that training averages (Jensen): the bound that
    training maximises. The log of a mean over chains of exp(sum) would not be a bound, because each term is already averaged
    over the operations that could be added. `symjax.models.symop.walk.exact` gives the exact value, at more cost.
    """
    unique, inverse = np.unique(members, axis=0, return_inverse=True)
    bank = build_chain_bank(unique, num_chains=chains, seed=seed)
    inverse = inverse.ravel()
    chain, length, missing = bank.chain[inverse], bank.length[inverse], bank.missing[inverse]
    which = np.nonzero(np.arange(chain.shape[-1]) < length[..., None])
    state, crystal, left = chain[which], which[0], missing[which]
    contexts = Contexts(*(_padded(leaf, STATES) for leaf in bank.contexts))
    nll = np.zeros(len(state))
    for first in range(0, len(state), batch):
        rows = np.arange(first, min(first + batch, len(state)))
        rows = np.concatenate([rows, np.repeat(rows[-1:], batch - len(rows))])
        nll[rows] = _bound_terms(
            net, params, walk.class_features(), (contexts, state[rows]), (left[rows], z[crystal[rows]])
        )
    total = np.zeros(length.shape)
    np.add.at(total, which[:2], nll)
    return -total.mean(-1)


@partial(jax.jit, static_argnames=("net",))
def _bound_terms(
    net: OperationsNet, params: Any, features: tuple, states: tuple[Contexts, Array], crystals: tuple[Array, Array]
) -> Array:
    mine = take(*states)
    missing, z = crystals
    out = net.apply(params, features, mine, z, method="walk_output")
    return walk.step_nll(out, mine, missing.astype(jnp.float32))


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
    parts: list[tuple[np.ndarray, ...]] = []
    found = rejected = 0
    for round_index in range(max_rounds):
        keys = jax.random.split(jax.random.fold_in(key, round_index), 4)
        z = draw_species(net, params, keys[0], demands, batch_size)
        types, members, numbers, good = _typed(net, params, keys[1:], z, demands)
        if accept is None:
            good = good[: num - found]
        else:
            good, refused = _accepted(accept, types, good, num - found)
            rejected += refused
        parts.append((types.z[good], types.pos[good], members[good], numbers[good]))
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
    z, pos, members, numbers = (np.concatenate(p) for p in zip(*parts, strict=True))
    unique, index = np.unique(numbers, return_inverse=True)
    return StructureTypeSamples(
        sets=table_of_members(np.stack([setting_members(int(n)) for n in unique])),
        set_index=index.ravel().astype(np.int32),
        z=z.astype(np.int32),
        pos=pos,
        orbit_mask=z > 0,
        log_bound=log_bounds(net, params, members, z),
        drawn=members,
        rejected=rejected,
    )


def _typed(
    net: OperationsNet, params: Any, keys: Array, z: np.ndarray, demands: Demands
) -> tuple[StructureTypes, np.ndarray, np.ndarray, np.ndarray]:
    """Sets and sites for one batch of species `z (b, m)`.

    Returns:
      structure types in the standard settings of the sets that were drawn, those sets (b, v), their types (b,), and the rows
      that are whole.
    """
    members, failed = draw_walks(net, params, keys[0], z, demands)
    numbers = np.array([type_of(row) for row in members])
    unique, index = np.unique(numbers, return_inverse=True)
    sets = table_of_members(np.stack([setting_members(int(n)) for n in unique]))
    index = index.ravel().astype(np.int32)
    z = demands.adjust_species(z, sets, index, seed=int(jax.random.randint(keys[2], (), 0, 2**31 - 1)))
    failed |= (z > 0).sum(1) < demands.min_orbits
    z[failed, 0] = np.where(z[failed, 0] == 0, 1, z[failed, 0])  # any element: the row is thrown away
    pos, stuck = draw_sites(
        net, params, keys[1], z, sets=sets, set_index=index, demands=demands, max_atoms=demands.max_atoms
    )
    return StructureTypes(sets, index, z, pos), members, numbers, np.nonzero(~(failed | stuck))[0]


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
