"""What the metrics of every table are made with: the study they read, and figures with their noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from symjax.evaluate.figure import Figure
from symjax.evaluate.matching import UniqueNovel, unique_and_novel
from symjax.evaluate.measured import Measured
from symjax.evaluate.statistics import DRAWS, TwoSample, floor, interval, share_interval
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
        draws: bootstrap draws.
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
    def matched(self) -> UniqueNovel:
        """Unique and novel by StructureMatcher (0.2, 0.3, 5) among equal reduced formulas; novel everywhere without train."""
        return self._match(self.samples.reduced, None if self.train is None else self.train.reduced)

    @cached_property
    def matched_genes(self) -> UniqueNovel:
        """The same, asking the matcher only where group, sites and elements agree (WyckoffTransformer's rule)."""
        return self._match(self.samples.genes, None if self.train is None else self.train.genes)

    def _match(self, labels: Sequence[Any], known: Sequence[Any] | None) -> UniqueNovel:
        reference = () if self.train is None else self.train.cells
        return unique_and_novel(
            self.samples.cells,
            reference,
            labels=labels,
            reference_labels=known or (),
            processes=self.processes,
            progress=self.progress,
        )

    def share(self, key: str, name: str, flags: np.ndarray, definition: str, **more: Any) -> Figure:
        """Share of rows that are True, with its bootstrap interval."""
        flags = np.asarray(flags, bool)
        value = float(flags.mean()) if flags.size else float("nan")
        spread = share_interval(int(flags.sum()), flags.size, seed=self.seed)
        return Figure(key, name, value, int(flags.size), definition, interval=spread, **more)

    def compare(
        self,
        key: str,
        name: str,
        statistic: TwoSample,
        samples: np.ndarray,
        reference: np.ndarray,
        definition: str,
        **more: Any,
    ) -> Figure:
        """A two-sample statistic with interval and floor; NaN where one side is empty."""
        more = {"better": "lower", **more}
        if not len(samples) or not len(reference):
            return Figure(key, name, float("nan"), len(samples), definition, **more)
        return Figure(
            key,
            name,
            statistic(samples, reference),
            len(samples),
            definition,
            interval=interval(statistic, samples, reference, draws=self.draws, seed=self.seed),
            floor=floor(statistic, reference, len(samples), draws=self.draws, seed=self.seed),
            **more,
        )


def mean_of(flags: np.ndarray) -> float:
    """Mean, NaN for nothing."""
    return float(np.mean(flags)) if len(flags) else float("nan")
