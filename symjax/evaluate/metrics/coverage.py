"""Metrics on CrystalNN and Magpie fingerprints: coverage (CDVAE lineage), discrepancy and diversity (WyckoffAUGen table 1)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from symjax.evaluate.coverage import (
    CUTOFFS,
    central_moment_discrepancy,
    coverage,
    diversity,
    own_scaler,
    published_scaler,
    standardise,
)
from symjax.evaluate.figure import Figure, Floor
from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics.common import CDVAE, Findings, Skipped, Study
from symjax.evaluate.metrics.wyckoffaugen import chosen_rows
from symjax.evaluate.statistics import floor, share_interval

FLOOR_DRAWS = 20
DIVERSITY_LIMIT = 2000
"""Diversity is a mean over pairs: so many crystals of the reference are enough for its yardstick."""


def figures(study: Study) -> Findings:
    """Coverage recall and precision, CMD and diversities."""
    samples, reference = fingerprints(study.samples), fingerprints(study.reference)
    if not samples[2].any() or not reference[2].any():
        side = "samples" if not samples[2].any() else "reference"
        return Findings([], [Skipped("symmcd.coverage_recall", f"no crystal of the {side} has fingerprints")])
    found = _coverage(study, samples, reference)
    keep = chosen_rows(study) & samples[2]
    if keep.sum() >= 2:
        found += _moments(study, samples, reference, keep)
    else:
        found += [
            Figure(
                "wyckoffaugen.cmd",
                "CrystalNN fingerprints, CMD",
                float("nan"),
                int(keep.sum()),
                "no two chosen samples with fingerprints",
            )
        ]
    return Findings(found, [])


def fingerprints(crystals: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 61) structure and (n, 132) raw composition fingerprints, and (n,) whether a row has both."""
    rows = crystals.fingerprint or [None] * len(crystals)
    live = np.array([row is not None and "error" not in row for row in rows], bool)
    structure, composition = np.full((len(rows), 61), np.nan), np.full((len(rows), 132), np.nan)
    for i, row in enumerate(rows):
        if row is not None and live[i]:
            structure[i] = row["structure"]
            composition[i] = [np.nan if value is None else value for value in row["composition"]]
    return structure, composition, live


def _coverage(study: Study, samples: Any, reference: Any) -> list[Figure]:
    cutoffs = study.inputs.get("cutoffs") or CUTOFFS["mp20"]
    s, c, live = samples[0][samples[2]], samples[1][samples[2]], samples[2]
    rs, rc = reference[0][reference[2]], reference[1][reference[2]]
    found = []
    for suffix, title, scaled in (
        ("", "", (standardise(c, *published_scaler()), standardise(rc, *published_scaler()))),
        ("_own_scaler", ", own scaler", (standardise(c, *own_scaler(rc)), standardise(rc, *own_scaler(rc)))),
    ):
        said = (
            f"fingerprint distances within {cutoffs[0]} (CrystalNN, mean over sites) and {cutoffs[1]} (Magpie, "
            + ("CDVAE's fixed means and deviations" if not suffix else "means and deviations of the reference")
            + "); the two nearest may be different crystals"
        )
        result = coverage(
            s,
            scaled[0],
            rs,
            scaled[1],
            num_generated=len(live),
            num_reference=len(reference[2]),
            structure_cutoff=cutoffs[0],
            composition_cutoff=cutoffs[1],
        )
        noise = None if suffix else _floors(study, rs, scaled[1], len(s), cutoffs)
        more: dict[str, Any] = {
            "source": f"SymmCD tables 1-3; {CDVAE}",
            "better": "higher",
            "note": "moves with both sizes: compare at equal n only",
        }
        found += [
            Figure(
                f"symmcd.coverage_recall{suffix}",
                "coverage, recall" + title,
                result.recall,
                len(reference[2]),
                f"share of all reference crystals with a sample near; {said}",
                floor=noise,
                interval=_interval(study, result.recall, len(reference[2])),
                **more,
            ),
            Figure(
                f"symmcd.coverage_precision{suffix}",
                "coverage, precision" + title,
                result.precision,
                len(live),
                f"share of all samples, those without fingerprints included, with a reference crystal near; {said}",
                interval=_interval(study, result.precision, len(live)),
                **more,
            ),
        ]
        if not suffix:
            found += [
                Figure(
                    "symmcd.coverage_recall_joint",
                    "coverage, recall, one partner",
                    result.recall_joint,
                    len(rs),
                    "the same with one crystal near in both senses",
                    **more,
                ),
                Figure(
                    "symmcd.coverage_precision_joint",
                    "coverage, precision, one partner",
                    result.precision_joint,
                    len(live),
                    "the same with one crystal near in both senses",
                    **more,
                ),
            ]
    return found


def _interval(study: Study, share: float, num: int) -> tuple[float, float] | None:
    return share_interval(round(share * num), num, seed=study.seed)


def _floors(
    study: Study, structure: np.ndarray, composition: np.ndarray, num: int, cutoffs: tuple[float, float]
) -> Floor:
    """Recall of draws from the reference itself; its precision is one by construction."""
    generator = np.random.default_rng(study.seed)
    values = []
    for _ in range(FLOOR_DRAWS):
        rows = np.unique(generator.integers(0, len(structure), num))
        drawn = coverage(
            structure[rows],
            composition[rows],
            structure,
            composition,
            num_generated=num,
            structure_cutoff=cutoffs[0],
            composition_cutoff=cutoffs[1],
        )
        values.append(drawn.recall)
    return Floor(float(np.mean(values)), float(np.std(values)), num)


def _moments(study: Study, samples: Any, reference: Any, keep: np.ndarray) -> list[Figure]:
    rule = "unique" + (" novel" if study.train is not None else "") + " samples valid in both senses"
    source = "WyckoffAUGen table 1"
    real = reference[2]
    few = np.random.default_rng(study.seed).permutation(np.flatnonzero(real))[:DIVERSITY_LIMIT]
    scaler = published_scaler()
    scaled, scaled_real = standardise(samples[1][keep], *scaler), standardise(reference[1][few], *scaler)
    num = int(keep.sum())
    spread = {
        "structure": floor(_diversity, reference[0][few], min(num, len(few)), draws=FLOOR_DRAWS, seed=study.seed),
        "composition": floor(_diversity, scaled_real, min(num, len(few)), draws=FLOOR_DRAWS, seed=study.seed),
    }
    return [
        study.compare(
            "wyckoffaugen.cmd",
            "CrystalNN fingerprints, CMD",
            partial(central_moment_discrepancy, moments=50),
            samples[0][keep],
            reference[0][real],
            "central moment discrepancy up to 50 moments (Zellinger 2017) of CrystalNN fingerprints, range [0, 1]; "
            f"{rule} against the reference",
            source=source,
        ),
        Figure(
            "wyckoffaugen.diversity_structure",
            "structural diversity",
            diversity(samples[0][keep]),
            num,
            f"mean pairwise Euclidean distance of CrystalNN fingerprints; {rule}",
            source=source,
            better="higher",
            reference=diversity(reference[0][few]),
            floor=spread["structure"],
        ),
        Figure(
            "wyckoffaugen.diversity_composition",
            "compositional diversity",
            diversity(scaled),
            num,
            f"mean pairwise Euclidean distance of standardised Magpie fingerprints; {rule}",
            source=source,
            better="higher",
            reference=diversity(scaled_real),
            floor=spread["composition"],
        ),
    ]


def _diversity(drawn: np.ndarray, _: np.ndarray) -> float:
    """Diversity as a statistic of two samples, for its floor."""
    return diversity(drawn)
