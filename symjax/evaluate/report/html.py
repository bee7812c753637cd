"""The page ``report.html``: one file that asks for nothing from elsewhere, readable on a light or dark screen and on paper.

Everything in the report dict may come from users' files, so every string goes through `_text` (cleaned and escaped) on its way
into the page. Pictures are data URIs. The page is a function of its input: equal reports give equal bytes.
"""

from __future__ import annotations

import base64
import binascii
import html
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symjax.crystals.types import AtomicStructure
from symjax.draw.spin import palette
from symjax.evaluate.report.assets import SCRIPT, STYLE
from symjax.evaluate.report.canvas import Picture
from symjax.evaluate.report.reading import (
    ROLES,
    Family,
    Report,
    Row,
    by_family,
    clean,
    duplicates_of,
    failed_of,
    floor_of,
    key_figures,
    kinds_of_notes,
    like_real,
    notes_of,
    number,
    skipped_of,
    source_of,
    unusable_of,
    usable,
    write_floor,
    write_interval,
    write_like,
    write_number,
    write_p,
    write_value,
)

LISTED = 500
"""Unusable rows listed of each source; all of them are in report.json."""
FREQUENT = 8
"""Reasons told over a list; lists up to this long are unfolded."""
MAX_EXAMPLES = 24
EXAMPLE_PIXELS = 180
LIKE_REAL = (
    '<span class="tag" title="of as many real crystals more than one set in twenty is as far off">like real data</span>'
)
_PNG = b"\x89PNG\r\n\x1a\n"


def write_html(
    path: str | Path,
    report: Report,
    examples: Sequence[AtomicStructure] = (),
    titles: Sequence[str] = (),
    groups: Sequence[int] = (),
) -> None:
    """Write the page; an old one is replaced only by a whole new one.

    Args:
        path: file to write.
        report: the report dict (see `symjax.evaluate.report.reading`).
        examples: crystals to draw; the first `MAX_EXAMPLES` are.
        titles: a reduced formula for each.
        groups: the space-group number of each.

    Raises:
        SymjaxError: the file cannot be written.
    """
    from symjax.data.files import write_text

    write_text(path, render_html(report, examples, titles, groups))


def render_html(
    report: Report, examples: Sequence[AtomicStructure] = (), titles: Sequence[str] = (), groups: Sequence[int] = ()
) -> str:
    """The page as text; arguments as for `write_html`."""
    from symjax.evaluate.report.plots import draw_all

    sections = [
        ("key", "Key figures", _cards(report)),
        ("plots", "Plots", _plots(draw_all(report))),
        ("phases", "Phase diagrams", _phase_diagrams(report)),
        ("examples", "Examples", _examples(examples, titles, groups)),
        ("figures", "All figures", _families(report)),
        ("unusable", "Could not be used", _unusable(report)),
        ("notes", "Notes on what was read", _notes(report)),
        ("skipped", "Not computed", _skipped(report)),
        ("run", "How this was made", _run(report)),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
    body = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>\n{content}\n</section>'
        for key, title, content in sections
    )
    name = _text((source_of(report, "samples") or {}).get("source") or "samples")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Evaluation of {name}</title>\n'
        f'<style>{STYLE}</style>\n</head>\n<body>\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f'<main class="page">\n{_header(report)}\n{body}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )


def _text(value: Any) -> str:
    """A string fit for the page: no control characters, nothing that reads as markup or ends an attribute."""
    return html.escape(clean(value), quote=True)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _header(report: Report) -> str:
    rows = []
    for role in ROLES:
        source = source_of(report, role)
        if source is not None:
            rows.append(
                f'<tr><th scope="row">{role}</th><td class="wrap"><code>{_text(source.get("source", ""))}</code></td>'
                f'<td class="number">{usable(report, role)}</td>'
                f'<td class="hash"><span class="mono">{_text(source.get("sha256") or "")}</span></td></tr>'
            )
    table = (
        '<div class="scroll"><table class="sources"><caption>Sources, with the number of crystals used</caption><thead><tr>'
        '<th scope="col">role</th><th scope="col">source</th><th scope="col" class="number">crystals</th>'
        f'<th scope="col">SHA-256</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
    name = " ".join(clean(report[key]) for key in ("program", "symjax") if report.get(key))
    made = [name] if name else []
    made += [clean(report["created"])] if report.get("created") else []
    seconds = number(report.get("seconds"))
    made += [f"{write_number(seconds, 3)} s"] if math.isfinite(seconds) else []
    return (
        f'<header><h1>Evaluation of generated crystals</h1><p class="faint">{_text(" · ".join(made))}</p>'
        f"{table if rows else ''}</header>"
    )


def _cards(report: Report) -> str:
    cards = []
    for row in key_figures(report):
        said = [f"95 % {write_interval(row)}"] if write_interval(row) else []
        said += [f"floor {write_floor(row)}"] if write_floor(row) else []
        said += [f"p {write_p(row)}"] if write_p(row) else []
        said += (
            [f"reference {write_like(row, row['reference'])}"] if math.isfinite(number(row.get("reference"))) else []
        )
        said += [
            f"n = {write_number(row.get('num'))}"
            + (f" against {write_number(row['num_reference'])}" if row.get("num_reference") else "")
        ]
        cards.append(
            f'<li class="card"><div class="name">{_text(row.get("name") or row.get("key"))}</div>'
            f'<div class="big">{_text(write_value(row))}</div>'
            f'<div class="small">{"<br>".join(map(_text, said))}</div>{LIKE_REAL if like_real(row) else ""}</li>'
        )
    return f'<ul class="cards">{"".join(cards)}</ul>' if cards else ""


def _plots(pictures: Sequence[Picture]) -> str:
    parts = [
        f"<figure{_class('wide' if picture.wide else '')}>"
        f"<figcaption>{_text(picture.title)}</figcaption>"
        f'<img class="light" src="{_uri(picture.light, "svg+xml")}" alt="{_text(picture.alt)}">'
        f'<img class="dark" src="{_uri(picture.dark, "svg+xml")}" alt="{_text(picture.alt)}"></figure>'
        for picture in pictures
    ]
    return f'<div class="plots">{"".join(parts)}</div>' if parts else ""


def _phase_diagrams(report: Report) -> str:
    parts = []
    for entry in report.get("phase_diagrams") or []:
        data = _png(entry.get("png_base64")) if isinstance(entry, Mapping) else None
        if data is not None:
            title = _text(entry.get("title") or entry.get("system") or "Phase diagram")
            counts = entry.get("counts")
            said = (
                f'<p class="faint">{write_number(counts.get("found_by_composition"))} of {write_number(counts.get("known"))} '
                "known phases found by composition</p>"
                if isinstance(counts, Mapping)
                else ""
            )
            parts.append(
                f'<figure><figcaption>{title}</figcaption><img src="{_uri(data, "png")}" '
                f'alt="Convex hull of formation energies: {title}">{said}</figure>'
            )
    return f'<div class="plots">{"".join(parts)}</div>' if parts else ""


def _png(text: Any) -> bytes | None:
    """The bytes of a PNG written in base 64, None for anything else."""
    try:
        data = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if data.startswith(_PNG) else None


CHOSEN = (
    "Chosen by group and size, not by how good they are: of each space group found the crystal with the fewest atoms in its "
    "primitive cell; the smallest of them where there are more groups than places, second ones where there are fewer."
)


def _examples(examples: Sequence[AtomicStructure], titles: Sequence[str], groups: Sequence[int]) -> str:
    parts = []
    for index, cell in enumerate(examples[:MAX_EXAMPLES]):
        title = clean(titles[index]) if index < len(titles) else f"crystal {index + 1}"
        group = int(groups[index]) if index < len(groups) else 0
        try:
            picture = _uri(example_png(cell), "png")
            drawn = (
                f'<img src="{picture}" width="{EXAMPLE_PIXELS}" height="{EXAMPLE_PIXELS}" alt="Cell of {_text(title)}">'
            )
        except Exception as error:  # one crystal that cannot be drawn must not cost the page
            drawn = f'<p class="faint">could not be drawn: {_text(error)}</p>'
        parts.append(f"<li>{drawn}<b>{formula_html(title)}</b><br>{symbol_html(group)}</li>")
    colors = "".join(
        f'<span style="white-space:nowrap;margin-right:.8em"><span style="display:inline-block;width:.8em;height:.8em;'
        f'border-radius:50%;border:1px solid #0004;background:rgb({",".join(map(str, one["color"]))})"></span> '
        f"{_text(one['symbol'])}</span>"
        for one in palette(examples[:MAX_EXAMPLES]).values()
    )
    return f'<p>{CHOSEN}</p><p>{colors}</p><ul class="examples">{"".join(parts)}</ul>' if parts else ""


def example_png(cell: AtomicStructure, size: int = EXAMPLE_PIXELS) -> bytes:
    """A crystal's cell as a small PNG with a transparent background and 256 colours, (size, size) pixels."""
    import numpy as np
    from PIL import Image

    from symjax.draw.render import render

    with np.errstate(all="ignore"):  # cells of no volume
        pixels = np.round(np.nan_to_num(render(cell, size)) * 255).astype(np.uint8)
    image = Image.fromarray(pixels, "RGBA").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def formula_html(formula: str) -> str:
    """A formula with its numbers as subscripts, escaped."""
    parts, digits = [], ""
    for letter in clean(formula) + " ":
        if letter.isdigit() or (letter == "." and digits):
            digits += letter
            continue
        parts.append((f"<sub>{_text(digits)}</sub>" if digits else "") + _text(letter))
        digits = ""
    return "".join(parts).strip()


def symbol_html(group: int) -> str:
    """Symbol and number of a space group, with bars and subscripts; a question mark for a number that is none."""
    from symjax.groups.symbols import short_symbol

    if not 1 <= group <= 230:
        return "no group found"
    out, mark = "", ""
    for letter in short_symbol(group):
        if letter in "-_":
            mark = letter
            continue
        out += f'<span class="bar">{letter}</span>' if mark == "-" else f"<sub>{letter}</sub>" if mark else letter
        mark = ""
    return f"{out} ({group})"


def _families(report: Report) -> str:
    note = (
        "<p>Intervals are of shares: 95 % Wilson intervals for the source of the samples. Distances have none, since they do not "
        "reach zero with finite numbers; their floor is what they are when samples and reference come from one source "
        "(mean ± standard deviation), found by pooling both and splitting them again. p is the probability of a value as far off "
        "in that case; where it is above 0.05 the figure is marked, and cannot be told from real data. Of twenty figures of real "
        "crystals one has p below 0.05 by chance. n is the denominator, n ref. the crystals compared with.</p>"
    )
    families = by_family(report)
    return note + "".join(map(_family, families)) if families else "<p>No figure could be computed.</p>"


def _family(family: Family) -> str:
    heads = (
        ("figure", ""),
        ("value", "number"),
        ("95 % interval", "number"),
        ("floor", "number"),
        ("p", "number"),
        ("reference", "number"),
        ("n", "number"),
        ("n ref.", "number"),
    )
    head = "".join(f'<th scope="col"{_class(kind)}>{name}</th>' for name, kind in heads)
    return (
        f'<h3>{_text(family.title)}</h3><div class="scroll"><table class="sortable figures"><caption>Figures: {len(family.figures)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, family.figures))}</tbody></table></div>"
    )


def _row(row: Row) -> str:
    floor, ends = floor_of(row), row.get("interval") or [None]
    name = _text(row.get("name") or row.get("key"))
    cells = [
        ("value", row.get("value"), write_value(row)),
        ("", ends[0], write_interval(row)),
        ("", floor[0] if floor else None, write_floor(row)),
        ("", row.get("p"), write_p(row)),
        ("", row.get("reference"), write_like(row, row.get("reference"), blank="")),
        ("", row.get("num"), write_number(row.get("num"))),
        ("", row.get("num_reference"), write_number(row.get("num_reference") or None, blank="")),
    ]
    out = [f'<th scope="row" data-sort="{name}">{name}{_details(row)}</th>']
    for kind, value, said in cells:
        exact = repr(number(value)) if math.isfinite(number(value)) else ""
        tag = f"<br>{LIKE_REAL}" if kind == "value" and like_real(row) else ""
        out.append(f'<td class="{f"number {kind}".strip()}" data-sort="{exact}">{_text(said)}{tag}</td>')
    return f"<tr>{''.join(out)}</tr>"


def _details(row: Row) -> str:
    floor = floor_of(row)
    named = {"Source": row.get("source"), "Tolerance": row.get("tolerance"), "Note": row.get("note")}
    if row.get("better") in ("higher", "lower"):
        named["Better"] = row["better"]
    if floor is not None and floor[2]:
        against = write_number((row.get("floor") or {}).get("against"), blank="")
        named["Floor"] = f"{write_number(floor[2])} crystals in a draw" + (f" against {against}" if against else "")
    named["Key"] = row.get("key")
    lines = [f"<p>{_text(row['definition'])}</p>"] if row.get("definition") else []
    lines += [f"<p>{name}: {_text(said)}</p>" for name, said in named.items() if said]
    return f"<details><summary>definition</summary>{''.join(lines)}</details>" if lines else ""


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _unusable(report: Report) -> str:
    kinds = (
        ("could not be used", "reason", unusable_of),
        ("measured in part only", "stage and reason", failed_of),
        ("the same content as another row", "equals", duplicates_of),
    )
    return "".join(
        _listing(f"{role}: {what}", head, rows)
        for role in ROLES
        for what, head, find in kinds
        if (rows := find(report, role))
    )


def _notes(report: Report) -> str:
    return "".join(
        _listing(f"{role}: notes", "note", rows, f"rows: {kinds_of_notes(report, role)}")
        for role in ROLES
        if (rows := notes_of(report, role))
    )


def _listing(title: str, head: str, rows: Sequence[tuple[str, str]], lead: str = "") -> str:
    """A folded table of names with reasons, and over it what leads to it (by default the most frequent reasons)."""
    counts = Counter(reason for _, reason in rows).most_common(FREQUENT)
    reasons = lead or "; ".join(f"{reason} ({write_number(count)})" for reason, count in counts)
    body = "".join(
        f'<tr><th scope="row">{_text(n)}</th><td class="wrap">{_text(why)}</td></tr>' for n, why in rows[:LISTED]
    )
    rest = len(rows) - LISTED
    return (
        f"<h3>{title}: {write_number(len(rows))}</h3>{f'<p>{_text(reasons)}</p>' if head != 'equals' else ''}"
        f"<details{' open' if len(rows) <= FREQUENT else ''}><summary>list</summary>"
        f'<div class="scroll"><table class="sortable"><caption>{title}</caption><thead><tr><th scope="col">name</th>'
        f'<th scope="col">{head}</th></tr></thead><tbody>{body}</tbody></table></div>'
        f"{f'<p>and {write_number(rest)} more; all are listed in report.json</p>' if rest > 0 else ''}</details>"
    )


def _skipped(report: Report) -> str:
    items = "".join(f"<dt>{_text(metric)}</dt><dd>{_text(reason)}</dd>" for metric, reason in skipped_of(report))
    return f"<dl>{items}</dl>" if items else ""


def _run(report: Report) -> str:
    parts = []
    if report.get("command"):
        parts.append(f"<h3>Command</h3><p><code>{_text(report['command'])}</code></p>")
    for title, key in (
        ("Options", "options"),
        ("Hardware", "hardware"),
        ("Versions", "versions"),
        ("Stability", "stability"),
    ):
        found = report.get(key)
        if isinstance(found, Mapping) and found:
            items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(_plain(value))}</dd>" for name, value in found.items())
            parts.append(f"<h3>{title}</h3><dl>{items}</dl>")
    return "".join(parts)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
