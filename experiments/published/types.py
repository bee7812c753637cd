"""What a published table is: plain, typed data, with the origin of every number.

A row holds numbers in the unit that its column names, as printed by its source. Nothing here is computed and nothing comes from
memory: a number that was not at hand is not written, and its row says "reported elsewhere".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Provenance = Literal["paper", "notebook", "third-party", "inferred", "rerun", "elsewhere", "picture"]
"""Where a reported number was read.

paper: in a table or the text of the paper that made it.
notebook: in the output of the authors' own evaluation code, of which the paper prints rounded values.
third-party: in another paper or comparison that quotes or reran it.
inferred: arithmetic on reported numbers; the note gives it.
rerun: the published rule applied by this project to published or public crystals.
elsewhere: the number is published, but was not at hand; the row has no values.
picture: the paper shows a picture and prints no numbers; the row has no values.
"""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: name in `Row.values`, in CSV and in JSON.
        heading: what is printed above it.
        unit: unit of the numbers, empty for a pure number.
        better: "higher", "lower" or "" where neither is better.
        metric: key of the figure in `report.json` that gives the measured value; empty where `symjax evaluate` has none.
        scale: factor from the figure in the report to the column's unit (rates are fractions there and per cent here).
    """

    key: str
    heading: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    metric: str = ""
    scale: float = 1.0


@dataclass(frozen=True)
class Row:
    """One published row.

    Attributes:
        system: the model or data set, named as its source names it.
        values: column key -> number; a column that is left out has no number in the source.
        source: paper and table, code, or third party in which the numbers stand.
        provenance: how they got here, see `Provenance`.
        n: number of crystals behind the row, None where the source does not say.
        note: what a reader must know before comparing.
        spread: column key -> standard deviation that the source prints beside the number.
        kind: "reported" for all rows of this package.
    """

    system: str
    values: Mapping[str, float]
    source: str
    provenance: Provenance = "paper"
    n: int | None = None
    note: str = ""
    spread: Mapping[str, float] = field(default_factory=dict)
    kind: Literal["reported"] = "reported"


@dataclass(frozen=True)
class System:
    """One system of this project.

    Attributes:
        key: its name in `symjax.systems` and under `symjax/weights`, also as the beginning of longer names.
        label: what its row is called.
        paper: the paper it reimplements.
        aliases: other beginnings of names, in lower case without punctuation.
    """

    key: str
    label: str
    paper: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table: what the paper prints and where the measured values come from.

    Attributes:
        key: name on the command line.
        title: what the table is about.
        paper: the paper and the number of the table there.
        columns: its columns.
        rows: the published rows; may be empty.
        caveats: what makes numbers of this table differ without any model being better.
        systems: names (see `published.SYSTEMS`) of this project's systems that belong in it.
        command: what measures its rows and writes a file for --report, where `symjax evaluate` does not.
    """

    key: str
    title: str
    paper: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caveats: tuple[str, ...]
    systems: tuple[str, ...]
    command: str = ""

    def column(self, key: str) -> Column:
        """The column of that key; KeyError where there is none."""
        for column in self.columns:
            if column.key == key:
                return column
        raise KeyError(key)
