"""What the metrics of every table are made with: the study they read, and figures with their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from symjax.evaluate.figure import Figure, Floor
from symjax.evaluate.matching import UniqueNovel, unique_and_novel
from symjax.evaluate.measured import Measured
from symjax.evaluate.statistics import DRAWS, Rows, Tail, TwoSample, permutation_test, share_interval, share_test
from symjax.parallel import Processes

CDVAE = "CDVAE, DiffCSP and SymmCD evaluation code"
SPGLIB_WIDE = "spglib, 0.1 angstrom, 5 degrees"


class Skipped(NamedTuple):
    """A figure that was not made, and why."""

    metric: str
    reason: str


class Findings(NamedTuple):
    """What a family of metrics gives."""

    figures: list[Figure]
    skipped: list[Skipped]


@dataclass(frozen=True)
class Study:
    """Everything that metrics read; nothing in it is filtered.

    Attributes:
        samples: the crystals to be judged.
        reference: real crystals, what distributions are compared with.
        train: what novelty is against; None where it was not given.
        stability: arrays over samples (`e_hull`, `formation_energy`, `group_after`, ...); empty where none were
            made.
        inputs: what the user gave besides crystals (raw operations, likelihoods, seconds).
        seed: of every random draw.
        draws: permutations of a test.
        processes: worker processes for the matcher.
        progress: whether to show progress bars on stderr.
    """

    samples: Measured
    reference: Measured
    train: Measured | None = None
    stability: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    draws: int = DRAWS
    processes: Processes = None
    progress: bool = False

    @cached_property
    def pooled(self) -> UniqueNovel:
        """Of samples and then reference: unique and novel by StructureMatcher (0.2, 0.3, 5) among equal reduced formulas.

        Without training data everything that is a crystal is novel.
        """
        return self._match("reduced")

    @cached_property
    def pooled_genes(self) -> UniqueNovel:
        """The same, asking the matcher only where group, sites and elements agree (WyckoffTransformer's rule)."""
        return self._match("genes")

    @property
    def matched(self) -> UniqueNovel:
        """`pooled` of the samples."""
        return self.part_of(self.pooled, self.samples)

    @property
    def matched_genes(self) -> UniqueNovel:
        """`pooled_genes` of the samples."""
        return self.part_of(self.pooled_genes, self.samples)

    def part_of(self, pooled: UniqueNovel, part: Measured) -> UniqueNovel:
        """What was found for the samples or for the reference."""
        num = len(self.samples)
        return pooled.part(slice(0, num) if part is self.samples else slice(num, num + len(self.reference)))

    def _match(self, label: str) -> UniqueNovel:
        return unique_and_novel(
            self.samples.cells + self.reference.cells,
            () if self.train is None else self.train.cells,
            labels=[*getattr(self.samples, label), *getattr(self.reference, label)],
            reference_labels=() if self.train is None else getattr(self.train, label),
            processes=self.processes,
            progress=self.progress,
        )

    def both(self, rows: Callable[[Measured], Rows]) -> tuple[Rows, Rows]:
        """Samples and reference by one rule."""
        return rows(self.samples), rows(self.reference)

    def share(
        self,
        key: str,
        name: str,
        flags: np.ndarray,
        definition: str,
        *,
        reference: np.ndarray | None = None,
        **more: Any,
    ) -> Figure:
        """Share of rows that are True, with its interval; beside it that of reference rows, and whether the two differ."""
        flags = np.asarray(flags, bool)
        value = float(flags.mean()) if flags.size else float("nan")
        if reference is not None:
            known = np.asarray(reference, bool)
            p = share_test(int(flags.sum()), flags.size, int(known.sum()), known.size)
            more |= {"reference": mean_of(known), "num_reference": int(known.size), "p": p}
        return Figure(
            key, name, value, int(flags.size), definition, interval=share_interval(int(flags.sum()), flags.size), **more
        )

    def compare(
        self,
        key: str,
        name: str,
        statistic: TwoSample,
        rows: tuple[Rows, Rows],
        definition: str,
        *,
        tail: Tail = "upper",
        **more: Any,
    ) -> Figure:
        """A two-sample statistic with its floor and p-value; NaN where one side is empty."""
        return compared(
            key,
            name,
            statistic,
            rows,
            definition,
            tail=tail,
            draws=self.draws,
            seed=self.seed,
            **{"better": "lower", **more},
        )


def compared(
    key: str,
    name: str,
    statistic: TwoSample,
    rows: tuple[Rows, Rows],
    definition: str,
    *,
    tail: Tail = "upper",
    draws: int,
    seed: int,
    **more: Any,
) -> Figure:
    """The figure of a two-sample statistic: its value, and by `permutation_test` what one common source would give.

    A ``floor`` that is given stands instead of the mean and deviation of the test.
    """
    ours, theirs = rows[0].as_samples(), rows[1].as_reference()
    more["num_reference"] = len(theirs)
    if not len(ours) or not len(theirs):
        return Figure(key, name, float("nan"), len(ours), definition, **more)
    found = permutation_test(statistic, *rows, tail=tail, draws=draws, seed=seed)
    more.setdefault("floor", Floor(found.mean, found.sd, len(ours), len(theirs)))
    return Figure(key, name, statistic(ours, theirs), len(ours), definition, p=found.p, **more)


def mean_of(flags: np.ndarray) -> float:
    """Mean, NaN for nothing."""
    return float(np.mean(flags)) if len(flags) else float("nan")
