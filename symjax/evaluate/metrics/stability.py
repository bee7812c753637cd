"""Stability: energies above a stated hull, S.U.N., and what relaxation does to the symmetry. Made from arrays only.

Every figure names its hull and potential. The calibration stands beside: real crystals through the same pipeline. Relaxation alone
puts known crystals a little below a hull of unrelaxed ones, so a threshold of zero means little without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics import protocols
from symjax.evaluate.metrics.common import Findings, Skipped, Study, mean_of
from symjax.evaluate.statistics import Rows, share_interval

THRESHOLDS = (
    (0.08, "stable", "WyckoffTransformer, evaluator of its code (e_hull <= 0.08 eV/atom)"),
    (0.1, "metastable", "LeMat-GenBench and MatterGen (e_hull <= 0.1 eV/atom)"),
    (0.0, "at or under the hull", "LeMat-GenBench (e_hull <= 0)"),
)


def figures(study: Study) -> Findings:
    """Shares under the hull, S.U.N., formation energy, convergence, change of symmetry."""
    energy = study.stability
    if "e_hull" not in energy:
        reason = study.inputs.get("stability_reason") or "energies were not made"
        return Findings(
            [],
            [
                Skipped(key, reason)
                for key in (
                    "stability.stable_0.08",
                    "symmcd.sun",
                    "wyckoff_transformer.sun",
                    "lemat.stable",
                    "lemat.sun",
                )
            ],
        )
    found = [*_hull(study), *_relaxation(study), *_phases(study), *protocols.figures(study)]
    skipped = []
    if study.train is None:
        skipped = [
            Skipped(key, "no training data given (--train)")
            for key in ("symmcd.sun", "wyckoff_transformer.sun", "lemat.sun")
        ]
    else:
        found += _sun(study)
    return Findings(found, skipped)


def _hull(study: Study) -> list[Figure]:
    e_hull = study.stability["e_hull"]
    told = study.inputs["hull"]
    live = np.isfinite(e_hull)
    real = study.stability.get("calibration_e_hull", np.zeros(0))
    known = real[np.isfinite(real)]
    note = f"hull: {told}; " + (
        f"calibration: of {len(known)} real crystals through the same pipeline {100 * mean_of(known <= 0.08):.1f} % "
        "are at or under 0.08 eV/atom and "
        f"{100 * mean_of(known <= 0.0):.1f} % at or under 0, {100 * mean_of(known < 0.0):.1f} % under it"
        if len(known)
        else "not calibrated (--calibrate N)"
    )
    more: dict[str, Any] = {"better": "higher", "note": note}
    found = [
        study.share(
            "stability.covered",
            "inside the hull's coverage",
            live,
            "a finite energy above the hull; over all rows",
            source="symjax",
            **more,
        )
    ]
    for bound, name, source in THRESHOLDS:
        found.append(
            study.share(
                f"stability.stable_{bound:g}",
                f"{name}, {bound:g} eV/atom",
                e_hull[live] <= bound,
                f"energy above hull at most {bound:g} eV/atom after relaxation; over crystals with a finite one",
                source=source,
                reference=known <= bound,
                **more,
            )
        )
    found.append(
        study.share(
            "symmcd.stable",
            "under the hull, all rows",
            live & (np.nan_to_num(e_hull, nan=9.0) < 0.0),
            "e_hull under 0 (crystals that lie on the hull are not); over all rows",
            source="SymmCD table 3, FlowMM (e_hull < 0)",
            reference=known < 0.0,
            **more,
        )
    )
    if "e_hull_initial" in study.stability:
        found += _unrelaxed(study, more)
    if "elements_only" in study.stability:
        found.append(
            study.share(
                "stability.elements_only",
                "no reference compound in the system",
                study.stability["elements_only"][live],
                "only elements stand behind the hull of the chemical system, so the value says no more than that "
                "the crystal "
                "is below its elements; over crystals with a finite one",
                source="symjax",
                **{**more, "better": "lower"},
            )
        )
    found.append(
        study.share(
            "lemat.stable",
            "at or under the hull, all rows",
            live & (np.nan_to_num(e_hull, nan=9.0) <= 0.0),
            "e_hull at most 0; over all rows",
            source="in the style of LeMat-GenBench",
            **more,
        )
    )
    found.append(
        study.share(
            "lemat.metastable",
            "metastable, all rows",
            live & (np.nan_to_num(e_hull, nan=9.0) <= 0.1),
            "e_hull at most 0.1; over all rows",
            source="in the style of LeMat-GenBench",
            **more,
        )
    )
    if live.any():
        found.append(
            Figure(
                "stability.median_e_hull",
                "median energy above hull",
                float(np.median(e_hull[live])),
                int(live.sum()),
                "over crystals with a finite one",
                source="symjax",
                unit="eV/atom",
                better="lower",
                reference=float(np.median(known)) if len(known) else float("nan"),
                num_reference=len(known),
                note=note,
            )
        )
    return found


def _unrelaxed(study: Study, more: dict[str, Any]) -> list[Figure]:
    """Crystals as they were generated: under the hull, and how much relaxation lowers them."""
    first = study.stability["e_hull_initial"]
    known = study.stability.get("calibration_e_hull_initial", np.zeros(0))
    found = [
        study.share(
            "symmcd.initial_stable",
            "under the hull before relaxation, all rows",
            np.nan_to_num(first, nan=9.0) < 0.0,
            "energy of the unrelaxed structure under the hull of (relaxed or unrelaxed) reference crystals; over all rows",
            source="SymmCD table 3 (initial stable)",
            reference=known[np.isfinite(known)] < 0.0,
            **more,
        )
    ]
    return [*found, *_medians(study, more), *_same(study, more)]


MEDIANS = (
    (
        "energy_drop",
        "median energy drop",
        "eV/atom",
        "energy of the unrelaxed less that of the relaxed structure; over crystals with both",
    ),
    (
        "move",
        "median farthest move",
        "Å",
        "how far the atom that moved farthest went, in the relaxed cell, without a shift of all; over crystals that were relaxed",
    ),
    (
        "pressure",
        "median size of the pressure",
        "GPa",
        "size of the hydrostatic pressure of the unrelaxed structure by the potential; over crystals with a stress",
    ),
)
"""Key, name, unit and definition of what relaxation tells of the crystals as they were generated."""


def _medians(study: Study, more: dict[str, Any]) -> list[Figure]:
    """Medians over samples beside those of real crystals through the same pipeline, with the test of one source."""
    found = []
    for key, name, unit, definition in MEDIANS:
        sides = [study.stability.get(f"{part}{key}", np.zeros(0)) for part in ("", "calibration_")]
        rows = [
            Rows(np.abs(side) if key == "pressure" else side, np.isfinite(side), counted=np.isfinite(side))
            for side in sides
        ]
        if not len(rows[0].as_samples()):
            continue
        known = rows[1].as_reference()
        found.append(
            study.compare(
                f"stability.{key}",
                name,
                lambda drawn, _: float(np.median(drawn)),
                (rows[0], rows[1]),
                definition,
                source="symjax",
                unit=unit,
                reference=float(np.median(known)) if len(known) else float("nan"),
                note=more["note"],
            )
            if len(known)
            else Figure(
                f"stability.{key}",
                name,
                float(np.median(rows[0].as_samples())),
                len(rows[0].as_samples()),
                definition,
                source="symjax",
                unit=unit,
                better="lower",
                note=more["note"],
            )
        )
    return found


def _same(study: Study, more: dict[str, Any]) -> list[Figure]:
    """Share of samples that are still the same structure after relaxation, beside that of real crystals."""
    sides = [study.stability.get(f"{part}same", np.zeros(0)) for part in ("", "calibration_")]
    ours, theirs = (side[np.isfinite(side)] > 0 for side in sides)
    if not len(ours):
        return []
    return [
        study.share(
            "stability.same_structure",
            "still the same structure",
            ours,
            "StructureMatcher(ltol 0.2, stol 0.3, angle 5) matches the relaxed structure to the one given; over relaxed crystals",
            source="symjax",
            reference=theirs if len(theirs) else None,
            **more,
        )
    ]


def _sun(study: Study) -> list[Figure]:
    e_hull = study.stability["e_hull"]
    live, level = np.isfinite(e_hull), np.nan_to_num(e_hull, nan=9.0)
    note = f"hull: {study.inputs['hull']}"
    rows = (
        (
            "wyckoff_transformer.sun",
            "S.U.N., 0.08 eV/atom",
            study.matched_genes.both & (level <= 0.08),
            live,
            "WyckoffTransformer table 1",
            "unique, novel (its rule) and e_hull <= 0.08 eV/atom, over samples with a finite e_hull before uniqueness",
        ),
        (
            "symmcd.sun",
            "S.U.N., under the hull",
            study.matched.both & (level < 0.0),
            np.ones(len(e_hull), bool),
            "SymmCD table 3 (FlowMM's procedure)",
            "unique, novel (StructureMatcher) and e_hull < 0, over all rows",
        ),
        (
            "lemat.sun",
            "S.U.N., all rows",
            study.matched.both & (level <= 0.0),
            np.ones(len(e_hull), bool),
            "in the style of LeMat-GenBench",
            "unique, novel (StructureMatcher) and e_hull <= 0, over all rows",
        ),
        (
            "lemat.msun",
            "metastable S.U.N., all rows",
            study.matched.both & (level <= 0.1),
            np.ones(len(e_hull), bool),
            "in the style of LeMat-GenBench",
            "unique, novel (StructureMatcher) and e_hull <= 0.1, over all rows",
        ),
    )
    found = []
    for key, name, hits, over, source, definition in rows:
        num = int(over.sum())
        share = float((hits & over).sum() / num) if num else float("nan")
        found.append(
            Figure(
                key,
                name,
                share,
                num,
                definition,
                source=source,
                better="higher",
                note=note,
                interval=share_interval(int((hits & over).sum()), num),
            )
        )
    return found


def _phases(study: Study) -> list[Figure]:
    """Known phases of the chemical systems asked for that were found among the samples."""
    found = []
    for data in study.inputs.get("phase_diagrams", ()):
        counts, system = data["counts"], data["system"]
        for key, name in (("structure", "matched by StructureMatcher"), ("composition", "by composition")):
            share = counts[f"found_by_{key}"] / counts["known"] if counts["known"] else float("nan")
            found.append(
                Figure(
                    f"adaptor.phases_found_{key}_{system.lower().replace('-', '_')}",
                    f"known phases found, {system}, {name}",
                    share,
                    counts["known"],
                    f"share of the compounds on the reference hull of {system} that are among the "
                    f"{counts['in_system']} samples "
                    f"in the system, {name} after relaxation",
                    source="WyckoffDiff-Adaptor figure 3",
                    better="higher",
                    note=f"hull: {data['hull']}",
                )
            )
    return found


def _relaxation(study: Study) -> list[Figure]:
    energy = study.stability
    found = []
    for key, name, definition in (
        (
            "converged",
            "relaxations converged",
            "largest force under fmax within the steps and the time; over crystals that were relaxed",
        ),
        (
            "group_kept",
            "space group kept",
            "group found at 0.1 angstrom, 5 degrees before and after relaxation is the same; over relaxed crystals",
        ),
        (
            "operations_kept",
            "operations kept",
            "every generated operation is found again after relaxation (0.1 angstrom); over relaxed crystals with "
            "operations",
        ),
    ):
        if key in energy and len(energy[key]):
            found.append(
                study.share(f"symop.relax_{key}", name, energy[key], definition, source="symjax", better="higher")
            )
    distance = energy.get("subgroup_distance", np.zeros(0))
    distance = distance[np.isfinite(distance)]
    if len(distance):
        found.append(
            Figure(
                "symop.subgroup_distance",
                "subgroup distance",
                float(distance.mean()),
                len(distance),
                "log2(|G|/|G∩H|) + log2(|H|/|G∩H|), G the generated group, H the one found after relaxation in the "
                "same cell (0.1 angstrom); "
                "0: unchanged, 1: one step of index 2",
                source="symjax",
                better="lower",
            )
        )
    return found
