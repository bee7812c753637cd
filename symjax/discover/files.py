"""Files of a run beside its crystals: the table as CSV, phase diagrams, the page."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from symjax.data.files import write_text
from symjax.discover.gallery import write_gallery
from symjax.discover.run import Outcome
from symjax.draw.phases import draw_phase_diagram
from symjax.errors import InputError

TABLE, PAGE = "results.csv", "index.html"
LEFT_OUT = ("hull_phases",)
"""Keys of a row that are lists; `results.json` has them."""


def write_all(folder: Path, outcome: Outcome, title: str) -> list[str]:
    """Write the table, the phase diagrams and the page; gives their names."""
    _write_table(folder / TABLE, outcome)
    pictures = []
    for diagram in outcome.diagrams:
        path = folder / f"phases-{diagram['system']}.png"
        try:
            draw_phase_diagram(diagram, path)
        except InputError:  # neither two nor three elements: numbers only
            continue
        pictures.append((diagram["system"], path))
    write_gallery(folder / PAGE, title, outcome.rows, outcome.cells, warnings_of(outcome), pictures)
    return [TABLE, PAGE, *(path.name for _, path in pictures)]


def warnings_of(outcome: Outcome) -> list[str]:
    """What must be read before the table: how incomplete the hull is, then the notes."""
    weak = [f"{one.system}: {one}" for one in outcome.completeness if one.empty or one.missing]
    return [
        *weak[:10],
        *([f"and {len(weak) - 10} more systems, in results.json"] if len(weak) > 10 else []),
        *outcome.notes,
    ]


def _write_table(path: Path, outcome: Outcome) -> None:
    """The rows as CSV, with the units in the heads."""
    names = [name for name in outcome.rows[0] if name not in LEFT_OUT]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if row[name] is None else row[name] for name in names} for row in outcome.rows)
    write_text(path, text.getvalue())
