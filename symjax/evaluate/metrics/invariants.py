"""Continuous novelty and diversity by average minimum distances and pointwise distance distributions (`evaluate.invariants`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.evaluate import invariants
from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import Findings, Skipped, Study
from symjax.evaluate.statistics import Rows, halves_floor, permutation_test

SOURCE = "AMD and PDD: arXiv 2009.02488, 2108.04798; continuous novelty and uniqueness in the style of arXiv 2510.12405"
BLIND = f"places of atoms alone, elements are not looked at; k = {invariants.K}"
AMD = "largest difference of two entries of the average minimum distances"
PDD_LIMIT = 500
"""Samples whose nearest crystal of train is looked for by PDD, and as many of the reference."""
PAIR_LIMIT = 2000
"""Crystals of each side whose distances to each other are taken for the diversity."""
FLOOR_DRAWS = 20
DIVERSITY_DRAWS = 39


def figures(study: Study) -> Findings:
    """Mean distance to the nearest crystal of train, by AMD and PDD, and mean distance of samples to each other."""
    rows = [invariants.pdd(part.cells) for part in (study.samples, study.reference)]
    amds = [_means(side) for side in rows]
    found = _diversity(study, amds[0], amds[1])
    if study.train is None:
        skipped = [
            Skipped(f"invariants.{key}", "no training data given (--train)") for key in ("novelty", "novelty_pdd")
        ]
        return Findings(found, skipped)
    known = invariants.pdd(study.train.cells)
    return Findings([*_novelty(study, (rows[0], rows[1]), (amds[0], amds[1]), known), *found], [])


def _means(rows: list[np.ndarray | None]) -> np.ndarray:
    blank = np.full(invariants.K, np.nan)
    return np.array([blank if each is None else each.mean(axis=0) for each in rows]).reshape(-1, invariants.K)


def _novelty(
    study: Study,
    rows: tuple[list[np.ndarray | None], list[np.ndarray | None]],
    amds: tuple[np.ndarray, np.ndarray],
    known: list[np.ndarray | None],
) -> list[Figure]:
    train = _means(known)
    far = [invariants.nearest(side, train) for side in amds]
    more: dict[str, Any] = {"source": SOURCE, "unit": "Å", "better": ""}
    every = _compared(
        study,
        "invariants.novelty",
        "distance to train, AMD",
        (far[0], far[1]),
        f"mean over samples of the distance to the nearest crystal of train: {AMD}; {BLIND}",
        **more,
    )
    few = [_some(side, study.seed) for side in far]
    usable = np.isfinite(train).all(axis=1)
    kept = [row for row, live in zip(known, usable) if live]
    moved = [
        np.array([invariants.nearest_pdd(side[i], kept, train[usable]) for i in picked])  # type: ignore[arg-type]
        for side, picked in zip(rows, few)
    ]
    by_pdd = _compared(
        study,
        "invariants.novelty_pdd",
        "distance to train, PDD",
        (moved[0], moved[1]),
        "the same by the earth mover's distance of pointwise distance distributions, nearest crystals exactly (AMDs bound it from "
        f"below); over {PDD_LIMIT} samples drawn at random at most; {BLIND}",
        **more,
    )
    return [every, by_pdd]


def _some(values: np.ndarray, seed: int) -> np.ndarray:
    """Places of at most `PDD_LIMIT` finite values, drawn at random."""
    return np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(values)))[:PDD_LIMIT])


def _compared(
    study: Study, key: str, name: str, values: tuple[np.ndarray, np.ndarray], definition: str, **more: Any
) -> Figure:
    def mean(drawn: np.ndarray, _: np.ndarray) -> float:
        return float(np.mean(drawn))

    sides = [Rows(side, np.isfinite(side), counted=np.isfinite(side)) for side in values]
    real = sides[1].as_reference()
    reference = float(np.mean(real)) if len(real) else float("nan")
    return study.compare(key, name, mean, (sides[0], sides[1]), definition, tail="both", reference=reference, **more)


def _diversity(study: Study, ours: np.ndarray, theirs: np.ndarray) -> list[Figure]:
    """Mean distance of two different samples, beside that of as many crystals of the reference."""
    generator = np.random.default_rng(study.seed)
    picked = [side[np.isfinite(side).all(axis=1)] for side in (ours, theirs)]
    picked = [side[generator.permutation(len(side))[:PAIR_LIMIT]] for side in picked]
    num = len(picked[0])
    more: dict[str, Any] = {"source": SOURCE, "unit": "Å", "better": "higher"}
    key, name = "invariants.diversity", "distance to each other, AMD"
    said = f"mean over pairs of different samples, {PAIR_LIMIT} drawn at random at most: {AMD}; {BLIND}"
    if num < 2:
        return [Figure(key, name, float("nan"), num, said, **more)]
    pairs = invariants.spread(np.concatenate(picked))

    def mean(drawn: np.ndarray, _: np.ndarray) -> float:
        return float(pairs[np.ix_(drawn, drawn)].sum() / (len(drawn) * (len(drawn) - 1)))

    everyone = np.arange(len(pairs))
    if len(picked[1]) >= 4:
        test = permutation_test(
            mean, Rows(everyone[:num]), Rows(everyone[num:]), tail="both", draws=DIVERSITY_DRAWS, seed=study.seed
        )
        floor = halves_floor(lambda a, b: mean(num + a, b), len(picked[1]), num, draws=FLOOR_DRAWS, seed=study.seed)
        more |= {
            "p": test.p,
            "floor": floor,
            "reference": mean(everyone[num:], everyone),
            "num_reference": len(picked[1]),
        }
    return [Figure(key, name, mean(everyone[:num], everyone), num, said, **more)]
