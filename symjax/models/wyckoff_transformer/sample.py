"""Sampling Wyckoff representations: site after site, each as element, site symmetry, enumeration; batches of all groups together.

The space group, what may still be drawn and what was asked for are data, so one compiled program of a padded length serves every
group and every request. Sites are drawn for all unfinished rows at once; after each site the finished rows are dropped on the host,
and the rest is packed into batches of two sizes, padded to a few lengths. A row's random numbers depend on the key and on its index
only, not on the batch it lands in.

Masked sampling draws from the network's distribution restricted to what can still end as asked: positions that exist in the group
and are not full, the required elements first (in the order the network prefers; their sites and all that follows are given them),
no STOP before the least number of sites is there. The general position is never full, so such a draw always goes on, and every
sample is valid. Unmasked sampling is the published one: any token at any slot. Source: WyckoffTransformer (Kazeev et al., NeurIPS
2024 workshop text; later arXiv 2503.02407), sections 3.2 and 4.1, and the public code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from symjax.errors import InputError
from symjax.groups.tables import NUM_TYPES
from symjax.models.wyckoff_transformer.conditions import Conditions, check_conditions
from symjax.models.wyckoff_transformer.network import NUM_SERVICE, Context, NetworkOptions, WyckoffNet
from symjax.models.wyckoff_transformer.tokens import MAX_SITES, Decoded, Tokens, decode, tables
from symjax.models.wyckoff_transformer.vocabulary import Vocabulary
from symjax.wyckoff.occupancy import NO_LIMIT, FormulaFitter, OpenSites
from symjax.wyckoff.types import MAX_POSITIONS, positions_of_type

NUM_SLOTS = MAX_SITES + 1
"""Slots of a sequence; masked sampling leaves the last one to STOP, the published sampling may fill all."""
BATCH, WIDTHS = 512, (3, 6, 12)
"""Padded numbers of rows and of known sites of the programs for many rows."""
MAX_ATOMS = 192
"""Atoms of the conventional cell that an exact formula may fill."""
REST = (64, MAX_SITES)
"""As the padded numbers above, of the program for what is left over, for long rows and for small requests."""


@dataclass(frozen=True)
class Sampled:
    """b raw samples.

    Attributes:
        tokens: `(b, NUM_SLOTS)` sites in the order in which they were drawn. Unmasked ones may hold MASK and PAD at real sites and
            positions that do not exist (`pos` -1 there).
        stopped: `(b,)` bool, a STOP was drawn; always so when masked.
        vocabulary: whose tokens they are.
    """

    tokens: Tokens
    stopped: np.ndarray
    vocabulary: Vocabulary

    def decode(self) -> Decoded:
        """Elements at positions, and why a sample is none."""
        t = self.tokens
        end = np.asarray(t.mask).sum(axis=1)[:, None] == np.arange(NUM_SLOTS)
        stop = self.vocabulary.stop
        fields = [np.where(end, mark, field) for mark, field in zip(stop, (t.element, t.site, t.enum), strict=True)]
        return decode(t.number, *fields, vocabulary=self.vocabulary)


@flax.struct.dataclass
class _Rules:
    """Arrays that the program looks things up in: the group's vectors and positions, and what is asked for."""

    start: Array  # (231, F)
    site: Array  # (231, 27) token of each position, S where there is none
    enum: Array  # (231, 27)
    full: Array  # (231, S, E) the position can be occupied once: its index, else 27
    allowed: Array  # (V,)
    required: Array  # (V,)
    bounds: Array  # (2,) least and largest number of sites
    formula: Array  # (f,) tokens of the elements of an exact formula; f = 0 for none


class _Reach(NamedTuple):
    """What leads to an exact formula from the sites of each row.

    Attributes:
        sites: `(b, f, 27)` bool elements of the formula that may be put on positions.
        end: `(b,)` bool, the formula is there.
    """

    sites: Array
    end: Array


@functools.lru_cache(maxsize=4)
def _group_arrays(vocabulary: Vocabulary) -> dict[str, Array]:
    """The part of the rules that does not depend on what is asked for."""
    known = tables(vocabulary)
    sizes, pads = vocabulary.sizes, vocabulary.pad
    once = np.where((known.position >= 0) & (known.freedom == 0), known.position, MAX_POSITIONS)
    return {
        "start": jnp.asarray(vocabulary.start_features()),
        "site": jnp.asarray(np.where(known.site == pads[1], sizes[1], known.site)),
        "enum": jnp.asarray(np.where(known.enum == pads[2], sizes[2], known.enum)),
        "full": jnp.asarray(once.astype(np.int32)),
    }


def _rules(vocabulary: Vocabulary, conditions: Conditions) -> _Rules:
    size, names = vocabulary.sizes[0], vocabulary.names[0]
    allowed = np.ones(size, bool) if conditions.allowed is None else np.array(conditions.allowed, bool)
    required = np.zeros(size, bool) if conditions.required is None else np.array(conditions.required, bool)
    allowed[names:] = False
    return _Rules(
        **_group_arrays(vocabulary),
        allowed=jnp.asarray(allowed),
        required=jnp.asarray(required),
        bounds=jnp.asarray([conditions.min_sites, conditions.max_sites], jnp.int32),
        formula=jnp.asarray(vocabulary.element_tokens[list(conditions.formula or ())], jnp.int32),
    )


@functools.partial(jax.jit, static_argnames=("options", "masked"))
def draw_site(
    params: dict,
    rules: _Rules,
    key: Array,
    row: Array,
    number: Array,
    known: Array,
    slot: Array,
    temperature: Array,
    reach: _Reach | None = None,
    *,
    options: NetworkOptions,
    masked: bool,
) -> Array:
    """The next site of each row.

    Args:
        params: of `WyckoffNet(options)`.
        rules: tables and what is asked for.
        key: one for all rows and slots.
        row: `(b,)` int32 index by which a row's random numbers are told apart.
        number: `(b,)` int32 space groups.
        known: `(b, w, 3)` int32 tokens of the sites drawn before, the first `slot` of them real.
        slot: () int32 how many.
        temperature: (3,) of the fields.
        reach: what leads to the formula of the rules; None where they have none.
        options: static sizes.
        masked: static; whether only what can end as a valid sample is drawn.

    Returns:
        `(b, 3)` int32 tokens. With STOP in the first field the others mean nothing.
    """
    net = WyckoffNet(options)
    b, width, _ = known.shape
    real = jnp.broadcast_to(jnp.arange(width) < slot, (b, width))
    start = rules.start[number]
    slot_key, most = jax.random.fold_in(key, slot), max(options.vocabulary)
    noise = jax.vmap(lambda r: jax.random.gumbel(jax.random.fold_in(slot_key, r), (3, most)), out_axes=1)(row)
    open_positions = _open_positions(rules, number, known, real)

    def pick(field: int, context: Context, h: Array, gumbel: Array) -> Array:
        logits = net.apply(params, h, context, field, method=WyckoffNet.decode) / temperature[field]
        if masked:
            ok = _allowed(rules, options, context, number, slot, open_positions, reach, field=field)
            logits = jnp.where(ok, logits, -jnp.inf)
        return jnp.argmax(logits + gumbel[:, : logits.shape[1]], axis=1).astype(jnp.int32)

    def step(drawn: Array, of_field: tuple[Array, Array]) -> tuple[Array, None]:
        field, gumbel = of_field
        context = Context(start, known[..., 0], known[..., 1], known[..., 2], real, drawn)
        h = net.apply(params, context, method=WyckoffNet.encode)
        token = jax.lax.switch(field, [functools.partial(pick, f) for f in range(3)], context, h, gumbel)
        return drawn.at[:, field].set(token), None

    # a loop, so that the encoder is compiled once
    unknown = jnp.asarray([size - NUM_SERVICE for size in options.vocabulary], jnp.int32)
    return jax.lax.scan(step, jnp.broadcast_to(unknown, (b, 3)), (jnp.arange(3), noise))[0]


def _open_positions(rules: _Rules, number: Array, known: Array, real: Array) -> Array:
    """`(b, 27)` bool positions that may be occupied (once more)."""
    rows = jnp.arange(len(number))[:, None]
    full = jnp.where(real, rules.full[number[:, None], known[..., 1], known[..., 2]], MAX_POSITIONS)
    taken = jnp.zeros((len(number), MAX_POSITIONS), bool).at[rows, full].set(True, mode="drop")
    return ~taken


def _allowed(
    rules: _Rules,
    options: NetworkOptions,
    context: Context,
    number: Array,
    slot: Array,
    open_positions: Array,
    reach: _Reach | None,
    *,
    field: int,
) -> Array:
    """`(b, V)` bool tokens of a field that may be drawn."""
    size = options.vocabulary[field]
    none = jnp.zeros((len(number), size), bool)
    rows = jnp.arange(len(number))[:, None]
    if field == 0:
        present = none.at[rows, jnp.where(context.mask, context.element, size)].set(True, mode="drop")
        missing = rules.required & ~present
        waits = missing.any(axis=1)
        # Orders mean nothing to the model, so required elements come first; waiting for them would fill all slots.
        ok = jnp.where(waits[:, None], missing, rules.allowed) & (slot < rules.bounds[1])
        may_stop = ~waits & (slot >= rules.bounds[0])
        if reach is not None:
            ok &= none.at[:, rules.formula].set(reach.sites.any(axis=2))
            may_stop &= reach.end
        return ok.at[:, size - NUM_SERVICE + 1].set(may_stop)
    if reach is not None:
        drawn = (rules.formula[None, :] == context.slot[:, :1])[:, :, None]
        open_positions &= (drawn & reach.sites).any(axis=1)
    token = rules.site[number]
    if field == 2:
        token = jnp.where(token == context.slot[:, 1:2], rules.enum[number], size)
    return none.at[rows, jnp.where(open_positions, token, size)].set(True, mode="drop")


def sample(
    params: dict,
    options: NetworkOptions,
    key: Array,
    number: np.ndarray,
    *,
    vocabulary: Vocabulary,
    conditions: Conditions | None = None,
    temperature: float | np.ndarray = 1.0,
    masked: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Sampled:
    """Draw one representation for each space group of a list.

    Args:
        params: of `WyckoffNet(options)`.
        options: sizes; those of `vocabulary`.
        key: equal keys and arguments give equal samples; row i does not depend on the other rows.
        number: `(b,)` space groups.
        vocabulary: whose tokens the network knows.
        conditions: what is asked for; None for nothing.
        temperature: divides the logits, above 0; a number, or an array that broadcasts to `(NUM_SLOTS, 3)`.
        masked: False for the published sampling, whose samples may be invalid (`Sampled.decode` says why).
        progress: called with the number of samples finished, after each site.

    Raises:
        InputError: a number is no space group, the temperature is not positive, or what is asked for cannot be met (the message
            says why).
    """
    conditions = conditions or Conditions()
    number = _checked_numbers(number)
    given = check_conditions(conditions, number, vocabulary, masked)
    heat = _checked_temperature(temperature)
    rules = _rules(vocabulary, conditions)
    reached = None if conditions.formula is None else _Reachable(conditions, number, vocabulary)
    first, rows = len(given), np.arange(len(number))
    values = np.tile(np.array(vocabulary.pad, np.int32), (len(number), NUM_SLOTS, 1))
    values[:, :first] = given
    length = np.full(len(number), NUM_SLOTS)
    for slot in range(first, NUM_SLOTS):
        parts = plan_batches(rows, slot, many=len(number) >= BATCH)
        drawn = [
            draw_site(
                params,
                rules,
                key,
                padded.astype(np.int32),
                number[padded],
                values[padded, :width],
                np.int32(slot),
                heat[slot],
                None if reached is None else reached(padded, values, slot),
                options=options,
                masked=masked,
            )
            for _, padded, width in parts
        ]
        for (real, _, _), tokens in zip(parts, drawn, strict=True):
            values[real, slot] = np.asarray(tokens)[: len(real)]
        ended = (values[rows, slot] == np.array(vocabulary.stop)).any(axis=1)
        length[rows[ended]] = slot
        rows = rows[~ended]
        if progress is not None:
            progress(int(ended.sum()))
        if not len(rows):
            break
    if progress is not None:
        progress(len(rows))
    return _sampled(number, values, length, vocabulary)


class _Reachable:
    """Counts on the host which sites still lead to the formula; equal states are counted once."""

    def __init__(self, conditions: Conditions, number: np.ndarray, vocabulary: Vocabulary):
        assert conditions.formula is not None
        self.formula, self.bounds = conditions.formula, (conditions.min_sites, conditions.max_sites)
        self.number, self.vocabulary, self.known = number, vocabulary, tables(vocabulary)
        self.seen: dict[tuple, OpenSites] = {}

    def __call__(self, rows: np.ndarray, values: np.ndarray, slot: int) -> _Reach:
        """Of rows (n,) whose first `slot` sites are known: `values (b, NUM_SLOTS, 3)` tokens."""
        found = [self._one(int(self.number[row]), values[row, :slot]) for row in rows]
        sites = np.zeros((len(rows), len(self.formula), MAX_POSITIONS), bool)
        for i, one in enumerate(found):
            sites[i, :, : one.sites.shape[1]] = one.sites
        return _Reach(jnp.asarray(sites), jnp.asarray([one.end for one in found]))

    def _one(self, number: int, sites: np.ndarray) -> OpenSites:
        z = self.vocabulary.atomic_numbers[sites[:, 0]]
        pos = self.known.position[number, sites[:, 1], sites[:, 2]]
        key = (number, tuple(sorted(zip(z.tolist(), pos.tolist(), strict=True))))
        if key not in self.seen:
            positions = positions_of_type(number)
            # a position whose site symmetry has no token cannot be drawn
            named = self.known.site[number, : len(positions)] != self.vocabulary.pad[1]
            fitter = FormulaFitter(positions.multiplicity, np.where(positions.dof > 0, NO_LIMIT, 1) * named)
            self.seen[key] = fitter.open_sites(z, pos, self.formula, max_atoms=MAX_ATOMS, orbits=self.bounds)
        return self.seen[key]


def formula_groups(formula: dict[int, int], groups: Sequence[int], bounds: tuple[int, int]) -> list[int]:
    """Those of some space groups whose positions can hold a formula with a number of sites within bounds."""
    counts, found = tuple(sorted(formula.values())), []
    for number in groups:
        fitter = FormulaFitter.of_type(number)
        possible = fitter.possible_orbits(counts, max_orbits=bounds[1], max_atoms=MAX_ATOMS)
        if possible[bounds[0] :].any():
            found.append(number)
    return found


def plan_batches(rows: np.ndarray, slot: int, *, many: bool) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Which of the unfinished rows run together: `(rows, rows padded to the batch by repetition, padded number of known sites)`.

    Args:
        rows: unfinished ones.
        slot: number of known sites.
        many: whether the programs for many rows may be used; they would be compiled for it.
    """
    width = next((w for w in WIDTHS if w >= slot), 0)
    small, longest = REST
    parts, start = [], 0
    while start < len(rows):
        rest = len(rows) - start
        # whichever pads less; a row of known sites has two more tokens
        large = many and width > 0 and BATCH * (width + 2) <= -(-rest // small) * small * (longest + 2)
        size = BATCH if large else small
        part = rows[start : start + size]
        parts.append((part, np.resize(part, size), width if large else longest))
        start += size
    return parts


def _sampled(number: np.ndarray, values: np.ndarray, length: np.ndarray, vocabulary: Vocabulary) -> Sampled:
    """The samples as tokens, PAD from the stop on."""
    mask = np.arange(NUM_SLOTS) < length[:, None]
    element, site, enum = (np.where(mask, values[..., f], pad) for f, pad in enumerate(vocabulary.pad))
    pos = np.where(mask, tables(vocabulary).position[number[:, None], site, enum], -1)
    tokens = Tokens(number=number, element=element, site=site, enum=enum, mask=mask, pos=pos)
    return Sampled(tokens, length < NUM_SLOTS, vocabulary)


def _checked_numbers(number: Any) -> np.ndarray:
    """`(b,)` int32 space groups; InputError for anything else."""
    number = np.asarray(number)
    if number.ndim != 1 or not len(number) or not np.issubdtype(number.dtype, np.integer):
        raise InputError(
            f"space groups: a list of at least one integer is needed, got {number.dtype} of shape {number.shape}"
        )
    if number.min() < 1 or number.max() > NUM_TYPES:
        raise InputError(f"space group {number[(number < 1) | (number > NUM_TYPES)][0]} is not one of 1 to {NUM_TYPES}")
    return number.astype(np.int32)


def _checked_temperature(temperature: float | np.ndarray) -> np.ndarray:
    """`(NUM_SLOTS, 3)` float32."""
    try:
        heat = np.broadcast_to(np.asarray(temperature, np.float32), (NUM_SLOTS, 3))
    except ValueError:
        raise InputError(f"temperature: a number or an array for {NUM_SLOTS} slots and 3 fields is needed") from None
    if not (np.isfinite(heat).all() and (heat > 0).all()):
        raise InputError(f"temperature must be above 0, got {np.asarray(temperature)}")
    return heat
