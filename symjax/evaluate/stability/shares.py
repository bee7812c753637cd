"""Shares of stable crystals and S.U.N. rates, as pure functions of arrays.

**Denominator.** Shares and S.U.N. are over the samples with a finite distance to the hull, before uniqueness, as in the
published rates. How many those are of all samples is a figure of its own, so nothing drops out unseen.

**Thresholds** in eV/atom: 0.08 (WyckoffTransformer, section "stable"), 0.1 (metastable, as in LeMat-GenBench and
SGEquiDiff's reruns), 0 (SymmCD table 3, FlowMM). Relaxation noise alone puts known crystals below a hull: of 1,000 real
test crystals a published run found 99.3 % at or under 0.08 and 64.5 % under 0. So a share means little without the same
share of real crystals beside it: call with those too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symjax.errors import InputError
from symjax.evaluate.figure import Figure

THRESHOLDS = (
    (0.08, "stable", "WyckoffTransformer, tables 1 and 2: hull energy under 0.08 eV/atom after relaxation"),
    (0.1, "metastable", "LeMat-GenBench: metastable within 0.1 eV/atom"),
    (0.0, "on or below the hull", "SymmCD table 3, by FlowMM's procedure: hull energy under 0"),
)


def stability_figures(
    e_hull: np.ndarray | Sequence[float],
    unique: np.ndarray | Sequence[bool] | None = None,
    novel: np.ndarray | Sequence[bool] | None = None,
    *,
    hull: str = "",
    reference: np.ndarray | Sequence[float] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> list[Figure]:
    """Coverage, stable shares and S.U.N. rates.

    Args:
        e_hull: (n,) eV/atom above the hull, NaN where there is none.
        unique: (n,) whether a sample is the first of its kind; None leaves S.U.N. out.
        novel: (n,) whether a sample is in no reference set; None leaves S.U.N. out.
        hull: which hull, in words, for the note of each figure.
        reference: (m,) the same distances of real crystals through the same pipeline (calibration), for the column
            beside.
        draws: bootstrap draws of the 95 % interval; 0 for none.
        seed: of the bootstrap.

    Returns:
        figures ``stability.coverage``, ``stability.share_0.08`` ..., ``stability.median`` and, with both flags,
        ``stability.sun_0.08`` ...

    Raises:
        InputError: arrays of different lengths.
    """
    values = np.asarray(e_hull, np.float64)
    if values.ndim != 1:
        raise InputError(f"e_hull must have shape (n,), got {values.shape}")
    finite = np.isfinite(values)
    real = np.asarray([] if reference is None else reference, np.float64)
    real = real[np.isfinite(real)]
    note = f"against: {hull}" if hull else ""
    covered = "share of all samples with a finite distance to the hull: the crystal was relaxed and every element has a reference"
    figures = [
        Figure("stability.coverage", "inside the hull's coverage", _share(finite), len(values), covered, better="higher", note=note)
    ]
    count = int(finite.sum())
    for limit, name, source in THRESHOLDS:
        figures.append(
            Figure(
                f"stability.share_{limit:g}", f"{name} (<= {limit:g} eV/atom)", _share(values[finite] <= limit), count,
                f"share at most {limit:g} eV/atom above the hull, of samples with a finite distance", source, "",
                f"{limit:g} eV/atom", "higher", _interval(values[finite] <= limit, draws, seed),
                reference=_share(real <= limit), note=note,
            )
        )  # fmt: skip
    figures.append(
        Figure(
            "stability.median", "median distance to the hull", _median(values[finite]), count,
            "median over samples with a finite distance", "", "eV/atom", better="lower", reference=_median(real), note=note,
        )
    )  # fmt: skip
    if unique is None or novel is None:
        return figures
    if np.shape(unique) != values.shape or np.shape(novel) != values.shape:
        raise InputError(
            f"unique and novel must have the shape of e_hull {values.shape}, got {np.shape(unique)} and {np.shape(novel)}"
        )
    flags = np.asarray(unique, bool) & np.asarray(novel, bool)
    for limit, name, source in THRESHOLDS:
        hit = (values <= limit)[finite] & flags[finite]
        figures.append(
            Figure(
                f"stability.sun_{limit:g}", f"S.U.N. (<= {limit:g} eV/atom)", _share(hit), count,
                f"share that is {name}, unique and novel at once, of samples with a finite distance, before uniqueness",
                source, "", f"{limit:g} eV/atom", "higher", _interval(hit, draws, seed), note=note,
            )
        )  # fmt: skip
    return figures


def _share(hits: np.ndarray) -> float:
    return float(np.mean(hits)) if len(hits) else float("nan")


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _interval(hits: np.ndarray, draws: int, seed: int) -> tuple[float, float] | None:
    """95 % bootstrap interval of a share: draws of n samples have binomially many hits."""
    if draws <= 0 or not len(hits):
        return None
    shares = np.random.default_rng(seed).binomial(len(hits), float(np.mean(hits)), draws) / len(hits)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)
