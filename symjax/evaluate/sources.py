"""Anybody's crystals, read for evaluation: every row of the source is kept, with the reason if it is no crystal.

A row that cannot be read stays in every denominator; nothing is rejected for being a bad crystal (overlapping atoms, odd
compositions), because that is what is to be measured.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symjax.crystals.io.convert import from_pymatgen
from symjax.crystals.io.files import load_json, read_text
from symjax.crystals.io.parse import UnusableCrystal, check_structure
from symjax.crystals.io.report import Note
from symjax.crystals.types import AtomicStructure
from symjax.data.readers import SourceRow, read_source
from symjax.data.rows import read_row
from symjax.errors import DataError, SymjaxError
from symjax.evaluate.cache import Cache, content_key, stamp
from symjax.evaluate.canonical import canonical
from symjax.parallel import Processes, imap_items

if TYPE_CHECKING:
    from symjax.data.dataset import CrystalDataset

INDEX = "index.json"
FAILURES = ("draws", "failed_draws")
"""How many crystals were drawn in all, and reason -> draws that gave none, in an index of `symjax generate`."""
ASKED = (
    *("model", "formula", "elements", "allow", "include", "space_group", "orbits", "point_group", "crystal_system"),
    *("centrosymmetric", "polar", "chiral", "require", "forbid", "prefix", "realise", "steps", "min_ratio", "seed"),
)
"""Options of `symjax generate` that a report repeats where they were given."""


@dataclass(frozen=True)
class Crystals:
    """n rows of a source.

    Attributes:
        source: what they were read from, as named by the user.
        names: a name for each row.
        cells: the crystal of each row, None where there is none.
        reasons: why there is none, empty otherwise.
        properties: name -> (n,) numbers that came with the rows, NaN where absent.
        facts: what the source says of itself, such as how long drawing took.
        notes: what reading each row assumed, changed or left out; empty for crystals that were not read from files.
    """

    source: str
    names: tuple[str, ...]
    cells: tuple[AtomicStructure | None, ...]
    reasons: tuple[str, ...]
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[tuple[Note, ...], ...] = ()

    def __len__(self) -> int:
        """Rows, usable or not."""
        return len(self.names)

    @cached_property
    def usable(self) -> np.ndarray:
        """(n,) whether a row is a crystal."""
        return np.array([cell is not None for cell in self.cells], bool)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Content hash of each crystal, empty for rows without one."""
        return tuple("" if cell is None else content_key(cell) for cell in self.cells)

    @cached_property
    def keys_with_operations(self) -> tuple[str, ...]:
        """Content hash of each crystal with its set of operations."""
        return tuple("" if cell is None else content_key(cell, operations=True) for cell in self.cells)

    @cached_property
    def sha256(self) -> str:
        """One hash of all rows in order; equal crystals in another file format give the same (see `symjax.evaluate.canonical`)."""
        digest = hashlib.sha256()
        for key, reason in zip(self.keys, self.reasons):
            digest.update(f"{key}|{reason}\n".encode())
        return digest.hexdigest()

    @property
    def files(self) -> list[str]:
        """The file of each row, where the source says so, else empty."""
        files = self.facts.get("files") or []
        return list(files) if len(files) == len(self) else []

    @cached_property
    def duplicates(self) -> list[tuple[str, str]]:
        """(name, name of the earlier row with the same content, bit for bit)."""
        first: dict[str, str] = {}
        found = []
        for name, key in zip(self.names, self.keys):
            if key and key in first:
                found.append((name, first[key]))
            elif key:
                first[key] = name
        return found

    def take(self, rows: Sequence[int] | np.ndarray) -> Crystals:
        """Some of the rows, in the order given."""
        index = [int(row) for row in rows]
        return replace(
            self,
            names=tuple(self.names[i] for i in index),
            cells=tuple(self.cells[i] for i in index),
            reasons=tuple(self.reasons[i] for i in index),
            properties={k: v[index] for k, v in self.properties.items()},
            notes=tuple(self.notes[i] for i in index) if self.notes else (),
            facts=self.facts | {"files": [self.facts["files"][i] for i in index]} if self.files else self.facts,
        )

    def summary(self) -> dict[str, Any]:
        """What a report says about a source."""
        unusable = [{"name": n, "reason": r} for n, r, good in zip(self.names, self.reasons, self.usable) if not good]
        return {
            "source": self.source,
            "num": len(self),
            "num_usable": int(self.usable.sum()),
            "sha256": self.sha256,
            "unusable": unusable,
            "duplicates": [{"name": name, "same_as": other} for name, other in self.duplicates],
            **self._noted(),
            **{key: self.facts[key] for key in FAILURES if key in self.facts},
            **self._asked(),
        }

    def _noted(self) -> dict[str, Any]:
        """`notes`: name, kind and text of each; `notes_by_kind`: rows that have one of a kind, the most frequent first."""
        counts = Counter(kind for notes in self.notes for kind in {note.kind for note in notes})
        rows = [{"name": name, **note._asdict()} for name, notes in zip(self.names, self.notes) for note in notes]
        return {"notes_by_kind": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), "notes": rows}

    def _asked(self) -> dict[str, Any]:
        """`asked`: option -> value, of crystals that `symjax generate` made."""
        given = self.facts.get("options")
        if not isinstance(given, dict):
            return {}
        return {"asked": {name: given[name] for name in ASKED if given.get(name) is not None}}


PARSED = ("parsed", 1, ("numpy", "gemmi", "pymatgen"))
"""Stage under which crystals of texts are kept, its version (raised when a reader changes) and the packages that decide results."""


def read_crystals(
    path: str | Path, *, processes: Processes = None, progress: bool = False, cache: Cache | None = None
) -> Crystals:
    """Read any source; each crystal in its canonical form (`symjax.evaluate.canonical`).

    Args:
        path: a folder of CIFs, a folder or ``index.json`` of `symjax generate`, a CSV with a ``cif`` column, extxyz, JSON of
            pymatgen structures, one CIF, or a prepared ``.npz``.
        processes: worker processes for parsing; None for one a core.
        progress: whether to show a progress bar on stderr.
        cache: where crystals of texts that were read before are; None for none.

    Raises:
        DataError: the source as a whole cannot be read; the message names it and says what would be right.
    """
    from symjax.data.dataset import load

    place = Path(path)
    generated = _generated(place)
    if generated is not None:
        return from_dataset(load(generated / "crystals.npz"), str(path), facts=_facts(generated))
    if place.suffix == ".npz":
        return from_dataset(load(place), str(path))
    rows = read_source(place)
    parsed = _parse_all(rows, cache or Cache(), processes, f"reading {place.name}", progress)
    names = sorted({name for row in rows for name in row.properties})
    return Crystals(
        source=str(path),
        names=_distinct([row.id for row in rows]),
        cells=tuple(cell for cell, _, _ in parsed),
        reasons=tuple(reason for _, reason, _ in parsed),
        notes=tuple(notes for _, _, notes in parsed),
        properties={name: np.array([row.properties.get(name, np.nan) for row in rows], float) for name in names},
    )


def nothing(source: str = "") -> Crystals:
    """No rows: where a source may be left out."""
    return Crystals(source, (), (), ())


def join(parts: Sequence[Crystals]) -> Crystals:
    """Several sources as one, row after row (train and validation, say); numbers that one of them lacks are NaN there.

    Raises:
        DataError: no sources.
    """
    if not parts:
        raise DataError("there is no source to read")
    if len(parts) == 1:
        return parts[0]
    names = sorted({name for part in parts for name in part.properties})
    return Crystals(
        source=", ".join(part.source for part in parts),
        names=_distinct([name for part in parts for name in part.names]),
        cells=tuple(cell for part in parts for cell in part.cells),
        reasons=tuple(reason for part in parts for reason in part.reasons),
        notes=tuple(notes for part in parts for notes in (part.notes or ((),) * len(part))),
        properties={
            name: np.concatenate([part.properties.get(name, np.full(len(part), np.nan)) for part in parts])
            for name in names
        },
    )


def from_dataset(dataset: CrystalDataset, source: str, *, facts: dict[str, Any] | None = None) -> Crystals:
    """The crystals of a prepared data set, with their sets of operations."""
    return Crystals(
        source=source,
        names=_distinct([str(name) for name in dataset.ids]),
        cells=tuple(map(canonical, dataset.all_atoms())),
        reasons=("",) * len(dataset),
        properties={k: np.asarray(v, float) for k, v in dataset.properties.items()},
        facts=facts or {},
    )


def from_structures(structures: Sequence[Any], source: str = "structures") -> Crystals:
    """Ordered pymatgen Structures, for use from Python."""
    return from_cells([from_pymatgen(structure).wrapped() for structure in structures], source)


def from_cells(cells: Sequence[AtomicStructure], source: str = "cells", names: Sequence[str] | None = None) -> Crystals:
    """Crystals that are already in memory; those that are none get their reason."""
    checked = [_check(cell) for cell in cells]
    return Crystals(
        source=source,
        names=_distinct(list(names) if names is not None else [f"row-{i}" for i in range(len(cells))]),
        cells=tuple(cell for cell, _ in checked),
        reasons=tuple(reason for _, reason in checked),
    )


def _generated(place: Path) -> Path | None:
    """The folder of `symjax generate` that is meant, if one is and it holds the array file."""
    folder = place.parent if place.name == INDEX else place
    index = folder / INDEX
    if not index.is_file():
        return None
    content = load_json(read_text(index), str(index))
    ours = isinstance(content, dict) and content.get("program") == "symjax generate"
    if place.name == INDEX and not ours:
        raise DataError(f"{index}: not an index of `symjax generate`")
    if ours and not (folder / "crystals.npz").is_file():
        if place.name == INDEX:
            raise DataError(
                f"{folder}: crystals.npz is missing beside the index; give the folder to read its CIF files instead"
            )
        return None
    return folder if ours else None


def _facts(folder: Path) -> dict[str, Any]:
    content = load_json(read_text(folder / INDEX), str(folder / INDEX))
    told = {key: content[key] for key in ("version", "options", "seconds", "hardware", *FAILURES) if key in content}
    entries = content.get("crystals")
    if isinstance(entries, list):  # which file each crystal is in
        told["files"] = [str(entry.get("file") or "") if isinstance(entry, dict) else "" for entry in entries]
    return told


Parsed = tuple[AtomicStructure | None, str, tuple[Note, ...]]


def _parse_all(
    rows: Sequence[SourceRow], cache: Cache, processes: Processes, label: str, progress: bool
) -> list[Parsed]:
    """The crystal of each row, or why there is none, and what was assumed; texts that the cache knows are not read again."""
    keys = [
        hashlib.sha256(f"{row.kind}|{row.problem}|{row.text}".encode("utf-8", "replace")).hexdigest() for row in rows
    ]
    stage, version = PARSED[0], stamp(*PARSED[1:])
    known = cache.get_many(stage, version, keys)
    new = {key: row for key, row in zip(keys, rows) if key not in known}
    options: dict[str, Any] = {"processes": processes, "lost": _lost, "label": label, "progress": progress}
    texts = zip(new, imap_items(_parse, list(new.values()), **options))
    while found := {key: json.loads(text) for key, text in islice(texts, 512)}:
        cache.put_many(stage, version, [(key, value) for key, value in found.items() if "lost" not in value])
        known |= found
    return [_parsed(row, known[key]) for row, key in zip(rows, keys)]


def _lost(row: SourceRow, reason: str) -> str:
    return json.dumps({"reason": reason, "notes": [], "lost": True})  # the next run tries again


def _parse(row: SourceRow) -> str:
    """JSON of the crystal of a row's text (L, z, x) or of the reason, and notes; never raises."""
    if row.problem:
        return json.dumps({"reason": row.problem, "notes": []})
    notes: list[list[str]] = []
    try:
        reading = read_row(replace(row, notes=()), overlapping=True)
        notes = [list(note) for note in reading.notes]
        check_structure(reading.structure, 0.0)
        cell = canonical(reading.structure.wrapped())
        found = {"L": cell.L.tolist(), "z": cell.z.tolist(), "x": cell.x.tolist(), "reason": ""}
    except SymjaxError as error:
        found = {"reason": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a row must never stop the run; the report names the unforeseen error
        found = {"reason": f"{type(error).__name__}: {error}"}
    return json.dumps(found | {"notes": notes})


def _parsed(row: SourceRow, found: dict[str, Any]) -> Parsed:
    notes = (*row.notes, *(Note(*note) for note in found["notes"]))
    if found["reason"]:
        return None, found["reason"], notes
    return AtomicStructure(found["L"], found["z"], found["x"]), "", notes


def _check(cell: AtomicStructure) -> tuple[AtomicStructure | None, str]:
    try:
        if not len(cell.z):
            raise UnusableCrystal("empty", "no atoms")
        check_structure(cell, 0.0)
    except SymjaxError as error:
        return None, str(error)
    return canonical(cell), ""


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names made distinct by a count behind repeated ones, so that every row can be told from the others."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(out)
