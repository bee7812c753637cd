"""What is read out of a report dict, and how its numbers and names are written; shared by the table, the page and the plots.

The dict holds plain JSON values, so it may come from `symjax.evaluate` or from a ``report.json`` read back. Any part may be
missing or null. Names in it come from users' files: `clean` makes them harmless to a terminal and to a file's encoding.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Report = Mapping[str, Any]
Row = Mapping[str, Any]

DASH = "\N{EN DASH}"
FLOOR_WIDTH = 2.0
"""Standard deviations of a floor that are drawn to either side of its mean."""
LEVEL = 0.05
"""A figure with a p-value above this is marked: real crystals would be as far off in more than one case of twenty."""
MAX_DECIMALS = 4
ROLES = ("samples", "reference", "train")

CARDS = (
    r"\.structural_validity$",
    r"\.composition_validity$",
    r"\.sun$",
    r"\.(un|unique_novel)$",
    r"\.(novelty|novel)$",
    r"\.d_sg$",
    r"\.coverage_recall$",
    r"\.charge_neutral$",
    r"\.wasserstein_density$",
    r"\.ks_sites$",
)
"""Keys of figures shown as cards: of each pattern, the first figure that has a value."""
MAX_CARDS = 6


class Family(NamedTuple):
    """Figures that belong together.

    Attributes:
        key: first part of their keys.
        title: heading.
        figures: the rows, in the order of the report.
    """

    key: str
    title: str
    figures: list[Row]


def clean(text: Any) -> str:
    """Text without control characters, direction marks and lone surrogates: each becomes U+FFFD."""
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else "\N{REPLACEMENT CHARACTER}"
        for letter in str(text)
    )


def number(value: Any) -> float:
    """A JSON number as a float; NaN for null and for anything that is no number."""
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def write_number(value: Any, digits: int = 4, blank: str = DASH) -> str:
    """A number for a reader: ``digits`` significant ones, whole numbers in full, ``blank`` where there is none."""
    value = number(value)
    if not math.isfinite(value):
        return blank
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    # At most four decimals: a share of 0.0123 needs no more.
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(max(decimals, 0), MAX_DECIMALS)}f}"


def write_like(row: Row, value: Any, blank: str = DASH) -> str:
    """A number of a figure's row: 0 and 1 are ``0.0000`` and ``1.0000`` where they are shares or distances and no counts."""
    counted = row.get("unit") or row.get("count")
    measured = not counted and (row.get("better") or row.get("interval") or row.get("floor"))
    return (
        f"{number(value):.{MAX_DECIMALS}f}"
        if measured and number(value) in (0.0, 1.0)
        else write_number(value, blank=blank)
    )


def write_value(row: Row) -> str:
    """The value of a figure with its unit."""
    text = write_like(row, row.get("value"))
    unit = clean(row.get("unit") or "")
    return text if text == DASH or not unit else f"{text} {unit}"


def write_interval(row: Row) -> str:
    """The 95 % interval, ``[low, high]``, or nothing."""
    ends = row.get("interval")
    if not isinstance(ends, Sequence) or len(ends) != 2 or not all(math.isfinite(number(end)) for end in ends):
        return ""
    return f"[{write_like(row, ends[0])}, {write_like(row, ends[1])}]"


def floor_of(row: Row) -> tuple[float, float, int] | None:
    """(mean, standard deviation, draws' size) of a figure's floor, None where it has none."""
    floor = row.get("floor")
    if not isinstance(floor, Mapping) or not math.isfinite(number(floor.get("mean"))):
        return None
    spread, num = number(floor.get("sd")), number(floor.get("num"))
    return number(floor["mean"]), spread if math.isfinite(spread) else 0.0, int(num) if math.isfinite(num) else 0


def write_floor(row: Row) -> str:
    """The floor as ``mean ± sd``, or nothing."""
    floor = floor_of(row)
    return "" if floor is None else f"{write_number(floor[0])} ± {write_number(floor[1], 2)}"


def write_p(row: Row) -> str:
    """The p-value, three decimals, or nothing."""
    p = number(row.get("p"))
    return "" if not math.isfinite(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def like_real(row: Row) -> bool:
    """Whether the value cannot be told from real data of the same number: its p-value is above `LEVEL`.

    Reports without p-values (written before there were any) say nothing.
    """
    p = number(row.get("p"))
    return math.isfinite(p) and p > LEVEL and math.isfinite(number(row.get("value")))


def figures_of(report: Report) -> list[Row]:
    """Every figure of the report."""
    return [row for row in report.get("figures") or [] if isinstance(row, Mapping)]


def by_family(report: Report) -> list[Family]:
    """Figures by their family (without one, by the first part of the key), in the order of the report, others after them."""
    families = {
        str(entry.get("key")): Family(str(entry.get("key")), clean(entry.get("title") or entry.get("key")), [])
        for entry in report.get("families") or []
    }
    for row in figures_of(report):
        key = str(row.get("family") or str(row.get("key", "")).split(".")[0])
        families.setdefault(key, Family(key, clean(key) or "other", [])).figures.append(row)
    return [family for family in families.values() if family.figures]


def key_figures(report: Report) -> list[Row]:
    """At most `MAX_CARDS` figures to show first: those named under ``key_figures`` if the report has it, else by `CARDS`."""
    rows = figures_of(report)
    named = report.get("key_figures")
    if named:
        known = {row.get("key"): row for row in rows}
        return [known[key] for key in named if key in known][:MAX_CARDS]
    live = [row for row in rows if math.isfinite(number(row.get("value")))]
    chosen = []
    for pattern in CARDS:
        chosen += [row for row in live if re.search(pattern, str(row.get("key", "")))][:1]
    return chosen[:MAX_CARDS]


def source_of(report: Report, role: str) -> Row | None:
    """What is known about the samples, the reference or the training data."""
    found = report.get(role)
    return found if isinstance(found, Mapping) else None


def unusable_of(report: Report, role: str) -> list[tuple[str, str]]:
    """(name, reason) of every row of a source that could not be used."""
    rows = (source_of(report, role) or {}).get("unusable") or []
    return [(clean(row.get("name", "")), clean(row.get("reason", ""))) for row in rows if isinstance(row, Mapping)]


def failed_of(report: Report, role: str) -> list[tuple[str, str]]:
    """(name, stage and reason) of crystals of a source that could be read but not measured in one respect."""
    rows = (source_of(report, role) or {}).get("failed_stages") or []
    return [
        (clean(row.get("name", "")), clean(f"{row.get('stage', '')}: {row.get('reason', '')}"))
        for row in rows
        if isinstance(row, Mapping)
    ]


def duplicates_of(report: Report, role: str) -> list[tuple[str, str]]:
    """(name, the earlier row it equals) of rows of a source with the same content as another."""
    rows = (source_of(report, role) or {}).get("duplicates") or []
    return [(clean(row.get("name", "")), clean(row.get("same_as", ""))) for row in rows if isinstance(row, Mapping)]


def notes_of(report: Report, role: str) -> list[tuple[str, str]]:
    """(name, kind and text) of everything that reading a source assumed, changed or left out."""
    rows = (source_of(report, role) or {}).get("notes") or []
    return [
        (clean(row.get("name", "")), clean(f"{row.get('kind', '')}: {row.get('text', '')}"))
        for row in rows
        if isinstance(row, Mapping)
    ]


def kinds_of_notes(report: Report, role: str) -> str:
    """``symmetry assumed 12, hydrogens missing 3``: rows of a source with notes of each kind, or nothing."""
    counts = (source_of(report, role) or {}).get("notes_by_kind")
    counts = counts if isinstance(counts, Mapping) else {}
    return ", ".join(f"{clean(kind)} {write_number(count)}" for kind, count in counts.items())


def skipped_of(report: Report) -> list[tuple[str, str]]:
    """(metric, reason) of everything that was asked for and not computed."""
    rows = report.get("skipped") or []
    return [(clean(row.get("metric", "")), clean(row.get("reason", ""))) for row in rows if isinstance(row, Mapping)]


def usable(report: Report, role: str) -> str:
    """``995 of 1,000`` or ``1,000``: crystals of a source that were used, and how many draws gave none where that is known."""
    source = source_of(report, role) or {}
    num, used = number(source.get("num")), number(source.get("num_usable"))
    if not math.isfinite(num):
        return write_number(used)
    whole = used == num or not math.isfinite(used)
    return (write_number(num) if whole else f"{write_number(used)} of {write_number(num)}") + failed_draws(source)


def failed_draws(source: Mapping[str, Any]) -> str:
    """`` (12 of 512 draws gave no crystal, 2.3 %)`` where the source says so, else nothing."""
    draws, failed = number(source.get("draws")), source.get("failed_draws")
    if not math.isfinite(draws) or not isinstance(failed, Mapping):
        return ""
    lost = sum(int(count) for count in failed.values() if isinstance(count, int))
    share = f", {100 * lost / draws:.3g} %" if lost and draws > 0 else ""
    return f" ({write_number(lost)} of {write_number(draws)} draws gave no crystal{share})"
