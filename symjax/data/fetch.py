"""Public data sets by name: their addresses, their numbers of rows, and the hashes that public documents state.

MP-20, Perov-5 and Carbon-24 lie in the repository of CDVAE (Xie et al., arXiv 2110.06197), MPTS-52 in that of CrystaLLM (Antunes
et al., arXiv 2307.04340). Hashes of MP-20 and MPTS-52 are those that users of these files publish (two of them agree on the first);
none is public for the other two, so their files are checked by their number of rows alone, and the hash found is told.
"""

from __future__ import annotations

import csv
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from symjax.data.files import atomic_write, hash_file
from symjax.errors import DataError

TIMEOUT = 60.0
"""Seconds without an answer."""
CHUNK = 1 << 20


class Published(NamedTuple):
    """A data set as it is published.

    Attributes:
        base: address of the folder that holds ``SPLIT.csv``.
        rows: split -> number of crystals.
        sha256: split -> hash of the file, where a public document states it.
        source: paper.
        licence: of the data.
    """

    base: str
    rows: Mapping[str, int]
    sha256: Mapping[str, str]
    source: str
    licence: str


_CDVAE = "https://raw.githubusercontent.com/txie-93/cdvae/main/data"
SETS: dict[str, Published] = {
    "mp20": Published(
        f"{_CDVAE}/mp_20",
        {"train": 27136, "val": 9047, "test": 9046},
        {
            "train": "133bab58dba02d316f9f91174839f17802dce648be4e8659d1a42b32b97fa01d",
            "val": "7b5f4085464b3eac9fd2123acee97ec372214004ce7e983b535b33395abc3e29",
            "test": "dd605c7543cf95a13e150aed630d0915e74edc8dea17e85301ee6fbfeb7f500a",
        },
        "Xie et al., arXiv 2110.06197; Materials Project",
        "CC BY 4.0",
    ),
    "mpts52": Published(
        "https://raw.githubusercontent.com/lantunes/CrystaLLM/main/resources/benchmarks/mpts_52",
        {"train": 27380, "val": 5000, "test": 8096},
        {
            "train": "db33cfc86530bbd4b020405989c5cd12130f447ad7b9258d29b3ff9c8a26d764",
            "val": "b5d9f7a8ff72f3a1f24d6bb97e11ad201be40d10be7b27924234da06af04baba",
            "test": "4d6e76c4726fb12fb2a7e5bb23594f9b82dbd9bf67b7bfd4866e9c74a8f49038",
        },
        "Baird et al., JOSS 9 (2024) 5618; Materials Project",
        "CC BY 4.0",
    ),
    "perov5": Published(
        f"{_CDVAE}/perov_5",
        {"train": 11356, "val": 3787, "test": 3785},
        {},
        "Castelli et al. 2012, by way of CDVAE",
        "MIT",
    ),
    "carbon24": Published(
        f"{_CDVAE}/carbon_24", {"train": 6091, "val": 2032, "test": 2030}, {}, "Pickard 2020, by way of CDVAE", "MIT"
    ),
}


class Fetched(NamedTuple):
    """A file that was fetched.

    Attributes:
        path: where it is.
        rows: crystals in it.
        sha256: its hash.
        checked: whether a stated hash agrees; False where none is stated.
        there: whether it lay there already.
    """

    path: Path
    rows: int
    sha256: str
    checked: bool
    there: bool


def fetch(
    name: str,
    folder: str | Path,
    *,
    splits: tuple[str, ...] = ("train", "val", "test"),
    base: str | None = None,
    accept: bool = False,
    progress: Callable[[str, int, int], object] | None = None,
) -> list[Fetched]:
    """Fetch a data set, one CSV a split; what lies there already and is right is not fetched again.

    Args:
        name: one of `SETS`.
        folder: where ``SPLIT.csv`` go.
        splits: which of them.
        base: another address of the folder that holds the files (a mirror).
        accept: keep a file whose hash or number of rows is not the one stated.
        progress: told file, bytes so far, and bytes in all (0 where unknown).

    Raises:
        DataError: no such set or split, nothing can be fetched from there, or a file is another one than stated.
    """
    if name not in SETS:
        raise DataError(f"no data set {name!r}; there are {', '.join(SETS)}")
    known = SETS[name]
    if wrong := [split for split in splits if split not in known.rows]:
        raise DataError(f"{name} has no split {wrong[0]!r}; it has {', '.join(known.rows)}")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for split in splits:
        path, address = place / f"{split}.csv", f"{(base or known.base).rstrip('/')}/{split}.csv"
        there = path.is_file()
        if not there:
            _download(address, path, progress)
        one = _checked(path, known, split, address, there=there, accept=accept)
        found.append(one)
    return found


def _download(address: str, path: Path, progress: Callable[[str, int, int], object] | None) -> None:
    """Copy an address to a file, all at once at the end."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer, atomic_write(path) as handle:
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while part := _read(answer, address):
                handle.write(part)
                done += len(part)
                if progress is not None:
                    progress(path.name, done, total)
            if total and done != total:
                raise DataError(f"{address}: ended after {done} of {total} bytes; run the command again")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DataError(
            f"{address}: cannot be fetched ({getattr(error, 'reason', None) or error}); give a mirror by --from ADDRESS, or put "
            f"the file at {path} by hand"
        ) from error


def _read(answer: Any, address: str) -> bytes:
    """The next part of an answer; a broken connection is told as one, not as a file that cannot be written."""
    try:
        return bytes(answer.read(CHUNK))
    except OSError as error:
        raise DataError(f"{address}: the connection broke ({error}); run the command again") from error


def _checked(path: Path, known: Published, split: str, address: str, *, there: bool, accept: bool) -> Fetched:
    """What a file is, refused where it is not what was stated."""
    digest, rows = hash_file(path), _rows(path)
    stated = known.sha256.get(split)
    problems = []
    if stated is not None and digest != stated:
        problems.append(f"has SHA-256 {digest}, stated is {stated}")
    if rows != known.rows[split]:
        problems.append(f"holds {rows} rows, stated are {known.rows[split]}")
    if problems and not accept:
        aside = path.with_suffix(".csv.other")
        shutil.move(path, aside)
        raise DataError(
            f"{path if there else address}: {' and '.join(problems)}; kept as {aside.name}. If it is what you want, give "
            "--accept"
        )
    return Fetched(path, rows, digest, stated == digest, there)


def _rows(path: Path) -> int:
    """Rows of a CSV under its head; CIF texts hold line breaks."""
    csv.field_size_limit(1 << 27)
    with open(path, encoding="utf-8", errors="replace", newline="") as handle:
        return max(sum(1 for _ in csv.reader(handle)) - 1, 0)
