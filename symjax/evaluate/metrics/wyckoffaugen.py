"""The metrics of WyckoffAUGen (Chang et al.), table 1.

Distances are over the unique and novel samples among those valid in both senses. The paper draws 1,000 valid samples first;
here all valid ones count and n is stated (``--draw`` takes a random part).
"""

from __future__ import annotations

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import CDVAE, SPGLIB_WIDE, Findings, Skipped, Study, mean_of
from symjax.evaluate.statistics import group_distance, group_divergence, wasserstein, weight_distance

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
            reference=mean_of(reference.structure_valid),
        ),
        study.share(
            "wyckoffaugen.composition_validity",
            "composition valid",
            samples.composition_valid(),
            "CDVAE's rule; over all rows",
            source=f"{SOURCE}; {CDVAE}",
            better="higher",
            reference=mean_of(reference.composition_valid()),
        ),
    ]
    keep = chosen_rows(study)
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
        study, keep, f"{'unique novel' if study.train is not None else 'unique'} valid samples against the reference"
    )
    timing = seconds_per_500(study)
    if isinstance(timing, Figure):
        found.append(timing)
    else:
        skipped.append(timing)
    return Findings(found, skipped)


def chosen_rows(study: Study) -> np.ndarray:
    """(n,) samples that the table's distances are over: valid in both senses, unique, and novel if there is training data."""
    samples = study.samples
    valid = samples.structure_valid & samples.composition_valid()
    return valid & (study.matched.unique if study.train is None else study.matched.both)


def _distances(study: Study, keep: np.ndarray, rule: str) -> list[Figure]:
    samples, reference = study.samples, study.reference
    real = reference.usable
    groups = study.compare(
        "wyckoffaugen.jsd_groups",
        "space groups, JS distance",
        group_distance,
        samples.number[keep],
        reference.number[real],
        "Jensen-Shannon distance (root, natural logarithm: the published 0.6957 exceeds ln 2, so it cannot be a "
        f"divergence in nats); {rule}",
        source=SOURCE,
        tolerance=SPGLIB_WIDE,
    )
    divergence = study.compare(
        "wyckoffaugen.jsd_groups_divergence",
        "space groups, JS divergence",
        group_divergence,
        samples.number[keep],
        reference.number[real],
        f"the divergence in nats: the square of the distance; {rule}",
        source=SOURCE,
        tolerance=SPGLIB_WIDE,
    )
    occupied = keep & (samples.sites > 0)
    return [
        study.compare(
            "wyckoffaugen.wasserstein_density",
            "density, Wasserstein",
            wasserstein,
            samples.density[keep],
            reference.density[real],
            f"mass densities; {rule}",
            source=SOURCE,
            unit="g/cm³",
        ),
        study.compare(
            "wyckoffaugen.wasserstein_elements",
            "number of elements, Wasserstein",
            wasserstein,
            samples.species[keep],
            reference.species[real],
            f"distinct elements; {rule}",
            source=SOURCE,
        ),
        groups,
        divergence,
        study.compare(
            "wyckoffaugen.jsd_dimensions",
            "Wyckoff dimensions, JS distance",
            weight_distance,
            samples.dimensions[occupied],
            reference.dimensions[reference.sites > 0],
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
