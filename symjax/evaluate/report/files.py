"""The files of a report: report.json for programs, report.html for people, each whole or not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from symjax.data.files import write_text
from symjax.draw.page import grid_order
from symjax.evaluate.composition import formula_of
from symjax.evaluate.report.html import write_html

if TYPE_CHECKING:
    from symjax.evaluate.run import Evaluation

REPORTS = ("report.json", "report.html")
EXAMPLES = 24
"""Crystals drawn on the page."""


def write_report(folder: Path, found: Evaluation) -> None:
    """Write both files into a folder, made if absent.

    Raises:
        SymjaxError: a file cannot be written.
    """
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write(folder, found)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(folder: Path, found: Evaluation) -> None:
    samples = found.study.samples
    rows = [i for i, cell in enumerate(samples.cells) if cell is not None]
    groups = [int(samples.number[i]) for i in rows]
    order = grid_order(groups, [-float(samples.primitive_atoms[i]) for i in rows], EXAMPLES)
    cells = [cell for i in order if (cell := samples.cells[rows[i]]) is not None]
    titles = [formula_of(tuple(cell.counts.items())) for cell in cells]
    write_html(folder / REPORTS[1], found.report, cells, titles, [groups[i] for i in order])
    write_text(folder / REPORTS[0], json.dumps(found.report, indent=1, allow_nan=False) + "\n")
