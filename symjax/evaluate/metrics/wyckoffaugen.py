"""The metrics of WyckoffAUGen (Chang et al.), table 1.

Distances are over the unique and novel samples among those valid in both senses. The paper draws 1,000 valid samples first;
here all valid ones count and n is stated (``--draw`` takes a random part).
"""

from __future__ import annotations

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics.common import CDVAE, SPGLIB_WIDE, Findings, Skipped, Study
from symjax.evaluate.statistics import Rows, group_distance, group_divergence, wasserstein, weight_distance

SOURCE = "WyckoffAUGen table 1"


def figures(study: Study) -> Findings:
    """Validity, U.N. rate, Wasserstein and Jensen-Shannon lines, sampling time; fingerprints stand in `coverage`."""
    samples, reference = study.samples, study.reference
    valid = samples.structure_valid & samples.composition_valid()
    skipped: list[Skipped] = []
    found = [
        study.share(
            "wyckoffaugen.structural_validity",
            "structure valid",
            samples.structure_valid,
            "CDVAE's rule (0.5 angstrom, 0.1 cubic angstrom, no limit on edges); over all rows",
            source=f"{SOURCE}; {CDVAE}",
            better="higher",
            reference=reference.structure_valid,
        ),
        study.share(
            "wyckoffaugen.composition_validity",
            "composition valid",
            samples.composition_valid(),
            "CDVAE's rule; over all rows",
            source=f"{SOURCE}; {CDVAE}",
            better="higher",
            reference=reference.composition_valid(),
        ),
    ]
    if study.train is None:
        skipped.append(
            Skipped(
                "wyckoffaugen.un", "no training data given (--train); distances below are over unique valid samples"
            )
        )
    else:
        found.append(
            study.share(
                "wyckoffaugen.un",
                "unique and novel",
                study.matched.both[valid],
                "equal to no earlier sample and to no crystal of train, StructureMatcher(stol 0.3, angle_tol 5, "
                "ltol 0.2) within equal "
                "reduced formula; over samples valid in both senses",
                source=SOURCE,
                better="higher",
            )
        )
    found += _distances(
        study, f"{'unique novel' if study.train is not None else 'unique'} valid samples against the reference"
    )
    timing = seconds_per_500(study)
    if isinstance(timing, Figure):
        found.append(timing)
    else:
        skipped.append(timing)
    return Findings(found, skipped)


def chosen_rows(study: Study, part: Measured, values: np.ndarray, live: np.ndarray | None = None) -> Rows:
    """Rows of the table's distances: valid in both senses, the first of their kind, novel if there is training data.

    Args:
        study: everything.
        part: its samples or its reference.
        values: (n, ...) what the distance is of.
        live: (n,) bool, rows that have a value; None for those that are crystals.
    """
    found = study.part_of(study.pooled, part)
    live = part.usable if live is None else live
    keep = part.structure_valid & part.composition_valid() & found.novel & live
    return Rows(values, keep=keep, classes=found.classes, counted=live)


def _distances(study: Study, rule: str) -> list[Figure]:
    def rows(name: str) -> tuple[Rows, Rows]:
        return study.both(lambda part: chosen_rows(study, part, getattr(part, name)))

    groups = study.compare(
        "wyckoffaugen.jsd_groups",
        "space groups, JS distance",
        group_distance,
        rows("number"),
        "Jensen-Shannon distance (root, natural logarithm: the published 0.6957 exceeds ln 2, so it cannot be a "
        f"divergence in nats); {rule}",
        source=SOURCE,
        tolerance=SPGLIB_WIDE,
    )
    divergence = study.compare(
        "wyckoffaugen.jsd_groups_divergence",
        "space groups, JS divergence",
        group_divergence,
        rows("number"),
        f"the divergence in nats: the square of the distance; {rule}",
        source=SOURCE,
        tolerance=SPGLIB_WIDE,
    )
    return [
        study.compare(
            "wyckoffaugen.wasserstein_density",
            "density, Wasserstein",
            wasserstein,
            study.both(lambda part: chosen_rows(study, part, part.density, np.isfinite(part.density))),
            f"mass densities; {rule}",
            source=SOURCE,
            unit="g/cm³",
        ),
        study.compare(
            "wyckoffaugen.wasserstein_elements",
            "number of elements, Wasserstein",
            wasserstein,
            rows("species"),
            f"distinct elements; {rule}",
            source=SOURCE,
        ),
        groups,
        divergence,
        study.compare(
            "wyckoffaugen.jsd_dimensions",
            "Wyckoff dimensions, JS distance",
            weight_distance,
            study.both(lambda part: chosen_rows(study, part, part.dimensions, part.sites > 0)),
            f"Jensen-Shannon distance of the shares of occupied positions with 0, 1, 2, 3 free coordinates; {rule}",
            source=SOURCE,
            tolerance=SPGLIB_WIDE,
        ),
    ]


def seconds_per_500(study: Study) -> Figure | Skipped:
    """Seconds to draw 500 crystals, if the source of the samples or the user says how long drawing took."""
    facts = study.samples.crystals.facts
    given = study.inputs.get("seconds")
    seconds = given if given is not None else facts.get("seconds")
    if seconds is None:
        return Skipped(
            "wyckoffaugen.seconds_per_500",
            "how long drawing took is not known (--seconds, or an index of `symjax generate`)",
        )
    hardware = facts.get("hardware") or study.inputs.get("hardware") or "hardware not stated"
    return Figure(
        "wyckoffaugen.seconds_per_500",
        "seconds per 500",
        500.0 * float(seconds) / max(len(study.samples), 1),
        len(study.samples),
        f"time that drawing all samples took, times 500 / n; {hardware} (published: one A40, batches of 500)",
        source=SOURCE,
        unit="s",
        better="lower",
    )
