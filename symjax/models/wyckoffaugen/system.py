"""WyckoffAUGen as a system of `symjax.generate`: group, elements, cell, and atom after atom on the asymmetric unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from symjax.generate.system import GROUP_GIVEN_FIRST, Option, Settings

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.likelihood import Scores
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

    def log_likelihood(self, weights: AugenWeights, dataset: CrystalDataset, *, orders: int, seed: int) -> Scores:
        """Of the whole crystal; exact but for the orders of equal sites, which are averaged (see `likelihood.log_likelihood`)."""
        import numpy as np

        from symjax.generate.likelihood import scattered
        from symjax.models.wyckoffaugen.likelihood import log_likelihood
        from symjax.models.wyckoffaugen.representation import fits
        from symjax.wyckoff.set_table import standard_numbers

        options = weights.options.network
        standard = np.flatnonzero(standard_numbers(dataset.sets)[dataset.set_index] > 0)
        part = dataset.subset(standard)
        rows = standard[fits(part, options.max_sites, options.max_atoms)] if len(part) else standard
        value = (
            log_likelihood(weights, dataset.subset(rows), orders=orders, seed=seed).value if len(rows) else np.zeros(0)
        )
        return scattered(
            len(dataset),
            rows,
            {"crystal": value},
            "not in a standard setting, too large, an element beyond 100, or a cell outside the model's ranges",
            kind="lower bound",
            of="the crystal: bins of the cell, elements, positions, and the density of free coordinates",
        )
