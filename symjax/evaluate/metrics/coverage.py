"""Metrics on CrystalNN and Magpie fingerprints: coverage (CDVAE lineage), discrepancy and diversity (WyckoffAUGen table 1)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from symjax.evaluate.coverage import (
    CUTOFFS,
    Neighbours,
    central_moment_discrepancy,
    coverage,
    distances,
    diversity,
    own_scaler,
    published_scaler,
    standardise,
)
from symjax.evaluate.figure import Figure
from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics.common import CDVAE, Findings, Skipped, Study
from symjax.evaluate.metrics.wyckoffaugen import chosen_rows
from symjax.evaluate.statistics import Rows, halves_floor, permutation_test, share_interval

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
    sides = [
        chosen_rows(study, part, np.arange(len(part)), prints[2])
        for part, prints in ((study.samples, samples), (study.reference, reference))
    ]
    keep = sides[0].as_samples()
    if len(keep) >= 2:
        found += _moments(study, samples, reference, (sides[0], sides[1]))
    else:
        found += [
            Figure(
                "wyckoffaugen.cmd",
                "CrystalNN fingerprints, CMD",
                float("nan"),
                len(keep),
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
        noise: dict[str, dict[str, Any]] = {"recall": {}, "precision": {}}
        if not suffix:
            noise = _tests(study, (samples[2], reference[2]), (s, scaled[0]), (rs, scaled[1]), cutoffs)
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
                **noise["recall"],
                **more,
            ),
            Figure(
                f"symmcd.coverage_precision{suffix}",
                "coverage, precision" + title,
                result.precision,
                len(live),
                f"share of all samples, those without fingerprints included, with a reference crystal near; {said}",
                interval=share_interval(round(result.precision * len(live)), len(live)),
                **noise["precision"],
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


def _tests(
    study: Study,
    live: tuple[np.ndarray, np.ndarray],
    ours: tuple[np.ndarray, np.ndarray],
    theirs: tuple[np.ndarray, np.ndarray],
    cutoffs: tuple[float, float],
) -> dict[str, dict[str, Any]]:
    """Floor (disjoint parts of the reference) and p-value (pooled rows split again) of recall and of precision."""
    near = Neighbours(np.concatenate([ours[0], theirs[0]]), np.concatenate([ours[1], theirs[1]]), cutoffs)
    place = np.full(len(live[0]) + len(live[1]), -1)  # rows without fingerprints are near to nothing
    place[np.concatenate(live)] = np.arange(len(ours[0]) + len(theirs[0]))
    start = len(live[0])

    def recall(samples: np.ndarray, known: np.ndarray) -> float:
        a, b = place[samples], place[known]
        return float(near.covered(b[b >= 0], a[a >= 0]).sum() / len(known))

    def precision(samples: np.ndarray, known: np.ndarray) -> float:
        return recall(known, samples)

    found = {}
    for name, score in (("recall", recall), ("precision", precision)):
        test = permutation_test(
            score,
            Rows(np.arange(start)),
            Rows(np.arange(start, len(place))),
            tail="lower",
            draws=study.draws,
            seed=study.seed,
        )
        floor = halves_floor(
            lambda a, b, score=score: score(start + a, start + b),  # type: ignore[misc]
            len(live[1]),
            start,
            draws=FLOOR_DRAWS,
            seed=study.seed,
        )
        found[name] = {"p": test.p, "floor": floor, "num_reference": len(live[1])}
    return found


def _moments(study: Study, samples: Any, reference: Any, sides: tuple[Rows, Rows]) -> list[Figure]:
    """Discrepancy and diversities of the chosen samples; ``sides`` hold row numbers."""
    rule = "unique" + (" novel" if study.train is not None else "") + " samples valid in both senses"
    source = "WyckoffAUGen table 1"
    scaler = published_scaler()
    found = [
        study.compare(
            "wyckoffaugen.cmd",
            "CrystalNN fingerprints, CMD",
            partial(central_moment_discrepancy, moments=50),
            (replace(sides[0], values=samples[0]), replace(sides[1], values=reference[0])),
            "central moment discrepancy up to 50 moments (Zellinger 2017) of CrystalNN fingerprints, range [0, 1]; "
            f"{rule} against the reference",
            source=source,
        )
    ]
    for key, name, said, ours, theirs in (
        ("structure", "structural diversity", "CrystalNN fingerprints", samples[0], reference[0]),
        (
            "composition",
            "compositional diversity",
            "standardised Magpie fingerprints",
            standardise(samples[1], *scaler),
            standardise(reference[1], *scaler),
        ),
    ):
        mine = ours[sides[0].as_samples()]
        few = np.random.default_rng(study.seed).permutation(sides[1].as_reference())[:DIVERSITY_LIMIT]
        found.append(
            Figure(
                f"wyckoffaugen.diversity_{key}",
                name,
                diversity(mine),
                len(mine),
                f"mean pairwise Euclidean distance of {said}; {rule}",
                source=source,
                better="higher",
                reference=diversity(theirs[few]),
                num_reference=len(few),
                **_diversity_test(study, sides, ours, theirs),
            )
        )
    return found


def _diversity_test(study: Study, sides: tuple[Rows, Rows], ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Floor and p-value of a diversity, of at most `DIVERSITY_LIMIT` chosen rows of each side: pairs grow with the square."""
    generator = np.random.default_rng(study.seed)
    picked = [generator.permutation(side.as_samples())[:DIVERSITY_LIMIT] for side in sides]
    if min(map(len, picked)) < 2:
        return {}
    rows = np.concatenate([ours[picked[0]], theirs[picked[1]]])
    pairs = distances(rows)
    num = len(picked[0])

    def spread(drawn: np.ndarray, _: np.ndarray) -> float:
        return float(pairs[np.ix_(drawn, drawn)].sum() / (len(drawn) * (len(drawn) - 1)))

    if num < 2 or len(rows) < num + 4:  # halves of fewer have no pairs
        return {}
    places = Rows(np.arange(num)), Rows(np.arange(num, len(rows)))
    test = permutation_test(spread, *places, tail="both", draws=FLOOR_DRAWS * 2 - 1, seed=study.seed)
    floor = halves_floor(lambda a, b: spread(num + a, b), len(picked[1]), num, draws=FLOOR_DRAWS, seed=study.seed)
    return {"p": test.p, "floor": floor}
