"""The metrics of WyckoffTransformer (Kazeev et al., NeurIPS 2024 workshop text), tables 1 and 2.

Property lines are over novel unique samples only, and compared with the *full* test set, as in the paper's evaluation. Its
reference for novelty is train and validation together: give both as ``--train`` to reproduce that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics.common import SPGLIB_WIDE, Findings, Skipped, Study
from symjax.evaluate.statistics import (
    Rows,
    group_chi_squared,
    kolmogorov_smirnov,
    permutation_divergence,
    share_test,
    weight_chi_squared,
)

SOURCE = "WyckoffTransformer table 1"


def figures(study: Study) -> Findings:
    """Formal validity, novelty, charge neutrality, KS and chi-squared lines, P1 share, permutation invariance."""
    samples, reference = study.samples, study.reference
    skipped: list[Skipped] = []
    flags = study.matched_genes
    rule = "first with its group, sites and elements, or not matched by StructureMatcher() to an earlier one that agrees in them"
    formal = samples.usable & (samples.number > 0)
    found = [
        study.share(
            "wyckoff_transformer.formal_validity",
            "formally valid",
            formal,
            "a crystal that can be read and whose space group and Wyckoff positions are found; over all rows",
            source=SOURCE,
            tolerance=SPGLIB_WIDE,
            better="higher",
            reference=reference.number > 0,
        ),
        study.share(
            "wyckoff_transformer.uniqueness",
            "unique",
            flags.unique,
            f"{rule}; over all rows",
            source=SOURCE + " and the evaluator of its code",
            better="higher",
        ),
    ]
    if study.train is None:
        skipped.append(
            Skipped(
                "wyckoff_transformer.novelty",
                "no training data given (--train); the lines below are over unique samples",
            )
        )
        chosen = "unique samples (no training data given)"
    else:
        chosen = "unique novel samples"
        found.append(
            study.share(
                "wyckoff_transformer.novelty",
                "novel among unique",
                flags.novel[flags.unique],
                "no crystal of train agrees in group, sites and elements and is matched by StructureMatcher(); "
                "over unique samples. A group "
                "detected otherwise than in train counts as novel at once",
                source=SOURCE,
                better="higher",
                reference=_novel_among_unique(study),
            )
        )
    found += _lines(study, chosen)
    energy = study.inputs.get("likelihoods")
    if energy is None:
        skipped.append(
            Skipped("wyckoff_transformer.permutation_kl", "no log-likelihoods in several orders given (--likelihoods)")
        )
    else:
        found += permutation_figures(energy)
    return Findings(found, skipped)


def _novel_among_unique(study: Study) -> np.ndarray:
    """Whether each crystal of the reference is novel, equal ones counted once."""
    real = study.part_of(study.pooled_genes, study.reference)
    firsts = np.unique(real.classes, return_index=True)[1]
    return real.novel[firsts]


def _chosen(study: Study, part: Measured, values: np.ndarray) -> Rows:
    """Unique novel rows with a group among the samples, all rows with a group in the reference; the same rule for both sides."""
    found, live = study.part_of(study.pooled_genes, part), part.number > 0
    return Rows(values, keep=found.novel & live, classes=found.classes, counted=live)


def _lines(study: Study, chosen: str) -> list[Figure]:
    reference = study.reference
    real = reference.number > 0
    ks = f"two-sample Kolmogorov-Smirnov statistic against all of the reference; {chosen}; "
    chi = f"sum of (g - t)² / t on shares, over categories of the reference, others dropped and normalised again; {chosen}; "
    more: dict[str, Any] = {"source": SOURCE, "tolerance": SPGLIB_WIDE}

    def rows(of: Callable[[Measured], np.ndarray]) -> tuple[Rows, Rows]:
        return study.both(lambda part: _chosen(study, part, of(part)))

    def share(key: str, name: str, of: Callable[[Measured], np.ndarray], definition: str, **more: Any) -> Figure:
        """A share of chosen samples; its p-value is against the crystals of the reference that the same rule would choose."""
        sides = rows(of)
        flags, same = sides[0].as_samples(), sides[1].as_samples()
        figure = study.share(key, name, flags, f"{definition}; {chosen}", reference=sides[1].as_reference(), **more)
        return replace(figure, p=share_test(int(flags.sum()), flags.size, int(same.sum()), same.size))

    return [
        share(
            "wyckoff_transformer.charge_neutral",
            "charge neutral",
            lambda part: part.composition_valid("strict"),
            "SMACT rule; a pair with an element of unknown electronegativity fails, as in the paper's code",
            source=SOURCE,
            better="higher",
        ),
        study.compare(
            "wyckoff_transformer.ks_sites",
            "number of sites, KS",
            kolmogorov_smirnov,
            rows(lambda part: part.sites),
            ks + "occupied Wyckoff positions (orbits)",
            **more,
        ),
        study.compare(
            "wyckoff_transformer.ks_elements",
            "number of elements, KS",
            kolmogorov_smirnov,
            rows(lambda part: part.species),
            ks + "distinct elements",
            **more,
        ),
        study.compare(
            "wyckoff_transformer.ks_dof",
            "degrees of freedom, KS",
            kolmogorov_smirnov,
            rows(lambda part: part.freedom),
            ks + "free coordinates of all occupied positions, the lattice not counted",
            **more,
        ),
        share("wyckoff_transformer.p1", "P1", lambda part: part.number == 1, "space group 1", **more),
        study.compare(
            "wyckoff_transformer.chi2_groups",
            "space groups, chi-squared",
            group_chi_squared,
            rows(lambda part: part.number),
            chi + f"floor near (K - 1) / n, K = {len(np.unique(reference.number[real]))} groups",
            **more,
        ),
        study.compare(
            "wyckoff_transformer.chi2_elements",
            "elements, chi-squared",
            weight_chi_squared,
            rows(lambda part: part.fractions),
            chi + "each crystal adds its atomic fractions",
            **more,
        ),
    ]


def permutation_figures(likelihoods: dict[str, np.ndarray]) -> list[Figure]:
    """Figures of table 2 from log-likelihoods in nats: own `(n,)` and orders `(n, k)`."""
    own, orders = likelihoods["own"], likelihoods["orders"]
    divergence, spread = permutation_divergence(own, orders)
    num, many = np.asarray(orders).shape
    more: dict[str, Any] = {"source": "WyckoffTransformer appendix D, table 2", "unit": "nats", "better": "lower"}
    loss = {**more, "better": ""}  # of generated samples low is narrow, not good
    return [
        Figure(
            "wyckoff_transformer.permutation_own",
            "minus log-likelihood, generated order",
            -float(np.mean(own)),
            num,
            "minus the mean log-likelihood in the order in which each sample was generated",
            **loss,
        ),
        Figure(
            "wyckoff_transformer.permutation_own_sd",
            "log-likelihood, spread of the set",
            float(np.std(own, ddof=1)) if num > 1 else float("nan"),
            num,
            "standard deviation over samples of the log-likelihood in the generated order",
            **loss,
        ),
        Figure(
            "wyckoff_transformer.permutation_averaged",
            "minus log-likelihood, random orders",
            -float(np.mean(orders)),
            num,
            f"minus the mean log-likelihood over {many} random orders of each sample",
            **loss,
        ),
        Figure(
            "wyckoff_transformer.permutation_kl",
            "permutation invariance, KL",
            divergence,
            num,
            f"mean of log-likelihood in the generated order minus its mean over {many} random orders",
            **more,
        ),
        Figure(
            "wyckoff_transformer.permutation_sigma",
            "permutation invariance, spread",
            spread,
            num,
            f"standard deviation over {many} orders (n - 1), averaged over samples",
            **more,
        ),
    ]
