"""Sources of crystals: CSV files with a ``cif`` column, folders of CIFs, extxyz files, JSON of pymatgen structures; all unparsed.

Owns finding the rows, their names and their numeric properties; a row's text is parsed by the worker that treats it
(`symjax.data.rows`), so that a bad row is reported and skipped, never fatal. Only trouble with the source as a whole raises.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from symjax.errors import DataError

ID_COLUMNS = ("material_id", "id", "mp_id", "name", "filename")
_HEAD = 20  # rows looked at to decide which column holds what


@dataclass(frozen=True)
class SourceRow:
    """One row of a source, not parsed yet.

    Attributes:
        row: zero-based position in the source.
        id: the source's name for it.
        kind: what ``text`` is: ``cif``, ``extxyz``, ``pymatgen`` (a serialized Structure) or ``json`` (plain L, z, x).
        text: the crystal.
        properties: numeric columns.
        problem: set when the row is already known to be unusable.
    """

    row: int
    id: str
    kind: str
    text: str
    properties: dict[str, float] = field(default_factory=dict)
    problem: str = ""


def read_source(path: str | Path) -> list[SourceRow]:
    """All rows of a CSV (``.csv``, ``.csv.gz``), a folder of CIFs, one CIF, an extxyz file, or JSON of pymatgen structures.

    Raises:
        DataError: missing, of an unknown kind, empty, or with columns that do not hold what their names say.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    name = path.name.lower()
    if path.is_dir():
        rows = _folder(path)
    elif name.endswith((".csv", ".csv.gz")):
        rows = _csv(path)
    elif name.endswith((".xyz", ".extxyz", ".xyz.gz", ".extxyz.gz")):
        rows = _extxyz(path)
    elif name.endswith((".json", ".json.gz")):
        rows = _json(path)
    elif name.endswith((".cif", ".cif.gz")):
        rows = [SourceRow(row=0, id=path.name.split(".cif")[0], kind="cif", text=_text(path))]
    else:
        raise DataError(
            f"{path}: cannot tell the kind of source from the name; use .csv, .csv.gz, .extxyz, .json, .cif or a folder of CIFs"
        )
    if not rows:
        raise DataError(f"{path}: holds no crystals")
    return rows


def _text(path: Path) -> str:
    """The text of a plain or gzipped file; undecodable bytes are kept as replacement marks so that the row's parser decides."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return data.decode("utf-8-sig", errors="replace")


def _folder(path: Path) -> list[SourceRow]:
    """One row per CIF of a folder (not its subfolders), by name."""
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name.lower().endswith((".cif", ".cif.gz")))
    if not files:
        raise DataError(f"{path}: a folder without .cif files")
    rows = []
    for i, file in enumerate(files):
        try:
            rows.append(SourceRow(row=i, id=file.name.split(".cif")[0], kind="cif", text=_text(file)))
        except DataError as error:
            rows.append(SourceRow(row=i, id=file.name, kind="cif", text="", problem=f"unreadable file: {error}"))
    return rows


def _extxyz(path: Path) -> list[SourceRow]:
    """Cut an (ext)xyz file into frames: a count, a comment line, and that many atom lines."""
    lines = _text(path).splitlines()
    rows: list[SourceRow] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        try:
            count = int(lines[at])
        except ValueError as error:
            raise DataError(
                f"{path}: line {at + 1} must hold the number of atoms of a frame, found {lines[at][:40]!r}"
            ) from error
        frame = lines[at : at + 2 + count]
        problem = (
            ""
            if len(frame) == 2 + count
            else f"truncated frame: {count} atoms announced, {max(len(frame) - 2, 0)} found"
        )
        rows.append(
            SourceRow(
                row=len(rows), id=f"frame-{len(rows)}", kind="extxyz", text="\n".join(frame) + "\n", problem=problem
            )
        )
        at += 2 + count
    return rows


def _json(path: Path) -> list[SourceRow]:
    """Structures of a JSON file: a list of them, or names with them; an entry may hold its structure under ``structure``.

    The other numbers of such an entry become properties.
    """
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error})") from error
    if isinstance(content, dict) and "lattice" not in content and "structure" not in content:
        entries = list(content.items())
    else:
        entries = [("", entry) for entry in (content if isinstance(content, list) else [content])]
    if not any(isinstance(entry, dict) for _, entry in entries):
        raise DataError(
            f"{path}: holds no structures; expected a list of pymatgen Structure dictionaries, or names with them"
        )
    rows = []
    for i, (name, entry) in enumerate(entries):
        if not isinstance(entry, dict):
            said = "entry is not a structure dictionary"
            rows.append(SourceRow(row=i, id=name or f"row-{i}", kind="pymatgen", text="", problem=said))
            continue
        outer = entry if isinstance(entry.get("structure"), dict) else {}
        found = next((str(outer[key]) for key in ID_COLUMNS if outer.get(key) is not None), "")
        numbers = {k: float(v) for k, v in outer.items() if isinstance(v, int | float) and math.isfinite(v)}
        text = json.dumps(outer.get("structure", entry))
        rows.append(SourceRow(row=i, id=name or found or f"row-{i}", kind="pymatgen", text=text, properties=numbers))
    return rows


def _csv(path: Path) -> list[SourceRow]:
    """Rows of a CSV with a ``cif`` column; numeric columns become properties."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        header = next(reader)
        records = list(reader)
    except StopIteration as error:
        raise DataError(f"{path}: empty file, expected a header line with a column 'cif'") from error
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not valid CSV ({error})") from error
    header = [name.strip() for name in header]
    named = [name for name in header if name]
    if len(set(named)) != len(named):
        raise DataError(f"{path}: columns {sorted({n for n in named if named.count(n) > 1})} appear more than once")
    records = [record for record in records if record]
    _check_columns(path, header, records)
    id_column = next((name for name in ID_COLUMNS if name in header), None)
    numeric = _numeric_columns(header, records, skip={"", "cif", id_column})
    rows = []
    for i, record in enumerate(records):
        values = dict(zip(header, record, strict=False))
        problem = "" if len(record) == len(header) else f"{len(record)} fields where the header has {len(header)}"
        rows.append(
            SourceRow(
                row=i,
                id=values.get(id_column or "", "") or f"row-{i}",
                kind="cif",
                text=values.get("cif", ""),
                problem=problem,
                properties={name: _number(values.get(name, "")) for name in numeric},
            )
        )
    return rows


def _looks_like_cif(text: str) -> bool:
    """Whether a field starts like CIF (after comments), however broken the rest may be."""
    lowered = text[:2000].lower()
    return "data_" in lowered or "_cell_length_a" in lowered or "loop_" in lowered


def _check_columns(path: Path, header: list[str], records: list[list[str]]) -> None:
    """Refuse a file whose ``cif`` column is missing or holds something else throughout the first rows."""
    if "cif" not in header:
        raise DataError(f"{path}: no column 'cif'; found {header}")
    head = [record for record in records[:_HEAD] if len(record) == len(header)]
    if records and not head:
        raise DataError(f"{path}: rows have {len(records[0])} fields where the header has {len(header)}: {header}")
    share = {
        name: sum(_looks_like_cif(record[i]) for record in head) / max(len(head), 1) for i, name in enumerate(header)
    }
    other = max((name for name in header if name != "cif"), key=lambda name: share[name], default=None)
    if head and share["cif"] == 0.0 and any(record[header.index("cif")].strip() for record in head):
        hint = f"; CIF text stands in column {other!r}" if other is not None and share[other] > 0.5 else ""
        sample = next(record[header.index("cif")] for record in head if record[header.index("cif")].strip())
        raise DataError(
            f"{path}: column 'cif' holds no CIF text (it starts with {sample[:30]!r}){hint}; columns look mixed up"
        )


def _number(text: str) -> float:
    """A finite float, or NaN for an empty or non-numeric field."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _numeric_columns(header: list[str], records: list[list[str]], skip: set[str | None]) -> list[str]:
    """Columns whose non-empty fields are nearly all numbers (a few broken rows do not hide a property)."""
    names = []
    for i, name in enumerate(header):
        if name in skip:
            continue
        fields = [record[i] for record in records if len(record) == len(header) and record[i].strip()]
        good = sum(not math.isnan(_number(text)) for text in fields)
        if fields and good >= 0.95 * len(fields):
            names.append(name)
    return names


def iter_json_rows(structures: Iterator[tuple[str, dict]]) -> list[SourceRow]:
    """Rows from (id, {"L", "z", "x"}) pairs, for sources that are made rather than read."""
    return [
        SourceRow(row=i, id=name, kind="json", text=json.dumps(structure, sort_keys=True))
        for i, (name, structure) in enumerate(structures)
    ]
