"""symop as a system of `symjax.generate`: species, operations and sites; lattice and coordinates by its own third stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.generate.system import Option, Settings

if TYPE_CHECKING:
    from symjax.crystals.types import Crystal
    from symjax.generate.request import Request
    from symjax.models.symop.derive.derivatives import Derivatives
    from symjax.models.symop.draw import SymopSampler
    from symjax.models.symop.geometry.realise import GeometryWeights
    from symjax.models.symop.weights import SymopWeights


class Symop:
    """The flagship: operations first."""

    name = "symop"
    about = "operations first"
    draws_coordinates = False
    without_meaning: Mapping[str, str] = {}
    options: tuple[Option, ...] = (
        Option(
            "operations",
            "how the sets of operations are drawn: walk (default), or flow, the operation flow, which cannot be steered: what does "
            "not meet the request is drawn again",
            choices=("walk", "flow"),
        ),
        Option("trace", "write trace.png and trace.gif: operations appear step by step, then lattice and atoms", bool),
    )

    def load(self, folder: str | Path | None) -> SymopWeights:
        """See `symjax.models.symop.weights.load_weights`."""
        from symjax.models.symop.weights import load_weights

        return load_weights(folder)

    def sampler(self, weights: SymopWeights, request: Request, num: int, settings: Settings) -> SymopSampler:
        """Bind weights to a request; whether its groups have room is said when the first rows are drawn.

        Raises:
            InputError: an element that the training data do not have.
        """
        from symjax.models.symop.draw import SymopSampler

        del num
        return SymopSampler(weights, request, settings)

    def derive(self, weights: SymopWeights, parent: Crystal, num: int, *, steps: int | None, **how: Any) -> Derivatives:
        """Crystals below or above a parent crystal; see `symjax.models.symop.derive.derivatives.derivatives`."""
        from symjax.models.symop.derive.derivatives import derivatives
        from symjax.models.symop.geometry.sample import GeometrySampling

        return derivatives(
            weights, parent, num, sampler=None if steps is None else GeometrySampling(num_steps=steps), **how
        )

    def geometry(self, weights: SymopWeights) -> GeometryWeights:
        """Weights of the stage that realises structure types, of the same folder."""
        return weights.geometry
