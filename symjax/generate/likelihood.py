"""How likely crystals are under a system: what every system that has a likelihood, or a bound of one, gives.

A system with the method `log_likelihood` scores crystals; the others say why they cannot (`no_likelihood`). Values of two systems
compare only where they are of the same thing (`Scores.of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset


class Scores(NamedTuple):
    """Of c crystals.

    Attributes:
        value: (c,) log-likelihood in nats, NaN where there is none.
        reason: why there is none, one text a crystal; empty where there is one.
        terms: name -> (c,) parts that add up to `value`.
        kind: ``exact`` or ``lower bound``.
        of: what the value is the likelihood of, in words.
    """

    value: np.ndarray
    reason: list[str]
    terms: dict[str, np.ndarray]
    kind: str
    of: str


@runtime_checkable
class Scoring(Protocol):
    """A system that has a likelihood."""

    def log_likelihood(self, weights: Any, dataset: CrystalDataset, *, orders: int, seed: int) -> Scores:
        """Score crystals of a prepared data set; `orders` random orders are averaged where the model has no order of sites."""
        ...


def scattered(num: int, rows: np.ndarray, terms: Mapping[str, np.ndarray], why: str, *, kind: str, of: str) -> Scores:
    """Scores of all crystals from those of some.

    Args:
        num: crystals in all.
        rows: (r,) those that have terms.
        terms: name -> (r,) parts.
        why: the reason of the others.
        kind, of: see `Scores`.
    """
    whole = {name: np.full(num, np.nan) for name in terms}
    for name, values in terms.items():
        whole[name][rows] = values
    reason = [why] * num
    for row in rows:
        reason[int(row)] = ""
    value = np.sum(list(whole.values()), axis=0) if whole else np.full(num, np.nan)
    return Scores(value, reason, whole, kind, of)
