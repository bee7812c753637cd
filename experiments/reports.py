"""Reports that rows of a table are taken from: report.json of `symjax evaluate` and what other programs write in its form."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symjax.errors import InputError
from symjax.evaluate.report.reading import failed_draws

from . import measured as own

PROGRAM = "symjax evaluate"
PROGRAMS = (PROGRAM, "experiments.wyckoff_tables")
"""Programs whose reports are read; the second measures Wyckoff representations without coordinates."""

REAL = "real test crystals"
"""Name of the row of a report in which the reference was evaluated against itself."""


@dataclass(frozen=True)
class Report:
    """What is used of one report.json.

    Attributes:
        name: what its row is called.
        figures: figures by their key, as in the file.
        n: crystals in the samples.
        source: data, hardware, versions in one sentence.
        note: what was unusable.
        skipped: metric or figure -> why it was not computed.
        reference: (name, number) of the reference data.
        asked: the families of metrics that were made, empty where the report does not say.
    """

    name: str
    figures: Mapping[str, Mapping[str, Any]]
    n: int | None
    source: str
    note: str
    skipped: Mapping[str, str]
    reference: tuple[str, int | None]
    asked: tuple[str, ...] = ()


def read(path: str | Path, name: str | None = None) -> Report | own.Rows:
    """One report.json, or rows that an experiment measured.

    Raises:
        InputError: the file cannot be read, is not JSON, or is not a report of `symjax evaluate`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        report = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); give the report.json of `symjax evaluate`") from error
    rows = own.parse(report, path, name)
    if rows is not None:
        return rows
    missing = [key for key in ("symjax", "samples", "figures") if not isinstance(report, dict) or key not in report]
    if missing:
        raise InputError(
            f"{path}: not a report of `symjax evaluate`: it has no {', '.join(repr(key) for key in missing)}"
        )
    figures, samples, reference = report["figures"], report["samples"], report.get("reference") or {}
    if not isinstance(figures, list) or not all(isinstance(f, dict) and isinstance(f.get("key"), str) for f in figures):
        raise InputError(f"{path}: not a report of `symjax evaluate`: 'figures' is not a list of figures with keys")
    if not isinstance(samples, dict) or not isinstance(reference, dict):
        raise InputError(f"{path}: not a report of `symjax evaluate`: 'samples' and 'reference' are not objects")
    same = samples.get("sha256") is not None and samples.get("sha256") == reference.get("sha256")
    if report.get("program", PROGRAM) not in PROGRAMS:
        raise InputError(
            f"{path}: not a report of {' or '.join(f'`{name}`' for name in PROGRAMS)} but of {report['program']!r}"
        )
    unusable, skipped, options = samples.get("unusable"), report.get("skipped"), report.get("options")
    asked = options.get("metrics") if isinstance(options, dict) else None
    return Report(
        name=name or (REAL if same else _short(samples.get("source")) or Path(path).stem),
        figures={figure["key"]: figure for figure in [*figures, *_by_system(report.get("heat_map"))]},
        n=whole(samples.get("num")),
        source=_origin(report, Path(path)),
        note="; ".join(
            filter(
                None,
                (
                    f"{len(unusable)} samples unusable" if isinstance(unusable, list) and unusable else "",
                    failed_draws(samples).strip(" ()"),
                    _asked(samples.get("asked")),
                ),
            )
        ),
        skipped={
            str(item.get("metric")): str(item.get("reason"))
            for item in (skipped if isinstance(skipped, list) else ())
            if isinstance(item, dict)
        },
        reference=(_short(reference.get("source")) or "reference", whole(reference.get("num"))),
        asked=tuple(map(str, asked if isinstance(asked, list) else ())),
    )


def _asked(options: Any) -> str:
    """What samples were generated with, for the note of their row: all groups and ten groups must not be mixed up."""
    if not isinstance(options, Mapping) or not options:
        return ""
    return "generated with " + ", ".join(f"{str(name).replace('_', '-')} {value}" for name, value in options.items())


def _by_system(table: Any) -> list[dict[str, Any]]:
    """Share of requests that kept their crystal system, for each system of the requested group, as figures."""
    if not isinstance(table, dict):
        return []
    from symjax.groups.symbols import crystal_system

    try:
        kept: dict[str, list[int]] = {name: [0, 0] for name in table["columns"]}
        for group, counts in zip(table["rows"], table["counts"]):
            own = crystal_system(int(group))
            kept[own][0] += int(counts[table["columns"].index(own)])
            kept[own][1] += sum(map(int, counts))
    except (TypeError, KeyError, ValueError, IndexError, StopIteration):  # not of the form that is known here
        return []
    note = "no such group was asked for"
    return [
        {
            "key": f"adaptor.preserved_{name}",
            "value": good / num if num else None,
            "num": num,
            "note": "" if num else note,
        }
        for name, (good, num) in kept.items()
    ]


def _origin(report: Mapping[str, Any], path: Path) -> str:
    """Data set, hardware, version and date of a report."""
    data = []
    for word, key in (("samples", "samples"), ("reference", "reference"), ("train", "train")):
        part = report.get(key)
        if isinstance(part, dict):
            data.append(f"{word} {_short(part.get('source')) or 'unnamed'} (n {part.get('num', 'not stated')})")
    hardware = report.get("hardware")
    if isinstance(hardware, dict):
        hardware = ", ".join(f"{key} {value}" for key, value in hardware.items() if value not in (None, "", []))
    date = (
        str(report.get("created") or "")[:10]
        or f"file of {datetime.date.fromtimestamp(path.stat().st_mtime).isoformat()}"
    )
    seconds = report.get("seconds")
    took = f"{seconds:.0f} s" if isinstance(seconds, int | float) else ""
    rest = (f"hardware: {hardware or 'not stated'}", took, f"symjax {report['symjax']}", str(date))
    return "; ".join((", ".join(data) or "data not stated", *(item for item in rest if item)))


def _short(source: Any) -> str:
    """The last part of a path, or the text itself."""
    return Path(str(source)).name or str(source) if source else ""


def whole(value: Any) -> int | None:
    """A number as an integer, None where it is none."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None
