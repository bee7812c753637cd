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
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from symjax.data.dataset import CrystalDataset
from symjax.data.files import locked, write_text
from symjax.data.readers import SourceRow, read_source
from symjax.data.rows import RowOptions, options_dict, treat_row
from symjax.errors import DataError
from symjax.parallel import Processes, imap_items
from symjax.versions import versions

SHARD_ROWS = 64
_STAMP, _LOCK = "job.txt", "run.lock"
_OURS = re.compile(
    r"job\.txt|run\.lock|shard-\d{6,}\.json|\.(job\.txt|shard-\d+\.json)\..*\.tmp"
)  # what lies in a work folder
_REVISION = 3  # raise when the treatment of rows changes, so that shards of an older version are not reused
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
    work = out.with_name(out.name + ".work")
    with _work_folder(work):
        report = _prepare(source, rows, out, options, substitutions, work, workers, progress)
        _clear(work)
    with contextlib.suppress(OSError):
        work.rmdir()  # the rest of somebody else's stays
    return report


def _prepare(
    source: str | Path,
    rows: list[SourceRow],
    out: Path,
    options: RowOptions,
    substitutions: int,
    work: Path,
    workers: Processes,
    progress: bool,
) -> PrepareReport:
    results = treat_rows(rows, options, work=work, workers=workers, progress=progress)
    name = str(source) if str(source) == "prototypes" else Path(source).name
    report = assemble(results, options, source=name, source_hash=hash_rows(rows), substitutions=substitutions)
    if not len(report.dataset):
        first = report.rejected[0]
        raise DataError(
            f"{source}: none of {len(rows)} rows is usable; the first reason, row {first['row']}: {first['reason']}"
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
    out = Path(out)
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


def load_rows(source: str | Path, substitutions: int = 0, limit: int | None = None) -> list[SourceRow]:
    """The (first) rows of a source; ``prototypes`` builds them from pymatgen's AFLOW library."""
    if str(source) == "prototypes":
        from symjax.data.prototypes import prototype_rows

        return prototype_rows(substitutions)[:limit]
    if substitutions:
        raise DataError("substitutions enlarge the prototypes only: use --source prototypes")
    return read_source(source, limit)


def hash_rows(rows: Iterable[SourceRow]) -> str:
    """SHA-256 over what rows say, not how their file was compressed."""
    digest = hashlib.sha256()
    for row in rows:
        said = [row.row, row.id, row.kind, row.text, row.properties, row.problem]
        digest.update(json.dumps(said + [row.notes] if row.notes else said, sort_keys=True).encode())
    return digest.hexdigest()


def treat_rows(
    rows: list[SourceRow],
    options: RowOptions,
    *,
    work: Path | None = None,
    workers: Processes = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """`treat_row` over all rows, in order; finished shards are kept in ``work`` and reused.

    Args:
        rows: what to treat.
        options: tolerances and limits.
        work: folder of shards; None keeps nothing.
        workers: where (`symjax.parallel.Workers`), or a number of processes; 1 stays in this process; None uses all cores.
        progress: show a progress bar on stderr.
    """
    shards = [rows[i : i + SHARD_ROWS] for i in range(0, len(rows), SHARD_ROWS)]
    key = hashlib.sha256(
        json.dumps([_REVISION, hash_rows(rows), options_dict(options), versions(_DECISIVE)]).encode()
    ).hexdigest()
    done: dict[int, list[dict[str, Any]]] = _finished(work, key, shards) if work is not None else {}
    pending = [i for i in range(len(shards)) if i not in done]
    fresh = imap_items(
        partial(_treat, options),
        [row for i in pending for row in shards[i]],
        processes=workers,
        lost=_lost,
        label="preparing",
    )
    with _bar(len(rows), sum(len(shards[i]) for i in done), progress) as bar:
        for i in pending:
            done[i] = []
            for result in islice(fresh, len(shards[i])):
                done[i].append(result)
                bar.update(1)
            if work is not None:
                write_text(work / f"shard-{i:06d}.json", json.dumps(done[i]))
    return [result for i in range(len(shards)) for result in done[i]]


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


def _finished(work: Path, key: str, shards: list[list[SourceRow]]) -> dict[int, list[dict[str, Any]]]:
    """Shards of an earlier, interrupted run with the same source, options and versions; those of another are cleared away."""
    stamp = work / _STAMP
    work.mkdir(parents=True, exist_ok=True)
    if not stamp.is_file() or stamp.read_text(errors="replace") != key:
        for file in work.glob("shard-*.json"):
            file.unlink()
        write_text(stamp, key)
        return {}
    done = {}
    for i, rows in enumerate(shards):
        try:
            result = json.loads((work / f"shard-{i:06d}.json").read_text())
        except (OSError, ValueError):
            continue
        if [r["row"] for r in result] == [r.row for r in rows]:
            done[i] = result
    return done


def _bar(total: int, initial: int, show: bool) -> Any:
    """A progress bar over rows."""
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, unit="row", desc="preparing", disable=not show)


def assemble(
    results: list[dict[str, Any]], options: RowOptions, *, source: str, source_hash: str = "", substitutions: int = 0
) -> PrepareReport:
    """Put the results of `treat_rows` into one data set; sets of operations are stored once, in the order of their numbers."""
    from symjax.groups.tables import standard_setting
    from symjax.wyckoff.set_table import build_set_table

    good = [r for r in results if "reason" not in r]
    rejected = [r for r in results if "reason" in r]
    noted = [{name: r[name] for name in ("row", "id", "notes")} for r in results if r.get("notes")]
    numbers = sorted({r["number"] for r in good})
    sets = (
        build_set_table([standard_setting(n) for n in numbers]) if numbers else build_set_table([standard_setting(1)])
    )
    names = sorted({name for r in good for name in r["properties"]})
    meta = {
        "source": source,
        "source_sha256": source_hash,
        "options": options_dict(options),
        "substitutions": substitutions,
        "versions": versions(_DECISIVE),
        "rows": len(results),
        "accepted": len(good),
        "rejected": len(rejected),
        "rejected_by_reason": dict(sorted(Counter(r["kind"] for r in rejected).items())),
        "notes_by_kind": dict(sorted(Counter(k for r in noted for k in {k for k, _ in r["notes"]}).items())),
        "symprec_used": {str(k): v for k, v in sorted(Counter(r["symprec"] for r in good).items())},
        "space_group_numbers": numbers,
    }
    counts = [len(r["z"]) for r in good]
    dataset = CrystalDataset(
        sets=sets,
        set_index=np.searchsorted(np.array(numbers, int), np.array([r["number"] for r in good], int)).astype(np.int32),
        k=np.array([r["k"] for r in good], float).reshape(-1, 6),
        orbit_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        orbit_z=np.array([z for r in good for z in r["z"]], np.int16),
        orbit_pos=np.array([p for r in good for p in r["pos"]], np.int16),
        orbit_x=np.array([x for r in good for x in r["x"]], float).reshape(-1, 3),
        ids=np.array([r["id"] for r in good], np.str_),
        formula=np.array([r["formula"] for r in good], np.str_),
        row=np.array([r["row"] for r in good], np.int64),
        properties={name: np.array([r["properties"].get(name, np.nan) for r in good], float) for name in names},
        meta=meta,
    )
    return PrepareReport(dataset=dataset, rejected=rejected, rows=len(results), noted=noted)
