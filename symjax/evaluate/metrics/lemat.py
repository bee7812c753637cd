"""What people expect since LeMat-GenBench: validity by radii and charge, uniqueness and novelty, stable and metastable shares.

The rules are in that benchmark's style and not its code: its radii, charge chain and graph hash are not reproduced, and the
definitions below say what is counted instead.
"""

from __future__ import annotations

import numpy as np

from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics.common import Findings, Skipped, Study
from symjax.evaluate.stages import column

SOURCE = "in the style of LeMat-GenBench"


def figures(study: Study) -> Findings:
    """Validity with its parts, uniqueness and novelty by the fast fingerprint and by StructureMatcher."""
    samples, reference = study.samples, study.reference
    parts = {
        "distance": (
            far_enough,
            "every distance of two different atoms at least 0.5 (0.7 + r_i + r_j) angstrom with covalent radii; "
            "one atom passes",
        ),
        "density": (
            sensible_density,
            "0.01 to 25 g/cm³, at most 0.5 atoms in a cubic angstrom, cell edges 1 to 100 angstrom",
        ),
        "charge": (
            charge_balanced,
            "a neutral choice of ICSD 2024 oxidation states, electronegativities in order; all-metal and single-element "
            "compositions pass",
        ),
    }
    found = [
        study.share(
            "lemat.validity",
            "valid",
            is_valid(samples),
            "; ".join(text for _, text in parts.values()) + "; over all rows",
            source=SOURCE,
            better="higher",
            reference=is_valid(reference),
        )
    ]
    for name, (rule, text) in parts.items():
        found.append(
            study.share(
                f"lemat.valid_{name}",
                f"valid {name}",
                rule(samples),
                f"{text}; over all rows",
                source=SOURCE,
                better="higher",
                reference=rule(reference),
            )
        )
    fast = fast_flags(samples, study.train)
    word = "same reduced formula, space group at 0.1 Å and Wyckoff word with elements"
    matcher = "StructureMatcher(ltol 0.2, stol 0.3, angle 5) within equal reduced formula"
    found += [
        study.share(
            "lemat.unique_fast",
            "unique, fast fingerprint",
            fast[0],
            f"no earlier sample with the {word}; over all rows",
            source=SOURCE,
            better="higher",
        ),
        study.share(
            "lemat.unique",
            "unique, matcher",
            study.matched.unique,
            f"{matcher}; over all rows",
            source=SOURCE,
            better="higher",
        ),
    ]
    skipped: list[Skipped] = []
    if study.train is None:
        skipped += [
            Skipped(f"lemat.{name}", "no training data given (--train)")
            for name in ("novel", "novel_fast", "unique_novel", "new_formula")
        ]
        return Findings(found, skipped)
    known = {counts for counts in study.train.reduced if counts}
    fresh = np.array([bool(counts) and counts not in known for counts in samples.reduced], bool)
    found += [
        study.share(
            "lemat.novel_fast",
            "novel, fast fingerprint",
            fast[1],
            f"no crystal of train with the {word}; over all rows",
            source=SOURCE,
            better="higher",
        ),
        study.share(
            "lemat.novel",
            "novel, matcher",
            study.matched.novel,
            f"{matcher}; over all rows",
            source=SOURCE,
            better="higher",
            reference=study.part_of(study.pooled, study.reference).novel,
        ),
        study.share(
            "lemat.unique_novel",
            "unique and novel, matcher",
            study.matched.both,
            f"{matcher}; over all rows",
            source=SOURCE,
            better="higher",
        ),
        study.share(
            "lemat.new_formula",
            "new reduced formula",
            fresh,
            "reduced formula not in train; over all rows",
            source="symjax",
        ),
    ]
    return Findings(found, skipped)


def is_valid(crystals: Measured) -> np.ndarray:
    """(n,) all three parts."""
    return far_enough(crystals) & sensible_density(crystals) & charge_balanced(crystals)


def far_enough(crystals: Measured) -> np.ndarray:
    """(n,) distances at least half of (0.7 angstrom + both covalent radii)."""
    live = np.array([row is not None and "error" not in row for row in crystals.geometry], bool)
    return live & (column(crystals.geometry, "softened", np.inf) >= 1.0)


def sensible_density(crystals: Measured) -> np.ndarray:
    """(n,) mass and number density and cell edges within what solids have."""
    density, packed = np.nan_to_num(crystals.density), crystals.atoms / crystals.volume
    short, long = column(crystals.geometry, "shortest_edge", 0.0), column(crystals.geometry, "longest_edge", np.inf)
    return (
        (density >= 0.01)
        & (density <= 25.0)
        & (np.nan_to_num(packed) >= 1e-5)
        & (np.nan_to_num(packed, nan=9.0) <= 0.5)
        & (short >= 1)
        & (long <= 100)
    )


def charge_balanced(crystals: Measured) -> np.ndarray:
    """(n,) a neutral assignment of oxidation states exists, or none is needed."""
    return crystals.composition_valid("icsd24")


def fast_flags(samples: Measured, train: Measured | None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) unique and (n,) novel by equal fingerprints alone; rows without a group found are neither."""
    known = set() if train is None else set(zip(train.reduced, train.genes))
    seen: set = set()
    unique, novel = np.zeros(len(samples), bool), np.zeros(len(samples), bool)
    for i, mark in enumerate(zip(samples.reduced, samples.genes)):
        if samples.number[i] > 0:
            unique[i], novel[i] = mark not in seen, mark not in known
            seen.add(mark)
    return unique, novel
