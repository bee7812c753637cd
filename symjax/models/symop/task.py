"""The discrete half of `symop`: species, operations and sites as one training task ('symop_operations').

Owns the arrays made from a prepared data set, and the task that the training loop runs. The loss is a bound on the negative
log-likelihood (nats per crystal) of elements, operations and sites. Each step looks at one random slot of each stage per
crystal and weights it by the number of slots, so the loss is an unbiased estimate of the whole. The operations of a crystal
are described by a random one of its type's descriptions.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import DataError
from symjax.groups.tables import standard_setting, vocabulary
from symjax.models.symop.network import OperationsNet, OperationsOptions, options_from_config
from symjax.models.symop.sample import StructureTypeSamples, sample_structure_types
from symjax.models.symop.sites.balance import MAX_BALANCE, balance_rows
from symjax.models.symop.sites.network import SiteTable, operation_inputs, site_nll, site_table
from symjax.models.symop.species import MAX_ORBITS, canonical_slots, species_nll
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import ChainBank, build_chain_bank, rows_of_sets
from symjax.models.symop.walk.states import states
from symjax.nn.operation_encoder import OperationInputs
from symjax.train.interface import Bucket, weighted_sum
from symjax.wyckoff.set_table import build_set_table, merge_sets

Array = Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Constants:
    """Arrays that do not depend on the crystal: operations, the distinct sets of the data, and chains to their descriptions.

    Attributes:
      ops, table: of the site network.
      walk: of the walk.
      bank: chains to every description of every type of the data.
      described: (s, d) int32 targets of the bank that describe each set, the standard setting first; padding repeats it.
      choices: (s,) int32 how many there are.
    """

    ops: OperationInputs
    walk: walk.WalkInputs
    table: SiteTable
    bank: ChainBank
    described: Array
    choices: Array


def make_constants(
    sets: Any, *, chains: int, conjugates: float = 0.0, held_out: int = 0, seed: int = 0, use: np.ndarray | None = None
) -> Constants:
    """Constants of the sets of a data set; chains are built for the sets in `use` only (default: all)."""
    used = np.arange(len(sets)) if use is None else use
    own = rows_of_sets(np.where(np.asarray(sets.mask), np.asarray(sets.vocab), vocabulary().size)[used])
    targets: list[int] = []
    rows: list[list[int]] = [[0]] * len(sets)
    for i, row in zip(used.tolist(), own.tolist(), strict=True):
        every = descriptions(row, held_out=held_out) if conjugates > 0 else [row]
        rows[i] = list(range(len(targets), len(targets) + len(every)))
        targets.extend(every)
    bank = build_chain_bank(np.array(targets), num_chains=chains, seed=seed)
    width = max(len(r) for r in rows)
    table = np.array([r + [r[0]] * (width - len(r)) for r in rows], np.int32)
    choices = np.array([len(r) for r in rows], np.int32)
    return Constants(operation_inputs(), walk.walk_inputs(), site_table(sets), bank, table, choices)


def descriptions(row: int, *, held_out: int = 0) -> list[int]:
    """Packaged rows that describe the type of one, itself first: one of every class of that type.

    Args:
      held_out: leave out the other classes whose index is divisible by it; 0 for none.
    """
    table = states()
    others = np.flatnonzero(table.of_types(table.row_number[[row]]))
    others = others[others != table.row_class[row]]
    if held_out:
        others = others[others % held_out != 0]
    return [row, *table.first[others].tolist()]


def crystal_arrays(data: CrystalDataset) -> dict[str, np.ndarray]:
    """Arrays with one row per crystal that fits the model (numpy).

    Returns:
      set (c,), num (c,) orbits, z and pos (c, MAX_ORBITS) in canonical order, k (c, 6), and balance
      (c, MAX_ORBITS, MAX_BALANCE / 8) uint8 packed bits.

    Raises:
      DataError: a set has operations outside the vocabulary, or a crystal has too many orbits.
    """
    counts = data.num_orbits
    if len(counts) and counts.max() > MAX_ORBITS:
        row = int(np.argmax(counts))
        raise DataError(
            f"crystal {data.ids[row]} (row {data.row[row]}) has {counts[row]} orbits; symop takes at most {MAX_ORBITS}"
        )
    outside = ((np.asarray(data.sets.vocab) >= vocabulary().size) & np.asarray(data.sets.mask)).any(-1)[data.set_index]
    if outside.any():
        row = int(np.argmax(outside))
        where = f"crystal {data.ids[row]} (row {data.row[row]})"
        raise DataError(f"{where} has an operation that is in no standard setting; prepare the data again")
    slots = np.arange(MAX_ORBITS)[None, :]
    mask = slots < counts[:, None]
    index = np.where(mask, data.orbit_start[:-1, None] + slots, 0)
    z = np.where(mask, data.orbit_z[index], 0).astype(np.int32)
    pos = np.where(mask, data.orbit_pos[index], 0).astype(np.int32)
    z, pos = canonical_slots(z, pos)
    atoms = site_table(data.sets).mult[data.set_index[:, None], pos] * (z > 0)
    return {
        "set": data.set_index.astype(np.int32),
        "num": counts.astype(np.int32),
        "z": z,
        "pos": pos.astype(np.int32),
        "k": data.k.astype(np.float32),
        "balance": np.packbits(balance_rows(z, atoms), axis=-1),
    }


def draw_slots(batch: dict[str, Array], constants: Constants, conjugates: float, key: Array) -> dict[str, Any]:
    """One random slot of each stage per crystal, with what the networks read there.

    Returns:
      species_step, site_step, chain_length (b,); walk (b,) class on which the walk stands; missing (b, e) operations still to
      come by the class that they lead to; balance (b, MAX_BALANCE).
    """
    keys = jax.random.split(key, 6)
    bank, num, rows = constants.bank, batch["num"], jnp.arange(len(batch["num"]))

    def below(k: Array, limit: Array) -> Array:
        uniform = jax.random.uniform(k, limit.shape)
        return jnp.minimum((uniform * limit).astype(jnp.int32), limit - 1)

    other = jax.random.uniform(keys[4], num.shape) < conjugates
    which = jnp.where(other, below(keys[5], constants.choices[batch["set"]]), 0)
    target = constants.described[batch["set"], which]
    chain = jax.random.randint(keys[0], num.shape, 0, bank.chain.shape[1])
    length = bank.length[target, chain]
    step = below(keys[1], length)
    site_step = below(keys[3], num)
    return {
        "species_step": below(keys[2], num + 1),
        "site_step": site_step,
        "chain_length": length,
        "walk": bank.chain[target, chain, step],
        "missing": bank.missing[target, chain, step].astype(jnp.float32),
        "balance": walk.unpack(batch["balance"][rows, site_step], rows, MAX_BALANCE),
    }


@cache
def parameter_shapes(options: OperationsOptions) -> Any:
    """Shapes of the parameters that options ask for, without computing any (none depends on the data)."""
    constants = make_constants(build_set_table([standard_setting(1)]), chains=1)
    slots = np.zeros((1, MAX_ORBITS), np.int32)
    batch = {"set": slots[:, 0], "num": slots[:, 0] + 1, "z": slots, "pos": slots, "k": np.zeros((1, 6), np.float32)}
    batch["balance"] = np.zeros((1, MAX_ORBITS, MAX_BALANCE // 8), np.uint8)

    def init(key: Array) -> Any:
        one, fixed = jax.tree.map(jnp.asarray, (batch, constants))
        return OperationsNet(options).init(key, one, draw_slots(one, fixed, 0.0, key), fixed, False)

    return jax.eval_shape(init, jax.random.key(0))


class OperationsTask:
    """What the training loop needs; see `symjax.train.interface`."""

    name = "symop_operations"

    def __init__(self, config: Any, train: CrystalDataset, val: CrystalDataset | None = None):
        """Makes arrays and constants from `config.model.operations`, `config.train.batch_size` and prepared data.

        Raises:
          ConfigError: unknown option.
          DataError: data that the model cannot represent.
        """
        self.options = options_from_config(config.model.operations)
        self._batch_size = int(config.train.batch_size)
        if len(train) == 0:
            raise DataError("the training data is empty")
        self._train, self._val, sets = crystal_arrays(train), None, train.sets
        if val is not None and len(val):
            sets, where = merge_sets(train.sets, val.sets)
            self._val = crystal_arrays(val)
            self._val["set"] = where[self._val["set"]].astype(np.int32)
        used = np.concatenate([part["set"] for part in (self._train, self._val) if part is not None])
        o = self.options
        self.constants = make_constants(
            sets, chains=o.chains, conjugates=o.conjugates, held_out=o.held_out, use=np.unique(used)
        )

    @property
    def net(self) -> OperationsNet:
        """The network."""
        return OperationsNet(self.options)

    def buckets(self) -> list[Bucket]:
        """Training crystals, one bucket: shapes are the same for all."""
        return [Bucket(self._train, 1.0, min(self._batch_size, len(self._train["num"])))]

    def validation(self) -> list[Bucket]:
        """Validation crystals."""
        if self._val is None:
            return []
        return [Bucket(self._val, 1.0, min(self._batch_size, len(self._val["num"])))]

    def init(self, key: Array, example_batch: dict[str, Array]) -> Any:
        """Parameters."""
        state = draw_slots(example_batch, self.device_constants, self.options.conjugates, key)
        return self.net.init(key, example_batch, state, self.device_constants, False)

    @property
    def device_constants(self) -> Constants:
        """The constants as jax arrays (they become arguments of the compiled step, not literals)."""
        return jax.tree.map(jnp.asarray, self.constants)

    def loss(self, params: Any, batch: dict[str, Array], key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """Bound on the negative log-likelihood, and every term by itself (nats)."""
        slots, drop = jax.random.split(key)
        constants = self.device_constants
        state = draw_slots(batch, constants, self.options.conjugates, slots)
        species, out, sites = self.net.apply(params, batch, state, constants, train, rngs={"dropout": drop})
        terms = {
            "species": jnp.mean((batch["num"] + 1) * species_nll(species, batch["z"], state["species_step"])),
            "walk": jnp.mean(state["chain_length"] * walk.step_nll(out, state["missing"])),
            "sites": jnp.mean(batch["num"] * site_nll(sites, batch["pos"], state["site_step"])),
        }
        nll = weighted_sum(terms, dict.fromkeys(terms, 1.0))
        return nll, {**terms, "nll": nll}


__all__ = ["OperationsTask", "StructureTypeSamples", "crystal_arrays", "options_from_config", "sample_structure_types"]
