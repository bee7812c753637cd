"""WyckoffAUGen as a system of `symjax.generate`: group, elements, cell, and atom after atom on the asymmetric unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from symjax.generate.system import GROUP_GIVEN_FIRST, Option, Settings

if TYPE_CHECKING:
    from symjax.generate.request import Request
    from symjax.models.wyckoffaugen.draw import AugenSampler
    from symjax.models.wyckoffaugen.weights import AugenWeights


class Wyckoffaugen:
    """Explicit conditional distributions, one after the other."""

    name = "wyckoffaugen"
    about = "group, elements, cell and atoms one after the other, each from an explicit distribution"
    draws_coordinates = True
    without_meaning: Mapping[str, str] = {
        **GROUP_GIVEN_FIRST,
        "steps": "it draws every atom once; there is no diffusion",
    }
    options: tuple[Option, ...] = (
        Option(
            "complete",
            "fill an incomplete crystal: a CIF with its group, cell and some sites",
            str,
            "FILE",
            own_coordinates=True,
        ),
    )

    def load(self, folder: str | Path | None) -> AugenWeights:
        """See `symjax.models.wyckoffaugen.weights.load_weights`."""
        from symjax.models.wyckoffaugen.weights import load_weights

        return load_weights(folder)

    def sampler(self, weights: AugenWeights, request: Request, num: int, settings: Settings) -> AugenSampler:
        """Bind weights to a request.

        Raises:
            InputError: the request cannot be met, or the incomplete crystal is unsound.
        """
        from symjax.models.wyckoffaugen.draw import AugenSampler

        return AugenSampler(weights, request, num, settings)
