"""Which crystals are the same, by pymatgen's StructureMatcher.

Two settings are in use in the literature: `LOOSE` (ltol 0.3, stol 0.5, angle 10 degrees) for the match rate of structure
prediction, and `DEFAULT` (0.2, 0.3, 5) for uniqueness and novelty. The matcher rescales volumes and reduces to primitive
cells; only crystals of equal reduced formula are compared. Each crystal is reduced once, and pairs that the matcher
cannot match by its own rules are not put to it (`symjax.evaluate.prefilter`), which changes no answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from symjax.crystals.io.convert import to_pymatgen
from symjax.crystals.types import AtomicStructure
from symjax.evaluate.prefilter import Reduced, may_match, reduced
from symjax.parallel import Processes, map_items

LOOSE = (0.3, 0.5, 10.0)
DEFAULT = (0.2, 0.3, 5.0)
Setting = tuple[float, float, float]


class UniqueNovel(NamedTuple):
    """What is known of n rows.

    Attributes:
        unique: (n,) bool, first of its kind among the rows.
        novel: (n,) bool, equal to none of the reference.
        classes: (n,) the row that it is equal to, the first one of its kind; its own where there is no earlier one.
    """

    unique: np.ndarray
    novel: np.ndarray
    classes: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """First of its kind and equal to none of the reference."""
        return self.unique & self.novel

    def part(self, rows: slice) -> UniqueNovel:
        """Some of the rows; classes still number all rows."""
        return UniqueNovel(self.unique[rows], self.novel[rows], self.classes[rows])


def match_distances(
    predicted: Sequence[AtomicStructure],
    truth: Sequence[AtomicStructure],
    *,
    setting: Setting = LOOSE,
    processes: Processes = None,
    progress: bool = False,
) -> np.ndarray:
    """(n,) root-mean-square distance of pair i, normalised by (V/N)^(1/3); NaN where the pair does not match."""
    pairs = [(a, b, setting) for a, b in zip(predicted, truth, strict=True)]
    return np.array(
        map_items(_pair_distance, pairs, processes=processes, lost=_no_match, label="match", progress=progress)
    )


def unique_and_novel(
    samples: Sequence[AtomicStructure | None],
    reference: Sequence[AtomicStructure | None],
    *,
    labels: Sequence[Any] | None = None,
    reference_labels: Sequence[Any] | None = None,
    setting: Setting = DEFAULT,
    processes: Processes = None,
    progress: bool = False,
) -> UniqueNovel:
    """Which samples are the first of their kind, and which equal none of the reference.

    Only crystals with equal labels are compared. A row that is no crystal, or whose cell the matcher cannot handle, counts as
    neither unique nor novel.

    Args:
        samples: n rows.
        reference: m rows.
        labels: (n,) hashable label of each sample; None for the reduced composition.
        reference_labels: (m,) labels of the reference; None for the reduced composition.
        setting: tolerances of the matcher.
        processes: worker processes; None for one a core.
        progress: whether to show a progress bar on stderr.
    """
    ours = labels if labels is not None else [cell.reduced if cell is not None else () for cell in samples]
    theirs = (
        reference_labels if reference_labels is not None else [c.reduced if c is not None else () for c in reference]
    )
    buckets: dict[Any, list[int]] = defaultdict(list)
    for index, cell in enumerate(samples):
        if cell is not None:
            buckets[ours[index]].append(index)
    known: dict[Any, list[AtomicStructure]] = defaultdict(list)
    for label, cell in zip(theirs, reference, strict=True):
        if cell is not None and label in buckets:
            known[label].append(cell)
    unique, novel, classes = np.zeros(len(samples), bool), np.zeros(len(samples), bool), np.arange(len(samples))
    for key, rows in list(buckets.items()):
        if len(rows) == 1 and key not in known:  # nothing to compare with
            unique[rows] = novel[rows] = _structure(samples[rows[0]]) is not None  # type: ignore[arg-type]
            del buckets[key]
    keys = list(buckets)
    jobs: list[Any] = [([samples[i] for i in buckets[key]], known.get(key, []), setting) for key in keys]
    options: dict[str, Any] = {"processes": processes, "lost": _unknown, "size": _comparisons, "progress": progress}
    for key, (equals, news) in zip(keys, map_items(_bucket, jobs, label="unique and novel", **options)):
        places = np.array(buckets[key])
        sound = np.array([place is not None for place in equals], bool)
        classes[places[sound]] = places[[place for place in equals if place is not None]]
        unique[places], novel[places] = sound & (classes[places] == places), news
    return UniqueNovel(unique, novel, classes)


@cache
def _matcher(setting: Setting) -> Any:
    from pymatgen.analysis.structure_matcher import SpeciesComparator, StructureMatcher

    # Every rule is given, so that no figure depends on an installed version's defaults.
    return StructureMatcher(
        ltol=setting[0],
        stol=setting[1],
        angle_tol=setting[2],
        primitive_cell=True,
        scale=True,
        attempt_supercell=False,
        allow_subset=False,
        comparator=SpeciesComparator(),
    )


def _pair_distance(job: tuple[AtomicStructure, AtomicStructure, Setting]) -> float:
    first, second, setting = job
    if first.reduced != second.reduced:
        return float("nan")
    try:
        found = _matcher(setting).get_rms_dist(to_pymatgen(first.primitive()), to_pymatgen(second.primitive()))
    except MemoryError:
        raise
    except Exception:  # the matcher fails on degenerate cells in several ways; none of them is a match
        return float("nan")
    return float("nan") if found is None else float(found[0])


def _no_match(job: tuple[AtomicStructure, AtomicStructure, Setting], reason: str) -> float:
    return float("nan")


_Bucket = tuple[list[AtomicStructure], list[AtomicStructure], Setting]


def _comparisons(job: _Bucket) -> int:
    return len(job[0]) + len(job[1])


def _unknown(job: _Bucket, reason: str) -> tuple[list[int | None], list[bool]]:
    """As cells that the matcher cannot handle."""
    return [None] * len(job[0]), [False] * len(job[0])


def _bucket(job: _Bucket) -> tuple[list[int | None], list[bool]]:
    """Of samples that share a label: which of them each is equal to (None: no structure), and whether it is novel."""
    cells, reference, setting = job
    matcher = _matcher(setting)
    # Reduced once and not for each pair. A structure that cannot be reduced is one that equals nothing.
    structures: list[tuple[bool, Reduced | None]] = [_reduced(cell) for cell in cells]
    old = [_reduced(cell)[1] for cell in reference]
    equals: list[int | None] = []
    novel: list[bool] = []
    kept: list[tuple[int, Reduced | None]] = []
    for place, (live, structure) in enumerate(structures):
        if not live:
            equals.append(None)
            novel.append(False)
            continue
        first = next((index for index, other in kept if _same(matcher, structure, other)), place)
        equals.append(first)
        novel.append(not any(_same(matcher, structure, other) for other in old))
        if first == place:
            kept.append((place, structure))
    return equals, novel


def _structure(cell: AtomicStructure) -> Any:
    if not (np.isfinite(cell.L).all() and np.isfinite(cell.x).all() and cell.volume > 0.1):
        return None
    return to_pymatgen(cell.primitive())


def _reduced(cell: AtomicStructure) -> tuple[bool, Reduced | None]:
    """Whether it is a structure, and what the matcher compares of it."""
    structure = _structure(cell)
    return structure is not None, None if structure is None else reduced(structure)


def _same(matcher: Any, first: Reduced | None, second: Reduced | None) -> bool:
    """What ``matcher.fit`` says, which is asked only where `may_match` leaves it open."""
    if first is None or second is None or not may_match(first, second, matcher.ltol, matcher.angle_tol):
        return False
    try:
        return bool(matcher.fit(first.structure, second.structure, skip_structure_reduction=True))
    except MemoryError:
        raise
    except Exception:  # as above
        return False
