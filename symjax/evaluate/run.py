"""From two or three sources of crystals to a report: stages on all cores, metrics over arrays, one dictionary of plain values.

`evaluate` is what `symjax evaluate` calls. The report holds every value with its denominator, definition and tolerance, hashes of
the data, versions, what was skipped and why, and every row that is no crystal with the reason.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from symjax import __version__
from symjax.elements import symbol
from symjax.errors import InputError
from symjax.evaluate import stages
from symjax.evaluate.cache import Cache
from symjax.evaluate.figure import Figure, plain
from symjax.evaluate.measured import Measured
from symjax.evaluate.metrics import Family, Findings, Study, adaptor, choose, protocols
from symjax.evaluate.sources import Crystals, nothing
from symjax.evaluate.stages import failures
from symjax.evaluate.statistics import DRAWS
from symjax.groups.symbols import crystal_system
from symjax.parallel import Processes
from symjax.versions import versions

PROGRAM = "symjax evaluate"
WITHOUT_REFERENCE = ("stability",)
"""Families that need no real crystals to compare with."""
PACKAGES = ("numpy", "scipy", "pymatgen", "spglib", "pyxtal", "smact", "matminer", "ase")


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        metrics: names of families, see `metrics.choose`; None for all but stability.
        seed: of every random draw.
        draws: permutations of each test.
        draw: judge only so many samples, drawn at random; None for all.
        processes: worker processes; None for one a core.
        progress: whether to show progress bars on stderr.
        inputs: what the user gives besides crystals: ``operations`` (W, w, mask), ``likelihoods`` {own, orders}, ``seconds``,
            ``cutoffs``, ``energy_model`` (`symjax.evaluate.energy_model.EnergyModel`).
        stability: how to make energies; None for none. See `symjax.evaluate.stability.pipeline`.
    """

    metrics: str | None = None
    seed: int = 0
    draws: int = DRAWS
    draw: int | None = None
    processes: Processes = None
    progress: bool = False
    inputs: dict[str, Any] = field(default_factory=dict)
    stability: Any = None


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        report: plain JSON values.
        figures: the same figures as objects.
        study: the arrays behind them.
    """

    report: dict[str, Any]
    figures: tuple[Figure, ...]
    study: Study

    def __getitem__(self, key: str) -> Figure:
        """The figure of a key.

        Raises:
            KeyError: it was not made; the reason is in ``report["skipped"]``.
        """
        for figure in self.figures:
            if figure.key == key:
                return figure
        raise KeyError(key)


def evaluate(
    samples: Crystals,
    reference: Crystals | None,
    train: Crystals | None = None,
    options: Options | None = None,
    cache: Cache | None = None,
) -> Evaluation:
    """Every figure of generated crystals against real ones.

    Args:
        samples: the crystals to be judged.
        reference: real crystals that distributions are compared with; None where only families are asked for that need none
            (stability, which then has no calibration).
        train: what novelty is against; without it such figures are listed as skipped.
        options: what to make and how.
        cache: where per-crystal results are kept; None for memory.

    Raises:
        InputError: no rows, no usable crystal in the reference, or no reference where one is needed.
    """
    options, started = options or Options(), time.monotonic()
    families = choose(options.metrics)
    if reference is None and (wanting := [one.key for one in families if one.key not in WITHOUT_REFERENCE]):
        raise InputError(f"{', '.join(wanting)}: need real crystals to compare with (--reference)")
    _check(samples, reference, train)
    if options.draw is not None:
        samples = _draw(samples, options.draw, options.seed)
    store = cache if cache is not None else Cache()
    needs = {need for family in families for need in family.needs}
    if "energy_model" in options.inputs:
        needs.add("bonds")
    against = nothing("none given") if reference is None else reference
    measured = measure([part for part in (samples, against, train) if part is not None], store, needs, options)
    study = Study(
        measured[0],
        measured[1],
        measured[2] if train is not None else None,
        inputs=dict(options.inputs),
        seed=options.seed,
        draws=options.draws,
        processes=options.processes,
        progress=options.progress,
    )
    if "stability" in needs and options.stability is not None:
        arrays, told = options.stability.run(study, store)
        study = replace(study, stability=arrays, inputs=study.inputs | told)
    findings = {family.key: family.figures(study) for family in families}
    report = _report(study, families, findings, options)
    report["seconds"] = round(time.monotonic() - started, 3)
    return Evaluation(report, tuple(figure for found in findings.values() for figure in found.figures), study)


def measure(sources: Sequence[Crystals], cache: Cache, needs: set[str], options: Options) -> list[Measured]:
    """Run the stages of samples, reference and train, in this order; only of samples are their own operations looked at."""
    cheap = [stages.GEOMETRY, stages.COMPOSITION, stages.SYMMETRY]
    work = []
    for i, crystals in enumerate(sources):
        wanted = list(cheap)
        if "fingerprint" in needs and i < 2:  # no figure looks at fingerprints of training data
            wanted.append(stages.fingerprint())
        if "chemistry" in needs and i < 2:
            wanted.append(stages.CHEMISTRY)
        if "bonds" in needs and i < 2:
            wanted.append(stages.BONDS)
        if "operations" in needs and i < 2:
            wanted.append(stages.STEADINESS)
        if i == 0 and "operations" in needs and any(cell is not None and len(cell.W) for cell in crystals.cells):
            wanted.append(stages.OPERATIONS)
        work.append((crystals, wanted))
    rows = stages.run_stages(work, cache, processes=options.processes, progress=options.progress)
    return [
        Measured(
            crystals,
            part["geometry"],
            part["composition"],
            part["symmetry"],
            part.get("ladder"),
            part.get("fingerprint"),
            part.get("steadiness"),
            part.get("chemistry"),
            part.get("bonds"),
        )
        for (crystals, _), part in zip(work, rows)
    ]


def _check(samples: Crystals, reference: Crystals | None, train: Crystals | None) -> None:
    if not len(samples):
        raise InputError(f"{samples.source}: there are no samples to judge")
    for part in (reference, train):
        if part is not None and not part.usable.any():
            reason = part.reasons[0] if len(part) else "it is empty"
            raise InputError(
                f"{part.source}: no row is a crystal, so nothing can be compared with it (the first: {reason})"
            )


def _draw(samples: Crystals, num: int, seed: int) -> Crystals:
    if num < 1:
        raise InputError(f"cannot draw {num} samples; give at least 1")
    if num > len(samples):
        raise InputError(f"{samples.source}: has {len(samples)} rows, fewer than the {num} to be drawn")
    return samples.take(np.sort(np.random.default_rng(seed).permutation(len(samples))[:num]))


def _report(
    study: Study, families: Sequence[Family], findings: dict[str, Findings], options: Options
) -> dict[str, Any]:
    samples = study.samples
    report: dict[str, Any] = {
        "program": PROGRAM,
        "symjax": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "hardware": hardware(),
        "versions": {"python": platform.python_version()} | {k: v or "absent" for k, v in versions(PACKAGES).items()},
        "samples": samples.crystals.summary() | {"failed_stages": _failed(samples)},
        "reference": None
        if not len(study.reference)
        else study.reference.crystals.summary() | {"failed_stages": _failed(study.reference)},
        "train": None
        if study.train is None
        else study.train.crystals.summary() | {"failed_stages": _failed(study.train)},
        "options": {
            "metrics": [family.key for family in families],
            "seed": options.seed,
            "draws": options.draws,
            "draw": options.draw,
        },
        "families": [{"key": family.key, "title": family.title} for family in families],
        "figures": [{"family": key} | figure.as_json() for key, found in findings.items() for figure in found.figures],
        "skipped": [
            {"metric": item.metric, "reason": item.reason} for found in findings.values() for item in found.skipped
        ],
        "distributions": distributions(study),
    }
    if study.stability:
        told = ("hull", "relaxation", "completeness", "crystals")
        report["stability"] = {key: study.inputs[key] for key in told if key in study.inputs}
        report["samples"]["failed_stages"] += study.inputs.get("trouble", [])
    if "phase_diagrams" in study.inputs:
        report["phase_diagrams"] = study.inputs["phase_diagrams"]
    if any(family.key == "stability" for family in families) and (both := protocols.table(study)) is not None:
        report["protocols"] = both
    if any(family.key == "adaptor" for family in families) and (table := adaptor.heat_map(study)) is not None:
        report["heat_map"] = table
    if samples.operations is not None and "operations" in report["options"]["metrics"]:
        report["ladder"] = _ladder(findings["operations"].figures)
    return report


def _ladder(figures: Sequence[Figure]) -> dict[str, Any]:
    from symjax.evaluate.symmetry import LADDER

    values = {figure.key: figure.value for figure in figures}
    return {
        "tolerances": list(LADDER),
        **{
            key: [plain(values[f"symop.{key}_{t:g}"]) for t in LADDER if f"symop.{key}_{t:g}" in values]
            for key in ("contains", "equals")
        },
    }


def _failed(part: Measured) -> list[dict[str, str]]:
    """Crystals for which a stage failed, by name with the reason."""
    rows = []
    for stage in (
        "geometry",
        "composition",
        "symmetry",
        "operations",
        "fingerprint",
        "steadiness",
        "chemistry",
        "bonds",
    ):
        results = getattr(part, stage)
        if results is not None:
            rows += [
                {"name": part.crystals.names[i], "stage": stage, "reason": reason} for i, reason in failures(results)
            ]
    return rows


def distributions(study: Study) -> dict[str, Any]:
    """What the report's plots are drawn from: counts or values of samples, reference and train."""
    parts = {"samples": study.samples, "reference": study.reference, "train": study.train}
    live = {name: part for name, part in parts.items() if part is not None and len(part)}

    def counts(title: str, xlabel: str, of: Any) -> dict[str, Any]:
        return {"kind": "counts", "title": title, "xlabel": xlabel, **{name: of(part) for name, part in live.items()}}

    def values(title: str, xlabel: str, unit: str, of: Any) -> dict[str, Any]:
        return {
            "kind": "values",
            "title": title,
            "xlabel": xlabel,
            "unit": unit,
            **{name: [float(f"{v:.6g}") for v in of(part) if np.isfinite(v)] for name, part in live.items()},
        }

    made = {
        "space groups": counts("Space groups", "space-group number, 0.1 Å", lambda p: _count(p.number[p.number > 0])),
        "crystal systems": counts(
            "Crystal systems", "", lambda p: dict(Counter(crystal_system(int(n)) for n in p.number if n > 0))
        ),
        "elements": counts("Elements", "sum of atomic fractions", _element_weights),
        "species": counts("Elements in a crystal", "distinct elements", lambda p: _count(p.species[p.species > 0])),
        "sites": counts("Orbits", "occupied Wyckoff positions", lambda p: _count(p.sites[p.sites > 0])),
        "atoms": counts(
            "Atoms", "atoms in the primitive cell", lambda p: _count(p.primitive_atoms[np.isfinite(p.primitive_atoms)])
        ),
        "free coordinates": counts(
            "Free coordinates", "free coordinates of all orbits", lambda p: _count(p.freedom[p.sites > 0])
        ),
        "density": values("Density", "mass density", "g/cm³", lambda p: p.density),
        "minimum distance": values(
            "Shortest distance", "shortest distance of any two atoms", "Å", lambda p: p.distance
        ),
        "volume per atom": values("Volume per atom", "volume per atom", "Å³", lambda p: p.volume / p.atoms),
    }
    if "e_hull" in study.stability:
        real = study.stability.get("calibration_e_hull", np.zeros(0))
        made["energy above hull"] = {
            "kind": "values",
            "title": "Energy above hull",
            "xlabel": "energy above hull",
            "unit": "eV/atom",
            "samples": [float(v) for v in study.stability["e_hull"] if np.isfinite(v)],
            "reference": [float(v) for v in real if np.isfinite(v)],
        }
    return made


def _count(values: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(np.asarray(values, int), return_counts=True)
    return {str(value): int(count) for value, count in zip(found, counts)}


def _element_weights(part: Measured) -> dict[str, float]:
    total = part.fractions.sum(axis=0)
    return {symbol(int(z)): round(float(total[z]), 6) for z in np.flatnonzero(total)}


def hardware() -> dict[str, Any]:
    """What the run was made on."""
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name(0) if torch is not None and torch.cuda.is_available() else None
    return {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count() or 1, "gpu": gpu}
