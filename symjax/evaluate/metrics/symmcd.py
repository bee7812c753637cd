"""The metrics of SymmCD (Levy et al., arXiv 2502.03638), tables 1 to 3: those of CDVAE and DiffCSP with symmetry added."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from symjax.evaluate.figure import Figure, Floor
from symjax.evaluate.metrics.common import CDVAE, SPGLIB_WIDE, Findings, Skipped, Study, mean_of
from symjax.evaluate.statistics import floor, group_distance, group_distance_base2, group_divergence, wasserstein

SOURCE = "SymmCD tables 1-3; " + CDVAE


def figures(study: Study) -> Findings:
    """Validity, property distances, space groups and templates; coverage and S.U.N. stand with their own families."""
    found = [*_validity(study), *_properties(study), *_groups(study)]
    templates, skipped = _templates(study)
    energy = _formation_energy(study)
    found += templates
    if isinstance(energy, Figure):
        found.append(energy)
    else:
        skipped.append(energy)
    return Findings(found, skipped)


def _validity(study: Study) -> list[Figure]:
    samples, reference = study.samples, study.reference
    all_rows = "over all rows, also those that are no crystal"
    smact = {
        "cdvae": (
            "symmcd.composition_validity",
            "composition valid",
            "SMACT 2 oxidation states, one state per element, charge 0, "
            "electronegativities in order; single elements and all-metal compositions pass; a missing "
            "electronegativity passes",
        ),
        "smact14": (
            "symmcd.composition_validity_smact14",
            "composition valid, smact package",
            "smact.screening.smact_validity with the oxidation states of SMACT 2",
        ),
        "icsd24": (
            "symmcd.composition_validity_icsd24",
            "composition valid, smact default",
            "smact.screening.smact_validity with its own default, the ICSD 2024 oxidation states",
        ),
    }
    compositions = [
        study.share(
            key,
            name,
            samples.composition_valid(rule),
            f"{definition}; {all_rows}",
            source=SOURCE,
            better="higher",
            reference=mean_of(reference.composition_valid(rule)),
        )
        for rule, (key, name, definition) in smact.items()
    ]
    return [
        study.share(
            "symmcd.structural_validity",
            "structure valid",
            samples.structure_valid_40,
            f"smallest distance of two different atoms of the cell at least 0.5 angstrom (an atom's own images are "
            "not looked at), volume at "
            f"least 0.1 cubic angstrom, no edge over 40 angstrom; {all_rows}",
            source=SOURCE,
            better="higher",
            reference=mean_of(reference.structure_valid_40),
        ),
        *compositions,
        study.share(
            "symmcd.validity",
            "both valid",
            samples.valid,
            f"structure and composition (CDVAE's rule); {all_rows}",
            source=SOURCE,
            better="higher",
            reference=mean_of(reference.valid),
        ),
    ]


def _properties(study: Study) -> list[Figure]:
    samples, reference = study.samples, study.reference
    rule = "samples valid in both senses against all of the reference"
    keep, real = samples.valid, reference.usable
    return [
        study.compare(
            "symmcd.wasserstein_density",
            "density, Wasserstein",
            wasserstein,
            samples.density[keep],
            reference.density[real],
            f"first Wasserstein distance of mass densities; {rule}",
            source=SOURCE,
            unit="g/cm³",
        ),
        study.compare(
            "symmcd.wasserstein_density_all",
            "density, Wasserstein, all rows",
            wasserstein,
            samples.density[samples.usable],
            reference.density[real],
            "the same, over all samples that are crystals",
            source="symjax",
            unit="g/cm³",
        ),
        study.compare(
            "symmcd.wasserstein_elements",
            "number of elements, Wasserstein",
            wasserstein,
            samples.species[keep],
            reference.species[real],
            f"first Wasserstein distance of the number of distinct elements; {rule}",
            source=SOURCE,
        ),
    ]


def _groups(study: Study) -> list[Figure]:
    samples, reference = study.samples, study.reference
    keep, real = samples.valid, reference.usable
    published = study.compare(
        "symmcd.d_sg",
        "space groups, d_sg",
        partial(group_distance, bins=229),
        samples.number[keep],
        reference.number_tight[real],
        "Jensen-Shannon distance (root of the divergence, natural logarithm, at most 0.8326) of space-group "
        "histograms; valid samples at 0.1 "
        "angstrom against the reference at 0.01; 229 and 230 share a bin, as published; a failed search counts as P1",
        source=SOURCE + " (published rule)",
        tolerance="samples 0.1 Å / 5°, reference 0.01 Å / 5°",
    )
    alike = study.compare(
        "symmcd.d_sg_equal_tolerance",
        "space groups, equal tolerance",
        group_distance,
        samples.number[keep],
        reference.number[real],
        "the same with 230 bins and 0.1 angstrom on both sides",
        source="symjax",
        tolerance="0.1 Å / 5°",
    )
    everything = study.compare(
        "symmcd.d_sg_all",
        "space groups, all rows",
        group_distance,
        samples.number,
        reference.number[real],
        "the same over all rows; a row that is no crystal counts as P1",
        source="symjax",
        tolerance="0.1 Å / 5°",
    )
    base2, squared = (
        study.compare(
            key,
            name,
            partial(statistic, bins=229),
            samples.number[keep],
            reference.number_tight[real],
            definition,
            source=SOURCE,
            tolerance=published.tolerance,
        )
        for key, name, statistic, definition in (
            (
                "symmcd.d_sg_base2",
                "d_sg in base 2",
                group_distance_base2,
                "d_sg with logarithms to base 2 (at most 1): the same numbers over 0.8326; some papers print it so",
            ),
            (
                "symmcd.d_sg_divergence",
                "space groups, divergence",
                group_divergence,
                "the divergence itself, natural logarithm: the square of d_sg (at most 0.6931)",
            ),
        )
    )
    return [published, base2, squared, alike, everything]


def _templates(study: Study) -> tuple[list[Figure], list[Skipped]]:
    """Table 1: unique templates among the samples, their share in train, and how many are new."""
    samples = study.samples
    live = samples.number > 0
    found, skipped = [], []
    for suffix, title, words, known, definition in (
        (
            "",
            "",
            samples.raw_templates,
            None if study.train is None else study.train.raw_templates,
            "letters as found, not reduced by origin shifts",
        ),
        (
            "_normalizer",
            ", one word per normalizer class",
            samples.templates,
            None if study.train is None else study.train.templates,
            "letters related by the Euclidean normalizer identified",
        ),
    ):
        said = (
            f"template = (space group at 0.1 angstrom, multiset of Wyckoff letters); {definition}; over samples with a "
            "group found"
        )
        unique = {word for word, ok in zip(words, live) if ok}
        num = int(live.sum())
        more: dict[str, Any] = {"source": SOURCE, "tolerance": SPGLIB_WIDE}
        found.append(
            Figure(
                f"symmcd.templates_unique{suffix}",
                "unique templates" + title,
                float(len(unique)),
                num,
                said,
                floor=_template_floor(study, suffix, num),
                note="grows with the number of samples: compare at equal n only",
                **more,
            )
        )
        if known is None:
            skipped += [
                Skipped(f"symmcd.templates_{name}{suffix}", "no training data given (--train)")
                for name in ("in_train", "new")
            ]
            continue
        old = len(unique & set(known))
        share = old / len(unique) if unique else math.nan
        found.append(
            Figure(
                f"symmcd.templates_in_train{suffix}",
                "unique templates in train" + title,
                share,
                len(unique),
                "share of the unique templates that occur in train; " + said,
                **more,
            )
        )
        found.append(
            Figure(
                f"symmcd.templates_new{suffix}",
                "new templates" + title,
                float(len(unique) - old),
                num,
                "unique templates that do not occur in train; " + said,
                **more,
            )
        )
    return found, skipped


def _template_floor(study: Study, suffix: str, num: int) -> Floor | None:
    """How many unique templates as many draws from the reference have."""
    words = study.reference.templates if suffix else study.reference.raw_templates
    places: dict[tuple[Any, ...], int] = {}
    live = [word for word, ok in zip(words, study.reference.number > 0) if ok]
    codes = np.array([places.setdefault(word, len(places)) for word in live], np.int64)
    return floor(lambda drawn, _: float(len(np.unique(drawn))), codes, num, draws=study.draws, seed=study.seed)


def _formation_energy(study: Study) -> Figure | Skipped:
    """Wasserstein distance of formation energies, by the potential that was used or by a column of the data."""
    name = "formation_energy_per_atom"
    reference = study.reference.crystals.properties.get(name)
    own = study.stability.get("formation_energy")
    theirs = study.stability.get("reference_formation_energy")
    model = "energies of both sides by the potential of the hull, against its elemental references"
    if own is None or theirs is None:
        own, theirs = study.samples.crystals.properties.get(name), reference
        model = f"column {name} of both files, as given"
    if own is None or theirs is None:
        return Skipped(
            "symmcd.wasserstein_formation_energy", f"needs --metrics stability, or a column {name} in both sources"
        )
    keep, real = study.samples.valid & np.isfinite(own), np.isfinite(theirs)
    return study.compare(
        "symmcd.wasserstein_formation_energy",
        "formation energy, Wasserstein",
        wasserstein,
        own[keep],
        theirs[real],
        f"first Wasserstein distance of formation energies per atom; valid samples; property model: {model} "
        "(published: a DimeNet++ "
        "trained by the authors)",
        source=SOURCE,
        unit="eV/atom",
    )
