"""WyckoffTransformer as a system of `symjax.generate`: elements on Wyckoff positions; a realiser gives coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from symjax.generate.system import GROUP_GIVEN_FIRST, Option, Settings

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset
    from symjax.generate.likelihood import Scores
    from symjax.generate.request import Request
    from symjax.models.wyckoff_transformer.draw import WyckoffSampler
    from symjax.models.wyckoff_transformer.weights import WyckoffWeights


class WyckoffTransformer:
    """Elements on Wyckoff positions, one after the other."""

    name = "wyckoff_transformer"
    about = "elements on Wyckoff positions, one after the other"
    draws_coordinates = False
    without_meaning: Mapping[str, str] = GROUP_GIVEN_FIRST
    options: tuple[Option, ...] = (
        Option("temperature", "above 1: more varied, below 1: more typical (default 1)", float, "T"),
        Option("unmasked", "published sampling: invalid samples occur and are drawn again", bool),
    )

    def load(self, folder: str | Path | None) -> WyckoffWeights:
        """See `symjax.models.wyckoff_transformer.weights.load_weights`."""
        from symjax.models.wyckoff_transformer.weights import load_weights

        return load_weights(folder)

    def sampler(self, weights: WyckoffWeights, request: Request, num: int, settings: Settings) -> WyckoffSampler:
        """Draw the space groups.

        Raises:
            InputError: the request cannot be met.
        """
        from symjax.models.wyckoff_transformer.draw import WyckoffSampler

        return WyckoffSampler(weights, request, num, settings)

    def log_likelihood(self, weights: WyckoffWeights, dataset: CrystalDataset, *, orders: int, seed: int) -> Scores:
        """A lower bound (Jensen) over random orders and equivalent descriptions; groups have their training frequencies.

        Raises:
            InputError: fewer than two orders.
        """
        import numpy as np

        from symjax.generate.likelihood import scattered
        from symjax.models.wyckoff_transformer.likelihood import likelihoods
        from symjax.models.wyckoff_transformer.tokens import fits, tokenize

        vocabulary, counts = weights.vocabulary, weights.group_counts
        rows = np.flatnonzero(fits(dataset, vocabulary))
        if len(rows):
            tokens = tokenize(dataset.subset(rows), vocabulary)
            known = np.flatnonzero(counts[tokens.number] > 0)
            rows, tokens = rows[known], tokens.take(known)
        terms = {"group": np.zeros(0), "sites": np.zeros(0)}
        if len(rows):
            found = likelihoods(
                weights.params, weights.options.network, tokens, seed=seed, num_orders=orders, equivalent=vocabulary
            )
            terms = {"group": np.log(counts[tokens.number] / counts.sum()), "sites": found.bound}
        return scattered(
            len(dataset),
            rows,
            terms,
            "not in a standard setting, a space group or element that the training data lack, or too many sites",
            kind="lower bound",
            of="elements, space group and occupied positions",
        )
