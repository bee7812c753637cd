"""The metrics of WyckoffDiff-Adaptor (arXiv 2601.08115): is the requested group's crystal system kept, what drawing costs.

Its phase diagrams are made by `symjax evaluate --system` (`symjax.evaluate.stability.phase_diagram`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symjax.elements import symbol
from symjax.evaluate.figure import Figure
from symjax.evaluate.metrics.common import Findings, Skipped, Study
from symjax.evaluate.stability import change

SOURCE = "WyckoffDiff-Adaptor figure 2"
REQUESTED = ("requested_space_group", "space_group", "spacegroup.number", "spacegroup_number")
"""Columns of the samples that may say which group was asked for."""
CONDITIONS = {"e_above_hull": ("e_hull", "eV/atom"), "formation_energy_per_atom": ("formation_energy", "eV/atom")}
"""Conditions that energies can be held against: the array of the stability stage, and its unit. Columns `requested_NAME`."""


def figures(study: Study) -> Findings:
    """Share of crystals that keep the crystal system and the group that was asked for; seconds."""
    requested, told = requested_groups(study)
    skipped, found = [], []
    rows = requested > 0
    if rows.any():
        after, when = groups_after(study)
        kept = change.system_index(requested[rows]) == change.system_index(after[rows])
        definition = (
            f"requested group ({told}) against the group found {when}; over samples with a request; a failed search "
            "counts as not kept"
        )
        found = [
            study.share(
                "adaptor.preserved",
                "crystal system kept",
                kept,
                "crystal system of the " + definition,
                source=SOURCE,
                better="higher",
                tolerance="0.1 Å / 5°",
                note=""
                if "relax" in when
                else "before relaxation: the paper's figure is after it (--metrics stability)",
            ),
            study.share(
                "adaptor.group_preserved",
                "group kept",
                requested[rows] == after[rows],
                definition,
                source=SOURCE,
                better="higher",
                tolerance="0.1 Å / 5°",
            ),
        ]
    else:
        skipped.append(
            Skipped(
                "adaptor.preserved",
                f"no requested groups: the samples have no operations and no column {' or '.join(REQUESTED[:3])}",
            )
        )
    seconds = study.inputs.get("seconds") or study.samples.crystals.facts.get("seconds")
    if seconds is None:
        skipped.append(
            Skipped(
                "adaptor.seconds_total",
                "how long drawing took is not known (--seconds, or an index of `symjax generate`)",
            )
        )
    else:
        found.append(
            Figure(
                "adaptor.seconds_total",
                "seconds per 16",
                16.0 * float(seconds) / max(len(study.samples), 1),
                len(study.samples),
                "time that drawing all samples with their files took, times 16 / n (published: 16 Li-O crystals on "
                "one V100)",
                source="WyckoffDiff-Adaptor table 1",
                unit="s",
                better="lower",
            )
        )
    found += [system_hit(study, system) for system in study.inputs.get("systems", ())]
    for name, (key, unit) in CONDITIONS.items():
        if f"requested_{name}" in study.samples.crystals.properties:
            made, reason = condition_kept(study, name, key, unit)
            found += made
            skipped += [Skipped(f"adaptor.{name}_error", reason)] if reason else []
    return Findings(found, skipped)


def system_hit(study: Study, system: tuple[int, ...]) -> Figure:
    """Share of the rows whose elements are exactly those of a chemical system (atomic numbers)."""
    name = "-".join(symbol(z) for z in system)
    hit = [cell is not None and set(np.asarray(cell.z).tolist()) == set(system) for cell in study.samples.cells]
    return study.share(
        f"adaptor.system_{name.lower().replace('-', '_')}",
        f"chemical system {name}",
        np.array(hit, bool),
        f"elements are exactly {name}; over all rows",
        source=SOURCE,
        better="higher",
    )


def condition_kept(study: Study, name: str, key: str, unit: str) -> tuple[list[Figure], str]:
    """A numeric condition against what the potential gives after relaxation: mean absolute error, mean value, rank correlation
    where more than one value was asked for; and why not, where there is no energy.
    """
    asked = np.asarray(study.samples.crystals.properties[f"requested_{name}"], float)
    if key not in study.stability:
        return [], f"{name} was asked for; what came needs energies (--metrics stability,adaptor --hull FILE)"
    got = np.asarray(study.stability[key], float)
    rows = np.isfinite(asked) & np.isfinite(got)
    if not rows.any():
        return [], f"no sample has both a requested {name} and an energy"
    asked, got = asked[rows], got[rows]
    common: dict[str, Any] = {"source": "WyckoffDiff-Adaptor, conditions", "unit": unit}
    note = f"hull: {study.inputs['hull']}" if "hull" in study.inputs else ""
    over = "over samples with an energy after relaxation"
    rows_of = [
        ("error", "off by", float(np.abs(got - asked).mean()), f"mean |found - asked|, {over}", "lower"),
        ("mean", "mean found", float(got.mean()), f"mean of what was found, {over}", ""),
    ]
    if len(np.unique(asked)) > 1:
        from scipy.stats import spearmanr

        rank = float(spearmanr(asked, got).statistic)
        rows_of.append(("rank", "rank correlation", rank, f"Spearman's of asked and found, {over}", "higher"))
    made, error = [], float(got.std(ddof=1) / np.sqrt(len(got))) if len(got) > 1 else float("nan")
    for suffix, label, value, definition, better in rows_of:
        extra = common | ({"unit": ""} if suffix == "rank" else {})
        if suffix == "mean" and len(got) > 1:
            extra["interval"] = value - 1.96 * error, value + 1.96 * error
        figure = Figure(
            f"adaptor.{name}_{suffix}",
            f"{name}: {label}",
            value,
            len(got),
            definition,
            better=better,
            note=note,
            **extra,
        )
        made.append(figure)
    return made, ""


def requested_groups(study: Study) -> tuple[np.ndarray, str]:
    """(n,) group that was asked for, 0 where none was, and where that is from: a column, or the crystal's own operations."""
    properties = study.samples.crystals.properties
    for name in REQUESTED:
        if name in properties:
            numbers = np.nan_to_num(properties[name]).astype(np.int64)
            return np.where((numbers >= 1) & (numbers <= 230), numbers, 0), f"column {name}"
    return study.samples.generated_number, "the generated operations"


def groups_after(study: Study) -> tuple[np.ndarray, str]:
    """(n,) group found in the atoms: after relaxation where there was one, else as generated."""
    after = study.stability.get("group_after")
    return (
        (study.samples.number, "as generated") if after is None else (np.asarray(after, np.int64), "after relaxation")
    )


def heat_map(study: Study, limit: int = 40) -> dict[str, Any] | None:
    """Requested groups (the ``limit`` most frequent) against crystal systems found; None without requests."""
    requested, _ = requested_groups(study)
    live = requested > 0
    if not live.any():
        return None
    after, when = groups_after(study)
    table = change.heat_map(requested[live], after[live])
    order = np.sort(np.argsort(-(table.counts.sum(axis=1) + table.failed), kind="stable")[:limit])
    return {
        "rows": [int(table.groups[i]) for i in order],
        "columns": list(table.systems),
        "counts": table.counts[order].tolist(),
        "preserved": [float(table.preserved[i]) for i in order],
        "overall": table.overall,
        "when": when,
    }
