"""The discrete half of `symop`: species, operations and sites as one training task ('symop_operations').

Owns the arrays made from a prepared data set, and the task that the
training loop runs. The loss is a bound on the negative log-likelihood (nats per crystal) of elements, operations and
sites, plus the weighted losses of the membership head. Each step looks at one random slot of each stage per crystal and
weights it by the number of slots, so the loss is an unbiased estimate of the whole.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.errors import DataError
from symjax.groups.indexed import vocabulary_table
from symjax.groups.soft import closure_defect, identity_defect, inverse_defect
from symjax.groups.tables import vocabulary
from symjax.models.symop.network import OperationsNet, OperationsOptions, options_from_config
from symjax.models.symop.sample import StructureTypeSamples, sample_structure_types
from symjax.models.symop.sites.balance import MAX_BALANCE, balance_rows
from symjax.models.symop.sites.network import SiteTable, site_nll, site_table
from symjax.models.symop.species import MAX_ORBITS, canonical_slots, species_nll
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import ChainBank, build_chain_bank, pair_classes
from symjax.nn.operation_encoder import OperationInputs
from symjax.train.interface import Bucket, weighted_sum
from symjax.wyckoff.set_table import merge_sets

Array = Any
MEMBERSHIP_UNIT = 0.1
"""Weight of one nat of the membership head at `membership = 1`: its cross-entropy is a sum over some hundred candidate operations,
which would outweigh the likelihood."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Constants:
    """Arrays that do not depend on the crystal: the vocabulary and the distinct sets of the data."""

    ops: OperationInputs
    pair: Array
    table: SiteTable
    bank: ChainBank
    rotation_k: Array  # (v, 6, 6) how each operation's rotation acts on the log-lattice coefficients


def make_constants(sets: Any, *, chains: int, seed: int = 0, use: np.ndarray | None = None) -> Constants:
    """Constants of the sets of a data set; chains are built for the sets in `use` only (default: all)."""
    indices = np.asarray(sets.vocab)
    used = np.arange(len(indices)) if use is None else use
    part = build_chain_bank(indices[used], num_chains=chains, seed=seed)
    chain = np.zeros((len(indices), *part.chain.shape[1:]), np.int32)
    length = np.ones((len(indices), chains), np.int32)
    frame = np.asarray(sets.frame, np.int32).copy()
    chain[used], length[used] = part.chain, part.length
    bank = ChainBank(packed=part.packed, chain=chain, length=length, frame=frame)
    return Constants(walk.operation_inputs(), pair_classes().pair, site_table(sets), bank, rotation_on_k())


def rotation_on_k() -> np.ndarray:
    """`(v, 6, 6)` float32: coefficients of R S R^T from those of S, in the orthonormal basis of symmetric matrices."""
    from symjax.lattice import K_BASIS

    basis, R = np.asarray(K_BASIS), vocabulary().R
    turned = np.einsum("vij,bjk,vlk->vbil", R, basis, R)
    return np.einsum("aij,vbij->vab", basis, turned).astype(np.float32)


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


def draw_slots(batch: dict[str, Array], bank: ChainBank, key: Array) -> dict[str, Array]:
    """One random slot of each stage per crystal, with what the networks read there.

    Returns:
      species_step, site_step, chain_length (b,); members and target (b, v) float; frame (b,); balance (b, MAX_BALANCE).
    """
    keys = jax.random.split(key, 4)
    num, rows = batch["num"], jnp.arange(len(batch["num"]))

    def below(k: Array, limit: Array) -> Array:
        uniform = jax.random.uniform(k, limit.shape)
        return jnp.minimum((uniform * limit).astype(jnp.int32), limit - 1)

    chain_index = jax.random.randint(keys[0], num.shape, 0, bank.chain.shape[1])
    length = bank.length[batch["set"], chain_index]
    chain = bank.chain[batch["set"], chain_index]
    at = jnp.take_along_axis(chain, below(keys[1], length)[:, None], 1)[:, 0]
    site_step = below(keys[3], num)
    size = vocabulary().size
    packed = jnp.asarray(bank.packed)
    balance = batch["balance"][rows, site_step]
    return {
        "species_step": below(keys[2], num + 1),
        "site_step": site_step,
        "chain_length": length,
        "members": walk.unpack(packed, at, size),
        "target": walk.unpack(packed, chain[:, -1], size),
        "frame": bank.frame[batch["set"]],
        "balance": walk.unpack(balance, rows, MAX_BALANCE),
    }


def consistency(
    p: Array, constants: Constants, *, frame: Array, allowed: Array, k: Array, key: Array, options: OperationsOptions
) -> dict[str, Array]:
    """The four group-consistency losses of membership probabilities `p (b, v)`, means over the batch.

    The closure term looks at `consistency_examples` crystals, since a row of products costs as much as a whole crystal
    elsewhere. The lattice term compares the log-lattice coefficients `k (b, 6)` with their images under each rotation.
    """
    table, few = vocabulary_table(), options.consistency_examples
    closure = closure_defect(
        p[:few], table, key=key, num_rows=options.consistency_rows, candidates=allowed[:few], weighted=True
    )
    moved = jnp.einsum("vij,bj->bvi", constants.rotation_k, k) - k[:, None, :]
    size = jnp.sqrt(jnp.sum(moved**2, -1) + 1e-8)
    lattice = jnp.sum(p * size, -1) / jnp.maximum(jnp.sum(p, -1), 1.0)
    return {
        "closure": jnp.mean(closure),
        "inverse": jnp.mean(inverse_defect(p, table, weighted=True)),
        "identity": jnp.mean(identity_defect(p, table, frame)),
        "lattice": jnp.mean(lattice),
    }


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
        self.constants = make_constants(sets, chains=self.options.chains, seed=0, use=np.unique(used))

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
        state = draw_slots(example_batch, self.device_constants.bank, key)
        return self.net.init(key, example_batch, state, self.device_constants, False)

    @property
    def device_constants(self) -> Constants:
        """The constants as jax arrays (they become arguments of the compiled step, not literals)."""
        return jax.tree.map(jnp.asarray, self.constants)

    def loss(self, params: Any, batch: dict[str, Array], key: Array, train: bool) -> tuple[Array, dict[str, Array]]:
        """Bound on the negative log-likelihood plus the membership losses, and every term by itself (nats)."""
        slots, drop, rows = jax.random.split(key, 3)
        constants, o = self.device_constants, self.options
        state = draw_slots(batch, constants.bank, slots)
        species, out, sites = self.net.apply(params, batch, state, constants, train, rngs={"dropout": drop})
        members, target, frame = state["members"], state["target"], state["frame"]
        allowed = walk.candidate_mask(constants.ops.frame, members, frame)
        terms = {
            "species": jnp.mean((batch["num"] + 1) * species_nll(species, batch["z"], state["species_step"])),
            "frame": jnp.mean(walk.frame_nll(out, frame)),
            "walk": jnp.mean(state["chain_length"] * walk.step_nll(out, members, target)),
            "sites": jnp.mean(batch["num"] * site_nll(sites, batch["pos"], state["site_step"])),
        }
        nll = weighted_sum(terms, dict.fromkeys(("species", "frame", "walk", "sites"), 1.0))
        extra = {"membership": jnp.mean(jnp.sum(allowed, -1) * walk.membership_bce(out, target, allowed))}
        weights = {"membership": o.membership * MEMBERSHIP_UNIT}
        asked = {"closure": o.closure, "inverse": o.inverse, "identity": o.identity, "lattice": o.lattice}
        if any(asked.values()):
            p = walk.member_probability(out, members)
            extra |= consistency(p, constants, frame=frame, allowed=allowed, k=batch["k"], key=rows, options=o)
            weights |= asked
        return nll + weighted_sum(extra, weights), {**terms, **extra, "nll": nll}


__all__ = ["OperationsTask", "StructureTypeSamples", "crystal_arrays", "options_from_config", "sample_structure_types"]
