"""Options of the discrete half of `symop`, and its three networks under one parameter tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn

from symjax.models.symop.sites.network import SitesNet, SiteTable
from symjax.models.symop.species import SpeciesPrior
from symjax.models.symop.walk import network as walk
from symjax.models.symop.walk.states import states
from symjax.nn.operation_encoder import OperationInputs
from symjax.options import options_of

Array = Any


@dataclasses.dataclass(frozen=True)
class OperationsOptions:
    """Sizes and loss weights; `configs/symop.py` has the same fields under `model.operations`.

    Attributes:
      species_dim, walk_dim, sites_dim: widths of the three networks.
      quotient_dim: width in which a set's quotients are summed in the walk.
      dropout: in all three.
      chains: random subgroup chains kept per description of a type.
      conjugates: share of training crystals whose operations are described by a random one of the type's classes of closed sets
        (`symjax.models.symop.walk.states`) and not by the standard setting.
      held_out: classes whose index is divisible by it are not trained on in this way; 0 for none.
    """

    species_dim: int
    walk_dim: int
    quotient_dim: int
    sites_dim: int
    dropout: float
    chains: int
    conjugates: float
    held_out: int


def options_from_config(section: Any) -> OperationsOptions:
    """Options from the `model.operations` section of a resolved config (or its JSON form).

    Raises:
      ConfigError: see `symjax.options.options_of`.
    """
    return options_of(OperationsOptions, section, "model.operations")


class OperationsNet(nn.Module):
    """The three networks under one parameter tree."""

    options: OperationsOptions

    def setup(self) -> None:
        """Declare the three stages."""
        o = self.options
        self.species = SpeciesPrior(o.species_dim, o.dropout)
        self.walk = walk.WalkNet(o.walk_dim, o.quotient_dim, o.dropout)
        self.sites = SitesNet(o.sites_dim, len(states().operations), o.dropout)

    def species_logits(self, z: Array, step: Array, *, train: bool = False) -> Array:
        """See `SpeciesPrior`."""
        return self.species(z, step, train)

    def walk_output(self, inputs: walk.WalkInputs, state: Array, z: Array, *, train: bool = False) -> walk.WalkOutput:
        """See `WalkNet`."""
        return self.walk(inputs, state, z, train=train)

    def encode_positions(self, ops: OperationInputs, table: SiteTable) -> tuple[Array, Array]:
        """See `SitesNet.encode`."""
        return self.sites.encode(ops, table)

    def slot_logits(self, positions: Array, whole: Array, **slot: Any) -> Array:
        """See `SitesNet.slot`."""
        return self.sites.slot(positions, whole, **slot)

    def __call__(self, batch: dict[str, Array], state: dict[str, Array], constants: Any, train: bool) -> tuple:
        """Species logits, walk output and site logits of the drawn slots (see `symjax.models.symop.task.draw_slots`)."""
        z = batch["z"]
        return (
            self.species(z, state["species_step"], train),
            self.walk(constants.walk, state["walk"], z, train=train),
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
