"""Sources of crystals: CSV files with a ``cif`` column, folders, CIF, POSCAR, extxyz and JSON files; all unparsed.

Owns finding the rows (every block of a CIF, every frame, every entry), their names and their numeric properties; a row's text is
parsed by the worker that treats it (`symjax.data.rows`), so that a bad row is reported and skipped, never fatal. Only trouble with
the source as a whole raises.
"""

from __future__ import annotations

import csv
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from symjax.crystals.io.atoms import atom_count
from symjax.crystals.io.cif_read import block_notes, split_cif
from symjax.crystals.io.convert import kind_of_file
from symjax.crystals.io.files import load_json, open_text, read_text
from symjax.crystals.io.report import Note, UnusableCrystal
from symjax.data.files import local_path
from symjax.errors import DataError

ID_COLUMNS = ("material_id", "id", "mp_id", "name", "filename")
_HEAD = 20  # rows looked at to decide which column holds what
_LONGEST = 2**26  # characters of one line, or of one field of a CSV; an unclosed quote makes one of the whole file


@dataclass(frozen=True)
class SourceRow:
    """One row of a source, not parsed yet.

    Attributes:
        row: zero-based position in the source.
        id: the source's name for it.
        kind: what ``text`` is: ``cif``, ``extxyz``, ``poscar``, ``pymatgen`` (a serialized Structure) or ``json`` (plain L, z, x).
        text: the crystal.
        properties: numeric columns.
        problem: set when the row is already known to be unusable.
        notes: what finding the row has to tell of it.
    """

    row: int
    id: str
    kind: str
    text: str
    properties: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    notes: tuple[Note, ...] = ()


class Source:
    """The rows of a CSV, a folder (its sub-folders too), a CIF, POSCAR, extxyz or JSON file, plain or gzipped.

    Read anew by every loop over it; of a CSV and a ``.jsonl`` no more than a row is held at a time, and no more than ``limit`` are
    read.

    Args:
        path: the source.
        limit: only the first rows.

    Raises:
        DataError: missing or of an unknown kind; when looped over: empty, too large, or with columns that do not hold what their
            names say.
    """

    def __init__(self, path: str | Path, limit: int | None = None):
        self.path, self.limit = local_path(path), limit
        name = self.path.name.lower()
        if not self.path.exists():
            raise DataError(f"{path}: no such file or folder")
        if not (self.path.is_dir() or self.path.is_file()):
            raise DataError(
                f"{path}: is a pipe or a device; a source is read more than once and must be a file or folder"
            )
        if self.path.is_dir():
            self._open = lambda: iter(_folder(self.path, limit))
        elif name.endswith((".csv", ".csv.gz")):
            self._open = lambda: _csv(self.path, limit)
        elif kind_of_file(path) is not None:
            self._open = lambda: _file(self.path, limit)
        else:
            raise DataError(
                f"{path}: cannot tell the kind of source from the name; use .csv, .cif, POSCAR, .vasp, .extxyz, .json, .jsonl "
                "(each also .gz) or a folder of them"
            )

    def __iter__(self) -> Iterator[SourceRow]:
        """The rows, numbered."""
        row = None
        for row in _numbered(islice(self._open(), self.limit)):
            yield row
        if row is None:
            raise DataError(f"{self.path}: holds no crystals")


def read_source(path: str | Path, limit: int | None = None) -> list[SourceRow]:
    """All rows of a `Source`."""
    return list(Source(path, limit))


def _numbered(rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
    """Rows with their positions; a name given before is noted."""
    first: dict[str, int] = {}
    for i, row in enumerate(rows):
        notes = row.notes
        if row.id in first:
            notes = (*notes, Note("duplicate id", f"{row.id!r} is the name of row {first[row.id]} as well"))
        first.setdefault(row.id, i)
        yield row if row.row == i and notes is row.notes else replace(row, row=i, notes=notes)


def _stem(name: str) -> str:
    """A file's name without what tells its kind."""
    lowered = name.lower().removesuffix(".gz")
    for ending in (".cif", ".mcif", ".vasp", ".poscar", ".extxyz", ".xyz", ".jsonl", ".json"):
        if lowered.endswith(ending) and len(lowered) > len(ending):
            return name[: len(lowered) - len(ending)]
    return name[: len(lowered)]


def _file(path: Path, limit: int | None = None) -> Iterator[SourceRow]:
    """The rows of one file of structures."""
    kind, stem = kind_of_file(path), _stem(path.name)
    if kind == "cif":
        return iter(_cif(read_text(path), stem))
    if kind == "poscar":
        return iter([SourceRow(row=0, id=stem, kind="poscar", text=read_text(path))])
    if kind == "extxyz":
        return iter(_extxyz(path))
    return _jsonl(path, limit) if kind == "jsonl" else iter(_json(path))


def _cif(text: str, stem: str) -> list[SourceRow]:
    """One row per block with atoms; a text that cannot be cut into blocks, or has no atoms, is one row for its parser to judge."""
    try:
        blocks = split_cif(text)
    except UnusableCrystal:
        return [SourceRow(row=0, id=stem, kind="cif", text=text)]
    full = [block for block in blocks if block.has_atoms]
    if len(full) < 2:
        return [SourceRow(row=0, id=stem, kind="cif", text=text)]
    rows = [SourceRow(row=i, id=f"{stem}:{b.name or i}", kind="cif", text=b.text) for i, b in enumerate(full)]
    return [replace(rows[0], notes=tuple(block_notes(blocks))), *rows[1:]]


def _folder(path: Path, limit: int | None = None) -> list[SourceRow]:
    """The rows of every structure file of a folder and its sub-folders, by name; hidden ones and other files are passed over."""
    files = [file for file in path.rglob("*") if kind_of_file(file) is not None and file.is_file()]
    files = sorted(f for f in files if not any(part.startswith(".") for part in f.relative_to(path).parts))
    rows: list[SourceRow] = []
    for file in files:
        if limit is not None and len(rows) >= limit:
            break
        place = file.relative_to(path).parent
        inside = "" if place == Path(".") else f"{place.as_posix()}/"
        try:
            found = list(_file(file))
        except DataError as error:
            if kind_of_file(file) in ("json", "jsonl"):
                continue  # reports and indexes lie beside crystals
            problem = f"unreadable file: {error}"
            found = [SourceRow(row=0, id=file.name, kind="cif", text="", problem=problem)]
        single = len(found) == 1 and kind_of_file(file) in ("json", "extxyz")
        for row in found:
            name = _stem(file.name) if single else row.id
            if kind_of_file(file) in ("json", "jsonl", "extxyz") and not single:
                name = f"{_stem(file.name)}:{row.id}"
            rows.append(replace(row, id=inside + name))
    if not rows:
        raise DataError(f"{path}: a folder without .cif, POSCAR, .extxyz or .json files of structures")
    return rows


def _extxyz(path: Path) -> list[SourceRow]:
    """Cut an (ext)xyz file into frames: a count, a comment line, and that many atom lines."""
    lines = read_text(path).splitlines()
    rows: list[SourceRow] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        count = atom_count(lines[at])
        if count is None:
            raise DataError(f"{path}: line {at + 1} must hold the number of atoms of a frame, found {lines[at][:40]!r}")
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
    content = load_json(read_text(path), str(path))
    if isinstance(content, dict) and not {"lattice", "structure", "L"} & content.keys():
        entries = list(content.items())
    else:
        entries = [("", entry) for entry in (content if isinstance(content, list) else [content])]
    if not any(_is_structure(entry) for _, entry in entries):
        raise DataError(
            f"{path}: holds no structures; expected a list of pymatgen Structure dictionaries, or names with them"
        )
    return [_entry(i, name, entry) for i, (name, entry) in enumerate(entries)]


def _is_structure(entry: object) -> bool:
    """Whether a JSON value is meant as a structure."""
    return isinstance(entry, dict) and bool({"lattice", "structure", "L", "sites"} & entry.keys())


def _jsonl(path: Path, limit: int | None) -> Iterator[SourceRow]:
    """One entry a line, as in `_json`."""
    some = False
    for i, line in enumerate(islice((line for line in _lines(path) if line.strip()), limit)):
        try:
            row = _entry(i, "", load_json(line, f"line {i + 1}"))
        except DataError as error:
            row = SourceRow(i, f"row-{i}", "pymatgen", "", problem=str(error))
        some |= bool(row.text)
        yield row
    if not some:
        raise DataError(f"{path}: holds no structures; expected one dictionary of a structure a line")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file."""
    try:
        with open_text(path) as stream:
            while line := stream.readline(_LONGEST):
                if len(line) == _LONGEST and not line.endswith("\n"):
                    raise DataError(f"{path}: a line of more than {_LONGEST:,} characters")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _entry(i: int, name: str, entry: object) -> SourceRow:
    """The row of one JSON entry."""
    if not isinstance(entry, dict):
        said = "entry is not a structure dictionary"
        return SourceRow(row=i, id=name or f"row-{i}", kind="pymatgen", text="", problem=said)
    outer = entry if isinstance(entry.get("structure"), dict) else {}
    found = next((str(outer[key]) for key in ID_COLUMNS if outer.get(key) is not None), "")
    numbers = {k: _number(v) for k, v in outer.items() if isinstance(v, int | float)}
    numbers = {k: v for k, v in numbers.items() if not math.isnan(v)}
    inner = outer.get("structure", entry)
    kind = "json" if {"L", "z", "x"} <= inner.keys() else "pymatgen"
    return SourceRow(row=i, id=name or found or f"row-{i}", kind=kind, text=json.dumps(inner), properties=numbers)


def _csv(path: Path, limit: int | None = None) -> Iterator[SourceRow]:
    """Rows of a CSV with a ``cif`` column (CIF text, or pymatgen structures as JSON or as Python prints them).

    Numeric columns become properties, and which these are takes a first pass.
    """
    header = [name.strip() for name in next(_csv_records(path), [])]
    if not header:
        raise DataError(f"{path}: empty file, expected a header line with a column 'cif'")
    named = [name for name in header if name]
    if len(set(named)) != len(named):
        raise DataError(f"{path}: columns {sorted({n for n in named if named.count(n) > 1})} appear more than once")
    records = lambda: islice(_csv_records(path), 1, None if limit is None else limit + 1)
    _check_columns(path, header, list(islice(records(), _HEAD)))
    id_column = next((name for name in ID_COLUMNS if name in header), None)
    numeric = _numeric_columns(header, records(), skip={"", "cif", id_column})
    return _records(header, records(), id_column, numeric)


def _csv_records(path: Path) -> Iterator[list[str]]:
    """The records of a CSV that are not empty."""
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(_lines(path))
    line = 0
    try:
        for record in reader:
            line = reader.line_num
            if record:
                yield record
    except csv.Error as error:
        raise DataError(f"{path}: after line {line} is not valid CSV ({error})") from error


def _records(
    header: list[str], records: Iterable[list[str]], id_column: str | None, numeric: list[str]
) -> Iterator[SourceRow]:
    """The row of each record."""
    for i, record in enumerate(records):
        values = dict(zip(header, record, strict=False))
        problem = "" if len(record) == len(header) else f"{len(record)} fields where the header has {len(header)}"
        yield SourceRow(
            row=i,
            id=values.get(id_column or "", "") or f"row-{i}",
            kind="pymatgen" if values.get("cif", "").lstrip().startswith("{") else "cif",
            text=values.get("cif", ""),
            problem=problem,
            properties={name: _number(values.get(name, "")) for name in numeric},
        )


def _looks_like_crystal(text: str) -> bool:
    """Whether a field starts like CIF (after comments) or a printed pymatgen Structure, however broken the rest may be."""
    lowered = text[:2000].lower()
    if text.lstrip().startswith("{"):
        return "lattice" in lowered or "@module" in lowered
    return "data_" in lowered or "_cell_length_a" in lowered or "loop_" in lowered


def _check_columns(path: Path, header: list[str], records: list[list[str]]) -> None:
    """Refuse a file whose ``cif`` column is missing or holds something else throughout the first rows."""
    if "cif" not in header:
        raise DataError(f"{path}: no column 'cif'; found {header}")
    head = [record for record in records[:_HEAD] if len(record) == len(header)]
    if records and not head:
        raise DataError(f"{path}: rows have {len(records[0])} fields where the header has {len(header)}: {header}")
    share = {
        name: sum(_looks_like_crystal(record[i]) for record in head) / max(len(head), 1)
        for i, name in enumerate(header)
    }
    other = max((name for name in header if name != "cif"), key=lambda name: share[name], default=None)
    if head and share["cif"] == 0.0 and any(record[header.index("cif")].strip() for record in head):
        hint = f"; such text stands in column {other!r}" if other is not None and share[other] > 0.5 else ""
        sample = next(record[header.index("cif")] for record in head if record[header.index("cif")].strip())
        raise DataError(
            f"{path}: column 'cif' holds neither CIF text nor pymatgen structures (it starts with {sample[:30]!r}){hint}; "
            "columns look mixed up"
        )


def _number(text: str | float) -> float:
    """A finite float, or NaN for an empty or non-numeric field."""
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def _numeric_columns(header: list[str], records: Iterable[list[str]], skip: set[str | None]) -> list[str]:
    """Columns whose non-empty fields are nearly all numbers (a few broken rows do not hide a property)."""
    columns = [i for i, name in enumerate(header) if name not in skip]
    full, good = dict.fromkeys(columns, 0), dict.fromkeys(columns, 0)
    for record in records:
        if len(record) == len(header):
            for i in columns:
                if record[i].strip():
                    full[i] += 1
                    good[i] += not math.isnan(_number(record[i]))
    return [header[i] for i in columns if full[i] and good[i] >= 0.95 * full[i]]


def iter_json_rows(structures: Iterator[tuple[str, dict]]) -> list[SourceRow]:
    """Rows from (id, {"L", "z", "x"}) pairs, for sources that are made rather than read."""
    return [
        SourceRow(row=i, id=name, kind="json", text=json.dumps(structure, sort_keys=True))
        for i, (name, structure) in enumerate(structures)
    ]
