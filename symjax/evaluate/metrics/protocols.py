"""Two protocols of stability side by side, from the same energies: that of the papers symjax follows, and LeMat-GenBench's.

The seeds' (SymmCD table 3, FlowMM; WyckoffTransformer table 1): every row counts, stable is under the hull, or at most 0.08 eV/atom
above it; symmetry is told at 0.1 angstrom. LeMat-GenBench's: a row must first be valid (distances scaled by 0.5, density 0.01 to 25
g/cm3, charges neutral within 0.1, which whole charges meet only at zero; `symjax.evaluate.metrics.lemat`), stable is at most 0,
metastable at most 0.1 eV/atom; symmetry is told at 0.01 angstrom and 5 degrees. Unique and novel are by StructureMatcher in both,
over all rows. That benchmark has an ensemble of potentials (ORB, MACE, UMA); here the potential of the run stands in, and every row
names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from symjax.evaluate.figure import Figure, plain
from symjax.evaluate.metrics import lemat
from symjax.evaluate.metrics.common import Study
from symjax.evaluate.published import MSUN, MSUN_NUM, MSUN_SOURCE


class Protocol(NamedTuple):
    """One protocol.

    Attributes:
        key: behind ``protocol_`` in the figures' keys.
        name: how tables call it.
        source: whose it is.
        checked: whether only valid rows can be stable, unique or novel.
        stable: level (eV/atom) -> (n,) bool.
        said: that in words.
        metastable: largest level of the wider share, eV/atom.
        tolerance: at which the symmetry is told, angstrom.
    """

    key: str
    name: str
    source: str
    checked: bool
    stable: Callable[[np.ndarray], np.ndarray]
    said: str
    metastable: float
    tolerance: float


SEEDS = Protocol(
    "seeds",
    "the papers'",
    "SymmCD table 3, WyckoffTransformer table 1",
    False,
    lambda e: e < 0,
    "e_hull < 0",
    0.08,
    0.1,
)
LEMAT = Protocol(
    "lemat", "LeMat-GenBench", "in the style of LeMat-GenBench", True, lambda e: e <= 0, "e_hull <= 0", 0.1, 0.01
)
NAMES = {
    "valid": "valid",
    "symmetric": "symmetry beyond P1",
    "covered": "inside the hull's coverage",
    "stable": "stable",
    "metastable": "stable, wider bound",
    "sun": "S.U.N.",
    "msun": "S.U.N., wider bound",
}
Row = dict[str, Any]


def figures(study: Study) -> list[Figure]:
    """The figures of both protocols; those of uniqueness and novelty only where there is training data."""
    return [figure for protocol in (SEEDS, LEMAT) for figure in _of(protocol, study)]


def _of(protocol: Protocol, study: Study) -> list[Figure]:
    level = np.where(np.isfinite(study.stability["e_hull"]), study.stability["e_hull"], np.inf)
    valid = lemat.is_valid(study.samples) if protocol.checked else study.samples.usable
    number = study.samples.number if protocol.tolerance == SEEDS.tolerance else study.samples.number_tight
    rule = "valid (distances, density, charges)" if protocol.checked else "a crystal"
    wide = f"e_hull <= {protocol.metastable:g}"
    flags = {
        "valid": (valid, rule),
        "symmetric": (number > 1, f"space group found at {protocol.tolerance:g} angstrom, 5 degrees is not P1"),
        "covered": (np.isfinite(level), "a finite energy above the hull"),
        "stable": (valid & protocol.stable(level), f"{rule}, {protocol.said}"),
        "metastable": (valid & (level <= protocol.metastable), f"{rule}, {wide}"),
    }
    if study.train is not None:
        new = study.matched.both & valid
        flags["sun"] = new & protocol.stable(level), f"{rule}, unique, novel, {protocol.said}"
        flags["msun"] = new & (level <= protocol.metastable), f"{rule}, unique, novel, {wide}"
    stands = " (stands in for its ensemble of potentials)" if protocol.checked else ""
    note = f"potential: {_potential(study)}{stands}; hull: {study.inputs.get('hull', 'unknown')}"
    return [
        study.share(
            f"protocol_{protocol.key}.{key}",
            f"{NAMES[key]}, {protocol.name}",
            hits,
            f"{definition}; over all rows",
            source=protocol.source,
            better="" if key == "symmetric" else "higher",
            note=note,
        )
        for key, (hits, definition) in flags.items()
    ]


def _potential(study: Study) -> str:
    return str(study.inputs.get("relaxation", {}).get("potential", "unknown"))


def table(study: Study) -> Row | None:
    """Both protocols side by side for the report, published rows below; None without energies."""
    if "e_hull" not in study.stability:
        return None
    found = {figure.key: figure for figure in figures(study)}
    rows = []
    for key, name in NAMES.items():
        cells = {}
        for protocol in (SEEDS, LEMAT):
            figure = found.get(f"protocol_{protocol.key}.{key}")
            if figure is not None:
                spread = None if figure.interval is None else list(figure.interval)
                cells[protocol.key] = {
                    "value": plain(figure.value),
                    "interval": spread,
                    "definition": figure.definition,
                }
        if cells:
            rows.append({"key": key, "name": name, **cells})
    return {
        "columns": {protocol.key: protocol.name for protocol in (SEEDS, LEMAT)},
        "rows": rows,
        "num": len(study.samples),
        "potential": _potential(study),
        "hull": study.inputs.get("hull", ""),
        "published": {
            "what": "M.S.U.N. under LeMat-GenBench's protocol with its ensemble of potentials, per cent",
            "num": MSUN_NUM,
            "source": MSUN_SOURCE,
            "rows": {one.model: one.value for one in MSUN},
        },
    }
