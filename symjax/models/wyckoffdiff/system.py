"""WyckoffDiff and its Adaptor as a system of `symjax.generate`: elements on Wyckoff positions; a realiser gives coordinates."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from symjax.generate.system import GROUP_GIVEN_FIRST, Option, Settings

if TYPE_CHECKING:
    from symjax.generate.request import Request
    from symjax.models.wyckoffdiff.draw import WyckoffdiffSampler
    from symjax.models.wyckoffdiff.weights import WyckoffdiffWeights


def conditions(text: str) -> dict[str, str]:
    """See `symjax.models.wyckoffdiff.requests.parse_conditions`."""
    from symjax.models.wyckoffdiff.requests import parse_conditions

    try:
        return parse_conditions(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def factor(text: str) -> float:
    """A factor of guidance.

    Raises:
        ArgumentTypeError: not a finite number of at least 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r}: a finite number, at least 0")
    return value


def positive(text: str) -> int:
    """A number of steps.

    Raises:
        ArgumentTypeError: not a whole number above 0.
    """
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number above 0")
    return int(text)


class Wyckoffdiff:
    """Discrete diffusion over the occupation of a given group's positions."""

    name = "wyckoffdiff"
    about = "diffusion over the elements on the Wyckoff positions of a given group"
    draws_coordinates = False
    without_meaning: Mapping[str, str] = GROUP_GIVEN_FIRST
    no_likelihood = "its diffusion was trained on an unweighted cross-entropy, which is no bound"
    options: tuple[Option, ...] = (
        Option("condition", "conditions of the weights: e_above_hull=0,chemical_system=Li-O", conditions, "N=V,.."),
        Option(
            "guidance",
            "factor of guidance by conditions: 0 forgets, 1 is, more exaggerates them (default 2)",
            factor,
            "F",
        ),
        Option("reverse_steps", "steps of the diffusion over elements (default 200)", positive, "N"),
    )

    def load(self, folder: str | Path | None) -> WyckoffdiffWeights:
        """See `symjax.models.wyckoffdiff.weights.load_weights`."""
        from symjax.models.wyckoffdiff.weights import load_weights

        return load_weights(folder)

    def sampler(
        self, weights: WyckoffdiffWeights, request: Request, num: int, settings: Settings
    ) -> WyckoffdiffSampler:
        """Draw the space groups.

        Raises:
            InputError: the request cannot be met, or a condition is not one of the weights.
        """
        from symjax.models.wyckoffdiff.draw import WyckoffdiffSampler

        return WyckoffdiffSampler(weights, request, num, settings)
