"""Options of the discrete half of `symop`, and its three networks under one parameter tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn

from symjax.errors import ConfigError
from symjax.models.symop.sites.network import SitesNet, SiteTable
from symjax.models.symop.species import SpeciesPrior
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.chains import pair_classes
from symjax.nn.operation_encoder import OperationInputs

Array = Any


@dataclasses.dataclass(frozen=True)
class OperationsOptions:
    """Sizes and loss weights; `configs/symop.py` has the same fields under `model.operations`.

    Attributes:
      species_dim, walk_dim, sites_dim: widths of the three networks.
      walk_layers, walk_heads: attention layers over the members of a set, heads of each.
      dropout: in all three.
      chains: random subgroup chains kept per distinct set.
      membership: weight of the membership head's binary cross-entropy.
      closure, inverse, identity, lattice: weights of the group-consistency losses on the membership head.
      consistency_examples, consistency_rows: crystals per batch and operations per crystal the closure term looks at.
    """

    species_dim: int = 96
    walk_dim: int = 96
    walk_layers: int = 2
    walk_heads: int = 4
    sites_dim: int = 96
    dropout: float = 0.1
    chains: int = 64
    membership: float = 1.0
    closure: float = 0.1
    inverse: float = 0.1
    identity: float = 0.1
    lattice: float = 0.1
    consistency_examples: int = 16
    consistency_rows: int = 24


def options_from_config(config: Any) -> OperationsOptions:
    """Options from a ConfigDict or mapping with some of the fields of `OperationsOptions`.

    Raises:
      ConfigError: a field is unknown.
    """
    given = dict(config)
    known = {field.name for field in dataclasses.fields(OperationsOptions)}
    if unknown := sorted(set(given) - known):
        raise ConfigError(f"model.operations has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return OperationsOptions(**given)


class OperationsNet(nn.Module):
    """The three networks under one parameter tree."""

    options: OperationsOptions

    def setup(self) -> None:
        """Declare the three stages."""
        o, kinds = self.options, pair_classes().num
        self.species = SpeciesPrior(o.species_dim, o.dropout)
        self.walk = walk.WalkNet(o.walk_dim, o.walk_layers, o.walk_heads, kinds, o.dropout)
        self.sites = SitesNet(o.sites_dim, kinds, o.dropout)

    def species_logits(self, z: Array, step: Array, *, train: bool = False) -> Array:
        """See `SpeciesPrior`."""
        return self.species(z, step, train)

    def walk_output(
        self, ops: OperationInputs, pair: Array, members: Array, frame: Array, z: Array, *, train: bool = False
    ) -> walk.WalkOutput:
        """See `WalkNet`."""
        return self.walk(ops, pair, members, frame, z, train=train)

    def encode_positions(self, ops: OperationInputs, table: SiteTable) -> tuple[Array, Array]:
        """See `SitesNet.encode`."""
        return self.sites.encode(ops, table)

    def slot_logits(self, positions: Array, whole: Array, **slot: Any) -> Array:
        """See `SitesNet.slot`."""
        return self.sites.slot(positions, whole, **slot)

    def __call__(self, batch: dict[str, Array], state: dict[str, Array], constants: Any, train: bool) -> tuple:
        """Species logits, walk output and site logits of the drawn slots (see `operations.draw_slots`)."""
        z = batch["z"]
        return (
            self.species(z, state["species_step"], train),
            self.walk(constants.ops, constants.pair, state["members"], state["frame"], z, train=train),
            self.sites(
                constants.ops,
                constants.table,
                batch["set"],
                z=z,
                pos=batch["pos"],
                step=state["site_step"],
                balance=state["balance"],
                train=train,
            ),
        )
