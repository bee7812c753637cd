"""The page of a run: every crystal turns, with its energy, its elements in a legend and its CIF file to download. One file.

Texts come from crystals and options, so each goes through `html.escape`; data stand in a JSON block that cannot end its element.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symjax.crystals.types import AtomicStructure
from symjax.draw.spin import SCRIPT, palette, scene
from symjax.evaluate.report.html import formula_html, symbol_html

STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--faint:#616e7c;--line:#d9dee4;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7eb;--faint:#9aa5b1;--line:#3e4c59;--paper:#1f2428}}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1200px;padding:1rem;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.faint{color:var(--faint)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:1rem;padding:0;list-style:none}
.card{border:1px solid var(--line);border-radius:8px;padding:.6rem}
.card canvas{width:100%;aspect-ratio:1;touch-action:none;cursor:grab}
.card b{font-size:1.05rem}.legend span{display:inline-block;margin-right:.8rem;white-space:nowrap}
.dot{display:inline-block;width:.85em;height:.85em;border-radius:50%;border:1px solid #0004;margin-right:.3em;vertical-align:-.08em}
.warn{border-left:4px solid #d9822b;padding:.3rem .8rem;margin:.4rem 0}img{max-width:100%;background:#fff;border-radius:8px}
"""

SHOW = """
const data = JSON.parse(document.getElementById("data").textContent);
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) {
    seen.unobserve(entry.target);
    spin(entry.target, data.scenes[entry.target.dataset.scene], data.elements);
  }
}, { rootMargin: "300px" });
document.querySelectorAll("canvas").forEach((canvas) => seen.observe(canvas));
document.querySelectorAll("a[data-cif]").forEach((link) => link.addEventListener("click", () => {
  link.href = URL.createObjectURL(new Blob([data.cifs[link.dataset.cif]], { type: "chemical/x-cif" }));
}));
"""


def write_gallery(
    path: Path,
    title: str,
    rows: Sequence[dict[str, Any]],
    cells: Sequence[AtomicStructure],
    warnings: Sequence[str],
    pictures: Sequence[tuple[str, Path]],
) -> None:
    """Write the page.

    Args:
        path: file to write; the CIF files of the rows lie beside it.
        title: heading.
        rows: of `symjax.discover.ranking`, by rank.
        cells: the crystal of each.
        warnings: what a reader must know first.
        pictures: (title, PNG file) of phase diagrams.
    """
    from symjax.data.files import write_text

    shown = [(row, cell) for row, cell in zip(rows, cells, strict=True) if row["same_as"] is None]
    elements = palette([cell for _, cell in shown])
    data = {
        "elements": elements,
        "scenes": [scene(cell) for _, cell in shown],
        "cifs": [(path.parent / row["file"]).read_text(encoding="utf-8") for row, _ in shown],
    }
    block = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    told = "".join(f'<p class="warn">{html.escape(text)}</p>' for text in warnings)
    cards = "".join(_card(index, row, cell) for index, (row, cell) in enumerate(shown))
    images = "".join(
        f'<figure><img src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}" '
        f'alt="Phase diagram {html.escape(name)}"></figure>'
        for name, file in pictures
    )
    diagrams = f"<h2>Phase diagrams</h2>{images}" if images else ""
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>{told}"
        f'<p class="legend">{_legend(elements)}</p>'
        f'<p class="faint">Drag a crystal (or use the arrow keys) to turn it, the wheel to come nearer.</p>'
        f'<ul class="grid">{cards}</ul>{diagrams}<script id="data" type="application/json">{block}</script>'
        f"<script>{SCRIPT}{SHOW}</script></body></html>\n",
    )


def _legend(elements: dict[str, Any], only: Sequence[int] | None = None) -> str:
    chosen = [one for z, one in elements.items() if only is None or int(z) in only]
    return "".join(
        f'<span><i class="dot" style="background:rgb({",".join(map(str, one["color"]))})"></i>{one["symbol"]}</span>'
        for one in chosen
    )


def _card(index: int, row: dict[str, Any], cell: AtomicStructure) -> str:
    """One crystal."""
    above, energy = row["energy_above_hull_eV_per_atom"], row["energy_eV_per_atom"]
    said = []
    if above is not None:
        said.append(f"{above:+.3f} eV/atom above hull")
    if energy is not None:
        said.append(f"{energy:.3f} eV/atom" + ("" if row["converged"] else ", not converged"))
    elif row["reason"]:
        said.append(str(row["reason"]))
    if energy is None and row["log_likelihood_nats"] is not None:
        said.append(f"log-likelihood {row['log_likelihood_nats']:.2f} nats")
    kinds = [name for name in ("polar", "chiral") if row[name]]
    if row["new"] is not None:
        kinds.append("new" if row["new"] else f"known: {row['known_as'] or ''}")
    if row["group_kept"] is False:
        kinds.append(f"relaxed to no. {row['space_group_found_number']}")
    lines = "<br>".join(html.escape(text) for text in [*said, ", ".join(kinds)] if text)
    name = html.escape(str(row["file"]), quote=True)
    title = f"{row['formula']}, space group {row['space_group_number']}"
    return (
        f'<li class="card"><canvas width="440" height="440" tabindex="0" data-scene="{index}" role="img" '
        f'aria-label="{html.escape(title, quote=True)}"></canvas>'
        f"<b>{row['rank']}. {formula_html(row['formula'])}</b> {symbol_html(row['space_group_number'])}<br>{lines}<br>"
        f'<span class="legend">{_legend(palette([cell]))}</span><br>'
        f'<a data-cif="{index}" download="{name}" href="#">{name}</a></li>'
    )
