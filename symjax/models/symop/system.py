"""symop as a system of `symjax.generate`: species, operations and sites; lattice and coordinates by its own third stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symjax.generate.system import Option, Settings

if TYPE_CHECKING:
    import numpy as np

    from symjax.crystals.types import Crystal
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.likelihood import Scores
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

    def log_likelihood(self, weights: SymopWeights, dataset: CrystalDataset, *, orders: int, seed: int) -> Scores:
        """Exact, of elements, operations and sites; lattice and coordinates come from a diffusion and are not counted."""
        import numpy as np

        from symjax.data.structure_types import types_from_dataset
        from symjax.generate.likelihood import scattered
        from symjax.models.symop.network import OperationsNet, options_from_config
        from symjax.models.symop.species import MAX_ORBITS
        from symjax.models.symop.walk.likelihood import type_likelihood
        from symjax.wyckoff.set_table import standard_numbers

        del orders, seed  # nothing is left to average: orbits have a canonical order
        fit = (standard_numbers(dataset.sets)[dataset.set_index] > 0) & (dataset.num_orbits <= MAX_ORBITS)
        rows = np.flatnonzero(fit)
        terms: dict[str, np.ndarray] = {name: np.zeros(0) for name in ("species", "walk", "sites")}
        if len(rows):
            net = OperationsNet(options_from_config(weights.operations_config["model"]["operations"]))
            found = type_likelihood(net, weights.operations, types_from_dataset(dataset.subset(rows))[0])
            terms = {name: getattr(found, name) for name in terms}
        return scattered(
            len(dataset),
            rows,
            terms,
            f"not in a standard setting (prepare it by `symjax data prepare`), or more than {MAX_ORBITS} orbits",
            kind="exact",
            of="elements, space group and occupied positions",
        )

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
