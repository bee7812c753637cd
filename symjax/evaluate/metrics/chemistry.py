"""Figures that tell generated crystals from real ones where histograms hardly do: oxidation states, contacts, bonds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symjax.evaluate.chemistry import CONTACT, OXYGEN_CONTACT, REACH
from symjax.evaluate.figure import Figure, Floor
from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics.common import Findings, Skipped, Study, compared
from symjax.evaluate.stages import column
from symjax.evaluate.statistics import Rows

SOURCE = "symjax"
IONIC = "oxides and halides (two or more elements, O, F, Cl, Br or I among them)"
SHORT = 0.8
"""Part of the sum of covalent radii under which two atoms are too close."""


def figures(study: Study) -> Findings:
    """Shares with their floor and p-value, and the median instability index."""
    if study.samples.chemistry is None or study.reference.chemistry is None:
        return Findings([], [Skipped("chemistry.neutral", "the stage of chemistry was not run")])
    found = [
        _share(study, key, name, which, definition, better=better)
        for key, name, which, definition, better in (
            ("ionic", "oxides and halides", _ionic, f"{IONIC}; over all samples that are crystals", ""),
            (
                "neutral",
                "neutral in common oxidation states",
                _neutral,
                "states of which the ICSD has ten or more instances add up to zero, an element in one of them or in two "
                f"neighbouring ones; over {IONIC}",
                "higher",
            ),
            (
                "oxygen_contacts",
                f"O-O under {OXYGEN_CONTACT:g} Å",
                _oxygen,
                "two oxygen atoms, own images included, nearer than that; over crystals with oxygen and another element",
                "lower",
            ),
            (
                "anion_contacts",
                "anions touch",
                _anions,
                f"two of O, F, Cl, Br, I nearer than {CONTACT:g} of the sum of their ionic radii (Shannon, sixfold); over {IONIC}",
                "lower",
            ),
            (
                "bare_cations",
                "a cation with at most one anion",
                _bare,
                f"some cation has at most one anion within {REACH:g} times the sum of covalent radii; over neutral {IONIC}",
                "lower",
            ),
            (
                "short_contacts",
                f"atoms under {SHORT:g} of covalent radii",
                _close,
                "two atoms, own images included, nearer than that part of the sum of their covalent radii; over all samples "
                "that are crystals",
                "lower",
            ),
        )
    ]
    return Findings([*found, _instability(study)], [])


def _share(
    study: Study, key: str, name: str, which: Callable[[Measured], np.ndarray], definition: str, *, better: str
) -> Figure:
    ours, theirs = which(study.samples), which(study.reference)
    share, num = float(np.mean(theirs)) if len(theirs) else float("nan"), len(ours)
    floor = Floor(share, float(np.sqrt(share * (1 - share) / num)), num, len(theirs)) if num and len(theirs) else None
    return study.share(
        f"chemistry.{key}", name, ours, definition, reference=theirs, source=SOURCE, better=better, floor=floor
    )


def _values(part: Measured, name: str) -> np.ndarray:
    return column(part.chemistry or (), name)


def _ionic(part: Measured) -> np.ndarray:
    return _values(part, "ionic")[part.usable] > 0


def _neutral(part: Measured) -> np.ndarray:
    values = _values(part, "neutral")
    return values[np.isfinite(values)] > 0


def _oxygen(part: Measured) -> np.ndarray:
    """Of crystals with oxygen that could be looked at; two atoms beyond the cutoff are far apart."""
    values, has = _values(part, "oxygen"), part.fractions[:, 8] > 0
    ionic = _values(part, "ionic") > 0
    return np.nan_to_num(values[has & ionic], nan=np.inf) < OXYGEN_CONTACT


def _anions(part: Measured) -> np.ndarray:
    values = _values(part, "anions")
    return np.nan_to_num(values[_values(part, "ionic") > 0], nan=np.inf) < CONTACT


def _bare(part: Measured) -> np.ndarray:
    values = _values(part, "bare")
    return values[np.isfinite(values)] > 0


def _close(part: Measured) -> np.ndarray:
    return ~(np.nan_to_num(part.ratio[part.usable]) >= SHORT)


def _instability(study: Study) -> Figure:
    def median(drawn: np.ndarray, _: np.ndarray) -> float:
        return float(np.median(drawn))

    sides = [
        Rows(values, np.isfinite(values), counted=np.isfinite(values))
        for values in (_values(study.samples, "gii"), _values(study.reference, "gii"))
    ]
    known = sides[1].as_reference()
    return compared(
        "chemistry.instability",
        "median global instability index",
        median,
        (sides[0], sides[1]),
        "root mean square difference of bond valence sums (O'Keeffe and Brese 1991, b = 0.37 Å) and oxidation states; median over "
        f"{IONIC} that are neutral and have parameters",
        draws=study.draws,
        seed=study.seed,
        source=SOURCE,
        unit="v.u.",
        better="lower",
        reference=float(np.median(known)) if len(known) else float("nan"),
    )
