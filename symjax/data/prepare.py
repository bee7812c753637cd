"""From a source of crystals to one array file: parallel, resumable, deterministic, with a report of rejected rows.

Owns the run over all rows. Rows are cut into shards; each finished shard is one small JSON file in ``OUT.work/``, so a run that is
stopped continues where it was, and the folder is removed when the array file stands. The file depends on the source and the options
only: not on the number of workers, the order in which they finish, the clock, or whether the run was resumed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.files import local_path, locked, printable, write_text
from symjax.data.readers import Source, SourceRow
from symjax.data.rows import RowOptions, options_dict, treat_row
from symjax.errors import DataError
from symjax.parallel import Processes, imap_items
from symjax.versions import versions

SHARD_ROWS = 64
_STAMP, _LOCK = "job.txt", "run.lock"
_OURS = re.compile(
    r"job\.txt|run\.lock|shard-\d{6,}\.json|\.(job\.txt|shard-\d+\.json)\..*\.tmp"
)  # what lies in a work folder
_REVISION = 4  # raise when the treatment of rows changes, so that shards of an older version are not reused
_DECISIVE = ("gemmi", "numpy", "pymatgen", "spglib")  # packages that decide the numbers


@dataclass(frozen=True)
class PrepareReport:
    """What a run did.

    Attributes:
        dataset: the crystals kept.
        rejected: one dict a rejected row: row, id, kind, reason.
        rows: number of rows of the source.
        path: the array file, None if nothing was written.
        noted: one dict a row whose reading left notes: row, id, notes as (kind, text).
    """

    dataset: CrystalDataset
    rejected: list[dict[str, Any]]
    rows: int
    path: Path | None = None
    noted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Class of reason -> number of rejected rows."""
        return dict(sorted(Counter(r["kind"] for r in self.rejected).items()))

    @property
    def notes(self) -> dict[str, int]:
        """Kind of note -> number of rows that have one."""
        return dict(sorted(Counter(kind for r in self.noted for kind in {kind for kind, _ in r["notes"]}).items()))


def prepare(
    source: str | Path,
    out: str | Path,
    options: RowOptions | None = None,
    *,
    workers: Processes = None,
    substitutions: int = 0,
    limit: int | None = None,
    progress: bool = True,
) -> PrepareReport:
    """Prepare ``source`` into the array file ``out`` and write ``OUT.report.json`` beside it.

    Args:
        source: what `read_source` reads, or the word ``prototypes``.
        out: the ``.npz`` to write; its folder is made if absent.
        options: tolerances and limits.
        workers: where rows are treated (`symjax.parallel.Workers`), or a number of processes; all cores by default.
        substitutions: with ``prototypes``, this many substituted crystals for each prototype.
        limit: treat only the first rows.
        progress: show a progress bar on stderr.

    Raises:
        DataError: the source as a whole cannot be used, no row is usable, or the output folder cannot be written.
    """
    options = options or RowOptions()
    out = check_out(out)
    rows = load_rows(source, substitutions, limit)
    digest, num = hash_rows(rows)
    work = out.with_name(out.name + ".work")
    with _work_folder(work):
        results = stream_rows(rows, num, digest, options, work=work, workers=workers, progress=progress)
        report = _write(source, results, out, options, substitutions, digest)
        _clear(work)
    with contextlib.suppress(OSError):
        work.rmdir()  # the rest of somebody else's stays
    return report


def _write(
    source: str | Path,
    results: Iterable[dict[str, Any]],
    out: Path,
    options: RowOptions,
    substitutions: int,
    digest: str,
) -> PrepareReport:
    """The array file and the report beside it."""
    name = str(source) if str(source) == "prototypes" else Path(source).name
    report = assemble(results, options, source=name, source_hash=digest, substitutions=substitutions)
    if not len(report.dataset):
        first = report.rejected[0]
        raise DataError(
            f"{source}: none of {report.rows} rows is usable; the first reason, row {first['row']}: {first['reason']}"
        )
    summary = {
        "rows": report.rows,
        "accepted": len(report.dataset),
        "reasons": report.reasons,
        "notes": report.notes,
        "rejected": report.rejected,
        "noted": report.noted,
    }
    write_text(out.with_name(out.name.removesuffix(".npz") + ".report.json"), json.dumps(summary, indent=1) + "\n")
    report.dataset.save(out)
    return replace(report, path=out)


def check_out(out: str | Path) -> Path:
    """The output path, its folder made and found writable before any work is done.

    Raises:
        DataError: not ``.npz``, a folder, or in a place that cannot be written.
    """
    out = local_path(out)
    if out.suffix != ".npz":
        raise DataError(f"{out}: the output is one array file and must end in .npz")
    if out.is_dir():
        raise DataError(f"{out}: is a folder, expected the name of a file to write")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the output folder {out.parent}: {error.strerror or error}") from error
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise DataError(f"the output folder {out.parent} cannot be written")
    return out


def load_rows(source: str | Path, substitutions: int = 0, limit: int | None = None) -> Iterable[SourceRow]:
    """The (first) rows of a source, to be looped over; ``prototypes`` builds them from pymatgen's AFLOW library."""
    if str(source) == "prototypes":
        from symjax.data.prototypes import prototype_rows

        return prototype_rows(substitutions)[:limit]
    if substitutions:
        raise DataError("substitutions enlarge the prototypes only: use --source prototypes")
    return Source(source, limit)


def hash_rows(rows: Iterable[SourceRow]) -> tuple[str, int]:
    """SHA-256 over what rows say, not how their file was compressed; and how many there are."""
    digest, num = hashlib.sha256(), 0
    for row in rows:
        num += 1
        said = [row.row, row.id, row.kind, row.text, row.properties, row.problem]
        digest.update(json.dumps(said + [row.notes] if row.notes else said, sort_keys=True).encode())
    return digest.hexdigest(), num


def treat_rows(
    rows: list[SourceRow],
    options: RowOptions,
    *,
    work: Path | None = None,
    workers: Processes = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """All of `stream_rows`."""
    digest, num = hash_rows(rows)
    return list(stream_rows(rows, num, digest, options, work=work, workers=workers, progress=progress))


def stream_rows(
    rows: Iterable[SourceRow],
    num: int,
    digest: str,
    options: RowOptions,
    *,
    work: Path | None = None,
    workers: Processes = None,
    progress: bool = False,
) -> Iterator[dict[str, Any]]:
    """`treat_row` over all rows, in order; finished shards are kept in ``work`` and reused. Neither rows nor results are held.

    Args:
        rows: what to treat.
        num: how many there are.
        digest: their `hash_rows`.
        options: tolerances and limits.
        work: folder of shards; None keeps nothing.
        workers: where (`symjax.parallel.Workers`), or a number of processes; 1 stays in this process; None uses all cores.
        progress: show a progress bar on stderr.
    """
    said = json.dumps([_REVISION, digest, options_dict(options), versions(_DECISIVE)])
    done = _finished(work, hashlib.sha256(said.encode()).hexdigest(), num) if work is not None else set()
    todo = num - sum(_rows_of(i, num) for i in done)
    pending = (row for row in rows if row.row // SHARD_ROWS not in done)
    treat = partial(_treat, options)
    fresh = imap_items(treat, pending, total=todo, processes=workers, lost=_lost, label="preparing")
    with _bar(num, num - todo, progress) as bar:
        for i in range(-(-num // SHARD_ROWS)):
            results = _read_shard(work, i, num) if work is not None and i in done else None
            if results is None:
                results = []
                for result in islice(fresh, _rows_of(i, num)):
                    results.append(result)
                    bar.update(1)
                if work is not None:
                    write_text(_shard(work, i), json.dumps(results))
            yield from results


def _rows_of(shard: int, num: int) -> int:
    """How many of all rows are in a shard."""
    return min(SHARD_ROWS, num - shard * SHARD_ROWS)


def _treat(options: RowOptions, row: SourceRow) -> dict[str, Any]:
    """One row in a worker; through JSON, so that a fresh and a resumed result are the same numbers."""
    return json.loads(json.dumps(treat_row(row, options)))


def _lost(row: SourceRow, reason: str) -> dict[str, Any]:
    """The result of a row that no worker could finish."""
    return {"row": row.row, "id": row.id, "kind": "lost", "reason": reason}


@contextlib.contextmanager
def _work_folder(work: Path) -> Iterator[None]:
    """The folder of shards, made and held: a second run with the same output is refused, and so is a folder of somebody else's.

    Raises:
        DataError: it cannot be made, is in use, or holds what no run of `prepare` left there.
    """
    foreign = [file.name for file in work.iterdir() if not _OURS.fullmatch(file.name)] if work.is_dir() else []
    stamp = work / _STAMP
    if stamp.is_file() and not re.fullmatch(r"[0-9a-f]{64}", stamp.read_text(errors="replace")[:100]):
        foreign.append(stamp.name)
    if foreign:
        raise DataError(
            f"{work} is in the way: {foreign[0]!r} in it is not of this command; move the folder or choose another --out"
        )
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the work folder {work}: {error.strerror or error}") from error
    with locked(work / _LOCK, f"the work folder {work}"):
        yield


def _clear(work: Path) -> None:
    """Remove what runs of `prepare` leave in a work folder, and nothing else."""
    for file in work.iterdir():
        if _OURS.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _shard(work: Path, i: int) -> Path:
    return work / f"shard-{i:06d}.json"


def _finished(work: Path, key: str, num: int) -> set[int]:
    """Shards of an earlier, interrupted run with the same source, options and versions; those of another are cleared away."""
    stamp = work / _STAMP
    work.mkdir(parents=True, exist_ok=True)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8", errors="replace") != key:
        for file in work.glob("shard-*.json"):
            file.unlink()
        write_text(stamp, key)
        return set()
    return {i for i in range(-(-num // SHARD_ROWS)) if _read_shard(work, i, num) is not None}


def _read_shard(work: Path, i: int, num: int) -> list[dict[str, Any]] | None:
    """The results of a shard; None if it is not there or not whole."""
    try:
        results = json.loads(_shard(work, i).read_text(encoding="utf-8"))
        start = i * SHARD_ROWS
        return results if [r["row"] for r in results] == list(range(start, start + _rows_of(i, num))) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _bar(total: int, initial: int, show: bool) -> Any:
    """A progress bar over rows."""
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, unit="row", desc="preparing", disable=not show)


def assemble(
    results: Iterable[dict[str, Any]],
    options: RowOptions,
    *,
    source: str,
    source_hash: str = "",
    substitutions: int = 0,
) -> PrepareReport:
    """Put the results of `treat_rows` into one data set; sets of operations are stored once, in the order of their numbers."""
    from symjax.groups.tables import standard_setting
    from symjax.wyckoff.set_table import build_set_table

    columns = _Columns()
    for result in results:
        columns.add(result)
    numbers = sorted(set(columns.number))
    sets = (
        build_set_table([standard_setting(n) for n in numbers]) if numbers else build_set_table([standard_setting(1)])
    )
    rejected, noted = columns.rejected, columns.noted
    meta = {
        "source": printable(source),
        "source_sha256": source_hash,
        "options": options_dict(options),
        "substitutions": substitutions,
        "versions": versions(_DECISIVE),
        "rows": columns.rows,
        "accepted": len(columns.number),
        "rejected": len(rejected),
        "rejected_by_reason": dict(sorted(Counter(r["kind"] for r in rejected).items())),
        "notes_by_kind": dict(sorted(Counter(k for r in noted for k in {k for k, _ in r["notes"]}).items())),
        "symprec_used": {str(k): v for k, v in sorted(columns.symprec.items())},
        "space_group_numbers": numbers,
    }
    dataset = CrystalDataset(
        sets=sets,
        set_index=np.searchsorted(np.array(numbers, int), np.array(columns.number, int)).astype(np.int32),
        k=np.array(columns.k, float).reshape(-1, 6),
        orbit_start=np.concatenate([[0], np.cumsum(np.array(columns.count, int))]).astype(np.int64),
        orbit_z=np.array(columns.z, np.int16),
        orbit_pos=np.array(columns.pos, np.int16),
        orbit_x=np.array(columns.x, float).reshape(-1, 3),
        ids=np.array(columns.ids, np.str_),
        formula=np.array(columns.formula, np.str_),
        row=np.array(columns.row, np.int64),
        properties={name: np.array(columns.properties[name], float) for name in sorted(columns.properties)},
        meta=meta,
    )
    return PrepareReport(dataset=dataset, rejected=rejected, rows=columns.rows, noted=noted)


class _Columns:
    """Results of rows by column, in a few bytes a number."""

    def __init__(self) -> None:
        self.rows = 0
        self.number, self.count, self.z, self.pos, self.row = (array("q") for _ in range(5))
        self.k, self.x = array("d"), array("d")
        self.ids: list[str] = []
        self.formula: list[str] = []
        self.properties: dict[str, array[float]] = {}
        self.symprec: Counter[float] = Counter()
        self.rejected: list[dict[str, Any]] = []
        self.noted: list[dict[str, Any]] = []

    def add(self, result: dict[str, Any]) -> None:
        """Take one result up."""
        self.rows += 1
        if result.get("notes"):
            self.noted.append({name: result[name] for name in ("row", "id", "notes")})
        if "reason" in result:
            self.rejected.append(result)
            return
        for name, value in result["properties"].items():
            self.properties.setdefault(name, array("d", [np.nan]) * len(self.number)).append(value)
        self.number.append(result["number"])
        for values in self.properties.values():
            if len(values) < len(self.number):
                values.append(np.nan)
        self.symprec[result["symprec"]] += 1
        self.ids.append(result["id"])
        self.formula.append(result["formula"])
        self.row.append(result["row"])
        self.count.append(len(result["z"]))
        self.k.extend(result["k"])
        self.z.extend(result["z"])
        self.pos.extend(result["pos"])
        self.x.extend(value for place in result["x"] for value in place)
