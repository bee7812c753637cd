"""Structure prediction: how often the true crystal comes out, of one try or of the best of several.

The rule is that of CDVAE and DiffCSP (arXiv 2309.04475, section 5.1): a try matches where pymatgen's StructureMatcher with stol
0.5, angle_tol 10, ltol 0.3 maps it on the true crystal; RMSE is the mean over the matched crystals of the best try's
root-mean-square distance, normalised by (V/N)^(1/3). Their code counts no match besides where prediction or truth fails CDVAE's
validity (distances, and charge balance, which a tenth of the real crystals fails); that share is a figure of its own here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from symjax.crystals.types import AtomicStructure
from symjax.evaluate.composition import is_valid_composition
from symjax.evaluate.distances import shortest
from symjax.evaluate.figure import Figure
from symjax.evaluate.matching import LOOSE, match_distances
from symjax.evaluate.metrics.common import mean_of
from symjax.evaluate.statistics import share_interval
from symjax.parallel import Processes, Workers

STRATA = (("0", 0, 0), ("1-4", 1, 4), ("5+", 5, 10**6))
RULE = f"StructureMatcher(ltol {LOOSE[0]}, stol {LOOSE[1]}, angle {LOOSE[2]:.0f})"
SOURCE = "CDVAE"


def match_figures(
    predicted: Sequence[AtomicStructure],
    truth: Sequence[AtomicStructure],
    freedom: Sequence[int],
    *,
    processes: Processes = None,
    progress: bool = False,
) -> list[Figure]:
    """Match rate, its RMSE, and the rate by free coordinates: crystals without any inflate every rate.

    Args:
        predicted: one crystal for each of ``truth``.
        truth: the real crystals.
        freedom: free coordinates of each.
        processes: worker processes; None for one a core.
        progress: whether to show a progress bar on stderr.
    """
    distances = match_distances(predicted, truth, processes=processes, progress=progress)
    free, rule = np.asarray(freedom), f"{RULE}; one try each"
    figures = rates(distances, "prediction", rule + ", operations, species and sites given")
    for label, low, high in STRATA:
        part = distances[(free >= low) & (free <= high)]
        figures.append(_share(f"prediction.match_{label}", f"match rate, {label} free coordinates", part, rule))
    return figures


def rates(distances: np.ndarray, key: str, definition: str, name: str = "") -> list[Figure]:
    """Match rate and RMSE.

    Args:
        distances: (n,) normalised distance of each crystal, NaN where nothing matched.
        key: the figures are ``KEY.match`` and ``KEY.rmse``.
        definition: what was counted.
        name: what stands behind the figures' names.
    """
    matched = np.isfinite(distances)
    return [
        _share(f"{key}.match", f"match rate{name}", distances, definition),
        Figure(
            f"{key}.rmse",
            f"match RMSE{name}",
            mean_of(distances[matched]),
            int(matched.sum()),
            f"mean normalised RMS distance of the matched; {definition}",
            source=SOURCE,
            better="lower",
        ),
    ]


def _share(key: str, name: str, distances: np.ndarray, definition: str) -> Figure:
    flags = np.isfinite(distances)
    spread = share_interval(int(flags.sum()), len(flags))
    return Figure(key, name, mean_of(flags), len(flags), definition, source=SOURCE, better="higher", interval=spread)


class Try(NamedTuple):
    """One prediction against the true crystal.

    Attributes:
        distance: normalised RMS distance, None where it does not match.
        valid: whether prediction and truth pass CDVAE's validity.
    """

    distance: float | None
    valid: bool


def judge(predicted: Sequence[AtomicStructure], truth: AtomicStructure, *, seconds: float | None = 60.0) -> list[Try]:
    """Each prediction of one crystal, in this process.

    Args:
        predicted: any number of predictions.
        truth: the real crystal.
        seconds: limit of time of a comparison; one that takes longer is no match.
    """
    found = match_distances(predicted, [truth] * len(predicted), processes=Workers(0, seconds))
    sound = is_valid_composition(truth.reduced) and is_valid_structure(truth)
    return [
        Try(float(distance) if np.isfinite(distance) else None, sound and is_valid_structure(cell))
        for distance, cell in zip(found, predicted)
    ]


def is_valid_structure(cell: AtomicStructure) -> bool:
    """CDVAE's rule: no two atoms under 0.5 angstrom, volume at least 0.1 cubic angstrom."""
    if not (np.isfinite(cell.L).all() and np.isfinite(cell.x).all() and cell.volume >= 0.1):
        return False
    return bool(shortest(cell).between >= 0.5)


def tries_figures(tries: Sequence[Sequence[Try | None]], key: str = "csp") -> list[Figure]:
    """Match rate and RMSE of the best try, of the first one where there are several, and with the published code's validity.

    Args:
        tries: of each of n crystals, its tries in order; None where one came to nothing.
        key: family of the figures.
    """
    most = max(map(len, tries), default=0)
    distances, valid = np.full((len(tries), most), np.nan), np.zeros((len(tries), most), bool)
    for i, row in enumerate(tries):
        for j, one in enumerate(row):
            if one is not None:
                distances[i, j], valid[i, j] = np.nan if one.distance is None else one.distance, one.valid
    best = lambda values: np.min(np.where(np.isnan(values), np.inf, values), axis=1, initial=np.inf)
    as_nan = lambda values: np.where(np.isfinite(values), values, np.nan)
    of = f"best of {most} tries" if most != 1 else "one try"
    figures = rates(as_nan(best(distances)), key, f"{RULE}; {of}; over all crystals asked for")
    figures.append(
        _share(
            f"{key}.match_valid",
            "match rate, valid pairs",
            as_nan(best(np.where(valid, distances, np.nan))),
            f"{RULE}; {of}; no match where prediction or truth fails CDVAE's validity, as DiffCSP's code counts",
        )
    )
    if most > 1:
        figures += rates(distances[:, 0], f"{key}.first", f"{RULE}; the first try", ", first try")
    return figures
