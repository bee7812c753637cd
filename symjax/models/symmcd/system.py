"""SymmCD as a system of `symjax.generate`: lattice, coordinates, types and site symmetries by diffusion in a space group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from symjax.generate.system import GROUP_GIVEN_FIRST, Option, Settings

if TYPE_CHECKING:
    from symjax.generate.request import Request
    from symjax.models.symmcd.draw import SymmcdSampler
    from symjax.models.symmcd.weights import SymmcdWeights


class Symmcd:
    """Diffusion in a given space group."""

    name = "symmcd"
    about = "diffusion in a given space group"
    draws_coordinates = True
    without_meaning: Mapping[str, str] = {
        **GROUP_GIVEN_FIRST,
        "realise": "lattice, coordinates and site symmetries come out of one diffusion",
        "sites": "it draws site symmetries together with coordinates and finds the positions by projecting at the end",
    }
    no_likelihood = "its diffusion was trained on a sum of losses without the weights of a bound"
    options: tuple[Option, ...] = ()

    def load(self, folder: str | Path | None) -> SymmcdWeights:
        """See `symjax.models.symmcd.weights.load_weights`."""
        from symjax.models.symmcd.weights import load_weights

        return load_weights(folder)

    def sampler(self, weights: SymmcdWeights, request: Request, num: int, settings: Settings) -> SymmcdSampler:
        """Draw groups and numbers of orbits.

        Raises:
            InputError: the request cannot be met.
        """
        from symjax.models.symmcd.draw import CellSampler, SymmcdSampler

        return (CellSampler if weights.options.unit_cell else SymmcdSampler)(weights, request, num, settings)
